//! Reads the histories that a transaction works on, in a fixed number of statements whatever the size of the batch, and
//! writes back the rows that have no history of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bounce::policy::FactKey;
use entity::{delivery, event, event_key, import, import_repeat, subject, suppression, suppression_change};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait as _, Value,
};
use uuid::Uuid;

use crate::store::dialect::{self, Known, among};
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::store::ids::{ImportId, ListId, SubjectId};
use crate::store::imports::ImportState;
use crate::store::lists::Lists;
use crate::store::rows;

/// Keys looked for by one statement, below the 32,766 parameters that SQLite takes.
const KEYS_PER_STATEMENT: usize = 10_000;

/// All that is known of these subjects within these boundaries.
pub(super) async fn histories(
    db: &impl ConnectionTrait,
    lists: &Lists,
    pairs: &BTreeSet<(ListId, SubjectId)>,
    subjects: &HashMap<SubjectId, subject::Model>,
) -> Result<Histories, StoreError> {
    histories_beside(db, lists, pairs, subjects, &BTreeSet::new()).await
}

/// As [`histories`], without a look for those of whom nothing can be known.
pub(super) async fn histories_beside(
    db: &impl ConnectionTrait,
    lists: &Lists,
    pairs: &BTreeSet<(ListId, SubjectId)>,
    subjects: &HashMap<SubjectId, subject::Model>,
    strangers: &BTreeSet<SubjectId>,
) -> Result<Histories, StoreError> {
    let mut histories: Histories = pairs.iter().map(|it| (*it, empty(*it, subjects))).collect();
    let ids: BTreeSet<SubjectId> = pairs.iter().map(|it| it.1).filter(|it| !strangers.contains(it)).collect();
    let ids: Vec<Value> = ids.into_iter().map(|it| it.0.to_vec().into()).collect();
    for chunk in ids.chunks(KEYS_PER_STATEMENT) {
        read_events(db, chunk, &mut histories).await?;
        read_deliveries(db, chunk, &mut histories).await?;
        read_acts(db, chunk, &mut histories).await?;
        read_suppressions(db, lists, chunk, &mut histories).await?;
    }
    Ok(histories)
}

type Histories = BTreeMap<(ListId, SubjectId), History>;

/// A history of which nothing was read.
pub(super) fn empty((boundary, subject): (ListId, SubjectId), subjects: &HashMap<SubjectId, subject::Model>) -> History {
    History {
        boundary,
        subject,
        revision: subjects.get(&subject).map_or(0, |it| it.revision),
        events: Vec::new(),
        deliveries: Vec::new(),
        acts: Vec::new(),
        suppressions: Vec::new(),
        vanished: Vec::new(),
        dropped: BTreeSet::new(),
        told: BTreeSet::new(),
        is_stale: false,
    }
}

async fn read_events(db: &impl ConnectionTrait, subjects: &[Value], histories: &mut Histories) -> Result<(), StoreError> {
    let found = event::Entity::find()
        .filter(among(db, event::Column::SubjectId, subjects.to_vec()))
        .filter(event::Column::MergedInto.is_null())
        .filter(event::Column::WithdrawnAt.is_null())
        .order_by_asc(event::Column::Id)
        .all(db)
        .await?;
    let mut keys: HashMap<Uuid, Vec<FactKey>> = HashMap::new();
    let ids: Vec<Uuid> = found.iter().map(|it| it.id).collect();
    for chunk in ids.chunks(KEYS_PER_STATEMENT) {
        for row in
            event_key::Entity::find().filter(among(db, event_key::Column::EventId, chunk.iter().map(|it| (*it).into()))).all(db).await?
        {
            keys.entry(row.event_id).or_default().push(FactKey(rows::sixteen("event_key", &row.key)?));
        }
    }
    for row in found {
        let mut own = keys.remove(&row.id).unwrap_or_default();
        own.sort_unstable();
        let event = rows::event_from_row(row, own)?;
        if let Some(history) = histories.get_mut(&(event.boundary, event.subject)) {
            history.events.push(event);
        }
    }
    Ok(())
}

async fn read_deliveries(db: &impl ConnectionTrait, subjects: &[Value], histories: &mut Histories) -> Result<(), StoreError> {
    for row in delivery::Entity::find().filter(among(db, delivery::Column::SubjectId, subjects.to_vec())).all(db).await? {
        let pair = (ListId(row.boundary_id), SubjectId(rows::sixteen("delivery", &row.subject_id)?));
        if let Some(history) = histories.get_mut(&pair) {
            history.deliveries.push(rows::delivery_from_row(&row)?);
        }
    }
    Ok(())
}

async fn read_acts(db: &impl ConnectionTrait, subjects: &[Value], histories: &mut Histories) -> Result<(), StoreError> {
    let found = suppression_change::Entity::find()
        .filter(among(db, suppression_change::Column::SubjectId, subjects.to_vec()))
        .filter(suppression_change::Column::Act.is_not_null())
        .all(db)
        .await?;
    let withdrawn = withdrawn(db, &found).await?;
    for row in found.into_iter().filter(|it| !withdrawn.contains(&it.id)) {
        let act = rows::change_from_row(row)?;
        if let Some(history) = histories.get_mut(&(act.boundary, act.subject)) {
            history.acts.push(act);
        }
    }
    Ok(())
}

/// Acts of imports that were undone, unless an import that holds said the same again.
async fn withdrawn(db: &impl ConnectionTrait, acts: &[suppression_change::Model]) -> Result<BTreeSet<Uuid>, StoreError> {
    let imports: BTreeSet<Uuid> = acts.iter().filter_map(|it| it.import_id).collect();
    if imports.is_empty() {
        return Ok(BTreeSet::new());
    }
    let undone = |ids: BTreeSet<Uuid>| {
        let states = [ImportState::Undoing, ImportState::Undone].map(|it| it.to_string());
        let query = import::Entity::find().select_only().column(import::Column::Id);
        query.filter(import::Column::Id.is_in(ids)).filter(import::Column::State.is_in(states)).into_tuple::<Uuid>().all(db)
    };
    let gone: BTreeSet<Uuid> = undone(imports).await?.into_iter().collect();
    let mut withdrawn: BTreeSet<Uuid> =
        acts.iter().filter(|it| it.import_id.is_some_and(|import| gone.contains(&import))).map(|it| it.id).collect();
    if withdrawn.is_empty() {
        return Ok(withdrawn);
    }
    let again = import_repeat::Entity::find().filter(import_repeat::Column::ChangeId.is_in(withdrawn.iter().copied())).all(db).await?;
    let gone: BTreeSet<Uuid> = undone(again.iter().map(|it| it.import_id).collect()).await?.into_iter().collect();
    for repeat in again.iter().filter(|it| !gone.contains(&it.import_id)) {
        withdrawn.remove(&repeat.change_id);
    }
    Ok(withdrawn)
}

/// The lists on which rows of an import stand.
pub(super) async fn lists_of_import(db: &impl ConnectionTrait, id: ImportId) -> Result<BTreeSet<ListId>, StoreError> {
    use suppression_change::Column as C;
    let lists = || suppression_change::Entity::find().select_only().column(C::ListId).distinct().filter(C::Act.is_not_null());
    let said: Vec<Uuid> = lists().filter(C::ImportId.eq(id.0)).into_tuple().all(db).await?;
    let again = import_repeat::Entity::find().select_only().column(import_repeat::Column::ChangeId);
    let again = again.filter(import_repeat::Column::ImportId.eq(id.0)).into_query();
    let again: Vec<Uuid> = lists().filter(C::Id.in_subquery(again)).into_tuple().all(db).await?;
    Ok(said.into_iter().chain(again).map(ListId).collect())
}

/// The next subjects of which an import said something, in the order of their ids.
pub(super) async fn subjects_of_import(
    db: &impl ConnectionTrait,
    id: ImportId,
    after: Option<SubjectId>,
    limit: u64,
) -> Result<Vec<SubjectId>, StoreError> {
    let after = after.map(|it| it.0.to_vec()).unwrap_or_default();
    let said: Vec<Vec<u8>> = suppression_change::Entity::find()
        .select_only()
        .column(suppression_change::Column::SubjectId)
        .distinct()
        .filter(suppression_change::Column::ImportId.eq(id.0))
        .filter(suppression_change::Column::Act.is_not_null())
        .filter(suppression_change::Column::SubjectId.gt(after.clone()))
        .order_by_asc(suppression_change::Column::SubjectId)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    let said_again: Vec<Vec<u8>> = import_repeat::Entity::find()
        .select_only()
        .column(import_repeat::Column::SubjectId)
        .distinct()
        .filter(import_repeat::Column::ImportId.eq(id.0))
        .filter(import_repeat::Column::SubjectId.gt(after))
        .order_by_asc(import_repeat::Column::SubjectId)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await?;
    let all: BTreeSet<Vec<u8>> = said.into_iter().chain(said_again).collect();
    let next = all.iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
    next.map(|it| rows::sixteen("suppression_change", it).map(SubjectId)).collect()
}

async fn read_suppressions(
    db: &impl ConnectionTrait,
    lists: &Lists,
    subjects: &[Value],
    histories: &mut Histories,
) -> Result<(), StoreError> {
    for row in suppression::Entity::find().filter(among(db, suppression::Column::SubjectId, subjects.to_vec())).all(db).await? {
        let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
        let boundary = lists.by_id(db, ListId(row.list_id)).await?.boundary;
        if let Some(history) = histories.get_mut(&(boundary, subject)) {
            history.suppressions.push(rows::suppression_from_row(row)?);
        }
    }
    Ok(())
}

/// Writes the suppressions of subjects within their boundaries anew. They are few of each, and the rows are the fold's and
/// nobody else's.
pub(super) async fn replace_suppressions(tx: &DatabaseTransaction, histories: &[&History]) -> Result<(), StoreError> {
    let vanished = histories.iter().flat_map(|history| {
        history.vanished.iter().map(|(list, cause)| vec![history.subject.0.to_vec().into(), list.0.into(), cause.to_string().into()])
    });
    let key = [suppression::Column::SubjectId, suppression::Column::ListId, suppression::Column::Cause];
    dialect::delete(tx, &key, vanished.collect()).await?;
    let rows = histories.iter().flat_map(|history| history.suppressions.iter().map(|it| rows::row_of_suppression(history.subject, it)));
    dialect::insert::<suppression::Model, _>(tx, rows.collect(), Known::Yields(&key)).await
}

/// Writes the deliveries of subjects within their boundaries anew: two at most of each.
pub(super) async fn replace_deliveries(tx: &DatabaseTransaction, histories: &[&History]) -> Result<(), StoreError> {
    let whose = histories.iter().map(|it| vec![it.subject.0.to_vec().into(), it.boundary.0.into()]);
    dialect::delete(tx, &[delivery::Column::SubjectId, delivery::Column::BoundaryId], whose.collect()).await?;
    let rows = histories.iter().flat_map(|it| it.deliveries.iter().map(|one| rows::row_of_delivery(it.boundary, it.subject, one)));
    dialect::insert::<delivery::Model, _>(tx, rows.collect(), Known::Impossible).await
}
