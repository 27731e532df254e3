//! What a scenario may not say, although each field by itself is well written.

mod claim;
mod contacts;
mod fault;
mod host;
mod rules;

use self::rules::{Check, Checked};
use crate::draw::{InitialPieces, Neighbours};
use crate::schema::{Behaviour, Scenario, Until};
use crate::source::Source;
use crate::units::{Size, Span};

/// The most hosts of a scenario.
const MAX_HOSTS: u64 = 1_000_000;
/// The most hosts of which each is connected to all others: half a million connections.
const MAX_MESH: u64 = 1_000;
/// The most pieces, as in the engine's `Geometry`.
const MAX_PIECES: u64 = 1 << 22;
/// The longest piece. Real clients stop at 16 to 256 MiB.
const MAX_PIECE_SIZE: Size = Size::from_kib(1 << 20);
const MIN_SAMPLE: Span = Span::from_millis(10);
const WHOLE_PPM: u64 = 1_000_000;

/// Refuses what makes no sense, at its place.
pub(crate) fn check(scenario: &Scenario, source: &Source) -> Checked {
    let check = Check { scenario, source };
    check.names()?;
    check.content()?;
    for (name, class) in &scenario.hosts {
        check.class(&format!("hosts.{name}"), class)?;
    }
    check.contacts()?;
    check.shares()?;
    check.sizes()?;
    check.missing_pieces()?;
    check.ending()?;
    check.world()?;
    check.faults()?;
    check.claims()?;
    check.fits()
}

/// Whether a name may have this character: names become folders, columns and dotted paths.
pub(crate) fn fits_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

impl Check<'_> {
    fn names(&self) -> Checked {
        let name = &self.scenario.name;
        let fits = !name.starts_with('.') && name.chars().all(fits_name);
        let hint = "a name has letters, digits, `-`, `_` and `.`: results go to a folder of that name";
        self.require(fits, "name", format!("`{name}` is no name for a scenario"), hint)?;
        self.require(
            !self.scenario.hosts.is_empty(),
            "hosts",
            "there are no hosts",
            "add a class: [hosts.leecher]",
        )?;
        for class in self.scenario.hosts.keys() {
            let fits = !class.is_empty() && class.chars().all(|c| fits_name(c) && c != '.');
            let hint = "a class's name has letters, digits, `-` and `_`";
            self.require(
                fits,
                &format!("hosts.'{class}'"),
                format!("`{class}` is no name for a class"),
                hint,
            )?;
        }
        Ok(())
    }

    fn content(&self) -> Checked {
        let (size, piece_size) = (self.scenario.content.size, self.scenario.content.piece_size);
        self.require(
            size.bytes() > 0,
            "content.size",
            "there is nothing to share",
            "write a size such as \"32 MiB\"",
        )?;
        let fits = (1..=MAX_PIECE_SIZE.bytes()).contains(&piece_size.bytes());
        let message = format!("a piece has 1 byte to {MAX_PIECE_SIZE}, not {piece_size}");
        self.require(fits, "content.piece_size", message, "256 KiB to 4 MiB is usual")?;
        let pieces = self.scenario.pieces();
        let message = format!(
            "{size} in pieces of {piece_size} are {pieces} pieces: at most {MAX_PIECES} are possible"
        );
        self.require(pieces <= MAX_PIECES, "content.piece_size", message, "choose larger pieces")
    }

    /// Shares of leechers make the whole, and `swarm.leechers` stands where it is needed and nowhere else.
    fn shares(&self) -> Checked {
        let shared = || self.scenario.hosts.iter().filter(|(_, class)| class.share.is_some());
        let Some((first, _)) = shared().next() else {
            let path = "swarm.leechers";
            let hint = "write share = \"100%\" instead of the class's count, or leave this out";
            let message = "the number of leechers is given, but no class has a share of it";
            return self.require(self.scenario.swarm.leechers.is_none(), path, message, hint);
        };
        let path = format!("hosts.{first}.share");
        let known = self.scenario.swarm.leechers.is_some();
        self.require(known, &path, "a share of how many?", "add to the scenario: swarm.leechers = 100")?;
        let leechers = || shared().filter(|(_, class)| class.behaviour != Behaviour::Seed);
        let Some((last, _)) = leechers().next_back() else {
            let hint = "give a class that is no seed a share, or write count";
            return self.require(false, "swarm.leechers", "no class of leechers has a share of it", hint);
        };
        let sum: u64 =
            leechers().filter_map(|(_, class)| class.share).map(|share| u64::from(share.ppm())).sum();
        let message = format!("the shares of the leechers make {}%, not 100%", sum as f64 / 1e4);
        let hint = "let the shares of all classes but the seeds add up to 100%";
        self.require(sum == WHOLE_PPM, &format!("hosts.{last}.share"), message, hint)
    }

    fn sizes(&self) -> Checked {
        let sizes = self.scenario.class_sizes();
        let total: u64 = sizes.values().map(|&size| u64::from(size)).sum();
        self.require(total > 0, "hosts", "there are no hosts", "give a class a count")?;
        let largest = sizes.iter().max_by_key(|&(_, size)| size).map_or("", |(name, _)| name);
        let message = format!("{total} hosts are too many: at most {MAX_HOSTS}");
        self.require(total <= MAX_HOSTS, &format!("hosts.{largest}.count"), message, "lower the counts")
    }

    /// Whether some piece is certainly in nobody's hands. Percentages are drawn, and get the benefit of the doubt.
    fn missing_pieces(&self) -> Checked {
        if self.scenario.allow_missing_pieces {
            return Ok(());
        }
        let sizes = self.scenario.class_sizes();
        let present = self.scenario.hosts.iter().filter(|(name, _)| sizes[name.as_str()] > 0);
        let mut ranges = Vec::new();
        for (_, class) in present {
            match class.initial_pieces() {
                InitialPieces::All => return Ok(()),
                InitialPieces::Share(share) if share.ppm() > 0 => return Ok(()),
                InitialPieces::List(list) => ranges.extend(list),
                InitialPieces::None | InitialPieces::Share(_) => {}
            }
        }
        let hint = "add a class with behaviour = \"seed\", or write allow_missing_pieces = true if that is the experiment";
        self.require(!ranges.is_empty(), "hosts", "nobody has anything: there is no seed", hint)?;
        let missing = first_gap(ranges, self.scenario.pieces());
        let message = format!("nobody has piece {}", missing.unwrap_or_default());
        self.require(missing.is_none(), "hosts", message, hint)
    }

    fn ending(&self) -> Checked {
        self.positive(self.scenario.time_cap, "time_cap")?;
        match self.scenario.until {
            Until::AllDone => Ok(()),
            Until::Time(end) => self.positive(end, "until.time"),
            Until::Steady(steady) => self.positive(steady.window, "until.steady.window"),
        }
    }

    /// A mesh of everyone grows with the square of the hosts.
    fn neighbours(&self) -> Checked {
        let hosts: u64 = self.scenario.class_sizes().values().map(|&size| u64::from(size)).sum();
        let path = "tracker.neighbours";
        match self.scenario.tracker.neighbours {
            None => Ok(()),
            Some(Neighbours::Number(number)) => self.at_least_one(number, path),
            Some(Neighbours::Everyone) => {
                let message =
                    format!("a mesh of {hosts} hosts: at most {MAX_MESH} can be connected to everyone");
                self.require(hosts <= MAX_MESH, path, message, "write a number, such as 35")
            }
        }
    }

    fn world(&self) -> Checked {
        let Scenario { tracker, network, record, .. } = self.scenario;
        self.positive(tracker.interval, "tracker.interval")?;
        let message = format!("`tracker.min_interval` is longer than the interval of {}", tracker.interval);
        let fits = tracker.min_interval <= tracker.interval;
        self.require(fits, "tracker.min_interval", message, "lower it, or raise tracker.interval")?;
        let message = format!(
            "the default of {} peers is above the maximum of {}",
            tracker.numwant, tracker.numwant_max
        );
        let fits = tracker.numwant <= tracker.numwant_max;
        self.require(fits, "tracker.numwant", message, "lower it, or raise tracker.numwant_max")?;
        self.neighbours()?;
        self.at_least_one(tracker.expire_after, "tracker.expire_after")?;
        self.draw(&tracker.latency, "tracker.latency")?;
        let fits = (64..=65_535).contains(&network.mss.bytes());
        self.require(fits, "network.mss", "a segment has 64 to 65535 bytes", "Ethernet's 1448 B is usual")?;
        let fits = network.header.bytes() <= 1_024;
        self.require(fits, "network.header", "headers have at most 1024 bytes", "40 B to 72 B are usual")?;
        self.at_least_one(network.initial_window, "network.initial_window")?;
        self.draw(&network.latency, "network.latency")?;
        let message = format!("samples are at least {MIN_SAMPLE} apart");
        self.require(record.sample >= MIN_SAMPLE, "record.sample", message, "\"1 s\" or more is usual")?;
        self.at_least_one(record.heat_map_rows, "record.heat_map_rows")
    }
}

/// The first of `pieces` that lies in no range.
fn first_gap(mut ranges: Vec<(u32, u32)>, pieces: u64) -> Option<u64> {
    ranges.sort_unstable();
    let mut next = 0;
    for (first, last) in ranges {
        if u64::from(first) > next {
            break;
        }
        next = next.max(u64::from(last) + 1);
    }
    (next < pieces).then_some(next)
}
