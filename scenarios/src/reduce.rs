//! Smaller scenarios out of a larger one, as data: whoever looks for the smallest that still does something tries these.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{DocumentMut, Item, Value};

use crate::Draw;
use crate::load::read;
use crate::schema::{Fault, Scenario};
use crate::units::{Size, Span};

/// The smallest piece that a reduction makes: one block.
const BLOCK: u64 = 16 << 10;

/// A step to a key or a position below a document.
#[derive(Clone, PartialEq, Debug)]
enum Step {
    Key(String),
    At(usize),
}

impl Scenario {
    /// The scenario as its user would write it: without what is the default anyway.
    pub fn brief_toml(&self) -> String {
        self.brief().map_or_else(|| self.resolved_toml(), |document| document.to_string())
    }

    /// Scenarios that are smaller by one thing: a class, half the hosts, half the content, a fault, an option that is the
    /// default instead. Large steps come first. Each is a scenario that [`read`] takes, and whoever goes on from one to
    /// one of its own comes to an end.
    pub fn reductions(&self) -> Vec<Self> {
        let mut all = self.smaller();
        all.retain(|scenario| scenario.weight() < self.weight());
        let mut deletions = self.deletions();
        // The default of a field may be the larger value.
        deletions.retain(|scenario| scenario.weight() <= self.weight());
        all.extend(deletions);
        let readable = |scenario: &Self| {
            read(&scenario.resolved_toml(), "reduced.toml", &[])
                .is_ok_and(|loaded| loaded.scenario == *scenario)
        };
        all.retain(readable);
        all
    }

    /// How much there is to run: hosts, faults, pieces, bytes, and for how long faults are under way.
    fn weight(&self) -> (u32, usize, u64, u64, u64) {
        let lasts = |lasts: Option<Draw>| match lasts {
            Some(Draw::Fixed(span)) => span.as_nanos(),
            _ => u64::MAX / 1_000,
        };
        let times = |fault: &Fault| lasts(fault.lasts).saturating_add(lasts(Some(fault.at)));
        (
            self.class_sizes().values().sum(),
            self.fault.len() + self.random_faults.as_ref().map_or(0, |random| random.mix.len()),
            self.pieces(),
            self.content.size.bytes(),
            self.fault.iter().map(times).fold(0, u64::saturating_add),
        )
    }

    /// In what two scenarios differ: a line for each field, `path: this one | the other one`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |scenario: &Self| -> BTreeMap<String, String> {
            let Ok(document) = scenario.resolved_toml().parse::<DocumentMut>() else {
                return BTreeMap::new();
            };
            let mut all = BTreeMap::new();
            leaves(document.as_item(), String::new(), &mut all);
            all
        };
        let (ours, theirs) = (fields(self), fields(other));
        let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let value = |of: &BTreeMap<String, String>, path: &String| {
            of.get(path).map_or("-", String::as_str).to_owned()
        };
        let line = |path: &&String| {
            let (one, two) = (value(&ours, path), value(&theirs, path));
            (one != two).then(|| format!("{path}: {one} | {two}"))
        };
        paths.iter().filter_map(line).collect()
    }

    fn brief(&self) -> Option<DocumentMut> {
        let mut document: DocumentMut = self.resolved_toml().parse().ok()?;
        // Whole tables first: of one that is left out nothing need be looked at.
        let mut depth = 1;
        loop {
            // From the end on, so that positions in lists stay right.
            let level = paths(&document).into_iter().rev().filter(|path| path.len() == depth);
            let mut deeper = false;
            for path in level {
                deeper = true;
                let mut shorter = document.clone();
                if remove(shorter.as_item_mut(), &path) && means(&shorter, self) {
                    document = shorter;
                }
            }
            if !deeper {
                return Some(document);
            }
            depth += 1;
        }
    }

    /// One field or table less.
    fn deletions(&self) -> Vec<Self> {
        let Some(document) = self.brief() else { return Vec::new() };
        let mut paths = paths(&document);
        paths.sort_by_key(Vec::len);
        let kept = ["schema", "name", "seed"];
        paths.retain(|path| !matches!(&path[..], [Step::Key(key)] if kept.contains(&key.as_str())));
        let without = |path: &Vec<Step>| {
            let mut shorter = document.clone();
            remove(shorter.as_item_mut(), path).then(|| parse(&shorter)).flatten()
        };
        paths.iter().filter_map(without).collect()
    }

    /// Numbers that are smaller.
    fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut put = |change: &dyn Fn(&mut Self)| {
            let mut scenario = self.clone();
            change(&mut scenario);
            all.push(scenario);
        };
        for (name, class) in &self.hosts {
            let count = class.count.unwrap_or(0);
            for fewer in [1, count / 2, count.saturating_sub(1)] {
                if (1..count).contains(&fewer) {
                    put(&|scenario| {
                        scenario.hosts.entry(name.clone()).and_modify(|class| class.count = Some(fewer));
                    });
                }
            }
        }
        let (size, piece) = (self.content.size.bytes(), self.content.piece_size.bytes().max(1));
        let pieces = size.div_ceil(piece);
        for fewer in [1, pieces / 2, pieces.saturating_sub(1)] {
            if (1..pieces).contains(&fewer) {
                put(&|scenario| scenario.content.size = Size::from_bytes(fewer * piece));
            }
        }
        if piece > BLOCK {
            put(&|scenario| {
                scenario.content.piece_size = Size::from_bytes(BLOCK);
                scenario.content.size = Size::from_bytes(pieces * BLOCK);
            });
        }
        if size % piece != 0 && size > piece {
            put(&|scenario| scenario.content.size = Size::from_bytes(size / piece * piece));
        }
        for nth in 0..self.fault.len() {
            if let Some(Draw::Fixed(span)) = self.fault[nth].lasts
                && span >= Span::from_secs(2)
            {
                put(&|scenario| scenario.fault[nth].lasts = Some(Draw::Fixed(half(span))));
            }
            if let Draw::Fixed(span) = self.fault[nth].at
                && span >= Span::from_secs(2)
            {
                put(&|scenario| scenario.fault[nth].at = Draw::Fixed(half(span)));
            }
        }
        all
    }
}

fn half(span: Span) -> Span {
    Span::from_secs((span.as_secs_f64() / 2.0) as u64)
}

fn parse(document: &DocumentMut) -> Option<Scenario> {
    read(&document.to_string(), "reduced.toml", &[]).ok().map(|loaded| loaded.scenario)
}

fn means(document: &DocumentMut, scenario: &Scenario) -> bool {
    toml_edit::de::from_document::<Scenario>(document.clone()).is_ok_and(|parsed| parsed == *scenario)
}

/// The paths of everything in a document, what holds others before what it holds.
fn paths(document: &DocumentMut) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    walk(document.as_item(), &mut Vec::new(), &mut all);
    all
}

fn walk(item: &Item, path: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
    if !path.is_empty() {
        all.push(path.clone());
    }
    let mut below = |step: Step, item: &Item| {
        path.push(step);
        walk(item, path, all);
        path.pop();
    };
    if let Some(table) = item.as_table_like() {
        for (key, item) in table.iter() {
            below(Step::Key(key.to_owned()), item);
        }
    } else if let Some(tables) = item.as_array_of_tables() {
        for (at, table) in tables.iter().enumerate() {
            below(Step::At(at), &Item::Table(table.clone()));
        }
    } else if let Some(list) = item.as_array() {
        for (at, value) in list.iter().enumerate() {
            below(Step::At(at), &Item::Value(value.clone()));
        }
    }
}

/// The values of a document by their dotted paths.
fn leaves(item: &Item, path: String, all: &mut BTreeMap<String, String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if let Some(table) = item.as_table_like() {
        table.iter().for_each(|(key, item)| leaves(item, below(key), all));
    } else if let Some(tables) = item.as_array_of_tables() {
        for (at, table) in tables.iter().enumerate() {
            leaves(&Item::Table(table.clone()), below(&at.to_string()), all);
        }
    } else if let Some(value) = item.as_value() {
        all.insert(path, value.to_string().trim().to_owned());
    }
}

/// Takes out what is at `path`; whether there was anything.
fn remove(item: &mut Item, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else { return false };
    match step {
        Step::Key(key) => {
            let Some(table) = item.as_table_like_mut() else { return false };
            match table.get_mut(key) {
                Some(below) if !rest.is_empty() => remove(below, rest),
                Some(_) => table.remove(key).is_some(),
                None => false,
            }
        }
        Step::At(at) => {
            if let Some(tables) = item.as_array_of_tables_mut() {
                if *at >= tables.len() {
                    return false;
                }
                if rest.is_empty() {
                    tables.remove(*at);
                    return true;
                }
                return tables.get_mut(*at).is_some_and(|table| {
                    let mut below = Item::Table(std::mem::take(table));
                    let removed = remove(&mut below, rest);
                    if let Ok(changed) = below.into_table() {
                        *table = changed;
                    }
                    removed
                });
            }
            let Some(list) = item.as_array_mut().filter(|list| *at < list.len()) else { return false };
            if rest.is_empty() {
                list.remove(*at);
                return true;
            }
            let mut below = Item::Value(list.get(*at).cloned().unwrap_or_else(|| Value::from(false)));
            let removed = remove(&mut below, rest);
            if let Ok(changed) = below.into_value() {
                list.replace(*at, changed);
            }
            removed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        schema = 1
        content = { size = "1 MB", piece_size = "64 KiB" }
        tracker.interval = "1800 s"
        [hosts.seed]
        count = 1
        behaviour = "seed"
        links = { up = "1 Mbit/s", down = "unlimited" }
        [hosts.leecher]
        count = 9
        endgame = false
        picker = "rarest-first"
        links = { up = "1 Mbit/s", down = "unlimited", latency = "5 ms" }
        [[fault]]
        at = "5 s"
        for = "30 s"
        target = "1 of leecher"
        kind = "kill"
        [[fault]]
        at = "7 s"
        for = "10 s"
        target = "tracker"
        kind = "down"
    "#;

    fn scenario() -> Scenario {
        Scenario::from_toml(TEXT, "x.toml").unwrap()
    }

    #[test]
    fn the_brief_form_means_the_same_and_leaves_out_defaults() {
        let brief = scenario().brief_toml();
        assert_eq!(Scenario::from_toml(&brief, "x.toml").unwrap(), scenario());
        for default in ["picker", "interval", "limits", "network", "record", "stay"] {
            assert!(!brief.contains(default), "{default} in\n{brief}");
        }
        for said in ["endgame = false", "latency = \"5 ms\"", "kind = \"kill\""] {
            assert!(brief.contains(said), "{said} not in\n{brief}");
        }
        assert!(brief.len() < scenario().resolved_toml().len() / 2);
    }

    #[test]
    fn reductions_are_scenarios_that_are_smaller() {
        let whole = scenario();
        let reductions = whole.reductions();
        let any = |what: &dyn Fn(&Scenario) -> bool| reductions.iter().any(what);
        assert!(any(&|scenario| scenario.hosts["leecher"].count == Some(4)));
        assert!(any(&|scenario| scenario.hosts["leecher"].count == Some(8)));
        assert!(any(&|scenario| scenario.fault.len() == 1));
        assert!(any(&|scenario| scenario.hosts["leecher"].endgame));
        assert!(any(&|scenario| scenario.pieces() == 1));
        assert!(any(&|scenario| scenario.content.piece_size.bytes() == BLOCK));
        assert!(!any(&|scenario| *scenario == whole));
        assert!(reductions.iter().all(|scenario| scenario.seed == whole.seed));
        // To leave out the class that a fault names makes no scenario.
        assert!(!any(&|scenario| !scenario.hosts.contains_key("leecher")));
    }

    #[test]
    fn what_is_smallest_has_few_reductions() {
        let mut scenario = scenario();
        while let Some(smaller) = scenario.reductions().into_iter().next() {
            scenario = smaller;
        }
        assert_eq!((scenario.hosts.len(), scenario.fault.len(), scenario.pieces()), (1, 0, 1));
    }
}
