//! A bug of the museum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a scenario of the bug museum shows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// What people see.
    pub symptom: String,
    /// What is wrong, and why that leads to what people see.
    pub cause: String,
    /// How it was planted here.
    pub planted: String,
    /// How it fails under `--check`: `check:` and the name of a checker. `none` for what is no bug.
    pub caught_by: String,
    /// What makes the healthy twin of it, as for `--set`: `hosts.leecher.node=engine`. Each is a scenario in which
    /// nothing fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healthy: Vec<String>,
    /// Where people met it: `transmission#7834`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<String>,
}
