//! Hosts, links, clock and churn: a swarm of real engines in a deterministic network.

pub mod attendance;
pub mod build;
pub mod census;
pub mod churn;
pub mod claim;
pub mod contact;
pub mod content;
pub mod disk;
pub mod explain;
pub mod failure;
pub mod fake_peer;
pub mod fault;
pub mod lab;
pub mod ledger;
pub mod link;
pub mod lua;
pub mod matchmaker;
pub mod mutant;
pub mod names;
pub mod observe;
pub mod paths;
pub mod plan;
pub mod player;
pub mod queue;
pub mod recount;
pub mod regions;
pub mod registry;
pub mod run;
pub mod script;
pub mod simulation;
pub mod strategies;
pub mod swarm;
pub mod trace;
pub mod turmoil;
pub mod watch;

pub use lab::{Fault, Link, Swarm};
