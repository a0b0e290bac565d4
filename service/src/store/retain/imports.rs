//! What goes of imports by age: previews, the refused lines of any import, and of imports that were undone the notes of what they said
//! again. Imports that were meant stay, for what they said is part of the fold.

use entity::{import, import_refusal, import_repeat};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, Query};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait as _, QueryFilter, QuerySelect, QueryTrait as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::imports::{ImportMode, ImportState};
use crate::store::{Store, dialect, rows};

impl Store {
    /// Removes some of what is left of imports that nobody has worked on since then, and tells of how many rows; none when there
    /// are no more.
    ///
    /// # Errors
    /// When the database is away; nothing of the step is then done.
    pub async fn let_go_of_imports(&self, before: OffsetDateTime, limit: u64) -> Result<u64, StoreError> {
        let before = rows::kept(before);
        let tx = dialect::begin(&self.db).await?;
        let mut removed = remove_refusals(&tx, before, limit).await?;
        if removed == 0 {
            removed = remove_previews(&tx, before).await?;
        }
        if removed == 0 {
            removed = remove_repeats(&tx, before, limit).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }
}

async fn remove_refusals(tx: &DatabaseTransaction, before: OffsetDateTime, limit: u64) -> Result<u64, StoreError> {
    use import_refusal::Column as C;
    let old = Query::select().column(import::Column::Id).from(import::Entity).cond_where(import::Column::UpdatedAt.lt(before)).to_owned();
    let some: Vec<(Uuid, i64)> = import_refusal::Entity::find()
        .select_only()
        .columns([C::ImportId, C::Line])
        .filter(C::ImportId.in_subquery(old))
        .limit(limit)
        .into_tuple()
        .all(tx)
        .await?;
    if some.is_empty() {
        return Ok(0);
    }
    let key = Expr::tuple([Expr::col(C::ImportId), Expr::col(C::Line)]);
    Ok(import_refusal::Entity::delete_many().filter(key.in_tuples(some)).exec(tx).await?.rows_affected)
}

/// Previews left nothing but themselves.
async fn remove_previews(tx: &DatabaseTransaction, before: OffsetDateTime) -> Result<u64, StoreError> {
    let gone = import::Entity::delete_many()
        .filter(import::Column::Mode.eq(ImportMode::Preview.as_str()))
        .filter(import::Column::UpdatedAt.lt(before))
        .exec(tx)
        .await?;
    Ok(gone.rows_affected)
}

/// That an import said something again matters as long as that import stands, whoever else says the same: each of the others may be undone.
async fn remove_repeats(tx: &DatabaseTransaction, before: OffsetDateTime, limit: u64) -> Result<u64, StoreError> {
    use import_repeat::Column as C;
    let undone = import::Entity::find()
        .select_only()
        .column(import::Column::Id)
        .filter(import::Column::State.eq(ImportState::Undone.as_str()))
        .filter(import::Column::UpdatedAt.lt(before));
    let some: Vec<(Uuid, Vec<u8>, Uuid)> = import_repeat::Entity::find()
        .select_only()
        .columns([C::ImportId, C::SubjectId, C::ChangeId])
        .filter(C::ImportId.in_subquery(undone.into_query()))
        .limit(limit)
        // Whoever holds a row is at work on it; the next time will do. So nobody waits for whom we wait for.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(tx)
        .await?;
    if some.is_empty() {
        return Ok(0);
    }
    let key = Expr::tuple([Expr::col(C::ImportId), Expr::col(C::SubjectId), Expr::col(C::ChangeId)]);
    Ok(import_repeat::Entity::delete_many().filter(key.in_tuples(some)).exec(tx).await?.rows_affected)
}
