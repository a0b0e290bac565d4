//! Points in time as providers write them: RFC 3339 with any number of fraction digits, a blank for the `T`, a blank
//! before the zone, a zone without colon, or none at all (then UTC); or seconds since 1970, with a fraction or without.

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Reads a point in time, as UTC to the microsecond, which is what databases keep.
pub(super) fn moment(text: &str) -> Option<OffsetDateTime> {
    let mut cursor = Cursor(text.trim().as_bytes());
    if cursor.is_number() {
        return cursor.unix();
    }
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

    /// Whether this is digits with at most one point among them.
    fn is_number(&self) -> bool {
        let whole = self.0.split(|it| *it == b'.').next().unwrap_or_default();
        !whole.is_empty() && self.0.iter().all(|it| it.is_ascii_digit() || *it == b'.')
    }

    /// Seconds since 1970; a number that would be later than the year 5138 is taken for milliseconds, as JavaScript counts.
    fn unix(mut self) -> Option<OffsetDateTime> {
        const MILLISECONDS: i64 = 100_000_000_000;
        let count = self.0.iter().take_while(|it| it.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        let whole: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.0 = rest;
        let micros = i64::from(self.fraction()?);
        if !self.0.is_empty() {
            return None;
        }
        let micros = if whole < MILLISECONDS { whole.checked_mul(1_000_000)?.checked_add(micros)? } else { whole.checked_mul(1_000)? };
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok()
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
    fn seconds_since_1970_are_read() {
        let whole = datetime!(2024-03-01 12:00 UTC);
        for (text, expected) in [
            ("1709294400", whole),
            (" 1709294400.0 ", whole),
            ("1709294400.12994", datetime!(2024-03-01 12:00:00.12994 UTC)),
            ("1709294400.9999999", datetime!(2024-03-01 12:00:00.999999 UTC)),
            ("1709294400000", whole),
            ("1709294400123", datetime!(2024-03-01 12:00:00.123 UTC)),
            ("0", OffsetDateTime::UNIX_EPOCH),
            ("99999999999", datetime!(5138-11-16 09:46:39 UTC)),
        ] {
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        for text in ["1709294400.", ".5", "1.2.3", "-5", "1e9", "9223372036854775807", "99999999999999999999999"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
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
        fn any_text_is_read_without_a_panic(text in "[0-9]{0,5}[-0-9T: .+Zz]{0,30}\\PC{0,4}") {
            let _ = moment(&text);
        }
    }
}
