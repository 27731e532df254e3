//! What came of the claims, as tables.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::claim::Judged;
use crate::record::{Claim, Verdict};
use crate::words;

/// A claim and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// The experiment's name, if it has one.
    pub id: String,
    /// The scenario, as it was named.
    pub scenario: String,
    /// The claim in words.
    pub says: String,
    /// What was measured, in the names of figures and settings.
    pub measure: String,
    /// The range that it must lie in.
    pub claimed: String,
    /// How many runs.
    pub runs: u64,
    /// The mean over the runs.
    pub mean: Option<f64>,
    /// The lower end of its interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// The level of the interval.
    pub level: f64,
    /// Of a trend: its one-sided p value.
    pub p: Option<f64>,
    /// The outcome.
    pub verdict: Verdict,
    /// Why it is not held, where that is known.
    pub cause: String,
    /// What came of it under its negative control, if it has one.
    pub control: Option<Control>,
    #[serde(skip)]
    measured: String,
}

/// The same under the negative control.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Control {
    /// What is set.
    pub settings: String,
    /// The lower end of the interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// The outcome: refuted, as it must be, or not.
    pub verdict: Verdict,
    #[serde(skip)]
    measured: String,
}

impl Row {
    /// The row of a claim.
    pub fn new(
        scenario: &str,
        claim: &Claim,
        cause: &str,
        judged: &Judged,
        control: Option<&Judged>,
    ) -> Self {
        let settings = claim.controlled.iter().flatten().next().map(|cell| cell.join(" "));
        let control = control.zip(settings).map(|(judged, settings)| Control {
            settings,
            low: judged.low,
            high: judged.high,
            verdict: judged.verdict,
            measured: judged.measured(),
        });
        Self {
            id: claim.id.clone(),
            scenario: scenario.to_owned(),
            says: claim.says.clone(),
            measure: claim.measure(),
            claimed: claim.range.to_string(),
            runs: judged.runs,
            mean: judged.mean,
            low: judged.low,
            high: judged.high,
            level: claim.confidence,
            p: judged.p,
            verdict: judged.verdict,
            cause: if judged.verdict == Verdict::Held { String::new() } else { cause.to_owned() },
            control,
            measured: judged.measured(),
        }
    }

    /// The mean and its interval, with the level where it is not the usual one.
    fn interval(&self) -> String {
        let mean = self.mean.map_or_else(String::new, |mean| format!("{} ", words::figure(mean)));
        let level = if self.level == 0.95 { String::new() } else { format!(", {}%", self.level * 100.0) };
        let p = self.p.map_or_else(String::new, |p| format!(", p {p:.2e}"));
        format!("{mean}({}{level}{p})", self.measured)
    }

    fn control(&self) -> String {
        let control = self.control.as_ref();
        control.map_or_else(|| "–".to_owned(), |c| format!("{}: {}", c.verdict.name(), c.measured))
    }
}

/// For a terminal.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "claim", "measured", "claimed", "verdict", "control"]);
    for row in rows {
        let claim = if row.says.is_empty() { &row.measure } else { &row.says };
        let verdict = if row.cause.is_empty() {
            row.verdict.name().to_owned()
        } else {
            format!("{}: {}", row.verdict.name(), row.cause)
        };
        table.add_row([&row.id, claim, &row.interval(), &row.claimed, &verdict, &row.control()]);
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// For a page.
pub fn markdown(rows: &[Row]) -> String {
    let mut text =
        "| | claim | scenario and figure | claimed | measured | runs | verdict | under the control |\n\
                    |---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for row in rows {
        let Row { id, says, scenario, measure, claimed, runs, verdict, cause, .. } = row;
        let cause = if cause.is_empty() { String::new() } else { format!(": {cause}") };
        let control = match &row.control {
            None => "–".to_owned(),
            Some(control) => format!("{} (`{}`)", row.control(), control.settings),
        };
        let cells = [
            id.clone(),
            says.clone(),
            format!("`{scenario}`: `{measure}`"),
            claimed.clone(),
            row.interval(),
            runs.to_string(),
            format!("{}{cause}", verdict.name()),
            control,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// For programs. What is not there is an empty cell.
///
/// # Errors
/// Never, as far as is known: it is written to memory.
pub fn csv(rows: &[Row]) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| {
        let control = row.control.as_ref();
        writer.serialize(CsvRow {
            id: &row.id,
            scenario: &row.scenario,
            says: &row.says,
            measure: &row.measure,
            claimed: &row.claimed,
            runs: row.runs,
            mean: row.mean,
            low: row.low,
            high: row.high,
            level: row.level,
            p: row.p,
            verdict: row.verdict.name(),
            cause: &row.cause,
            control: control.map(|control| control.settings.as_str()),
            control_low: control.and_then(|control| control.low),
            control_high: control.and_then(|control| control.high),
            control_verdict: control.map(|control| control.verdict.name()),
        })
    })?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

#[derive(Serialize)]
struct CsvRow<'a> {
    id: &'a str,
    scenario: &'a str,
    says: &'a str,
    measure: &'a str,
    claimed: &'a str,
    runs: u64,
    mean: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    level: f64,
    p: Option<f64>,
    verdict: &'a str,
    cause: &'a str,
    control: Option<&'a str>,
    control_low: Option<f64>,
    control_high: Option<f64>,
    control_verdict: Option<&'a str>,
}
