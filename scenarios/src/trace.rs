//! Arrivals from a CSV file.

use csv::StringRecord;

use crate::error::{Place, ScenarioError};
use crate::source::nearest_hint;
use crate::units::Span;

/// The latest time that a trace may have.
const MAX_S: f64 = 1e9;

/// The arrival times of `class` in a CSV text with a column `time_s` and perhaps a column `class`.
///
/// # Errors
/// The first line that is not so, with file, line and field.
pub(crate) fn times(
    text: &str,
    file: &str,
    class: &str,
    classes: &[String],
) -> Result<Vec<Span>, ScenarioError> {
    let trace = TraceFile { text, file };
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
        .into_records();
    let header = match rows.next() {
        Some(header) => header.map_err(|error| trace.unreadable(&error))?,
        None => StringRecord::new(),
    };
    let columns = trace.columns(&header)?;
    let mut times = Vec::new();
    for row in rows {
        let row = row.map_err(|error| trace.unreadable(&error))?;
        if row.len() != header.len() {
            let message = format!("the header has {} fields, this line has {}", header.len(), row.len());
            return Err(trace.error(&row, None, message, "give each line the header's fields"));
        }
        let time = trace.time(&row, columns.time)?;
        if trace.is_of(&row, columns.class, class, classes)? {
            times.push(time);
        }
    }
    if times.is_empty() {
        let message = format!("{file} has no arrivals of class `{class}`");
        return Err(ScenarioError::new(message, "give it a line for each host"));
    }
    Ok(times)
}

struct TraceFile<'a> {
    text: &'a str,
    file: &'a str,
}

struct Columns {
    time: usize,
    class: Option<usize>,
}

impl TraceFile<'_> {
    fn columns(&self, header: &StringRecord) -> Result<Columns, ScenarioError> {
        let known = ["time_s", "class"];
        if let Some(strange) = header.iter().position(|name| !known.contains(&name.trim())) {
            let name = header[strange].trim();
            let message = format!("unknown column `{name}`");
            return Err(self.error(header, Some(strange), message, nearest_hint(name, &known)));
        }
        let column = |wanted: &str| header.iter().position(|name| name.trim() == wanted);
        match column("time_s") {
            Some(time) => Ok(Columns { time, class: column("class") }),
            None => {
                let hint = "the first line names the columns: time_s, or time_s,class";
                Err(self.error(header, None, "there is no column `time_s`", hint))
            }
        }
    }

    fn time(&self, row: &StringRecord, column: usize) -> Result<Span, ScenarioError> {
        let written = row[column].trim();
        match written.parse::<f64>() {
            Ok(secs) if (0.0..=MAX_S).contains(&secs) => Ok(Span::from_nanos((secs * 1e9).round() as u64)),
            _ => {
                let message = format!("`{written}` in field `time_s` is no time");
                Err(self.error(
                    row,
                    Some(column),
                    message,
                    "write seconds from the start of the run, such as 12.5",
                ))
            }
        }
    }

    fn is_of(
        &self,
        row: &StringRecord,
        column: Option<usize>,
        class: &str,
        classes: &[String],
    ) -> Result<bool, ScenarioError> {
        let Some(column) = column else { return Ok(true) };
        let written = row[column].trim();
        if !classes.iter().any(|known| known == written) {
            let known: Vec<&str> = classes.iter().map(String::as_str).collect();
            let message = format!("`{written}` in field `class` is no class of the scenario");
            return Err(self.error(row, Some(column), message, nearest_hint(written, &known)));
        }
        Ok(written == class)
    }

    /// An error at a field of a row, or at the whole row.
    fn error(
        &self,
        row: &StringRecord,
        field: Option<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> ScenarioError {
        let at = row.position().map_or(0, |position| position.byte() as usize);
        // The reader's position may stand before empty lines, which it skips.
        let at = at + self.text[at..].len() - self.text[at..].trim_start_matches(['\n', '\r']).len();
        let line = self.text[at..].lines().next().unwrap_or("");
        let bytes = field.map_or(0..line.len(), |field| field_in(line, row, field));
        let place = Place::in_file(self.file, self.text, at + bytes.start..at + bytes.end);
        ScenarioError::new(message, hint).at(place)
    }

    fn unreadable(&self, error: &csv::Error) -> ScenarioError {
        let message = format!("{} is no CSV: {error}", self.file);
        ScenarioError::new(message, "write a line for each arrival: its time in seconds")
    }
}

/// Where a field stands in its line: after the fields before it.
fn field_in(line: &str, row: &StringRecord, field: usize) -> std::ops::Range<usize> {
    let mut end = 0;
    let mut start = 0;
    for value in row.iter().take(field + 1) {
        start = line[end..].find(value).map_or(end, |skip| end + skip);
        end = start + value.len();
    }
    start..end.min(line.len())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn of_phones(text: &str) -> Result<Vec<Span>, ScenarioError> {
        times(text, "arrivals.csv", "phone", &["home".to_owned(), "phone".to_owned()])
    }

    fn error(text: &str) -> String {
        of_phones(text).unwrap_err().to_string()
    }

    #[test]
    fn rows_of_the_class_are_read() {
        let secs = |text| of_phones(text).unwrap().iter().map(|time| time.as_secs_f64()).collect::<Vec<_>>();
        assert_eq!(secs("time_s\n0\n1.5\n1e2\n"), [0.0, 1.5, 100.0]);
        assert_eq!(secs("time_s,class\n1,home\n2,phone\n\n3, phone \n"), [2.0, 3.0]);
        assert_eq!(secs("class,time_s\r\nphone,0.30000000000000004\r\n"), [0.3]);
    }

    #[test]
    fn a_bad_line_is_shown_with_its_field() {
        assert_snapshot!(error("time_s,class\n1,home\n\nsoon,phone\n"), @r##"
        arrivals.csv:4:1: `soon` in field `time_s` is no time
          |
        4 | soon,phone
          | ^^^^
        hint: write seconds from the start of the run, such as 12.5
        "##);
        assert_snapshot!(error("time_s\n-1\n"), @r##"
        arrivals.csv:2:1: `-1` in field `time_s` is no time
          |
        2 | -1
          | ^^
        hint: write seconds from the start of the run, such as 12.5
        "##);
        assert_snapshot!(error("class,time_s\nphone,1\nphone,\n"), @r##"
        arrivals.csv:3:6: `` in field `time_s` is no time
          |
        3 | phone,
          |      ^
        hint: write seconds from the start of the run, such as 12.5
        "##);
        assert_snapshot!(error("time_s,class\n1,fone\n"), @r##"
        arrivals.csv:2:3: `fone` in field `class` is no class of the scenario
          |
        2 | 1,fone
          |   ^^^^
        hint: there are: home, phone
        "##);
        assert_snapshot!(error("time_s,class\n1\n"), @r##"
        arrivals.csv:2:1: the header has 2 fields, this line has 1
          |
        2 | 1
          | ^
        hint: give each line the header's fields
        "##);
        assert_snapshot!(error("time,class\n1,phone\n"), @r##"
        arrivals.csv:1:1: unknown column `time`
          |
        1 | time,class
          | ^^^^
        hint: did you mean `time_s`?
        "##);
        assert_snapshot!(error("class\nphone\n"), @r##"
        arrivals.csv:1:1: there is no column `time_s`
          |
        1 | class
          | ^^^^^
        hint: the first line names the columns: time_s, or time_s,class
        "##);
        assert_snapshot!(error("time_s,class\n1,home\n"), @r##"
        arrivals.csv has no arrivals of class `phone`
        hint: give it a line for each host
        "##);
        assert_snapshot!(error(""), @r##"
        arrivals.csv:1:1: there is no column `time_s`
          |
        1 | 
          | ^
        hint: the first line names the columns: time_s, or time_s,class
        "##);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*", rows in "[0-9a-z,\"\\n\\r.é]{0,60}") {
            let _ = of_phones(&text).map_err(|error| error.to_string());
            let _ = of_phones(&format!("time_s,class\n{rows}")).map_err(|error| error.to_string());
        }
    }
}
