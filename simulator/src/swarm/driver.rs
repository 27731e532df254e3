//! The contract between nodes and their driver: inputs in, outputs carried out.

use std::net::SocketAddr;

use torrentlab_engine::node::{DialFailure, Disconnect, Input, Output};
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{Block, ConnId, PieceIndex};
use torrentlab_engine::wire::Message;

use super::tracker::Trip;
use super::{Event, Swarm};
use crate::fault::is_dead;
use crate::ledger::Fact;
use crate::link::{End, NetEvent, Notice};

impl Swarm<'_> {
    pub(super) fn on_net(&mut self, event: NetEvent) {
        let mut notices = std::mem::take(&mut self.notices);
        self.net.handle(self.now, event, &mut self.queue, &mut notices);
        for notice in notices.drain(..) {
            self.on_notice(notice);
            self.drain_inbox();
        }
        self.notices = notices;
    }

    pub(super) fn drain_inbox(&mut self) {
        while let Some((host, input)) = self.inbox.pop_front() {
            self.deliver(host, input);
        }
    }

    pub(super) fn on_timer(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        if state.timer != self.now {
            return;
        }
        state.timer = Instant::NEVER;
        match state.node.as_ref().and_then(|node| node.poll_timeout()) {
            Some(due) if due <= self.now => self.deliver(host, Input::Timeout),
            _ => self.plan_timer(host),
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Messages { host, conn, peer, mut parcel } => {
                while let Some(message) = self.net.take(&mut parcel) {
                    if self.net.is_wanted(conn, &parcel) {
                        self.note_message(host, conn, peer, &message);
                        self.deliver(host, Input::Message { conn, message });
                        self.drain_inbox();
                    }
                }
            }
            Notice::Room { host, conn, bytes } => {
                if self.net.is_open(host, conn) {
                    self.deliver(host, Input::Writable { conn, bytes });
                }
            }
            Notice::Connected { host, conn, peer, outgoing } => {
                if self.net.is_open(host, conn) {
                    self.connected(host, conn, peer, outgoing);
                }
            }
            Notice::DialFailed { host, peer, answered } => {
                let why = if answered { DialFailure::Refused } else { DialFailure::TimedOut };
                self.deliver(host, Input::DialFailed { addr: self.addr(peer), why });
            }
            Notice::Closed { host, conn, how } => {
                self.note(host, &Fact::Closed { conn });
                let why = match how {
                    End::Close => Disconnect::Remote,
                    End::Reset => Disconnect::Reset,
                };
                self.deliver(host, Input::Closed { conn, why });
            }
        }
    }

    fn connected(&mut self, host: u32, conn: ConnId, peer: u32, outgoing: bool) {
        self.note(host, &Fact::Connected { conn, peer });
        let mut addr = self.addr(peer);
        if !outgoing {
            // The other side's end has a port of its own, not the one that it listens at.
            addr.set_port(49_152 + (conn.slot() as u16 & 0x3fff));
        }
        let room = self.net.socket_buffer(host);
        self.deliver(host, Input::Connected { conn, addr, outgoing, room });
    }

    /// Enters into the account what a message tells, before its receiver has it.
    fn note_message(&mut self, host: u32, conn: ConnId, peer: u32, message: &Message) {
        match message {
            Message::Piece { block, payload } => {
                let content = &self.config.content;
                let block = content.geometry().holds(*block).then_some(*block);
                let duplicate =
                    block.is_some_and(|block| self.hosts[host as usize].storage.holds(content, block));
                self.note(host, &Fact::BlockReceived { conn, block, bytes: payload.len(), duplicate });
                self.leave_if_served(peer);
            }
            Message::Unchoke => self.note(host, &Fact::Unchoked { conn }),
            Message::Choke => self.note(host, &Fact::Choked { conn }),
            _ => (),
        }
    }

    pub(super) fn note(&mut self, host: u32, fact: &Fact) {
        let have = self.hosts[host as usize].storage.have();
        self.ledger.note(self.now, host, have, fact);
    }

    /// Gives an input to a host's node and carries out what it wants.
    pub(super) fn deliver(&mut self, host: u32, input: Input) {
        let Some(node) = self.hosts[host as usize].node.as_mut() else { return };
        self.trace.input(self.now, host, &input);
        if let Err(misuse) = node.handle(self.now, input, &mut self.outbox) {
            panic!("the driver broke the contract with host {host}: {misuse}");
        }
        if !self.outbox.is_empty() {
            self.carry_out_outbox(host);
        }
        self.plan_timer(host);
    }

    fn carry_out_outbox(&mut self, host: u32) {
        let mut outputs = std::mem::take(&mut self.outputs);
        self.outbox.take(&mut outputs);
        for output in outputs.drain(..) {
            self.on_output(host, output);
        }
        self.outputs = outputs;
        self.outbox.clear();
        self.net.flush(self.now, host, &mut self.queue);
    }

    pub(super) fn plan_timer(&mut self, host: u32) {
        let state = &mut self.hosts[host as usize];
        if let Some(due) = state.node.as_ref().and_then(|node| node.poll_timeout()) {
            let due = due.max(self.now);
            if due < state.timer {
                state.timer = due;
                self.queue.push(due, Event::Timer(host));
            }
        }
    }

    fn on_output(&mut self, host: u32, output: Output) {
        match &output {
            Output::Broadcast { targets, .. } => {
                self.trace.output(self.now, host, &output, self.outbox.targets(targets.clone()));
            }
            _ => self.trace.output(self.now, host, &output, &[]),
        }
        let output = match &self.hosts[host as usize].disk {
            None => output,
            Some(_) => match self.by_disk(host, output) {
                Some(rest) => rest,
                None => return,
            },
        };
        match output {
            Output::Send { conn, message } => self.say(host, conn, message),
            Output::Broadcast { piece, targets } => {
                for &conn in self.outbox.targets(targets) {
                    let message = Message::Have(piece);
                    let bytes = message.wire_len();
                    self.net.send(host, conn, message, bytes, 0);
                }
            }
            Output::SendBlock { conn, block } => self.send_block(host, conn, block),
            Output::CancelBlock { conn, block, reject } => {
                let is_it = |message: &Message| matches!(message, Message::Piece { block: other, .. } if *other == block);
                if let Some(bytes) = self.net.cancel(host, conn, is_it) {
                    self.inbox.push_back((host, Input::Writable { conn, bytes }));
                    if reject {
                        let message = Message::Reject(block);
                        let bytes = message.wire_len();
                        self.net.send(host, conn, message, bytes, 0);
                    }
                }
            }
            Output::Dial(addr) => self.dial(host, addr),
            Output::Close { conn, .. } => {
                if self.net.is_open(host, conn) {
                    self.note(host, &Fact::Closed { conn });
                    self.net.close(self.now, host, conn, &mut self.queue);
                }
            }
            Output::Announce(announce) => self.announce(host, announce),
            Output::WriteBlock { block, payload } => {
                self.hosts[host as usize].storage.write(&self.config.content, block, payload);
            }
            Output::CheckPiece { piece, digests } => self.check(host, piece, digests),
            Output::Event(_) => (),
        }
    }

    /// Sends a message, which is not a block.
    pub(super) fn say(&mut self, host: u32, conn: ConnId, message: Message) {
        match message {
            Message::Request(_) => self.note(host, &Fact::Requested),
            Message::Interested if self.net.is_open(host, conn) => {
                self.note(host, &Fact::Interested { conn });
            }
            Message::NotInterested if self.net.is_open(host, conn) => {
                self.note(host, &Fact::NotInterested { conn });
            }
            _ => {}
        }
        let bytes = message.wire_len();
        self.net.send(host, conn, message, bytes, 0);
    }

    pub(super) fn send_block(&mut self, host: u32, conn: ConnId, block: Block) {
        if !self.net.is_open(host, conn) {
            return;
        }
        let state = &mut self.hosts[host as usize];
        let mut payload = state.storage.read(&self.config.content, block);
        if let Some(pollution) = &mut state.pollution {
            payload = pollution.apply(block.piece, payload);
        }
        let message = Message::Piece { block, payload };
        let bytes = message.wire_len();
        self.net.send(host, conn, message, bytes, bytes);
    }

    pub(super) fn check(&mut self, host: u32, piece: PieceIndex, digests: bool) {
        let content = &self.config.content;
        let bytes = content.geometry().len_of(piece);
        let (ok, digests) = self.hosts[host as usize].storage.check(content, piece, digests);
        self.note(host, &if ok { Fact::Verified { piece } } else { Fact::Failed { piece, bytes } });
        self.inbox.push_back((host, Input::PieceChecked { piece, ok, digests }));
        if self.hosts[host as usize].storage.have().is_full() {
            self.completed(host);
        }
    }

    fn dial(&mut self, host: u32, addr: SocketAddr) {
        match self.host_at(addr) {
            Some((peer, true)) if !self.may_connect(host, peer) => self.dial_nobody(host, addr),
            Some((peer, true)) if !self.faults.is_behind_nat(peer) => {
                let latency = self.latency(host, peer);
                self.net.dial(self.now, host, peer, latency, &mut self.queue);
            }
            Some(_) => self.dial_silence(host, addr),
            None if is_dead(addr) => self.dial_silence(host, addr),
            None => self.dial_nobody(host, addr),
        }
    }

    /// Whether the classes of both allow it.
    fn may_connect(&self, host: u32, peer: u32) -> bool {
        let (from, to) = (self.class(host), self.class(peer));
        (!from.seeds_only || to.serving) && (!to.seeds_only || from.serving)
    }

    /// One-way latency between two hosts: the same in both directions, and in each run.
    fn latency(&self, one: u32, other: u32) -> Duration {
        let between = self.config.latency_between(one, other);
        self.hosts[one as usize].latency + self.hosts[other as usize].latency + between
    }

    /// A dial to where nobody listens: refused by the way.
    fn dial_nobody(&mut self, host: u32, addr: SocketAddr) {
        let latency = self.hosts[host as usize].latency * 2;
        self.dial_fails(host, addr, latency, DialFailure::Unreachable);
    }

    /// A dial that nobody answers.
    fn dial_silence(&mut self, host: u32, addr: SocketAddr) {
        let timeout = self.net.dial_timeout(host);
        self.dial_fails(host, addr, timeout, DialFailure::TimedOut);
    }

    fn dial_fails(&mut self, host: u32, addr: SocketAddr, after: Duration, why: DialFailure) {
        let id = self.tracker.remember(Trip::Dial { host, addr, why });
        self.queue.push(self.now + after, Event::Trip(id));
    }
}
