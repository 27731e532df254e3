//! Chokers and their parameters.

use serde::Deserialize;
use torrentlab_engine::choker::{
    BitTyrant, BitTyrantConfig, BlockTitForTat, Everyone, Libtorrent, LibtorrentConfig, PropShare,
    PropShareConfig, Random, RoundRobin, SeedChoking, Seeding, Standard, StandardConfig,
};
use torrentlab_engine::time::Duration;
use torrentlab_engine::units::BLOCK_LEN;
use torrentlab_scenarios::units::{Percent, Rate, Size};

use super::Nobody;
use super::late::LateUnchoker;
use crate::lua::UnchokeParams;
use crate::registry::{ChokerSetup, Params, Registry};

/// What a BitTyrant first offers where it does not know what it has.
const OFFER: u64 = 16 * 1024;

pub(super) fn register(registry: &mut Registry) {
    registry.register_choker_with("tit-for-tat", |params: TitForTatParams, setup, dice| {
        let quota = setup.seeding_quota;
        let seeding = match params.seeding {
            SeedingParam::UploadRate => Seeding::UploadRate,
            SeedingParam::FastestUpload => Seeding::Libtorrent { by: SeedChoking::FastestUpload, quota },
            SeedingParam::RoundRobin => Seeding::Libtorrent { by: SeedChoking::RoundRobin, quota },
            SeedingParam::AntiLeech => Seeding::Libtorrent { by: SeedChoking::AntiLeech, quota },
        };
        Box::new(Standard::new(setup.config, setup.now, dice).seeding(seeding))
    });
    registry.register_choker_with("libtorrent", |params: LibtorrentParams, setup, dice| {
        Box::new(Libtorrent::new(params.config(setup), setup.now, dice))
    });
    registry.register_choker("random", |setup, dice| Box::new(Random::new(setup.config, setup.now, dice)));
    registry.register_choker("round-robin", |setup, dice| {
        Box::new(RoundRobin::new(setup.config, setup.now, dice))
    });
    registry.register_choker_with("bittyrant", |params: BitTyrantParams, setup, dice| {
        Box::new(BitTyrant::new(params.config(setup), setup.now, dice))
    });
    registry.register_choker_with("propshare", |params: PropShareParams, setup, dice| {
        Box::new(PropShare::new(params.config(setup), setup.now, dice))
    });
    registry.register_choker_with("block-tit-for-tat", |params: BlockTitForTatParams, setup, dice| {
        let threshold = params.threshold.bytes(setup.piece_len);
        Box::new(BlockTitForTat::new(setup.config, threshold, setup.now, dice))
    });
    registry.register_choker_with("late-unchoker", |params: LateUnchokerParams, setup, dice| {
        let wait = setup.config.rechoke_every.as_nanos() as f64 * params.after;
        let inner = Standard::new(setup.config, setup.now, dice);
        Box::new(LateUnchoker::new(inner, Duration::from_nanos(wait as u64)))
    });
    registry.register_choker("everyone", |_, _| Box::new(Everyone));
    registry.register_choker_with("script", |params: UnchokeParams, setup, dice| {
        Box::new(params.choker(setup, dice))
    });
    registry.register_choker("nobody", |_, _| Box::new(Nobody));
}

/// The parameters of `tit-for-tat`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TitForTatParams {
    /// What it does while seeding.
    seeding: SeedingParam,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SeedingParam {
    #[default]
    UploadRate,
    FastestUpload,
    RoundRobin,
    AntiLeech,
}

impl Params for TitForTatParams {}

/// The parameters of `libtorrent`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LibtorrentParams {
    /// `seed_choking_algorithm`.
    seeding: SeedChokingParam,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SeedChokingParam {
    #[default]
    RoundRobin,
    FastestUpload,
    AntiLeech,
}

impl LibtorrentParams {
    fn config(&self, setup: &ChokerSetup) -> LibtorrentConfig {
        let StandardConfig { slots, optimistic, rechoke_every, rotate_every } = setup.config;
        let optimistic_every = rechoke_every * u64::from(rotate_every);
        let seeding = match self.seeding {
            SeedChokingParam::RoundRobin => SeedChoking::RoundRobin,
            SeedChokingParam::FastestUpload => SeedChoking::FastestUpload,
            SeedChokingParam::AntiLeech => SeedChoking::AntiLeech,
        };
        LibtorrentConfig {
            slots,
            optimistic,
            rechoke_every,
            optimistic_every,
            quota: setup.seeding_quota,
            seeding,
        }
    }
}

impl Params for LibtorrentParams {}

/// The parameters of `bittyrant`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BitTyrantParams {
    /// What there is to be spent; without it, what the host can send.
    capacity: Option<Rate>,
    /// What a peer is offered at first; without it, a quarter of the capacity.
    offer: Option<Rate>,
    /// What a peer is expected to give at first; without it, as much as it is offered.
    expect: Option<Rate>,
}

impl BitTyrantParams {
    fn config(&self, setup: &ChokerSetup) -> BitTyrantConfig {
        let bytes = |rate: Option<Rate>| rate.and_then(Rate::bytes_per_s);
        let capacity = capacity(self.capacity, setup);
        let offer = bytes(self.offer).or(capacity.map(|capacity| capacity / 4)).unwrap_or(OFFER);
        let expect = bytes(self.expect).unwrap_or(offer);
        BitTyrantConfig { rounds: setup.config, capacity, offer, expect }
    }
}

impl Params for BitTyrantParams {
    fn check(&self) -> Result<(), String> {
        check_rate("capacity", self.capacity)?;
        check_rate("offer", self.offer)?;
        check_rate("expect", self.expect)?;
        for (name, rate) in [("offer", self.offer), ("expect", self.expect)] {
            if rate == Some(Rate::UNLIMITED) {
                return Err(format!("`{name}` is unlimited: write a rate, such as \"250 kbit/s\""));
            }
        }
        Ok(())
    }
}

/// The parameters of `propshare`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PropShareParams {
    /// What there is to be shared; without it, what the host can send.
    capacity: Option<Rate>,
    /// The part of it for optimistic slots.
    reserve: Percent,
}

impl Default for PropShareParams {
    /// What the paper reserves.
    fn default() -> Self {
        Self { capacity: None, reserve: Percent::from_ppm(200_000) }
    }
}

impl PropShareParams {
    fn config(&self, setup: &ChokerSetup) -> PropShareConfig {
        let capacity = capacity(self.capacity, setup);
        PropShareConfig { rounds: setup.config, capacity, reserve_ppm: self.reserve.ppm() }
    }
}

impl Params for PropShareParams {
    fn check(&self) -> Result<(), String> {
        check_rate("capacity", self.capacity)
    }
}

/// The parameters of `block-tit-for-tat`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BlockTitForTatParams {
    /// What a peer may owe.
    threshold: Threshold,
}

impl Default for BlockTitForTatParams {
    /// What the paper takes: its blocks are pieces.
    fn default() -> Self {
        Self { threshold: Threshold::Pieces(2) }
    }
}

impl Params for BlockTitForTatParams {}

/// An amount of content: `"2 pieces"`, `"16 blocks"` of 16 KiB, or a size.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(try_from = "String")]
enum Threshold {
    Pieces(u32),
    Blocks(u32),
    Size(Size),
}

impl TryFrom<String> for Threshold {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let count = |units: [&str; 2]| {
            let number = units.into_iter().find_map(|unit| text.strip_suffix(unit))?;
            number.trim_end().parse().ok()
        };
        if let Some(pieces) = count(["pieces", "piece"]) {
            Ok(Self::Pieces(pieces))
        } else if let Some(blocks) = count(["blocks", "block"]) {
            Ok(Self::Blocks(blocks))
        } else {
            let size = text.parse().map(Self::Size);
            size.map_err(|_| {
                format!("`{text}` is no threshold: write \"2 pieces\", \"16 blocks\" or \"512 KiB\"")
            })
        }
    }
}

impl Threshold {
    fn bytes(self, piece_len: u32) -> u64 {
        match self {
            Self::Pieces(pieces) => u64::from(pieces) * u64::from(piece_len),
            Self::Blocks(blocks) => u64::from(blocks) * u64::from(BLOCK_LEN),
            Self::Size(size) => size.bytes(),
        }
    }
}

/// The parameters of `late-unchoker`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LateUnchokerParams {
    /// The part of each period for which nobody is served.
    after: f64,
}

impl Default for LateUnchokerParams {
    fn default() -> Self {
        Self { after: 0.5 }
    }
}

impl Params for LateUnchokerParams {
    fn check(&self) -> Result<(), String> {
        if (0.0..1.0).contains(&self.after) {
            return Ok(());
        }
        Err(format!("`after` is {}: it is a part of the period, 0 or more and less than 1", self.after))
    }
}

/// Payload bytes a second that a choker may plan with.
fn capacity(given: Option<Rate>, setup: &ChokerSetup) -> Option<u64> {
    given.map_or(setup.capacity, Rate::bytes_per_s)
}

fn check_rate(name: &str, rate: Option<Rate>) -> Result<(), String> {
    match rate {
        Some(rate) if rate.is_zero() => Err(format!("`{name}` is 0: write a rate, such as \"1 Mbit/s\"")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use torrentlab_scenarios::Strategy;

    use super::*;

    fn check(toml: &str) -> Result<(), String> {
        let text = torrentlab_scenarios::catalogue()[0].text;
        let sets = [format!("hosts.leecher.choker={toml}")];
        let read = torrentlab_scenarios::read(text, "first-swarm.toml", &sets).unwrap();
        let choker: &Strategy = &read.scenario.hosts["leecher"].choker;
        Registry::default().check_choker(choker).expect("it is shipped")
    }

    #[test]
    fn parameters_that_make_sense_are_taken() {
        for toml in [
            "{ tit-for-tat = { seeding = \"upload-rate\" } }",
            "{ tit-for-tat = { seeding = \"anti-leech\" } }",
            "{ libtorrent = { seeding = \"fastest-upload\" } }",
            "{ bittyrant = { capacity = \"1 Mbit/s\", offer = \"100 kbit/s\", expect = \"20 kB/s\" } }",
            "{ propshare = { reserve = \"10%\", capacity = \"unlimited\" } }",
            "{ block-tit-for-tat = { threshold = \"1 piece\" } }",
            "{ block-tit-for-tat = { threshold = \"32 blocks\" } }",
            "{ block-tit-for-tat = { threshold = \"512 KiB\" } }",
        ] {
            assert_eq!(check(toml), Ok(()), "{toml}");
        }
    }

    #[test]
    fn parameters_that_make_none_are_refused_negative() {
        for (toml, why) in [
            ("{ tit-for-tat = { seeding = \"fair\" } }", "unknown variant `fair`"),
            ("{ libtorrent = { seeding = \"upload-rate\" } }", "unknown variant `upload-rate`"),
            ("{ random = { seeding = \"anti-leech\" } }", "unknown field `seeding`"),
            ("{ bittyrant = { capacity = \"0 bit/s\" } }", "`capacity` is 0"),
            ("{ bittyrant = { offer = \"unlimited\" } }", "`offer` is unlimited"),
            ("{ propshare = { reserve = \"120%\" } }", "120%"),
            ("{ late-unchoker = { after = 1 } }", "`after` is 1"),
            ("{ block-tit-for-tat = { threshold = \"2 turns\" } }", "`2 turns` is no threshold"),
        ] {
            let error = check(toml).expect_err(toml);
            assert!(error.contains(why), "{toml}: {error}");
        }
    }

    #[test]
    fn a_threshold_is_so_many_bytes() {
        let bytes = |text: &str| Threshold::try_from(text.to_owned()).unwrap().bytes(1 << 18);
        assert_eq!((bytes("2 pieces"), bytes("3 blocks"), bytes("5 KiB")), (1 << 19, 3 << 14, 5 << 10));
    }
}
