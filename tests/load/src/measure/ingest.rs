//! Posts: one event each by four providers, a hundred events each, and what a single post waits at half of the load that the service can
//! take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::drive::{Pace, Requests as _, histogram};
use crate::ledger::Published;
use crate::measure::ask::is_suppressed;
use crate::measure::{Args, head};
use crate::posts::{Kind, LIST, Posts};
use crate::queue::Reader;
use crate::report::{Row, Wanted};
use crate::stretch::{Bench, Extent, Site, Stretch};
use crate::wire::{Connection, request};

/// Events of a post that brings many.
pub(super) const BATCH: u64 = 100;

/// As many posts of one event as the service takes.
pub(super) async fn singles(args: &Args, bench: &mut Bench, site: &Site) -> anyhow::Result<Stretch> {
    head("posts of one event, as fast as they are answered");
    let extent = args.extent(args.connections);
    let posts = bench.posts(site, Kind::Mixed, extent, args.most);
    let stretch = bench.stretch(site, extent, Pace::AsFast, &posts).await?;
    told(bench, "posts of one event", &stretch);
    catch_up(bench, site).await?;
    bench.balance(site, "posts of one event", &posts).await?;

    head("one post at a time");
    let alone = Extent { connections: 1, ..args.extent(1) };
    let alone = Extent { time: alone.time.min(Duration::from_secs(3)), ..alone };
    let posts = bench.posts(site, Kind::Mixed, alone, args.most / 4);
    let lone = bench.stretch(site, alone, Pace::AsFast, &posts).await?;
    bench.report.add(Row::new("a lone post, p50", lone.outcome.millis(50.0), "ms"));
    Ok(stretch)
}

/// As many posts of a hundred events.
pub(super) async fn batches(args: &Args, bench: &mut Bench, site: &Site) -> anyhow::Result<Stretch> {
    head("posts of 100 events, as fast as they are answered");
    let extent = args.extent(args.batch_connections);
    let posts = bench.posts(site, Kind::Batches(BATCH), extent, args.most.div_ceil(25));
    let stretch = bench.stretch(site, extent, Pace::AsFast, &posts).await?;
    told(bench, "posts of 100 events", &stretch);
    catch_up(bench, site).await?;
    bench.balance(site, "posts of 100 events", &posts).await?;
    Ok(stretch)
}

fn told(bench: &mut Bench, what: &str, stretch: &Stretch) {
    bench.report.note(format!("{what}: {}, {:.1} receipts in a transaction", stretch.outcome.told(), stretch.batch));
    bench.report.cost(what, stretch.cost);
    if stretch.spooled > 0.0 {
        bench.report.note(format!("{what}: {:.0} receipts went by the spool, for the database was too slow", stretch.spooled));
    }
}

/// How long the relay needs behind the load.
async fn catch_up(bench: &mut Bench, site: &Site) -> anyhow::Result<()> {
    let start = Instant::now();
    let waiting = async || site.database.count("select count(*) from outbox").await;
    let at_first = waiting().await?;
    let mut left = at_first;
    while left > 0 && start.elapsed() < Duration::from_mins(5) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = waiting().await?;
    }
    bench
        .report
        .note(format!("{at_first} messages waited in the outbox at the end of it; they went in {:.1} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// At half of what it can take: latency, and how long until a check knows and the broker has it.
pub(super) async fn half(args: &Args, bench: &mut Bench, site: &Site, rate: f64) -> anyhow::Result<()> {
    head(&format!("half load: {rate:.0} posts of one event a second"));
    let extent = args.extent(args.connections);
    let posts = bench.posts(site, Kind::Mixed, extent, rate.ceil() as u64 + 1);
    let reader = Reader::start(&bench.servers.amqp, &site.service.queue, posts.clone()).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let run = bench.run();
    let asked = tokio::spawn(read_your_writes(
        site.service.address,
        site.service.bearer(),
        Posts::new(run, Kind::Mixed, &site.service.senders, 0, 1_000_000),
        stop.clone(),
    ));
    let stretch = bench.stretch(site, extent, Pace::Rate(rate), &posts).await?;
    stop.store(true, Ordering::Relaxed);
    let seen = asked.await??;
    reader.finish(&posts).await?;
    let balance = posts.ledger.balance(posts.run, &site.database.pool, Published::Expected).await?;
    bench.balanced("half load", &balance);
    told(bench, "half load", &stretch);
    let accepted = Row::new("half load, request -> 2xx, p99", stretch.outcome.millis(99.0), "ms");
    bench.report.add(accepted.against(50.0, "design", Wanted::AtMost));
    let missed = Row::new(format!("half load, not visible in the check right after 2xx (of {})", seen.asked), seen.missed as f64, "");
    bench.report.add(missed.against(0.0, "read your writes", Wanted::AtMost));
    bench.report.add(Row::new("half load, 2xx -> answer of the check, p99", millis(&seen.latency), "ms"));
    let published = posts.ledger.publication()?;
    let confirmed = Row::new("half load, 2xx -> out of RabbitMQ, p99", millis(&published), "ms");
    bench.report.add(confirmed.against(1000.0, "design", Wanted::AtMost));
    Ok(())
}

fn millis(histogram: &Histogram<u64>) -> f64 {
    histogram.value_at_quantile(0.99) as f64 / 1000.0
}

struct Seen {
    asked: u64,
    missed: u64,
    latency: Histogram<u64>,
}

/// Posts a hard bounce and asks about its address as soon as that is acknowledged, again and again.
async fn read_your_writes(address: std::net::SocketAddr, bearer: String, posts: Arc<Posts>, stop: Arc<AtomicBool>) -> anyhow::Result<Seen> {
    let mut seen = Seen { asked: 0, missed: 0, latency: histogram()? };
    let (mut posting, mut asking) = (Connection::open(address).await?, Connection::open(address).await?);
    let mut index = 0;
    while !stop.load(Ordering::Relaxed) {
        // Mailboxes that are full do not block at once.
        if index % 40 < 36
            && let Some(post) = posts.bytes(index)
        {
            let check =
                request("GET", &format!("/v1/check?list={LIST}&address={}", posts.address(index, 0)), &[("Authorization", &bearer)], b"");
            if posting.ask(&post).await?.is_success() {
                let accepted = Instant::now();
                let answer = asking.ask(&check).await?;
                seen.latency.saturating_record(u64::try_from(accepted.elapsed().as_micros()).unwrap_or(u64::MAX));
                seen.asked += 1;
                seen.missed += u64::from(!is_suppressed(&answer.body));
            }
        }
        index += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(seen)
}
