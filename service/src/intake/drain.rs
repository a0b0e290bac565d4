//! Emptying the spool. Whoever looks after the database tries again and again whether it is back, with growing pauses, and then commits
//! what waits, the oldest first, the way everything else is: read anew, queued, committed in batches. A file is taken out
//! only when the last of its receipts is committed or set aside, so whatever happens in between only brings some once more.
//!
//! The first receipts are also the test whether the database does more than answer: until one is committed, what comes in
//! still goes to the spool. A receipt that fails by itself goes behind the others and is tried after growing waits; it never holds them up.
//! It is set aside once it has failed several times while others were committed. Where there are no others, the database is asked to
//! commit something else: one that does is not the reason, unless the error says that it is everybody's. What fails as if the database
//! were away, though that answers, is taken for an outage when it happens to several in a row, and until then for one receipt's own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shelter::{Shelter, note};
use super::{Arrival, Intake, IntakeError, Source, Sources, Waiting};
use crate::config::API_SOURCE;
use crate::spool::{Aside, Batch, Content, Entry, Found, SpoolError};
use crate::store::{Accepted, ReceiptId, ReceiptState, Store, StoreError};
use crate::telemetry::{Drained, Stage};

/// How often the folder is looked at while nothing is known to wait: other processes may put something in.
const LOOK: Duration = Duration::from_secs(5);
/// First wait after a failure, doubled each time up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// Files taken on after one look.
const FILES: usize = 1000;
/// Receipts read and handed to the committer at once.
const TOGETHER: usize = 64;
/// Times a receipt may fail by itself, while others are committed, before it is set aside.
const TRIALS: u32 = 3;
/// The same with an error that would be everybody's if others were not committed; and it must have failed for `spool.set_aside_after`,
/// for somebody may hold a lock, or have taken a right away.
const TRIALS_IN_DOUBT: u32 = 5;
/// The same where there are no others, only a database that commits something else.
const TRIALS_ALONE: u32 = 7;
/// Longest wait before a receipt that failed is tried again.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Receipts in a row that fail as if the database were away, from which it is, whatever it answers.
const OUTAGE: u32 = 3;

/// Empties the spool of an intake.
#[derive(Debug)]
pub struct Drain {
    intake: Intake,
    shelter: Shelter,
    sources: Sources,
    store: Arc<Store>,
    /// Receipts that failed by themselves.
    trials: HashMap<ReceiptId, Trial>,
    /// How long one may fail as if the database were away while others are committed.
    set_aside_after: Duration,
    /// How many in a row have failed as if the database were away.
    in_a_row: u32,
}

/// How often a receipt has failed, how many commits there had been when it first did, and when to try it again.
#[derive(Debug, Clone, Copy)]
struct Trial {
    failures: u32,
    commits: u64,
    since: Instant,
    not_before: Instant,
}

/// Why emptying stopped for now.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error("the database is away")]
    Away,
    #[error("the service is stopping")]
    Stopping,
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nothing waits any more.
    Empty,
    /// Something waits that has failed.
    Left,
}

/// What became of the receipts of one file.
#[derive(Debug, Default)]
struct Sorted {
    done: usize,
    held: Vec<Entry>,
    failed: Vec<Entry>,
    left: Vec<Entry>,
}

type Committed = Result<Option<(Accepted, ReceiptState)>, IntakeError>;

impl Intake {
    /// Whoever empties its spool, if it has one.
    #[must_use]
    pub fn drain(&self, store: Arc<Store>, sources: Sources, set_aside_after: Duration) -> Option<Drain> {
        let shelter = self.shelter.clone()?;
        Some(Drain { intake: self.clone(), shelter, sources, store, trials: HashMap::new(), in_a_row: 0, set_aside_after })
    }
}

impl Drain {
    /// Empties the spool whenever there is something in it and the database takes it, until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = FIRST_WAIT;
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.round() => round,
            };
            let pause = match round {
                Ok(Round::Empty) => {
                    wait = FIRST_WAIT;
                    None
                }
                Ok(Round::Left) | Err(DrainError::Away) => Some(wait),
                Err(DrainError::Stopping) => return,
                Err(DrainError::Spool(error)) => {
                    self.shelter.spool.tell(&error);
                    Some(wait)
                }
            };
            if pause.is_some() {
                wait = (wait * 2).min(LAST_WAIT);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause.unwrap_or(LOOK)) => {}
                // After a failure there is no hurry.
                () = self.shelter.presence.doubted(), if pause.is_none() => {
                    if !self.answers().await {
                        self.found(Found::Away);
                    }
                }
            }
        }
    }

    /// Commits what waits, file by file.
    async fn round(&mut self) -> Result<Round, DrainError> {
        if !self.shelter.presence.is_there() && !self.answers().await {
            return Err(DrainError::Away);
        }
        loop {
            let batches = self.shelter.spool.oldest(FILES).await?;
            if batches.is_empty() {
                self.found(Found::There);
                self.trials.clear();
                return Ok(Round::Empty);
            }
            let mut round = Round::Empty;
            for batch in &batches {
                match self.file(batch).await {
                    Ok(Round::Empty) => {}
                    Ok(Round::Left) => round = Round::Left,
                    // What the disk does to one file must not hold up the others.
                    Err(DrainError::Spool(error)) => {
                        self.shelter.spool.tell(&error);
                        round = Round::Left;
                    }
                    Err(error) => return Err(error),
                }
            }
            if round == Round::Left {
                // Nothing that waits can be committed; what comes in need not wait for it.
                if !self.shelter.presence.is_there() && self.commits().await {
                    self.found(Found::There);
                }
                return Ok(round);
            }
        }
    }

    /// Commits the receipts of one file.
    async fn file(&mut self, batch: &Batch) -> Result<Round, DrainError> {
        let Content { entries, damaged } = self.shelter.spool.read(batch).await?;
        let mut sorted = Sorted::default();
        let mut ready = Vec::with_capacity(entries.len());
        let mut tried = Vec::new();
        let now = Instant::now();
        for entry in entries {
            match (self.arrival(&entry).await?, self.trials.get(&entry.id)) {
                (Some(_), Some(trial)) if now < trial.not_before => sorted.left.push(entry),
                (Some(arrival), Some(_)) => tried.push((entry, arrival)),
                (Some(arrival), None) => ready.push((entry, arrival)),
                (None, _) => sorted.held.push(entry),
            }
        }
        while !ready.is_empty() {
            let rest = ready.split_off(ready.len().min(TOGETHER));
            self.take(std::mem::replace(&mut ready, rest), &mut sorted).await?;
        }
        for one in tried {
            self.take(vec![one], &mut sorted).await?;
        }
        self.clear_up(batch, damaged, sorted).await
    }

    /// The arrival that an entry was; `None` when its source or list is not configured.
    async fn arrival(&mut self, entry: &Entry) -> Result<Option<Arrival>, DrainError> {
        let list = match &entry.list {
            None => None,
            Some(name) => match self.store.list(name).await {
                Ok(list) => Some(list),
                Err(StoreError::UnknownList(_)) => return Ok(None),
                Err(_) => return Err(self.away()),
            },
        };
        let source = match (self.sources.get(&entry.source), &list) {
            (Some(source), _) => source,
            (None, Some(list)) if entry.source == API_SOURCE => {
                Arc::new(Source::of_messages(API_SOURCE, list.clone(), &self.sources.tokens()))
            }
            (None, _) => return Ok(None),
        };
        Ok(Some(Arrival {
            source,
            media_type: entry.media_type.clone(),
            bytes: entry.bytes.clone(),
            attribution: entry.attribution,
            received_at: entry.received_at,
            tokens: entry.tokens.clone(),
            list,
        }))
    }

    /// Commits some receipts together, and those that fail one by one.
    async fn take(&mut self, some: Vec<(Entry, Arrival)>, sorted: &mut Sorted) -> Result<(), DrainError> {
        let alone = some.len() == 1;
        for ((entry, arrival), committed) in self.commit(some).await? {
            let error = match committed {
                Ok(taken) => {
                    self.taken(&entry, taken.as_ref(), sorted);
                    continue;
                }
                Err(IntakeError::Stopping) => return Err(DrainError::Stopping),
                Err(error) => error,
            };
            // One that does not even answer is away, whatever was to be committed.
            if error.is_of_all() && !self.answers().await {
                return Err(self.away());
            }
            if alone {
                self.failed(entry, &error, sorted).await?;
            } else {
                Box::pin(self.take(vec![(entry, arrival)], sorted)).await?;
            }
        }
        Ok(())
    }

    /// Reads receipts and waits until the committer has taken each, or not.
    async fn commit(&self, some: Vec<(Entry, Arrival)>) -> Result<Vec<((Entry, Arrival), Committed)>, DrainError> {
        let intake = self.intake.clone();
        let read = move || some.into_iter().map(|(entry, arrival)| (intake.read(&arrival).incoming, (entry, arrival))).collect::<Vec<_>>();
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| DrainError::Stopping)?;
        let mut waiting = Vec::with_capacity(read.len());
        for (incoming, one) in read {
            let Some(mut incoming) = incoming else {
                waiting.push((one, None));
                continue;
            };
            incoming.id = one.0.id;
            let share = self.intake.share_of(&one.1);
            let room = self.intake.room.clone().acquire_many_owned(share).await.map_err(|_| DrainError::Stopping)?;
            let (done, committed) = oneshot::channel();
            let waits = Waiting { incoming, since: Instant::now(), done, room };
            self.intake.queue.send(waits).await.map_err(|_| DrainError::Stopping)?;
            waiting.push((one, Some(committed)));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for (one, committed) in waiting {
            let answer = match committed {
                Some(committed) => committed.await.unwrap_or(Err(IntakeError::Stopping)).map(Some),
                // Today's reader finds nothing in it that is to be recorded.
                None => Ok(None),
            };
            answers.push((one, answer));
        }
        Ok(answers)
    }

    fn taken(&mut self, entry: &Entry, taken: Option<&(Accepted, ReceiptState)>, sorted: &mut Sorted) {
        sorted.done += 1;
        self.in_a_row = 0;
        self.trials.remove(&entry.id);
        self.shelter.presence.committed();
        self.found(Found::There);
        let outcome = match taken {
            Some((Accepted::Duplicate { receipt }, _)) if *receipt != entry.id => Drained::Duplicate,
            Some((Accepted::Replayed, _)) => Drained::Replayed,
            _ => Drained::Recorded,
        };
        self.intake.telemetry.spool_drained(outcome, &entry.source, entry.id.0);
    }

    /// One receipt failed by itself. Whether it is at fault shows by what becomes of others.
    async fn failed(&mut self, entry: Entry, error: &IntakeError, sorted: &mut Sorted) -> Result<(), DrainError> {
        let is_own = !error.is_of_all();
        if is_own {
            self.found(Found::There);
        } else {
            self.in_a_row += 1;
        }
        let commits = self.shelter.presence.commits();
        let now = Instant::now();
        let trial = self.trials.entry(entry.id).or_insert(Trial { failures: 0, commits, since: now, not_before: now });
        trial.failures += 1;
        trial.not_before = now + (FIRST_WAIT * 2_u32.saturating_pow(trial.failures.min(16))).min(LONGEST_WAIT);
        let Trial { failures, commits: before, since, .. } = *trial;
        let is_at_fault = match (is_own, commits > before) {
            (true, true) => failures >= TRIALS,
            (true, false) => failures >= TRIALS_ALONE && self.commits().await,
            (false, true) => failures >= TRIALS_IN_DOUBT && now.duration_since(since) >= self.set_aside_after,
            (false, false) => false,
        };
        self.intake.telemetry.failed(Stage::Spool, "committing a receipt of the spool", error);
        if is_at_fault {
            self.trials.remove(&entry.id);
            sorted.failed.push(entry);
        } else {
            sorted.left.push(entry);
        }
        if self.in_a_row >= OUTAGE { Err(self.away()) } else { Ok(()) }
    }

    /// Sets aside what is not to be tried again, and takes the file out unless all of it is.
    async fn clear_up(&self, batch: &Batch, damaged: usize, sorted: Sorted) -> Result<Round, DrainError> {
        let Sorted { done, held, failed, left } = sorted;
        let round = if left.is_empty() { Round::Empty } else { Round::Left };
        let is_as_it_was = done + held.len() + failed.len() + damaged == 0;
        let now = Instant::now();
        let is_waiting = |it: &Entry| self.trials.get(&it.id).is_some_and(|it| it.failures == 1 && now < it.not_before);
        // What has failed for the first time goes behind the others.
        if round == Round::Left && is_as_it_was && !left.iter().any(is_waiting) {
            return Ok(round);
        }
        for (aside, outcome, entries) in [(Aside::Held, Drained::Held, held), (Aside::Failed, Drained::Failed, failed)] {
            if entries.is_empty() {
                continue;
            }
            let told: Vec<_> = entries.iter().map(|it| (it.source.clone(), it.id.0)).collect();
            self.shelter.spool.set_aside(aside, entries).await?;
            for (source, id) in told {
                self.intake.telemetry.spool_drained(outcome, &source, id);
            }
        }
        if !left.is_empty() {
            self.shelter.spool.put_back(left).await?;
        }
        self.shelter.spool.done(batch, damaged).await?;
        self.intake.telemetry.spool_damaged(damaged);
        Ok(round)
    }

    /// Whether the database answers within the time that it has for a receipt.
    async fn answers(&self) -> bool {
        matches!(tokio::time::timeout(self.shelter.patience, self.store.ping()).await, Ok(Ok(())))
    }

    /// Whether the database commits something that has nothing to do with any receipt.
    async fn commits(&self) -> bool {
        matches!(tokio::time::timeout(self.shelter.patience, self.store.try_commit()).await, Ok(Ok(())))
    }

    fn away(&mut self) -> DrainError {
        self.in_a_row = 0;
        self.found(Found::Away);
        DrainError::Away
    }

    fn found(&self, found: Found) {
        note(&self.shelter.presence, found, &self.intake.telemetry);
    }
}
