//! What the service takes of the memory: idle, under as much load as it can take, and over a time of steady load, in which it must not
//! grow.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::drive::Pace;
use crate::measure::mebibytes;
use crate::plot::{Chart, Curve, Scale};
use crate::posts::{Kind, Posts};
use crate::queue::Reader;
use crate::report::{Row, Wanted, say};
use crate::service::Broker;
use crate::stretch::{Bench, Extent, Site};

/// Measures memory over time.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Minutes of steady load.
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Posts of one event a second meanwhile; half of what the service takes if left out.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds of full load before.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to draw memory over time, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The second half of the steady load may take this much more than the first: memory is taken in steps.
const GROWTH: f64 = 1.1;

pub(crate) async fn run(args: &Args, mut bench: Bench) -> anyhow::Result<usize> {
    let site = bench.site("memory", Broker::There, &[]).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = mebibytes(site.service.id())?;
    bench.report.add(Row::new("resident, idle", idle, "MiB"));

    say("\nfull load");
    let extent = Extent { connections: args.connections, warm: Duration::from_secs(1), time: Duration::from_secs(args.seconds) };
    let run = bench.run();
    let posts = Posts::new(run, Kind::Mixed, &site.service.senders, 0, (args.seconds + 2) * 20_000);
    let full = watched(&site, Duration::from_secs(1), bench.load(&site, extent, Pace::AsFast, posts.clone())).await?;
    say(&format!("  {}", full.0.told()));
    bench.report.add(Row::new("resident, highest under full load", highest(&full.1), "MiB"));
    bench.balance(&site, "full load", &posts).await?;

    let rate = args.rate.unwrap_or(full.0.rate() / 2.0);
    say(&format!("\n{rate:.0} posts a second for {} minutes", args.minutes));
    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let extent = Extent { time, ..extent };
    let run = bench.run();
    let most = (rate * (time.as_secs_f64() + 2.0)).ceil() as u64;
    let posts = Posts::new(run, Kind::Mixed, &site.service.senders, 0, most);
    let reader = Reader::start(&bench.servers.amqp, &site.service.queue, posts.clone()).await?;
    let every = Duration::from_secs_f64((time.as_secs_f64() / 60.0).clamp(1.0, 60.0));
    let (outcome, steady) = watched(&site, every, bench.load(&site, extent, Pace::Rate(rate), posts.clone())).await?;
    reader.finish(&posts).await?;
    bench.report.note(format!("steady load: {}", outcome.told()));
    let balance = posts.ledger.balance(posts.run, &site.database.pool, crate::ledger::Published::Expected).await?;
    bench.balanced("steady load", &balance);
    let (first, second) = steady.split_at(steady.len() / 2);
    let row = Row::new(format!("resident, highest in the second half of {} minutes", args.minutes), highest(second), "MiB");
    let against = format!("{GROWTH} times the highest in the first half, {:.0} MiB", highest(first));
    bench.report.add(row.against(GROWTH * highest(first), against, Wanted::AtMost));
    if let Some(path) = &args.svg {
        let title = format!("Resident memory under {rate:.0} posts a second");
        let curves = vec![Curve { name: "service", points: steady.clone() }];
        Chart { title, across: "seconds", upward: "MiB", scale: Scale::Linear, curves }.draw(path)?;
    }
    bench.clear(site).await?;
    bench.report.finish(args.json.as_deref())?;
    Ok(bench.report.failed())
}

fn highest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|it| it.1).fold(0.0, f64::max)
}

/// Looks at the memory while something goes on: seconds and mebibytes.
async fn watched<T>(site: &Site, every: Duration, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(T, Vec<(f64, f64)>)> {
    let start = Instant::now();
    let mut points = Vec::new();
    let mut looks = tokio::time::interval(every);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok((done?, points)),
            _ = looks.tick() => {
                let point = (start.elapsed().as_secs_f64(), mebibytes(site.service.id())?);
                say(&format!("  {:6.0} s {:6.0} MiB", point.0, point.1));
                points.push(point);
            }
        }
    }
}
