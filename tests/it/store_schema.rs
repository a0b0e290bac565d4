//! The schema on both databases: replicas that start at once, a wrong pepper, comments and rules in the tables.

use harness::{TestDatabase, store_at, store_on};
use sea_orm::{ConnectionTrait, Statement};
use secrecy::SecretString;
use service::store::{Announces, Connect, Identity, Policies, Store, StoreError};

#[tokio::test]
async fn four_replicas_that_start_at_once_all_come_up() {
    let database = TestDatabase::postgres().await;
    let replicas = (0..4).map(|_| async {
        let store = store_at(database.url()).await;
        store.migrate().await.unwrap();
        store.check_in().await.unwrap();
        store.close().await;
    });
    futures_util::future::join_all(replicas).await;
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_refused_with_the_remedy() {
    let database = TestDatabase::sqlite();
    let error = store_at(database.url()).await.check_in().await.unwrap_err();
    assert!(matches!(error, StoreError::NotMigrated(_)), "{error:?}");
    assert!(error.to_string().contains("rebound migrate"));
}

#[tokio::test]
async fn another_pepper_is_refused() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        store_on(&database).await.close().await;
        let options = Connect {
            url: SecretString::from(database.url()),
            max_connections: 2,
            min_connections: 0,
            acquire_timeout: std::time::Duration::from_secs(10),
            connect_timeout: std::time::Duration::from_secs(10),
            statement_timeout: std::time::Duration::from_secs(10),
            announces: Announces::Outbox,
        };
        let other = Identity::new(&SecretString::from("another pepper"));
        let error = Store::connect(&options, other, Policies::default()).await.unwrap().check_in().await.unwrap_err();
        assert!(matches!(error, StoreError::WrongPepper), "{error:?}");
    }
}

#[tokio::test]
async fn a_commit_is_on_the_disk_of_the_server_whatever_its_default() {
    let now = time::macros::datetime!(2026-11-22 10:00 UTC);
    for (default, in_force) in [("off", "local"), ("local", "local"), ("on", "on"), ("remote_apply", "remote_apply")] {
        let database = TestDatabase::postgres().await;
        store_on(&database).await.close().await;
        let db = database.connect().await;
        let trap = format!(
            "create table seen (value text); \
             create function look() returns trigger language plpgsql as \
             $$ begin insert into seen values (current_setting('synchronous_commit')); return new; end $$; \
             create trigger look after insert on suppression_list for each row execute function look(); \
             do $$ begin execute format('alter database %I set synchronous_commit = {default}', current_database()); end $$"
        );
        db.execute_unprepared(&trap).await.unwrap();
        store_on(&database).await.ensure_list("acme", None, now).await.unwrap();
        let seen = db.query_all_raw(Statement::from_string(db.get_database_backend(), "select value from seen")).await.unwrap();
        let seen: Vec<String> = seen.iter().map(|it| it.try_get("", "value").unwrap()).collect();
        assert_eq!(seen, [in_force], "{default}");
    }
}

#[tokio::test]
async fn what_a_server_may_lose_is_known() {
    assert_eq!(store_on(&TestDatabase::sqlite()).await.risks().await.unwrap(), [] as [String; 0]);
    let database = TestDatabase::postgres().await;
    let db = database.connect().await;
    let mut off = Vec::new();
    for name in ["fsync", "full_page_writes"] {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), format!("show {name}"))).await.unwrap().unwrap();
        off.extend((row.try_get_by_index::<String>(0).unwrap() == "off").then(|| name.to_owned()));
    }
    assert_eq!(store_on(&database).await.risks().await.unwrap(), off);
}

#[tokio::test]
async fn every_column_in_postgres_has_a_comment() {
    let database = TestDatabase::postgres().await;
    store_on(&database).await;
    let db = database.connect().await;
    let sql = "select (t.relname || '.' || c.attname)::text as name from pg_class t join pg_attribute c on c.attrelid = t.oid \
               where t.relkind = 'r' and t.relnamespace = 'public'::regnamespace and t.relname <> 'seaql_migrations' \
               and c.attnum > 0 and col_description(t.oid, c.attnum) is null";
    let bare = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let names: Vec<String> = bare.iter().map(|it| it.try_get("", "name").unwrap()).collect();
    assert_eq!(names, Vec::<String>::new());
}

#[tokio::test]
async fn the_tables_hold_the_rules() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let now = time::macros::datetime!(2026-11-22 10:00 UTC);
        store.ensure_list("acme", None, now).await.unwrap();
        let db = database.connect().await;
        for (rule, sql) in [
            (
                "list_name_is_unique",
                "insert into suppression_list select {uuid}, name, id, boundary_id, honours, created_at from suppression_list",
            ),
            ("a_root_is_its_own_boundary", "update suppression_list set parent_id = id"),
            (
                "an_erased_subject_has_no_address",
                "insert into subject values ({id16}, null, 'example.org', 0, '2026-11-22T10:00:00Z', null)",
            ),
            (
                "only_what_was_imported_is_undone",
                "insert into import select {uuid}, id, '', 'csv', {id32}, 'preview', 'undone', null, 0, 0, 0, 0, 0, 0, created_at, created_at, null, null from suppression_list",
            ),
            (
                "import_state_is_known",
                "insert into import select {uuid}, id, '', 'csv', {id32}, 'real', 'lost', null, 0, 0, 0, 0, 0, 0, created_at, created_at, null, null from suppression_list",
            ),
            (
                "attempts_are_not_negative",
                "insert into outbox (message_id, message_type, routing_key, payload, attempts, created_at) values ({uuid}, '', '', '', -1, '2026-11-22T10:00:00Z')",
            ),
        ] {
            let sql = match db.get_database_backend() {
                sea_orm::DbBackend::Postgres => sql
                    .replace("{id16}", "decode(repeat('00', 16), 'hex')")
                    .replace("{id32}", "decode(repeat('00', 32), 'hex')")
                    .replace("{uuid}", "gen_random_uuid()"),
                _ => sql.replace("{id16}", "zeroblob(16)").replace("{id32}", "zeroblob(32)").replace("{uuid}", "zeroblob(16)"),
            };
            let error = db.execute_unprepared(&sql).await.expect_err(rule);
            let error = error.to_string();
            // SQLite names a unique constraint by its columns.
            let named = error.contains(rule) || error.contains("UNIQUE constraint failed: suppression_list.name");
            assert!(named, "{rule}: {error}");
        }
    }
}
