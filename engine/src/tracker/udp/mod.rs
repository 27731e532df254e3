//! The tracker protocol over UDP (BEP 15), both sides, sans-IO.
//!
//! A client first asks for a connection id, which proves that it receives what is sent to its address, and announces
//! or scrapes with that. [`Exchange`] does so for one announce, [`Server`] answers. Not spoken: the extension of BEP 41,
//! which carries a URL's path and query; a tracker's URL is taken for its host and port alone.

mod client;
mod packet;
mod server;

pub use client::{ATTEMPTS, Exchange, FIRST_TIMEOUT};
pub use packet::{Answer, Ask, ConnectionId, MAX_DATAGRAM, MAX_SCRAPE, PacketError, Reply, Request};
pub use server::Server;
