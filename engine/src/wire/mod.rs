//! The peer wire protocol: messages as types, and as bytes.

mod extension;
mod message;

pub use extension::{ExtensionError, ExtensionHandshake};
pub use message::{Message, Payload, Reserved};
