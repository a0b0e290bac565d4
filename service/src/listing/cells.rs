//! Rows of CSV (RFC 4180, and what spreadsheets make of it): a row may go over several lines inside quotes. A quote that is
//! never closed would swallow all that follows; such a line is refused, and reading goes on with the next one.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::text::{Line, Lines};
use super::{ROW_LIMIT, Refusal, Refused, formula};

/// Lines that one row may go over.
const LINES_OF_A_ROW: usize = 100;
/// What may stand between two cells.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// A row and the line where it begins.
type Row = (u64, Vec<String>);

/// The rows of a file.
pub(super) struct Cells<R> {
    lines: Lines<R>,
    /// Lines that were read ahead.
    ahead: VecDeque<Line>,
    reader: Reader,
}

impl<R> std::fmt::Debug for Cells<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cells")
    }
}

impl<R: BufRead> Cells<R> {
    /// The rows of these lines; `first`, the first of them that says something, tells the delimiter.
    pub(super) fn new(lines: Lines<R>, first: &str) -> Self {
        Self { lines, ahead: VecDeque::new(), reader: ReaderBuilder::new().delimiter(delimiter(first)).build() }
    }

    /// The next row that is not empty.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<Row, Refused>>> {
        loop {
            let Some(first) = self.line()? else { return Ok(None) };
            let number = first.number;
            let refused = |why| Ok(Some(Err(Refused { line: number, why })));
            let Some(text) = first.text else { return refused(Refusal::TooLong) };
            if text.trim().is_empty() || is_hint(number, &text) {
                continue;
            }
            return match self.row(text)? {
                Some(cells) => Ok(Some(Ok((number, cells)))),
                None => refused(Refusal::OpenQuote),
            };
        }
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }

    /// The row that begins with this line; none when its quote does not close. Then the lines after it are read again.
    fn row(&mut self, first: String) -> io::Result<Option<Vec<String>>> {
        let mut text = first;
        let mut more: Vec<Line> = Vec::new();
        loop {
            if !text.ends_with(['\n', '\r']) {
                text.push('\n');
            }
            if let Some(cells) = self.split(&text) {
                return Ok(Some(cells));
            }
            let next = if more.len() < LINES_OF_A_ROW { self.line()? } else { None };
            let fits = next.as_ref().and_then(|it| it.text.as_ref()).filter(|it| text.len() + it.len() <= ROW_LIMIT);
            if let Some(it) = fits {
                text.push_str(it);
                more.extend(next);
            } else {
                more.extend(next);
                more.into_iter().rev().for_each(|it| self.ahead.push_front(it));
                return Ok(None);
            }
        }
    }

    /// The cells of a text that is one row with its end; none when the row is not at its end.
    fn split(&mut self, text: &str) -> Option<Vec<String>> {
        self.reader.reset();
        let mut out = vec![0; text.len()];
        // A row of n octets has at most n cells.
        let mut ends = vec![0; text.len() + 1];
        let (result, _, _, count) = self.reader.read_record(text.as_bytes(), &mut out, &mut ends);
        if result != ReadRecordResult::Record {
            return None;
        }
        let mut from = 0;
        let ends = ends.get(..count).unwrap_or_default();
        let cells = ends.iter().map(|end| {
            let cell = out.get(from..*end).unwrap_or_default();
            from = *end;
            formula::plain(&String::from_utf8_lossy(cell)).to_owned()
        });
        Some(cells.collect())
    }
}

/// The delimiter that the first line has most of outside of quotes.
fn delimiter(first: &str) -> u8 {
    if let Some(it) = first.strip_prefix("sep=").and_then(|it| it.bytes().next()) {
        return it;
    }
    let unquoted: String = first.split('"').step_by(2).collect();
    let count = |it: char| unquoted.matches(it).count();
    // Of several the last would win, so they are tried from the least likely on.
    let best = DELIMITERS.into_iter().rev().max_by_key(|it| count(*it)).filter(|it| count(*it) > 0);
    best.and_then(|it| u8::try_from(it).ok()).unwrap_or(b',')
}

/// Excel's line that only names the delimiter.
fn is_hint(number: u64, text: &str) -> bool {
    number == 1 && text.starts_with("sep=") && text.trim_end().len() == 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Result<Row, (u64, Refusal)>> {
        let mut cells = Cells::new(Lines::new(text.as_bytes()), text.lines().next().unwrap());
        std::iter::from_fn(|| cells.next().unwrap()).map(|it| it.map_err(|it| (it.line, it.why))).collect()
    }

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with may be refused")]
    fn row(line: u64, cells: &[&str]) -> Result<Row, (u64, Refusal)> {
        Ok((line, cells.iter().map(|it| (*it).to_owned()).collect()))
    }

    #[test]
    fn rows_of_every_delimiter_are_read() {
        for it in [",", ";", "\t", "|"] {
            assert_eq!(rows(&format!("a{it}b\n1{it}\"2{it}3\"\n")), [row(1, &["a", "b"]), row(2, &["1", &format!("2{it}3")])], "{it:?}");
        }
        assert_eq!(rows("a\n1"), [row(1, &["a"]), row(2, &["1"])]);
        assert_eq!(rows("sep=;\r\na;b\r\n"), [row(2, &["a", "b"])]);
        assert_eq!(rows("\"a,b\";c\n"), [row(1, &["a,b", "c"])]);
    }

    #[test]
    fn a_row_goes_over_lines_inside_quotes() {
        let text = "a,note\r\nx,\"one\r\ntwo \"\"three\"\"\"\r\n\r\ny,5\" pipe\r\n";
        assert_eq!(rows(text), [row(1, &["a", "note"]), row(2, &["x", "one\r\ntwo \"three\""]), row(5, &["y", "5\" pipe"])]);
    }

    #[test]
    fn an_open_quote_costs_its_line_and_no_other() {
        let open = |line| Err((line, Refusal::OpenQuote));
        assert_eq!(rows("a\n\"b\nc\nd"), [row(1, &["a"]), open(2), row(3, &["c"]), row(4, &["d"])]);
        let many = format!("\"a\n{}", "b\n".repeat(3 * LINES_OF_A_ROW));
        assert_eq!(rows(&many).len(), 3 * LINES_OF_A_ROW + 1);
        assert_eq!(rows("a\n\"b"), [row(1, &["a"]), open(2)]);
        let wide = format!("\"a\n{}\nb\n", "x".repeat(ROW_LIMIT - 1));
        assert_eq!(rows(&wide).iter().filter(|it| it.is_ok()).count(), 2);
        let long = format!("\"a\n{}\nb\n", "x".repeat(ROW_LIMIT + 1));
        assert_eq!(rows(&long), [open(1), Err((2, Refusal::TooLong)), row(3, &["b"])]);
    }

    #[test]
    fn what_was_neutralised_is_itself_again() {
        assert_eq!(rows("'@example.org,\"'=1\",'x\n"), [row(1, &["@example.org", "=1", "'x"])]);
    }
}
