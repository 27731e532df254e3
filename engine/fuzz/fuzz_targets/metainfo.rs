//! A torrent that is accepted has safe paths, and its pieces cover its files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torrentlab_engine::metainfo::Metainfo;
use torrentlab_engine::units::{Block, PieceIndex};

fuzz_target!(|input: &[u8]| {
    let Ok(torrent) = Metainfo::parse(input) else { return };
    let geometry = torrent.geometry();
    let mut covered = 0;
    for piece in (0..geometry.pieces()).map(PieceIndex) {
        let whole = Block { piece, begin: 0, len: geometry.len_of(piece) };
        covered += torrent.segments(whole).map(|segment| segment.len).sum::<u64>();
    }
    assert_eq!(covered, geometry.total_len());
    for component in torrent.files().iter().flat_map(|file| &file.path) {
        assert!(!component.is_empty() && component != "." && component != "..");
        assert!(!component.contains(['/', '\\', '\0']));
    }
});
