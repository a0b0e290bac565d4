//! `rebound suppress` and `rebound allow`: what a person says of addresses, in place of what was said before.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

use bounce::address::Address;
use bounce::policy::{Act, Cause, Deed};

use crate::cli::keys::text;
use crate::cli::moment::{self, When};
use crate::cli::page::plain;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::store::{ActRequest, List, Store, lifting};

/// Blocks addresses by hand: they are not mailed on this list and those below, whatever else is known.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    entry: Entry,
}

/// Allows addresses by hand: they are mailed on this list and those below, whatever failures have put. A manual block outweighs
/// it, and complaint and unsubscribe hold unless --overrides-consent is given.
#[derive(Debug, clap::Args)]
pub(super) struct AllowArgs {
    #[command(flatten)]
    entry: Entry,
    /// Mail them against a complaint or an unsubscribe too. Have their word for it.
    #[arg(long)]
    overrides_consent: bool,
}

#[derive(Debug, clap::Args)]
struct Entry {
    /// Addresses, @domain for a whole domain, or - to read them from standard input, one on a line.
    #[arg(value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
    /// The list.
    #[arg(long, value_name = "LIST")]
    list: String,
    /// Until when: a day, a moment, or for how long (30d); for good if left out.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    expires: Option<When>,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who, for the audit.
    #[arg(long, value_name = "NAME", default_value = setup::ACTOR)]
    by: String,
    /// How to print what was done; json is one object on a line for each address.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// Blocks.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    put(&args.entry, Act::Block, config)
}

/// Allows.
pub(super) fn allow(args: &AllowArgs, config: Option<&Path>) -> anyhow::Result<Exit> {
    put(&args.entry, if args.overrides_consent { Act::AllowConsent } else { Act::Allow }, config)
}

fn put(entry: &Entry, act: Act, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        let list = store.list(&entry.list).await?;
        let now = clock.now();
        let expires_at = entry.expires.map(|it| it.ahead(now));
        anyhow::ensure!(expires_at.is_none_or(|it| it > now), "--expires is over already");
        let deed = Deed { expires_at, ..act.into() };
        let mut exit = Exit::Success;
        for given in given(&entry.addresses)? {
            match Address::parse_entry(&given) {
                Ok(address) => one(&store, &list, &address, deed, entry, &clock).await?,
                Err(error) => {
                    writeln!(io::stderr().lock(), "rebound: {}: {error}", plain(&given))?;
                    exit = Exit::Data;
                }
            }
        }
        Ok(exit)
    })
}

fn given(addresses: &[String]) -> io::Result<Vec<String>> {
    let mut given = Vec::new();
    for address in addresses {
        if address == "-" {
            for line in io::stdin().lock().split(b'\n') {
                given.push(String::from_utf8_lossy(&line?).trim().to_owned());
            }
        } else {
            given.push(address.clone());
        }
    }
    given.retain(|it| !it.is_empty());
    Ok(given)
}

async fn one(
    store: &Store,
    list: &std::sync::Arc<List>,
    address: &Address,
    deed: Deed,
    entry: &Entry,
    clock: &Clock,
) -> anyhow::Result<()> {
    let now = clock.now();
    let (cause, opposite, said) = if deed.act == Act::Block {
        (Cause::ManualBlock, Cause::ManualAllow, "blocked")
    } else {
        (Cause::ManualAllow, Cause::ManualBlock, "allowed")
    };
    let standing = store.standing(list, address).await?;
    let stands = standing.iter().any(|it| it.list == list.id && it.cause == opposite && it.released_at.is_none());
    let acts = if stands { vec![lifting(opposite), deed] } else { vec![deed] };
    let request = ActRequest { list: list.clone(), address, acts: &acts, actor: &entry.by, note: entry.note.clone() };
    store.act(request, now).await?;
    let end = deed.expires_at.map(text);
    let line = match entry.format {
        Output::Text => {
            let end = end.map_or_else(|| "for good".to_owned(), |it| format!("until {it}"));
            format!("{} is {said} on {}, {end}", plain(address.expose()), list.name)
        }
        Output::Json => {
            let view = serde_json::json!({
                "address": address.expose(), "list": list.name, "cause": cause.as_str(), "expires_at": end, "actor": entry.by,
            });
            view.to_string()
        }
    };
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}
