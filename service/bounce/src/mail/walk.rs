//! The MIME walk (RFC 2046 section 5.1): one pass over the lines, an explicit stack of open boundaries, no recursion. It
//! does not look into message/rfc822, so a bounce of a bounce is not read as ours (RFC 6522 section 3).

use std::ops::Range;

use memchr::memmem;

use super::decode;
use super::headers::{Block, line_end, trimmed};
use crate::limits;

/// One leaf of the message, or one multipart too deep to open.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf {
    pub(super) block: Block,
    pub(super) body: Range<usize>,
    pub(super) kind: ContentType,
    pub(super) encoding: String,
    /// Which multipart it stands in, counted as they open; 0 is none.
    pub(super) parent: usize,
}

/// A media type and the parameters that matter here (RFC 2045 section 5.1), names in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct ContentType {
    /// `type/subtype` in lower case; empty where there is no such field.
    pub(super) essence: String,
    pub(super) charset: Option<String>,
    pub(super) boundary: Option<String>,
    pub(super) report_type: Option<String>,
    pub(super) name: Option<String>,
}

/// What the walk finds.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) top: Block,
    pub(super) kind: ContentType,
    pub(super) leaves: Vec<Leaf>,
    /// The media type of each multipart opened, and its parent.
    pub(super) multiparts: Vec<(String, usize)>,
    pub(super) notes: Vec<&'static str>,
}

impl Walk {
    /// Notes something once.
    fn note(&mut self, text: &'static str) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

struct Open {
    boundary: Vec<u8>,
    number: usize,
}

/// Walks a whole message. A multipart whose boundary never comes is read by the boundary that does, or as one text.
pub(super) fn walk(bytes: &[u8]) -> Walk {
    let whole = leaf(bytes, Block::scan(bytes, start(bytes), |_| false), 0);
    let (top, kind) = (whole.block.clone(), whole.kind.clone());
    let mut walk = walk_parts(bytes, whole);
    if walk.leaves.is_empty() {
        walk.note("the boundary of the message does not occur in it");
        let mut whole = leaf(bytes, top.clone(), 0);
        whole.kind.boundary = guessed_boundary(bytes, top.end).and_then(|it| String::from_utf8(it).ok());
        if whole.kind.boundary.is_some() {
            walk = walk_parts(bytes, whole);
        }
    }
    if walk.leaves.is_empty() {
        let mut whole = Leaf { kind: ContentType::default(), ..leaf(bytes, top.clone(), 0) };
        whole.body = top.end..bytes.len();
        walk.leaves.push(whole);
    }
    if top.cut {
        walk.note("the header is over the limit and was cut");
    }
    Walk { top, kind, ..walk }
}

fn walk_parts(bytes: &[u8], top: Leaf) -> Walk {
    let mut walk = Walk::default();
    let mut open: Vec<Open> = Vec::new();
    let mut at = top.block.end;
    let mut current = enter(bytes, &mut walk, &mut open, top);
    let dashes = memmem::Finder::new(DASHES);
    while let Some(found) = next_dashes(&dashes, bytes, at) {
        let next = line_end(bytes, found);
        let line = trimmed(bytes.get(found..next).unwrap_or_default());
        at = next;
        let Some((level, closing)) = delimiter(&open, line) else { continue };
        if let Some(leaf) = current.take() {
            finish(bytes, &mut walk, leaf, found);
        }
        open.truncate(if closing { level } else { level + 1 });
        if closing {
            continue;
        }
        if walk.leaves.len() >= limits::PARTS {
            walk.note("there are more parts than the limit; the rest was left out");
            return walk;
        }
        let parent = open.last().map_or(0, |it| it.number);
        let block = Block::scan(bytes, next, |line| delimiter(&open, line).is_some());
        at = block.end.max(found);
        // A header block may end right before a delimiter, which the search finds by the line end in front of it.
        at = at.saturating_sub(1).max(found);
        let part = leaf(bytes, block, parent);
        current = enter(bytes, &mut walk, &mut open, part);
    }
    if let Some(leaf) = current {
        finish(bytes, &mut walk, leaf, bytes.len());
    }
    walk
}

/// Where the message begins: blank lines in front are passed over.
fn start(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|it| matches!(it, b'\n' | b'\r')).count()
}

/// How a line begins that may be a delimiter, with the line end in front of it.
const DASHES: &[u8] = b"\n--";

/// The next line that begins with two dashes, at or after the line end at `at`.
fn next_dashes(dashes: &memmem::Finder<'_>, bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if rest.starts_with(b"--") && (at == 0 || bytes.get(at - 1) == Some(&b'\n')) {
        return Some(at);
    }
    dashes.find(rest).map(|found| at + found + 1)
}

/// Which open multipart a line delimits, and whether it ends it.
fn delimiter(open: &[Open], line: &[u8]) -> Option<(usize, bool)> {
    let dashed = line.strip_prefix(b"--")?;
    open.iter().enumerate().rev().find_map(|(level, it)| {
        let rest = dashed.strip_prefix(it.boundary.as_slice())?;
        let (rest, closing) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
        rest.iter().all(|it| matches!(it, b' ' | b'\t')).then_some((level, closing))
    })
}

/// Opens a multipart, or gives back the leaf to go on with.
fn enter(bytes: &[u8], walk: &mut Walk, open: &mut Vec<Open>, mut part: Leaf) -> Option<Leaf> {
    if !part.kind.essence.starts_with("multipart/") {
        return Some(part);
    }
    let boundary = match part.kind.boundary.take() {
        Some(boundary) => boundary.into_bytes(),
        None => guessed_boundary(bytes, part.block.end)?,
    };
    if boundary.is_empty() || boundary.len() > limits::BOUNDARY_BYTES || open.len() >= limits::DEPTH {
        walk.note("a multipart is nested too deep or its boundary is too long; it was not opened");
        return Some(part);
    }
    walk.multiparts.push((part.kind.essence, part.parent));
    open.push(Open { boundary, number: walk.multiparts.len() });
    None
}

/// The boundary of a multipart that does not name it: the first line that begins with two dashes, if a field follows.
fn guessed_boundary(bytes: &[u8], from: usize) -> Option<Vec<u8>> {
    let found = next_dashes(&memmem::Finder::new(DASHES), bytes, from.saturating_sub(1))?;
    let next = line_end(bytes, found);
    let line = trimmed(bytes.get(found..next)?);
    let after = bytes.get(next..)?;
    after.get(..8)?.eq_ignore_ascii_case(b"content-").then(|| line.get(2..).unwrap_or_default().to_vec())
}

fn finish(bytes: &[u8], walk: &mut Walk, mut leaf: Leaf, end: usize) {
    let mut end = end.max(leaf.block.end);
    // The line end in front of a delimiter belongs to the delimiter.
    if end < bytes.len() && end > leaf.block.end {
        end -= 1;
        if end > leaf.block.end && bytes.get(end - 1) == Some(&b'\r') {
            end -= 1;
        }
    }
    leaf.body = leaf.block.end..end;
    walk.leaves.push(leaf);
}

fn leaf(bytes: &[u8], block: Block, parent: usize) -> Leaf {
    let kind = content_type(bytes, &block);
    let view = block.view(bytes);
    let encoding = view.first("content-transfer-encoding").map_or_else(String::new, |it| token(&it).to_ascii_lowercase());
    Leaf { kind, encoding, body: block.end..block.end, block, parent }
}

fn token(text: &str) -> &str {
    text.split([';', '(']).next().unwrap_or(text).trim()
}

fn content_type(bytes: &[u8], block: &Block) -> ContentType {
    let Some(value) = block.view(bytes).first("content-type") else { return ContentType::default() };
    let mut out = ContentType { essence: token(&value).to_ascii_lowercase(), ..ContentType::default() };
    for (name, value) in parameters(&value).take(40) {
        let name = name.split('*').next().unwrap_or(name);
        let slot = if name.eq_ignore_ascii_case("charset") {
            &mut out.charset
        } else if name.eq_ignore_ascii_case("boundary") {
            &mut out.boundary
        } else if name.eq_ignore_ascii_case("report-type") {
            &mut out.report_type
        } else if name.eq_ignore_ascii_case("name") {
            &mut out.name
        } else {
            continue;
        };
        slot.get_or_insert(value);
    }
    out.report_type = out.report_type.map(|it| it.to_ascii_lowercase());
    out.name = out.name.map(|it| decode::words(it.into()).into_owned());
    out
}

/// The parameters of a field after its first semicolon; quotes and quoted pairs are undone.
fn parameters(value: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        loop {
            let (name, after) = rest.split_once('=')?;
            let name = name.rsplit(';').next().unwrap_or(name).trim();
            let (text, tail) = parameter(after.trim_start());
            rest = tail;
            if !name.is_empty() {
                return Some((name, text));
            }
        }
    })
}

/// One parameter value and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = match quoted.find(['"', '\\']).map(|at| quoted.split_at(at)) {
        // Without a quoted pair, as it stands.
        Some((plain, rest)) if rest.starts_with('"') => return (plain.to_owned(), rest.split_once(';').map_or("", |(_, rest)| rest)),
        _ => String::new(),
    };
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                return (value, rest.split_once(';').map_or("", |(_, rest)| rest));
            }
            '\\' => value.extend(letters.next().map(|(_, it)| it)),
            _ => value.push(letter),
        }
    }
    (value, "")
}
