//! The relay: how fast it drains an outbox that filled while the broker was away, against messages of the same size straight to a queue of
//! the same kind.

use std::time::{Duration, Instant};

use crate::drive::Pace;
use crate::measure::{Args, head};
use crate::posts::{Kind, Posts};
use crate::report::{Row, Wanted};
use crate::service::Broker;
use crate::stretch::{Bench, Extent};

pub(super) async fn run(args: &Args, bench: &mut Bench) -> anyhow::Result<()> {
    head(&format!("draining an outbox of {} messages", args.messages));
    let site = bench.site("relay", Broker::Away, &[]).await?;
    let run = bench.run();
    let full = args.messages.div_ceil(200).clamp(1, 40);
    let posts = Posts::new(run, Kind::Batches(100), &site.service.senders, full, full);
    let extent = Extent { connections: 4, warm: Duration::ZERO, time: Duration::from_mins(5) };
    bench.load(&site, extent, Pace::AsFast, posts).await?;
    let database = bench.pause(site).await?;
    let real = u64::try_from(database.count("select count(*) from outbox").await?)?;
    let times = args.messages.div_ceil(real.max(1)).max(1);
    // Copies of real messages under ids of their own, in an order as if they had come one after another.
    database
        .execute(format!(
            "insert into outbox (message_id, message_type, routing_key, payload, attempts, created_at) \
             select gen_random_uuid(), message_type, routing_key, payload, 0, created_at from outbox cross join generate_series(2, {times}) n order by n, sequence; \
             analyze outbox"
        ))
        .await?;
    let messages: Vec<(String, String)> =
        sqlx::query_as("select routing_key, payload from outbox order by sequence").fetch_all(&database.pool).await?;
    bench.servers.checkpoint().await?;

    let site = bench.again(database, Broker::There, &[]).await?;
    // Some went while it was starting: what counts is from here to the end.
    let (start, at_start) = (Instant::now(), published(&site.service).await?);
    let total = messages.len() as f64;
    let mut last = (at_start, Instant::now());
    while last.0 < total && last.1.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = published(&site.service).await?;
        if now > last.0 {
            last = (now, Instant::now());
        }
    }
    let rate = (last.0 - at_start) / last.1.duration_since(start).as_secs_f64();
    // The rows go a little after their confirms.
    let removing = Instant::now();
    let mut left = site.database.count("select count(*) from outbox").await?;
    while left > 0 && removing.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = site.database.count("select count(*) from outbox").await?;
    }
    anyhow::ensure!(left == 0, "{left} messages were left in the outbox");
    bench.clear(site).await?;

    head("publishing straight to the broker");
    let limit = crate::queue::publish(&bench.servers.amqp, &messages, args.in_flight).await?;
    let row = Row::new(format!("relay, draining {} messages", messages.len()), rate, "messages/s");
    bench.report.add(row.against(limit, format!("lapin, confirmed, quorum queue, {} in flight", args.in_flight), Wanted::Share(0.7)));
    Ok(())
}

async fn published(service: &crate::service::Service) -> anyhow::Result<f64> {
    service.metric("rebound_messages_published_total{outcome=\"confirmed\"}").await
}
