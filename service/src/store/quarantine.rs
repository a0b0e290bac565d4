//! Receipts that wait to be understood, the newest first. Each state is looked through by itself, in the order of time in which the index
//! has it: so no look goes through what was understood, however few of the others there are.

use std::cmp::Reverse;
use std::sync::Arc;

use entity::receipt;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::{StoreError, bad_row};
use crate::store::feed::Visible;
use crate::store::ids::{ListId, ReceiptId};
use crate::store::lists::List;
use crate::store::record::ReceiptState;
use crate::store::{Store, rows};

/// Receipts that wait are counted up to this.
pub const UNREAD_UP_TO: u64 = 1000;
/// Receipts of a state among which those of some lists alone are looked for, the newest.
pub const UNREAD_LOOKED_AT: u64 = 10_000;

/// A receipt that was not understood, without its body.
#[derive(Debug, Clone)]
pub struct UnreadReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// Name of its source.
    pub source: String,
    /// The list it was taken in for.
    pub list: Arc<List>,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// Content type as announced.
    pub media_type: String,
    /// Octets as received.
    pub size: u64,
    /// What became of it.
    pub state: ReceiptState,
    /// Why.
    pub error: Option<String>,
}

/// Time and id of a receipt, then source, list, media type, size, state and error.
type UnreadRow = (OffsetDateTime, Uuid, String, Uuid, String, i64, String, Option<String>);

impl Store {
    /// How many receipts with their bytes are in this state, counted up to [`UNREAD_UP_TO`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unread_count(&self, state: ReceiptState, visible: &Visible) -> Result<u64, StoreError> {
        use receipt::Column as C;
        let some = self.unread(state, visible).await?.select_only().column(C::Id).order_by_desc(C::ReceivedAt).limit(UNREAD_UP_TO);
        let found: Vec<Uuid> = some.into_tuple().all(&self.db).await?;
        u64::try_from(found.len()).map_err(|it| bad_row("receipt", it))
    }

    /// Receipts in some states whose bytes are kept, the newest first. After one that has gone it begins anew.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unread_receipts(
        &self,
        states: &[ReceiptState],
        visible: &Visible,
        before: Option<ReceiptId>,
        limit: u64,
    ) -> Result<Vec<UnreadReceipt>, StoreError> {
        use receipt::Column as C;
        let place = match before {
            Some(it) => receipt::Entity::find_by_id(it.0).select_only().columns([C::ReceivedAt, C::Id]).into_tuple().one(&self.db).await?,
            None => None,
        };
        let mut found: Vec<UnreadRow> = Vec::new();
        for state in states {
            let columns = [C::ReceivedAt, C::Id, C::Source, C::ListId, C::MediaType, C::Size, C::State, C::Error];
            let query = self.unread(*state, visible).await?.filter(older(place)).select_only().columns(columns);
            let query = query.order_by_desc(C::ReceivedAt).order_by_desc(C::Id).limit(limit);
            found.extend(query.into_tuple::<UnreadRow>().all(&self.db).await?);
        }
        found.sort_by_key(|it| Reverse((it.0, it.1)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut receipts = Vec::with_capacity(found.len());
        for (received_at, id, source, list, media_type, size, state, error) in found {
            receipts.push(UnreadReceipt {
                id: ReceiptId(id),
                source,
                list: self.list_by_id(ListId(list)).await?,
                received_at,
                media_type,
                size: u64::try_from(size).map_err(|it| bad_row("receipt", it))?,
                state: rows::word("receipt", &state)?,
                error,
            });
        }
        Ok(receipts)
    }

    /// Receipts of a state whose bytes are kept, as far as somebody sees them.
    async fn unread(&self, state: ReceiptState, visible: &Visible) -> Result<Select<receipt::Entity>, StoreError> {
        use receipt::Column as C;
        let some = receipt::Entity::find().filter(C::State.eq(state.as_str())).filter(C::Body.is_not_null());
        let Some(lists) = self.visible_lists(visible).await? else { return Ok(some) };
        let last = some.clone().select_only().column(C::ReceivedAt).order_by_desc(C::ReceivedAt).offset(UNREAD_LOOKED_AT - 1).limit(1);
        let last: Option<OffsetDateTime> = last.into_tuple().one(&self.db).await?;
        let some = some.filter(C::ListId.is_in(lists.iter().map(|it| it.0)));
        Ok(some.filter(Condition::all().add_option(last.map(|it| C::ReceivedAt.gte(rows::kept(it))))))
    }
}

/// What comes behind a receipt of that time and id.
fn older(place: Option<(OffsetDateTime, Uuid)>) -> Condition {
    use receipt::Column as C;
    let Some((at, id)) = place else { return Condition::all() };
    let same = Condition::all().add(C::ReceivedAt.eq(rows::kept(at))).add(C::Id.lt(id));
    // The first part lets the index find where to begin.
    let from = Condition::all().add(C::ReceivedAt.lte(rows::kept(at)));
    from.add(Condition::any().add(C::ReceivedAt.lt(rows::kept(at))).add(same))
}
