//! Receipts that told of an event beside the one it names.

use sea_orm::entity::prelude::*;

/// Receipts that told of an event beside the one it names: what erasing and reading again must find.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_copy")]
pub struct Model {
    /// The event.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    /// A receipt whose evidence was not the strongest.
    #[sea_orm(primary_key, auto_increment = false)]
    pub receipt_id: Uuid,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
