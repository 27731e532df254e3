//! Who was there, beside who should have been by the fluid model of Qiu and Srikant.

use super::axis::Axis;
use super::figure::{Curve, Dash, Figure, Panel, ink};
use super::samples::Samples;
use crate::fluid::{Fluid, Population, QIU_SRIKANT, fluid};
use crate::record::{Role, RunRecord};
use crate::words;

pub const HOW_TO_READ: &str = "The hosts present that lack a piece, and those that hold all, first seeds included. \
    Where hosts of one kind keep coming at a constant rate, the lines of Qiu and Srikant's fluid model show how many \
    there should be of each on the mean if every uplink were always in use (eta = 1).";

const POINTS: usize = 500;

pub fn figure(record: &RunRecord) -> Figure {
    let samples = Samples::of(record);
    let model = fluid(&record.info, &record.peers, &record.faults);
    let seeds_from_start = record.peers.iter().filter(|peer| peer.role == Role::Seed).count() as f64;
    let curve = |fluid: &Fluid| fluid.transient(samples.end_s(), POINTS);
    let theory = model.as_ref().map(curve).unwrap_or_default();
    let title = title(record, &theory);
    let panel = || {
        let mut curves = vec![
            samples.curve("leechers", ink::ORANGE, Dash::Solid, |row| Some(f64::from(row.leechers))),
            samples.curve("seeds", ink::BLUE, Dash::Solid, |row| Some(f64::from(row.seeds))),
        ];
        if !theory.is_empty() {
            let leechers = |now: &Population| now.leechers;
            curves.push(line(&theory, &format!("leechers, {QIU_SRIKANT}"), Dash::Dashed, leechers));
            let seeds = |now: &Population| now.seeds + seeds_from_start;
            curves.push(line(&theory, &format!("seeds, {QIU_SRIKANT}"), Dash::Dotted, seeds));
        }
        let most =
            curves.iter().flat_map(|curve| &curve.points).fold(4.0_f64, |most, point| most.max(point.1));
        vec![Panel { y: Axis::linear("hosts", most, 5), curves }]
    };
    let note = match &model {
        Ok(fluid) => of_model(fluid),
        Err(reason) => format!("No lines of {QIU_SRIKANT}: {reason}."),
    };
    Figure { note: Some(note), ..samples.figure(record, title, panel) }
}

fn line(theory: &[(f64, Population)], label: &str, dash: Dash, value: impl Fn(&Population) -> f64) -> Curve {
    let points = theory.iter().map(|(t_s, now)| (*t_s, value(now))).collect();
    Curve { label: label.to_owned(), colour: ink::BLACK, dash, points }
}

/// The parameters, and where they lead.
fn of_model(fluid: &Fluid) -> String {
    let per_s = |rate: f64| match rate {
        _ if rate.is_infinite() => "unlimited".to_owned(),
        _ => format!("{}/s", words::figure(rate)),
    };
    let rest = match (fluid.steady(), fluid.download_s()) {
        (Some(rest), Some(download_s)) => format!(
            "in the steady state {} leechers, and a download takes {}",
            words::figure(rest.leechers),
            words::seconds(download_s)
        ),
        _ => "seeds never leave, and there is no steady state".to_owned(),
    };
    format!(
        "{QIU_SRIKANT}: lambda {}, theta {}, gamma {}, mu {}, c {}, u_0 {}, eta {}; {rest}.",
        per_s(fluid.arrivals_per_s),
        per_s(fluid.give_up_per_s),
        per_s(fluid.leave_per_s),
        per_s(fluid.up_per_s),
        per_s(fluid.down_per_s),
        per_s(fluid.origin_per_s),
        words::figure(fluid.effectiveness),
    )
}

/// Means over the samples, measured and by the model at the same moments.
fn title(record: &RunRecord, theory: &[(f64, Population)]) -> String {
    let rows = &record.timeline;
    let most = rows.iter().map(|row| row.leechers).max().unwrap_or(0);
    let (Some(last), Some(step_s)) = (theory.last(), theory.get(1).map(|(t_s, _)| *t_s)) else {
        return format!("At most {} at a time lacked a piece", words::plural(u64::from(most), "host"));
    };
    let mean = |sum: f64| sum / rows.len().max(1) as f64;
    let measured = mean(rows.iter().map(|row| f64::from(row.leechers)).sum());
    let at = |t_s: f64| theory.get((t_s / step_s).round() as usize).unwrap_or(last).1.leechers;
    let by_theory = mean(rows.iter().map(|row| at(row.t_s)).sum());
    format!(
        "On the mean {} hosts lacked a piece; by the model of {QIU_SRIKANT} it would be {}",
        words::figure(measured),
        words::figure(by_theory)
    )
}
