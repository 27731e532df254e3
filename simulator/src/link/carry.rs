//! How chunks travel: from the socket buffer over both links to the receiver, and the window's bytes back.

use torrentlab_engine::time::Instant;

use super::flow::{Chunk, End, State};
use super::{NetEvent, Network, Notice, Presence};
use crate::queue::Queue;

impl<M> Network<M> {
    /// Cuts all that waits in a flow as one chunk that leaves at once, and charges the uplink for it; `None` where it
    /// is more than a segment, a window is in the way, or a sender waits for the room.
    pub(super) fn cut_small(&mut self, now: Instant, index: u32) -> Option<u32> {
        let mss = self.tcp.mss;
        let flow = &mut self.flows[index as usize];
        if flow.waiting_bytes > mss || flow.head_sent > 0 {
            return None;
        }
        flow.reap(now, &mut self.chunks);
        if flow.waiting_bytes > flow.cwnd.saturating_sub(flow.in_flight) || flow.owes_room(&self.messages) {
            return None;
        }
        let chunk = flow.cut(index, now, mss, &mut self.messages)?;
        flow.state = State::Idle;
        let wire = chunk.bytes + self.tcp.header;
        let from = self.sender(index);
        self.hosts[from as usize].uplink.charge(now, wire);
        Some(self.chunks.insert(Chunk { wire, ..chunk }))
    }

    /// Puts a flow's next chunk on the uplink, if something waits and the window lets it go.
    pub(super) fn start<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        let from = self.sender(index);
        let flow = &mut self.flows[index as usize];
        flow.reap(now, &mut self.chunks);
        flow.state = State::Idle;
        if flow.waiting.is_empty() {
            return;
        }
        let Some(chunk) = flow.cut(index, now, self.tcp.mss, &mut self.messages) else {
            flow.state = State::Window;
            return self.await_credit(index, queue);
        };
        let wire = chunk.bytes + chunk.bytes.div_ceil(self.tcp.mss) * self.tcp.header;
        flow.state = State::Serving;
        flow.chunk = self.chunks.insert(Chunk { wire, ..chunk });
        self.hosts[from as usize].uplink.start(now, index, wire);
    }

    /// Plans the next wake-up of a host's uplink.
    pub(super) fn plan<E: Copy + From<NetEvent>>(&mut self, host: u32, queue: &mut Queue<E>) {
        if let Some(at) = self.hosts[host as usize].uplink.plan() {
            queue.push(at, NetEvent::Uplink(host).into());
        }
    }

    pub(super) fn uplink_wakes<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        host: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice<M>>,
    ) {
        if !self.hosts[host as usize].uplink.wakes(now) {
            return;
        }
        while let Some(flow) = self.hosts[host as usize].uplink.depart(now) {
            self.departed(now, host, flow, queue, notices);
        }
        self.plan(host, queue);
    }

    /// A chunk has left its uplink: it sets out, or waits until there is room for it at the receiver.
    fn departed<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        host: u32,
        index: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice<M>>,
    ) {
        let flow = &mut self.flows[index as usize];
        let chunk = self.chunks.get(flow.chunk);
        if chunk.room > 0 {
            notices.push(Notice::Room { host, conn: flow.conn, bytes: chunk.room });
        }
        let downlink = &mut self.hosts[flow.to as usize].downlink;
        if downlink.has_queue() || !downlink.admits(chunk.wire, flow.room) {
            flow.state = State::Room;
            downlink.wait(index);
        } else {
            let (id, began) = (flow.chunk, chunk.at);
            let lands = self.set_out(now, id, began);
            queue.push(lands, NetEvent::Landed(id).into());
            self.start(now, index, queue);
        }
    }

    /// A chunk is on its way, the last of it from `now` on, the first since `began`: when it lands, which is when its
    /// last segment can be through the downlink at the soonest.
    pub(super) fn set_out(&mut self, now: Instant, id: u32, began: Instant) -> Instant {
        let chunk = self.chunks.get_mut(id);
        let index = chunk.flow;
        let from = self.flows[index as usize ^ 1].to;
        let jitter = self.hosts[from as usize].jitter();
        let flow = &mut self.flows[index as usize];
        let downlink = &mut self.hosts[flow.to as usize].downlink;
        let late = flow.latency + jitter;
        let tail = downlink.time_of(chunk.wire.min(self.tcp.mss + self.tcp.header));
        downlink.set_out(chunk.wire);
        chunk.at = began + late;
        flow.lands = flow.lands.max(now + late + tail);
        self.totals.sent += u64::from(chunk.bytes);
        self.totals.in_transit += u64::from(chunk.bytes);
        self.pending[index as usize / 2] += 1;
        flow.lands
    }

    pub(super) fn landed<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice<M>>,
    ) {
        let mut next = Some(id);
        while let Some(id) = next {
            let chunk = self.chunks.get_mut(id);
            next = chunk.also.take();
            let to = self.flows[chunk.flow as usize].to;
            match self.hosts[to as usize].downlink.land(now, chunk.at, chunk.wire) {
                Some(at) => queue.push(at, NetEvent::Through(id).into()),
                None => self.through(now, id, queue, notices),
            }
        }
    }

    /// A chunk is through the downlink.
    pub(super) fn through<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice<M>>,
    ) {
        let &Chunk { flow: index, wire, bytes, messages, end, .. } = self.chunks.get(id);
        let to = self.flows[index as usize].to;
        let back = &self.flows[index as usize ^ 1];
        let (open, conn, peer) = (back.open, back.conn, back.to);
        self.hosts[to as usize].downlink.drained(wire);
        self.totals.in_transit -= u64::from(bytes);
        for _ in 0..messages {
            let sent = &mut self.flows[index as usize].sent;
            let queued = sent.pop(&mut self.messages).expect("a chunk's messages were sent");
            if open {
                notices.push(Notice::Message { host: to, conn, peer, message: queued.message });
            }
        }
        if open {
            self.totals.delivered += u64::from(bytes);
            self.acknowledge(now, id, queue);
        } else {
            self.totals.lost += u64::from(bytes);
            self.chunks.remove(id);
        }
        if let (true, Some(how)) = (open, end) {
            self.end(now, index ^ 1, None, queue);
            notices.push(Notice::Closed { host: to, conn, how });
        }
        self.admit(now, to, queue);
        self.release(index);
    }

    /// The receiver's system acknowledges a chunk; one latency later its bytes are the window's again.
    fn acknowledge<E: Copy + From<NetEvent>>(&mut self, now: Instant, id: u32, queue: &mut Queue<E>) {
        let (tcp, chunk) = (self.tcp, self.chunks.get_mut(id));
        let index = chunk.flow;
        let flow = &mut self.flows[index as usize];
        let receiver = &mut self.hosts[flow.to as usize];
        receiver.downlink.received_bytes += u64::from(chunk.wire);
        flow.unacked += chunk.bytes.div_ceil(tcp.mss);
        if let Some(acks) = flow.unacked.checked_div(tcp.segments_per_ack) {
            receiver.uplink.charge(now, acks * tcp.header);
            flow.unacked -= acks * tcp.segments_per_ack;
        }
        chunk.at = now + flow.latency;
        chunk.wire = 0;
        let first = flow.credits.is_empty();
        flow.credits.push_slot(&mut self.chunks, id);
        if first && flow.state == State::Window {
            self.await_credit(index, queue);
        }
    }

    /// Has a flow that its window stops told when the next acknowledgement is back. If none is on its way yet, that
    /// is done when one sets out.
    fn await_credit<E: Copy + From<NetEvent>>(&mut self, index: u32, queue: &mut Queue<E>) {
        let flow = &self.flows[index as usize];
        if let Some(credit) = flow.credits.front(&self.chunks) {
            queue.push(credit.at, NetEvent::Credit(index).into());
            self.pending[index as usize / 2] += 1;
        }
    }

    pub(super) fn credit<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        queue: &mut Queue<E>,
    ) {
        if self.flows[index as usize].state == State::Window {
            self.start(now, index, queue);
            self.plan(self.sender(index), queue);
        }
        self.pending[index as usize / 2] -= 1;
        self.free_if_done(index);
    }

    /// Lets those go on who wait for room at `host`, as far as there is some, in order.
    pub(super) fn admit<E: Copy + From<NetEvent>>(&mut self, now: Instant, host: u32, queue: &mut Queue<E>) {
        while let Some(index) = self.hosts[host as usize].downlink.first_waiting() {
            let flow = &self.flows[index as usize];
            let id = flow.chunk;
            if !self.hosts[host as usize].downlink.admits(self.chunks.get(id).wire, flow.room) {
                break;
            }
            self.hosts[host as usize].downlink.admit_first();
            let lands = self.set_out(now, id, now);
            queue.push(lands, NetEvent::Landed(id).into());
            self.start(now, index, queue);
            self.plan(self.sender(index), queue);
        }
    }

    /// An event that named the connection of `flow` has come.
    fn release(&mut self, flow: u32) {
        self.pending[flow as usize / 2] -= 1;
        self.free_if_done(flow);
    }

    /// The host that sends on `flow`.
    pub(super) fn sender(&self, flow: u32) -> u32 {
        self.flows[flow as usize ^ 1].to
    }

    /// Whether the host takes part.
    pub(super) fn is_up(&self, host: u32) -> bool {
        self.hosts[host as usize].presence == Presence::Up
    }

    /// Sends word that the sender's end of a flow is closed, behind everything that is on its way.
    pub(super) fn send_end<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        how: End,
        queue: &mut Queue<E>,
    ) {
        let from = self.sender(index);
        let wire = self.tcp.header;
        let uplink = &mut self.hosts[from as usize].uplink;
        uplink.charge(now, wire);
        let leaves = uplink.small_leaves(now, wire);
        let id = self.chunks.insert(Chunk { end: Some(how), wire, ..Chunk::new(index, leaves) });
        let lands = self.set_out(leaves, id, leaves);
        queue.push(lands, NetEvent::Landed(id).into());
    }
}
