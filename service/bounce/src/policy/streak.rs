//! Soft failures for one reason on one list: which of them count, and how long they block. Everything here only grows: one
//! more failure, whenever it happened, never makes a count smaller or a block shorter.

use std::collections::BTreeSet;

use time::{Date, Duration, OffsetDateTime};

use super::effect::Count;
use super::table::ReasonPolicy;

/// A block that comes again and again lasts at most this long, unless the policy says longer from the start.
const LONGEST: Duration = Duration::days(365);

/// What is remembered until a delivery or a person clears it.
#[derive(Debug, Default)]
pub(super) struct Streak {
    /// Days with a failure; each is one strike, whatever the hour.
    days: BTreeSet<Date>,
    term: Option<Term>,
}

/// A stretch of time for which failures block.
#[derive(Debug, Clone, Copy)]
struct Term {
    began: OffsetDateTime,
    lifetime: Duration,
    /// How many terms there were before it.
    before: u32,
    end: OffsetDateTime,
}

impl Streak {
    /// Takes a failure in; whether its day had none yet.
    pub(super) fn add(&mut self, at: OffsetDateTime) -> bool {
        self.days.insert(at.date())
    }

    /// The strikes of the best window that holds the day. Facts come in the order in which they happened, but the days of mails
    /// that anyone could have written are those on which they came, so later ones may be known.
    pub(super) fn count(&self, at: OffsetDateTime, rule: &ReasonPolicy) -> Count {
        let last = at.saturating_add(rule.window).date();
        let counts = self.days.range(at.date()..=last).map(|end| self.count_until(*end, rule));
        let best = counts.max_by_key(|it| (is_enough(it), it.strikes, it.span));
        best.unwrap_or_else(|| self.count_until(at.date(), rule))
    }

    fn count_until(&self, end: Date, rule: &ReasonPolicy) -> Count {
        let mut days = self.days.range(end.saturating_sub(rule.window)..=end);
        let first = days.next();
        let strikes = u32::from(first.is_some()).saturating_add(u32::try_from(days.count()).unwrap_or(u32::MAX));
        Count { strikes, of: rule.strikes, span: first.map_or(Duration::ZERO, |it| end - *it), least_span: rule.least_span }
    }

    /// Whether it blocks, or did not long ago, so that the next failure shows that nothing has become better.
    pub(super) fn is_on_probation(&self, at: OffsetDateTime, rule: &ReasonPolicy) -> bool {
        self.term.is_some_and(|it| at <= it.end.saturating_add(rule.window))
    }

    /// The end of the block that a failure leads to; twice as far away for each term that has run out before. A provisional
    /// block has an end of its own.
    pub(super) fn block(&mut self, at: OffsetDateTime, lifetime: Duration, own: Option<OffsetDateTime>) -> OffsetDateTime {
        let term = match self.term {
            None => Term { began: at, lifetime, before: 0, end: at },
            Some(it) if at < it.began.saturating_add(it.lifetime) => it,
            Some(it) => {
                let before = it.before + 1;
                Term { began: at, lifetime: grown(lifetime, before), before, end: it.end }
            }
        };
        let end = own.unwrap_or_else(|| at.saturating_add(term.lifetime));
        self.term = Some(Term { end: term.end.max(end), ..term });
        end
    }
}

/// Whether so many strikes, that far apart, block.
pub(super) fn is_enough(count: &Count) -> bool {
    count.strikes >= count.of && count.span >= count.least_span
}

fn grown(lifetime: Duration, times: u32) -> Duration {
    let factor = 1i32.checked_shl(times.min(20)).unwrap_or(i32::MAX);
    lifetime.saturating_mul(factor).min(lifetime.max(LONGEST))
}
