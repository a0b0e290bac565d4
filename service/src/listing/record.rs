//! Named values of one row, whatever the file is: CSV, JSON or one address on a line. Names are compared without case,
//! blanks and underscores, as no two providers write them alike.

use std::sync::Arc;

use serde_json::Value;

use super::cells::Cells;
use super::documents::Documents;
use super::spool::Input;
use super::text::{Decoded, Line, Lines};
use super::{Format, ListingError, Refusal, Refused};

/// The text of a file.
pub(super) type Text = Decoded<Input>;

/// How the last line of our own exports begins.
const LAST_LINE: &str = "{\"done\":true,";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// The line where it begins.
    pub(super) line: u64,
    names: Arc<[String]>,
    values: Vec<String>,
}

impl Record {
    /// The value of that name, without blanks around it; none if it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|it| it == name)?;
        self.values.get(at).map(|it| it.trim()).filter(|it| !it.is_empty())
    }

    /// The value of the first of these names that has one.
    pub(super) fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|it| self.get(it))
    }

    /// The value of that name as it stands; none if it is empty.
    pub(super) fn verbatim(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|it| it == name)?;
        self.values.get(at).map(String::as_str).filter(|it| !it.is_empty())
    }

    /// The values in their order, where there are no names.
    pub(super) fn cell(&self, at: usize) -> Option<&str> {
        self.values.get(at).map(|it| it.trim()).filter(|it| !it.is_empty())
    }
}

/// A name as it is compared.
pub(super) fn normal(name: &str) -> String {
    name.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Cells with something between them.
    Cells,
    /// JSON objects.
    Json,
}

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Records {
    names: Arc<[String]>,
    /// The first row, read ahead for what it says of the whole.
    first: Option<Result<Record, Refused>>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Cells(Box<Cells<Text>>),
    Objects(Lines<Text>),
    Documents(Documents<Text>),
}

impl Records {
    /// Tells by its head how a text is written, and begins. Without names to go by, rows have none.
    pub(super) fn open(text: Text, head: &str, format: Option<Format>) -> Result<Self, ListingError> {
        let head = head.trim_start();
        if head.is_empty() {
            return Err(ListingError::Empty);
        }
        let line = head.lines().next().unwrap_or_default();
        let is_json = head.starts_with(['{', '[']);
        let source = match is_json {
            true if is_object(line.trim_end()) => Source::Objects(Lines::new(text)),
            true => Source::Documents(Documents::new(text)),
            false => Source::Cells(Box::new(Cells::new(Lines::new(text), line))),
        };
        let mut it = Self { names: Arc::default(), first: None, source };
        let first = it.next()?;
        let Some(Ok(record)) = &first else {
            it.first = first;
            return if is_json { Ok(it) } else { Err(ListingError::NoAddresses) };
        };
        if is_json {
            it.names = record.names.clone();
        } else if format != Some(Format::Plain) && !record.values.iter().any(|it| it.contains('@')) {
            it.names = record.values.iter().map(|it| normal(it)).collect();
            return Ok(it);
        }
        it.first = first;
        Ok(it)
    }

    /// The names of the values; none where rows have no names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// How the rows are laid out.
    pub(super) const fn layout(&self) -> Layout {
        match self.source {
            Source::Cells(_) => Layout::Cells,
            Source::Objects(_) | Source::Documents(_) => Layout::Json,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Result<Record, Refused>>, ListingError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let row = match &mut self.source {
            Source::Cells(cells) => {
                let names = &self.names;
                return Ok(cells.next()?.map(|it| it.map(|(line, values)| Record { line, names: names.clone(), values })));
            }
            Source::Objects(lines) => next_object(lines)?,
            Source::Documents(documents) => documents.next()?,
        };
        Ok(row.map(|it| it.and_then(|(line, text)| of_json(line, &text))))
    }
}

/// Whether a line is a row by itself, and not the beginning or the whole of a document with rows in it.
fn is_object(line: &str) -> bool {
    let holds_rows = |it: &Value| it.as_array().is_some_and(|it| it.first().is_none_or(Value::is_object));
    match serde_json::from_str::<serde_json::Map<String, Value>>(line) {
        Ok(object) => !object.values().any(holds_rows),
        Err(_) => line.starts_with('{') && line.ends_with('}'),
    }
}

/// The next line of NDJSON that is neither blank nor the last one of our own.
fn next_object(lines: &mut Lines<Text>) -> std::io::Result<Option<Result<(u64, String), Refused>>> {
    loop {
        let Some(Line { number, text }) = lines.next()? else { return Ok(None) };
        match text {
            None => return Ok(Some(Err(Refused { line: number, why: Refusal::TooLong }))),
            Some(text) if text.trim().is_empty() || text.starts_with(LAST_LINE) => {}
            Some(text) => return Ok(Some(Ok((number, text)))),
        }
    }
}

fn of_json(line: u64, text: &str) -> Result<Record, Refused> {
    let object: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|_| Refused { line, why: Refusal::NotAnObject })?;
    let (names, values): (Vec<String>, Vec<String>) = object.into_iter().map(|(name, value)| (normal(&name), said(value))).unzip();
    Ok(Record { line, names: names.into(), values })
}

/// A value as a cell would say it.
fn said(value: Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Array(items) => items.into_iter().map(said).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
