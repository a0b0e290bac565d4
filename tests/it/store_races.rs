//! What somebody else does between two statements of ours: an address is let go of just when something comes in about it, rows
//! are held by another transaction. Each of these is brought about by a transaction of the test's own, which holds what it holds until
//! ours waits for it.

use bounce::address::Address;
use bounce::policy::Cause;
use harness::{TestDatabase, eventually, store_on};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait as _};
use service::store::{Accepted, Known, Store};
use time::Duration;

use crate::lists::{Bench, NOW as THEN, rows};
use crate::store_commit::{NOW, bounced};

const WHO: &str = "jane@example.org";
/// A revision that the address had before it was let go of.
const BEFORE: i64 = 50;

/// A transaction of somebody else, on a connection of its own.
async fn somebody(database: &TestDatabase) -> DatabaseTransaction {
    database.connect().await.begin().await.unwrap()
}

/// Lets go of the one address there is, as retention does, and does not commit yet.
async fn let_go(tx: &DatabaseTransaction) {
    let floor = format!("insert into setting values ('revision_floor', '{BEFORE}')");
    for sql in ["delete from suppression_change", "delete from suppression", "delete from subject", &floor] {
        tx.execute_unprepared(sql).await.unwrap();
    }
}

/// Waits until a transaction of the service waits for a lock.
async fn somebody_waits(watcher: &DatabaseConnection) {
    let sql = "select count(*) > 0 as waits from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let waits = async || {
        let row = watcher.query_one_raw(Statement::from_string(watcher.get_database_backend(), sql)).await.unwrap();
        row.unwrap().try_get("", "waits").unwrap()
    };
    eventually("somebody waits for a lock", waits).await;
}

/// The revision of the address, which must be known, and how many causes stand.
async fn of_address(store: &Store) -> (i64, usize) {
    let history = store.history(&Address::parse(WHO).unwrap(), 10).await.unwrap();
    assert_eq!(history.known, Known::Known);
    (history.suppressions.iter().map(|it| it.revision).max().unwrap_or_default(), history.suppressions.len())
}

/// An import into `acme.weekly` that somebody lets go of the address under, after having held it or without.
async fn imported_while_it_goes(hold: &str) {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(&database).await;
    // Heard of once, and nothing stands.
    let import = bench.import(&rows([WHO], |it| format!("{it},hard"))).await;
    bench.undo(&import).await;
    let other = somebody(&database).await;
    for sql in ["delete from import_repeat", hold] {
        other.execute_unprepared(sql).await.unwrap();
    }
    if hold.starts_with("delete") {
        let_go(&other).await;
    }
    let text = rows([WHO], |it| format!("{it},complaint"));
    let watcher = database.connect().await;
    let (import, ()) = tokio::join!(bench.import(&text), async {
        somebody_waits(&watcher).await;
        if !hold.starts_with("delete") {
            let_go(&other).await;
        }
        other.commit().await.unwrap();
    });
    assert_eq!((import.counts.added, import.counts.rows()), (1, 1));
    let (revision, standing) = of_address(&bench.store).await;
    assert_eq!(standing, 1);
    assert!(revision > BEFORE, "{revision}: whoever has heard of it takes it for old");
    assert!(bench.suppressed(WHO).await);
}

#[tokio::test]
async fn an_address_that_goes_before_an_import_can_lock_it_is_imported_anew() {
    imported_while_it_goes("select from subject for update").await;
}

#[tokio::test]
async fn revisions_that_are_lifted_while_an_import_inserts_count() {
    imported_while_it_goes("delete from suppression").await;
}

#[tokio::test]
async fn an_address_that_goes_before_a_commit_can_lock_it_comes_anew() {
    for hold in ["select from subject for update", "delete from suppression_change; delete from suppression; delete from subject"] {
        let database = TestDatabase::postgres().await;
        let store = store_on(&database).await;
        let list = store.ensure_list("acme", None, NOW).await.unwrap();
        store.commit(&[bounced(&list, WHO, "gone")], NOW).await.unwrap();
        let watcher = database.connect().await;
        // All that is known of it goes but the address itself.
        let bare = "update suppression_change set event_id = null; update suppression set event_id = null; \
                    delete from event_key; delete from event; delete from receipt";
        watcher.execute_unprepared(bare).await.unwrap();
        let other = somebody(&database).await;
        other.execute_unprepared(hold).await.unwrap();
        let mut again = bounced(&list, WHO, "gone again");
        again.digest = [9; 32];
        let batch = [again];
        let (accepted, ()) = tokio::join!(store.commit(&batch, NOW), async {
            somebody_waits(&watcher).await;
            let_go(&other).await;
            other.commit().await.unwrap();
        });
        let Accepted::New { changes, .. } = &accepted.unwrap()[0] else { panic!("{hold}: not new") };
        assert_eq!(changes.iter().map(|it| it.cause).collect::<Vec<_>>(), [Some(Cause::Hard)]);
        let (revision, standing) = of_address(&store).await;
        assert_eq!(standing, 1, "{hold}");
        assert!(revision > BEFORE, "{hold}: {revision}");
    }
}

/// What somebody is at work on goes another time; nobody waits, and so nobody can wait for one another.
#[tokio::test]
async fn what_is_left_of_an_import_does_not_wait_to_go() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(&database).await;
    let text = rows(0..3, |it| format!("person{it}@example.org"));
    bench.import(&text).await;
    let second = bench.import(&format!("{text}\n")).await;
    bench.undo(&second).await;
    let other = somebody(&database).await;
    other.execute_unprepared("select from import_repeat limit 1 for update").await.unwrap();
    let go = || bench.store.let_go_of_imports(THEN + Duration::HOUR, 500);
    assert_eq!(go().await.unwrap(), 2);
    assert_eq!(go().await.unwrap(), 0);
    other.commit().await.unwrap();
    assert_eq!(go().await.unwrap(), 1);
}
