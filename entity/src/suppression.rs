//! What lists say: one row per subject, list and cause, so that facts stand side by side.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// What lists say: one row per subject, list and cause, so that facts stand side by side.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppression")]
pub struct Model {
    /// Whom.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Vec<u8>,
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub list_id: Uuid,
    /// `hard`, `soft`, `complaint`, `unsubscribe`, `provider`, `import`, `manual_block` or `manual_allow`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub cause: String,
    /// Reason of the deciding fact.
    pub reason: Option<String>,
    /// The deciding event; null for people's acts.
    pub event_id: Option<Uuid>,
    /// What the person said of it.
    pub note: Option<String>,
    /// Of a manual allow: whether complaint and unsubscribe yield to it.
    pub overrides_consent: bool,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Since when it stands.
    pub since: OffsetDateTime,
    /// When it ends by itself; null for never.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was lifted.
    pub released_at: Option<OffsetDateTime>,
    /// Revision of the subject at the last change.
    pub revision: i64,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
