//! Which receipts told of an event beside the one it names. Only merging makes such rows, so what is told once costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use entity::event_copy;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};

use crate::store::error::StoreError;
use crate::store::ids::{EventId, ReceiptId};

/// Rows and parameters of one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// Writes down that these receipts told of these events, as far as that is not known.
pub(super) async fn add(tx: &DatabaseTransaction, told: &BTreeSet<(EventId, ReceiptId)>) -> Result<(), StoreError> {
    let told: Vec<&(EventId, ReceiptId)> = told.iter().collect();
    for chunk in told.chunks(ROWS_PER_STATEMENT) {
        let models =
            chunk.iter().map(|(event, receipt)| event_copy::Model { event_id: event.0, receipt_id: receipt.0 }.into_active_model());
        event_copy::Entity::insert_many(models)
            .on_conflict_do_nothing_on([event_copy::Column::EventId, event_copy::Column::ReceiptId])
            .exec_without_returning(tx)
            .await?;
    }
    Ok(())
}

/// Receipts that told of these events, by event; those that the events name are not among them.
pub(super) async fn of(db: &impl ConnectionTrait, events: &[EventId]) -> Result<BTreeMap<EventId, BTreeSet<ReceiptId>>, StoreError> {
    let mut found: BTreeMap<EventId, BTreeSet<ReceiptId>> = BTreeMap::new();
    for chunk in events.chunks(ROWS_PER_STATEMENT) {
        let ids = chunk.iter().map(|it| it.0);
        for row in event_copy::Entity::find().filter(event_copy::Column::EventId.is_in(ids)).all(db).await? {
            found.entry(EventId(row.event_id)).or_default().insert(ReceiptId(row.receipt_id));
        }
    }
    Ok(found)
}

/// Forgets which receipts told of these events.
pub(super) async fn remove(tx: &DatabaseTransaction, events: &[EventId]) -> Result<(), StoreError> {
    for chunk in events.chunks(ROWS_PER_STATEMENT) {
        event_copy::Entity::delete_many().filter(event_copy::Column::EventId.is_in(chunk.iter().map(|it| it.0))).exec(tx).await?;
    }
    Ok(())
}
