//! A few seconds of everything, to see that this tool works and that nothing is lost on the way. Its figures mean nothing.

use crate::measure;
use crate::stretch::Bench;

pub(crate) async fn run(bench: Bench) -> anyhow::Result<usize> {
    let folder = tempfile::tempdir()?;
    let json = folder.path().join("smoke.json");
    let args = measure::Args {
        seconds: 1,
        connections: 16,
        batch_connections: 4,
        rows: 100,
        messages: 1000,
        most: 200,
        sample: 100,
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
