//! Latency and throughput over load: posts and checks at rates from a tenth of what the service takes to more than that, one after
//! another, drawn as charts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::drive::{Outcome, Pace, Requests};
use crate::measure::ask;
use crate::plot::{Chart, Curve, Scale};
use crate::posts::{Kind, Posts, address};
use crate::report::say;
use crate::service::Broker;
use crate::stretch::{Bench, Extent, Site};

/// Measures over load and draws charts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder that the charts and the figures behind them are written into.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Seconds at each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Rates, as percentages of what is reached as fast as possible.
    #[arg(long, value_delimiter = ',', default_value = "10,25,40,50,60,70,80,90,100,110")]
    shares: Vec<u32>,
    /// Posts of one event made ready for each second that load goes as fast as it can.
    #[arg(long, default_value_t = 20_000)]
    most: u64,
}

/// What was measured at one rate.
struct Step {
    asked: f64,
    outcome: Outcome,
}

pub(crate) async fn run(args: &Args, mut bench: Bench) -> anyhow::Result<usize> {
    std::fs::create_dir_all(&args.out)?;
    let site = bench.site("sweep", Broker::There, &[]).await?;
    let extent = Extent { connections: args.connections, warm: Duration::from_secs(1), time: Duration::from_secs(args.seconds) };

    let posts = bench.posts(&site, Kind::Mixed, extent, args.most);
    let most = bench.load(&site, extent, Pace::AsFast, posts).await?;
    say(&format!("posts of one event, as fast as they are answered: {}", most.told()));
    let mut steps = Vec::new();
    for share in &args.shares {
        let rate = most.rate() * f64::from(*share) / 100.0;
        let posts = bench.posts(&site, Kind::Mixed, extent, rate.ceil() as u64 + 1);
        steps.push(step(&bench, &site, extent, rate, posts).await?);
    }
    draw(&args.out, "posts", "Posts of one event", &steps)?;

    let run = bench.run();
    let known = Posts::new(run, Kind::Batches(100), &site.service.senders, 100, 100);
    bench.load(&site, Extent { connections: 4, warm: Duration::ZERO, ..extent }, Pace::AsFast, known).await?;
    let checks: Arc<dyn Requests> = Arc::new(ask::ones(&site.service, |at| address(run, at % 10_000)));
    let most = bench.load(&site, extent, Pace::AsFast, checks.clone()).await?;
    say(&format!("checks of one address, as fast as they are answered: {}", most.told()));
    let mut steps = Vec::new();
    for share in &args.shares {
        steps.push(step(&bench, &site, extent, most.rate() * f64::from(*share) / 100.0, checks.clone()).await?);
    }
    draw(&args.out, "checks", "Checks of one address", &steps)?;
    bench.clear(site).await?;
    Ok(0)
}

async fn step(bench: &Bench, site: &Site, extent: Extent, rate: f64, requests: Arc<dyn Requests>) -> anyhow::Result<Step> {
    let outcome = bench.load(site, extent, Pace::Rate(rate), requests).await?;
    say(&format!("  {rate:.0} asked a second: {}", outcome.told()));
    Ok(Step { asked: rate, outcome })
}

fn draw(folder: &Path, name: &str, title: &str, steps: &[Step]) -> anyhow::Result<()> {
    let percentile = |it: f64| steps.iter().map(|step| (step.asked, step.outcome.millis(it))).collect();
    let latency = Chart {
        title: format!("{title}: latency from when each was due"),
        across: "asked a second",
        upward: "milliseconds",
        scale: Scale::Logarithmic,
        curves: vec![
            Curve { name: "p50", points: percentile(50.0) },
            Curve { name: "p90", points: percentile(90.0) },
            Curve { name: "p99", points: percentile(99.0) },
            Curve { name: "p99.9", points: percentile(99.9) },
        ],
    };
    latency.draw(&folder.join(format!("{name}-latency.svg")))?;
    let throughput = Chart {
        title: format!("{title}: throughput"),
        across: "asked a second",
        upward: "answered a second",
        scale: Scale::Linear,
        curves: vec![Curve { name: "2xx", points: steps.iter().map(|it| (it.asked, it.outcome.rate())).collect() }],
    };
    throughput.draw(&folder.join(format!("{name}-throughput.svg")))?;
    let figures: Vec<_> = steps
        .iter()
        .map(|it| {
            let p = |percentile| it.outcome.millis(percentile);
            serde_json::json!({
                "asked_per_second": it.asked, "answered_per_second": it.outcome.rate(), "failed": it.outcome.failed,
                "p50_ms": p(50.0), "p90_ms": p(90.0), "p99_ms": p(99.0), "p999_ms": p(99.9), "max_ms": p(100.0),
            })
        })
        .collect();
    std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&figures)?)?;
    Ok(())
}
