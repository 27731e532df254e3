//! The figures as text for a terminal.

use comfy_table::{CellAlignment, Table, presets};

use crate::aggregate::Aggregate;
use crate::bound;
use crate::naming::in_words;
use crate::record::{FittedLine, Summary};
use crate::words;

/// One line of the summary: the same lines stand in the terminal and on the page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What it is, in plain words.
    pub name: String,
    /// The value with its unit.
    pub value: String,
    /// How it is defined.
    pub definition: &'static str,
}

/// Where the lines about classes go: after the median of all.
const MEDIAN: usize = 4;

/// The summary in plain words, the most telling lines first.
pub fn summary_lines(summary: &Summary) -> Vec<Line> {
    let line = |name: &str, value, definition| Line { name: name.to_owned(), value, definition };
    let or_dash = |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), show);
    let seconds = |value| or_dash(value, words::seconds);
    let percent = |value| or_dash(value, words::percent);
    let times = |value| or_dash(value, |value| format!("{} x", words::figure(value)));
    let copies = |value| or_dash(value, |value| format!("{} copies", words::figure(value)));
    let plain = |value| or_dash(value, words::figure);
    let completion = &summary.completion_s;
    let mut lines = vec![
        line("finished", finished(summary), "hosts that got the whole content, of those that came for it"),
        line(
            "ended by",
            summary.ended_by.replace('_', " "),
            "why the run ended; a cap that was hit is no success",
        ),
        line(
            "download time, quickest",
            seconds(completion.min),
            "from a host's own joining to its last piece",
        ),
        line(
            "download time, median",
            seconds(completion.p50),
            "half of all hosts had finished, unfinished ones counted as slowest",
        ),
        line(
            "download time, 95 %",
            seconds(completion.p95),
            "95 % of all hosts had finished, unfinished ones counted as slowest",
        ),
        line("download time, slowest", seconds(completion.max), "given only if all finished"),
        line("download time, mean", seconds(completion.mean), "given only if all finished"),
        line(
            "time until all had finished",
            seconds(summary.makespan_s),
            "from the first joining to the last completion",
        ),
        line("least possible time", bound_time(summary), bound_definition(summary)),
        line("last host / least possible", times(summary.stretch_last), "1 would be perfect"),
        line(
            "mean host / least possible",
            times(summary.stretch_mean),
            "mean download time over the least possible time for all",
        ),
        line(
            "sent by the seeds",
            copies(summary.seed_upload_copies),
            "in copies of the content; one server alone would send one for each host",
        ),
        line("sent by leechers", percent(summary.leecher_upload_share), "share of all payload"),
        line("most sent by one host", copies(summary.max_upload_copies), "seeds included"),
        line(
            "fairness of upload",
            plain(summary.jain_upload),
            "Jain's index over those that came for the content: 1 if all sent alike",
        ),
        line(
            "uplinks used",
            percent(summary.upload_utilisation),
            "payload sent over uplink times time present, free riders left out",
        ),
        line(
            "sources of a copy, median",
            plain(summary.sources_p50),
            "effective number of hosts that a finished copy came from: 1/sum of squared shares",
        ),
        line(
            "from hosts gone, median",
            percent(summary.departed_share_p50),
            "share of a finished copy that came from hosts gone for good by the end",
        ),
        line(
            "seeds' first copy, new",
            percent(summary.seed_first_copy_unique),
            "blocks that no seed had sent before, of the first copy's worth that the seeds sent",
        ),
        line(
            "mutual interest, median",
            percent(summary.interest_p50),
            "of the time that a leecher had another one in its peer set; near 100 % where pieces are spread evenly",
        ),
        line(
            "first piece after, median",
            seconds(summary.bootstrap_p50_s),
            "from joining to the first complete piece",
        ),
        line(
            "distributed copies, least",
            plain(summary.distributed_copies_min),
            "while anybody lacked a piece; below 1 nobody can finish",
        ),
        line(
            "protocol overhead",
            percent(summary.protocol_overhead),
            "bytes on the wire that were not payload, over payload",
        ),
        line(
            "blocks received",
            blocks(summary),
            "blocks of 16 KiB; a duplicate is one that the host had already",
        ),
        line("failed piece checks", words::count(summary.hash_failures), "pieces whose hash did not match"),
        line(
            "received for nothing",
            percent(summary.wasted_share),
            "duplicates and pieces that failed their check, of all payload",
        ),
        line("simulated", simulated(summary), "length of the run in its own time"),
    ];
    if summary.late_share_mean.is_some() {
        let watching = [
            line(
                "playback begins, median",
                seconds(summary.startup_p50_s),
                "from joining until the first pieces are there, without a gap",
            ),
            line(
                "stalls of a viewer, mean",
                plain(summary.stalls_mean),
                "how often playback stood still, waiting for a piece",
            ),
            line("stood still, mean", seconds(summary.stalled_mean_s), "for how long, all stalls together"),
            line(
                "pieces too late, mean",
                percent(summary.late_share_mean),
                "not there when a player that never waits would have played them",
            ),
        ];
        let before_simulated = lines.len() - 1;
        lines.splice(before_simulated..before_simulated, watching);
    }
    for (name, fit) in &summary.fit {
        let definition = "the line of least squares that the scenario asks for, and how well it fits";
        lines.insert(lines.len() - 1, line(&format!("fit {name}"), fitted(fit), definition));
    }
    if let Some(by_little_s) = summary.download_by_little_s {
        let mean = line(
            "download time by Little's law",
            words::seconds(by_little_s),
            "mean number of leechers present over those that came per second",
        );
        lines.insert(lines.len() - 1, mean);
    }
    // One class alone has the median of all.
    if summary.class_p50_s.len() > 1 {
        let classes = summary.class_p50_s.iter().map(|(class, p50_s)| {
            line(
                &format!("median of {class}"),
                seconds(*p50_s),
                "download time, among the hosts of its class",
            )
        });
        lines.splice(MEDIAN..MEDIAN, classes);
    }
    let clustering = summary.clustering.iter().map(|(class, index)| {
        line(
            &format!("{class} to its own class"),
            times(Some(*index)),
            "time that its leechers unchoked their own class, over an equal share for each other leecher",
        )
    });
    let before_simulated = lines.len() - 1;
    lines.splice(before_simulated..before_simulated, clustering);
    lines
}

fn finished(summary: &Summary) -> String {
    let mut text = format!("{} of {}", words::count(summary.completed), words::count(summary.eligible));
    if summary.stalled > 0 {
        text.push_str(&format!(" ({} stalled)", words::count(summary.stalled)));
    }
    text
}

fn bound_time(summary: &Summary) -> String {
    match (summary.bound_s, &summary.bound_reason) {
        (Some(bound_s), _) => words::seconds(bound_s),
        (None, Some(reason)) => format!("– ({reason})"),
        (None, None) => "–".to_owned(),
    }
}

fn bound_definition(summary: &Summary) -> &'static str {
    match summary.bound_by.as_deref() {
        Some(bound::MUNDINGER_WEBER_WEISS) => {
            "no schedule of one piece a slot could serve all sooner (Mundinger, Weber and Weiss)"
        }
        _ => "no protocol could serve all sooner over these links (Kumar and Ross)",
    }
}

fn fitted(fit: &FittedLine) -> String {
    let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), words::figure);
    let change = match fit.doubling_s {
        Some(time) => format!("doubles in {}", words::seconds(time)),
        None => format!("{}/s", figure(fit.slope_per_s)),
    };
    format!("{change} (R² {})", figure(fit.r2))
}

fn blocks(summary: &Summary) -> String {
    format!("{} ({} duplicate)", words::count(summary.blocks), words::count(summary.duplicate_blocks))
}

fn simulated(summary: &Summary) -> String {
    let (time, events) = (words::seconds(summary.simulated_s), words::plural(summary.events, "event"));
    match summary.tick {
        None => format!("{time}, {events}"),
        Some(tick) => {
            format!(
                "{time} by {} in ticks of {} ms (timers {:.2} ms late), {events}",
                summary.backend, tick.ms, tick.mean_delay_ms
            )
        }
    }
}

/// The figures of one run as a table, without a final newline.
pub fn summary_table(summary: &Summary) -> String {
    let mut table = plain_table();
    for line in summary_lines(summary) {
        table.add_row([line.name, line.value]);
    }
    trimmed(&table)
}

/// The figures of several runs as a table, without a final newline.
pub fn aggregate_table(aggregate: &Aggregate) -> String {
    let mut table = plain_table();
    table.set_header(["", "median", "mean", "95 % interval", "runs"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (name, spread) in aggregate.rows() {
        let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), words::figure);
        let interval = match (spread.low, spread.high) {
            (Some(low), Some(high)) => format!("{} .. {}", words::figure(low), words::figure(high)),
            _ => "–".to_owned(),
        };
        let runs = format!("{} of {}", spread.reached, aggregate.runs);
        table.add_row([in_words(name), show(spread.median), show(spread.mean), interval, runs]);
    }
    trimmed(&table)
}

pub(crate) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Without the blanks that pad the last column.
pub(crate) fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
