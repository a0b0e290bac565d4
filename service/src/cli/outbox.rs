//! `rebound outbox`: looks after the messages that wait for the broker. What the broker returns or refuses is put off and tried
//! again by itself; this is for the person who wants to know why, who has mended it and does not want to wait, or who gives
//! messages up. Nobody is told of an address here unless they ask for the documents.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cli::keys::text;
use crate::cli::page::plain;
use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::store::{Chosen, Store, Waiting};
use crate::telemetry::{self, Telemetry};

/// Lists, retries and discards messages that wait for the broker; lists them if nothing else is said.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: Listed,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists what waits, in the order in which it is published.
    List(Listed),
    /// Has messages tried again at once that the broker has returned or refused.
    Retry {
        #[command(flatten)]
        which: Which,
        /// How to print what was done.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Gives messages up: they are never published. The feeds go on to have what they say.
    Discard {
        #[command(flatten)]
        which: Which,
        /// Discard, and not only look.
        #[arg(long)]
        apply: bool,
        /// Who, for the log.
        #[arg(long, value_name = "NAME", default_value = setup::ACTOR)]
        by: String,
        /// How to print what was done.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
}

#[derive(Debug, clap::Args)]
struct Listed {
    #[command(flatten)]
    which: Which,
    /// Most of them.
    #[arg(long, default_value_t = 50)]
    limit: u64,
    /// Print the documents too, which name addresses.
    #[arg(long)]
    payload: bool,
    /// How to print them.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Ids of messages.
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    /// Those that the broker has returned or refused, at least so often.
    #[arg(long, value_name = "TIMES", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "ids")]
    refused: Option<u16>,
    /// All that wait.
    #[arg(long, conflicts_with_all = ["ids", "refused"])]
    all: bool,
}

impl Which {
    fn chosen(&self) -> Option<Chosen> {
        match self.refused {
            _ if !self.ids.is_empty() => Some(Chosen::These(self.ids.clone())),
            Some(times) => Some(Chosen::Refused(times)),
            None => self.all.then_some(Chosen::All),
        }
    }

    /// What is meant by who changes something: it must be said.
    fn named(&self) -> anyhow::Result<Chosen> {
        self.chosen().context("nothing is selected: name messages by their ids, or give --refused or --all")
    }
}

/// A message as it is listed.
#[derive(Debug, Serialize)]
struct WaitingView {
    message_id: Uuid,
    #[serde(rename = "type")]
    message_type: String,
    routing_key: String,
    attempts: i32,
    last_error: Option<String>,
    created_at: String,
    age_seconds: i64,
    /// Not before then; null if it is due.
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
}

impl WaitingView {
    fn new(it: Waiting, now: OffsetDateTime) -> Self {
        Self {
            message_id: it.message_id,
            message_type: it.message_type,
            routing_key: it.routing_key,
            attempts: it.attempts,
            last_error: it.last_error,
            created_at: text(it.created_at),
            age_seconds: (now - it.created_at).whole_seconds().max(0),
            next_attempt_at: it.not_before.filter(|it| *it > now).map(text),
            payload: None,
        }
    }

    /// With the document, which is JSON whatever else it is.
    fn with_payload(it: Waiting, now: OffsetDateTime) -> Self {
        let payload = RawValue::from_string(it.payload.clone()).ok();
        Self { payload, ..Self::new(it, now) }
    }
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
struct Done {
    matched: u64,
    changed: u64,
    applied: bool,
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    if matches!(&args.command, Some(Command::Discard { apply: true, .. })) {
        telemetry::init(&config.telemetry)?;
    }
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        let now = clock.now();
        match args.command.as_ref() {
            None => list(&store, &args.list, now).await,
            Some(Command::List(asked)) => list(&store, asked, now).await,
            Some(Command::Retry { which, format }) => {
                let chosen = which.named()?;
                let matched = known(&store, &chosen).await?;
                let done = Done { matched, changed: store.outbox_retry(&chosen).await?, applied: true };
                tell(&done, *format, |it| format!("{} of {} had been put off and are tried again now\n", it.changed, it.matched))
            }
            Some(Command::Discard { which, apply, by, format }) => {
                let chosen = which.named()?;
                let matched = known(&store, &chosen).await?;
                let changed = if *apply { discard(&store, &chosen, by).await? } else { 0 };
                tell(&Done { matched, changed, applied: *apply }, *format, |it| {
                    if it.applied {
                        format!("{} given up; the log names each\n", it.changed)
                    } else {
                        format!("{} would be given up. Nothing is done without --apply.\n", it.matched)
                    }
                })
            }
        }
    })
}

/// How many are meant. Ids of which none is there were mistyped, or are published.
async fn known(store: &Store, chosen: &Chosen) -> anyhow::Result<u64> {
    let matched = store.outbox_count(chosen).await?;
    match chosen {
        Chosen::These(ids) if matched == 0 => {
            bail!("none of the {} ids is that of a message that waits; what is published is gone", ids.len())
        }
        _ => Ok(matched),
    }
}

/// Gives up what waits now, and tells the log of each.
async fn discard(store: &Store, chosen: &Chosen, by: &str) -> anyhow::Result<u64> {
    let telemetry = Telemetry::new([]);
    let last = store.outbox_last().await?;
    let mut changed = 0;
    loop {
        let gone = store.outbox_discard(chosen, last).await?;
        if gone.is_empty() {
            return Ok(changed);
        }
        changed += gone.len() as u64;
        for it in gone {
            telemetry.message_discarded(it.message_id, &it.message_type, &it.routing_key, it.attempts, by);
        }
    }
}

async fn list(store: &Store, asked: &Listed, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let chosen = asked.which.chosen().unwrap_or(Chosen::All);
    let view = if asked.payload { WaitingView::with_payload } else { WaitingView::new };
    let found: Vec<WaitingView> = store.outbox_list(&chosen, asked.limit).await?.into_iter().map(|it| view(it, now)).collect();
    let matched = store.outbox_count(&chosen).await?;
    let text = match asked.format {
        Output::Json => serde_json::to_string_pretty(&found)? + "\n",
        Output::Text if found.is_empty() => "nothing waits\n".to_owned(),
        Output::Text => {
            let head = ["MESSAGE", "ROUTING KEY", "ATTEMPTS", "AGE", "NEXT ATTEMPT", "LAST ERROR"].map(str::to_owned).to_vec();
            let row = |it: &WaitingView| {
                let next = it.next_attempt_at.clone().unwrap_or_else(|| "due".to_owned());
                let error = it.last_error.clone().unwrap_or_else(|| "-".to_owned());
                vec![it.message_id.to_string(), it.routing_key.clone(), it.attempts.to_string(), age(it.age_seconds), next, error]
            };
            let rows = table(&std::iter::once(head).chain(found.iter().map(row)).collect::<Vec<_>>());
            let documents = found.iter().filter_map(|it| it.payload.as_deref()).map(|it| format!("\n{}", plain(it.get())));
            format!("{rows}\n{} of {matched}\n{}", found.len(), documents.collect::<String>())
        }
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

fn tell(done: &Done, format: Output, page: impl Fn(&Done) -> String) -> anyhow::Result<Exit> {
    let text = match format {
        Output::Json => serde_json::to_string_pretty(done)? + "\n",
        Output::Text => page(done),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

/// An age in its two largest units.
fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_two_largest_units() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, 10 * 86_400 + 3600].map(age);
        assert_eq!(ages, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 0h", "10d 1h"]);
    }
}
