//! The torrent under arbitrary operations: those of the fuzzer's corpus, and random ones.

#[path = "common/ops.rs"]
mod ops;

use std::collections::BTreeSet;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn no_list_of_operations_breaks_it(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        ops::drive(&bytes);
    }
}

#[test]
fn nor_does_the_corpus() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/torrent");
    let files = std::fs::read_dir(corpus).expect("the corpus is part of the repository");
    let seen: BTreeSet<&str> =
        files.flat_map(|file| ops::drive(&std::fs::read(file.unwrap().path()).unwrap())).collect();
    for deed in [
        "request",
        "cancel",
        "reject",
        "have",
        "block",
        "check-again",
        "banned",
        "snubbed",
        "endgame",
        "exchange",
        "heard",
    ] {
        assert!(seen.contains(deed), "the corpus does not reach {deed:?}, only {seen:?}");
    }
}
