//! The console: whether it is there, and how long somebody stays signed in.

use std::time::Duration;

use super::problem::Checks;
use super::read::section;

section! {
    /// `[console]`: pages for people, at /console.
    pub struct ConsoleConfig {
        /// Whether the console is there.
        pub enabled: bool = true,
        /// Without a request for so long, somebody is signed out.
        pub idle_timeout: Duration = Duration::from_hours(1),
        /// After so long somebody signs in again, whatever they do.
        pub session_lifetime: Duration = Duration::from_hours(12),
        /// Sign-ins a minute that are looked at from one address; one more is told to wait.
        pub sign_ins_a_minute: u32 = 10,
    }
}

impl ConsoleConfig {
    pub(super) fn validate(&self, checks: &mut Checks) {
        checks.positive("console.idle_timeout", self.idle_timeout);
        checks.positive("console.session_lifetime", self.session_lifetime);
        checks.at_most("console.idle_timeout", self.idle_timeout, self.session_lifetime, "console.session_lifetime");
        checks.within("console.sign_ins_a_minute", self.sign_ins_a_minute as usize, 1..=10_000);
    }
}
