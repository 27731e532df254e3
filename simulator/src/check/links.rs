//! What the simulator owes: links that carry no more than they can, and figures that are right.

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::time::Instant;
use torrentlab_scenarios::schema::FaultKind;

use super::model::Model;
use super::{Checker, Found};
use crate::build::rate;
use crate::watch::Sight;

pub(super) const LINK_CAPS: (&str, &str) = (
    "link-caps",
    "A host sends and receives no more bytes on the wire than its links carry in the time, plus what a socket buffer and \
     the queue before the downlink hold.",
);
pub(super) const COPIES: (&str, &str) =
    ("copies", "The distributed copies of the record are those of what hosts were told, counted afresh.");

/// Beyond what buffers hold: segments under way, announces, acknowledgements.
const SLACK_BYTES: u64 = 64 * 1024;

/// What each host sent and received by the last look, and by how much that was too much.
#[derive(Default)]
pub(super) struct LinkCaps {
    at: Instant,
    hosts: Vec<Meter>,
}

#[derive(Clone, Copy, Default)]
struct Meter {
    bytes: [u64; 2],
    /// What came on top of the rate, as far as it was not made up for since.
    excess: [u64; 2],
}

impl Checker for LinkCaps {
    fn look(&mut self, model: &Model, now: Instant, swarm: &dyn Sight, found: &mut Found) {
        let since = std::mem::replace(&mut self.at, now);
        let nanos = u128::from(now.since(since).as_nanos());
        self.hosts.resize(model.hosts.len(), Meter::default());
        for (host, meter) in (0u32..).zip(&mut self.hosts) {
            let (up, down) = swarm.wire_bytes(host);
            let last = std::mem::replace(&mut meter.bytes, [up, down]);
            if model.disturbed_at >= since {
                // Rates may have changed in between.
                meter.excess = [0, 0];
                continue;
            }
            let buffer = model.facts(host).buffers + SLACK_BYTES;
            for (nth, (new, cap)) in [up, down].into_iter().zip(rates(model, host)).enumerate() {
                let Some(cap) = cap else { continue };
                let carried = (u128::from(cap) * nanos / 1_000_000_000) as u64;
                meter.excess[nth] = (meter.excess[nth] + (new - last[nth])).saturating_sub(carried);
                if meter.excess[nth] > buffer {
                    let does = ["sent", "received"][nth];
                    found.report(LINK_CAPS.0, now, [host], [], || {
                        format!(
                            "{} has {does} {} bytes more than a link of {cap} bytes a second carries",
                            model.scene.names.name(host),
                            meter.excess[nth]
                        )
                    });
                }
            }
        }
    }
}

/// The rates of a host's links now.
fn rates(model: &Model, host: u32) -> [Option<u64>; 2] {
    let facts = model.facts(host);
    let (mut up, mut down) = (facts.up, facts.down);
    for &fault in &model.under_way {
        let fault = &model.scene.faults.faults[fault as usize];
        if let FaultKind::Rate(change) = fault.kind
            && fault.hits(host)
        {
            up = change.up.map_or(up, rate);
            down = change.down.map_or(down, rate);
        }
    }
    [up, down]
}

/// Compares a figure of the record with its recount.
pub(super) struct Copies;

impl Checker for Copies {
    fn look(&mut self, model: &Model, now: Instant, swarm: &dyn Sight, found: &mut Found) {
        let mut copies = vec![0u32; model.geometry().pieces() as usize];
        let present = model.hosts.iter().filter(|host| host.present).map(|host| &host.have);
        let (full, some): (Vec<&Bitfield>, Vec<&Bitfield>) = present.partition(|have| have.is_full());
        some.into_iter().flat_map(Bitfield::iter).for_each(|piece| copies[piece.get()] += 1);
        let complete = copies.iter().min().copied().unwrap_or(0);
        let more = copies.iter().filter(|&&copies| copies > complete).count();
        let counted = full.len() as f64 + f64::from(complete) + more as f64 / copies.len() as f64;
        let told = swarm.distributed_copies();
        if (counted - told).abs() > 1e-9 {
            found.report(COPIES.0, now, [], [], || {
                format!("the record has {told} distributed copies, and by what hosts were told there are {counted}")
            });
        }
    }
}
