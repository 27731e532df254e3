//! The peer wire protocol: messages as types, and as bytes.

mod codec;
mod extension;
mod fast;
mod message;
mod pex;

pub use codec::{Decoder, MAX_BLOCK_LEN, PROTOCOL, SyntheticPayload, WireError, encode, piece_head};
pub use extension::{ExtensionError, ExtensionHandshake};
pub use fast::allowed_fast_set;
pub use message::{Message, Payload, Reserved};
pub use pex::{Contact, ContactFlags, PeerExchange, PeerExchangeError};
