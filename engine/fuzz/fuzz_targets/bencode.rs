//! What is accepted with sorted keys has one form, and what is accepted at all can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torrentlab_engine::bencode::{Keys, decode};

fuzz_target!(|input: &[u8]| {
    if let Ok(value) = decode(input, Keys::Sorted) {
        assert_eq!(value.to_vec(), input);
    }
    if let Ok(value) = decode(input, Keys::AnyOrder) {
        assert_eq!(decode(&value.to_vec(), Keys::Sorted), Ok(value));
    }
});
