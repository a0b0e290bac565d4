//! Every place where Postgres and SQLite differ. Nothing outside asks which database it is.

use std::path::PathBuf;

use entity::{outbox, suppression};
use sea_orm::sqlx;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, EntityTrait, IsolationLevel, QueryFilter,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};

use crate::store::error::StoreError;
use crate::store::ids::{ListId, SubjectId};

/// Key of the advisory lock around migrations: "rebound" and 1, in hex.
const MIGRATION_LOCK: i64 = 0x0072_6562_6f75_0001;
/// Key of the advisory lock that the active relay holds.
const RELAY_LOCK: i64 = 0x0072_6562_6f75_0002;

/// Begins a transaction that may write. On SQLite it takes the write lock at once: a transaction that reads first and
/// writes later would fail with "locked" instead of waiting.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let options = match db.get_database_backend() {
        DbBackend::Sqlite => {
            TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() }
        }
        // Stated, whatever the server's default: what is read after a lock must be what was committed before it.
        _ => TransactionOptions { isolation_level: Some(IsolationLevel::ReadCommitted), ..TransactionOptions::default() },
    };
    Ok(db.begin_with_options(options).await?)
}

/// Place in the feeds for what this transaction writes, in commit order: on Postgres its transaction id, on SQLite, which has
/// one writer at a time, the next number.
pub(super) async fn position(tx: &DatabaseTransaction) -> Result<i64, StoreError> {
    let sql = match tx.get_database_backend() {
        DbBackend::Postgres => {
            "select pg_current_xact_id()::text::bigint + coalesce((select value::bigint from setting where name = 'feed_base'), 0) as position"
        }
        _ => {
            "select max(coalesce((select max(position) from event), 0), coalesce((select max(position) from suppression_change), 0)) + 1 as position"
        }
    };
    number(tx, sql, "position").await
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

/// Sets the revisions of subjects.
pub(super) async fn set_revisions(tx: &DatabaseTransaction, revisions: &[(SubjectId, i64)]) -> Result<(), StoreError> {
    // Both databases call the columns of VALUES so.
    let places: Vec<String> = (0..revisions.len()).map(|it| format!("(${}, ${})", 2 * it + 1, 2 * it + 2)).collect();
    let sql = format!("update subject set revision = it.column2 from (values {}) as it where subject.id = it.column1", places.join(", "));
    let values = revisions.iter().flat_map(|(id, revision)| [Value::from(id.0.to_vec()), Value::from(*revision)]);
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// What stands for subjects on lists, lifted rows left out. On Postgres the text of the statement stays the same however
/// many there are, so that it is planned once for each connection.
pub(super) async fn standing(
    db: &DatabaseConnection,
    subjects: &[SubjectId],
    lists: &[ListId],
) -> Result<Vec<suppression::Model>, StoreError> {
    let subjects = subjects.iter().map(|it| it.0.to_vec());
    let lists = lists.iter().map(|it| it.0);
    if db.get_database_backend() != DbBackend::Postgres {
        let query = suppression::Entity::find()
            .filter(suppression::Column::SubjectId.is_in(subjects))
            .filter(suppression::Column::ListId.is_in(lists))
            .filter(suppression::Column::ReleasedAt.is_null());
        return Ok(query.all(db).await?);
    }
    let values = [Value::from(subjects.collect::<Vec<_>>()), Value::from(lists.collect::<Vec<_>>())];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, STANDING, values);
    Ok(suppression::Entity::find().from_raw_sql(statement).all(db).await?)
}

const STANDING: &str = "select * from suppression where subject_id = any($1) and list_id = any($2) and released_at is null";

/// Removes rows of the outbox.
pub(super) async fn remove_from_outbox(db: &DatabaseConnection, sequences: &[i64]) -> Result<(), StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        outbox::Entity::delete_many().filter(outbox::Column::Sequence.is_in(sequences.iter().copied())).exec(db).await?;
        return Ok(());
    }
    let values = [Value::from(sequences.to_vec())];
    db.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, "delete from outbox where sequence = any($1)", values)).await?;
    Ok(())
}

async fn number(db: &impl ConnectionTrait, sql: &str, column: &str) -> Result<i64, StoreError> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| super::error::bad_row("setting", "a scalar query gave no row"))?;
    Ok(row.try_get("", column)?)
}

/// Holds other replicas off while one migrates; released at the end of the transaction.
pub(super) async fn lock_migration(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared(&format!("select pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
    }
    Ok(())
}

/// The lock that makes one relay per database the active one. Lives as long as the connection it was taken on.
#[derive(Debug)]
pub struct RelayLock {
    connection: Option<sqlx::PgConnection>,
}

impl RelayLock {
    /// Tries to take it; `None` when another process holds it. SQLite serves one process, which always gets it.
    pub(super) async fn take(db: &DatabaseConnection) -> Result<Option<Self>, StoreError> {
        if db.get_database_backend() != DbBackend::Postgres {
            return Ok(Some(Self { connection: None }));
        }
        let outage =
            |error: sqlx::Error| StoreError::from(sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(std::sync::Arc::new(error))));
        let mut connection = db.get_postgres_connection_pool().acquire().await.map_err(outage)?;
        let taken: bool =
            sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(RELAY_LOCK).fetch_one(&mut *connection).await.map_err(outage)?;
        if taken {
            // Leaves the pool for good, which opens another in its place: the lock must go with the connection.
            return Ok(Some(Self { connection: Some(connection.detach()) }));
        }
        Ok(None)
    }

    /// Whether the connection that holds the lock is still there; without it another relay may be active.
    pub async fn holds(&mut self) -> bool {
        match &mut self.connection {
            Some(connection) => sqlx::query("select 1").execute(&mut *connection).await.is_ok(),
            None => true,
        }
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
