//! What came of each source within the last hour: for the console, which has no Prometheus that would remember it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Telemetry;

/// The hour is remembered in pieces, which go as a whole.
const PIECE: Duration = Duration::from_mins(5);
/// Pieces of an hour.
const PIECES: u64 = 12;

/// What came of a source within the last hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lately {
    /// Receipts.
    pub taken: u64,
    /// Posts and messages that nothing proved.
    pub unproved: u64,
}

/// What is remembered of an hour. Who asks and who tells says when.
pub(super) struct LastHour {
    began: Instant,
    sources: Mutex<BTreeMap<String, VecDeque<(u64, Lately)>>>,
}

impl LastHour {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, sources: Mutex::default() }
    }

    pub(super) fn note(&self, source: &str, now: Instant, add: impl FnOnce(&mut Lately)) {
        let piece = self.piece(now);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if !sources.contains_key(source) {
            sources.insert(source.to_owned(), VecDeque::new());
        }
        let Some(pieces) = sources.get_mut(source) else { return };
        pieces.retain(|it| is_of_the_hour(it.0, piece));
        match pieces.back_mut() {
            // Another thread may have been a moment ahead.
            Some(last) if last.0 >= piece => add(&mut last.1),
            _ => {
                let mut new = Lately::default();
                add(&mut new);
                pieces.push_back((piece, new));
            }
        }
    }

    fn of(&self, source: &str, now: Instant) -> Lately {
        let piece = self.piece(now);
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = sources.get(source).into_iter().flatten().filter(|it| is_of_the_hour(it.0, piece));
        pieces.fold(Lately::default(), |sum, (_, it)| Lately { taken: sum.taken + it.taken, unproved: sum.unproved + it.unproved })
    }

    fn piece(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / PIECE.as_secs()
    }
}

const fn is_of_the_hour(piece: u64, now: u64) -> bool {
    piece + PIECES > now
}

impl Telemetry {
    /// What this process has taken of a source within the last hour, and how much came that nothing proved.
    #[must_use]
    pub fn lately(&self, source: &str) -> Lately {
        self.last_hour.of(self.source(source), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_an_hour_neither_alarms_nor_silences() {
        let began = Instant::now();
        let minutes = |it: u64| began + Duration::from_mins(it);
        let hour = LastHour::new(began);
        let lately = |taken, unproved| Lately { taken, unproved };
        for _ in 0..1000 {
            hour.note("ses", minutes(0), |it| it.taken += 1);
        }
        hour.note("ses", minutes(4), |it| it.unproved += 1);
        hour.note("ses", minutes(50), |it| it.unproved += 1);
        hour.note("other", minutes(50), |it| it.taken += 1);
        assert_eq!(hour.of("ses", minutes(50)), lately(1000, 2));
        assert_eq!(hour.of("ses", minutes(60)), lately(0, 1), "though nothing came that would have let it go");
        hour.note("ses", minutes(61), |it| it.taken += 1);
        assert_eq!((hour.of("ses", minutes(61)), hour.of("ses", minutes(180))), (lately(1, 1), lately(0, 0)));
        assert_eq!(hour.sources.lock().unwrap()["ses"].len(), 2, "and it is let go");
        assert_eq!((hour.of("other", minutes(61)), hour.of("none", minutes(61))), (lately(1, 0), lately(0, 0)));
    }

    #[test]
    fn a_thread_that_is_a_moment_late_counts_all_the_same() {
        let began = Instant::now();
        let hour = LastHour::new(began);
        hour.note("ses", began + PIECE, |it| it.taken += 1);
        hour.note("ses", began, |it| it.taken += 1);
        assert_eq!(hour.of("ses", began + PIECE).taken, 2);
    }
}
