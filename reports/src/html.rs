//! The page of a run.

use minijinja::{Value, context};

use crate::page;
use crate::plots::Plot;
use crate::record::{ClassInfo, FaultRow, RunInfo, RunRecord, Verdict};
use crate::table::{Line, summary_lines};
use crate::words;

const TEMPLATE: &str = include_str!("page/run.html");

/// Faults that the page lists at most.
const MOST_FAULTS: usize = 50;
/// Hosts that it names of one fault.
const MOST_HOSTS: usize = 8;

/// The page of `record` with its `plots`, as HTML. What the scenario says is escaped.
///
/// # Errors
/// Where the template fails, which no record should bring about.
pub fn page(record: &RunRecord, plots: &[Plot]) -> Result<String, minijinja::Error> {
    let content = &record.info.content;
    let values = context! {
        info => info(&record.info),
        hosts => words::plural(record.summary.peers, "host"),
        content => format!(
            "{} in {}",
            words::bytes(content.total_bytes as f64),
            words::plural(u64::from(content.pieces), "piece")
        ),
        lines => summary_lines(&record.summary).iter().map(line).collect::<Vec<_>>(),
        faults => record.faults.iter().take(MOST_FAULTS).map(fault).collect::<Vec<_>>(),
        more_faults => record.faults.len().saturating_sub(MOST_FAULTS),
        classes => record.info.classes.iter().map(class).collect::<Vec<_>>(),
    };
    page::page(TEMPLATE, values, plots)
}

fn info(info: &RunInfo) -> Value {
    let verdict_class = match info.judgement.verdict {
        Verdict::Held => "held",
        Verdict::Refuted => "refuted",
        Verdict::Inconclusive | Verdict::NotJudged => "open",
    };
    context! {
        scenario => info.scenario.as_str(),
        question => info.question.as_str(),
        answer => info.answer.as_str(),
        verdict => info.judgement.verdict.name(),
        verdict_class,
        why => info.judgement.why.as_str(),
        seed => info.seed,
        version => info.version.as_str(),
        backend => info.backend.as_str(),
        trace_hash => info.trace_hash.as_str(),
    }
}

fn line(line: &Line) -> Value {
    context! { name => line.name.as_str(), value => line.value.as_str(), definition => line.definition }
}

fn fault(row: &FaultRow) -> Value {
    let names: Vec<&str> = row.hosts.split_whitespace().collect();
    let mut hosts = names[..names.len().min(MOST_HOSTS)].join(", ");
    if names.len() > MOST_HOSTS {
        hosts.push_str(&format!(" and {} more", words::count((names.len() - MOST_HOSTS) as u64)));
    }
    context! {
        kind => row.kind.as_str(),
        target => row.target.as_str(),
        hosts,
        begin => words::seconds(row.begin_s),
        end => row.end_s.map_or_else(|| "the end".to_owned(), words::seconds),
        path => row.fault.as_str(),
    }
}

fn class(class: &ClassInfo) -> Value {
    let rate =
        |rate: Option<u64>| rate.map_or_else(|| "unlimited".to_owned(), |rate| words::rate(rate as f64));
    context! {
        name => class.name.as_str(),
        hosts => words::count(u64::from(class.hosts)),
        up => rate(class.up_bytes_per_s),
        down => rate(class.down_bytes_per_s),
        behaviour => class.behaviour.as_str(),
        initial_pieces => class.initial_pieces.as_str(),
        picker => class.picker.as_str(),
        choker => class.choker.as_str(),
        presence => class.presence.as_str(),
    }
}
