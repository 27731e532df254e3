//! Peer exchange (BEP 11): telling peers of each other, and hearing of others from them.
//!
//! A peer is told of those that we are connected to and that it could dial: whom we dialled, and who told us where it
//! listens. What it hears of goes into the same address book as the tracker's peers.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::peer::Peer;
use super::{Timer, Torrent};
use crate::addresses::is_local;
use crate::node::{Disconnect, Event, Outbox};
use crate::time::{Duration, Instant};
use crate::units::ConnId;
use crate::wire::{Contact, ContactFlags, Message, PeerExchange};

/// Under which id we want the messages.
pub(super) const OUR_ID: u8 = 1;
/// "Clients must batch updates to send no more than 1 PEX message per minute".
const TELL_EVERY: Duration = Duration::from_secs(60);
/// What comes sooner after a message than this is not looked at. Less than a minute, since one message may have waited
/// behind blocks and the next one not.
const HEED_EVERY: Duration = Duration::from_secs(30);
/// "Except for the initial PEX message the combined amount of added v4/v6 contacts should not exceed 50 entries. The
/// same applies to dropped entries".
const MAX_NEWS: usize = 50;
/// Contacts in an initial message (libtorrent's `max_peer_entries`).
const MAX_FIRST: usize = 100;
/// Changes that are remembered for those who were not told yet: ten minutes of as many as one may be told.
const MAX_CHANGES: usize = 1000;

/// What goes on between us and one peer.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Under which id it wants messages; 0 if it wants none.
    id: u8,
    /// For the address book.
    teller: NonZeroU32,
    /// What it was told: the state after so many changes. `None` before the first message.
    told: Option<u64>,
    /// When it may be told more.
    tell_at: Instant,
    /// When it is listened to again.
    heed_at: Instant,
}

/// Who came and went: "keep a per-torrent timeline of connect/disconnect events and simply store a pointer for the point
/// in time up to which events have already been sent for each peer" (BEP 11).
#[derive(Debug, Default)]
pub(super) struct Timeline {
    changes: VecDeque<Change>,
    /// How many changes there were before these.
    before: u64,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    addr: SocketAddr,
    here: bool,
}

impl Timeline {
    /// How many changes there were.
    fn end(&self) -> u64 {
        self.before + self.changes.len() as u64
    }

    fn push(&mut self, addr: SocketAddr, here: bool) {
        self.changes.push_back(Change { addr, here });
        if self.changes.len() > MAX_CHANGES {
            self.changes.pop_front();
            self.before += 1;
        }
    }

    /// Forgets all but what came after the first `told` changes.
    fn forget_before(&mut self, told: u64) {
        let known = told.saturating_sub(self.before).min(self.changes.len() as u64);
        self.changes.drain(..known as usize);
        self.before += known;
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }

    /// Who came and who went after the first `told` changes, each not more than `most`, and up to which change that is.
    /// "Transient connect-disconnect or disconnect-reconnect events may be elided".
    fn news(&self, told: u64, most: usize) -> (Vec<SocketAddr>, Vec<SocketAddr>, u64) {
        let (mut added, mut dropped) = (Vec::new(), Vec::new());
        let first = told.max(self.before);
        let fresh = self.changes.iter().skip((first - self.before) as usize);
        let mut upto = first;
        for change in fresh {
            let (to, from) =
                if change.here { (&mut added, &mut dropped) } else { (&mut dropped, &mut added) };
            if let Some(at) = from.iter().position(|addr| *addr == change.addr) {
                from.swap_remove(at);
            } else if to.len() < most {
                to.push(change.addr);
            } else {
                break;
            }
            upto += 1;
        }
        (added, dropped, upto)
    }
}

impl Torrent {
    /// Whether peers are exchanged. Not in a private torrent: a client "MUST ONLY initiate connections to peers returned
    /// from the private tracker" (BEP 27), so it must not hear of others, nor others of it.
    pub(super) fn exchanges(&self) -> bool {
        self.config.peer_exchange && !self.config.private
    }

    /// The peer's extension handshake says under which id it wants messages; 0 takes that back (BEP 10).
    pub(super) fn on_exchange_id(&mut self, conn: ConnId, id: u8) {
        if let Some(exchange) = self.exchange_with(conn) {
            exchange.id = id;
        }
    }

    /// What goes on with the peer, from now on.
    fn exchange_with(&mut self, conn: ConnId) -> Option<&mut Exchange> {
        if !self.exchanges() {
            return None;
        }
        let peer = self.peers.get_mut(conn)?;
        if peer.exchange.is_none() {
            self.tellers = self.tellers.checked_add(1).unwrap_or(NonZeroU32::MIN);
            let teller = self.tellers;
            let exchange =
                Exchange { id: 0, teller, told: None, tell_at: Instant::ZERO, heed_at: Instant::ZERO };
            peer.exchange = Some(Box::new(exchange));
        }
        peer.exchange.as_deref_mut()
    }

    /// A peer can be told of, or no longer. "A peer must only be included in an added field once a connection is
    /// successfully established and included in the dropped field once it is disconnected."
    pub(super) fn note_contact(&mut self, conn: ConnId, contact: Option<SocketAddr>, here: bool) {
        let Some(addr) = contact.filter(|_| self.exchanges()) else { return };
        // Two connections to one peer, or two peers that say the same: what is told of is the place.
        let twin = self.peers.iter().any(|other| other.conn != conn && other.contact() == Some(addr));
        if !twin {
            self.timeline.push(addr, here);
        }
    }

    /// Tells everybody what is news to it, if it is time.
    pub(super) fn tell_of_peers(&mut self, now: Instant, out: &mut Outbox) {
        if !self.exchanges() {
            return;
        }
        let end = self.timeline.end();
        for slot in self.peers.slots_from(0) {
            let Some(peer) = self.peers.at(slot) else { continue };
            let Some(exchange) = &peer.exchange else { continue };
            if exchange.id == 0 || now < exchange.tell_at || exchange.told == Some(end) {
                continue;
            }
            let (conn, id) = (peer.conn, exchange.id);
            let (message, told) = match exchange.told {
                None => (self.everybody_but(peer), end),
                Some(told) => {
                    let (added, dropped, told) = self.timeline.news(told, MAX_NEWS);
                    (self.message_to(peer, added, dropped), told)
                }
            };
            let first = exchange.told.is_none();
            let Some(peer) = self.peers.get_mut(conn) else { continue };
            let Some(exchange) = &mut peer.exchange else { continue };
            if !message.is_empty() {
                exchange.tell_at = now + TELL_EVERY;
                peer.sent_at = now;
                out.send(conn, Message::Extended { id, payload: message.encode() });
            } else if first {
                // "A client may wait until it has established enough connections to make sending pex messages
                // worthwhile."
                continue;
            }
            exchange.told = Some(told);
        }
        let exchanges = self.peers.iter().filter_map(|peer| peer.exchange.as_ref());
        let told = exchanges.filter(|exchange| exchange.id != 0).filter_map(|exchange| exchange.told);
        self.timeline.forget_before(told.min().unwrap_or(end));
    }

    /// The first message to `peer`.
    fn everybody_but(&self, peer: &Peer) -> PeerExchange {
        // Where there are too many, each peer hears of others.
        let others =
            self.peers.slots_from(peer.conn.slot() + 1).filter_map(|slot| self.peers.at(slot)?.contact());
        let mut seen = BTreeSet::new();
        let added = others.filter(|addr| seen.insert(*addr)).take(MAX_FIRST).collect();
        self.message_to(peer, added, Vec::new())
    }

    /// A message to `peer`, which need not hear of itself, nor of whom only we can reach.
    fn message_to(
        &self,
        peer: &Peer,
        mut added: Vec<SocketAddr>,
        mut dropped: Vec<SocketAddr>,
    ) -> PeerExchange {
        let (own, abroad) = (peer.contact(), !is_local(peer.addr.ip()));
        let concerns = |addr: &SocketAddr| Some(*addr) != own && !(abroad && is_local(addr.ip()));
        added.retain(concerns);
        dropped.retain(concerns);
        let contact = |addr| {
            let known = self.peers.iter().find(|other| other.contact() == Some(addr));
            let flags = known.map(|known| ContactFlags::new(known.is_seed(), known.outgoing));
            Contact { addr, flags: flags.unwrap_or_default() }
        };
        PeerExchange { added: added.into_iter().map(contact).collect(), dropped }
    }

    /// A peer tells of others. "Data exchanged via PEX messages should be considered untrusted and potentially
    /// malicious": what it says is bounded here and by the address book, and nothing that is known already changes.
    pub(super) fn on_peer_exchange(
        &mut self,
        conn: ConnId,
        payload: &[u8],
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), Disconnect> {
        let Some(exchange) = self.exchange_with(conn) else { return Ok(()) };
        if now < exchange.heed_at {
            return Ok(());
        }
        exchange.heed_at = now + HEED_EVERY;
        let teller = exchange.teller;
        let mut added = PeerExchange::decode(payload)
            .map_err(|_| Disconnect::Misbehaved("a message of peer exchange that is not one"))?
            .added;
        let abroad = self.peers.get(conn).is_some_and(|peer| !is_local(peer.addr.ip()));
        let seeding = self.is_complete();
        added.retain(|contact| {
            let elsewhere = abroad && is_local(contact.addr.ip());
            let useless = seeding && contact.flags.seed();
            !(elsewhere || useless || self.own.is(contact.addr))
        });
        // Whom the teller has dialled itself can be dialled.
        added.sort_by_key(|contact| !contact.flags.reachable());
        let news = added.iter().take(MAX_FIRST);
        let peers = news.filter(|contact| self.book.add_hearsay(contact.addr, teller, now)).count();
        if peers > 0 {
            self.timers.set_earlier(Timer::Dial, now);
            out.event(Event::PeersHeardOf { conn, peers });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timeline such as `+a -a +b`.
    fn timeline(changes: &str) -> Timeline {
        let mut timeline = Timeline::default();
        for change in changes.split_whitespace() {
            timeline.push(addr(change.as_bytes()[1]), change.starts_with('+'));
        }
        timeline
    }

    fn addr(name: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, name], 6881))
    }

    /// What somebody is told who was told of the first `told` changes, and what it was told of then.
    fn news(timeline: &Timeline, told: u64, most: usize) -> (String, u64) {
        let (added, dropped, told) = timeline.news(told, most);
        let show = |sign: char, addrs: Vec<SocketAddr>| {
            let mut names: Vec<String> = addrs
                .iter()
                .map(|addr| match addr.ip() {
                    std::net::IpAddr::V4(ip) => format!("{sign}{}", char::from(ip.octets()[3])),
                    std::net::IpAddr::V6(_) => unreachable!(),
                })
                .collect();
            names.sort_unstable();
            names
        };
        ([show('+', added), show('-', dropped)].concat().join(" "), told)
    }

    #[test]
    fn what_came_and_went_in_between_is_not_told() {
        for (changes, told, wanted) in [
            ("+a +b", 0, "+a +b"),
            ("+a +b", 1, "+b"),
            ("+a +b", 2, ""),
            ("+a +b -a", 2, "-a"),
            ("+a -a", 0, ""),
            ("+a -a +a", 0, "+a"),
            ("+a -a +a", 1, ""),
            ("+a -a +a -a", 1, "-a"),
            ("+a -a +b -b +c", 1, "+c -a"),
        ] {
            let timeline = timeline(changes);
            assert_eq!(
                news(&timeline, told, 50),
                (wanted.to_owned(), timeline.end()),
                "{changes} from {told}"
            );
        }
    }

    #[test]
    fn more_than_one_message_takes_is_told_later() {
        let timeline = timeline("+a +b +c -a -b +d");
        assert_eq!(news(&timeline, 0, 2), ("+a +b".to_owned(), 2));
        assert_eq!(news(&timeline, 2, 2), ("+c +d -a -b".to_owned(), 6));
        assert_eq!(news(&timeline, 2, 1), ("+c -a".to_owned(), 4));
        assert_eq!(news(&timeline, 4, 1), ("+d -b".to_owned(), 6));
    }

    #[test]
    fn what_everybody_knows_is_forgotten_and_the_rest_is_bounded() {
        let mut timeline = timeline("+a +b +c");
        timeline.forget_before(2);
        assert_eq!((timeline.changes.len(), timeline.end()), (1, 3));
        assert_eq!(news(&timeline, 2, 50), ("+c".to_owned(), 3));
        timeline.forget_before(1);
        assert_eq!(timeline.changes.len(), 1, "that was long ago");
        timeline.forget_before(9);
        assert_eq!((timeline.changes.len(), timeline.end()), (0, 3));
        (0..5 * MAX_CHANGES).for_each(|n| timeline.push(addr(n as u8), n.is_multiple_of(2)));
        assert_eq!((timeline.changes.len(), timeline.end()), (MAX_CHANGES, 3 + 5 * MAX_CHANGES as u64));
        let (_, _, told) = timeline.news(0, usize::MAX);
        assert_eq!(told, timeline.end());
    }
}
