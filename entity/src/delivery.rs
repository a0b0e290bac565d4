//! The two newest deliveries of a subject; older ones can change nothing.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// The two newest deliveries of a subject; older ones can change nothing.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery")]
pub struct Model {
    /// Root of the list it was sent for.
    #[sea_orm(primary_key, auto_increment = false)]
    pub boundary_id: Uuid,
    /// To whom.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Vec<u8>,
    /// Keys of the message, 16 octets each, smallest first.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_keys: Vec<u8>,
    /// When it arrived.
    pub occurred_at: OffsetDateTime,
    /// The receipt that told of it, where that is kept.
    pub receipt_id: Option<Uuid>,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
