//! Numbers of the overview. A month of them may be costly to count, so it is counted piece by piece, the newest first, as far as there is
//! time for; what was counted of the past is kept for long, that of now for some seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use time::OffsetDateTime;

use crate::http::Problem;
use crate::http::keys::Caller;
use crate::store::{Figure, ListId, Store, Visible};

/// Time that a page has for counting; what is left is counted when it is asked for again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a piece is kept that is over.
const PAST_FOR: Duration = Duration::from_hours(1);
/// How long after its end a piece may still grow: commits under way, clocks of replicas.
const SETTLING: time::Duration = time::Duration::minutes(5);

/// A stretch of time, cut into pieces of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// When the first piece begins.
    pub(super) since: OffsetDateTime,
    /// Length of a piece in seconds.
    pub(super) width: i64,
    /// How many there are.
    pub(super) pieces: u16,
}

impl Window {
    /// When a piece begins.
    pub(super) fn begin(self, piece: u16) -> OffsetDateTime {
        self.since + time::Duration::seconds(self.width * i64::from(piece))
    }
}

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
    /// By piece; none where there was no time yet.
    pub(super) pieces: Vec<Option<Arc<Piece>>>,
    /// Domains that bounced most, among the newest bounces.
    pub(super) receivers: Arc<Vec<(String, u64)>>,
}

/// What was counted of a piece.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) figures: Vec<Figure>,
    kept_for: Duration,
}

impl Counted {
    /// Everything that was counted, with the piece in which it lies.
    pub(super) fn figures(&self) -> impl Iterator<Item = (usize, &Figure)> {
        let counted = self.pieces.iter().enumerate().filter_map(|(at, it)| Some((at, it.as_ref()?)));
        counted.flat_map(|(at, piece)| piece.figures.iter().map(move |it| (at, it)))
    }

    /// Pieces for which there was no time yet.
    pub(super) fn missing(&self) -> usize {
        self.pieces.iter().filter(|it| it.is_none()).count()
    }
}

/// Begin and length of a piece, and the list that is seen.
type PieceKey = (OffsetDateTime, i64, Option<ListId>);
type Receivers = Arc<Vec<(String, u64)>>;

/// Numbers that were counted lately.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pieces: Cache<PieceKey, Arc<Piece>>,
    receivers: Cache<(Span, Option<ListId>), Receivers>,
}

struct Ends;

impl moka::Expiry<PieceKey, Arc<Piece>> for Ends {
    fn expire_after_create(&self, _: &PieceKey, piece: &Arc<Piece>, _: Instant) -> Option<Duration> {
        Some(piece.kept_for)
    }
}

/// Which events a key sees.
pub(super) fn visible(caller: &Caller) -> Visible {
    caller.confined_to().map_or(Visible::All, |own| Visible::Below(own.clone()))
}

impl Numbers {
    pub(super) fn new() -> Self {
        let receivers = Cache::builder().max_capacity(500).time_to_live(Span::Week.kept_for()).build();
        Self { pieces: Cache::builder().max_capacity(5000).expire_after(Ends).build(), receivers }
    }

    /// The numbers of a span, as a key sees them. Several who ask at once wait for one count.
    pub(super) async fn of(&self, span: Span, caller: &Caller, store: &Store, now: OffsetDateTime) -> Result<Counted, Problem> {
        let (begun, window, visible) = (Instant::now(), span.window(now), visible(caller));
        let own = caller.confined_to().map(|it| it.id);
        let mut pieces = vec![None; usize::from(window.pieces)];
        for (at, place) in (0..window.pieces).zip(&mut pieces).rev() {
            let (from, until) = (window.begin(at), window.begin(at + 1));
            let key = (from, window.width, own);
            if begun.elapsed() > PATIENCE {
                *place = self.pieces.get(&key).await;
                continue;
            }
            let count = async {
                let kept_for = if now - until > SETTLING { PAST_FOR } else { span.kept_for() };
                Ok::<_, Problem>(Arc::new(Piece { figures: store.figures(from, until, &visible).await?, kept_for }))
            };
            *place = Some(self.pieces.try_get_with(key, count).await.map_err(|it| (*it).clone())?);
        }
        let receivers = async { Ok::<_, Problem>(Arc::new(store.receivers(window.since, &visible, 10).await?)) };
        let receivers = self.receivers.try_get_with((span, own), receivers).await.map_err(|it| (*it).clone())?;
        Ok(Counted { window, pieces, receivers })
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
            let end = window.begin(window.pieces);
            assert!(now < end && end - now <= time::Duration::seconds(window.width), "{span}");
        }
    }
}
