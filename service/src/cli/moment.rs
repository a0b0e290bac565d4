//! Moments as people write them on a command line: a day, a time, or how long ago.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use crate::config::parse_duration;

/// A moment, or a distance from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// That moment.
    At(OffsetDateTime),
    /// So far from now, whichever way is meant.
    Away(time::Duration),
}

impl When {
    /// The moment, where a distance goes back.
    pub(super) fn ago(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(at) => at,
            Self::Away(distance) => now.saturating_sub(distance),
        }
    }

    /// The moment, where a distance goes forward.
    pub(super) fn ahead(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(at) => at,
            Self::Away(distance) => now.saturating_add(distance),
        }
    }
}

/// Reads `2026-11-22`, `2026-11-22T10:00:00Z` or `3d`.
pub(super) fn parse(text: &str) -> Result<When, String> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]")).map(|it| it.midnight().assume_utc());
    if let Ok(at) = day.or_else(|_| OffsetDateTime::parse(text, &Rfc3339)) {
        return Ok(When::At(at));
    }
    let away = parse_duration(text).filter(|it| !it.is_zero()).and_then(|it| time::Duration::try_from(it).ok());
    away.map(When::Away)
        .ok_or_else(|| "write a day (2026-11-22), a moment (2026-11-22T10:00:00Z), or a time such as 90d, 12h or 30m".to_owned())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_is_a_day_a_time_or_a_distance() {
        let now = datetime!(2026-11-22 10:00 UTC);
        assert_eq!(parse("2026-11-20").unwrap().ago(now), datetime!(2026-11-20 0:00 UTC));
        assert_eq!(parse("2026-11-20T12:00:00+02:00").unwrap().ago(now), datetime!(2026-11-20 10:00 UTC));
        assert_eq!(
            (parse("2d").unwrap().ago(now), parse("2d").unwrap().ahead(now)),
            (datetime!(2026-11-20 10:00 UTC), datetime!(2026-11-24 10:00 UTC))
        );
        for wrong in ["", "soon", "0d", "2026-13-01", "20261122"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
