//! The messages that leave by the outbox: CloudEvents 1.0 in JSON (`application/cloudevents+json`), one type for recorded
//! facts and one for what lists now say. The routing key ends in the list, so that `*.*.*.acme.#` picks one tree.

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

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
    let reason = said.reason.map_or("none", bounce::classify::reason::Reason::as_str);
    let key = format!("event.{}.{reason}.{}", said.kind, whereabouts.list);
    message(id, EVENT_RECORDED, key, &event.subject.to_string(), now, event_data(event, whereabouts))
}

/// The message for a fact that is taken back. Its data are those of the last message about it.
pub(super) fn event_withdrawn(event: &Event, whereabouts: Whereabouts<'_>, now: OffsetDateTime) -> Message {
    let key = format!("event.withdrawn.{}.{}", event.testimony.kind, whereabouts.list);
    message(Uuid::now_v7(), EVENT_WITHDRAWN, key, &event.subject.to_string(), now, event_data(event, whereabouts))
}

fn event_data(event: &Event, whereabouts: Whereabouts<'_>) -> serde_json::Value {
    let said = &event.testimony;
    json!({
        "event_id": event.id,
        "kind": said.kind,
        "bounce_type": said.bounce_type,
        "reason": said.reason,
        "fault": said.fault,
        "status": said.status.map(|it| it.to_string()),
        "reply": said.reply.map(bounce::status::SmtpReply::code),
        "stage": said.stage,
        "diagnostic": said.diagnostic,
        "feedback_type": said.feedback_type,
        "recipient": whereabouts.address,
        "subject_id": event.subject.to_string(),
        "list": whereabouts.list,
        "source": event.source,
        "receipt_id": event.receipt,
        "message_id": said.message_id,
        "provider_event_id": said.provider_event_id,
        "reporting_mta": said.reporting_mta,
        "remote_mta": said.remote_mta,
        "attribution": event.attribution,
        "weight": event.weight,
        "rule": said.rule,
        "rules_version": said.rules_version,
        "occurred_at": text(event.occurred_at),
        "revision": whereabouts.revision,
    })
}

/// The message for a change to what a list says.
pub(super) fn suppression_changed(change: &SuppressionChange, whereabouts: Whereabouts<'_>) -> Message {
    let cause = change.cause.map_or("none", bounce::policy::Cause::as_str);
    let data = json!({
        "change": change.change,
        "cause": change.cause,
        "reason": change.reason,
        "recipient": whereabouts.address,
        "subject_id": change.subject.to_string(),
        "list": whereabouts.list,
        "event_id": change.event,
        "actor": change.actor,
        "note": change.note,
        "provisional": change.provisional,
        "overrides_consent": change.overrides_consent,
        "since": change.since.map(text),
        "expires_at": change.expires_at.map(text),
        "released_at": change.released_at.map(text),
        "revision": whereabouts.revision,
    });
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

fn message(id: Uuid, kind: &'static str, routing_key: String, subject: &str, at: OffsetDateTime, data: impl Serialize) -> Message {
    let payload = json!({
        "specversion": "1.0",
        "id": id,
        "source": "/rebound",
        "type": kind,
        "subject": subject,
        "time": text(at),
        "datacontenttype": "application/json",
        "data": data,
    });
    Message { id, kind, routing_key, payload: payload.to_string() }
}

/// RFC 3339 in UTC.
pub(super) fn text(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
