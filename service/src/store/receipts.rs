//! Stored receipts: what is done to them after they were taken in.

use entity::receipt;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::ids::ReceiptId;

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
