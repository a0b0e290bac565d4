//! Telemetry: one function for each happening, which counts it and logs it. Nothing else in the service names a metric
//! or writes a log line, so what is told about the service stands on this page.
//!
//! No address, domain or message id may come in here: the functions take words of closed lists, numbers and ids of our
//! own. Errors of other libraries go through [`chain()`].

mod certificate;
mod chain;
mod lately;
mod log;
mod mailbox;
mod metrics;
mod request;
mod smtp;
mod words;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bounce::classify::reason::Reason;
use bounce::classify::rules::receivers;
use bounce::kind::{Attribution, BounceType, Kind};
use time::OffsetDateTime;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use self::lately::LastHour;
use self::metrics::Metrics;
use self::words::Reloaded;

pub use self::chain::{chain, scrub};
pub use self::lately::Lately;
pub use self::log::{LogError, init};
pub use self::request::{RequestId, RequestSpan};
pub use self::words::{
    Answer, Database, Drained, Erased, Imported, MailProtocol, MailboxFailure, Outlived, Polled, Published, Refused, RelayState,
    SmtpRefused, Stage, Stored, Unspooled,
};

/// Label for a source that is not configured, since names in URLs are anybody's to choose, and for a receiver that is not known.
const OTHER: &str = "other";
/// Label for a request that no route takes.
const UNMATCHED: &str = "unmatched";

/// What the service tells about itself. One for each App, shared by `Arc`.
pub struct Telemetry {
    metrics: Metrics,
    sources: BTreeSet<String>,
    last_hour: LastHour,
    pool: OnceLock<Box<dyn Fn() -> Pool + Send + Sync>>,
    spool: OnceLock<Box<dyn Fn() -> SpoolFigures + Send + Sync>>,
}

/// What waits in the spool at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolFigures {
    /// Receipts.
    pub entries: usize,
    /// Octets of them.
    pub bytes: u64,
    /// How long the oldest has waited.
    pub oldest: Option<Duration>,
}

/// Connections of the database pool at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pool {
    /// Open ones.
    pub size: u32,
    /// Open ones that nobody uses.
    pub idle: u32,
    /// Most there may be.
    pub max: u32,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Telemetry for an App with those sources. Series that dashboards count on start at zero.
    #[must_use]
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a str>) -> Self {
        let it = Self {
            metrics: Metrics::new(),
            sources: sources.into_iter().map(str::to_owned).collect(),
            last_hour: LastHour::new(Instant::now()),
            pool: OnceLock::new(),
            spool: OnceLock::new(),
        };
        for source in &it.sources {
            it.start_source_at_zero(source);
        }
        for receiver in receivers::names().chain([OTHER]) {
            it.metrics.deliveries_by_receiver.with_label_values(&[receiver]);
        }
        for answer in Answer::ALL {
            it.metrics.checks.with_label_values(&[answer.as_str()]);
        }
        for (mode, outcome) in Imported::ALL.iter().flat_map(|it| [("real", it), ("preview", it)]) {
            it.metrics.imported.with_label_values(&[mode, outcome.as_str()]);
        }
        for outcome in Published::ALL {
            it.metrics.messages.with_label_values(&[outcome.as_str()]);
        }
        for stage in Stage::ALL {
            it.metrics.failures.with_label_values(&[stage.as_str()]);
        }
        for what in Outlived::ALL {
            it.metrics.outlived.with_label_values(&[what.as_str()]);
        }
        for block in Erased::ALL {
            it.metrics.subjects_erased.with_label_values(&[block.as_str()]);
        }
        for outcome in Reloaded::ALL {
            it.metrics.rules.with_label_values(&[outcome.as_str()]);
        }
        for why in Unspooled::ALL {
            it.metrics.unspooled.with_label_values(&[why.as_str()]);
        }
        for outcome in Drained::ALL {
            it.metrics.drained.with_label_values(&[outcome.as_str()]);
        }
        it.start_smtp_at_zero();
        it.set_relay_state(RelayState::Off);
        it
    }

    /// A kind that comes with a reason starts with the one that says nothing, so that no series is made up.
    fn start_source_at_zero(&self, source: &str) {
        self.metrics.source_last.with_label_values(&[source]);
        self.metrics.spooled.with_label_values(&[source]);
        self.metrics.deliveries.with_label_values(&[source]);
        for attribution in Attribution::ALL {
            self.metrics.facts.with_label_values(&[source, attribution.as_str()]);
        }
        for outcome in Stored::ALL {
            self.metrics.receipts.with_label_values(&[source, outcome.as_str()]);
        }
        for why in Refused::ALL {
            self.metrics.receipts_refused.with_label_values(&[source, why.as_str()]);
        }
        for kind in Kind::ALL {
            self.metrics.events_merged.with_label_values(&[source, kind.as_str()]);
            let types: &[Option<BounceType>] =
                if *kind == Kind::Bounce { &[Some(BounceType::Hard), Some(BounceType::Soft)] } else { &[None] };
            for bounce_type in types {
                let reason = matches!(kind, Kind::Bounce | Kind::Delayed | Kind::Rejected).then_some(Reason::Undetermined);
                self.metrics.events.with_label_values(&event_labels(source, *kind, *bounce_type, reason));
            }
        }
    }

    /// The name of a configured source, or `other`.
    fn source<'a>(&self, name: &'a str) -> &'a str {
        if self.sources.contains(name) { name } else { OTHER }
    }

    /// The service listens.
    pub fn service_started(&self, listen: SocketAddr, scheme: &'static str, database: &'static str) {
        info!(target: "rebound::app", %listen, scheme, database, version = env!("CARGO_PKG_VERSION"), "started");
    }

    /// The service was told to stop.
    pub fn service_stopping(&self) {
        info!(target: "rebound::app", "stopping");
    }

    /// The schema was brought up to date by so many steps.
    pub fn schema_migrated(&self, steps: usize) {
        info!(target: "rebound::store", steps, "schema is up to date");
    }

    /// The operator's rules were read again and are in force, with this version of all rules together.
    pub fn rules_loaded(&self, version: &str) {
        self.metrics.rules.with_label_values(&[Reloaded::Loaded.as_str()]).inc();
        info!(target: "rebound::rules", version, "rules reloaded");
    }

    /// Something is wrong with the operator's rules that were read again; the cause says in which line.
    pub fn rules_refused(&self, cause: &dyn Error) {
        self.metrics.rules.with_label_values(&[Reloaded::Refused.as_str()]).inc();
        error!(target: "rebound::rules", error = chain(cause), "rules not reloaded; those in force stay");
    }

    /// A receipt is committed, or known already.
    pub fn receipt_stored(&self, source: &str, outcome: Stored, receipt: Uuid, bytes: usize, accepted_for: Duration) {
        let source = self.source(source);
        self.metrics.receipts.with_label_values(&[source, outcome.as_str()]).inc();
        self.last_hour.note(source, Instant::now(), |it| it.taken += 1);
        self.metrics.receipt_commit.observe(accepted_for.as_secs_f64());
        if outcome == Stored::Quarantined {
            warn!(target: "rebound::intake", source, outcome = outcome.as_str(), %receipt, bytes, "receipt kept for later");
        } else {
            info!(target: "rebound::intake", source, outcome = outcome.as_str(), %receipt, bytes, "receipt stored");
        }
    }

    /// A post of a source was taken, whatever it says.
    pub fn post_taken(&self, source: &str, at: OffsetDateTime) {
        self.metrics.source_last.with_label_values(&[self.source(source)]).set(at.unix_timestamp());
    }

    /// Sources that take posts which nothing proves.
    pub fn insecure(&self, sources: &[&str]) {
        warn!(target: "rebound::inbound", sources = sources.join(","), "insecure = true: anybody may post as these sources; give them credentials");
    }

    /// A post or a message was not taken.
    pub fn receipt_refused(&self, source: &str, why: Refused) {
        let source = self.source(source);
        self.metrics.receipts_refused.with_label_values(&[source, why.as_str()]).inc();
        if why.is_unproved() {
            self.last_hour.note(source, Instant::now(), |it| it.unproved += 1);
        }
        info!(target: "rebound::inbound", source, why = why.as_str(), "refused");
    }

    /// One receipt was read and classified.
    pub fn receipt_interpreted(&self, took: Duration) {
        self.metrics.interpret.observe(took.as_secs_f64());
    }

    /// An event is committed. The receiver is one of the closed list, or none of it.
    pub fn event_recorded(
        &self,
        source: &str,
        kind: Kind,
        bounce_type: Option<BounceType>,
        reason: Option<Reason>,
        receiver: Option<&'static str>,
    ) {
        let source = self.source(source);
        let labels = event_labels(source, kind, bounce_type, reason);
        self.metrics.events.with_label_values(&labels).inc();
        if kind == Kind::Bounce {
            // Who has to act follows from the reason, so this makes no more series.
            let fault = reason.map_or("", |it| it.fault().as_str());
            self.metrics.bounces_by_receiver.with_label_values(&[receiver.unwrap_or(OTHER), labels[2], labels[3], fault]).inc();
        }
        let [_, kind, bounce_type, reason] = labels;
        debug!(target: "rebound::intake", source, kind, bounce_type, reason, "event recorded");
    }

    /// A report of a new receipt is committed.
    pub fn fact_taken(&self, source: &str, attribution: Attribution) {
        self.metrics.facts.with_label_values(&[self.source(source), attribution.as_str()]).inc();
    }

    /// A delivery is committed. It leaves no event, and there are many: it is counted and not written.
    pub fn delivery_recorded(&self, source: &str, receiver: Option<&'static str>) {
        self.metrics.deliveries.with_label_values(&[self.source(source)]).inc();
        self.metrics.deliveries_by_receiver.with_label_values(&[receiver.unwrap_or(OTHER)]).inc();
    }

    /// A report told of a failure that was known already.
    pub fn event_merged(&self, source: &str, kind: Kind) {
        let source = self.source(source);
        self.metrics.events_merged.with_label_values(&[source, kind.as_str()]).inc();
        debug!(target: "rebound::intake", source, kind = kind.as_str(), "event merged");
    }

    /// What a list says has changed. Both words are those of the wire.
    pub fn suppression_changed(&self, list: &str, cause: &'static str, change: &'static str) {
        self.metrics.suppressions.with_label_values(&[cause, change]).inc();
        debug!(target: "rebound::store", list, cause, change, "suppression changed");
    }

    /// A list was imported, or looked at: so many of its rows came to each outcome. The words are those of the wire.
    pub fn import_ended(&self, list: &str, format: &'static str, mode: &'static str, rows: [(Imported, u64); 4]) {
        for (outcome, count) in rows {
            self.metrics.imported.with_label_values(&[mode, outcome.as_str()]).inc_by(count);
        }
        let [(_, added), (_, updated), (_, unchanged), (_, refused)] = rows;
        info!(target: "rebound::store", list, format, mode, added, updated, unchanged, refused, "list imported");
    }

    /// An import was undone, which changed so many entries.
    pub fn import_undone(&self, list: &str, changed: u64) {
        info!(target: "rebound::store", list, changed, "import undone");
    }

    /// An address was erased; its block was kept or forgotten.
    pub fn subject_erased(&self, block: Erased) {
        self.metrics.subjects_erased.with_label_values(&[block.as_str()]).inc();
        info!(target: "rebound::store", block = block.as_str(), "address erased");
    }

    /// So much was removed for its age.
    pub fn outlived(&self, what: Outlived, count: usize) {
        self.metrics.outlived.with_label_values(&[what.as_str()]).inc_by(count as u64);
        if count > 0 {
            info!(target: "rebound::retention", what = what.as_str(), count, "removed for its age");
        }
    }

    /// A check was answered: so many addresses with each answer, in that time.
    pub fn check_answered(&self, answers: &[(Answer, usize)], took: Duration) {
        for (answer, count) in answers {
            self.metrics.checks.with_label_values(&[answer.as_str()]).inc_by(*count as u64);
        }
        self.metrics.check_duration.observe(took.as_secs_f64());
    }

    /// A request was answered. `route` is the template, never the path.
    pub fn request_answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = match method {
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS" => method,
            _ => OTHER,
        };
        let route = route.unwrap_or(UNMATCHED);
        let class = ["1xx", "2xx", "3xx", "4xx", "5xx"].get(usize::from(status / 100).saturating_sub(1)).copied().unwrap_or(OTHER);
        self.metrics.requests.with_label_values(&[method, route, class]).observe(took.as_secs_f64());
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // What is asked all the time is counted and not written, unless it goes wrong; of a receipt a line tells already.
        let tells_otherwise = matches!(route, "/v1/check" | "/v1/messages") || route.starts_with("/webhooks/");
        let is_frequent = matches!(route, "/metrics" | "/healthz" | "/readyz") || (tells_otherwise && status < 400);
        if is_frequent {
            debug!(target: "rebound::http", method, route, status, millis, "answered");
        } else {
            info!(target: "rebound::http", method, route, status, millis, "answered");
        }
    }

    /// How many receipts wait, and how many may.
    pub fn intake_queue(&self, depth: usize, capacity: usize) {
        self.metrics.queue_depth.set(number(depth));
        self.metrics.queue_capacity.set(number(capacity));
    }

    /// A batch is committed.
    pub fn batch_committed(&self, receipts: usize, took: Duration) {
        self.metrics.batch_receipts.observe(f64::from(u32::try_from(receipts).unwrap_or(u32::MAX)));
        self.metrics.batch_commit.observe(took.as_secs_f64());
        debug!(target: "rebound::intake", receipts, "batch committed");
    }

    /// A batch met a conflict with another and begins again.
    pub fn batch_retried(&self, error: &dyn Error) {
        self.metrics.batches_retried.inc();
        debug!(target: "rebound::intake", error = chain(error), "batch begins again");
    }

    /// What waits to be published.
    pub fn outbox_measured(&self, depth: u64, oldest: Option<Duration>) {
        self.metrics.outbox_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.metrics.outbox_oldest.set(oldest.unwrap_or_default().as_secs_f64());
    }

    /// The broker has answered for a message, or not in time.
    pub fn relay_published(&self, outcome: Published, took: Duration) {
        self.metrics.messages.with_label_values(&[outcome.as_str()]).inc();
        if outcome == Published::Confirmed {
            self.metrics.publish.observe(took.as_secs_f64());
        } else {
            // One line for each message in flight would drown the one that says why; the count says how many.
            debug!(target: "rebound::outbox", outcome = outcome.as_str(), "message not published; it will be tried again");
        }
    }

    /// Somebody gave a message up: it will never be published.
    pub fn message_discarded(&self, message: Uuid, message_type: &str, routing_key: &str, attempts: i32, by: &str) {
        warn!(target: "rebound::outbox", id = %message, message_type, routing_key, attempts, by, "message given up");
    }

    /// The relay does something else now.
    pub fn relay_changed(&self, state: RelayState) {
        self.set_relay_state(state);
        info!(target: "rebound::outbox", state = state.as_str(), "relay");
    }

    fn set_relay_state(&self, state: RelayState) {
        for it in RelayState::ALL {
            self.metrics.relay.with_label_values(&[it.as_str()]).set(i64::from(*it == state));
        }
    }

    /// The database was found to be there, or away.
    pub fn database_found(&self, found: Database) {
        self.metrics.database_away.set(i64::from(found == Database::Away));
        match found {
            Database::There => info!(target: "rebound::spool", "the database is there"),
            Database::Away => warn!(target: "rebound::spool", "the database is away; receipts go to the spool"),
        }
    }

    /// The database runs with a setting off without which a crash of its machine loses what was acknowledged.
    pub fn database_at_risk(&self, setting: &str) {
        warn!(
            target: "rebound::note",
            setting,
            "the database runs with this setting off: when its machine crashes, what was acknowledged may be lost or damaged"
        );
    }

    /// A receipt is kept in the spool.
    pub fn receipt_spooled(&self, source: &str, receipt: Uuid, bytes: usize) {
        let source = self.source(source);
        self.metrics.spooled.with_label_values(&[source]).inc();
        info!(target: "rebound::spool", source, %receipt, bytes, "receipt spooled");
    }

    /// The spool did not take a receipt, whose sender was told to come again.
    pub fn spool_refused(&self, why: Unspooled, cause: &dyn Error) {
        self.metrics.unspooled.with_label_values(&[why.as_str()]).inc();
        error!(target: "rebound::spool", why = why.as_str(), error = chain(cause), "receipt not spooled");
    }

    /// A receipt of the spool is done with.
    pub fn spool_drained(&self, outcome: Drained, source: &str, receipt: Uuid) {
        let source = self.source(source);
        self.metrics.drained.with_label_values(&[outcome.as_str()]).inc();
        match outcome {
            Drained::Recorded | Drained::Duplicate => {
                info!(target: "rebound::spool", source, outcome = outcome.as_str(), %receipt, "receipt drained");
            }
            _ => warn!(target: "rebound::spool", source, outcome = outcome.as_str(), %receipt, "receipt of the spool not recorded"),
        }
    }

    /// So many places of the spool are damaged; the files were set aside.
    pub fn spool_damaged(&self, places: usize) {
        self.metrics.drained.with_label_values(&[Drained::Damaged.as_str()]).inc_by(places as u64);
        if places > 0 {
            error!(target: "rebound::spool", places, "damage in the spool; the files lie in its folder corrupt");
        }
    }

    /// A failure was handled here, and is logged here, once, with all its causes. `what` says what was being done.
    pub fn failed(&self, stage: Stage, what: &'static str, cause: &dyn Error) {
        self.metrics.failures.with_label_values(&[stage.as_str()]).inc();
        error!(target: "rebound::failure", stage = stage.as_str(), error = chain(cause), "{what} failed");
    }

    /// The same of what concerns one source, which is named.
    pub fn source_failed(&self, source: &str, stage: Stage, what: &'static str, cause: &dyn Error) {
        self.metrics.failures.with_label_values(&[stage.as_str()]).inc();
        error!(target: "rebound::failure", stage = stage.as_str(), source = self.source(source), error = chain(cause), "{what} failed");
    }

    /// Something the operator should know of one source that is no failure. `what` is a whole sentence.
    pub fn source_noted(&self, source: &str, what: &'static str) {
        info!(target: "rebound::note", source = self.source(source), "{what}");
    }

    /// Asks this about the pool whenever metrics are read. The first one given stays.
    pub fn watch_pool(&self, pool: impl Fn() -> Pool + Send + Sync + 'static) {
        // A second watcher would be a second pool; an App has one.
        let _ = self.pool.set(Box::new(pool));
    }

    /// Asks this about the spool whenever metrics are read. The first one given stays.
    pub fn watch_spool(&self, max_bytes: usize, spool: impl Fn() -> SpoolFigures + Send + Sync + 'static) {
        self.metrics.spool_bytes_max.set(number(max_bytes));
        // An App has one spool.
        let _ = self.spool.set(Box::new(spool));
    }

    /// What this process has refused of a source since it started, and why.
    #[must_use]
    pub fn refused_of(&self, source: &str) -> Vec<(Refused, u64)> {
        let source = self.source(source);
        let count = |why: &Refused| (*why, self.metrics.receipts_refused.with_label_values(&[source, why.as_str()]).get());
        Refused::ALL.iter().map(count).filter(|it| it.1 > 0).collect()
    }

    /// The spool as it is now; none where there is none.
    #[must_use]
    pub fn spool_figures(&self) -> Option<SpoolFigures> {
        self.spool.get().map(|it| it())
    }

    /// All series in the text exposition format.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(pool) = self.pool.get() {
            let Pool { size, idle, max } = pool();
            self.metrics.connections.with_label_values(&["idle"]).set(idle.into());
            self.metrics.connections.with_label_values(&["used"]).set(size.saturating_sub(idle).into());
            self.metrics.connections_max.set(max.into());
        }
        if let Some(spool) = self.spool.get() {
            let SpoolFigures { entries, bytes, oldest } = spool();
            self.metrics.spool_entries.set(number(entries));
            self.metrics.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.metrics.spool_oldest.set(oldest.unwrap_or_default().as_secs_f64());
        }
        self.metrics.render().unwrap_or_else(|error| {
            self.failed(Stage::Http, "rendering the metrics", &error);
            String::new()
        })
    }
}

fn event_labels(source: &str, kind: Kind, bounce_type: Option<BounceType>, reason: Option<Reason>) -> [&str; 4] {
    [source, kind.as_str(), bounce_type.map_or("", BounceType::as_str), reason.map_or("", Reason::as_str)]
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
