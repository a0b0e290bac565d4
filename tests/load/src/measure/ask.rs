//! Checks: of one address from many connections, and of ten thousand at once.

use std::sync::Arc;
use std::time::Duration;

use crate::drive::{Cycle, Load, Pace, drive};
use crate::limits::handler::Handler;
use crate::limits::pgbench;
use crate::measure::{Args, head};
use crate::posts::{Kind, LIST, Posts, address};
use crate::report::{Row, Wanted};
use crate::service::{Broker, Service};
use crate::stretch::{Bench, Extent, Site};
use crate::wire::request;

/// Addresses of a large check.
pub(crate) const MANY: u64 = 10_000;
/// What the design asks of large checks, in addresses a second.
pub(crate) const MANY_WANTED: f64 = 150_000.0;

/// Requests for single addresses, every second of which is known.
pub(crate) fn ones(service: &Service, known: impl Fn(u64) -> String) -> Cycle {
    let bearer = service.bearer();
    let one = |at: u64| if at.is_multiple_of(2) { known(at / 2) } else { format!("nobody{at}@d{}.load.test", at % 997) };
    let target = |at| format!("/v1/check?list={LIST}&address={}", one(at));
    Cycle((0..20_000).map(|at| request("GET", &target(at), &[("Authorization", &bearer)], b"")).collect())
}

/// Requests for ten thousand addresses each, every tenth of which is known.
pub(crate) fn many(service: &Service, known: impl Fn(u64) -> String) -> Cycle {
    let bearer = service.bearer();
    let one = |at: u64| if at.is_multiple_of(10) { known(at / 10) } else { format!("subscriber{at}@d{}.load.test", at % 997) };
    let body = |from: u64| {
        let addresses: Vec<_> = (from * MANY..(from + 1) * MANY).map(one).collect();
        serde_json::json!({ "list": LIST, "addresses": addresses }).to_string()
    };
    let fields = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    Cycle((0..8).map(|from| request("POST", "/v1/check", &fields, body(from).as_bytes())).collect())
}

/// What is known: a few ten thousand addresses.
async fn fill(bench: &mut Bench, site: &Site, posts: u64) -> anyhow::Result<u32> {
    let run = bench.run();
    let posts = Posts::new(run, Kind::Batches(100), &site.service.senders, posts, posts);
    let extent = Extent { connections: 8, warm: Duration::ZERO, time: Duration::from_mins(10) };
    bench.load(site, extent, Pace::AsFast, posts.clone()).await?;
    bench.balance(site, "addresses to check", &posts).await?;
    Ok(run)
}

pub(super) async fn run(args: &Args, bench: &mut Bench) -> anyhow::Result<()> {
    head("checks of one address");
    let site = bench.site("ask", Broker::There, &[]).await?;
    let run = fill(bench, &site, args.sample.div_ceil(150)).await?;
    let known = |at: u64| address(run, at % (args.sample.div_ceil(150) * 100));
    let extent = args.extent(args.connections);
    let asked = bench.load(&site, extent, Pace::AsFast, Arc::new(ones(&site.service, known))).await?;
    bench.report.note(format!("checks of one address: {}", asked.told()));

    head("checks of 10,000 addresses");
    for connections in [1, 4] {
        let extent = Extent { connections, ..extent };
        let checks = bench.load(&site, extent, Pace::AsFast, Arc::new(many(&site.service, known))).await?;
        bench.report.note(format!("checks of 10,000 addresses, {connections} at once: {}", checks.told()));
        let row =
            Row::new(format!("addresses in checks of 10,000, {connections} at once, few suppressions"), checks.rate() * MANY as f64, "/s");
        bench.report.add(row.against(MANY_WANTED, "design", Wanted::AtLeast));
    }
    bench.clear(site).await?;

    head("select by primary key; an empty handler");
    let database = bench.servers.database("pgbench").await?;
    let selects = pgbench::select(&database.url, args.connections, args.seconds.min(8), args.seconds.min(10))?;
    bench.servers.drop(database).await?;
    let handler = Handler::start(&["serve-empty"]).await?;
    let load = Load {
        address: handler.address,
        connections: args.connections,
        threads: 2,
        pace: Pace::AsFast,
        warm: Duration::from_secs(1),
        time: Duration::from_secs(args.seconds.min(8)),
    };
    let empty = drive(load, Arc::new(Cycle(vec![request("GET", "/", &[], b"")]))).await?;
    bench.report.note(format!("pgbench selects by primary key {selects:.0}/s; an empty handler answers {}", empty.told()));
    let limit = 1.0 / (1.0 / selects + 1.0 / empty.rate());
    let row = Row::new(format!("checks of one address, {} connections", args.connections), asked.rate(), "/s");
    let against = format!("1/(1/a + 1/b): pgbench a = {selects:.0}/s, empty handler b = {:.0}/s", empty.rate());
    bench.report.add(row.against(limit, against, Wanted::Share(0.5)));
    Ok(())
}

/// What the answer to a check of one address says.
pub(crate) fn is_suppressed(answer: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(answer).is_ok_and(|it| it["suppressed"].as_array().is_some_and(|it| !it.is_empty()))
}
