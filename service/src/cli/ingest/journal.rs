//! How far an archive was taken in, so that what was interrupted goes on where it was: a line for each message that is durable,
//! written after it is. A kill loses nothing of it, and a loss of power at most its last lines, whose messages are then brought
//! again and recognised; so the journal never says more than is true, and nothing depends on its saying all.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::cli::messages::{Entry, Reached};

/// The first line: what the messages were taken in as.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heading {
    /// The version of the format.
    pub(super) rebound_ingest: u32,
    pub(super) source: String,
    pub(super) list: Option<String>,
}

/// Each other line.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    file: std::borrow::Cow<'a, str>,
    octets: u64,
    messages: usize,
    modified: u64,
}

/// The journal of one archive.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    reached: HashMap<String, Reached>,
    /// Files with a message that has to be brought again: what follows it is not noted.
    open: HashSet<Arc<str>>,
}

impl Journal {
    /// Opens a journal, or begins one.
    pub(super) fn open(path: &Path, heading: &Heading) -> anyhow::Result<Self> {
        let failed = || format!("the journal {} cannot be used", path.display());
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(failed)?;
        let mut journal = Self { path: path.to_owned(), file, reached: HashMap::new(), open: HashSet::new() };
        let mut lines = BufReader::new(journal.file.try_clone().with_context(failed)?).split(b'\n');
        match lines.next().transpose().with_context(failed)? {
            None => journal.write(heading)?,
            Some(first) => match serde_json::from_slice::<Heading>(&first) {
                Ok(it) if it == *heading => {}
                Ok(it) => {
                    bail!("the journal {} is of messages of the source {:?} for {}", path.display(), it.source, of(it.list.as_deref()))
                }
                Err(_) => bail!("{} is no journal of `rebound ingest`", path.display()),
            },
        }
        for line in lines {
            // The last line may have been cut.
            if let Ok(it) = serde_json::from_slice::<Line<'_>>(&line.with_context(failed)?) {
                let reached = Reached { octets: it.octets, messages: it.messages, modified: it.modified };
                journal.reached.insert(it.file.into_owned(), reached);
            }
        }
        // Should the last line have been cut, the next one begins anew.
        journal.file.write_all(b"\n").with_context(failed)?;
        Ok(journal)
    }

    /// Leaves what is still to be read of what was found, and says how many messages need not be.
    pub(super) fn go_on(&self, entries: Vec<Entry>) -> (Vec<Entry>, usize) {
        let mut known = 0;
        let left = |mut entry: Entry| {
            let Some(reached) = self.reached.get(entry.path()) else { return Some(entry) };
            known += reached.messages;
            if entry.go_on(*reached) { None } else { Some(entry) }
        };
        let entries = entries.into_iter().filter_map(left).collect();
        (entries, known)
    }

    /// Notes that a file is durable up to here.
    pub(super) fn note(&mut self, file: &Arc<str>, reached: Reached) -> anyhow::Result<()> {
        if self.open.contains(file) {
            return Ok(());
        }
        let Reached { octets, messages, modified } = reached;
        self.write(&Line { file: file.as_ref().into(), octets, messages, modified })
    }

    /// Notes that a message of a file has to be brought again.
    pub(super) fn leave_open(&mut self, file: &Arc<str>) {
        self.open.insert(file.clone());
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // In one piece, so that it is cut at most at its end.
        self.file.write_all(&text).with_context(|| format!("the journal {} cannot be written", self.path.display()))
    }
}

fn of(list: Option<&str>) -> String {
    list.map_or_else(|| "its own list".to_owned(), |it| format!("the list {it}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::messages;

    fn heading(source: &str) -> Heading {
        Heading { rebound_ingest: 1, source: source.to_owned(), list: None }
    }

    #[test]
    fn what_is_noted_is_known_later_and_what_follows_a_gap_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let at = |messages| Reached { octets: 10, messages, modified: 5 };
        let mut journal = Journal::open(&path, &heading("a")).unwrap();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "tw\u{f6}".into());
        journal.note(&one, at(1)).unwrap();
        journal.note(&two, at(1)).unwrap();
        journal.leave_open(&one);
        journal.note(&one, at(2)).unwrap();
        journal.note(&two, at(2)).unwrap();
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"file\":\"one\",\"octe").unwrap();
        for _ in 0..2 {
            let journal = Journal::open(&path, &heading("a")).unwrap();
            assert_eq!((journal.reached["one"], journal.reached["tw\u{f6}"]), (at(1), at(2)));
        }
        let mut journal = Journal::open(&path, &heading("a")).unwrap();
        journal.note(&one, at(3)).unwrap();
        assert_eq!(Journal::open(&path, &heading("a")).unwrap().reached["one"], at(3));
    }

    #[test]
    fn the_journal_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        Journal::open(&path, &heading("a")).unwrap();
        let error = Journal::open(&path, &heading("b")).unwrap_err().to_string();
        assert!(error.contains("\"a\""), "{error}");
        std::fs::write(&path, "From: somebody\n").unwrap();
        assert!(Journal::open(&path, &heading("a")).unwrap_err().to_string().contains("no journal"));
    }

    #[test]
    fn files_that_are_done_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for name in ["a.eml", "b.eml"] {
            std::fs::write(file(name), "Subject: x\n\ny\n").unwrap();
        }
        let list = || messages::list(&[file("a.eml"), file("b.eml")]);
        let mut journal = Journal::open(&file("journal"), &heading("a")).unwrap();
        let mut found = Vec::new();
        let push = |it| {
            found.push(it);
            Ok::<_, ()>(())
        };
        list().remove(0).read(push).unwrap();
        journal.note(&found[0].file, found[0].reached.unwrap()).unwrap();
        let (left, known) = Journal::open(&file("journal"), &heading("a")).unwrap().go_on(list());
        assert_eq!((left.iter().map(|it| it.path().to_owned()).collect::<Vec<_>>(), known), (vec![file("b.eml").display().to_string()], 1));
    }
}
