//! Single-use tokens of providers that were used.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Single-use tokens of providers that were used.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seen_token")]
pub struct Model {
    /// Source they came by.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: String,
    /// SHA-256 of the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token: Vec<u8>,
    /// SHA-256 of the body it proved.
    pub digest: Vec<u8>,
    /// When.
    pub seen_at: OffsetDateTime,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
