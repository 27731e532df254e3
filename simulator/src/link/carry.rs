//! How chunks travel: from the socket buffer over both links to the receiver, and the window's bytes back.

use torrentlab_engine::time::{Duration, Instant};

use super::flow::{Chunk, End, Flow, Kind, State};
use super::{NONE, NetEvent, Network, Notice, Parcel, Presence, Tcp};
use crate::queue::Queue;

impl<M> Network<M> {
    /// Cuts all that waits in a fresh flow as one chunk that leaves at once. What is more than a segment, or makes room
    /// for a sender, takes its turn on the uplink; then there is no such chunk.
    pub(super) fn cut_small<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        index: u32,
        queue: &mut Queue<E>,
    ) -> Option<u32> {
        let Tcp { mss, header, .. } = self.tcp;
        let flow = &mut self.flows[index as usize];
        if flow.state != State::Fresh {
            return None;
        }
        if flow.waiting_bytes > mss || flow.waiting_room > 0 || flow.head_sent > 0 || flow.stopped {
            self.start(now, index, queue);
            return None;
        }
        flow.state = State::Idle;
        if flow.waiting.is_empty() {
            return None;
        }
        let chunk = flow.cut_small(index, now, header);
        Some(self.chunks.insert(chunk))
    }

    /// Puts a flow's next chunk on the uplink, if something waits and the window lets it go.
    pub(super) fn start<E: Copy + From<NetEvent>>(&mut self, now: Instant, index: u32, queue: &mut Queue<E>) {
        let from = self.sender(index);
        let flow = &mut self.flows[index as usize];
        if flow.stopped {
            return self.wait_for_path(now, index);
        }
        flow.reap(now, &mut self.chunks);
        flow.state = State::Idle;
        if flow.waiting.is_empty() {
            return;
        }
        let Some(chunk) = flow.cut(index, now, self.tcp.mss, &mut self.messages) else {
            flow.state = State::Window;
            return self.await_credit(index, queue);
        };
        let wire = chunk.bytes + segments(chunk.bytes, self.tcp.mss) * self.tcp.header;
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
        notices: &mut Vec<Notice>,
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
        notices: &mut Vec<Notice>,
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
            let lands = self.set_out(now, host, id, began);
            queue.push(lands, NetEvent::Landed(id).into());
            self.start(now, index, queue);
        }
    }

    /// A chunk is on its way, the last of it from `now` on, the first since `began`: when it lands, which is when its
    /// last segment can be through the downlink at the soonest.
    pub(super) fn set_out(&mut self, now: Instant, from: u32, id: u32, began: Instant) -> Instant {
        let chunk = self.chunks.get_mut(id);
        let jitter = self.hosts[from as usize].jitter();
        let flow = &mut self.flows[chunk.flow as usize];
        let late = flow.latency + jitter;
        let tail = match chunk.kind {
            Kind::Data => {
                let downlink = &mut self.hosts[flow.to as usize].downlink;
                downlink.set_out(chunk.wire);
                downlink.time_of(chunk.wire.min(self.tcp.mss + self.tcp.header))
            }
            // Those of a broadcast land at the same time, whatever the links: as few events as latency allows.
            _ => Duration::ZERO,
        };
        chunk.at = began + late;
        flow.lands = flow.lands.max(now + late + tail);
        flow.pending += 1;
        self.totals.sent += u64::from(chunk.bytes);
        self.totals.in_transit += u64::from(chunk.bytes);
        flow.lands
    }

    pub(super) fn landed<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        queue: &mut Queue<E>,
        notices: &mut Vec<Notice>,
    ) {
        let mut next = id;
        while next != NONE {
            let id = next;
            let chunk = self.chunks.get_mut(id);
            // One that is held lands later, and alone.
            next = std::mem::replace(&mut chunk.also, NONE);
            let Flow { to, stopped, .. } = self.flows[chunk.flow as usize];
            if stopped && self.is_stopped_short(now, id, queue) {
                continue;
            }
            let chunk = self.chunks.get_mut(id);
            let small = matches!(chunk.kind, Kind::Small | Kind::End(_));
            let downlink = &mut self.hosts[to as usize].downlink;
            let (begins, through) = downlink.land(now, chunk.at, id, chunk.wire, small);
            chunk.at = begins;
            match through {
                Some(at) => queue.push(at, NetEvent::Through(to).into()),
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
        notices: &mut Vec<Notice>,
    ) {
        let Flow { lossy, .. } = self.flows[self.chunks.get(id).flow as usize];
        if lossy {
            self.lose_segments(now, id, queue);
        }
        let chunk = self.chunks.get_mut(id);
        let (index, bytes, wire, kind) = (chunk.flow, chunk.bytes, chunk.wire, chunk.kind);
        let mut messages = std::mem::take(&mut chunk.messages);
        let [flow, back] = both(&mut self.flows, index);
        let (to, conn, peer, open, way_back) = (flow.to, back.conn, back.to, back.open, back.latency);
        let receiver = &mut self.hosts[to as usize];
        self.totals.in_transit -= u64::from(bytes);
        if kind == Kind::Data {
            receiver.downlink.drained(wire);
        }
        if open {
            self.totals.delivered += u64::from(bytes);
            receiver.downlink.received_bytes += u64::from(wire);
            flow.unacked += segments(bytes, self.tcp.mss);
            receiver.uplink.charge(now, self.tcp.acknowledge(&mut flow.unacked));
            if !messages.is_empty() {
                let parcel = Parcel { messages, back: index ^ 1 };
                notices.push(Notice::Messages { host: to, conn, peer, parcel });
            }
        } else {
            self.totals.lost += u64::from(bytes);
            messages.clear(&mut self.messages);
            self.came_for_silent(now, index ^ 1, queue);
        }
        match kind {
            Kind::Data if open => self.send_credit(now, id, way_back, queue),
            _ => _ = self.chunks.remove(id),
        }
        if let (true, Kind::End(how)) = (open, kind) {
            self.end_told(now, index, how, queue, notices);
        }
        if kind == Kind::Data {
            self.admit(now, to, queue);
        }
        self.release(index);
    }

    /// One latency later the bytes of a chunk are the window's again: all at once, when the first acknowledgement is
    /// back, but no sooner than the sender's uplink can send as many without being ahead of those that follow.
    fn send_credit<E: Copy + From<NetEvent>>(
        &mut self,
        now: Instant,
        id: u32,
        way_back: Duration,
        queue: &mut Queue<E>,
    ) {
        let spread = self.spread(now, id);
        let chunk = self.chunks.get_mut(id);
        let index = chunk.flow;
        let flow = &mut self.flows[index as usize];
        chunk.at = (now + way_back - spread).max(now);
        chunk.kind = Kind::Credit;
        let first = flow.credits.is_empty();
        flow.credits.push_slot(&mut self.chunks, id);
        if first && flow.state == State::Window {
            self.await_credit(index, queue);
        }
    }

    /// The time from the first acknowledgement of a chunk to the last, or what the flow, in turn with others, needs on
    /// its uplink for what the last ones answer, if that is less.
    fn spread(&self, now: Instant, id: u32) -> Duration {
        let chunk = self.chunks.get(id);
        let Tcp { mss, header, segments_per_ack, .. } = self.tcp;
        let first = chunk.wire.min(segments_per_ack.max(1) * (mss + header));
        let (sender, receiver) = (self.sender(chunk.flow), self.flows[chunk.flow as usize].to);
        let rest = self.hosts[sender as usize].uplink.time_in_turn(chunk.flow, chunk.wire - first);
        let taken = now.since(chunk.at);
        rest.min(taken.saturating_sub(self.hosts[receiver as usize].downlink.time_of(first)))
    }

    /// Has a flow that its window stops told when the next acknowledgement is back. If none is on its way yet, that
    /// is done when one sets out.
    fn await_credit<E: Copy + From<NetEvent>>(&mut self, index: u32, queue: &mut Queue<E>) {
        let flow = &self.flows[index as usize];
        if let Some(credit) = flow.credits.front(&self.chunks) {
            queue.push(credit.at, NetEvent::Credit(index).into());
            self.flows[index as usize].pending += 1;
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
        self.flows[index as usize].pending -= 1;
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
            let lands = self.set_out(now, self.sender(index), id, now);
            queue.push(lands, NetEvent::Landed(id).into());
            self.start(now, index, queue);
            self.plan(self.sender(index), queue);
        }
    }

    /// An event that named the connection of `flow` has come.
    pub(super) fn release(&mut self, flow: u32) {
        self.flows[flow as usize].pending -= 1;
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
        self.set_out_end(leaves, index, how, queue);
    }

    /// Word that the sender's end of a flow is closed leaves at `leaves`.
    pub(super) fn set_out_end<E: Copy + From<NetEvent>>(
        &mut self,
        leaves: Instant,
        index: u32,
        how: End,
        queue: &mut Queue<E>,
    ) {
        let (from, wire) = (self.sender(index), self.tcp.header);
        let id = self.chunks.insert(Chunk { kind: Kind::End(how), wire, ..Chunk::new(index, leaves) });
        let lands = self.set_out(leaves, from, id, leaves);
        queue.push(lands, NetEvent::Landed(id).into());
    }
}

/// A flow and the one that leads back.
fn both(flows: &mut [Flow], index: u32) -> [&mut Flow; 2] {
    let [one, other] = &mut flows.as_chunks_mut().0[index as usize / 2];
    if index.is_multiple_of(2) { [one, other] } else { [other, one] }
}

/// Segments that carry `bytes`.
fn segments(bytes: u32, mss: u32) -> u32 {
    // Most chunks are small, and a division is dear.
    if bytes <= mss { 1 } else { bytes.div_ceil(mss) }
}
