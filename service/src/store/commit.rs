//! The one way in: receipts with all they say become rows in one transaction, or none of them does. Replicas neither race nor
//! deadlock, because everybody takes the same steps in the same order: subjects sorted, missing ones inserted, all locked;
//! then receipts, keys and events; the fold in memory; what changed; the outbox last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bounce::address::Address;
use entity::{event, event_key, outbox, receipt, subject, suppression_change};
use sea_orm::{ActiveValue, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect};
use time::OffsetDateTime;

use crate::store::connect::Announces;
use crate::store::dialect::{self, Known};
use crate::store::error::{StoreError, bad_row};
use crate::store::history::{History, Origin, Taken};
use crate::store::ids::{EventId, ListId, ReceiptId, SubjectId};
use crate::store::messages::{Message, Whereabouts, event_recorded, suppression_changed};
use crate::store::record::{Event, Incoming, Keep, SuppressionChange};
use crate::store::{Store, copies, erased, load, overlong, rows, tokens};

/// Keys looked for by one statement, below the 32,766 parameters that SQLite takes.
const KEYS_PER_STATEMENT: usize = 10_000;
/// How often it is tried to lock subjects that others let go of at the same time.
const TRIES: usize = 4;

/// What became of one receipt of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Taken in; what it led to.
    New {
        /// Its id.
        receipt: ReceiptId,
        /// What it says that was not known, or was known with weaker evidence.
        events: Vec<Event>,
        /// Which of these were known before, and are now with better evidence or an earlier time.
        merged: Vec<EventId>,
        /// What it changed.
        changes: Vec<SuppressionChange>,
    },
    /// The same bytes came from the same source before.
    Duplicate {
        /// Id of the first copy.
        receipt: ReceiptId,
    },
    /// Not taken: the token that proves it was used with another body.
    Replayed,
}

impl Accepted {
    fn changes(&self) -> Option<&[SuppressionChange]> {
        match self {
            Self::New { changes, .. } => Some(changes),
            Self::Duplicate { .. } | Self::Replayed => None,
        }
    }
}

impl Store {
    /// Commits a batch of receipts and all their effects in one transaction; the answers are in the order of the batch.
    ///
    /// # Errors
    /// [`StoreError::Data`] when the database refuses a value of some receipt (commit them one by one to find it), an
    /// outage or collision when the same batch may succeed later. In every case nothing of the batch is written.
    pub async fn commit(&self, batch: &[Incoming], now: OffsetDateTime) -> Result<Vec<Accepted>, StoreError> {
        let committed = self.commit_once(batch, now).await;
        // Whoever tries again gets a connection that is there.
        committed.inspect_err(|error| {
            if error.is_cut() {
                self.slots.suspect();
            }
        })
    }

    async fn commit_once(&self, batch: &[Incoming], now: OffsetDateTime) -> Result<Vec<Accepted>, StoreError> {
        let tx = dialect::begin(&self.db).await?;
        let accepted = Commit { store: self, tx: &tx, now: rows::kept(now), position: dialect::position(&tx).await? }.run(batch).await?;
        tx.commit().await?;
        Ok(accepted)
    }
}

/// One transaction under way.
struct Commit<'a> {
    store: &'a Store,
    tx: &'a DatabaseTransaction,
    now: OffsetDateTime,
    position: i64,
}

type Pair = (ListId, SubjectId);
/// Ids under which receipts are known, by source and digest.
type FirstIds = HashMap<(String, [u8; 32]), ReceiptId>;

impl Commit<'_> {
    async fn run(&self, batch: &[Incoming]) -> Result<Vec<Accepted>, StoreError> {
        let replayed = tokens::claim(self.tx, batch, self.now).await?;
        if !replayed.is_empty() {
            return self.run_without(batch, &replayed).await;
        }
        let pairs = self.pairs(batch);
        let named: Vec<(SubjectId, &Address)> = batch.iter().flat_map(addresses).map(|it| (self.store.identity.subject(it), it)).collect();
        let mut reserved: HashMap<SubjectId, i64> = HashMap::new();
        for (subject, _) in &named {
            *reserved.entry(*subject).or_default() += 1;
        }
        let (mut subjects, strangers) = lock_or_insert(self.tx, named.iter().copied(), &reserved, self.now).await?;
        let erased = erased::settle(self.tx, &mut subjects, named.iter().copied()).await?;
        let batch = &*erased::scrubbed(batch, &erased, &self.store.identity);
        let (first_ids, inserted) = self.insert_receipts(batch).await?;
        let unmoved = overlong::unmoved(self.store, self.tx, batch, &pairs, &strangers).await?;
        let moved = pairs.difference(&unmoved).copied().collect();
        let mut histories = load::histories_beside(self.tx, &self.store.lists, &moved, &subjects, &strangers).await?;
        histories.extend(unmoved.iter().map(|it| (*it, load::empty(*it, &subjects))));
        let mut written = Written { unmoved, ..Written::default() };
        let mut accepted = Vec::with_capacity(batch.len());
        let mut seen = BTreeSet::new();
        for incoming in batch {
            let receipt = first_ids.get(&(incoming.source.clone(), incoming.digest)).copied().unwrap_or(incoming.id);
            // It may have been committed under the id that it has: whoever brings it heard no answer.
            let is_there = incoming.keep != Keep::Nothing && !inserted.contains(&incoming.id);
            if receipt != incoming.id || is_there || !seen.insert(receipt) {
                accepted.push(Accepted::Duplicate { receipt });
                continue;
            }
            let Said { events, fresh, changes } = self.take_in(incoming, &mut histories, &mut written)?;
            let merged = events.iter().map(|it| it.id).filter(|it| !fresh.contains(it)).collect();
            accepted.push(Accepted::New { receipt, events, merged, changes });
        }
        // A change from earlier in the batch may name an event that has meanwhile become part of another.
        for one in &mut accepted {
            if let Accepted::New { changes, .. } = one {
                for change in changes {
                    change.event = change.event.map(|it| written.heir(it));
                }
            }
        }
        written.changes = accepted.iter().filter_map(Accepted::changes).flatten().cloned().collect();
        self.write(&histories, &written, &strangers).await?;
        self.announce(&histories, &subjects, &accepted, &written).await?;
        Ok(accepted)
    }

    /// As [`Commit::run`], for a batch of which some are not to be taken.
    async fn run_without(&self, batch: &[Incoming], replayed: &BTreeSet<usize>) -> Result<Vec<Accepted>, StoreError> {
        let others: Vec<Incoming> = batch
            .iter()
            .enumerate()
            .filter(|(at, _)| !replayed.contains(at))
            .map(|(_, it)| Incoming { tokens: Vec::new(), ..it.clone() })
            .collect();
        let mut accepted = Box::pin(self.run(&others)).await?.into_iter();
        Ok((0..batch.len()).map(|at| if replayed.contains(&at) { None } else { accepted.next() }.unwrap_or(Accepted::Replayed)).collect())
    }

    fn pairs(&self, batch: &[Incoming]) -> BTreeSet<Pair> {
        let facts = batch.iter().flat_map(|it| it.facts.iter().map(|it| (it.list.boundary, &it.address)));
        let deliveries = batch.iter().flat_map(|it| it.deliveries.iter().map(|it| (it.list.boundary, &it.address)));
        facts.chain(deliveries).map(|(boundary, address)| (boundary, self.store.identity.subject(address))).collect()
    }

    /// Inserts the receipts that are not there yet, and tells the id under which each is known, and which were inserted. Receipts that
    /// only report deliveries leave no row: there are a hundred times as many, and the delivery itself bears repetition.
    async fn insert_receipts(&self, batch: &[Incoming]) -> Result<(FirstIds, BTreeSet<ReceiptId>), StoreError> {
        let mut kept: Vec<&Incoming> =
            batch.iter().flat_map(|it| std::iter::once(it).chain(&it.set_aside)).filter(|it| it.keep != Keep::Nothing).collect();
        kept.sort_by(|a, b| (&a.source, a.digest).cmp(&(&b.source, b.digest)));
        kept.dedup_by(|a, b| a.source == b.source && a.digest == b.digest);
        let key = [receipt::Column::Digest, receipt::Column::Source];
        let rows: Vec<receipt::Model> = kept.iter().map(|it| row_of_receipt(it)).collect();
        let new = dialect::insert_missing(self.tx, rows, &key, &[receipt::Column::Id]).await?;
        let new: BTreeSet<ReceiptId> = new.iter().map(|it| it.try_get("", "id").map(ReceiptId)).collect::<Result<_, _>>()?;
        let mut ids: FirstIds = kept.iter().map(|it| ((it.source.clone(), it.digest), it.id)).collect();
        let again: Vec<&Incoming> = kept.into_iter().filter(|it| !new.contains(&it.id)).collect();
        for chunk in again.chunks(KEYS_PER_STATEMENT) {
            let found: Vec<(uuid::Uuid, String, Vec<u8>)> = receipt::Entity::find()
                .select_only()
                .columns([receipt::Column::Id, receipt::Column::Source, receipt::Column::Digest])
                .filter(dialect::among(self.tx, receipt::Column::Digest, chunk.iter().map(|it| it.digest.to_vec().into())))
                .into_tuple()
                .all(self.tx)
                .await?;
            for (id, source, digest) in found {
                let digest = digest.try_into().map_err(|_| bad_row("receipt", "digest"))?;
                ids.insert((source, digest), ReceiptId(id));
            }
        }
        Ok((ids, new))
    }

    /// Takes the facts of one receipt into the histories and decides again where it matters.
    fn take_in(&self, incoming: &Incoming, histories: &mut BTreeMap<Pair, History>, written: &mut Written) -> Result<Said, StoreError> {
        let identity = &self.store.identity;
        let mut touched = BTreeMap::new();
        let mut said = Vec::new();
        let mut fresh = BTreeSet::new();
        for fact in &incoming.facts {
            let pair = (fact.list.boundary, identity.subject(&fact.address));
            let history = histories.get_mut(&pair).ok_or_else(|| bad_row("subject", "a locked subject is not there"))?;
            let keys = fact.message_keys.iter().map(|it| identity.fact(pair.0, pair.1, fact.testimony.kind, it)).collect();
            let origin = Origin {
                receipt: incoming.id,
                source: &incoming.source,
                received_at: rows::kept(incoming.received_at),
                position: self.position,
            };
            let (taken, gone) = history.take_in(fact, keys, origin);
            let (Taken::New(id) | Taken::Improved(id) | Taken::Known(id)) = taken;
            written.gone.extend(gone.into_iter().map(|it| (it, id)));
            match taken {
                Taken::New(_) => {
                    written.new.insert(id);
                    fresh.insert(id);
                }
                Taken::Improved(_) => {
                    written.improved.insert(id);
                }
                Taken::Known(_) => continue,
            }
            if !written.unmoved.contains(&pair) {
                touched.insert(pair, self.store.policies.of(&fact.list.name));
            }
            said.push((pair, id));
        }
        for delivery in &incoming.deliveries {
            let pair = (delivery.list.boundary, identity.subject(&delivery.address));
            let history = histories.get_mut(&pair).ok_or_else(|| bad_row("subject", "a locked subject is not there"))?;
            let keys = delivery.message_keys.iter().map(|it| identity.fact(pair.0, pair.1, bounce::kind::Kind::Bounce, it)).collect();
            if !history.take_in_delivery(delivery, keys, (incoming.keep != Keep::Nothing).then_some(incoming.id)) {
                continue;
            }
            written.delivered.insert(pair);
            touched.insert(pair, self.store.policies.of(&delivery.list.name));
        }
        let mut changes = Vec::new();
        for (pair, policy) in touched {
            if let Some(history) = histories.get_mut(&pair) {
                // The revision is the subject's, whichever tree of lists the change is in.
                let revision = written.revisions.entry(pair.1).or_insert(history.revision);
                history.revision = *revision;
                changes.extend(history.decide(policy, "rebound", self.now, self.position));
                *revision = history.revision;
            }
        }
        let event = |(pair, id): &(Pair, EventId)| histories.get(pair)?.events.iter().find(|it| it.id == *id).cloned();
        let events = said.iter().filter_map(event).collect();
        Ok(Said { events, fresh, changes })
    }

    /// Writes what the receipts did: events and keys first, then what lists say. The revisions of strangers were reserved.
    async fn write(
        &self,
        histories: &BTreeMap<Pair, History>,
        written: &Written,
        strangers: &BTreeSet<SubjectId>,
    ) -> Result<(), StoreError> {
        let events: Vec<&Event> = histories.values().flat_map(|it| &it.events).collect();
        let new = events.iter().filter(|it| written.new.contains(&it.id)).map(|it| rows::row_of_event(it)).collect();
        dialect::insert::<event::Model, _>(self.tx, new, Known::Impossible).await?;
        let improved = events.iter().filter(|it| written.improved.contains(&it.id) && !written.new.contains(&it.id));
        dialect::insert::<event::Model, _>(
            self.tx,
            improved.map(|it| rows::row_of_event(it)).collect(),
            Known::Yields(&[event::Column::Id]),
        )
        .await?;
        let dropped = histories.values().flat_map(|it| &it.dropped).map(|it| vec![it.0.to_vec().into()]);
        dialect::delete(self.tx, &[event_key::Column::Key], dropped.collect()).await?;
        // Every key of an event that is new or improved points to it now.
        let keyed = events.iter().filter(|it| written.new.contains(&it.id) || written.improved.contains(&it.id));
        let keys = keyed.flat_map(|it| it.keys.iter().map(|key| event_key::Model { key: key.0.to_vec(), event_id: it.id.0 }));
        dialect::insert::<event_key::Model, _>(self.tx, keys.collect(), Known::Yields(&[event_key::Column::Key])).await?;
        self.write_copies(histories, written).await?;
        let gone = written.gone.keys().filter(|it| !written.new.contains(it));
        let heirs = gone.map(|it| (it.0.into(), written.heir(*it).0.into())).collect();
        dialect::set(self.tx, event::Column::Id, event::Column::MergedInto, heirs).await?;
        let delivered: Vec<&History> = written.delivered.iter().filter_map(|it| histories.get(it)).collect();
        load::replace_deliveries(self.tx, &delivered).await?;
        write_suppressions(self.tx, histories, &written.changes, strangers).await
    }

    /// Which receipts told of an event beside the one it names now.
    async fn write_copies(&self, histories: &BTreeMap<Pair, History>, written: &Written) -> Result<(), StoreError> {
        let mut told: BTreeSet<(EventId, ReceiptId)> = histories.values().flat_map(|it| it.told.iter().copied()).collect();
        let gone: Vec<EventId> = written.gone.keys().filter(|it| !written.new.contains(it)).copied().collect();
        for (event, receipts) in copies::of(self.tx, &gone).await? {
            told.extend(receipts.into_iter().map(|it| (event, it)));
        }
        let names: BTreeMap<EventId, ReceiptId> = histories.values().flat_map(|it| &it.events).map(|it| (it.id, it.receipt)).collect();
        let told = told.into_iter().map(|(event, receipt)| (written.heir(event), receipt));
        copies::add(self.tx, &told.filter(|(event, receipt)| names.get(event).is_some_and(|it| it != receipt)).collect()).await
    }

    /// Puts into the outbox what the world should know.
    async fn announce(
        &self,
        histories: &BTreeMap<Pair, History>,
        subjects: &HashMap<SubjectId, subject::Model>,
        accepted: &[Accepted],
        written: &Written,
    ) -> Result<(), StoreError> {
        if self.store.announces == Announces::FeedsOnly {
            return Ok(());
        }
        let latest: HashMap<EventId, &Event> = histories.values().flat_map(|it| &it.events).map(|it| (it.id, it)).collect();
        let mut messages = Vec::new();
        let mut told = BTreeSet::new();
        for one in accepted {
            let Accepted::New { events, changes, .. } = one else { continue };
            for event in events.iter().filter(|it| told.insert(it.id)) {
                // What the event came to after the whole batch; a copy later in the batch may have improved it.
                let Some(last) = latest.get(&event.id) else { continue };
                let id = if written.new.contains(&event.id) { event.id.0 } else { uuid::Uuid::now_v7() };
                let list = self.store.lists.by_id(self.tx, last.list).await?;
                messages.push(event_recorded(
                    last,
                    id,
                    whereabouts(histories, subjects, last.boundary, last.subject, &list.name),
                    self.now,
                ));
            }
            for change in changes {
                let list = self.store.lists.by_id(self.tx, change.list).await?;
                let whereabouts = whereabouts(histories, subjects, change.boundary, change.subject, &list.name);
                messages.push(suppression_changed(change, Whereabouts { revision: change.revision, ..whereabouts }));
            }
        }
        append(self.tx, self.store.announces, &messages, self.now).await
    }
}

fn whereabouts<'a>(
    histories: &BTreeMap<Pair, History>,
    subjects: &'a HashMap<SubjectId, subject::Model>,
    boundary: ListId,
    subject: SubjectId,
    list: &'a str,
) -> Whereabouts<'a> {
    let revision = histories.get(&(boundary, subject)).map_or(0, |it| it.revision);
    Whereabouts { address: subjects.get(&subject).and_then(|it| it.address.as_deref()), list, revision }
}

/// What one receipt said.
struct Said {
    /// What was not known, or was known with weaker evidence.
    events: Vec<Event>,
    /// Which of these are new.
    fresh: BTreeSet<EventId>,
    changes: Vec<SuppressionChange>,
}

/// What the transaction has to write.
#[derive(Default)]
struct Written {
    /// Of whom nothing but what comes now was read, for nothing of it changes what lists say.
    unmoved: BTreeSet<Pair>,
    new: BTreeSet<EventId>,
    improved: BTreeSet<EventId>,
    gone: BTreeMap<EventId, EventId>,
    delivered: BTreeSet<Pair>,
    changes: Vec<SuppressionChange>,
    revisions: HashMap<SubjectId, i64>,
}

impl Written {
    /// The event that another one has become part of, if it has.
    fn heir(&self, event: EventId) -> EventId {
        std::iter::successors(Some(event), |it| self.gone.get(it).copied()).last().unwrap_or(event)
    }
}

fn addresses(incoming: &Incoming) -> impl Iterator<Item = &Address> {
    incoming.facts.iter().map(|it| &it.address).chain(incoming.deliveries.iter().map(|it| &it.address))
}

pub(super) fn row_of_receipt(it: &Incoming) -> receipt::Model {
    receipt::Model {
        id: it.id.0,
        source: it.source.clone(),
        digest: it.digest.to_vec(),
        list_id: it.list.id.0,
        received_at: rows::kept(it.received_at),
        media_type: rows::without_nul(&it.media_type),
        size: i64::try_from(it.size).unwrap_or(i64::MAX),
        body: (it.keep == Keep::Receipt).then(|| it.body.clone()),
        state: it.state.to_string(),
        error: it.error.as_deref().map(rows::without_nul),
        attribution: it.attribution.to_string(),
    }
}

/// Inserts the subjects that are missing and locks them all, in the order of their ids.
pub(super) async fn lock_subjects<'a>(
    tx: &DatabaseTransaction,
    addresses: impl Iterator<Item = (SubjectId, &'a Address)>,
    now: OffsetDateTime,
) -> Result<HashMap<SubjectId, subject::Model>, StoreError> {
    Ok(lock_or_insert(tx, addresses, &HashMap::new(), now).await?.0)
}

/// As [`lock_subjects`]; tells too which were missing: of these nothing else is known.
async fn lock_or_insert<'a>(
    tx: &DatabaseTransaction,
    addresses: impl Iterator<Item = (SubjectId, &'a Address)>,
    reserved: &HashMap<SubjectId, i64>,
    now: OffsetDateTime,
) -> Result<(HashMap<SubjectId, subject::Model>, BTreeSet<SubjectId>), StoreError> {
    let addresses: BTreeMap<SubjectId, &Address> = addresses.collect();
    let mut new = BTreeSet::new();
    let mut locked = HashMap::new();
    let mut missing = addresses.clone();
    // What was there when it was to be inserted may have been let go by the time it was to be locked, and the other way round.
    for _ in 0..TRIES {
        let inserted = insert_missing(tx, &missing, reserved, now).await?;
        let known: Vec<SubjectId> = missing.keys().filter(|it| !inserted.contains_key(it)).copied().collect();
        locked.extend(lock_known(tx, &known).await?);
        for (id, revision) in inserted {
            // What this transaction inserted nobody else can have.
            let row = addresses.get(&id).map(|address| subject::Model { revision, ..row_of_subject(id, address, now) });
            locked.extend(row.map(|it| (id, it)));
            new.insert(id);
        }
        missing.retain(|id, _| !locked.contains_key(id));
        if missing.is_empty() {
            return Ok((locked, new));
        }
    }
    Err(StoreError::Collision(DbErr::Custom("subjects come and go faster than they can be locked".to_owned())))
}

/// Inserts the subjects that are missing, in the order of their ids, and tells which these are, with the revisions from which they
/// start. As many as are reserved may follow without being written: a revision that nobody has heard of does no harm.
pub(super) async fn insert_missing(
    tx: &DatabaseTransaction,
    addresses: &BTreeMap<SubjectId, &Address>,
    reserved: &HashMap<SubjectId, i64>,
    now: OffsetDateTime,
) -> Result<BTreeMap<SubjectId, i64>, StoreError> {
    let reserved = |id: &SubjectId| reserved.get(id).copied().unwrap_or_default();
    let row = |(id, address): (&SubjectId, &&Address)| subject::Model { revision: reserved(id), ..row_of_subject(*id, address, now) };
    let rows: Vec<subject::Model> = addresses.iter().map(row).collect();
    let id = [subject::Column::Id];
    let new = dialect::insert_missing(tx, rows, &id, &id).await?;
    if new.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Asked only now: whoever let go of one of them has committed.
    let floor = dialect::revision_floor(tx).await?;
    let of_row = |it: &QueryResult| rows::sixteen("subject", &it.try_get::<Vec<u8>>("", "id")?).map(|it| (SubjectId(it), floor));
    let new: BTreeMap<SubjectId, i64> = new.iter().map(of_row).collect::<Result<_, _>>()?;
    if floor > 0 {
        let revisions = new.keys().map(|it| (it.0.to_vec().into(), (floor + reserved(it)).into())).collect();
        dialect::set(tx, subject::Column::Id, subject::Column::Revision, revisions).await?;
    }
    Ok(new)
}

pub(super) fn row_of_subject(id: SubjectId, address: &Address, now: OffsetDateTime) -> subject::Model {
    subject::Model {
        id: id.0.to_vec(),
        address: Some(address.expose().to_owned()),
        domain: address.domain().to_owned(),
        revision: 0,
        created_at: now,
        erased_at: None,
    }
}

/// Locks those of these subjects that are there. The ids come in their order.
pub(super) async fn lock_known(tx: &DatabaseTransaction, ids: &[SubjectId]) -> Result<HashMap<SubjectId, subject::Model>, StoreError> {
    let mut locked = HashMap::new();
    for chunk in ids.chunks(KEYS_PER_STATEMENT) {
        let rows = subject::Entity::find()
            .filter(dialect::among(tx, subject::Column::Id, chunk.iter().map(|id| id.0.to_vec().into())))
            .order_by_asc(subject::Column::Id)
            .lock_exclusive()
            .all(tx)
            .await?;
        for row in rows {
            locked.insert(SubjectId(rows::sixteen("subject", &row.id)?), row);
        }
    }
    Ok(locked)
}

/// Writes what lists say where it changed, and the audit of it; the revisions too, but of those that have them reserved.
pub(super) async fn write_suppressions(
    tx: &DatabaseTransaction,
    histories: &BTreeMap<Pair, History>,
    changes: &[SuppressionChange],
    reserved: &BTreeSet<SubjectId>,
) -> Result<(), StoreError> {
    let stale: Vec<&History> = histories.values().filter(|it| it.is_stale || !it.vanished.is_empty()).collect();
    load::replace_suppressions(tx, &stale).await?;
    let mut revisions: BTreeMap<SubjectId, i64> = BTreeMap::new();
    for change in changes.iter().filter(|it| !reserved.contains(&it.subject)) {
        let revision = revisions.entry(change.subject).or_default();
        *revision = change.revision.max(*revision);
    }
    let revisions = revisions.into_iter().map(|(id, revision)| (id.0.to_vec().into(), revision.into())).collect();
    dialect::set(tx, subject::Column::Id, subject::Column::Revision, revisions).await?;
    dialect::insert::<suppression_change::Model, _>(tx, changes.iter().map(rows::row_of_change).collect(), Known::Impossible).await
}

/// Appends messages to the outbox. Takes the transaction, so that it cannot be called outside one.
pub(super) async fn append(
    tx: &DatabaseTransaction,
    announces: Announces,
    messages: &[Message],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    if announces == Announces::FeedsOnly {
        return Ok(());
    }
    let rows = messages.iter().map(|it| outbox::ActiveModel {
        sequence: ActiveValue::NotSet,
        message_id: ActiveValue::Set(it.id),
        message_type: ActiveValue::Set(it.kind.to_owned()),
        routing_key: ActiveValue::Set(it.routing_key.clone()),
        payload: ActiveValue::Set(it.payload.clone()),
        attempts: ActiveValue::Set(0),
        last_error: ActiveValue::Set(None),
        not_before: ActiveValue::Set(None),
        created_at: ActiveValue::Set(now),
    });
    dialect::insert(tx, rows.collect::<Vec<_>>(), Known::Impossible).await
}
