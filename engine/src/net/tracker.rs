//! The tracker on HTTP, with `/announce` (BEP 3), `/scrape` (BEP 48) and a page of counts at `/`, and on UDP (BEP 15).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::platform::Platform;
use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::tracker::server::Tracker;
use crate::tracker::{
    AnnounceReply, Family, ScrapeReply, TrackerFailure, encode_announce_reply, encode_refusal, encode_scrape,
    parse_announce_query, parse_scrape_query, udp,
};

/// How long the head of a request may take; a connection that is kept alive must ask again within it.
const HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// No connection lives longer, however busy it keeps itself.
const CONN_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest head of a request.
const MAX_HEAD: usize = 8 * 1024;
/// The most connections at once; who is beyond waits.
const MAX_CONNS: usize = 512;
/// The most answers over UDP that wait to be sent.
const MAX_WAITING: usize = 4096;
/// The pause after the system could not accept or receive.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A tracker that answers over HTTP and UDP.
pub struct TrackerServer<P: Platform> {
    platform: P,
    state: Arc<Mutex<State>>,
    udp: udp::Server,
}

struct State {
    tracker: Tracker,
    dice: Dice,
    manner: Box<dyn Manner>,
}

/// How a tracker answers announces, where that is not at once and rightly.
pub trait Manner: Send {
    /// How long an answer waits before it is sent, as that of a busy tracker does.
    fn pause(&mut self) -> Duration {
        Duration::ZERO
    }

    /// What is answered instead of what is right.
    fn wrong(&mut self) -> Option<WrongReply> {
        None
    }
}

/// What a tracker that is out of order answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WrongReply {
    /// These bytes, as they are.
    Bytes(&'static [u8]),
    /// That it will not.
    Refusal(&'static str),
    /// This.
    Reply(AnnounceReply),
}

/// The manner of a tracker in good order.
struct Promptly;

impl Manner for Promptly {}

impl<P: Platform> TrackerServer<P> {
    /// A server in front of `tracker`; `dice` choose which peers a member is given, and make the secret of UDP.
    pub fn new(platform: P, tracker: Tracker, mut dice: Dice) -> Self {
        let udp = udp::Server::new(&mut dice);
        let state = State { tracker, dice, manner: Box::new(Promptly) };
        Self { platform, state: Arc::new(Mutex::new(state)), udp }
    }

    /// Has announces be answered in such a manner.
    #[must_use]
    pub fn with_manner(self, manner: impl Manner + 'static) -> Self {
        lock(&self.state).manner = Box::new(manner);
        self
    }

    /// Answers for ever: over HTTP, and over UDP where there is a socket for it. An answer over UDP comes from the
    /// address that the system chooses, so on a host with several the socket is better bound to one.
    pub async fn run(self, listener: P::Listener, udp: Option<P::Udp>) -> Infallible {
        let over_udp = async {
            match udp {
                Some(socket) => self.serve_udp(socket).await,
                None => std::future::pending().await,
            }
        };
        select! {
            biased;
            never = self.serve_http(listener) => never,
            never = over_udp => never,
        }
    }

    async fn serve_udp(&self, socket: P::Udp) -> Infallible {
        let mut buf = [0; udp::MAX_DATAGRAM];
        // Answers that wait, by when they are to be sent and in the order of their requests.
        let mut waiting: BTreeMap<(Instant, u64), (Vec<u8>, SocketAddr)> = BTreeMap::new();
        let mut requests = 0;
        loop {
            let now = self.platform.now();
            while let Some(first) = waiting.first_entry().filter(|first| first.key().0 <= now) {
                let (answer, to) = first.remove();
                // What could not be sent is as good as lost on the way.
                let _ = self.platform.send_to(&socket, &answer, to).await;
            }
            let next = waiting.first_key_value().map(|((at, _), _)| *at);
            select! {
                biased;
                received = self.platform.recv_from(&socket, &mut buf) => match received {
                    Ok((len, from)) => {
                        requests += 1;
                        let answer = self.answer_datagram(from.ip(), &buf[..len]);
                        if let Some((answer, send_at)) = answer.filter(|_| waiting.len() < MAX_WAITING) {
                            waiting.insert((send_at, requests), (answer, from));
                        }
                    }
                    Err(_) => self.platform.sleep_until(self.platform.now() + ACCEPT_PAUSE).await,
                },
                () = self.platform.sleep_until(next.unwrap_or(Instant::NEVER)), if next.is_some() => {}
            }
        }
    }

    /// The answer to a datagram, and when it is to be sent.
    fn answer_datagram(&self, from: IpAddr, datagram: &[u8]) -> Option<(Vec<u8>, Instant)> {
        let State { tracker, dice, manner } = &mut *lock(&self.state);
        let now = self.platform.now();
        let answer = self.udp.answer(now, from, datagram, tracker, dice)?;
        let Ok(udp::Request { transaction, ask: udp::Ask::Announce(..) }) = udp::Request::decode(datagram)
        else {
            return Some((answer, now));
        };
        let instead = |answer| udp::Reply { transaction, answer }.encode(Family::of(from));
        let answer = match manner.wrong() {
            None => answer,
            Some(WrongReply::Bytes(bytes)) => bytes.to_vec(),
            Some(WrongReply::Refusal(reason)) => instead(udp::Answer::Error(reason.to_owned())),
            Some(WrongReply::Reply(reply)) => instead(udp::Answer::Announce(reply)),
        };
        Some((answer, now + manner.pause()))
    }

    async fn serve_http(&self, listener: P::Listener) -> Infallible {
        let mut tasks = JoinSet::new();
        let free = Arc::new(Semaphore::new(MAX_CONNS));
        loop {
            let permit = Arc::clone(&free).acquire_owned().await.expect("the semaphore is never closed");
            while tasks.try_join_next().is_some() {}
            match self.platform.accept(&listener).await {
                Ok((stream, addr)) => {
                    let conn = converse(self.platform.clone(), stream, addr.ip(), Arc::clone(&self.state));
                    tasks.spawn(async move {
                        conn.await;
                        drop(permit);
                    });
                }
                Err(_) => self.platform.sleep_until(self.platform.now() + ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Answers one connection to its end.
async fn converse<P: Platform>(platform: P, stream: P::Stream, from: IpAddr, state: Arc<Mutex<State>>) {
    let give_up = platform.sleep_until(platform.now() + CONN_TIMEOUT);
    let service = service_fn(|request: Request<Incoming>| {
        let (response, send_at) = answer(&platform, &state, from, &request);
        let platform = &platform;
        async move {
            if send_at > platform.now() {
                platform.sleep_until(send_at).await;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    // A date would be read off the wall clock, which a simulated platform must not see.
    http.auto_date_header(false);
    select! {
        biased;
        // What goes wrong on a connection is the client's concern.
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = give_up => {}
    }
}

/// The answer to a request, and when it is to be sent.
fn answer<P: Platform>(
    platform: &P,
    state: &Mutex<State>,
    from: IpAddr,
    request: &Request<Incoming>,
) -> (Response<Full<Bytes>>, Instant) {
    let State { tracker, dice, manner } = &mut *lock(state);
    let query = request.uri().query().unwrap_or_default();
    let mut send_at = platform.now();
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/announce") => {
            let reply = parse_announce_query(query).map_err(|error| error.to_string()).and_then(|asked| {
                let reply = tracker.announce(platform.now(), from, &asked.request, dice);
                send_at += manner.pause();
                match manner.wrong() {
                    None => reply.map(|reply| encode_announce_reply(&reply, asked.compact)).map_err(refusal),
                    Some(WrongReply::Bytes(bytes)) => Ok(bytes.to_vec()),
                    Some(WrongReply::Refusal(reason)) => Err(reason.to_owned()),
                    Some(WrongReply::Reply(reply)) => Ok(encode_announce_reply(&reply, asked.compact)),
                }
            });
            // Clients look into the body, and many do so only where the status is 200.
            (StatusCode::OK, reply.unwrap_or_else(|reason| encode_refusal(&reason)))
        }
        (&Method::GET, "/scrape") => (StatusCode::OK, scrape(tracker, query)),
        (&Method::GET, "/") => (StatusCode::OK, status(tracker).into_bytes()),
        _ => (StatusCode::NOT_FOUND, b"there is /announce, /scrape and /\n".to_vec()),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    (response, send_at)
}

fn refusal(failure: TrackerFailure) -> String {
    match failure {
        TrackerFailure::Refused(reason) => reason,
        other => other.to_string(),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("the tracker does not panic")
}

fn scrape(tracker: &Tracker, query: &str) -> Vec<u8> {
    match parse_scrape_query(query) {
        Ok(torrents) => {
            let known = torrents.into_iter().filter_map(|torrent| Some((torrent, tracker.scrape(&torrent)?)));
            encode_scrape(&known.collect::<ScrapeReply>())
        }
        Err(error) => encode_refusal(&error.to_string()),
    }
}

fn status(tracker: &Tracker) -> String {
    let stats = tracker.stats();
    format!(
        "torrentlab tracker\nannounces: {} started, {} completed, {} stopped, {} regular, {} refused\n",
        stats.started, stats.completed, stats.stopped, stats.regular, stats.refused
    )
}
