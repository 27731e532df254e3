//! The clients that a class of hosts may take after.

use std::sync::LazyLock;

use toml_edit::{DocumentMut, Item, RawString, Table, TableLike, Value};

/// The table of a class whose fields are laid over a profile's one by one; everything else is replaced as a whole.
const LAID_OVER: &str = "limits";

/// A client's known settings: the layer under what a class says itself.
#[derive(Debug)]
pub struct Profile {
    /// Its name, as `profile = "..."` takes it.
    pub name: &'static str,
    /// Which client, which version, and where its settings were read.
    pub about: String,
    /// Its settings, in the order of the file.
    pub settings: Vec<Setting>,
    table: Table,
}

/// A setting of a profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The field, as a path below the class.
    pub field: String,
    /// Its value, as TOML has it.
    pub value: String,
    /// Where it was found, or that it is assumed.
    pub source: String,
}

/// All profiles, the oldest client first.
pub fn profiles() -> &'static [Profile] {
    static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| FILES.iter().map(Profile::read).collect());
    &PROFILES
}

impl Profile {
    fn read(&(name, text): &(&'static str, &str)) -> Self {
        let document: DocumentMut = text.parse().expect("profiles are tested");
        let mut profile =
            Self { name, about: String::new(), settings: Vec::new(), table: document.as_table().clone() };
        profile.collect("", &document);
        // Sources and places are the profile's own: nothing of them goes into a scenario.
        strip(&mut profile.table);
        profile
    }

    fn collect(&mut self, parent: &str, table: &Table) {
        for (name, item) in table {
            let field = format!("{parent}{name}");
            match item {
                Item::Table(inner) => self.collect(&format!("{field}."), inner),
                item => {
                    let decor = table.key(name).and_then(|key| key.leaf_decor().prefix());
                    let (about, source) = comments(decor.and_then(RawString::as_str).unwrap_or_default());
                    if self.settings.is_empty() {
                        self.about = about;
                    }
                    let value = item.to_string().trim().to_owned();
                    // Values that follow each other without a word of their own have the same source.
                    let above = self.settings.last().filter(|_| source.is_empty());
                    let source = above.map_or(source, |above| above.source.clone());
                    self.settings.push(Setting { field, value, source });
                }
            }
        }
    }

    /// Gives `class` what it does not say itself.
    pub(crate) fn lay_under(&self, class: &mut dyn TableLike) {
        for (name, item) in &self.table {
            match (class.get_mut(name), item.as_table()) {
                (None, None) => _ = class.insert(name, item.clone()),
                (None, Some(inner)) => {
                    _ = class
                        .insert(name, Item::Value(Value::InlineTable(inner.clone().into_inline_table())));
                }
                (Some(own), Some(inner)) if name == LAID_OVER => {
                    let Some(own) = own.as_table_like_mut() else { continue };
                    for (name, item) in inner {
                        if !own.contains_key(name) {
                            own.insert(name, item.clone());
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// The comment before the first blank line, if there is one, and the one right before the field.
fn comments(decor: &str) -> (String, String) {
    let joined = |lines: &str| {
        let lines = lines.lines().map(|line| line.trim_start_matches('#').trim());
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    };
    match decor.rsplit_once("\n\n") {
        Some((about, source)) => (joined(about), joined(source)),
        None => (String::new(), joined(decor)),
    }
}

/// Leaves keys and values, without comments.
fn strip(table: &mut Table) {
    table.decor_mut().clear();
    for (mut key, item) in table.iter_mut() {
        key.leaf_decor_mut().clear();
        match item {
            Item::Table(inner) => strip(inner),
            Item::Value(value) => value.decor_mut().clear(),
            _ => {}
        }
    }
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../profiles/", $name, ".toml")))),*]
    };
}

const FILES: &[(&str, &str)] =
    files!["mainline", "libtorrent", "transmission", "aria2", "rqbit", "webtorrent"];
