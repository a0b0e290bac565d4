//! What goes of imports by age: previews, the refused lines of any import, and the notes of what an import said again. Imports
//! that were meant stay, for what they said is part of the fold; and of the notes go only those without which it says the same.

use entity::{import, import_refusal, import_repeat, suppression_change};
use sea_orm::sea_query::{Alias, Expr, LockBehavior, LockType, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, DatabaseTransaction, EntityTrait, ExprTrait as _, QueryFilter, QuerySelect};
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

/// That an import said something again matters only while that import stands: then it holds when the one that said it first is
/// undone. So the note goes when the import that it is of was undone; and when the first one stands and a later one, which
/// stands too, has said the same once more.
async fn remove_repeats(tx: &DatabaseTransaction, before: OffsetDateTime, limit: u64) -> Result<u64, StoreError> {
    use import_repeat::Column as C;
    let own = |column| Expr::col((import_repeat::Entity, column));
    let of_import = import::Entity::find().select_only().column(import::Column::Id);
    let undone =
        of_import.clone().filter(import::Column::State.eq(ImportState::Undone.as_str())).filter(import::Column::UpdatedAt.lt(before));
    let old = of_import.filter(import::Column::UpdatedAt.lt(before));
    let needless = Condition::all()
        .add(Expr::exists(first_stands(own(C::ChangeId))))
        .add(Expr::exists(said_later(own(C::ChangeId), own(C::ImportId))));
    let some: Vec<(Uuid, Vec<u8>, Uuid)> = import_repeat::Entity::find()
        .select_only()
        .columns([C::ImportId, C::SubjectId, C::ChangeId])
        .filter(C::ImportId.in_subquery(sea_orm::QueryTrait::into_query(old)))
        .filter(Condition::any().add(C::ImportId.in_subquery(sea_orm::QueryTrait::into_query(undone))).add(needless))
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

fn stands() -> Condition {
    let gone = [ImportState::Undoing, ImportState::Undone].map(|it| it.to_string());
    Condition::all().add(Expr::col((import::Entity, import::Column::State)).is_not_in(gone))
}

/// The import of the act that said it first, if it stands.
fn first_stands(change: Expr) -> SelectStatement {
    use suppression_change::Column as C;
    let act = (suppression_change::Entity, C::ImportId);
    Query::select()
        .expr(Expr::value(1))
        .from(suppression_change::Entity)
        .inner_join(import::Entity, Expr::col((import::Entity, import::Column::Id)).equals(act))
        .and_where(Expr::col((suppression_change::Entity, C::Id)).eq(change))
        .cond_where(stands())
        .to_owned()
}

/// Notes of later imports that stand, of the same act.
fn said_later(change: Expr, import_id: Expr) -> SelectStatement {
    use import_repeat::Column as C;
    let later = Alias::new("later");
    Query::select()
        .expr(Expr::value(1))
        .from_as(import_repeat::Entity, later.clone())
        .inner_join(import::Entity, Expr::col((import::Entity, import::Column::Id)).equals((later.clone(), C::ImportId)))
        .and_where(Expr::col((later.clone(), C::ChangeId)).eq(change))
        .and_where(Expr::col((later, C::ImportId)).gt(import_id))
        .cond_where(stands())
        .to_owned()
}
