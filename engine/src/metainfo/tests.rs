use super::*;
use proptest::prelude::*;

/// The file of a torrent with these fields in its info dictionary, which must be in order.
fn torrent(info: &str) -> Vec<u8> {
    format!("d4:infod{info}ee").into_bytes()
}

fn refused(info: &str) -> MetainfoError {
    Metainfo::parse(&torrent(info)).expect_err(info)
}

/// `n` hashes, bencoded.
fn hashes(n: usize) -> String {
    format!("{}:{}", n * 20, "h".repeat(n * 20))
}

/// The fields of a folder with these files, as paths and lengths, in pieces of 16 bytes.
fn folder(files: &[(&[&str], i64)]) -> String {
    let total: i64 = files.iter().map(|(_, len)| len).sum();
    let entry = |(path, len): &(&[&str], i64)| {
        let path: String = path.iter().map(|part| format!("{}:{part}", part.len())).collect();
        format!("d6:lengthi{len}e4:pathl{path}ee")
    };
    let list: String = files.iter().map(entry).collect();
    format!("5:filesl{list}e4:name1:t12:piece lengthi16e6:pieces{}", hashes((total as usize).div_ceil(16)))
}

#[test]
fn a_single_file() {
    let info = format!("6:lengthi40e4:name5:a.txt12:piece lengthi16e6:pieces{}", hashes(3));
    let torrent = Metainfo::parse(&torrent(&info)).unwrap();
    assert_eq!(torrent.name(), "a.txt");
    assert_eq!(torrent.files(), [File { path: vec!["a.txt".into()], offset: 0, len: 40, padding: false }]);
    assert_eq!(torrent.geometry(), Geometry::new(40, 16).unwrap());
    assert_eq!(torrent.hashes(), [[b'h'; 20]; 3]);
    assert!(!torrent.private());
    assert_eq!(torrent.tiers(), [] as [Vec<String>; 0]);
}

#[test]
fn the_info_hash_is_over_the_bytes_as_they_stand() {
    let info = |extra: &str| format!("6:lengthi1e4:name1:a12:piece lengthi16e6:pieces{}{extra}", hashes(1));
    let hash = |extra| Metainfo::parse(&torrent(&info(extra))).unwrap().info_hash();
    let extra = "6:x-filed1:zi1ee";
    let expected: [u8; 20] = Sha1::digest(format!("d{}e", info(extra))).into();
    assert_eq!(hash(extra), InfoHash(expected));
    assert_ne!(hash(extra), hash(""));
}

#[test]
fn a_folder_with_empty_files_and_segments_across_them() {
    let info =
        folder(&[(&["a"], 10), (&["empty"], 0), (&["d", "b"], 20), (&["z"], 0), (&["c"], 5), (&["y"], 0)]);
    let torrent = Metainfo::parse(&torrent(&info)).unwrap();
    assert_eq!(torrent.files()[2].path, ["t", "d", "b"]);
    assert_eq!(torrent.files()[2].offset, 10);
    let segments = |piece, begin, len| {
        let block = Block { piece: PieceIndex(piece), begin, len };
        torrent.segments(block).map(|s| (s.file, s.offset, s.len)).collect::<Vec<_>>()
    };
    assert_eq!(segments(0, 0, 16), [(0, 0, 10), (2, 0, 6)]);
    assert_eq!(segments(0, 10, 1), [(2, 0, 1)]);
    assert_eq!(segments(1, 0, 16), [(2, 6, 14), (4, 0, 2)]);
    assert_eq!(segments(2, 2, 1), [(4, 4, 1)]);
    assert_eq!(segments(0, 0, 35), [(0, 0, 10), (2, 0, 20), (4, 0, 5)]);
    assert_eq!(segments(0, 3, 0), []);
    assert_eq!(segments(2, 3, 5), [], "beyond the end");
    assert_eq!(segments(u32::MAX, u32::MAX, u32::MAX), [], "far beyond the end");
}

#[test]
fn shapes_that_are_refused() {
    use MetainfoError::*;
    let tail = |pieces| format!("4:name1:a12:piece lengthi16e6:pieces{}", hashes(pieces));
    for (info, error) in [
        ("", Field("info.pieces")),
        ("12:meta versioni2e", VersionTwo),
        ("6:pieces3:abc", HashesLength(3)),
        ("6:pieces0:", Field("info.name")),
        (&tail(1), LengthOrFiles),
        (&format!("5:filesle6:lengthi1e{}", tail(1)), LengthOrFiles),
        (&format!("5:filesle{}", tail(0)), Geometry(GeometryError::Empty)),
        (&format!("5:filesli1ee{}", tail(0)), Field("info.files")),
        (&format!("5:filesi1e{}", tail(0)), Field("info.files")),
        (&format!("5:filesld6:lengthi1eee{}", tail(0)), Field("info.files.path")),
        (&format!("5:filesld6:lengthi1e4:pathleee{}", tail(0)), Field("info.files.path")),
        (&format!("6:lengthi0e{}", tail(0)), Geometry(GeometryError::Empty)),
        (&format!("6:lengthi-1e{}", tail(0)), FileLength("a".into())),
        (&format!("6:length1:1{}", tail(0)), Field("length")),
        (&format!("6:lengthi17e{}", tail(1)), HashCount { hashes: 1, pieces: 2 }),
        (&format!("6:lengthi16e{}", tail(2)), HashCount { hashes: 2, pieces: 1 }),
        (&format!("6:lengthi{}e{}", i64::MAX, tail(1)), Geometry(GeometryError::TooManyPieces(1 << 59))),
        (&folder(&[(&["a"], 0), (&["b"], 0)]), Geometry(GeometryError::Empty)),
        (&folder(&[(&[".."], 1)]), Path(PathError::Dots("..".into()))),
        (&folder(&[(&["a"], 1), (&["a"], 1)]), Path(PathError::Twice("t/a".into()))),
        (&folder(&[(&["a"], 1), (&["a", "b"], 1)]), Path(PathError::FileAndFolder("t/a".into()))),
    ] {
        assert_eq!(refused(info), error, "{info}");
    }
    let most = format!("d6:lengthi{}e4:pathl1:aee", i64::MAX);
    let info = format!("5:filesl{most}d6:lengthi1e4:pathl1:beee{}", tail(1));
    assert_eq!(refused(&info), FileLength("a/b".into()), "the sum overflows");
}

#[test]
fn piece_lengths_out_of_range() {
    for len in [0, -16, Metainfo::MAX_PIECE_LEN + 1, i64::MAX, 1 << 32] {
        let info = format!("6:lengthi1e4:name1:a12:piece lengthi{len}e6:pieces{}", hashes(1));
        assert_eq!(refused(&info), MetainfoError::PieceLength(len));
    }
}

#[test]
fn files_that_are_no_torrents() {
    for bytes in [&b""[..], b"d", b"\x89PNG", b"<html>", b"d4:infode"] {
        assert!(matches!(Metainfo::parse(bytes), Err(MetainfoError::Bencode(_))));
    }
    for bytes in [&b"i1e"[..], b"de", b"d4:infoi1ee"] {
        assert_eq!(Metainfo::parse(bytes), Err(MetainfoError::Field("info")));
    }
}

#[test]
fn utf_8_names_are_preferred_and_others_kept_readable() {
    let info = format!(
        "5:filesld6:lengthi1e4:pathl1:\u{1}e10:path.utf-8l2:äeee4:name1:t10:name.utf-82:ö\
         12:piece lengthi16e6:pieces{}",
        hashes(1)
    );
    assert_eq!(Metainfo::parse(&torrent(&info)).unwrap().files()[0].path, ["ö", "ä"]);
    let info = format!("6:lengthi1e4:name2:a?12:piece lengthi16e6:pieces{}", hashes(1));
    let latin: Vec<u8> = torrent(&info).iter().map(|&b| if b == b'?' { 0xe4 } else { b }).collect();
    assert_eq!(Metainfo::parse(&latin).unwrap().name(), "a\u{fffd}");
}

#[test]
fn padding_files_may_share_a_name() {
    let pad = "d4:attr1:p6:lengthi6e4:pathl4:.pad1:6ee";
    let file = |name: &str| format!("d6:lengthi10e4:pathl1:{name}ee");
    let list = [file("a"), pad.into(), file("b"), pad.into()].concat();
    let info = format!("5:filesl{list}e4:name1:t12:piece lengthi16e6:pieces{}", hashes(2));
    let torrent = Metainfo::parse(&torrent(&info)).unwrap();
    assert_eq!(torrent.files().iter().map(|f| f.padding).collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn trackers_in_tiers() {
    let info = format!("6:lengthi1e4:name1:a12:piece lengthi16e6:pieces{}", hashes(1));
    let tiers = |head: &str| {
        let bytes = format!("d{head}4:infod{info}ee");
        Metainfo::parse(bytes.as_bytes())
            .unwrap()
            .tiers()
            .iter()
            .map(|tier| tier.join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(tiers("8:announce1:A"), ["A"]);
    assert_eq!(tiers("8:announce1:A13:announce-listll1:B1:Cel1:Dee"), ["B C", "D"]);
    assert_eq!(tiers("8:announce1:A13:announce-listle"), ["A"], "an empty list is none");
    assert_eq!(tiers("8:announce1:A13:announce-listllel0:i1eel1:Bee"), ["B"], "nor are empty tiers");
    assert_eq!(tiers("8:announcei1e13:announce-listi1e"), [] as [&str; 0]);
}

#[test]
fn piece_lengths_by_default() {
    const MIB: u64 = 1 << 20;
    for (total_len, piece_len) in [
        (0, 16 << 10),
        (1, 16 << 10),
        (30 * MIB, 16 << 10),
        (64 * MIB, 64 << 10),
        (1024 * MIB, 1 << 20),
        (1 << 40, 16 << 20),
        (u64::MAX, 16 << 20),
    ] {
        assert_eq!(default_piece_len(total_len), piece_len, "{total_len}");
    }
}

#[test]
fn what_could_not_be_read_back_is_not_made() {
    let new = |name: &str, content, hashes: usize| NewTorrent {
        name: name.into(),
        content,
        piece_len: 16,
        hashes: vec![[0; 20]; hashes],
        private: false,
        tiers: vec![],
        comment: None,
        created_by: None,
    };
    let error = |new: NewTorrent| new.encode().unwrap_err();
    assert_eq!(error(new("..", Content::File(1), 1)), MetainfoError::Path(PathError::Dots("..".into())));
    assert_eq!(error(new("a", Content::File(17), 1)), MetainfoError::HashCount { hashes: 1, pieces: 2 });
    assert_eq!(error(new("a", Content::File(u64::MAX), 1)), MetainfoError::FileLength("a".into()));
    assert_eq!(error(new("a", Content::Folder(vec![]), 0)), MetainfoError::Geometry(GeometryError::Empty));
}

fn new_torrents() -> impl Strategy<Value = NewTorrent> {
    // No device of Windows begins with q.
    let name = || "q[a-z0-9 ._ä-]{0,8}_";
    let path = (prop::collection::vec(name(), 0..3), 0u64..100);
    let content = prop_oneof![
        (1u64..500).prop_map(Content::File),
        prop::collection::vec(path, 1..6).prop_map(|files| {
            // The last component tells the files apart.
            let numbered = files.into_iter().enumerate();
            let files = numbered.map(|(n, (mut path, len))| {
                path.push(format!("{n}"));
                (path, len + 1)
            });
            Content::Folder(files.collect())
        }),
    ];
    let tiers = prop::collection::vec(prop::collection::vec("http://[a-z]{1,9}/announce", 1..3), 0..3);
    (name(), content, 1u32..100, any::<bool>(), tiers, any::<u8>()).prop_map(
        |(name, content, piece_len, private, tiers, hash)| {
            let comment = (hash % 2 == 0).then(|| format!("a word on {hash}"));
            let total_len = match &content {
                Content::File(len) => *len,
                Content::Folder(files) => files.iter().map(|(_, len)| len).sum(),
            };
            let hashes = vec![[hash; 20]; total_len.div_ceil(u64::from(piece_len)) as usize];
            NewTorrent { name, content, piece_len, hashes, private, tiers, comment, created_by: None }
        },
    )
}

proptest! {
    #[test]
    fn what_is_made_is_read_back(new in new_torrents()) {
        let torrent = Metainfo::parse(&new.encode().unwrap()).unwrap();
        prop_assert_eq!(torrent.name(), &new.name);
        prop_assert_eq!(torrent.private(), new.private);
        prop_assert_eq!(torrent.comment(), new.comment.as_deref());
        prop_assert_eq!(torrent.tiers(), &new.tiers[..]);
        prop_assert_eq!(torrent.hashes(), &new.hashes[..]);
        prop_assert_eq!(torrent.geometry().piece_len(), new.piece_len);
        let files: Vec<_> = torrent.files().iter().map(|file| (file.path[1..].to_vec(), file.len)).collect();
        match new.content {
            Content::File(len) => prop_assert_eq!(files, [(vec![], len)]),
            Content::Folder(expected) => prop_assert_eq!(files, expected),
        }
    }

    /// The segments of the pieces, one after the other, are the files without a gap.
    #[test]
    fn segments_cover_the_content_once(new in new_torrents()) {
        let torrent = Metainfo::parse(&new.encode().unwrap()).unwrap();
        let geometry = torrent.geometry();
        let mut at = 0;
        for piece in (0..geometry.pieces()).map(PieceIndex) {
            for segment in torrent.segments(Block { piece, begin: 0, len: geometry.len_of(piece) }) {
                prop_assert_eq!(torrent.files()[segment.file].offset + segment.offset, at);
                prop_assert!(segment.offset + segment.len <= torrent.files()[segment.file].len);
                at += segment.len;
            }
        }
        prop_assert_eq!(at, geometry.total_len());
    }

    #[test]
    fn a_damaged_file_is_answered(new in new_torrents(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = new.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Metainfo::parse(&bytes);
        prop_assert!(Metainfo::parse(&bytes[..at]).is_err());
    }
}
