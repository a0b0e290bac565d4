//! The whole story of an address: receipts, events, deliveries, what people did, and what each of them led to, in the order
//! of time. The effects are not stored anywhere: they are told by the same fold that decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bounce::address::Address;
use bounce::kind::Attribution;
use bounce::policy::{Effect, Step};
use entity::{event_copy, receipt, subject, suppression_change};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;

use crate::store::error::{StoreError, bad_row};
use crate::store::history::History;
use crate::store::ids::{EventId, ListId, ReceiptId, SubjectId};
use crate::store::lists::List;
use crate::store::lookup::Known;
use crate::store::record::{Event, ReceiptState, Suppression, SuppressionChange};
use crate::store::{Store, load, rows};

/// Changes of what lists say that a story tells, the newest.
const CHANGES: u64 = 1000;

/// The story of an address.
#[derive(Debug, Clone)]
pub struct Story {
    /// Whether it was ever heard of.
    pub known: Known,
    /// Who it is in the messages.
    pub subject: SubjectId,
    /// What lists say, lifted rows included.
    pub suppressions: Vec<Suppression>,
    /// What happened, oldest first.
    pub chapters: Vec<Chapter>,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// When.
    pub at: OffsetDateTime,
    /// Where; none for a delivery, which is known for the whole tree.
    pub list: Option<ListId>,
    /// What.
    pub what: Happening,
    /// What it led to; of receipts and changes nothing by itself.
    pub effect: Option<Effect>,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum Happening {
    /// Something came in.
    Receipt(ReceiptBrief),
    /// It said this.
    Event(Box<Event>),
    /// A message arrived.
    Delivery,
    /// A person acted.
    Act(Box<SuppressionChange>),
    /// A list says something else since.
    Change(Box<SuppressionChange>),
}

/// A receipt without its body.
#[derive(Debug, Clone)]
pub struct ReceiptBrief {
    /// Its id.
    pub id: ReceiptId,
    /// Name of its source.
    pub source: String,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// Content type as announced.
    pub media_type: String,
    /// Octets as received.
    pub size: u64,
    /// What became of it.
    pub state: ReceiptState,
    /// How well it is attributed.
    pub attribution: Attribution,
}

/// A receipt as it came.
#[derive(Debug, Clone)]
pub struct RawReceipt {
    /// The list it was taken in for.
    pub list: ListId,
    /// Content type as announced.
    pub media_type: String,
    /// The raw bytes; none where they are kept no longer.
    pub body: Option<Vec<u8>>,
}

impl Store {
    /// The story of an address on some trees of lists.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn story(&self, address: &Address, roots: &[Arc<List>]) -> Result<Story, StoreError> {
        let id = self.identity.subject(address);
        let Some(row) = subject::Entity::find_by_id(id.0.to_vec()).one(&self.db).await? else {
            return Ok(Story { known: Known::Never, subject: id, suppressions: Vec::new(), chapters: Vec::new() });
        };
        let known = if row.erased_at.is_some() { Known::Erased } else { Known::Known };
        let pairs: BTreeSet<(ListId, SubjectId)> = roots.iter().map(|it| (it.boundary, id)).collect();
        let subjects = HashMap::from([(id, row)]);
        let histories = load::histories(&self.db, &self.lists, &pairs, &subjects).await?;
        let mut chapters = Vec::new();
        for root in roots {
            if let Some(history) = histories.get(&(root.boundary, id)) {
                let steps = history.steps(self.policies.of(&root.name));
                chapters.extend(told(history, steps));
            }
        }
        let events: HashMap<EventId, &Event> = histories.values().flat_map(|it| &it.events).map(|it| (it.id, it)).collect();
        chapters.extend(self.evidence(&events).await?);
        chapters.extend(self.changes_of(id, &pairs).await?);
        chapters.sort_by_key(|it| (it.at, it.what.rank()));
        let suppressions = histories.into_values().flat_map(|it| it.suppressions).collect();
        Ok(Story { known, subject: id, suppressions, chapters })
    }

    /// The receipts that told of these events, each once.
    async fn evidence(&self, events: &HashMap<EventId, &Event>) -> Result<Vec<Chapter>, StoreError> {
        let mut lists: BTreeMap<ReceiptId, ListId> = events.values().map(|it| (it.receipt, it.list)).collect();
        let ids: Vec<uuid::Uuid> = events.keys().map(|it| it.0).collect();
        for chunk in ids.chunks(1000) {
            for copy in event_copy::Entity::find().filter(event_copy::Column::EventId.is_in(chunk.to_vec())).all(&self.db).await? {
                if let Some(event) = events.get(&EventId(copy.event_id)) {
                    lists.entry(ReceiptId(copy.receipt_id)).or_insert(event.list);
                }
            }
        }
        let ids: Vec<uuid::Uuid> = lists.keys().map(|it| it.0).collect();
        let mut chapters = Vec::new();
        for chunk in ids.chunks(1000) {
            let query = receipt::Entity::find().select_only().columns(BRIEF).filter(receipt::Column::Id.is_in(chunk.to_vec()));
            for row in query.into_tuple::<BriefRow>().all(&self.db).await? {
                let brief = brief(row)?;
                let list = lists.get(&brief.id).copied();
                chapters.push(Chapter { at: brief.received_at, list, what: Happening::Receipt(brief), effect: None });
            }
        }
        Ok(chapters)
    }

    async fn changes_of(&self, id: SubjectId, pairs: &BTreeSet<(ListId, SubjectId)>) -> Result<Vec<Chapter>, StoreError> {
        use suppression_change::Column as C;
        let found = suppression_change::Entity::find()
            .filter(C::SubjectId.eq(id.0.to_vec()))
            .filter(C::BoundaryId.is_in(pairs.iter().map(|it| it.0.0)))
            .filter(C::Act.is_null())
            .order_by_desc(C::At)
            .order_by_desc(C::Id)
            .limit(CHANGES)
            .all(&self.db)
            .await?;
        let chapter =
            |it: SuppressionChange| Chapter { at: it.at, list: Some(it.list), what: Happening::Change(Box::new(it)), effect: None };
        found.into_iter().map(|it| rows::change_from_row(it).map(chapter)).collect()
    }

    /// A receipt with its raw bytes; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the database is away, or the bytes cannot be read back.
    pub async fn raw_receipt(&self, id: ReceiptId) -> Result<Option<RawReceipt>, StoreError> {
        let Some(row) = receipt::Entity::find_by_id(id.0).one(&self.db).await? else { return Ok(None) };
        let unpack = |body: Vec<u8>| {
            let size = usize::try_from(row.size).unwrap_or_default();
            zstd::bulk::decompress(&body, size.max(1)).map_err(|it| bad_row("receipt", format!("body: {it}")))
        };
        let body = row.body.map(unpack).transpose()?;
        Ok(Some(RawReceipt { list: ListId(row.list_id), media_type: row.media_type, body }))
    }
}

/// The columns of a receipt but its body.
const BRIEF: [receipt::Column; 7] = {
    use receipt::Column as C;
    [C::Id, C::Source, C::ReceivedAt, C::MediaType, C::Size, C::State, C::Attribution]
};

type BriefRow = (uuid::Uuid, String, OffsetDateTime, String, i64, String, String);

fn brief((id, source, received_at, media_type, size, state, attribution): BriefRow) -> Result<ReceiptBrief, StoreError> {
    Ok(ReceiptBrief {
        id: ReceiptId(id),
        source,
        received_at,
        media_type,
        size: u64::try_from(size).unwrap_or_default(),
        state: rows::word("receipt", &state)?,
        attribution: rows::word("receipt", &attribution)?,
    })
}

/// Facts and their effects. The steps count the facts in the order events, deliveries, acts.
fn told(history: &History, steps: Vec<Step>) -> Vec<Chapter> {
    let events = history.events.iter().map(|it| (it.occurred_at, Some(it.list), Happening::Event(Box::new(it.clone()))));
    let deliveries = history.deliveries.iter().map(|it| (it.occurred_at, None, Happening::Delivery));
    let acts = history.acts.iter().map(|it| (it.at, Some(it.list), Happening::Act(Box::new(it.clone()))));
    let mut effects: HashMap<usize, Effect> = steps.into_iter().map(|it| (it.index, it.effect)).collect();
    let facts = events.chain(deliveries).chain(acts).enumerate();
    facts.map(|(index, (at, list, what))| Chapter { at, list, what, effect: effects.remove(&index) }).collect()
}

impl Happening {
    /// Of things of one moment, causes come before what follows from them.
    const fn rank(&self) -> u8 {
        match self {
            Self::Delivery => 0,
            Self::Receipt(_) => 1,
            Self::Event(_) => 2,
            Self::Act(_) => 3,
            Self::Change(_) => 4,
        }
    }
}
