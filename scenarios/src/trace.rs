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
            let message = format!("{} fields where the header has {}", row.len(), header.len());
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
