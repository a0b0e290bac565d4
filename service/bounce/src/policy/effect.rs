//! What each fact did on the way to what lists say: the answer to "why", told by the same fold that decides.

use time::{Duration, OffsetDateTime};

use super::{Cause, ListKey};

crate::vocabulary! {
    /// Why a fact did nothing.
    pub enum Ignored, "ignored" {
        /// Nothing of its kind speaks against an address: a delay, an answer, a refusal of the message.
        NoFailure = "no_failure",
        /// It is recorded only: it was too old when it came, or its source is not believed.
        NoWeight = "no_weight",
        /// By the policy its reason does not count against an address.
        NotCounted = "not_counted",
        /// Another failure for the same reason was that day's strike.
        SameDay = "same_day",
        /// Of a delivery: the message bounced after all.
        Bounced = "bounced",
    }
}

/// How far soft failures have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Days with a strike within the window.
    pub strikes: u32,
    /// Strikes that block.
    pub of: u32,
    /// From the first to the last.
    pub span: Duration,
    /// How far apart they must lie.
    pub least_span: Duration,
}

/// What a fact did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Ignored(Ignored),
    /// It counted, and more are needed.
    Strike(Count),
    /// It put a cause, or made one surer or longer.
    Put {
        /// Where.
        list: ListKey,
        /// Which.
        cause: Cause,
        /// Whether another day must confirm it.
        provisional: bool,
        /// Until when.
        expires_at: Option<OffsetDateTime>,
        /// Of a soft cause: the strikes that led to it.
        count: Option<Count>,
    },
    /// What it says stands already, as sure and for as long.
    Stands {
        /// Where.
        list: ListKey,
        /// Which.
        cause: Cause,
    },
    /// It lifted causes; none, if none of the kind stood.
    Lifted(Vec<(ListKey, Cause)>),
}

/// A fact and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Place of the fact among those that were given.
    pub index: usize,
    /// What it did.
    pub effect: Effect,
}
