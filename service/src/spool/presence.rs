//! Whether the database is there, as whoever used it last has found. Those who would wait for it ask here first, so that an
//! outage costs one of them its patience and not every one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

/// What is known of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was not there yet: whether it is the right one, and up to date, is not known.
    Unmet,
    /// It takes what comes.
    There,
    /// It was there and is away.
    Away,
}

/// What is known of the database, for all who use it.
#[derive(Debug, Clone)]
pub struct Presence(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    found: watch::Sender<Found>,
    doubt: Notify,
    commits: AtomicU64,
}

impl Presence {
    /// As found at the start.
    #[must_use]
    pub fn new(found: Found) -> Self {
        Self(Arc::new(Inner { found: watch::Sender::new(found), doubt: Notify::new(), commits: AtomicU64::new(0) }))
    }

    /// What is known now.
    #[must_use]
    pub fn now(&self) -> Found {
        *self.0.found.borrow()
    }

    /// Whether it takes what comes.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.now() == Found::There
    }

    /// Notes what was found; says whether that is new. What was never there cannot go away.
    #[must_use]
    pub fn is_news(&self, found: Found) -> bool {
        self.0.found.send_if_modified(|known| {
            let is_new = *known != found && !(*known == Found::Unmet && found == Found::Away);
            if is_new {
                *known = found;
            }
            is_new
        })
    }

    /// Waits until it is not there.
    pub async fn gone(&self) {
        // The sender lives as long as we do.
        let _ = self.0.found.subscribe().wait_for(|it| *it != Found::There).await;
    }

    /// Waits until it has been met.
    pub async fn met(&self) {
        let _ = self.0.found.subscribe().wait_for(|it| *it != Found::Unmet).await;
    }

    /// Somebody waits for it longer than it should take, or something waits for it: whoever looks after it should have a look.
    pub fn doubt(&self) {
        self.0.doubt.notify_one();
    }

    /// Waits for a doubt.
    pub async fn doubted(&self) {
        self.0.doubt.notified().await;
    }

    /// It has committed something.
    pub fn committed(&self) {
        self.0.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_hears_that_it_is_gone() {
        let presence = Presence::new(Found::There);
        let waiting = tokio::spawn({
            let presence = presence.clone();
            async move { presence.gone().await }
        });
        assert!(presence.is_news(Found::Away));
        waiting.await.unwrap();
        assert!(!presence.is_news(Found::Away), "that is known");
    }

    #[test]
    fn what_was_never_there_is_not_away() {
        let presence = Presence::new(Found::Unmet);
        assert!(!presence.is_news(Found::Away));
        assert_eq!(presence.now(), Found::Unmet);
        assert!(presence.is_news(Found::There));
    }
}
