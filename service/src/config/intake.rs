//! Intake: how much waits, how much is committed at once, and how old a fact may be.

use std::time::Duration;

use super::problem::Checks;
use super::read::section;
use super::values::Size;

section! {
    /// `[intake]`: the bounded queue in front of the database and its batches.
    pub struct IntakeConfig {
        /// Receipts that may wait; one more is told to come again.
        pub queue: usize = 1024,
        /// Bytes of all receipts that are being read or wait; what comes on top is told to come again.
        pub queue_bytes: Size = Size(256 << 20),
        /// Most receipts in one transaction.
        pub batch: usize = 64,
        /// Transactions at once; SQLite has one.
        pub batches_at_once: usize = 2,
        /// Time one batch has to commit before its senders are told to come again.
        pub commit_timeout: Duration = Duration::from_secs(10),
        /// Facts older than this are recorded but count for nothing.
        pub max_fact_age: Duration = Duration::from_hours(90 * 24),
        /// How long the token of a signed return path holds.
        pub token_max_age: Duration = Duration::from_hours(30 * 24),
    }
}

impl IntakeConfig {
    pub(super) fn validate(&self, checks: &mut Checks) {
        checks.within("intake.queue", self.queue, 1..=1_000_000);
        checks.size("intake.queue_bytes", self.queue_bytes, Size(1 << 20)..=Size(1 << 40));
        checks.within("intake.batch", self.batch, 1..=10_000);
        checks.positive("intake.commit_timeout", self.commit_timeout);
        checks.positive("intake.max_fact_age", self.max_fact_age);
        checks.positive("intake.token_max_age", self.token_max_age);
        checks.within("intake.batches_at_once", self.batches_at_once, 1..=64);
    }
}
