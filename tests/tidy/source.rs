//! The files of the repository, and Rust code without its comments and literals.

use std::fs;
use std::path::Path;

/// A text file of the repository.
pub(crate) struct Source {
    /// Relative to the repository, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and the contents of literals blanked, line for line. For files that are not Rust, the text.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if is_rust(path) { code_of(text) } else { text.to_owned() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// The lines of code with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.code)
    }

    /// The lines of text with their numbers.
    pub(crate) fn text_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.text)
    }

    /// The number of the line at which a module of tests begins that stands in the file itself; tests come last.
    pub(crate) fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.code.lines().collect();
        let is_tests =
            |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ") && pair[1].contains('{');
        lines.windows(2).position(is_tests).map_or(usize::MAX, |index| index + 1)
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

pub(crate) fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// All text files that people write here. Mails of the corpus are not ours to judge, and build output is nobody's.
pub(crate) fn repository() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository");
    let mut sources = Vec::new();
    walk(root, root, &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn walk(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    const NOT_OURS: &[&str] = &["target", ".git", "corpus", "fixtures", "artifacts", "node_modules", "vendor", "__pycache__"];
    const TEXT: &[&str] =
        &["rs", "toml", "md", "sh", "py", "yaml", "yml", "json", "sql", "html", "css", "js", "txt", "conf", "cfg", "csv", "service"];
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let entry = entry.expect("a folder can be listed");
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            walk(root, &path, sources);
        }
        let is_text = path.extension().is_none_or(|extension| TEXT.iter().any(|text| extension == *text));
        if kind.is_file() && is_text && name != ".git" {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let relative = path.strip_prefix(root).expect("it lies in the repository");
            sources.push(Source::new(&relative.to_string_lossy(), &text));
        }
    }
}

/// Blanks comments and the contents of literals, so that what is left is code; lines stay where they are.
fn code_of(text: &str) -> String {
    let text: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&here) = text.get(at) {
        let skipped = match (here, text.get(at + 1)) {
            ('/', Some('/')) => line_comment(&text[at..]),
            ('/', Some('*')) => block_comment(&text[at..]),
            ('"', _) => quoted(&text[at..], '"'),
            ('r', Some('"' | '#')) if !text[..at].last().is_some_and(|before| is_word(*before) && *before != 'b') => {
                raw_string(&text[at..])
            }
            ('\'', Some('\\')) => quoted(&text[at..], '\''),
            ('\'', Some(_)) if text.get(at + 2) == Some(&'\'') => 3,
            _ => 0,
        };
        if skipped == 0 {
            code.push(here);
            at += 1;
        } else {
            let end = (at + skipped).min(text.len());
            code.extend(text[at..end].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn line_comment(text: &[char]) -> usize {
    text.iter().position(|letter| *letter == '\n').unwrap_or(text.len())
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(text: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != quote {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `r"…"` or `r#"…"#`; nothing for a raw identifier.
fn raw_string(text: &[char]) -> usize {
    let hashes = text[1..].iter().take_while(|letter| **letter == '#').count();
    if text.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let start = 2 + hashes;
    let closes = |at: &usize| text[*at] == '"' && text[at + 1..].iter().take(hashes).filter(|letter| **letter == '#').count() == hashes;
    (start..text.len()).find(closes).map_or(text.len(), |at| at + 1 + hashes)
}

/// Where a word stands in a line by itself and not as part of a longer one. A word that ends in `::` is the root of a path.
pub(crate) fn mentions(line: &str, word: &str) -> Vec<usize> {
    let touches = |edge: Option<char>, outside: Option<char>| edge.is_some_and(is_word) && outside.is_some_and(is_word);
    let stands_alone = |at: usize| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let is_inside_path = word.ends_with("::") && before.strip_suffix("::").is_some_and(|path| path.ends_with(is_word));
        !is_inside_path
            && !touches(word.chars().next(), before.chars().next_back())
            && !touches(word.chars().next_back(), after.chars().next())
    };
    line.match_indices(word).map(|(at, _)| at).filter(|at| stands_alone(*at)).collect()
}

/// The identifier at the beginning of a text.
pub(crate) fn word_at(text: &str) -> &str {
    text.split(|letter| !is_word(letter)).next().unwrap_or_default()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r##"let a = "use crate::http"; // use crate::http
/* one /* two */ "still" */ let b = r#"a " crate"#; let c = b"\" x"; let 'x: loop {} '"' '\'' r#type"##;
    let code = code_of(text);
    assert_eq!(code.lines().count(), 2);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), "let a = ; let b = ; let c = b ; let 'x: loop {} r#type");
}

#[test]
fn a_word_is_not_found_in_a_longer_one() {
    assert_eq!(mentions("entity::x my_entity::y own::entity::z ::entity::a", "entity::"), [0, 40]);
    assert_eq!(mentions("sea_orm::DbBackend MyDbBackend", "DbBackend"), [9]);
    assert_eq!(word_at("http::Error"), "http");
}
