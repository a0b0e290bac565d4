//! Counts, and what they come to. A rate without anything to count is not there, rather than nought or a hundred.

use serde::{Deserialize, Serialize};

/// What was counted over some messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Messages.
    pub messages: u32,
    /// Recipients that have to be reported.
    pub due: u32,
    /// Of these: reported.
    pub found: u32,
    /// Recipients that should not have been reported.
    pub extra: u32,
    /// Of those due: with the right outcome.
    pub outcome_right: u32,
    /// Recipients where suppressing is plainly right or plainly wrong.
    pub suppression_due: u32,
    /// Of these: rightly suppressed or left alone.
    pub suppression_right: u32,
    /// Recipients that would be suppressed and must not be.
    pub wrongly_suppressed: u32,
    /// Recipients that should be suppressed and would not be.
    pub missed: u32,
    /// Recipients due whose status is known.
    pub status_due: u32,
    /// Of these: right.
    pub status_right: u32,
    /// Recipients found whose coarse reason is known.
    pub coarse_due: u32,
    /// Of these: right.
    pub coarse_right: u32,
    /// Recipients found whose reason is known in our words.
    pub reason_due: u32,
    /// Of these: right.
    pub reason_right: u32,
    /// Messages of which nothing may be claimed.
    pub negatives: u32,
    /// Of these: left alone.
    pub negatives_right: u32,
}

impl Tally {
    /// How many of the reported recipients are right.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        rate(self.found, self.found + self.extra)
    }

    /// How many of the recipients due were reported.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        rate(self.found, self.due)
    }

    /// How many of the recipients due have the right outcome.
    #[must_use]
    pub fn outcome(&self) -> Option<f64> {
        rate(self.outcome_right, self.due)
    }

    /// How many of the recipients due have the right status, where it is known.
    #[must_use]
    pub fn status(&self) -> Option<f64> {
        rate(self.status_right, self.status_due)
    }

    /// How many of the recipients found have the right coarse reason, where it is known.
    #[must_use]
    pub fn coarse_reason(&self) -> Option<f64> {
        rate(self.coarse_right, self.coarse_due)
    }

    /// How many of the recipients found have the right reason, where it is known in our words.
    #[must_use]
    pub fn reason(&self) -> Option<f64> {
        rate(self.reason_right, self.reason_due)
    }

    /// How many of the recipients reported would be suppressed and must not be.
    #[must_use]
    pub fn wrong_suppression(&self) -> Option<f64> {
        rate(self.wrongly_suppressed, self.found + self.extra)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.due += other.due;
        self.found += other.found;
        self.extra += other.extra;
        self.outcome_right += other.outcome_right;
        self.suppression_due += other.suppression_due;
        self.suppression_right += other.suppression_right;
        self.wrongly_suppressed += other.wrongly_suppressed;
        self.missed += other.missed;
        self.status_due += other.status_due;
        self.status_right += other.status_right;
        self.coarse_due += other.coarse_due;
        self.coarse_right += other.coarse_right;
        self.reason_due += other.reason_due;
        self.reason_right += other.reason_right;
        self.negatives += other.negatives;
        self.negatives_right += other.negatives_right;
    }
}

fn rate(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}
