//! Publishing what was committed: the relay reads the outbox, publishes to `RabbitMQ` in the order of the rows, and removes a
//! row only when the broker has confirmed its message and a queue has it. At least once, with an id that stays.
//!
//! The relay takes no input but the table. A nudge after a commit makes it look at once; a timer finds what the nudge lost.
//! One relay per database is active; the others stand by for its lock. Whatever fails, it drops connection and lock and
//! starts over after a while, so that another replica, which may see more of the broker, can take over. An outage is not an
//! attempt; only a return or a nack is, and puts the message off. The order of messages is that of the rows as they were
//! found; what was put off, or committed later than what came after it, comes later, which is why messages carry a revision.

mod backoff;
mod link;
mod socket;
mod window;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::link::{Link, LinkError};
use self::window::{Outcome, Publisher, Refused};
use crate::clock::Clock;
use crate::config::{AmqpConfig, SecretUrl};
use crate::store::{ActiveLock, Pending, Place, Store, StoreError};
use crate::telemetry::{RelayState, Stage, Telemetry};

pub use self::backoff::Backoff;
pub use self::link::{Broker, Declared, ProbeError, probe};

/// Measuring takes at most this part of the time, however long the outbox has grown.
const MEASURING_SHARE: u32 = 20;
/// How often the table is told at a stop.
const TRIES: u32 = 8;
/// Groups of messages that the broker has taken and the table does not know yet; with more, publishing waits.
const UNSETTLED: usize = 16;

/// Publishes the outbox of one database.
#[derive(Debug)]
pub struct Relay {
    store: Arc<Store>,
    config: AmqpConfig,
    telemetry: Arc<Telemetry>,
    nudge: Arc<Notify>,
    clock: Clock,
    state: watch::Sender<RelayState>,
}

/// Why publishing stopped.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the outbox could not be read or written")]
    Store(#[from] StoreError),
    #[error("the broker cannot be published to")]
    Link(#[from] LinkError),
    #[error("the connection to the database that holds the relay's lock is gone")]
    LockLost,
    #[error("the database did not say within {0:?} who is the active relay (amqp.confirm_timeout)")]
    NotAsked(Duration),
    #[error("the database did not take what became of messages within {0:?} (amqp.confirm_timeout)")]
    TooSlow(Duration),
}

/// How publishing ended when nothing failed.
enum Ended {
    /// Another relay is active.
    Standby,
    /// It was told to stop.
    Stopped,
}

/// What the broker said and the table does not know yet. It outlives connections, so that a message confirmed just before
/// the database went away is not published again when it is back. The database that is back may not be the one that went: what
/// is owed names message and row.
#[derive(Debug, Default)]
struct Owed {
    done: Vec<Place>,
    refused: Vec<Refused>,
}

impl Owed {
    fn take(&mut self, outcome: Outcome) {
        self.done.extend(outcome.done);
        self.refused.extend(outcome.refused);
    }

    fn places(&self) -> Vec<Place> {
        self.done.iter().copied().chain(self.refused.iter().map(|it| it.place)).collect()
    }
}

/// Rows that were read and that the table may still hold as they were. They are not to be published again.
#[derive(Debug, Default)]
struct Known {
    rows: HashSet<Place>,
    /// Settled since the last reading began, which may have seen them as they were before.
    settled: Vec<Place>,
}

impl Known {
    /// What was settled before a reading begins it cannot see any more, or it is due again.
    fn begin_reading(&mut self) {
        for it in self.settled.drain(..) {
            self.rows.remove(&it);
        }
    }

    /// Leaves those that were not read before.
    fn retain_new(&mut self, page: &mut Vec<Pending>) {
        page.retain(|it| self.rows.insert(it.place()));
    }

    fn settled(&mut self, places: Vec<Place>) {
        self.settled.extend(places);
    }
}

/// Where in the table the next page is read.
///
/// Rows that are gone cost as much to pass as others until they are vacuumed, so the table is read from its start only now and then. Meanwhile
/// it is read from a place that was passed some time ago: what was numbered since is found whenever it is committed, and the
/// rest, which took longer or was put off, from the start.
#[derive(Debug)]
struct Bookmark {
    /// The row behind which the next page begins.
    after: i64,
    /// When reading last began at the start.
    begun: Instant,
    /// The last row seen by the time before that, by that time, and by now.
    seen: [i64; 3],
}

impl Bookmark {
    fn new() -> Self {
        Self { after: i64::MIN, begun: Instant::now(), seen: [i64::MIN; 3] }
    }

    /// The row behind which to read now.
    fn next(&mut self, often: Duration) -> i64 {
        if self.begun.elapsed() >= often {
            let [_, begun, now] = self.seen;
            self.seen = [begun, now, now];
            self.begun = Instant::now();
            self.after = i64::MIN;
        }
        self.after
    }

    /// Goes on behind a page that was full.
    fn turn(&mut self, last: i64) {
        self.see(last);
        self.after = last;
    }

    /// Begins again behind one that was not.
    fn close(&mut self, last: Option<i64>) {
        self.see(last.unwrap_or(i64::MIN));
        self.after = self.seen[0];
    }

    fn see(&mut self, last: i64) {
        self.seen[2] = self.seen[2].max(last);
    }
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// A relay that publishes when it is [run](Self::run). `nudge` is notified after each commit that may have written to
    /// the outbox.
    #[must_use]
    pub fn new(store: Arc<Store>, config: AmqpConfig, telemetry: Arc<Telemetry>, nudge: Arc<Notify>, clock: Clock) -> Self {
        let state = if config.url.is_some() { RelayState::Disconnected } else { RelayState::Off };
        Self { store, config, telemetry, nudge, clock, state: watch::Sender::new(state) }
    }

    /// What it does, now and as it changes; it stays readable after the relay has ended.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RelayState> {
        self.state.subscribe()
    }

    /// Publishes until told to stop, then waits for what is in flight, no longer than the time limits of publishing, and
    /// ends. Dropping the future instead loses nothing, but what was in flight is published again.
    pub async fn run(self, stop: CancellationToken) {
        let Some(url) = &self.config.url else {
            stop.cancelled().await;
            return;
        };
        // The metric begins at `off`, which is said of those without a broker.
        self.telemetry.relay_changed(RelayState::Disconnected);
        tokio::join!(self.relay(url, &stop), self.measure(&stop));
    }

    /// Tries to publish, again and again.
    async fn relay(&self, url: &SecretUrl, stop: &CancellationToken) {
        let mut backoff = Backoff::new(self.config.backoff_min, self.config.backoff_max);
        let mut owed = Owed::default();
        loop {
            let pause = match self.lead(url, &mut owed, &mut backoff, stop).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Standby) => {
                    self.enter(RelayState::Standby);
                    self.config.poll_interval
                }
                Err(error) => {
                    self.enter(RelayState::Disconnected);
                    self.telemetry.failed(Stage::Relay, "publishing", &error);
                    backoff.next_wait()
                }
            };
            if paused(pause, stop).await.is_none() {
                // What the broker has taken would be published again by whoever comes next.
                if let Err(error) = self.settle_at_last(&mut owed).await {
                    self.telemetry.failed(Stage::Relay, "publishing", &error);
                }
                return;
            }
        }
    }

    /// Publishes as the active relay, if no other is, until something fails.
    async fn lead(&self, url: &SecretUrl, owed: &mut Owed, backoff: &mut Backoff, stop: &CancellationToken) -> Result<Ended, RelayError> {
        self.settle(owed).await?;
        let limit = self.config.confirm_timeout;
        let locking = tokio::time::timeout(limit, self.store.relay_lock()).await;
        let Some(mut lock) = locking.map_err(|_| RelayError::NotAsked(limit))?? else { return Ok(Ended::Standby) };
        self.enter(RelayState::Disconnected);
        let Some(link) = stop.run_until_cancelled(Link::open(url, &self.config)).await else { return Ok(Ended::Stopped) };
        let link = link?;
        self.enter(RelayState::Connected);
        let ended = self.serve(&mut lock, &link, owed, backoff, stop).await;
        self.enter(RelayState::Disconnected);
        link.close().await;
        ended
    }

    /// Publishes over one connection. Three things go on at once: the next rows are read while messages are in flight, and
    /// those that the broker has taken are removed meanwhile. Whatever fails, the others come to their end in order.
    async fn serve(
        &self,
        lock: &mut ActiveLock,
        link: &Link,
        owed: &mut Owed,
        backoff: &mut Backoff,
        stop: &CancellationToken,
    ) -> Result<Ended, RelayError> {
        let halt = stop.child_token();
        let known = Mutex::new(Known::default());
        let (rows, publishable) = mpsc::channel(1);
        let (told, outcomes) = mpsc::channel(UNSETTLED);
        let publisher = Publisher { link, config: &self.config, telemetry: &self.telemetry, stop: &halt };
        let reading = async {
            let _halts = halt.clone().drop_guard();
            self.read(lock, link, &known, rows, &halt).await
        };
        let publishing = async {
            let ended = publisher.publish(publishable, &told).await;
            halt.cancel();
            // Whoever settles is to know that there is no more.
            drop(told);
            ended
        };
        let settling = self.settle_all(owed, &known, outcomes, backoff, &halt);
        let (read, published, settled) = tokio::join!(reading, publishing, settling);
        settled?;
        published?;
        read?;
        Ok(Ended::Stopped)
    }

    /// Reads ahead what is to be published. It goes through the table page by page, and begins again when it has come to the
    /// end, and now and then before: rows may appear behind it, for they are numbered before they are committed.
    async fn read(
        &self,
        lock: &mut ActiveLock,
        link: &Link,
        known: &Mutex<Known>,
        rows: mpsc::Sender<Vec<Pending>>,
        halt: &CancellationToken,
    ) -> Result<(), RelayError> {
        let mut mark = Bookmark::new();
        while !halt.is_cancelled() {
            // Listens before it reads, so that no nudge falls between the two.
            let nudged = self.nudge.notified();
            tokio::pin!(nudged);
            nudged.as_mut().enable();

            link.check()?;
            locked(known).begin_reading();
            let (after, limit) = (mark.next(self.config.poll_interval), self.config.batch as u64);
            // A connection that the network has swallowed answers nothing at all, to neither of the two.
            let asked = async { tokio::join!(lock.holds(), self.store.outbox_pending(after, limit, self.clock.now())) };
            let Ok((true, page)) = tokio::time::timeout(self.config.confirm_timeout, asked).await else {
                return Err(RelayError::LockLost);
            };
            let mut page = page?;
            let (is_full, last) = (page.len() >= self.config.batch, page.last().map(|it| it.sequence));
            locked(known).retain_new(&mut page);
            if !page.is_empty() {
                let Some(room) = self.room(lock, &rows).await? else { return Ok(()) };
                room.send(page);
            }
            match last {
                Some(last) if is_full => mark.turn(last),
                _ => mark.close(last),
            }
            if !is_full {
                tokio::select! {
                    () = nudged => {}
                    _ = paused(self.config.poll_interval, halt) => {}
                }
            }
        }
        Ok(())
    }

    /// Room for one more page, or none if nobody takes it any more. Whoever waits for it stays the active one only as long as it holds the lock.
    async fn room<'a, T>(&self, lock: &mut ActiveLock, rows: &'a mpsc::Sender<T>) -> Result<Option<mpsc::Permit<'a, T>>, RelayError> {
        loop {
            if let Ok(room) = tokio::time::timeout(self.config.poll_interval, rows.reserve()).await {
                return Ok(room.ok());
            }
            if !matches!(tokio::time::timeout(self.config.confirm_timeout, lock.holds()).await, Ok(true)) {
                return Err(RelayError::LockLost);
            }
        }
    }

    /// Tells the table what the broker says, as it comes and as much at once as there is.
    async fn settle_all(
        &self,
        owed: &mut Owed,
        known: &Mutex<Known>,
        mut outcomes: mpsc::Receiver<Outcome>,
        backoff: &mut Backoff,
        halt: &CancellationToken,
    ) -> Result<(), RelayError> {
        while let Some(first) = outcomes.recv().await {
            owed.take(first);
            while let Ok(more) = outcomes.try_recv() {
                owed.take(more);
            }
            let places = owed.places();
            if let Err(error) = self.settle(owed).await {
                // What is still in flight is owed too; it is not published again when the database is back.
                halt.cancel();
                while let Some(more) = outcomes.recv().await {
                    owed.take(more);
                }
                return Err(error);
            }
            locked(known).settled(places);
            backoff.reset();
        }
        Ok(())
    }

    /// Tells the table what the broker said. Until that has succeeded nothing more is published, so nothing that is owed
    /// is ever read again from the table.
    async fn settle(&self, owed: &mut Owed) -> Result<(), RelayError> {
        let limit = self.config.confirm_timeout;
        let settled = tokio::time::timeout(limit, self.settle_each(owed)).await;
        Ok(settled.map_err(|_| RelayError::TooSlow(limit))??)
    }

    /// The same when nobody will try again: connections of the pool may turn out to be cut, one after another.
    async fn settle_at_last(&self, owed: &mut Owed) -> Result<(), RelayError> {
        for _ in 1..TRIES {
            match self.settle(owed).await {
                Err(RelayError::Store(error)) if error.is_passing() => {}
                settled => return settled,
            }
        }
        self.settle(owed).await
    }

    async fn settle_each(&self, owed: &mut Owed) -> Result<(), StoreError> {
        if !owed.done.is_empty() {
            self.store.outbox_done(&owed.done).await?;
            owed.done.clear();
        }
        while let Some(it) = owed.refused.last() {
            let not_before = self.clock.now() + backoff::put_off(it.attempts);
            self.store.outbox_refused(it.place, &it.why, not_before).await?;
            owed.refused.pop();
        }
        Ok(())
    }

    /// Tells how full the outbox is, whatever the relay does.
    async fn measure(&self, stop: &CancellationToken) {
        loop {
            let begun = Instant::now();
            // A database that is away is told of by the relay itself.
            if let Ok(Ok(it)) = tokio::time::timeout(self.config.confirm_timeout, self.store.outbox_state()).await {
                let age = it.oldest.map(|oldest| Duration::try_from(self.clock.now() - oldest).unwrap_or_default());
                self.telemetry.outbox_measured(it.depth, age);
            }
            let pause = self.config.poll_interval.max(begun.elapsed() * MEASURING_SHARE);
            if paused(pause, stop).await.is_none() {
                return;
            }
        }
    }

    fn enter(&self, state: RelayState) {
        let changed = self.state.send_if_modified(|it| std::mem::replace(it, state) != state);
        if changed {
            self.telemetry.relay_changed(state);
        }
    }
}

/// Lets time pass; `None` if told to stop meanwhile.
async fn paused(pause: Duration, stop: &CancellationToken) -> Option<()> {
    stop.run_until_cancelled(tokio::time::sleep(pause)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn pages_follow_each_other_until_one_is_not_full() {
        let mut mark = Bookmark::new();
        assert_eq!(mark.next(LONG), i64::MIN);
        mark.turn(10);
        assert_eq!(mark.next(LONG), 10);
        mark.close(Some(15));
        assert_eq!(mark.next(LONG), i64::MIN, "nothing was passed long ago");
    }

    #[test]
    fn what_was_numbered_since_the_last_look_but_one_is_in_reach() {
        let mut mark = Bookmark::new();
        mark.close(Some(10));
        assert_eq!(mark.next(NOW), i64::MIN, "the start is due");
        mark.close(Some(20));
        assert!(mark.next(LONG) < 10, "what is numbered below 10 may have been committed just now");
        assert_eq!(mark.next(NOW), i64::MIN);
        mark.close(Some(30));
        assert_eq!(mark.next(LONG), 10);
        mark.close(None);
        assert_eq!(mark.next(LONG), 10);
    }

    #[test]
    fn a_long_table_is_begun_again_before_its_end() {
        let mut mark = Bookmark::new();
        mark.turn(500);
        assert_eq!(mark.next(NOW), i64::MIN);
        mark.turn(500);
        assert_eq!(mark.next(LONG), 500);
    }
}
