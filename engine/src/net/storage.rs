//! What the driver needs of the place where content is kept.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The content of a torrent as one stretch of bytes, wherever it is kept. Reads and writes are positional, so that
/// threads share it; they may block.
pub trait Storage: Debug + Send + Sync {
    /// Fills `buf` from byte `offset` of the content on.
    ///
    /// # Errors
    /// Where the bytes cannot be read, or are not there.
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError>;

    /// Fills `buf` with what a peer is sent, which has been checked: a read unless a store tells the two apart.
    ///
    /// # Errors
    /// As [`Storage::read`].
    fn serve(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.read(offset, buf)
    }

    /// Writes `buf` from byte `offset` of the content on.
    ///
    /// # Errors
    /// Where the bytes cannot be written, or only some of them.
    fn write(&self, offset: u64, buf: &[u8]) -> Result<(), StorageError>;

    /// Whether nothing can be in `offset..offset + len` yet, so that a check of it would be for nothing: files that
    /// were created just now.
    fn is_fresh(&self, offset: u64, len: u64) -> bool;
}

/// What went wrong with stored content.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A path in the torrent that is not a plain one.
    #[error("the torrent names a path outside its folder: {}", .0.display())]
    Escapes(PathBuf),
    /// A symbolic link where a download would write.
    #[error("{} is a symbolic link: a download does not write through links", .0.display())]
    Link(PathBuf),
    /// A file that is there and longer than the torrent's.
    #[error("{} is there already with {len} bytes and is not the torrent's file of {expected} bytes", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The torrent's.
        expected: u64,
    },
    /// A store that has no files refused.
    #[error("cannot {doing} {len} bytes from byte {offset} on: {source}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// Where in the content.
        offset: u64,
        /// How many bytes.
        len: usize,
        /// Why.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StorageError {
    /// Whether the bytes are simply not there: no such file, or a shorter one.
    pub fn is_missing(&self) -> bool {
        let (Self::Io { source, .. } | Self::Refused { source, .. }) = self else { return false };
        matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotADirectory
        )
    }
}
