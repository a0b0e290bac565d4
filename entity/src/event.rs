//! Recorded facts: one failure, complaint or wish of one subject. Copies merge into it.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Recorded facts: one failure, complaint or wish of one subject. Copies merge into it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub struct Model {
    /// Version 7; `data.event_id` of every message about it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Place in the feed: changes with every merge.
    pub position: i64,
    /// The receipt with the strongest evidence.
    pub receipt_id: Uuid,
    /// The list it was said about.
    pub list_id: Uuid,
    /// Root of that list.
    pub boundary_id: Uuid,
    /// Whom it is about.
    pub subject_id: Vec<u8>,
    /// The smallest of its keys; breaks ties in time.
    pub fact_key: Vec<u8>,
    /// Set when a later copy showed that two events are one.
    pub merged_into: Option<Uuid>,
    /// Set when its receipts were read again and no longer said it.
    pub withdrawn_at: Option<OffsetDateTime>,
    /// Source of the strongest evidence.
    pub source: String,
    /// What happened: `bounce`, `delayed`, `complaint` and the other kinds that are recorded.
    pub kind: String,
    /// hard or soft.
    pub bounce_type: Option<String>,
    /// One of the 34 reasons.
    pub reason: Option<String>,
    /// Who has to act.
    pub fault: Option<String>,
    /// Enhanced status, RFC 3463.
    pub status: Option<String>,
    /// SMTP reply code, RFC 5321.
    pub reply: Option<i16>,
    /// SMTP command that was refused.
    pub stage: Option<String>,
    /// What the receiver said.
    pub diagnostic: Option<String>,
    /// Of a complaint: its Feedback-Type, RFC 5965.
    pub feedback_type: Option<String>,
    /// Host that tried.
    pub reporting_mta: Option<String>,
    /// Host that refused.
    pub remote_mta: Option<String>,
    /// Message-ID of the message, without brackets.
    pub message_id: Option<String>,
    /// The provider's id of the event.
    pub provider_event_id: Option<String>,
    /// How well it is tied to somebody who may state it.
    pub attribution: String,
    /// none, provisional or full: how much it may do to lists.
    pub weight: String,
    /// Sort key of the evidence; a copy with a greater one replaces the columns above.
    pub evidence: String,
    /// Rule that decided.
    pub rule: String,
    /// Version of the rules that decided.
    pub rules_version: String,
    /// When it happened, the earliest of all copies, never after it was received.
    pub occurred_at: OffsetDateTime,
    /// When the first copy was received.
    pub received_at: OffsetDateTime,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
