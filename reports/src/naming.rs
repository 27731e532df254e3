//! What the figures of `summary.json` are called in tables for people.

/// The figure's name in words, its unit in brackets if it has one; a figure that has no words keeps its name.
pub(crate) fn in_words(figure: &str) -> String {
    let of_class =
        |(prefix, words): &(&str, &str)| figure.strip_prefix(prefix).map(|class| words.replace("{}", class));
    let of_line = || {
        let (line, end) = figure.strip_prefix("fit.")?.rsplit_once('.')?;
        let (_, words) = OF_LINES.iter().find(|(name, _)| *name == end)?;
        Some(words.replace("{}", line))
    };
    let common = FIGURES.iter().find(|(name, _)| *name == figure).map(|(_, words)| (*words).to_owned());
    let others = || OF_CLASSES.iter().find_map(of_class).or_else(of_line);
    common.or_else(others).unwrap_or_else(|| figure.to_owned())
}

const FIGURES: [(&str, &str); 45] = [
    ("completed", "hosts that finished"),
    ("completed_share", "share that finished"),
    ("unfinished", "hosts that did not finish"),
    ("stalled", "hosts that stalled"),
    ("completion_s.min", "download time, quickest (s)"),
    ("completion_s.mean", "download time, mean (s)"),
    ("completion_s.p25", "download time, 25 % (s)"),
    ("completion_s.p50", "download time, median (s)"),
    ("completion_s.p75", "download time, 75 % (s)"),
    ("completion_s.p95", "download time, 95 % (s)"),
    ("completion_s.max", "download time, slowest (s)"),
    ("makespan_s", "time until all had finished (s)"),
    ("bound_s", "least possible time (s)"),
    ("stretch_last", "last host / least possible"),
    ("stretch_mean", "mean host / least possible"),
    ("upload_utilisation", "uplinks used (share)"),
    ("seed_upload_copies", "sent by the seeds (copies)"),
    ("max_upload_copies", "most sent by one host (copies)"),
    ("max_leecher_upload_copies", "most sent by one leecher (copies)"),
    ("leecher_upload_share", "sent by leechers (share)"),
    ("cross_region_share", "sent to another region (share)"),
    ("jain_upload", "fairness of upload"),
    ("blocks", "blocks received"),
    ("duplicate_blocks", "blocks received twice"),
    ("requests_per_block", "requests for each block"),
    ("hash_failures", "failed piece checks"),
    ("wasted_share", "received for nothing (share)"),
    ("protocol_overhead", "protocol overhead (share)"),
    ("distributed_copies_min", "distributed copies, least"),
    ("bootstrap_p50_s", "first piece after, median (s)"),
    ("sources_p50", "sources of a copy, median"),
    ("departed_share_p50", "from hosts gone, median (share)"),
    ("seed_first_copy_unique", "seeds' first copy, new (share)"),
    ("seed_duplicate_share", "sent by seeds again (share)"),
    ("interest_p50", "mutual interest, median (share)"),
    ("interest_steady_p50", "mutual interest later, median (share)"),
    ("health_deviation_max", "distributed copies, off by at most"),
    ("class_order", "classes in order of uplinks (share)"),
    ("startup_p50_s", "playback begins, median (s)"),
    ("stalls_mean", "stalls of a viewer, mean"),
    ("stalled_mean_s", "stood still, mean (s)"),
    ("late_share_mean", "pieces too late, mean (share)"),
    ("download_by_little_s", "download time by Little's law (s)"),
    ("simulated_s", "simulated (s)"),
    ("events", "events"),
];

/// By what the names of figures of classes begin with; the rest is the class.
const OF_CLASSES: [(&str, &str); 2] =
    [("class_p50_s.", "median of {} (s)"), ("clustering.", "{} to its own class, over an equal share")];

/// By what the names of figures of lines end with; the line is between.
const OF_LINES: [(&str, &str); 3] = [
    ("slope_per_s", "fit {}, change (per s)"),
    ("doubling_s", "fit {}, doubles in (s)"),
    ("r2", "fit {} (R²)"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure_names;

    #[test]
    fn every_figure_has_words() {
        for figure in figure_names() {
            assert!(FIGURES.iter().any(|(name, _)| *name == figure), "{figure}");
        }
        let words = |figure| in_words(figure);
        assert_eq!(words("completion_s.p50"), "download time, median (s)");
        assert_eq!(words("class_p50_s.dsl"), "median of dsl (s)");
        assert_eq!(words("fit.flood.v2.r2"), "fit flood.v2 (R²)");
        assert_eq!(words("of_a_later_version"), "of_a_later_version");
    }
}
