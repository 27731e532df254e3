//! What a torrent is, and how it is to behave.

use crate::bitfield::Bitfield;
use crate::choker::Choker;
use crate::dice::Dice;
use crate::node::Limits;
use crate::picker::Picker;
use crate::time::Duration;
use crate::units::{Geometry, InfoHash, PeerId};

/// What a rate limit lets through at once: the longest block that is served, so that it can be served at all.
pub(super) const BURST: u64 = 128 * 1024;

/// Fewer would leave the other side with nothing to send while the next request is on its way.
pub(super) const MIN_REQUESTS: u32 = 2;

/// Everything that a [`Torrent`](super::Torrent) starts from.
#[derive(Debug)]
pub struct Setup {
    /// Which torrent.
    pub info_hash: InfoHash,
    /// Its shape.
    pub geometry: Geometry,
    /// How many trackers each tier has (BEP 12); they are numbered through.
    pub tiers: Vec<usize>,
    /// What is already there and checked.
    pub have: Bitfield,
    /// How to behave.
    pub config: Config,
    /// Which piece to begin.
    pub picker: Box<dyn Picker>,
    /// Whom to upload to.
    pub choker: Box<dyn Choker>,
    /// One stream of randomness for each purpose.
    pub dice: Streams,
}

/// The streams of randomness of one torrent, so that one decision more in one part changes nothing in the others.
#[derive(Clone, Debug)]
pub struct Streams {
    /// For the picker and for super-seeding.
    pub picker: Dice,
    /// For the choker.
    pub choker: Dice,
    /// For whom to dial and when.
    pub dial: Dice,
    /// For the tracker schedule.
    pub tracker: Dice,
}

impl Streams {
    /// The streams of the member `index` of `class` in the run with this `seed`.
    pub fn new(seed: u64, class: &str, index: u64) -> Self {
        let stream = |purpose| Dice::stream(seed, (class, index, purpose));
        Self {
            picker: stream("picker"),
            choker: stream("choker"),
            dial: stream("dial"),
            tracker: stream("tracker"),
        }
    }
}

/// When the endgame begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndgameFrom {
    /// "Once all sub-pieces which a peer doesn't have are actively being requested" (Cohen 2003).
    LastBlocks,
    /// "When there's at least one request to every piece that's left to download" (libtorrent's
    /// `strict_end_game_mode`).
    LastPieces,
}

/// How a torrent behaves towards others.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it calls itself.
    pub peer_id: PeerId,
    /// Client name and version, for the extension handshake.
    pub client: String,
    /// Where it listens.
    pub listen_port: u16,
    /// The most connections (transmission 3.00 `peer-limit-per-torrent`: 50).
    pub max_connections: usize,
    /// It dials while it has fewer connections than this, and leaves the rest to those who dial it (mainline:
    /// `max_initiate` 40 of 80).
    pub dial_target: usize,
    /// The most dials under way at once (libtorrent long used 8 half-open connections).
    pub half_open: usize,
    /// The wait before the first redial, and the longest one: it doubles with each failure in a row.
    pub redial: (Duration, Duration),
    /// How many peers to ask the tracker for; `None` leaves it to the tracker.
    pub numwant: Option<u32>,
    /// Whether to announce as soon as the tracker's `min interval` allows, and not only at its `interval` (aria2, rqbit).
    pub announce_often: bool,
    /// Whether to tell the tracker of a finished download (BEP 3: "one using completed is sent when the download is
    /// complete"). Many clients never do.
    pub announce_completed: bool,
    /// Rate limits at the start.
    pub limits: Limits,
    /// How long the blocks that a peer was asked for should take to come, beyond the bare way there and back
    /// (libtorrent `request_queue_time`: 3 s).
    pub request_queue_time: Duration,
    /// The fewest requests out to a peer that is unchoked and has so much to give (transmission's floor: 32).
    pub min_requests: u32,
    /// The most requests out to one peer (libtorrent `max_out_request_queue`: 500).
    pub max_requests: u32,
    /// The most requests of one peer that wait here (`reqq` of BEP 10; libtorrent's default: 500).
    pub max_queued: u32,
    /// A peer that sends nothing of what it was asked for so long is snubbing us ("over a minute", Cohen 2003), and
    /// a request unanswered for so long is lost.
    pub snub_timeout: Duration,
    /// A request unanswered for so long is taken back, although its peer answers others (transmission
    /// `RequestTimeoutSecs`: 25 s). `None`: only once it was passed over.
    pub request_timeout: Option<Duration>,
    /// How long a handshake may take (libtorrent `handshake_timeout`: 10 s).
    pub handshake_timeout: Duration,
    /// Silence after which a connection is given up. Must exceed the others' keep-alive of two minutes.
    pub idle_timeout: Duration,
    /// Silence of our own after which a keep-alive is sent ("generally sent once every two minutes", BEP 3).
    pub keep_alive: Duration,
    /// Whether to speak the Fast extension (BEP 6).
    pub fast: bool,
    /// Pieces that a newcomer may have without being unchoked (BEP 6 suggests 10; mainline grants none).
    pub allowed_fast: usize,
    /// Whether blocks that others were asked for are asked for again at the end.
    pub endgame: bool,
    /// When that end begins.
    pub endgame_from: EndgameFrom,
    /// A peer that sends a piece within this time is asked for all of a piece at once (libtorrent
    /// `whole_pieces_threshold`: 20 s). Zero: never.
    pub whole_pieces: Duration,
    /// Whether a cancel takes back a block that was handed out and still waits to be sent, too.
    pub take_back: bool,
    /// Whether to hide pieces from others and show them one by one, while everything is there (BEP 16).
    pub super_seeding: bool,
}

impl Config {
    /// The defaults of a client that calls itself `peer_id` and listens at `listen_port`.
    pub fn new(peer_id: PeerId, listen_port: u16) -> Self {
        Self {
            peer_id,
            client: concat!("torrentlab ", env!("CARGO_PKG_VERSION")).to_owned(),
            listen_port,
            max_connections: 50,
            dial_target: 30,
            half_open: 8,
            redial: (Duration::from_secs(10), Duration::from_secs(600)),
            numwant: None,
            announce_often: false,
            announce_completed: true,
            limits: Limits::default(),
            request_queue_time: Duration::from_secs(3),
            min_requests: MIN_REQUESTS,
            max_requests: 500,
            max_queued: 500,
            snub_timeout: Duration::from_secs(60),
            request_timeout: None,
            handshake_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(180),
            keep_alive: Duration::from_secs(110),
            fast: true,
            allowed_fast: 0,
            endgame: true,
            endgame_from: EndgameFrom::LastBlocks,
            whole_pieces: Duration::ZERO,
            take_back: true,
            super_seeding: false,
        }
    }
}
