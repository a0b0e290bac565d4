//! A few seconds of load, to see that this tool works and that nothing is lost on the way. Its figures mean nothing.

use crate::measure;
use crate::stretch::Bench;

/// Whether this tool works.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Everything that `measure` does, and not only posts and the ledger.
    #[arg(long)]
    whole: bool,
}

pub(crate) async fn run(args: &Args, bench: Bench) -> anyhow::Result<usize> {
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("smoke.json");
    let small = measure::Args {
        seconds: 1,
        connections: 16,
        batch_connections: 4,
        rows: 100,
        messages: 1000,
        in_flight: 200,
        most: 2000,
        sample: 100,
        only: if args.whole { Vec::new() } else { vec!["posts".to_owned()] },
        json: Some(json.clone()),
    };
    measure::run(&small, bench).await?;
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json)?)?;
    let rows = report["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows.iter().filter(|it| it["limit"] == 0.0) {
        anyhow::ensure!(row["reached"] == true, "this must be nought: {row}");
    }
    anyhow::ensure!(rows.len() > 6, "the table has only {} rows", rows.len());
    Ok(0)
}
