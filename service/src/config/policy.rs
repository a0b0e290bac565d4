//! Overrides of the policy: what is written here replaces the built-in row of that reason, key by key.

use std::collections::BTreeMap;
use std::time::Duration;

use bounce::classify::reason::Reason;

use super::problem::Checks;
use super::read::{Reader, section};
use super::show::Page;
use super::values::{Scalar, words};

section! {
    /// `[policy.<reason>]`: when failures for that reason block an address. A key that is not set keeps its default.
    pub struct PolicyOverride {
        /// Whether such failures speak against the address at all.
        pub counts: Option<bool> = None,
        /// Failures, of distinct messages on distinct days, that block it.
        pub strikes: Option<u32> = None,
        /// Time within which they must lie.
        pub window: Option<Duration> = None,
        /// Time from the first to the last of them, at least.
        pub least_span: Option<Duration> = None,
        /// How long the block holds.
        pub lifetime: Option<Lifetime> = None,
        /// Where it holds.
        pub reach: Option<Reach> = None,
    }
}

impl PolicyOverride {
    /// The keys that are set, by their names.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        let set = [
            ("counts", self.counts.is_some()),
            ("strikes", self.strikes.is_some()),
            ("window", self.window.is_some()),
            ("least_span", self.least_span.is_some()),
            ("lifetime", self.lifetime.is_some()),
            ("reach", self.reach.is_some()),
        ];
        set.into_iter().filter(|it| it.1).map(|it| it.0).collect()
    }
}

/// How long a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until somebody releases it.
    Permanent,
    /// For that time.
    For(Duration),
}

impl Scalar for Lifetime {
    const EXPECTED: &'static str = "\"permanent\" or a time with its unit";
    const EXAMPLE: &'static str = "\"90d\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        if value.as_str() == Some("permanent") { Some(Self::Permanent) } else { Duration::parse(value).map(Self::For) }
    }

    fn show(&self) -> toml::Value {
        match self {
            Self::Permanent => "permanent".into(),
            Self::For(time) => Scalar::show(time),
        }
    }
}

/// Where a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In the whole tree of lists, from its root.
    Boundary,
    /// In the list that the message was sent for, and those below it.
    List,
}

words!(Reach, "one of boundary, list", "\"list\"", ["boundary" => Reach::Boundary, "list" => Reach::List]);

/// Overrides by reason.
pub type PolicyOverrides = BTreeMap<Reason, PolicyOverride>;

pub(super) fn read(reader: &mut Reader<'_>) -> PolicyOverrides {
    let words: Vec<(&str, Reason)> = Reason::ALL.iter().map(|it| (it.as_str(), *it)).collect();
    reader.map("policy", &words)
}

pub(super) fn show(policy: &PolicyOverrides, prefix: &str, page: &mut Page) {
    for (reason, row) in policy {
        page.section(&format!("[{prefix}policy.{reason}]"), row);
    }
}

pub(super) fn validate(policy: &PolicyOverrides, prefix: &str, checks: &mut Checks) {
    for (reason, row) in policy {
        let key = |name: &str| format!("{prefix}policy.{reason}.{name}");
        if let Some(strikes) = row.strikes {
            checks.within(&key("strikes"), strikes as usize, 1..=1000);
        }
        if let Some(window) = row.window {
            checks.positive(&key("window"), window);
        }
        if let Some(Lifetime::For(time)) = row.lifetime {
            checks.positive(&key("lifetime"), time);
        }
        if let (Some(window), Some(span)) = (row.window, row.least_span) {
            checks.at_most(&key("least_span"), span, window, "the window");
        }
        if reason.fault().is_senders() && row.counts == Some(true) {
            checks.problem(
                &key("counts"),
                Some("true".to_owned()),
                "would block addresses for a fault of the sender",
                "leave it out: such failures are shown, and never block",
            );
        }
    }
}
