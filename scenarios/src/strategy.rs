//! A strategy by its name, with its parameters.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

/// A strategy that a scenario names: `"random"`, or with parameters `{ streaming = { p = 0.8 } }`.
///
/// Which strategies there are, and what their parameters may be, is the matter of whoever runs the scenario.
#[derive(Clone, PartialEq, Debug)]
pub struct Strategy {
    name: String,
    /// `None` where nothing is said of them.
    params: Option<Value>,
}

impl Strategy {
    /// The strategy called `name`, with its defaults.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), params: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where in the scenario its parameters stand, below its own field.
    pub fn params_path(&self) -> Option<&str> {
        self.params.as_ref().map(|_| self.name.as_str())
    }

    /// The file of a strategy that is a script, `{ script = "mine.lua" }`, unless its text is there already.
    pub fn script_file(&self) -> Option<&str> {
        if self.name == "script" { self.params.as_ref()?.as_str() } else { None }
    }

    /// Puts the text of a script in place of its file's name, so that the scenario needs nothing else.
    pub fn set_script(&mut self, file: &str, text: &str) {
        self.params = Some(serde_json::json!({ "file": file, "text": text }));
    }

    /// Its parameters, each that is not given with its default.
    ///
    /// # Errors
    /// What is wrong with them, in words: a parameter that there is not, one of another form, or one that is missing.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, String> {
        let params = self.params.clone().unwrap_or_else(|| Value::Object(Map::new()));
        serde_json::from_value(params).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Strategy {
    /// As in `random`, or `streaming {"p":0.8}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.params.iter().try_for_each(|params| write!(f, " {params}"))
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Some(params) = &self.params else { return to.serialize_str(&self.name) };
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(&self.name, params)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Strategy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrategyVisitor)
    }
}

struct StrategyVisitor;

impl<'de> Visitor<'de> for StrategyVisitor {
    type Value = Strategy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a strategy, such as \"rarest-first\", or with its parameters: { streaming = { p = 0.8 } }",
        )
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Strategy, E> {
        Ok(Strategy::named(name))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strategy, A::Error> {
        let Some((name, params)) = map.next_entry()? else {
            return Err(de::Error::custom("no strategy is named\nhint: write \"rarest-first\", say"));
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(Strategy { name, params: Some(params) }),
            Some(_) => {
                let hint = "its parameters stand together: { streaming = { p = 0.8, window = 20 } }";
                Err(de::Error::custom(format!("there is one strategy for a class\nhint: {hint}")))
            }
        }
    }
}

impl JsonSchema for Strategy {
    fn schema_name() -> Cow<'static, str> {
        "Strategy".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description":
            "A strategy by its name (`\"random\"`), or with parameters (`{ streaming = { p = 0.8 } }`; in a path, \
             `hosts.leecher.picker.streaming.p=0.8`). [Strategies](strategies.md) has all of them."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Params {
        p: f64,
        window: u32,
    }

    impl Default for Params {
        fn default() -> Self {
            Self { p: 0.8, window: 20 }
        }
    }

    #[derive(Debug, serde::Deserialize, serde::Serialize)]
    struct Holder {
        picker: Strategy,
    }

    fn read(toml: &str) -> Result<Strategy, String> {
        toml_edit::de::from_str::<Holder>(toml).map(|it| it.picker).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_alone_has_the_defaults() {
        let strategy = read("picker = \"streaming\"").unwrap();
        assert_eq!((strategy.name(), strategy.params_path()), ("streaming", None));
        assert_eq!(strategy.params::<Params>(), Ok(Params::default()));
        assert_eq!(strategy.to_string(), "streaming");
    }

    #[test]
    fn parameters_are_typed_and_none_is_passed_over() {
        let strategy = read("picker = { streaming = { p = 0.5 } }").unwrap();
        assert_eq!(strategy.params::<Params>(), Ok(Params { p: 0.5, window: 20 }));
        assert_eq!(strategy.params_path(), Some("streaming"));
        let wrong = |toml| read(toml).unwrap().params::<Params>().unwrap_err();
        assert!(
            wrong("picker = { streaming = { q = 1 } }")
                .contains("unknown field `q`, expected `p` or `window`")
        );
        assert!(wrong("picker = { streaming = { window = -1 } }").contains("invalid value: integer `-1`"));
        assert!(wrong("picker = { streaming = 3 }").contains("invalid type: integer `3`"));
    }

    #[test]
    fn one_strategy_is_named() {
        assert!(read("picker = {}").unwrap_err().contains("no strategy is named"));
        assert!(read("picker = { a = {}, b = {} }").unwrap_err().contains("one strategy for a class"));
        assert!(read("picker = 3").unwrap_err().contains("expected a strategy"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for toml in ["picker = \"random\"\n", "picker = { streaming = { p = 0.5, window = 3 } }"] {
            let strategy = read(toml).unwrap();
            let written = toml_edit::ser::to_string(&Holder { picker: strategy.clone() }).unwrap();
            assert_eq!(read(&written).unwrap(), strategy, "{written}");
        }
    }
}
