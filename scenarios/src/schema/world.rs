//! What all hosts share: the content, the tracker, the network, the record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::draw::{Draw, Neighbours};
use crate::units::{Size, Span};

/// What is shared.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Bytes of content. A run over a real file takes the file's size instead.
    pub size: Size,
    /// Bytes of a piece; the last one may be shorter.
    #[serde(default = "quarter_mib")]
    pub piece_size: Size,
}

/// How many leechers there are in all.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Swarm {
    /// The leechers of all classes with a `share` together. Needed where a class has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leechers: Option<u32>,
}

/// The tracker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tracker {
    /// What is spoken with it.
    pub protocol: TrackerProtocol,
    /// How long clients are told to wait between regular announces. 30 minutes is what trackers commonly say.
    pub interval: Span,
    /// How long clients are told to wait before any other announce.
    pub min_interval: Span,
    /// Whom it names.
    pub policy: TrackerPolicy,
    /// With a policy other than `"random"`: so many of those that a host is told of lie outside what the policy prefers,
    /// drawn at random, and named again as long as they are there. Bindal et al. take 1 of 35.
    pub outside: u32,
    /// So many neighbours for everyone, whatever the classes' `limits` say: each is told of so many, dials until it is
    /// connected to so many, and takes any who dial it. `"everyone"` makes a complete mesh. Without it, clients ask for
    /// `limits.numwant`, dial up to `limits.dial_target` and refuse beyond `limits.connections`. See
    /// [who meets whom](topology.md).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Neighbours>,
    /// Peers in an answer when the client does not say how many it wants: "typically defaults to 50 peers", says the
    /// specification at theory.org.
    pub numwant: u32,
    /// Peers in an answer at most.
    pub numwant_max: u32,
    /// From the sending of an announce to its answer, besides the announcing host's own latency: there and back to open a
    /// connection (over UDP, to be given a connection id), and there and back again.
    pub latency: Draw,
    /// A peer that was silent for so many intervals, and a minute, is forgotten.
    pub expire_after: u32,
}

/// What clients speak with the tracker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerProtocol {
    /// HTTP (BEP 3): who has no answer in 15 s gives up.
    #[default]
    Http,
    /// UDP (BEP 15): what has no answer in 15 s is asked again, and once more after 30 s; after another 60 s a client gives up.
    Udp,
}

/// Whom a tracker names to those who announce. Real trackers are `"random"`; the others know what a real one can only
/// guess.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrackerPolicy {
    /// Anyone: "a random list of peers" (Cohen 2003).
    #[default]
    Random,
    /// Those whose uplinks are nearest to the asker's own, by their ratio; ties at random (Bharambe, Herley, Padmanabhan,
    /// INFOCOM 2006).
    BandwidthMatching,
    /// Those of the asker's own region (`hosts.<class>.region`), and no others in their place where these are few ("biased
    /// neighbor selection": Bindal et al., ICDCS 2006).
    LocalityAware,
}

/// What all links have in common: TCP over IPv4 on Ethernet.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Bytes of data in a full segment: 1,500 bytes of Ethernet less `header`.
    pub mss: Size,
    /// Bytes of TCP and IP headers on each segment and each acknowledgement: 20 of IPv4, 20 of TCP, 12 of time stamps.
    pub header: Size,
    /// Segments that one acknowledgement answers (RFC 1122 delays every other one). 0: acknowledgements cost nothing.
    pub segments_per_ack: u32,
    /// Segments that a new connection may have in flight (RFC 6928).
    pub initial_window: u32,
    /// Whether a message waits behind everything that its own connection has queued to send. `false` lets small messages
    /// overtake the blocks in their socket buffer: no TCP does, and it is there to show what that waiting costs.
    pub head_of_line: bool,
    /// One-way latency between any two hosts on top of what their own links have, drawn for each pair.
    pub latency: Draw,
    /// The same again between hosts of different regions.
    pub between_regions: Span,
}

/// What is written down.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// How often the timeline is sampled.
    pub sample: Span,
    /// Rows of pieces in the heat map of availability at most; more pieces share rows.
    pub heat_map_rows: u32,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            protocol: TrackerProtocol::Http,
            policy: TrackerPolicy::Random,
            outside: 1,
            neighbours: None,
            interval: Span::from_secs(30 * 60),
            min_interval: Span::from_secs(60),
            numwant: 50,
            numwant_max: 200,
            latency: Draw::Fixed(Span::from_millis(20)),
            expire_after: 2,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            mss: Size::from_bytes(1448),
            header: Size::from_bytes(52),
            segments_per_ack: 2,
            initial_window: 10,
            head_of_line: true,
            latency: Draw::Fixed(Span::ZERO),
            between_regions: Span::ZERO,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self { sample: Span::from_secs(5), heat_map_rows: 200 }
    }
}

fn quarter_mib() -> Size {
    Size::from_kib(256)
}
