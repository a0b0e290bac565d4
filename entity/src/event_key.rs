//! Keys under which an event is known, so that copies find it.

use sea_orm::entity::prelude::*;

/// Keys under which an event is known, so that copies find it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_key")]
pub struct Model {
    /// HMAC(pepper, boundary, subject, kind, message key), 16 octets.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The event.
    pub event_id: Uuid,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
