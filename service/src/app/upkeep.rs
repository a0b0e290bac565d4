//! What is done every now and then: what need not be remembered any more is forgotten, what was left half done is done, and what should not stay as it is is
//! said again.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::RetentionConfig;
use crate::intake::Sources;
use crate::store::{ReceiptState, Step, Store, StoreError, SubjectId};
use crate::telemetry::{Outlived, Stage, Telemetry};
use crate::transfer::Transfers;

/// How often.
const EVERY: Duration = Duration::from_hours(1);
/// How often it is looked whether somebody has begun what nobody ends.
const RESUMED: Duration = Duration::from_mins(1);
/// How often the lists are read again, which another process may have changed.
const LISTS: Duration = Duration::from_secs(10);
/// Receipts of one step.
const RECEIPTS: u64 = 500;
/// Addresses of one step.
const SUBJECTS: u64 = 100;
/// Rows of imports of one step.
const IMPORT_ROWS: u64 = 1000;
/// Steps of one kind at a time; the next time goes on where this one stopped.
const STEPS: usize = 1000;
/// Between two steps at least, so that whoever waits for the same rows or the one writer of SQLite comes in.
const PAUSE: Duration = Duration::from_millis(20);
/// Times as long as the step took: so the walk through millions of addresses takes a tenth of the time of one connection, and not as
/// much as everybody else.
const PAUSES: u32 = 9;
/// Between two steps at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The loop that does it.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) store: Arc<Store>,
    pub(super) sources: Sources,
    pub(super) transfers: Transfers,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Clock,
    pub(super) retention: RetentionConfig,
    /// How far the walk through all addresses has come.
    pub(super) walk: Walk,
}

/// A walk through all addresses, of which one a day is enough.
#[derive(Debug, Default)]
pub(super) struct Walk {
    next: Option<SubjectId>,
    begun: Option<OffsetDateTime>,
    /// When imports were last gone through, of which once a day is enough too.
    imports: Option<OffsetDateTime>,
}

impl Upkeep {
    /// Works until told to stop, the first time at once.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let store = self.store.clone();
        // Beside the rest, which may take its time where much is old.
        let refreshing = async {
            let mut lists = tokio::time::interval(LISTS);
            lists.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(lists.tick()).await.is_some() {
                // An outage is told by whoever needs the database; what was read before stays.
                drop(tokio::time::timeout(LISTS, store.lists()).await);
            }
        };
        let (transfers, telemetry) = (self.transfers.clone(), self.telemetry.clone());
        // Until an import is undone altogether, lists go on to say some of what it said.
        let resuming = async {
            let mut ticks = tokio::time::interval(RESUMED);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                if let Err(error) = transfers.resume().await {
                    telemetry.failed(Stage::Store, "going on with undoing imports", &error);
                }
            }
        };
        let keeping = async {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                self.once(&stop).await;
            }
        };
        tokio::join!(refreshing, resuming, keeping);
    }

    async fn once(&mut self, stop: &CancellationToken) {
        let insecure = self.sources.insecure();
        if !insecure.is_empty() {
            self.telemetry.insecure(&insecure.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Err(error) = self.store.in_time(self.store.forget_tokens(self.clock.now())).await {
            self.telemetry.failed(Stage::Store, "forgetting old tokens", &error);
        }
        if let Err(error) = self.let_go(stop).await {
            self.telemetry.failed(Stage::Store, "letting go of what is old", &error);
        }
    }

    /// Lets what is old enough go.
    async fn let_go(&mut self, stop: &CancellationToken) -> Result<(), StoreError> {
        let RetentionConfig { receipts, quarantine, events, imports } = self.retention;
        self.let_go_of_receipts(&[ReceiptState::Processed], receipts, stop).await?;
        self.let_go_of_receipts(&[ReceiptState::Unrecognised, ReceiptState::Quarantined], quarantine, stop).await?;
        self.let_go_of_imports(imports, stop).await?;
        self.let_go_of_events(events, stop).await
    }

    async fn let_go_of_imports(&mut self, kept: Option<Duration>, stop: &CancellationToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(before) = kept.and_then(|it| now.checked_sub(it.try_into().ok()?)) else { return Ok(()) };
        if self.walk.imports.is_some_and(|it| now - it < time::Duration::DAY) {
            return Ok(());
        }
        for _ in 0..STEPS {
            let begun = Instant::now();
            let gone = self.store.in_time(self.store.let_go_of_imports(before, IMPORT_ROWS)).await?;
            self.telemetry.outlived(Outlived::ImportRows, usize::try_from(gone).unwrap_or(usize::MAX));
            if gone == 0 {
                self.walk.imports = Some(now);
                break;
            }
            if is_stopped_within_a_pause(begun, stop).await {
                break;
            }
        }
        Ok(())
    }

    async fn let_go_of_receipts(
        &self,
        states: &[ReceiptState],
        kept: Option<Duration>,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let Some(before) = kept.and_then(|it| self.clock.now().checked_sub(it.try_into().ok()?)) else { return Ok(()) };
        for _ in 0..STEPS {
            let begun = Instant::now();
            let gone = self.store.in_time(self.store.let_go_of_receipts(states, before, RECEIPTS)).await?;
            self.telemetry.outlived(Outlived::Bodies, gone);
            if gone == 0 || is_stopped_within_a_pause(begun, stop).await {
                break;
            }
        }
        Ok(())
    }

    async fn let_go_of_events(&mut self, kept: Option<Duration>, stop: &CancellationToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        let Some(before) = kept.and_then(|it| now.checked_sub(it.try_into().ok()?)) else { return Ok(()) };
        if self.walk.next.is_none() {
            if self.walk.begun.is_some_and(|it| now - it < time::Duration::DAY) {
                return Ok(());
            }
            self.walk.begun = Some(now);
        }
        for _ in 0..STEPS {
            let begun = Instant::now();
            let Step { next, gone } = self.store.let_go_of_events(before, self.walk.next, SUBJECTS, now).await?;
            self.telemetry.outlived(Outlived::Events, gone.events);
            self.telemetry.outlived(Outlived::Subjects, gone.subjects);
            self.walk.next = next;
            if next.is_none() || is_stopped_within_a_pause(begun, stop).await {
                break;
            }
        }
        Ok(())
    }
}

/// Pauses after a step that was begun then.
async fn is_stopped_within_a_pause(begun: Instant, stop: &CancellationToken) -> bool {
    tokio::time::timeout(pause_after(begun.elapsed()), stop.cancelled()).await.is_ok()
}

fn pause_after(step: Duration) -> Duration {
    step.saturating_mul(PAUSES).clamp(PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_a_tenth_of_the_time_at_most() {
        for step in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(20), Duration::from_secs(6)] {
            let pause = pause_after(step);
            assert!(step * 10 <= step + pause, "{step:?}");
            assert!(pause >= PAUSE, "whoever waits comes in");
        }
        assert_eq!(pause_after(Duration::from_hours(1)), LONGEST_PAUSE);
    }
}
