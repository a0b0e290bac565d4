//! Reads the histories that a transaction works on, in a fixed number of statements whatever the size of the batch, and
//! writes back the rows that have no history of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bounce::policy::FactKey;
use entity::{delivery, event, event_key, subject, suppression, suppression_change};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IdenStatic, IntoActiveModel, Iterable, QueryFilter, QueryOrder,
};

use crate::store::error::StoreError;
use crate::store::history::History;
use crate::store::ids::{ListId, SubjectId};
use crate::store::lists::Lists;
use crate::store::rows;

/// Parameters given to one statement.
const KEYS_PER_STATEMENT: usize = 1000;

/// All that is known of these subjects within these boundaries.
pub(super) async fn histories(
    db: &impl ConnectionTrait,
    lists: &Lists,
    pairs: &BTreeSet<(ListId, SubjectId)>,
    subjects: &HashMap<SubjectId, subject::Model>,
) -> Result<BTreeMap<(ListId, SubjectId), History>, StoreError> {
    let mut histories: BTreeMap<(ListId, SubjectId), History> = pairs
        .iter()
        .map(|&(boundary, subject)| {
            let revision = subjects.get(&subject).map_or(0, |it| it.revision);
            let empty = History {
                boundary,
                subject,
                revision,
                events: Vec::new(),
                deliveries: Vec::new(),
                acts: Vec::new(),
                suppressions: Vec::new(),
                vanished: Vec::new(),
                told: BTreeSet::new(),
                is_stale: false,
            };
            ((boundary, subject), empty)
        })
        .collect();
    let ids: BTreeSet<SubjectId> = pairs.iter().map(|it| it.1).collect();
    let ids: Vec<Vec<u8>> = ids.into_iter().map(|it| it.0.to_vec()).collect();
    for chunk in ids.chunks(KEYS_PER_STATEMENT) {
        read_events(db, chunk, &mut histories).await?;
        read_deliveries(db, chunk, &mut histories).await?;
        read_acts(db, chunk, &mut histories).await?;
        read_suppressions(db, lists, chunk, &mut histories).await?;
    }
    Ok(histories)
}

type Histories = BTreeMap<(ListId, SubjectId), History>;

async fn read_events(db: &impl ConnectionTrait, subjects: &[Vec<u8>], histories: &mut Histories) -> Result<(), StoreError> {
    let found = event::Entity::find()
        .filter(event::Column::SubjectId.is_in(subjects.to_vec()))
        .filter(event::Column::MergedInto.is_null())
        .filter(event::Column::WithdrawnAt.is_null())
        .order_by_asc(event::Column::Id)
        .all(db)
        .await?;
    let mut keys: HashMap<uuid::Uuid, Vec<FactKey>> = HashMap::new();
    let ids: Vec<uuid::Uuid> = found.iter().map(|it| it.id).collect();
    for chunk in ids.chunks(KEYS_PER_STATEMENT) {
        for row in event_key::Entity::find().filter(event_key::Column::EventId.is_in(chunk.to_vec())).all(db).await? {
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

async fn read_deliveries(db: &impl ConnectionTrait, subjects: &[Vec<u8>], histories: &mut Histories) -> Result<(), StoreError> {
    for row in delivery::Entity::find().filter(delivery::Column::SubjectId.is_in(subjects.to_vec())).all(db).await? {
        let pair = (ListId(row.boundary_id), SubjectId(rows::sixteen("delivery", &row.subject_id)?));
        if let Some(history) = histories.get_mut(&pair) {
            history.deliveries.push(rows::delivery_from_row(&row)?);
        }
    }
    Ok(())
}

async fn read_acts(db: &impl ConnectionTrait, subjects: &[Vec<u8>], histories: &mut Histories) -> Result<(), StoreError> {
    let found = suppression_change::Entity::find()
        .filter(suppression_change::Column::SubjectId.is_in(subjects.to_vec()))
        .filter(suppression_change::Column::Act.is_not_null())
        .all(db)
        .await?;
    for row in found {
        let act = rows::change_from_row(row)?;
        if let Some(history) = histories.get_mut(&(act.boundary, act.subject)) {
            history.acts.push(act);
        }
    }
    Ok(())
}

async fn read_suppressions(
    db: &impl ConnectionTrait,
    lists: &Lists,
    subjects: &[Vec<u8>],
    histories: &mut Histories,
) -> Result<(), StoreError> {
    for row in suppression::Entity::find().filter(suppression::Column::SubjectId.is_in(subjects.to_vec())).all(db).await? {
        let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
        let boundary = lists.by_id(db, ListId(row.list_id)).await?.boundary;
        if let Some(history) = histories.get_mut(&(boundary, subject)) {
            history.suppressions.push(rows::suppression_from_row(row)?);
        }
    }
    Ok(())
}

/// Writes the suppressions of a subject within a boundary anew. They are few, and the rows are the fold's and nobody else's.
pub(super) async fn replace_suppressions(tx: &DatabaseTransaction, history: &History) -> Result<(), StoreError> {
    for (list, cause) in &history.vanished {
        suppression::Entity::delete_by_id((history.subject.0.to_vec(), list.0, cause.to_string())).exec(tx).await?;
    }
    for it in &history.suppressions {
        let keys = [suppression::Column::SubjectId, suppression::Column::ListId, suppression::Column::Cause];
        let rest = suppression::Column::iter().filter(|it| !keys.iter().any(|key| key.as_str() == it.as_str()));
        let replace = OnConflict::columns(keys).update_columns(rest).to_owned();
        let model = rows::row_of_suppression(history.subject, it).into_active_model();
        suppression::Entity::insert(model).on_conflict(replace).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Writes the deliveries of a subject within a boundary anew: two at most.
pub(super) async fn replace_deliveries(tx: &DatabaseTransaction, history: &History) -> Result<(), StoreError> {
    delivery::Entity::delete_many()
        .filter(delivery::Column::BoundaryId.eq(history.boundary.0))
        .filter(delivery::Column::SubjectId.eq(history.subject.0.to_vec()))
        .exec(tx)
        .await?;
    let models: Vec<delivery::ActiveModel> =
        history.deliveries.iter().map(|it| rows::row_of_delivery(history.boundary, history.subject, it).into_active_model()).collect();
    if !models.is_empty() {
        delivery::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    Ok(())
}
