//! The engine on real sockets and disks (feature `net`).
//!
//! A [`Driver`] carries out what one [`Node`](crate::node::Node) wants: it holds the sockets, keeps the time and has
//! slow work done elsewhere. It decides nothing about the protocol. What differs between the real world and a
//! simulated one stands behind the small trait [`Platform`].
#![expect(clippy::disallowed_types, reason = "this is where the engine meets files and clocks")]

mod announce;
mod conn;
mod core;
mod disk;
mod driver;
mod files;
mod http;
mod outgoing;
mod platform;
mod storage;
mod tracker;
mod udp;
mod url;

pub use disk::{Content, Place, hash_all};
pub use driver::{Driver, Handle, Setup, Tuning};
pub use files::{Access, FileSpan, Files};
pub use http::HTTP_TIMEOUT;
pub use platform::{Platform, Tokio};
pub use storage::{Storage, StorageError};
pub use tracker::{Manner, TrackerServer, WrongReply};

#[cfg(test)]
mod tests;
