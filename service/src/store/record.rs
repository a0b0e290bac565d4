//! What the store takes in and keeps, in the words of the domain: receipts, facts said by them, events, standings.

use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::{Fault, Reason};
use bounce::kind::{Attribution, BounceType, FeedbackType, Kind};
use bounce::policy::{Act, Cause, Deed, FactKey, Weight};
use bounce::status::{EnhancedStatus, SmtpReply, Stage};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::ids::{ChangeId, EventId, ListId, ReceiptId, SubjectId};
use crate::store::lists::List;

bounce::vocabulary! {
    /// What became of a receipt.
    pub enum ReceiptState, "receipt state" {
        /// Understood; its facts are recorded.
        Processed = "processed",
        /// Authentic, kept, but it says nothing we understand.
        Unrecognised = "unrecognised",
        /// Reading it failed on our side; kept to be read again.
        Quarantined = "quarantined",
    }
}

/// A receipt with everything it says, ready to be committed.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its id.
    pub id: ReceiptId,
    /// Name of the source.
    pub source: String,
    /// SHA-256 of the raw bytes and of the list, where that was chosen apart from the source.
    pub digest: [u8; 32],
    /// The list it was taken in for.
    pub list: Arc<List>,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// Content type as announced: a form cannot be read again without its boundary.
    pub media_type: String,
    /// Octets as received.
    pub size: usize,
    /// The raw bytes, compressed.
    pub body: Vec<u8>,
    /// What became of it.
    pub state: ReceiptState,
    /// Why it is not processed.
    pub error: Option<String>,
    /// How well it is attributed.
    pub attribution: Attribution,
    /// Facts, one for each recipient and kind.
    pub facts: Vec<IncomingFact>,
    /// Deliveries; they leave no event.
    pub deliveries: Vec<IncomingDelivery>,
    /// The tokens that proved it and may prove no other body.
    pub tokens: Vec<IncomingToken>,
    /// Receipts cut out of this one, each for an event that is not understood. They hold no facts.
    pub set_aside: Vec<Incoming>,
    /// Whether the receipt itself is kept. One that only reports deliveries, all understood, need not be: there are a hundred
    /// times as many as bounces.
    pub keep: Keep,
}

/// A token of a provider's signature that does not cover the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncomingToken {
    /// SHA-256 of the token.
    pub token: [u8; 32],
    /// SHA-256 of the body that it came with.
    pub digest: [u8; 32],
}

/// Whether a receipt is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// With its raw bytes.
    Receipt,
    /// Without its raw bytes, which name somebody who was erased.
    Facts,
    /// Only what it says.
    Nothing,
}

/// One fact of a receipt.
#[derive(Debug, Clone)]
pub struct IncomingFact {
    /// The list it is about.
    pub list: Arc<List>,
    /// Whom it is about.
    pub address: Address,
    /// What it says.
    pub testimony: Testimony,
    /// How well it is attributed.
    pub attribution: Attribution,
    /// How much it may do.
    pub weight: Weight,
    /// When it happened, never after it was received.
    pub occurred_at: OffsetDateTime,
    /// Keys of the message it is about: never empty.
    pub message_keys: Vec<String>,
}

/// A delivery that a receipt reports.
#[derive(Debug, Clone)]
pub struct IncomingDelivery {
    /// The list it was sent for.
    pub list: Arc<List>,
    /// To whom.
    pub address: Address,
    /// When.
    pub occurred_at: OffsetDateTime,
    /// Keys of the message: never empty.
    pub message_keys: Vec<String>,
}

/// What was said and judged of one failure, complaint or wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Testimony {
    /// What happened.
    pub kind: Kind,
    /// Hard or soft.
    pub bounce_type: Option<BounceType>,
    /// Why.
    pub reason: Option<Reason>,
    /// Who has to act.
    pub fault: Option<Fault>,
    /// Enhanced status.
    pub status: Option<EnhancedStatus>,
    /// Reply code.
    pub reply: Option<SmtpReply>,
    /// SMTP stage.
    pub stage: Option<Stage>,
    /// What the receiver said.
    pub diagnostic: Option<String>,
    /// Which complaint.
    pub feedback_type: Option<FeedbackType>,
    /// Host that tried.
    pub reporting_mta: Option<String>,
    /// Host that refused.
    pub remote_mta: Option<String>,
    /// Message-ID.
    pub message_id: Option<String>,
    /// The provider's id of the event.
    pub provider_event_id: Option<String>,
    /// Rule that decided.
    pub rule: String,
    /// Version of the rules.
    pub rules_version: String,
}

/// A recorded fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Place in the feed.
    pub position: i64,
    /// Receipt with the strongest evidence.
    pub receipt: ReceiptId,
    /// Source of the strongest evidence.
    pub source: String,
    /// List it was said about.
    pub list: ListId,
    /// Root of that list.
    pub boundary: ListId,
    /// Whom it is about.
    pub subject: SubjectId,
    /// Keys it is known under, smallest first.
    pub keys: Vec<FactKey>,
    /// The strongest evidence.
    pub testimony: Testimony,
    /// Strongest attribution of all copies.
    pub attribution: Attribution,
    /// Greatest weight of all copies.
    pub weight: Weight,
    /// Sort key of the evidence.
    pub evidence: String,
    /// Earliest time of all copies.
    pub occurred_at: OffsetDateTime,
    /// When the first copy was received.
    pub received_at: OffsetDateTime,
}

/// What a list says for one cause, as it stands in its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Where.
    pub list: ListId,
    /// Why.
    pub cause: Cause,
    /// Reason of the deciding fact.
    pub reason: Option<Reason>,
    /// The deciding event.
    pub event: Option<EventId>,
    /// What a person said of it.
    pub note: Option<String>,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was lifted.
    pub released_at: Option<OffsetDateTime>,
    /// Revision of the subject at the last change.
    pub revision: i64,
}

impl Suppression {
    /// Whether it holds at that time.
    #[must_use]
    pub fn holds_at(&self, now: OffsetDateTime) -> bool {
        self.released_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

bounce::vocabulary! {
    /// What happened to what a list says.
    pub enum Change, "change" {
        /// A person acted; what that changed follows as rows of its own.
        Act = "act",
        /// A cause began to block or allow.
        Added = "added",
        /// It goes on, with another reason, end or certainty.
        Updated = "updated",
        /// It ended.
        Released = "released",
        /// The plain address was erased; what stands goes on under its pseudonym.
        Erased = "erased",
        /// The address was erased with all that was known of it; whatever stood is gone.
        Forgotten = "forgotten",
    }
}

/// A row of the audit and the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressionChange {
    /// Its id.
    pub id: ChangeId,
    /// Place in the feed.
    pub position: i64,
    /// Whom it is about.
    pub subject: SubjectId,
    /// Where.
    pub list: ListId,
    /// Root of that list.
    pub boundary: ListId,
    /// What happened.
    pub change: Change,
    /// The cause; of an act only where it names one, as every import does; none for an erasure.
    pub cause: Option<Cause>,
    /// Reason of the deciding fact.
    pub reason: Option<Reason>,
    /// The event that led to it.
    pub event: Option<EventId>,
    /// What a person did.
    pub act: Option<Act>,
    /// Who.
    pub actor: String,
    /// Why, in their words.
    pub note: Option<String>,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Since when it stands.
    pub since: Option<OffsetDateTime>,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was lifted.
    pub released_at: Option<OffsetDateTime>,
    /// Revision of the subject.
    pub revision: i64,
    /// Import or bulk request.
    pub import: Option<Uuid>,
    /// When it was recorded.
    pub at: OffsetDateTime,
}

impl SuppressionChange {
    /// What the person did, if it is an act.
    #[must_use]
    pub fn deed(&self) -> Option<Deed> {
        self.act.map(|act| Deed { act, cause: self.cause, expires_at: self.expires_at })
    }
}

/// A delivery that may still matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Keys of the message, smallest first.
    pub messages: Vec<FactKey>,
    /// When it arrived.
    pub occurred_at: OffsetDateTime,
    /// The receipt that told of it, where that is kept.
    pub receipt: Option<ReceiptId>,
}
