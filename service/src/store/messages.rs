//! The messages that leave by the outbox: CloudEvents 1.0 in JSON (`application/cloudevents+json`), one type for recorded
//! facts and one for what lists now say. The routing key ends in the list, so that `*.*.*.acme.#` picks one tree.

use bounce::classify::reason::{Fault, Reason};
use bounce::kind::{Attribution, BounceType, FeedbackType, Kind};
use bounce::policy::{Cause, Weight};
use bounce::status::Stage;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::store::ids::{EventId, ReceiptId};
use crate::store::imports::Import;
use crate::store::record::{Change, Event, SuppressionChange};

/// Type of the message for a recorded fact.
pub const EVENT_RECORDED: &str = "rebound.event.recorded";
/// Type of the message for a fact that its receipts, read again, no longer say.
pub const EVENT_WITHDRAWN: &str = "rebound.event.withdrawn";
/// Type of the message for a change to what a list says.
pub const SUPPRESSION_CHANGED: &str = "rebound.suppression.changed";

/// Type of the message for a list that was imported.
pub const IMPORT_COMPLETED: &str = "rebound.import.completed";
/// Type of the message for an import that was undone.
pub const IMPORT_UNDONE: &str = "rebound.import.undone";
/// Type of the message for an erasure.
pub const SUBJECT_ERASED: &str = "rebound.subject.erased";

/// A message for the outbox.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Stable over retries.
    pub id: Uuid,
    /// CloudEvents type.
    pub kind: &'static str,
    /// Routing key.
    pub routing_key: String,
    /// The whole document.
    pub payload: String,
}

/// What of a subject and its list a message tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whereabouts<'a> {
    /// Plain address; none once erased.
    pub address: Option<&'a str>,
    /// Name of the list.
    pub list: &'a str,
    /// Revision of the subject.
    pub revision: i64,
}

/// The message for a recorded fact. `id` is the event's own for the first, a new one when a later copy improved it.
pub(super) fn event_recorded(event: &Event, id: Uuid, whereabouts: Whereabouts<'_>, now: OffsetDateTime) -> Message {
    let said = &event.testimony;
    let reason = said.reason.map_or("none", Reason::as_str);
    let key = format!("event.{}.{reason}.{}", said.kind, whereabouts.list);
    message(id, EVENT_RECORDED, key, &event.subject.to_string(), now, event_data(event, whereabouts))
}

/// The message for a fact that is taken back. Its data are those of the last message about it.
pub(super) fn event_withdrawn(event: &Event, whereabouts: Whereabouts<'_>, now: OffsetDateTime) -> Message {
    let key = format!("event.withdrawn.{}.{}", event.testimony.kind, whereabouts.list);
    message(Uuid::now_v7(), EVENT_WITHDRAWN, key, &event.subject.to_string(), now, event_data(event, whereabouts))
}

/// What a message about an event holds.
#[derive(Debug, Serialize)]
struct EventData<'a> {
    attribution: Attribution,
    bounce_type: Option<BounceType>,
    diagnostic: Option<&'a str>,
    event_id: EventId,
    fault: Option<Fault>,
    feedback_type: Option<FeedbackType>,
    kind: Kind,
    list: &'a str,
    message_id: Option<&'a str>,
    occurred_at: String,
    provider_event_id: Option<&'a str>,
    reason: Option<Reason>,
    receipt_id: ReceiptId,
    recipient: Option<&'a str>,
    remote_mta: Option<&'a str>,
    reply: Option<u16>,
    reporting_mta: Option<&'a str>,
    revision: i64,
    rule: &'a str,
    rules_version: &'a str,
    source: &'a str,
    stage: Option<Stage>,
    status: Option<String>,
    subject_id: String,
    weight: Weight,
}

fn event_data<'a>(event: &'a Event, whereabouts: Whereabouts<'a>) -> EventData<'a> {
    let said = &event.testimony;
    EventData {
        attribution: event.attribution,
        bounce_type: said.bounce_type,
        diagnostic: said.diagnostic.as_deref(),
        event_id: event.id,
        fault: said.fault,
        feedback_type: said.feedback_type,
        kind: said.kind,
        list: whereabouts.list,
        message_id: said.message_id.as_deref(),
        occurred_at: text(event.occurred_at),
        provider_event_id: said.provider_event_id.as_deref(),
        reason: said.reason,
        receipt_id: event.receipt,
        recipient: whereabouts.address,
        remote_mta: said.remote_mta.as_deref(),
        reply: said.reply.map(bounce::status::SmtpReply::code),
        reporting_mta: said.reporting_mta.as_deref(),
        revision: whereabouts.revision,
        rule: &said.rule,
        rules_version: &said.rules_version,
        source: &event.source,
        stage: said.stage,
        status: said.status.map(|it| it.to_string()),
        subject_id: event.subject.to_string(),
        weight: event.weight,
    }
}

/// What a message about a change holds.
#[derive(Debug, Serialize)]
struct ChangeData<'a> {
    actor: &'a str,
    cause: Option<Cause>,
    change: Change,
    event_id: Option<EventId>,
    expires_at: Option<String>,
    list: &'a str,
    note: Option<&'a str>,
    overrides_consent: bool,
    provisional: bool,
    reason: Option<Reason>,
    recipient: Option<&'a str>,
    released_at: Option<String>,
    revision: i64,
    since: Option<String>,
    subject_id: String,
}

/// The message for a change to what a list says.
pub(super) fn suppression_changed(change: &SuppressionChange, whereabouts: Whereabouts<'_>) -> Message {
    let cause = change.cause.map_or("none", Cause::as_str);
    let data = ChangeData {
        actor: &change.actor,
        cause: change.cause,
        change: change.change,
        event_id: change.event,
        expires_at: change.expires_at.map(text),
        list: whereabouts.list,
        note: change.note.as_deref(),
        overrides_consent: change.overrides_consent,
        provisional: change.provisional,
        reason: change.reason,
        recipient: whereabouts.address,
        released_at: change.released_at.map(text),
        revision: whereabouts.revision,
        since: change.since.map(text),
        subject_id: change.subject.to_string(),
    };
    let key = format!("suppression.{}.{cause}.{}", change.change, whereabouts.list);
    message(change.id.0, SUPPRESSION_CHANGED, key, &change.subject.to_string(), change.at, data)
}

/// The one message of an import, or of its undoing: what changed is in the feed of changes, under its id.
pub(super) fn import_ended(import: &Import, kind: &'static str, id: Uuid, changed: u64, now: OffsetDateTime) -> Message {
    let counts = import.counts;
    let data = json!({
        "import_id": import.id,
        "list": import.list.name,
        "actor": import.actor,
        "format": import.format,
        "changed": changed,
        "rows": counts.rows(),
        "added": counts.added,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "refused": counts.refused,
        "state": import.state,
        "error": import.error,
        "undone_by": import.undone_by,
    });
    let word = if kind == IMPORT_UNDONE { "undone" } else { "completed" };
    message(id, kind, format!("import.{word}.{}.{}", import.format, import.list.name), &import.id.to_string(), now, data)
}

/// The message for an erasure: whoever keeps a copy under this subject id is to drop the address, and what stood for it too
/// where nothing is kept. It does not name the address again.
pub(super) fn subject_erased(change: &SuppressionChange, list: &str) -> Message {
    let block = if change.change == Change::Forgotten { "forgotten" } else { "kept" };
    let data = json!({
        "subject_id": change.subject.to_string(),
        "list": list,
        "block": block,
        "actor": change.actor,
        "revision": change.revision,
    });
    message(change.id.0, SUBJECT_ERASED, format!("subject.erased.{block}.{list}"), &change.subject.to_string(), change.at, data)
}

/// CloudEvents 1.0, its fields in the order of their names.
#[derive(Debug, Serialize)]
struct CloudEvent<'a, D> {
    data: D,
    datacontenttype: &'static str,
    id: Uuid,
    source: &'static str,
    specversion: &'static str,
    subject: &'a str,
    time: String,
    r#type: &'static str,
}

fn message(id: Uuid, kind: &'static str, routing_key: String, subject: &str, at: OffsetDateTime, data: impl Serialize) -> Message {
    let event = CloudEvent {
        data,
        datacontenttype: "application/json",
        id,
        source: "/rebound",
        specversion: "1.0",
        subject,
        time: text(at),
        r#type: kind,
    };
    // No map with keys that are not strings, no value that refuses: writing into memory cannot fail.
    let payload = serde_json::to_string(&event).unwrap_or_default();
    Message { id, kind, routing_key, payload }
}

/// RFC 3339 in UTC.
pub(super) fn text(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
