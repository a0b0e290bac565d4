//! A network that forgets connections: what goes over them arrives nowhere, and nobody is told. New ones are welcome, so the database is
//! there for everybody else, and must be there for us as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bounce::kind::Kind;
use futures_util::future::join_all;
use harness::{Balancer, Installation, Load, Proxy, TestBroker, TestDatabase, eventually, rounds, store_on};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use secrecy::{ExposeSecret as _, SecretString};
use service::clock::Clock;
use service::config::AmqpConfig;
use service::store::{Announces, Connect, Identity, ImportState, Incoming, Policies, Scope, Store, Undo};
use service::telemetry::RelayState;
use tokio::time::timeout;

use crate::lists::Bench;
use crate::relay_fixture::{Outbox, Running, everything_in, first_seen, open, to};
use crate::store_commit::{NOW, bounced};

/// Places in the pool.
const PLACES: u32 = 3;

/// A store with few places, that waits so long for one.
async fn store_at(url: &str, limit: Duration) -> Arc<Store> {
    store_with(url, limit, Duration::from_secs(20)).await
}

async fn store_with(url: &str, limit: Duration, statement_timeout: Duration) -> Arc<Store> {
    let options = Connect {
        url: SecretString::from(url),
        max_connections: PLACES,
        min_connections: 0,
        acquire_timeout: limit,
        connect_timeout: limit,
        statement_timeout,
        announces: Announces::Outbox,
    };
    let identity = Identity::new(&SecretString::from("a pepper that only the tests know"));
    Arc::new(Store::connect(&options, identity, Policies::default()).await.unwrap())
}

/// Has each place filled by a connection that nobody uses.
async fn fill(wire: &Proxy, store: &Store) {
    wire.slow_down(Duration::from_millis(20));
    eventually("each place is filled", || async {
        join_all((0..PLACES).map(|_| store.ping())).await.into_iter().collect::<Result<Vec<()>, _>>().unwrap();
        store.pool().size == PLACES
    })
    .await;
    wire.resume();
    all_are_free(store).await;
}

async fn all_are_free(store: &Store) {
    eventually("each place is filled and free", || async { (store.pool().size, store.pool().idle) == (PLACES, PLACES as usize) }).await;
}

#[tokio::test]
async fn the_places_of_connections_that_were_swallowed_in_use_come_back() {
    let database = TestDatabase::postgres().await;
    let direct = store_on(&database).await;
    let list = direct.ensure_list("acme", None, NOW).await.unwrap();
    let wire = Proxy::before(database.url());
    let store = store_at(wire.url(), Duration::from_secs(2)).await;
    fill(&wire, &store).await;
    wire.stall();
    let asked: Vec<_> = (0..PLACES)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.ping().await })
        })
        .collect();
    eventually("each of them is on its way", || async { wire.held() >= PLACES as usize }).await;
    wire.swallow();
    wire.resume();
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    all_are_free(&store).await;
    for answer in join_all((0..PLACES).map(|_| store.ping())).await {
        answer.unwrap();
    }
    let taken = store.commit(&[bounced(&list, "john@example.org", "gone")], NOW).await.unwrap();
    assert_eq!(taken.len(), 1);
    store.close().await;
}

/// A store of which one connection has more left to say than the system takes, so that not even a farewell can be sent.
async fn swallowed_in_mid_sentence() -> (TestDatabase, Proxy, Arc<Store>) {
    let database = TestDatabase::postgres().await;
    let direct = store_on(&database).await;
    let list = direct.ensure_list("acme", None, NOW).await.unwrap();
    let wire = Proxy::before(database.url());
    let store = store_at(wire.url(), Duration::from_secs(2)).await;
    fill(&wire, &store).await;
    let held = wire.held();
    wire.swallow_at("insert into receipt");
    let long = Incoming { body: vec![7; 32 << 20], ..bounced(&list, "jane@example.org", "gone") };
    let committing = tokio::spawn({
        let store = store.clone();
        async move { store.commit(&[long], NOW).await }
    });
    eventually("it was swallowed", || async { wire.held() > held }).await;
    committing.abort();
    (database, wire, store)
}

#[tokio::test]
async fn the_place_of_a_connection_that_was_swallowed_in_mid_sentence_comes_back() {
    let (_database, _wire, store) = swallowed_in_mid_sentence().await;
    all_are_free(&store).await;
    store.close().await;
}

#[tokio::test]
async fn closing_waits_for_no_connection_that_was_swallowed_in_mid_sentence() {
    let (_database, _wire, store) = swallowed_in_mid_sentence().await;
    timeout(Duration::from_secs(30), store.close()).await.unwrap();
}

#[tokio::test]
async fn a_step_that_was_swallowed_is_tried_again() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(&database).await;
    let import = bench.import("jane@example.org\n").await;
    let Undo::Begun(import) = bench.store.begin_undo(import.id, "undoer", NOW).await.unwrap() else { panic!("not undone") };
    let wire = Proxy::before(database.url());
    let wired = Bench::over(store_with(wire.url(), Duration::from_secs(2), Duration::from_millis(500)).await, NOW).await;
    let held = wire.held();
    wire.swallow_at("BEGIN");
    let (import, changed) = timeout(Duration::from_secs(30), wired.transfers.take_back(&import)).await.unwrap().unwrap();
    assert_eq!((import.state, changed), (ImportState::Undone, 1));
    assert!(wire.held() > held);
}

/// It was granted, and on a connection of the pool nobody would ever let go of it.
#[tokio::test]
async fn a_lock_that_nobody_waited_for_is_free() {
    let database = TestDatabase::postgres().await;
    let direct = store_on(&database).await;
    let wire = Proxy::before(database.url());
    let store = store_at(wire.url(), Duration::from_secs(8)).await;
    fill(&wire, &store).await;
    wire.stall_answers_to("pg_try_advisory_lock");
    let held = wire.held();
    let asked = tokio::spawn({
        let store = store.clone();
        async move { store.mailbox_lock().await }
    });
    eventually("the server has granted it", || async { wire.held() > held }).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    wire.resume();
    eventually("somebody else gets it", || async { direct.mailbox_lock().await.unwrap().is_some() }).await;
    store.close().await;
}

#[tokio::test]
async fn a_connection_that_was_swallowed_while_nobody_used_it_costs_nobody_an_answer() {
    let database = TestDatabase::postgres().await;
    store_on(&database).await.close().await;
    let wire = Proxy::before(database.url());
    let store = store_at(wire.url(), Duration::from_secs(8)).await;
    fill(&wire, &store).await;
    let used = Instant::now();
    eventually("they were not used for a while", || async { used.elapsed() > Duration::from_millis(1200) }).await;
    wire.swallow();
    for answer in join_all((0..PLACES).map(|_| store.ping())).await {
        answer.unwrap();
    }
    all_are_free(&store).await;
    store.close().await;
}

/// One connection that broke makes the others doubtful, however lately they were used.
#[tokio::test]
async fn connections_that_were_cut_just_after_use_cost_nobody_an_answer() {
    let database = TestDatabase::postgres().await;
    let direct = store_on(&database).await;
    let secret = direct.create_key("reader", &[Scope::Read], None, None, NOW).await.unwrap().secret;
    let wire = Proxy::before(database.url());
    let store = store_at(wire.url(), Duration::from_secs(8)).await;
    for _ in 0..5 {
        fill(&wire, &store).await;
        wire.cut();
        // Asked again it would meet the next of those that were cut, were that one not asked first.
        assert_eq!(store.find_key(secret.expose_secret()).await.unwrap().unwrap().name, "reader");
        for answer in join_all((0..PLACES).map(|_| store.ping())).await {
            answer.unwrap();
        }
    }
    store.close().await;
}

/// All sessions but that of the test.
async fn sessions(db: &DatabaseConnection) -> String {
    let sql = "select coalesce(string_agg(pid::text, ','), '') as pids from pg_stat_activity \
               where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get("", "pids").unwrap()
}

/// The whole service, with fewer places than are swallowed, and without a spool that would take what the database does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_service_goes_on_by_new_connections() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let wire = Proxy::before(database.url());
    let installation = Installation::on(wire.url()).with_broker_at(&broker, broker.url());
    let settings = [
        ("DATABASE__ACQUIRE_TIMEOUT", "1s"),
        ("DATABASE__MAX_CONNECTIONS", "5"),
        ("INTAKE__COMMIT_TIMEOUT", "1s"),
        ("HTTP__REQUEST_TIMEOUT", "3s"),
        ("SPOOL__ENABLED", "false"),
    ];
    let replica = settings.iter().fold(installation, |it, (key, value)| it.with(key, value)).serve().await;
    let balancer = Arc::new(Balancer::before([replica.address()]));
    let load = Load::start(&balancer, 8);
    let db = database.connect().await;
    for _ in 0..rounds(2, 10) {
        load.acknowledged(20).await;
        let before = sessions(&db).await;
        wire.swallow();
        load.answered(2).await;
        // By its own keepalives, some seconds later, the server lets go of what they have locked. They hear nothing of it.
        db.execute_unprepared(&format!("select pg_terminate_backend(pid) from unnest(array[{before}]::int[]) pid")).await.unwrap();
    }
    load.acknowledged(20).await;
    load.finish().await.balance(&db, &broker).await;
}

/// What waits for an answer while the relay becomes the active one, reads, and tells the table what became of messages.
#[tokio::test]
async fn a_relay_hangs_in_no_question_to_the_database() {
    for word in ["pg_try_advisory_lock", "FROM \"outbox\"", "delete from outbox"] {
        let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
        let wire = Proxy::before(outbox.database.url());
        let store = open(wire.url()).await;
        let committed = outbox.commit(Kind::Delayed, 20).await;
        wire.swallow_at(word);
        let config = AmqpConfig { confirm_timeout: Duration::from_secs(3), ..to(&broker, broker.url()) };
        let relay = Running::start(&store, config);
        eventually(&format!("it has given up waiting for {word}"), || async {
            relay.measured("rebound_failures_total{stage=\"relay\"}") >= 1.0
        })
        .await;
        // Now the server learns too that the one which holds the lock has gone.
        wire.cut();
        outbox.is_empty_at_last().await;
        relay.is_at_last(RelayState::Connected).await;
        assert_eq!(first_seen(&everything_in(&broker).await), committed, "{word}");
        relay.stop().await;
    }
}

/// A relay that is told to stop while it waits for its next try has been told by the broker what the table does not know yet.
#[tokio::test]
async fn what_is_owed_is_settled_at_a_stop() {
    let (outbox, broker) = (Outbox::postgres().await, TestBroker::new());
    let wire = Proxy::before(outbox.database.url());
    let store = open(wire.url()).await;
    let committed = outbox.commit(Kind::Delayed, 20).await;
    wire.stall_at("delete from outbox");
    let long = Duration::from_mins(10);
    let config = AmqpConfig { backoff_min: long, backoff_max: long, ..to(&broker, broker.url()) };
    let relay = Running::start_by(Clock::system(), &store, config);
    eventually("the wire holds the deletion back", || async { wire.held() > 0 }).await;
    wire.refuse();
    relay.is_at_last(RelayState::Disconnected).await;
    assert_eq!(outbox.rows().await.len(), 20);
    wire.resume();
    relay.stop().await;
    assert_eq!(outbox.rows().await, []);
    assert_eq!(everything_in(&broker).await, committed);
}

#[tokio::test]
async fn a_lock_that_is_granted_after_whoever_asked_lost_patience_is_free_for_others() {
    let database = TestDatabase::postgres().await;
    let direct = store_on(&database).await;
    let wire = Proxy::before(database.url());
    let store = store_at(wire.url(), Duration::from_secs(5)).await;
    fill(&wire, &store).await;
    wire.stall_answers_to("pg_try_advisory_lock");
    let asking = {
        let store = store.clone();
        tokio::spawn(async move { store.relay_lock().await })
    };
    eventually("the lock is granted, and nobody hears of it", || async { wire.held() > 0 }).await;
    asking.abort();
    wire.resume();
    eventually("another one gets it", || async { direct.relay_lock().await.unwrap().is_some() }).await;
    store.close().await;
}
