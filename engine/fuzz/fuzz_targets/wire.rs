//! A stream decodes equally whole and a byte at a time, and what was decoded can be written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use torrentlab_engine::wire::{Decoder, ExtensionHandshake, Message, PeerExchange, WireError, encode};

fn drain(decoder: &mut Decoder, buffer: &mut BytesMut, out: &mut Vec<Message>) -> Result<(), WireError> {
    while let Some(message) = decoder.decode(buffer)? {
        out.push(message);
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let (mut whole, mut dribbled) = (Vec::new(), Vec::new());
    let result = drain(&mut Decoder::new(1000), &mut input.into(), &mut whole);

    let (mut decoder, mut buffer) = (Decoder::new(1000), BytesMut::new());
    let bytewise = input.iter().try_for_each(|byte| {
        buffer.extend_from_slice(&[*byte]);
        drain(&mut decoder, &mut buffer, &mut dribbled)
    });
    assert_eq!((result, &whole), (bytewise, &dribbled));

    for message in &whole {
        let mut bytes = BytesMut::new();
        encode(message, &mut bytes).expect("real bytes");
        assert_eq!(bytes.len() as u32, message.wire_len());
        if let Message::Extended { payload, .. } = message
            && let Ok(handshake) = ExtensionHandshake::decode(payload)
        {
            assert_eq!(ExtensionHandshake::decode(&handshake.encode()), Ok(handshake));
        }
        if let Message::Extended { payload, .. } = message
            && let Ok(exchange) = PeerExchange::decode(payload)
        {
            assert!(exchange.added.len() <= 2 * PeerExchange::MAX_CONTACTS);
            assert_eq!(PeerExchange::decode(&exchange.encode()), Ok(exchange));
        }
    }
});
