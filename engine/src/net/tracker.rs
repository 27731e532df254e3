//! The tracker on HTTP, with `/announce` (BEP 3), `/scrape` (BEP 48) and a page of counts at `/`, and on UDP (BEP 15).

use std::convert::Infallible;
use std::net::IpAddr;
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
use crate::time::Duration;
use crate::tracker::server::Tracker;
use crate::tracker::{
    ScrapeReply, TrackerFailure, encode_announce_reply, encode_refusal, encode_scrape, parse_announce_query,
    parse_scrape_query, udp,
};

/// How long the head of a request may take; a connection that is kept alive must ask again within it.
const HEAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// No connection lives longer, however busy it keeps itself.
const CONN_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest head of a request.
const MAX_HEAD: usize = 8 * 1024;
/// The most connections at once; who is beyond waits.
const MAX_CONNS: usize = 512;
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
    /// How long each answer waits before it is sent.
    pause: Box<dyn FnMut() -> Duration + Send>,
}

impl<P: Platform> TrackerServer<P> {
    /// A server in front of `tracker`; `dice` choose which peers a member is given, and make the secret of UDP.
    pub fn new(platform: P, tracker: Tracker, mut dice: Dice) -> Self {
        let udp = udp::Server::new(&mut dice);
        let state = State { tracker, dice, pause: Box::new(|| Duration::ZERO) };
        Self { platform, state: Arc::new(Mutex::new(state)), udp }
    }

    /// Has each answer over HTTP wait for as long as `pause` says, as that of a busy tracker does.
    #[must_use]
    pub fn with_pause(self, pause: impl FnMut() -> Duration + Send + 'static) -> Self {
        lock(&self.state).pause = Box::new(pause);
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
        loop {
            match self.platform.recv_from(&socket, &mut buf).await {
                Ok((len, from)) => {
                    let answer = self.answer_datagram(from.ip(), &buf[..len]);
                    if let Some(answer) = answer {
                        // What could not be sent is as good as lost on the way.
                        let _ = self.platform.send_to(&socket, &answer, from).await;
                    }
                }
                Err(_) => self.platform.sleep_until(self.platform.now() + ACCEPT_PAUSE).await,
            }
        }
    }

    fn answer_datagram(&self, from: IpAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let State { tracker, dice, .. } = &mut *lock(&self.state);
        self.udp.answer(self.platform.now(), from, datagram, tracker, dice)
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
        let response = answer(&platform, &state, from, &request);
        let (platform, send_at) = (&platform, platform.now() + (lock(&state).pause)());
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

fn answer<P: Platform>(
    platform: &P,
    state: &Mutex<State>,
    from: IpAddr,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let State { tracker, dice, .. } = &mut *lock(state);
    let query = request.uri().query().unwrap_or_default();
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/announce") => {
            let reply = parse_announce_query(query).map_err(|error| error.to_string()).and_then(|asked| {
                let reply = tracker.announce(platform.now(), from, &asked.request, dice);
                reply.map(|reply| encode_announce_reply(&reply, asked.compact)).map_err(|refused| {
                    match refused {
                        TrackerFailure::Refused(reason) => reason,
                        other => other.to_string(),
                    }
                })
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
    response
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
