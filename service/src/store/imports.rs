//! Imports as jobs: what was asked for, how far it is, what came of it. The rows themselves go in by
//! [`Store::import_rows`](crate::store::Store::import_rows) and out again by [`Store::undo_rows`](crate::store::Store::undo_rows).

use std::sync::Arc;

use entity::{import, import_refusal};
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::{Duration, OffsetDateTime};

use crate::listing::{Format, Refused};
use crate::store::commit::append;
use crate::store::error::{StoreError, bad_row};
use crate::store::ids::{ImportId, ListId};
use crate::store::lists::List;
use crate::store::messages::{IMPORT_COMPLETED, IMPORT_UNDONE, import_ended};
use crate::store::{Store, Visible, dialect, load, rows};

/// After this time without a sign of life a running import is taken for dead: its process was.
const DEAD_AFTER: Duration = Duration::minutes(5);
/// What became of an import whose process is dead.
const ABANDONED: &str = "the process that imported it has gone; import the same file again, or undo it";
/// Refused lines of one import that are kept; beyond, they are only counted.
const REFUSALS: u64 = 1_000_000;

bounce::vocabulary! {
    /// How an import is.
    pub enum ImportState, "state" {
        /// On its way.
        Running = "running",
        /// All of it was read.
        Completed = "completed",
        /// It ended before its time; what was imported until then stands.
        Failed = "failed",
        /// Being undone.
        Undoing = "undoing",
        /// As if it had not been.
        Undone = "undone",
    }
}

bounce::vocabulary! {
    /// Whether an import is meant.
    pub enum ImportMode, "mode" {
        /// It is.
        Real = "real",
        /// It only shows what would happen.
        Preview = "preview",
    }
}

/// What somebody wants to import.
#[derive(Debug, Clone)]
pub struct NewImport {
    /// Into which list.
    pub list: Arc<List>,
    /// Who.
    pub actor: String,
    /// How the file is written.
    pub format: Format,
    /// SHA-256 of the file and of how it is to be read.
    pub digest: [u8; 32],
    /// Octets of the file.
    pub size: u64,
    /// Whether it is meant.
    pub mode: ImportMode,
}

/// What became of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Rows that began to block or allow.
    pub added: u64,
    /// Rows that changed what stood there.
    pub updated: u64,
    /// Rows that changed nothing.
    pub unchanged: u64,
    /// Lines that were not taken.
    pub refused: u64,
}

impl ImportCounts {
    /// Rows and refused lines together.
    #[must_use]
    pub const fn rows(self) -> u64 {
        self.added + self.updated + self.unchanged + self.refused
    }
}

impl std::ops::AddAssign for ImportCounts {
    fn add_assign(&mut self, more: Self) {
        self.added += more.added;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.refused += more.refused;
    }
}

impl std::ops::Sub for ImportCounts {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        Self {
            added: self.added.saturating_sub(less.added),
            updated: self.updated.saturating_sub(less.updated),
            unchanged: self.unchanged.saturating_sub(less.unchanged),
            refused: self.refused.saturating_sub(less.refused),
        }
    }
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// Into which list.
    pub list: Arc<List>,
    /// Who.
    pub actor: String,
    /// How the file is written.
    pub format: Format,
    /// Whether it is meant.
    pub mode: ImportMode,
    /// How it is.
    pub state: ImportState,
    /// Why it failed.
    pub error: Option<String>,
    /// Octets of the file.
    pub size: u64,
    /// Octets read so far.
    pub done: u64,
    /// What became of its rows so far.
    pub counts: ImportCounts,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it last went on.
    pub updated_at: OffsetDateTime,
    /// When it ended.
    pub ended_at: Option<OffsetDateTime>,
    /// Who undid it.
    pub undone_by: Option<String>,
}

/// What beginning an import led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is on its way.
    New(Import),
    /// The same file was imported into this list, all of it, and stands: there is nothing to do.
    Known(Import),
}

/// What asking for an import to be undone led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// It is on its way.
    Begun(Import),
    /// It was done before.
    Done(Import),
    /// It is on its way, or a preview: there is nothing to undo.
    NotNow(Import),
}

impl Store {
    /// Begins an import.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin_import(&self, new: &NewImport, now: OffsetDateTime) -> Result<Begun, StoreError> {
        if new.mode == ImportMode::Real {
            let known = import::Entity::find()
                .filter(import::Column::ListId.eq(new.list.id.0))
                .filter(import::Column::Digest.eq(new.digest.to_vec()))
                .filter(import::Column::Mode.eq(ImportMode::Real.as_str()))
                .filter(import::Column::State.eq(ImportState::Completed.as_str()))
                // A line that was refused may be taken today.
                .filter(import::Column::Refused.eq(0))
                .one(&self.db)
                .await?;
            if let Some(row) = known {
                return Ok(Begun::Known(self.import_of(&self.db, row, now).await?));
            }
        }
        let now = rows::kept(now);
        let row = import::Model {
            id: ImportId::new().0,
            list_id: new.list.id.0,
            actor: rows::without_nul(&new.actor),
            format: new.format.to_string(),
            digest: new.digest.to_vec(),
            mode: new.mode.to_string(),
            state: ImportState::Running.to_string(),
            error: None,
            size: signed(new.size),
            done: 0,
            added: 0,
            updated: 0,
            unchanged: 0,
            refused: 0,
            created_at: now,
            updated_at: now,
            ended_at: None,
            undone_by: None,
        };
        import::Entity::insert(row.clone().into_active_model()).exec_without_returning(&self.db).await?;
        Ok(Begun::New(self.import_of(&self.db, row, now).await?))
    }

    /// Ends an import well, or with what went wrong. An import that was meant is published, once, with how it ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_import(&self, id: ImportId, error: Option<&str>, now: OffsetDateTime) -> Result<Import, StoreError> {
        let now = rows::kept(now);
        let tx = dialect::begin(&self.db).await?;
        let mut row = locked(&tx, id, ImportState::Running).await?;
        row.state = if error.is_some() { ImportState::Failed } else { ImportState::Completed }.to_string();
        row.error = error.map(rows::without_nul);
        (row.updated_at, row.ended_at) = (now, Some(now));
        update(&tx, &row).await?;
        let import = self.import_of(&tx, row, now).await?;
        if import.mode == ImportMode::Real {
            let changed = import.counts.added + import.counts.updated;
            append(&tx, self.announces, &[import_ended(&import, IMPORT_COMPLETED, id.0, changed, now)], now).await?;
        }
        tx.commit().await?;
        Ok(import)
    }

    /// Whether everything that an import said stands on this list or below it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn import_is_below(&self, id: ImportId, top: &List) -> Result<bool, StoreError> {
        for list in load::lists_of_import(&self.db, id).await? {
            if !self.lists.by_id(&self.db, list).await?.lineage.contains(&top.id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins to undo an import: from now on nothing it said counts any more; what lists say follows step by step.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin_undo(&self, id: ImportId, actor: &str, now: OffsetDateTime) -> Result<Undo, StoreError> {
        let tx = dialect::begin(&self.db).await?;
        let mut row = find(&tx, id).await?.ok_or_else(|| bad_row("import", "an import has gone"))?;
        let import = self.import_of(&tx, row.clone(), now).await?;
        let is_alive = |it: &Import| now - it.updated_at < DEAD_AFTER;
        match import.state {
            _ if import.mode == ImportMode::Preview => return Ok(Undo::NotNow(import)),
            ImportState::Undone => return Ok(Undo::Done(import)),
            ImportState::Running | ImportState::Undoing if is_alive(&import) => return Ok(Undo::NotNow(import)),
            _ => {}
        }
        row.state = ImportState::Undoing.to_string();
        row.undone_by = Some(rows::without_nul(actor));
        (row.updated_at, row.ended_at) = (rows::kept(now), None);
        update(&tx, &row).await?;
        let import = self.import_of(&tx, row, now).await?;
        tx.commit().await?;
        Ok(Undo::Begun(import))
    }

    /// Ends the undoing of an import, which is published, once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_undo(&self, id: ImportId, changed: u64, now: OffsetDateTime) -> Result<Import, StoreError> {
        let now = rows::kept(now);
        let tx = dialect::begin(&self.db).await?;
        let mut row = locked(&tx, id, ImportState::Undoing).await?;
        row.state = ImportState::Undone.to_string();
        (row.updated_at, row.ended_at) = (now, Some(now));
        update(&tx, &row).await?;
        let import = self.import_of(&tx, row, now).await?;
        append(&tx, self.announces, &[import_ended(&import, IMPORT_UNDONE, uuid::Uuid::now_v7(), changed, now)], now).await?;
        tx.commit().await?;
        Ok(import)
    }

    /// Imports whose undoing was begun by a process that has gone.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn interrupted_undos(&self, now: OffsetDateTime) -> Result<Vec<Import>, StoreError> {
        let query = import::Entity::find()
            .filter(import::Column::State.eq(ImportState::Undoing.as_str()))
            .filter(import::Column::UpdatedAt.lte(rows::kept(now - DEAD_AFTER)));
        let mut imports = Vec::new();
        for row in query.all(&self.db).await? {
            imports.push(self.import_of(&self.db, row, now).await?);
        }
        Ok(imports)
    }

    /// Ends imports that a process left behind which has gone. Whoever waits for the message hears that they failed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_abandoned(&self, now: OffsetDateTime) -> Result<(), StoreError> {
        let abandoned: Vec<uuid::Uuid> = import::Entity::find()
            .select_only()
            .column(import::Column::Id)
            .filter(import::Column::State.eq(ImportState::Running.as_str()))
            .filter(import::Column::UpdatedAt.lte(rows::kept(now - DEAD_AFTER)))
            .into_tuple()
            .all(&self.db)
            .await?;
        for id in abandoned {
            match self.end_import(ImportId(id), Some(ABANDONED), now).await {
                // Another process was quicker.
                Ok(_) | Err(StoreError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The import of that id.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn import(&self, id: ImportId, now: OffsetDateTime) -> Result<Option<Import>, StoreError> {
        match import::Entity::find_by_id(id.0).one(&self.db).await? {
            Some(row) => Ok(Some(self.import_of(&self.db, row, now).await?)),
            None => Ok(None),
        }
    }

    /// Imports, newest first, older than one of them.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn imports(
        &self,
        before: Option<ImportId>,
        visible: &Visible,
        limit: u64,
        now: OffsetDateTime,
    ) -> Result<Vec<Import>, StoreError> {
        let mut query = import::Entity::find().order_by_desc(import::Column::Id).limit(limit);
        if let Some(before) = before {
            query = query.filter(import::Column::Id.lt(before.0));
        }
        if let Some(lists) = self.visible_lists(visible).await? {
            query = query.filter(import::Column::ListId.is_in(lists.iter().map(|it| it.0)));
        }
        let mut imports = Vec::new();
        for row in query.all(&self.db).await? {
            imports.push(self.import_of(&self.db, row, now).await?);
        }
        Ok(imports)
    }

    /// Lines that an import did not take, after one of them: each with its reason.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn refused_lines(&self, id: ImportId, after: u64, limit: u64) -> Result<Vec<(u64, String)>, StoreError> {
        let found = import_refusal::Entity::find()
            .filter(import_refusal::Column::ImportId.eq(id.0))
            .filter(import_refusal::Column::Line.gt(signed(after)))
            .order_by_asc(import_refusal::Column::Line)
            .limit(limit)
            .all(&self.db)
            .await?;
        Ok(found.into_iter().map(|it| (unsigned(it.line), it.error)).collect())
    }

    async fn import_of(&self, db: &impl ConnectionTrait, row: import::Model, now: OffsetDateTime) -> Result<Import, StoreError> {
        const T: &str = "import";
        let list = self.lists.by_id(db, ListId(row.list_id)).await?;
        let counts = counts_of(&row);
        let mut state: ImportState = row.state.parse().map_err(|it| bad_row(T, it))?;
        let mut error = row.error;
        if state == ImportState::Running && now - row.updated_at >= DEAD_AFTER {
            state = ImportState::Failed;
            error = Some(ABANDONED.to_owned());
        }
        Ok(Import {
            id: ImportId(row.id),
            list,
            actor: row.actor,
            format: row.format.parse().map_err(|it| bad_row(T, it))?,
            mode: row.mode.parse().map_err(|it| bad_row(T, it))?,
            state,
            error,
            size: unsigned(row.size),
            done: unsigned(row.done),
            counts,
            created_at: row.created_at,
            updated_at: row.updated_at,
            ended_at: row.ended_at,
            undone_by: row.undone_by,
        })
    }
}

/// The row of an import, held until the end of the transaction: whoever works on an import takes this first.
async fn find(tx: &DatabaseTransaction, id: ImportId) -> Result<Option<import::Model>, StoreError> {
    Ok(import::Entity::find_by_id(id.0).lock_exclusive().one(tx).await?)
}

/// The same, of an import that must be in a state.
pub(super) async fn locked(tx: &DatabaseTransaction, id: ImportId, state: ImportState) -> Result<import::Model, StoreError> {
    let row = find(tx, id).await?.filter(|it| it.state == state.as_str());
    row.ok_or_else(|| StoreError::Exists(format!("the import is no longer {state}; somebody else works on it")))
}

/// Writes an import down.
pub(super) async fn update(tx: &DatabaseTransaction, row: &import::Model) -> Result<(), StoreError> {
    let changed = import::ActiveModel {
        id: ActiveValue::Unchanged(row.id),
        state: ActiveValue::Set(row.state.clone()),
        error: ActiveValue::Set(row.error.clone()),
        done: ActiveValue::Set(row.done),
        added: ActiveValue::Set(row.added),
        updated: ActiveValue::Set(row.updated),
        unchanged: ActiveValue::Set(row.unchanged),
        refused: ActiveValue::Set(row.refused),
        updated_at: ActiveValue::Set(row.updated_at),
        ended_at: ActiveValue::Set(row.ended_at),
        undone_by: ActiveValue::Set(row.undone_by.clone()),
        ..<import::ActiveModel as Default>::default()
    };
    import::Entity::update(changed).exec(tx).await?;
    Ok(())
}

/// Counts what became of rows, and keeps the lines that were refused.
pub(super) async fn note_down(
    tx: &DatabaseTransaction,
    row: &mut import::Model,
    counts: ImportCounts,
    refused: &[Refused],
) -> Result<(), StoreError> {
    let room = REFUSALS.saturating_sub(unsigned(row.refused));
    let kept = refused.get(..refused.len().min(usize::try_from(room).unwrap_or(usize::MAX))).unwrap_or_default();
    for chunk in kept.chunks(500) {
        let models = chunk.iter().map(|it| {
            let model = import_refusal::Model { import_id: row.id, line: signed(it.line), error: it.why.to_string() };
            model.into_active_model()
        });
        let keys = [import_refusal::Column::ImportId, import_refusal::Column::Line];
        // Rows of one document may stand on one line; the first tells.
        import_refusal::Entity::insert_many(models).on_conflict_do_nothing_on(keys).exec_without_returning(tx).await?;
    }
    row.added += signed(counts.added);
    row.updated += signed(counts.updated);
    row.unchanged += signed(counts.unchanged);
    row.refused += signed(counts.refused);
    Ok(())
}

/// What became of the rows of an import so far.
pub(super) fn counts_of(row: &import::Model) -> ImportCounts {
    ImportCounts {
        added: unsigned(row.added),
        updated: unsigned(row.updated),
        unchanged: unsigned(row.unchanged),
        refused: unsigned(row.refused),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
