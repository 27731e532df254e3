//! From the lines of a script to its steps.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use torrentlab_engine::time::Duration;
use torrentlab_engine::units::{BLOCK_LEN, Block, Geometry, InfoHash, PeerId, PieceIndex};
use torrentlab_engine::wire::{ExtensionHandshake, Message, Reserved};
use torrentlab_scenarios::units::Span;

use super::part::{Line, PATIENCE, Pattern, Play, Serve, Step, wrong};
use crate::content::Content;

/// What a fake peer calls itself.
const PEER_ID: PeerId = PeerId(*b"-FP0100-played-byhnd");

/// What is wrong with a script.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("line {line}, `{text}`: {what}\nhint: {hint}")]
pub struct PlayError {
    /// The line, counted from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

/// What is wrong, and what would be right.
type Wrong = (String, &'static str);

const WORDS: [&str; 20] = [
    "hello",
    "id",
    "keep-alive",
    "choke",
    "unchoke",
    "interested",
    "not-interested",
    "have",
    "bitfield",
    "request",
    "piece",
    "cancel",
    "port",
    "suggest",
    "have-all",
    "have-none",
    "reject",
    "allowed-fast",
    "extended",
    "unknown",
];

/// The first word of a message in scripts.
pub(super) fn word(message: &Message) -> &'static str {
    match message {
        Message::Hello { .. } => "hello",
        Message::PeerId(_) => "id",
        Message::KeepAlive => "keep-alive",
        Message::Choke => "choke",
        Message::Unchoke => "unchoke",
        Message::Interested => "interested",
        Message::NotInterested => "not-interested",
        Message::Have(_) => "have",
        Message::Bitfield(_) => "bitfield",
        Message::Request(_) => "request",
        Message::Piece { .. } => "piece",
        Message::Cancel(_) => "cancel",
        Message::Port(_) => "port",
        Message::Suggest(_) => "suggest",
        Message::HaveAll => "have-all",
        Message::HaveNone => "have-none",
        Message::Reject(_) => "reject",
        Message::AllowedFast(_) => "allowed-fast",
        Message::Extended { .. } => "extended",
        Message::Unknown(_) => "unknown",
    }
}

impl Play {
    /// Reads a script about `content`, a line to a step. Empty lines and what follows `#` do not count.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(script: &str, content: &Content) -> Result<Self, PlayError> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(script.lines()) {
            let text = line.split('#').next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            let error = |(what, hint): Wrong| PlayError {
                line: number,
                text: text.to_owned(),
                what,
                hint: hint.to_owned(),
            };
            let steps = Reader { content }.steps(text).map_err(error)?;
            lines.extend(steps.into_iter().map(|step| Line { number, text: text.to_owned(), step }));
        }
        Ok(Self { lines: lines.into(), content: Arc::new(content.clone()), patience: PATIENCE })
    }
}

struct Reader<'c> {
    content: &'c Content,
}

impl Reader<'_> {
    fn steps(&self, line: &str) -> Result<Vec<Step>, Wrong> {
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let step = match (first, rest) {
            ("joins", "" | "plainly") => {
                let hello = if rest.is_empty() { "hello" } else { "hello plain" };
                let said = vec![self.message(hello)?, self.message("id")?];
                return Ok(vec![Step::Say(said), Step::Hear(self.patterns("hello, id")?)]);
            }
            ("<", _) => Step::Say(parts(rest).map(|text| self.message(text)).collect::<Result<_, _>>()?),
            ("bytes", _) => Step::Bytes(hex(rest)?),
            (">", _) => Step::Hear(self.patterns(rest)?),
            ("never", _) => Step::Never(self.patterns(rest)?),
            ("allow", _) => Step::Allow(self.patterns(rest)?),
            ("serve", "") => Step::Serve(Serve::RightBytes),
            ("serve", "wrong bytes") => Step::Serve(Serve::WrongBytes),
            ("serve", "nothing") => Step::Serve(Serve::Nothing),
            ("within", _) => Step::Within(time(rest)?),
            ("wait", _) => Step::Wait(time(rest)?),
            ("closed", "") => Step::Closed,
            ("hang", "up") => Step::HangUp,
            _ => {
                let hint =
                    "begin with joins, <, >, bytes, never, allow, serve, within, wait, closed or hang up";
                return Err(("no such step".to_owned(), hint));
            }
        };
        Ok(vec![step])
    }

    fn patterns(&self, list: &str) -> Result<Vec<Pattern>, Wrong> {
        let patterns: Vec<Pattern> = parts(list).map(|text| self.pattern(text)).collect::<Result<_, _>>()?;
        if patterns.is_empty() {
            return Err(("it names no message".to_owned(), "write one, such as: > interested"));
        }
        Ok(patterns)
    }

    fn pattern(&self, text: &str) -> Result<Pattern, Wrong> {
        Ok(match text {
            "odd-request" => Pattern::OddRequest,
            "pieces" => Pattern::Pieces,
            "anything" => Pattern::Anything,
            _ => match WORDS.iter().find(|word| **word == text) {
                Some(word) => Pattern::Kind(word),
                None => Pattern::Exact(self.message(text)?),
            },
        })
    }

    fn message(&self, text: &str) -> Result<Message, Wrong> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let rest = rest.trim();
        let piece = || number(rest).map(PieceIndex);
        Ok(match (kind, rest) {
            ("hello", _) => self.hello(rest)?,
            ("id", "") => Message::PeerId(PEER_ID),
            ("keep-alive", "") => Message::KeepAlive,
            ("choke", "") => Message::Choke,
            ("unchoke", "") => Message::Unchoke,
            ("interested", "") => Message::Interested,
            ("not-interested", "") => Message::NotInterested,
            ("have-all", "") => Message::HaveAll,
            ("have-none", "") => Message::HaveNone,
            ("have", _) => Message::Have(piece()?),
            ("suggest", _) => Message::Suggest(piece()?),
            ("allowed-fast", _) => Message::AllowedFast(piece()?),
            ("bitfield", _) => Message::Bitfield(bits(rest)?),
            ("request", _) => Message::Request(self.block(rest)?),
            ("cancel", _) => Message::Cancel(self.block(rest)?),
            ("reject", _) => Message::Reject(self.block(rest)?),
            ("piece", _) => self.piece(rest)?,
            ("port", _) => Message::Port(number(rest)?),
            ("unknown", _) => Message::Unknown(number(rest)?),
            ("extended", _) => extended(rest)?,
            _ => return Err((format!("`{text}` is no message"), "the module's documentation has all")),
        })
    }

    fn hello(&self, kind: &str) -> Result<Message, Wrong> {
        let info_hash = self.content.info_hash();
        let (reserved, info_hash) = match kind {
            "" => (Reserved::OURS, info_hash),
            "plain" => (Reserved::default(), info_hash),
            "other" => (Reserved::OURS, InfoHash(info_hash.0.map(|byte| !byte))),
            _ => {
                return Err((
                    format!("`{kind}` is no kind of handshake"),
                    "write hello, hello plain or hello other",
                ));
            }
        };
        Ok(Message::Hello { reserved, info_hash })
    }

    fn piece(&self, text: &str) -> Result<Message, Wrong> {
        let (text, is_right) = text.strip_suffix(" wrong").map_or((text, true), |text| (text, false));
        let block = self.block(text)?;
        let exists = self.content.geometry().holds(block);
        let payload =
            if is_right && exists { self.content.original(block) } else { wrong(self.content, block) };
        Ok(Message::Piece { block, payload })
    }

    /// `3:1`, the second block of the fourth piece, or `3:16384+16384`, the same in bytes.
    fn block(&self, text: &str) -> Result<Block, Wrong> {
        let hint = "write PIECE:NTH or PIECE:BEGIN+LENGTH, such as 3:1 or 3:16384+16384";
        let (piece, place) = text.split_once(':').ok_or((format!("`{text}` is no block"), hint))?;
        let piece = PieceIndex(number(piece)?);
        match place.split_once('+') {
            Some((begin, len)) => Ok(Block { piece, begin: number(begin)?, len: number(len)? }),
            None => Ok(nth(self.content.geometry(), piece, number(place)?)),
        }
    }
}

/// The `nth` block of a piece; what lies outside of the content is taken for a whole block.
fn nth(geometry: Geometry, piece: PieceIndex, nth: u32) -> Block {
    if geometry.contains(piece) && nth < geometry.blocks_in(piece) {
        geometry.block(piece, nth)
    } else {
        Block { piece, begin: nth.saturating_mul(BLOCK_LEN), len: BLOCK_LEN }
    }
}

/// The extension handshake, with the fields that are named.
fn extended(fields: &str) -> Result<Message, Wrong> {
    if fields == "garbage" {
        return Ok(Message::Extended { id: 0, payload: Bytes::from_static(b"d") });
    }
    let mut hello = ExtensionHandshake::default();
    for field in fields.split_whitespace() {
        match field.split_once('=') {
            Some(("reqq", value)) => hello.reqq = Some(number(value)?),
            Some(("port", value)) => hello.port = Some(number(value)?),
            Some(("pex", value)) => _ = hello.messages.insert("ut_pex".to_owned(), number(value)?),
            None if field == "upload-only" => hello.upload_only = true,
            _ => {
                let hint = "write reqq=N, port=N, pex=ID, upload-only or garbage";
                return Err((format!("`{field}` is no field of it"), hint));
            }
        }
    }
    Ok(Message::Extended { id: 0, payload: hello.encode() })
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, Wrong> {
    let hint = "write a whole number that fits the field";
    text.trim().parse().map_err(|_| (format!("`{text}` is no number here"), hint))
}

fn time(text: &str) -> Result<Duration, Wrong> {
    let hint = "write a time with its unit, such as 30 s";
    let span: Span = text.parse().map_err(|_| (format!("`{text}` is no time"), hint))?;
    Ok(Duration::from_nanos(span.as_nanos()))
}

fn bits(text: &str) -> Result<Bytes, Wrong> {
    if text.bytes().any(|bit| !matches!(bit, b'0' | b'1')) {
        return Err((format!("`{text}` is no bits"), "write ones and zeros"));
    }
    let byte = |bits: &[u8]| (0..).zip(bits).map(|(at, bit)| (bit - b'0') << (7 - at)).sum::<u8>();
    Ok(text.as_bytes().chunks(8).map(byte).collect())
}

fn hex(text: &str) -> Result<Bytes, Wrong> {
    let wrong = || {
        (format!("`{text}` is no hexadecimal number"), "write two digits for each byte, such as 0000 0001 63")
    };
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|char| !char.is_whitespace())
        .map(|char| char.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits =
        digits.filter(|digits| digits.len().is_multiple_of(2) && !digits.is_empty()).ok_or_else(wrong)?;
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content::Synthetic(Geometry::new(6 * 65_536 - 100, 65_536).unwrap())
    }

    #[test]
    fn every_word_is_that_of_its_message() {
        let reader = Reader { content: &content() };
        for text in [
            "hello",
            "id",
            "keep-alive",
            "choke",
            "unchoke",
            "interested",
            "not-interested",
            "have 1",
            "bitfield 10",
            "request 1:1",
            "piece 1:1",
            "piece 9:9 wrong",
            "cancel 1:1",
            "port 1",
            "suggest 1",
            "have-all",
            "have-none",
            "reject 1:1",
            "allowed-fast 1",
            "extended reqq=1 upload-only",
            "unknown 99",
        ] {
            let kind = text.split(' ').next().unwrap();
            assert_eq!(word(&reader.message(text).unwrap()), kind);
            assert_eq!(
                reader.pattern(kind),
                Ok(Pattern::Kind(WORDS.iter().find(|word| **word == kind).unwrap()))
            );
        }
    }

    #[test]
    fn blocks_are_counted_or_measured() {
        let block = |text: &str| {
            let Block { piece, begin, len } = Reader { content: &content() }.block(text).unwrap();
            (piece.0, begin, len)
        };
        assert_eq!(block("1:2"), (1, 32_768, 16_384));
        assert_eq!(block("5:3"), (5, 49_152, 16_284));
        assert_eq!(block("5:3+7"), (5, 3, 7));
        assert_eq!(block("6:4294967295"), (6, u32::MAX, 16_384));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (line, what) in [
            ("jumps", "no such step"),
            ("< have", "`` is no number"),
            ("< have all", "`all` is no number"),
            ("< have 4294967296", "is no number"),
            ("< unknown 256", "is no number"),
            ("> interrested", "`interrested` is no message"),
            (">", "it names no message"),
            ("bytes 123", "is no hexadecimal"),
            ("bytes", "is no hexadecimal"),
            ("wait 3", "`3` is no time"),
            ("< request 3", "`3` is no block"),
            ("< bitfield 12", "`12` is no bits"),
            ("< hello there", "no kind of handshake"),
            ("< extended reqqq=3", "no field of it"),
            ("serve tea", "no such step"),
        ] {
            let error = Play::parse(&format!("# a comment\njoins\n{line}"), &content()).unwrap_err();
            assert_eq!(error.line, 3);
            assert!(error.what.contains(what), "{error}");
        }
    }
}
