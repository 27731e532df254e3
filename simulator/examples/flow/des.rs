//! The flows in the network of `des`, with an application at each sender that keeps the socket buffer full.

use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::ConnId;
use torrentlab_simulator::link::{NetEvent, Network, Notice};
use torrentlab_simulator::queue::Queue;

use crate::{Case, Outcome, SOCKET_BUFFER, TCP};

/// A message: a block of BitTorrent.
const BLOCK: u32 = 16 * 1024 + 13;

/// Runs a case: what became of each flow, by sender and then by receiver.
pub fn run(case: &Case) -> Vec<Outcome> {
    let mut flows = Flows::new(case);
    let until = Instant::from_nanos(case.until_ns);
    while flows.unfinished > 0 && flows.step(until) {}
    flows.outcomes
}

struct Flows<'c> {
    case: &'c Case,
    net: Network<u32>,
    queue: Queue<NetEvent>,
    notices: Vec<Notice>,
    /// Bytes that are still to be put into the socket buffer, by flow.
    left: Vec<u64>,
    outcomes: Vec<Outcome>,
    unfinished: usize,
}

impl<'c> Flows<'c> {
    fn new(case: &'c Case) -> Self {
        let mut net = Network::new(TCP);
        let mut queue = Queue::default();
        for host in 0..case.senders + case.receivers {
            net.add_host(case.links(host));
            net.join(Instant::ZERO, host, &mut queue);
        }
        for sender in 0..case.senders {
            for receiver in case.senders..case.senders + case.receivers {
                net.dial(Instant::ZERO, sender, receiver, Duration::from_nanos(case.rtt_ns / 2), &mut queue);
            }
        }
        let count = case.flows();
        Self {
            case,
            net,
            queue,
            notices: Vec::new(),
            left: vec![case.bytes; count],
            outcomes: vec![Outcome::default(); count],
            unfinished: count,
        }
    }

    /// Handles the next event before `until`; whether there was one.
    fn step(&mut self, until: Instant) -> bool {
        let Some((now, event)) = self.queue.pop().filter(|&(now, _)| now < until) else { return false };
        self.net.handle(now, event, &mut self.queue, &mut self.notices);
        for notice in std::mem::take(&mut self.notices) {
            match notice {
                Notice::Connected { host, conn, outgoing: true, .. } => {
                    self.write(now, host, conn, SOCKET_BUFFER);
                }
                Notice::Room { host, conn, bytes } => self.write(now, host, conn, bytes),
                Notice::Messages { host, peer, mut parcel, .. } => {
                    while let Some(bytes) = self.net.take(&mut parcel) {
                        self.came(now, peer, host, bytes);
                    }
                }
                _ => (),
            }
        }
        true
    }

    fn write(&mut self, now: Instant, host: u32, conn: ConnId, mut room: u32) {
        let Some(peer) = self.net.peer(host, conn) else { return };
        let flow = self.case.flow(host, peer);
        while room > 0 && self.left[flow] > 0 {
            let bytes = self.left[flow].min(u64::from(room.min(BLOCK))) as u32;
            self.left[flow] -= u64::from(bytes);
            room -= bytes;
            self.net.send(host, conn, bytes, bytes, bytes);
        }
        self.net.flush(now, host, &mut self.queue);
    }

    fn came(&mut self, now: Instant, sender: u32, receiver: u32, bytes: u32) {
        let flow = self.case.flow(sender, receiver);
        let outcome = &mut self.outcomes[flow];
        outcome.bytes += u64::from(bytes);
        if outcome.bytes == self.case.bytes {
            outcome.seconds = Some(now.as_secs_f64());
            self.unfinished -= 1;
        }
    }
}
