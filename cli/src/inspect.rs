//! `torrentlab inspect`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use torrentlab_engine::state::{BlockState, NodeState, PeerState};
use torrentlab_engine::time::Instant;
use torrentlab_engine::units::{BLOCK_LEN, Block, PieceIndex};
use torrentlab_reports::{explanation_text, words};
use torrentlab_simulator::inspect::{Inspector, Seen};
use torrentlab_simulator::names::Names;
use torrentlab_simulator::registry::Registry;
use torrentlab_simulator::trace_file::{Recording, TraceReader, Words, compare_files};
use torrentlab_simulator::watch::{Scene, Watch, Watching};

use crate::print::data;
use crate::replay::{self, KeptRun};
use crate::{Exit, Failure};

/// Hosts that are named one by one.
const NAMED: usize = 12;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The run is repeated up to its end, to make sure that it is the same, and looked at on the way."
)]
pub(crate) struct Args {
    /// The folder of a run, such as runs/first-swarm/1
    run: PathBuf,
    /// The moment to look at, as in 12.5s or "2 min"
    #[arg(long, value_name = "TIME", value_parser = crate::fuzz::time, required_unless_present = "diff")]
    at: Option<Duration>,
    /// This host: its peers, what it last did, and why it unchokes whom
    #[arg(long, value_name = "HOST", conflicts_with_all = ["piece", "conn"])]
    host: Option<String>,
    /// This piece: who has it, who is fetching it of whom, and why they picked it
    #[arg(long, value_name = "PIECE", conflicts_with = "conn")]
    piece: Option<u32>,
    /// Both ends of the connection between two hosts, as in leecher-3,seed-0
    #[arg(long, value_name = "HOST,HOST")]
    conn: Option<String>,
    /// Where this run and another one part, and in what their scenarios differ
    #[arg(long, value_name = "RUN", conflicts_with_all = ["at", "host", "piece", "conn"])]
    diff: Option<PathBuf>,
    /// Print the result alone, without progress and notes
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(registry: &Registry, args: &Args) -> Result<Exit, Failure> {
    let kept = KeptRun::read(&args.run)?;
    match (&args.diff, args.at) {
        (Some(other), _) => diff(registry, &kept, other, args.quiet),
        (None, Some(at)) => look(registry, args, &kept, at),
        // clap asks for one of them.
        (None, None) => Ok(Exit::Usage),
    }
}

fn look(registry: &Registry, args: &Args, kept: &KeptRun, at: Duration) -> Result<Exit, Failure> {
    let names = Names::of(&kept.scenario);
    let find = |host: &str| names.find(host).map_err(|error| Failure::told(&error));
    let pieces = kept.scenario.pieces();
    if let Some(piece) = args.piece.filter(|&piece| u64::from(piece) >= pieces) {
        let error = anyhow!("there is no piece {piece}: the content has {pieces}, counted from 0");
        return Err(Failure::input(error, format!("name one from 0 to {}", pieces.saturating_sub(1))));
    }
    let hosts = match (&args.host, &args.conn) {
        (Some(host), _) => vec![find(host)?],
        (None, Some(conn)) => ends(&names, "--conn", conn)?.to_vec(),
        (None, None) => Vec::new(),
    };
    let at = Instant::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
    let inspector = Inspector::new(at, hosts.clone());
    let asked: Vec<u32> = if args.piece.is_some() { (0..names.hosts()).collect() } else { hosts.clone() };
    let asked: Vec<String> = asked.into_iter().map(|host| names.name(host)).collect();
    let explain = inspector.explain(&kept.scenario, &asked).map_err(|error| Failure::told(&error))?;
    let watch = |scene: &Scene| -> Vec<Box<dyn Watch>> { vec![inspector.watch(scene)] };
    let exit = kept.repeat_looking(registry, Watching(&watch), at, &explain, args.quiet)?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    let seen = inspector.seen();
    let Some(moment) = seen.at else {
        let error = anyhow!("the run was over before {}", seconds(at));
        return Err(Failure::input(error, "name an earlier time: summary.json has `simulated_s`"));
    };
    let view = View { names: &names, seen: &seen, now: moment };
    data(match (&hosts[..], args.piece) {
        (&[host], _) => view.host(host),
        (&[one, other], _) => view.conn(one, other),
        (_, Some(piece)) => view.piece(PieceIndex(piece)),
        _ => view.overview(),
    })?;
    Ok(Exit::Done)
}

/// The two hosts of `A,B` or `A-B`: names have dashes, too.
pub(crate) fn ends(names: &Names, flag: &str, conn: &str) -> Result<[u32; 2], Failure> {
    let splits = conn.match_indices([',', '-']).map(|(at, _)| (conn[..at].trim(), conn[at + 1..].trim()));
    let found = splits.filter_map(|(one, other)| Some([names.number(one)?, names.number(other)?])).next();
    found.filter(|[one, other]| one != other).ok_or_else(|| {
        let error = anyhow!("`{conn}` names no two hosts");
        Failure::input(error, format!("write {flag} HOST,HOST; the hosts are {names}"))
    })
}

fn seconds(at: Instant) -> String {
    format!("{:.3} s", at.as_secs_f64())
}

/// A moment, to be put into words.
struct View<'a> {
    names: &'a Names,
    seen: &'a Seen,
    now: Instant,
}

impl View<'_> {
    fn state(&self, host: u32) -> Option<&NodeState> {
        self.seen.hosts.get(host as usize)?.as_ref()
    }

    fn present(&self) -> impl Iterator<Item = (u32, &NodeState)> {
        (0..self.names.hosts()).filter_map(|host| Some((host, self.state(host)?)))
    }

    fn peer_name(&self, peer: &PeerState) -> String {
        self.names.at(peer.addr).unwrap_or_else(|| peer.addr.to_string())
    }

    fn peer_of(&self, host: u32, other: u32) -> Option<&PeerState> {
        self.state(host)?.peers.iter().find(|peer| self.names.host_at(peer.addr) == Some(other))
    }

    fn heading(&self, what: &str) -> String {
        format!("{what} at {}", seconds(self.now))
    }

    /// A line for each host.
    fn overview(&self) -> String {
        let header =
            ["host", "pieces", "under way", "peers", "unchoked by", "unchokes", "asked for", "down", "up"];
        let rows = self.present().map(|(host, state)| {
            let count = |of: &dyn Fn(&PeerState) -> bool| {
                state.peers.iter().filter(|peer| peer.open && of(peer)).count().to_string()
            };
            let asked: usize = state.peers.iter().map(|peer| peer.asked.len()).sum();
            vec![
                self.names.name(host),
                format!("{}/{}", state.have.count(), state.have.len()),
                state.partial.len().to_string(),
                count(&|_| true),
                count(&|peer| !peer.choking),
                count(&|peer| !peer.am_choking),
                asked.to_string(),
                words::rate(state.peers.iter().map(|peer| peer.rate_down).sum::<u64>() as f64),
                words::rate(state.peers.iter().map(|peer| peer.rate_up).sum::<u64>() as f64),
            ]
        });
        let away = self.names.hosts() as usize - self.present().count();
        let mut text = self.heading("the swarm") + "\n\n" + &table(&header, rows);
        if away > 0 {
            let _ = write!(text, "\n\n{away} hosts are away, or their nodes tell nothing of themselves");
        }
        text
    }

    fn host(&self, host: u32) -> String {
        let name = self.names.name(host);
        let Some(state) = self.state(host) else {
            return format!("{} is away, or its node tells nothing of itself", self.heading(&name));
        };
        let mut text = self.heading(&name);
        let endgame = if state.endgame { ", in the endgame" } else { "" };
        let wakes = state.wakes_at.map_or_else(String::new, |at| {
            format!(", wakes up in {:.3} s", at.since(self.now).as_secs_f64())
        });
        let _ = write!(
            text,
            ": {} of {} pieces, {} under way{endgame}; {} sent, {} received; {} dials under way{wakes}\n\n",
            state.have.count(),
            state.have.len(),
            state.partial.len(),
            words::bytes(state.transferred.0 as f64),
            words::bytes(state.transferred.1 as f64),
            state.dialing,
        );
        let header = ["peer", "pieces", "we", "it", "asked for", "waits for", "down", "up", "oldest request"];
        let rows = state.peers.iter().map(|peer| {
            vec![
                self.peer_name(peer),
                peer.has.count().to_string(),
                stance(peer.am_choking, peer.am_interested, peer.optimistic),
                if peer.open { stance(peer.choking, peer.interested, false) } else { "handshake".to_owned() }
                    + if peer.snubbed { ", snubs" } else { "" },
                format!("{} of {}", peer.asked.len(), peer.depth),
                peer.queue.len().to_string(),
                words::rate(peer.rate_down as f64),
                words::rate(peer.rate_up as f64),
                peer.asked.first().map_or_else(String::new, |(block, at)| {
                    format!("{}, {:.1} s", block_words(*block), self.now.since(*at).as_secs_f64())
                }),
            ]
        });
        text += &table(&header, rows);
        for partial in &state.partial {
            let _ = write!(text, "\npiece {}: {}", partial.piece, blocks(&partial.blocks));
        }
        if !state.partial.is_empty() {
            text += "\n(# is there, ? is asked for, 2 of two peers, . is free)";
        }
        if let Some(unchoke) = self.seen.unchokes.get(&name) {
            let _ = write!(text, "\n\nwhy it unchokes whom:\n{}", explanation_text(unchoke).trim_end());
        }
        self.put_events(&mut text, host);
        text
    }

    fn piece(&self, piece: PieceIndex) -> String {
        let has: Vec<String> = self
            .present()
            .filter(|(_, state)| state.have.has(piece))
            .map(|(host, _)| self.names.name(host))
            .collect();
        let mut text = format!("{}: {}", self.heading(&format!("piece {piece}")), copies(has.len()));
        let more = if has.len() > NAMED { ", ..." } else { "" };
        let named: Vec<_> = has.iter().take(NAMED).cloned().collect();
        let _ = write!(
            text,
            "\nhas it: {}{more}",
            if named.is_empty() { "nobody".to_owned() } else { named.join(", ") }
        );
        for (host, state) in self.present() {
            let Some(partial) = state.partial.iter().find(|partial| partial.piece == piece) else { continue };
            let name = self.names.name(host);
            let _ = write!(text, "\n\n{name} fetches it: {}", blocks(&partial.blocks));
            for peer in &state.peers {
                for (block, at) in peer.asked.iter().filter(|(block, _)| block.piece == piece) {
                    let age = self.now.since(*at).as_secs_f64();
                    let nth = block.begin / BLOCK_LEN;
                    let _ =
                        write!(text, "\n  block {nth} is asked of {}, for {age:.1} s", self.peer_name(peer));
                }
            }
            if let Some(pick) = self.seen.picks.get(&(name, piece.0)) {
                let _ = write!(text, "\n  why: {}", explanation_text(pick).trim());
            }
        }
        text
    }

    fn conn(&self, one: u32, other: u32) -> String {
        let names = [one, other].map(|host| self.names.name(host));
        let mut text = self.heading(&format!("{} and {}", names[0], names[1]));
        for (host, peer) in [(one, other), (other, one)] {
            let (name, far) = (self.names.name(host), self.names.name(peer));
            let _ = write!(text, "\n\n{name}: ");
            let Some(state) = self.peer_of(host, peer) else {
                let _ = write!(text, "has no connection to {far}");
                continue;
            };
            let _ = write!(
                text,
                "connected for {:.1} s; {far} has {} pieces, {}\n  {name} {}; thinks that {far} {}\n  {} down, {} up{}",
                self.now.since(state.joined_at).as_secs_f64(),
                state.has.count(),
                if state.open { "the handshake is done" } else { "the handshake is under way" },
                stance_words(state.am_choking, state.am_interested),
                stance_words(state.choking, state.interested),
                words::rate(state.rate_down as f64),
                words::rate(state.rate_up as f64),
                if state.snubbed { "; it is snubbed" } else { "" },
            );
            let _ = write!(text, "\n  requests out: {} of {}", state.asked.len(), state.depth);
            for (block, at) in state.asked.iter().take(NAMED) {
                let age = self.now.since(*at).as_secs_f64();
                let _ = write!(text, "\n    {}, for {age:.3} s", block_words(*block));
                if let Some(pick) = self.seen.picks.get(&(name.clone(), block.piece.0)) {
                    let _ = write!(text, ", since it {}", explanation_text(pick).trim());
                }
            }
            let _ = write!(text, "\n  requests that wait here: {}", state.queue.len());
            if let Some(unchoke) = self.seen.unchokes.get(&name) {
                let _ = write!(text, "\n  last choice of {name}:\n{}", explanation_text(unchoke).trim_end());
            }
        }
        for host in [one, other] {
            self.put_events(&mut text, host);
        }
        text
    }

    fn put_events(&self, text: &mut String, host: u32) {
        if let Some(events) = self.seen.events.get(&host) {
            let _ = write!(text, "\n\nwhat {} last did and heard:", self.names.name(host));
            events.iter().for_each(|event| _ = write!(text, "\n  {event}"));
        }
    }
}

fn copies(count: usize) -> String {
    if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") }
}

fn stance(chokes: bool, interested: bool, optimistic: bool) -> String {
    let chokes = match (chokes, optimistic) {
        (true, _) => "choke",
        (false, true) => "unchoke (optimistic)",
        (false, false) => "unchoke",
    };
    format!("{chokes}, {}", if interested { "interested" } else { "not interested" })
}

fn stance_words(chokes: bool, interested: bool) -> String {
    let (does, is) = (if chokes { "chokes" } else { "unchokes" }, if interested { "is" } else { "is not" });
    format!("{does} and {is} interested")
}

fn block_words(block: Block) -> String {
    format!("{}:{}", block.piece, block.begin / BLOCK_LEN)
}

fn blocks(states: &[BlockState]) -> String {
    let sign = |state: &BlockState| match state {
        BlockState::Done => '#',
        BlockState::Free => '.',
        BlockState::Asked(1) => '?',
        BlockState::Asked(by) => char::from_digit(u32::from(*by).min(9), 10).unwrap_or('9'),
    };
    states.iter().map(sign).collect()
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.to_vec());
    rows.for_each(|row| _ = table.add_row(row));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Says in what the scenarios of two runs differ, and where the runs part.
fn diff(registry: &Registry, one: &KeptRun, other: &Path, quiet: bool) -> Result<Exit, Failure> {
    let other = KeptRun::read(other)?;
    let differences = one.scenario.differences(&other.scenario);
    for difference in &differences {
        data(difference)?;
    }
    if one.backend != other.backend {
        data(format_args!("backend: {} | {}", one.backend.name(), other.backend.name()))?;
    }
    let scratch =
        tempfile::tempdir().map_err(|error| Failure::failed(error, "free some space for temporary files"))?;
    let mut traces = Vec::new();
    for (nth, run) in [one, &other].into_iter().enumerate() {
        let path = scratch.path().join(format!("{nth}.zst"));
        match trace_of(registry, run, &path, quiet)? {
            Some(trace) => traces.push(trace),
            None => return Ok(Exit::Interrupted),
        }
    }
    let (Some(second), Some(first)) = (traces.pop(), traces.pop()) else { return Ok(Exit::Failed) };
    let words = Words::of(first.head()).map_err(|error| Failure::told(&error))?;
    match compare_files(first, second, words).map_err(|error| Failure::told(&error))? {
        None => data("the runs are the same, event by event")?,
        Some(parting) => {
            let [first, second] = [one, &other].map(|run| run.path.display().to_string());
            data(replay::words(&parting, &first, &second))?;
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Done)
}

/// The trace of a run: its own, or that of repeating it, written to `path`.
fn trace_of(
    registry: &Registry,
    run: &KeptRun,
    path: &Path,
    quiet: bool,
) -> Result<Option<TraceReader<std::fs::File>>, Failure> {
    if let Some(trace) = run.trace()? {
        return Ok(Some(trace));
    }
    let recording = Recording::create(path).map_err(|error| Failure::unwritable(&error))?;
    let watch = |scene: &Scene| -> Vec<Box<dyn Watch>> { vec![recording.watch(scene)] };
    let exit = run.repeat(registry, Watching(&watch), quiet)?;
    recording.end().map_err(|error| Failure::unwritable(&error))?;
    if exit != Exit::Done {
        return Ok(None);
    }
    TraceReader::open(path).map(Some).map_err(|error| Failure::told(&error))
}
