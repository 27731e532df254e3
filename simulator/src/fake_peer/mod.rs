//! A peer that is played by hand: say this, wait for that. One script runs against an engine in `des`, in `turmoil` and
//! over real sockets, with the same verdict.
//!
//! ```
//! # use torrentlab_simulator::content::Content;
//! # use torrentlab_simulator::fake_peer::Play;
//! # let geometry = torrentlab_engine::units::Geometry::new(1 << 20, 1 << 18).unwrap();
//! # let content = Content::Synthetic(geometry);
//! let play = Play::parse(
//!     "
//!     ## A seed, before it knows whether anybody is interested.
//!     joins
//!     < have-all, unchoke
//!     > interested, request
//!     never odd-request
//!     serve
//!     > have 0, have 1
//!     < unknown 99
//!     closed
//!     ",
//!     &content,
//! )?;
//! # Ok::<(), torrentlab_simulator::fake_peer::PlayError>(())
//! ```
//!
//! | line | what it does |
//! |---|---|
//! | `joins`, `joins plainly` | both handshakes: with the Fast extension and the extension protocol, or without |
//! | `< MESSAGE, ...` | says these |
//! | `bytes HEX` | sends these bytes, whether they are messages or not |
//! | `> PATTERN, ...` | waits for a message for each of these, in any order; others that come meanwhile are passed over |
//! | `never PATTERN, ...` | from here on such a message is a failure |
//! | `allow PATTERN, ...` | takes a `never` back |
//! | `serve`, `serve wrong bytes`, `serve nothing` | from here on requests are answered so, those that wait first; it begins with the last |
//! | `within TIME` | how long each wait from here on may take; 60 s at first |
//! | `wait TIME` | lets that time pass |
//! | `closed` | waits for the other side to close the connection |
//! | `hang up` | closes it |
//!
//! Messages are written in words, a block as `PIECE:NTH` or as `PIECE:BEGIN+LENGTH`: `hello`, `hello plain`, `hello other`
//! (another torrent), `id`, `keep-alive`, `choke`, `unchoke`, `interested`, `not-interested`, `have 3`, `bitfield 10100000`,
//! `request 0:1`, `piece 0:1`, `piece 0:1 wrong` (its bytes are), `cancel 0:1`, `port 6881`, `suggest 2`, `have-all`,
//! `have-none`, `reject 0:1`, `allowed-fast 2`, `extended`, `extended reqq=2 upload-only`, `extended garbage`,
//! `unknown 99`. A pattern is a message, or its first word alone, which any such message fits; or `odd-request`, a request
//! for anything but one aligned block of 16 KiB (or what is left of the piece), `pieces` (what has `bitfield`, `have-all`
//! or `have-none`), or `anything`.
//!
//! | where | how |
//! |---|---|
//! | `des` and `turmoil` | [`FakePeer`] is a node: [`Registry::register_rogue`](crate::registry::Registry::register_rogue) |
//! | any stream: a real socket, or one inside turmoil | [`play_over`] |
//!
//! `des` has typed messages alone: there is nothing in it that `bytes` could stand for ([`Play::needs_bytes`]). In a
//! `turmoil` swarm what follows `bytes` is filled up with zeros to a multiple of twenty.

mod node;
mod parse;
mod part;
mod wire;

pub use node::FakePeer;
pub use parse::PlayError;
pub use part::{Deviation, Play, Verdict};
pub use wire::play_over;
