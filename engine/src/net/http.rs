//! Announces over HTTP (BEP 3).

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::select;

use super::platform::Platform;
use super::url::TrackerUrl;
use crate::time::Duration;
use crate::tracker::{AnnounceReply, AnnounceRequest, TrackerFailure, announce_url, decode_announce_reply};

/// An announce over HTTP that takes longer has failed.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest answer that is read: some 100,000 peers.
const MAX_REPLY: usize = 1024 * 1024;
/// The longest head of an answer that is read.
const MAX_HEAD: usize = 16 * 1024;

/// Announces to the tracker at `url`. Redirects are not followed.
///
/// # Errors
/// Where there is no answer within 15 s, or none that can be read.
pub(super) async fn announce<P: Platform>(
    platform: &P,
    url: &TrackerUrl,
    request: &AnnounceRequest,
) -> Result<AnnounceReply, TrackerFailure> {
    let give_up = platform.sleep_until(platform.now() + HTTP_TIMEOUT);
    let target = announce_url(&url.target, request);
    let body = select! {
        biased;
        body = get(platform, url, &target) => body?,
        () = give_up => return Err(TrackerFailure::TimedOut),
    };
    decode_announce_reply(&body)
}

async fn get<P: Platform>(platform: &P, url: &TrackerUrl, target: &str) -> Result<Bytes, TrackerFailure> {
    let stream = connect(platform, url.name(), url.port).await.map_err(unreachable)?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let request = Request::get(target)
        .header(HOST, format!("{}:{}", url.host, url.port))
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

/// Tries the addresses of `host` in turn.
async fn connect<P: Platform>(platform: &P, host: &str, port: u16) -> std::io::Result<P::Stream> {
    let mut failed = std::io::Error::other("the host has no address");
    for addr in platform.resolve(host, port).await? {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::dice::Dice;
    use crate::net::{Tokio, TrackerServer};
    use crate::tracker::AnnounceEvent;
    use crate::tracker::server::{Tracker, TrackerConfig};
    use crate::units::{InfoHash, PeerId};

    fn platform() -> Tokio {
        Tokio::new(Ipv4Addr::LOCALHOST.into())
    }

    fn request(port: u16) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: InfoHash([0x25; 20]),
            peer_id: PeerId([0; 20]),
            port,
            uploaded: 0,
            downloaded: 0,
            left: 1,
            event: AnnounceEvent::Started,
            numwant: None,
            key: 7,
        }
    }

    async fn announce(
        platform: &Tokio,
        url: &str,
        request: &AnnounceRequest,
    ) -> Result<AnnounceReply, TrackerFailure> {
        super::announce(platform, &TrackerUrl::parse(url).unwrap(), request).await
    }

    async fn bind() -> (TcpListener, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/announce", listener.local_addr().unwrap());
        (listener, url)
    }

    /// Announces to a server that answers any request with `answer`, whole.
    async fn announce_to(answer: Vec<u8>) -> Result<AnnounceReply, TrackerFailure> {
        let (listener, url) = bind().await;
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            // The client may have had enough.
            let _ = stream.write_all(&answer).await;
        });
        let result = announce(&platform(), &url, &request(1)).await;
        server.await.unwrap();
        result
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn members_hear_of_each_other_through_the_server() {
        let (listener, url) = bind().await;
        let tracker = Tracker::new(TrackerConfig::default());
        let server = TrackerServer::new(platform(), tracker, Dice::stream(1, ("test", 0, "tracker")));
        tokio::spawn(server.run(listener, None));
        assert_eq!(announce(&platform(), &url, &request(1)).await.unwrap().peers, []);
        let reply = announce(&platform(), &url, &request(2)).await.unwrap();
        assert_eq!(reply.peers, [(Ipv4Addr::LOCALHOST, 1).into()]);
        let nowhere = announce(&platform(), &url.replace("announce", "nowhere"), &request(3)).await;
        assert!(matches!(nowhere, Err(TrackerFailure::Malformed(_))), "{nowhere:?}");
    }

    #[tokio::test]
    async fn a_refusal_gives_the_servers_reason_alone() {
        let (listener, url) = bind().await;
        let tracker = Tracker::new(TrackerConfig { max_swarms: 0, ..TrackerConfig::default() });
        let server = TrackerServer::new(platform(), tracker, Dice::stream(1, ("test", 0, "tracker")));
        tokio::spawn(server.run(listener, None));
        let refused = announce(&platform(), &url, &request(1)).await;
        let reason = "this tracker serves too many torrents".to_owned();
        assert_eq!(refused, Err(TrackerFailure::Refused(reason)));
    }

    #[tokio::test]
    async fn answers_of_all_kinds() {
        let good = b"d8:intervali60e5:peers6:\x7f\0\0\x01\0\x09e";
        assert_eq!(announce_to(ok(good)).await.unwrap().peers, [(Ipv4Addr::LOCALHOST, 9).into()]);
        let to_the_end = [b"HTTP/1.0 200 OK\r\n\r\n", &good[..]].concat();
        assert_eq!(announce_to(to_the_end).await.unwrap().peers.len(), 1);
        let refused = b"HTTP/1.1 400 Bad\r\nContent-Length: 26\r\n\r\nd14:failure reason5:go awe".to_vec();
        assert!(matches!(announce_to(refused).await, Err(TrackerFailure::Refused(why)) if why == "go aw"));

        let malformed = [
            ok(b"<html>"),
            ok(b""),
            ok(&vec![b'd'; MAX_REPLY + 1]),
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nd8:interval".to_vec(),
        ];
        for answer in malformed {
            let result = announce_to(answer.clone()).await;
            let text = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
            assert!(matches!(result, Err(TrackerFailure::Malformed(_))), "{text}: {result:?}");
        }
        let no_http = [b"SSH-2.0-OpenSSH\r\n".to_vec(), vec![], vec![b'a'; 10 * MAX_HEAD], vec![0xff; 100]];
        for answer in no_http {
            let result = announce_to(answer).await;
            assert!(matches!(result, Err(TrackerFailure::Unreachable(_))), "{result:?}");
        }
    }

    #[tokio::test]
    async fn a_tracker_that_stalls_is_given_up() {
        for said in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nd"] {
            let (listener, url) = bind().await;
            let asked = tokio::spawn(async move { announce(&platform(), &url, &request(1)).await });
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            tokio::time::pause();
            assert_eq!(asked.await.unwrap(), Err(TrackerFailure::TimedOut), "{said:?}");
            tokio::time::resume();
        }
    }

    // With the clock paused, time goes on as soon as nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn who_dribbles_or_sends_too_much_is_cut_off_by_the_server() {
        let (listener, url) = bind().await;
        let addr = listener.local_addr().unwrap();
        let tracker = Tracker::new(TrackerConfig::default());
        let server = TrackerServer::new(platform(), tracker, Dice::stream(1, ("test", 0, "tracker")));
        tokio::spawn(server.run(listener, None));
        for sent in
            [b"GET /announce?info_hash=".to_vec(), [b"GET /", &[b'a'; 1 << 20][..]].concat(), vec![0; 99]]
        {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            // The server may close before it has everything.
            let _ = stream.write_all(&sent).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        assert!(announce(&platform(), &url, &request(1)).await.is_ok());
    }
}
