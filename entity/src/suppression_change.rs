//! Append-only audit: every change of what a list says, and every act of a person.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Append-only audit: every change of what a list says, and every act of a person.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppression_change")]
pub struct Model {
    /// Version 7; the id of the published message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Place in the feed.
    pub position: i64,
    /// Whom.
    pub subject_id: Vec<u8>,
    /// Where.
    pub list_id: Uuid,
    /// Root of that list.
    pub boundary_id: Uuid,
    /// act (a person's word, by itself no change), added, updated, released, erased or forgotten.
    pub change: String,
    /// The cause that changed, or that an act names, as every import does; null for an erasure.
    pub cause: Option<String>,
    /// Reason of the deciding fact.
    pub reason: Option<String>,
    /// The event that led to it.
    pub event_id: Option<Uuid>,
    /// What the person did.
    pub act: Option<String>,
    /// Name of the API key, or rebound.
    pub actor: String,
    /// Why, in the person's words.
    pub note: Option<String>,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Of a manual allow: whether complaint and unsubscribe yield to it.
    pub overrides_consent: bool,
    /// Since when it stands.
    pub since: Option<OffsetDateTime>,
    /// When it ends by itself.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was lifted.
    pub released_at: Option<OffsetDateTime>,
    /// Revision of the subject.
    pub revision: i64,
    /// Import or bulk request it belongs to.
    pub import_id: Option<Uuid>,
    /// When it was recorded; the time of an act.
    pub at: OffsetDateTime,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
