//! Everybody who can finish does.

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::tracker::client::LAST_RETRY;
use torrentlab_scenarios::schema::HostClass;

use super::facts::span;
use super::model::Model;
use super::{Checker, Found};
use crate::watch::Sight;

pub(super) const NAME: &str = "must-finish";
pub(super) const WHAT: &str = "When all faults are over, nobody comes any more and somebody who serves has every piece, each \
healthy host has every piece within a computed time; and where nobody makes any progress for two announce intervals and ten \
minutes, nobody lacks any.";

/// The core needs no more than so many times what its uplinks take at their best.
const FACTOR: u64 = 4;
const SLACK: Duration = Duration::from_secs(600);
/// At more loss than this, in parts of a million, TCP's rate is hard to bound.
const MAX_LOSS: u32 = 20_000;
/// With so many connections or more everybody finds everybody.
const ENOUGH_CONNECTIONS: usize = 8;

pub(super) struct Finish;

impl Checker for Finish {
    fn look(&mut self, model: &Model, now: Instant, _: &dyn Sight, found: &mut Found) {
        let Some(quiet) = model.quiet_since().map(|quiet| quiet.max(model.came_at)) else { return };
        let scenario = &model.scene.scenario;
        let is_lossy = |class: &HostClass| class.links.loss.ppm() > MAX_LOSS;
        if scenario.hosts.values().any(is_lossy) {
            return;
        }
        let core = |host: u32| {
            let complete = model.host(host).complete_at.filter(|_| model.is_judged(host));
            complete.filter(|_| model.facts(host).serves)
        };
        let hosts = || (0..model.hosts.len() as u32).filter(|&host| model.host(host).present);
        let Some(first) = hosts().filter_map(core).min() else { return };
        let since = quiet.max(first);
        let core_up: u64 = hosts()
            .filter(|&host| core(host).is_some_and(|at| at <= since))
            .map(|host| model.facts(host).sure_up)
            .sum();
        let others = hosts().filter(|&host| core(host).is_none_or(|at| at > since)).count() as u64;
        let content = model.geometry().total_len();
        let all = Duration::of_transfer(content.saturating_mul(others.max(1)), core_up.max(1));
        let interval = span(scenario.tracker.interval);
        // A tracker that failed is tried again much later.
        let retry = if model.tracker_disturbed_at.is_some() { LAST_RETRY } else { Duration::ZERO };
        for host in hosts() {
            let (state, facts) = (model.host(host), model.facts(host));
            let wants = facts.healthy && !state.have.is_full() && !state.storage_failed;
            if !wants || !model.is_judged(host) {
                continue;
            }
            let own = Duration::of_transfer(content, facts.sure_down);
            let bound =
                interval + retry + facts.redial.1 + facts.snub_timeout * 2 + SLACK + (all + own) * FACTOR;
            let still = now.since(since.max(model.progress_at));
            let late = now.since(since);
            let what = if late > bound {
                format!("within {:.0} s", bound.as_secs_f64())
            } else if still >= interval * 2 + retry + SLACK {
                format!("and nobody has stored anything new for {:.0} s", still.as_secs_f64())
            } else {
                continue;
            };
            if !can_reach(model, host) {
                continue;
            }
            let seeds = hosts().filter(|&host| core(host).is_some_and(|at| at <= since)).take(3);
            found.report(NAME, now, [host].into_iter().chain(seeds), state.missing(), || {
                format!(
                    "{} does not finish: it lacks {} of {} pieces {:.0} s after the last fault and the last arrival, though \
                     there are peers who have all, {what}",
                    model.scene.names.name(host),
                    state.have.len() - state.have.count(),
                    state.have.len(),
                    late.as_secs_f64(),
                )
            });
            return;
        }
    }
}

/// Whether a host is connected, by way of others who serve, to somebody who has everything; or has no excuse for not
/// being so.
fn can_reach(model: &Model, host: u32) -> bool {
    let free = |host: u32| model.facts(host).connections >= ENOUGH_CONNECTIONS;
    if model.hosts.len() <= 50 && (0..model.hosts.len() as u32).all(free) {
        return true;
    }
    let mut reached = vec![false; model.hosts.len()];
    let mut next = vec![host];
    reached[host as usize] = true;
    while let Some(host) = next.pop() {
        for peer in model.host(host).conns().filter(|conn| conn.is_open()).filter_map(|conn| conn.peer) {
            if model.is_judged(peer) && model.facts(peer).serves && !reached[peer as usize] {
                if model.host(peer).have.is_full() {
                    return true;
                }
                reached[peer as usize] = true;
                next.push(peer);
            }
        }
    }
    false
}
