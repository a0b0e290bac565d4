//! From the tree of layers to typed sections. A reader asks for the keys it knows; what nobody asked for is an unknown
//! key, what cannot be read is a problem, and reading goes on with the default so that all problems come to light at once.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use secrecy::{ExposeSecret as _, SecretString};

use super::problem::{Origin, Problem};
use super::show::Page;
use super::tree::{Entry, Node, Table};
use super::values::Scalar;

/// What reading has found out so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    /// Every key that was asked for, numbers of list elements left out.
    pub(super) known: Vec<String>,
    /// Keys that nobody asked for.
    pub(super) unknown: Vec<(String, Origin)>,
    /// Whether an element of a list of tables had to be left out, so that those after it have moved up.
    pub(super) left_out: bool,
}

/// A table of keys that is read into one struct and can be printed again.
pub(super) trait Section: Sized {
    /// Reads it; `None` only if a key that has no default is missing or unreadable (which is then a problem).
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
    /// Prints it, secrets hidden.
    fn show(&self, page: &mut Page);
}

/// Something a key can hold: a scalar, perhaps none, or a list of scalars.
pub(super) trait Setting: Sized {
    fn read(entry: &Entry, key: &str, findings: &mut Findings) -> Option<Self>;
    /// As TOML, secrets hidden; `None` where nothing is set.
    fn show(&self) -> Option<String>;
}

impl<T: Scalar> Setting for T {
    fn read(entry: &Entry, key: &str, findings: &mut Findings) -> Option<Self> {
        let (parsed, value) = match &entry.node {
            Node::Leaf(value) => (T::parse(value), Some(T::quote(value))),
            Node::Table(_) | Node::List(_) => (None, None),
        };
        if parsed.is_none() {
            findings.problem(key, value, entry, format!("must be {}", T::EXPECTED), format!("write for example {}", T::EXAMPLE));
        }
        match &entry.origin {
            Origin::Secret(file) => parsed.map(|it| it.read_from(file)),
            _ => parsed,
        }
    }

    fn show(&self) -> Option<String> {
        Some(Scalar::show(self).to_string())
    }
}

impl<T: Scalar> Setting for Option<T> {
    fn read(entry: &Entry, key: &str, findings: &mut Findings) -> Option<Self> {
        // TOML has no word for "none", and compose files hand over unset variables as empty ones.
        if matches!(&entry.node, Node::Leaf(toml::Value::String(text)) if text.is_empty()) {
            return Some(None);
        }
        <T as Setting>::read(entry, key, findings).map(Some)
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }
}

impl<T: Scalar> Setting for Vec<T> {
    fn read(entry: &Entry, key: &str, findings: &mut Findings) -> Option<Self> {
        let owned;
        let elements = match (&entry.node, &entry.origin) {
            (Node::Leaf(toml::Value::String(text)), Origin::Variable(_) | Origin::Secret(_)) => {
                let leaf = |it: &str| Entry { node: Node::Leaf(toml::Value::String(it.to_owned())), origin: entry.origin.clone() };
                owned = separated(text, &entry.origin).into_iter().map(leaf).collect::<Vec<_>>();
                Some(owned.iter().collect())
            }
            _ => entry.elements(),
        };
        let Some(elements) = elements else {
            let remedy = format!("write for example [{}]", T::EXAMPLE);
            findings.problem(key, None, entry, "must be a list in square brackets".to_owned(), remedy);
            return None;
        };
        let read = |(at, it)| <T as Setting>::read(it, &format!("{key}[{at}]"), findings);
        elements.into_iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
    }

    fn show(&self) -> Option<String> {
        let elements: Vec<String> = self.iter().filter_map(Setting::show).collect();
        Some(format!("[{}]", elements.join(", ")))
    }
}

/// Elements in a text: PEM blocks or lines of a file, parts between commas of a variable.
fn separated<'a>(text: &'a str, origin: &Origin) -> Vec<&'a str> {
    const PEM: &str = "-----BEGIN";
    let parts: Vec<&str> = if text.contains(PEM) {
        let starts: Vec<usize> = text.match_indices(PEM).map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        starts.iter().zip(ends).filter_map(|(start, end)| text.get(*start..end)).collect()
    } else if matches!(origin, Origin::Secret(_)) {
        text.lines().collect()
    } else {
        text.split(',').collect()
    };
    parts.into_iter().map(str::trim).filter(|it| !it.is_empty()).collect()
}

impl Findings {
    /// Turns the keys that nobody asked for into problems, each with the key that was probably meant.
    pub(super) fn report_unknown(&mut self) {
        for (key, origin) in std::mem::take(&mut self.unknown) {
            let remedy = match self.nearest(&key) {
                Some(known) => format!("did you mean {known}? Else remove it"),
                None => format!("remove it, or write one of {}", self.siblings(&key).join(", ")),
            };
            self.problems.push(Problem { key, value: None, origin: Some(origin), what: "is not a key that is known".to_owned(), remedy });
        }
    }

    /// Adds what validation found, but for keys that could not be read (they hold a default now) and for lists whose
    /// numbers are off.
    pub(super) fn add_failed_checks(&mut self, problems: impl Iterator<Item = Problem>) {
        let unreadable: HashSet<String> = self.problems.iter().map(|it| it.key.clone()).collect();
        let moved = |it: &Problem| self.left_out && it.key.contains('[');
        let sound: Vec<Problem> = problems.filter(|it| !unreadable.contains(&it.key) && !moved(it)).collect();
        self.problems.extend(sound);
    }

    /// The nearest key of the same section by spelling, or a key of that very name in another section.
    fn nearest(&self, key: &str) -> Option<&String> {
        let key = plain(key);
        let (section, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let distance = |known: &String| {
            let (above, word) = known.rsplit_once('.').unwrap_or(("", known));
            match strsim::damerau_levenshtein(word, name) {
                0 => Some(2),
                distance => (above == section && distance <= 1 + name.chars().count() / 4).then_some(distance),
            }
        };
        self.known.iter().filter_map(|it| Some((distance(it)?, it))).min_by_key(|(distance, _)| *distance).map(|(_, it)| it)
    }

    fn siblings(&self, key: &str) -> Vec<String> {
        let key = plain(key);
        let section = key.rsplit_once('.').map_or("", |(it, _)| it);
        let known = self.known.iter().filter_map(|it| match it.rsplit_once('.') {
            Some((above, word)) => (above == section).then_some(word),
            None => section.is_empty().then_some(it.as_str()),
        });
        let words: BTreeSet<&str> = known.collect();
        words.into_iter().map(str::to_owned).collect()
    }

    fn problem(&mut self, key: &str, value: Option<String>, entry: &Entry, what: String, remedy: String) {
        self.problems.push(Problem { key: key.to_owned(), value, origin: Some(entry.origin.clone()), what, remedy });
    }
}

/// Reads one table.
pub(super) struct Reader<'a> {
    path: String,
    table: &'a Table,
    origin: Origin,
    asked: Vec<String>,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &str, table: &'a Table, origin: Origin, findings: &'a mut Findings) -> Self {
        Self { path: path.to_owned(), table, origin, asked: Vec::new(), findings }
    }

    /// The value of a key, or the default if it is not set or unreadable.
    pub(super) fn get<T: Setting>(&mut self, key: &str, default: T) -> T {
        self.find(key).unwrap_or(default)
    }

    /// The value of a key that must be set.
    pub(super) fn required<T: Scalar>(&mut self, key: &str) -> Option<T> {
        let before = self.findings.problems.len();
        let value = self.find::<T>(key);
        if value.is_none() && self.findings.problems.len() == before {
            let origin = Some(self.origin.clone());
            let remedy = format!("write for example {key} = {}", T::EXAMPLE);
            self.findings.problems.push(Problem { key: self.key(key), value: None, origin, what: "is missing".to_owned(), remedy });
        }
        value
    }

    /// Whether the key is written anywhere.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.table.contains_key(&format!("{key}_file"))
    }

    fn find<T: Setting>(&mut self, key: &str) -> Option<T> {
        let file = format!("{key}_file");
        self.ask(key);
        let (path, table) = (self.key(key), self.table);
        // A document handed over by somebody else may not make us open files.
        let named = if self.origin == Origin::Document { None } else { table.get(&file) };
        self.asked.extend(named.map(|_| file.clone()));
        match (table.get(key), named) {
            (None, None) => None,
            (Some(entry), None) => T::read(entry, &path, self.findings),
            (None, Some(entry)) => T::read(&self.content(&file, entry)?, &path, self.findings),
            (Some(_), Some(entry)) => {
                let remedy = format!("keep either {key} or {file}");
                self.findings.problem(&self.key(&file), None, entry, format!("is set together with {key}"), remedy);
                None
            }
        }
    }

    /// The content of the file that a `…_file` key names, without the line end that editors leave.
    fn content(&mut self, key: &str, entry: &Entry) -> Option<Entry> {
        let key = self.key(key);
        let named = <std::path::PathBuf as Setting>::read(entry, &key, self.findings)?;
        let value = Some(format!("\"{}\"", named.display()));
        let what = match std::fs::read_to_string(&named) {
            Ok(content) if !content.trim().is_empty() => {
                let content = toml::Value::String(content.trim_end_matches(['\r', '\n']).to_owned());
                return Some(Entry { node: Node::Leaf(content), origin: Origin::Secret(named) });
            }
            Ok(_) => "names an empty file".to_owned(),
            Err(error) => format!("names a file that cannot be read: {error}"),
        };
        self.findings.problem(&key, value, entry, what, "name a readable text file that holds the value".to_owned());
        None
    }

    /// A list of secrets as plain texts, for the pure crate, which knows no secret type.
    pub(super) fn plain_secrets(&mut self, key: &str) -> Vec<String> {
        self.get::<Vec<SecretString>>(key, Vec::new()).iter().map(|it| it.expose_secret().to_owned()).collect()
    }

    /// As [`Reader::plain_secrets`], for a key that holds one or none.
    pub(super) fn plain_secret(&mut self, key: &str) -> Option<String> {
        self.get::<Option<SecretString>>(key, None).map(|it| it.expose_secret().to_owned())
    }

    /// Texts under names that are not keys.
    pub(super) fn texts(&mut self, key: &str) -> BTreeMap<String, String> {
        self.ask(key);
        let (path, table) = (self.key(key), self.table);
        let Some(Entry { node: Node::Table(inner), .. }) = table.get(key) else { return BTreeMap::new() };
        let text = |(name, entry)| Some((String::clone(name), <String as Setting>::read(entry, &path, self.findings)?));
        inner.iter().filter_map(text).collect()
    }

    /// A table inside this one.
    pub(super) fn section<S: Section>(&mut self, key: &str) -> Option<S> {
        self.ask(key);
        let (path, table) = (self.key(key), self.table);
        let entry = table.get(key)?;
        self.nested(&path, entry)
    }

    /// A list of tables, written `[[key]]`.
    pub(super) fn sections<S: Section>(&mut self, key: &str) -> Vec<S> {
        self.ask(key);
        let (path, table) = (self.key(key), self.table);
        let Some(entry) = table.get(key) else { return Vec::new() };
        let Some(elements) = entry.elements() else {
            let what = "must be a list of tables, numbered from 0 where it is given by the environment".to_owned();
            self.findings.problem(&path, None, entry, what, format!("write [[{path}]] and the keys below it"));
            return Vec::new();
        };
        let count = elements.len();
        let read: Vec<S> = elements.into_iter().enumerate().filter_map(|(at, it)| self.nested(&format!("{path}[{at}]"), it)).collect();
        self.findings.left_out |= read.len() < count;
        read
    }

    /// A table of tables whose keys are words.
    pub(super) fn map<K: Copy + Ord, S: Section>(&mut self, key: &str, words: &[(&str, K)]) -> BTreeMap<K, S> {
        self.ask(key);
        let (path, table) = (self.key(key), self.table);
        let Some(entry) = table.get(key) else { return BTreeMap::new() };
        let Node::Table(inner) = &entry.node else {
            self.findings.problem(&path, None, entry, "must be a table".to_owned(), format!("write [{path}.…] and the keys below it"));
            return BTreeMap::new();
        };
        let mut read = BTreeMap::new();
        for (word, _) in words {
            self.findings.known.push(plain(&format!("{path}.{word}")));
        }
        for (name, entry) in inner {
            match words.iter().find(|(word, _)| word == name) {
                Some((_, key)) => read.extend(self.nested(&format!("{path}.{name}"), entry).map(|it| (*key, it))),
                None => self.findings.unknown.push((format!("{path}.{name}"), entry.origin.clone())),
            }
        }
        read
    }

    fn nested<S: Section>(&mut self, path: &str, entry: &Entry) -> Option<S> {
        let Node::Table(table) = &entry.node else {
            self.findings.problem(path, None, entry, "must be a table".to_owned(), "write its keys, each with a value".to_owned());
            return None;
        };
        let mut reader = Reader::new(path, table, entry.origin.clone(), self.findings);
        let section = S::read(&mut reader);
        reader.finish();
        section
    }

    /// Records the keys that nobody asked for.
    pub(super) fn finish(self) {
        for (key, entry) in self.table.iter().filter(|(key, _)| !self.asked.contains(key)) {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            self.findings.unknown.push((path, entry.origin.clone()));
        }
    }

    fn ask(&mut self, key: &str) {
        self.asked.push(key.to_owned());
        self.findings.known.push(plain(&self.key(key)));
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A key without the numbers of list elements.
pub(super) fn plain(key: &str) -> String {
    key.split('.').map(|it| it.split('[').next().unwrap_or(it)).collect::<Vec<_>>().join(".")
}

/// Declares a section whose keys all have defaults: each field is a key of the same name, with its default beside it.
macro_rules! section {
    ($(#[$doc:meta])* pub struct $name:ident {
        $($(#[$fdoc:meta])* pub $field:ident: $type:ty = $default:expr,)+
        $(section $heading:literal $(#[$sdoc:meta])* pub $inner:ident: $section:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $type,)+
            $($(#[$sdoc])* pub $inner: $section,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ $($inner: <$section>::default(),)* }
            }
        }

        impl $crate::config::read::Section for $name {
            fn read(reader: &mut $crate::config::read::Reader<'_>) -> Option<Self> {
                let default = Self::default();
                Some(Self {
                    $($field: reader.get(stringify!($field), default.$field),)+
                    $($inner: reader.section(stringify!($inner)).unwrap_or_default(),)*
                })
            }

            fn show(&self, page: &mut $crate::config::show::Page) {
                $(page.key(stringify!($field), &self.$field);)+
                $(page.section($heading, &self.$inner);)*
            }
        }
    };
}
pub(super) use section;
