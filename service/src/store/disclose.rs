//! Everything that is held about one person, for that person.

use std::collections::BTreeSet;

use bounce::address::Address;
use entity::{delivery, event, event_copy, import_repeat, outbox, subject, suppression, suppression_change};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::ids::{ChangeId, EventId, ImportId, ListId, ReceiptId, SubjectId};
use crate::store::receipts::StoredReceipt;
use crate::store::record::{Event, Suppression, SuppressionChange};
use crate::store::{Store, copies, rows};

/// Rows and parameters of one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// All that is held about one address.
#[derive(Debug, Clone)]
pub struct Disclosure {
    /// Its pseudonym.
    pub subject: SubjectId,
    /// The plain address; none once erased.
    pub address: Option<String>,
    /// When it was first heard of.
    pub created_at: OffsetDateTime,
    /// When it was erased.
    pub erased_at: Option<OffsetDateTime>,
    /// Grows with every change of what lists say.
    pub revision: i64,
    /// What happened, oldest first; those that do not count any more too.
    pub events: Vec<DisclosedEvent>,
    /// The newest deliveries: the root of the list, and when.
    pub deliveries: Vec<(ListId, OffsetDateTime)>,
    /// What lists say.
    pub suppressions: Vec<Suppression>,
    /// What they said since when, and what people did; oldest first.
    pub changes: Vec<SuppressionChange>,
    /// What came in about it; oldest first.
    pub receipts: Vec<DisclosedReceipt>,
    /// Imports that brought again what is said of it: the later import, and the act of the one before.
    pub repeats: Vec<(ImportId, ChangeId)>,
    /// Messages about it that wait for the broker.
    pub messages: Vec<String>,
}

/// An event, and whether it counts.
#[derive(Debug, Clone)]
pub struct DisclosedEvent {
    /// The event.
    pub event: Event,
    /// The event that it became part of.
    pub merged_into: Option<EventId>,
    /// When its receipts were read again and no longer said it.
    pub withdrawn_at: Option<OffsetDateTime>,
}

/// A receipt, and whether it tells of others too.
#[derive(Debug, Clone)]
pub struct DisclosedReceipt {
    /// The receipt with its raw bytes, where they are still there.
    pub receipt: StoredReceipt,
    /// Whether events about others name it.
    pub is_shared: bool,
}

impl Store {
    /// Everything that is held about an address; nothing if it was never heard of.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn disclose(&self, address: &Address) -> Result<Option<Disclosure>, StoreError> {
        let subject = self.identity.subject(address);
        let id = || subject.0.to_vec();
        let Some(row) = subject::Entity::find_by_id(id()).one(&self.db).await? else { return Ok(None) };
        let found = event::Entity::find().filter(event::Column::SubjectId.eq(id())).order_by_asc(event::Column::OccurredAt).all(&self.db);
        let mut events = Vec::new();
        for row in found.await? {
            let (merged_into, withdrawn_at) = (row.merged_into.map(EventId), row.withdrawn_at);
            events.push(DisclosedEvent { event: rows::event_from_row(row, Vec::new())?, merged_into, withdrawn_at });
        }
        let deliveries = delivery::Entity::find().filter(delivery::Column::SubjectId.eq(id())).all(&self.db).await?;
        let suppressions = suppression::Entity::find().filter(suppression::Column::SubjectId.eq(id())).all(&self.db).await?;
        let changes = suppression_change::Entity::find()
            .filter(suppression_change::Column::SubjectId.eq(id()))
            .order_by_asc(suppression_change::Column::At)
            .order_by_asc(suppression_change::Column::Id)
            .all(&self.db)
            .await?;
        let mut receipts: BTreeSet<ReceiptId> = events.iter().map(|it| it.event.receipt).collect();
        let ids: Vec<EventId> = events.iter().map(|it| it.event.id).collect();
        receipts.extend(copies::of(&self.db, &ids).await?.into_values().flatten());
        receipts.extend(deliveries.iter().filter_map(|it| it.receipt_id).map(ReceiptId));
        let shared = self.told_of_others(subject, &receipts).await?;
        let mut receipts: Vec<StoredReceipt> = self.receipts_of(&receipts).await?;
        receipts.sort_by_key(|it| it.id);
        let repeats = import_repeat::Entity::find()
            .filter(import_repeat::Column::SubjectId.eq(id()))
            .order_by_asc(import_repeat::Column::ImportId)
            .order_by_asc(import_repeat::Column::ChangeId)
            .all(&self.db)
            .await?;
        let waiting = outbox::Entity::find()
            .filter(outbox::Column::Payload.contains(format!("\"subject\":\"{subject}\"")))
            .order_by_asc(outbox::Column::Sequence)
            .all(&self.db)
            .await?;
        Ok(Some(Disclosure {
            subject,
            address: row.address,
            created_at: row.created_at,
            erased_at: row.erased_at,
            revision: row.revision,
            events,
            deliveries: deliveries.into_iter().map(|it| (ListId(it.boundary_id), it.occurred_at)).collect(),
            suppressions: suppressions.into_iter().map(rows::suppression_from_row).collect::<Result<_, _>>()?,
            changes: changes.into_iter().map(rows::change_from_row).collect::<Result<_, _>>()?,
            receipts: receipts.into_iter().map(|it| DisclosedReceipt { is_shared: shared.contains(&it.id), receipt: it }).collect(),
            repeats: repeats.into_iter().map(|it| (ImportId(it.import_id), ChangeId(it.change_id))).collect(),
            messages: waiting.into_iter().map(|it| it.payload).collect(),
        }))
    }

    /// Those of these receipts that told of somebody else.
    async fn told_of_others(&self, subject: SubjectId, receipts: &BTreeSet<ReceiptId>) -> Result<BTreeSet<ReceiptId>, StoreError> {
        let all: Vec<Uuid> = receipts.iter().map(|it| it.0).collect();
        let mut shared = BTreeSet::new();
        for chunk in all.chunks(ROWS_PER_STATEMENT) {
            let others = || event::Column::SubjectId.ne(subject.0.to_vec());
            let named = event::Entity::find()
                .select_only()
                .column(event::Column::ReceiptId)
                .filter(others())
                .filter(event::Column::ReceiptId.is_in(chunk.to_vec()));
            let delivered = delivery::Entity::find()
                .select_only()
                .column(delivery::Column::ReceiptId)
                .filter(delivery::Column::SubjectId.ne(subject.0.to_vec()))
                .filter(delivery::Column::ReceiptId.is_in(chunk.to_vec()));
            let about_others = event::Entity::find().select_only().column(event::Column::Id).filter(others()).into_query();
            let copied = event_copy::Entity::find()
                .select_only()
                .column(event_copy::Column::ReceiptId)
                .filter(event_copy::Column::ReceiptId.is_in(chunk.to_vec()))
                .filter(event_copy::Column::EventId.in_subquery(about_others));
            shared.extend(named.into_tuple::<Uuid>().all(&self.db).await?.into_iter().map(ReceiptId));
            shared.extend(delivered.into_tuple::<Uuid>().all(&self.db).await?.into_iter().map(ReceiptId));
            shared.extend(copied.into_tuple::<Uuid>().all(&self.db).await?.into_iter().map(ReceiptId));
        }
        Ok(shared)
    }
}
