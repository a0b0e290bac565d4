//! `rebound release`: lifts what blocks one address, or everything on a list that fits a selection. Always a look first:
//! nothing is done without `--apply`.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::policy::{Act, Cause, Deed};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cli::keys::text;
use crate::cli::moment::{self, When};
use crate::cli::page::plain;
use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::store::{ActRequest, Acted, BulkRelease, Change, Counts, List, ReleaseFilter, Selected, Store, lifting};

/// Addresses shown of those that fit.
const SAMPLE: u64 = 10;

/// Releases an address, or everything on a list that fits what is given.
///
/// Without --apply it only says what it would release. What happened before a release no longer blocks, what happens later does.
/// Complaints and unsubscribes are a person's will: they are released only by --cause.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One address, or @domain for the entry of a whole domain.
    #[arg(conflicts_with_all = ["reason", "domain", "since", "until", "rule", "import"])]
    address: Option<String>,
    /// The list where it stands. What machines find out mostly stands on the root.
    #[arg(long, value_name = "LIST")]
    list: String,
    /// What stands for this cause: hard, soft, provider, import, complaint, unsubscribe, `manual_block` or `manual_allow`.
    #[arg(long, value_name = "CAUSE")]
    cause: Option<Cause>,
    /// What stands for this reason, such as `user_unknown`.
    #[arg(long, value_name = "REASON")]
    reason: Option<Reason>,
    /// Addresses in this domain; several by giving it again.
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    domain: Vec<String>,
    /// What stands since then or later: a day, a moment, or how long ago (3d).
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    since: Option<When>,
    /// What stands since before then.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    until: Option<When>,
    /// What an event decided that this rule judged.
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// What this import or bulk request put.
    #[arg(long, value_name = "ID")]
    import: Option<Uuid>,
    /// Release, and not only look.
    #[arg(long)]
    apply: bool,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who, for the audit.
    #[arg(long, value_name = "NAME", default_value = setup::ACTOR)]
    by: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

fn domain(text: &str) -> Result<String, String> {
    let entry = Address::parse_domain_entry(&format!("@{}", text.trim_start_matches('@')));
    entry.map(|it| it.domain().to_owned()).map_err(|it| it.to_string())
}

/// What fits, and what became of it.
#[derive(Debug, Serialize)]
struct View {
    list: String,
    applied: bool,
    matched: u64,
    by: Vec<Group>,
    sample: Vec<Sample>,
    bulk_id: Option<Uuid>,
    released: u64,
}

#[derive(Debug, Serialize)]
struct Group {
    cause: Cause,
    reason: Option<Reason>,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Sample {
    address: Option<String>,
    cause: Cause,
    reason: Option<Reason>,
    since: String,
}

/// Releases.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        let list = store.list(&args.list).await?;
        match &args.address {
            Some(address) => one(&store, &list, address, args, clock.now()).await,
            None => many(&store, &list, args, &clock).await,
        }
    })
}

async fn one(store: &Store, list: &Arc<List>, given: &str, args: &Args, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let address = match Address::parse_entry(given) {
        Ok(address) => address,
        Err(error) => {
            writeln!(io::stderr().lock(), "rebound: {}: {error}", plain(given))?;
            return Ok(Exit::Data);
        }
    };
    let acts: Vec<Deed> = args.cause.map_or_else(|| vec![Act::Unblock.into(), Act::Release.into()], |it| vec![lifting(it)]);
    let mut out = io::stdout().lock();
    if !args.apply {
        let standing = store.standing(list, &address).await?;
        let lifted = standing.iter().filter(|it| it.list == list.id && it.holds_at(now) && acts.iter().any(|act| act.lifts(it.cause)));
        let causes: Vec<&str> = lifted.map(|it| it.cause.as_str()).collect();
        let causes = if causes.is_empty() { "nothing".to_owned() } else { causes.join(", ") };
        writeln!(out, "would release on {}: {causes}. Nothing is done without --apply.", list.name)?;
        for it in standing.iter().filter(|it| it.list != list.id && it.holds_at(now) && acts.iter().any(|act| act.lifts(it.cause))) {
            writeln!(out, "{} stands on {}, above; release it there.", it.cause, store.list_by_id(it.list).await?.name)?;
        }
        return Ok(Exit::Success);
    }
    let request = ActRequest { list: list.clone(), address: &address, acts: &acts, actor: &args.by, note: args.note.clone() };
    match store.act(request, now).await? {
        Acted::Done { changes, .. } => {
            let causes: Vec<&str> = changes.iter().filter_map(|it| it.cause).map(Cause::as_str).collect();
            writeln!(out, "released on {}: {}", list.name, causes.join(", "))?;
            Ok(Exit::Success)
        }
        Acted::Inherited { from } => bail!("it stands on {from}, above {}; release it there", list.name),
        Acted::Nothing => bail!("nothing of this kind stands on {} for this address; `rebound why` tells what does", list.name),
    }
}

async fn many(store: &Store, list: &Arc<List>, args: &Args, clock: &Clock) -> anyhow::Result<Exit> {
    let now = clock.now();
    let selection = ReleaseFilter {
        cause: args.cause,
        reason: args.reason,
        domains: args.domain.clone(),
        since: args.since.map(|it| it.ago(now)),
        until: args.until.map(|it| it.ago(now)),
        rule: args.rule.clone(),
        import: args.import,
    };
    if selection.is_empty() {
        bail!("nothing is selected: name an address, or give --cause, --reason, --domain, --since, --until, --rule or --import");
    }
    let counts = store.count_selected(list, &selection, now).await?;
    let sample = store.sample_selected(list, &selection, now, SAMPLE).await?;
    let mut view = view(list, counts, sample);
    if args.apply {
        let mut bulk = BulkRelease::new(list.clone(), &selection, &args.by, args.note.clone());
        view.applied = true;
        view.bulk_id = Some(bulk.id);
        while let Some(changes) = store.release_next(&mut bulk, clock.now()).await? {
            view.released += changes.iter().filter(|it| it.change == Change::Released).count() as u64;
            if io::stderr().is_terminal() {
                write!(io::stderr().lock(), "\rreleased {} of {}", view.released, view.matched)?;
            }
        }
        if io::stderr().is_terminal() {
            writeln!(io::stderr().lock())?;
        }
    }
    let text = match args.format {
        Output::Json => serde_json::to_string_pretty(&view)? + "\n",
        Output::Text => page(&view),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Success)
}

fn view(list: &List, counts: Counts, sample: Vec<Selected>) -> View {
    let sample = sample.into_iter().map(|it| Sample { address: it.address, cause: it.cause, reason: it.reason, since: text(it.since) });
    View {
        list: list.name.clone(),
        applied: false,
        matched: counts.values().sum(),
        by: counts.into_iter().map(|((cause, reason), count)| Group { cause, reason, count }).collect(),
        sample: sample.collect(),
        bulk_id: None,
        released: 0,
    }
}

fn page(view: &View) -> String {
    let reason = |it: Option<Reason>| it.map_or("-", Reason::as_str).to_owned();
    let mut out = format!("{} fit on {}\n", view.matched, view.list);
    if !view.by.is_empty() {
        let head = ["CAUSE", "REASON", "COUNT"].map(str::to_owned).to_vec();
        let rows = view.by.iter().map(|it| vec![it.cause.to_string(), reason(it.reason), it.count.to_string()]);
        out.push_str(&table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
        out.push_str("\nfor example\n");
        let address = |it: &Sample| it.address.clone().unwrap_or_else(|| "(erased)".to_owned());
        let rows = view.sample.iter().map(|it| vec![address(it), it.cause.to_string(), reason(it.reason), it.since.clone()]);
        out.push_str(&table(&rows.collect::<Vec<_>>()));
    }
    match view.bulk_id {
        Some(id) => out + &format!("\nreleased {}; the audit has them under {id}\n", view.released),
        None => out + "\nNothing is done without --apply.\n",
    }
}
