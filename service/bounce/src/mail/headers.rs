//! Header blocks: where each field stands, and its text unfolded and decoded when somebody asks for it.

use std::borrow::Cow;
use std::ops::Range;

use super::decode;
use crate::limits;

/// Where the fields of one header block stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    fields: Vec<Field>,
    /// Where the block begins.
    pub(super) start: usize,
    /// Where the body begins.
    pub(super) end: usize,
    /// Whether a limit cut the block.
    pub(super) cut: bool,
}

#[derive(Debug, Clone)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// Fields that most blocks have room for.
const USUAL_FIELDS: usize = 16;

impl Block {
    /// Reads the header block that begins at `from`. It ends after a blank line, before a line that `stop` knows, or where
    /// lines no longer look like a header.
    pub(super) fn scan(bytes: &[u8], from: usize, stop: impl Fn(&[u8]) -> bool) -> Self {
        let mut block = Self { fields: Vec::with_capacity(USUAL_FIELDS), start: from, end: from, cut: false };
        let mut at = from;
        while at < bytes.len() {
            let next = line_end(bytes, at);
            let line = trimmed(bytes.get(at..next).unwrap_or_default());
            if line.is_empty() {
                block.end = next;
                return block;
            }
            if stop(line) {
                break;
            }
            if next - from > limits::HEADER_BYTES || block.fields.len() >= limits::HEADER_FIELDS {
                block.cut = true;
                break;
            }
            if matches!(line.first(), Some(b' ' | b'\t')) {
                if let Some(last) = block.fields.last_mut() {
                    last.value.end = at + line.len();
                }
            } else if let Some(colon) = name_length(line) {
                let name = at..at + trimmed_end(line.get(..colon).unwrap_or_default()).len();
                block.fields.push(Field { name, value: at + colon + 1..at + line.len() });
            } else if !line.starts_with(b"From ") && !line.starts_with(b">From ") && !goes_on(bytes, next) {
                break;
            }
            at = next;
        }
        block.end = at;
        block
    }

    pub(super) fn view<'b>(&'b self, bytes: &'b [u8]) -> Headers<'b> {
        Headers { bytes, fields: &self.fields }
    }
}

/// The offset just after the line that begins at `from`.
pub(super) fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)).map_or(bytes.len(), |at| from + at + 1)
}

/// A line without its line end.
pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let ends = line.iter().rev().take_while(|it| **it == b'\r').count();
    line.get(..line.len() - ends).unwrap_or_default()
}

fn trimmed_end(name: &[u8]) -> &[u8] {
    let blanks = name.iter().rev().take_while(|it| matches!(it, b' ' | b'\t')).count();
    name.get(..name.len() - blanks).unwrap_or_default()
}

/// How long the name before the colon is, blanks included, if the line is a field (RFC 5322 section 2.2).
fn name_length(line: &[u8]) -> Option<usize> {
    let line = line.get(..100).unwrap_or(line);
    let name = line.iter().take_while(|it| matches!(it, 33..=126) && **it != b':').count();
    let blanks = line.iter().skip(name).take_while(|it| matches!(it, b' ' | b'\t')).count();
    (name > 0 && line.get(name + blanks) == Some(&b':')).then_some(name + blanks)
}

/// Whether the header goes on after a line that is no field: some gateways break long lines without folding them.
fn goes_on(bytes: &[u8], from: usize) -> bool {
    let mut at = from;
    for _ in 0..3 {
        let next = line_end(bytes, at);
        let line = trimmed(bytes.get(at..next).unwrap_or_default());
        if line.is_empty() {
            return false;
        }
        if name_length(line).is_some() || matches!(line.first(), Some(b' ' | b'\t')) {
            return true;
        }
        at = next;
    }
    false
}

/// The fields of a header block, to look at.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'b> {
    bytes: &'b [u8],
    fields: &'b [Field],
}

impl<'b> Headers<'b> {
    /// The text of the first field of that name, unfolded and decoded; letter case does not matter.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<Cow<'b, str>> {
        self.all(name).next()
    }

    /// As [`Headers::first`], of the last field of that name.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<Cow<'b, str>> {
        let last = self.fields.iter().rev().find(|it| self.slice(&it.name).eq_ignore_ascii_case(name.as_bytes()));
        last.map(|it| self.text(&it.value))
    }

    /// Whether there is a field of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|it| self.slice(&it.name).eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The texts of all fields of that name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = Cow<'b, str>> + use<'b, 'n> {
        let view = *self;
        view.fields.iter().filter(move |it| view.slice(&it.name).eq_ignore_ascii_case(name.as_bytes())).map(move |it| view.text(&it.value))
    }

    /// Every field in order: its name as written, its text.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b> {
        self.iter_except(|_| false)
    }

    /// As [`Headers::iter`], without the fields of some names; these are not even decoded.
    pub(crate) fn iter_except<F: Fn(&[u8]) -> bool>(&self, left_out: F) -> impl Iterator<Item = (Cow<'b, str>, Cow<'b, str>)> + use<'b, F> {
        let view = *self;
        let kept = view.fields.iter().filter(move |it| !left_out(view.slice(&it.name)));
        kept.map(move |it| (String::from_utf8_lossy(view.slice(&it.name)), view.text(&it.value)))
    }

    /// Every name, as written.
    pub fn names(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let view = *self;
        view.fields.iter().map(move |it| view.slice(&it.name))
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn slice(&self, range: &Range<usize>) -> &'b [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    fn text(&self, range: &Range<usize>) -> Cow<'b, str> {
        let raw = self.slice(range);
        if let Some(text) = plain(raw) {
            return Cow::Borrowed(text.trim());
        }
        let text = match decode::charset(raw, None) {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        decode::words(unfolded(text))
    }
}

/// The text of a value that is one line of ASCII without an encoded word, as most are: there is nothing to undo.
fn plain(raw: &[u8]) -> Option<&str> {
    // All octets are looked at whatever comes, so that the compiler takes many at once.
    let odd = raw.iter().fold(false, |odd, it| odd | !it.is_ascii() | matches!(it, b'\n' | b'\r' | b'?' | 0x1b));
    if odd { None } else { std::str::from_utf8(raw).ok() }
}

/// Joins folded lines: each line end with the blanks around it becomes one blank.
fn unfolded(text: Cow<'_, str>) -> Cow<'_, str> {
    let line_end = |text: &str| memchr::memchr2(b'\n', b'\r', text.as_bytes());
    if line_end(&text).is_none() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(line_end(rest).unwrap_or(rest.len()));
        let line = line.trim();
        if !line.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(line);
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> (Vec<String>, usize, bool) {
        let block = Block::scan(text.as_bytes(), 0, |it| it.starts_with(b"--x"));
        let names = block.view(text.as_bytes()).iter().map(|(name, value)| format!("{name}={value}")).collect();
        (names, block.end, block.cut)
    }

    #[test]
    fn fields_fold_and_names_may_have_blanks_before_the_colon() {
        let (fields, end, _) = names("From me Mon\nA: 1\r\n B\r\n\tC\r\nX-Y : 2\r\n\r\nbody");
        assert_eq!((fields, end), (vec!["A=1 B C".to_owned(), "X-Y=2".to_owned()], 37));
    }

    #[test]
    fn a_block_ends_where_it_stops_looking_like_one() {
        assert_eq!(names("A: 1\nno field here\nnor here\n").1, 5);
        assert_eq!(names("A: 1\nno field here\nB: 2\n\n").0.len(), 2);
        assert_eq!(names("A: 1\n--x\n").1, 5);
    }

    #[test]
    fn a_block_over_the_limits_is_cut_and_says_so() {
        let text = "A: 1\n".repeat(limits::HEADER_FIELDS + 1);
        let (fields, _, cut) = names(&text);
        assert_eq!((fields.len(), cut), (limits::HEADER_FIELDS, true));
        assert!(!names(&"A: 1\n".repeat(limits::HEADER_FIELDS)).2);
        let long = format!("A: {}\n", "x".repeat(limits::HEADER_BYTES));
        assert_eq!(names(&long), (vec![], 0, true));
    }
}
