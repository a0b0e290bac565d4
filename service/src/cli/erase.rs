//! `rebound erase`: forgets a person. Says what it would do, and asks, before it does it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::bail;
use bounce::address::Address;
use serde::Serialize;

use crate::cli::keys::text;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::store::{Erasing, Erasure, ErasureRequest, Known, Store};
use crate::telemetry::Erased;

/// Name under which the audit keeps what is done here.
pub(super) const ACTOR: &str = "command line";

/// Erases an address: its plain form, the raw bytes of everything that told of it, and its mention in every text.
///
/// What lists say stays under a pseudonym, so that a check answers as before, unless --forget-block is given. Says first what
/// it would do, and asks. What erasure cannot reach is told in docs/privacy.md.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address.
    address: String,
    /// Forget what lists say too: the address may be mailed again.
    #[arg(long)]
    forget_block: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// How to print what was done.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// What was done, as it is printed.
#[derive(Debug, Serialize)]
struct ErasureView {
    known: bool,
    block: &'static str,
    receipts: usize,
    events: usize,
    notes: usize,
    messages: usize,
    unread: usize,
    standing: Vec<StandingView>,
}

#[derive(Debug, Serialize)]
struct StandingView {
    list: String,
    cause: &'static str,
    reason: Option<&'static str>,
    since: String,
    expires_at: Option<String>,
}

/// Erases.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let address = match Address::parse(&args.address) {
        Ok(address) => address,
        Err(error) => {
            writeln!(io::stderr().lock(), "rebound: not an address: {error}")?;
            return Ok(Exit::Data);
        }
    };
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        let block = if args.forget_block { Erased::Forgotten } else { Erased::Kept };
        let request = |erasing| ErasureRequest { address: &address, block, actor: ACTOR, erasing };
        if !args.yes {
            let look = store.erase(request(Erasing::Look), clock.now()).await?;
            let unread = unread(&store, &address, Erasing::Look).await?;
            let mut out = io::stderr().lock();
            let look = ErasureView { unread, ..view(&store, &look, block).await? };
            out.write_all(sentences(&look, "would ").as_bytes())?;
            if !look.known && unread == 0 {
                // It was said above; programs read nothing else.
                args.format.tell(&look, String::new)?;
                return Ok(Exit::Success);
            }
            if !agreed()? {
                writeln!(out, "Nothing was erased.")?;
                return Ok(Exit::Failure);
            }
        }
        let done = view(&store, &store.erase(request(Erasing::Do), clock.now()).await?, block).await?;
        let done = ErasureView { unread: unread(&store, &address, Erasing::Do).await?, ..done };
        args.format.tell(&done, || sentences(&done, ""))?;
        Ok(Exit::Success)
    })
}

/// Receipts of which nothing was read and that name the address: they lose their raw bytes, step by step.
async fn unread(store: &Store, address: &Address, erasing: Erasing) -> anyhow::Result<usize> {
    let (mut all, mut after) = (0, None);
    loop {
        let (found, next) = store.erase_unread(address, after, erasing).await?;
        all += found;
        if next.is_none() {
            return Ok(all);
        }
        after = next;
    }
}

/// Asks whether to go on. Where nobody can answer, the answer has to be given beforehand.
fn agreed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nobody can be asked, for standard input is no terminal; give --yes if this is what you want");
    }
    write!(io::stderr().lock(), "Erase it? It cannot be undone. [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn view(store: &Store, done: &Erasure, block: Erased) -> anyhow::Result<ErasureView> {
    let mut standing = Vec::new();
    for it in &done.standing {
        standing.push(StandingView {
            list: store.list_by_id(it.list).await?.name.clone(),
            cause: it.cause.as_str(),
            reason: it.reason.map(bounce::classify::reason::Reason::as_str),
            since: text(it.since),
            expires_at: it.expires_at.map(text),
        });
    }
    let Erasure { known, receipts, events, notes, messages, .. } = *done;
    Ok(ErasureView { known: known != Known::Never, block: block.as_str(), receipts, events, notes, messages, unread: 0, standing })
}

/// What was done, or would be, for people.
fn sentences(it: &ErasureView, would: &str) -> String {
    let verb = |would_be: &str, was: &str| if would.is_empty() { was.to_owned() } else { format!("{would}{would_be}") };
    let unread = format!("{} receipts that were not understood and name it {} their raw bytes.", it.unread, verb("lose", "lost"));
    if !it.known {
        return "Nothing is known of this address.\n".to_owned() + &if it.unread > 0 { unread + "\n" } else { String::new() };
    }
    let forgotten = it.block == Erased::Forgotten.as_str();
    let mut lines = vec![format!("The plain address {}.", verb("go", "is gone"))];
    lines.push(format!("{} receipts {} their raw bytes.", it.receipts, verb("lose", "lost")));
    if it.unread > 0 {
        lines.push(unread);
    }
    if forgotten {
        lines.push(format!("{} events and {} changes {}.", it.events, it.notes, verb("go", "are gone")));
        lines.push(format!("{} messages that wait for the broker {}.", it.messages, verb("be dropped", "were dropped")));
    } else {
        let counts = format!("{} events, {} notes and {} waiting messages", it.events, it.notes, it.messages);
        lines.push(format!("{counts} that quote it {}.", verb("be scrubbed", "were scrubbed")));
    }
    for standing in &it.standing {
        let reason = standing.reason.map(|it| format!(" ({it})")).unwrap_or_default();
        let what = if forgotten { verb("go", "is gone") } else { verb("stay", "stays") };
        lines.push(format!("{}{reason} on {} {what}.", standing.cause, standing.list));
    }
    if it.standing.is_empty() {
        lines.push("Nothing stands for it on any list.".to_owned());
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_done_is_said_before_and_after() {
        let hard = StandingView {
            list: "acme".to_owned(),
            cause: "hard",
            reason: Some("user_unknown"),
            since: "2026-11-22T10:00:00Z".to_owned(),
            expires_at: None,
        };
        let mut view =
            ErasureView { known: true, block: "kept", receipts: 2, events: 1, notes: 0, messages: 3, unread: 0, standing: vec![hard] };
        assert_eq!(
            sentences(&view, "would "),
            "The plain address would go.\n2 receipts would lose their raw bytes.\n1 events, 0 notes and 3 waiting messages that quote it \
             would be scrubbed.\nhard (user_unknown) on acme would stay.\n"
        );
        view.block = "forgotten";
        assert!(sentences(&view, "").ends_with("hard (user_unknown) on acme is gone.\n"));
        view.known = false;
        assert_eq!(sentences(&view, ""), "Nothing is known of this address.\n");
        view.unread = 2;
        assert!(sentences(&view, "would ").ends_with("2 receipts that were not understood and name it would lose their raw bytes.\n"));
    }
}
