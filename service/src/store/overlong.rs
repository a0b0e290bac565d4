//! Addresses that are reported over and over: some system goes on mailing them, or somebody floods us with forged reports. All that is
//! known of an address is folded again with every report, which would take ever longer. So where a long history stands behind what
//! lists say, it is not read for facts that provably change nothing of that ([`changes_nothing`]): they are only recorded.
//!
//! What stands is then taken for what the fold says, as it is wherever it is read. It may have been said by an earlier policy;
//! a short history is decided again by the one in force with its next fact, a long one with the next that may change something.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bounce::policy::{Fact, FactKey, Matter, Policy, Settled, Standing, changes_nothing};
use entity::{delivery, event, event_key, subject, suppression};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{DatabaseTransaction, EntityTrait, ExprTrait as _, QueryFilter, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::dialect::among;
use crate::store::error::StoreError;
use crate::store::history::meant;
use crate::store::ids::{EventId, ListId, SubjectId};
use crate::store::lists::Lists;
use crate::store::record::{Incoming, IncomingFact, Suppression};
use crate::store::{Store, rows};

/// Events from which a history is long. A shorter one is read as fast as it is found out whether it must be.
const LONG: u64 = 1000;

/// Keys looked for by one statement, below the 32,766 parameters that SQLite takes.
const KEYS_PER_STATEMENT: usize = 10_000;

type Pair = (ListId, SubjectId);

/// What a batch says of one subject within one boundary.
#[derive(Debug, Default)]
struct Said<'a> {
    /// Facts, each with its keys and the policy of its list.
    facts: Vec<(&'a IncomingFact, Vec<FactKey>, &'a Policy)>,
    /// Whether it reports deliveries too, which matter by what bounced before.
    has_deliveries: bool,
}

/// Those with a long history about whom the batch says nothing that changes what lists say. All subjects are locked.
pub(super) async fn unmoved(
    store: &Store,
    tx: &DatabaseTransaction,
    batch: &[Incoming],
    pairs: &BTreeSet<Pair>,
    strangers: &BTreeSet<SubjectId>,
) -> Result<BTreeSet<Pair>, StoreError> {
    let long = long(tx, pairs.iter().map(|it| it.1).filter(|it| !strangers.contains(it)).collect()).await?;
    if long.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut asked = said(store, batch, &long);
    asked.retain(|_, it| !it.has_deliveries);
    let keys: BTreeSet<FactKey> = asked.values().flat_map(|it| it.facts.iter().flat_map(|it| it.1.iter().copied())).collect();
    let seen = seen(tx, keys).await?;
    asked.retain(|_, it| !it.facts.iter().any(|(_, keys, _)| keys.iter().any(|it| seen.contains(it))));
    let beside = Beside::read(tx, &store.lists, asked.keys().copied().collect()).await?;
    Ok(asked.into_iter().filter(|(pair, it)| beside.is_unmoved(*pair, it)).map(|it| it.0).collect())
}

/// What the batch says of these subjects.
fn said<'a>(store: &'a Store, batch: &'a [Incoming], of: &BTreeSet<SubjectId>) -> BTreeMap<Pair, Said<'a>> {
    let identity = &store.identity;
    let mut said: BTreeMap<Pair, Said<'a>> = BTreeMap::new();
    for it in batch.iter().flat_map(|it| &it.facts) {
        let pair = (it.list.boundary, identity.subject(&it.address));
        if of.contains(&pair.1) {
            let keys = it.message_keys.iter().map(|key| identity.fact(pair.0, pair.1, it.testimony.kind, key)).collect();
            said.entry(pair).or_default().facts.push((it, keys, store.policies.of(&it.list.name)));
        }
    }
    for it in batch.iter().flat_map(|it| &it.deliveries) {
        let pair = (it.list.boundary, identity.subject(&it.address));
        if of.contains(&pair.1) {
            said.entry(pair).or_default().has_deliveries = true;
        }
    }
    said
}

/// Those of these subjects of which more events are known than need to be counted.
async fn long(tx: &DatabaseTransaction, subjects: BTreeSet<SubjectId>) -> Result<BTreeSet<SubjectId>, StoreError> {
    if subjects.is_empty() {
        return Ok(BTreeSet::new());
    }
    let own = Expr::col((event::Entity, event::Column::SubjectId)).equals((subject::Entity, subject::Column::Id));
    let more = Query::select().expr(Expr::value(1)).from(event::Entity).and_where(own).limit(1).offset(LONG).to_owned();
    let found: Vec<Vec<u8>> = subject::Entity::find()
        .select_only()
        .column(subject::Column::Id)
        .filter(among(tx, subject::Column::Id, subjects.iter().map(|it| it.0.to_vec().into())))
        .filter(Expr::exists(more))
        .into_tuple()
        .all(tx)
        .await?;
    found.iter().map(|it| rows::sixteen("subject", it).map(SubjectId)).collect()
}

/// Those of these keys under which something is known.
async fn seen(tx: &DatabaseTransaction, keys: BTreeSet<FactKey>) -> Result<BTreeSet<FactKey>, StoreError> {
    let keys: Vec<FactKey> = keys.into_iter().collect();
    let mut seen = BTreeSet::new();
    for chunk in keys.chunks(KEYS_PER_STATEMENT) {
        let found: Vec<Vec<u8>> = event_key::Entity::find()
            .select_only()
            .column(event_key::Column::Key)
            .filter(among(tx, event_key::Column::Key, chunk.iter().map(|it| it.0.to_vec().into())))
            .into_tuple()
            .all(tx)
            .await?;
        for key in found {
            seen.insert(FactKey(rows::sixteen("event_key", &key)?));
        }
    }
    Ok(seen)
}

/// What is needed of a history beside its events.
#[derive(Debug, Default)]
struct Beside {
    standings: BTreeMap<Pair, Vec<Suppression>>,
    delivered: BTreeMap<Pair, Vec<FactKey>>,
    decided_at: HashMap<EventId, OffsetDateTime>,
}

impl Beside {
    async fn read(tx: &DatabaseTransaction, lists: &Lists, pairs: BTreeSet<Pair>) -> Result<Self, StoreError> {
        let mut beside = Self::default();
        let subjects = || pairs.iter().map(|it| it.1.0.to_vec().into());
        for row in suppression::Entity::find().filter(among(tx, suppression::Column::SubjectId, subjects())).all(tx).await? {
            let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
            let boundary = lists.by_id(tx, ListId(row.list_id)).await?.boundary;
            beside.standings.entry((boundary, subject)).or_default().push(rows::suppression_from_row(row)?);
        }
        for row in delivery::Entity::find().filter(among(tx, delivery::Column::SubjectId, subjects())).all(tx).await? {
            let pair = (ListId(row.boundary_id), SubjectId(rows::sixteen("delivery", &row.subject_id)?));
            beside.delivered.entry(pair).or_default().extend(rows::delivery_from_row(&row)?.messages);
        }
        let deciding = beside.standings.values().flatten().filter_map(|it| it.event).map(|it| it.0.into());
        let times: Vec<(Uuid, OffsetDateTime)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::OccurredAt])
            .filter(among(tx, event::Column::Id, deciding))
            .into_tuple()
            .all(tx)
            .await?;
        beside.decided_at = times.into_iter().map(|(id, at)| (EventId(id), at)).collect();
        Ok(beside)
    }

    fn is_unmoved(&self, pair: Pair, said: &Said<'_>) -> bool {
        let rows = self.standings.get(&pair).map(Vec::as_slice).unwrap_or_default();
        let standings: Vec<(Standing, OffsetDateTime)> =
            rows.iter().filter_map(|it| Some((standing(it), *self.decided_at.get(&it.event?)?))).collect();
        let settled: Vec<Settled<'_>> = standings.iter().map(|(standing, at)| Settled { standing, decided_at: *at }).collect();
        let delivered = self.delivered.get(&pair).map(Vec::as_slice).unwrap_or_default();
        // Copies of one failure become one event, of the earliest time that any of them tells.
        let Some(earliest) = said.facts.iter().map(|(it, ..)| it.occurred_at).min() else { return true };
        said.facts.iter().all(|(it, keys, policy)| changes_nothing(&fact(it, keys, earliest), pair.0.key(), &settled, delivered, policy))
    }
}

/// A row as the fold would say it. Which fact decides does not matter here.
fn standing(row: &Suppression) -> Standing {
    Standing {
        list: row.list.key(),
        cause: row.cause,
        reason: row.reason,
        fact: FactKey([0; 16]),
        provisional: row.provisional,
        overrides_consent: row.overrides_consent,
        since: row.since,
        expires_at: row.expires_at,
        released_at: row.released_at,
    }
}

/// What the fold would make of a fact that nobody has told before, had it happened then.
fn fact(it: &IncomingFact, keys: &[FactKey], at: OffsetDateTime) -> Fact {
    let said = &it.testimony;
    Fact {
        at: rows::kept(at),
        key: keys.first().copied().unwrap_or(FactKey([0; 16])),
        list: it.list.id.key(),
        matter: Matter::Event {
            kind: meant(said),
            bounce_type: said.bounce_type,
            reason: said.reason,
            weight: it.weight,
            received: at,
            messages: keys.to_vec(),
        },
    }
}
