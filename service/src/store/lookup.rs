//! Everything about one address: what happened, what lists say, and why.

use std::collections::HashMap;
use std::sync::Arc;

use bounce::address::Address;
use entity::{event, receipt, subject, suppression, suppression_change};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::store::Store;
use crate::store::error::{StoreError, bad_row};
use crate::store::ids::{EventId, ReceiptId};
use crate::store::lists::List;
use crate::store::record::{Event, ReceiptState, Suppression, SuppressionChange};
use crate::store::rows;

/// What is known of an address.
#[derive(Debug, Clone, Default)]
pub struct SubjectHistory {
    /// Whether it was ever heard of.
    pub known: Known,
    /// What happened, newest first.
    pub events: Vec<Event>,
    /// What lists say, lifted rows included.
    pub suppressions: Vec<Suppression>,
    /// Every change and every act, newest first.
    pub changes: Vec<SuppressionChange>,
}

/// Whether an address was ever heard of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Known {
    /// Never.
    #[default]
    Never,
    /// It is there.
    Known,
    /// Its plain form was erased.
    Erased,
}

impl Store {
    /// What is known of an address, up to `limit` events and changes each.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn history(&self, address: &Address, limit: u64) -> Result<SubjectHistory, StoreError> {
        let id = self.identity.subject(address).0.to_vec();
        let Some(row) = subject::Entity::find_by_id(id.clone()).one(&self.db).await? else {
            return Ok(SubjectHistory::default());
        };
        let events = event::Entity::find()
            .filter(event::Column::SubjectId.eq(id.clone()))
            .filter(event::Column::MergedInto.is_null())
            .filter(event::Column::WithdrawnAt.is_null())
            .order_by_desc(event::Column::OccurredAt)
            .limit(limit)
            .all(&self.db)
            .await?;
        let changes = suppression_change::Entity::find()
            .filter(suppression_change::Column::SubjectId.eq(id.clone()))
            .order_by_desc(suppression_change::Column::At)
            .order_by_desc(suppression_change::Column::Id)
            .limit(limit)
            .all(&self.db)
            .await?;
        let suppressions = suppression::Entity::find().filter(suppression::Column::SubjectId.eq(id)).all(&self.db).await?;
        Ok(SubjectHistory {
            known: if row.erased_at.is_some() { Known::Erased } else { Known::Known },
            events: events.into_iter().map(|it| rows::event_from_row(it, Vec::new())).collect::<Result<_, _>>()?,
            suppressions: suppressions.into_iter().map(rows::suppression_from_row).collect::<Result<_, _>>()?,
            changes: changes.into_iter().map(rows::change_from_row).collect::<Result<_, _>>()?,
        })
    }

    /// Events by their ids.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn events(&self, ids: &[EventId]) -> Result<HashMap<EventId, Event>, StoreError> {
        let mut events = HashMap::new();
        for chunk in ids.chunks(1000) {
            for row in event::Entity::find().filter(event::Column::Id.is_in(chunk.iter().map(|it| it.0))).all(&self.db).await? {
                let event = rows::event_from_row(row, Vec::new())?;
                events.insert(event.id, event);
            }
        }
        Ok(events)
    }

    /// What became of a receipt; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn receipt_state(&self, id: ReceiptId) -> Result<Option<ReceiptState>, StoreError> {
        let row = receipt::Entity::find_by_id(id.0).one(&self.db).await?;
        row.map(|it| it.state.parse().map_err(|it| bad_row("receipt", it))).transpose()
    }

    /// What stands for an address on a list and on those above it, lifted rows included.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn standing(&self, list: &Arc<List>, address: &Address) -> Result<Vec<Suppression>, StoreError> {
        let id = self.identity.subject(address).0.to_vec();
        let found = suppression::Entity::find()
            .filter(suppression::Column::SubjectId.eq(id))
            .filter(suppression::Column::ListId.is_in(list.lineage.iter().map(|it| it.0)))
            .all(&self.db)
            .await?;
        found.into_iter().map(rows::suppression_from_row).collect()
    }
}
