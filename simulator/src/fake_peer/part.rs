//! How far a script is: a state machine that is told what comes, and says what to do.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use torrentlab_engine::time::{Duration, Instant};
use torrentlab_engine::units::{BLOCK_LEN, Block, Geometry};
use torrentlab_engine::wire::{Message, Payload};

use super::parse::word;
use crate::content::Content;

/// How long a wait may take unless the script says otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that a failure shows.
const SHOWN: usize = 12;

/// A script, ready to be played. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Play {
    pub(super) lines: Arc<[Line]>,
    pub(super) content: Arc<Content>,
    pub(super) patience: Duration,
}

/// A line of a script.
#[derive(Debug)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) step: Step,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Say(Vec<Message>),
    Bytes(Bytes),
    Hear(Vec<Pattern>),
    Never(Vec<Pattern>),
    Allow(Vec<Pattern>),
    Serve(Serve),
    Within(Duration),
    Wait(Duration),
    Closed,
    HangUp,
}

/// How requests are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Serve {
    Nothing,
    RightBytes,
    WrongBytes,
}

/// What a message may be.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Pattern {
    /// Of this kind, by its first word.
    Kind(&'static str),
    /// This and no other.
    Exact(Message),
    /// A request for anything but a block.
    OddRequest,
    /// What the sender has.
    Pieces,
    Anything,
}

impl Pattern {
    fn fits(&self, message: &Message, geometry: Geometry) -> bool {
        match self {
            Self::Kind(kind) => word(message) == *kind,
            Self::Exact(wanted) => message == wanted,
            Self::OddRequest => {
                matches!(message, Message::Request(block) if nth_block(*block, geometry) != Some(*block))
            }
            Self::Pieces => {
                matches!(message, Message::Bitfield(_) | Message::HaveAll | Message::HaveNone)
            }
            Self::Anything => true,
        }
    }
}

/// The block that begins where `block` does, if one does.
fn nth_block(block: Block, geometry: Geometry) -> Option<Block> {
    let begins = geometry.contains(block.piece)
        && block.begin.is_multiple_of(BLOCK_LEN)
        && block.begin < geometry.len_of(block.piece);
    begins.then(|| geometry.block(block.piece, block.begin / BLOCK_LEN))
}

/// What the peer made of it: whether the other side did as the script says.
pub type Verdict = Result<(), Deviation>;

/// Where the other side did not do as the script says.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub struct Deviation {
    /// The line of the script, counted from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// What happened instead.
    pub what: String,
    /// The last messages that came before.
    pub heard: Vec<String>,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, `{}`: {}", self.line, self.text, self.what)?;
        let heard = if self.heard.is_empty() { "nothing".to_owned() } else { self.heard.join(", ") };
        write!(f, "\n  heard before: {heard}")
    }
}

impl Play {
    /// The same script, with another time that each wait may take unless a line says otherwise.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether it sends bytes that need be no messages.
    pub fn needs_bytes(&self) -> bool {
        self.lines.iter().any(|line| matches!(line.step, Step::Bytes(_)))
    }

    /// Whether it lets a time pass, which only a simulated clock does at once.
    pub fn needs_time(&self) -> bool {
        self.lines.iter().any(|line| match line.step {
            Step::Wait(_) => true,
            Step::Within(time) => time > PATIENCE,
            _ => false,
        })
    }
}

/// What a part wants done.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Act {
    Say(Message),
    Bytes(Bytes),
    HangUp,
}

/// A play under way on one connection.
#[derive(Debug)]
pub(super) struct Part {
    play: Play,
    /// The line that is waited at.
    at: usize,
    /// What is still waited for there.
    awaited: Vec<Pattern>,
    /// When that has taken too long, or, at a `wait`, long enough.
    due: Option<Instant>,
    patience: Duration,
    serve: Serve,
    /// Requests that were not answered.
    asked: Vec<Block>,
    never: Vec<(usize, Pattern)>,
    heard: VecDeque<String>,
    is_closed: bool,
    acts: Vec<Act>,
    verdict: Option<Verdict>,
}

impl Part {
    pub(super) fn new(play: Play) -> Self {
        Self {
            patience: play.patience,
            play,
            at: 0,
            awaited: Vec::new(),
            due: None,
            serve: Serve::Nothing,
            asked: Vec::new(),
            never: Vec::new(),
            heard: VecDeque::new(),
            is_closed: false,
            acts: Vec::new(),
            verdict: None,
        }
    }

    /// How it went, once that is known. Nothing more is done then.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// When [`Part::timeout`] is wanted.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.verdict.is_some() { None } else { self.due }
    }

    /// What is to be done since the last call.
    pub(super) fn take_acts(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    /// The connection is open.
    pub(super) fn open(&mut self, now: Instant) {
        self.go_on(now);
    }

    /// A message came.
    pub(super) fn hear(&mut self, message: &Message, now: Instant) {
        if self.verdict.is_some() {
            return;
        }
        let geometry = self.play.content.geometry();
        let shown = show(message);
        if let Some(&(at, _)) = self.never.iter().find(|(_, pattern)| pattern.fits(message, geometry)) {
            return self.fail_at(at, format!("{shown} came"));
        }
        if self.heard.len() == SHOWN {
            self.heard.pop_front();
        }
        self.heard.push_back(shown);
        match message {
            Message::Request(block) => {
                self.asked.push(*block);
                self.answer();
            }
            Message::Cancel(block) => self.asked.retain(|asked| asked != block),
            _ => {}
        }
        if let Some(place) = self.awaited.iter().position(|pattern| pattern.fits(message, geometry)) {
            self.awaited.remove(place);
            if self.awaited.is_empty() {
                self.at += 1;
                self.go_on(now);
            }
        }
    }

    /// The other side closed the connection.
    pub(super) fn closed(&mut self, now: Instant) {
        self.is_closed = true;
        match self.play.lines.get(self.at).map(|line| &line.step) {
            Some(Step::Closed) => {
                self.at += 1;
                self.go_on(now);
            }
            _ => self.fail("the connection was closed".to_owned()),
        }
    }

    /// What came were no messages.
    pub(super) fn malformed(&mut self, why: &str) {
        self.fail(format!("what came is no message: {why}"));
    }

    /// The time of [`Part::due`] has come.
    pub(super) fn timeout(&mut self, now: Instant) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        match self.play.lines.get(self.at).map(|line| &line.step) {
            Some(Step::Wait(_)) => {
                self.at += 1;
                self.go_on(now);
            }
            _ => self.fail(format!("it did not come within {} s", self.patience.as_secs())),
        }
    }

    /// Goes on to the next line that waits for something.
    fn go_on(&mut self, now: Instant) {
        let play = self.play.clone();
        self.due = None;
        while self.verdict.is_none() {
            let Some(line) = play.lines.get(self.at) else {
                self.verdict = Some(Ok(()));
                return;
            };
            match &line.step {
                Step::Say(_) | Step::Bytes(_) | Step::Hear(_) if self.is_closed => {
                    return self.fail("the connection was closed before".to_owned());
                }
                Step::Say(messages) => self.acts.extend(messages.iter().cloned().map(Act::Say)),
                Step::Bytes(bytes) => self.acts.push(Act::Bytes(bytes.clone())),
                Step::Never(patterns) => {
                    self.never.extend(patterns.iter().map(|pattern| (self.at, pattern.clone())));
                }
                Step::Allow(patterns) => self.never.retain(|(_, never)| !patterns.contains(never)),
                Step::Serve(serve) => {
                    self.serve = *serve;
                    self.answer();
                }
                Step::Within(time) => self.patience = *time,
                Step::HangUp => {
                    self.is_closed = true;
                    self.acts.push(Act::HangUp);
                }
                Step::Closed if self.is_closed => {}
                Step::Hear(patterns) => {
                    self.awaited = patterns.clone();
                    self.due = Some(now + self.patience);
                    return;
                }
                Step::Closed => {
                    self.due = Some(now + self.patience);
                    return;
                }
                Step::Wait(time) => {
                    self.due = Some(now + *time);
                    return;
                }
            }
            self.at += 1;
        }
    }

    /// Answers what was asked for and can be.
    fn answer(&mut self) {
        if self.serve == Serve::Nothing {
            return;
        }
        let content = &self.play.content;
        for block in self.asked.drain(..).filter(|block| content.geometry().holds(*block)) {
            let is_right = self.serve == Serve::RightBytes;
            let payload = if is_right { content.original(block) } else { wrong(content, block) };
            self.acts.push(Act::Say(Message::Piece { block, payload }));
        }
    }

    fn fail(&mut self, what: String) {
        self.fail_at(self.at, what);
    }

    fn fail_at(&mut self, at: usize, what: String) {
        if self.verdict.is_none() {
            let line = self.play.lines.get(at).or(self.play.lines.last());
            let (line, text) = line.map_or((0, String::new()), |line| (line.number, line.text.clone()));
            let heard = self.heard.iter().cloned().collect();
            self.verdict = Some(Err(Deviation { line, text, what, heard }));
        }
    }
}

/// Bytes that are not what `block` has.
pub(super) fn wrong(content: &Content, block: Block) -> Payload {
    match content {
        Content::Synthetic(_) => Payload::Synthetic { len: block.len, tag: 0 },
        Content::Real(_) => Payload::Bytes(vec![0; block.len as usize].into()),
    }
}

/// A message in the words of scripts.
fn show(message: &Message) -> String {
    let kind = word(message);
    match message {
        Message::Have(piece) | Message::Suggest(piece) | Message::AllowedFast(piece) => {
            format!("{kind} {piece}")
        }
        Message::Request(block) | Message::Cancel(block) | Message::Reject(block) => {
            format!("{kind} {}:{}+{}", block.piece, block.begin, block.len)
        }
        Message::Piece { block, .. } => format!("{kind} {}:{}+{}", block.piece, block.begin, block.len),
        Message::Bitfield(bytes) => {
            let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
            format!("{kind} {bits}")
        }
        Message::Extended { id, .. } => format!("{kind} (id {id})"),
        Message::Unknown(id) => format!("{kind} {id}"),
        _ => kind.to_owned(),
    }
}
