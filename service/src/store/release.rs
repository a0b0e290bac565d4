//! Release of many at once: what stands on one list and fits a filter. Found and released in steps of some subjects each, so
//! that no transaction is long; every step looks again under the lock, and all of them carry the id of the bulk request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bounce::classify::reason::Reason;
use bounce::policy::{Act, Cause, Deed};
use entity::{event, subject, suppression, suppression_change};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::acts::Word;
use crate::store::commit::{append, lock_known, write_suppressions};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::History;
use crate::store::ids::SubjectId;
use crate::store::lists::List;
use crate::store::record::SuppressionChange;
use crate::store::{Store, dialect, load, rows};

/// Subjects released by one transaction.
const STEP: u64 = 200;
/// How often a step is tried again that collided with somebody else's.
const TRIES: u32 = 5;

/// Which suppressions of a list are meant: those that hold and fit everything that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseFilter {
    /// For this cause. Without it all automatic ones are meant but complaint and unsubscribe: a person's will is released
    /// only by its name.
    pub cause: Option<Cause>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// Of addresses in one of these domains; of all if empty.
    pub domains: Vec<String>,
    /// Standing since this moment or later.
    pub since: Option<OffsetDateTime>,
    /// Standing since before this moment.
    pub until: Option<OffsetDateTime>,
    /// Decided by an event that this rule judged.
    pub rule: Option<String>,
    /// Put by this import or bulk request.
    pub import: Option<Uuid>,
}

impl ReleaseFilter {
    /// Whether it says anything at all; a release of everything is nobody's wish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it means that cause.
    #[must_use]
    pub fn means(&self, cause: Cause) -> bool {
        self.cause.map_or(cause.is_automatic() && !cause.is_consent(), |it| it == cause)
    }
}

/// One of those that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Plain address or domain entry; none once erased.
    pub address: Option<String>,
    /// Its cause.
    pub cause: Cause,
    /// Its reason.
    pub reason: Option<Reason>,
    /// Since when it stands.
    pub since: OffsetDateTime,
}

/// How many fit, by cause and reason.
pub type Counts = BTreeMap<(Cause, Option<Reason>), u64>;

/// A release of many under way.
#[derive(Debug)]
pub struct BulkRelease<'a> {
    /// Where.
    pub list: Arc<List>,
    /// Which.
    pub selection: &'a ReleaseFilter,
    /// Who.
    pub actor: &'a str,
    /// Why.
    pub note: Option<String>,
    /// Id of the request, in every row of the audit.
    pub id: Uuid,
    after: Option<SubjectId>,
}

impl<'a> BulkRelease<'a> {
    /// One that has yet to begin.
    #[must_use]
    pub fn new(list: Arc<List>, selection: &'a ReleaseFilter, actor: &'a str, note: Option<String>) -> Self {
        Self { list, selection, actor, note, id: Uuid::now_v7(), after: None }
    }
}

impl Store {
    /// How many fit a selection.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count_selected(&self, list: &List, selection: &ReleaseFilter, now: OffsetDateTime) -> Result<Counts, StoreError> {
        self.count(fits(list, selection, now)).await
    }

    async fn count(&self, condition: Condition) -> Result<Counts, StoreError> {
        use suppression::Column as C;
        let rows: Vec<(String, Option<String>, i64)> = suppression::Entity::find()
            .select_only()
            .columns([C::Cause, C::Reason])
            .column_as(C::SubjectId.count(), "number")
            .filter(condition)
            .group_by(C::Cause)
            .group_by(C::Reason)
            .into_tuple()
            .all(&self.db)
            .await?;
        let mut counts = Counts::new();
        for (cause, reason, number) in rows {
            let slot = (rows::word("suppression", &cause)?, rows::words("suppression", reason.as_deref())?);
            counts.insert(slot, u64::try_from(number).unwrap_or_default());
        }
        Ok(counts)
    }

    /// How many addresses stand on a list, by cause and reason.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count_standing(&self, list: &List, now: OffsetDateTime) -> Result<Counts, StoreError> {
        let holds = Condition::all().add(suppression::Column::ListId.eq(list.id.0)).add(holding(now));
        self.count(holds).await
    }

    /// Some of those that fit a selection.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sample_selected(
        &self,
        list: &List,
        selection: &ReleaseFilter,
        now: OffsetDateTime,
        limit: u64,
    ) -> Result<Vec<Selected>, StoreError> {
        let query = suppression::Entity::find().filter(fits(list, selection, now)).order_by_asc(suppression::Column::SubjectId);
        let mut found = Vec::new();
        for row in query.limit(limit).all(&self.db).await? {
            let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
            found.push((subject, rows::suppression_from_row(row)?));
        }
        let subjects = self.subjects(found.iter().map(|it| it.0)).await?;
        let selected = |(subject, it): (SubjectId, crate::store::record::Suppression)| Selected {
            address: subjects.get(&subject).and_then(|it| it.address.clone()),
            cause: it.cause,
            reason: it.reason,
            since: it.since,
        };
        Ok(found.into_iter().map(selected).collect())
    }

    /// Releases the next of those that fit; `None` when there are no more. What changed is written, audited and put into the
    /// outbox, all of a step or nothing.
    ///
    /// # Errors
    /// When the database is away; the steps before stay done, and the same again goes on where it ended.
    pub async fn release_next(
        &self,
        bulk: &mut BulkRelease<'_>,
        now: OffsetDateTime,
    ) -> Result<Option<Vec<SuppressionChange>>, StoreError> {
        let mut tries = 0;
        loop {
            match self.release_step(bulk, rows::kept(now)).await {
                Err(StoreError::Collision(_)) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    async fn release_step(&self, bulk: &mut BulkRelease<'_>, now: OffsetDateTime) -> Result<Option<Vec<SuppressionChange>>, StoreError> {
        let next = self.next_selected(bulk, now).await?;
        let Some(last) = next.last().copied() else { return Ok(None) };
        let tx = dialect::begin(&self.db).await?;
        let position = dialect::position(&tx).await?;
        let subjects = lock_known(&tx, &next).await?;
        let pairs = next.iter().map(|it| (bulk.list.boundary, *it)).collect();
        let mut histories = load::histories(&tx, &self.lists, &pairs, &subjects).await?;
        let (actor, note) = (rows::without_nul(bulk.actor), bulk.note.as_deref().map(rows::without_nul));
        let word = Word { list: &bulk.list, actor: &actor, note: note.as_deref(), bulk: Some(bulk.id), position, now };
        let chosen = self.still_selected(&tx, bulk, &next, now).await?;
        let mut changes = Vec::new();
        for history in histories.values_mut() {
            let deeds = deeds(history, &bulk.list, &chosen, now);
            if !deeds.is_empty() {
                changes.extend(self.carry_out(&tx, history, &deeds, word).await?);
            }
        }
        write_suppressions(&tx, &histories, &changes, &BTreeSet::new()).await?;
        let address = |it: &SuppressionChange| subjects.get(&it.subject).and_then(|it| it.address.as_deref());
        let messages = self.messages_of(&tx, &changes, address).await?;
        append(&tx, self.announces, &messages, now).await?;
        tx.commit().await?;
        bulk.after = Some(last);
        Ok(Some(changes))
    }

    /// The next subjects that have something to release, in the order in which they are locked.
    async fn next_selected(&self, bulk: &BulkRelease<'_>, now: OffsetDateTime) -> Result<Vec<SubjectId>, StoreError> {
        let mut query = suppression::Entity::find()
            .select_only()
            .distinct()
            .column(suppression::Column::SubjectId)
            .filter(fits(&bulk.list, bulk.selection, now))
            .order_by_asc(suppression::Column::SubjectId)
            .limit(STEP);
        if let Some(after) = bulk.after {
            query = query.filter(suppression::Column::SubjectId.gt(after.0.to_vec()));
        }
        let ids: Vec<Vec<u8>> = query.into_tuple().all(&self.db).await?;
        ids.iter().map(|it| rows::sixteen("suppression", it).map(SubjectId)).collect()
    }

    /// Which causes of these subjects fit, cause by cause: of two that stand for one address perhaps only one does.
    async fn still_selected(
        &self,
        tx: &DatabaseTransaction,
        bulk: &BulkRelease<'_>,
        subjects: &[SubjectId],
        now: OffsetDateTime,
    ) -> Result<BTreeSet<(SubjectId, Cause)>, StoreError> {
        let found: Vec<(Vec<u8>, String)> = suppression::Entity::find()
            .select_only()
            .columns([suppression::Column::SubjectId, suppression::Column::Cause])
            .filter(fits(&bulk.list, bulk.selection, now))
            .filter(suppression::Column::SubjectId.is_in(subjects.iter().map(|it| it.0.to_vec())))
            .into_tuple()
            .all(tx)
            .await?;
        let read = |(subject, cause): (Vec<u8>, String)| {
            let cause = cause.parse().map_err(|_| bad_row("suppression", "cause"))?;
            Ok((SubjectId(rows::sixteen("suppression", &subject)?), cause))
        };
        found.into_iter().map(read).collect()
    }
}

/// What lifts those causes that still fit, now that the subject is locked.
fn deeds(history: &History, list: &List, chosen: &BTreeSet<(SubjectId, Cause)>, now: OffsetDateTime) -> Vec<Deed> {
    let stands = history.suppressions.iter().filter(|it| it.list == list.id && it.holds_at(now));
    let causes: BTreeSet<Cause> = stands.map(|it| it.cause).filter(|it| chosen.contains(&(history.subject, *it))).collect();
    causes.into_iter().map(lifting).collect()
}

/// The act that lifts a cause and no other.
#[must_use]
pub fn lifting(cause: Cause) -> Deed {
    match cause {
        Cause::ManualBlock => Act::Unblock.into(),
        Cause::ManualAllow => Act::Disallow.into(),
        automatic => Deed { cause: Some(automatic), ..Act::Release.into() },
    }
}

pub(super) fn holding(now: OffsetDateTime) -> Condition {
    use suppression::Column as C;
    let lasts = Condition::any().add(C::ExpiresAt.is_null()).add(C::ExpiresAt.gt(now));
    Condition::all().add(C::ReleasedAt.is_null()).add(lasts)
}

fn fits(list: &List, selection: &ReleaseFilter, now: OffsetDateTime) -> Condition {
    use suppression::Column as C;
    let causes = Cause::ALL.iter().filter(|it| selection.means(**it)).map(|it| it.as_str());
    let mut fits = Condition::all().add(C::ListId.eq(list.id.0)).add(holding(now)).add(C::Cause.is_in(causes));
    if let Some(reason) = selection.reason {
        fits = fits.add(C::Reason.eq(reason.as_str()));
    }
    if let Some(since) = selection.since {
        fits = fits.add(C::Since.gte(rows::kept(since)));
    }
    if let Some(until) = selection.until {
        fits = fits.add(C::Since.lt(rows::kept(until)));
    }
    if !selection.domains.is_empty() {
        let within = Query::select()
            .column(subject::Column::Id)
            .from(subject::Entity)
            .cond_where(subject::Column::Domain.is_in(&selection.domains))
            .to_owned();
        fits = fits.add(C::SubjectId.in_subquery(within));
    }
    if let Some(rule) = &selection.rule {
        let judged = Query::select().column(event::Column::Id).from(event::Entity).cond_where(event::Column::Rule.eq(rule)).to_owned();
        fits = fits.add(C::EventId.in_subquery(judged));
    }
    if let Some(import) = selection.import {
        use suppression_change::Column as D;
        let put = Query::select()
            .columns([D::SubjectId, D::Cause])
            .from(suppression_change::Entity)
            .cond_where(Condition::all().add(D::ImportId.eq(import)).add(D::ListId.eq(list.id.0)))
            .to_owned();
        let slot = Expr::tuple([Expr::col((suppression::Entity, C::SubjectId)), Expr::col((suppression::Entity, C::Cause))]);
        fits = fits.add(slot.in_subquery(put));
    }
    fits
}
