//! The least time in which any protocol could have served everybody.

use thiserror::Error;

use crate::record::{ContentInfo, PeerRow, Role, RunInfo};

/// Joins may spread over this share of the bound before it stops meaning anything for one host's download time.
const MAX_JOIN_SPREAD: f64 = 0.05;

/// Why the bound does not apply to a run.
#[derive(Clone, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum NoBound {
    /// Nobody came for the content.
    #[error("no host came for the content")]
    NobodyEligible,
    /// There is no host that holds everything from the start.
    #[error("no seed: the bound is about one that serves the whole content")]
    NoSeed,
    /// More than one host holds everything from the start.
    #[error("{0} seeds: the bound is about one server")]
    Seeds(usize),
    /// Hosts brought pieces of their own.
    #[error("{0} hosts joined with pieces of their own")]
    InitialPieces(usize),
    /// Hosts went before they had finished.
    #[error("{0} hosts left before they had finished")]
    LeftUnfinished(usize),
    /// No link limits anything.
    #[error("unlimited links: no time is too short")]
    Unlimited,
    /// A link that the content must cross carries nothing.
    #[error("a link of rate 0: nobody could finish")]
    NoRate,
    /// The bound is of a flash crowd.
    #[error("arrivals staggered over {spread_s:.0} s, more than {}% of {bound_s:.0} s", MAX_JOIN_SPREAD * 100.0)]
    Staggered {
        /// From the first join to the last.
        spread_s: f64,
        /// The bound as if all had come at once.
        bound_s: f64,
    },
}

/// Kumar and Ross, as [`Bound::by`] has them.
pub const KUMAR_ROSS: &str = "Kumar and Ross";
/// Mundinger, Weber and Weiss, likewise.
pub const MUNDINGER_WEBER_WEISS: &str = "Mundinger, Weber and Weiss";

/// The least time, and whose theorem says so.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bound {
    /// In seconds from the first join.
    pub time_s: f64,
    /// [`KUMAR_ROSS`] or [`MUNDINGER_WEBER_WEISS`].
    pub by: &'static str,
}

/// The bound of what ran: in slots that of Mundinger, Weber and Weiss, else that of Kumar and Ross.
///
/// # Errors
/// Where its premises fail.
pub fn bound(info: &RunInfo, peers: &[PeerRow]) -> Result<Bound, NoBound> {
    match info.slot_s {
        Some(slot_s) => {
            let time_s = mundinger_weber_weiss(info.content.pieces, slot_s, peers)?;
            Ok(Bound { time_s, by: MUNDINGER_WEBER_WEISS })
        }
        None => kumar_ross(&info.content, peers).map(|time_s| Bound { time_s, by: KUMAR_ROSS }),
    }
}

/// M + floor(log2 N) slots for M pieces, one server and N hosts, each of which sends one piece a slot and receives any
/// number: 1 + floor(log2 N)/M times what the content takes on one uplink (Mundinger, Weber and Weiss, 2008, for equal
/// capacities). Hosts that leave, or that send nothing, only make the time longer.
///
/// # Errors
/// Where the premises fail.
pub fn mundinger_weber_weiss(pieces: u32, slot_s: f64, peers: &[PeerRow]) -> Result<f64, NoBound> {
    check_premises(peers)?;
    match peers.iter().filter(|peer| peer.role == Role::Seed).count() {
        1 => {}
        seeds => return Err(NoBound::Seeds(seeds)),
    }
    let hosts = peers.iter().filter(|peer| peer.is_eligible()).count();
    let slots = pieces + hosts.ilog2();
    let bound_s = f64::from(slots) * slot_s;
    check_joins(peers, bound_s)?;
    Ok(bound_s)
}

/// T_min = max{F/u_s, F/d_min, N F/(u_s + sum u_i)} (Kumar and Ross, 2006), in seconds from the first join; u_s is
/// the uplink of all seeds together, F the content, d_min the slowest downlink, u_i a leecher's uplink and 0 for a
/// free rider. An unlimited link takes its term out of the maximum. Hosts that leave when they have finished only
/// make the time longer, so it stays a bound.
///
/// # Errors
/// Where the premises fail.
pub fn kumar_ross(content: &ContentInfo, peers: &[PeerRow]) -> Result<f64, NoBound> {
    check_premises(peers)?;
    let bound_s = longest_term_s(content.total_bytes as f64, peers).ok_or(NoBound::Unlimited)?;
    if bound_s.is_infinite() {
        return Err(NoBound::NoRate);
    }
    check_joins(peers, bound_s)?;
    Ok(bound_s)
}

/// What both bounds take for granted.
fn check_premises(peers: &[PeerRow]) -> Result<(), NoBound> {
    let eligible = || peers.iter().filter(|peer| peer.is_eligible());
    let count = |failing: fn(&PeerRow) -> bool| eligible().filter(|peer| failing(peer)).count();
    if eligible().next().is_none() {
        return Err(NoBound::NobodyEligible);
    }
    if !peers.iter().any(|peer| peer.role == Role::Seed) {
        return Err(NoBound::NoSeed);
    }
    match count(|peer| peer.initial_pieces > 0) {
        0 => {}
        hosts => return Err(NoBound::InitialPieces(hosts)),
    }
    match count(|peer| peer.left_s.is_some() && peer.completed_s.is_none()) {
        0 => Ok(()),
        hosts => Err(NoBound::LeftUnfinished(hosts)),
    }
}

/// They are about hosts that come at about the same time.
fn check_joins(peers: &[PeerRow], bound_s: f64) -> Result<(), NoBound> {
    let joins = || peers.iter().filter(|peer| peer.is_eligible()).map(|peer| peer.joined_s);
    let spread_s = joins().fold(f64::MIN, f64::max) - joins().fold(f64::MAX, f64::min);
    if spread_s > MAX_JOIN_SPREAD * bound_s {
        return Err(NoBound::Staggered { spread_s, bound_s });
    }
    Ok(())
}

fn longest_term_s(content_bytes: f64, peers: &[PeerRow]) -> Option<f64> {
    let eligible = || peers.iter().filter(|peer| peer.is_eligible());
    let seeds_up = total_up(peers.iter().filter(|peer| peer.role == Role::Seed));
    let all_up = total_up(peers.iter().filter(|peer| peer.role != Role::FreeRider));
    let slowest_down = eligible().filter_map(|peer| peer.down_bytes_per_s).min();
    let term = |bytes: f64, rate: Option<u64>| rate.map(|rate| bytes / rate as f64);
    let terms = [
        term(content_bytes, seeds_up),
        term(content_bytes, slowest_down),
        term(content_bytes * eligible().count() as f64, all_up),
    ];
    terms.into_iter().flatten().reduce(f64::max)
}

/// The uplinks together; `None` if one is unlimited.
fn total_up<'a>(peers: impl Iterator<Item = &'a PeerRow>) -> Option<u64> {
    peers.map(|peer| peer.up_bytes_per_s).try_fold(0_u64, |sum, up| Some(sum.saturating_add(up?)))
}

/// When each of the eligible would have finished, ascending, in seconds from the first join, had the seeds alone
/// served all of them at once: each gets an equal share of the seeds' uplink, up to its own downlink, and what
/// it cannot take is shared by the rest. `None` without a seed or where a seed's uplink is unlimited.
pub fn client_server(content: &ContentInfo, peers: &[PeerRow]) -> Option<Vec<f64>> {
    let mut seeds = peers.iter().filter(|peer| peer.role == Role::Seed).peekable();
    seeds.peek()?;
    let seeds_up = total_up(seeds)? as f64;
    let mut downs: Vec<f64> = peers
        .iter()
        .filter(|peer| peer.is_eligible())
        .map(|peer| peer.down_bytes_per_s.map_or(f64::INFINITY, |down| down as f64))
        .collect();
    downs.sort_by(|a, b| b.total_cmp(a));
    let usable = seeds_up > 0.0 && downs.last().is_none_or(|&down| down > 0.0);
    usable.then(|| fluid_finishes(content.total_bytes as f64, seeds_up, &downs))
}

/// Serves equal demands of `content_bytes` from one uplink by max-min fair shares. `downs` descends, and so the
/// hosts finish in its order; the fair share is worked out anew at each finish.
fn fluid_finishes(content_bytes: f64, up: f64, downs: &[f64]) -> Vec<f64> {
    let mut left = vec![content_bytes; downs.len()];
    let (mut now_s, mut finishes) = (0.0, Vec::with_capacity(downs.len()));
    let mut first = 0;
    while first < downs.len() {
        let level = fair_level(up, &downs[first..]);
        let span_s = left[first] / downs[first].min(level);
        now_s += span_s;
        for (rest, down) in left[first..].iter_mut().zip(&downs[first..]) {
            *rest -= down.min(level) * span_s;
        }
        while first < downs.len() && left[first] <= content_bytes * 1e-9 {
            finishes.push(now_s);
            first += 1;
        }
    }
    finishes
}

/// The share that nobody exceeds when `up` is dealt out to hosts that take at most `downs`, which descends.
fn fair_level(up: f64, downs: &[f64]) -> f64 {
    let mut left = up;
    for (others, &down) in downs.iter().rev().enumerate() {
        let share = left / (downs.len() - others) as f64;
        if down >= share {
            return share;
        }
        left -= down;
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentInfo = ContentInfo { total_bytes: 1000, piece_bytes: 100, pieces: 10 };

    fn peer(role: Role, up: Option<u64>, down: Option<u64>) -> PeerRow {
        PeerRow { role, up_bytes_per_s: up, down_bytes_per_s: down, ..PeerRow::default() }
    }

    #[test]
    fn the_longest_term_rules() {
        let leecher = |up, down| peer(Role::Leecher, up, down);
        let cases = [
            ("the seed's uplink", Some(10), vec![leecher(Some(90), None)], 100.0),
            (
                "the slowest downlink",
                Some(100),
                vec![leecher(Some(900), Some(5)), leecher(None, Some(9))],
                200.0,
            ),
            ("all uplinks", Some(100), vec![leecher(Some(50), Some(900)); 4], 4000.0 / 300.0),
            ("an unlimited seed", None, vec![leecher(Some(50), Some(100)); 4], 10.0),
            ("free riders", Some(100), vec![peer(Role::FreeRider, Some(999), None); 4], 40.0),
        ];
        for (rules, seed_up, mut peers, expected) in cases {
            peers.push(peer(Role::Seed, seed_up, None));
            let bound_s = kumar_ross(&CONTENT, &peers).expect(rules);
            assert!((bound_s - expected).abs() < 1e-9, "{rules}: {bound_s}");
        }
    }

    #[test]
    fn the_paper_of_bharambe_has_2017_7_seconds() {
        let content = ContentInfo { total_bytes: 102_400_000, piece_bytes: 256_000, pieces: 400 };
        let mut peers = vec![peer(Role::Seed, Some(750_000), None)];
        for index in 0..1000 {
            let joined_s = f64::from(index) / 100.0;
            peers.push(PeerRow { joined_s, ..peer(Role::Leecher, Some(50_000), Some(187_500)) });
        }
        let bound_s = kumar_ross(&content, &peers).expect("ten seconds of arrivals are a flash crowd here");
        assert!((bound_s - 2017.7).abs() < 0.05, "{bound_s}");
    }

    #[test]
    fn where_the_premises_fail_the_reason_is_given() {
        let seed = peer(Role::Seed, Some(10), Some(10));
        let leecher = peer(Role::Leecher, Some(10), Some(10));
        let unlimited = peer(Role::Leecher, None, None);
        let cases = [
            (vec![seed.clone()], NoBound::NobodyEligible),
            (vec![leecher.clone()], NoBound::NoSeed),
            (vec![seed.clone(), PeerRow { initial_pieces: 1, ..leecher.clone() }], NoBound::InitialPieces(1)),
            (
                vec![seed.clone(), PeerRow { left_s: Some(1.0), ..leecher.clone() }],
                NoBound::LeftUnfinished(1),
            ),
            (vec![peer(Role::Seed, None, None), unlimited], NoBound::Unlimited),
            (vec![peer(Role::Seed, Some(0), None), leecher.clone()], NoBound::NoRate),
            (
                vec![seed, PeerRow { joined_s: 50.0, ..leecher.clone() }, leecher],
                NoBound::Staggered { spread_s: 50.0, bound_s: 100.0 },
            ),
        ];
        for (peers, reason) in cases {
            assert_eq!(kumar_ross(&CONTENT, &peers), Err(reason));
        }
    }

    #[test]
    fn in_slots_a_piece_doubles_its_copies_and_each_other_piece_takes_a_slot() {
        for (hosts, pieces, slots) in
            [(1, 1, 1.0), (15, 32, 35.0), (100, 50, 56.0), (255, 100, 107.0), (256, 1, 9.0)]
        {
            let mut peers = vec![peer(Role::Leecher, Some(50), None); hosts];
            peers.push(peer(Role::Seed, Some(50), None));
            let bound_s = mundinger_weber_weiss(pieces, 2.0, &peers);
            assert_eq!(bound_s, Ok(2.0 * slots), "{hosts} hosts, {pieces} pieces");
            let content = ContentInfo { total_bytes: 100 * u64::from(pieces), piece_bytes: 100, pieces };
            let slotted = RunInfo { content, slot_s: Some(2.0), ..RunInfo::default() };
            assert_eq!(bound(&slotted, &peers).map(|bound| bound.by), Ok(MUNDINGER_WEBER_WEISS));
            let on_links = RunInfo { slot_s: None, ..slotted };
            let kumar_ross = bound(&on_links, &peers).expect("a bound");
            assert_eq!(kumar_ross.by, KUMAR_ROSS);
            assert!(kumar_ross.time_s <= 2.0 * slots, "slots make nothing quicker");
            peers.push(peer(Role::Seed, Some(50), None));
            assert_eq!(mundinger_weber_weiss(pieces, 2.0, &peers), Err(NoBound::Seeds(2)));
        }
    }

    #[test]
    fn one_server_shares_its_uplink_evenly_up_to_each_downlink() {
        let leecher = |down| peer(Role::Leecher, Some(1), Some(down));
        let seed = peer(Role::Seed, Some(100), None);
        let even = [seed.clone(), leecher(900), leecher(900), leecher(900), leecher(900)];
        assert_eq!(client_server(&CONTENT, &even), Some(vec![40.0; 4]));
        // The slow host takes 10 B/s and leaves 90 to the other, which is done at 1000/90 s.
        let uneven = client_server(&CONTENT, &[seed.clone(), leecher(10), leecher(900)]).expect("a seed");
        assert!((uneven[0] - 1000.0 / 90.0).abs() < 1e-9 && (uneven[1] - 100.0).abs() < 1e-9, "{uneven:?}");
        assert_eq!(client_server(&CONTENT, &[leecher(10)]), None);
        assert_eq!(client_server(&CONTENT, &[seed]), Some(vec![]));
    }
}
