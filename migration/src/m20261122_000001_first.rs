//! The first schema; the text beside this file is the schema.

use sea_orm_migration::prelude::*;

use crate::schema;

/// Creates every table of the first release.
#[derive(Debug, DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        for statement in schema::statements(include_str!("m20261122_000001_first.sql"), backend) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
