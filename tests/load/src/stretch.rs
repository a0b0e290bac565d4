//! A stretch of load and all that is seen of it: throughput and latency, processor time of everybody, what Postgres wrote, and how
//! large the service's transactions were.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::drive::{Load, Outcome, Pace, Requests, drive};
use crate::ledger::{Balance, Published};
use crate::posts::{Kind, Posts};
use crate::process::Usage;
use crate::queue::Reader;
use crate::report::{Report, Row, Wanted, say};
use crate::servers::{Database, Servers};
use crate::service::{Broker, Service, Settings};

/// How long it goes on, and by how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) connections: usize,
    pub(crate) warm: Duration,
    pub(crate) time: Duration,
}

/// What is needed to measure anything.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) servers: Servers,
    pub(crate) settings: Settings,
    pub(crate) report: Report,
    next_run: u32,
}

/// A service on a database of its own.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) service: Service,
    pub(crate) database: Database,
    broker: Broker,
}

/// What was seen.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) outcome: Outcome,
    /// Events acknowledged a second.
    pub(crate) events_rate: f64,
    /// Receipts in a transaction, on average.
    pub(crate) batch: f64,
    /// Receipts that were acknowledged by way of the spool, for the database was too slow.
    pub(crate) spooled: f64,
    pub(crate) cost: Cost,
}

/// What one event costs.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Cost {
    /// Microseconds of processor time.
    pub(crate) service: f64,
    pub(crate) postgres: f64,
    pub(crate) rabbitmq: f64,
    pub(crate) load: f64,
    /// Bytes.
    pub(crate) wal: f64,
    pub(crate) disk: f64,
}

impl Cost {
    pub(crate) fn told(&self) -> String {
        format!(
            "per event: service {:.0} µs, Postgres {:.0} µs, RabbitMQ {:.0} µs, this tool {:.0} µs of a core; {:.0} bytes of WAL, {:.0} of disk",
            self.service, self.postgres, self.rabbitmq, self.load, self.wal, self.disk
        )
    }
}

impl Bench {
    pub(crate) async fn new(settings: Settings, options: String) -> anyhow::Result<Self> {
        let servers = Servers::find().await?;
        let report = Report::new(crate::process::machine(), servers.told().await?, options);
        Ok(Self { servers, settings, report, next_run: 1 })
    }

    /// A number that no other stretch has.
    pub(crate) fn run(&mut self) -> u32 {
        self.next_run += 1;
        self.next_run
    }

    /// A service on a new database.
    pub(crate) async fn site(&self, name: &str, broker: Broker, further: &[(&str, &str)]) -> anyhow::Result<Site> {
        let database = self.servers.database(name).await?;
        self.again(database, broker, further).await
    }

    /// A service on a database that is there.
    pub(crate) async fn again(&self, database: Database, broker: Broker, further: &[(&str, &str)]) -> anyhow::Result<Site> {
        let service = self.settings.start(&self.servers, &database, broker, further).await?;
        Ok(Site { service, database, broker })
    }

    /// Posts with what one second at most can take ready for each second.
    pub(crate) fn posts(&mut self, site: &Site, kind: Kind, extent: Extent, most_a_second: u64) -> Arc<Posts> {
        let run = self.run();
        let count = (extent.warm + extent.time).as_secs_f64().ceil() as u64 * most_a_second;
        Posts::new(run, kind, &site.service.senders, count, count)
    }

    /// Runs a load against a service.
    pub(crate) async fn load(&self, site: &Site, extent: Extent, pace: Pace, requests: Arc<dyn Requests>) -> anyhow::Result<Outcome> {
        let Extent { connections, warm, time } = extent;
        drive(Load { address: site.service.address, connections, threads: 2, pace, warm, time }, requests).await
    }

    /// Runs posts against a service right after a checkpoint, and looks at everything meanwhile.
    pub(crate) async fn stretch(&self, site: &Site, extent: Extent, pace: Pace, posts: &Arc<Posts>) -> anyhow::Result<Stretch> {
        self.servers.checkpoint().await?;
        self.further(site, extent, pace, posts).await
    }

    /// The same, going on from wherever the server is between two checkpoints.
    pub(crate) async fn further(&self, site: &Site, extent: Extent, pace: Pace, posts: &Arc<Posts>) -> anyhow::Result<Stretch> {
        let processes = crate::process::Processes { service: Some(site.service.id()), ..self.servers.processes };
        let before = (processes.usage(), site.database.written().await?, batches(&site.service).await?, Instant::now());
        let spooled_before = spooled(&site.service).await?;
        let outcome = self.load(site, extent, pace, posts.clone()).await?;
        let took = before.3.elapsed().as_secs_f64();
        let (usage, batches) = (processes.usage().since(&before.0), batches(&site.service).await?);
        let written = site.database.written().await?;
        let events = posts.kind.events() as f64;
        let acknowledged = posts.ledger.acknowledged() as f64 * events;
        let each = |it: f64| it / acknowledged.max(1.0);
        let cost = Cost {
            service: each(usage.service * 1e6),
            postgres: each(usage.postgres * 1e6),
            rabbitmq: each(usage.rabbitmq * 1e6),
            load: each(usage.load * 1e6),
            wal: each((written.wal - before.1.wal) as f64),
            disk: each((written.disk - before.1.disk) as f64),
        };
        say(&format!("  {}", outcome.told()));
        say(&format!("  {}", Usage::told(&usage, took)));
        let batch = (batches.0 - before.2.0) / (batches.1 - before.2.1).max(1.0);
        let spooled = spooled(&site.service).await? - spooled_before;
        Ok(Stretch { events_rate: outcome.rate() * events, outcome, batch, spooled, cost })
    }

    /// Waits until the relay is done, reads the queue empty, and balances the book.
    pub(crate) async fn balance(&mut self, site: &Site, what: &str, posts: &Arc<Posts>) -> anyhow::Result<Balance> {
        let is_published = match site.broker {
            Broker::There => {
                let reader = Reader::start(&self.servers.amqp, &site.service.queue, posts.clone()).await?;
                reader.finish(posts).await?;
                Published::Expected
            }
            Broker::Away => Published::NotExpected,
        };
        let balance = posts.ledger.balance(posts.run, &site.database.pool, is_published).await?;
        self.balanced(what, &balance);
        Ok(balance)
    }

    pub(crate) fn balanced(&mut self, what: &str, balance: &Balance) {
        let wrong = balance.lost + balance.doubled + balance.stray + balance.unpublished;
        let row = Row::new(format!("{what}: events lost, doubled, stray or unpublished"), wrong as f64, "");
        self.report.add(row.against(0.0, format!("a ledger of {} acknowledged events", balance.acknowledged), Wanted::AtMost));
        if !balance.is_even() {
            self.report.note(format!("{what}: {}", balance.told()));
        }
    }

    /// Stops a service and takes its database and queue away.
    pub(crate) async fn clear(&self, site: Site) -> anyhow::Result<()> {
        let database = self.pause(site).await?;
        crate::queue::remove(&self.servers.amqp, &database.name, &format!("{}.events", database.name)).await?;
        self.servers.drop(database).await
    }

    /// Stops a service, and keeps its database.
    pub(crate) async fn pause(&self, site: Site) -> anyhow::Result<Database> {
        site.service.stop().await?;
        Ok(site.database)
    }
}

/// Receipts committed and transactions so far.
async fn batches(service: &Service) -> anyhow::Result<(f64, f64)> {
    Ok((service.metric("rebound_intake_batch_receipts_sum").await?, service.metric("rebound_intake_batch_receipts_count").await?))
}

/// Receipts that lie in the spool or came out of it so far.
async fn spooled(service: &Service) -> anyhow::Result<f64> {
    Ok(service.metric("rebound_spool_entries").await? + service.metric("rebound_spool_drained_total").await?)
}
