//! What a host of the byte-exact backend stores.
//!
//! All hosts share one copy of the original: where a host's bytes equal it, only that is noted. So memory is not the
//! content times the number of hosts, and yet every read gives what was written.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::net::{Storage, StorageError};
use torrentlab_engine::time::Instant;

use crate::content::RealContent;
use crate::disk::{Disk, DiskError};
use crate::mutant::Pollution;

/// The unit in which bytes are compared with the original.
const CELL: usize = 16 * 1024;

/// Bytes in memory, behind a simulated disk if the host has one.
#[derive(Debug)]
pub struct Store {
    original: Arc<RealContent>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    cells: Vec<Cell>,
    disk: Option<Disk>,
    pollution: Option<Pollution>,
}

/// What is in [`CELL`] bytes of the content.
#[derive(Debug)]
enum Cell {
    /// Nothing: zeros, as in a file with holes.
    Empty,
    /// What the original has there.
    Original,
    /// Something else.
    Other(Box<[u8]>),
}

impl Store {
    /// A store of `original` that has the pieces `have` of it.
    pub fn new(original: Arc<RealContent>, have: &Bitfield, disk: Option<Disk>) -> Self {
        let total_len = original.metainfo.geometry().total_len();
        let cells = (0..total_len.div_ceil(CELL as u64)).map(|_| Cell::Empty).collect();
        let mut inner = Inner { cells, disk, pollution: None };
        let geometry = original.metainfo.geometry();
        for piece in have.iter() {
            let (offset, len) = (geometry.offset_of(piece), geometry.len_of(piece));
            inner.put(&original, offset, &original.slice(offset, len as usize));
        }
        if let Some(disk) = &mut inner.disk {
            disk.preload(have, geometry);
        }
        Self { original, inner: Mutex::new(inner) }
    }

    /// What it is a store of.
    pub fn original(&self) -> Arc<RealContent> {
        Arc::clone(&self.original)
    }

    /// When the accesses since the last call are through, had they begun at `now`: whoever did them waits until then.
    pub fn finish(&self, now: Instant) -> Instant {
        self.lock().disk.as_mut().map_or(now, |disk| disk.finish(now))
    }

    /// Does something to the disk, if there is one.
    pub fn with_disk<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> Option<T> {
        self.lock().disk.as_mut().map(work)
    }

    /// Has the host serve wrong bytes from now on, or right ones again. What it checks itself stays right.
    pub fn pollute(&self, pollution: Option<Pollution>) {
        self.lock().pollution = pollution;
    }

    /// The power goes at `now`: what was not synced is lost or half written. Without a disk nothing is.
    pub fn power_off(&self, now: Instant) {
        let mut inner = self.lock();
        let Some(disk) = &mut inner.disk else { return };
        for write in disk.power_off(now) {
            inner.put(&self.original, write.offset + write.kept, &vec![0; (write.len - write.kept) as usize]);
        }
    }

    /// Whether the pieces in `have` equal the original, by hashing what is stored.
    pub fn equals_original(&self, have: &Bitfield) -> bool {
        let (inner, metainfo) = (self.lock(), &self.original.metainfo);
        let geometry = metainfo.geometry();
        have.iter().all(|piece| {
            let mut bytes = vec![0; geometry.len_of(piece) as usize];
            inner.get(&self.original, geometry.offset_of(piece), &mut bytes);
            torrentlab_engine::metainfo::hash_piece(&bytes) == metainfo.hashes()[piece.get()]
        })
    }

    /// Bytes that this store keeps for itself.
    pub fn own_bytes(&self) -> usize {
        let own = |cell: &Cell| if let Cell::Other(bytes) = cell { bytes.len() } else { 0 };
        self.lock().cells.iter().map(own).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no reader or writer panics")
    }
}

impl Storage for Store {
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        let mut inner = self.lock();
        if let Some(disk) = &mut inner.disk {
            disk.read(offset, buf.len() as u64).map_err(|why| refused("read", offset, buf.len(), why))?;
        }
        inner.get(&self.original, offset, buf);
        Ok(())
    }

    fn serve(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.read(offset, buf)?;
        if let Some(pollution) = &mut self.lock().pollution {
            pollution.apply_to(offset, buf, self.original.metainfo.geometry());
        }
        Ok(())
    }

    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), StorageError> {
        let mut inner = self.lock();
        if let Some(disk) = &mut inner.disk {
            disk.write(offset, buf.len() as u64).map_err(|why| refused("write", offset, buf.len(), why))?;
        }
        inner.put(&self.original, offset, buf);
        Ok(())
    }

    fn is_fresh(&self, offset: u64, len: u64) -> bool {
        let inner = self.lock();
        parts(offset, len as usize).all(|(cell, ..)| matches!(inner.cells[cell], Cell::Empty))
    }
}

impl Inner {
    fn get(&self, original: &RealContent, offset: u64, buf: &mut [u8]) {
        for (cell, from, within) in parts(offset, buf.len()) {
            let buf = &mut buf[within];
            match &self.cells[cell] {
                Cell::Empty => buf.fill(0),
                Cell::Original => {
                    buf.copy_from_slice(&original.slice((cell * CELL + from) as u64, buf.len()));
                }
                Cell::Other(bytes) => buf.copy_from_slice(&bytes[from..from + buf.len()]),
            }
        }
    }

    fn put(&mut self, original: &RealContent, offset: u64, buf: &[u8]) {
        let total_len = original.metainfo.geometry().total_len();
        for (cell, from, within) in parts(offset, buf.len()) {
            let start = (cell * CELL) as u64;
            let right = original.slice(start, CELL.min((total_len - start) as usize));
            let buf = &buf[within];
            let mut bytes = vec![0; right.len()];
            if buf.len() < bytes.len() {
                self.get(original, start, &mut bytes);
            }
            bytes[from..from + buf.len()].copy_from_slice(buf);
            self.cells[cell] = match () {
                () if bytes == right => Cell::Original,
                () if bytes.iter().all(|byte| *byte == 0) => Cell::Empty,
                () => Cell::Other(bytes.into()),
            };
        }
    }
}

/// The cells that `len` bytes from `offset` on lie in: each with where in it they begin and which of the bytes they are.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let (cell, from) = ((at / CELL as u64) as usize, (at % CELL as u64) as usize);
        let now = (len - done).min(CELL - from);
        done += now;
        (now > 0).then_some((cell, from, done - now..done))
    })
}

fn refused(doing: &'static str, offset: u64, len: usize, why: DiskError) -> StorageError {
    let kind = match why {
        DiskError::Full => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    StorageError::Refused { doing, offset, len, source: io::Error::new(kind, why) }
}

#[cfg(test)]
mod tests {
    use torrentlab_engine::dice::Dice;
    use torrentlab_engine::net::Content;
    use torrentlab_engine::time::Duration;
    use torrentlab_engine::units::PieceIndex;
    use torrentlab_scenarios::Draw;
    use torrentlab_scenarios::units::Span;

    use super::*;
    use crate::content::tests::real;
    use crate::disk::{DiskConfig, Failing};
    use crate::mutant::Spoils;

    fn store(pieces: &[u32], disk: Option<DiskConfig>) -> (Vec<u8>, Store, Content) {
        let (bytes, content) = real();
        let crate::content::Content::Real(original) = content else { unreachable!("it is real") };
        let (geometry, hashes) = (original.metainfo.geometry(), original.metainfo.hashes().into());
        let mut have = Bitfield::none(geometry.pieces());
        pieces.iter().for_each(|&piece| _ = have.insert(PieceIndex(piece)));
        let disk = disk.map(|config| Disk::new(config, Dice::stream(1, ("host", 0, "disk"))));
        let original = Arc::new(*original);
        let storage = Arc::new(Store::new(original.clone(), &have, None));
        (bytes, Store::new(original, &have, disk), Content { storage, geometry, hashes })
    }

    fn slow_disk() -> DiskConfig {
        let latency = Draw::Fixed(Span::from_millis(10));
        DiskConfig {
            latency,
            write_latency: latency,
            rate: Some(1_000_000),
            capacity: None,
            sync_after: Duration::from_secs(30),
        }
    }

    /// The pieces that a client finds when it starts on what is stored.
    fn found(store: Store, content: &Content) -> Vec<u32> {
        let content = Content { storage: Arc::new(store), ..content.clone() };
        let pieces = (0..content.geometry.pieces()).map(PieceIndex);
        pieces.filter(|&piece| content.is_right(piece).unwrap()).map(|piece| piece.0).collect()
    }

    #[test]
    fn what_is_written_is_read_and_only_what_differs_is_kept() {
        let (original, store, _) = store(&[], None);
        let mut mirror = vec![0; original.len()];
        let mut dice = Dice::stream(1, ("test", 0, "writes"));
        for _ in 0..300 {
            let offset = dice.below(original.len() as u64) as usize;
            let len = (dice.below(40_000) as usize).min(original.len() - offset);
            let mut bytes = original[offset..offset + len].to_vec();
            if dice.below(3) == 0 {
                bytes.iter_mut().for_each(|byte| *byte = !*byte);
            }
            store.write(offset as u64, &bytes).unwrap();
            mirror[offset..offset + len].copy_from_slice(&bytes);
            let from = dice.below(original.len() as u64) as usize;
            let mut read = vec![1; (dice.below(40_000) as usize).min(original.len() - from)];
            store.read(from as u64, &mut read).unwrap();
            assert!(read == mirror[from..from + read.len()], "{} bytes from {from}", read.len());
        }
        assert!(store.own_bytes() > 0 && !store.equals_original(&Bitfield::all(6)));
        store.write(0, &original).unwrap();
        assert!(store.own_bytes() == 0 && store.equals_original(&Bitfield::all(6)));
    }

    #[test]
    fn a_client_finds_what_the_store_came_with() {
        let (_, store, content) = store(&[0, 2, 5], None);
        assert!(store.own_bytes() <= 6 * CELL, "only cells at the border of a piece that is there");
        assert_eq!(found(store, &content), [0, 2, 5]);
    }

    #[test]
    fn accesses_cost_the_disks_time() {
        let (_, store, _) = store(&[0, 1], Some(slow_disk()));
        let mut block = [0; 10_000];
        store.read(0, &mut block).unwrap();
        store.read(10_000, &mut block).unwrap();
        assert_eq!(store.finish(Instant::ZERO), Instant::ZERO + Duration::from_millis(30));
        let (_, memory, _) = self::store(&[0, 1], None);
        memory.read(0, &mut block).unwrap();
        assert_eq!(memory.finish(Instant::ZERO), Instant::ZERO);
    }

    #[test]
    fn a_full_disk_and_a_bad_sector_are_errors_that_say_so() {
        let (_, store, _) = store(&[0], Some(slow_disk()));
        store.with_disk(|disk| disk.set_full(true));
        let full = store.write(3 * CELL as u64 + 200, &[7; 100]).and(store.write(100_000, &[7; 100]));
        assert!(full.unwrap_err().to_string().contains("write 100 bytes from byte 100000"));
        store.with_disk(|disk| disk.fail_reads(50, 1, Failing::Once));
        assert!(store.read(0, &mut [0; 100]).unwrap_err().to_string().contains("sector"));
        store.read(0, &mut [0; 100]).unwrap();
    }

    #[test]
    fn a_polluter_serves_wrong_bytes_and_reads_right_ones() {
        let (original, store, content) = store(&[0, 1, 2, 3, 4, 5], None);
        let pollution =
            Pollution::new(Spoils::Piece(PieceIndex(1)), Dice::stream(1, ("host", 0, "pollution")));
        store.pollute(Some(pollution));
        let start = content.geometry.offset_of(PieceIndex(1)) as usize;
        let mut served = vec![0; original.len()];
        store.serve(0, &mut served).unwrap();
        assert!(served[..start] == original[..start] && served[start] == !original[start]);
        assert_eq!(served.iter().zip(&original).filter(|(served, right)| served != right).count(), 4);
        assert_eq!(found(store, &content), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_client_that_lost_its_power_finds_out_what_is_torn() {
        let (original, store, content) = store(&[0], Some(slow_disk()));
        for start in (0..original.len()).step_by(CELL) {
            store.write(start as u64, &original[start..original.len().min(start + CELL)]).unwrap();
        }
        assert!(store.equals_original(&Bitfield::all(6)));
        store.power_off(store.finish(Instant::ZERO));
        let torn: Vec<u32> = (0..6).filter(|&piece| !store.equals_original(&one(piece))).collect();
        let right = found(store, &content);
        assert!(!torn.is_empty() && torn.iter().all(|piece| !right.contains(piece)), "{torn:?}, {right:?}");
        assert_eq!(torn.len() + right.len(), 6);
    }

    #[test]
    fn nothing_is_torn_that_was_synced_negative() {
        let (original, store, content) = store(&[], Some(slow_disk()));
        store.write(0, &original).unwrap();
        let synced = store.finish(Instant::ZERO) + Duration::from_secs(30);
        store.finish(synced);
        store.power_off(synced);
        assert_eq!(found(store, &content), [0, 1, 2, 3, 4, 5]);
    }

    fn one(piece: u32) -> Bitfield {
        let mut have = Bitfield::none(6);
        have.insert(PieceIndex(piece));
        have
    }
}
