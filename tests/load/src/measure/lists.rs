//! Import of a list, against COPY of the rows that it leads to.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::Row as _;

use crate::limits::rows;
use crate::measure::{Args, head};
use crate::posts::LIST;
use crate::report::{Row, Wanted, say};
use crate::service::Broker;
use crate::stretch::Bench;

/// A list as somebody would bring it from elsewhere.
fn list(rows: u64) -> String {
    let mut text = String::from("address,cause,since\n");
    for row in 0..rows {
        let cause = if row % 4 == 3 { "unsubscribe" } else { "hard" };
        let _ = writeln!(text, "subscriber{row}@d{}.load.test,{cause},2026-0{}-1{}T08:00:00Z", row % 997, 1 + row % 9, row % 10);
    }
    text
}

pub(super) async fn run(args: &Args, bench: &mut Bench) -> anyhow::Result<()> {
    head(&format!("import of {} rows", args.rows));
    let site = bench.site("import", Broker::There, &[]).await?;
    let file = list(args.rows);
    bench.servers.checkpoint().await?;
    let start = Instant::now();
    let answer = site.service.post(&format!("/v1/lists/{LIST}/import"), "text/csv", file.as_bytes()).await?;
    let import: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let id = import["import_id"].as_str().context("an import without an id")?.to_owned();
    let took = loop {
        let seen: serde_json::Value = serde_json::from_slice(&site.service.get(&format!("/v1/imports/{id}")).await?.body)?;
        match seen["state"].as_str() {
            Some("running") => tokio::time::sleep(Duration::from_millis(50)).await,
            Some("completed") if seen["added"].as_u64() == Some(args.rows) => break start.elapsed(),
            _ => anyhow::bail!("the import ended as {seen}"),
        }
    };
    let rate = args.rows as f64 / took.as_secs_f64();
    say(&format!("  {rate:.0} rows/s"));
    let from = bench.pause(site).await?;

    head("COPY of the same rows");
    let to = bench.site("target", Broker::Away, &[]).await?;
    let to = bench.pause(to).await?;
    rows::prepare(&to, &from).await?;
    bench.servers.checkpoint().await?;
    let of_import = format!("t.import_id = '{id}'");
    let changes: i64 = sqlx::query("select count(*) from suppression_change where import_id = $1::uuid")
        .bind(&id)
        .fetch_one(&from.pool)
        .await?
        .try_get(0)?;
    let everything = "true".to_owned();
    let tables = [
        ("subject", everything.clone()),
        ("import", format!("t.id = '{id}'")),
        ("suppression", everything),
        ("suppression_change", if changes > 0 { of_import } else { "true".to_owned() }),
    ];
    let copied = rows::copy(&from, &to, &tables).await?;
    let limit = args.rows as f64 / copied.as_secs_f64();
    let row = Row::new(format!("import of {} rows", args.rows), rate, "rows/s");
    bench.report.add(row.against(limit, "COPY of the rows it led to into the same tables, one transaction", Wanted::Share(0.5)));
    crate::queue::remove(&bench.servers.amqp, &from.name, &format!("{}.events", from.name)).await?;
    bench.servers.drop(from).await?;
    bench.servers.drop(to).await
}
