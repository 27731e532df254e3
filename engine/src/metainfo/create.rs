//! Torrent files, made.

use super::{Metainfo, MetainfoError, PieceHash};
use crate::bencode::{Dict, Value};
use crate::units::BLOCK_LEN;

/// What a new torrent file says. The hashes are the caller's to compute ([`PieceHasher`](super::PieceHasher)).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTorrent {
    /// The name of the file, or of the folder that holds the files.
    pub name: String,
    /// One file or many.
    pub content: Content,
    /// Bytes of a piece.
    pub piece_len: u32,
    /// The hash of each piece.
    pub hashes: Vec<PieceHash>,
    /// Peers come from the trackers alone (BEP 27).
    pub private: bool,
    /// The trackers' addresses, in tiers (BEP 12).
    pub tiers: Vec<Vec<String>>,
    /// Words for whoever looks into it.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
}

/// The content of a new torrent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// One file of so many bytes.
    File(u64),
    /// A folder of files: the path of each below the folder, and its bytes, in the order of the content.
    Folder(Vec<(Vec<String>, u64)>),
}

/// A piece length that suits `total_len` bytes: a power of two that gives about 1,000 to 2,000 pieces, within 16 KiB
/// to 16 MiB, so that torrent files stay small and pieces do not.
pub fn default_piece_len(total_len: u64) -> u32 {
    const LARGEST: u32 = 16 << 20;
    let wanted = (total_len / 2000).clamp(u64::from(BLOCK_LEN), u64::from(LARGEST));
    u32::try_from(wanted).map_or(LARGEST, u32::next_power_of_two)
}

impl NewTorrent {
    /// The bytes of the torrent file.
    ///
    /// # Errors
    /// Where [`Metainfo::parse`] would refuse them.
    pub fn encode(&self) -> Result<Vec<u8>, MetainfoError> {
        let hashes = self.hashes.concat();
        let mut root = Dict::default();
        root.insert("info", self.info(&hashes)?);
        if let Some(first) = self.tiers.iter().flatten().next() {
            root.insert("announce", first.as_str());
        }
        if self.tiers.iter().flatten().nth(1).is_some() {
            let tiers = self.tiers.iter().map(|tier| strings(tier)).collect::<Vec<_>>();
            root.insert("announce-list", tiers);
        }
        if let Some(comment) = &self.comment {
            root.insert("comment", comment.as_str());
        }
        if let Some(program) = &self.created_by {
            root.insert("created by", program.as_str());
        }
        let bytes = Value::Dict(root).to_vec();
        Metainfo::parse(&bytes).map(|_| bytes)
    }

    fn info<'a>(&'a self, hashes: &'a [u8]) -> Result<Dict<'a>, MetainfoError> {
        let mut info = Dict::default();
        info.insert("name", self.name.as_str());
        info.insert("piece length", i64::from(self.piece_len));
        info.insert("pieces", hashes);
        if self.private {
            info.insert("private", 1);
        }
        match &self.content {
            Content::File(len) => info.insert("length", signed(*len, &self.name)?),
            Content::Folder(files) => {
                let mut list = Vec::new();
                for (path, len) in files {
                    let mut file = Dict::default();
                    file.insert("length", signed(*len, &path.join("/"))?);
                    file.insert("path", strings(path));
                    list.push(Value::Dict(file));
                }
                info.insert("files", list);
            }
        }
        Ok(info)
    }
}

fn strings(list: &[String]) -> Value<'_> {
    Value::List(list.iter().map(|text| text.as_str().into()).collect())
}

fn signed(len: u64, name: &str) -> Result<i64, MetainfoError> {
    i64::try_from(len).map_err(|_| MetainfoError::FileLength(name.to_owned()))
}
