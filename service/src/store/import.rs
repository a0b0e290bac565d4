//! Rows of an import, a few hundred at a time: each such step is a transaction that takes the same locks in the same order
//! as a commit, so imports, commits and people's acts neither race nor deadlock. Each row is a fact of its own in the audit;
//! one that an import has said before is not written again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::policy::{Act, Cause};
use entity::{import_repeat, subject, suppression, suppression_change};
use sea_orm::{DatabaseTransaction, DbErr};
use time::OffsetDateTime;

use crate::listing::Refused;
use crate::store::commit::{lock_known, row_of_subject, write_suppressions};
use crate::store::dialect::{self, Known};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::History;
use crate::store::ids::{ChangeId, ListId, SubjectId};
use crate::store::imports::{Import, ImportCounts, ImportMode, ImportState, counts_of, locked, note_down, update};
use crate::store::lists::List;
use crate::store::record::{Change, SuppressionChange};
use crate::store::{Store, erased, load, rows};

/// Subjects worked on by one step of undoing.
const SUBJECTS_PER_STEP: u64 = 2000;

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
        // Keyed hashes take their time; nobody needs to wait for a lock meanwhile.
        let whom: Vec<SubjectId> = step.rows.iter().map(|it| self.identity.subject(&it.address)).collect();
        let tx = dialect::begin(&self.db).await?;
        let mut row = locked(&tx, import.id, ImportState::Running).await?;
        let so_far = counts_of(&row);
        if so_far != step.before {
            return Ok(so_far - step.before);
        }
        let moment = Moment { now, position: dialect::position(&tx).await? };
        let rows: Vec<_> = whom.into_iter().zip(step.rows.iter().map(Cow::Borrowed)).collect();
        let stepping = Stepping { store: self, tx: &tx, import, moment };
        let mut counts = match import.mode {
            ImportMode::Real => stepping.import(&rows).await?,
            ImportMode::Preview => stepping.look(&rows).await?,
        };
        counts.refused = step.refused.len() as u64;
        counts.unchanged += step.repeated;
        note_down(&tx, &mut row, counts, &step.refused).await?;
        (row.done, row.updated_at) = (i64::try_from(step.done).unwrap_or(i64::MAX), now);
        update(&tx, &row).await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// Takes rows into the histories, decides again, and counts what that does.
    fn say(&self, import: &Import, all: &Rows<'_>, histories: &mut Histories, moment: Moment) -> Result<(Said, ImportCounts), StoreError> {
        let mut said = Said::default();
        let mut touched = BTreeSet::new();
        let mut slots = Vec::with_capacity(all.len());
        for (subject, row) in all {
            let pair = (row.list.boundary, *subject);
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
        let position = dialect::position(&tx).await?;
        let subjects = load::subjects_of_import(&tx, import.id, after, SUBJECTS_PER_STEP).await?;
        let Some(last) = subjects.last().copied() else { return Ok((None, 0)) };
        let locked = lock_known(&tx, &subjects).await?;
        let pairs: BTreeSet<Pair> = subjects.iter().map(|it| (import.list.boundary, *it)).collect();
        let mut histories = load::histories(&tx, &self.lists, &pairs, &locked).await?;
        let actor = import.undone_by.as_deref().unwrap_or(&import.actor);
        let policy = self.policies.of(&import.list.name);
        let changes: Vec<SuppressionChange> = histories
            .values_mut()
            .flat_map(|it| it.decide(policy, actor, now, position))
            .map(|it| SuppressionChange { import: Some(import.id.0), ..it })
            .collect();
        write_suppressions(&tx, &histories, &changes, &BTreeSet::new()).await?;
        row.updated_at = now;
        update(&tx, &row).await?;
        tx.commit().await?;
        Ok((Some(last), changes.len() as u64))
    }
}

/// Rows with whom they are about.
type Rows<'a> = [(SubjectId, Cow<'a, ImportRow>)];

/// A step under way.
struct Stepping<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    import: &'a Import,
    moment: Moment,
}

impl Stepping<'_> {
    /// What the rows would do.
    async fn look(&self, rows: &Rows<'_>) -> Result<ImportCounts, StoreError> {
        let mut histories = load::histories(self.tx, &self.store.lists, &pairs(rows), &HashMap::new()).await?;
        Ok(self.store.say(self.import, rows, &mut histories, self.moment)?.1)
    }

    /// Imports the rows. Most of those on a list were never heard of, so it is first decided what the rows do if that is true
    /// of all of them, and everybody is inserted as they are then; only for those who turn out to be known it is decided
    /// again, from all that is known.
    async fn import(&self, rows: &Rows<'_>) -> Result<ImportCounts, StoreError> {
        let lists = &self.store.lists;
        let pairs = pairs(rows);
        let all: BTreeSet<SubjectId> = pairs.iter().map(|it| it.1).collect();
        let mut histories = load::histories_beside(self.tx, lists, &pairs, &HashMap::new(), &all).await?;
        let floor = dialect::revision_floor(self.tx).await?;
        for history in histories.values_mut() {
            history.revision = floor;
        }
        let (mut said, mut counts) = self.store.say(self.import, rows, &mut histories, self.moment)?;
        let new = self.insert_missing(rows, &histories).await?;
        if !new.is_empty() && dialect::revision_floor(self.tx).await? != floor {
            return Err(again("the revision from which subjects start was lifted"));
        }
        if new.len() < all.len() {
            let known: Vec<SubjectId> = all.difference(&new).copied().collect();
            let mut subjects = lock_known(self.tx, &known).await?;
            if subjects.len() < known.len() {
                return Err(again("a subject was let go of before it could be locked"));
            }
            let erased = erased::settle(self.tx, &mut subjects, rows.iter().map(|(id, row)| (*id, &row.address))).await?;
            histories = load::histories_beside(self.tx, lists, &pairs, &subjects, &new).await?;
            for history in histories.values_mut().filter(|it| new.contains(&it.subject)) {
                history.revision = floor;
            }
            let rows: Vec<_> = rows.iter().map(|it| known_as(it, &erased)).collect();
            (said, counts) = self.store.say(self.import, &rows, &mut histories, self.moment)?;
        }
        self.write(&histories, &said, &new).await?;
        Ok(counts)
    }

    /// Inserts the subjects that are missing, in the order of their ids, with the revision that the rows bring them to, and
    /// tells which these are.
    async fn insert_missing(&self, rows: &Rows<'_>, histories: &Histories) -> Result<BTreeSet<SubjectId>, StoreError> {
        let addresses: BTreeMap<SubjectId, &Address> = rows.iter().map(|(id, row)| (*id, &row.address)).collect();
        let mut revisions: HashMap<SubjectId, i64> = HashMap::new();
        for ((_, subject), history) in histories {
            let revision = revisions.entry(*subject).or_default();
            *revision = history.revision.max(*revision);
        }
        let models = addresses.into_iter().map(|(id, address)| {
            let revision = revisions.get(&id).copied().unwrap_or_default();
            subject::Model { revision, ..row_of_subject(id, address, self.moment.now) }
        });
        let id = [subject::Column::Id];
        let new = dialect::insert_missing(self.tx, models.collect(), &id, &id).await?;
        new.iter().map(|it| rows::sixteen("subject", &it.try_get::<Vec<u8>>("", "id")?).map(SubjectId)).collect()
    }

    /// Writes what was said, and what follows from it. Of those who are new nothing can be there already.
    async fn write(&self, histories: &Histories, said: &Said, new: &BTreeSet<SubjectId>) -> Result<(), StoreError> {
        let again = said.again.iter().map(|(subject, change)| import_repeat::Model {
            import_id: self.import.id.0,
            subject_id: subject.0.to_vec(),
            change_id: change.0,
        });
        let key = [import_repeat::Column::ImportId, import_repeat::Column::SubjectId, import_repeat::Column::ChangeId];
        dialect::insert::<import_repeat::Model, _>(self.tx, again.collect(), Known::Stays(&key)).await?;
        let standing = histories.values().filter(|it| new.contains(&it.subject));
        let standing = standing.flat_map(|history| history.suppressions.iter().map(|it| rows::row_of_suppression(history.subject, it)));
        dialect::insert::<suppression::Model, _>(self.tx, standing.collect(), Known::Impossible).await?;
        let (mut of_new, of_known): (Vec<_>, Vec<_>) = said.changes.iter().cloned().partition(|it| new.contains(&it.subject));
        of_new.extend(said.new.iter().cloned());
        let changes = of_new.iter().map(rows::row_of_change).collect();
        dialect::insert::<suppression_change::Model, _>(self.tx, changes, Known::Impossible).await?;
        let known: Histories =
            histories.iter().filter(|(_, it)| !new.contains(&it.subject)).map(|(pair, it)| (*pair, it.clone())).collect();
        write_suppressions(self.tx, &known, &of_known, &BTreeSet::new()).await
    }
}

/// What somebody else did at the same moment; the same step will do another time.
fn again(why: &str) -> StoreError {
    StoreError::Collision(DbErr::Custom(why.to_owned()))
}

fn pairs(rows: &Rows<'_>) -> BTreeSet<Pair> {
    rows.iter().map(|(subject, row)| (row.list.boundary, *subject)).collect()
}

/// A row as it may be recorded: what is said of somebody who was erased without the address.
fn known_as<'a>((subject, row): &'a (SubjectId, Cow<'_, ImportRow>), erased: &BTreeSet<SubjectId>) -> (SubjectId, Cow<'a, ImportRow>) {
    if !erased.contains(subject) {
        return (*subject, Cow::Borrowed(row));
    }
    let note = erased::scrubbed_note(&row.address, row.note.as_deref());
    (*subject, Cow::Owned(ImportRow { note, ..ImportRow::clone(row) }))
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
