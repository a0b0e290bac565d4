//! What was promised, and whether it was kept: for each post what was answered and when, for each event when it came out of the queue; at
//! the end the database is read and each acknowledged event must be there once, each refused one not at all, and each
//! acknowledged one must have come out of the queue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use hdrhistogram::Histogram;
use serde::Serialize;
use sqlx::PgPool;

use crate::drive::histogram;
use crate::posts;

/// How long an acknowledged event may take into the database.
const PATIENCE: Duration = Duration::from_mins(1);

const ACCEPTED: u8 = 1;
const REFUSED: u8 = 2;
/// The connection broke: it may be in or not.
const UNKNOWN: u8 = 3;

/// The book.
#[derive(Debug)]
pub(crate) struct Ledger {
    epoch: Instant,
    events: u64,
    answers: Vec<AtomicU8>,
    /// When a post was acknowledged, and when an event came out of the queue: microseconds of the epoch, 0 for not yet.
    accepted: Vec<AtomicU64>,
    published: Vec<AtomicU64>,
}

/// What the book says against the database and the queue. All but the first two should be nought.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Balance {
    /// Events acknowledged.
    pub(crate) acknowledged: u64,
    /// Events of posts of which nobody knows, for the connection broke.
    pub(crate) unknown: u64,
    /// Acknowledged, and not in the database.
    pub(crate) lost: u64,
    /// In the database more than once.
    pub(crate) doubled: u64,
    /// Refused, and yet in the database.
    pub(crate) stray: u64,
    /// Acknowledged, and not seen on the queue.
    pub(crate) unpublished: u64,
}

impl Balance {
    pub(crate) const fn is_even(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.stray == 0 && self.unpublished == 0
    }

    pub(crate) fn told(&self) -> String {
        format!(
            "{} events acknowledged, {} unknown; lost {}, doubled {}, refused and yet there {}, not published {}",
            self.acknowledged, self.unknown, self.lost, self.doubled, self.stray, self.unpublished
        )
    }
}

impl Ledger {
    pub(crate) fn new(posts: u64, events: u64) -> Self {
        let many = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        let times = |it| std::iter::repeat_with(AtomicU64::default).take(many(it)).collect();
        Self {
            epoch: Instant::now(),
            events,
            answers: std::iter::repeat_with(AtomicU8::default).take(many(posts)).collect(),
            accepted: times(posts),
            published: times(posts * events),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    pub(crate) fn answered(&self, post: u64, status: Option<u16>) {
        let Ok(at) = usize::try_from(post) else { return };
        let answer = match status {
            Some(200..300) => ACCEPTED,
            Some(_) => REFUSED,
            None => UNKNOWN,
        };
        if let (Some(it), Some(accepted)) = (self.answers.get(at), self.accepted.get(at)) {
            accepted.store(self.now(), Ordering::Relaxed);
            it.store(answer, Ordering::Relaxed);
        }
    }

    /// An event came out of the queue.
    pub(crate) fn published(&self, event: u64) {
        let Some(it) = usize::try_from(event).ok().and_then(|it| self.published.get(it)) else { return };
        let _ = it.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    fn posts_with(&self, answer: u8) -> impl Iterator<Item = usize> {
        let is = move |it: &AtomicU8| it.load(Ordering::Relaxed) == answer;
        self.answers.iter().enumerate().filter(move |(_, it)| is(it)).map(|(at, _)| at)
    }

    /// Posts that were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.posts_with(ACCEPTED).count() as u64
    }

    /// Events acknowledged and not yet seen on the queue.
    pub(crate) fn unpublished(&self) -> u64 {
        self.latencies().filter(Option::is_none).count() as u64
    }

    /// From acknowledged to seen on the queue, for each acknowledged event: microseconds.
    fn latencies(&self) -> impl Iterator<Item = Option<u64>> {
        let events = usize::try_from(self.events).unwrap_or(1);
        self.posts_with(ACCEPTED).flat_map(move |post| (0..events).map(move |it| (post, post * events + it))).map(|(post, event)| {
            let accepted = self.accepted.get(post)?.load(Ordering::Relaxed);
            let published = self.published.get(event)?.load(Ordering::Relaxed);
            (published > 0).then(|| published.saturating_sub(accepted))
        })
    }

    /// The same as a histogram.
    pub(crate) fn publication(&self) -> anyhow::Result<Histogram<u64>> {
        let mut all = histogram()?;
        self.latencies().flatten().for_each(|it| all.saturating_record(it.max(1)));
        Ok(all)
    }

    /// Balances the book, once what was acknowledged by way of the spool had its time to get into the database. What was not
    /// to be published is not asked of the queue.
    pub(crate) async fn balance(&self, run: u32, pool: &PgPool, is_published: Published) -> anyhow::Result<Balance> {
        let by = Instant::now() + PATIENCE;
        loop {
            let balance = self.read(run, pool, is_published).await?;
            if balance.lost == 0 || Instant::now() > by {
                return Ok(balance);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn read(&self, run: u32, pool: &PgPool, is_published: Published) -> anyhow::Result<Balance> {
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        let sql = "select s.address from event e join subject s on s.id = e.subject_id where e.merged_into is null and s.address like $1";
        let mut rows = sqlx::query_scalar::<_, String>(sql).bind(format!("l{run}x%")).fetch(pool);
        while let Some(address) = rows.try_next().await? {
            *found.entry(posts::number(run, &address).context("an address of nobody")?).or_default() += 1;
        }
        let mut balance = Balance { doubled: found.values().filter(|it| **it > 1).count() as u64, ..Balance::default() };
        for (post, answer) in self.answers.iter().enumerate() {
            for event in 0..self.events {
                let is_there = found.contains_key(&(post as u64 * self.events + event));
                match answer.load(Ordering::Relaxed) {
                    ACCEPTED => {
                        balance.acknowledged += 1;
                        balance.lost += u64::from(!is_there);
                    }
                    UNKNOWN => balance.unknown += 1,
                    _ => balance.stray += u64::from(is_there),
                }
            }
        }
        if is_published == Published::Expected {
            balance.unpublished = self.unpublished();
        }
        Ok(balance)
    }
}

/// Whether the queue is asked too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    Expected,
    NotExpected,
}
