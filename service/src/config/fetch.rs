//! Outgoing requests: providers' signing certificates, and confirmations of subscriptions.

use std::time::Duration;

use super::problem::Checks;
use super::read::section;

section! {
    /// `[fetch]`: requests to providers, of signing certificates and for confirming subscriptions.
    pub struct FetchConfig {
        /// Time one request may take.
        pub timeout: Duration = Duration::from_secs(5),
        /// Certificates kept.
        pub cache_entries: usize = 64,
        /// How long one is kept.
        pub cache_ttl: Duration = Duration::from_hours(24),
        /// Whether a subscription that a provider asks to confirm, and whose topic is allowed, is confirmed.
        pub allow_confirm_subscription: bool = true,
        /// Whether hosts may resolve to private addresses.
        pub allow_private_addresses: bool = false,
    }
}

impl FetchConfig {
    pub(super) fn validate(&self, checks: &mut Checks) {
        checks.positive("fetch.timeout", self.timeout);
        checks.positive("fetch.cache_ttl", self.cache_ttl);
        checks.within("fetch.cache_entries", self.cache_entries, 1..=10_000);
    }
}
