//! Hosts, links, clock and churn: a swarm of real engines in a deterministic network.

pub mod link;
pub mod queue;
