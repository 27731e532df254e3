//! The byte-exact backend: the engine's own driver, codec and SHA-1 on hosts inside turmoil's network.

pub mod net;
pub mod storage;
