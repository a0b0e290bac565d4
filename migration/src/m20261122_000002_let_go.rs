//! Indexes by which what refers to an event, or to an address, is found when it goes. The database itself looks for it, to hold its
//! rules, and without them would read whole tables for each row that goes.

use sea_orm_migration::prelude::*;

use crate::schema;

/// Adds them.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for statement in schema::statements(include_str!("m20261122_000002_let_go.sql"), backend) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
