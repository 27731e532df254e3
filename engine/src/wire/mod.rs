//! The peer wire protocol: messages as types, and as bytes.

mod message;

pub use message::{Message, Payload, Reserved};
