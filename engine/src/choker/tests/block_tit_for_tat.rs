use super::*;
use crate::units::BLOCK_LEN;

impl Swarm {
    /// A swarm whose choker lets peers owe two blocks.
    fn two_blocks(peers: usize) -> Self {
        let make =
            |config, now, dice: &mut _| BlockTitForTat::new(config, 2 * u64::from(BLOCK_LEN), now, dice);
        let mut swarm = Self::with(false, &vec![0; peers], make);
        swarm.rechoke();
        swarm
    }

    /// A peer is sent (`>`) or sends (`<`) blocks; whether it has a slot after each, as `+` or `-`.
    fn trade(&mut self, peer: usize, blocks: &str) -> String {
        let ChokePeer { conn, .. } = self.peers[peer];
        let step = |block| {
            if block == '>' {
                self.peers[peer].sent += u64::from(BLOCK_LEN);
                self.tell(ChokeEvent::BlockSent(conn));
            } else {
                self.peers[peer].received += u64::from(BLOCK_LEN);
                self.tell(ChokeEvent::BlockReceived(conn));
            }
            if self.peers[peer].unchoked { '+' } else { '-' }
        };
        blocks.chars().map(step).collect()
    }
}

#[test]
fn a_peer_is_served_as_long_as_it_owes_no_more_than_two_blocks() {
    let check = |blocks: &str, slots: &str| assert_eq!(Swarm::two_blocks(1).trade(0, blocks), slots);
    check(">>>", "++-");
    check(">>><", "++-+");
    check(">>><><<>>>", "++-+-+++--");
    check("<<>>>>>", "++++++-");
    check("><><><><><", "++++++++++");
}

/// Mainline's choker asks nobody what it owes.
#[test]
fn without_the_threshold_a_peer_is_served_whatever_it_owes_negative() {
    let mut swarm = Swarm::with_rates(4, false, &[0]);
    assert_eq!(swarm.trade(0, ">>>>>>>>>>>>"), "++++++++++++");
}

#[test]
fn a_free_rider_gets_the_threshold_once() {
    let mut swarm = Swarm::two_blocks(4);
    for _ in 0..100 {
        swarm.rechoke();
        if swarm.peers[0].unchoked {
            swarm.trade(0, ">");
        }
    }
    assert_eq!(swarm.peers[0].sent, 3 * u64::from(BLOCK_LEN), "two, and one that crossed the threshold");
    assert_eq!(swarm.served(), 3);
}

#[test]
fn the_slot_of_one_that_owes_too_much_goes_to_the_next_at_once() {
    let mut swarm = Swarm::two_blocks(5);
    let first = swarm.unchoked();
    swarm.trade(first[0], ">>>");
    assert_eq!(swarm.served(), 4);
    assert!(!swarm.unchoked().contains(&first[0]));
}

#[test]
fn slots_go_to_those_who_send_most_among_those_who_owe_little() {
    let mut swarm = Swarm::two_blocks(6);
    for (peer, rate) in [90, 80, 70, 60, 50, 40].into_iter().enumerate() {
        swarm.peers[peer].rate_down = rate;
    }
    swarm.rechoke();
    assert_eq!(swarm.regular(), [0, 1, 2]);
    swarm.peers[1].sent += 100 * u64::from(BLOCK_LEN);
    swarm.rechoke();
    assert_eq!(swarm.regular(), [0, 2, 3]);
}

#[test]
fn a_seed_is_owed_nothing() {
    let mut swarm = Swarm::two_blocks(1);
    swarm.seeding = true;
    swarm.rechoke();
    assert_eq!(swarm.trade(0, ">>>>>>>>"), "++++++++");
}
