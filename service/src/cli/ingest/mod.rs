//! `rebound ingest`: messages of this machine into the lists, through the same intake as those that come over the network. Made
//! for the pipe of a mail server (`bounces: "|rebound ingest --source bounces -"`), so the exit code is the answer: 0 only when
//! everything is committed, and 75 (`EX_TEMPFAIL`, the server keeps the mail and comes again) whenever it is not and could be.

mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bounce::kind::Attribution;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::cli::messages::{self, Entry, Found};
use crate::cli::{Exit, setup, told};
use crate::clock::Clock;
use crate::config::{Config, MIME};
use crate::intake::{self, Arrival, Intake, Outcome, RulesInForce, Source, Sources};
use crate::spool::{self, Presence, Role};
use crate::store::{List, Store};
use crate::telemetry::{Telemetry, chain};

/// Messages that are taken in at the same time.
const TOGETHER: usize = 16;
/// What the messages are.
const MEDIA_TYPE: &str = "message/rfc822";

/// Takes messages in for good, as if they had come over the network.
///
/// Prints one JSON object on a line for each message. Ends with 0 only when every message is committed, or while the database is
/// away safe in the spool of a `rebound serve` on this machine; with 75 when it has to
/// be brought again (the database is away; for standard input also when the configuration is wrong, so that a mail server
/// keeps the mail); with 65 when a message is empty or too large; with 1 when a file cannot be read. What was brought before
/// is recognised and does no harm.
#[derive(Debug, clap::Args)]
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
    /// Message, mbox file, Maildir, folder (with all that is below it), or - for standard input.
    #[arg(value_name = "PATH", default_value = "-")]
    paths: Vec<PathBuf>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// One for each message.
    All,
    /// None but errors.
    Errors,
}

/// What messages are taken in with.
struct Ingest {
    intake: Intake,
    source: Arc<Source>,
    list: Option<Arc<List>>,
    clock: Clock,
    max_body: usize,
}

/// Takes messages in.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let is_piped = args.paths.iter().any(|it| it.as_os_str() == "-");
    let result = setup::load(config).and_then(|config| setup::block_on(ingest(args, config)));
    match result {
        // A mail server that is told anything else returns the mail, to nobody.
        Err(error) if is_piped || setup::is_outage(&error) => match told(&error) {
            Exit::Success => Ok(Exit::Success),
            _ => Ok(Exit::Again),
        },
        result => result,
    }
}

async fn ingest(args: &Args, config: Config) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let source = config.sources.iter().find(|it| it.name == args.source);
    match source {
        None => bail!("there is no source named {:?} in the configuration", args.source),
        Some(it) if it.provider != MIME => {
            bail!("source {:?} takes posts of {}, not messages; use one with provider = \"mime\"", it.name, it.provider)
        }
        Some(_) => {}
    }
    let Met { store, sources, list, found } = meet(&config, args.list.as_deref(), &clock).await?;
    let source = sources.get(&args.source).context("the source has gone")?;
    let rules = RulesInForce::new(app::load_rules(&config)?);
    let telemetry = Arc::new(Telemetry::new([args.source.as_str()]));
    let (intake, committer) = intake::channel(store.clone(), rules, config.intake.clone(), telemetry.clone(), Arc::new(Notify::new()));
    // Only a folder that `serve` has made will be emptied, so any other one is none.
    let intake = match app::open_spool(&config, Role::Guest, &telemetry, &clock) {
        Ok(Some(spool)) => intake.with_spool(Arc::new(spool), Presence::new(found), config.intake.commit_timeout),
        _ => intake,
    };
    let stop = CancellationToken::new();
    let committing = tokio::spawn(committer.run(clock.clone(), stop.clone()));
    let ingest = Arc::new(Ingest { intake, source, list, clock, max_body: config.http.max_body.bytes() });
    let lines = if args.quiet { Lines::Errors } else { Lines::All };
    let exit = take_all(ingest, messages::list(&args.paths), config.intake.queue.min(TOGETHER), lines).await;
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

/// Takes in some at a time, tells of them in order, and stops where the rest has to be brought again.
async fn take_all(ingest: Arc<Ingest>, entries: Vec<Entry>, together: usize, lines: Lines) -> anyhow::Result<Exit> {
    let (sender, mut found) = mpsc::channel(together);
    let reading = tokio::task::spawn_blocking(move || {
        // Whoever takes them in may have stopped; then there is nothing more to read.
        entries.into_iter().try_for_each(|it| it.read(|found| sender.blocking_send(found)))
    });
    let mut worst = Exit::Success;
    let mut some = Vec::new();
    while worst != Exit::Again && found.recv_many(&mut some, together).await > 0 {
        let taking: Vec<_> = some.drain(..).map(|found| tokio::spawn(ingest.clone().take(found))).collect();
        for it in taking {
            let taken = it.await.context("taking a message in ended in a panic")?;
            view::print(&taken, lines)?;
            worst = worst.max(taken.exit);
        }
    }
    drop(found);
    // An error of the reader is that nobody listens any more.
    let _ = reading.await;
    Ok(worst)
}

/// What became of one message.
#[derive(Debug)]
struct Taken {
    path: String,
    exit: Exit,
    told: Result<Outcome, String>,
}

impl Ingest {
    async fn take(self: Arc<Self>, found: Found) -> Taken {
        let Found { path, content } = found;
        let failed = |path, exit, error: &dyn std::error::Error| Taken { path, exit, told: Err(chain(error)) };
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => return failed(path, Exit::Data, &error),
            // What cannot be read from a pipe can be brought again.
            Err(error) => return failed(path.clone(), if path == "-" { Exit::Again } else { Exit::Failure }, &error),
        };
        let refused = |path, why: String| Taken { path, exit: Exit::Data, told: Err(why) };
        if bytes.trim_ascii().is_empty() {
            return refused(path, "it is empty".to_owned());
        }
        if bytes.len() > self.max_body {
            return refused(path, format!("it has {} bytes; the limit is {} (http.max_body)", bytes.len(), self.max_body));
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
            Ok(outcome) => Taken { path, exit: Exit::Success, told: Ok(outcome) },
            Err(error) => failed(path, Exit::Again, &error),
        }
    }
}
