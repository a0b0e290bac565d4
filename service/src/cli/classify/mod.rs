//! `rebound classify`: messages in, what they mean out, nothing recorded. Every message gets its line, whatever becomes of
//! the others: what cannot be read, and a reader that panics, are lines with an error.

mod text;
mod view;

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub(super) use text::{codes, headline};

use bounce::classify::{Rules, Verdict};
use bounce::mail::Mail;
use bounce::report::{self, Reading};

use crate::cli::messages::{self, Entry, Found};
use crate::cli::{Exit, page, rules};

/// Threads at most, whatever is asked for.
const MOST_JOBS: usize = 256;
/// Entries that one thread takes at a time.
const SHARE: usize = 32;

/// Reads messages and tells what they mean; records nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to tell it: text for people, jsonl for programs (one JSON object on a line for each message).
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A file with classification rules that come before the built-in ones; may be given several times.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Threads that read; the order of the output stays the same.
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Message, mbox file, Maildir, folder (with all that is below it), or - for standard input.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

/// How to tell what a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    #[value(alias = "json")]
    Jsonl,
}

/// What was understood of one message.
#[derive(Debug)]
struct Judged {
    reading: Reading,
    /// One for each report.
    verdicts: Vec<Verdict>,
}

/// What is printed for one message.
#[derive(Debug)]
struct Printed {
    text: String,
    is_error: bool,
}

/// Classifies. A message that could not be read makes the whole a failure at its end.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let rules = rules::load(&args.rules, config)?;
    let entries = messages::list(&args.paths);
    let mut out: Box<dyn Write> = match args.format {
        Format::Text => Box::new(BufWriter::new(page::stdout())),
        Format::Jsonl => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let failed = if args.jobs.get() == 1 {
        one_by_one(entries, args.format, &rules, &mut out)?
    } else {
        together(entries, args.jobs.get(), args.format, &rules, &mut out)?
    };
    out.flush()?;
    Ok(if failed { Exit::Failure } else { Exit::Success })
}

fn one_by_one(entries: Vec<Entry>, format: Format, rules: &Rules, out: &mut dyn Write) -> io::Result<bool> {
    let mut failed = false;
    for entry in entries {
        entry.read(|found| {
            let printed = print(&found, format, rules);
            failed |= printed.is_error;
            out.write_all(printed.text.as_bytes())
        })?;
    }
    Ok(failed)
}

/// Takes as many entries as keep all threads busy, reads them, prints them in order, and goes on.
fn together(mut entries: Vec<Entry>, jobs: usize, format: Format, rules: &Rules, out: &mut dyn Write) -> io::Result<bool> {
    let mut failed = false;
    while !entries.is_empty() {
        let jobs = jobs.min(MOST_JOBS);
        let shares: Vec<Vec<Entry>> = (0..jobs).map(|_| entries.drain(..SHARE.min(entries.len())).collect()).collect();
        let printed: Vec<Printed> = std::thread::scope(|scope| {
            let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || print_all(share, format, rules))).collect();
            threads.into_iter().flat_map(|it| it.join().unwrap_or_default()).collect()
        });
        for it in printed {
            failed |= it.is_error;
            out.write_all(it.text.as_bytes())?;
        }
    }
    Ok(failed)
}

fn print_all(entries: Vec<Entry>, format: Format, rules: &Rules) -> Vec<Printed> {
    let mut printed = Vec::new();
    for entry in entries {
        let Ok(()) = entry.read(|found| {
            printed.push(print(&found, format, rules));
            Ok::<_, std::convert::Infallible>(())
        });
    }
    printed
}

fn print(found: &Found, format: Format, rules: &Rules) -> Printed {
    let told = match &found.content {
        Ok(bytes) => told(&found.path, bytes, format, rules),
        Err(error) => Err(error.to_string()),
    };
    match (told, format) {
        (Ok(text), _) => Printed { text, is_error: false },
        (Err(error), Format::Jsonl) => Printed { text: view::error(&found.path, &error), is_error: true },
        (Err(error), Format::Text) => Printed { text: text::error(&found.path, &error), is_error: true },
    }
}

/// Reads, judges and writes, isolated: one message that brings the reader down costs only itself.
fn told(path: &str, bytes: &[u8], format: Format, rules: &Rules) -> Result<String, String> {
    let told = catch_unwind(AssertUnwindSafe(|| {
        let judged = judge(bytes, rules);
        match format {
            Format::Text => text::message(path, &judged),
            Format::Jsonl => view::message(path, &judged),
        }
    }));
    told.map_err(|_| "reading it ended in a panic; please report this message".to_owned())
}

fn judge(bytes: &[u8], rules: &Rules) -> Judged {
    let reading = report::read(&Mail::parse(bytes));
    let verdicts = reading.reports.iter().map(|it| bounce::classify::classify(it, rules)).collect();
    Judged { reading, verdicts }
}
