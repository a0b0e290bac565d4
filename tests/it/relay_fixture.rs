//! What the tests of the relay share: an outbox with messages in it, and relays that run beside the test.

use std::sync::Arc;
use std::time::Duration;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, BounceType, Kind};
use bounce::policy::Weight;
use harness::{Published, TestBroker, TestDatabase, eventually};
use lapin::options::BasicGetOptions;
use sea_orm::{ConnectionTrait, Statement};
use service::clock::Clock;
use service::config::{AmqpConfig, SecretUrl};
use service::outbox::Relay;
use service::store::{Accepted, Incoming, IncomingFact, Keep, List, ReceiptId, ReceiptState, Store, Testimony};
use service::telemetry::{RelayState, Telemetry};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A database with an outbox in it.
pub(crate) struct Outbox {
    pub(crate) database: TestDatabase,
    pub(crate) store: Arc<Store>,
    list: Arc<List>,
}

/// A row of the outbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) message_id: String,
    pub(crate) message_type: String,
    pub(crate) attempts: i32,
    pub(crate) last_error: Option<String>,
}

impl Outbox {
    pub(crate) async fn postgres() -> Self {
        Self::of(TestDatabase::postgres().await).await
    }

    pub(crate) async fn of(database: TestDatabase) -> Self {
        let store = open(database.url()).await;
        store.migrate().await.unwrap();
        let list = store.ensure_list("acme.weekly", None, Clock::system().now()).await.unwrap();
        Self { database, store, list }
    }

    /// Commits that many failures of addresses that nobody wrote of before. A delay leads to one message, a bounce to two.
    /// Gives the ids of the messages in the order of the table.
    pub(crate) async fn commit(&self, kind: Kind, count: usize) -> Vec<String> {
        let batch: Vec<Incoming> = (0..count).map(|_| incoming(&self.list, kind)).collect();
        let accepted = self.store.commit(&batch, Clock::system().now()).await.unwrap();
        let ids = accepted.iter().flat_map(|it| match it {
            Accepted::New { events, changes, .. } => {
                events.iter().map(|it| it.id.to_string()).chain(changes.iter().map(|it| it.id.to_string())).collect()
            }
            Accepted::Duplicate { .. } | Accepted::Replayed => vec![],
        });
        ids.collect()
    }

    /// What is in the table, in its order.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let database = self.database.connect().await;
        let query = "select message_id, message_type, attempts, last_error from outbox order by sequence";
        let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), query)).await.unwrap();
        rows.iter()
            .map(|it| Row {
                message_id: it.try_get::<Uuid>("", "message_id").unwrap().to_string(),
                message_type: it.try_get("", "message_type").unwrap(),
                attempts: it.try_get("", "attempts").unwrap(),
                last_error: it.try_get("", "last_error").unwrap(),
            })
            .collect()
    }

    /// The numbers of the rows in the table.
    pub(crate) async fn sequences(&self) -> Vec<i64> {
        let database = self.database.connect().await;
        let query = Statement::from_string(database.get_database_backend(), "select sequence from outbox order by sequence");
        database.query_all_raw(query).await.unwrap().iter().map(|it| it.try_get("", "sequence").unwrap()).collect()
    }

    pub(crate) async fn is_empty_at_last(&self) {
        eventually("the outbox is empty", || async { self.rows().await.is_empty() }).await;
    }
}

/// The store at an address, which may be a proxy's.
pub(crate) async fn open(url: &str) -> Arc<Store> {
    Arc::new(harness::store_at(url).await)
}

fn incoming(list: &Arc<List>, kind: Kind) -> Incoming {
    let (id, now) = (ReceiptId::new(), Clock::system().now());
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(id.0.as_bytes());
    let fact = IncomingFact {
        list: Arc::clone(list),
        address: Address::parse(&format!("{}@example.org", id.0.simple())).unwrap(),
        testimony: Testimony {
            kind,
            bounce_type: (kind == Kind::Bounce).then_some(BounceType::Hard),
            reason: Some(if kind == Kind::Bounce { Reason::UserUnknown } else { Reason::MailboxFull }),
            fault: None,
            status: None,
            reply: None,
            stage: None,
            diagnostic: None,
            feedback_type: None,
            reporting_mta: None,
            remote_mta: None,
            message_id: None,
            provider_event_id: None,
            rule: "test".to_owned(),
            rules_version: "1".to_owned(),
        },
        attribution: Attribution::Signed,
        weight: Weight::Full,
        occurred_at: now,
        message_keys: vec![id.0.to_string()],
    };
    Incoming {
        id,
        source: "test".to_owned(),
        digest,
        list: Arc::clone(list),
        received_at: now,
        media_type: "message/rfc822".to_owned(),
        size: 1,
        body: vec![],
        state: ReceiptState::Processed,
        error: None,
        attribution: Attribution::Signed,
        facts: vec![fact],
        deliveries: vec![],
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

/// The configuration of a relay that publishes to this test's exchange and queue at an address, which may be a proxy's.
pub(crate) fn to(broker: &TestBroker, url: &str) -> AmqpConfig {
    AmqpConfig {
        url: Some(SecretUrl::new(url)),
        exchange: broker.exchange().to_owned(),
        queue: Some(broker.queue().to_owned()),
        // Declaring a quorum queue takes its time while other tests do the same.
        connect_timeout: Duration::from_secs(20),
        confirm_timeout: Duration::from_secs(20),
        ..AmqpConfig::for_testing()
    }
}

/// A relay that runs beside the test.
pub(crate) struct Running {
    pub(crate) nudge: Arc<Notify>,
    pub(crate) telemetry: Arc<Telemetry>,
    state: watch::Receiver<RelayState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(store: &Arc<Store>, config: AmqpConfig) -> Self {
        Self::start_by(Clock::system(), store, config)
    }

    /// The same by another clock.
    pub(crate) fn start_by(clock: Clock, store: &Arc<Store>, config: AmqpConfig) -> Self {
        let nudge = Arc::new(Notify::new());
        let telemetry = Arc::new(Telemetry::new([]));
        let relay = Relay::new(Arc::clone(store), config, Arc::clone(&telemetry), Arc::clone(&nudge), clock);
        let (state, stop) = (relay.state(), CancellationToken::new());
        let task = tokio::spawn(relay.run(stop.clone()));
        Self { nudge, telemetry, state, stop, task }
    }

    pub(crate) fn state(&self) -> RelayState {
        *self.state.borrow()
    }

    /// Waits until it is in that state.
    pub(crate) async fn is_at_last(&self, state: RelayState) {
        eventually(&format!("the relay is {state} (it is {})", self.state()), || async { self.state() == state }).await;
    }

    /// Whether the metrics have that line.
    pub(crate) fn shows(&self, line: &str) -> bool {
        self.telemetry.render().lines().any(|it| it == line)
    }

    /// Reads a series of the metrics.
    pub(crate) fn measured(&self, series: &str) -> f64 {
        let page = self.telemetry.render();
        let line = page.lines().find_map(|it| it.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in\n{page}")).trim().parse().unwrap()
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it has ended.
    pub(crate) async fn ends(self) {
        self.task.await.unwrap();
    }

    /// Tells it to stop and waits until it has.
    pub(crate) async fn stop(self) {
        self.tell_to_stop();
        self.ends().await;
    }

    /// Ends it in the midst of whatever it does, as a signal that cannot be caught does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// The ids of messages, each of which must be the same in the property, by which consumers know it, and in the document.
pub(crate) fn ids(messages: &[Published]) -> Vec<String> {
    messages
        .iter()
        .map(|it| {
            let id = it.message_id.clone().unwrap();
            assert_eq!(it.body.get("id").and_then(|it| it.as_str()), Some(id.as_str()));
            id
        })
        .collect()
}

/// The ids of everything that is in the test's queue, in its order.
pub(crate) async fn everything_in(broker: &TestBroker) -> Vec<String> {
    everything_in_queue(broker, broker.queue()).await
}

/// Takes all that is in a queue. The depth that a declaration tells lags behind, so it asks until there is nothing.
pub(crate) async fn everything_in_queue(broker: &TestBroker, queue: &str) -> Vec<String> {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let mut ids = Vec::new();
    while let Some(message) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap() {
        ids.push(message.properties.message_id().as_ref().unwrap().to_string());
    }
    connection.close(200, "done".into()).await.unwrap();
    ids
}

/// The order in which ids were seen first.
pub(crate) fn first_seen(ids: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    ids.iter().filter(|it| seen.insert(it.as_str())).cloned().collect()
}
