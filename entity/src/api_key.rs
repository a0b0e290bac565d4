//! Keys of the API. The secret itself is not kept.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Keys of the API. The secret itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key")]
pub struct Model {
    /// Version 7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// For people; the actor in the audit.
    pub name: String,
    /// First characters of the key, to tell keys apart.
    pub prefix: String,
    /// SHA-256 of the key.
    pub hash: Vec<u8>,
    /// JSON array of read, write, ingest, admin.
    pub scopes: String,
    /// Only this list and those below; null for all.
    pub list_id: Option<Uuid>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// Requests a minute it may make; null for what the configuration says.
    pub rate_limit: Option<i32>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
