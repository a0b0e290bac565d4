//! What is told of messages as they are taken in: lines, errors, a bar on a terminal, the journal, and the summary in the end.

use std::io::{self, Write as _};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::journal::Journal;
use super::summary::Summary;
use super::{Format, Taken, view};
use crate::cli::Exit;
use crate::cli::messages::Entry;

/// Tells of messages.
#[derive(Debug)]
pub(super) struct Teller {
    /// What is wanted; nothing but errors if none.
    format: Option<Format>,
    journal: Option<Journal>,
    bar: ProgressBar,
    /// The file that is being read, the octets of it that were told of, and of all files before it.
    file: Option<(Arc<str>, u64)>,
    summary: Summary,
}

impl Teller {
    /// Tells of what comes from these.
    pub(super) fn new(format: Option<Format>, entries: &[Entry], journal: Option<Journal>) -> Self {
        Self { format, journal, bar: bar(format, entries), file: None, summary: Summary::default() }
    }

    /// What an earlier run has left of them.
    pub(super) fn left_of(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let Some(journal) = &self.journal else { return entries };
        let (all, sizes) = (entries.len(), |entries: &[Entry]| entries.iter().filter_map(Entry::size).sum::<u64>());
        let before = sizes(&entries);
        let (left, known) = journal.go_on(entries);
        self.summary.done_before = known;
        if left.len() < all {
            self.bar.inc(before - sizes(&left).min(before));
        }
        left
    }

    /// Tells of one. The journal knows of it only if it is durable, or never will be.
    pub(super) fn tell(&mut self, taken: &Taken) -> anyhow::Result<()> {
        self.summary.add(taken);
        self.bar.suspend(|| view::print(taken, self.format));
        if let (Some(journal), Some(reached)) = (&mut self.journal, taken.reached) {
            match taken.exit {
                Exit::Success | Exit::Data => journal.note(&taken.file, reached)?,
                _ => journal.leave_open(&taken.file),
            }
        }
        if let Some(reached) = taken.reached {
            let told = self.file.as_ref().filter(|(file, _)| *file == taken.file).map_or(0, |(_, octets)| *octets);
            self.bar.inc(reached.octets.saturating_sub(told));
            self.file = Some((taken.file.clone(), reached.octets));
        }
        Ok(())
    }

    /// What has been counted.
    pub(super) const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Tells the summary, in words that are given.
    pub(super) fn finish(&self, words: impl FnOnce(&Summary) -> String) {
        self.finish_with(&self.summary, || words(&self.summary));
    }

    /// Tells a summary that has more to it. Where nobody listens any more it is not told; what was done is done.
    pub(super) fn finish_with(&self, document: &impl Serialize, words: impl FnOnce() -> String) {
        self.bar.finish_and_clear();
        let _ = match self.format {
            Some(Format::Text) => writeln!(io::stdout().lock(), "{}", words()),
            Some(Format::Json) => {
                serde_json::to_string(document).map_err(io::Error::from).and_then(|it| writeln!(io::stdout().lock(), "{it}"))
            }
            // Whoever looks on is told as well; nobody else is.
            Some(Format::Lines) if self.summary.messages > 1 && io::IsTerminal::is_terminal(&io::stderr()) => {
                writeln!(io::stderr().lock(), "{}", words())
            }
            None | Some(Format::Lines) => Ok(()),
        };
    }
}

/// A bar on a terminal over all octets of files, nothing elsewhere.
fn bar(format: Option<Format>, entries: &[Entry]) -> ProgressBar {
    let is_wanted = format.is_some() && io::IsTerminal::is_terminal(&io::stderr());
    let sizes: Option<u64> = if is_wanted { entries.iter().map(Entry::size).sum() } else { None };
    let Some(size) = sizes else { return ProgressBar::hidden() };
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3}%  {binary_bytes} of {binary_total_bytes}  {eta} left") {
        bar.set_style(style);
    }
    bar
}
