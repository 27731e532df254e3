//! A class of hosts: its links, its client, its comings and goings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::churn::{Arrival, Leave, Session};
use crate::draw::{Draw, InitialPieces, Slots, Stay};
use crate::strategy::Strategy;
use crate::units::{Percent, Rate, Size, Span};

/// A class of hosts that are alike.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostClass {
    /// How many hosts. Either this or `share`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How many hosts, as a part of `swarm.leechers`. The shares of the classes that are no seeds make 100%
    /// together; a share of seeds comes on top, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Percent>,
    /// Which client they run: `"libtorrent"`, say. It settles the fields that the class leaves out, `limits` one by one;
    /// what it leaves out, too, is as below. [Profiles](profiles.md) has all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What runs on them: the engine, or another node that the program knows, such as the bugs of the museum.
    #[serde(default = "engine", skip_serializing_if = "is_engine")]
    pub node: String,
    /// What sort of peer they are.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// What they have when they first join. Without it, a seed has everything and the others have nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<InitialPieces>,
    /// Which piece they ask for next.
    #[serde(default = "rarest_first")]
    pub picker: Strategy,
    /// Whom they unchoke. `"tit-for-tat"` is so while they download; once they have everything it serves by upload
    /// rate, with rotation, or as its `seeding` says. `"libtorrent"` is that client's: the same while they download,
    /// but nobody loses a slot that nobody else earned, and round robin by `limits.seeding_quota` after it.
    /// [Strategies](strategies.md) has all of them.
    #[serde(default = "tit_for_tat")]
    pub choker: Strategy,
    /// Where they are: what lies between regions, and what a tracker does about it, is `network.between_regions` and
    /// `tracker.policy`.
    #[serde(default = "common")]
    pub region: String,
    /// Whom they connect to. `"seeds"` makes a client of a client–server system of them: they ask the seeds alone
    /// and upload to nobody.
    #[serde(default)]
    pub peers: Peers,
    /// Whether they serve each piece once before any is repeated while they seed (BEP 16; the literature's "smart
    /// seed").
    #[serde(default)]
    pub super_seeding: bool,
    /// Whether they speak the Fast extension (BEP 6).
    #[serde(default = "yes")]
    pub fast_extension: bool,
    /// Whether they tell each other of the peers that they are connected to, at most once a minute (BEP 11). Real clients
    /// do; who does not learns of others from the tracker alone. [Who hears of whom](peer-exchange.md) has the rules.
    #[serde(default)]
    pub peer_exchange: bool,
    /// Whether whom they dial first, and who gives way where there are `limits.connections`, goes by canonical peer
    /// priority (BEP 40), as in libtorrent. Without it, that is chance, and only who is of no use gives way.
    #[serde(default)]
    pub canonical_priority: bool,
    /// Whether the last blocks are asked of several peers at once (Cohen 2003).
    #[serde(default = "yes")]
    pub endgame: bool,
    /// When the last blocks begin.
    #[serde(default)]
    pub endgame_from: EndgameFrom,
    /// Whether a cancel takes back a block that waits in the socket buffer, too. In libtorrent it does not: a request
    /// leaves the queue when its block is read.
    #[serde(default = "yes")]
    pub take_back: bool,
    /// When they announce again.
    #[serde(default)]
    pub announce: Announce,
    /// Whether they tell the tracker of a finished download (`completed`, BEP 3). Some clients never do.
    #[serde(default = "yes")]
    pub announce_completed: bool,
    /// What they watch while it comes. Without it, nobody watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playback: Option<Playback>,
    /// Their access links: the wire. Needed, but for a model of `contacts`, which has no links.
    #[serde(default = "no_links")]
    pub links: Links,
    /// Their disk. Without it, what they store is there at once and never lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<HostDisk>,
    /// The client's own limits, as a user sets them.
    #[serde(default)]
    pub limits: Limits,
    /// When they first join.
    #[serde(default)]
    pub arrival: Arrival,
    /// How long they stay once they have everything. Those who have everything from the start stay for ever.
    #[serde(default = "forever")]
    pub stay: Stay,
    /// How long they are online at a stretch. Without it, until they leave for another reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// When else they leave, and how.
    #[serde(default)]
    pub leave: Leave,
}

/// What sort of peer a host is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Downloads, uploads, and seeds when it is done.
    #[default]
    Normal,
    /// Downloads and never uploads.
    FreeRider,
    /// Tells each peer of one piece at a time, and only when it would lose interest, until it has everything
    /// (strategic piece revelation: Levin et al., SIGCOMM 2008).
    UnderReporter,
    /// Has everything and uploads.
    Seed,
}

/// When the endgame begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndgameFrom {
    /// When every missing block was asked for (Cohen 2003).
    #[default]
    LastBlocks,
    /// When every missing piece was begun: libtorrent's `strict_end_game_mode`. In a torrent of few pieces this is soon.
    LastPieces,
}

/// When a client announces again. One that is short of peers does so at `tracker.min_interval` in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Announce {
    /// After the tracker's interval (BEP 3).
    #[default]
    Interval,
    /// As soon as the tracker's minimum interval allows, always.
    MinInterval,
}

/// Whom a host connects to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Peers {
    /// Anyone.
    #[default]
    Anyone,
    /// Hosts of classes whose behaviour is `"seed"`, and nobody else.
    Seeds,
}

/// A player that plays the content from its beginning, piece by piece, as its host downloads it. It waits for a piece that
/// is late, and goes on as soon as it has come.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Playback {
    /// How fast the content is played.
    pub rate: Rate,
    /// Playback begins when so much is there, from the beginning on without a gap.
    #[serde(default = "five_seconds")]
    pub buffer: Span,
}

/// The access links of a host. Rates are in bytes on the wire, headers included.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The uplink's rate.
    pub up: Rate,
    /// The downlink's rate.
    pub down: Rate,
    /// One-way latency between the host and the middle of the network, drawn for each host. Between two hosts lies
    /// the sum of theirs. The default is an assumption.
    #[serde(default = "twenty_ms")]
    pub latency: Draw,
    /// Each delivery is late by up to so much more, drawn each time; order is kept.
    #[serde(default = "no_time")]
    pub jitter: Span,
    /// Packets lost at random on the way in or out, at most 10%. A flow between two hosts loses on both links. TCP sends
    /// them again: what comes behind in the same connection waits for that, and the connection's window is what CUBIC
    /// keeps at such a loss (RFC 9438, section 5.1). See [links](links.md).
    #[serde(default = "nothing")]
    pub loss: Percent,
    /// Bytes that wait in a connection's socket buffer to be sent. A choke or cancel no longer takes back what is
    /// in there. The default holds three blocks.
    #[serde(default = "kib_64")]
    pub socket_buffer: Size,
    /// Bytes that a connection may have in flight to this host at most: TCP's receive window. The default is an
    /// assumption: current systems tune it to what the path needs.
    #[serde(default = "kib_1024")]
    pub window: Size,
    /// Bytes that queue before the downlink at most; a segment that finds it full waits at its sender.
    #[serde(default = "kib_128")]
    pub queue: Size,
}

/// A host's disk: one arm that serves reads and writes one after another, without a page cache.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostDisk {
    /// Time before a read that does not begin where the access before it ended, drawn each time: the seek and half a
    /// turn of a hard disk.
    pub latency: Draw,
    /// The same before a write; without it, as `latency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_latency: Option<Draw>,
    /// How fast it reads or writes in a row.
    pub rate: Rate,
    /// Bytes of content that it takes in all, in units of 16 KiB; a write beyond that fails. Without it, any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Size>,
    /// What was written longer ago survives when the power goes. Linux writes out after 30 seconds
    /// (`vm.dirty_expire_centisecs`).
    pub sync_after: Span,
}

impl Default for HostDisk {
    fn default() -> Self {
        Self {
            latency: no_time_drawn(),
            write_latency: None,
            rate: Rate::UNLIMITED,
            capacity: None,
            sync_after: Span::from_secs(30),
        }
    }
}

/// The client's own limits. Rates are in payload bytes. Where a default is taken from a client, it is named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// All uploads together.
    pub up: Rate,
    /// All downloads together.
    pub down: Rate,
    /// Uploads on each connection.
    pub up_per_conn: Rate,
    /// Downloads on each connection.
    pub down_per_conn: Rate,
    /// Uploads in each unchoke slot.
    pub up_per_slot: Rate,
    /// Unchoke slots, optimistic ones included. BEP 3: "unchoking the four peers which have the best upload rate and
    /// are interested", of which the optimistic one "counts as one of the four".
    pub slots: Slots,
    /// How many of the slots are optimistic: they rotate, whatever the peer gives. BEP 3: "a single peer".
    pub optimistic_slots: u32,
    /// From one choice of regular slots to the next. BEP 3: "changing who's choked once every ten seconds".
    pub rechoke: Span,
    /// How long a peer keeps an optimistic slot: a multiple of `rechoke`. BEP 3: "rotates every 30 seconds".
    pub optimistic: Span,
    /// Pieces that a seed sends to one peer before another has its turn, with a choker that seeds by `"round-robin"`:
    /// libtorrent's `seeding_piece_quota`.
    pub seeding_quota: u32,
    /// A peer that sends nothing for so long is snubbed: it gets no slot in return, is asked for one block only, and
    /// what it was asked for is asked of others. Cohen 2003: "over a minute".
    pub snub_timeout: Span,
    /// A request that is not answered for so long is taken back and free for others, although its peer answers others:
    /// Transmission's `RequestTimeoutSecs`. Without it, only one that its peer has passed over for `snub_timeout` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Span>,
    /// Connections at most. Transmission's `peer-limit-per-torrent`.
    pub connections: u32,
    /// The client dials until it has so many connections (never more than `connections`); the rest is for those who
    /// dial it. Mainline's `max_initiate` works like this.
    pub dial_target: u32,
    /// Dials under way at most. Windows XP SP2 allowed 10, and clients stayed below.
    pub half_open: u32,
    /// A dial that is not answered is given up. libtorrent's `peer_connect_timeout`.
    pub dial_timeout: Span,
    /// A connection without a whole handshake is given up.
    pub handshake_timeout: Span,
    /// How long to wait before a peer that could not be reached is dialled again, at first; it doubles each time.
    pub redial: Span,
    /// What `redial` does not grow beyond.
    pub redial_max: Span,
    /// Peers to ask of the tracker. "Typically defaults to 50 peers", says the specification at theory.org.
    pub numwant: u32,
    /// Requests are kept in flight for so much time at the peer's present rate, beyond the way there and back.
    /// libtorrent's `request_queue_time`.
    pub request_queue_time: Span,
    /// Requests in flight to one peer at least, as long as it has so much to give; with a `max_requests` of as many it is
    /// always so many (Cohen 2003: "typically five").
    pub min_requests: u32,
    /// Requests in flight to one peer at most. libtorrent's `max_out_request_queue`.
    pub max_requests: u32,
    /// A peer that sends a piece within this time is asked for all of a piece at once, so that others have no part in
    /// it. libtorrent's `whole_pieces_threshold`, which is 20 s; zero turns it off.
    pub whole_pieces: Span,
    /// Requests of one peer that the client holds, as it says in `reqq` (BEP 10).
    pub reqq: u32,
    /// Pieces that a newcomer may have without a slot (BEP 6 suggests 10; mainline grants none).
    pub allowed_fast: u32,
    /// After so much silence of its own the client sends a keep-alive. BEP 3: "generally sent once every two
    /// minutes".
    pub keep_alive: Span,
    /// A connection that is silent for so long is given up; longer than others' `keep_alive`.
    pub peer_timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            up: Rate::UNLIMITED,
            down: Rate::UNLIMITED,
            up_per_conn: Rate::UNLIMITED,
            down_per_conn: Rate::UNLIMITED,
            up_per_slot: Rate::UNLIMITED,
            slots: Slots::Fixed(4),
            optimistic_slots: 1,
            rechoke: Span::from_secs(10),
            optimistic: Span::from_secs(30),
            seeding_quota: 20,
            snub_timeout: Span::from_secs(60),
            request_timeout: None,
            connections: 50,
            dial_target: 30,
            half_open: 8,
            dial_timeout: Span::from_secs(15),
            handshake_timeout: Span::from_secs(20),
            redial: Span::from_secs(10),
            redial_max: Span::from_secs(600),
            numwant: 50,
            request_queue_time: Span::from_secs(3),
            min_requests: 2,
            max_requests: 500,
            whole_pieces: Span::ZERO,
            reqq: 500,
            allowed_fast: 0,
            keep_alive: Span::from_secs(110),
            peer_timeout: Span::from_secs(180),
        }
    }
}

impl HostClass {
    /// A class of so many hosts that says nothing else.
    pub(crate) fn plain() -> Self {
        toml_edit::de::from_str("count = 1").expect("every field but the count may be left out")
    }

    /// The number of hosts where the class has one of its own: `count`, or the length of its trace.
    pub fn fixed_count(&self) -> Option<u32> {
        match (&self.arrival, self.count) {
            (_, Some(count)) => Some(count),
            (Arrival::Trace(trace), None) => u32::try_from(trace.times.len()).ok(),
            _ => None,
        }
    }

    /// What the hosts have when they first join.
    pub fn initial_pieces(&self) -> InitialPieces {
        match (&self.pieces, self.behaviour) {
            (Some(pieces), _) => pieces.clone(),
            (None, Behaviour::Seed) => InitialPieces::All,
            (None, _) => InitialPieces::None,
        }
    }
}

/// Links that limit nothing, for models without links.
fn no_links() -> Links {
    Links {
        up: Rate::UNLIMITED,
        down: Rate::UNLIMITED,
        latency: twenty_ms(),
        jitter: no_time(),
        loss: nothing(),
        socket_buffer: kib_64(),
        window: kib_1024(),
        queue: kib_128(),
    }
}

fn five_seconds() -> Span {
    Span::from_secs(5)
}

fn rarest_first() -> Strategy {
    Strategy::named("rarest-first")
}

fn tit_for_tat() -> Strategy {
    Strategy::named("tit-for-tat")
}

fn engine() -> String {
    "engine".to_owned()
}

fn is_engine(node: &String) -> bool {
    node == "engine"
}

fn common() -> String {
    "common".to_owned()
}

fn yes() -> bool {
    true
}

fn forever() -> Stay {
    Stay::Forever
}

fn twenty_ms() -> Draw {
    Draw::Fixed(Span::from_millis(20))
}

fn no_time_drawn() -> Draw {
    Draw::Fixed(Span::ZERO)
}

fn no_time() -> Span {
    Span::ZERO
}

fn nothing() -> Percent {
    Percent::from_ppm(0)
}

fn kib_64() -> Size {
    Size::from_kib(64)
}

fn kib_128() -> Size {
    Size::from_kib(128)
}

fn kib_1024() -> Size {
    Size::from_kib(1024)
}
