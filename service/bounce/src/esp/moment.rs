//! Points in time as providers write them: RFC 3339 with any number of fraction digits, a blank for the `T`, a blank
//! before the zone, a zone without colon, or none at all (then UTC); and Unix time, in seconds or in milliseconds.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Reads a point in time, as UTC to the microsecond, which is what databases keep.
pub(super) fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    unix(text).or_else(|| calendar(text))
}

/// Unix time. Nine to eleven digits are seconds (1973 to 5138), twelve to fourteen are milliseconds: providers change from
/// one to the other without notice. Fewer digits are no time that mail was sent at.
fn unix(text: &str) -> Option<OffsetDateTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|it| it.is_ascii_digit()) {
        return None;
    }
    let number: i128 = whole.get(..whole.len().min(14))?.parse().ok()?;
    let micros = match whole.len() {
        9..=11 => number * 1_000_000 + i128::from(Cursor(text.get(whole.len()..)?.as_bytes()).fraction()?),
        12..=14 => number * 1_000,
        _ => return None,
    };
    OffsetDateTime::from_unix_timestamp_nanos(micros * 1_000).ok()
}

fn calendar(text: &str) -> Option<OffsetDateTime> {
    let mut cursor = Cursor(text.as_bytes());
    let year = i32::try_from(cursor.digits(4)?).ok()?;
    cursor.expect(b"-")?;
    let month = Month::try_from(u8::try_from(cursor.digits(2)?).ok()?).ok()?;
    cursor.expect(b"-")?;
    let date = Date::from_calendar_date(year, month, cursor.small()?).ok()?;
    cursor.expect(b"Tt ")?;
    let hour = cursor.small()?;
    cursor.expect(b":")?;
    let minute = cursor.small()?;
    let (second, micros) = if cursor.expect(b":").is_some() { (cursor.small()?, cursor.fraction()?) } else { (0, 0) };
    // A leap second is the second before it (RFC 3339 section 5.7 allows 60).
    let clock = Time::from_hms_micro(hour, minute, second.min(if second == 60 { 59 } else { second }), micros).ok()?;
    let offset = cursor.zone()?;
    PrimitiveDateTime::new(date, clock).assume_offset(offset).checked_to_offset(UtcOffset::UTC)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    /// Exactly that many digits, as a number.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(digits.iter().fold(0, |number, it| number * 10 + u32::from(it - b'0')))
    }

    /// Two digits.
    fn small(&mut self) -> Option<u8> {
        self.digits(2).and_then(|it| u8::try_from(it).ok())
    }

    /// One of those bytes.
    fn expect(&mut self, any: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(it, _)| any.contains(it))?;
        self.0 = rest;
        Some(*first)
    }

    /// `.` or `,` and digits, as microseconds; 0 where there is none.
    fn fraction(&mut self) -> Option<u32> {
        if self.expect(b".,").is_none() {
            return Some(0);
        }
        let count = self.0.iter().take_while(|it| it.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count).filter(|(it, _)| !it.is_empty())?;
        self.0 = rest;
        Some(digits.iter().map(|it| u32::from(it - b'0')).chain(std::iter::repeat(0)).take(6).fold(0, |number, it| number * 10 + it))
    }

    /// The zone, which ends the text.
    fn zone(mut self) -> Option<UtcOffset> {
        self.0 = self.0.trim_ascii_start();
        if self.0.is_empty() || [&b"z"[..], b"utc", b"gmt"].contains(&self.0.to_ascii_lowercase().as_slice()) {
            return Some(UtcOffset::UTC);
        }
        let sign = if self.expect(b"+-")? == b'-' { -1 } else { 1 };
        let hours = i8::try_from(self.small()?).ok()?;
        let _ = self.expect(b":");
        let minutes = if self.0.is_empty() { 0 } else { i8::try_from(self.small()?).ok()? };
        self.0.is_empty().then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_spellings_of_providers_are_read() {
        let whole = datetime!(2018-10-08 14:05:45 UTC);
        for (text, expected) in [
            ("2018-10-08T14:05:45Z", whole),
            (" 2018-10-08t14:05:45z ", whole),
            ("2018-10-08 14:05:45", whole),
            ("2018-10-08T14:05:45 +0000", whole),
            ("2018-10-08T16:05:45+02:00", whole),
            ("2018-10-08T10:05:45 -04", whole),
            ("2018-10-08 14:05:45 UTC", whole),
            ("2018-10-08T14:05:45.000Z", whole),
            ("2018-10-08T14:05:45.1234567Z", datetime!(2018-10-08 14:05:45.123456 UTC)),
            ("2018-10-08T14:05:45,5Z", datetime!(2018-10-08 14:05:45.5 UTC)),
            ("2018-10-08T14:05Z", datetime!(2018-10-08 14:05 UTC)),
            ("2016-12-31T23:59:60Z", datetime!(2016-12-31 23:59:59 UTC)),
            ("9999-12-31T23:59:59Z", datetime!(9999-12-31 23:59:59 UTC)),
        ] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn unix_time_is_read_in_seconds_and_in_milliseconds() {
        for (text, expected) in [
            ("1767225600", datetime!(2026-01-01 00:00 UTC)),
            (" 1767225600.5 ", datetime!(2026-01-01 00:00:00.5 UTC)),
            ("1767225600123", datetime!(2026-01-01 00:00:00.123 UTC)),
            ("1767225600123.0", datetime!(2026-01-01 00:00:00.123 UTC)),
            ("100000000", datetime!(1973-03-03 09:46:40 UTC)),
            ("99999999999", datetime!(5138-11-16 09:46:39 UTC)),
            ("100000000000", datetime!(1973-03-03 09:46:40 UTC)),
            ("99999999999999", datetime!(5138-11-16 09:46:39.999 UTC)),
        ] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "0",
            "-1767225600",
            "20260101",
            "1767225600.",
            "1767225600.x",
            ".5",
            "176722560012345",
            "99999999999999999999999999999999999999999999",
            "yesterday",
            "2018-13-08T14:05:45Z",
            "2018-02-30T14:05:45Z",
            "2018-10-08",
            "2018-10-08T25:05:45Z",
            "2018-10-08T14:05:61Z",
            "2018-10-08T14:05:45.Z",
            "2018-10-08T14:05:45Zulu",
            "2018-10-08T14:05:45+2",
            "2018-10-08T14:05:45+99:00",
            "9999-12-31T23:59:59-01:00",
            "+018-10-08T14:05:45Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[0-9]{0,5}[-0-9T: .+Zz]{0,30}\\PC{0,4}", number in "[0-9]{0,40}[.]?[0-9]{0,40}") {
            let _ = (moment(&text), moment(&number));
        }
    }
}
