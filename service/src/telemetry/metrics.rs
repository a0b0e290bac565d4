//! Every series that `/metrics` shows, on one page. Names are `rebound_<noun>_<verb>_total` for counts and carry their
//! unit elsewhere. Label values come from closed lists: our own vocabularies, routes, and the names of configured
//! sources. Each App has a registry of its own, so that two in one process (tests) do not mix.

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Seconds, from a cached look-up to a request that is about to be given up.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Receipts in one transaction.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The registry and its series.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    pub(super) receipts: IntCounterVec,
    pub(super) receipts_refused: IntCounterVec,
    pub(super) receipt_commit: Histogram,
    pub(super) interpret: Histogram,
    pub(super) events: IntCounterVec,
    pub(super) facts: IntCounterVec,
    pub(super) events_merged: IntCounterVec,
    pub(super) bounces_by_receiver: IntCounterVec,
    pub(super) deliveries: IntCounterVec,
    pub(super) deliveries_by_receiver: IntCounterVec,
    pub(super) suppressions: IntCounterVec,
    pub(super) imported: IntCounterVec,
    pub(super) subjects_erased: IntCounterVec,
    pub(super) checks: IntCounterVec,
    pub(super) check_duration: Histogram,
    pub(super) requests: HistogramVec,
    pub(super) queue_depth: IntGauge,
    pub(super) queue_capacity: IntGauge,
    pub(super) batch_receipts: Histogram,
    pub(super) batch_commit: Histogram,
    pub(super) batches_retried: IntCounter,
    pub(super) outbox_depth: IntGauge,
    pub(super) outbox_oldest: Gauge,
    pub(super) messages: IntCounterVec,
    pub(super) publish: Histogram,
    pub(super) source_last: IntGaugeVec,
    pub(super) relay: IntGaugeVec,
    pub(super) connections: IntGaugeVec,
    pub(super) connections_max: IntGauge,
    pub(super) database_away: IntGauge,
    pub(super) spool_entries: IntGauge,
    pub(super) spool_bytes: IntGauge,
    pub(super) spool_bytes_max: IntGauge,
    pub(super) spool_oldest: Gauge,
    pub(super) spooled: IntCounterVec,
    pub(super) unspooled: IntCounterVec,
    pub(super) drained: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) rules: IntCounterVec,
    pub(super) certificate_expiry: IntGaugeVec,
    pub(super) outlived: IntCounterVec,
    pub(super) mail: MailMetrics,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let it = Builder { registry: Registry::new() };
        it.build_info();
        Self {
            receipts: it.counters("rebound_receipts_stored_total", "Receipts stored, by what became of them.", &["source", "outcome"]),
            receipts_refused: it.counters("rebound_receipts_refused_total", "Posts and messages that were not taken.", &["source", "why"]),
            receipt_commit: it.seconds("rebound_receipt_commit_duration_seconds", "From acceptance of a receipt to its commit."),
            interpret: it.seconds("rebound_receipt_interpret_duration_seconds", "Reading and classifying one receipt."),
            events: it.counters(
                "rebound_events_recorded_total",
                "Events recorded; labels that do not apply are empty.",
                &["source", "kind", "bounce_type", "reason"],
            ),
            facts: it.counters(
                "rebound_facts_taken_total",
                "Reports of new receipts, those of known failures included, by what vouches for them.",
                &["source", "attribution"],
            ),
            events_merged: it.counters("rebound_events_merged_total", "Reports of a failure that was known already.", &["source", "kind"]),
            bounces_by_receiver: it.counters(
                "rebound_bounces_by_receiver_total",
                "Bounces recorded, by who runs the recipient's mailbox; `other` where that is not known.",
                &["receiver", "bounce_type", "reason", "fault"],
            ),
            deliveries: it.counters("rebound_deliveries_recorded_total", "Deliveries that sources vouch for.", &["source"]),
            deliveries_by_receiver: it.counters(
                "rebound_deliveries_by_receiver_total",
                "The same, by who runs the recipient's mailbox.",
                &["receiver"],
            ),
            suppressions: it.counters("rebound_suppressions_changed_total", "Changes of what lists say.", &["cause", "change"]),
            imported: it.counters("rebound_import_rows_total", "Rows of imported lists, by what became of them.", &["mode", "outcome"]),
            subjects_erased: it.counters("rebound_subjects_erased_total", "Addresses erased, by what became of their blocks.", &["block"]),
            checks: it.counters("rebound_addresses_checked_total", "Addresses asked about, by answer.", &["answer"]),
            check_duration: it.seconds("rebound_check_duration_seconds", "Answering one check, of one address or many."),
            requests: it.seconds_by("rebound_http_request_duration_seconds", "HTTP requests.", &["method", "route", "status"]),
            queue_depth: it.gauge("rebound_intake_queue_depth", "Receipts waiting for the database."),
            queue_capacity: it.gauge("rebound_intake_queue_capacity", "Receipts that may wait; one more is told to come again."),
            batch_receipts: it.histogram("rebound_intake_batch_receipts", "Receipts in one transaction.", BATCH),
            batch_commit: it.seconds("rebound_intake_commit_duration_seconds", "Committing one batch, repetitions included."),
            batches_retried: it.counter("rebound_batches_retried_total", "Batches begun again after a conflict with another."),
            outbox_depth: it.gauge("rebound_outbox_depth", "Messages waiting to be published."),
            outbox_oldest: it.seconds_gauge("rebound_outbox_oldest_age_seconds", "Age of the oldest message waiting; 0 if none."),
            messages: it.counters("rebound_messages_published_total", "Messages handed to the broker, by what it said.", &["outcome"]),
            publish: it.seconds("rebound_message_publish_duration_seconds", "From handing over a message to its confirm."),
            source_last: it.gauges(
                "rebound_source_last_receipt_timestamp_seconds",
                "When a post of the source was last taken, in Unix seconds; 0 if not since the start.",
                &["source"],
            ),
            relay: it.gauges("rebound_relay_state", "1 for the state that the relay is in.", &["state"]),
            connections: it.gauges("rebound_database_connections", "Connections of the pool.", &["state"]),
            connections_max: it.gauge("rebound_database_connections_max", "Most connections of the pool."),
            database_away: it.gauge("rebound_database_away", "1 while the database is away and receipts go to the spool."),
            spool_entries: it.gauge("rebound_spool_entries", "Receipts in the spool that wait for the database."),
            spool_bytes: it.gauge("rebound_spool_bytes", "Octets of the receipts in the spool that wait for the database."),
            spool_bytes_max: it.gauge("rebound_spool_bytes_max", "Most octets that the spool takes; 0 if there is none."),
            spool_oldest: it.seconds_gauge("rebound_spool_oldest_age_seconds", "Age of the oldest receipt in the spool; 0 if none."),
            spooled: it.counters("rebound_receipts_spooled_total", "Receipts kept in the spool.", &["source"]),
            unspooled: it.counters("rebound_spool_refused_total", "Receipts that the spool did not take.", &["why"]),
            drained: it.counters("rebound_spool_drained_total", "Receipts of the spool, by what became of them.", &["outcome"]),
            failures: it.counters("rebound_failures_total", "Failures that were logged, by the stage that handled them.", &["stage"]),
            certificate_expiry: it.gauges(
                "rebound_certificate_expiry_timestamp_seconds",
                "Until when the certificate holds that an edge shows, in Unix seconds.",
                &["edge"],
            ),
            rules: it.counters(
                "rebound_rules_reloads_total",
                "Times the operator's rules were read again, by what became of it.",
                &["outcome"],
            ),
            outlived: it.counters("rebound_retention_removed_total", "What was removed for its age ([retention]).", &["what"]),
            mail: MailMetrics::new(&it),
            registry: it.registry,
        }
    }

    /// The text exposition format.
    pub(super) fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// The series of the edges that mail comes in by.
#[derive(Debug)]
pub(super) struct MailMetrics {
    pub(super) smtp_sessions: IntCounterVec,
    pub(super) smtp_open: IntGaugeVec,
    pub(super) smtp_messages: IntCounterVec,
    pub(super) smtp_bytes: IntCounterVec,
    pub(super) smtp_refused: IntCounterVec,
    pub(super) mailbox_messages: IntCounterVec,
    pub(super) mailbox_failures: IntCounterVec,
    pub(super) mailbox_visited: IntGaugeVec,
}

impl MailMetrics {
    fn new(it: &Builder) -> Self {
        Self {
            smtp_sessions: it.counters("rebound_smtp_sessions_total", "Connections taken by the SMTP and LMTP listener.", &["protocol"]),
            smtp_open: it.gauges("rebound_smtp_sessions_open", "Connections of the SMTP and LMTP listener that are open.", &["protocol"]),
            smtp_messages: it.counters(
                "rebound_smtp_messages_accepted_total",
                "Messages that came by SMTP or LMTP and are durable.",
                &["protocol"],
            ),
            smtp_bytes: it.counters("rebound_smtp_message_bytes_accepted_total", "Octets of those messages.", &["protocol"]),
            smtp_refused: it.counters(
                "rebound_smtp_refused_total",
                "Connections, commands and messages that the SMTP and LMTP listener refused.",
                &["protocol", "why"],
            ),
            mailbox_messages: it.counters(
                "rebound_mailbox_messages_total",
                "Messages of mailboxes, by what became of them.",
                &["mailbox", "outcome"],
            ),
            mailbox_failures: it.counters("rebound_mailbox_failures_total", "Failures with mailboxes, by cause.", &["mailbox", "cause"]),
            mailbox_visited: it.gauges(
                "rebound_mailbox_last_success_timestamp_seconds",
                "When a folder of the mailbox was last worked through, in Unix seconds; 0 if not since the start.",
                &["mailbox"],
            ),
        }
    }
}

/// Makes and registers series.
struct Builder {
    registry: Registry,
}

#[expect(clippy::expect_used, reason = "names, labels and buckets are literals of this file, and a test builds them all")]
impl Builder {
    fn add<T: Collector + Clone + 'static>(&self, made: prometheus::Result<T>) -> T {
        let series = made.expect("names, labels and buckets are valid literals");
        self.registry.register(Box::new(series.clone())).expect("names are distinct literals");
        series
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    fn seconds_gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn seconds(&self, name: &str, help: &str) -> Histogram {
        self.histogram(name, help, SECONDS)
    }

    fn seconds_by(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels))
    }

    fn build_info(&self) {
        let info = self.gauges("rebound_build_info", "1, with the version as label.", &["version"]);
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        self.registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the names of the process collector are not ours");
    }
}
