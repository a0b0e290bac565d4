//! What came in, as it came.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// What came in, as it came.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "receipt")]
pub struct Model {
    /// Version 7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Name of the source it came by.
    pub source: String,
    /// SHA-256 of the raw bytes, and of the list where the API names it.
    pub digest: Vec<u8>,
    /// The list it was taken in for.
    pub list_id: Uuid,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// Content type as announced, with its parameters.
    pub media_type: String,
    /// Octets before compression.
    pub size: i64,
    /// The raw bytes, zstd; null once they were erased or old enough to go.
    pub body: Option<Vec<u8>>,
    /// processed, unrecognised or quarantined.
    pub state: String,
    /// Why it is not processed; no addresses.
    pub error: Option<String>,
    /// unattributed, authenticated, signed or attributed.
    pub attribution: String,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
