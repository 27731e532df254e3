//! Announces over HTTP (BEP 3).

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::select;

use super::platform::Platform;
use crate::time::Duration;
use crate::tracker::{AnnounceReply, AnnounceRequest, TrackerFailure, announce_url, decode_announce_reply};

/// An announce that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest answer that is read: some 100,000 peers.
const MAX_REPLY: usize = 1024 * 1024;
/// The longest head of an answer that is read.
const MAX_HEAD: usize = 16 * 1024;

/// Announces to the tracker at `url`. Redirects are not followed, and `https` and `udp` are not spoken.
///
/// # Errors
/// Where there is no answer within 15 s, or none that can be read.
pub async fn announce<P: Platform>(
    platform: &P,
    url: &str,
    request: &AnnounceRequest,
) -> Result<AnnounceReply, TrackerFailure> {
    let give_up = platform.sleep_until(platform.now() + TIMEOUT);
    let url = announce_url(url, request);
    let body = select! {
        biased;
        body = get(platform, &url) => body?,
        () = give_up => return Err(TrackerFailure::TimedOut),
    };
    decode_announce_reply(&body)
}

async fn get<P: Platform>(platform: &P, url: &str) -> Result<Bytes, TrackerFailure> {
    let (host, port, target) = locate(url)?;
    let stream = connect(platform, &host, port).await.map_err(unreachable)?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let request = Request::get(target)
        .header(HOST, format!("{host}:{port}"))
        .header(USER_AGENT, concat!("torrentlab/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(unreachable)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(unreachable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_REPLY).collect().await;
        let body = body.map_err(|error| TrackerFailure::Malformed(error.to_string()))?.to_bytes();
        // Trackers put their `failure reason` into answers of any status.
        if status.is_success() || body.starts_with(b"d") {
            return Ok(body);
        }
        Err(TrackerFailure::Malformed(format!("HTTP status {status}")))
    };
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    select! {
        biased;
        body = &mut exchange => body,
        // The end of the connection may be the end of the body.
        _ = &mut connection => exchange.await,
    }
}

/// Host, port and request target of a URL.
fn locate(url: &str) -> Result<(String, u16, String), TrackerFailure> {
    let bad = |why: &str| TrackerFailure::Unreachable(format!("{why}: {url}"));
    let uri: Uri = url.parse().map_err(|_| bad("not a URL"))?;
    if uri.scheme_str() != Some("http") {
        return Err(bad("only http trackers are supported"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("a URL without a host"))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    Ok((host.to_owned(), uri.port_u16().unwrap_or(80), target.to_owned()))
}

/// Tries the addresses of `host` in turn.
async fn connect<P: Platform>(platform: &P, host: &str, port: u16) -> std::io::Result<P::Stream> {
    let mut failed = std::io::Error::other("the host has no address");
    // A URL has an IPv6 address in brackets.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    for addr in platform.resolve(name, port).await? {
        match platform.connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn unreachable(error: impl std::fmt::Display) -> TrackerFailure {
    TrackerFailure::Unreachable(error.to_string())
}
