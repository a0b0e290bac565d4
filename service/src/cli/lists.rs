//! `rebound lists`: makes and lists suppression lists. Lists of the configuration need no making.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::config::ListName;

/// Makes and lists suppression lists.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists the lists.
    List {
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Makes a list, and those above it. One that is there already stays as it is.
    Create {
        /// Dotted name: acme.weekly stands below acme.
        #[arg(value_parser = name)]
        name: String,
    },
}

fn name(text: &str) -> Result<String, String> {
    let name = ListName::parse(text).ok_or("a name has up to 150 of a-z, 0-9, - and _, in words with single dots between: acme.weekly")?;
    Ok(name.as_str().to_owned())
}

/// A list as it is listed.
#[derive(Debug, Serialize)]
struct ListView {
    name: String,
    honours: Option<Vec<&'static str>>,
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        match &args.command {
            Command::Create { name } => {
                let known = store.lists().await?.iter().any(|it| it.name == *name);
                if !known {
                    store.ensure_list(name, None, clock.now()).await?;
                }
                writeln!(io::stdout().lock(), "{name} {}", if known { "is there already" } else { "is made" })?;
            }
            Command::List { format } => {
                let lists = store.lists().await?;
                let view = |it: &crate::store::List| ListView {
                    name: it.name.clone(),
                    honours: it.honours.as_ref().map(|it| it.iter().map(|it| it.as_str()).collect()),
                };
                print(lists.iter().map(|it| view(it)).collect(), *format)?;
            }
        }
        Ok(Exit::Success)
    })
}

fn print(lists: Vec<ListView>, format: Output) -> anyhow::Result<()> {
    let text = match format {
        Output::Json => serde_json::to_string_pretty(&lists)? + "\n",
        Output::Text => {
            let head = vec!["LIST".to_owned(), "HONOURS".to_owned()];
            let rows = lists.into_iter().map(|it| vec![it.name, it.honours.map_or_else(|| "everything".to_owned(), |it| it.join(","))]);
            table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
        }
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
