//! Reading again: what stored receipts say today takes the place of what they said when they came in. Everything about an
//! address is judged anew at once, from all receipts there are about it, so that no address stands half by old rules and
//! half by new ones; people's acts are facts like before, so a release sticks. The same locks in the same order as a commit;
//! only what changed is written and published. A look changes nothing and takes no locks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::Kind;
use bounce::policy::Cause;
use entity::{event, event_key, receipt, subject};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QuerySelect,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::commit::{append, insert_missing, lock_known, row_of_receipt, write_suppressions};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::{History, Origin};
use crate::store::ids::{EventId, ListId, ReceiptId, SubjectId};
use crate::store::messages::{Message, Whereabouts, event_recorded, event_withdrawn, suppression_changed};
use crate::store::record::{Event, Incoming, IncomingDelivery, Suppression, SuppressionChange};
use crate::store::retell::{Retold, Told};
use crate::store::{Store, copies, dialect, erased, load, rows};

/// Rows and parameters of one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// Receipts that were read again, and whose addresses are to be judged anew.
#[derive(Debug, Clone, Copy)]
pub struct Reprocessing<'a> {
    /// The chosen receipts, under the ids and times they are stored with. What is stored of them takes their state.
    pub chosen: &'a [Incoming],
    /// All other receipts about the same addresses, as far as they can be read.
    pub others: &'a [Incoming],
    /// The chosen receipts that cannot be read any more: whoever they told of is judged anew too.
    pub unreadable: &'a [ReceiptId],
    /// Id of the whole undertaking, kept with every change.
    pub run: Uuid,
    /// Who wants it.
    pub actor: &'a str,
}

/// What looks so far would have changed, so that a later one sees it.
#[derive(Debug, Default)]
pub struct Foresight(BTreeMap<Pair, (History, Copies)>);

/// What came of it, or would come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reprocessed {
    /// Events that were not known.
    pub new: usize,
    /// Events that say something else now, or are part of another.
    pub changed: usize,
    /// Events that no receipt tells any more.
    pub withdrawn: usize,
    /// Receipts whose state is another now.
    pub receipts: usize,
    /// What lists say differently.
    pub differences: Vec<Difference>,
    /// The changes, as far as they were written.
    pub changes: Vec<SuppressionChange>,
}

/// One thing that a list says differently of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whom it is about.
    pub subject: SubjectId,
    /// The plain address; none once erased.
    pub address: Option<String>,
    /// Name of the list.
    pub list: String,
    /// The cause.
    pub cause: Cause,
    /// What held before.
    pub before: Option<Said>,
    /// What holds now.
    pub after: Option<Said>,
}

/// What a list says for one cause, as far as it matters to who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The reason.
    pub reason: Option<Reason>,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
}

type Pair = (ListId, SubjectId);
type Copies = BTreeMap<EventId, BTreeSet<ReceiptId>>;
type Subjects = HashMap<SubjectId, subject::Model>;

impl Store {
    /// Tells what would change.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn foresee(&self, what: Reprocessing<'_>, foresight: &mut Foresight, now: OffsetDateTime) -> Result<Reprocessed, StoreError> {
        let now = rows::kept(now);
        let whom = self.whom(&what).await?;
        let mut subjects = Subjects::new();
        let ids: Vec<SubjectId> = whom.keys().copied().collect();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let found =
                subject::Entity::find().filter(subject::Column::Id.is_in(chunk.iter().map(|it| it.0.to_vec()))).all(&self.db).await?;
            for row in found {
                subjects.insert(SubjectId(rows::sixteen("subject", &row.id)?), row);
            }
        }
        let plan = Plan::make(self, &self.db, &what, &whom, &subjects, (now, 0), foresight).await?;
        let mut reprocessed = plan.told(self, &subjects, &whom, now).await?;
        reprocessed.receipts = self.other_states(&self.db, what.chosen).await?.len();
        reprocessed.changes.clear();
        for (pair, known) in plan.histories {
            foresight.0.insert(pair, known.foreseen());
        }
        Ok(reprocessed)
    }

    /// Does it, in one transaction.
    ///
    /// # Errors
    /// When the database is away or somebody stood in the way; nothing is then written, and the same may succeed later.
    pub async fn reprocess(&self, what: Reprocessing<'_>, now: OffsetDateTime) -> Result<Reprocessed, StoreError> {
        let now = rows::kept(now);
        let whom = self.whom(&what).await?;
        let tx = dialect::begin(&self.db).await?;
        let position = dialect::position(&tx).await?;
        // Those that are not there yet are inserted first, as a commit does; then all are locked in one order.
        insert_missing(&tx, &whom.iter().filter_map(|(id, it)| it.map(|it| (*id, it))).collect(), &HashMap::new(), now).await?;
        let subjects = lock_known(&tx, &whom.keys().copied().collect::<Vec<_>>()).await?;
        let plan = Plan::make(self, &tx, &what, &whom, &subjects, (now, position), &Foresight::default()).await?;
        let mut reprocessed = plan.told(self, &subjects, &whom, now).await?;
        reprocessed.receipts = self.write_states(&tx, what.chosen).await?;
        plan.write(self, &tx, &subjects, &reprocessed.changes, now).await?;
        tx.commit().await?;
        Ok(reprocessed)
    }

    /// Whom the chosen receipts tell of: those that they told of so far, and those that they tell of today.
    async fn whom<'a>(&self, what: &Reprocessing<'a>) -> Result<BTreeMap<SubjectId, Option<&'a Address>>, StoreError> {
        let ids: Vec<ReceiptId> = what.chosen.iter().map(|it| it.id).chain(what.unreadable.iter().copied()).collect();
        let mut whom: BTreeMap<SubjectId, Option<&Address>> = self.subjects_of(&ids).await?.into_iter().map(|it| (it, None)).collect();
        for fact in what.chosen.iter().flat_map(|it| &it.facts) {
            whom.insert(self.identity.subject(&fact.address), Some(&fact.address));
        }
        for delivery in what.chosen.iter().flat_map(|it| &it.deliveries) {
            whom.insert(self.identity.subject(&delivery.address), Some(&delivery.address));
        }
        Ok(whom)
    }

    /// The receipts whose state is another today.
    async fn other_states<'a>(&self, db: &impl ConnectionTrait, chosen: &'a [Incoming]) -> Result<Vec<&'a Incoming>, StoreError> {
        let mut states = HashMap::new();
        for chunk in chosen.chunks(ROWS_PER_STATEMENT) {
            let found: Vec<(Uuid, String)> = receipt::Entity::find()
                .select_only()
                .columns([receipt::Column::Id, receipt::Column::State])
                .filter(receipt::Column::Id.is_in(chunk.iter().map(|it| it.id.0)))
                .into_tuple()
                .all(db)
                .await?;
            states.extend(found);
        }
        Ok(chosen.iter().filter(|it| states.get(&it.id.0).is_some_and(|state| state != it.state.as_str())).collect())
    }

    /// Writes what became of the receipts, and keeps what was cut out of them.
    async fn write_states(&self, tx: &DatabaseTransaction, chosen: &[Incoming]) -> Result<usize, StoreError> {
        let others = self.other_states(tx, chosen).await?;
        for it in &others {
            let model = receipt::ActiveModel {
                id: ActiveValue::Unchanged(it.id.0),
                state: ActiveValue::Set(it.state.to_string()),
                error: ActiveValue::Set(it.error.as_deref().map(rows::without_nul)),
                ..<receipt::ActiveModel as Default>::default()
            };
            receipt::Entity::update(model).exec(tx).await?;
        }
        let mut aside: Vec<&Incoming> = chosen.iter().flat_map(|it| &it.set_aside).collect();
        aside.sort_by(|a, b| (&a.source, a.digest).cmp(&(&b.source, b.digest)));
        aside.dedup_by(|a, b| a.source == b.source && a.digest == b.digest);
        for chunk in aside.chunks(ROWS_PER_STATEMENT) {
            receipt::Entity::insert_many(chunk.iter().map(|it| row_of_receipt(it).into_active_model()))
                .on_conflict_do_nothing_on([receipt::Column::Source, receipt::Column::Digest])
                .exec_without_returning(tx)
                .await?;
        }
        Ok(others.len())
    }
}

/// What is known of one subject within one tree of lists, and what reading again makes of it.
struct Known {
    history: History,
    copies: Copies,
    before: Vec<Suppression>,
    retold: Retold,
    changes: Vec<SuppressionChange>,
    delivered: bool,
}

/// What has to be written.
struct Plan {
    histories: BTreeMap<Pair, Known>,
}

impl Plan {
    async fn make(
        store: &Store,
        db: &impl ConnectionTrait,
        what: &Reprocessing<'_>,
        whom: &BTreeMap<SubjectId, Option<&Address>>,
        subjects: &Subjects,
        (now, position): (OffsetDateTime, i64),
        foresight: &Foresight,
    ) -> Result<Self, StoreError> {
        let all: Vec<Incoming> = what.chosen.iter().chain(what.others).cloned().collect();
        let read: BTreeSet<ReceiptId> = all.iter().map(|it| it.id).collect();
        let all = sayable(db, store, all, subjects).await?;
        let mut pairs = boundaries(db, whom).await?;
        let said = all.iter().flat_map(|it| it.facts.iter().map(|it| (it.list.boundary, &it.address)));
        let delivered = all.iter().flat_map(|it| it.deliveries.iter().map(|it| (it.list.boundary, &it.address)));
        let named = said.chain(delivered).map(|(boundary, address)| (boundary, store.identity.subject(address)));
        pairs.extend(named.filter(|it| whom.contains_key(&it.1)));
        pairs.extend(foresight.0.keys().filter(|it| whom.contains_key(&it.1)));
        let loaded = load::histories(db, &store.lists, &pairs, subjects).await?;
        let mut facts = facts_by_pair(store, &all, position);
        let told_of = deliveries_by_pair(store, &all);
        let mut histories = BTreeMap::new();
        // The revision is the subject's, whichever tree of lists a change is in.
        let mut revisions: BTreeMap<SubjectId, i64> = BTreeMap::new();
        for (pair, history) in loaded {
            let ids: Vec<EventId> = history.events.iter().map(|it| it.id).collect();
            let (mut history, copies) = match foresight.0.get(&pair) {
                Some(foreseen) => foreseen.clone(),
                None => (history, copies::of(db, &ids).await?),
            };
            let before = history.suppressions.clone();
            let deliveries = history.deliveries.clone();
            let retold = history.retell(facts.remove(&pair).unwrap_or_default(), &read, &copies);
            for (receipt, delivery) in told_of.get(&pair).into_iter().flatten() {
                let key = |it: &String| store.identity.fact(pair.0, pair.1, Kind::Bounce, it);
                history.take_in_delivery(delivery, delivery.message_keys.iter().map(key).collect(), Some(*receipt));
            }
            let root = store.lists.by_id(db, pair.0).await?;
            let revision = revisions.entry(pair.1).or_default();
            history.revision = history.revision.max(*revision);
            let mut changes = history.decide(store.policies.of(&root.name), what.actor, now, position);
            *revision = history.revision;
            for change in &mut changes {
                change.import = Some(what.run);
            }
            let delivered = history.deliveries != deliveries;
            histories.insert(pair, Known { history, copies, before, retold, changes, delivered });
        }
        Ok(Self { histories })
    }

    /// What there is to say of it.
    async fn told(
        &self,
        store: &Store,
        subjects: &Subjects,
        whom: &BTreeMap<SubjectId, Option<&Address>>,
        now: OffsetDateTime,
    ) -> Result<Reprocessed, StoreError> {
        let mut told = Reprocessed::default();
        for ((_, subject), known) in &self.histories {
            told.new += known.retold.new.len();
            told.changed += known.retold.changed.len() + known.retold.gone.len();
            told.withdrawn += known.retold.withdrawn.len();
            told.changes.extend(known.changes.iter().cloned());
            let address = match subjects.get(subject) {
                Some(row) => row.address.clone(),
                None => whom.get(subject).copied().flatten().map(|it| it.expose().to_owned()),
            };
            let (before, after) = (holding(&known.before, now), holding(&known.history.suppressions, now));
            for (list, cause) in before.keys().chain(after.keys()).copied().collect::<BTreeSet<_>>() {
                let (before, after) = (before.get(&(list, cause)).cloned(), after.get(&(list, cause)).cloned());
                if before != after {
                    let list = store.list_by_id(list).await?.name.clone();
                    told.differences.push(Difference { subject: *subject, address: address.clone(), list, cause, before, after });
                }
            }
        }
        Ok(told)
    }

    /// Writes what changed, and puts into the outbox what the world should know.
    async fn write(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        subjects: &Subjects,
        changes: &[SuppressionChange],
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        for known in self.histories.values() {
            known.write_events(tx, now).await?;
            if known.delivered {
                load::replace_deliveries(tx, &[&known.history]).await?;
            }
        }
        let histories: BTreeMap<Pair, History> = self.histories.iter().map(|(pair, it)| (*pair, it.history.clone())).collect();
        write_suppressions(tx, &histories, changes, &BTreeSet::new()).await?;
        let mut messages = Vec::new();
        for ((_, subject), known) in &self.histories {
            let address = subjects.get(subject).and_then(|it| it.address.as_deref());
            known.announce(store, tx, address, now, &mut messages).await?;
        }
        append(tx, store.announces, &messages, now).await
    }
}

impl Known {
    /// As a later look has to find it.
    fn foreseen(self) -> (History, Copies) {
        let Self { history, mut copies, retold, .. } = self;
        for (gone, heir) in retold.gone {
            let theirs = copies.remove(&gone).unwrap_or_default();
            copies.entry(heir).or_default().extend(theirs);
        }
        for (event, receipt) in &history.told {
            copies.entry(*event).or_default().insert(*receipt);
        }
        (history, copies)
    }

    async fn write_events(&self, tx: &DatabaseTransaction, now: OffsetDateTime) -> Result<(), StoreError> {
        let Retold { new, changed, gone, withdrawn } = &self.retold;
        let events: BTreeMap<EventId, &Event> = self.history.events.iter().map(|it| (it.id, it)).collect();
        for event in new.iter().filter_map(|it| events.get(it)) {
            event::Entity::insert(rows::row_of_event(event).into_active_model()).exec_without_returning(tx).await?;
        }
        for event in changed.iter().filter_map(|it| events.get(it)) {
            event::Entity::update(rows::row_of_event(event).into_active_model().reset_all()).exec(tx).await?;
        }
        for (gone, heir) in gone {
            let model = event::ActiveModel {
                id: ActiveValue::Unchanged(gone.0),
                merged_into: ActiveValue::Set(Some(heir.0)),
                ..<event::ActiveModel as Default>::default()
            };
            event::Entity::update(model).exec(tx).await?;
        }
        for event in withdrawn {
            let model = event::ActiveModel {
                id: ActiveValue::Unchanged(event.id.0),
                withdrawn_at: ActiveValue::Set(Some(now)),
                ..<event::ActiveModel as Default>::default()
            };
            event::Entity::update(model).exec(tx).await?;
        }
        self.write_keys(tx, &events).await
    }

    /// The keys and copies of what changed.
    async fn write_keys(&self, tx: &DatabaseTransaction, events: &BTreeMap<EventId, &Event>) -> Result<(), StoreError> {
        let Retold { new, changed, gone, withdrawn } = &self.retold;
        let old: Vec<EventId> = changed.iter().chain(gone.keys()).copied().chain(withdrawn.iter().map(|it| it.id)).collect();
        for chunk in old.chunks(ROWS_PER_STATEMENT) {
            event_key::Entity::delete_many().filter(event_key::Column::EventId.is_in(chunk.iter().map(|it| it.0))).exec(tx).await?;
        }
        let fresh = new.iter().chain(changed).filter_map(|it| events.get(it));
        let keys: Vec<event_key::ActiveModel> = fresh
            .flat_map(|it| it.keys.iter().map(|key| event_key::Model { key: key.0.to_vec(), event_id: it.id.0 }.into_active_model()))
            .collect();
        for chunk in keys.chunks(ROWS_PER_STATEMENT) {
            let replace = OnConflict::column(event_key::Column::Key).update_column(event_key::Column::EventId).to_owned();
            event_key::Entity::insert_many(chunk.to_vec()).on_conflict(replace).exec_without_returning(tx).await?;
        }
        let mut told = self.history.told.clone();
        for (event, heir) in gone {
            told.extend(self.copies.get(event).into_iter().flatten().map(|it| (*heir, *it)));
        }
        let told = told.into_iter().filter(|(event, receipt)| events.get(event).is_some_and(|it| it.receipt != *receipt));
        copies::add(tx, &told.collect()).await
    }

    async fn announce(
        &self,
        store: &Store,
        tx: &DatabaseTransaction,
        address: Option<&str>,
        now: OffsetDateTime,
        messages: &mut Vec<Message>,
    ) -> Result<(), StoreError> {
        let revision = self.history.revision;
        for event in &self.history.events {
            let list = store.lists.by_id(tx, event.list).await?;
            let whereabouts = Whereabouts { address, list: &list.name, revision };
            if self.retold.new.contains(&event.id) {
                messages.push(event_recorded(event, event.id.0, whereabouts, now));
            } else if self.retold.changed.contains(&event.id) {
                messages.push(event_recorded(event, Uuid::now_v7(), whereabouts, now));
            }
        }
        for event in &self.retold.withdrawn {
            let list = store.lists.by_id(tx, event.list).await?;
            messages.push(event_withdrawn(event, Whereabouts { address, list: &list.name, revision }, now));
        }
        for change in &self.changes {
            let list = store.lists.by_id(tx, change.list).await?;
            messages.push(suppression_changed(change, Whereabouts { address, list: &list.name, revision: change.revision }));
        }
        Ok(())
    }
}

/// What may be recorded of what was said: about those who were erased without their address, and nothing about those of
/// whom nothing is held, for they were forgotten after it was said.
async fn sayable(db: &impl ConnectionTrait, store: &Store, all: Vec<Incoming>, subjects: &Subjects) -> Result<Vec<Incoming>, StoreError> {
    let erased: BTreeSet<SubjectId> = subjects.iter().filter(|(_, it)| it.erased_at.is_some()).map(|(id, _)| *id).collect();
    if erased.is_empty() {
        return Ok(all);
    }
    let held = erased::held(db, &erased).await?;
    let mut all = erased::scrubbed(&all, &erased, &store.identity).into_owned();
    let may_be_said = |address: &Address| {
        let id = store.identity.subject(address);
        !erased.contains(&id) || held.contains(&id)
    };
    for incoming in &mut all {
        incoming.facts.retain(|it| may_be_said(&it.address));
        incoming.deliveries.retain(|it| may_be_said(&it.address));
    }
    Ok(all)
}

/// The trees of lists in which there are events of these subjects.
async fn boundaries(db: &impl ConnectionTrait, whom: &BTreeMap<SubjectId, Option<&Address>>) -> Result<BTreeSet<Pair>, StoreError> {
    let ids: Vec<Vec<u8>> = whom.keys().map(|it| it.0.to_vec()).collect();
    let mut pairs = BTreeSet::new();
    for chunk in ids.chunks(ROWS_PER_STATEMENT) {
        let found: Vec<(Uuid, Vec<u8>)> = event::Entity::find()
            .select_only()
            .columns([event::Column::BoundaryId, event::Column::SubjectId])
            .filter(event::Column::SubjectId.is_in(chunk.to_vec()))
            .distinct()
            .into_tuple()
            .all(db)
            .await?;
        for (boundary, subject) in found {
            pairs.insert((ListId(boundary), SubjectId(subject.try_into().map_err(|_| bad_row("event", "subject_id"))?)));
        }
    }
    Ok(pairs)
}

fn facts_by_pair<'a>(store: &Store, all: &'a [Incoming], position: i64) -> BTreeMap<Pair, Vec<Told<'a>>> {
    let mut facts: BTreeMap<Pair, Vec<Told<'a>>> = BTreeMap::new();
    for incoming in all {
        for fact in &incoming.facts {
            let pair = (fact.list.boundary, store.identity.subject(&fact.address));
            let keys = fact.message_keys.iter().map(|it| store.identity.fact(pair.0, pair.1, fact.testimony.kind, it)).collect();
            let origin = Origin { receipt: incoming.id, source: &incoming.source, received_at: rows::kept(incoming.received_at), position };
            facts.entry(pair).or_default().push(Told { fact, keys, origin });
        }
    }
    facts
}

fn deliveries_by_pair<'a>(store: &Store, all: &'a [Incoming]) -> BTreeMap<Pair, Vec<(ReceiptId, &'a IncomingDelivery)>> {
    let mut deliveries: BTreeMap<Pair, Vec<(ReceiptId, &IncomingDelivery)>> = BTreeMap::new();
    for incoming in all {
        for delivery in &incoming.deliveries {
            let pair = (delivery.list.boundary, store.identity.subject(&delivery.address));
            deliveries.entry(pair).or_default().push((incoming.id, delivery));
        }
    }
    deliveries
}

fn holding(suppressions: &[Suppression], now: OffsetDateTime) -> BTreeMap<(ListId, Cause), Said> {
    let said = |it: &Suppression| Said { reason: it.reason, provisional: it.provisional, since: it.since, expires_at: it.expires_at };
    suppressions.iter().filter(|it| it.holds_at(now)).map(|it| ((it.list, it.cause), said(it))).collect()
}
