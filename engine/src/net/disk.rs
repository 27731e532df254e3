//! The slow work on the content, off the network thread: reading blocks, writing them, checking pieces.
//!
//! A piece is hashed as it is written, while its bytes are still in the cache: for each piece under way the SHA-1
//! state over the blocks that came in order is kept (some hundred bytes), and no block is held back. What came out of
//! order is read back when the piece is checked. So memory does not grow with the number of pieces under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use sha1::{Digest as _, Sha1};

use super::files::{Access, FileSpan, Files};
use super::storage::{Storage, StorageError};
use crate::bitfield::Bitfield;
use crate::metainfo::{File, Metainfo, PieceHash};
use crate::node::{Input, StorageOp};
use crate::units::{BLOCK_LEN, Block, Geometry, PieceIndex};

/// Read back at once when a piece is checked.
const CHUNK: usize = 128 * 1024;

/// The content: its bytes, its shape, and what every piece must hash to.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its bytes.
    pub storage: Arc<dyn Storage>,
    /// The shape.
    pub geometry: Geometry,
    /// SHA-1 of each piece.
    pub hashes: Arc<[PieceHash]>,
}

impl Content {
    /// The content of the torrent `meta`, at `place`.
    ///
    /// # Errors
    /// As [`Files::open`].
    pub fn open(meta: &Metainfo, place: Place<'_>, access: Access) -> Result<Self, StorageError> {
        let (root, files) = place.files(meta);
        let storage = Arc::new(Files::open(&root, &files, access)?);
        Ok(Self { storage, geometry: meta.geometry(), hashes: meta.hashes().into() })
    }

    /// Checks every piece on all cores and tells which are right. `progress` counts bytes. Pieces of files that were
    /// created just now are passed over, and what is not there counts as wrong.
    ///
    /// # Errors
    /// Where a file that is there cannot be read.
    pub fn check_all(&self, progress: &AtomicU64) -> Result<Bitfield, StorageError> {
        let right = on_all_cores(self.geometry, progress, |piece| self.is_right(piece))?;
        let mut have = Bitfield::none(self.geometry.pieces());
        for piece in (0..self.geometry.pieces()).map(PieceIndex).filter(|piece| right[piece.get()]) {
            have.insert(piece);
        }
        Ok(have)
    }

    /// Whether `piece` is there and right.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn is_right(&self, piece: PieceIndex) -> Result<bool, StorageError> {
        let (offset, len) = (self.geometry.offset_of(piece), self.geometry.len_of(piece));
        if self.storage.is_fresh(offset, u64::from(len)) {
            return Ok(false);
        }
        match hash(&*self.storage, self.geometry, piece, (Sha1::new(), 0)) {
            Ok(hash) => Ok(hash == self.hashes[piece.get()]),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first 8 bytes of the SHA-1 of each block of `piece`.
    fn digests(&self, piece: PieceIndex) -> Result<Vec<u64>, StorageError> {
        let mut bytes = [0; BLOCK_LEN as usize];
        let blocks = (0..self.geometry.blocks_in(piece)).map(|nth| self.geometry.block(piece, nth));
        let digest = |block: Block| {
            let bytes = &mut bytes[..block.len as usize];
            self.storage.read(self.offset_of(block), bytes)?;
            let hash = Sha1::digest(bytes);
            Ok(u64::from_le_bytes(*hash.first_chunk().expect("a SHA-1 has 20 bytes")))
        };
        blocks.map(digest).collect()
    }

    fn offset_of(&self, block: Block) -> u64 {
        self.geometry.offset_of(block.piece) + u64::from(block.begin)
    }

    /// The bytes of each of `blocks`; one read where they follow upon each other.
    pub(super) fn read(&self, blocks: &[Block]) -> Vec<Result<Bytes, StorageError>> {
        let mut bytes = Vec::with_capacity(blocks.len());
        let follows =
            |one: &Block, next: &Block| self.offset_of(*one) + u64::from(one.len) == self.offset_of(*next);
        for run in blocks.chunk_by(follows) {
            let len = run.iter().map(|block| block.len as usize).sum();
            let mut all = BytesMut::zeroed(len);
            match self.storage.serve(self.offset_of(run[0]), &mut all) {
                Ok(()) => bytes.extend(run.iter().map(|block| Ok(all.split_to(block.len as usize).freeze()))),
                // Told block by block, since only one of them may be at fault.
                Err(error) if run.len() == 1 => bytes.push(Err(error)),
                Err(_) => bytes.extend(run.iter().flat_map(|&block| self.read(&[block]))),
            }
        }
        bytes
    }
}

/// Where the content of a torrent lies.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In this folder, by the torrent's name.
    Below(&'a Path),
    /// At this path, whatever its name.
    At(&'a Path),
}

impl Place<'_> {
    /// The folder that everything is relative to, and the files.
    pub fn files(self, meta: &Metainfo) -> (PathBuf, Vec<FileSpan>) {
        let span = |file: &File, path: PathBuf| FileSpan { path, len: file.len, padding: file.padding };
        let files = meta.files().iter();
        match self {
            Self::Below(folder) => {
                (folder.to_owned(), files.map(|file| span(file, file.path.iter().collect())).collect())
            }
            Self::At(path) => match (meta.files(), path.parent(), path.file_name()) {
                ([file], Some(folder), Some(name)) if file.path.len() == 1 => {
                    (folder.to_owned(), vec![span(file, name.into())])
                }
                _ => (
                    path.to_owned(),
                    files.map(|file| span(file, file.path.iter().skip(1).collect())).collect(),
                ),
            },
        }
    }
}

/// The hash of every piece of a content that is shaped like `geometry`, computed on all cores. `progress` counts
/// bytes.
///
/// # Errors
/// Where a file cannot be read.
pub fn hash_all(
    storage: &dyn Storage,
    geometry: Geometry,
    progress: &AtomicU64,
) -> Result<Vec<PieceHash>, StorageError> {
    on_all_cores(geometry, progress, |piece| hash(storage, geometry, piece, (Sha1::new(), 0)))
}

/// What `work` gives for each piece, in order.
fn on_all_cores<T: Send>(
    geometry: Geometry,
    progress: &AtomicU64,
    work: impl Fn(PieceIndex) -> Result<T, StorageError> + Sync,
) -> Result<Vec<T>, StorageError> {
    let next = AtomicU32::new(0);
    let take_part = || {
        let mut done = Vec::new();
        loop {
            let piece = PieceIndex(next.fetch_add(1, Ordering::Relaxed));
            if !geometry.contains(piece) {
                return Ok(done);
            }
            done.push((piece, work(piece)?));
            progress.fetch_add(u64::from(geometry.len_of(piece)), Ordering::Relaxed);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(take_part)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("no part of the work panics"));
        joined.collect::<Result<Vec<_>, StorageError>>()
    })?;
    let mut all: Vec<_> = parts.into_iter().flatten().collect();
    all.sort_unstable_by_key(|(piece, _)| *piece);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}

/// The hash of `piece`, of which a hasher has taken in the first bytes; the rest is read.
fn hash(
    storage: &dyn Storage,
    geometry: Geometry,
    piece: PieceIndex,
    (mut sha, mut upto): (Sha1, u32),
) -> Result<PieceHash, StorageError> {
    let len = geometry.len_of(piece);
    let mut chunk = vec![0; CHUNK.min((len - upto) as usize)];
    while upto < len {
        let now = chunk.len().min((len - upto) as usize);
        storage.read(geometry.offset_of(piece) + u64::from(upto), &mut chunk[..now])?;
        sha.update(&chunk[..now]);
        upto += now as u32;
    }
    Ok(sha.finalize().into())
}

/// Something to do to the content, in order.
#[derive(Debug)]
pub(super) enum Op {
    Write { block: Block, bytes: Bytes },
    Check { piece: PieceIndex, digests: bool },
}

impl Op {
    /// Bytes to write.
    pub(super) fn bytes(&self) -> usize {
        if let Self::Write { bytes, .. } = self { bytes.len() } else { 0 }
    }
}

/// Writes blocks and checks pieces.
#[derive(Debug)]
pub(super) struct Writer {
    content: Content,
    under_way: BTreeMap<PieceIndex, UnderWay>,
    /// What failed first.
    failed: Option<Failed>,
}

/// Something that failed and can be tried again without harm: its piece is fetched anew.
#[derive(Debug)]
enum Failed {
    Write { block: Block, bytes: Bytes },
    Check(PieceIndex),
}

/// A piece that is being written.
#[derive(Debug, Default)]
struct UnderWay {
    /// Has taken in the first `upto` bytes, each as it was written.
    sha: Sha1,
    upto: u32,
    /// A write failed: what is on disk says nothing about the peers who sent it.
    torn: bool,
}

impl Writer {
    pub(super) fn new(content: Content) -> Self {
        Self { content, under_way: BTreeMap::new(), failed: None }
    }

    /// Does `ops` in order and says what came of it.
    pub(super) fn run(&mut self, ops: Vec<Op>) -> Vec<Input> {
        ops.into_iter()
            .filter_map(|op| match op {
                Op::Write { block, bytes } => {
                    let why = self.write(block, &bytes).err()?;
                    self.failed.get_or_insert(Failed::Write { block, bytes });
                    Some(storage_failed(StorageOp::Write(block), &why))
                }
                Op::Check { piece, digests } => {
                    let checked = self.check(piece, digests);
                    if matches!(checked, Input::StorageFailed { .. }) {
                        self.failed.get_or_insert(Failed::Check(piece));
                    }
                    Some(checked)
                }
            })
            .collect()
    }

    /// Whether something has failed and did not work since.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Tries again what failed; whether it works now. What was under way is then read back when it is checked.
    pub(super) fn probe(&mut self) -> bool {
        let works = match &self.failed {
            None => true,
            Some(Failed::Write { block, bytes }) => {
                self.content.storage.write(self.content.offset_of(*block), bytes).is_ok()
            }
            Some(Failed::Check(piece)) => self.content.digests(*piece).is_ok(),
        };
        if works {
            self.failed = None;
            self.under_way.clear();
        }
        works
    }

    fn write(&mut self, block: Block, bytes: &[u8]) -> Result<(), StorageError> {
        let under_way = self.under_way.entry(block.piece).or_default();
        if block.begin < under_way.upto {
            // What was hashed is written over.
            *under_way = UnderWay { torn: under_way.torn, ..UnderWay::default() };
        }
        let written = self.content.storage.write(self.content.offset_of(block), bytes);
        if written.is_err() {
            under_way.torn = true;
        } else if block.begin == under_way.upto {
            under_way.sha.update(bytes);
            under_way.upto += block.len;
        }
        written
    }

    fn check(&mut self, piece: PieceIndex, digests: bool) -> Input {
        let under_way = self.under_way.remove(&piece).unwrap_or_default();
        let op = StorageOp::Check(piece);
        if under_way.torn {
            return Input::StorageFailed { op, why: format!("piece {piece} was not written whole") };
        }
        let Content { storage, geometry, hashes } = &self.content;
        let hashed = hash(&**storage, *geometry, piece, (under_way.sha, under_way.upto));
        let checked = hashed.and_then(|hash| {
            let ok = hash == hashes[piece.get()];
            let digests = if ok && !digests { Vec::new() } else { self.content.digests(piece)? };
            Ok(Input::PieceChecked { piece, ok, digests })
        });
        checked.unwrap_or_else(|why| storage_failed(op, &why))
    }
}

pub(super) fn storage_failed(op: StorageOp, why: &StorageError) -> Input {
    Input::StorageFailed { op, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u32 = 3 * BLOCK_LEN;

    fn original() -> Vec<u8> {
        (0..2 * PIECE + 1000).map(|at| (at % 251) as u8).collect()
    }

    fn content(dir: &std::path::Path) -> Content {
        let bytes = original();
        let half = bytes.len() as u64 / 2;
        let files = [
            FileSpan { path: "a".into(), len: half, padding: false },
            FileSpan { path: "b".into(), len: bytes.len() as u64 - half, padding: false },
        ];
        Content {
            storage: Arc::new(Files::open(dir, &files, Access::Write).unwrap()),
            geometry: Geometry::new(bytes.len() as u64, PIECE).unwrap(),
            hashes: bytes.chunks(PIECE as usize).map(|piece| Sha1::digest(piece).into()).collect(),
        }
    }

    fn write(content: &Content, piece: u32, nth: u32) -> Op {
        let block = content.geometry.block(PieceIndex(piece), nth);
        let at = content.offset_of(block) as usize;
        Op::Write { block, bytes: original()[at..at + block.len as usize].to_vec().into() }
    }

    fn damaged(op: Op) -> Op {
        let Op::Write { block, bytes } = op else { panic!("no write") };
        Op::Write { block, bytes: bytes.iter().map(|byte| !byte).collect() }
    }

    fn check(writer: &mut Writer, mut ops: Vec<Op>) -> (bool, Vec<u64>) {
        ops.push(Op::Check { piece: PieceIndex(0), digests: false });
        match writer.run(ops).remove(0) {
            Input::PieceChecked { ok, digests, .. } => (ok, digests),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_piece_is_right_in_whatever_order_its_blocks_come() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
            let dir = tempfile::tempdir().unwrap();
            let content = content(dir.path());
            let mut writer = Writer::new(content.clone());
            let ops = order.iter().map(|&nth| write(&content, 0, nth)).collect();
            assert_eq!(check(&mut writer, ops), (true, vec![]), "{order:?}");
            assert!(writer.under_way.is_empty());
        }
    }

    #[test]
    fn what_counts_is_what_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let content = content(dir.path());
        let mut writer = Writer::new(content.clone());
        let whole = || (0..3).map(|nth| write(&content, 0, nth)).collect::<Vec<_>>();
        // A right block is written over by a wrong one after it was hashed, and the other way round.
        let mut spoiled = whole();
        spoiled.push(damaged(write(&content, 0, 1)));
        let (ok, wrong) = check(&mut writer, spoiled);
        assert!(!ok && wrong.len() == 3);
        let mut mended = vec![damaged(write(&content, 0, 0))];
        mended.extend(whole());
        assert!(check(&mut writer, mended).0);
        // The digests of the failure name the culprit once the right bytes are there.
        let asked = writer.run(vec![Op::Check { piece: PieceIndex(0), digests: true }]).remove(0);
        let Input::PieceChecked { ok: true, digests: right, .. } = asked else { panic!("{asked:?}") };
        let differ: Vec<_> = (0..3).filter(|&nth| right[nth] != wrong[nth]).collect();
        assert_eq!(differ, [1]);
    }

    #[test]
    fn a_failed_write_blames_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let content = content(dir.path());
        let files = [FileSpan { path: "gone".into(), len: content.geometry.total_len(), padding: false }];
        let storage = Arc::new(Files::open(dir.path(), &files, Access::Read).unwrap());
        let mut writer = Writer::new(Content { storage, ..content.clone() });
        let ops = vec![write(&content, 0, 0), Op::Check { piece: PieceIndex(0), digests: false }];
        let told = writer.run(ops);
        let ops: Vec<_> = told
            .iter()
            .map(|input| match input {
                Input::StorageFailed { op, why } => (*op, why.contains("gone")),
                other => panic!("{other:?}"),
            })
            .collect();
        let block = content.geometry.block(PieceIndex(0), 0);
        assert_eq!(ops, [(StorageOp::Write(block), true), (StorageOp::Check(PieceIndex(0)), false)]);
    }

    #[test]
    fn what_failed_is_tried_again_and_forgotten_once_it_works() {
        let dir = tempfile::tempdir().unwrap();
        let content = content(dir.path());
        let mut writer = Writer::new(content.clone());
        std::fs::remove_file(dir.path().join("a")).unwrap();
        let block = |nth| write(&content, 0, nth);
        assert_eq!(writer.run(vec![block(0), block(1)]).len(), 2);
        assert!(writer.has_failed() && !writer.probe() && writer.has_failed());
        self::content(dir.path());
        assert!(writer.probe() && !writer.has_failed());
        assert_eq!(check(&mut writer, vec![block(0), block(1), block(2)]), (true, vec![]));
    }

    #[test]
    fn the_first_check_finds_what_is_right() {
        let dir = tempfile::tempdir().unwrap();
        content(dir.path()).storage.write(0, &original()).unwrap();
        // Opened anew, so that nothing is fresh; one byte of the middle piece is wrong.
        let content = content(dir.path());
        content.storage.write(u64::from(PIECE) + 5, b"?").unwrap();
        let progress = AtomicU64::new(0);
        let have = content.check_all(&progress).unwrap();
        assert_eq!(have.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(2)]);
        assert_eq!(progress.into_inner(), content.geometry.total_len());
        std::fs::remove_file(dir.path().join("b")).unwrap();
        assert_eq!(self::content(dir.path()).check_all(&AtomicU64::new(0)).unwrap().count(), 1);
    }

    #[test]
    fn blocks_are_read_together_or_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let content = content(dir.path());
        content.storage.write(0, &original()).unwrap();
        let block = |piece, nth| content.geometry.block(PieceIndex(piece), nth);
        let blocks = [block(0, 1), block(0, 2), block(1, 0), block(0, 0), block(2, 0)];
        for (block, bytes) in blocks.iter().zip(content.read(&blocks)) {
            let at = content.offset_of(*block) as usize;
            assert_eq!(bytes.unwrap(), original()[at..at + block.len as usize]);
        }
        std::fs::OpenOptions::new()
            .write(true)
            .open(dir.path().join("a"))
            .unwrap()
            .set_len(u64::from(BLOCK_LEN))
            .unwrap();
        let ok: Vec<_> = content.read(&[block(0, 0), block(0, 1)]).iter().map(Result::is_ok).collect();
        assert_eq!(ok, [true, false]);
    }
}
