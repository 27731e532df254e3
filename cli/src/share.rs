//! What `seed` and `get` have in common: one torrent on real sockets.

use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::ValueEnum;
use indicatif::{HumanBytes, HumanDuration};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use torrentlab_engine::bitfield::Bitfield;
use torrentlab_engine::choker::{Standard, StandardConfig};
use torrentlab_engine::dice::Dice;
use torrentlab_engine::metainfo::Metainfo;
use torrentlab_engine::net::{Content, Driver, Handle, Platform as _, Setup, StorageError, Tokio, Tuning};
use torrentlab_engine::node::{Event, Limits};
use torrentlab_engine::picker::{Picker, Random, RarestFirst, Sequential};
use torrentlab_engine::torrent::{self, Config, Streams, Torrent};
use torrentlab_engine::units::PeerId;
use torrentlab_scenarios::units::Rate;

use crate::print::{data, note};
use crate::progress::{Progress, TICK};
use crate::{Exit, Failure};

/// Options of `seed` and `get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Where peers dial in; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// The most to upload, such as "2 MiB/s"
    #[arg(long, value_name = "RATE", default_value = "unlimited")]
    pub(crate) up: Rate,
    /// A peer to dial whom no tracker knows
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<SocketAddr>,
    /// Neither tell peers of each other nor hear of others from them; a private torrent never does
    #[arg(long)]
    pub(crate) no_peer_exchange: bool,
    /// Print one line of JSON at the end
    #[arg(long)]
    pub(crate) json: bool,
    /// No progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Which piece to begin.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PickerName {
    RarestFirst,
    Random,
    Sequential,
}

impl PickerName {
    fn make(self) -> Box<dyn Picker> {
        match self {
            Self::RarestFirst => Box::new(RarestFirst::default()),
            Self::Random => Box::new(Random),
            Self::Sequential => Box::new(Sequential),
        }
    }
}

/// One torrent, ready to be shared.
pub(crate) struct Share<'a> {
    pub(crate) common: &'a Common,
    pub(crate) meta: &'a Metainfo,
    pub(crate) content: Content,
    pub(crate) have: Bitfield,
    pub(crate) down: Rate,
    pub(crate) picker: PickerName,
    pub(crate) super_seed: bool,
    /// How long to stay once everything is there; `None` is for ever.
    pub(crate) seed_for: Option<Duration>,
}

type Engine = Handle<Tokio, Torrent>;

/// The runtime of a command: one thread is enough, since slow work is done beside it.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot set up the network");
    runtime.map_err(|error| Failure::failed(error, "close some programs: the system is short of resources"))
}

/// Ends when the user or the system wants the program to.
pub(crate) fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let both = listen(SignalKind::interrupt()).and_then(|int| Ok((int, listen(SignalKind::terminate())?)));
    let (mut int, mut term) = both.map_err(|error| Failure::failed(error, "try again"))?;
    Ok(async move {
        select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    })
}

/// Randomness of the system, for what must not repeat: the real world is no experiment.
pub(crate) fn random_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Finds out which pieces are there.
pub(crate) fn check(content: &Content, quiet: bool) -> Result<Bitfield, Failure> {
    let done = AtomicU64::new(0);
    let progress = Progress::new("checking", content.geometry.total_len(), quiet);
    progress.follow(&done, || content.check_all(&done)).map_err(storage_failure)
}

/// What to do about a file.
pub(crate) fn storage_failure(error: StorageError) -> Failure {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let hint = match &error {
        StorageError::Escapes(_) => "do not use this torrent: it is made to do harm, or broken",
        StorageError::Link(_) => "take the link away, or choose another folder",
        StorageError::TooLong { .. } => "move it out of the way, or choose another folder",
        StorageError::Io { source, .. } => match source.kind() {
            StorageFull | QuotaExceeded => "free some space, then run the same command again",
            PermissionDenied | ReadOnlyFilesystem => "choose a folder that you may write to",
            _ => "see to it that nothing else is in the way there",
        },
        _ => "choose another folder",
    };
    Failure::failed(error, hint)
}

impl Share<'_> {
    /// Shares until it is done, the user has had enough, or storage fails.
    pub(crate) async fn run(mut self) -> Result<Exit, Failure> {
        let interrupted = interrupted()?;
        let started = Instant::now();
        let (driver, engine, mut events) = self.set_up().await?;
        let mut running = tokio::spawn(driver.run());
        self.common.peer.iter().for_each(|&peer| engine.dial(peer));
        let mut view = View::new(self.common.quiet, &engine);
        let mut stay = pin!(stay(&engine, &mut events, &mut view, self.seed_for));
        let result = select! {
            biased;
            () = interrupted => Ok(Exit::Interrupted),
            result = &mut stay => result,
            // It ends before it is told to only where an invariant of the engine is broken.
            ended = &mut running => std::panic::resume_unwind(ended.expect_err("nobody stopped it").into_panic()),
        };
        engine.shutdown();
        running.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()));
        if self.common.json {
            data(self.summary(&engine, started.elapsed()))?;
        }
        result
    }

    async fn set_up(
        &mut self,
    ) -> Result<(Driver<Tokio, Torrent>, Engine, tokio::sync::mpsc::UnboundedReceiver<Event>), Failure> {
        let listen = self.common.listen;
        let platform = Tokio::new(listen.ip());
        let listener = platform.bind(listen).await.with_context(|| format!("cannot listen on {listen}"));
        let listener = listener.map_err(|error| Failure::failed(error, "choose another address or port"))?;
        let addr = platform.local_addr(&listener).context("the socket has no address");
        let addr = addr.map_err(|error| Failure::failed(error, "try again"))?;
        if !self.common.quiet {
            note(format_args!("listening on {addr}"));
        }
        let torrent = self.torrent(addr.port(), platform.now());
        let trackers = self.meta.trackers().map(str::to_owned).collect();
        let dice = Dice::stream(random_seed(), ("net", 0, "announces"));
        let (content, tuning) = (self.content.clone(), Tuning::default());
        Ok(Driver::new(Setup { platform, listener, trackers, dice, content, tuning }, torrent))
    }

    fn torrent(&mut self, port: u16, now: torrentlab_engine::time::Instant) -> Torrent {
        let seed = random_seed();
        let mut dice = Streams::new(seed, "net", 0);
        let choker = Standard::new(StandardConfig::default(), now, &mut dice.choker);
        let mut config = Config::new(peer_id(seed), port);
        config.limits =
            Limits { up: self.common.up.bytes_per_s(), down: self.down.bytes_per_s(), ..Limits::default() };
        config.super_seeding = self.super_seed;
        config.address = Some(self.common.listen.ip()).filter(|ip| !ip.is_unspecified());
        config.peer_exchange = !self.common.no_peer_exchange;
        config.private = self.meta.private();
        let setup = torrent::Setup {
            info_hash: self.meta.info_hash(),
            geometry: self.meta.geometry(),
            tiers: self.meta.tiers().iter().map(Vec::len).collect(),
            have: self.have.clone(),
            config,
            picker: self.picker.make(),
            choker: Box::new(choker),
            dice,
        };
        Torrent::new(setup, now)
    }

    fn summary(&self, engine: &Engine, elapsed: Duration) -> serde_json::Value {
        engine.inspect(|torrent| {
            let (uploaded, downloaded) = torrent.transferred();
            json!({
                "info_hash": self.meta.info_hash().to_string(),
                "complete": torrent.is_complete(),
                "left_bytes": torrent.left(),
                "uploaded_bytes": uploaded,
                "downloaded_bytes": downloaded,
                "elapsed_s": elapsed.as_secs_f64(),
            })
        })
    }
}

/// "-TL0100-" and twelve random letters and digits (BEP 20).
fn peer_id(seed: u64) -> PeerId {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut dice = Dice::stream(seed, ("net", 0, "peer id"));
    let mut id = *b"-TL0100-............";
    id[8..].fill_with(|| ALPHABET[dice.below(62) as usize]);
    PeerId(id)
}

/// Watches a torrent until there is nothing more to wait for.
async fn stay(
    engine: &Engine,
    events: &mut tokio::sync::mpsc::UnboundedReceiver<Event>,
    view: &mut View,
    seed_for: Option<Duration>,
) -> Result<Exit, Failure> {
    let mut tick = tokio::time::interval(TICK);
    let mut complete = engine.inspect(Torrent::is_complete);
    let leave = tokio::time::sleep(seed_for.unwrap_or_default());
    let mut leave = pin!(leave);
    loop {
        select! {
            biased;
            () = &mut leave, if complete && seed_for.is_some() => return Ok(Exit::Done),
            event = events.recv() => match event.expect("the driver runs") {
                Event::Completed => {
                    complete = true;
                    leave.as_mut().reset(tokio::time::Instant::now() + seed_for.unwrap_or_default());
                    view.progress.note("complete");
                }
                Event::StorageFailed(why) => {
                    let hint = "see to it that there is space and that you may write there, then run the same \
                                command again: what was verified is kept";
                    return Err(Failure::failed(anyhow!(why), hint));
                }
                event => view.tell(&event),
            },
            _ = tick.tick() => view.draw(engine),
        }
    }
}

/// What the user sees of a torrent.
struct View {
    progress: Progress,
    total: u64,
    last: (Instant, u64, u64),
    /// Bytes a second up and down, smoothed.
    rates: (f64, f64),
}

impl View {
    fn new(quiet: bool, engine: &Engine) -> Self {
        let (total, complete) =
            engine.inspect(|torrent| (torrent.geometry().total_len(), torrent.is_complete()));
        let what = if complete { "sharing" } else { "fetching" };
        let progress = Progress::new(what, total, quiet);
        Self { progress, total, last: (Instant::now(), 0, 0), rates: (0.0, 0.0) }
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::TrackerFailed { why, retry_in, .. } => {
                self.progress.note(&format!("note: {why}; next try in {} s", retry_in.as_secs()));
            }
            Event::TrackerReplied { warning: Some(warning), .. } => {
                self.progress.note(&format!("note: the tracker says: {warning}"));
            }
            Event::HashFailed(piece) => {
                self.progress
                    .note(&format!("note: piece {piece} came with a wrong byte and is fetched again"));
            }
            Event::Banned(addr) => {
                self.progress.note(&format!("note: {addr} sent wrong bytes and is banned"))
            }
            _ => {}
        }
    }

    fn draw(&mut self, engine: &Engine) {
        let (left, (up, down), peers, copies) = engine.inspect(|torrent| {
            (torrent.left(), torrent.transferred(), torrent.connections(), torrent.distributed_copies())
        });
        let (last, last_up, last_down) = std::mem::replace(&mut self.last, (Instant::now(), up, down));
        let span = last.elapsed().as_secs_f64().max(1e-3);
        let smooth = |old: f64, bytes: u64| old + (bytes as f64 / span - old) * 0.2;
        self.rates = (smooth(self.rates.0, up - last_up), smooth(self.rates.1, down - last_down));
        let (rate_up, rate_down) = self.rates;
        self.progress.set(self.total - left, || {
            let eta = if left > 0 && rate_down >= 1.0 {
                format!(
                    ", {} left",
                    HumanDuration(Duration::from_secs_f64((left as f64 / rate_down).min(1e9)))
                )
            } else {
                String::new()
            };
            let (down, up) = (HumanBytes(rate_down as u64), HumanBytes(rate_up as u64));
            format!("{down}/s down, {up}/s up{eta}, {peers} peers, {copies:.2} copies")
        });
    }
}
