//! Who is told of everything that happens in a run, as it happens: checkers, writers of traces, observers.
//!
//! A [`Watch`] hears what the trace's hash is made of, in both backends, and changes nothing of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::state::NodeState;
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{ConnId, Geometry};
use torrentlab_scenarios::Scenario;

use crate::failure::Failure;
use crate::fault::{Action, FaultPlan};
use crate::names::Names;
use crate::run::Backend;
use crate::trace::Passage;

/// Hears what happens in a run. Hosts are numbered in the order of the scenario's classes ([`Names`]).
pub trait Watch: Send {
    /// A host comes (back) with `have`, and listens at `addr`.
    fn came(&mut self, now: Instant, host: u32, addr: SocketAddr, have: &Bitfield) {
        let _ = (now, host, addr, have);
    }

    /// It is gone: nothing more is heard of it until it comes back, but for what it still says as it stops (in
    /// [`crate::turmoil`], where a host stops on its own time).
    fn went(&mut self, now: Instant, host: u32) {
        let _ = (now, host);
    }

    /// An input is about to be given to the node of `host`.
    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        let _ = (now, host, input);
    }

    /// The node of `host` wants this done; `targets` are those of an [`Output::Broadcast`].
    fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        let _ = (now, host, output, targets);
    }

    /// Something is done about a fault.
    fn fault(&mut self, now: Instant, action: &Action) {
        let _ = (now, action);
    }

    /// Something happened to a host in a model of contacts, where there are no nodes.
    fn passage(&mut self, now: Instant, host: u32, passage: Passage) {
        let _ = (now, host, passage);
    }

    /// At each sample of the timeline: time to look at what no input or output tells.
    fn look(&mut self, now: Instant, swarm: &dyn Sight) {
        let _ = (now, swarm);
    }

    /// The run is over. Not called where it failed.
    fn finish(&mut self, now: Instant) {
        let _ = now;
    }

    /// What is wrong, if anything is: the run ends then, with the first that is told.
    fn failure(&mut self) -> Option<Failure> {
        None
    }
}

/// What can be seen of a swarm from outside while it is under way.
pub trait Sight {
    /// Wire bytes that `host` has sent and received.
    fn wire_bytes(&self, host: u32) -> (u64, u64);

    /// What the node of `host` believes; `None` while it is away, or where its node does not tell.
    fn state(&self, host: u32) -> Option<NodeState> {
        let _ = host;
        None
    }

    /// Distributed copies, as the record has them.
    fn distributed_copies(&self) -> f64;

    /// Events that are planned, where there is a queue of them.
    fn queued(&self) -> Option<usize> {
        None
    }
}

/// What a [`Watch`] knows of the run before it begins.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// The run's seed.
    pub seed: u64,
    /// What carries the bytes.
    pub backend: Backend,
    /// The shape of the content.
    pub geometry: Geometry,
    /// The names of the hosts.
    pub names: Arc<Names>,
    /// What goes wrong.
    pub faults: Arc<FaultPlan>,
    /// By host: whether it is there to break rules, so that nobody holds it to them.
    pub exempt: Arc<[bool]>,
}

/// Makes the watches of a run.
#[derive(Clone, Copy)]
pub struct Watching<'a>(pub &'a (dyn Fn(&Scene) -> Vec<Box<dyn Watch>> + Sync));

impl fmt::Debug for Watching<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watching")
    }
}

/// The watches of a run, all of which are told.
#[derive(Default)]
pub struct Watches(pub Vec<Box<dyn Watch>>);

impl Watches {
    /// Tells all.
    pub fn tell(&mut self, mut what: impl FnMut(&mut dyn Watch)) {
        self.0.iter_mut().for_each(|watch| what(&mut **watch));
    }

    /// The first failure that one of them knows of.
    pub fn failure(&mut self) -> Option<Failure> {
        self.0.iter_mut().find_map(|watch| watch.failure())
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watches").field(&self.0.len()).finish()
    }
}
