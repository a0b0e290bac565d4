//! `rebound ingest`: messages of this machine into the lists, through the same intake as those that come over the network. Made
//! for the pipe of a mail server (`bounces: "|rebound ingest --source bounces -"`), so the exit code is the answer: 0 only when
//! everything is committed, and 75 (`EX_TEMPFAIL`, the server keeps the mail and comes again) whenever it is not and could be.
//! And for archives: an mbox file, a Maildir or a folder of any size, which may be interrupted and gone on with.

mod flow;
mod journal;
mod rehearse;
mod summary;
mod tell;
mod view;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bounce::kind::Attribution;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::journal::{Heading, Journal};
use self::tell::Teller;
use crate::app;
use crate::cli::messages::{self, Entry, Found};
use crate::cli::{Exit, setup, told};
use crate::clock::Clock;
use crate::config::{Config, MIME};
use crate::intake::{self, Arrival, Intake, Outcome, RulesInForce, Source, Sources};
use crate::spool::{self, Presence, Role};
use crate::store::{List, Store};
use crate::telemetry::{Telemetry, chain};

/// What the messages are.
const MEDIA_TYPE: &str = "message/rfc822";
/// What follows the help.
const EXIT_CODES: &str = "\
Exit codes, those of sysexits.h where a mail server acts on them:
  0   every message is committed, or safe in the spool of a `rebound serve` on this machine
  1   something else is wrong: no such source or list
  2   the arguments are wrong; try the line of an alias by hand once
  65  a message is empty or too large; told on standard error, the others are taken in
  66  a file or folder cannot be read; the others are taken in
  70  a fault of ours; please report it
  75  come again: the database is away. With - every failure but 2 and 65 is this one, so that the mail server keeps the mail
  77  a file or folder may not be read by this user; the others are taken in
  78  the configuration cannot be used

For the pipe of a mail server:
  bounces: \"|rebound --config /etc/rebound.toml ingest --source bounces --quiet -\"

For an archive, which goes on where it was if it is interrupted:
  rebound ingest --source bounces --resume 2025.journal archive/2025.mbox";

/// Takes messages in for good, as if they had come over the network.
///
/// What was brought before is recognised, told as `duplicate`, and does no harm. A message that cannot be understood is kept
/// for a later version (`unrecognised`, `quarantined`) and never keeps the others from being taken in.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// Name of the source that the messages come from: a `[[source]]` with `provider = "mime"`.
    #[arg(long, value_name = "NAME")]
    source: String,
    /// The list they count for, in place of the source's.
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// Print nothing but errors.
    #[arg(long, short)]
    quiet: bool,
    /// What to print on standard output: lines, if nothing is said; text with --dry-run.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Note in this file how far each file was taken in, and go on from what is noted there.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    resume: Option<PathBuf>,
    /// Write nothing, and say what these messages are and which addresses would newly be suppressed.
    #[arg(long)]
    dry_run: bool,
    /// Message, mbox file, Maildir, folder (with all that is below it), or - for standard input.
    #[arg(value_name = "PATH", default_value = "-")]
    paths: Vec<PathBuf>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A JSON object on a line for each message.
    Lines,
    /// A summary in words.
    Text,
    /// A summary as one JSON object.
    Json,
}

/// What messages are taken in with.
#[derive(Debug)]
struct Ingest {
    intake: Intake,
    source: Arc<Source>,
    list: Option<Arc<List>>,
    clock: Clock,
    max_body: usize,
    queue: usize,
    queue_bytes: usize,
}

/// Takes messages in.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let is_piped = args.paths.iter().any(|it| it.as_os_str() == "-");
    let ingesting = || setup::load(config).and_then(|config| setup::block_on(ingest(args, config)));
    match catch_unwind(AssertUnwindSafe(ingesting)) {
        // Where the panic was has been told.
        Err(_) => Ok(if is_piped { Exit::Again } else { Exit::Software }),
        // A mail server that is told anything else returns the mail, to nobody.
        Ok(Err(error)) if is_piped || setup::is_outage(&error) => {
            told(&error);
            Ok(Exit::Again)
        }
        Ok(Ok(exit)) if is_piped && exit > Exit::Data => Ok(Exit::Again),
        Ok(result) => result,
    }
}

async fn ingest(args: &Args, config: Config) -> anyhow::Result<Exit> {
    let source = config.sources.iter().find(|it| it.name == args.source);
    match source {
        None => bail!("there is no source named {:?} in the configuration", args.source),
        Some(it) if it.provider != MIME => {
            bail!("source {:?} takes posts of {}, not messages; use one with provider = \"mime\"", it.name, it.provider)
        }
        Some(_) => {}
    }
    let entries = messages::list(&args.paths);
    if args.dry_run {
        return Box::pin(rehearse::rehearse(args, &config, entries)).await;
    }
    let heading = Heading { rebound_ingest: 1, source: args.source.clone(), list: args.list.clone() };
    let journal = args.resume.as_deref().map(|it| Journal::open(it, &heading)).transpose()?;
    let format = args.format.unwrap_or(Format::Lines);
    let mut teller = Teller::new((!args.quiet).then_some(format), &entries, journal);
    let entries = teller.left_of(entries);
    let met = meet(&config, args.list.as_deref(), &Clock::system()).await?;
    let exit = take_all(args, &config, met, entries, &mut teller).await?;
    teller.finish(|summary| format!("{}\n{}", summary.text(), summary.changes()));
    Ok(exit)
}

/// Takes everything in, into a database.
async fn take_all(args: &Args, config: &Config, met: Met, entries: Vec<Entry>, teller: &mut Teller) -> anyhow::Result<Exit> {
    let Met { store, sources, list, found } = met;
    let clock = Clock::system();
    let source = sources.get(&args.source).context("the source has gone")?;
    let rules = RulesInForce::new(app::load_rules(config)?);
    let telemetry = Arc::new(Telemetry::new([args.source.as_str()]));
    let (intake, committer) = intake::channel(store.clone(), rules, config.intake.clone(), telemetry.clone(), Arc::new(Notify::new()));
    // Only a folder that `serve` has made will be emptied, so any other one is none.
    let intake = match app::open_spool(config, Role::Guest, &telemetry, &clock) {
        Ok(Some(spool)) => intake.with_spool(Arc::new(spool), Presence::new(found), config.intake.commit_timeout),
        _ => intake,
    };
    let stop = CancellationToken::new();
    let committing = tokio::spawn(committer.run(clock.clone(), stop.clone()));
    let (queue, queue_bytes) = (config.intake.queue, config.intake.queue_bytes.bytes());
    let ingest = Arc::new(Ingest { intake, source, list, clock, max_body: config.http.max_body.bytes(), queue, queue_bytes });
    let exit = flow::take_all(ingest, entries, |taken| teller.tell(&taken)).await;
    stop.cancel();
    committing.await.context("the committer ended in a panic")?;
    store.close().await;
    exit
}

/// The database, and what is known from it.
struct Met {
    store: Arc<Store>,
    sources: Sources,
    list: Option<Arc<List>>,
    found: spool::Found,
}

/// Opens the database. While it is away the names of the configuration do, for whatever can be kept in the spool.
async fn meet(config: &Config, list: Option<&str>, clock: &Clock) -> anyhow::Result<Met> {
    let opened = async {
        let store = Arc::new(setup::store(config, clock).await?);
        let sources = Sources::open(&store, config, clock.now()).await?;
        let list = match list {
            Some(name) => Some(store.list(name).await?),
            None => None,
        };
        anyhow::Ok(Met { store, sources, list, found: spool::Found::There })
    };
    match opened.await {
        Err(error) if setup::is_outage(&error) && has_spool(config) => Ok(Met {
            store: Arc::new(app::open_store(config).await?),
            sources: Sources::named_only(config),
            list: list.map(|it| Arc::new(List::named_only(it))),
            found: spool::Found::Unmet,
        }),
        opened => opened,
    }
}

/// Whether `serve` has made a folder for receipts that cannot be committed.
fn has_spool(config: &Config) -> bool {
    config.spool.enabled && spool::is_kept(&config.spool.path)
}

/// What became of one message.
#[derive(Debug)]
struct Taken {
    path: String,
    file: Arc<str>,
    reached: Option<messages::Reached>,
    exit: Exit,
    told: Result<Outcome, String>,
}

impl Ingest {
    async fn take(&self, found: Found) -> Taken {
        let Found { path, file, reached, content } = found;
        let (exit, told) = match content {
            Ok(bytes) => self.take_bytes(bytes).await,
            Err(error) => (unread(&error, &file), Err(chain(&error))),
        };
        Taken { path, file, reached, exit, told }
    }

    async fn take_bytes(&self, bytes: Vec<u8>) -> (Exit, Result<Outcome, String>) {
        if bytes.trim_ascii().is_empty() {
            return (Exit::Data, Err("it is empty".to_owned()));
        }
        if bytes.len() > self.max_body {
            return (Exit::Data, Err(format!("it has {} bytes; the limit is {} (http.max_body)", bytes.len(), self.max_body)));
        }
        let arrival = Arrival {
            tokens: Vec::new(),
            source: self.source.clone(),
            media_type: MEDIA_TYPE.to_owned(),
            bytes: bytes.into(),
            attribution: Attribution::Unattributed,
            received_at: self.clock.now(),
            list: self.list.clone(),
        };
        match self.intake.accept(arrival).await {
            Ok(outcome) => (Exit::Success, Ok(outcome)),
            Err(error) => (Exit::Again, Err(chain(&error))),
        }
    }
}

/// What to end with if a message could not be read. From a pipe it can be brought again.
fn unread(error: &std::io::Error, file: &str) -> Exit {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => Exit::Data,
        _ if file == "-" => Exit::Again,
        std::io::ErrorKind::PermissionDenied => Exit::Permission,
        _ => Exit::NoInput,
    }
}
