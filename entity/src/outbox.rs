//! Messages on their way to the broker; a row goes when its message is confirmed and routed.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Messages on their way to the broker; a row goes when its message is confirmed and routed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Order of publication.
    #[sea_orm(primary_key)]
    pub sequence: i64,
    /// Id of the `CloudEvent`; stable over retries.
    pub message_id: Uuid,
    /// rebound.event.recorded, rebound.suppression.changed and their like.
    pub message_type: String,
    /// Routing key.
    pub routing_key: String,
    /// CloudEvents 1.0 JSON.
    pub payload: String,
    /// Returns and nacks so far; an outage is not an attempt.
    pub attempts: i32,
    /// What the broker said last.
    pub last_error: Option<String>,
    /// Not to be tried again before.
    pub not_before: Option<OffsetDateTime>,
    /// When it was written.
    pub created_at: OffsetDateTime,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
