//! What can be learned of a database without writing to it, for whoever looks for what is wrong.

use entity::setting;
use sea_orm::EntityTrait as _;
use time::OffsetDateTime;

use crate::store::dialect::server;
use crate::store::{Store, StoreError};

impl Store {
    /// Whether the database was written under this pepper; `None` if it was written under none yet.
    ///
    /// # Errors
    /// When the database is away, or has no tables.
    pub async fn is_of_this_pepper(&self) -> Result<Option<bool>, StoreError> {
        let kept = setting::Entity::find_by_id("pepper_check".to_owned()).one(&self.db).await?;
        Ok(kept.map(|it| it.value == self.identity.check_value()))
    }

    /// What the clock of the database server says; `None` where there is no server.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn server_time(&self) -> Result<Option<OffsetDateTime>, StoreError> {
        server::time(&self.db).await
    }

    /// Connections that the database server has for everybody together; `None` where there is no server.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn server_connections(&self) -> Result<Option<u32>, StoreError> {
        server::most_connections(&self.db).await
    }
}
