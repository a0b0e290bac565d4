//! What the edges share: proving a post, fetching what that takes, and handing it to the intake.

/// Fetches certificates and confirms subscriptions, under the host allow-list of each provider.
#[derive(Debug, Clone)]
pub struct Fetcher {}
