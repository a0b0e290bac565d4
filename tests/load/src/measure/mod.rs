//! The table of figures: everything that the service is to reach, measured in one run with the machine's own limits.

pub(crate) mod ask;
mod ingest;
mod limits;
mod lists;
mod relay;

use std::path::PathBuf;
use std::time::Duration;

use crate::report::say;
use crate::service::Broker;
use crate::stretch::{Bench, Extent};

/// Measures everything and prints the table.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds that each stretch counts.
    #[arg(long, default_value_t = 15)]
    pub(crate) seconds: u64,
    /// Connections that post and ask.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Connections that post batches of 100 events.
    #[arg(long, default_value_t = 16)]
    pub(crate) batch_connections: usize,
    /// Rows of the imported list.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) rows: u64,
    /// Messages in the outbox that is drained.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) messages: u64,
    /// Messages in flight straight to the broker: as many as the service has (`amqp.in_flight`).
    #[arg(long, default_value_t = 200)]
    pub(crate) in_flight: usize,
    /// Posts made ready for each second that load goes as fast as it can; more are not sent.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) most: u64,
    /// Posts of one event whose rows are written again by plain SQL; a fiftieth of it of a hundred events.
    #[arg(long, default_value_t = 30_000)]
    pub(crate) sample: u64,
    /// Only these, with commas: posts (ingest without its limits), ingest, ask, import, relay.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Where to write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Args {
    fn extent(&self, connections: usize) -> Extent {
        Extent { connections, warm: Duration::from_secs(self.seconds / 5), time: Duration::from_secs(self.seconds) }
    }

    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == what)
    }
}

/// Measures.
pub(crate) async fn run(args: &Args, mut bench: Bench) -> anyhow::Result<usize> {
    if args.wants("ingest") || args.wants("posts") {
        let site = bench.site("main", Broker::There, &[]).await?;
        bench.report.note(format!("idle, the service takes {:.0} MiB", mebibytes(site.service.id())?));
        let singles = ingest::singles(args, &mut bench, &site).await?;
        let batches = ingest::batches(args, &mut bench, &site).await?;
        ingest::half(args, &mut bench, &site, singles.outcome.rate() / 2.0).await?;
        bench.report.note(format!("after the load, the service takes {:.0} MiB", mebibytes(site.service.id())?));
        bench.clear(site).await?;
        if args.wants("ingest") {
            limits::singles(args, &mut bench, &singles).await?;
            limits::batches(args, &mut bench, &batches).await?;
        }
    }
    if args.wants("ask") {
        ask::run(args, &mut bench).await?;
    }
    if args.wants("import") {
        lists::run(args, &mut bench).await?;
    }
    if args.wants("relay") {
        relay::run(args, &mut bench).await?;
    }
    bench.report.finish(args.json.as_deref())?;
    Ok(bench.report.failed())
}

pub(crate) fn mebibytes(process: u32) -> anyhow::Result<f64> {
    Ok(crate::process::resident(process)? as f64 / 1024.0 / 1024.0)
}

fn head(what: &str) {
    say(&format!("\n{what}"));
}
