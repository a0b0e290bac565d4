//! Rows of JSON documents, as the APIs of providers answer: an array of objects, alone or as a value of an object, in any
//! layout, several documents one after another. Only one row is held at a time, and a broken one costs itself.

use std::io::{self, BufRead};

use super::{ROW_LIMIT, Refusal, Refused};

/// Levels of nesting that are told apart; rows are shallow.
const DEPTH: usize = 64;
/// Keys of arrays that hold no rows.
const NOT_ROWS: [&str; 3] = ["links", "_links", "errors"];

/// What is open at some place of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Rows,
    Other,
}

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Documents<R> {
    inner: R,
    line: u64,
    open: Vec<Open>,
    text: Scan,
    /// The last string outside of rows: the key of what follows.
    key: Vec<u8>,
    /// The row being read: its depth, its first line and its text so far.
    row: Option<(usize, u64, Vec<u8>)>,
}

/// Where in a text a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Outside,
    Inside,
    Escaped,
}

impl<R: BufRead> Documents<R> {
    /// Goes on at a line.
    pub(super) const fn new(inner: R) -> Self {
        Self { inner, line: 1, open: Vec::new(), text: Scan::Outside, key: Vec::new(), row: None }
    }

    /// The next row and the line where it begins.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<(u64, String), Refused>>> {
        loop {
            let some = self.inner.fill_buf()?.to_vec();
            if some.is_empty() {
                return Ok(self.cut().map(Err));
            }
            for (at, octet) in some.iter().enumerate() {
                if let Some(found) = self.take(*octet) {
                    self.inner.consume(at + 1);
                    return Ok(Some(found));
                }
            }
            self.inner.consume(some.len());
        }
    }

    /// What is not whole because the file ends there, told once: the row that was begun, or else the document around.
    fn cut(&mut self) -> Option<Refused> {
        let is_whole = std::mem::take(&mut self.open).is_empty() && self.text == Scan::Outside;
        self.text = Scan::Outside;
        let cut = self.row.take().map(|(_, line, _)| Refused { line, why: Refusal::NotAnObject });
        cut.or_else(|| (!is_whole).then_some(Refused { line: self.line, why: Refusal::CutOff }))
    }

    fn take(&mut self, octet: u8) -> Option<Result<(u64, String), Refused>> {
        if octet == b'\n' {
            self.line += 1;
        }
        match (self.text, octet) {
            (Scan::Outside, b'"') => {
                self.text = Scan::Inside;
                self.key.clear();
            }
            (Scan::Outside, b'{' | b'[') => self.begin(octet),
            (Scan::Outside, b'}' | b']') => return self.end(octet),
            (Scan::Outside, _) => {}
            (Scan::Inside, b'"') => self.text = Scan::Outside,
            (Scan::Inside, b'\\') => self.text = Scan::Escaped,
            (Scan::Inside, _) if self.key.len() < ROW_LIMIT => self.key.push(octet),
            (Scan::Inside, _) => {}
            (Scan::Escaped, _) => self.text = Scan::Inside,
        }
        self.keep(octet);
        None
    }

    fn keep(&mut self, octet: u8) {
        if let Some((_, _, text)) = self.row.as_mut().filter(|it| it.2.len() <= ROW_LIMIT) {
            text.push(octet);
        }
    }

    fn begin(&mut self, octet: u8) {
        let parent = self.open.last().copied();
        let kind = match (octet, parent) {
            (b'{', _) => Open::Object,
            (_, None) => Open::Rows,
            // An array right below the outermost object, outside of any row.
            (_, Some(Open::Object)) if self.open.len() == 1 && !NOT_ROWS.iter().any(|it| it.as_bytes() == self.key) => Open::Rows,
            _ => Open::Other,
        };
        if kind == Open::Object && parent == Some(Open::Rows) {
            self.row = Some((self.open.len(), self.line, Vec::new()));
        }
        if self.open.len() < DEPTH {
            self.open.push(kind);
        }
    }

    fn end(&mut self, octet: u8) -> Option<Result<(u64, String), Refused>> {
        self.keep(octet);
        self.open.pop();
        let (depth, line, text) = self.row.take()?;
        if self.open.len() > depth {
            self.row = Some((depth, line, text));
            return None;
        }
        if text.len() > ROW_LIMIT {
            return Some(Err(Refused { line, why: Refusal::TooLong }));
        }
        Some(Ok((line, String::from_utf8_lossy(&text).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Result<(u64, String), (u64, Refusal)>> {
        let mut documents = Documents::new(io::BufReader::with_capacity(5, text.as_bytes()));
        std::iter::from_fn(|| documents.next().unwrap()).map(|it| it.map_err(|it| (it.line, it.why))).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with may be refused")]
    fn row(line: u64, text: &str) -> Result<(u64, String), (u64, Refusal)> {
        Ok((line, text.to_owned()))
    }

    #[test]
    fn rows_stand_in_the_array() {
        assert_eq!(rows("[{\"a\":1},\n{\"a\":[{\"b\":2}]}]"), [row(1, "{\"a\":1}"), row(2, "{\"a\":[{\"b\":2}]}")]);
        let wrapped = "{\n \"links\": [{\"href\":\"x\"}],\n \"items\": [\n  {\"a\": \"}]\\\"{\"},\n  {\"t\":[\"x\"]}\n ],\n \"paging\": {\"next\": {\"x\":[{}]}}\n}\n";
        assert_eq!(rows(wrapped), [row(4, "{\"a\": \"}]\\\"{\"}"), row(5, "{\"t\":[\"x\"]}")]);
        assert_eq!(rows("{\"items\":[]}{\"items\":[{}]} [{}]").len(), 2);
        assert_eq!(rows(""), []);
    }

    #[test]
    fn a_row_over_the_limit_costs_itself_and_a_cut_is_told() {
        let text = format!("[{{\"a\":\"{}\"}},{{}}", "x".repeat(ROW_LIMIT));
        assert_eq!(rows(&text), [Err((1, Refusal::TooLong)), row(1, "{}"), Err((1, Refusal::CutOff))]);
        assert_eq!(rows("[\n{\"a\":1},\n{\"b"), [row(2, "{\"a\":1}"), Err((3, Refusal::NotAnObject))]);
        assert_eq!(rows("{\"a\":"), [Err((1, Refusal::CutOff))]);
        assert_eq!(rows("[{\"a\":1},\n"), [row(1, "{\"a\":1}"), Err((2, Refusal::CutOff))]);
        assert_eq!(rows("[\"a"), [Err((1, Refusal::CutOff))]);
        assert_eq!(rows(&"[".repeat(100_000)), [Err((1, Refusal::CutOff))]);
        assert_eq!(rows("{\"Suppressions\":[]}\n"), []);
        assert_eq!(rows("]}]}{}"), []);
    }
}
