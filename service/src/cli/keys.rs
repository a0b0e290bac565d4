//! `rebound keys`: makes, lists and revokes API keys. A secret is shown once, when it is made, and kept nowhere.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::table::table;
use crate::cli::{Exit, Output, setup, words};
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::store::{ApiKey, Scope, Store, key_name};

/// Makes, lists and revokes API keys.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes a key and prints its secret, which is never shown again.
    Create(Create),
    /// Lists keys, oldest first.
    List {
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Revokes a key; what uses it is refused within 30 seconds.
    Revoke {
        /// Name or prefix of the key.
        #[arg(value_name = "NAME|PREFIX")]
        name: String,
        /// How to print what was done.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Name of the key; what is done with it goes under this name.
    #[arg(value_parser = key_name)]
    name: String,
    /// What it may do: read, write, ingest, admin. Several, with commas or by giving this again.
    #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',', value_parser = words(Scope::ALL, Scope::as_str), hide_possible_values = true)]
    scope: Vec<Scope>,
    /// Only for this list and those below it.
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// How long it lives, such as 90d or 12h; for good if left out.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
    /// How many requests a minute it may make, whatever `http.rate_limit` says.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate_limit: Option<u32>,
    /// Print the secret and nothing else.
    #[arg(long, short)]
    quiet: bool,
    /// How to print it: as text the secret alone, as JSON the key with its secret.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).filter(|it| !it.is_zero()).ok_or_else(|| "write a time such as 90d, 12h or 30m".to_owned())
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        match &args.command {
            Command::Create(args) => create(&store, args, clock.now()).await,
            Command::List { format } => list(&store, *format, clock.now()).await,
            Command::Revoke { name, format } => revoke(&store, name, *format, clock.now()).await,
        }
    })
}

async fn create(store: &Store, args: &Create, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let list = match &args.list {
        Some(name) => Some(store.list(name).await?),
        None => None,
    };
    let expires_at = match args.expires {
        Some(time) => Some(now.checked_add(time::Duration::try_from(time)?).context("--expires lies beyond the calendar")?),
        None => None,
    };
    let mut scopes = args.scope.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let made = store.create_key(&args.name, &scopes, list, expires_at, now).await?;
    if args.rate_limit.is_some() {
        store.limit_key(made.key.id, args.rate_limit).await?;
    }
    // The secret alone on standard output, so that a shell can catch it.
    let secret = made.secret.expose_secret();
    let key = ApiKey { rate_limit: args.rate_limit, ..made.key.clone() };
    args.format.tell(&MadeView { key: view(&key, now), secret }, || format!("{secret}\n"))?;
    if !args.quiet && args.format == Output::Text {
        let text = format!("Key {} is made. Above is its secret; it is kept nowhere and never shown again.", made.key.name);
        writeln!(io::stderr().lock(), "{text}")?;
    }
    Ok(Exit::Success)
}

async fn revoke(store: &Store, name: &str, format: Output, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let Some(key) = store.revoke_key(name, now).await? else {
        bail!("there is no key with the name or prefix {name:?}; see `rebound keys list`");
    };
    format
        .tell(&view(&key, now), || format!("revoked {} ({}); what still uses it is refused within 30 seconds\n", key.name, key.prefix))?;
    Ok(Exit::Success)
}

async fn list(store: &Store, format: Output, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let keys = store.keys().await?;
    let views: Vec<KeyView> = keys.iter().map(|it| view(it, now)).collect();
    let text = match format {
        Output::Json => serde_json::to_string_pretty(&views)? + "\n",
        Output::Text => {
            let head = ["NAME", "PREFIX", "STATE", "SCOPES", "LIST", "RATE", "CREATED", "LAST USED", "EXPIRES"].map(str::to_owned).to_vec();
            let rows = views.iter().map(|it| {
                let scopes = it.scopes.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(",");
                let (list, expires) = (it.list.unwrap_or("all").to_owned(), it.expires_at.clone().unwrap_or_else(|| "never".to_owned()));
                let rate = it.rate_limit.map_or_else(|| "-".to_owned(), |it| format!("{it}/min"));
                let used = it.last_used_at.clone().unwrap_or_else(|| "never".to_owned());
                let (name, prefix, state) = (it.name.to_owned(), it.prefix.to_owned(), it.state.to_owned());
                vec![name, prefix, state, scopes, list, rate, it.created_at.clone(), used, expires]
            });
            table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        }
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

/// A key as it is listed.
#[derive(Debug, Serialize)]
struct KeyView<'a> {
    name: &'a str,
    prefix: &'a str,
    state: &'static str,
    scopes: &'a [Scope],
    list: Option<&'a str>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    rate_limit: Option<u32>,
    last_used_at: Option<String>,
}

/// A key that was just made.
#[derive(Debug, Serialize)]
struct MadeView<'a> {
    #[serde(flatten)]
    key: KeyView<'a>,
    /// Shown this once.
    secret: &'a str,
}

fn view(key: &ApiKey, now: OffsetDateTime) -> KeyView<'_> {
    let state = match (key.revoked_at, key.is_live(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "live",
        (None, false) => "expired",
    };
    KeyView {
        name: &key.name,
        prefix: &key.prefix,
        state,
        scopes: &key.scopes,
        list: key.list.as_ref().map(|it| it.name.as_str()),
        created_at: text(key.created_at),
        expires_at: key.expires_at.map(text),
        revoked_at: key.revoked_at.map(text),
        rate_limit: key.rate_limit,
        last_used_at: key.last_used_at.map(text),
    }
}

/// RFC 3339 in UTC, whole seconds.
pub(super) fn text(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).truncate_to_second().format(&Rfc3339).unwrap_or_default()
}
