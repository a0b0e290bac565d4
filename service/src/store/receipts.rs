//! Stored receipts: finding them again, and what is done to them after they were taken in.

use std::collections::BTreeSet;
use std::sync::Arc;

use bounce::kind::Attribution;
use entity::{event, event_copy, receipt};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::Store;
use crate::store::error::{StoreError, bad_row};
use crate::store::ids::{EventId, ListId, ReceiptId, SubjectId};
use crate::store::lists::List;
use crate::store::record::ReceiptState;
use crate::store::{copies, rows};

/// Rows and parameters of one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// A receipt as it is stored.
#[derive(Debug, Clone)]
pub struct StoredReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// Name of the source it came by.
    pub source: String,
    /// The list it was taken in for.
    pub list: Arc<List>,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// Content type as announced.
    pub media_type: String,
    /// Octets as received.
    pub size: usize,
    /// The raw bytes, compressed; none once they were erased or old enough to go.
    pub body: Option<Vec<u8>>,
    /// What became of it.
    pub state: ReceiptState,
    /// How well it is attributed.
    pub attribution: Attribution,
}

impl StoredReceipt {
    /// The raw bytes as they came; none once they were erased or old enough to go.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let body = self.body.as_ref()?;
        // Where compressing failed, the raw bytes were kept.
        Some(zstd::bulk::decompress(body, self.size).unwrap_or_else(|_| body.clone()))
    }
}

/// Which receipts. What is left out does not matter.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Accepted then or later.
    pub since: Option<OffsetDateTime>,
    /// Of the source of that name.
    pub source: Option<String>,
    /// With the strongest evidence of an event that this rule decided.
    pub rule: Option<String>,
    /// In one of these states.
    pub states: Vec<ReceiptState>,
    /// Only these; any if none are named.
    pub only: Vec<ReceiptId>,
}

impl Store {
    /// The next receipts of a selection, in the order in which they were accepted.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn receipts(&self, which: &Selection, after: Option<ReceiptId>, limit: u64) -> Result<Vec<StoredReceipt>, StoreError> {
        use receipt::Column as C;
        let mut query = receipt::Entity::find();
        if let Some(after) = after {
            query = query.filter(C::Id.gt(after.0));
        }
        if let Some(since) = which.since {
            query = query.filter(C::ReceivedAt.gte(rows::kept(since)));
        }
        if let Some(source) = &which.source {
            query = query.filter(C::Source.eq(source));
        }
        if !which.states.is_empty() {
            query = query.filter(C::State.is_in(which.states.iter().map(|it| it.as_str())));
        }
        if !which.only.is_empty() {
            query = query.filter(C::Id.is_in(which.only.iter().map(|it| it.0)));
        }
        if let Some(rule) = &which.rule {
            let decided = event::Entity::find().select_only().column(event::Column::ReceiptId).filter(event::Column::Rule.eq(rule));
            query = query.filter(C::Id.in_subquery(decided.into_query()));
        }
        let found = query.order_by_asc(C::Id).limit(limit).all(&self.db).await?;
        self.stored(found).await
    }

    /// These receipts.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn receipts_of(&self, ids: &BTreeSet<ReceiptId>) -> Result<Vec<StoredReceipt>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|it| it.0).collect();
        let mut all = Vec::new();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let found = receipt::Entity::find().filter(receipt::Column::Id.is_in(chunk.to_vec())).all(&self.db).await?;
            all.extend(self.stored(found).await?);
        }
        Ok(all)
    }

    /// Whom these receipts tell of, as far as events say.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn subjects_of(&self, receipts: &[ReceiptId]) -> Result<BTreeSet<SubjectId>, StoreError> {
        let mut subjects = BTreeSet::new();
        for chunk in receipts.chunks(ROWS_PER_STATEMENT) {
            let ids = || chunk.iter().map(|it| it.0);
            let copied = event_copy::Entity::find()
                .select_only()
                .column(event_copy::Column::EventId)
                .filter(event_copy::Column::ReceiptId.is_in(ids()))
                .into_query();
            let found: Vec<Vec<u8>> = event::Entity::find()
                .select_only()
                .column(event::Column::SubjectId)
                .filter(event::Column::ReceiptId.is_in(ids()).or(event::Column::Id.in_subquery(copied)))
                .distinct()
                .into_tuple()
                .all(&self.db)
                .await?;
            for id in found {
                subjects.insert(SubjectId(rows::sixteen("event", &id)?));
            }
        }
        Ok(subjects)
    }

    /// Every receipt that told of one of these subjects.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn receipts_about(&self, subjects: &BTreeSet<SubjectId>) -> Result<BTreeSet<ReceiptId>, StoreError> {
        let subjects: Vec<&SubjectId> = subjects.iter().collect();
        let mut receipts = BTreeSet::new();
        for chunk in subjects.chunks(ROWS_PER_STATEMENT) {
            let found: Vec<(Uuid, Uuid)> = event::Entity::find()
                .select_only()
                .columns([event::Column::Id, event::Column::ReceiptId])
                .filter(event::Column::SubjectId.is_in(chunk.iter().map(|it| it.0.to_vec())))
                .into_tuple()
                .all(&self.db)
                .await?;
            let events: Vec<EventId> = found.iter().map(|it| EventId(it.0)).collect();
            receipts.extend(found.into_iter().map(|it| ReceiptId(it.1)));
            receipts.extend(copies::of(&self.db, &events).await?.into_values().flatten());
        }
        Ok(receipts)
    }

    pub(super) async fn stored(&self, found: Vec<receipt::Model>) -> Result<Vec<StoredReceipt>, StoreError> {
        let mut stored = Vec::with_capacity(found.len());
        for row in found {
            stored.push(StoredReceipt {
                id: ReceiptId(row.id),
                list: self.list_by_id(ListId(row.list_id)).await?,
                source: row.source,
                received_at: row.received_at,
                media_type: row.media_type,
                size: usize::try_from(row.size).map_err(|it| bad_row("receipt", it))?,
                body: row.body,
                state: row.state.parse().map_err(|it| bad_row("receipt", it))?,
                attribution: row.attribution.parse().map_err(|it| bad_row("receipt", it))?,
            });
        }
        Ok(stored)
    }
}

/// Removes the raw bytes of those of these receipts that still have them, and counts them. They are locked in the order of
/// their ids, as by everybody who takes several.
pub(super) async fn remove_bodies(tx: &DatabaseTransaction, receipts: &[ReceiptId]) -> Result<usize, StoreError> {
    let found: Vec<Uuid> = receipt::Entity::find()
        .select_only()
        .column(receipt::Column::Id)
        .filter(receipt::Column::Id.is_in(receipts.iter().map(|it| it.0)))
        .filter(receipt::Column::Body.is_not_null())
        .order_by_asc(receipt::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(tx)
        .await?;
    if !found.is_empty() {
        receipt::Entity::update_many()
            .col_expr(receipt::Column::Body, Expr::value(None::<Vec<u8>>))
            .filter(receipt::Column::Id.is_in(found.iter().copied()))
            .exec(tx)
            .await?;
    }
    Ok(found.len())
}
