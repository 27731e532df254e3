//! A simulated disk: what an access costs, and what can go wrong. It keeps no bytes, so both backends use the same
//! model: `des` beside the tags of its blocks, `turmoil` in front of a store in memory.
//!
//! One arm serves accesses one after another, in the order in which they come. An access that does not begin where the
//! one before it ended costs a latency (seek and rotation of a hard disk, look-up of a flash one); each costs its
//! bytes at the disk's rate. There is no page cache and no scheduler: what a piece costs to read it costs each time.
//!
//! | fault | |
//! |---|---|
//! | full | a write that needs new room fails, by capacity or while [`Disk::set_full`] says so; what was allocated before can still be written over |
//! | unreadable | a read that touches a stretch of [`Disk::fail_reads`] fails, once or until it is written over |
//! | torn | when the power goes ([`Disk::power_off`]), of each write that was not synced yet all, some or none is there |
//!
//! turmoil's own `unstable-fs` (0.7.2) was looked at and is not used. It stands in for `std::fs`, so the engine would
//! have to be compiled against it; it draws its latency for `tokio::fs` alone, from turmoil's dice, without a rate or
//! a place on the disk; its errors come with a probability, not to a block; writes are synced by a coin, not by age;
//! it keeps all bytes of all hosts, and each write in a list that every read goes through; and `des` could not use it.

use std::collections::VecDeque;

use thiserror::Error;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::dice::Dice;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::Geometry;
use torrentlab_scenarios::Draw;
use torrentlab_scenarios::units::Span;

use crate::churn::draw;

/// The unit in which room is allocated, in bytes.
const CELL: u64 = 16 * 1024;
/// The unit of a write that is whole or not at all, in bytes.
const SECTOR: u64 = 512;
const NANOS_PER_S: u128 = 1_000_000_000;

/// What a disk is like.
#[derive(Clone, PartialEq, Debug)]
pub struct DiskConfig {
    /// Before a read that does not follow upon the access before it.
    pub latency: Draw,
    /// The same before a write.
    pub write_latency: Draw,
    /// Bytes a second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Bytes that it takes in all; `None` is unlimited.
    pub capacity: Option<u64>,
    /// What was written longer ago than this survives a loss of power.
    pub sync_after: Duration,
}

impl Default for DiskConfig {
    /// A disk that costs nothing and takes everything.
    fn default() -> Self {
        let none = Draw::Fixed(Span::ZERO);
        let sync_after = Duration::from_secs(30);
        Self { latency: none, write_latency: none, rate: None, capacity: None, sync_after }
    }
}

/// Why an access failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// No room.
    #[error("no space left on the simulated disk")]
    Full,
    /// A stretch that cannot be read.
    #[error("the simulated disk cannot read a sector")]
    Unreadable,
}

/// How long a stretch stays unreadable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failing {
    /// For one read.
    Once,
    /// Until it is written over, as a disk then puts a good sector in its place.
    UntilWritten,
}

/// A write of which only the first `kept` bytes are there after the power went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// Where it began, in bytes of the content.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
    /// How many of them are there; 0 when the write is lost.
    pub kept: u64,
}

/// The disk of one host. [`Disk::read`] and [`Disk::write`] add up what accesses cost; [`Disk::finish`] says when they
/// are through.
#[derive(Clone, Debug)]
pub struct Disk {
    config: DiskConfig,
    dice: Dice,
    /// Where the next access costs no latency.
    head: u64,
    /// The cost of accesses since the last [`Disk::finish`].
    owed: Duration,
    /// When the accesses before that are through.
    free_at: Instant,
    allocated: Vec<bool>,
    used: u64,
    full: bool,
    unreadable: Vec<(u64, u64, Failing)>,
    /// Writes since the last [`Disk::finish`], and those that may be lost, by the time at which they were through.
    fresh: Vec<(u64, u64)>,
    unsynced: VecDeque<(Instant, u64, u64)>,
}

impl Disk {
    /// An empty disk; what is random is drawn from `dice`.
    pub fn new(config: DiskConfig, dice: Dice) -> Self {
        Self {
            config,
            dice,
            head: u64::MAX,
            owed: Duration::ZERO,
            free_at: Instant::ZERO,
            allocated: Vec::new(),
            used: 0,
            full: false,
            unreadable: Vec::new(),
            fresh: Vec::new(),
            unsynced: VecDeque::new(),
        }
    }

    /// Has the pieces `have` be there from the start, at no cost.
    pub fn preload(&mut self, have: &Bitfield, geometry: Geometry) {
        for piece in have.iter() {
            self.allocate(geometry.offset_of(piece), u64::from(geometry.len_of(piece)));
        }
    }

    /// Reads `len` bytes from `offset` on.
    ///
    /// # Errors
    /// [`DiskError::Unreadable`]; finding out costs as much as reading.
    pub fn read(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.access(offset, len, self.config.latency);
        let touched =
            self.unreadable.iter().position(|&(start, end, _)| start < offset + len && offset < end);
        let Some(at) = touched else { return Ok(()) };
        if self.unreadable[at].2 == Failing::Once {
            self.unreadable.remove(at);
        }
        Err(DiskError::Unreadable)
    }

    /// Writes `len` bytes from `offset` on.
    ///
    /// # Errors
    /// [`DiskError::Full`]; finding out costs nothing.
    pub fn write(&mut self, offset: u64, len: u64) -> Result<(), DiskError> {
        let room = self.config.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used));
        let needs = self.needs(offset, len);
        if needs > 0 && (self.full || needs > room) {
            return Err(DiskError::Full);
        }
        self.allocate(offset, len);
        self.access(offset, len, self.config.write_latency);
        self.unreadable.retain(|&(start, end, _)| start < offset || offset + len < end);
        self.fresh.push((offset, len));
        Ok(())
    }

    /// When the accesses since the last call are through, of which the first began at `now` or when the disk had time.
    pub fn finish(&mut self, now: Instant) -> Instant {
        self.free_at = self.free_at.max(now) + std::mem::take(&mut self.owed);
        let done = self.free_at;
        self.unsynced.extend(self.fresh.drain(..).map(|(offset, len)| (done, offset, len)));
        let synced = self.unsynced.partition_point(|&(at, ..)| at + self.config.sync_after <= now);
        self.unsynced.drain(..synced);
        done
    }

    /// Whether there is no room for anything new from now on.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Has reads that touch `len` bytes from `offset` on fail.
    pub fn fail_reads(&mut self, offset: u64, len: u64, failing: Failing) {
        self.unreadable.push((offset, offset + len, failing));
    }

    /// Has everything be readable again.
    pub fn heal_reads(&mut self) {
        self.unreadable.clear();
    }

    /// The power goes at `now`: the writes of which something is missing. Each write that was not synced yet is lost,
    /// whole or there in part, each as likely as the next. What waited is forgotten.
    pub fn power_off(&mut self, now: Instant) -> Vec<Torn> {
        self.finish(now);
        (self.owed, self.free_at, self.head) = (Duration::ZERO, now, u64::MAX);
        let unsynced: Vec<_> = self.unsynced.drain(..).collect();
        let torn = unsynced.into_iter().map(|(_, offset, len)| {
            let kept = match self.dice.below(3) {
                0 => 0,
                1 => self.dice.below(len.div_ceil(SECTOR)) * SECTOR,
                _ => len,
            };
            Torn { offset, len, kept }
        });
        torn.filter(|write| write.kept < write.len).collect()
    }

    fn access(&mut self, offset: u64, len: u64, latency: Draw) {
        if offset != self.head {
            self.owed += draw(latency, &mut self.dice);
        }
        if let Some(rate) = self.config.rate {
            let nanos = (u128::from(len) * NANOS_PER_S).div_ceil(u128::from(rate.max(1)));
            self.owed += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        self.head = offset + len;
    }

    /// Bytes of new room that a write takes.
    fn needs(&self, offset: u64, len: u64) -> u64 {
        let taken = |cell: &u64| self.allocated.get(*cell as usize).is_some_and(|taken| *taken);
        cells(offset, len).filter(|cell| !taken(cell)).count() as u64 * CELL
    }

    fn allocate(&mut self, offset: u64, len: u64) {
        self.used += self.needs(offset, len);
        let cells = cells(offset, len);
        if self.allocated.len() < cells.end as usize {
            self.allocated.resize(cells.end as usize, false);
        }
        self.allocated[cells.start as usize..cells.end as usize].fill(true);
    }
}

fn cells(offset: u64, len: u64) -> std::ops::Range<u64> {
    offset / CELL..(offset + len).div_ceil(CELL)
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::units::PieceIndex;

    use super::*;

    const BLOCK: u64 = 16 * 1024;

    fn disk(change: impl FnOnce(&mut DiskConfig)) -> Disk {
        let mut config = DiskConfig {
            latency: Draw::Fixed(Span::from_millis(8)),
            write_latency: Draw::Fixed(Span::from_millis(2)),
            rate: Some(BLOCK * 1_000),
            capacity: None,
            sync_after: Duration::from_secs(30),
        };
        change(&mut config);
        Disk::new(config, Dice::stream(1, ("host", 0, "disk")))
    }

    fn ms(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn an_access_elsewhere_costs_a_seek_and_one_that_follows_does_not() {
        let mut disk = disk(|_| ());
        for (write, block, done_ms) in
            [(false, 5, 9), (false, 6, 10), (true, 7, 11), (true, 3, 14), (false, 3, 23), (false, 5, 32)]
        {
            let access = if write { Disk::write } else { Disk::read };
            access(&mut disk, block * BLOCK, BLOCK).unwrap();
            assert_eq!(disk.finish(ms(0)), ms(done_ms), "block {block}");
        }
    }

    #[test]
    fn accesses_wait_for_those_before_them() {
        let mut disk = disk(|config| config.latency = Draw::Fixed(Span::ZERO));
        disk.read(0, 10 * BLOCK).unwrap();
        assert_eq!(disk.finish(ms(5)), ms(15));
        disk.read(0, BLOCK).unwrap();
        disk.read(BLOCK, BLOCK).unwrap();
        assert_eq!(disk.finish(ms(7)), ms(17));
        assert_eq!(disk.finish(ms(40)), ms(40), "nothing was done");
    }

    #[test]
    fn a_full_disk_takes_only_what_it_has_room_for() {
        let mut disk = disk(|config| config.capacity = Some(3 * BLOCK));
        let mut have = Bitfield::none(9);
        have.insert(PieceIndex(0));
        disk.preload(&have, Geometry::new(9 * BLOCK, BLOCK as u32).unwrap());
        assert_eq!(disk.write(BLOCK, BLOCK), Ok(()));
        assert_eq!(disk.write(8 * BLOCK, 2 * BLOCK), Err(DiskError::Full));
        assert_eq!(disk.write(8 * BLOCK, BLOCK), Ok(()));
        assert_eq!(disk.write(9 * BLOCK, 1), Err(DiskError::Full));
        assert_eq!(disk.write(BLOCK, BLOCK), Ok(()), "it has that already");
    }

    #[test]
    fn a_full_disk_takes_everything_once_it_has_room_again_negative() {
        let mut disk = disk(|_| ());
        disk.set_full(true);
        assert_eq!(disk.write(0, 1), Err(DiskError::Full));
        disk.set_full(false);
        assert_eq!(disk.write(0, 100 * BLOCK), Ok(()));
    }

    #[test]
    fn a_stretch_cannot_be_read_once_or_until_it_is_written() {
        let mut disk = disk(|_| ());
        disk.fail_reads(BLOCK + 7, 1, Failing::Once);
        assert_eq!(disk.read(0, BLOCK), Ok(()));
        assert_eq!(disk.read(0, 2 * BLOCK), Err(DiskError::Unreadable));
        assert_eq!(disk.read(0, 2 * BLOCK), Ok(()));
        disk.fail_reads(0, BLOCK, Failing::UntilWritten);
        for _ in 0..3 {
            assert_eq!(disk.read(100, 1), Err(DiskError::Unreadable));
        }
        disk.write(0, BLOCK - 1).unwrap();
        assert_eq!(disk.read(0, BLOCK), Err(DiskError::Unreadable), "not all of it was written");
        disk.write(0, BLOCK).unwrap();
        assert_eq!(disk.read(0, BLOCK), Ok(()));
    }

    #[test]
    fn writes_are_torn_unless_they_are_old() {
        let mut disk = disk(|_| ());
        for block in 0..100 {
            disk.write(block * BLOCK, BLOCK).unwrap();
            disk.finish(ms(block * 1_000));
        }
        let torn = disk.power_off(ms(100_000));
        assert!(torn.iter().all(|write| write.offset >= 70 * BLOCK && write.kept % SECTOR == 0));
        let count = |lost: bool| torn.iter().filter(|write| (write.kept == 0) == lost).count();
        assert!(count(true) > 2 && count(false) > 2 && torn.len() < 30, "{torn:?}");
        assert!(disk.power_off(ms(100_000)).is_empty());
        assert_eq!(disk.finish(ms(100_000)), ms(100_000), "what waited is forgotten");
    }
}
