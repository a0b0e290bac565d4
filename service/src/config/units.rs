//! Times and sizes as people write them: `30s`, `15m`, `90d`, `1h30m`, `25 MiB`. Written here because the common crates
//! print 90 days as two months and some, and the printed configuration must read as it was written.

use std::time::Duration;

const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: [(&str, usize); 7] =
    [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000), ("B", 1)];

/// Reads a time: whole numbers, each with one of `ms s m h d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let unit = after.find(|it: char| !it.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let (_, scale) = TIMES.iter().find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.checked_mul(*scale)?)?;
        rest = after.trim_start();
    }
    Some(Duration::from_millis(millis))
}

/// Writes a time in the greatest unit that needs no fraction.
#[must_use]
pub fn duration(value: Duration) -> String {
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    TIMES
        .iter()
        .find(|(_, scale)| millis.is_multiple_of(*scale))
        .map_or_else(String::new, |(unit, scale)| format!("{}{unit}", millis / scale))
}

/// Reads a size: a whole number with a unit (`KiB MiB GiB`, `kB MB GB`, `B`), or bytes without one.
pub(super) fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = number(text.trim())?;
    let scale = if unit.is_empty() { 1 } else { SIZES.iter().find(|(name, _)| *name == unit)?.1 };
    usize::try_from(number).ok()?.checked_mul(scale)
}

/// Writes a size in the greatest binary unit that needs no fraction.
pub(super) fn size(value: usize) -> String {
    let binary = SIZES.iter().filter(|(name, _)| name.contains('i'));
    match binary.clone().find(|(_, scale)| value > 0 && value.is_multiple_of(*scale)) {
        Some((unit, scale)) => format!("{} {unit}", value / scale),
        None => format!("{value} B"),
    }
}

/// Splits a leading whole number from what follows it and a blank.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("15 m", 900_000),
            ("7d", 604_800_000),
            ("1h30m", 5_400_000),
            ("1d 2h", 93_600_000),
            ("200ms", 200),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.5h", "1 month", "1S", "99999999999999999999d", "999999999999999d", "5s,", "1é"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [("25 MiB", 25 << 20), ("25MiB", 25 << 20), ("1 GiB", 1 << 30), ("10 kB", 10_000), ("512", 512), ("0 B", 0)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "25 mib", "25 M", "-1", "1.5 MiB", "99999999999999999999 GiB", "99999999999999999 GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..u64::MAX / 2, bytes in 0..usize::MAX / 2) {
            let time = Duration::from_millis(millis);
            proptest::prop_assert_eq!(parse_duration(&duration(time)), Some(time));
            proptest::prop_assert_eq!(parse_size(&size(bytes)), Some(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }

    #[test]
    fn the_default_window_reads_as_it_was_written() {
        assert_eq!(duration(Duration::from_hours(90 * 24)), "90d");
        assert_eq!(duration(Duration::from_secs(90)), "90s");
        assert_eq!(size(25 << 20), "25 MiB");
        assert_eq!(size(0), "0 B");
    }
}
