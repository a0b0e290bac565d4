//! What grows is found by index: with enough rows in every table, nothing that runs often reads one of them from end to end.
//! The statements are those that the service sends; Postgres itself counts how it found their rows.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::Rules;
use bounce::policy::Act;
use harness::{TestDatabase, eventually, store_at, store_on};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use service::clock::Clock;
use service::intake::RulesInForce;
use service::listing::Spool;
use service::store::{ActRequest, Cursor, ImportMode, List, Store, Undo, Visible};
use service::telemetry::Telemetry;
use service::transfer::{Consent, Order, Ordered, Reach, Transfers};
use time::{OffsetDateTime, macros::datetime};
use tokio::sync::Notify;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// 30,000 rows in each table that grows: about subjects that nobody asks for, and in the same places as those somebody does.
const FILL: &str = "
    insert into subject select decode(md5(i::text), 'hex'), 'a' || i || '@filled.example', 'filled.example', 1, now(), null
        from generate_series(1, 30000) i;
    insert into suppression select id, (select id from suppression_list where name = 'acme'), 'hard', 'user_unknown', null, null, false,
        false, now(), null, null, 1 from subject;
    insert into suppression_change select gen_random_uuid(), row_number() over (), id, (select id from suppression_list where name = 'acme'),
        (select id from suppression_list where name = 'acme'), 'added', 'hard', 'user_unknown', null, null, 'rebound', null, false, false,
        now(), null, null, 1, null, now() from subject;
    insert into receipt select gen_random_uuid(), 'filled', sha256(id), (select id from suppression_list where name = 'acme'), now(),
        'message/rfc822', 1, null, 'processed', null, 'signed' from subject;
    insert into event select gen_random_uuid(), row_number() over (), (select id from receipt limit 1),
        (select id from suppression_list where name = 'acme'), (select id from suppression_list where name = 'acme'), id, id, null, null,
        'filled', 'bounce', 'hard', 'user_unknown', 'recipient', '5.1.1', 550, null, null, null, null, null, null, null, 'signed', 'full',
        '4', 'code', '1', now(), now() from subject;
    insert into event_key select subject_id, id from event;
    insert into outbox (message_id, message_type, routing_key, payload, attempts, created_at)
        select gen_random_uuid(), 'rebound.event.recorded', 'event', '{}', 0, now() from subject";

/// Tables that grow without end.
const TABLES: [&str; 7] = ["subject", "suppression", "suppression_change", "receipt", "event", "event_key", "outbox"];

/// How often each table was found by index, how often it was read from end to end, and how many of its rows were fetched.
type Scans = BTreeMap<String, (i64, i64, i64)>;

/// A database with many rows.
pub(crate) struct Filled {
    database: TestDatabase,
    watcher: DatabaseConnection,
}

impl Filled {
    async fn new() -> Self {
        Self::with(FILL).await
    }

    /// One that some SQL fills, on which the list `acme.weekly.daily` is there.
    pub(crate) async fn with(fill: &str) -> Self {
        let database = TestDatabase::postgres().await;
        let store = store_on(&database).await;
        store.ensure_list("acme.weekly.daily", None, NOW).await.unwrap();
        store.close().await;
        let filler = database.connect().await;
        filler.execute_unprepared(fill).await.unwrap();
        filler.execute_unprepared("vacuum (analyze)").await.unwrap();
        filler.close().await.unwrap();
        let watcher = database.connect().await;
        Self { database, watcher }
    }

    /// How tables were read, once everybody who did has gone: a connection tells what it did at the latest when it ends.
    async fn scans(&self) -> Scans {
        let alone = "select count(*) = 0 as alone from pg_stat_activity \
                     where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
        let alone = Statement::from_string(self.watcher.get_database_backend(), alone);
        let alone = async || self.watcher.query_one_raw(alone.clone()).await.unwrap().unwrap().try_get("", "alone").unwrap();
        eventually("nobody else is there", alone).await;
        let sql = "select relname::text, coalesce(idx_scan, 0) as by_index, seq_scan as whole, coalesce(idx_tup_fetch, 0) as rows \
                   from pg_stat_user_tables";
        let rows = self.watcher.query_all_raw(Statement::from_string(self.watcher.get_database_backend(), sql)).await.unwrap();
        let scan = |it: &sea_orm::QueryResult| {
            let count = |name| it.try_get("", name).unwrap();
            (it.try_get("", "relname").unwrap(), (count("by_index"), count("whole"), count("rows")))
        };
        rows.iter().map(scan).filter(|(table, _): &(String, (i64, i64, i64))| TABLES.contains(&table.as_str())).collect()
    }

    /// Does some work that must find something in a table by index, and reads none from end to end.
    async fn work(&self, found_by_index: &str, work: impl AsyncFnOnce(Arc<Store>, Arc<List>)) {
        self.work_within(found_by_index, i64::MAX, work).await;
    }

    /// The same, of work that fetches so many rows of each table at most.
    pub(crate) async fn work_within(&self, found_by_index: &str, most: i64, work: impl AsyncFnOnce(Arc<Store>, Arc<List>)) {
        let before = self.scans().await;
        let store = Arc::new(store_at(self.database.url()).await);
        store.lists().await.unwrap();
        let list = store.list("acme.weekly.daily").await.unwrap();
        work(store.clone(), list).await;
        store.close().await;
        let after = self.scans().await;
        assert!(after[found_by_index].0 > before[found_by_index].0, "{found_by_index} was not looked at: {before:?} {after:?}");
        for table in TABLES {
            assert_eq!(after[table].1, before[table].1, "{table} was read from end to end: {before:?} {after:?}");
            let fetched = after[table].2 - before[table].2;
            assert!(fetched <= most, "{fetched} rows of {table} were fetched, to find {found_by_index}: {before:?} {after:?}");
        }
    }
}

fn addresses(count: usize) -> Vec<Address> {
    (0..count).map(|it| Address::parse(&format!("a{it}@filled{}.example", it % 100)).unwrap()).collect()
}

#[tokio::test]
async fn checks_of_one_and_of_many_find_by_index() {
    let filled = Filled::new().await;
    filled
        .work("suppression", async |store, list| {
            // More often than Postgres tries plans of its own before it keeps one.
            for _ in 0..8 {
                store.check(&list, &addresses(1), NOW).await.unwrap();
                store.check(&list, &addresses(30), NOW).await.unwrap();
            }
        })
        .await;
}

#[tokio::test]
async fn pages_of_the_feeds_find_by_index() {
    let filled = Filled::new().await;
    filled
        .work("event", async |store, list| {
            for visible in [Visible::All, Visible::Below(list)] {
                let (mut events, mut changes) = (Cursor::START, Cursor::START);
                for _ in 0..8 {
                    events = store.events_after(events, &visible, 100).await.unwrap().next;
                    changes = store.changes_after(changes, &visible, 100).await.unwrap().next;
                }
            }
            store.changes_end().await.unwrap();
        })
        .await;
}

#[tokio::test]
async fn the_outbox_is_read_and_emptied_by_index() {
    let filled = Filled::new().await;
    filled
        .work("outbox", async |store, _| {
            let mut after = i64::MIN;
            for _ in 0..8 {
                let pending = store.outbox_pending(after, 500, NOW + time::Duration::DAY).await.unwrap();
                after = pending.last().unwrap().sequence;
                let sequences: Vec<i64> = pending.iter().map(|it| it.sequence).collect();
                assert_eq!(sequences.len(), 500);
                store.outbox_done(&sequences).await.unwrap();
            }
        })
        .await;
}

#[tokio::test]
async fn the_history_of_an_address_is_found_by_index() {
    let filled = Filled::new().await;
    filled
        .work("event", async |store, list| {
            for address in addresses(8) {
                let act = [Act::Block.into()];
                let request = ActRequest { list: list.clone(), address: &address, acts: &act, actor: "tester", note: None };
                store.act(request, NOW).await.unwrap();
                store.history(&address, 100).await.unwrap();
                store.standing(&list, &address).await.unwrap();
            }
        })
        .await;
}

#[tokio::test]
async fn an_import_and_its_undoing_find_by_index() {
    let filled = Filled::new().await;
    filled
        .work("subject", async |store, list| {
            let rules = RulesInForce::new(Rules::load(&[]).unwrap());
            let transfers =
                Transfers::new(store.clone(), rules, Arc::new(Telemetry::new([])), Arc::new(Notify::new()), Clock::from(|| NOW));
            for round in 0..4 {
                let mut spool = Spool::new().unwrap();
                // Half of them new, half of them known since the round before.
                let lines: Vec<String> = (round * 2000..round * 2000 + 4000).map(|it| format!("i{it}@imported.example\n")).collect();
                spool.write_all(lines.concat().as_bytes()).unwrap();
                let order = Order {
                    list: list.clone(),
                    actor: "tester".to_owned(),
                    reach: Reach { confined: None, consent: Consent::MayBeOverridden },
                    file: spool.finish().unwrap(),
                    format: None,
                    cause: None,
                    mode: ImportMode::Real,
                };
                let Ordered::Ready(ready) = transfers.order(order).await.unwrap() else { panic!("it was imported before") };
                let import = transfers.carry_out(*ready, |_| ()).await.unwrap();
                assert_eq!(import.counts.rows(), 4000);
                let Undo::Begun(import) = store.begin_undo(import.id, "undoer", NOW).await.unwrap() else { panic!("not undone") };
                transfers.take_back(&import).await.unwrap();
            }
        })
        .await;
}
