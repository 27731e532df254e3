use std::io::Cursor;

use proptest::prelude::*;

use super::entry::Span;
use super::write::Writer;
use super::*;

fn head() -> Head {
    let scenario =
        torrentlab_scenarios::catalogue().iter().find(|entry| entry.name == "first-swarm").unwrap();
    Head {
        format: FORMAT,
        version: "0.0.0".to_owned(),
        backend: "des".to_owned(),
        seed: 1,
        scenario: scenario.text.to_owned(),
    }
}

fn entries(count: u64) -> Vec<Entry> {
    let event = |nth: u64| match nth % 5 {
        0 => Event::Timeout,
        1 => Event::Heard {
            conn: Conn(3, 1),
            said: Said::Request(Span { piece: nth as u32, nth: 1, odd: None }),
        },
        2 => Event::Says { conn: Conn(3, 1), said: Said::Have(nth as u32) },
        3 => Event::Broadcasts { piece: 7, slots: vec![1, 2, 3] },
        _ => Event::Tells { what: "Completed".to_owned() },
    };
    (0..count).map(|nth| Entry { after: nth % 1000, host: (nth % 7) as u32, event: event(nth) }).collect()
}

fn written(head: &Head, entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), head).unwrap();
    entries.iter().for_each(|entry| writer.put(entry).unwrap());
    writer.finish(true).unwrap().0
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, TraceError> {
    TraceReader::new(Cursor::new(bytes.to_vec()))?.map(|entry| entry.map(|(_, entry)| entry)).collect()
}

#[test]
fn what_is_written_is_read() {
    // More than a block.
    let all = entries(50_000);
    let bytes = written(&head(), &all);
    assert_eq!(read(&bytes).unwrap(), all);
    let mut reader = TraceReader::new(Cursor::new(bytes)).unwrap();
    assert_eq!(*reader.head(), head());
    let times: Vec<u64> = reader.by_ref().map(|entry| entry.unwrap().0.as_nanos()).collect();
    assert_eq!(times[2], 3, "times are added up");
    assert_eq!(reader.tail(), Some(Tail { entries: 50_000, ended: true }));
}

#[test]
fn a_trace_that_breaks_off_says_after_how_many_events_negative() {
    let bytes = written(&head(), &entries(50_000));
    for part in [bytes.len() / 2, bytes.len() - 1] {
        let error = read(&bytes[..part]).expect_err("it breaks off");
        assert!(matches!(error, TraceError::Truncated(_) | TraceError::Damaged { .. }), "{error}");
    }
}

#[test]
fn other_files_and_other_formats_are_told_apart_negative() {
    assert!(matches!(read(b"").unwrap_err(), TraceError::NoTrace));
    assert!(matches!(read(b"schema = 1\nname = \"x\"").unwrap_err(), TraceError::NoTrace));
    let later = written(&Head { format: FORMAT + 1, ..head() }, &[]);
    assert!(matches!(read(&later).unwrap_err(), TraceError::Format(format) if format == FORMAT + 1));
}

#[test]
fn the_first_event_that_differs_is_named_with_those_before_it() {
    let all = entries(10_000);
    let mut other = all.clone();
    other[7_001].event = Event::Heard { conn: Conn(3, 1), said: Said::Have(5) };
    let trace = |entries: &[Entry]| TraceReader::new(Cursor::new(written(&head(), entries))).unwrap();
    let words = || Words::of(&head()).unwrap();
    let parting = compare_files(trace(&all), trace(&other), words()).unwrap().unwrap();
    assert_eq!((parting.event, parting.before.len()), (7_001, 8));
    assert!(parting.first.unwrap().ends_with("request block 1 of piece 7001"));
    assert!(parting.second.unwrap().ends_with("have 5"));
    let parting = compare_files(trace(&all), trace(&all[..9_000]), words()).unwrap().unwrap();
    assert_eq!((parting.event, parting.second), (9_000, None));
    // What nodes tell of themselves may be worded otherwise.
    let mut other = all.clone();
    other[4].event = Event::Tells { what: "Done".to_owned() };
    assert_eq!(compare_files(trace(&all), trace(&other), words()).unwrap(), None);
    assert_eq!(compare_files(trace(&all), trace(&all), words()).unwrap(), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = read(&bytes);
        // The same behind a compression that is right.
        let mut stream = MAGIC.to_vec();
        stream.extend(&bytes);
        let _ = read(&zstd::encode_all(&stream[..], 1).unwrap());
    }

    #[test]
    fn no_damage_makes_the_reader_panic(at in 0usize..4000, bit in 0u8..8, keep in 0usize..4000) {
        let mut stream = zstd::decode_all(&written(&head(), &entries(300))[..]).unwrap();
        let at = at % stream.len();
        stream[at] ^= 1 << bit;
        stream.truncate(stream.len() - keep % 7);
        let _ = read(&zstd::encode_all(&stream[..], 1).unwrap());
    }
}
