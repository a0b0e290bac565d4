//! The same rows by plain SQL, and the two ways without group commit: a handler of another program that makes a transaction for each
//! request, and the service itself so configured.

use std::sync::Arc;
use std::time::Duration;

use crate::drive::{Load, Pace, Times, drive};
use crate::limits::handler::Handler;
use crate::limits::rows::{self, Sample};
use crate::measure::ingest::BATCH;
use crate::measure::{Args, head};
use crate::posts::{Kind, Posts};
use crate::report::{Row, Wanted};
use crate::servers::Database;
use crate::service::Broker;
use crate::stretch::{Bench, Stretch};
use crate::wire::request;

/// Clients that each write one transaction after another, as many as the service has connections.
const CLIENTS: usize = 10;
/// Transactions that are enough where each stands alone.
const ALONE: usize = 4000;

/// Lets a service write a sample, which it cannot publish, so that the outbox is part of it.
async fn sample(bench: &mut Bench, kind: Kind, posts: u64, connections: usize) -> anyhow::Result<Database> {
    let site = bench.site("sample", Broker::Away, &[]).await?;
    let run = bench.run();
    let posts = Posts::new(run, kind, &site.service.senders, posts, posts);
    let time = Duration::from_mins(10);
    let load = Load { address: site.service.address, connections, threads: 2, pace: Pace::AsFast, warm: Duration::ZERO, time };
    drive(load, posts.clone()).await?;
    bench.balance(&site, "sample of rows", &posts).await?;
    bench.pause(site).await
}

/// A database with the tables and nothing else.
async fn target(bench: &Bench) -> anyhow::Result<Database> {
    let site = bench.site("target", Broker::Away, &[]).await?;
    bench.pause(site).await
}

/// Writes transactions of a sample into an empty database; gives back the events a second.
async fn written(
    bench: &Bench,
    sample: &Arc<Sample>,
    (from, to): (&Database, &Database),
    clients: usize,
    most: usize,
) -> anyhow::Result<f64> {
    rows::prepare(to, from).await?;
    bench.servers.checkpoint().await?;
    sample.write(&to.url, clients, most).await
}

pub(super) async fn singles(args: &Args, bench: &mut Bench, ours: &Stretch) -> anyhow::Result<()> {
    head("the same rows by plain SQL");
    let (from, to) = (sample(bench, Kind::Mixed, args.sample, args.connections).await?, target(bench).await?);
    let grouped = Arc::new(Sample::read(&from, ours.batch.round() as u64).await?);
    let limit = written(bench, &grouped, (&from, &to), 1, usize::MAX).await?;
    bench.report.note(format!("plain SQL of posts of one event: {}", grouped.told()));
    let row = Row::new(format!("posts of one event, {} connections", args.connections), ours.events_rate, "events/s");
    bench.report.add(row.against(limit, format!("plain SQL, one client, {:.0} receipts in a transaction", ours.batch), Wanted::Share(0.5)));

    head("one transaction for each request");
    let single = Arc::new(Sample::read(&from, 1).await?);
    let one = written(bench, &single, (&from, &to), 1, ALONE).await?;
    let ten = written(bench, &single, (&from, &to), CLIENTS, 3 * ALONE).await?;
    drop(single);
    let row = |what: &str, against: String, limit: f64, wanted| {
        Row::new(format!("posts of one event, against {what}"), ours.events_rate, "events/s").against(limit, against, wanted)
    };
    bench.report.add(row("plain SQL one by one", "plain SQL, one client, a receipt in a transaction".to_owned(), one, Wanted::Nothing));
    bench.report.add(row("plain SQL one by one", format!("the same by {CLIENTS} clients"), ten, Wanted::Nothing));

    rows::prepare(&to, &from).await?;
    bench.servers.checkpoint().await?;
    let handler = Handler::start(&["serve-transactions", "--sample", &from.url, "--target", &to.url]).await?;
    let load = Load {
        address: handler.address,
        connections: args.connections,
        threads: 2,
        pace: Pace::AsFast,
        warm: Duration::ZERO,
        time: Duration::from_mins(10),
    };
    let naive = drive(load, Arc::new(Times(grouped.events.min(4 * ALONE as u64), request("POST", "/", &[], &[b'x'; 700])))).await?;
    drop(handler);
    let what = "an actix handler that commits each request, 10 connections to Postgres, nothing verified or decided";
    bench.report.add(row("a transaction for each request", what.to_owned(), naive.rate(), Wanted::Share(2.0)));

    let site = bench.site("one_by_one", Broker::There, &[("intake.batch", "1")]).await?;
    let extent = crate::stretch::Extent { time: Duration::from_secs(args.seconds.min(8)), ..args.extent(args.connections) };
    let posts = bench.posts(&site, Kind::Mixed, extent, args.most / 2);
    let stretch = bench.stretch(&site, extent, Pace::AsFast, &posts).await?;
    bench.clear(site).await?;
    bench.report.add(row(
        "the service, intake.batch = 1",
        "the service without group commit".to_owned(),
        stretch.events_rate,
        Wanted::Nothing,
    ));
    bench.servers.drop(from).await?;
    bench.servers.drop(to).await
}

pub(super) async fn batches(args: &Args, bench: &mut Bench, ours: &Stretch) -> anyhow::Result<()> {
    head("the same rows of posts of 100 events by plain SQL");
    let posts = args.sample.div_ceil(50);
    let (from, to) = (sample(bench, Kind::Batches(BATCH), posts, args.batch_connections).await?, target(bench).await?);
    let grouped = Arc::new(Sample::read(&from, ours.batch.round() as u64).await?);
    let limit = written(bench, &grouped, (&from, &to), 1, usize::MAX).await?;
    bench.report.note(format!("plain SQL of posts of 100 events: {}", grouped.told()));
    let row = Row::new(format!("posts of 100 events, {} connections", args.batch_connections), ours.events_rate, "events/s");
    bench.report.add(row.against(limit, format!("plain SQL, one client, {:.1} posts in a transaction", ours.batch), Wanted::Share(0.7)));
    drop(grouped);
    bench.servers.drop(from).await?;
    bench.servers.drop(to).await
}
