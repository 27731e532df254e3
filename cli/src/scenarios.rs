//! `torrentlab scenarios`

use comfy_table::{ContentArrangement, Table, presets};
use torrentlab_scenarios::{Entry, bugs, catalogue};

use crate::print::data;
use crate::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print this scenario's file instead, to copy and change
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    match &args.name {
        None => data(format_args!(
            "{}\n\n{}",
            table("scenario", catalogue()),
            table("bug of the museum", bugs())
        ))?,
        Some(name) => {
            let entry = catalogue().iter().chain(bugs()).find(|entry| entry.name == *name);
            let unknown = || anyhow::anyhow!("there is no scenario {name:?} in the catalogue");
            let entry = entry.ok_or_else(unknown);
            let entry = entry.map_err(|error| Failure::input(error, "`torrentlab scenarios` lists them"))?;
            data(entry.text.trim_end())?;
        }
    }
    Ok(Exit::Done)
}

/// The names and questions, without the blanks that pad the last column.
fn table(what: &str, entries: &[Entry]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([what, "its question"]);
    for entry in entries {
        table.add_row([entry.name, &entry.question]);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
