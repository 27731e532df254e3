//! The text of a scenario and its overrides, and the way from a dotted path to a place in them.

use std::ops::Range;

use toml_edit::{Document, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use crate::error::{Place, ScenarioError};
use crate::profile::profiles;

/// Where a scenario was read from: finds the place of a field for an error.
#[derive(Clone, Debug)]
pub struct Source {
    file: String,
    document: Document<String>,
    sets: Vec<Set>,
    /// The file's text with the overrides in it, and below both what profiles say; places in it are not shown.
    merged: Document<String>,
}

/// An override: `hosts.leecher.links.up="1 Mbit/s"`.
#[derive(Clone, Debug)]
struct Set {
    argument: String,
    path: Vec<String>,
    /// Where the value begins in the argument.
    value_at: usize,
    value: Value,
}

/// A part of a document: a key or a value, by its path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spot {
    pub(crate) path: Vec<String>,
    pub(crate) is_key: bool,
}

impl Source {
    /// Reads TOML, lays `sets` over it, the last one on top, and under each class the profile that it names.
    ///
    /// # Errors
    /// What is no TOML, overrides that are no `path=value`, and profiles that do not exist.
    pub(crate) fn new(text: &str, file: &str, sets: &[String]) -> Result<Self, ScenarioError> {
        let document = Document::parse(text.to_owned()).map_err(|error| {
            let place = Place::in_file(file, text, error.span().unwrap_or_default());
            syntax_error(error.message()).at(place)
        })?;
        let sets = sets.iter().map(|argument| Set::parse(argument)).collect::<Result<Vec<_>, _>>()?;
        let mut merged = document.clone().into_mut();
        for set in &sets {
            set.refuse_new_class(&merged)?;
            set.refuse_elements(&merged)?;
            set.apply(&mut merged);
        }
        let unknown = lay_profiles(&mut merged);
        let merged = Document::parse(merged.to_string()).map_err(|error| syntax_error(error.message()))?;
        let source = Self { file: file.to_owned(), document, sets, merged };
        match unknown {
            None => Ok(source),
            Some((class, name)) => {
                let names: Vec<&str> = profiles().iter().map(|profile| profile.name).collect();
                let message = format!("there is no profile `{name}`");
                let spot = Spot { path: vec!["hosts".into(), class, "profile".into()], is_key: false };
                Err(source.error_at(&spot, ScenarioError::new(message, nearest_hint(&name, &names))))
            }
        }
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// An error at the field with this dotted path, or at the nearest table around it.
    pub fn error(&self, path: &str, message: impl Into<String>, hint: impl Into<String>) -> ScenarioError {
        let path = Key::parse(path).unwrap_or_default().iter().map(|key| key.get().to_owned()).collect();
        self.error_at(&Spot { path, is_key: false }, ScenarioError::new(message, hint))
    }

    /// Whether the field with this dotted path was written.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path: Vec<String> =
            Key::parse(path).unwrap_or_default().iter().map(|key| key.get().to_owned()).collect();
        locate(&self.merged, &Spot { path, is_key: false }).is_some()
    }

    pub(crate) fn merged(&self) -> &Document<String> {
        &self.merged
    }

    /// The part of the merged document that `bytes` point at.
    pub(crate) fn spot(&self, bytes: &Range<usize>) -> Spot {
        let mut best = (usize::MAX, Spot { path: Vec::new(), is_key: false });
        find_spot(Node::Table(self.merged.as_table()), bytes, &mut Vec::new(), &mut best);
        best.1
    }

    /// Shows `error` where the user wrote what `spot` is: in the last override of it, or in the file.
    pub(crate) fn error_at(&self, spot: &Spot, error: ScenarioError) -> ScenarioError {
        let covers = |set: &&Set| spot.path.starts_with(&set.path);
        if let Some(set) = self.sets.iter().rev().find(covers) {
            return error.at(set.place(spot));
        }
        let in_file = locate(&self.document, spot);
        let made_by = |set: &&Set| set.path.starts_with(&spot.path) && !spot.path.is_empty();
        if let (None, Some(set)) = (&in_file, self.sets.iter().rev().find(made_by)) {
            return error.at(set.place(spot));
        }
        let bytes = in_file.or_else(|| {
            (0..spot.path.len()).rev().find_map(|len| {
                locate(&self.document, &Spot { path: spot.path[..len].to_vec(), is_key: false })
            })
        });
        error.at(Place::in_file(&self.file, self.document.raw(), bytes.unwrap_or_default()))
    }
}

impl Set {
    fn parse(argument: &str) -> Result<Self, ScenarioError> {
        let refuse = |message: String, bytes: Range<usize>| {
            let hint =
                "write a field's path and its value, such as --set 'hosts.leecher.links.up=\"1 Mbit/s\"'";
            ScenarioError::new(message, hint).at(Place::in_set(argument, bytes))
        };
        let Some((path, value)) = argument.split_once('=') else {
            return Err(refuse(format!("`{argument}` sets nothing"), 0..argument.len()));
        };
        let value_at = path.len() + 1;
        let keys = Key::parse(path)
            .map_err(|_| refuse(format!("`{}` is no path of a field", path.trim()), 0..path.len()))?;
        let value = read_value(value)
            .ok_or_else(|| refuse(format!("`{}` is no value", value.trim()), value_at..argument.len()))?;
        let path = keys.iter().map(|key| key.get().to_owned()).collect();
        Ok(Self { argument: argument.to_owned(), path, value_at, value })
    }

    /// A path into a class that is not there is a slip of the pen; a whole new class is not.
    fn refuse_new_class(&self, document: &DocumentMut) -> Result<(), ScenarioError> {
        let ([hosts, class, _, ..], Some(classes)) = (&self.path[..], document.get("hosts")) else {
            return Ok(());
        };
        let Some(classes) = classes.as_table_like().filter(|_| hosts == "hosts") else { return Ok(()) };
        if classes.contains_key(class) {
            return Ok(());
        }
        let names: Vec<&str> = classes.iter().map(|(name, _)| name).collect();
        let message = format!("there is no class `{class}`");
        let spot = Spot { path: self.path[..2].to_vec(), is_key: true };
        Err(ScenarioError::new(message, nearest_hint(class, &names)).at(self.place(&spot)))
    }

    /// A path to no element of a list is a slip of the pen, and an element is not set as a whole.
    fn refuse_elements(&self, document: &DocumentMut) -> Result<(), ScenarioError> {
        let mut node = Node::Table(document.as_table());
        for (depth, name) in self.path.iter().enumerate() {
            let children = node.children();
            let child = children.iter().find(|child| child.name == *name);
            let list = (node.table().is_none() && !children.is_empty()).then(|| self.path[..depth].join("."));
            let (message, hint) = match (child, list) {
                (None, Some(list)) => {
                    let last = children.len() - 1;
                    let hint = format!("they are counted from 0: the last is `{list}.{last}`");
                    (format!("there is no `{list}.{name}`"), hint)
                }
                (Some(_), Some(list)) if depth + 1 == self.path.len() => {
                    let hint = format!("set the whole list: {list}=[...]; or a field of one of its tables");
                    (format!("`{list}.{name}` is not set by itself"), hint)
                }
                (Some(child), _) => {
                    node = child.node;
                    continue;
                }
                (None, None) => return Ok(()),
            };
            let spot = Spot { path: self.path[..=depth].to_vec(), is_key: true };
            return Err(ScenarioError::new(message, hint).at(self.place(&spot)));
        }
        Ok(())
    }

    fn apply(&self, document: &mut DocumentMut) {
        put(document.as_table_mut(), &self.path, &self.value);
    }

    /// Where `spot` stands in the argument: at its path's last key, or at the value.
    fn place(&self, spot: &Spot) -> Place {
        let path_end = self.value_at - 1;
        let bytes = match spot.path.len() {
            len if spot.is_key && len <= self.path.len() => {
                let key = spot.path.last().map_or("", String::as_str);
                let at = self.argument[..path_end].rfind(key).unwrap_or(0);
                at..at + key.len()
            }
            _ => self.value_at..self.argument.len(),
        };
        Place::in_set(&self.argument, bytes)
    }
}

/// Lays profiles under the classes that name one; the first class with one that does not exist, and its name.
fn lay_profiles(document: &mut DocumentMut) -> Option<(String, String)> {
    let classes = document.get_mut("hosts")?.as_table_like_mut()?;
    for (class, item) in classes.iter_mut() {
        let Some(table) = item.as_table_like_mut() else { continue };
        let Some(name) = table.get("profile").and_then(Item::as_str).map(str::to_owned) else { continue };
        match profiles().iter().find(|profile| profile.name == name) {
            Some(profile) => profile.lay_under(table),
            None => return Some((class.get().to_owned(), name)),
        }
    }
    None
}

/// Writes a value into a table. What stands in the way of its path makes room.
fn put(table: &mut dyn TableLike, path: &[String], value: &Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(key, Item::Value(value.clone()));
        return;
    }
    let item = table.entry(key).or_insert(Item::None);
    if let Some(element) = rest[0].parse().ok().and_then(|position| element(item, position)) {
        return put(element, &rest[1..], value);
    }
    if !item.is_table_like() {
        *item = Item::Value(InlineTable::new().into());
    }
    put(item.as_table_like_mut().expect("made a table just now"), rest, value);
}

/// A table in a list of tables.
fn element(item: &mut Item, position: usize) -> Option<&mut dyn TableLike> {
    match item {
        Item::ArrayOfTables(tables) => tables.get_mut(position).map(|table| table as &mut dyn TableLike),
        Item::Value(Value::Array(list)) => {
            list.get_mut(position)?.as_inline_table_mut().map(|table| table as &mut dyn TableLike)
        }
        _ => None,
    }
}

/// A TOML value; and, since shells eat quotes, bare text as a string.
fn read_value(text: &str) -> Option<Value> {
    let text = text.trim();
    match text.parse::<Value>() {
        Ok(value) => Some(value),
        Err(_) if text.is_empty() || text.starts_with(['"', '\'', '[', '{']) => None,
        Err(_) => Some(text.into()),
    }
}

/// Keeps the narrowest key or value around `bytes` in `best`, with its width.
fn find_spot(node: Node<'_>, bytes: &Range<usize>, path: &mut Vec<String>, best: &mut (usize, Spot)) {
    for Child { name, key, node } in node.children() {
        path.push(name);
        for (span, is_key) in [(key, true), (node.span(), false)] {
            let around = span.filter(|span| span.start <= bytes.start && bytes.end <= span.end);
            if let Some(span) = around.filter(|span| span.len() <= best.0) {
                *best = (span.len(), Spot { path: path.clone(), is_key });
            }
        }
        find_spot(node, bytes, path, best);
        path.pop();
    }
}

/// Where a spot stands in a document.
fn locate(document: &Document<String>, spot: &Spot) -> Option<Range<usize>> {
    let mut node = Node::Table(document.as_table());
    let mut key = None;
    for name in &spot.path {
        let child = node.children().into_iter().find(|child| child.name == *name)?;
        (node, key) = (child.node, child.key);
    }
    if spot.is_key { key } else { node.span().or(key) }
}

/// A part of a document that may have parts of its own.
#[derive(Clone, Copy)]
enum Node<'a> {
    Item(&'a Item),
    Table(&'a Table),
    Value(&'a Value),
}

/// What stands under a key of a table, or at a position of a list.
struct Child<'a> {
    name: String,
    key: Option<Range<usize>>,
    node: Node<'a>,
}

impl<'a> Node<'a> {
    fn span(self) -> Option<Range<usize>> {
        match self {
            Self::Item(item) => item.span(),
            Self::Table(table) => table.span(),
            Self::Value(value) => value.span(),
        }
    }

    fn children(self) -> Vec<Child<'a>> {
        let Some(table) = self.table() else {
            let child = |(position, node): (usize, _)| Child { name: position.to_string(), key: None, node };
            return self.list().into_iter().enumerate().map(child).collect();
        };
        let child = |(name, item)| Child {
            name: String::from(name),
            key: table.key(name).and_then(Key::span),
            node: Self::Item(item),
        };
        table.iter().map(child).collect()
    }

    fn table(self) -> Option<&'a dyn TableLike> {
        match self {
            Self::Item(item) => item.as_table_like(),
            Self::Table(table) => Some(table),
            Self::Value(value) => value.as_inline_table().map(|table| table as &dyn TableLike),
        }
    }

    fn list(self) -> Vec<Self> {
        match self {
            Self::Item(Item::ArrayOfTables(tables)) => tables.iter().map(Self::Table).collect(),
            Self::Item(Item::Value(Value::Array(list))) | Self::Value(Value::Array(list)) => {
                list.iter().map(Self::Value).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn syntax_error(message: &str) -> ScenarioError {
    let message = message.lines().next().unwrap_or("this is no TOML");
    let message = message.split_once(", expected").map_or(message, |(wrong, _)| wrong);
    let hint = match message {
        "duplicate key" => "write each field and each table once",
        _ if message.contains("quoted") => "text and quantities stand in quotes: up = \"2 Mbit/s\"",
        _ => "https://toml.io shows how TOML is written",
    };
    ScenarioError::new(message, hint)
}

/// "did you mean ...?", or all that there is to choose from.
pub(crate) fn nearest_hint(written: &str, known: &[&str]) -> String {
    let by_distance = known.iter().map(|name| (strsim::damerau_levenshtein(written, name), name));
    match by_distance.min() {
        Some((distance, name)) if distance <= (name.len() / 3).max(1) => format!("did you mean `{name}`?"),
        Some(_) => format!("there are: {}", known.join(", ")),
        None => "leave it out".to_owned(),
    }
}
