//! The schema of Rebound, on Postgres and on SQLite. Migrations go forward only: expand, so that the code still running
//! goes on working, then contract in a later release. A new table is a new file here and a line in [`Migrator`].

mod m20261122_000001_first;
mod m20261122_000002_let_go;
mod schema;

use sea_orm_migration::prelude::*;

/// Every migration, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261122_000001_first::Migration), Box::new(m20261122_000002_let_go::Migration)]
    }
}
