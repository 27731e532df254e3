//! Who is told what a host says.

use std::net::SocketAddr;
use std::sync::Arc;

use torrentlab_reports::record::Explanation;

use crate::names::Names;

/// Who is told of a decision, and of which host.
pub type Tell = Arc<dyn Fn(&str, Explanation) + Send + Sync>;

/// Listens to one host.
pub struct Listener {
    pub name: String,
    pub names: Arc<Names>,
    pub tell: Tell,
}

impl Listener {
    /// Hands a decision on.
    pub fn hear(&self, explanation: Explanation) {
        (self.tell)(&self.name, explanation);
    }

    /// The name of a peer.
    pub fn peer(&self, addr: SocketAddr) -> String {
        self.names.at(addr).unwrap_or_else(|| addr.to_string())
    }
}
