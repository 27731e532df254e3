//! Whom to dial: the addresses that a torrent has heard of.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use crate::dice::Dice;
use crate::priority::OwnAddress;
use crate::time::{Duration, Instant};

/// Bans that are remembered; beyond that the oldest is forgotten.
const MAX_BANS: usize = 1024;
/// Addresses on the word of one peer, as long as nobody was met there (libtorrent's `max_pex_peers`: 50). "A client
/// should avoid taking all its connection candidates from a single PEX source" (BEP 11).
const MAX_HEARSAY: usize = 50;

/// How an [`AddressBook`] goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressBookConfig {
    /// The most addresses that are kept.
    pub capacity: usize,
    /// How long to wait after the first failure, give or take half; it doubles with each further one.
    pub redial_after: Duration,
    /// The longest such wait.
    pub redial_at_most: Duration,
    /// An address that failed this often in a row is forgotten, until someone names it again.
    pub give_up_after: u8,
}

impl Default for AddressBookConfig {
    fn default() -> Self {
        Self {
            capacity: 200,
            redial_after: Duration::from_secs(10),
            redial_at_most: Duration::from_secs(600),
            give_up_after: 8,
        }
    }
}

/// The addresses where peers listen, and which of them to dial next. How many dials and connections there may be is
/// the caller's matter.
///
/// The address of an incoming connection does not belong here, since its port is not the one that its peer listens on;
/// once the peer has told that port, [`AddressBook::connected`] notes it.
#[derive(Debug)]
pub struct AddressBook {
    config: AddressBookConfig,
    /// Sorted by address.
    entries: Vec<Entry>,
    /// Oldest first.
    bans: Vec<IpAddr>,
    /// No entry is due before this.
    next_due: Instant,
    seeding: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    addr: SocketAddr,
    /// When it may be dialled, if it is idle.
    due: Instant,
    /// In a row.
    failures: u8,
    /// Connections to the peer: two for a moment, when both sides dialled.
    links: u8,
    state: State,
    seed: bool,
    /// Which peer alone says that somebody listens there.
    hearsay: Option<NonZeroU32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Dialing,
    Connected,
    Ourselves,
}

impl AddressBook {
    /// An empty book.
    pub const fn new(config: AddressBookConfig) -> Self {
        Self { config, entries: Vec::new(), bans: Vec::new(), next_due: Instant::NEVER, seeding: false }
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether nothing is to be had to do with `ip`.
    pub fn is_banned(&self, ip: IpAddr) -> bool {
        self.bans.contains(&ip.to_canonical())
    }

    /// When to ask for [`AddressBook::next_dial`] again: it gives nothing before that. It may turn out to be too
    /// early, but once [`AddressBook::next_dial`] gave nothing at some time, it is later than that.
    pub const fn next_due(&self) -> Instant {
        self.next_due
    }

    /// Someone says that a peer listens at `addr`. A known address keeps its back-off; a new one takes the place of the
    /// least promising idle one when the book is full. Addresses that nobody can listen at are passed over.
    pub fn add(&mut self, addr: SocketAddr, now: Instant) {
        match self.find(addr) {
            Ok(at) => self.entries[at].hearsay = None,
            Err(at) => _ = self.insert(at, addr, None, now),
        }
    }

    /// The peer known as `teller` says that it is or was connected to a peer that listens at `addr`; whether that is
    /// news. Beyond [`AddressBook::add`], one peer is believed only so much, and its word makes nobody's place but that
    /// of an address that failed. "Duplicate IP addresses (e.g. with different ports) should be ignored" (BEP 11), but
    /// for those of a network of its own, behind which there may be a host with several peers.
    pub fn add_hearsay(&mut self, addr: SocketAddr, teller: NonZeroU32, now: Instant) -> bool {
        let Err(at) = self.find(addr) else { return false };
        let ip = addr.ip().to_canonical();
        // Entries are sorted, so that those of one host are neighbours.
        let twin = self.entries[..at].last().into_iter().chain(self.entries.get(at));
        let known = !is_local(ip) && twin.into_iter().any(|entry| entry.addr.ip() == ip);
        let told = self.entries.iter().filter(|entry| entry.hearsay == Some(teller)).count();
        !known && told < MAX_HEARSAY && self.insert(at, addr, Some(teller), now)
    }

    /// Puts a new address in the `at`th place; whether it is there.
    fn insert(&mut self, at: usize, addr: SocketAddr, hearsay: Option<NonZeroU32>, now: Instant) -> bool {
        let addr = canonical(addr);
        if !is_dialable(addr) || self.is_banned(addr.ip()) {
            return false;
        }
        let entry = Entry { addr, due: now, failures: 0, links: 0, state: State::Idle, seed: false, hearsay };
        if self.entries.len() < self.config.capacity {
            self.entries.insert(at, entry);
        } else if let Some(worst) = self.less_promising_than(&entry) {
            self.entries.remove(worst);
            self.entries.insert(at - usize::from(worst < at), entry);
        } else {
            return false;
        }
        self.next_due = self.next_due.min(now);
        true
    }

    /// The address to dial at `now`, if any: of those that are due, one with the fewest failures, at random or, seen from
    /// `own`, by canonical priority. [`AddressBook::connected`] or [`AddressBook::failed`] is to follow.
    pub fn next_dial(
        &mut self,
        now: Instant,
        own: Option<&OwnAddress>,
        dice: &mut Dice,
    ) -> Option<SocketAddr> {
        if now < self.next_due {
            return None;
        }
        let dial = self.choose(now, own, dice).map(|at| &mut self.entries[at]);
        let addr = dial.map(|entry| {
            entry.state = State::Dialing;
            entry.addr
        });
        let waiting = self.entries.iter().filter(|entry| entry.is_wanted(self.seeding));
        self.next_due = waiting.map(|entry| entry.due).min().unwrap_or(Instant::NEVER);
        addr
    }

    /// A connection to the peer that listens at `addr` is open, whoever dialled. To be followed by one
    /// [`AddressBook::parted`] or [`AddressBook::failed`].
    pub fn connected(&mut self, addr: SocketAddr, now: Instant) {
        self.add(addr, now);
        let Ok(at) = self.find(addr) else { return };
        let entry = &mut self.entries[at];
        entry.hearsay = None;
        if entry.state != State::Ourselves {
            entry.links = entry.links.saturating_add(1);
            entry.state = State::Connected;
        }
    }

    /// The dial to `addr` failed, or the connection ended before it was any good: the next dial is put off, longer each
    /// time. While another connection to the same peer is open, nothing changes.
    pub fn failed(&mut self, addr: SocketAddr, now: Instant, dice: &mut Dice) {
        let Ok(at) = self.find(addr) else { return };
        let entry = &mut self.entries[at];
        entry.links = entry.links.saturating_sub(1);
        if entry.state == State::Ourselves || entry.links > 0 {
            return;
        }
        entry.failures += 1;
        if entry.failures >= self.config.give_up_after {
            self.entries.remove(at);
            return;
        }
        let doubled = self.config.redial_after * (1 << (entry.failures - 1).min(32));
        let delay = doubled.min(self.config.redial_at_most).as_nanos();
        entry.due = now + Duration::from_nanos(delay / 2 + dice.below(delay));
        entry.state = State::Idle;
        self.next_due = self.next_due.min(entry.due);
    }

    /// A connection that was of use to `addr` or us has ended: earlier failures are forgiven.
    pub fn parted(&mut self, addr: SocketAddr, now: Instant, dice: &mut Dice) {
        if let Ok(at) = self.find(addr) {
            self.entries[at].failures = 0;
        }
        self.failed(addr, now, dice);
    }

    /// `addr` is where we listen ourselves: it is kept, so that it is not dialled again.
    pub fn is_ourselves(&mut self, addr: SocketAddr, now: Instant) {
        self.add(addr, now);
        if let Ok(at) = self.find(addr) {
            self.entries[at].state = State::Ourselves;
        }
    }

    /// The peer at `addr` has everything: of no use once we have everything too.
    pub fn is_seed(&mut self, addr: SocketAddr) {
        if let Ok(at) = self.find(addr) {
            self.entries[at].seed = true;
        }
    }

    /// We have everything: seeds are not dialled from now on.
    pub fn start_seeding(&mut self) {
        self.seeding = true;
    }

    /// Nothing more is to be had to do with `ip`, at any port.
    pub fn ban(&mut self, ip: IpAddr) {
        let ip = ip.to_canonical();
        self.entries.retain(|entry| entry.addr.ip() != ip);
        if !self.bans.contains(&ip) {
            self.bans.push(ip);
        }
        if self.bans.len() > MAX_BANS {
            self.bans.remove(0);
        }
    }

    /// Checks that the parts agree with each other.
    ///
    /// # Panics
    /// Where they do not.
    pub fn check_invariants(&self) {
        assert!(self.entries.is_sorted_by(|a, b| a.addr < b.addr), "an address stands twice or out of order");
        assert!(self.entries.len() <= self.config.capacity, "the book is too full");
        for entry in &self.entries {
            assert!(entry.failures < self.config.give_up_after, "{} should be forgotten", entry.addr);
            assert!(!entry.is_wanted(self.seeding) || self.next_due <= entry.due, "{} is late", entry.addr);
            assert!(!self.is_banned(entry.addr.ip()), "{} is banned", entry.addr);
            let links = entry.links > 0;
            assert!(
                entry.state == State::Ourselves || links == (entry.state == State::Connected),
                "{entry:?}"
            );
        }
    }

    fn find(&self, addr: SocketAddr) -> Result<usize, usize> {
        let addr = canonical(addr);
        self.entries.binary_search_by_key(&addr, |entry| entry.addr)
    }

    /// The position of the entry to dial. "Prefer peers with lower failcount", then those of a higher rank, says
    /// libtorrent's `compare_peer`.
    fn choose(&self, now: Instant, own: Option<&OwnAddress>, dice: &mut Dice) -> Option<usize> {
        let due = || {
            let entries = self.entries.iter().enumerate();
            entries.filter(|(_, entry)| entry.is_wanted(self.seeding) && entry.due <= now)
        };
        let rank = |entry: &Entry| own.and_then(|own| own.priority_of(entry.addr));
        let merit = |entry: &Entry| (std::cmp::Reverse(entry.failures), rank(entry));
        let most = due().map(|(_, entry)| merit(entry)).max()?;
        let best = || due().filter(|(_, entry)| merit(entry) == most);
        best().nth(dice.index(best().count())?).map(|(at, _)| at)
    }

    /// The position of the idle entry that `newcomer` may replace: a seed when we seed, the one that failed most, or one
    /// that is hearsay.
    fn less_promising_than(&self, newcomer: &Entry) -> Option<usize> {
        let fault = |entry: &Entry| (self.seeding && entry.seed, entry.failures, entry.hearsay.is_some());
        let idle = self.entries.iter().enumerate().filter(|(_, entry)| entry.state == State::Idle);
        let worst = idle.max_by_key(|(_, entry)| fault(entry));
        worst.filter(|(_, entry)| fault(entry) > fault(newcomer)).map(|(at, _)| at)
    }
}

impl Entry {
    fn is_wanted(&self, seeding: bool) -> bool {
        self.state == State::Idle && !(seeding && self.seed)
    }
}

/// The same address, in the one form that it is kept in.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Whether `ip` means something on this machine or its own network only, and may mean somebody else elsewhere.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether a peer may listen at `addr` at all: trackers tell all sorts of things.
fn is_dialable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONFIG: AddressBookConfig = AddressBookConfig {
        capacity: 6,
        redial_after: Duration::from_secs(10),
        redial_at_most: Duration::from_secs(60),
        give_up_after: 4,
    };

    fn dice() -> Dice {
        Dice::stream(1, ("test", 0, "addresses"))
    }

    fn peer(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 6881))
    }

    fn secs(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn book(peers: impl IntoIterator<Item = u8>) -> AddressBook {
        let mut book = AddressBook::new(CONFIG);
        peers.into_iter().for_each(|n| book.add(peer(n), Instant::ZERO));
        book
    }

    /// Everyone whom the book has dialled at `now`.
    fn dialled(book: &mut AddressBook, now: Instant) -> Vec<SocketAddr> {
        let mut addrs: Vec<_> = std::iter::from_fn(|| book.next_dial(now, None, &mut dice())).collect();
        book.check_invariants();
        addrs.sort_unstable();
        addrs
    }

    #[test]
    fn everyone_is_dialled_once() {
        let mut book = book([3, 1, 2, 1]);
        assert_eq!(dialled(&mut book, Instant::ZERO), [peer(1), peer(2), peer(3)]);
        assert_eq!(book.next_due(), Instant::NEVER);
    }

    #[test]
    fn whom_to_dial_first_differs_from_host_to_host() {
        let first =
            |seed| book(1..=6).next_dial(Instant::ZERO, None, &mut Dice::stream(seed, ("host", 0, "dial")));
        let firsts: std::collections::BTreeSet<_> = (0..50).map(first).collect();
        assert_eq!(firsts.len(), 6);
    }

    #[test]
    fn one_failure_puts_off_and_many_give_up_until_named_again() {
        let mut book = book([1]);
        let mut now = Instant::ZERO;
        for delay in [10, 20, 40] {
            assert_eq!(dialled(&mut book, now), [peer(1)]);
            book.failed(peer(1), now, &mut dice());
            book.add(peer(1), now);
            let wait = book.next_due().since(now).as_millis();
            assert!((delay * 500..delay * 1500).contains(&wait), "{wait} ms for {delay} s");
            now = book.next_due();
            assert_eq!(dialled(&mut book, now - Duration::from_nanos(1)), []);
        }
        assert_eq!(dialled(&mut book, now), [peer(1)]);
        book.failed(peer(1), now, &mut dice());
        assert!(book.is_empty());
        book.add(peer(1), now);
        assert_eq!(dialled(&mut book, now), [peer(1)]);
    }

    #[test]
    fn a_good_connection_forgives_failures_and_a_useless_one_counts_as_one() {
        let mut book = book([1, 2]);
        for n in [1, 2] {
            book.failed(peer(n), Instant::ZERO, &mut dice());
            book.connected(peer(n), Instant::ZERO);
        }
        assert_eq!(dialled(&mut book, secs(100)), []);
        book.parted(peer(1), secs(100), &mut dice());
        book.failed(peer(2), secs(100), &mut dice());
        assert_eq!(book.entries.iter().map(|entry| entry.failures).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(dialled(&mut book, secs(200)), [peer(1), peer(2)]);
    }

    #[test]
    fn a_peer_that_dialled_us_is_not_dialled_once_it_tells_its_port() {
        let mut book = book([1]);
        book.connected(peer(1), Instant::ZERO);
        book.connected(peer(2), Instant::ZERO);
        assert_eq!(dialled(&mut book, secs(1)), []);
        book.parted(peer(2), secs(1), &mut dice());
        assert_eq!(dialled(&mut book, secs(100)), [peer(2)]);
    }

    #[test]
    fn a_peer_that_dialled_us_while_we_dialled_it_is_left_alone_as_long_as_one_connection_lasts() {
        let mut book = book([1]);
        assert_eq!(dialled(&mut book, Instant::ZERO), [peer(1)]);
        book.connected(peer(1), Instant::ZERO);
        book.connected(peer(1), Instant::ZERO);
        book.failed(peer(1), Instant::ZERO, &mut dice());
        assert_eq!(dialled(&mut book, secs(1000)), []);
        book.parted(peer(1), secs(1000), &mut dice());
        assert_eq!(dialled(&mut book, secs(2000)), [peer(1)]);
    }

    #[test]
    fn seeds_do_not_dial_seeds() {
        let mut book = book([1, 2]);
        book.is_seed(peer(1));
        book.start_seeding();
        assert_eq!(dialled(&mut book, Instant::ZERO), [peer(2)]);
        assert_eq!(book.next_due(), Instant::NEVER);
    }

    #[test]
    fn seeds_do_not_dial_seeds_negative() {
        let mut book = book([1, 2]);
        book.is_seed(peer(1));
        assert_eq!(dialled(&mut book, Instant::ZERO), [peer(1), peer(2)]);
    }

    #[test]
    fn we_are_not_dialled_again_and_neither_are_the_banned() {
        let mut book = book([1, 2, 3]);
        book.is_ourselves(peer(1), Instant::ZERO);
        book.failed(peer(1), Instant::ZERO, &mut dice());
        book.add(SocketAddr::from(([10, 0, 0, 2], 7000)), Instant::ZERO);
        book.ban(peer(2).ip());
        for n in [1, 2, 3] {
            book.add(peer(n), Instant::ZERO);
        }
        book.add("[::ffff:10.0.0.2]:6881".parse().unwrap(), Instant::ZERO);
        assert_eq!(dialled(&mut book, secs(1000)), [peer(3)]);
        assert!(book.is_banned("::ffff:10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut book = book([]);
        for addr in ["10.0.0.1:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
            book.add(addr.parse().unwrap(), Instant::ZERO);
        }
        assert!(book.is_empty());
    }

    #[test]
    fn a_full_book_makes_room_by_dropping_who_failed_most() {
        let mut book = book(1..=6);
        book.add(peer(7), Instant::ZERO);
        assert_eq!(dialled(&mut book, Instant::ZERO), (1..=6).map(peer).collect::<Vec<_>>());
        for n in [2, 4, 4] {
            book.failed(peer(n), Instant::ZERO, &mut dice());
        }
        book.add(peer(7), secs(1));
        assert_eq!(book.find(peer(4)).ok(), None);
        book.add(peer(8), secs(1));
        assert_eq!(book.find(peer(2)).ok(), None);
        book.add(peer(9), secs(1));
        assert_eq!(dialled(&mut book, secs(1)), [peer(7), peer(8)]);
    }

    fn teller(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn one_peer_is_believed_only_so_much() {
        let mut book = AddressBook::new(AddressBookConfig { capacity: 200, ..CONFIG });
        let addr = |n: u32| SocketAddr::from(((0x0b00_0000 + n).to_be_bytes(), 6881));
        let told = (0..1000).filter(|&n| book.add_hearsay(addr(n), teller(1), Instant::ZERO)).count();
        assert_eq!((told, book.len()), (50, 50));
        assert!(!book.add_hearsay(addr(1), teller(2), Instant::ZERO), "no news");
        assert!(book.add_hearsay(addr(1000), teller(2), Instant::ZERO), "another has a word of its own");
        book.connected(addr(1), Instant::ZERO);
        assert!(book.add_hearsay(addr(1001), teller(1), Instant::ZERO), "who was met is hearsay no longer");
        assert!(!book.add_hearsay(addr(1002), teller(1), Instant::ZERO));
        book.add(addr(2), Instant::ZERO);
        assert!(book.add_hearsay(addr(1002), teller(1), Instant::ZERO), "nor whom the tracker knows too");
    }

    #[test]
    fn hearsay_makes_nobody_elses_place() {
        let mut book = book([1, 2, 3, 4]);
        assert!(book.add_hearsay(peer(5), teller(1), Instant::ZERO));
        assert!(book.add_hearsay(peer(6), teller(1), Instant::ZERO));
        assert!(!book.add_hearsay(peer(7), teller(2), Instant::ZERO), "it is full");
        book.add(peer(8), Instant::ZERO);
        assert!(book.find(peer(8)).is_ok(), "but for those whom the tracker knows");
        assert_eq!(book.entries.iter().filter(|entry| entry.hearsay.is_some()).count(), 1);
        assert_eq!(book.len(), 6);
    }

    #[test]
    fn of_one_host_one_address_is_taken_on_hearsay_but_of_a_local_one() {
        let mut book = book([]);
        let mut heard = |addr: &str| book.add_hearsay(addr.parse().unwrap(), teller(1), Instant::ZERO);
        assert!(heard("80.0.0.2:2"));
        assert!(!heard("80.0.0.2:1") && !heard("80.0.0.2:3") && !heard("[::ffff:80.0.0.2]:4"));
        assert!(heard("80.0.0.1:9") && heard("80.0.0.3:9"));
        assert!(heard("127.0.0.1:1") && heard("127.0.0.1:2"));
        for nonsense in ["80.0.0.4:0", "0.0.0.0:1", "255.255.255.255:1", "224.0.0.1:1"] {
            assert!(!heard(nonsense));
        }
    }

    #[test]
    fn the_highest_canonical_priority_is_dialled_first_among_those_who_failed_least() {
        let own = OwnAddress::new(Some("10.9.9.9".parse().unwrap()), 6881);
        let mut by_rank: Vec<_> = (1..=6).map(peer).collect();
        by_rank.sort_unstable_by_key(|addr| std::cmp::Reverse(own.priority_of(*addr)));
        assert_ne!(by_rank, (1..=6).map(peer).collect::<Vec<_>>());
        let dials = |book: &mut AddressBook, now| -> Vec<_> {
            std::iter::from_fn(|| book.next_dial(now, Some(&own), &mut dice())).collect()
        };
        let mut book = book(1..=6);
        assert_eq!(dials(&mut book, Instant::ZERO), by_rank);
        by_rank.iter().enumerate().for_each(|(nth, addr)| {
            book.failed(*addr, Instant::ZERO, &mut dice());
            if nth == 0 {
                book.failed(*addr, Instant::ZERO, &mut dice());
            }
        });
        let again = dials(&mut book, secs(1000));
        assert_eq!((&again[..5], again[5]), (&by_rank[1..], by_rank[0]));
    }

    #[test]
    fn bans_are_bounded() {
        let mut book = book([]);
        (0..2000u32).for_each(|n| book.ban(IpAddr::from(n.to_be_bytes())));
        assert_eq!(book.bans.len(), MAX_BANS);
        assert!(book.is_banned(IpAddr::from(1999u32.to_be_bytes())));
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 48);
    }

    proptest! {
        /// Whatever happens, the parts agree, and the book never asks to be asked again at once.
        #[test]
        fn never_a_busy_loop(ops in prop::collection::vec((0u8..9, 0u8..10, 0u64..30), 0..120)) {
            let (mut book, mut dice, mut now) = (book([]), dice(), Instant::ZERO);
            for (op, n, pause) in ops {
                now += Duration::from_secs(pause);
                match op {
                    0 | 1 => book.add(peer(n), now),
                    2 => book.connected(peer(n), now),
                    3 => book.failed(peer(n), now, &mut dice),
                    4 => book.parted(peer(n), now, &mut dice),
                    5 => book.is_seed(peer(n)),
                    6 if n == 9 => book.start_seeding(),
                    8 => _ = book.add_hearsay(peer(n), teller(1 + pause as u32 % 2), now),
                    7 if n == 9 => book.ban(peer(pause as u8).ip()),
                    _ => while book.next_dial(now, None, &mut dice).is_some() {
                        book.check_invariants();
                    },
                }
                book.check_invariants();
                if book.next_dial(now, None, &mut dice).is_none() {
                    prop_assert!(book.next_due() > now);
                }
            }
        }
    }
}
