//! The fluid model of Qiu and Srikant (Modeling and performance analysis of BitTorrent-like peer-to-peer networks,
//! SIGCOMM 2004): how many leechers and seeds there are over time, on the mean, where hosts keep coming.

use thiserror::Error;

use crate::record::{ClassInfo, FaultRow, PeerRow, Role, RunInfo, Turnover};

/// Whose model it is.
pub const QIU_SRIKANT: &str = "Qiu and Srikant";

/// Why the model does not apply to a run.
#[derive(Clone, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum NoFluid {
    /// Nobody came for the content.
    #[error("no host came for the content")]
    NobodyEligible,
    /// The model is of hosts that are alike.
    #[error("{0} classes of hosts came for the content: the model is of one")]
    Classes(usize),
    /// They do not all share what they have.
    #[error("the hosts of {class} are no normal peers ({behaviour})")]
    Behaviour {
        /// Their class.
        class: String,
        /// What they do.
        behaviour: String,
    },
    /// They brought pieces of their own.
    #[error("the hosts of {0} join with pieces of their own")]
    InitialPieces(String),
    /// Arrivals or departures are not at constant rates.
    #[error(
        "the hosts of {0} do not come at a constant rate, or leave otherwise than at once, never or after \
         exponential times"
    )]
    Turnover(String),
    /// A seed was not there all the time.
    #[error("a seed came late or left: the model has no term for it")]
    Seeds,
    /// No uplink limits anything, or it carries nothing.
    #[error("an uplink that is unlimited, or of rate 0")]
    Uplink,
    /// A downlink carries nothing.
    #[error("a downlink of rate 0")]
    Downlink,
    /// The model knows of no faults.
    #[error("the run had faults")]
    Faults,
}

/// x' = lambda - theta x - min{c x, mu (eta x + y) + u_0}, y' = min{...} - gamma y: x the leechers, y the seeds that were
/// leechers before. The paper has no u_0: it stands for the seeds that are there from the start and stay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Fluid {
    /// lambda: hosts that come each second.
    pub arrivals_per_s: f64,
    /// When the last of them has come; infinite where they never end.
    pub arrivals_end_s: f64,
    /// theta: the rate at which a leecher gives up.
    pub give_up_per_s: f64,
    /// gamma: the rate at which a seed leaves; infinite where hosts leave on completion.
    pub leave_per_s: f64,
    /// mu: the copies of the content that a host's uplink carries in a second.
    pub up_per_s: f64,
    /// c: those that its downlink carries; infinite where it is unlimited.
    pub down_per_s: f64,
    /// eta: the share of its uplink that a leecher finds a use for.
    pub effectiveness: f64,
    /// u_0: the copies that the seeds from the start send in a second.
    pub origin_per_s: f64,
}

/// How many there are of either sort.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Population {
    /// x.
    pub leechers: f64,
    /// y: those that came for the content, and have it.
    pub seeds: f64,
}

/// The steps that [`Fluid::transient`] takes.
const STEPS: usize = 20_000;

/// The model of what ran: hosts of one class on links that are alike, who share all that they have (eta = 1).
///
/// # Errors
/// Where its premises fail.
pub fn fluid(info: &RunInfo, peers: &[PeerRow], faults: &[FaultRow]) -> Result<Fluid, NoFluid> {
    let downloads =
        |class: &&ClassInfo| class.hosts > 0 && class.behaviour != "seed" && class.initial_pieces != "all";
    let classes: Vec<&ClassInfo> = info.classes.iter().filter(downloads).collect();
    let class = match classes[..] {
        [] => return Err(NoFluid::NobodyEligible),
        [class] => class,
        _ => return Err(NoFluid::Classes(classes.len())),
    };
    let name = || class.name.clone();
    if class.behaviour != "normal" {
        return Err(NoFluid::Behaviour { class: name(), behaviour: class.behaviour.clone() });
    }
    if class.initial_pieces != "none" {
        return Err(NoFluid::InitialPieces(name()));
    }
    let turnover = class.turnover.filter(is_sound).ok_or_else(|| NoFluid::Turnover(name()))?;
    if !faults.is_empty() {
        return Err(NoFluid::Faults);
    }
    let seeds = || peers.iter().filter(|peer| peer.role == Role::Seed);
    if seeds().any(|seed| seed.joined_s > 0.0 || seed.left_s.is_some()) {
        return Err(NoFluid::Seeds);
    }
    let host = peers.iter().find(|peer| peer.is_eligible()).ok_or(NoFluid::NobodyEligible)?;
    let content_bytes = info.content.total_bytes as f64;
    let carries = |rate: Option<u64>| rate.filter(|&rate| rate > 0).map(|rate| rate as f64 / content_bytes);
    let up = |peer: &PeerRow| carries(peer.up_bytes_per_s).filter(|copies| copies.is_finite());
    if host.down_bytes_per_s == Some(0) {
        return Err(NoFluid::Downlink);
    }
    let rate = |mean_s: Option<f64>| mean_s.map_or(0.0, |mean_s| 1.0 / mean_s);
    let give_up_per_s = rate(turnover.patience_s);
    Ok(Fluid {
        arrivals_per_s: turnover.arrivals_per_s,
        arrivals_end_s: f64::from(class.hosts) / turnover.arrivals_per_s,
        give_up_per_s,
        // Who runs out of patience leaves as a seed, too.
        leave_per_s: rate(turnover.seeding_s) + give_up_per_s,
        up_per_s: up(host).ok_or(NoFluid::Uplink)?,
        down_per_s: carries(host.down_bytes_per_s).unwrap_or(f64::INFINITY),
        effectiveness: 1.0,
        origin_per_s: seeds().map(up).sum::<Option<f64>>().ok_or(NoFluid::Uplink)?,
    })
}

/// A record may hold any numbers.
fn is_sound(turnover: &Turnover) -> bool {
    turnover.arrivals_per_s > 0.0
        && turnover.patience_s.is_none_or(|mean_s| mean_s > 0.0)
        && turnover.seeding_s.is_none_or(|mean_s| mean_s >= 0.0)
}

impl Fluid {
    /// Where leechers and seeds come to rest while hosts keep coming; `None` where the seeds never do. Without u_0 it is the
    /// paper's: x = lambda / (theta + beta), 1/beta = max{1/c, (1/eta)(1/mu - 1/gamma)}.
    pub fn steady(&self) -> Option<Population> {
        let Self { arrivals_per_s: lambda, give_up_per_s: theta, leave_per_s: gamma, .. } = *self;
        if gamma == 0.0 {
            return None;
        }
        let by_downlinks = lambda / (theta + self.down_per_s);
        // Where each seed sends a copy before it leaves, uplinks are no limit in the long run.
        let lasting = 1.0 - self.up_per_s / gamma;
        let by_uplinks = if lasting > 0.0 {
            (lambda * lasting - self.origin_per_s) / (self.up_per_s * self.effectiveness + theta * lasting)
        } else {
            0.0
        };
        let leechers = by_downlinks.max(by_uplinks);
        Some(Population { leechers, seeds: (lambda - theta * leechers) / gamma })
    }

    /// T = 1 / (theta + beta): the mean time that a host is a leecher in the steady state, in seconds (by Little's law).
    pub fn download_s(&self) -> Option<f64> {
        Some(self.steady()?.leechers / self.arrivals_per_s)
    }

    /// The way there from an empty swarm, from 0 to `end_s`: time in seconds, and the population, at `points` + 1 moments at
    /// equal distances. By the classical Runge-Kutta method of fourth order in fixed steps, which takes no functions but
    /// the four of arithmetic: the same bytes on every machine.
    pub fn transient(&self, end_s: f64, points: usize) -> Vec<(f64, Population)> {
        self.integrated(end_s, points, STEPS.div_ceil(points.max(1)))
    }

    fn integrated(&self, end_s: f64, points: usize, steps_per_point: usize) -> Vec<(f64, Population)> {
        let step_s = end_s / (points * steps_per_point).max(1) as f64;
        let mut now = Population::default();
        let mut curve = vec![(0.0, now)];
        for point in 0..points {
            for step in 0..steps_per_point {
                let at_s = (point * steps_per_point + step) as f64 * step_s;
                now = self.step(at_s, now, step_s);
            }
            curve.push((end_s * (point + 1) as f64 / points as f64, now));
        }
        curve
    }

    fn step(&self, at_s: f64, now: Population, step_s: f64) -> Population {
        let ahead = |slope: Population, step_s: f64| Population {
            leechers: now.leechers + step_s * slope.leechers,
            seeds: now.seeds + step_s * slope.seeds,
        };
        // The arrivals end between two steps, not within one.
        let comes = at_s + step_s / 2.0 < self.arrivals_end_s;
        let slope = |now| self.slope(now, comes, step_s);
        let first = slope(now);
        let second = slope(ahead(first, step_s / 2.0));
        let third = slope(ahead(second, step_s / 2.0));
        let fourth = slope(ahead(third, step_s));
        let mean = |of: fn(&Population) -> f64| {
            (of(&first) + 2.0 * of(&second) + 2.0 * of(&third) + of(&fourth)) / 6.0
        };
        let slope = Population { leechers: mean(|slope| slope.leechers), seeds: mean(|slope| slope.seeds) };
        let Population { leechers, seeds } = ahead(slope, step_s);
        Population { leechers: leechers.max(0.0), seeds: seeds.max(0.0) }
    }

    fn slope(&self, now: Population, comes: bool, step_s: f64) -> Population {
        let Population { leechers, seeds } = now;
        // What goes on within a step, or at once, takes a step.
        let slowed = |per_s: f64| per_s.min(1.0 / step_s);
        let by_uplinks = self.up_per_s * (self.effectiveness * leechers + seeds) + self.origin_per_s;
        let finish = (slowed(self.down_per_s) * leechers).min(by_uplinks);
        let lambda = if comes { self.arrivals_per_s } else { 0.0 };
        Population {
            leechers: lambda - slowed(self.give_up_per_s) * leechers - finish,
            seeds: finish - slowed(self.leave_per_s) * seeds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ContentInfo;

    /// 25 MiB over 400/1500 kbit/s take 524.288 s up and 139.810 s down; seeds stay for 200 s.
    const PAPER: Fluid = Fluid {
        arrivals_per_s: 0.1,
        arrivals_end_s: f64::INFINITY,
        give_up_per_s: 0.0,
        leave_per_s: 1.0 / 200.0,
        up_per_s: 50_000.0 / 26_214_400.0,
        down_per_s: 187_500.0 / 26_214_400.0,
        effectiveness: 1.0,
        origin_per_s: 0.0,
    };

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found} is not {expected}");
    }

    #[test]
    fn a_download_takes_what_the_papers_formula_says() {
        let times = [
            ("1/mu - 1/gamma", PAPER, 524.288 - 200.0),
            ("whatever lambda is", Fluid { arrivals_per_s: 7.0, ..PAPER }, 324.288),
            ("1/c, where seeds stay for 1000 s", Fluid { leave_per_s: 1e-3, ..PAPER }, 139.810),
            ("1/mu, where they leave at once", Fluid { leave_per_s: f64::INFINITY, ..PAPER }, 524.288),
            ("over eta", Fluid { effectiveness: 0.8, ..PAPER }, 405.36),
            ("1/(theta + 1/324.288)", Fluid { give_up_per_s: 1e-3, ..PAPER }, 244.877),
            ("no time at all", Fluid { leave_per_s: 1e-3, down_per_s: f64::INFINITY, ..PAPER }, 0.0),
            // u_0 = 0.01: x = (0.1 (1 - 200/524.288) - 0.01) 524.288.
            ("with a seed from the start", Fluid { origin_per_s: 0.01, ..PAPER }, 271.859),
        ];
        for (what, fluid, expected_s) in times {
            let found_s = fluid.download_s().expect(what);
            assert!((found_s - expected_s).abs() < 0.001, "{what}: {found_s}");
        }
        let rest = PAPER.steady().expect("seeds leave");
        near(rest.leechers, 32.4288, 1e-9);
        near(rest.seeds, 20.0, 1e-9);
        assert_eq!(Fluid { leave_per_s: 0.0, ..PAPER }.steady(), None, "the seeds become more and more");
    }

    #[test]
    fn the_way_there_is_that_of_the_closed_form() {
        // Downlinks limit: x = lambda/c (1 - e^-ct), y = lambda ((1 - e^-gt)/g - (e^-ct - e^-gt)/(g - c)).
        let (lambda, c, g) = (0.1, 0.01, 0.004);
        let by_downlinks = Fluid { up_per_s: 1.0, down_per_s: c, leave_per_s: g, ..PAPER };
        for (t_s, now) in by_downlinks.transient(2000.0, 40) {
            let (after_c, after_g) = (libm::exp(-c * t_s), libm::exp(-g * t_s));
            near(now.leechers, lambda / c * (1.0 - after_c), 1e-9);
            near(now.seeds, lambda * ((1.0 - after_g) / g - (after_c - after_g) / (g - c)), 1e-9);
        }
        // Uplinks limit, and gamma = 4 mu, which makes -2 mu a double root:
        // x = 3 lambda / 4 mu - (3 lambda / 4 mu + lambda t / 2) e^-2 mu t.
        let mu = 0.002;
        let by_uplinks = Fluid { up_per_s: mu, leave_per_s: 4.0 * mu, down_per_s: f64::INFINITY, ..PAPER };
        for (t_s, now) in by_uplinks.transient(4000.0, 40) {
            let rest = 0.75 * lambda / mu;
            near(now.leechers, rest - (rest + lambda * t_s / 2.0) * libm::exp(-2.0 * mu * t_s), 1e-9);
        }
    }

    #[test]
    fn half_the_step_is_a_sixteenth_of_the_error() {
        let fluid = Fluid { up_per_s: 1.0, down_per_s: 0.01, ..PAPER };
        let error = |steps| {
            let curve = fluid.integrated(100.0, 1, steps);
            (curve[1].1.leechers - 10.0 * (1.0 - libm::exp(-1.0))).abs()
        };
        let ratio = error(4) / error(8);
        assert!((14.0..20.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn it_comes_to_rest_in_the_steady_state() {
        for fluid in [
            PAPER,
            Fluid { give_up_per_s: 1e-3, origin_per_s: 0.01, leave_per_s: 6e-3, ..PAPER },
            Fluid { leave_per_s: 1e-3, ..PAPER },
        ] {
            let (_, last) = fluid.transient(20_000.0, 10)[10];
            let rest = fluid.steady().expect("seeds leave");
            near(last.leechers, rest.leechers, 1e-6);
            near(last.seeds, rest.seeds, 1e-6);
        }
        // Who leaves at once is a seed for a step: 1 s of 20,000.
        let at_once = Fluid { leave_per_s: f64::INFINITY, ..PAPER };
        let (_, last) = at_once.transient(20_000.0, 10)[10];
        near(last.leechers, 52.4288, 0.15);
        near(last.seeds, 0.0, 0.11);
    }

    #[test]
    fn when_the_last_has_come_the_swarm_dies_out() {
        let curve = Fluid { arrivals_end_s: 1000.0, ..PAPER }.transient(10_000.0, 100);
        assert!(curve[10].1.leechers > 30.0, "{:?}", curve[10]);
        let (_, last) = curve[100];
        assert!(last.leechers < 1e-6 && last.seeds < 1e-6, "{last:?}");
    }

    fn run(turnover: Option<Turnover>) -> (RunInfo, Vec<PeerRow>) {
        let class = |name: &str, behaviour: &str, pieces: &str, turnover| ClassInfo {
            name: name.to_owned(),
            hosts: 500,
            behaviour: behaviour.to_owned(),
            initial_pieces: pieces.to_owned(),
            turnover,
            ..ClassInfo::default()
        };
        let classes = vec![class("leecher", "normal", "none", turnover), class("seed", "seed", "all", None)];
        let content = ContentInfo { total_bytes: 26_214_400, piece_bytes: 262_144, pieces: 100 };
        let peer = |role, up| PeerRow {
            role,
            up_bytes_per_s: Some(up),
            down_bytes_per_s: Some(187_500),
            ..PeerRow::default()
        };
        let peers = vec![peer(Role::Seed, 262_144), peer(Role::Leecher, 50_000)];
        (RunInfo { content, classes, ..RunInfo::default() }, peers)
    }

    const TURNOVER: Turnover =
        Turnover { arrivals_per_s: 0.1, patience_s: Some(500.0), seeding_s: Some(200.0) };

    #[test]
    fn the_parameters_are_those_of_the_record() {
        let (info, peers) = run(Some(TURNOVER));
        let expected = Fluid {
            arrivals_end_s: 5000.0,
            give_up_per_s: 0.002,
            leave_per_s: 0.007,
            origin_per_s: 0.01,
            ..PAPER
        };
        assert_eq!(fluid(&info, &peers, &[]), Ok(expected));
        let at_once = Turnover { patience_s: None, seeding_s: Some(0.0), ..TURNOVER };
        let (info, mut peers) = run(Some(at_once));
        peers[1].down_bytes_per_s = None;
        let found = fluid(&info, &peers, &[]).expect("it applies");
        assert!(found.leave_per_s.is_infinite() && found.down_per_s.is_infinite(), "{found:?}");
    }

    #[test]
    fn where_the_premises_fail_the_reason_is_given() {
        type Spoil = fn(&mut RunInfo, &mut Vec<PeerRow>);
        let class = || "leecher".to_owned();
        let cases: [(Spoil, NoFluid); 11] = [
            (|_, peers| peers.truncate(1), NoFluid::NobodyEligible),
            (|info, _| info.classes[0].hosts = 0, NoFluid::NobodyEligible),
            (|info, _| info.classes.push(info.classes[0].clone()), NoFluid::Classes(2)),
            (
                |info, _| info.classes[0].behaviour = "free rider".to_owned(),
                NoFluid::Behaviour { class: class(), behaviour: "free rider".to_owned() },
            ),
            (|info, _| info.classes[0].initial_pieces = "30%".to_owned(), NoFluid::InitialPieces(class())),
            (|info, _| info.classes[0].turnover = None, NoFluid::Turnover(class())),
            (
                |info, _| info.classes[0].turnover = Some(Turnover { arrivals_per_s: 0.0, ..TURNOVER }),
                NoFluid::Turnover(class()),
            ),
            (|_, peers| peers[0].left_s = Some(9.0), NoFluid::Seeds),
            (|_, peers| peers[1].up_bytes_per_s = None, NoFluid::Uplink),
            (|info, _| info.content.total_bytes = 0, NoFluid::Uplink),
            (|_, peers| peers[1].down_bytes_per_s = Some(0), NoFluid::Downlink),
        ];
        for (spoil, reason) in cases {
            let (mut info, mut peers) = run(Some(TURNOVER));
            spoil(&mut info, &mut peers);
            assert_eq!(fluid(&info, &peers, &[]), Err(reason));
        }
        let (info, peers) = run(Some(TURNOVER));
        assert_eq!(fluid(&info, &peers, &[FaultRow::default()]), Err(NoFluid::Faults));
    }
}
