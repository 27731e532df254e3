//! Bencoding (BEP 3), decoded without copying and encoded in its one canonical form.

use thiserror::Error;

/// How deep lists and dictionaries may lie in each other.
pub const MAX_DEPTH: usize = 32;

/// How many values one input may have: what costs two bytes as input takes some 50 in memory.
pub const MAX_VALUES: usize = 1 << 22;

/// A bencoded value that borrows its strings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// `i42e`
    Int(i64),
    /// `4:spam`; any bytes
    Bytes(&'a [u8]),
    /// `l...e`
    List(Vec<Value<'a>>),
    /// `d...e`
    Dict(Dict<'a>),
}

/// A dictionary, in the order of its keys.
#[derive(Clone, Debug, Default)]
pub struct Dict<'a> {
    entries: Vec<(&'a [u8], Value<'a>)>,
    raw: &'a [u8],
}

/// Whether a dictionary's keys have to be in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// "Keys must be strings and appear in sorted order" (BEP 3).
    Sorted,
    /// Any order, as some trackers and peers write them.
    AnyOrder,
}

/// Bytes that are no bencoded value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{kind} at byte {offset}")]
pub struct Error {
    /// Where it was noticed, counted from 0.
    pub offset: usize,
    /// What is wrong.
    pub kind: ErrorKind,
}

/// What is wrong with bytes that are no bencoded value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes end within a value.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// No value begins, or no number goes on, with this byte.
    #[error("unexpected byte 0x{0:02x}")]
    UnexpectedByte(u8),
    /// "All encodings with a leading zero, such as i03e, are invalid"; so is `i-0e` (BEP 3).
    #[error("number with a leading zero")]
    LeadingZero,
    /// The number does not fit 64 bits, or a length the memory.
    #[error("number out of range")]
    Overflow,
    /// Keys out of order.
    #[error("dictionary key out of order")]
    UnsortedKeys,
    /// The same key twice.
    #[error("dictionary key given twice")]
    DuplicateKey,
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// More than [`MAX_VALUES`].
    #[error("too many values")]
    TooMany,
    /// Something follows the value.
    #[error("bytes after the end")]
    TrailingBytes,
}

/// Reads the one value that `input` consists of.
///
/// # Errors
/// Where `input` is anything else.
pub fn decode(input: &[u8], keys: Keys) -> Result<Value<'_>, Error> {
    let mut parser = Parser { input, at: 0, values: 0, keys };
    let value = parser.value(0)?;
    match parser.at {
        end if end == input.len() => Ok(value),
        _ => parser.fail(ErrorKind::TrailingBytes),
    }
}

/// A stranger's string as text that is fit to be shown: no control characters, no more than `max_chars`.
pub fn printable(bytes: &[u8], max_chars: usize) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(max_chars).collect()
}

impl<'a> Value<'a> {
    /// The number, if it is one.
    pub const fn as_int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The string, if it is one.
    pub const fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// The dictionary, if it is one.
    pub const fn as_dict(&self) -> Option<&Dict<'a>> {
        if let Self::Dict(dict) = self { Some(dict) } else { None }
    }

    /// Appends the value's canonical form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Self::Bytes(bytes) => encode_bytes(bytes, out),
            Self::List(list) => {
                out.push(b'l');
                list.iter().for_each(|value| value.encode(out));
                out.push(b'e');
            }
            Self::Dict(dict) => {
                out.push(b'd');
                for (key, value) in &dict.entries {
                    encode_bytes(key, out);
                    value.encode(out);
                }
                out.push(b'e');
            }
        }
    }

    /// The value's canonical form.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

impl<'a> From<i64> for Value<'a> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl<'a> From<Vec<Value<'a>>> for Value<'a> {
    fn from(list: Vec<Value<'a>>) -> Self {
        Self::List(list)
    }
}

impl<'a> From<Dict<'a>> for Value<'a> {
    fn from(dict: Dict<'a>) -> Self {
        Self::Dict(dict)
    }
}

impl<'a> Dict<'a> {
    /// The value of `key`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Value<'a>> {
        let at = self.entries.binary_search_by(|(have, _)| (*have).cmp(key.as_ref())).ok()?;
        Some(&self.entries[at].1)
    }

    /// The number under `key`; `None` too when it is something else.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_int()
    }

    /// The string under `key`; `None` too when it is something else.
    pub fn bytes(&self, key: &str) -> Option<&'a [u8]> {
        self.get(key)?.as_bytes()
    }

    /// The entries, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &Value<'a>)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }

    /// The bytes that the dictionary was decoded from, `d` to `e`; empty for one that was built.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Sets `key` to `value`.
    pub fn insert(&mut self, key: &'a (impl AsRef<[u8]> + ?Sized), value: impl Into<Value<'a>>) {
        let key = key.as_ref();
        match self.entries.binary_search_by_key(&key, |(have, _)| have) {
            Ok(at) => self.entries[at].1 = value.into(),
            Err(at) => self.entries.insert(at, (key, value.into())),
        }
    }
}

/// Dictionaries are equal where their entries are, whatever they were decoded from.
impl PartialEq for Dict<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Dict<'_> {}

struct Parser<'a> {
    input: &'a [u8],
    at: usize,
    values: usize,
    keys: Keys,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Error> {
        self.values += 1;
        match self.peek()? {
            _ if self.values > MAX_VALUES => self.fail(ErrorKind::TooMany),
            b'i' => self.int().map(Value::Int),
            b'0'..=b'9' => self.bytes().map(Value::Bytes),
            b'l' | b'd' if depth == MAX_DEPTH => self.fail(ErrorKind::TooDeep),
            b'l' => self.list(depth).map(Value::List),
            b'd' => self.dict(depth).map(Value::Dict),
            other => self.fail(ErrorKind::UnexpectedByte(other)),
        }
    }

    fn int(&mut self) -> Result<i64, Error> {
        self.at += 1;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let start = self.at;
        let magnitude = self.digits(b'e')?;
        if negative && magnitude == 0 {
            return Err(Error { offset: start, kind: ErrorKind::LeadingZero });
        }
        let signed = if negative { -i128::from(magnitude) } else { i128::from(magnitude) };
        i64::try_from(signed).map_err(|_| Error { offset: start, kind: ErrorKind::Overflow })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        let len = usize::try_from(self.digits(b':')?)
            .map_err(|_| Error { offset: start, kind: ErrorKind::Overflow })?;
        let Some(bytes) = self.input[self.at..].get(..len) else {
            self.at = self.input.len();
            return self.fail(ErrorKind::UnexpectedEnd);
        };
        self.at += len;
        Ok(bytes)
    }

    /// Reads decimal digits and the byte `end` after them.
    fn digits(&mut self, end: u8) -> Result<u64, Error> {
        let start = self.at;
        let mut number = 0u64;
        loop {
            match self.peek()? {
                digit @ b'0'..=b'9' => {
                    if self.at == start + 1 && self.input[start] == b'0' {
                        return Err(Error { offset: start, kind: ErrorKind::LeadingZero });
                    }
                    let next = number.checked_mul(10).and_then(|n| n.checked_add(u64::from(digit - b'0')));
                    let Some(next) = next else { return self.fail(ErrorKind::Overflow) };
                    number = next;
                    self.at += 1;
                }
                byte if byte == end && self.at > start => {
                    self.at += 1;
                    return Ok(number);
                }
                other => return self.fail(ErrorKind::UnexpectedByte(other)),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value<'a>>, Error> {
        self.at += 1;
        let mut list = Vec::new();
        while self.peek()? != b'e' {
            list.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Ok(list)
    }

    fn dict(&mut self, depth: usize) -> Result<Dict<'a>, Error> {
        let start = self.at;
        self.at += 1;
        let mut entries: Vec<(&[u8], Value<'_>)> = Vec::new();
        let mut sorted = true;
        while self.peek()? != b'e' {
            let key_at = self.at;
            let key = self.bytes()?;
            match entries.last().map(|(last, _)| (*last).cmp(key)) {
                Some(std::cmp::Ordering::Equal) => {
                    return Err(Error { offset: key_at, kind: ErrorKind::DuplicateKey });
                }
                Some(std::cmp::Ordering::Greater) if self.keys == Keys::Sorted => {
                    return Err(Error { offset: key_at, kind: ErrorKind::UnsortedKeys });
                }
                Some(std::cmp::Ordering::Greater) => sorted = false,
                Some(std::cmp::Ordering::Less) | None => {}
            }
            entries.push((key, self.value(depth + 1)?));
        }
        if !sorted {
            entries.sort_by_key(|(key, _)| *key);
            if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return self.fail(ErrorKind::DuplicateKey);
            }
        }
        self.at += 1;
        Ok(Dict { entries, raw: &self.input[start..self.at] })
    }

    fn peek(&self) -> Result<u8, Error> {
        match self.input.get(self.at) {
            Some(&byte) => Ok(byte),
            None => self.fail(ErrorKind::UnexpectedEnd),
        }
    }

    fn fail<T>(&self, kind: ErrorKind) -> Result<T, Error> {
        Err(Error { offset: self.at, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What [`decode`] says of `input` with sorted keys, as the offset and kind of the error.
    fn refused(input: &str) -> (usize, ErrorKind) {
        let error = decode(input.as_bytes(), Keys::Sorted).expect_err(input);
        (error.offset, error.kind)
    }

    #[test]
    fn values_of_the_specification() {
        let sorted = |input: &'static str| decode(input.as_bytes(), Keys::Sorted).unwrap();
        assert_eq!(sorted("4:spam"), "spam".into());
        assert_eq!(sorted("0:"), "".into());
        assert_eq!(sorted("i3e"), 3.into());
        assert_eq!(sorted("i-3e"), (-3).into());
        assert_eq!(sorted("i0e"), 0.into());
        assert_eq!(sorted("i-9223372036854775808e"), i64::MIN.into());
        assert_eq!(sorted("l4:spam4:eggse"), vec!["spam".into(), "eggs".into()].into());
        let dict = sorted("d3:cow3:moo4:spami7ee");
        assert_eq!(dict.as_dict().unwrap().bytes("cow"), Some(&b"moo"[..]));
        assert_eq!(dict.as_dict().unwrap().int("spam"), Some(7));
        assert_eq!(dict.as_dict().unwrap().int("cow"), None);
        assert_eq!(dict.as_dict().unwrap().get("pig"), None);
    }

    #[test]
    fn what_is_refused_and_where() {
        use ErrorKind::*;
        for (input, offset, kind) in [
            ("", 0, UnexpectedEnd),
            ("x", 0, UnexpectedByte(b'x')),
            ("i03e", 1, LeadingZero),
            ("i-0e", 2, LeadingZero),
            ("i-03e", 2, LeadingZero),
            ("00:", 0, LeadingZero),
            ("ie", 1, UnexpectedByte(b'e')),
            ("i-e", 2, UnexpectedByte(b'e')),
            ("i+1e", 1, UnexpectedByte(b'+')),
            ("i 1e", 1, UnexpectedByte(b' ')),
            ("i1", 2, UnexpectedEnd),
            ("i9223372036854775808e", 1, Overflow),
            ("i-9223372036854775809e", 2, Overflow),
            ("i99999999999999999999e", 20, Overflow),
            ("99999999999999999999:", 19, Overflow),
            ("18446744073709551615:a", 22, UnexpectedEnd),
            ("5:spam", 6, UnexpectedEnd),
            ("-1:", 0, UnexpectedByte(b'-')),
            ("l", 1, UnexpectedEnd),
            ("d1:be", 4, UnexpectedByte(b'e')),
            ("di1ei2ee", 1, UnexpectedByte(b'i')),
            ("d1:bi1e1:ai2ee", 7, UnsortedKeys),
            ("d1:ai1e1:ai2ee", 7, DuplicateKey),
            ("i1ei2e", 3, TrailingBytes),
        ] {
            assert_eq!(refused(input), (offset, kind), "{input}");
        }
    }

    #[test]
    fn unsorted_keys_are_borne_where_asked_but_never_duplicates() {
        let value = decode(b"d1:bi1e1:ai2ee", Keys::AnyOrder).unwrap();
        assert_eq!(value.to_vec(), b"d1:ai2e1:bi1ee");
        let twice = decode(b"d1:bi1e1:ai2e1:bi3ee", Keys::AnyOrder).unwrap_err();
        assert_eq!(twice.kind, ErrorKind::DuplicateKey);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "l".repeat(depth) + &"e".repeat(depth);
        assert!(decode(nested(MAX_DEPTH).as_bytes(), Keys::Sorted).is_ok());
        assert_eq!(refused(&nested(MAX_DEPTH + 1)), (MAX_DEPTH, ErrorKind::TooDeep));
        assert_eq!(refused(&"l".repeat(1_000_000)), (MAX_DEPTH, ErrorKind::TooDeep));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let list = |values: usize| format!("l{}e", "0:".repeat(values - 1));
        assert!(decode(list(MAX_VALUES).as_bytes(), Keys::Sorted).is_ok());
        assert_eq!(refused(&list(MAX_VALUES + 1)), (1 + 2 * (MAX_VALUES - 1), ErrorKind::TooMany));
    }

    #[test]
    fn strangers_text_is_made_harmless() {
        assert_eq!(printable(b"a\x1b[2J\n\xffb\0", 100), "a[2J\u{fffd}b");
        assert_eq!(printable("äöü".as_bytes(), 2), "äö");
    }

    #[test]
    fn a_dictionary_knows_the_bytes_it_came_from() {
        let input = b"d1:ad1:xi1ee1:bi2ee";
        let outer = decode(input, Keys::Sorted).unwrap();
        let inner = outer.as_dict().unwrap().get("a").unwrap().as_dict().unwrap();
        assert_eq!(inner.raw(), b"d1:xi1ee");
        assert_eq!(outer.as_dict().unwrap().raw(), input);
    }

    /// A value tree that owns its strings.
    #[derive(Clone, Debug)]
    enum Tree {
        Int(i64),
        Bytes(Vec<u8>),
        List(Vec<Tree>),
        Dict(std::collections::BTreeMap<Vec<u8>, Tree>),
    }

    impl Tree {
        fn value(&self) -> Value<'_> {
            match self {
                Self::Int(number) => Value::Int(*number),
                Self::Bytes(bytes) => Value::Bytes(bytes),
                Self::List(list) => Value::List(list.iter().map(Self::value).collect()),
                Self::Dict(entries) => {
                    let mut dict = Dict::default();
                    entries.iter().rev().for_each(|(key, tree)| dict.insert(key, tree.value()));
                    Value::Dict(dict)
                }
            }
        }
    }

    fn trees() -> impl Strategy<Value = Tree> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..12);
        let leaf = prop_oneof![any::<i64>().prop_map(Tree::Int), bytes().prop_map(Tree::Bytes)];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
                prop::collection::btree_map(bytes(), inner, 0..6).prop_map(Tree::Dict),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_built_is_parsed_back(tree in trees()) {
            let bytes = tree.value().to_vec();
            prop_assert_eq!(decode(&bytes, Keys::Sorted).unwrap(), tree.value());
        }

        #[test]
        fn what_is_accepted_has_one_form(input in "[ild0-9e:a-]{0,24}") {
            if let Ok(value) = decode(input.as_bytes(), Keys::Sorted) {
                prop_assert_eq!(value.to_vec(), input.as_bytes());
            }
        }

        #[test]
        fn a_cut_value_is_an_unexpected_end(tree in trees(), cut in any::<prop::sample::Index>()) {
            let bytes = tree.value().to_vec();
            let cut = cut.index(bytes.len());
            prop_assert_eq!(decode(&bytes[..cut], Keys::Sorted).unwrap_err().kind, ErrorKind::UnexpectedEnd);
        }
    }
}
