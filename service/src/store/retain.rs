//! Retention: what is old enough goes, in small steps, each a transaction of its own.
//!
//! State is a fold over facts, so an event must not go while something that a list says rests on it: a hard block would end
//! with its event. Whether something rests on an event is not guessed but tried: an address keeps the least of its old events
//! with which the fold still says the same. What has ended needs no events, and goes with them.

mod imports;

use std::collections::{BTreeMap, BTreeSet};

use bounce::policy::{Policy, Standing, decide};
use entity::{delivery, event, event_copy, event_key, import_repeat, receipt, subject, suppression, suppression_change};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, ExprTrait as _, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::commit::lock_known;
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::store::ids::{EventId, ListId, ReceiptId, SubjectId};
use crate::store::record::{Event, ReceiptState};
use crate::store::{Store, copies, dialect, load, receipts, rows};

/// Rows and parameters of one statement.
const ROWS_PER_STATEMENT: usize = 500;
/// Addresses that one statement looks at, however few of them have something old: of most of those that stand on lists for years
/// nothing goes, and the time of a statement is limited.
const LOOKED_AT: u64 = 2000;

/// Old events of one address that one transaction lets go of, which holds up whoever has something to say of it.
const EVENTS: usize = 5000;

/// How far the walk through all addresses has come, and what went in the last step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// Where to go on; none at the end.
    pub next: Option<SubjectId>,
    /// What went.
    pub gone: Outgrown,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outgrown {
    /// Events.
    pub events: usize,
    /// Addresses of which nothing is known any more.
    pub subjects: usize,
}

impl Store {
    /// Removes the raw bytes of some receipts in these states that came before then, and tells of how many; fewer than `limit`
    /// when there are no more. A receipt that nothing points to goes whole.
    ///
    /// # Errors
    /// When the database is away; nothing of the step is then done.
    pub async fn let_go_of_receipts(&self, states: &[ReceiptState], before: OffsetDateTime, limit: u64) -> Result<usize, StoreError> {
        let tx = dialect::begin(&self.db).await?;
        dialect::by_key_alone(&tx).await?;
        let mut old: Vec<Uuid> = Vec::new();
        // One state after the other: of several at once the index does not tell the oldest, and all that are old would be sorted.
        for state in states {
            let next = receipt::Entity::find()
                .select_only()
                .column(receipt::Column::Id)
                .filter(receipt::Column::State.eq(state.as_str()))
                .filter(receipt::Column::ReceivedAt.lt(rows::kept(before)))
                .filter(receipt::Column::Body.is_not_null())
                .order_by_asc(receipt::Column::ReceivedAt)
                .limit(limit.saturating_sub(old.len() as u64));
            old.extend(next.into_tuple::<Uuid>().all(&tx).await?);
        }
        let mut removed = 0;
        for chunk in old.chunks(ROWS_PER_STATEMENT) {
            let chunk: Vec<ReceiptId> = chunk.iter().copied().map(ReceiptId).collect();
            removed += receipts::remove_bodies(&tx, &chunk).await?;
            remove_bare(&tx, &chunk).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }

    /// Removes old events of some addresses, going on after one of them.
    ///
    /// # Errors
    /// When the database is away; what was done for addresses before stays done.
    pub async fn let_go_of_events(
        &self,
        before: OffsetDateTime,
        after: Option<SubjectId>,
        limit: u64,
        now: OffsetDateTime,
    ) -> Result<Step, StoreError> {
        let (before, now) = (rows::kept(before), rows::kept(now));
        let mut step = Step::default();
        let (subjects, end) = self.in_time(self.with_something_old(before, after, limit, now)).await?;
        step.next = if subjects.len() as u64 == limit { subjects.last().copied() } else { end };
        for subject in subjects {
            let (gone, rest) = self.in_time(self.let_go_of_some(subject, before, now)).await?;
            step.gone.events += gone.events;
            step.gone.subjects += gone.subjects;
            if rest == Rest::MayGo {
                // The next step begins with it again.
                step.next = Some(subject.just_before());
                break;
            }
        }
        Ok(step)
    }

    async fn let_go_of_some(
        &self,
        subject: SubjectId,
        before: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(Outgrown, Rest), StoreError> {
        let tx = dialect::begin(&self.db).await?;
        dialect::by_key_alone(&tx).await?;
        let went = Work { store: self, tx: &tx, subject, before, now }.run().await?;
        tx.commit().await?;
        Ok(went)
    }

    /// The next addresses with old events, those left out that decide what holds (they would be looked at in vain for ever), or
    /// of which nothing is known any more. Tells too where those end that were looked at, unless that is the end of all.
    async fn with_something_old(
        &self,
        before: OffsetDateTime,
        after: Option<SubjectId>,
        limit: u64,
        now: OffsetDateTime,
    ) -> Result<(Vec<SubjectId>, Option<SubjectId>), StoreError> {
        let tx = dialect::begin(&self.db).await?;
        dialect::by_key_alone(&tx).await?;
        let from = Condition::all().add_option(after.map(|it| subject::Column::Id.gt(it.0.to_vec())));
        let ids =
            || subject::Entity::find().select_only().column(subject::Column::Id).filter(from.clone()).order_by_asc(subject::Column::Id);
        let end: Option<Vec<u8>> = ids().offset(LOOKED_AT - 1).into_tuple().one(&tx).await?;
        let old = of_subject(event::Entity, event::Column::SubjectId)
            .and_where(event::Column::ReceivedAt.lt(before))
            .and_where(Expr::exists(deciding(now)).not())
            .to_owned();
        let known = of_subject(event::Entity, event::Column::SubjectId);
        let standing = of_subject(suppression::Entity, suppression::Column::SubjectId);
        let said = of_subject(suppression_change::Entity, suppression_change::Column::SubjectId)
            .cond_where(Condition::any().add(suppression_change::Column::Act.is_not_null()).add(suppression_change::Column::At.gte(before)))
            .to_owned();
        let delivered =
            of_subject(delivery::Entity, delivery::Column::SubjectId).and_where(delivery::Column::OccurredAt.gte(before)).to_owned();
        let unknown = [known, standing, said, delivered].into_iter().fold(Condition::all(), |all, it| all.add(Expr::exists(it).not()));
        let mut query = ids().filter(subject::Column::CreatedAt.lt(before)).filter(Condition::any().add(Expr::exists(old)).add(unknown));
        if let Some(end) = &end {
            query = query.filter(subject::Column::Id.lte(end.clone()));
        }
        let found: Vec<Vec<u8>> = query.limit(limit).into_tuple().all(&tx).await?;
        tx.commit().await?;
        let id = |it: &Vec<u8>| rows::sixteen("subject", it).map(SubjectId);
        Ok((found.iter().map(id).collect::<Result<_, _>>()?, end.as_ref().map(id).transpose()?))
    }
}

/// Rows of a table about the subject that a query around it is at.
fn of_subject<E: EntityTrait>(table: E, subject_id: E::Column) -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(table)
        .and_where(Expr::col((table, subject_id)).equals((subject::Entity, subject::Column::Id)))
        .to_owned()
}

/// Rows that hold now and that the event decides which a query around it is at.
fn deciding(now: OffsetDateTime) -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(suppression::Entity)
        .and_where(Expr::col((suppression::Entity, suppression::Column::SubjectId)).equals((event::Entity, event::Column::SubjectId)))
        .and_where(Expr::col((suppression::Entity, suppression::Column::EventId)).equals((event::Entity, event::Column::Id)))
        .cond_where(holds(now))
        .to_owned()
}

/// Rows of what lists say that hold now.
fn holds(now: OffsetDateTime) -> Condition {
    use suppression::Column as C;
    Condition::all().add(C::ReleasedAt.is_null()).add(Condition::any().add(C::ExpiresAt.is_null()).add(C::ExpiresAt.gt(now)))
}

/// Removes those of these receipts that have no raw bytes and that no event points to.
async fn remove_bare(tx: &DatabaseTransaction, receipts: &[ReceiptId]) -> Result<(), StoreError> {
    let ids = || receipts.iter().map(|it| it.0);
    delivery::Entity::update_many()
        .col_expr(delivery::Column::ReceiptId, Expr::value(None::<Uuid>))
        .filter(delivery::Column::ReceiptId.is_in(ids()))
        .exec(tx)
        .await?;
    let own = (receipt::Entity, receipt::Column::Id);
    let named = Query::select()
        .expr(Expr::value(1))
        .from(event::Entity)
        .and_where(Expr::col((event::Entity, event::Column::ReceiptId)).equals(own))
        .to_owned();
    let copied = Query::select()
        .expr(Expr::value(1))
        .from(event_copy::Entity)
        .and_where(Expr::col((event_copy::Entity, event_copy::Column::ReceiptId)).equals(own))
        .to_owned();
    receipt::Entity::delete_many()
        .filter(receipt::Column::Id.is_in(ids()))
        .filter(receipt::Column::Body.is_null())
        .filter(Expr::exists(named).not())
        .filter(Expr::exists(copied).not())
        .exec(tx)
        .await?;
    Ok(())
}

/// Whether there is more to let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Another transaction is to look.
    MayGo,
    /// What is left stays.
    Stays,
}

/// What is to be known of an event besides what it says.
#[derive(Debug, FromQueryResult)]
struct Brief {
    id: Uuid,
    boundary_id: Uuid,
    receipt_id: Uuid,
    merged_into: Option<Uuid>,
    withdrawn_at: Option<OffsetDateTime>,
    received_at: OffsetDateTime,
}

impl Brief {
    /// Whether it counts no more: it became part of another, or was withdrawn.
    const fn is_spent(&self) -> bool {
        self.merged_into.is_some() || self.withdrawn_at.is_some()
    }
}

/// One address.
struct Work<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    subject: SubjectId,
    before: OffsetDateTime,
    now: OffsetDateTime,
}

impl Work<'_> {
    fn id(&self) -> Vec<u8> {
        self.subject.0.to_vec()
    }

    async fn run(&self) -> Result<(Outgrown, Rest), StoreError> {
        let subjects = lock_known(self.tx, &[self.subject]).await?;
        let all = self.events().await?;
        let pairs: BTreeSet<(ListId, SubjectId)> = all.iter().map(|it| (ListId(it.boundary_id), self.subject)).collect();
        let mut histories = load::histories(self.tx, &self.store.lists, &pairs, &subjects).await?;
        // First those that count no more: what became part of an event must not outlive it.
        let old = || all.iter().filter(|it| it.received_at < self.before);
        let mut gone: BTreeSet<EventId> = old().filter(|it| it.is_spent()).map(|it| EventId(it.id)).take(EVENTS).collect();
        for ((boundary, _), history) in &mut histories {
            let root = self.store.lists.by_id(self.tx, *boundary).await?;
            let policy = self.store.policies.of(&root.name);
            gone.extend(history.let_go(self.before, policy, self.now, EVENTS.saturating_sub(gone.len())));
            self.remove_ended(history, policy).await?;
        }
        self.remove_events(&all, &with_parts(&all, gone)).await?;
        let left = event::Entity::find().filter(event::Column::SubjectId.eq(self.id())).count(self.tx).await?;
        let mut outgrown = Outgrown { events: all.len().saturating_sub(usize::try_from(left).unwrap_or(usize::MAX)), subjects: 0 };
        if left == 0 && self.is_unknown_otherwise().await? {
            self.remove_subject(subjects.get(&self.subject).map_or(0, |it| it.revision)).await?;
            outgrown.subjects = 1;
        }
        let rest = if outgrown.events > 0 && old().count() > EVENTS { Rest::MayGo } else { Rest::Stays };
        Ok((outgrown, rest))
    }

    async fn events(&self) -> Result<Vec<Brief>, StoreError> {
        use event::Column as C;
        let columns = [C::Id, C::BoundaryId, C::ReceiptId, C::MergedInto, C::WithdrawnAt, C::ReceivedAt];
        let found = event::Entity::find().select_only().columns(columns).filter(C::SubjectId.eq(self.id()));
        Ok(found.into_model::<Brief>().all(self.tx).await?)
    }

    /// Removes rows of what has ended and is not told by the facts that are left: it would look as if it ended once more.
    async fn remove_ended(&self, history: &History, policy: &Policy) -> Result<(), StoreError> {
        let told: BTreeSet<_> = history.standings(policy).iter().map(|it| (ListId::from_key(it.list), it.cause)).collect();
        for row in history.suppressions.iter().filter(|it| !it.holds_at(self.now) && !told.contains(&(it.list, it.cause))) {
            suppression::Entity::delete_by_id((self.id(), row.list.0, row.cause.to_string())).exec(self.tx).await?;
        }
        Ok(())
    }

    async fn remove_events(&self, all: &[Brief], gone: &BTreeSet<EventId>) -> Result<(), StoreError> {
        let ids: Vec<EventId> = gone.iter().copied().collect();
        let mut told: BTreeSet<ReceiptId> =
            all.iter().filter(|it| gone.contains(&EventId(it.id))).map(|it| ReceiptId(it.receipt_id)).collect();
        told.extend(copies::of(self.tx, &ids).await?.into_values().flatten());
        copies::remove(self.tx, &ids).await?;
        let uuids: Vec<Uuid> = ids.iter().map(|it| it.0).collect();
        for chunk in uuids.chunks(ROWS_PER_STATEMENT) {
            event_key::Entity::delete_many().filter(event_key::Column::EventId.is_in(chunk.to_vec())).exec(self.tx).await?;
            suppression_change::Entity::update_many()
                .col_expr(suppression_change::Column::EventId, Expr::value(None::<Uuid>))
                .filter(suppression_change::Column::EventId.is_in(chunk.to_vec()))
                .exec(self.tx)
                .await?;
            // Such rows have ended, for what holds keeps its event; the fold makes them again if they are told.
            suppression::Entity::delete_many()
                .filter(suppression::Column::SubjectId.eq(self.id()))
                .filter(suppression::Column::EventId.is_in(chunk.to_vec()))
                .exec(self.tx)
                .await?;
            event::Entity::update_many()
                .col_expr(event::Column::MergedInto, Expr::value(None::<Uuid>))
                .filter(event::Column::Id.is_in(chunk.to_vec()))
                .exec(self.tx)
                .await?;
        }
        for chunk in uuids.chunks(ROWS_PER_STATEMENT) {
            event::Entity::delete_many().filter(event::Column::Id.is_in(chunk.to_vec())).exec(self.tx).await?;
        }
        let told: Vec<ReceiptId> = told.into_iter().collect();
        for chunk in told.chunks(ROWS_PER_STATEMENT) {
            remove_bare(self.tx, chunk).await?;
        }
        Ok(())
    }

    /// Whether nothing else is known of the address: no person's word, nothing that lists say, and nothing that is not old.
    async fn is_unknown_otherwise(&self) -> Result<bool, StoreError> {
        use suppression_change::Column as C;
        let standing = suppression::Entity::find().filter(suppression::Column::SubjectId.eq(self.id())).count(self.tx).await?;
        let fresh = Condition::any().add(C::Act.is_not_null()).add(C::At.gte(self.before));
        let said = suppression_change::Entity::find().filter(C::SubjectId.eq(self.id())).filter(fresh).count(self.tx).await?;
        let delivered = delivery::Entity::find()
            .filter(delivery::Column::SubjectId.eq(self.id()))
            .filter(delivery::Column::OccurredAt.gte(self.before))
            .count(self.tx)
            .await?;
        Ok(standing + said + delivered == 0)
    }

    /// Should it come again, its revision goes on from where it was.
    async fn remove_subject(&self, revision: i64) -> Result<(), StoreError> {
        if revision > 0 {
            dialect::lift_revision_floor(self.tx, revision).await?;
        }
        import_repeat::Entity::delete_many().filter(import_repeat::Column::SubjectId.eq(self.id())).exec(self.tx).await?;
        let own = suppression_change::Column::SubjectId.eq(self.id());
        suppression_change::Entity::delete_many().filter(own).exec(self.tx).await?;
        delivery::Entity::delete_many().filter(delivery::Column::SubjectId.eq(self.id())).exec(self.tx).await?;
        subject::Entity::delete_by_id(self.id()).exec(self.tx).await?;
        Ok(())
    }
}

/// These events, and with them whatever became part of one of them.
fn with_parts(all: &[Brief], gone: BTreeSet<EventId>) -> BTreeSet<EventId> {
    let mut gone = gone;
    let heirs: BTreeMap<Uuid, Uuid> = all.iter().filter_map(|it| it.merged_into.map(|heir| (it.id, heir))).collect();
    loop {
        let more: Vec<EventId> = heirs
            .iter()
            .filter(|(id, heir)| gone.contains(&EventId(**heir)) && !gone.contains(&EventId(**id)))
            .map(|(id, _)| EventId(*id))
            .collect();
        if more.is_empty() {
            return gone;
        }
        gone.extend(more);
    }
}

impl History {
    /// What the fold says.
    fn standings(&self, policy: &Policy) -> Vec<Standing> {
        decide(&self.facts(), self.boundary.key(), policy)
    }

    fn holding(&self, policy: &Policy, now: OffsetDateTime) -> Vec<Standing> {
        self.standings(policy).into_iter().filter(|it| it.holds_at(now)).collect()
    }

    /// Lets go of events that came before then and on which nothing rests, of so many at most and the oldest first; what holds is told by
    /// the others as before.
    fn let_go(&mut self, before: OffsetDateTime, policy: &Policy, now: OffsetDateTime, most: usize) -> Vec<EventId> {
        let mut gone = Vec::new();
        if most == 0 {
            return gone;
        }
        let held = self.holding(policy, now);
        // What stands may have been decided by an earlier policy; its event is kept too.
        let deciding: BTreeSet<EventId> = self.suppressions.iter().filter(|it| it.holds_at(now)).filter_map(|it| it.event).collect();
        let is_old = |it: &&Event| it.received_at < before && !deciding.contains(&it.id);
        let mut old: Vec<(OffsetDateTime, EventId)> = self.events.iter().filter(is_old).map(|it| (it.occurred_at, it.id)).collect();
        old.sort_unstable();
        for some in old.chunks(most) {
            let mut parts = vec![some];
            while let Some(part) = parts.pop() {
                let ids: BTreeSet<EventId> = part.iter().map(|it| it.1).collect();
                let tried: Vec<Event> = self.events.extract_if(.., |it| ids.contains(&it.id)).collect();
                if self.holding(policy, now) == held {
                    gone.extend(ids);
                    continue;
                }
                self.events.extend(tried);
                if part.len() > 1 {
                    // The older half is tried first.
                    let (older, newer) = part.split_at(part.len() / 2);
                    parts.extend([newer, older]);
                }
            }
            // On the oldest something may rest each; then those after them are tried.
            if !gone.is_empty() {
                break;
            }
        }
        gone
    }
}
