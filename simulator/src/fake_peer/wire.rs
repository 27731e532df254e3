//! A fake peer on a stream of bytes.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::select;
use tokio::time;
use torrentlab_engine::time::Instant;
use torrentlab_engine::wire::{Decoder, encode};

use super::part::{Act, Part, Play, Verdict};

/// Plays a script over `stream`, which is open: a real socket, or one inside turmoil. Its clock is tokio's.
///
/// The engine on the other side is whichever one is there. Content must be real
/// ([`Content::Real`](crate::content::Content::Real)) where the script serves any.
///
/// # Errors
/// Where the other side did not do as the script says.
///
/// # Panics
/// Where a script about synthetic content sends a block: a stream has no stand-ins.
pub async fn play_over(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), play: Play) -> Verdict {
    let start = time::Instant::now();
    let at = |now: time::Instant| {
        Instant::from_nanos(u64::try_from(now.duration_since(start).as_nanos()).unwrap_or(u64::MAX))
    };
    let mut decoder = Decoder::new(play.content.geometry().pieces());
    let (mut came, mut part, mut is_open) = (BytesMut::new(), Part::new(play), true);
    part.open(Instant::ZERO);
    loop {
        if carry_out(part.take_acts(), stream).await.is_err() && std::mem::take(&mut is_open) {
            part.closed(at(time::Instant::now()));
        }
        if let Some(verdict) = part.verdict() {
            return verdict.clone();
        }
        let due = part.due().map(|due| start + std::time::Duration::from_nanos(due.as_nanos()));
        let read = select! {
            biased;
            read = stream.read_buf(&mut came), if is_open => Some(read),
            () = time::sleep_until(due.unwrap_or(start)), if due.is_some() => None,
        };
        let now = at(time::Instant::now());
        match read {
            None => part.timeout(now),
            Some(Ok(0) | Err(_)) => {
                is_open = false;
                part.closed(now);
            }
            Some(Ok(_)) => deliver(&mut decoder, &mut came, &mut part, now),
        }
    }
}

/// Gives every whole message to the part.
fn deliver(decoder: &mut Decoder, came: &mut BytesMut, part: &mut Part, now: Instant) {
    loop {
        match decoder.decode(came) {
            Ok(Some(message)) => part.hear(&message, now),
            Ok(None) => return,
            Err(why) => return part.malformed(&why.to_string()),
        }
    }
}

async fn carry_out(acts: Vec<Act>, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    for act in acts {
        match act {
            Act::Say(message) => encode(&message, &mut bytes).expect("the content is real"),
            Act::Bytes(raw) => bytes.extend_from_slice(&raw),
            Act::HangUp => {
                stream.write_all(&bytes.split()).await?;
                stream.shutdown().await?;
            }
        }
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}
