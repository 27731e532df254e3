//! What is compared: figures of the same runs in both backends.

use std::collections::BTreeMap;

use torrentlab_reports::record::{PeerRow, RunRecord};
use torrentlab_reports::stats::quantile;

/// How far two figures may be apart.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// By so many hundredths of the second one.
    Percent(f64),
    /// Two shares, by so many hundredths of the whole.
    Points(f64),
}

/// A figure of both.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    pub name: String,
    pub des: f64,
    pub turmoil: f64,
    pub bound: Bound,
}

impl Pair {
    /// How far the default backend's is from the other's, in hundredths.
    pub fn difference(&self) -> f64 {
        match self.bound {
            Bound::Percent(_) => 100.0 * (self.des / self.turmoil - 1.0),
            Bound::Points(_) => 100.0 * (self.des - self.turmoil),
        }
    }

    /// Whether the bound is kept; a figure that one of them lacks keeps none.
    pub fn agrees(&self) -> bool {
        let (Bound::Percent(most) | Bound::Points(most)) = self.bound;
        self.difference().abs() <= most
    }
}

/// The figures of the runs of one scenario, by name, with what bounds them. Those of hosts are over the hosts of all
/// runs: a run by itself is one throw of the dice.
pub type Figures = BTreeMap<String, (f64, Bound)>;

/// Figures of the hosts that came for the content, class by class, of the seeds, and of each pair of classes.
pub fn figures(runs: &[RunRecord]) -> Figures {
    let mut figures = Figures::new();
    let mut add = |name: String, value: f64, bound| _ = figures.insert(name, (value, bound));
    let mean = |of: &dyn Fn(&RunRecord) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
    let seed_copies = mean(&|run| run.summary.seed_upload_copies.unwrap_or(f64::NAN));
    add("seed's copies".to_owned(), seed_copies, Bound::Percent(10.0));
    for (name, hosts) in by_class(runs) {
        let rank = |value: fn(&PeerRow) -> Option<f64>, q| {
            let mut values: Vec<f64> = hosts.iter().filter_map(|host| value(host)).collect();
            values.sort_by(f64::total_cmp);
            quantile(&values, hosts.len(), q).unwrap_or(f64::NAN)
        };
        let sum = |value: fn(&PeerRow) -> u64| hosts.iter().map(|host| value(host)).sum::<u64>() as f64;
        let blocks = sum(|host| host.blocks);
        let mut add = |what: &str, value, bound| add(format!("{name}: {what}"), value, bound);
        add("median, s", rank(|host| host.download_s, 0.5), Bound::Percent(5.0));
        add("95th percentile, s", rank(|host| host.download_s, 0.95), Bound::Percent(10.0));
        add("first piece, s", rank(|host| host.bootstrap_s, 0.5), Bound::Percent(10.0));
        add("requests per block", sum(|host| host.requests) / blocks, Bound::Percent(10.0));
        add("duplicate share", sum(|host| host.duplicate_blocks) / blocks, Bound::Points(1.0));
    }
    // A slot for a seed is no service: it wants nothing.
    let classes = || runs[0].info.classes.iter();
    let takers = || classes().filter(|class| class.behaviour != "seed");
    for (giver, taker) in classes().flat_map(|giver| takers().map(move |taker| (&giver.name, &taker.name))) {
        let given = |run: &RunRecord| run.summary.unchoking_s.get(giver)?.get(taker).copied();
        let given = mean(&|run| given(run).unwrap_or(0.0));
        if given > 0.0 {
            add(format!("{giver} unchokes {taker}, s"), given, Bound::Percent(15.0));
        }
    }
    figures
}

/// Those that came for the content, by class.
fn by_class(runs: &[RunRecord]) -> BTreeMap<&str, Vec<&PeerRow>> {
    let mut classes: BTreeMap<&str, Vec<&PeerRow>> = BTreeMap::new();
    for host in runs.iter().flat_map(|run| &run.peers).filter(|host| host.is_eligible()) {
        classes.entry(&host.class).or_default().push(host);
    }
    classes
}

/// The figures that either has.
pub fn pairs(des: &Figures, turmoil: &Figures) -> Vec<Pair> {
    let value = |figures: &Figures, name: &String| figures.get(name).map_or(0.0, |(value, _)| *value);
    let names: BTreeMap<&String, Bound> =
        des.iter().chain(turmoil).map(|(name, (_, bound))| (name, *bound)).collect();
    let pair = |(name, bound): (&String, Bound)| Pair {
        name: name.clone(),
        des: value(des, name),
        turmoil: value(turmoil, name),
        bound,
    };
    names.into_iter().map(pair).collect()
}
