//! `rebound interpret`: posts of providers in, one on a line, what they mean out. Nothing is recorded and nothing fetched.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bounce::classify::Rules;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::cli::{Exit, rules};
use crate::clock::Clock;

/// Reads posts of providers, one JSON object on a line, and tells what they mean; records nothing.
///
/// A line has the keys `id`, `source` (the keys of a `[[source]]` of the configuration; `certificates` in place of fetching
/// them), `method`, `url`, `headers`, `body_b64` and `at` (Unix seconds).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file with classification rules that come before the built-in ones; may be given several times.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// File with one post on a line, or - for standard input.
    #[arg(value_name = "CASES")]
    cases: PathBuf,
}

/// Interprets. A line that is no post makes the whole a failure at its end.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let rules = rules::load(&args.rules, config)?;
    let mut input: Box<dyn BufRead> = if args.cases.as_os_str() == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(&args.cases).with_context(|| format!("{} cannot be read", args.cases.display()))?;
        Box::new(BufReader::new(file))
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let now = Clock::system().now();
    let (mut line, mut failed) = (Vec::new(), false);
    while input.read_until(b'\n', &mut line).with_context(|| format!("{} cannot be read", args.cases.display()))? > 0 {
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            let outcome = interpret(&text, now, &rules);
            failed |= outcome.get("error").is_some();
            writeln!(out, "{outcome}")?;
        }
        line.clear();
    }
    out.flush()?;
    Ok(if failed { Exit::Failure } else { Exit::Success })
}

/// One post, isolated: one that brings a reader down costs only itself.
fn interpret(line: &str, now: OffsetDateTime, rules: &Rules) -> Value {
    let judge = |report: &bounce::report::Report| bounce::classify::classify(report, rules);
    catch_unwind(AssertUnwindSafe(|| bounce::esp::interpret::interpret(line, now, judge))).unwrap_or_else(|_| {
        let id = serde_json::from_str(line).map(|it: Value| it["id"].clone()).unwrap_or_default();
        json!({"id": id, "error": "reading it ended in a panic; please report this post"})
    })
}
