//! Packets that are lost at random: what that does to a flow's window, and to the delivery of its messages.
//!
//! **The window** is held at the mean that CUBIC's congestion avoidance keeps where packets are lost with probability
//! `p` (RFC 9438, section 5.1; with C = 0.4 and beta = 0.7): in segments the larger of
//! `(C (3 + beta) / (4 (1 - beta)))^(1/4) · (RTT / p)^(3/4)` and, in the Reno-friendly region, `sqrt(3 / (2 p))`. It takes
//! part in all else as every window does: a flow gets the lesser of window / RTT and its share of the links.
//!
//! **A segment that is lost** arrives when it has been sent again, and all that comes behind it in its connection waits
//! in the receiver's memory until then (it is acknowledged selectively, RFC 2018, and the window goes on). "The TCP
//! sender SHOULD use the "fast retransmit" algorithm ... based on incoming duplicate ACKs ... The arrival of 3 duplicate
//! ACKs" (RFC 5681, 3.2): one round trip later. Where fewer than three segments come behind it, and whenever what is sent
//! again is lost again, the retransmission time-out has to pass. What is sent again costs both links its bytes.

use torrentlab_engine::time::{Duration, Instant};

use super::flow::{Chunk, End, Kind, State};
use super::{Fifo, NetEvent, Network, Notice, Parcel};
use crate::paths::retransmission_timeout;
use crate::queue::Queue;

/// Times that TCP sends a segment again at most: Linux's `tcp_retries2`.
const RETRIES: u32 = 15;

/// What is known of a flow that packets get lost of.
#[derive(Debug)]
pub struct Loss {
    /// The chance that a segment is lost.
    chance: f64,
    /// When all that was lost so far has arrived.
    whole_at: Instant,
    /// Messages, and the end of the sender's end, that wait for that.
    late: Fifo,
}

/// Segments that CUBIC has in flight on average where one in `1 / loss` is lost and round trips take `rtt`.
pub fn window(loss: f64, rtt: Duration) -> f64 {
    const C: f64 = 0.4;
    const BETA: f64 = 0.7;
    let cubic =
        libm::pow(C * (3.0 + BETA) / (4.0 * (1.0 - BETA)), 0.25) * libm::pow(rtt.as_secs_f64() / loss, 0.75);
    cubic.max(libm::sqrt(1.5 / loss))
}

impl<M> Network<M> {
    /// Sees to what is lost of a flow from now on: when it begins, or when something changes that it depends on.
    pub(super) fn set_loss(&mut self, index: u32) {
        let (from, to) = (self.sender(index), self.flows[index as usize].to);
        let kept = |ppm: u32| 1.0 - f64::from(ppm) / 1e6;
        let [at_sender, at_receiver] = [from, to].map(|host| kept(self.hosts[host as usize].links.loss));
        let chance = 1.0 - at_sender * at_receiver * self.paths.path(from, to).kept;
        let rtt = self.rtt(index);
        let flow = &mut self.flows[index as usize];
        flow.window = self.hosts[to as usize].links.window.max(self.tcp.mss);
        if chance > 0.0 {
            let bytes = window(chance, rtt) * f64::from(self.tcp.mss);
            // A cast saturates.
            flow.window = flow.window.min(bytes as u32).max(self.tcp.mss);
            flow.cwnd = flow.cwnd.min(flow.window);
            flow.lossy = true;
            let fresh = || Loss { chance, whole_at: Instant::ZERO, late: Fifo::default() };
            self.losses.entry(index).or_insert_with(fresh);
        }
        if let Some(loss) = self.losses.get_mut(&index) {
            loss.chance = chance;
        }
    }

    /// A chunk of a lossy flow is through the downlink: decides what of it was lost on the way, and keeps its messages
    /// and its end until that and all before is there.
    pub(super) fn lose_segments<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        queue: &mut Queue<E>,
    ) {
        let &Chunk { flow: index, bytes, .. } = self.chunks.get(id);
        let segments = bytes.div_ceil(self.tcp.mss).max(1);
        let (late, again) = self.draw_losses(now, index, segments);
        let (from, to) = (self.sender(index), self.flows[index as usize].to);
        let chunk = self.chunks.get_mut(id);
        let cost = again * (chunk.wire / segments);
        let loss = self.losses.get_mut(&index).expect("it is lossy");
        loss.whole_at = loss.whole_at.max(now + late);
        let (at, kind) = (loss.whole_at.max(now), chunk.kind);
        let ends = matches!(kind, Kind::End(_));
        if (at > now || !loss.late.is_empty()) && (ends || !chunk.messages.is_empty()) {
            let messages = std::mem::take(&mut chunk.messages);
            if ends {
                chunk.kind = Kind::Small;
            }
            loss.late.push(&mut self.chunks, Chunk { messages, kind, ..Chunk::new(index, at) });
            self.flows[index as usize].pending += 1;
            queue.push(at, NetEvent::Whole(index).into());
        }
        if cost > 0 {
            self.hosts[from as usize].uplink.charge(now, cost);
            self.hosts[to as usize].downlink.take(now, cost);
        }
    }

    /// How much later the last of a chunk's segments arrives because some were lost, and how many were sent again.
    fn draw_losses(&mut self, now: Instant, index: u32, segments: u32) -> (Duration, u32) {
        let (from, rtt, chance) = (self.sender(index), self.rtt(index), self.losses[&index].chance);
        if chance == 0.0 {
            return (Duration::ZERO, 0);
        }
        let flow = &self.flows[index as usize];
        let follows = flow.lands > now || !matches!(flow.state, State::Idle | State::Fresh);
        let dice = &mut self.hosts[from as usize].links.dice;
        let (mut late, mut again) = (Duration::ZERO, 0);
        for behind in (0..segments).rev() {
            if dice.unit() >= chance {
                continue;
            }
            let mut timeout = retransmission_timeout(rtt);
            let mut delay = if follows || behind >= 3 { rtt } else { timeout };
            again += 1;
            for _ in 1..RETRIES {
                if dice.unit() >= chance {
                    break;
                }
                delay += timeout;
                timeout = timeout * 2;
                again += 1;
            }
            late = if delay > late { delay } else { late };
        }
        (late, again)
    }

    /// What waited for lost segments is whole.
    pub(super) fn whole<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice>,
    ) {
        let loss = self.losses.get_mut(&index).expect("it is lossy");
        let mut kept = loss.late.pop(&mut self.chunks).expect("each has an event");
        let back = &self.flows[index as usize ^ 1];
        let (host, conn, peer) = (self.flows[index as usize].to, back.conn, back.to);
        if !back.open {
            kept.messages.clear(&mut self.messages);
        } else if !kept.messages.is_empty() {
            let parcel = Parcel { messages: kept.messages, back: index ^ 1 };
            notices.push(Notice::Messages { host, conn, peer, parcel });
        }
        if let (true, Kind::End(how)) = (self.flows[index as usize ^ 1].open, kept.kind) {
            self.end_told(now, index, how, queue, notices);
        }
        self.release(index);
    }

    /// The receiver learns of the end of the sender's end.
    pub(super) fn end_told<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        how: End,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice>,
    ) {
        let back = &self.flows[index as usize ^ 1];
        let (host, conn) = (self.flows[index as usize].to, back.conn);
        self.end(now, index ^ 1, None, queue);
        notices.push(Notice::Closed { host, conn, how });
    }
}
