//! `rebound why`: the whole story of an address, and the raw receipts it rests on.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use bounce::address::Address;
use uuid::Uuid;

use crate::cli::keys::text;
use crate::cli::page::{BOLD, DIM, HEAD, plain, stdout, styled, wrap};
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::http::StoryView;
use crate::store::{ReceiptId, Store};

/// Tells why lists say what they say of an address: what came in, what counted, who did what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address, or @domain for the entry of a whole domain.
    #[arg(required_unless_present = "raw")]
    address: Option<String>,
    /// Only the tree of lists that this one belongs to.
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
    /// Print instead the raw bytes of this receipt, which the story names.
    #[arg(long, value_name = "RECEIPT", conflicts_with_all = ["list", "format"])]
    raw: Option<Uuid>,
}

/// Tells.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        if let Some(receipt) = args.raw {
            return raw(&store, ReceiptId(receipt)).await;
        }
        let given = args.address.as_deref().unwrap_or_default();
        let address = match Address::parse_entry(given) {
            Ok(address) => address,
            Err(error) => {
                writeln!(io::stderr().lock(), "rebound: {}: {error}", plain(given))?;
                return Ok(Exit::Data);
            }
        };
        let list = match &args.list {
            Some(name) => Some(store.list(name).await?),
            None => None,
        };
        let story = StoryView::tell(&store, &address, list.as_ref(), None, clock.now()).await?;
        match args.format {
            Output::Json => writeln!(io::stdout().lock(), "{}", serde_json::to_string_pretty(&story)?)?,
            Output::Text => stdout().write_all(page(address.expose(), &story).as_bytes())?,
        }
        Ok(Exit::Success)
    })
}

async fn raw(store: &Store, id: ReceiptId) -> anyhow::Result<Exit> {
    let receipt = store.raw_receipt(id).await?.with_context(|| format!("there is no receipt {id}"))?;
    let Some(body) = receipt.body else { bail!("the bytes of receipt {id} are kept no longer") };
    io::stdout().lock().write_all(&body)?;
    Ok(Exit::Success)
}

fn page(address: &str, story: &StoryView) -> String {
    let mut out = String::new();
    out.push_str(&styled(BOLD, &plain(address)));
    out.push('\n');
    let holding = story.holding();
    match (story.known(), holding.is_empty()) {
        ("never", _) => out.push_str("  never heard of\n"),
        (_, true) => out.push_str("  nothing stands against it now\n"),
        (_, false) => holding.iter().for_each(|it| wrap(&mut out, "  ", 2, it)),
    }
    for (at, what, list, summary, effect) in story.chapters() {
        let lead = format!("{}  {}", styled(DIM, &text(at)), styled(HEAD, &format!("{what:8}")));
        out.push('\n');
        wrap(&mut out, &lead, 30, &format!("{}{summary}", list.map(|it| format!("{it}: ")).unwrap_or_default()));
        if let Some(effect) = effect {
            wrap(&mut out, &format!("{:30}→ ", ""), 32, effect);
        }
    }
    out
}
