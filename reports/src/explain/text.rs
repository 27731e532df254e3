//! Decisions as people read them.

use std::fmt::Write as _;

use crate::record::{Decision, Explanation, Outcome, ReasonRow};
use crate::words::{figure, rate};

/// So many equal pieces are named, and so many peers that have to wait.
const NAMED: usize = 8;

/// A decision, on a line and, if it is about peers, one more for each of the first.
pub(super) fn render(explanation: &Explanation) -> String {
    let Some(first) = explanation.rows.first() else { return String::new() };
    match first.kind {
        Decision::Pick => pick(first, explanation),
        Decision::Unchoke => unchoke(first, &explanation.rows),
    }
}

fn pick(first: &ReasonRow, explanation: &Explanation) -> String {
    let chosen: Vec<&ReasonRow> = explanation.rows.iter().filter(|row| row.outcome.is_chosen()).collect();
    let names = |rows: &[&ReasonRow]| {
        rows.iter().filter_map(|row| row.piece).map(|piece| format!(" {piece}")).collect::<String>()
    };
    let what = match chosen.as_slice() {
        [] => "nothing".to_owned(),
        [one] => format!("piece{}", names(&[one])),
        several => format!("pieces{}", names(several)),
    };
    let mut why = Vec::new();
    let by_rank = chosen.chunk_by(|a, b| a.rank == b.rank);
    for group in by_rank.filter(|group| group[0].score.is_some()) {
        let score = score(group[0]);
        let equal = group[0].equals.unwrap_or_default() as usize;
        if equal == group.len() {
            why.push(score);
            continue;
        }
        let mut known: Vec<_> = explanation.rows.iter().filter(|row| row.rank == group[0].rank).collect();
        known.truncate(NAMED);
        let more = if equal > known.len() { " ..." } else { "" };
        why.push(format!("{score}; {equal} candidates have that:{}{more}", names(&known)));
    }
    if why.is_empty() {
        why.push(counted(first.candidates, "candidate"));
    }
    if let Some((score, of, count)) = &explanation.next {
        let of = if *of == first.score_of { String::new() } else { format!(" {of}") };
        why.push(format!("next {count} with {}{of}", figure(*score)));
    }
    why.extend(chosen.iter().map(|row| &row.note).filter(|note| !note.is_empty()).cloned());
    why.extend(Some(&first.remark).filter(|remark| !remark.is_empty()).cloned());
    format!("{:10.3} s  picks {what} from {} ({})\n", first.t_s, first.peer, why.join("; "))
}

fn unchoke(first: &ReasonRow, rows: &[ReasonRow]) -> String {
    let served = rows.iter().filter(|row| row.outcome.is_chosen()).count();
    let mut text =
        format!("{:10.3} s  unchokes {served} of {}", first.t_s, counted(first.candidates, "peer"));
    if !first.remark.is_empty() {
        text += &format!(" ({})", first.remark);
    }
    text.push('\n');
    let width = rows.iter().map(|row| row.peer.len()).max().unwrap_or_default();
    let mut waiting = 0;
    for row in rows {
        let waits = !row.outcome.is_chosen() && row.was_unchoked != Some(true);
        waiting += usize::from(waits);
        if waits && waiting > NAMED {
            continue;
        }
        let name = match row.outcome {
            Outcome::Regular => "regular",
            Outcome::Optimistic => "optimistic",
            _ => "choked",
        };
        let change = match (row.was_unchoked, row.outcome.is_chosen()) {
            (Some(false), true) => "+",
            (Some(true), false) => "-",
            _ => " ",
        };
        let mut why: Vec<String> = row.score.map(|_| score(row)).into_iter().collect();
        why.extend(row.cap_bytes_per_s.map(|cap| format!("at most {}", rate(cap as f64))));
        why.extend(Some(&row.note).filter(|note| !note.is_empty()).cloned());
        let line = format!("{:13}{change} {name:10}  {:width$}  {}", "", row.peer, why.join("; "));
        writeln!(text, "{}", line.trim_end()).expect("a text takes everything");
    }
    if waiting > NAMED {
        writeln!(text, "{:13}  and {} more who wait", "", waiting - NAMED).expect("a text takes everything");
    }
    text
}

/// `1 peer`, `3 peers`.
fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn score(row: &ReasonRow) -> String {
    let score = row.score.unwrap_or_default();
    let of = if score == 1.0 { row.score_of.replacen("copies", "copy", 1) } else { row.score_of.clone() };
    format!("{} {of}", figure(score))
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn a_pick_names_its_equals_and_what_comes_next() {
        let rows = vec![
            row(17, Outcome::Picked, 2.0, 1, 3),
            row(19, Outcome::PassedOver, 2.0, 1, 3),
            row(40, Outcome::PassedOver, 2.0, 1, 3),
            row(5, Outcome::PassedOver, 3.0, 2, 5),
        ];
        let next = Some((3.0, "copies".to_owned(), 5));
        assert_eq!(
            render(&Explanation { rows, next }),
            "    12.500 s  picks piece 17 from leecher-3 (2 copies; 3 candidates have that: 17 19 40; \
             next 5 with 3)\n"
        );
    }

    #[test]
    fn a_single_copy_is_one() {
        let rows = vec![row(3, Outcome::Picked, 1.0, 1, 1)];
        let text = render(&Explanation { rows, next: None });
        assert_eq!(text, "    12.500 s  picks piece 3 from leecher-3 (1 copy)\n");
    }

    #[test]
    fn a_pick_without_scores_says_how_many_there_were() {
        let unknown = |piece, outcome| ReasonRow {
            score: None,
            score_of: String::new(),
            rank: None,
            equals: None,
            ..row(piece, outcome, 0.0, 1, 1)
        };
        let rows = vec![unknown(3, Outcome::Picked), unknown(4, Outcome::PassedOver)];
        let text = render(&Explanation { rows, next: None });
        assert_eq!(text, "    12.500 s  picks piece 3 from leecher-3 (9 candidates)\n");
    }

    #[test]
    fn those_who_wait_are_counted_where_they_are_many() {
        let peer = |nth| ReasonRow {
            peer: format!("leecher-{nth}"),
            was_unchoked: Some(nth == 11),
            candidates: 12,
            ..ReasonRow::new(20.0, Decision::Unchoke)
        };
        let text = render(&Explanation { rows: (0..12).map(peer).collect(), next: None });
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 1 + 8 + 1 + 1, "{text}");
        assert_eq!((lines[9], lines[10]), ("- choked      leecher-11", "and 3 more who wait"));
    }

    #[test]
    fn an_unchoke_has_a_line_for_each_peer() {
        let peer = |name: &str, outcome, was_unchoked, note: &str| ReasonRow {
            peer: name.to_owned(),
            outcome,
            score: Some(1500.0),
            score_of: "bytes/s from it".to_owned(),
            was_unchoked: Some(was_unchoked),
            note: note.to_owned(),
            candidates: 3,
            ..ReasonRow::new(20.0, Decision::Unchoke)
        };
        let rows = vec![
            peer("leecher-4", Outcome::Regular, true, ""),
            peer("leecher-17", Outcome::Optimistic, false, ""),
            peer("seed-0", Outcome::Choked, true, "snubs us"),
        ];
        assert_eq!(
            render(&Explanation { rows, next: None }),
            "    20.000 s  unchokes 2 of 3 peers\n\
             \x20              regular     leecher-4   1,500 bytes/s from it\n\
             \x20            + optimistic  leecher-17  1,500 bytes/s from it\n\
             \x20            - choked      seed-0      1,500 bytes/s from it; snubs us\n"
        );
    }
}
