//! `rebound evaluate`: the reader against a labelled set, so that a change of rules can be measured on an archive of one's
//! own, and compared with how it was before. Reading the messages is here, the counting in [`bounce::evaluate`], what is
//! printed in [`text`].

mod text;

use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bounce::classify::{Rules, classify};
use bounce::evaluate::{Answer, Evaluation, Label, labels};
use bounce::mail::Mail;
use bounce::report;

use crate::cli::{Exit, Output, messages, page, rules};

/// What stands among the failures of a message that brought the reader down.
const PANIC: &str = "reading it ended in a panic; please report this message";

/// Measures the reader on messages of which the truth is known.
///
/// LABELS has one JSON object on a line for each message: `id`, `path` (relative to the folder of LABELS), `source` (a part
/// of the set, with figures of its own) and `expected`, a list with one object for each recipient; none where nothing may be
/// claimed. Keys of a recipient: `recipient` and `also` (other spellings); `disposition` (hard, soft, expired, delayed,
/// delivered, complaint, unknown, none) and `accept` (what else is right); `status` and `status_accept`; `cat` (user, domain,
/// full, disabled, policy, relay, size, system, expired, complaint); `reason` in words of `GET /v1/codes`, which counts only
/// where `reasons_accept` is there, be it empty; `optional` (may be reported or not). Other keys are let be.
///
/// Precision: recipients reported that are right. Recall: recipients due that were reported. Hard or soft and status: of all
/// due, so that one that is missing is wrong in both. Reason and coarse reason: of those found. Soft and expired are the same;
/// relay and policy are the same coarse reason, and so are expired and system. Wrongly suppressed: recipients reported as hard
/// or as complaints that are neither, of all reported. Missed suppressions: those that are, and were not reported as such. A
/// label that accepts both says nothing of either. Rightly left alone: messages of which nothing may be claimed, and is not.
///
/// `score.py`, which comes with some sets, gives the same figures but for two things: a message that cannot be found is left
/// out here, and told, rather than counted as one of which nothing was claimed; and a request to be taken off a list, which
/// both count as a complaint, is right in the coarse reason here and wrong there.
///
/// Ends with 1 if a message could not be read, or if something is worse than in the run of --baseline.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is true of each message.
    #[arg(value_name = "LABELS")]
    labels: PathBuf,
    /// The folder that the paths of the labels start from, in place of the one with LABELS.
    #[arg(long, value_name = "DIR")]
    messages: Option<PathBuf>,
    /// Write the run there, to compare a later one with. It holds addresses of the messages that are not right.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How to print the run: json is what --json writes. What could not be read, and the comparison, go to standard error then.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
    /// Compare with this earlier run, and end with 1 if something is worse.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Tell what is wrong with each message that is not right.
    #[arg(long)]
    failing: bool,
    /// A file with classification rules that come before the built-in ones; may be given several times.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// What was measured.
#[derive(Debug, Default)]
struct Run {
    evaluation: Evaluation,
    /// Messages that could not be read, and why.
    unread: Vec<(String, io::Error)>,
}

/// Evaluates.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let rules = rules::load(&args.rules, config)?;
    let labels = labels(&read(&args.labels, "labels")?).with_context(|| format!("{}", args.labels.display()))?;
    let baseline = args.baseline.as_deref().map(earlier).transpose()?;
    let folder = args.labels.parent().unwrap_or(Path::new(""));
    let Run { evaluation, unread } = evaluate(&labels, args.messages.as_deref().unwrap_or(folder), &rules);
    let mut page = text::evaluation(&evaluation);
    if args.failing {
        page.push_str(&text::failing(&evaluation));
    }
    let comparison = baseline.map(|earlier| (evaluation.since(&earlier), earlier));
    // What the run itself does not say.
    let mut beside = String::new();
    if let Some((comparison, earlier)) = &comparison {
        beside.push_str(&text::comparison(&evaluation, earlier, comparison));
    }
    beside.push_str(&text::unread(&unread));
    match args.format {
        Output::Text => page::stdout().write_all((page + &beside).as_bytes())?,
        Output::Json => {
            args.format.tell(&evaluation, String::new)?;
            page::stderr().write_all(beside.as_bytes())?;
        }
    }
    if let Some(file) = &args.json {
        let run = serde_json::to_string_pretty(&evaluation)?;
        std::fs::write(file, run).with_context(|| format!("the run cannot be written to {}", file.display()))?;
    }
    let is_worse = comparison.is_some_and(|it| !it.0.worse.is_empty());
    Ok(if is_worse || !unread.is_empty() { Exit::Failure } else { Exit::Success })
}

fn read(file: &Path, what: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("the {what} in {} cannot be read", file.display()))
}

fn earlier(file: &Path) -> anyhow::Result<Evaluation> {
    serde_json::from_str(&read(file, "earlier run")?).with_context(|| format!("{} is not a run written by --json", file.display()))
}

fn evaluate(labels: &[Label], folder: &Path, rules: &Rules) -> Run {
    let mut run = Run::default();
    for label in labels {
        match contents(&folder.join(label.path.as_ref().unwrap_or(&label.id))) {
            Ok(contents) => add(&mut run.evaluation, label, &contents, rules),
            Err(error) => run.unread.push((label.id.clone(), error)),
        }
    }
    run
}

/// The message at a path; several if it is a mailbox, which then counts as a whole.
fn contents(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut contents = Vec::new();
    for entry in messages::list(&[path.to_owned()]) {
        entry.read(|found| found.content.map(|it| contents.push(it)))?;
    }
    Ok(contents)
}

/// Reads, judges and counts, isolated: a message that brings the reader down says nothing, and is among the failures.
fn add(evaluation: &mut Evaluation, label: &Label, contents: &[Vec<u8>], rules: &Rules) {
    let answers = catch_unwind(AssertUnwindSafe(|| contents.iter().flat_map(|it| answers(it, rules)).collect::<Vec<_>>()));
    evaluation.add(label, answers.as_deref().unwrap_or_default());
    if answers.is_err() {
        evaluation.failures.entry(label.id.clone()).or_default().push(PANIC.to_owned());
    }
}

fn answers(message: &[u8], rules: &Rules) -> Vec<Answer> {
    let reading = report::read(&Mail::parse(message));
    reading.reports.iter().filter_map(|it| Answer::of(it, &classify(it, rules))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNCE: &str = include_str!("../../../../docs/bounce.eml");
    const HELLO: &str = "From: jane@example.org\nSubject: hello\n\nHow are you?\n";

    #[test]
    fn messages_are_found_by_path_or_name_and_a_mailbox_counts_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.eml", BOUNCE);
        write("b.eml", HELLO);
        write("c.mbox", &format!("From x Sun Nov 22 10:00:00 2026\n{HELLO}\n\nFrom x Sun Nov 22 10:01:00 2026\n{BOUNCE}\n"));
        let due = r#"[{"recipient": "jane@corp.example", "disposition": "hard"}]"#;
        let text = format!(
            "{{\"id\": \"1\", \"path\": \"a.eml\", \"expected\": {due}}}\n{{\"id\": \"b.eml\"}}\n\
             {{\"id\": \"c.mbox\", \"expected\": {due}}}\n{{\"id\": \"d.eml\", \"expected\": {due}}}\n"
        );
        let Run { evaluation, unread } = evaluate(&labels(&text).unwrap(), folder.path(), Rules::builtin());
        assert_eq!((evaluation.total.messages, evaluation.total.found, evaluation.total.negatives_right), (3, 2, 1));
        assert!(evaluation.failures.is_empty(), "{evaluation:?}");
        assert_eq!(unread.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["d.eml"], "left out of the figures");
    }
}
