//! The tree of lists. Lists are few, never move and never go, so they are kept in memory and read again when one is not known.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use bounce::policy::Cause;
use entity::suppression_list;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use time::OffsetDateTime;

use crate::config::ListName;
use crate::store::error::{StoreError, bad_row};
use crate::store::ids::ListId;

/// A list that addresses can stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// Dotted name.
    pub name: String,
    /// The root of its tree.
    pub boundary: ListId,
    /// Itself, its parent, … up to the root.
    pub lineage: Vec<ListId>,
    /// Automatic causes that block here; `None` for all.
    pub honours: Option<Vec<Cause>>,
}

impl List {
    /// A list of which only the name is known, as long as the database cannot be asked. Nothing can be recorded for it.
    #[must_use]
    pub fn named_only(name: &str) -> Self {
        let id = ListId(uuid::Uuid::nil());
        Self { id, name: name.to_owned(), boundary: id, lineage: Vec::new(), honours: None }
    }

    /// Whether only its name is known.
    #[must_use]
    pub const fn is_named_only(&self) -> bool {
        self.id.0.is_nil()
    }

    /// Whether a cause blocks on this list.
    #[must_use]
    pub fn honours(&self, cause: Cause) -> bool {
        !cause.is_automatic() || self.honours.as_ref().is_none_or(|it| it.contains(&cause))
    }
}

/// Every list, as last read.
#[derive(Debug, Default)]
pub(super) struct Lists {
    by_id: RwLock<Arc<HashMap<ListId, Arc<List>>>>,
}

impl Lists {
    fn snapshot(&self) -> Arc<HashMap<ListId, Arc<List>>> {
        self.by_id.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The list of that id, reading again when it is not known.
    pub(super) async fn by_id(&self, db: &impl ConnectionTrait, id: ListId) -> Result<Arc<List>, StoreError> {
        if let Some(list) = self.snapshot().get(&id) {
            return Ok(list.clone());
        }
        self.refresh(db).await?;
        self.snapshot().get(&id).cloned().ok_or_else(|| bad_row("suppression_list", "a row points to a list that is not there"))
    }

    /// The list of that name, reading again when it is not known.
    pub(super) async fn by_name(&self, db: &impl ConnectionTrait, name: &str) -> Result<Arc<List>, StoreError> {
        let find = |lists: &HashMap<ListId, Arc<List>>| lists.values().find(|it| it.name == name).cloned();
        if let Some(list) = find(&self.snapshot()) {
            return Ok(list);
        }
        if ListName::parse(name).is_some() {
            self.refresh(db).await?;
        }
        find(&self.snapshot()).ok_or_else(|| StoreError::UnknownList(name.chars().take(160).collect()))
    }

    /// Reads all lists again.
    pub(super) async fn refresh(&self, db: &impl ConnectionTrait) -> Result<Vec<Arc<List>>, StoreError> {
        let rows = suppression_list::Entity::find().order_by_asc(suppression_list::Column::Name).all(db).await?;
        let parents: HashMap<ListId, Option<ListId>> = rows.iter().map(|it| (ListId(it.id), it.parent_id.map(ListId))).collect();
        let lists = rows.into_iter().map(|row| from_row(row, &parents).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let by_id = lists.iter().map(|it| (it.id, it.clone())).collect();
        *self.by_id.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(by_id);
        Ok(lists)
    }

    /// Makes sure that a list and all above it exist, and sets what it honours.
    pub(super) async fn ensure(
        db: &impl ConnectionTrait,
        name: &str,
        honours: Option<&[Cause]>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let honours = honours.map(|it| serde_json::to_string(it).unwrap_or_default());
        let mut above: Option<suppression_list::Model> = None;
        for (end, _) in name.match_indices('.').chain([(name.len(), "")]) {
            let own = name.get(..end).unwrap_or(name);
            above = Some(ensure_row(db, own, above.as_ref(), now).await?);
        }
        if let Some(row) = above.filter(|it| it.honours != honours) {
            let changed = suppression_list::ActiveModel {
                id: ActiveValue::Unchanged(row.id),
                honours: ActiveValue::Set(honours),
                ..<suppression_list::ActiveModel as Default>::default()
            };
            suppression_list::Entity::update(changed).exec(db).await?;
        }
        Ok(())
    }
}

async fn ensure_row(
    db: &impl ConnectionTrait,
    name: &str,
    parent: Option<&suppression_list::Model>,
    now: OffsetDateTime,
) -> Result<suppression_list::Model, StoreError> {
    let find = || suppression_list::Entity::find().filter(suppression_list::Column::Name.eq(name)).one(db);
    if let Some(row) = find().await? {
        return Ok(row);
    }
    let id = ListId::new().0;
    let row = suppression_list::Model {
        id,
        name: name.to_owned(),
        parent_id: parent.map(|it| it.id),
        boundary_id: parent.map_or(id, |it| it.boundary_id),
        honours: None,
        created_at: now,
    };
    // Another replica may have made it meanwhile; whoever was first made it.
    suppression_list::Entity::insert(suppression_list::ActiveModel::from(row))
        .on_conflict_do_nothing_on([suppression_list::Column::Name])
        .exec_without_returning(db)
        .await?;
    find().await?.ok_or_else(|| bad_row("suppression_list", "an inserted list is not there"))
}

fn from_row(row: suppression_list::Model, parents: &HashMap<ListId, Option<ListId>>) -> Result<List, StoreError> {
    let id = ListId(row.id);
    let honours = match row.honours {
        Some(text) => Some(serde_json::from_str(&text).map_err(|it| bad_row("suppression_list", format!("honours: {it}")))?),
        None => None,
    };
    let lineage = std::iter::successors(Some(id), |it| parents.get(it).copied().flatten()).take(80).collect();
    Ok(List { id, name: row.name, boundary: ListId(row.boundary_id), lineage, honours })
}
