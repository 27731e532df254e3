//! The reference of all fields is written from the schema, and its fragments are scenarios: it cannot drift.
//!
//! `UPDATE=1 cargo test -p torrentlab-scenarios --test reference` writes it anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value};
use torrentlab_scenarios::Scenario;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/scenario.md");
const INTRO: &str = "\
<!-- Written from the schema by scenarios/tests/reference.rs: change the doc comments in scenarios/src/schema. -->
# Scenario reference

A scenario is a TOML file. Unknown fields are refused, and so is what makes no sense together; errors point at the
line and say what to write. Every quantity has a unit. A field's dotted path is the same here, in errors and in
`--set`:

```text
torrentlab run flash-crowd --set hosts.leecher.count=200 --set hosts.leecher.links.up=\"2 Mbit/s\"
```

`<class>` and `<name>` stand for names of your own, such as `seed` or `leecher`; `<n>` for a position in a list of tables, counted
from 0 (in the file each is a table `[[fault]]`, in a path it is `fault.0`). The scenarios in `scenarios/catalogue/` are
examples of all this.
";

#[test]
fn the_reference_is_up_to_date() {
    let written = reference();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(FILE, &written).unwrap();
    }
    let stored = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        stored == written,
        "docs/reference/scenario.md is stale: UPDATE=1 cargo test -p torrentlab-scenarios --test reference"
    );
}

#[test]
fn every_field_is_described() {
    let written = reference();
    assert!(!written.contains("|  |"), "a field without a doc comment");
    for path in [
        "`hosts.<class>.links`",
        "`hosts.<class>.limits`",
        "`tracker`",
        "`arrival.decay`",
        "| `snub_timeout` |",
    ] {
        assert!(written.contains(path), "{path}");
    }
}

#[test]
fn every_fragment_of_the_real_world_is_a_scenario_with_a_seed_added() {
    let text = include_str!("../../docs/reference/real-world.md");
    let fragments: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(fragments.len(), 4);
    for fragment in fragments {
        let scenario = format!(
            "schema = 1\ncontent.size = \"64 MiB\"\n{fragment}\n[hosts.seed]\ncount = 1\nbehaviour = \"seed\"\n\
             links = {{ up = \"1 Mbit/s\", down = \"1 Mbit/s\" }}\n"
        );
        Scenario::from_toml(&scenario, "fragment.toml").unwrap_or_else(|error| panic!("{error}"));
    }
}

fn reference() -> String {
    let schema = schemars::schema_for!(Scenario).to_value();
    let mut writer = Writer { defs: &schema["$defs"], out: INTRO.to_owned(), forms: Vec::new() };
    writer.table("", &schema);
    writer.out += "\n# Forms of a value\n";
    let mut done = BTreeSet::new();
    while let Some((path, name)) = writer.forms.pop() {
        if done.insert(name.clone()) {
            writer.form(&path, &name);
        }
    }
    writer.out
}

struct Writer<'a> {
    defs: &'a Value,
    out: String,
    /// Types that are not tables, with the last key of a path to them; each is explained once.
    forms: Vec<(String, String)>,
}

impl<'a> Writer<'a> {
    /// A section for a table, and one for each table in it.
    fn table(&mut self, path: &str, schema: &'a Value) {
        let heading = if path.is_empty() { "Top of the file".to_owned() } else { format!("`{path}`") };
        let about = text(schema, "description");
        write!(self.out, "\n## {heading}\n\n{about}\n\n").unwrap();
        let inner = self.fields(schema);
        for (name, def) in inner {
            let path = if path.is_empty() { name } else { format!("{path}.{name}") };
            self.table(&path, def);
        }
    }

    /// The rows of a table's fields; returns the tables among them.
    fn fields(&mut self, schema: &'a Value) -> Vec<(String, &'a Value)> {
        self.out += "| field | form | default | meaning |\n|---|---|---|---|\n";
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut inner = Vec::new();
        for (name, field) in properties(schema) {
            let form = self.form_of(name, field, &mut inner);
            let default = match &field["default"] {
                _ if required.contains(&name.as_str()) => "**required**".to_owned(),
                Value::Null | Value::Object(_) => "–".to_owned(),
                value if value == "" => "–".to_owned(),
                value => format!("`{value}`"),
            };
            writeln!(self.out, "| `{name}` | {form} | {default} | {} |", text(field, "description")).unwrap();
        }
        inner
    }

    /// What may stand in a field, with a link to where it is explained.
    fn form_of(&mut self, name: &str, field: &'a Value, inner: &mut Vec<(String, &'a Value)>) -> String {
        if let Some(each) = field["additionalProperties"]["$ref"].as_str() {
            if self.def(each)["type"] != "object" {
                return format!("table of {}", self.link(name, each));
            }
            let key = if name == "hosts" { "class" } else { "name" };
            inner.push((format!("{name}.<{key}>"), self.def(each)));
            return "tables".to_owned();
        }
        let optional =
            field["anyOf"].as_array().and_then(|any| any.iter().find_map(|one| one["$ref"].as_str()));
        if let Some(reference) = field["$ref"].as_str().or(optional) {
            let def = self.def(reference);
            if def["type"] == "object" {
                inner.push((name.to_owned(), def));
                return "table".to_owned();
            }
            return self.link(name, reference);
        }
        let plain = field["type"].as_str().or_else(|| field["type"][0].as_str()).unwrap_or_default();
        match plain {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "array" => {
                let items = field["items"]["$ref"].as_str();
                if let Some(def) = items.map(|item| self.def(item)).filter(|def| def["type"] == "object") {
                    inner.push((format!("{name}.<n>"), def));
                    return "list of tables".to_owned();
                }
                let items = items.and_then(|item| item.rsplit('/').next());
                items.map_or("list".to_owned(), |item| format!("list of [{item}](#{})", item.to_lowercase()))
            }
            "boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        }
    }

    /// A link to the section of a type that is no table, which is written later.
    fn link(&mut self, name: &str, reference: &str) -> String {
        let form = reference.rsplit('/').next().unwrap_or_default();
        self.forms.insert(0, (name.to_owned(), form.to_owned()));
        format!("[{form}](#{})", form.to_lowercase())
    }

    /// A section for a type that is no table: its text, or its choices.
    fn form(&mut self, path: &str, name: &str) {
        let def = &self.defs[name];
        write!(self.out, "\n## {name}\n\n{}\n", text(def, "description")).unwrap();
        let Some(choices) = def["oneOf"].as_array() else { return };
        self.out += "\n| write | meaning |\n|---|---|\n";
        let mut tables = Vec::new();
        for choice in choices {
            let about = text(choice, "description");
            if let Some(word) = choice["const"].as_str() {
                writeln!(self.out, "| `\"{word}\"` | {about} |").unwrap();
            }
            for (variant, of) in properties(choice) {
                let mut inner = Vec::new();
                let form = self.form_of(variant, of, &mut inner);
                writeln!(self.out, "| `{{ {variant} = ... }}`, {form} | {about} |").unwrap();
                tables.extend(inner);
            }
        }
        for (variant, def) in tables {
            write!(self.out, "\n### `{path}.{variant}`\n\n{}\n\n", text(def, "description")).unwrap();
            self.fields(def);
        }
    }

    fn def(&self, reference: &str) -> &'a Value {
        &self.defs[reference.rsplit('/').next().unwrap_or_default()]
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

/// A doc comment on one line, fit for a cell.
fn text(schema: &Value, key: &str) -> String {
    schema[key].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}
