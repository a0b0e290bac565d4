//! What lists say about an address, as a fold over what is known of it. [`decide`] is pure and has no clock: sorted by time
//! and key, the same facts in any order and with any repetition end in the same standings. Nothing here counts on what
//! the lists said before.

mod effect;
mod fold;
mod settled;
mod streak;
mod table;

use time::OffsetDateTime;

use crate::classify::reason::Reason;
use crate::kind::{BounceType, Kind};

pub use effect::{Count, Effect, Ignored, Step};
pub use fold::{decide, explain};
pub use settled::{Settled, changes_nothing};
pub use table::{Policy, PolicyError, Reach, ReasonPolicy};

crate::vocabulary! {
    /// Why an address stands on a list. One row per cause, so that facts stand side by side.
    pub enum Cause, "cause" {
        /// The address does not work.
        Hard = "hard",
        /// Too many soft failures.
        Soft = "soft",
        /// The person called it spam.
        Complaint = "complaint",
        /// The person left.
        Unsubscribe = "unsubscribe",
        /// The ESP holds the address on a list of its own.
        Provider = "provider",
        /// Came with an import.
        Import = "import",
        /// A person put it there.
        ManualBlock = "manual_block",
        /// A person wants it mailed all the same.
        ManualAllow = "manual_allow",
    }
}

impl Cause {
    /// Whether facts, and not a person's hand, put and lift it.
    #[must_use]
    pub const fn is_automatic(self) -> bool {
        !matches!(self, Self::ManualBlock | Self::ManualAllow)
    }

    /// Whether it is the recipient's own will, which a plain allow does not override.
    #[must_use]
    pub const fn is_consent(self) -> bool {
        matches!(self, Self::Complaint | Self::Unsubscribe)
    }
}

crate::vocabulary! {
    /// How much a fact may do to a list, fixed when it is recorded. Least first.
    pub enum Weight, "weight" {
        /// Recorded only: too old, or from a source that is not believed.
        None = "none",
        /// May block for a few days, until another day confirms it.
        Provisional = "provisional",
        /// Counts in full.
        Full = "full",
    }
}

crate::vocabulary! {
    /// What a person did.
    pub enum Act, "act" {
        /// Put a manual block.
        Block = "block",
        /// Put a manual allow.
        Allow = "allow",
        /// Put a manual allow that overrides complaint and unsubscribe too.
        AllowConsent = "allow_consent",
        /// Took a manual block away.
        Unblock = "unblock",
        /// Took a manual allow away.
        Disallow = "disallow",
        /// Released what automatic causes had put.
        Release = "release",
        /// Imported an entry.
        Import = "import",
    }
}

impl Act {
    /// Whether it takes away rather than puts.
    #[must_use]
    pub const fn is_lifting(self) -> bool {
        matches!(self, Self::Unblock | Self::Disallow | Self::Release)
    }
}

/// Opaque id of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListKey(pub [u8; 16]);

/// Opaque id of a fact; breaks ties between facts of the same moment. The same fact has the same key wherever it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FactKey(pub [u8; 16]);

/// One thing known about an address within one boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// When it happened.
    pub at: OffsetDateTime,
    /// Its key.
    pub key: FactKey,
    /// The list it was said about.
    pub list: ListKey,
    /// What it is.
    pub matter: Matter,
}

/// What a fact is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matter {
    /// A recorded event.
    Event {
        /// What happened.
        kind: Kind,
        /// Hard or soft, of a bounce.
        bounce_type: Option<BounceType>,
        /// Why.
        reason: Option<Reason>,
        /// How much it may do.
        weight: Weight,
        /// When its first copy was received. The dates of a mail that anyone could have written are as easily forged as the rest
        /// of it, so days are counted by this where the weight is provisional.
        received: OffsetDateTime,
        /// Keys of the message it is about.
        messages: Vec<FactKey>,
    },
    /// A message arrived.
    Delivery {
        /// Keys of the message.
        messages: Vec<FactKey>,
    },
    /// A person acted.
    Act(Deed),
    /// A list that was imported says so. Its age does not matter: lists are imported for what happened long ago.
    Import(Imported),
}

/// What a person did, with all that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// What.
    pub act: Act,
    /// Of a release: the one automatic cause that is meant; all of them if none is named.
    pub cause: Option<Cause>,
    /// Of what is put: until when; `None` is for good.
    pub expires_at: Option<OffsetDateTime>,
}

impl From<Act> for Deed {
    fn from(act: Act) -> Self {
        Self { act, cause: None, expires_at: None }
    }
}

impl Deed {
    /// Whether it lifts that cause where it stands.
    #[must_use]
    pub fn lifts(&self, cause: Cause) -> bool {
        match self.act {
            Act::Release => cause.is_automatic() && self.cause.is_none_or(|it| it == cause),
            Act::Unblock => cause == Cause::ManualBlock,
            Act::Disallow => cause == Cause::ManualAllow,
            Act::Block | Act::Allow | Act::AllowConsent | Act::Import => false,
        }
    }
}

/// What an imported list says of an address. It stands where the fact says, whatever its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Why the address stands there.
    pub cause: Cause,
    /// The reason, if the list knows it.
    pub reason: Option<Reason>,
    /// Whether another day must confirm it; needs an end.
    pub provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Until when; `None` is for good.
    pub expires_at: Option<OffsetDateTime>,
}

/// What a list says about an address for one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub list: ListKey,
    /// Why.
    pub cause: Cause,
    /// The reason of the deciding fact.
    pub reason: Option<Reason>,
    /// The deciding fact.
    pub fact: FactKey,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when; `None` is for good.
    pub expires_at: Option<OffsetDateTime>,
    /// When a person, or for soft causes a delivery, lifted it.
    pub released_at: Option<OffsetDateTime>,
}

impl Standing {
    /// Whether it holds at that time.
    #[must_use]
    pub fn holds_at(&self, now: OffsetDateTime) -> bool {
        self.released_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests;
