//! Rows of an import, a few hundred at a time: each such step is a transaction that takes the same locks in the same order
//! as a commit, so imports, commits and people's acts neither race nor deadlock. Each row is a fact of its own in the audit;
//! one that an import has said before is not written again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::policy::{Act, Cause};
use entity::{import_repeat, suppression_change};
use sea_orm::{EntityTrait, IntoActiveModel};
use time::OffsetDateTime;

use crate::listing::Refused;
use crate::store::commit::{lock_known, lock_subjects, write_suppressions};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::History;
use crate::store::ids::{ChangeId, ImportId, ListId, SubjectId};
use crate::store::imports::{Import, ImportCounts, ImportMode, ImportState, counts_of, locked, note_down, update};
use crate::store::lists::List;
use crate::store::record::{Change, SuppressionChange};
use crate::store::{Store, dialect, erased, load, rows};

/// Subjects worked on by one step of undoing.
const SUBJECTS_PER_STEP: u64 = 500;
/// Rows written by one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// A row to import.
#[derive(Debug, Clone)]
pub struct ImportRow {
    /// Where it stands.
    pub list: Arc<List>,
    /// Whom: an address or a domain entry.
    pub address: Address,
    /// Why.
    pub cause: Cause,
    /// Why in detail.
    pub reason: Option<Reason>,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Since when; none for now.
    pub since: Option<OffsetDateTime>,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// What is said of it.
    pub note: Option<String>,
}

/// Some rows of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportStep {
    /// What to import.
    pub rows: Vec<ImportRow>,
    /// Lines before them, and between them, that were refused.
    pub refused: Vec<Refused>,
    /// Octets of the file read so far.
    pub done: u64,
    /// Of a preview: rows about what a step before was about.
    pub repeated: u64,
    /// What became of all rows before: a step whose answer was lost is known by it, and is not counted twice.
    pub before: ImportCounts,
}

type Pair = (ListId, SubjectId);
type Histories = BTreeMap<Pair, History>;

/// What a step has to write.
#[derive(Debug, Default)]
struct Said {
    new: Vec<SuppressionChange>,
    again: BTreeSet<(SubjectId, ChangeId)>,
    changes: Vec<SuppressionChange>,
}

impl Store {
    /// Imports some rows, or only tells what they would do if the import is a preview.
    ///
    /// # Errors
    /// When the database is away, or the import is not running any more. Nothing of the step is then written.
    pub async fn import_rows(&self, import: &Import, step: &ImportStep, now: OffsetDateTime) -> Result<ImportCounts, StoreError> {
        let now = rows::kept(now);
        let tx = dialect::begin(&self.db).await?;
        let mut row = locked(&tx, import.id, ImportState::Running).await?;
        let so_far = counts_of(&row);
        if so_far != step.before {
            return Ok(so_far - step.before);
        }
        let subject = |it: &ImportRow| self.identity.subject(&it.address);
        let pairs: BTreeSet<Pair> = step.rows.iter().map(|it| (it.list.boundary, subject(it))).collect();
        let position = dialect::position(&tx).await?;
        let named = || step.rows.iter().map(|it| (subject(it), &it.address));
        let (subjects, erased) = match import.mode {
            ImportMode::Real => {
                let mut subjects = lock_subjects(&tx, named(), now).await?;
                let erased = erased::settle(&tx, &mut subjects, named()).await?;
                (subjects, erased)
            }
            ImportMode::Preview => (HashMap::new(), BTreeSet::new()),
        };
        let mut histories = load::histories(&tx, &self.lists, &pairs, &subjects).await?;
        let scrubbed = |it: &ImportRow| ImportRow { note: erased::scrubbed_note(&it.address, it.note.as_deref()), ..it.clone() };
        let rows: Vec<ImportRow> =
            step.rows.iter().map(|it| if erased.contains(&subject(it)) { scrubbed(it) } else { it.clone() }).collect();
        let (said, mut counts) = self.say(import, &rows, &mut histories, Moment { now, position })?;
        if import.mode == ImportMode::Real {
            write(&tx, import.id, &histories, &said).await?;
        }
        counts.refused = step.refused.len() as u64;
        counts.unchanged += step.repeated;
        note_down(&tx, &mut row, counts, &step.refused).await?;
        (row.done, row.updated_at) = (i64::try_from(step.done).unwrap_or(i64::MAX), now);
        update(&tx, &row).await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// Takes rows into the histories, decides again, and counts what that does.
    fn say(
        &self,
        import: &Import,
        all: &[ImportRow],
        histories: &mut Histories,
        moment: Moment,
    ) -> Result<(Said, ImportCounts), StoreError> {
        let mut said = Said::default();
        let mut touched = BTreeSet::new();
        let mut slots = Vec::with_capacity(all.len());
        for row in all {
            let pair = (row.list.boundary, self.identity.subject(&row.address));
            let history = histories.get_mut(&pair).ok_or_else(|| bad_row("subject", "a locked subject is not there"))?;
            let act = act_of(import, row, pair, history.revision, moment);
            slots.push((pair.1, act.list, row.cause));
            match history.acts.iter().find(|it| it.imports_the_same_as(&act)) {
                Some(known) if known.import == Some(import.id.0) => {}
                Some(known) => {
                    said.again.insert((pair.1, known.id));
                }
                None => {
                    history.acts.push(act.clone());
                    said.new.push(act);
                    touched.insert(pair);
                }
            }
        }
        let policy = self.policies.of(&import.list.name);
        for pair in touched {
            if let Some(history) = histories.get_mut(&pair) {
                let changes = history.decide(policy, &import.actor, moment.now, moment.position);
                said.changes.extend(changes.into_iter().map(|it| SuppressionChange { import: Some(import.id.0), ..it }));
            }
        }
        let mut changed: HashMap<(SubjectId, ListId, Option<Cause>), Change> =
            said.changes.iter().map(|it| ((it.subject, it.list, it.cause), it.change)).collect();
        let mut counts = ImportCounts::default();
        for (subject, list, cause) in slots {
            // Of several rows about the same the first counts.
            match changed.remove(&(subject, list, Some(cause))) {
                Some(Change::Added) => counts.added += 1,
                Some(_) => counts.updated += 1,
                None => counts.unchanged += 1,
            }
        }
        Ok((said, counts))
    }

    /// Undoes an import for the next subjects after one: what other facts say remains. Tells the last of these subjects, none
    /// when there were none left, and how much changed.
    ///
    /// # Errors
    /// When the database is away, or somebody else has ended the undoing.
    pub async fn undo_rows(
        &self,
        import: &Import,
        after: Option<SubjectId>,
        now: OffsetDateTime,
    ) -> Result<(Option<SubjectId>, u64), StoreError> {
        let now = rows::kept(now);
        let tx = dialect::begin(&self.db).await?;
        let mut row = locked(&tx, import.id, ImportState::Undoing).await?;
        let subjects = load::subjects_of_import(&tx, import.id, after, SUBJECTS_PER_STEP).await?;
        let Some(last) = subjects.last().copied() else { return Ok((None, 0)) };
        let locked = lock_known(&tx, &subjects).await?;
        let pairs: BTreeSet<Pair> = subjects.iter().map(|it| (import.list.boundary, *it)).collect();
        let mut histories = load::histories(&tx, &self.lists, &pairs, &locked).await?;
        let position = dialect::position(&tx).await?;
        let actor = import.undone_by.as_deref().unwrap_or(&import.actor);
        let policy = self.policies.of(&import.list.name);
        let changes: Vec<SuppressionChange> = histories
            .values_mut()
            .flat_map(|it| it.decide(policy, actor, now, position))
            .map(|it| SuppressionChange { import: Some(import.id.0), ..it })
            .collect();
        write_suppressions(&tx, &histories, &changes).await?;
        row.updated_at = now;
        update(&tx, &row).await?;
        tx.commit().await?;
        Ok((Some(last), changes.len() as u64))
    }
}

/// When and where in the feed a step happens.
#[derive(Clone, Copy)]
struct Moment {
    now: OffsetDateTime,
    position: i64,
}

/// A row as an act in the audit.
fn act_of(import: &Import, row: &ImportRow, (boundary, subject): Pair, revision: i64, moment: Moment) -> SuppressionChange {
    SuppressionChange {
        id: ChangeId::new(),
        position: moment.position,
        subject,
        list: row.list.id,
        boundary,
        change: Change::Act,
        cause: Some(row.cause),
        reason: row.reason,
        event: None,
        act: Some(Act::Import),
        actor: import.actor.clone(),
        note: row.note.as_deref().map(rows::without_nul),
        provisional: row.provisional,
        overrides_consent: row.overrides_consent,
        since: row.since.map(rows::kept),
        expires_at: row.expires_at.map(rows::kept),
        released_at: None,
        revision,
        import: Some(import.id.0),
        at: moment.now,
    }
}

async fn write(tx: &sea_orm::DatabaseTransaction, import: ImportId, histories: &Histories, said: &Said) -> Result<(), StoreError> {
    for chunk in said.new.chunks(ROWS_PER_STATEMENT) {
        let models = chunk.iter().map(|it| rows::row_of_change(it).into_active_model());
        suppression_change::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    let again: Vec<_> = said.again.iter().collect();
    for chunk in again.chunks(ROWS_PER_STATEMENT) {
        let models = chunk.iter().map(|(subject, change)| {
            import_repeat::Model { import_id: import.0, subject_id: subject.0.to_vec(), change_id: change.0 }.into_active_model()
        });
        let keys = [import_repeat::Column::ImportId, import_repeat::Column::SubjectId, import_repeat::Column::ChangeId];
        import_repeat::Entity::insert_many(models).on_conflict_do_nothing_on(keys).exec_without_returning(tx).await?;
    }
    write_suppressions(tx, histories, &said.changes).await
}
