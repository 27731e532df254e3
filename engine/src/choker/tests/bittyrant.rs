use super::*;

/// A peer that unchokes us for `price` bytes a second and then gives `gives`.
struct Offer {
    price: u64,
    gives: u64,
}

/// Rounds of a BitTyrant of this capacity among peers with these offers.
struct Market {
    swarm: Swarm,
    offers: Vec<Offer>,
}

impl Market {
    fn new(capacity: u64, offers: &[(u64, u64)]) -> Self {
        let swarm = Swarm::with(false, &vec![0; offers.len()], |rounds, now, dice| {
            let capacity = Some(capacity);
            BitTyrant::new(BitTyrantConfig { rounds, capacity, offer: 10_000, expect: 10_000 }, now, dice)
        });
        let offers = offers.iter().map(|&(price, gives)| Offer { price, gives }).collect();
        let mut market = Self { swarm, offers };
        market.swarm.peers.iter_mut().for_each(|peer| peer.choking = true);
        market
    }

    fn rounds(&mut self, rounds: u32) {
        for _ in 0..rounds {
            self.swarm.rechoke();
            let Swarm { peers, caps, .. } = &mut self.swarm;
            for ((peer, cap), offer) in peers.iter_mut().zip(caps).zip(&self.offers) {
                peer.choking = !peer.unchoked || cap.unwrap_or(0) < offer.price;
                peer.rate_down = if peer.choking { 0 } else { offer.gives };
            }
        }
    }

    fn spent(&self) -> u64 {
        self.swarm.caps.iter().flatten().sum()
    }
}

#[test]
fn each_is_paid_no_more_than_it_takes() {
    let mut market = Market::new(1_000_000, &[(5_000, 20_000), (20_000, 20_000)]);
    market.rounds(40);
    let [Some(cheap), Some(dear)] = market.swarm.caps[..] else { panic!("both are unchoked") };
    // Around the price, between one fall of 10% below it and one rise of 20% above.
    assert!((4_500..=6_600).contains(&cheap), "{cheap}");
    assert!((18_000..=26_400).contains(&dear), "{dear}");
}

#[test]
fn who_gives_most_for_its_price_is_served_first() {
    //                                  gives / price: 1/2       4            1            2
    let mut market =
        Market::new(30_000, &[(10_000, 5_000), (10_000, 40_000), (10_000, 10_000), (10_000, 20_000)]);
    market.rounds(30);
    let before = market.swarm.seconds.clone();
    market.rounds(60);
    let times: Vec<_> =
        market.swarm.seconds.iter().zip(before).map(|(after, before)| after - before).collect();
    assert!(times[1] > 500 && times[3] > 500 && times[0] + times[2] < 100, "{times:?}");
}

#[test]
fn no_more_is_promised_than_there_is() {
    for capacity in [5_000, 25_000, 45_000, 99_000] {
        let mut market = Market::new(capacity, &[(10_000, 10_000); 12]);
        for _ in 0..40 {
            market.rounds(1);
            assert!(market.spent() <= capacity, "{} of {capacity}", market.spent());
            assert!(!market.swarm.unchoked().is_empty());
        }
    }
}

#[test]
fn slots_follow_from_the_capacity_not_from_their_limit() {
    let mut market = Market::new(1_000_000, &[(10_000, 10_000); 12]);
    market.rounds(1);
    assert_eq!(market.swarm.served(), 12);
}

/// With as many slots as mainline has, the rest of the capacity would serve nobody new.
#[test]
fn mainline_keeps_to_its_slots_negative() {
    let mut swarm = Swarm::with_rates(4, false, &[10_000; 12]);
    swarm.rechoke();
    assert_eq!(swarm.served(), 4);
}

#[test]
fn who_never_reciprocates_gets_dearer_and_loses_its_slot() {
    let mut market = Market::new(26_000, &[(u64::MAX, 0), (10_000, 10_000), (10_000, 10_000)]);
    market.rounds(20);
    let before = market.swarm.seconds[0];
    market.rounds(20);
    assert_eq!(market.swarm.seconds[0], before);
    assert_eq!(market.swarm.unchoked(), [1, 2]);
}

#[test]
fn a_peer_that_announces_pieces_fast_is_tried_first() {
    let mut market = Market::new(10_000, &[(10_000, 1), (10_000, 1), (10_000, 1)]);
    for secs in 0..40 {
        // 256 KiB a second, of which a quarter is expected.
        market.swarm.peers[2].pieces = secs;
        market.swarm.run(1);
    }
    market.rounds(1);
    assert_eq!(market.swarm.unchoked(), [2]);
}
