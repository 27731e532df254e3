//! From what is known of a swarm to the rows of a record.

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_reports::playback::play;
use torrentlab_reports::record::{
    AvailabilitySampler, Departure, FaultRow, PeerRow, PieceRow, Role, TimelineRow,
};
use torrentlab_reports::stats::{Health, effective_sources, quantile};
use torrentlab_scenarios::Scenario;
use torrentlab_scenarios::schema::{self, Behaviour, HostClass};

use crate::fault::{FaultPlan, Hits, PlannedFault, Side};
use crate::ledger::{Account, Ledger, Spell, Tie};
use crate::player::Player;
use crate::simulation::Simulation;

/// Who was in the peer set for less says nothing of how pieces are spread: clients that come, look and go are left out
/// by Legout, Urvoy-Keller and Michiardi too (IMC 2006, 4.1.1).
const SHORTEST_TIE: Duration = Duration::from_secs(10);

/// Takes samples of a swarm at equal steps of time.
pub struct Sampler {
    rows: Vec<TimelineRow>,
    availability: AvailabilitySampler,
    /// Uplink of a host of each class, and whether it counts for utilisation.
    uplinks: Vec<(Option<u64>, bool)>,
    last: Totals,
}

/// What has been counted at a sample.
#[derive(Clone, Copy, Default)]
struct Totals {
    at: Instant,
    payload: u64,
    wire_up: u64,
    announces: u64,
}

impl Sampler {
    /// A sampler for a swarm of this scenario.
    pub fn new(scenario: &Scenario, pieces: u32) -> Self {
        let uplink = |class: &HostClass| (up(scenario, class), class.behaviour != Behaviour::FreeRider);
        Self {
            rows: Vec::new(),
            availability: AvailabilitySampler::new(pieces),
            uplinks: scenario.hosts.values().map(uplink).collect(),
            last: Totals::default(),
        }
    }

    /// Takes a sample now.
    pub fn sample(&mut self, swarm: &impl Simulation) {
        let (now, announces, recounted) = (swarm.now(), swarm.announces(), swarm.recounted_copies());
        let ledger = &*swarm.ledger();
        let wire_up = (0..ledger.hosts.len() as u32).map(|host| swarm.wire_bytes(host).0).sum();
        let new = Totals { at: now, payload: ledger.payload, wire_up, announces };
        let secs = now.since(self.last.at).as_secs_f64();
        let per_s = |new: u64, old: u64| if secs > 0.0 { (new - old) as f64 / secs } else { 0.0 };
        let payload = per_s(new.payload, self.last.payload);
        let mut row = TimelineRow {
            t_s: now.as_secs_f64(),
            leechers: ledger.leechers(),
            seeds: ledger.seeds,
            bootstrapped: ledger.bootstrapped,
            completed: ledger.completed,
            distributed_copies_recounted: recounted,
            distributed_copies_without_seeds: without_seeds(ledger),
            payload_up_bytes_per_s: payload,
            payload_down_bytes_per_s: payload,
            wire_up_bytes_per_s: per_s(new.wire_up, self.last.wire_up),
            upload_utilisation: self.offered(ledger).map(|offered| payload / offered),
            tracker_announces: new.announces - self.last.announces,
            faults: swarm.faults().count(),
            ..TimelineRow::default()
        };
        let copies = ledger.census.copies();
        row.set_health(&Health::of(&copies));
        self.rows.push(row);
        self.availability.sample(now.as_secs_f64(), &copies);
        self.last = new;
    }

    /// The rows, and the copies of each piece over time.
    pub fn finish(self) -> (Vec<TimelineRow>, torrentlab_reports::record::AvailabilityMap) {
        (self.rows, self.availability.finish())
    }

    /// Uplinks of the hosts present that share; `None` where one is unlimited or there is none.
    fn offered(&self, ledger: &Ledger) -> Option<f64> {
        let present = ledger.hosts.iter().filter(|host| host.present);
        let sharing = present.map(|host| self.uplinks[host.class as usize]).filter(|&(_, shares)| shares);
        let offered: u64 = sharing.map(|(up, _)| up).sum::<Option<u64>>()?;
        (offered > 0).then_some(offered as f64)
    }
}

/// Distributed copies without the hosts that had everything from the start.
fn without_seeds(ledger: &Ledger) -> f64 {
    let copies = ledger.census.copies().into_iter();
    let copies: Vec<u32> = copies.map(|copies| copies - ledger.seeds_from_start).collect();
    Health::of(&copies).distributed_copies
}

/// A row for each host that came (and, leechers, not before `from`), in the order of joining.
pub fn peer_rows(
    scenario: &Scenario,
    swarm: &impl Simulation,
    from: Instant,
    stall_after: Duration,
) -> Vec<PeerRow> {
    let classes: Vec<(&String, &HostClass)> = scenario.hosts.iter().collect();
    let mut rows = Vec::new();
    let mut counts = vec![0; classes.len()];
    let ledger = &*swarm.ledger();
    for (host, account) in (0u32..).zip(&ledger.hosts) {
        let (name, class) = classes[account.class as usize];
        let index = counts[account.class as usize];
        counts[account.class as usize] += 1;
        let joined = account.joined_at.filter(|&at| account.seed || at >= from);
        if let Some(joined) = joined {
            let wire = swarm.wire_bytes(host);
            let mut row = peer_row(scenario, name, class, account, joined, wire);
            row.host = format!("{name}-{index}");
            let lacks = account.present && !account.seed && account.completed_at.is_none();
            row.stalled = lacks && swarm.now().since(account.progress_at) >= stall_after;
            row.departed_share = departed_share(ledger, account);
            [row.interest, row.interest_steady] = interest(account);
            watch(scenario, class, account, swarm.now(), &mut row);
            rows.push((joined, row));
        }
    }
    rows.sort_by_key(|&(joined, _)| joined);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The share of what a host received that came from hosts that are gone for good.
fn departed_share(ledger: &Ledger, account: &Account) -> Option<f64> {
    let gone = |tie: &&Tie| ledger.hosts[tie.peer as usize].left_at.is_some();
    let departed: u64 = account.ties.iter().filter(gone).map(|tie| tie.payload).sum();
    (account.payload_down > 0).then(|| departed as f64 / account.payload_down as f64)
}

/// For how much of the time a host was interested in the leechers in its peer set, and that in the steady state: the
/// median over those that were there long enough.
fn interest(account: &Account) -> [Option<f64>; 2] {
    let median = |time: fn(&Spell) -> Duration| {
        let long = account.ties.iter().filter(|tie| time(&tie.connected) >= SHORTEST_TIE);
        let share = |tie: &Tie| time(&tie.interested).as_secs_f64() / time(&tie.connected).as_secs_f64();
        let mut shares: Vec<f64> = long.map(share).collect();
        shares.sort_by(f64::total_cmp);
        quantile(&shares, shares.len(), 0.5)
    };
    [median(|spell| spell.all), median(|spell| spell.steady)]
}

/// What somebody saw who watched, until the host left or the run ended.
fn watch(scenario: &Scenario, class: &HostClass, account: &Account, end: Instant, row: &mut PeerRow) {
    let (Some(spec), Some(watched)) = (class.playback, &account.watched) else { return };
    let mut came_s = vec![None; scenario.pieces() as usize];
    for &(piece, at) in watched {
        came_s[piece.get()].get_or_insert(at.as_secs_f64());
    }
    let end_s = account.left_at.unwrap_or(end).as_secs_f64();
    let player = Player::of(scenario, &spec);
    let piece_s = player.piece_time.as_secs_f64();
    let playback = play(&came_s, piece_s, player.buffer as usize, row.joined_s, end_s);
    row.startup_s = playback.startup_s;
    row.stalls = Some(playback.stalls);
    row.stalled_s = Some(playback.stalled_s);
    row.late_share = Some(playback.late_share);
}

fn peer_row(
    scenario: &Scenario,
    name: &str,
    class: &HostClass,
    account: &Account,
    joined: Instant,
    wire: (u64, u64),
) -> PeerRow {
    let secs = |at: Instant| at.as_secs_f64();
    let since = |at: Instant, earlier: Instant| at.since(earlier).as_secs_f64();
    let last_piece = match account.last_pieces_at {
        [Some(before), Some(last)] => account.completed_at.map(|_| since(last, before)),
        _ => None,
    };
    let mut row = PeerRow {
        class: name.to_owned(),
        role: match class.behaviour {
            _ if account.seed => Role::Seed,
            Behaviour::FreeRider => Role::FreeRider,
            Behaviour::Normal | Behaviour::UnderReporter | Behaviour::Seed => Role::Leecher,
        },
        initial_pieces: account.initial_pieces,
        up_bytes_per_s: up(scenario, class),
        down_bytes_per_s: least(class.links.down.bytes_per_s(), class.limits.down.bytes_per_s()),
        joined_s: secs(joined),
        bootstrap_s: account
            .first_piece_at
            .filter(|_| account.initial_pieces == 0)
            .map(|at| since(at, joined)),
        last_piece_s: last_piece,
        completed_s: account.completed_at.map(secs),
        left_s: account.left_at.map(secs),
        departure: account.left_at.map(|_| match account.left_how {
            schema::Departure::Stop => Departure::Stop,
            schema::Departure::Kill => Departure::Kill,
            schema::Departure::Vanish => Departure::Vanish,
        }),
        sessions: account.sessions,
        online_s: account.online.as_secs_f64(),
        pieces: account.pieces,
        payload_up_bytes: account.payload_up,
        payload_down_bytes: account.payload_down,
        wire_up_bytes: wire.0,
        wire_down_bytes: wire.1,
        requests: account.requests,
        blocks: account.blocks,
        duplicate_blocks: account.duplicates,
        wasted_bytes: account.wasted,
        hash_failures: account.hash_failures,
        unchoked_s: account.unchoked.as_secs_f64(),
        unchoking_s: account.unchoking.as_secs_f64(),
        unchoking_own_class_s: account.unchoking_own.as_secs_f64(),
        sources: effective_sources(account.ties.iter().map(|tie| tie.payload)),
        ..PeerRow::default()
    };
    row.derive();
    row
}

/// A row for each piece.
pub fn piece_rows(ledger: &Ledger) -> Vec<PieceRow> {
    let rows = (0u32..).zip(&ledger.pieces).zip(ledger.census.copies());
    let secs = |at: Option<Instant>| at.map(Instant::as_secs_f64);
    rows.map(|((piece, account), copies_at_end)| PieceRow {
        piece,
        copies_at_end,
        first_copy_s: secs(account.first_copy_at),
        last_copy_s: secs(account.last_copy_at),
        seed_payload_bytes: account.seed_payload,
        hash_failures: account.hash_failures,
    })
    .collect()
}

/// A row for each fault of `plan` that had begun at `end`.
pub fn fault_rows(scenario: &Scenario, plan: &FaultPlan, end: Instant) -> Vec<FaultRow> {
    let sizes = scenario.class_sizes();
    let of = |(class, size): (&&str, &u32)| (0..*size).map(|index| format!("{class}-{index}")).collect();
    let names: Vec<String> = sizes.iter().flat_map::<Vec<String>, _>(of).collect();
    let begun = plan.faults.iter().filter(|fault| fault.begin <= end);
    begun.map(|fault| fault_row(fault, &names, end)).collect()
}

fn fault_row(fault: &PlannedFault, names: &[String], end: Instant) -> FaultRow {
    let hosts = |hosts: &[u32]| -> Vec<&str> { hosts.iter().map(|&host| &*names[host as usize]).collect() };
    let side = |side: &Side| {
        let mut names = hosts(&side.hosts);
        names.extend(side.tracker.then_some("tracker"));
        names.join(" ")
    };
    FaultRow {
        fault: fault.origin.clone(),
        kind: fault.kind.to_string(),
        target: fault.target.clone(),
        hosts: match &fault.hits {
            Hits::Tracker => String::new(),
            Hits::Hosts(hit) => hosts(hit).join(" "),
            // The target named hosts: the other side is everybody else.
            Hits::Links { from, .. } if !fault.target.contains("->") => side(from),
            Hits::Links { from, to, .. } => format!("{} -> {}", side(from), side(to)),
        },
        begin_s: fault.begin.as_secs_f64(),
        end_s: (fault.end <= end).then(|| fault.end.as_secs_f64()),
    }
}

/// The uplink of a host of `class`: the smaller of the link and the client's own limit; one piece a slot where time goes
/// in slots.
pub fn up(scenario: &Scenario, class: &HostClass) -> Option<u64> {
    if let Some(slot) = scenario.slot() {
        let piece = u128::from(scenario.content.piece_size.bytes()) * 1_000_000_000;
        return u64::try_from(piece / u128::from(slot.as_nanos().max(1))).ok();
    }
    least(class.links.up.bytes_per_s(), class.limits.up.bytes_per_s())
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::units::PieceIndex;
    use torrentlab_reports::record::RunInfo;
    use torrentlab_reports::summarise;
    use torrentlab_scenarios::load;

    use super::*;
    use crate::build::{build, synthetic};
    use crate::census::Census;
    use crate::registry::Registry;
    use crate::swarm::Swarm;
    use crate::trace::Detail;

    /// The most by which the two counts differ, of a swarm whose copies `wrong` counts as it likes after half a minute.
    fn deviation(wrong: impl Fn(&Census)) -> f64 {
        let sets = ["hosts.leecher.count=10", "content.size=1 MiB"].map(str::to_owned);
        let scenario = load("first-swarm", &sets).expect("a scenario").scenario;
        let (content, registry) = (synthetic(&scenario).expect("content"), Registry::default());
        let plan = build(&scenario, &registry, content, 1, Detail::Hash, None).expect("a plan");
        let (pieces, census) = (plan.config.content.geometry().pieces(), plan.config.census.clone());
        let (mut swarm, mut sampler) = (Swarm::new(plan), Sampler::new(&scenario, pieces));
        for nth in 0..12 {
            while swarm.step(Instant::ZERO + Duration::from_secs(5 * nth)) {}
            if nth == 6 {
                wrong(&census);
            }
            sampler.sample(&swarm);
        }
        let (timeline, _) = sampler.finish();
        let summary = summarise(&RunInfo::default(), &[], &timeline);
        summary.health_deviation_max.expect("samples were taken")
    }

    #[test]
    fn a_wrong_count_of_copies_is_told_by_the_trace() {
        assert_eq!(deviation(|_| ()), 0.0);
        let all = || (0..4).map(PieceIndex);
        assert_eq!(deviation(|census| all().for_each(|piece| census.add(piece))), 1.0, "one who had left");
        assert_eq!(
            deviation(|census| all().for_each(|piece| census.take_away(piece))),
            1.0,
            "one who was there"
        );
        let one = deviation(|census| census.take_away(PieceIndex(2)));
        assert!((0.25..=1.0).contains(&one), "a piece that was checked, by how many others have it: {one}");
    }

    fn account(ties: Vec<Tie>, payload_down: u64) -> Account {
        let mut account = Account::default();
        account.ties.extend(ties);
        account.payload_down += payload_down;
        account
    }

    #[test]
    fn what_came_from_those_who_left() {
        let mut ledger = Ledger::default();
        ledger.hosts.resize(3, Account::default());
        ledger.hosts[1].left_at = Some(Instant::ZERO);
        let tie = |peer, payload| Tie { peer, payload, ..Tie::default() };
        let ties = vec![tie(0, 60), tie(1, 30), tie(2, 10)];
        assert_eq!(departed_share(&ledger, &account(ties, 100)), Some(0.3));
        assert_eq!(departed_share(&ledger, &account(Vec::new(), 0)), None);
    }

    #[test]
    fn interest_is_the_median_over_those_who_stayed_a_while() {
        let spell =
            |all, steady| Spell { all: Duration::from_secs(all), steady: Duration::from_secs(steady) };
        let tie = |connected, interested| Tie { connected, interested, ..Tie::default() };
        let ties = vec![
            tie(spell(100, 50), spell(40, 40)),
            tie(spell(10, 9), spell(9, 9)),
            tie(spell(9, 9), spell(0, 0)),
            tie(spell(20, 20), spell(4, 2)),
        ];
        // 0.4, 0.9 and 0.2; in the steady state 0.8 and 0.1.
        assert_eq!(interest(&account(ties, 0)), [Some(0.4), Some(0.1)]);
        assert_eq!(interest(&account(Vec::new(), 0)), [None, None]);
    }
}
