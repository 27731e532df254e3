//! When hosts come and how long they stay: draws from a scenario's distributions, rounded once to nanoseconds.

use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::schema::{Arrival, Decay};

/// A time from a distribution.
pub fn draw(from: Draw, dice: &mut Dice) -> Duration {
    match from {
        Draw::Fixed(span) => Duration::from_nanos(span.as_nanos()),
        Draw::Uniform { from, to } => {
            let spread = to.as_nanos() - from.as_nanos();
            Duration::from_nanos(from.as_nanos() + dice.below(spread.saturating_add(1)))
        }
        Draw::Exponential(mean) => Duration::from_secs_f64(exponential(dice) * mean.as_secs_f64()),
        Draw::Weibull { shape, scale } => {
            Duration::from_secs_f64(libm::pow(exponential(dice), 1.0 / shape) * scale.as_secs_f64())
        }
    }
}

/// When each of the `count` hosts of a class first joins, by its index. A host more changes nothing for the others.
pub fn arrivals(arrival: &Arrival, count: u32, seed: u64, class: &str) -> Vec<Instant> {
    match arrival {
        Arrival::FlashCrowd(crowd) => {
            let first = Instant::from_nanos(crowd.at.as_nanos());
            let late = |index| {
                Dice::stream(seed, (class, index, "arrival")).below(crowd.within.as_nanos().saturating_add(1))
            };
            (0..u64::from(count)).map(|index| first + Duration::from_nanos(late(index))).collect()
        }
        Arrival::Constant(rate) => {
            let every = 1.0 / rate.per_s();
            (0..count).map(|index| at_secs(f64::from(index) * every)).collect()
        }
        Arrival::Poisson(rate) => {
            let rate = rate.per_s();
            process(count, seed, class, |after, dice| after + exponential(dice) / rate)
        }
        Arrival::Decay(decay) => process(count, seed, class, |after, dice| thinned(decay, after, dice)),
        Arrival::Trace(trace) => {
            trace.times.iter().take(count as usize).map(|at| Instant::from_nanos(at.as_nanos())).collect()
        }
    }
}

/// Arrivals each of which follows from the one before, in seconds.
fn process(count: u32, seed: u64, class: &str, next: impl Fn(f64, &mut Dice) -> f64) -> Vec<Instant> {
    let mut dice = Dice::stream(seed, (class, 0, "arrivals"));
    let mut now = 0.0;
    let step = |_| {
        now = next(now, &mut dice);
        at_secs(now)
    };
    (0..count).map(step).collect()
}

/// The next arrival of a Poisson process whose rate decays, by thinning (Lewis and Shedler, 1979): candidates come at
/// the highest rate, and each is taken with the chance that the rate has by then.
fn thinned(decay: &Decay, mut now: f64, dice: &mut Dice) -> f64 {
    let (rate, tau) = (decay.rate.per_s(), decay.tau.as_secs_f64());
    let floor = decay.floor.map_or(0.0, |floor| floor.per_s());
    let start = now;
    loop {
        // The rate only falls, so what it was at the last candidate bounds what is to come.
        let most = (rate * libm::exp(-now / tau)).max(floor);
        let gap = exponential(dice) / most;
        // Past the life of any swarm: nobody comes any more.
        if !gap.is_finite() || now - start > 1e9 {
            return f64::MAX;
        }
        now += gap;
        if dice.unit() * most < (rate * libm::exp(-now / tau)).max(floor) {
            return now;
        }
    }
}

/// Exponential with mean 1.
pub fn exponential(dice: &mut Dice) -> f64 {
    -libm::log(1.0 - dice.unit())
}

fn at_secs(secs: f64) -> Instant {
    Instant::ZERO + Duration::from_secs_f64(secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use torrentlab_scenarios::schema::{FlashCrowd, Trace};
    use torrentlab_scenarios::units::Span;

    fn mean_secs(from: Draw) -> f64 {
        let mut dice = Dice::stream(7, ("test", 0, "draw"));
        (0..20_000).map(|_| draw(from, &mut dice).as_secs_f64()).sum::<f64>() / 20_000.0
    }

    #[test]
    fn draws_have_their_means() {
        let secs = Span::from_secs;
        let table = [
            (Draw::Fixed(secs(3)), 3.0),
            (Draw::Uniform { from: secs(2), to: secs(6) }, 4.0),
            (Draw::Exponential(secs(200)), 200.0),
            (Draw::Weibull { shape: 1.0, scale: secs(5) }, 5.0),
            (Draw::Weibull { shape: 0.5, scale: secs(5) }, 10.0), // scale times Gamma(3)
        ];
        for (from, mean) in table {
            assert!((mean_secs(from) / mean - 1.0).abs() < 0.04, "{from:?}: {}", mean_secs(from));
        }
    }

    #[test]
    fn everyone_comes_when_the_class_says() {
        let at = |arrival: &Arrival, count| -> Vec<f64> {
            arrivals(arrival, count, 3, "leecher").iter().map(|at| at.as_secs_f64()).collect()
        };
        let crowd = FlashCrowd { at: Span::from_secs(10), within: Span::from_secs(5) };
        assert!(at(&Arrival::FlashCrowd(crowd), 500).iter().all(|t| (10.0..=15.0).contains(t)));
        assert_eq!(at(&Arrival::Constant("4 /s".parse().unwrap()), 3), [0.0, 0.25, 0.5]);
        let poisson = at(&Arrival::Poisson("2 /s".parse().unwrap()), 4_000);
        assert!(poisson.is_sorted() && (poisson[3_999] / 2_000.0 - 1.0).abs() < 0.05);
        let trace = Trace { times: vec![Span::from_secs(9), Span::from_secs(4)], ..Trace::default() };
        assert_eq!(at(&Arrival::Trace(trace), 2), [9.0, 4.0]);
    }

    #[test]
    fn decay_falls_to_its_floor() {
        let decay = Decay {
            rate: "10 /s".parse().unwrap(),
            tau: Span::from_secs(100),
            floor: Some("1 /s".parse().unwrap()),
        };
        let times = arrivals(&Arrival::Decay(decay), 3_000, 1, "x");
        let within = |from: f64, to: f64| {
            times.iter().filter(|at| (from..to).contains(&at.as_secs_f64())).count() as f64
        };
        assert!((within(0.0, 100.0) / 632.0 - 1.0).abs() < 0.1, "{}", within(0.0, 100.0));
        assert!((within(1_000.0, 2_000.0) / 1_000.0 - 1.0).abs() < 0.1);
    }

    #[test]
    fn another_host_changes_nothing_for_the_others() {
        for arrival in [Arrival::default(), Arrival::Poisson("1 /s".parse().unwrap())] {
            let (few, many) = (arrivals(&arrival, 5, 1, "a"), arrivals(&arrival, 9, 1, "a"));
            assert_eq!(few, many[..5]);
        }
    }
}
