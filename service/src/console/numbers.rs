//! Numbers of the overview, kept for a while: a month of them may be costly to count, and nobody needs them to the second.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use time::OffsetDateTime;

use crate::http::Problem;
use crate::http::keys::Caller;
use crate::store::{Figure, ListId, Store, Visible, Window};

bounce::vocabulary! {
    /// How far back the overview looks.
    pub enum Span, "span" {
        /// A day, by hours.
        Day = "24h",
        /// A week, by quarters of days.
        Week = "7d",
        /// A month, by days.
        Month = "30d",
    }
}

impl Span {
    /// The window that ends with the piece of now.
    pub(super) fn window(self, now: OffsetDateTime) -> Window {
        let (width, pieces) = match self {
            Self::Day => (3600, 24),
            Self::Week => (6 * 3600, 28),
            Self::Month => (86_400, 30),
        };
        let begun = now.unix_timestamp().div_euclid(width) * width;
        let since = OffsetDateTime::from_unix_timestamp(begun - width * (i64::from(pieces) - 1)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Window { since, width, pieces }
    }

    /// In words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
        }
    }

    /// How long its numbers are kept.
    const fn kept_for(self) -> Duration {
        match self {
            Self::Day => Duration::from_secs(15),
            Self::Week => Duration::from_mins(1),
            Self::Month => Duration::from_mins(5),
        }
    }
}

/// What was counted of a span.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) window: Window,
    pub(super) figures: Vec<Figure>,
    /// Domains that bounced most, among the newest bounces.
    pub(super) receivers: Vec<(String, u64)>,
}

type Key = (Span, Option<ListId>);

/// Numbers that were counted lately.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    kept: Cache<Key, Arc<Counted>>,
}

struct Ends;

impl moka::Expiry<Key, Arc<Counted>> for Ends {
    fn expire_after_create(&self, key: &Key, _: &Arc<Counted>, _: std::time::Instant) -> Option<Duration> {
        Some(key.0.kept_for())
    }
}

/// Which events a key sees.
pub(super) fn visible(caller: &Caller) -> Visible {
    caller.confined_to().map_or(Visible::All, |own| Visible::Below(own.clone()))
}

impl Numbers {
    pub(super) fn new() -> Self {
        Self { kept: Cache::builder().max_capacity(100).expire_after(Ends).build() }
    }

    /// The numbers of a span, as a key sees them. Several who ask at once wait for one count.
    pub(super) async fn of(&self, span: Span, caller: &Caller, store: &Store, now: OffsetDateTime) -> Result<Arc<Counted>, Problem> {
        let key = (span, caller.confined_to().map(|it| it.id));
        let window = span.window(now);
        let count = async {
            let visible = visible(caller);
            let figures = store.figures(window, &visible).await?;
            let receivers = store.receivers(window.since, &visible, 10).await?;
            Ok::<_, Problem>(Arc::new(Counted { window, figures, receivers }))
        };
        self.kept.try_get_with(key, count).await.map_err(|it| (*it).clone())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_window_ends_with_the_piece_of_now() {
        let now = datetime!(2026-11-22 10:17:03 UTC);
        for (span, since) in [
            (Span::Day, datetime!(2026-11-21 11:00 UTC)),
            (Span::Week, datetime!(2026-11-15 12:00 UTC)),
            (Span::Month, datetime!(2026-10-24 00:00 UTC)),
        ] {
            let window = span.window(now);
            assert_eq!(window.since, since);
            let end = window.since + time::Duration::seconds(window.width * i64::from(window.pieces));
            assert!(now < end && end - now <= time::Duration::seconds(window.width), "{span}");
        }
    }
}
