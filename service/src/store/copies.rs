//! Which receipts told of an event beside the one it names. Only merging makes such rows, so what is told once costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use entity::event_copy;
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter};

use crate::store::dialect::{self, Known, among};
use crate::store::error::StoreError;
use crate::store::ids::{EventId, ReceiptId};

/// Keys looked for by one statement, below the 32,766 parameters that SQLite takes.
const KEYS_PER_STATEMENT: usize = 10_000;

/// Writes down that these receipts told of these events, as far as that is not known.
pub(super) async fn add(tx: &DatabaseTransaction, told: &BTreeSet<(EventId, ReceiptId)>) -> Result<(), StoreError> {
    let row = |(event, receipt): &(EventId, ReceiptId)| event_copy::Model { event_id: event.0, receipt_id: receipt.0 };
    let rows: Vec<event_copy::Model> = told.iter().map(row).collect();
    dialect::insert(tx, rows, Known::Stays(&[event_copy::Column::EventId, event_copy::Column::ReceiptId])).await
}

/// Receipts that told of these events, by event; those that the events name are not among them.
pub(super) async fn of(db: &impl ConnectionTrait, events: &[EventId]) -> Result<BTreeMap<EventId, BTreeSet<ReceiptId>>, StoreError> {
    let mut found: BTreeMap<EventId, BTreeSet<ReceiptId>> = BTreeMap::new();
    for chunk in events.chunks(KEYS_PER_STATEMENT) {
        let ids = chunk.iter().map(|it| it.0.into());
        for row in event_copy::Entity::find().filter(among(db, event_copy::Column::EventId, ids)).all(db).await? {
            found.entry(EventId(row.event_id)).or_default().insert(ReceiptId(row.receipt_id));
        }
    }
    Ok(found)
}

/// Forgets which receipts told of these events.
pub(super) async fn remove(tx: &DatabaseTransaction, events: &[EventId]) -> Result<(), StoreError> {
    for chunk in events.chunks(KEYS_PER_STATEMENT) {
        event_copy::Entity::delete_many().filter(event_copy::Column::EventId.is_in(chunk.iter().map(|it| it.0))).exec(tx).await?;
    }
    Ok(())
}
