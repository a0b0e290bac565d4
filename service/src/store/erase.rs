//! Erasure: the plain address goes, with the raw bytes of everything that told of it and its mention in every text; what lists
//! say stays under the pseudonym, so that a check still blocks, or goes too. One transaction under the lock of the subject,
//! in the same order as a commit. Done twice it is done once, and a look at what it would do is the same transaction, undone.

use std::collections::BTreeSet;

use bounce::address::Address;
use entity::{delivery, event, event_key, outbox, subject, suppression, suppression_change};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue, ColumnTrait, Condition, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::store::commit::append;
use crate::store::error::StoreError;
use crate::store::history::evidence_of_scrubbed;
use crate::store::ids::{ChangeId, EventId, ListId, ReceiptId, SubjectId};
use crate::store::messages::subject_erased;
use crate::store::record::{Change, Suppression, SuppressionChange};
use crate::store::scrub::Scrub;
use crate::store::{Known, Store, copies, dialect, rows};
use crate::telemetry::Erased;

/// Rows and parameters of one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// Whether to erase, or to see what that would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasing {
    /// Look only.
    Look,
    /// Do it.
    Do,
}

/// Whom to erase, and how.
#[derive(Debug, Clone, Copy)]
pub struct ErasureRequest<'a> {
    /// Whom.
    pub address: &'a Address,
    /// What happens to what lists say.
    pub block: Erased,
    /// Who wants it; the name of the API key.
    pub actor: &'a str,
    /// Whether to do it.
    pub erasing: Erasing,
}

/// What an erasure did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erasure {
    /// Whether the address was heard of before.
    pub known: Known,
    /// Receipts whose raw bytes went.
    pub receipts: usize,
    /// Events: those in which the address was quoted, or all where nothing is kept.
    pub events: usize,
    /// Notes of people in which it was quoted, or all changes and acts where nothing is kept.
    pub notes: usize,
    /// Messages that wait for the broker: scrubbed, or dropped where nothing is kept.
    pub messages: usize,
    /// What held for it and is kept, or was forgotten.
    pub standing: Vec<Suppression>,
}

impl Erasure {
    fn is_nothing(&self) -> bool {
        self.receipts + self.events + self.notes + self.messages == 0
    }
}

impl Store {
    /// Erases an address, or tells what that would do.
    ///
    /// # Errors
    /// When the database is away; nothing is then erased.
    pub async fn erase(&self, request: ErasureRequest<'_>, now: OffsetDateTime) -> Result<Erasure, StoreError> {
        let id = self.identity.subject(request.address);
        let tx = dialect::begin(&self.db).await?;
        let Some(row) = subject::Entity::find_by_id(id.0.to_vec()).lock_exclusive().one(&tx).await? else {
            return Ok(Erasure::default());
        };
        let now = rows::kept(now);
        let scrub = Scrub::of(request.address);
        let work = Work { store: self, tx: &tx, subject: id, scrub, now };
        // Asked before, for afterwards there may be nothing left that tells.
        let trees = work.trees().await?;
        let mut erasure = work.count_and_scrub(request.block).await?;
        erasure.known = if row.erased_at.is_some() { Known::Erased } else { Known::Known };
        // Written again only if there was something to do: a second time changes nothing.
        if erasure.known == Known::Known || !erasure.is_nothing() {
            work.conclude(&row, &trees, request).await?;
        }
        match request.erasing {
            Erasing::Do => tx.commit().await?,
            Erasing::Look => tx.rollback().await?,
        }
        Ok(erasure)
    }
}

/// One erasure under way.
struct Work<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    subject: SubjectId,
    scrub: Scrub,
    now: OffsetDateTime,
}

impl Work<'_> {
    fn id(&self) -> Vec<u8> {
        self.subject.0.to_vec()
    }

    /// Roots of the trees of lists in which something is known of the subject.
    async fn trees(&self) -> Result<BTreeSet<ListId>, StoreError> {
        let events = event::Entity::find().select_only().column(event::Column::BoundaryId);
        let changes = suppression_change::Entity::find().select_only().column(suppression_change::Column::BoundaryId);
        let deliveries = delivery::Entity::find().select_only().column(delivery::Column::BoundaryId);
        let mut trees: Vec<uuid::Uuid> = events.filter(event::Column::SubjectId.eq(self.id())).distinct().into_tuple().all(self.tx).await?;
        let of_subject = suppression_change::Column::SubjectId.eq(self.id());
        trees.extend(changes.filter(of_subject).distinct().into_tuple::<uuid::Uuid>().all(self.tx).await?);
        let of_subject = delivery::Column::SubjectId.eq(self.id());
        trees.extend(deliveries.filter(of_subject).distinct().into_tuple::<uuid::Uuid>().all(self.tx).await?);
        Ok(trees.into_iter().map(ListId).collect())
    }

    async fn count_and_scrub(&self, block: Erased) -> Result<Erasure, StoreError> {
        let events =
            event::Entity::find().filter(event::Column::SubjectId.eq(self.id())).order_by_asc(event::Column::Id).all(self.tx).await?;
        let receipts = self.remove_bodies(&events).await?;
        let standing = self.standing().await?;
        let mut erasure = Erasure { receipts, standing, ..Erasure::default() };
        match block {
            Erased::Kept => {
                erasure.events = self.scrub_events(events).await?;
                erasure.notes = self.scrub_notes().await?;
            }
            Erased::Forgotten => {
                erasure.events = events.len();
                erasure.notes = self.forget(&events).await?;
            }
        }
        erasure.messages = self.clear_outbox(block).await?;
        Ok(erasure)
    }

    /// What holds for the subject now.
    async fn standing(&self) -> Result<Vec<Suppression>, StoreError> {
        let found = suppression::Entity::find().filter(suppression::Column::SubjectId.eq(self.id())).all(self.tx).await?;
        let standing: Vec<Suppression> = found.into_iter().map(rows::suppression_from_row).collect::<Result<_, _>>()?;
        Ok(standing.into_iter().filter(|it| it.holds_at(self.now)).collect())
    }

    /// Removes the raw bytes of every receipt that told of the subject. They may name others: what was read about those stays.
    async fn remove_bodies(&self, events: &[event::Model]) -> Result<usize, StoreError> {
        let ids: Vec<EventId> = events.iter().map(|it| EventId(it.id)).collect();
        let mut receipts: BTreeSet<ReceiptId> = events.iter().map(|it| ReceiptId(it.receipt_id)).collect();
        receipts.extend(copies::of(self.tx, &ids).await?.into_values().flatten());
        let deliveries = delivery::Entity::find().filter(delivery::Column::SubjectId.eq(self.id())).all(self.tx).await?;
        receipts.extend(deliveries.into_iter().filter_map(|it| it.receipt_id).map(ReceiptId));
        let receipts: Vec<ReceiptId> = receipts.into_iter().collect();
        let mut removed = 0;
        for chunk in receipts.chunks(ROWS_PER_STATEMENT) {
            removed += super::receipts::remove_bodies(self.tx, chunk).await?;
        }
        Ok(removed)
    }

    /// Takes the address out of every event, those that became part of another included.
    async fn scrub_events(&self, events: Vec<event::Model>) -> Result<usize, StoreError> {
        let mut scrubbed = 0;
        for row in events {
            let before = rows::event_from_row(row, Vec::new())?;
            let mut said = before.testimony.clone();
            self.scrub.testimony(&mut said);
            if said == before.testimony {
                continue;
            }
            let list = self.store.lists.by_id(self.tx, before.list).await?;
            let model = event::ActiveModel {
                id: ActiveValue::Unchanged(before.id.0),
                evidence: ActiveValue::Set(evidence_of_scrubbed(&before.evidence, &before.source, &list.name, &said)),
                diagnostic: ActiveValue::Set(said.diagnostic),
                reporting_mta: ActiveValue::Set(said.reporting_mta),
                remote_mta: ActiveValue::Set(said.remote_mta),
                message_id: ActiveValue::Set(said.message_id),
                provider_event_id: ActiveValue::Set(said.provider_event_id),
                ..<event::ActiveModel as Default>::default()
            };
            event::Entity::update(model).exec(self.tx).await?;
            scrubbed += 1;
        }
        Ok(scrubbed)
    }

    /// Takes the address out of what people wrote of it.
    async fn scrub_notes(&self) -> Result<usize, StoreError> {
        let mut scrubbed = 0;
        let changes = suppression_change::Entity::find()
            .filter(suppression_change::Column::SubjectId.eq(self.id()))
            .filter(suppression_change::Column::Note.is_not_null())
            .all(self.tx)
            .await?;
        for row in changes {
            let note = self.scrub.maybe(row.note.as_deref());
            if note != row.note {
                let model = suppression_change::ActiveModel {
                    id: ActiveValue::Unchanged(row.id),
                    note: ActiveValue::Set(note),
                    ..<suppression_change::ActiveModel as Default>::default()
                };
                suppression_change::Entity::update(model).exec(self.tx).await?;
                scrubbed += 1;
            }
        }
        // They repeat the notes of the acts, so they are not counted again.
        let standing = suppression::Entity::find()
            .filter(suppression::Column::SubjectId.eq(self.id()))
            .filter(suppression::Column::Note.is_not_null())
            .all(self.tx)
            .await?;
        for row in standing {
            let note = self.scrub.maybe(row.note.as_deref());
            if note != row.note {
                let mut model = row.into_active_model();
                model.note = ActiveValue::Set(note);
                suppression::Entity::update(model).exec(self.tx).await?;
            }
        }
        Ok(scrubbed)
    }

    /// Removes everything that is known of the subject but that it was erased before.
    async fn forget(&self, events: &[event::Model]) -> Result<usize, StoreError> {
        let own = || suppression_change::Column::SubjectId.eq(self.id());
        let besides = suppression_change::Column::Change.ne(Change::Forgotten.as_str());
        let changes = suppression_change::Entity::delete_many().filter(own()).filter(besides).exec(self.tx).await?.rows_affected;
        suppression::Entity::delete_many().filter(suppression::Column::SubjectId.eq(self.id())).exec(self.tx).await?;
        delivery::Entity::delete_many().filter(delivery::Column::SubjectId.eq(self.id())).exec(self.tx).await?;
        let ids: Vec<EventId> = events.iter().map(|it| EventId(it.id)).collect();
        copies::remove(self.tx, &ids).await?;
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            event_key::Entity::delete_many().filter(event_key::Column::EventId.is_in(chunk.iter().map(|it| it.0))).exec(self.tx).await?;
        }
        // In one statement, for some point to others.
        event::Entity::delete_many().filter(event::Column::SubjectId.eq(self.id())).exec(self.tx).await?;
        Ok(usize::try_from(changes).unwrap_or(usize::MAX))
    }

    /// Messages that the relay has not read yet: without the address, or not at all where nothing is kept.
    async fn clear_outbox(&self, block: Erased) -> Result<usize, StoreError> {
        use outbox::Column as C;
        let subject = format!("\"subject\":\"{}\"", self.subject);
        let own = || Condition::all().add(C::Payload.contains(&subject)).add(C::MessageType.ne(crate::store::SUBJECT_ERASED));
        if block == Erased::Forgotten {
            let dropped = outbox::Entity::delete_many().filter(own()).exec(self.tx).await?.rows_affected;
            return Ok(usize::try_from(dropped).unwrap_or(usize::MAX));
        }
        let mut scrubbed = 0;
        for row in outbox::Entity::find().filter(own()).order_by_asc(C::Sequence).all(self.tx).await? {
            let payload = self.scrubbed_payload(&row.payload);
            if payload != row.payload {
                outbox::Entity::update_many()
                    .col_expr(C::Payload, Expr::value(payload))
                    .filter(C::Sequence.eq(row.sequence))
                    .exec(self.tx)
                    .await?;
                scrubbed += 1;
            }
        }
        Ok(scrubbed)
    }

    /// A message without the address. One that cannot be read is none of ours and stays as it is.
    fn scrubbed_payload(&self, payload: &str) -> String {
        let Ok(mut message) = serde_json::from_str::<Value>(payload) else { return payload.to_owned() };
        let Some(data) = message.get_mut("data").and_then(Value::as_object_mut) else { return payload.to_owned() };
        for key in ["diagnostic", "note", "message_id", "provider_event_id", "reporting_mta", "remote_mta"] {
            if let Some(Value::String(text)) = data.get(key) {
                let text = self.scrub.text(text).map_or(Value::Null, Value::String);
                data.insert(key.to_owned(), text);
            }
        }
        if data.contains_key("recipient") {
            data.insert("recipient".to_owned(), Value::Null);
        }
        message.to_string()
    }

    /// The plain address goes; the audit and the world are told, once for each tree of lists that knows the subject.
    async fn conclude(&self, row: &subject::Model, trees: &BTreeSet<ListId>, request: ErasureRequest<'_>) -> Result<(), StoreError> {
        let position = dialect::position(self.tx).await?;
        let revision = row.revision + 1;
        let model = subject::ActiveModel {
            id: ActiveValue::Unchanged(self.id()),
            address: ActiveValue::Set(None),
            domain: ActiveValue::Set(String::new()),
            revision: ActiveValue::Set(revision),
            erased_at: ActiveValue::Set(Some(self.now)),
            ..<subject::ActiveModel as Default>::default()
        };
        subject::Entity::update(model).exec(self.tx).await?;
        let mut messages = Vec::new();
        for &boundary in trees {
            let change = self.audit(boundary, request, position, revision);
            suppression_change::Entity::insert(rows::row_of_change(&change).into_active_model()).exec_without_returning(self.tx).await?;
            let list = self.store.lists.by_id(self.tx, boundary).await?;
            messages.push(subject_erased(&change, &list.name));
        }
        append(self.tx, self.store.announces, &messages, self.now).await
    }

    /// The row of the audit, and of the feed of changes.
    fn audit(&self, boundary: ListId, request: ErasureRequest<'_>, position: i64, revision: i64) -> SuppressionChange {
        SuppressionChange {
            id: ChangeId::new(),
            position,
            subject: self.subject,
            list: boundary,
            boundary,
            change: match request.block {
                Erased::Kept => Change::Erased,
                Erased::Forgotten => Change::Forgotten,
            },
            cause: None,
            reason: None,
            event: None,
            act: None,
            actor: rows::without_nul(request.actor),
            note: None,
            provisional: false,
            since: None,
            expires_at: None,
            released_at: None,
            revision,
            import: None,
            overrides_consent: false,
            at: self.now,
        }
    }
}
