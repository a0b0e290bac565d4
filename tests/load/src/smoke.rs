//! A few seconds of everything, to see that this tool works and that nothing is lost on the way. Its figures mean nothing.

use std::path::PathBuf;

use crate::measure;
use crate::stretch::Bench;

pub(crate) async fn run(bench: Bench) -> anyhow::Result<usize> {
    let json: PathBuf = bench.settings.scratch().join("smoke.json");
    let args = measure::Args {
        seconds: 1,
        connections: 16,
        batch_connections: 4,
        rows: 1000,
        messages: 4000,
        only: Vec::new(),
        json: Some(json.clone()),
    };
    measure::run(&args, bench).await?;
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json)?)?;
    let rows = report["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows.iter().filter(|it| it["limit"] == 0.0) {
        anyhow::ensure!(row["reached"] == true, "this must be nought: {row}");
    }
    anyhow::ensure!(rows.len() > 10, "the table has only {} rows", rows.len());
    Ok(0)
}
