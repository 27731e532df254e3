//! From a run to a file.

#![expect(clippy::disallowed_types, reason = "a trace is written as it comes")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::node::{Input, Output};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::ConnId;
use zstd::stream::Encoder;

use super::{BLOCK, Entry, Event, Head, MAGIC, MOST, Tail};
use crate::fault::Action;
use crate::run::resolved;
use crate::trace::Passage;
use crate::watch::{Scene, Watch};

/// Faster than zstd's ordinary levels: `zstd --fast=1`.
const LEVEL: i32 = -1;

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Events.
    pub entries: u64,
    /// Bytes before compression.
    pub bytes: u64,
}

/// A file that the events of one run are written to. [`Recording::watch`] is the one who hears them.
#[derive(Debug)]
pub struct Recording {
    file: File,
    result: Arc<Mutex<Option<io::Result<Stats>>>>,
}

impl Recording {
    /// A new file at `path`, in place of one that is there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, result: Arc::default() })
    }

    /// The watch that writes what happens in the run of `scene`. It finishes the file when it goes, and
    /// [`Recording::end`] tells whether it could.
    pub fn watch(&self, scene: &Scene) -> Box<dyn Watch> {
        let head = Head {
            format: super::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backend: scene.backend.name().to_owned(),
            seed: scene.seed,
            scenario: resolved(&scene.scenario, scene.seed),
        };
        let writer = self.file.try_clone().and_then(|file| Writer::new(BufWriter::new(file), &head));
        let (writer, failed) = match writer {
            Ok(writer) => (Some(writer), None),
            Err(error) => (None, Some(error)),
        };
        let result = Arc::clone(&self.result);
        Box::new(Recorder { writer, last: Instant::ZERO, ended: false, failed, result })
    }

    /// What was written, once the run is over.
    ///
    /// # Errors
    /// What kept the file from being written, if anything did.
    pub fn end(self) -> io::Result<Stats> {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        result.take().unwrap_or_else(|| Ok(Stats::default()))
    }
}

/// Writes entries in blocks.
pub(super) struct Writer<W: Write> {
    out: Encoder<'static, W>,
    block: Vec<u8>,
    /// How much of the block is written.
    used: usize,
    in_block: u32,
    stats: Stats,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut out = Encoder::new(out, LEVEL)?;
        out.include_checksum(true)?;
        out.write_all(&MAGIC)?;
        let mut writer = Self { out, block: vec![0; BLOCK], used: 0, in_block: 0, stats: Stats::default() };
        let head = encoded(head)?;
        put_block(&mut writer.out, 1, &head)?;
        // Whatever becomes of the rest, the file tells what it is.
        writer.out.flush()?;
        Ok(writer)
    }

    pub fn put(&mut self, entry: &Entry) -> io::Result<()> {
        let used = loop {
            let written = postcard::to_slice(entry, &mut self.block[self.used..]).map(|bytes| bytes.len());
            match written {
                Ok(used) => break used,
                Err(postcard::Error::SerializeBufferFull) if self.in_block > 0 => self.end_block()?,
                // An event that is longer than a block.
                Err(postcard::Error::SerializeBufferFull) if self.block.len() < MOST => {
                    self.block.resize(2 * self.block.len(), 0);
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        };
        self.used += used;
        self.in_block += 1;
        self.stats.entries += 1;
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.in_block > 0 {
            self.stats.bytes += 8 + self.used as u64;
            put_block(&mut self.out, self.in_block, &self.block[..self.used])?;
            (self.used, self.in_block) = (0, 0);
        }
        Ok(())
    }

    /// A block of nothing, and the tail.
    pub fn finish(mut self, ended: bool) -> io::Result<(W, Stats)> {
        self.end_block()?;
        let tail = encoded(&Tail { entries: self.stats.entries, ended })?;
        put_block(&mut self.out, 0, &tail)?;
        let stats = self.stats;
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok((out, stats))
    }
}

/// How many things there are, how many bytes they take, and they.
fn put_block(out: &mut impl Write, things: u32, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&things.to_le_bytes())?;
    out.write_all(&(bytes.len() as u32).to_le_bytes())?;
    out.write_all(bytes)
}

fn encoded(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

struct Recorder {
    /// `None` once writing has failed.
    writer: Option<Writer<BufWriter<File>>>,
    last: Instant,
    ended: bool,
    failed: Option<io::Error>,
    result: Arc<Mutex<Option<io::Result<Stats>>>>,
}

impl Recorder {
    fn put(&mut self, now: Instant, host: u32, event: Event) {
        let Some(writer) = &mut self.writer else { return };
        let entry = Entry { after: now.since(self.last).as_nanos(), host, event };
        self.last = now.max(self.last);
        if let Err(error) = writer.put(&entry) {
            (self.writer, self.failed) = (None, Some(error));
        }
    }
}

impl Watch for Recorder {
    fn came(&mut self, now: Instant, host: u32, addr: SocketAddr, have: &Bitfield) {
        self.put(now, host, Event::came(addr, have));
    }

    fn went(&mut self, now: Instant, host: u32) {
        self.put(now, host, Event::Went);
    }

    fn input(&mut self, now: Instant, host: u32, input: &Input) {
        self.put(now, host, Event::input(input));
    }

    fn output(&mut self, now: Instant, host: u32, output: &Output, targets: &[ConnId]) {
        self.put(now, host, Event::output(output, targets));
    }

    fn fault(&mut self, now: Instant, action: &Action) {
        self.put(now, action.fault, Event::fault(action));
    }

    fn passage(&mut self, now: Instant, host: u32, passage: Passage) {
        if let Some(event) = Event::passage(passage) {
            self.put(now, host, event);
        }
    }

    fn finish(&mut self, _: Instant) {
        self.ended = true;
    }
}

impl Drop for Recorder {
    /// The trace of a run that failed is the one that is wanted most.
    fn drop(&mut self) {
        let result = match (self.writer.take(), self.failed.take()) {
            (Some(writer), _) => writer.finish(self.ended).map(|(_, stats)| stats),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(Stats::default()),
        };
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }
}
