//! Rows to domain and back. A row that this version cannot have written is an error that names the table, not a panic.

use std::str::FromStr;

use bounce::policy::{Act, FactKey};
use bounce::status::SmtpReply;
use entity::{delivery, event, suppression, suppression_change};
use time::OffsetDateTime;

use crate::store::error::{StoreError, bad_row};
use crate::store::ids::{ChangeId, EventId, ListId, ReceiptId, SubjectId};
use crate::store::record::{Delivery, Event, Suppression, SuppressionChange, Testimony};

/// Sixteen octets of a key column.
pub(super) fn sixteen(table: &'static str, bytes: &[u8]) -> Result<[u8; 16], StoreError> {
    bytes.try_into().map_err(|_| bad_row(table, format!("a key has {} octets instead of 16", bytes.len())))
}

pub(super) fn word<T: FromStr<Err = bounce::status::CodeError>>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|it| bad_row(table, it))
}

pub(super) fn words<T: FromStr<Err = bounce::status::CodeError>>(table: &'static str, text: Option<&str>) -> Result<Option<T>, StoreError> {
    text.map(|it| word(table, it)).transpose()
}

pub(super) fn event_from_row(row: event::Model, keys: Vec<FactKey>) -> Result<Event, StoreError> {
    const T: &str = "event";
    let reply = row.reply.map(|it| u16::try_from(it).ok().and_then(SmtpReply::new).ok_or_else(|| bad_row(T, "reply"))).transpose()?;
    Ok(Event {
        id: EventId(row.id),
        position: row.position,
        receipt: ReceiptId(row.receipt_id),
        source: row.source,
        list: ListId(row.list_id),
        boundary: ListId(row.boundary_id),
        subject: SubjectId(sixteen(T, &row.subject_id)?),
        keys,
        testimony: Testimony {
            kind: word(T, &row.kind)?,
            bounce_type: words(T, row.bounce_type.as_deref())?,
            reason: words(T, row.reason.as_deref())?,
            fault: words(T, row.fault.as_deref())?,
            status: words(T, row.status.as_deref())?,
            reply,
            stage: words(T, row.stage.as_deref())?,
            diagnostic: row.diagnostic,
            feedback_type: words(T, row.feedback_type.as_deref())?,
            reporting_mta: row.reporting_mta,
            remote_mta: row.remote_mta,
            message_id: row.message_id,
            provider_event_id: row.provider_event_id,
            rule: row.rule,
            rules_version: row.rules_version,
        },
        attribution: word(T, &row.attribution)?,
        weight: word(T, &row.weight)?,
        evidence: row.evidence,
        occurred_at: row.occurred_at,
        received_at: row.received_at,
    })
}

pub(super) fn row_of_event(event: &Event) -> event::Model {
    let said = &event.testimony;
    event::Model {
        id: event.id.0,
        position: event.position,
        receipt_id: event.receipt.0,
        list_id: event.list.0,
        boundary_id: event.boundary.0,
        subject_id: event.subject.0.to_vec(),
        fact_key: event.fact_key().0.to_vec(),
        merged_into: None,
        withdrawn_at: None,
        source: event.source.clone(),
        kind: said.kind.to_string(),
        bounce_type: said.bounce_type.map(|it| it.to_string()),
        reason: said.reason.map(|it| it.to_string()),
        fault: said.fault.map(|it| it.to_string()),
        status: said.status.map(|it| it.to_string()),
        reply: said.reply.and_then(|it| i16::try_from(it.code()).ok()),
        stage: said.stage.map(|it| it.to_string()),
        diagnostic: said.diagnostic.clone(),
        feedback_type: said.feedback_type.map(|it| it.to_string()),
        reporting_mta: said.reporting_mta.clone(),
        remote_mta: said.remote_mta.clone(),
        message_id: said.message_id.clone(),
        provider_event_id: said.provider_event_id.clone(),
        attribution: event.attribution.to_string(),
        weight: event.weight.to_string(),
        evidence: event.evidence.clone(),
        rule: said.rule.clone(),
        rules_version: said.rules_version.clone(),
        occurred_at: event.occurred_at,
        received_at: event.received_at,
    }
}

pub(super) fn suppression_from_row(row: suppression::Model) -> Result<Suppression, StoreError> {
    const T: &str = "suppression";
    Ok(Suppression {
        list: ListId(row.list_id),
        cause: word(T, &row.cause)?,
        reason: words(T, row.reason.as_deref())?,
        event: row.event_id.map(EventId),
        note: row.note,
        overrides_consent: row.overrides_consent,
        provisional: row.provisional,
        since: row.since,
        expires_at: row.expires_at,
        released_at: row.released_at,
        revision: row.revision,
    })
}

pub(super) fn row_of_suppression(subject: SubjectId, it: &Suppression) -> suppression::Model {
    suppression::Model {
        subject_id: subject.0.to_vec(),
        list_id: it.list.0,
        cause: it.cause.to_string(),
        reason: it.reason.map(|it| it.to_string()),
        event_id: it.event.map(|it| it.0),
        note: it.note.clone(),
        overrides_consent: it.overrides_consent,
        provisional: it.provisional,
        since: it.since,
        expires_at: it.expires_at,
        released_at: it.released_at,
        revision: it.revision,
    }
}

pub(super) fn change_from_row(row: suppression_change::Model) -> Result<SuppressionChange, StoreError> {
    const T: &str = "suppression_change";
    Ok(SuppressionChange {
        id: ChangeId(row.id),
        position: row.position,
        subject: SubjectId(sixteen(T, &row.subject_id)?),
        list: ListId(row.list_id),
        boundary: ListId(row.boundary_id),
        change: word(T, &row.change)?,
        cause: words(T, row.cause.as_deref())?,
        reason: words(T, row.reason.as_deref())?,
        event: row.event_id.map(EventId),
        act: words::<Act>(T, row.act.as_deref())?,
        actor: row.actor,
        note: row.note,
        provisional: row.provisional,
        overrides_consent: row.overrides_consent,
        since: row.since,
        expires_at: row.expires_at,
        released_at: row.released_at,
        revision: row.revision,
        import: row.import_id,
        at: row.at,
    })
}

pub(super) fn row_of_change(it: &SuppressionChange) -> suppression_change::Model {
    suppression_change::Model {
        id: it.id.0,
        position: it.position,
        subject_id: it.subject.0.to_vec(),
        list_id: it.list.0,
        boundary_id: it.boundary.0,
        change: it.change.to_string(),
        cause: it.cause.map(|it| it.to_string()),
        reason: it.reason.map(|it| it.to_string()),
        event_id: it.event.map(|it| it.0),
        act: it.act.map(|it| it.to_string()),
        actor: it.actor.clone(),
        note: it.note.clone(),
        provisional: it.provisional,
        overrides_consent: it.overrides_consent,
        since: it.since,
        expires_at: it.expires_at,
        released_at: it.released_at,
        revision: it.revision,
        import_id: it.import,
        at: it.at,
    }
}

pub(super) fn delivery_from_row(row: &delivery::Model) -> Result<Delivery, StoreError> {
    let messages = row.message_keys.chunks(16).map(|it| sixteen("delivery", it).map(FactKey)).collect::<Result<_, _>>()?;
    Ok(Delivery { messages, occurred_at: row.occurred_at, receipt: row.receipt_id.map(ReceiptId) })
}

pub(super) fn row_of_delivery(boundary: ListId, subject: SubjectId, it: &Delivery) -> delivery::Model {
    delivery::Model {
        boundary_id: boundary.0,
        subject_id: subject.0.to_vec(),
        message_keys: it.messages.iter().flat_map(|it| it.0).collect(),
        occurred_at: it.occurred_at,
        receipt_id: it.receipt.map(|it| it.0),
    }
}

/// What both databases keep of a time: microseconds, in UTC.
#[must_use]
pub fn kept(at: OffsetDateTime) -> OffsetDateTime {
    let at = at.to_offset(time::UtcOffset::UTC);
    at.replace_nanosecond(at.nanosecond() / 1000 * 1000).unwrap_or(at)
}

/// NUL has no place in a Postgres text; it is shown as what it is.
#[must_use]
pub fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{2400}")
}
