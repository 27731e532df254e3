//! From a file to events, whatever is in it.

#![expect(clippy::disallowed_types, reason = "a trace is read from its file")]

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use thiserror::Error;
use torrentlab_engine::time::Instant;
use zstd::stream::Decoder;

use super::entry::time_after;
use super::{Entry, FORMAT, Head, MAGIC, MOST, Tail};

/// Why a trace cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file cannot be opened or decompressed.
    #[error(
        "cannot read the trace: {0}\nhint: name a run's folder that was made with `run --trace`, or its trace.zst"
    )]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no trace of torrentlab\nhint: `torrentlab run --trace` writes one as trace.zst")]
    NoTrace,
    /// A later version of the format.
    #[error(
        "the trace has format {0}, and this version of torrentlab reads {FORMAT}\nhint: read it with the version that wrote it"
    )]
    Format(u32),
    /// It ends too soon.
    #[error("the trace breaks off after {0} events\nhint: the run that wrote it was cut short; run it again")]
    Truncated(u64),
    /// It makes no sense.
    #[error("the trace is damaged after {entries} events: {what}\nhint: run it again with --trace")]
    Damaged {
        /// Events before.
        entries: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// The events of a trace, in order: the time, and what happened.
pub struct TraceReader<R: Read> {
    from: Decoder<'static, BufReader<R>>,
    head: Head,
    tail: Option<Tail>,
    block: Vec<u8>,
    /// Where in the block the next entry begins, and how many there are from there on.
    place: usize,
    left: u32,
    entries: u64,
    now: Instant,
}

impl TraceReader<File> {
    /// Opens the trace at `path`: the file, or the folder of the run that it is in.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let path = if path.is_dir() { path.join("trace.zst") } else { path.to_owned() };
        Self::new(File::open(path)?)
    }
}

impl<R: Read> TraceReader<R> {
    /// Reads a trace from `from`.
    ///
    /// # Errors
    /// Where it does not begin like one.
    pub fn new(from: R) -> Result<Self, TraceError> {
        let mut from = Decoder::new(from)?;
        let mut magic = [0; MAGIC.len()];
        // What zstd cannot read is no trace either.
        from.read_exact(&mut magic).map_err(|_| TraceError::NoTrace)?;
        if magic != MAGIC {
            return Err(TraceError::NoTrace);
        }
        let mut reader = Self {
            from,
            head: Head {
                format: FORMAT,
                version: String::new(),
                backend: String::new(),
                seed: 0,
                scenario: String::new(),
            },
            tail: None,
            block: Vec::new(),
            place: 0,
            left: 0,
            entries: 0,
            now: Instant::ZERO,
        };
        reader.next_block()?;
        // The version stands first, so that a later format is told apart from damage.
        let (format, _) =
            postcard::take_from_bytes::<u32>(&reader.block).map_err(|_| reader.damaged("its head"))?;
        if format != FORMAT {
            return Err(TraceError::Format(format));
        }
        reader.head = reader.whole("its head")?;
        reader.left = 0;
        Ok(reader)
    }

    /// What it is a trace of.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Its end, once the last event was read.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// The next event and its time; `None` at the end.
    ///
    /// # Errors
    /// Where the file is damaged or breaks off.
    pub fn next_entry(&mut self) -> Result<Option<(Instant, Entry)>, TraceError> {
        while self.left == 0 {
            if self.tail.is_some() {
                return Ok(None);
            }
            self.next_block()?;
            if self.left == 0 {
                let tail: Tail = self.whole("its tail")?;
                if tail.entries != self.entries {
                    return Err(self.damaged("there are other events than its tail counts"));
                }
                // To the end of the stream, where its checksum is.
                match self.from.read(&mut [0]) {
                    Ok(0) => self.tail = Some(tail),
                    Ok(_) => return Err(self.damaged("something comes after its tail")),
                    Err(error) => return Err(self.broken(error)),
                }
            }
        }
        let (entry, rest) = postcard::take_from_bytes::<Entry>(&self.block[self.place..])
            .map_err(|_| self.damaged("an event makes no sense"))?;
        self.place = self.block.len() - rest.len();
        self.left -= 1;
        if self.left == 0 && !rest.is_empty() {
            return Err(self.damaged("a block is longer than its events"));
        }
        self.entries += 1;
        self.now = time_after(self.now, entry.after);
        Ok(Some((self.now, entry)))
    }

    fn next_block(&mut self) -> Result<(), TraceError> {
        let mut words = [[0; 4]; 2];
        for word in &mut words {
            self.from.read_exact(word).map_err(|error| self.broken(error))?;
        }
        let [things, bytes] = words.map(u32::from_le_bytes);
        if bytes as usize > MOST {
            return Err(self.damaged("a block is too long"));
        }
        self.block.clear();
        // No more memory than there are bytes, whatever the file says.
        let read = self.from.by_ref().take(u64::from(bytes)).read_to_end(&mut self.block);
        if read.map_err(|error| self.broken(error))? < bytes as usize {
            return Err(TraceError::Truncated(self.entries));
        }
        (self.place, self.left) = (0, things);
        Ok(())
    }

    fn whole<T: DeserializeOwned>(&self, what: &'static str) -> Result<T, TraceError> {
        match postcard::take_from_bytes(&self.block) {
            Ok((value, [])) => Ok(value),
            _ => Err(self.damaged(what)),
        }
    }

    fn damaged(&self, what: &'static str) -> TraceError {
        TraceError::Damaged { entries: self.entries, what }
    }

    fn broken(&self, error: io::Error) -> TraceError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => TraceError::Truncated(self.entries),
            _ => TraceError::Damaged { entries: self.entries, what: "its compression" },
        }
    }
}

impl<R: Read> Iterator for TraceReader<R> {
    type Item = Result<(Instant, Entry), TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}
