//! Every place where Postgres and SQLite differ. Nothing outside asks which database it is.

mod bulk;
pub(super) mod server;
mod slots;

use std::path::PathBuf;

use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{self, Postgres};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};

use crate::store::error::StoreError;

pub(super) use bulk::{Known, among, delete, insert, insert_missing, set};
pub(super) use slots::Slots;

/// Key of the advisory lock around migrations: "rebound" and 1, in hex.
const MIGRATION_LOCK: i64 = 0x0072_6562_6f75_0001;
/// Key of the advisory lock that the active relay holds.
pub(super) const RELAY_LOCK: i64 = 0x0072_6562_6f75_0002;
/// Key of the advisory lock of the process that fetches from mailboxes.
pub(super) const MAILBOX_LOCK: i64 = 0x0072_6562_6f75_0003;

/// Stated for each connection, whatever the server's default: what is read after a lock must be what was committed before it.
pub(super) const SESSION: [(&str, &str); 4] = [
    ("default_transaction_isolation", "read committed"),
    // Locks of a client that the network has swallowed are let go soon, and not after the two hours of the system.
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// Settings of the server that are off and without which a crash loses what was committed. A client cannot change them.
pub(super) async fn risks(db: &DatabaseConnection) -> Result<Vec<String>, StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(Vec::new());
    }
    let sql = "select name from pg_settings where name in ('fsync', 'full_page_writes') and setting = 'off' order by name";
    let found = db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    Ok(found.iter().map(|it| it.try_get("", "name")).collect::<Result<_, _>>()?)
}

/// Begins a transaction that may write. On SQLite it takes the write lock at once: a transaction that reads first and
/// writes later would fail with "locked" instead of waiting.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let options = match db.get_database_backend() {
        DbBackend::Sqlite => {
            TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() }
        }
        // The connection states how transactions are isolated; see [`SESSION`].
        _ => TransactionOptions::default(),
    };
    Ok(db.begin_with_options(options).await?)
}

/// Place in the feeds for what this transaction writes, in commit order: on Postgres its transaction id, on SQLite, which has
/// one writer at a time, the next number.
///
/// On the same way Postgres is told that this transaction finds rows by key alone. Its statements are prepared once for each
/// connection; a plan that reads a whole table, made while the table was small, would be kept while it grows.
pub(super) async fn position(tx: &DatabaseTransaction) -> Result<i64, StoreError> {
    let sql = match tx.get_database_backend() {
        DbBackend::Postgres => {
            "select pg_current_xact_id()::text::bigint + coalesce((select value::bigint from setting where name = 'feed_base'), 0) as position, \
             set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), \
             set_config('enable_mergejoin', 'off', true)"
        }
        _ => {
            "select max(coalesce((select max(position) from event), 0), coalesce((select max(position) from suppression_change), 0)) + 1 as position"
        }
    };
    number(tx, sql, "position").await
}

/// Tells Postgres that this transaction finds rows by key alone, as [`position`] does, for one that writes nothing into the feeds.
pub(super) async fn by_key_alone(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let sql = "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off";
        tx.execute_unprepared(sql).await?;
    }
    Ok(())
}

/// The first place that a transaction still running may yet fill; only what stands before it may be served.
pub(super) async fn horizon(db: &impl ConnectionTrait) -> Result<i64, StoreError> {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            let sql = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
                       + coalesce((select value::bigint from setting where name = 'feed_base'), 0) as horizon";
            number(db, sql, "horizon").await
        }
        _ => Ok(i64::MAX),
    }
}

/// After a restore into another Postgres cluster transaction ids start low again; the base lifts them over what is there.
pub(super) async fn lift_feed_base(db: &DatabaseConnection) -> Result<(), StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = "insert into setting (name, value) \
               select 'feed_base', (top - pg_snapshot_xmin(pg_current_snapshot())::text::bigint + 1)::text \
               from (select greatest((select max(position) from event), (select max(position) from suppression_change)) as top) as it \
               where top >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
                     + coalesce((select value::bigint from setting where name = 'feed_base'), 0) \
               on conflict (name) do update set value = excluded.value";
    db.execute_unprepared(sql).await?;
    Ok(())
}

/// The revision from which subjects start that are new: above that of all who went by age, for one of them may be the same.
pub(super) async fn revision_floor(tx: &DatabaseTransaction) -> Result<i64, StoreError> {
    number(tx, "select coalesce((select cast(value as bigint) from setting where name = 'revision_floor'), 0) as floor", "floor").await
}

/// Lifts that to a revision.
pub(super) async fn lift_revision_floor(tx: &DatabaseTransaction, revision: i64) -> Result<(), StoreError> {
    let greatest = if tx.get_database_backend() == DbBackend::Postgres { "greatest" } else { "max" };
    let sql = format!(
        "insert into setting (name, value) values ('revision_floor', '{revision}') on conflict (name) do update \
         set value = cast({greatest}(cast(setting.value as bigint), cast(excluded.value as bigint)) as text)"
    );
    tx.execute_unprepared(&sql).await?;
    Ok(())
}

async fn number(db: &impl ConnectionTrait, sql: &str, column: &str) -> Result<i64, StoreError> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| super::error::bad_row("setting", "a scalar query gave no row"))?;
    Ok(row.try_get("", column)?)
}

/// Holds other replicas off while one migrates; released at the end of the transaction. However long an index takes to be built, or
/// another replica to build it, it is not cut off.
pub(super) async fn lock_migration(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("set local statement_timeout = 0").await?;
        tx.execute_unprepared(&format!("select pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
    }
    Ok(())
}

/// A lock that makes one process per database the active one in something. Lives as long as the connection it was taken on.
#[derive(Debug)]
pub struct ActiveLock {
    connection: Option<sqlx::PgConnection>,
}

impl ActiveLock {
    /// Tries to take it; `None` when another process holds it. SQLite serves one process, which always gets it.
    pub(super) async fn take(db: &DatabaseConnection, key: i64) -> Result<Option<Self>, StoreError> {
        if db.get_database_backend() != DbBackend::Postgres {
            return Ok(Some(Self { connection: None }));
        }
        let outage =
            |error: sqlx::Error| StoreError::from(sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(std::sync::Arc::new(error))));
        let mut asked = Asked(Some(db.get_postgres_connection_pool().acquire().await.map_err(outage)?));
        let Some(connection) = &mut asked.0 else { return Ok(None) };
        let taken: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(key).fetch_one(&mut **connection).await.map_err(outage)?;
        let connection = asked.0.take();
        // Leaves the pool for good, which opens another in its place: the lock must go with the connection.
        Ok(connection.filter(|_| taken).map(|it| Self { connection: Some(it.detach()) }))
    }

    /// Whether the connection that holds the lock is still there; without it another process may be active.
    pub async fn holds(&mut self) -> bool {
        match &mut self.connection {
            Some(connection) => sqlx::query("select 1").execute(&mut *connection).await.is_ok(),
            None => true,
        }
    }
}

/// A connection that was asked for a lock and has not answered. Should nobody wait for its answer any more it leaves the pool, where it
/// would hold for good, unused, a lock that was granted after all.
struct Asked(Option<PoolConnection<Postgres>>);

impl Drop for Asked {
    fn drop(&mut self) {
        // Dropped, and not closed: nothing is waited for.
        drop(self.0.take().map(PoolConnection::detach));
    }
}

/// Where the file of a SQLite database is; `None` for Postgres and for a database in memory.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?.split('?').next()?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
}

/// Whether the URL names a database that serves one process only.
#[must_use]
pub fn is_single_process(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// Whether one transaction that writes holds up every other.
pub(super) fn has_one_writer(db: &DatabaseConnection) -> bool {
    db.get_database_backend() == DbBackend::Sqlite
}

/// Journal of SQLite that lets readers read while one writes.
pub(super) const WAL: sqlx::sqlite::SqliteJournalMode = sqlx::sqlite::SqliteJournalMode::Wal;
/// A commit is on the disk when it returns.
pub(super) const FULL: sqlx::sqlite::SqliteSynchronous = sqlx::sqlite::SqliteSynchronous::Full;

/// How many connections there are, and how many of them are unused.
pub(super) fn pool(db: &DatabaseConnection) -> super::connect::PoolState {
    let (size, idle) = if db.get_database_backend() == DbBackend::Postgres {
        let pool = db.get_postgres_connection_pool();
        (pool.size(), pool.num_idle())
    } else {
        let pool = db.get_sqlite_connection_pool();
        (pool.size(), pool.num_idle())
    };
    super::connect::PoolState { size, idle }
}
