//! Reading stored receipts again, by today's reader, rules and policy: first to see what would change, then to change it.
//! Receipt by receipt in the order in which they came, in batches that each commit alone, so that it can be stopped and taken
//! up again; doing it twice changes nothing the second time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bounce::classify::Rules;
use bounce::policy::Cause;
use uuid::Uuid;

use super::{Arrival, Source, Sources, interpret, read};
use crate::clock::Clock;
use crate::config::API_SOURCE;
use crate::store::{
    Difference, Foresight, Incoming, ReceiptId, ReceiptState, Reprocessed, Reprocessing, Selection, Store, StoreError, StoredReceipt,
    SubjectId,
};

/// Receipts of one batch.
const TOGETHER: u64 = 50;
/// How often a batch that collided is tried again.
const TRIES: u32 = 8;

/// Which receipts, and what to do with them.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Which.
    pub which: Selection,
    /// After which of them to go on.
    pub after: Option<ReceiptId>,
    /// Who wants it.
    pub actor: String,
}

/// What stored receipts are read with.
#[derive(Debug)]
pub struct Reprocess {
    /// Where they are.
    pub store: Arc<Store>,
    /// Who may report.
    pub sources: Sources,
    /// Today's rules.
    pub rules: Arc<Rules>,
    /// Facts older than this when they came in count for nothing.
    pub max_fact_age: Duration,
    /// What time it is.
    pub clock: Clock,
}

/// What came of it so far, or would come.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Receipts that were read again.
    pub read: usize,
    /// Of these, receipts whose state is another now.
    pub other_state: usize,
    /// Receipts whose raw bytes are gone.
    pub without_bytes: usize,
    /// Receipts of a source that is not configured any more.
    pub without_source: usize,
    /// Receipts at which the reader failed.
    pub failed: usize,
    /// Events that were not known.
    pub new: usize,
    /// Events that say something else now.
    pub changed: usize,
    /// Events that no receipt tells any more.
    pub withdrawn: usize,
    /// What lists say differently.
    pub differences: Vec<Difference>,
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Receipts looked at.
    pub receipts: usize,
    /// The last of them; to go on after it.
    pub last: ReceiptId,
}

/// What became of one stored receipt.
enum Again {
    Read(Box<Incoming>),
    NoBytes,
    NoSource,
    Failed,
}

impl Reprocess {
    /// Tells what would change.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn foresee(&self, chosen: &Chosen, progress: impl FnMut(Progress)) -> Result<Summary, StoreError> {
        let mut foresight = Foresight::default();
        self.go(chosen, Some(&mut foresight), progress).await
    }

    /// Does it.
    ///
    /// # Errors
    /// When the database is away; the batches before are committed.
    pub async fn apply(&self, chosen: &Chosen, progress: impl FnMut(Progress)) -> Result<Summary, StoreError> {
        self.go(chosen, None, progress).await
    }

    async fn go(
        &self,
        chosen: &Chosen,
        mut foresight: Option<&mut Foresight>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Summary, StoreError> {
        let run = Uuid::now_v7();
        let mut summary = Summary::default();
        let mut differences = BTreeMap::new();
        let (mut after, mut receipts) = (chosen.after, 0);
        loop {
            // Those that came in meanwhile were read by today's rules.
            let page = self.store.receipts(&chosen.which, after, TOGETHER).await?;
            let Some(last) = page.last().map(|it| it.id) else { break };
            receipts += page.len();
            let batch = self.batch(page, &mut summary).await?;
            let what =
                Reprocessing { chosen: &batch.chosen, others: &batch.others, unreadable: &batch.unreadable, run, actor: &chosen.actor };
            let done = match foresight.as_deref_mut() {
                Some(foresight) => self.store.foresee(what, foresight, self.clock.now()).await?,
                None => self.attempt(what).await?,
            };
            summary.add(done, &mut differences);
            progress(Progress { receipts, last });
            after = Some(last);
        }
        summary.differences = differences.into_values().filter(|it| it.before != it.after).collect();
        Ok(summary)
    }

    /// Applies one batch, again while it only collides.
    async fn attempt(&self, what: Reprocessing<'_>) -> Result<Reprocessed, StoreError> {
        for _ in 1..TRIES {
            match self.store.reprocess(what, self.clock.now()).await {
                Err(StoreError::Collision(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                other => return other,
            }
        }
        self.store.reprocess(what, self.clock.now()).await
    }

    /// Reads the chosen receipts, and all others about the same addresses.
    async fn batch(&self, page: Vec<StoredReceipt>, summary: &mut Summary) -> Result<Batch, StoreError> {
        let mut batch = Batch::default();
        let ids: Vec<ReceiptId> = page.iter().map(|it| it.id).collect();
        for stored in &page {
            match self.again(stored) {
                Again::Read(incoming) => {
                    summary.read += 1;
                    batch.chosen.push(*incoming);
                    continue;
                }
                Again::NoBytes => summary.without_bytes += 1,
                Again::NoSource => summary.without_source += 1,
                Again::Failed => summary.failed += 1,
            }
            batch.unreadable.push(stored.id);
        }
        let mut whom: BTreeSet<SubjectId> = self.store.subjects_of(&ids).await?;
        whom.extend(batch.chosen.iter().flat_map(|it| &it.facts).map(|it| self.store.identity().subject(&it.address)));
        let mut others = self.store.receipts_about(&whom).await?;
        others.retain(|it| !ids.contains(it));
        for stored in self.store.receipts_of(&others).await? {
            if let Again::Read(incoming) = self.again(&stored) {
                batch.others.push(*incoming);
            }
        }
        Ok(batch)
    }

    fn again(&self, stored: &StoredReceipt) -> Again {
        let source = match self.sources.get(&stored.source) {
            Some(source) => source,
            None if stored.source == API_SOURCE => Arc::new(Source::of_messages(API_SOURCE, stored.list.clone(), &self.sources.tokens())),
            None => return Again::NoSource,
        };
        let Some(bytes) = stored.bytes() else { return Again::NoBytes };
        let arrival = Arrival {
            source,
            media_type: stored.media_type.clone(),
            bytes: bytes.into(),
            attribution: stored.attribution,
            received_at: stored.received_at,
            tokens: Vec::new(),
            list: Some(stored.list.clone()),
        };
        let read = read(&arrival, &self.rules, self.max_fact_age);
        let mut incoming = read.incoming.unwrap_or_else(|| interpret::receipt(&arrival, ReceiptState::Processed, None));
        if incoming.state == ReceiptState::Quarantined {
            return Again::Failed;
        }
        // They are stored already.
        incoming.body = Vec::new();
        incoming.id = stored.id;
        Again::Read(Box::new(incoming))
    }
}

/// Receipts of one transaction.
#[derive(Default)]
struct Batch {
    chosen: Vec<Incoming>,
    others: Vec<Incoming>,
    unreadable: Vec<ReceiptId>,
}

impl Summary {
    /// Adds what one batch did. An address may be in several; what counts is what held before the first and after the last.
    fn add(&mut self, done: Reprocessed, differences: &mut BTreeMap<(SubjectId, String, Cause), Difference>) {
        self.other_state += done.receipts;
        self.new += done.new;
        self.changed += done.changed;
        self.withdrawn += done.withdrawn;
        for one in done.differences {
            let known = differences.entry((one.subject, one.list.clone(), one.cause));
            known.and_modify(|it| it.after.clone_from(&one.after)).or_insert(one);
        }
    }
}

impl Chosen {
    /// Those of a selection, from the first on.
    #[must_use]
    pub fn all(which: Selection, actor: &str) -> Self {
        Self { which, after: None, actor: actor.to_owned() }
    }
}

impl Summary {
    /// Whether anything is, or would be, another than before.
    #[must_use]
    pub const fn changes_anything(&self) -> bool {
        self.other_state + self.new + self.changed + self.withdrawn + self.differences.len() > 0
    }
}
