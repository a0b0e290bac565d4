//! Retention: how long what came in, and what was read from it, is kept.

use std::time::Duration;

use bounce::classify::reason::Reason;
use bounce::policy::Policy;

use super::Config;
use super::policy::PolicyOverrides;
use super::problem::Checks;
use super::read::section;

/// A day.
const DAY: u64 = 24;

section! {
    /// `[retention]`: how long things are kept. What is not set is kept for good.
    pub struct RetentionConfig {
        /// The raw bytes of receipts that were understood.
        pub receipts: Option<Duration> = Some(Duration::from_hours(90 * DAY)),
        /// The raw bytes of receipts that were not understood, or could not be read.
        pub quarantine: Option<Duration> = Some(Duration::from_hours(30 * DAY)),
        /// Events on which nothing rests that a list says.
        pub events: Option<Duration> = Some(Duration::from_hours(730 * DAY)),
        /// Previews of imports, lines that imports refused, and what is left of imports that were undone.
        pub imports: Option<Duration> = Some(Duration::from_hours(90 * DAY)),
    }
}

impl RetentionConfig {
    pub(super) fn validate(&self, config: &Config, checks: &mut Checks) {
        for (key, value) in [
            ("retention.receipts", self.receipts),
            ("retention.quarantine", self.quarantine),
            ("retention.events", self.events),
            ("retention.imports", self.imports),
        ] {
            if let Some(value) = value {
                checks.positive(key, value);
            }
        }
        // Else an event could go while a failure that comes later would still have to be counted together with it.
        let Some(events) = self.events else { return };
        checks.at_most("intake.max_fact_age", config.intake.max_fact_age, events, "retention.events");
        let mut windows = |policy: &PolicyOverrides, at: &str| {
            for (reason, it) in policy {
                if let Some(window) = it.window {
                    checks.at_most(&format!("{at}policy.{reason}.window"), window, events, "retention.events");
                }
            }
        };
        windows(&with_defaults(&config.policy), "");
        for (at, list) in config.lists.iter().enumerate() {
            windows(&list.policy, &format!("list[{at}]."));
        }
    }
}

/// The windows in force where a list has none of its own: what is overridden, and the default of every other reason that counts.
fn with_defaults(overrides: &PolicyOverrides) -> PolicyOverrides {
    let policy = Policy::default();
    let mut all = overrides.clone();
    for reason in Reason::ALL {
        let default = policy.of(*reason);
        let it = all.entry(*reason).or_default();
        if it.counts.unwrap_or(default.counts) {
            it.window = it.window.or_else(|| default.window.try_into().ok());
        }
    }
    all
}
