//! The one way in: receipts with all they say become rows in one transaction, or none of them does. Replicas neither race nor
//! deadlock, because everybody takes the same steps in the same order: subjects sorted, missing ones inserted, all locked;
//! then receipts, keys and events; the fold in memory; what changed; the outbox last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use entity::{event, event_key, outbox, receipt, subject, suppression_change};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;

use crate::store::connect::Announces;
use crate::store::error::{StoreError, bad_row};
use crate::store::history::{History, Origin, Taken};
use crate::store::ids::{EventId, ListId, ReceiptId, SubjectId};
use crate::store::messages::{Message, Whereabouts, event_recorded, suppression_changed};
use crate::store::record::{Event, Incoming, Keep, SuppressionChange};
use crate::store::{Store, copies, dialect, erased, load, rows, tokens};

/// Rows written by one statement, well below the 32,766 parameters that SQLite takes.
const ROWS_PER_STATEMENT: usize = 500;

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

impl Commit<'_> {
    async fn run(&self, batch: &[Incoming]) -> Result<Vec<Accepted>, StoreError> {
        let replayed = tokens::claim(self.tx, batch, self.now).await?;
        if !replayed.is_empty() {
            return self.run_without(batch, &replayed).await;
        }
        let pairs = self.pairs(batch);
        let named = || batch.iter().flat_map(addresses).map(|it| (self.store.identity.subject(it), it));
        let mut subjects = lock_subjects(self.tx, named(), self.now).await?;
        let erased = erased::settle(self.tx, &mut subjects, named()).await?;
        let batch = &*erased::scrubbed(batch, &erased, &self.store.identity);
        let first_ids = self.insert_receipts(batch).await?;
        let mut histories = load::histories(self.tx, &self.store.lists, &pairs, &subjects).await?;
        let mut written = Written::default();
        let mut accepted = Vec::with_capacity(batch.len());
        let mut seen = BTreeSet::new();
        for incoming in batch {
            let receipt = first_ids.get(&(incoming.source.clone(), incoming.digest)).copied().unwrap_or(incoming.id);
            if receipt != incoming.id || !seen.insert(receipt) {
                accepted.push(Accepted::Duplicate { receipt });
                continue;
            }
            let before = written.new.clone();
            let (events, changes) = self.take_in(incoming, &mut histories, &mut written)?;
            let merged = events.iter().map(|it| it.id).filter(|it| before.contains(it) || !written.new.contains(it)).collect();
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
        self.write(&histories, &written).await?;
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

    /// Inserts the receipts that are not there yet, and tells the id under which each is known. Receipts that only report
    /// deliveries leave no row: there are a hundred times as many, and the delivery itself bears repetition.
    async fn insert_receipts(&self, batch: &[Incoming]) -> Result<HashMap<(String, [u8; 32]), ReceiptId>, StoreError> {
        let mut kept: Vec<&Incoming> =
            batch.iter().flat_map(|it| std::iter::once(it).chain(&it.set_aside)).filter(|it| it.keep != Keep::Nothing).collect();
        kept.sort_by(|a, b| (&a.source, a.digest).cmp(&(&b.source, b.digest)));
        kept.dedup_by(|a, b| a.source == b.source && a.digest == b.digest);
        for chunk in kept.chunks(ROWS_PER_STATEMENT) {
            let models = chunk.iter().map(|it| row_of_receipt(it).into_active_model());
            receipt::Entity::insert_many(models)
                .on_conflict_do_nothing_on([receipt::Column::Source, receipt::Column::Digest])
                .exec_without_returning(self.tx)
                .await?;
        }
        let mut ids = HashMap::new();
        for chunk in kept.chunks(ROWS_PER_STATEMENT) {
            let digests = chunk.iter().map(|it| it.digest.to_vec());
            let sources: BTreeSet<&str> = chunk.iter().map(|it| it.source.as_str()).collect();
            let found: Vec<(uuid::Uuid, String, Vec<u8>)> = receipt::Entity::find()
                .select_only()
                .columns([receipt::Column::Id, receipt::Column::Source, receipt::Column::Digest])
                .filter(receipt::Column::Digest.is_in(digests))
                .filter(receipt::Column::Source.is_in(sources))
                .into_tuple()
                .all(self.tx)
                .await?;
            for (id, source, digest) in found {
                let digest = digest.try_into().map_err(|_| bad_row("receipt", "digest"))?;
                ids.insert((source, digest), ReceiptId(id));
            }
        }
        Ok(ids)
    }

    /// Takes the facts of one receipt into the histories and decides again where it matters.
    fn take_in(
        &self,
        incoming: &Incoming,
        histories: &mut BTreeMap<Pair, History>,
        written: &mut Written,
    ) -> Result<(Vec<Event>, Vec<SuppressionChange>), StoreError> {
        let identity = &self.store.identity;
        let mut touched = BTreeMap::new();
        let mut said = Vec::new();
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
                Taken::New(_) => written.new.insert(id),
                Taken::Improved(_) => written.improved.insert(id),
                Taken::Known(_) => continue,
            };
            touched.insert(pair, self.store.policies.of(&fact.list.name));
            said.push((pair, id));
        }
        for delivery in &incoming.deliveries {
            let pair = (delivery.list.boundary, identity.subject(&delivery.address));
            let history = histories.get_mut(&pair).ok_or_else(|| bad_row("subject", "a locked subject is not there"))?;
            let keys = delivery.message_keys.iter().map(|it| identity.fact(pair.0, pair.1, bounce::kind::Kind::Bounce, it)).collect();
            history.take_in_delivery(delivery, keys, (incoming.keep != Keep::Nothing).then_some(incoming.id));
            written.delivered.insert(pair);
            touched.insert(pair, self.store.policies.of(&delivery.list.name));
        }
        let mut changes = Vec::new();
        for (pair, policy) in touched {
            // The revision is the subject's, whichever tree of lists the change is in.
            let same = histories.iter().filter(|(it, _)| it.1 == pair.1);
            let revision = same.map(|(_, it)| it.revision).max().unwrap_or_default();
            if let Some(history) = histories.get_mut(&pair) {
                history.revision = revision;
                changes.extend(history.decide(policy, "rebound", self.now, self.position));
            }
        }
        let events = said
            .iter()
            .filter_map(|(pair, id)| histories.get(pair).and_then(|it| it.events.iter().find(|it| it.id == *id)).cloned())
            .collect();
        Ok((events, changes))
    }

    /// Writes what the receipts did: events and keys first, then what lists say.
    async fn write(&self, histories: &BTreeMap<Pair, History>, written: &Written) -> Result<(), StoreError> {
        let events: Vec<&Event> = histories.values().flat_map(|it| &it.events).collect();
        let new: Vec<&&Event> = events.iter().filter(|it| written.new.contains(&it.id)).collect();
        for chunk in new.chunks(ROWS_PER_STATEMENT) {
            let models = chunk.iter().map(|it| rows::row_of_event(it).into_active_model());
            event::Entity::insert_many(models).exec_without_returning(self.tx).await?;
        }
        for improved in events.iter().filter(|it| written.improved.contains(&it.id) && !written.new.contains(&it.id)) {
            let model = rows::row_of_event(improved).into_active_model().reset_all();
            event::Entity::update(model).exec(self.tx).await?;
        }
        self.write_keys(&events, written).await?;
        self.write_copies(histories, written).await?;
        for gone in written.gone.keys().filter(|it| !written.new.contains(it)) {
            let model = event::ActiveModel {
                id: ActiveValue::Unchanged(gone.0),
                merged_into: ActiveValue::Set(Some(written.heir(*gone).0)),
                ..<event::ActiveModel as Default>::default()
            };
            event::Entity::update(model).exec(self.tx).await?;
        }
        for pair in &written.delivered {
            if let Some(history) = histories.get(pair) {
                load::replace_deliveries(self.tx, history).await?;
            }
        }
        write_suppressions(self.tx, histories, &written.changes).await
    }

    /// Every key of an event that was new or improved points to it now.
    async fn write_keys(&self, events: &[&Event], written: &Written) -> Result<(), StoreError> {
        let keys: Vec<event_key::ActiveModel> = events
            .iter()
            .filter(|it| written.new.contains(&it.id) || written.improved.contains(&it.id))
            .flat_map(|it| it.keys.iter().map(|key| event_key::Model { key: key.0.to_vec(), event_id: it.id.0 }.into_active_model()))
            .collect();
        for chunk in keys.chunks(ROWS_PER_STATEMENT) {
            let replace = OnConflict::column(event_key::Column::Key).update_column(event_key::Column::EventId).to_owned();
            event_key::Entity::insert_many(chunk.to_vec()).on_conflict(replace).exec_without_returning(self.tx).await?;
        }
        Ok(())
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
        let mut messages = Vec::new();
        let mut told = BTreeSet::new();
        for one in accepted {
            let Accepted::New { events, changes, .. } = one else { continue };
            for event in events.iter().filter(|it| told.insert(it.id)) {
                // What the event came to after the whole batch; a copy later in the batch may have improved it.
                let Some(last) =
                    histories.get(&(event.boundary, event.subject)).and_then(|it| it.events.iter().find(|at| at.id == event.id))
                else {
                    continue;
                };
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

/// What the transaction has to write.
#[derive(Default)]
struct Written {
    new: BTreeSet<EventId>,
    improved: BTreeSet<EventId>,
    gone: BTreeMap<EventId, EventId>,
    delivered: BTreeSet<Pair>,
    changes: Vec<SuppressionChange>,
}

impl Written {
    /// The event that another one has become part of, if it has.
    fn heir(&self, event: EventId) -> EventId {
        std::iter::successors(Some(event), |it| self.gone.get(it).copied()).last().unwrap_or(event)
    }
}

fn addresses(incoming: &Incoming) -> impl Iterator<Item = &bounce::address::Address> {
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
    addresses: impl Iterator<Item = (SubjectId, &'a bounce::address::Address)>,
    now: OffsetDateTime,
) -> Result<HashMap<SubjectId, subject::Model>, StoreError> {
    let addresses: BTreeMap<SubjectId, &bounce::address::Address> = addresses.collect();
    insert_missing(tx, &addresses, now).await?;
    lock_known(tx, &addresses.into_keys().collect::<Vec<_>>()).await
}

/// Inserts the subjects that are missing, in the order of their ids.
pub(super) async fn insert_missing(
    tx: &DatabaseTransaction,
    addresses: &BTreeMap<SubjectId, &bounce::address::Address>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let all: Vec<(&SubjectId, &&bounce::address::Address)> = addresses.iter().collect();
    for chunk in all.chunks(ROWS_PER_STATEMENT) {
        let models = chunk.iter().map(|(id, address)| {
            let model = subject::Model {
                id: id.0.to_vec(),
                address: Some(address.expose().to_owned()),
                domain: address.domain().to_owned(),
                revision: 0,
                created_at: now,
                erased_at: None,
            };
            model.into_active_model()
        });
        subject::Entity::insert_many(models).on_conflict_do_nothing_on([subject::Column::Id]).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Locks those of these subjects that are there. The ids come in their order.
pub(super) async fn lock_known(tx: &DatabaseTransaction, ids: &[SubjectId]) -> Result<HashMap<SubjectId, subject::Model>, StoreError> {
    let mut locked = HashMap::new();
    for chunk in ids.chunks(ROWS_PER_STATEMENT) {
        let rows = subject::Entity::find()
            .filter(subject::Column::Id.is_in(chunk.iter().map(|id| id.0.to_vec())))
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

/// Writes what lists say where it changed, and the audit of it.
pub(super) async fn write_suppressions(
    tx: &DatabaseTransaction,
    histories: &BTreeMap<Pair, History>,
    changes: &[SuppressionChange],
) -> Result<(), StoreError> {
    let stale: Vec<&History> = histories.values().filter(|it| it.is_stale || !it.vanished.is_empty()).collect();
    load::replace_suppressions(tx, &stale).await?;
    let mut revisions: BTreeMap<SubjectId, i64> = BTreeMap::new();
    for change in changes {
        let revision = revisions.entry(change.subject).or_default();
        *revision = change.revision.max(*revision);
    }
    let revisions: Vec<(SubjectId, i64)> = revisions.into_iter().collect();
    for chunk in revisions.chunks(ROWS_PER_STATEMENT) {
        dialect::set_revisions(tx, chunk).await?;
    }
    for chunk in changes.chunks(ROWS_PER_STATEMENT) {
        let models = chunk.iter().map(|it| rows::row_of_change(it).into_active_model());
        suppression_change::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    Ok(())
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
    for chunk in messages.chunks(ROWS_PER_STATEMENT) {
        let models = chunk.iter().map(|it| outbox::ActiveModel {
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
        outbox::Entity::insert_many(models).exec_without_returning(tx).await?;
    }
    Ok(())
}
