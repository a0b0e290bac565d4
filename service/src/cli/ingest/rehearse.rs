//! `rebound ingest --dry-run`: what would happen. The messages go the whole way, but into a database of their own in a temporary
//! folder; what it says in the end is then asked of the real one, which is only read. So it tells what these messages say by
//! themselves: soft failures that are known already and would add up with theirs are not among them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use bounce::address::Address;
use data_encoding::HEXLOWER;
use serde::Serialize;
use uuid::Uuid;

use super::summary::{Summary, words};
use super::tell::Teller;
use super::{Args, Format, meet, take_all};
use crate::app;
use crate::cli::messages::Entry;
use crate::cli::{Exit, setup};
use crate::clock::Clock;
use crate::config::{Config, IdentityConfig, SecretUrl};
use crate::store::{Answer, Extent, Store, StoreError, sqlite_file};

/// What would happen.
#[derive(Debug, Serialize)]
struct Foretold<'a> {
    dry_run: bool,
    #[serde(flatten)]
    messages: &'a Summary,
    lists: &'a BTreeMap<String, OnList>,
}

/// What would happen on one list.
#[derive(Debug, Default, Serialize)]
struct OnList {
    /// Addresses that are not suppressed there and would be, by cause.
    newly_suppressed: BTreeMap<&'static str, usize>,
    /// Addresses that are suppressed there anyway.
    already_suppressed: usize,
}

/// Takes messages in where it does not matter, and tells what came of it.
pub(super) async fn rehearse(args: &Args, config: &Config, entries: Vec<Entry>) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("there is no place for temporary files (TMPDIR)")?;
    let scratch = scratch(config, &folder.path().join("dry-run.db"));
    let format = args.format.unwrap_or(Format::Text);
    let mut teller = Teller::new((!args.quiet).then_some(format), &entries, None);
    let clock = Clock::system();
    // The list of the command line may be one that only the real database knows.
    let real = real(config).await?;
    if let (Some(real), Some(list)) = (&real, &args.list) {
        real.list(list).await?;
    }
    let met = meet_scratch(args, &scratch, &clock).await?;
    let exit = take_all(args, &scratch, met, entries, &mut teller).await?;
    let said = setup::store(&scratch, &clock).await?;
    let lists = compare(&said, real.as_ref(), &clock).await?;
    let foretold = Foretold { dry_run: true, messages: teller.summary(), lists: &lists };
    teller.finish_with(&foretold, || text(teller.summary(), &lists));
    said.close().await;
    Ok(exit)
}

/// The same configuration on a database of its own.
fn scratch(config: &Config, database: &std::path::Path) -> Config {
    let mut scratch = config.clone();
    scratch.database.url = SecretUrl::new(&format!("sqlite://{}?mode=rwc", database.display()));
    scratch.database.migrate_on_start = true;
    let pepper = [Uuid::new_v4(), Uuid::new_v4()].map(|it| HEXLOWER.encode(it.as_bytes())).concat();
    scratch.identity = IdentityConfig { pepper: Some(pepper.into()) };
    scratch.amqp.url = None;
    scratch.spool.enabled = false;
    scratch
}

async fn meet_scratch(args: &Args, scratch: &Config, clock: &Clock) -> anyhow::Result<super::Met> {
    if let Some(list) = &args.list {
        let store = setup::store(scratch, clock).await?;
        store.ensure_list(list, None, clock.now()).await?;
        store.close().await;
    }
    meet(scratch, args.list.as_deref(), clock).await
}

/// The real database, if there is one; one that is to be made is not made for this.
async fn real(config: &Config) -> anyhow::Result<Option<Store>> {
    if sqlite_file(config.database.url.expose()).is_some_and(|it| !it.exists()) {
        return Ok(None);
    }
    let store = app::open_store(config).await?;
    store.check_in().await?;
    Ok(Some(store))
}

/// What all lists of the one say that the other does not.
async fn compare(said: &Store, real: Option<&Store>, clock: &Clock) -> anyhow::Result<BTreeMap<String, OnList>> {
    let mut lists: BTreeMap<String, OnList> = BTreeMap::new();
    for list in said.lists().await? {
        let known = match real {
            Some(real) => match real.list(&list.name).await {
                Err(StoreError::UnknownList(_)) => None,
                found => Some((real, found?)),
            },
            None => None,
        };
        let mut after = None;
        loop {
            let page = said.export(&list, Extent::Everything, after, clock.now()).await?;
            let here = page.entries.iter().filter(|(_, at, _)| at.id == list.id);
            let here = here.filter_map(|(address, _, it)| Some((Address::parse(address).ok()?, it.cause)));
            // An address with several causes counts once, by the first.
            let here: BTreeMap<String, (Address, _)> = here.map(|it| (it.0.expose().to_owned(), it)).collect();
            let addresses: Vec<Address> = here.values().map(|it| it.0.clone()).collect();
            let answers = match &known {
                Some((real, list)) if !addresses.is_empty() => real.check(list, &addresses, clock.now()).await?,
                _ => vec![Answer::Clear; addresses.len()],
            };
            for ((_, cause), answer) in here.values().zip(answers) {
                let on = lists.entry(list.name.clone()).or_default();
                match answer {
                    Answer::Clear => *on.newly_suppressed.entry(cause.as_str()).or_default() += 1,
                    Answer::Suppressed(_) => on.already_suppressed += 1,
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(lists)
}

fn text(summary: &Summary, lists: &BTreeMap<String, OnList>) -> String {
    let mut text = format!("{}\nnothing was written; newly suppressed would be", summary.text());
    if lists.is_empty() {
        text.push_str(": nobody");
    }
    for (name, on) in lists {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  on {name}: {}; {} are already", words(&on.newly_suppressed, "nobody"), on.already_suppressed);
    }
    text
}
