//! `rebound imports`: what was imported, and taking it back.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::import::{ACTOR, ImportView, RefusedLine, transfers};
use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::store::{ImportId, ImportMode, Undo, Visible};

/// Refused lines read at once.
const LINES_AT_ONCE: u64 = 1000;

/// Lists imports, shows what they refused, and undoes them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists imports, the newest first.
    List {
        /// Only those into this list and those below it.
        #[arg(long, value_name = "LIST")]
        list: Option<String>,
        /// Most of them.
        #[arg(long, default_value_t = 20)]
        limit: u64,
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
    /// Prints the lines that an import did not take, one JSON object on a line.
    Refused {
        /// Id of the import.
        id: Uuid,
    },
    /// Undoes an import as a whole; what other facts and other imports say remains.
    Undo {
        /// Id of the import.
        id: Uuid,
        /// How to print what was done.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        format: Output,
    },
}

/// An import that was undone.
#[derive(Debug, Serialize)]
struct UndoneView {
    #[serde(flatten)]
    import: ImportView,
    /// Entries that changed by it.
    changed: u64,
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = Arc::new(setup::store(&config, &clock).await?);
        match &args.command {
            Command::List { list, limit, format } => {
                let visible = match list {
                    Some(name) => Visible::Below(store.list(name).await?),
                    None => Visible::All,
                };
                let found = store.imports(None, &visible, *limit, clock.now()).await?;
                print(&found.iter().map(ImportView::new).collect::<Vec<_>>(), *format)?;
            }
            Command::Refused { id } => {
                let mut out = io::BufWriter::new(io::stdout().lock());
                let mut after = 0;
                loop {
                    let lines = store.refused_lines(ImportId(*id), after, LINES_AT_ONCE).await?;
                    let Some(last) = lines.last().map(|it| it.0) else { break };
                    after = last;
                    for (line, error) in lines {
                        writeln!(out, "{}", serde_json::to_string(&RefusedLine { line, error })?)?;
                    }
                }
                out.flush()?;
            }
            Command::Undo { id, format } => {
                let transfers = transfers(&config, store.clone(), clock.clone())?;
                let import = store.import(ImportId(*id), clock.now()).await?.context("there is no import of this id")?;
                let import = match store.begin_undo(import.id, ACTOR, clock.now()).await? {
                    Undo::Begun(import) => import,
                    Undo::Done(import) => {
                        format
                            .tell(&UndoneView { import: ImportView::new(&import), changed: 0 }, || "it was undone before\n".to_owned())?;
                        return Ok(Exit::Success);
                    }
                    Undo::NotNow(import) if import.mode == ImportMode::Preview => bail!("it was a preview; there is nothing to undo"),
                    Undo::NotNow(import) => bail!("it is {}; wait until it has ended", import.state),
                };
                let (import, changed) = transfers.take_back(&import).await?;
                let text = || format!("the import into {} is undone; {changed} entries changed\n", import.list.name);
                format.tell(&UndoneView { import: ImportView::new(&import), changed }, text)?;
            }
        }
        Ok(Exit::Success)
    })
}

fn print(imports: &[ImportView], format: Output) -> anyhow::Result<()> {
    let text = match format {
        Output::Json => serde_json::to_string_pretty(imports)? + "\n",
        Output::Text => {
            let head = ["IMPORT", "LIST", "STATE", "WHEN", "BY", "ROWS"].map(str::to_owned).to_vec();
            let row = |it: &ImportView| {
                // Of a preview nothing is on the list, however well it ended.
                let state = if it.dry_run { "preview" } else { it.state };
                vec![it.import_id.clone(), it.list.clone(), state.to_owned(), it.created_at.clone(), it.actor.clone(), it.counts()]
            };
            table(&std::iter::once(head).chain(imports.iter().map(row)).collect::<Vec<_>>())
        }
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}
