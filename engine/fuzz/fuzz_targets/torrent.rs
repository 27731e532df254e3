//! The state machine under arbitrary operations; `tests/operations.rs` runs the corpus as an ordinary test.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/common/ops.rs"]
mod ops;

fuzz_target!(|input: &[u8]| {
    ops::drive(input);
});
