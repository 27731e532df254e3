//! How quickly hosts that have nothing can come to have a piece.

use std::collections::BTreeMap;

use crate::bound::NoBound;
use crate::record::{ContentInfo, PeerRow, Role};

/// The doubling limit: how many of the hosts that came with nothing can hold a whole piece at most, as stairs: time from
/// the first joining in seconds, ascending, and hosts from then on.
///
/// A seed has sent its k-th piece after k P/u_s at the earliest, P the shortest piece and u_s its uplink; who has a piece
/// needs P/u for one of its own to each other host, u the quickest uplink of those that share. So each host that a seed
/// serves has become 2^m hosts after m P/u: with one seed of the same uplink, 2^m - 1 in all, which is the floor(log2 N)
/// in the bound of Mundinger, Weber and Weiss (2008). It holds where each piece comes whole from one host. Where a host
/// takes the blocks of a piece from several, so many together send one in P/(n u), and 2^m becomes e^m.
///
/// # Errors
/// Where there is no such limit.
pub fn doubling_limit(content: &ContentInfo, peers: &[PeerRow]) -> Result<Vec<(f64, u64)>, NoBound> {
    let eligible = || peers.iter().filter(|peer| peer.is_eligible());
    let hosts = eligible().count() as u64;
    if hosts == 0 {
        return Err(NoBound::NobodyEligible);
    }
    match eligible().filter(|peer| peer.initial_pieces > 0).count() {
        0 => {}
        hosts => return Err(NoBound::InitialPieces(hosts)),
    }
    let piece_bytes = shortest_piece(content) as f64;
    let seeds = by_piece_time(piece_bytes, peers.iter().filter(|peer| peer.role == Role::Seed))?;
    let sharing = by_piece_time(piece_bytes, eligible().filter(|peer| peer.role == Role::Leecher))?;
    let doubling_s = sharing.first().map_or(f64::INFINITY, |(piece_s, _)| *piece_s);
    // All hosts have a piece when the first of them has been doubled often enough, or the seed has served them all.
    let end = |&(piece_s, seeds): &(f64, u64)| {
        let doublings = hosts.next_power_of_two().ilog2();
        let doubled_s = if doublings == 0 { 0.0 } else { f64::from(doublings) * doubling_s };
        (piece_s + doubled_s).min(hosts.div_ceil(seeds) as f64 * piece_s)
    };
    let end_s = seeds.iter().map(end).reduce(f64::min).ok_or(NoBound::NoSeed)?;
    let mut births = Vec::new();
    for &(piece_s, seeds) in &seeds {
        let served = (1..=hosts).map(|nth| nth as f64 * piece_s).take_while(|at_s| *at_s <= end_s);
        for at_s in served {
            births.push((at_s, seeds));
            let doubled = (1..u64::BITS).map(|nth| (at_s + f64::from(nth) * doubling_s, nth));
            let doubled = doubled.take_while(|(at_s, _)| *at_s <= end_s);
            births.extend(doubled.map(|(at_s, nth)| (at_s, seeds.saturating_mul(1 << (nth - 1)))));
        }
    }
    births.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut stairs: Vec<(f64, u64)> = Vec::new();
    let mut holding = 0_u64;
    for (at_s, born) in births {
        holding = holding.saturating_add(born).min(hosts);
        match stairs.last_mut() {
            Some((last_s, step)) if *last_s == at_s => *step = holding,
            _ => stairs.push((at_s, holding)),
        }
        if holding == hosts {
            break;
        }
    }
    Ok(stairs)
}

/// The last piece may be shorter than the others.
fn shortest_piece(content: &ContentInfo) -> u64 {
    let before = content.piece_bytes.saturating_mul(u64::from(content.pieces.saturating_sub(1)));
    content.piece_bytes.min(content.total_bytes.saturating_sub(before)).max(1)
}

/// What a piece takes on the uplinks of `peers`, quickest first, and how many there are of each; those that carry nothing
/// are left out.
fn by_piece_time<'a>(
    piece_bytes: f64,
    peers: impl Iterator<Item = &'a PeerRow>,
) -> Result<Vec<(f64, u64)>, NoBound> {
    let mut uplinks: BTreeMap<u64, u64> = BTreeMap::new();
    for peer in peers {
        *uplinks.entry(peer.up_bytes_per_s.ok_or(NoBound::Unlimited)?).or_default() += 1;
    }
    let used = uplinks.into_iter().rev().filter(|(up, _)| *up > 0);
    Ok(used.map(|(up, count)| (piece_bytes / up as f64, count)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentInfo = ContentInfo { total_bytes: 1000, piece_bytes: 100, pieces: 10 };

    fn swarm(seeds: &[u64], leechers: usize, up: u64) -> Vec<PeerRow> {
        let peer = |role, up| PeerRow { role, up_bytes_per_s: Some(up), ..PeerRow::default() };
        let mut peers: Vec<PeerRow> = seeds.iter().map(|&up| peer(Role::Seed, up)).collect();
        peers.extend(vec![peer(Role::Leecher, up); leechers]);
        peers
    }

    #[test]
    fn a_seed_of_the_same_uplink_doubles_with_the_others() {
        // A piece takes 2 s: 1, 3, 7, 15 hosts after 2, 4, 6 and 8 s, and of 20 the last after 10 s.
        let limit = doubling_limit(&CONTENT, &swarm(&[50], 20, 50));
        assert_eq!(limit, Ok(vec![(2.0, 1), (4.0, 3), (6.0, 7), (8.0, 15), (10.0, 20)]));
    }

    #[test]
    fn seeds_of_other_uplinks_serve_at_their_own_pace() {
        // The seed needs 1 s and the others 2 s: served after 1, 2, 3, 4... and each of these doubled 2 s later.
        let limit = doubling_limit(&CONTENT, &swarm(&[100], 9, 50));
        assert_eq!(limit, Ok(vec![(1.0, 1), (2.0, 2), (3.0, 4), (4.0, 6), (5.0, 9)]));
        // Two slow seeds: the first pieces after 4 s, doubled every second from then on.
        let limit = doubling_limit(&CONTENT, &swarm(&[25, 25], 14, 100));
        assert_eq!(limit, Ok(vec![(4.0, 2), (5.0, 4), (6.0, 8), (7.0, 14)]));
        // Nobody shares: the seed serves all.
        let limit = doubling_limit(&CONTENT, &swarm(&[50], 3, 0));
        assert_eq!(limit, Ok(vec![(2.0, 1), (4.0, 2), (6.0, 3)]));
    }

    #[test]
    fn the_shortest_piece_counts() {
        let content = ContentInfo { total_bytes: 950, ..CONTENT };
        assert_eq!(doubling_limit(&content, &swarm(&[50], 1, 50)), Ok(vec![(1.0, 1)]));
    }

    #[test]
    fn where_there_is_no_limit_the_reason_is_given() {
        let (mut unlimited, mut laden) = (swarm(&[50], 2, 50), swarm(&[50], 2, 50));
        unlimited[1].up_bytes_per_s = None;
        laden[1].initial_pieces = 1;
        let cases = [
            (swarm(&[50], 0, 50), NoBound::NobodyEligible),
            (swarm(&[], 2, 50), NoBound::NoSeed),
            (swarm(&[0], 2, 50), NoBound::NoSeed),
            (unlimited, NoBound::Unlimited),
            (laden, NoBound::InitialPieces(1)),
        ];
        for (peers, reason) in cases {
            assert_eq!(doubling_limit(&CONTENT, &peers), Err(reason));
        }
    }

    #[test]
    fn a_great_crowd_is_counted_too() {
        let limit = doubling_limit(&CONTENT, &swarm(&[1_000_000_000], 100_000, 1)).expect("a limit");
        assert_eq!(limit.last().map(|step| step.1), Some(100_000));
    }
}
