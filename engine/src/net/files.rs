//! The files of a torrent on disk.
//!
//! Nothing is read or written outside the content's folder: every part of a path must be a plain name, and a download
//! refuses to go through a symbolic link below the folder that the user named. A torrent cannot make links here, so
//! one that is found was put there by someone else, and may point anywhere.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::storage::{Storage, StorageError};

/// Files held open at once; a torrent may have more.
const MAX_OPEN: usize = 128;

/// One file of the content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSpan {
    /// Where it lies below the folder.
    pub path: PathBuf,
    /// Bytes.
    pub len: u64,
    /// Zeros that fill a piece up and are not stored (BEP 47).
    pub padding: bool,
}

/// Whether files may be changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Only read; links are followed, since nothing can be damaged.
    Read,
    /// Created and written.
    Write,
}

/// The content over its files.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    access: Access,
    files: Vec<Placed>,
    open: Mutex<Vec<(usize, Arc<File>)>>,
}

/// A file and its place in the content.
#[derive(Debug)]
struct Placed {
    path: PathBuf,
    start: u64,
    len: u64,
    padding: bool,
    /// Made by this `Files`: its bytes are holes, not yet worth a check.
    fresh: bool,
}

impl Files {
    /// Opens the content below `root`. With [`Access::Write`] folders and files are created in full length without
    /// taking up space, those of no bytes too; what is there is kept.
    ///
    /// # Errors
    /// Where a path leaves `root`, goes through a link, or cannot be created.
    pub fn open(root: &Path, files: &[FileSpan], access: Access) -> Result<Self, StorageError> {
        let mut start = 0;
        let mut placed = Vec::with_capacity(files.len());
        for file in files {
            let plain = file.path.components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || file.path.as_os_str().is_empty() {
                return Err(StorageError::Escapes(file.path.clone()));
            }
            let FileSpan { path, len, padding } = file.clone();
            let creates = access == Access::Write && !padding;
            let fresh = creates && create(root, file).map_err(|error| explain(error, root, file))?;
            placed.push(Placed { path, start, len, padding, fresh: fresh || padding });
            start += file.len;
        }
        Ok(Self { root: root.to_owned(), access, files: placed, open: Mutex::default() })
    }

    /// The file that byte `offset` lies in, where in it, and how many of `want` bytes it holds from there.
    fn locate(&self, offset: u64, want: usize) -> (usize, u64, usize) {
        let index = self.files.partition_point(|file| file.start + file.len <= offset);
        let file = self.files.get(index).expect("a block lies within the content");
        let within = offset - file.start;
        let len = usize::try_from(file.len - within).map_or(want, |rest| rest.min(want));
        (index, within, len)
    }

    fn file(&self, index: usize) -> Result<Arc<File>, StorageError> {
        let mut open = self.open.lock().expect("no reader or writer panics");
        if let Some((_, file)) = open.iter().find(|(at, _)| *at == index) {
            return Ok(Arc::clone(file));
        }
        let placed = &self.files[index];
        let path = self.root.join(&placed.path);
        let write = self.access == Access::Write;
        if write {
            refuse_links(&self.root, &placed.path)?;
        }
        let file = OpenOptions::new().read(true).write(write).open(&path);
        let file = Arc::new(file.map_err(|source| self.failed("open", index, source))?);
        if open.len() == MAX_OPEN {
            open.remove(0);
        }
        open.push((index, Arc::clone(&file)));
        Ok(file)
    }

    fn failed(&self, doing: &'static str, index: usize, source: io::Error) -> StorageError {
        StorageError::Io { doing, path: self.root.join(&self.files[index].path), source }
    }
}

impl Storage for Files {
    fn read(&self, mut offset: u64, mut buf: &mut [u8]) -> Result<(), StorageError> {
        while !buf.is_empty() {
            let (index, within, len) = self.locate(offset, buf.len());
            let (now, later) = buf.split_at_mut(len);
            if self.files[index].padding {
                now.fill(0);
            } else {
                let read = self.file(index)?.read_exact_at(now, within);
                read.map_err(|source| self.failed("read", index, source))?;
            }
            (buf, offset) = (later, offset + len as u64);
        }
        Ok(())
    }

    fn write(&self, mut offset: u64, mut buf: &[u8]) -> Result<(), StorageError> {
        while !buf.is_empty() {
            let (index, within, len) = self.locate(offset, buf.len());
            let (now, later) = buf.split_at(len);
            if !self.files[index].padding {
                let written = self.file(index)?.write_all_at(now, within);
                written.map_err(|source| self.failed("write", index, source))?;
            }
            (buf, offset) = (later, offset + len as u64);
        }
        Ok(())
    }

    fn is_fresh(&self, offset: u64, len: u64) -> bool {
        let first = self.files.partition_point(|file| file.start + file.len <= offset);
        self.files[first..].iter().take_while(|file| file.start < offset + len).all(|file| file.fresh)
    }
}

/// Why a file could not be made.
enum CreateError {
    Storage(StorageError),
    Io(io::Error),
}

impl From<StorageError> for CreateError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<io::Error> for CreateError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn explain(error: CreateError, root: &Path, file: &FileSpan) -> StorageError {
    match error {
        CreateError::Storage(error) => error,
        CreateError::Io(source) => StorageError::Io { doing: "create", path: root.join(&file.path), source },
    }
}

/// Sees to it that `file` is there in its full length; whether it is new.
fn create(root: &Path, file: &FileSpan) -> Result<bool, CreateError> {
    fs::create_dir_all(root)?;
    refuse_links(root, &file.path)?;
    let path = root.join(&file.path);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = !path.try_exists()?;
    // Opened for writing even if nothing is missing: what cannot be written is told now and not after hours.
    let handle = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
    let len = handle.metadata()?.len();
    if len > file.len {
        return Err(StorageError::TooLong { path, len, expected: file.len }.into());
    }
    handle.set_len(file.len)?;
    Ok(fresh)
}

fn refuse_links(root: &Path, path: &Path) -> Result<(), StorageError> {
    let mut at = root.to_owned();
    for part in path.components() {
        at.push(part);
        if fs::symlink_metadata(&at).is_ok_and(|found| found.is_symlink()) {
            return Err(StorageError::Link(at));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(files: &[(&str, u64)]) -> Vec<FileSpan> {
        files
            .iter()
            .map(|&(path, len)| FileSpan { path: path.into(), len, padding: path.starts_with(".pad/") })
            .collect()
    }

    fn open(root: &Path, files: &[(&str, u64)]) -> Result<Files, StorageError> {
        Files::open(root, &spans(files), Access::Write)
    }

    #[test]
    fn bytes_run_over_files_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("z", 0), ("a/b/c", 3), ("n", 0), ("d", 1), ("a/e", 6), ("last", 0)];
        let storage = open(dir.path(), &files).unwrap();
        storage.write(1, b"12345678").unwrap();
        storage.write(0, b"0").unwrap();
        storage.write(9, b"9").unwrap();
        let mut all = [0; 10];
        storage.read(0, &mut all).unwrap();
        assert_eq!(&all, b"0123456789");
        for (path, content) in
            [("z", ""), ("a/b/c", "012"), ("n", ""), ("d", "3"), ("a/e", "456789"), ("last", "")]
        {
            assert_eq!(fs::read_to_string(dir.path().join(path)).unwrap(), content, "{path}");
        }
    }

    #[test]
    fn padding_is_zeros_and_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path(), &[("a", 2), (".pad/2", 2), ("b", 2)]).unwrap();
        storage.write(0, b"12\0\0ab").unwrap();
        let mut all = [9; 6];
        storage.read(0, &mut all).unwrap();
        assert_eq!(&all, b"12\0\0ab");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn more_files_than_are_held_open() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..MAX_OPEN * 2).map(|n| format!("f{n}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let storage = open(dir.path(), &files).unwrap();
        let content: Vec<u8> = (0..files.len()).map(|n| n as u8).collect();
        storage.write(0, &content).unwrap();
        let mut back = vec![0; content.len()];
        storage.read(0, &mut back).unwrap();
        assert_eq!(back, content);
        assert_eq!(storage.open.lock().unwrap().len(), MAX_OPEN);
    }

    #[test]
    fn only_new_files_are_fresh() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("old"), "ab").unwrap();
        let storage = open(dir.path(), &[("new", 4), ("old", 4), ("more", 4)]).unwrap();
        let fresh = |range: std::ops::Range<u64>| storage.is_fresh(range.start, range.end - range.start);
        assert!(fresh(0..4) && fresh(8..12));
        assert!(!fresh(0..5) && !fresh(7..12) && !fresh(4..8));
        let mut kept = [9; 4];
        storage.read(4, &mut kept).unwrap();
        assert_eq!(&kept, b"ab\0\0");
    }

    #[test]
    fn nothing_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for path in ["../x", "/etc/x", "a/../../x", "", "./x/.."] {
            assert!(matches!(open(&root, &[(path, 1)]), Err(StorageError::Escapes(_))), "{path:?}");
        }
        let outside = dir.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(&root).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("folder")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), root.join("file")).unwrap();
        for path in ["folder/x", "file"] {
            assert!(matches!(open(&root, &[(path, 1)]), Err(StorageError::Link(_))), "{path}");
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_swapped_for_a_link_while_running_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(dir.path(), &[("a/x", 1)]).unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::remove_dir_all(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("a")).unwrap();
        assert!(matches!(storage.write(0, b"x"), Err(StorageError::Link(_))));
    }

    #[test]
    fn what_is_in_the_way_is_kept_and_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("long"), "more than that").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        let error = open(dir.path(), &[("long", 3)]).unwrap_err();
        assert!(error.to_string().contains("14 bytes"), "{error}");
        assert_eq!(fs::read(dir.path().join("long")).unwrap(), b"more than that");
        let error = open(dir.path(), &[("folder", 3)]).unwrap_err();
        assert!(error.to_string().contains("cannot create"), "{error}");
        let error = open(dir.path(), &[("long/below", 3)]).unwrap_err();
        assert!(error.to_string().contains("cannot create"), "{error}");
    }

    #[test]
    fn reading_changes_nothing_and_knows_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("short"), "abc").unwrap();
        let files = spans(&[("short", 5), ("gone", 1)]);
        let storage = Files::open(dir.path(), &files, Access::Read).unwrap();
        assert!(storage.read(0, &mut [0; 5]).unwrap_err().is_missing());
        assert!(storage.read(5, &mut [0; 1]).unwrap_err().is_missing());
        assert!(!storage.write(0, b"x").unwrap_err().is_missing());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
