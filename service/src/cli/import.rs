//! `rebound import`: a whole list in, straight into the database; the same as `POST /v1/lists/{list}/import`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bounce::policy::Cause;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::Notify;

use crate::app;
use crate::cli::{Exit, Output, setup, words};
use crate::clock::Clock;
use crate::config::Config;
use crate::intake::RulesInForce;
use crate::listing::{Format, Refused, Spool, Spooled};
use crate::store::{Import, ImportMode, Store};
use crate::telemetry::Telemetry;
use crate::transfer::{Consent, Order, Ordered, Reach, Transfers};

/// Who did it, in the audit.
pub(super) const ACTOR: &str = "command line";
/// Refused lines shown where no file is to have them.
const SHOWN: usize = 10;

/// Imports a list: our own format, or what SES, SendGrid, Mailgun, Postmark or SparkPost hand out, or one address on each line.
///
/// CSV and JSON in UTF-8, UTF-16 or Latin-1; the format is recognised by the header. Rows that name no list stand at the root
/// of the tree and so hold for all of it, but for unsubscribes and manual entries, which stand on the list. Importing the same
/// file again changes nothing. Ends with 65 if any line was refused; the others are imported; and if the file is no list.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file, or - for standard input.
    file: PathBuf,
    /// Name of the list.
    #[arg(long, value_name = "LIST")]
    list: String,
    /// Only show what would happen.
    #[arg(long)]
    dry_run: bool,
    /// How the file is written: csv, ndjson, ses, sendgrid, mailgun, postmark, sparkpost or plain.
    #[arg(long, value_name = "FORMAT", value_parser = formats(), hide_possible_values = true)]
    format: Option<Format>,
    /// The cause of rows that name none: import if left out. Naming one also takes bounces that a server blames on the sender.
    #[arg(long, value_name = "CAUSE", value_parser = words(Cause::ALL, Cause::as_str), hide_possible_values = true)]
    cause: Option<Cause>,
    /// Write each line that was not taken, with the reason, into this file: one JSON object on a line.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A format of lists; `json` is what others call `ndjson`.
pub(super) fn formats() -> impl TypedValueParser<Value = Format> {
    let known = |it: &Format| match it {
        Format::Ndjson => PossibleValue::new(it.as_str()).alias("json"),
        _ => PossibleValue::new(it.as_str()),
    };
    PossibleValuesParser::new(Format::ALL.iter().map(known))
        .try_map(|given| if given == "json" { Ok(Format::Ndjson) } else { given.parse::<Format>() })
}

/// Imports.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let file = spooled(&args.file)?;
    setup::block_on(import(args, config, file))
}

fn spooled(path: &Path) -> anyhow::Result<Spooled> {
    let unreadable = || format!("{} cannot be read", path.display());
    let mut spool = Spool::new().context("there is no place for temporary files (TMPDIR)")?;
    if path.as_os_str() == "-" {
        io::copy(&mut io::stdin().lock(), &mut spool).with_context(unreadable)?;
    } else {
        let mut file = File::open(path).with_context(unreadable)?;
        io::copy(&mut file, &mut spool).with_context(unreadable)?;
    }
    spool.finish().with_context(unreadable)
}

/// What works on whole lists, stopped between two steps by an interrupt.
pub(super) fn transfers(config: &Config, store: Arc<Store>, clock: Clock) -> anyhow::Result<Transfers> {
    let rules = RulesInForce::new(app::load_rules(config)?);
    let transfers = Transfers::new(store, rules, Arc::new(Telemetry::new([])), Arc::new(Notify::new()), clock);
    tokio::spawn({
        let transfers = transfers.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                transfers.stop().await;
            }
        }
    });
    Ok(transfers)
}

async fn import(args: &Args, config: Config, file: Spooled) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let store = Arc::new(setup::store(&config, &clock).await?);
    let list = store.list(&args.list).await?;
    let transfers = transfers(&config, store, clock)?;
    let size = file.size;
    let order = Order {
        list,
        actor: ACTOR.to_owned(),
        reach: Reach { confined: None, consent: Consent::MayBeOverridden },
        file,
        format: args.format,
        cause: args.cause,
        mode: if args.dry_run { ImportMode::Preview } else { ImportMode::Real },
    };
    let ready = match transfers.order(order).await? {
        Ordered::Known(import) => {
            print(&import, args.output, "was imported before and stands; nothing is to be done")?;
            return Ok(Exit::Success);
        }
        Ordered::Ready(ready) => *ready,
    };
    let mut report = Report::new(args.refused.as_deref())?;
    let bar = bar(size);
    let import = transfers
        .carry_out(ready, |it| {
            bar.set_position(it.done);
            report.take(it.refused);
        })
        .await;
    bar.finish_and_clear();
    report.finish()?;
    let import = import?;
    print(&import, args.output, if args.dry_run { "would be imported" } else { "is imported" })?;
    Ok(if import.counts.refused > 0 { Exit::Data } else { Exit::Success })
}

/// A bar on a terminal, nothing elsewhere.
fn bar(size: u64) -> ProgressBar {
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3}%  {binary_bytes} of {binary_total_bytes}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Where refused lines go: into a file, or the first of them on standard error.
struct Report {
    file: Option<BufWriter<File>>,
    shown: usize,
    more: usize,
    failed: Option<io::Error>,
}

/// A refused line of the report.
#[derive(Serialize)]
pub(super) struct RefusedLine {
    pub(super) line: u64,
    pub(super) error: String,
}

impl Report {
    fn new(path: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| File::create(path).with_context(|| format!("{} cannot be written", path.display()));
        Ok(Self { file: path.map(create).transpose()?.map(BufWriter::new), shown: 0, more: 0, failed: None })
    }

    fn take(&mut self, refused: &[Refused]) {
        for it in refused {
            let (line, error) = (it.line, it.why.to_string());
            let written = match &mut self.file {
                // What cannot be written must not stop the import.
                Some(file) => serde_json::to_writer(&mut *file, &RefusedLine { line, error })
                    .map_err(io::Error::from)
                    .and_then(|()| file.write_all(b"\n")),
                None if self.shown < SHOWN => {
                    self.shown += 1;
                    writeln!(io::stderr().lock(), "line {line}: {error}")
                }
                None => {
                    self.more += 1;
                    Ok(())
                }
            };
            if let Err(error) = written {
                self.failed.get_or_insert(error);
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Some(error) = self.failed {
            return Err(error).context("the refused lines cannot be written");
        }
        if let Some(mut file) = self.file {
            file.flush().context("the refused lines cannot be written")?;
        }
        if self.more > 0 {
            writeln!(io::stderr().lock(), "and {} lines more; --refused FILE has them all", self.more)?;
        }
        Ok(())
    }
}

/// An import as it is printed for programs.
#[derive(Debug, Serialize)]
pub(super) struct ImportView {
    pub(super) import_id: String,
    pub(super) list: String,
    format: &'static str,
    pub(super) dry_run: bool,
    pub(super) state: &'static str,
    error: Option<String>,
    rows: u64,
    added: u64,
    updated: u64,
    unchanged: u64,
    refused: u64,
    pub(super) actor: String,
    pub(super) created_at: String,
}

impl ImportView {
    pub(super) fn new(it: &Import) -> Self {
        Self {
            import_id: it.id.to_string(),
            list: it.list.name.clone(),
            format: it.format.as_str(),
            dry_run: it.mode == ImportMode::Preview,
            state: it.state.as_str(),
            error: it.error.clone(),
            rows: it.counts.rows(),
            added: it.counts.added,
            updated: it.counts.updated,
            unchanged: it.counts.unchanged,
            refused: it.counts.refused,
            actor: it.actor.clone(),
            created_at: crate::cli::keys::text(it.created_at),
        }
    }

    /// Its counts in words.
    pub(super) fn counts(&self) -> String {
        format!("{} added, {} updated, {} unchanged, {} refused", self.added, self.updated, self.unchanged, self.refused)
    }
}

fn print(import: &Import, output: Output, what: &str) -> anyhow::Result<()> {
    let view = ImportView::new(import);
    let text = match output {
        Output::Json => serde_json::to_string(&view)?,
        Output::Text => {
            let id = if view.dry_run { String::new() } else { format!("\nundo it with: rebound imports undo {}", view.import_id) };
            format!("the list ({}) {what} into {}: {}{id}", view.format, view.list, view.counts())
        }
    };
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}
