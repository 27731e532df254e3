//! Hosts whose disk takes time, or may fail. A host without a disk of its own never comes here: what it stores is
//! there at once.
//!
//! It is what the engine's driver on real disks does (`engine::net`): writes and checks in order, a piece hashed as it
//! is written and only the rest read back, a block that keeps its place among a connection's messages while it is
//! read, and a look every [`PROBE_EVERY`] whether storage that failed works again. Not modelled: that the driver reads
//! from no socket while 8 MiB wait to be written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use torrentlab_engine::dice::Dice;
use torrentlab_engine::node::{Input, Output, PROBE_EVERY, StorageOp};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{Block, ConnId, PieceIndex};
use torrentlab_engine::wire::{Message, Payload};

use super::{Event, Swarm};
use crate::disk::{Disk, DiskConfig, DiskError};
use crate::ledger::Fact;

/// A disk, and what waits for it.
#[derive(Debug)]
pub(super) struct HostDisk {
    pub(super) disk: Disk,
    /// In order, with when they are through.
    under_way: VecDeque<(Instant, Op)>,
    /// What is to be sent on connections that wait for a block to be read, in order.
    lanes: BTreeMap<ConnId, VecDeque<Waiting>>,
    /// Bytes of pieces under way that were hashed as they were written.
    hashed: BTreeMap<PieceIndex, u32>,
    /// Pieces of which a write failed.
    unwritten: BTreeSet<PieceIndex>,
    /// What failed last, and when to see whether it works again.
    failed: Option<(StorageOp, Instant)>,
    /// Everything is to be checked when the host comes back.
    recheck: bool,
}

#[derive(Debug)]
enum Op {
    Write { block: Block, payload: Payload, result: Result<(), DiskError> },
    Check { piece: PieceIndex, digests: bool, result: Result<(), DiskError> },
    Read { conn: ConnId, block: Block, result: Result<(), DiskError> },
}

#[derive(Debug)]
enum Waiting {
    Message(Message),
    Block { block: Block, read: bool },
}

impl HostDisk {
    pub(super) fn new(disk: Disk) -> Self {
        Self {
            disk,
            under_way: VecDeque::new(),
            lanes: BTreeMap::new(),
            hashed: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            failed: None,
            recheck: false,
        }
    }

    /// Forgets what was under way: the client has ended.
    fn stop(&mut self) {
        self.under_way.clear();
        self.lanes.clear();
        self.hashed.clear();
        self.unwritten.clear();
        self.failed = None;
    }

    /// Notes what a write does to the hash of its piece.
    fn hash(&mut self, block: Block) {
        let hashed = self.hashed.entry(block.piece).or_default();
        if block.begin < *hashed {
            *hashed = 0;
        }
        if block.begin == *hashed {
            *hashed += block.len;
        }
    }

    /// Keeps `message` behind the blocks that are read for its connection; gives it back if there is none.
    fn hold(&mut self, conn: ConnId, message: Message) -> Option<Message> {
        match self.lanes.get_mut(&conn) {
            Some(lane) => lane.push_back(Waiting::Message(message)),
            None => return Some(message),
        }
        None
    }

    /// Takes a block out of its lane; whether it was there.
    fn drop_block(&mut self, conn: ConnId, block: Block) -> bool {
        let Some(lane) = self.lanes.get_mut(&conn) else { return false };
        let is_it =
            |waiting: &Waiting| matches!(waiting, Waiting::Block { block: other, .. } if *other == block);
        let at = lane.iter().position(is_it);
        at.is_some_and(|at| lane.remove(at).is_some())
    }

    /// The next thing that can be sent on a connection.
    fn next_ready(&mut self, conn: ConnId) -> Option<Waiting> {
        let lane = self.lanes.get_mut(&conn)?;
        let next = lane.pop_front_if(|waiting| !matches!(waiting, Waiting::Block { read: false, .. }));
        if lane.is_empty() {
            self.lanes.remove(&conn);
        }
        next
    }
}

impl Swarm<'_> {
    /// The disk of `host`. One that it has by a fault alone costs nothing.
    pub(super) fn disk(&mut self, host: u32) -> &mut HostDisk {
        let state = &mut self.hosts[host as usize];
        let geometry = self.config.content.geometry();
        state.disk.get_or_insert_with(|| {
            let dice = Dice::stream(self.config.seed, ("host", u64::from(host), "disk"));
            let mut disk = Disk::new(DiskConfig::default(), dice);
            disk.preload(state.storage.have(), geometry);
            Box::new(HostDisk::new(disk))
        })
    }

    /// Has the disk of a host do its part of `output`; what is left to do at once.
    pub(super) fn by_disk(&mut self, host: u32, output: Output) -> Option<Output> {
        let disk = self.disk(host);
        match output {
            Output::Send { conn, message } => {
                let message = disk.hold(conn, message)?;
                return Some(Output::Send { conn, message });
            }
            Output::Broadcast { piece, targets } => {
                for at in targets {
                    let [conn] = *self.outbox.targets(at..at + 1) else { unreachable!("one target") };
                    if let Some(message) = self.disk(host).hold(conn, Message::Have(piece)) {
                        self.say(host, conn, message);
                    }
                }
            }
            Output::SendBlock { conn, block } => self.begin_read(host, conn, block),
            Output::CancelBlock { conn, block, reject } => {
                if !disk.drop_block(conn, block) {
                    return Some(Output::CancelBlock { conn, block, reject });
                }
                self.give_room_back(host, conn, block);
                if reject {
                    let rejected = self.disk(host).hold(conn, Message::Reject(block));
                    rejected.into_iter().for_each(|message| self.say(host, conn, message));
                }
                self.send_ready(host, conn);
            }
            Output::Close { conn, why } => {
                disk.lanes.remove(&conn);
                return Some(Output::Close { conn, why });
            }
            Output::WriteBlock { block, payload } => {
                let offset = self.config.content.geometry().offset_of(block.piece) + u64::from(block.begin);
                let disk = self.disk(host);
                let result = disk.disk.write(offset, u64::from(block.len));
                if result.is_ok() {
                    disk.hash(block);
                }
                self.start_op(host, Op::Write { block, payload, result });
            }
            Output::CheckPiece { piece, digests } => self.begin_check(host, piece, digests),
            other => return Some(other),
        }
        None
    }

    fn start_op(&mut self, host: u32, op: Op) {
        let now = self.now;
        let disk = self.disk(host);
        let done = disk.disk.finish(now);
        disk.under_way.push_back((done, op));
        self.queue.push(done, Event::Disk(host));
    }

    fn begin_read(&mut self, host: u32, conn: ConnId, block: Block) {
        if !self.net.is_open(host, conn) {
            return;
        }
        let offset = self.config.content.geometry().offset_of(block.piece) + u64::from(block.begin);
        let disk = self.disk(host);
        disk.lanes.entry(conn).or_default().push_back(Waiting::Block { block, read: false });
        let result = disk.disk.read(offset, u64::from(block.len));
        self.start_op(host, Op::Read { conn, block, result });
    }

    fn begin_check(&mut self, host: u32, piece: PieceIndex, digests: bool) {
        let geometry = self.config.content.geometry();
        let disk = self.disk(host);
        let upto = disk.hashed.remove(&piece).unwrap_or(0);
        // Digests are taken of what is on disk.
        let from = if digests { 0 } else { upto };
        let len = u64::from(geometry.len_of(piece) - from);
        let offset = geometry.offset_of(piece) + u64::from(from);
        let result = if len > 0 { disk.disk.read(offset, len) } else { Ok(()) };
        self.start_op(host, Op::Check { piece, digests, result });
    }

    /// Something may be through.
    pub(super) fn on_disk(&mut self, host: u32) {
        while let Some((_, op)) = {
            let now = self.now;
            self.disk(host).under_way.pop_front_if(|(done, _)| *done <= now)
        } {
            self.end_op(host, op);
            self.drain_inbox();
        }
        self.probe(host);
        self.net.flush(self.now, host, &mut self.queue);
    }

    fn end_op(&mut self, host: u32, op: Op) {
        match op {
            Op::Write { block, payload, result: Ok(()) } => {
                self.hosts[host as usize].storage.write(&self.config.content, block, payload);
            }
            Op::Write { block, result: Err(why), .. } => {
                self.disk(host).unwritten.insert(block.piece);
                self.storage_failed(host, StorageOp::Write(block), why.to_string());
            }
            Op::Check { piece, digests, result } => {
                if self.disk(host).unwritten.remove(&piece) {
                    let why = format!("piece {piece} was not written whole");
                    self.storage_failed(host, StorageOp::Check(piece), why);
                } else if let Err(why) = result {
                    self.storage_failed(host, StorageOp::Check(piece), why.to_string());
                } else {
                    self.check(host, piece, digests);
                }
            }
            Op::Read { conn, block, result: Ok(()) } => {
                let waiting = self.disk(host).lanes.get_mut(&conn).and_then(|lane| {
                    lane.iter_mut().find_map(|waiting| match waiting {
                        Waiting::Block { block: other, read: read @ false } if *other == block => Some(read),
                        _ => None,
                    })
                });
                if let Some(read) = waiting {
                    *read = true;
                }
                self.send_ready(host, conn);
            }
            Op::Read { conn, block, result: Err(why) } => {
                // Who cancelled it meanwhile has had an answer.
                if self.disk(host).drop_block(conn, block) {
                    self.give_room_back(host, conn, block);
                    let op = StorageOp::Read { conn, block };
                    self.inbox.push_back((host, Input::StorageFailed { op, why: why.to_string() }));
                    self.send_ready(host, conn);
                }
            }
        }
    }

    fn send_ready(&mut self, host: u32, conn: ConnId) {
        while let Some(ready) = self.disk(host).next_ready(conn) {
            match ready {
                Waiting::Message(message) => self.say(host, conn, message),
                Waiting::Block { block, .. } => self.send_block(host, conn, block),
            }
        }
    }

    fn give_room_back(&mut self, host: u32, conn: ConnId, block: Block) {
        let payload = Payload::Synthetic { len: block.len, tag: 0 };
        let bytes = Message::Piece { block, payload }.wire_len();
        self.inbox.push_back((host, Input::Writable { conn, bytes }));
    }

    fn storage_failed(&mut self, host: u32, op: StorageOp, why: String) {
        let again = self.now + PROBE_EVERY;
        let disk = self.disk(host);
        if disk.failed.is_none() {
            disk.failed = Some((op, again));
            self.queue.push(again, Event::Disk(host));
        }
        self.inbox.push_back((host, Input::StorageFailed { op, why }));
    }

    /// Looks whether what failed works again, if it is time and nothing is under way.
    fn probe(&mut self, host: u32) {
        let (now, geometry) = (self.now, self.config.content.geometry());
        let disk = self.disk(host);
        let due = disk.failed.filter(|(_, at)| *at <= now && disk.under_way.is_empty());
        let Some((op, _)) = due else { return };
        let works = match op {
            StorageOp::Write(block) => {
                let offset = geometry.offset_of(block.piece) + u64::from(block.begin);
                disk.disk.write(offset, u64::from(block.len))
            }
            StorageOp::Check(piece) | StorageOp::Read { block: Block { piece, .. }, .. } => {
                disk.disk.read(geometry.offset_of(piece), u64::from(geometry.len_of(piece)))
            }
        };
        if works.is_ok() {
            disk.failed = None;
            disk.hashed.clear();
            disk.unwritten.clear();
            self.inbox.push_back((host, Input::StorageRestored));
        } else {
            disk.failed = Some((op, now + PROBE_EVERY));
            self.queue.push(now + PROBE_EVERY, Event::Disk(host));
        }
    }

    /// The client of a host has ended.
    pub(super) fn stop_disk(&mut self, host: u32) {
        if let Some(disk) = &mut self.hosts[host as usize].disk {
            disk.stop();
        }
    }

    /// The power of a host has gone, and its client with it: what was not synced is lost or half written, and all is
    /// checked when it comes back. The pieces that are not right any more count as lost from now on.
    pub(super) fn tear(&mut self, host: u32) {
        let (now, geometry) = (self.now, self.config.content.geometry());
        let disk = self.disk(host);
        disk.recheck = true;
        let torn = disk.disk.power_off(now);
        let state = &mut self.hosts[host as usize];
        for write in torn {
            let piece = PieceIndex((write.offset / u64::from(geometry.piece_len())) as u32);
            state.storage.lose(&self.config.content, piece);
        }
        if !state.storage.have().is_full() {
            self.attendance.wants_again(host);
        }
        self.note(host, &Fact::Lost);
    }

    /// When a host that comes back can start its client, if it has to check everything first.
    pub(super) fn recheck(&mut self, host: u32) -> Option<Instant> {
        let (now, total) = (self.now, self.config.content.geometry().total_len());
        let disk = self.hosts[host as usize].disk.as_mut()?;
        if !std::mem::take(&mut disk.recheck) {
            return None;
        }
        // What cannot be read is not there; finding out costs as much.
        let _ = disk.disk.read(0, total);
        Some(disk.disk.finish(now)).filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::time::Duration;
    use torrentlab_scenarios::load;
    use torrentlab_scenarios::schema::{Departure, Disk as After};

    use super::*;
    use crate::build::{build, synthetic};
    use crate::disk::Failing;
    use crate::registry::Registry;
    use crate::simulation::Simulation;
    use crate::trace::Detail;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    /// A swarm of ten leechers, and how many have everything after an hour. `act` does something to each at 20 s and
    /// again at 60 s.
    fn completed(act: impl Fn(&mut Swarm<'_>, u32, bool)) -> (u32, u32) {
        let sets = ["content.size=4 MiB", "hosts.leecher.count=10", "hosts.leecher.disk={latency=\"2ms\"}"];
        let scenario = load("first-swarm", &sets.map(str::to_owned)).unwrap().scenario;
        let registry = Registry::default();
        let plan = build(&scenario, &registry, synthetic(&scenario).unwrap(), 1, Detail::Hash, None).unwrap();
        let mut swarm = Swarm::new(plan);
        let leechers: Vec<u32> =
            (0..11).filter(|&host| !swarm.hosts[host as usize].storage.have().is_full()).collect();
        let mut before = 0;
        for (until, last) in [(20, false), (60, true)] {
            while swarm.step(at(until)) {}
            before = swarm.ledger.completed;
            leechers.iter().for_each(|&host| act(&mut swarm, host, last));
        }
        while swarm.unfinished() > 0 && swarm.step(at(3600)) {}
        swarm.check_invariants();
        assert_eq!(swarm.corrupt(), 0);
        (
            before,
            leechers.iter().filter(|&&host| swarm.hosts[host as usize].storage.have().is_full()).count()
                as u32,
        )
    }

    #[test]
    fn a_download_goes_on_when_there_is_room_again() {
        let fill = |swarm: &mut Swarm<'_>, host, last: bool| swarm.disk(host).disk.set_full(!last);
        assert_eq!(completed(fill), (0, 10));
    }

    #[test]
    fn without_a_full_disk_they_are_done_by_then_negative() {
        assert_eq!(completed(|_, _, _| ()), (10, 10));
    }

    #[test]
    fn a_seed_that_cannot_read_serves_nothing_and_then_again() {
        let spoil = |swarm: &mut Swarm<'_>, _: u32, last: bool| {
            let total = swarm.config.content.geometry().total_len();
            for host in 0..11 {
                let disk = &mut swarm.disk(host).disk;
                if last { disk.heal_reads() } else { disk.fail_reads(0, total, Failing::UntilWritten) }
            }
        };
        let (before, after) = completed(spoil);
        assert!(before < 10 && after == 10, "{before}, {after}");
    }

    #[test]
    fn who_lost_power_checks_everything_and_fetches_what_is_torn() {
        let lost = std::cell::Cell::new(0);
        let cut = |swarm: &mut Swarm<'_>, host, last: bool| {
            if !last {
                let had = swarm.hosts[host as usize].storage.have().count();
                swarm.take_down(host, Departure::Kill, at(25), After::Torn);
                lost.set(lost.get() + had - swarm.hosts[host as usize].storage.have().count());
            }
        };
        assert_eq!(completed(cut).1, 10);
        assert!(lost.get() > 0, "nothing was torn");
    }
}
