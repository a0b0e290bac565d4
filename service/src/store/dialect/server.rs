//! What a database server says of itself. SQLite has no server, and says nothing.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use time::OffsetDateTime;

use crate::store::error::StoreError;

/// What the server's clock says.
pub(in crate::store) async fn time(db: &DatabaseConnection) -> Result<Option<OffsetDateTime>, StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, "select clock_timestamp() as now")).await?;
    Ok(row.map(|it| it.try_get("", "now")).transpose()?)
}

/// Connections that it has for everybody together.
pub(in crate::store) async fn most_connections(db: &DatabaseConnection) -> Result<Option<u32>, StoreError> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let sql = "select current_setting('max_connections')::int as most";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    let most: Option<i32> = row.map(|it| it.try_get("", "most")).transpose()?;
    Ok(most.and_then(|it| it.try_into().ok()))
}
