//! Growth: the same load on a database that holds nothing, and on one that holds millions of suppressions and events.

mod fill;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::drive::Pace;
use crate::measure::ask::{self, MANY, MANY_WANTED, is_suppressed};
use crate::posts::{Kind, LIST, Posts, address};
use crate::report::{Row, Wanted, figure, say};
use crate::service::Broker;
use crate::stretch::{Bench, Extent, Site};

/// Measures posts and checks on databases that were filled.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Suppressions and events that the database is filled up to, one step after another.
    #[arg(long, value_delimiter = ',', default_value = "0,1000000,10000000")]
    steps: Vec<u64>,
    /// Seconds that each stretch counts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of posts between the stretches right after a checkpoint and those that count, so that most pages have been written whole.
    #[arg(long, default_value_t = 90)]
    settle: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Posts of one event made ready for each second.
    #[arg(long, default_value_t = 20_000)]
    most: u64,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What may be lost on the way from the first step to the last.
const KEPT: f64 = 0.75;

/// Events in a post of many.
const BATCH: u64 = 100;

/// What was reached at a step.
struct Figures {
    /// Right after a checkpoint, when the log gets each page whole.
    fresh: Rates,
    /// Some time later.
    settled: Rates,
    ones: f64,
    many: f64,
}

/// Events a second.
struct Rates {
    singles: f64,
    batches: f64,
}

pub(crate) async fn run(args: &Args, mut bench: Bench) -> anyhow::Result<usize> {
    let mut site = bench.site("growth", Broker::There, &[]).await?;
    let mut at_first: Option<Figures> = None;
    let mut filled = 0;
    for step in &args.steps {
        say(&format!("\n{} suppressions and events", figure(*step as f64)));
        if *step > filled {
            site = fill::to(&mut bench, site, filled, *step).await?;
            filled = *step;
        }
        let size: i64 = site.database.count("select pg_database_size(current_database())").await?;
        bench.report.note(format!("{} suppressions and events: the database takes {:.2} GB", figure(filled as f64), size as f64 / 1e9));
        let now = measured(args, &mut bench, &site, filled).await?;
        let with = figure(filled as f64);
        let many = Row::new(format!("addresses in checks of 10,000, 4 at once, {with} suppressions"), now.many, "/s");
        bench.report.add(many.against(MANY_WANTED, "design", Wanted::AtLeast));
        if let Some(first) = &at_first {
            for (what, ours, limit, wanted) in [
                ("posts of one event after a checkpoint", now.fresh.singles, first.fresh.singles, Wanted::Nothing),
                ("posts of 100 events after a checkpoint, events", now.fresh.batches, first.fresh.batches, Wanted::Nothing),
                ("posts of one event", now.settled.singles, first.settled.singles, Wanted::Share(KEPT)),
                ("posts of 100 events, events", now.settled.batches, first.settled.batches, Wanted::Share(KEPT)),
                ("checks of one address", now.ones, first.ones, Wanted::Share(KEPT)),
                ("checks of 10,000, addresses", now.many, first.many, Wanted::Share(KEPT)),
            ] {
                let row = Row::new(format!("{what}, with {with}"), ours, "/s");
                bench.report.add(row.against(limit, "the same with the first step", wanted));
            }
        } else {
            at_first = Some(now);
        }
    }
    bench.clear(site).await?;
    bench.report.finish(args.json.as_deref())?;
    Ok(bench.report.failed())
}

async fn measured(args: &Args, bench: &mut Bench, site: &Site, filled: u64) -> anyhow::Result<Figures> {
    let extent = Extent { connections: args.connections, warm: Duration::from_secs(2), time: Duration::from_secs(args.seconds) };
    let few = Extent { connections: args.connections.div_ceil(4), ..extent };
    let (fresh, _) = posted(args, bench, site, Log::Fresh).await?;
    if args.settle > 0 {
        let long = Extent { time: Duration::from_secs(args.settle), ..few };
        let posts = bench.posts(site, Kind::Batches(BATCH), long, args.most.div_ceil(BATCH));
        bench.further(site, long, Pace::AsFast, &posts).await?;
        bench.balance(site, "what settles", &posts).await?;
    }
    let (settled, posts) = posted(args, bench, site, Log::UnderWay).await?;
    // Spread over everything that was filled in, as a cache would not have it.
    let (run, acknowledged) = (posts.run, posts.ledger.acknowledged() * BATCH);
    let known = |at: u64| if filled == 0 { address(run, at % acknowledged.max(1)) } else { fill::address((at * 7919) % filled) };
    let asked = site.service.get(&format!("/v1/check?list={LIST}&address={}", known(1))).await?;
    anyhow::ensure!(is_suppressed(&asked.body), "{} is not known: {}", known(1), String::from_utf8_lossy(&asked.body));
    let ones = bench.load(site, extent, Pace::AsFast, Arc::new(ask::ones(&site.service, known))).await?;
    say(&format!("  checks of one address: {}", ones.told()));
    let few = Extent { connections: 4, ..extent };
    let many = bench.load(site, few, Pace::AsFast, Arc::new(ask::many(&site.service, known))).await?;
    say(&format!("  checks of 10,000: {}", many.told()));
    Ok(Figures { fresh, settled, ones: ones.rate(), many: many.rate() * MANY as f64 })
}

/// Where Postgres is between two checkpoints.
#[derive(Clone, Copy)]
enum Log {
    Fresh,
    UnderWay,
}

/// Posts of one event, then of many, which are given back.
async fn posted(args: &Args, bench: &mut Bench, site: &Site, log: Log) -> anyhow::Result<(Rates, Arc<Posts>)> {
    let each = Extent { connections: args.connections, warm: Duration::from_secs(2), time: Duration::from_secs(args.seconds) };
    let few = Extent { connections: args.connections.div_ceil(4), ..each };
    let singles = bench.posts(site, Kind::Mixed, each, args.most);
    let batches = bench.posts(site, Kind::Batches(BATCH), few, args.most.div_ceil(25));
    let mut rates = Vec::new();
    for (what, extent, posts) in [("posts of one event", each, &singles), ("posts of 100 events", few, &batches)] {
        let stretch = match log {
            Log::Fresh => bench.stretch(site, extent, Pace::AsFast, posts).await?,
            Log::UnderWay => bench.further(site, extent, Pace::AsFast, posts).await?,
        };
        say(&format!("  {}", stretch.cost.told()));
        rates.push(stretch.events_rate);
        bench.balance(site, what, posts).await?;
    }
    Ok((Rates { singles: rates[0], batches: rates[1] }, batches))
}
