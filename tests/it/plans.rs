//! What grows is found by index: with enough rows in every table, nothing that runs often reads one of them from end to end.
//! The statements are those that the service sends; Postgres itself counts how it found their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::Rules;
use bounce::classify::reason::Reason;
use bounce::kind::BounceType;
use bounce::policy::Act;
use harness::{TestDatabase, eventually, store_at, store_on};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use service::clock::Clock;
use service::intake::RulesInForce;
use service::listing::Spool;
use service::store::{ActRequest, Cursor, ImportMode, List, Pending, Place, ReceiptState, Store, Undo, Visible};
use service::telemetry::Telemetry;
use service::transfer::{Consent, Order, Ordered, Reach, Transfers};
use time::{OffsetDateTime, macros::datetime};
use tokio::sync::Notify;

use crate::store_commit::bounced;

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
    insert into event_copy select event.id, receipt.id from (select id, row_number() over () as it from event) event
        join (select id, row_number() over () as it from receipt) receipt using (it);
    insert into delivery select (select id from suppression_list where name = 'acme'), subject_id, subject_id, now(), event_copy.receipt_id
        from event join event_copy on event_id = event.id;
    insert into import (id, list_id, actor, format, digest, mode, state, size, done, added, updated, unchanged, refused, created_at, updated_at)
        select gen_random_uuid(), id, 'filler', 'plain', sha256(''), 'real', 'completed', 1, 1, 0, 0, 0, 0, now(), now()
        from suppression_list where name = 'acme';
    insert into import_repeat select import.id, subject_id, change.id from import, suppression_change change;
    insert into outbox (message_id, message_type, routing_key, payload, attempts, created_at)
        select gen_random_uuid(), 'rebound.event.recorded', 'event', '{}', 0, now() from subject";

/// Tables that grow without end.
const TABLES: [&str; 10] =
    ["delivery", "event", "event_copy", "event_key", "import_repeat", "outbox", "receipt", "subject", "suppression", "suppression_change"];

/// How often each table was found by index, how often it was read from end to end, and how many of its rows were fetched.
type Scans = BTreeMap<String, (i64, i64, i64)>;

/// A database with many rows.
pub(crate) struct Filled {
    database: TestDatabase,
    watcher: DatabaseConnection,
    /// Tables with many rows.
    large: BTreeSet<String>,
}

impl Filled {
    async fn new() -> Self {
        let filled = Self::with(FILL).await;
        assert_eq!(filled.large, BTreeSet::from(TABLES.map(str::to_owned)));
        filled
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
        let sql = "select relname::text as name from pg_class \
                   where relkind = 'r' and relnamespace = 'public'::regnamespace and reltuples >= 10000";
        let large = watcher.query_all_raw(Statement::from_string(watcher.get_database_backend(), sql)).await.unwrap();
        let large = large.iter().map(|it| it.try_get("", "name").unwrap()).collect();
        Self { database, watcher, large }
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
        rows.iter().map(scan).filter(|(table, _): &(String, (i64, i64, i64))| self.large.contains(table)).collect()
    }

    /// How often an index was looked at.
    async fn looks(&self, index: &str) -> i64 {
        let sql = format!("select idx_scan as looks from pg_stat_user_indexes where indexrelname = '{index}'");
        let row = self.watcher.query_one_raw(Statement::from_string(self.watcher.get_database_backend(), sql)).await.unwrap();
        row.unwrap_or_else(|| panic!("there is no index {index}")).try_get("", "looks").unwrap()
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
        for table in self.large.iter().map(String::as_str) {
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
async fn a_check_reads_nothing_but_its_own_rows_before_anything_is_analysed() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    store.ensure_list("acme.weekly.daily", None, NOW).await.unwrap();
    let watcher = database.connect().await;
    watcher.execute_unprepared("alter table suppression set (autovacuum_enabled = false)").await.unwrap();
    watcher.execute_unprepared(FILL).await.unwrap();
    let list = store.list("acme.weekly.daily").await.unwrap();
    for _ in 0..8 {
        store.check(&list, &addresses(1), NOW).await.unwrap();
        store.check(&list, &addresses(30), NOW).await.unwrap();
    }
    store.close().await;
    // What a connection did is known when it has ended; its own statement may have looked at the table as well.
    let read = "select sum(idx_tup_read)::bigint as read, sum(idx_scan)::bigint as scans from pg_stat_user_indexes
                where relname = 'suppression'";
    let read = async || {
        let row = watcher.query_one_raw(Statement::from_string(watcher.get_database_backend(), read)).await.unwrap().unwrap();
        (row.try_get::<i64>("", "read").unwrap(), row.try_get::<i64>("", "scans").unwrap())
    };
    eventually("the checks have looked", async || read().await.1 >= 16).await;
    let (read, scans) = read().await;
    assert_eq!(read, 0, "nobody asked about is suppressed, and {read} entries of indexes were read in {scans} scans");
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
                let done: Vec<Place> = pending.iter().map(Pending::place).collect();
                assert_eq!(done.len(), 500);
                store.outbox_done(&done).await.unwrap();
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

/// What the database itself looks for, to hold its rules, counts too: who refers to an event or a receipt that goes.
#[tokio::test]
async fn what_goes_by_age_is_found_by_index_and_so_is_what_refers_to_it() {
    let filled = Filled::new().await;
    let long_ago = NOW - time::Duration::days(1000);
    let store = store_at(filled.database.url()).await;
    let list = store.ensure_list("acme", None, NOW).await.unwrap();
    for it in 0..60_u8 {
        let mut said = bounced(&list, &format!("old{it}@filled.example"), "full");
        said.received_at = long_ago;
        let fact = &mut said.facts[0];
        (fact.occurred_at, fact.testimony.bounce_type) = (long_ago, Some(BounceType::Soft));
        // Some are blocked, which has ended.
        fact.testimony.reason = Some(if it % 2 == 0 { Reason::MailboxFull } else { Reason::Suppressed });
        store.commit(&[said], long_ago).await.unwrap();
    }
    store.close().await;
    filled
        .work("event", async |store, _| {
            let before = NOW - time::Duration::days(730);
            let (mut next, mut events) = (None, 0);
            loop {
                let step = store.let_go_of_events(before, next, 20, NOW).await.unwrap();
                (next, events) = (step.next, events + step.gone.events);
                if next.is_none() {
                    break;
                }
            }
            assert!(events >= 30, "{events}");
            for states in [[ReceiptState::Processed].as_slice(), &[ReceiptState::Unrecognised, ReceiptState::Quarantined]] {
                while store.let_go_of_receipts(states, before, 7).await.unwrap() > 0 {}
            }
        })
        .await;
    // Without its own, another might be read through, which does not count as reading the table.
    for index in [
        "delivery_by_receipt",
        "event_by_heir",
        "event_copy_by_receipt",
        "import_repeat_by_subject",
        "suppression_by_event",
        "suppression_change_by_event",
    ] {
        assert!(filled.looks(index).await > 0, "{index} was not looked at");
    }
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
