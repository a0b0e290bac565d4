//! Times as lists write them: RFC 3339, RFC 5322, with a blank for the `T`, without a zone (then UTC), days, and seconds or
//! milliseconds since 1970.

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Numbers from here on are milliseconds; as seconds this is the year 5138.
const MILLISECONDS: f64 = 1e11;

/// Reads a time.
pub(super) fn parse(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return since_1970(number);
    }
    if text.starts_with(|it: char| it.is_ascii_alphabetic()) || text.contains(',') {
        let text = text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |it| format!("{it} GMT"));
        return OffsetDateTime::parse(&text, &Rfc2822).ok();
    }
    OffsetDateTime::parse(&complete(text)?, &Rfc3339).ok()
}

fn since_1970(number: f64) -> Option<OffsetDateTime> {
    let seconds = if number.abs() >= MILLISECONDS { number / 1000.0 } else { number };
    if !(0.0..1e11).contains(&seconds) {
        return None;
    }
    // Microseconds are what is kept, and 1e17 of them fit.
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let micros = (seconds * 1e6).round() as i128;
    OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).ok()
}

/// The text with all that RFC 3339 asks for.
fn complete(text: &str) -> Option<String> {
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest).trim();
    if rest.is_empty() {
        return Some(format!("{day}T00:00:00Z"));
    }
    let (clock, zone) = match rest.rfind(['+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest.trim_end_matches(['Z', 'z']).trim_end_matches("UTC"), "Z"),
    };
    let clock = clock.trim().trim_end_matches("UTC").trim();
    let clock = if clock.matches(':').count() == 1 { format!("{clock}:00") } else { clock.to_owned() };
    let zone = match zone.len() {
        3 => format!("{zone}:00"),
        5 => format!("{}:{}", zone.get(..3)?, zone.get(3..)?),
        _ => zone.to_owned(),
    };
    Some(format!("{day}T{clock}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn times_of_every_provider_are_read() {
        let at = datetime!(2026-03-04 05:06:07 UTC);
        for text in [
            "2026-03-04T05:06:07Z",
            "2026-03-04T05:06:07.000Z",
            "2026-03-04T07:06:07+02:00",
            "2026-03-04T00:06:07-0500",
            "2026-03-04T05:06:07+00",
            "2026-03-04 05:06:07",
            "2026-03-04 05:06:07 UTC",
            "2026-03-04 05:06:07 +0000",
            " 2026-03-04t05:06:07z ",
            "Wed, 04 Mar 2026 05:06:07 +0000",
            "Wed, 04 Mar 2026 05:06:07 UTC",
            "Wed, 04 Mar 2026 05:06:07 GMT",
            "1772600767",
            "1772600767000",
            "1772600767.0",
        ] {
            assert_eq!(parse(text), Some(at), "{text}");
        }
        assert_eq!(parse("2026-03-04"), Some(datetime!(2026-03-04 00:00 UTC)));
        assert_eq!(parse("2026-03-04 05:06"), Some(datetime!(2026-03-04 05:06 UTC)));
        assert_eq!(parse("1772600767.123456"), Some(datetime!(2026-03-04 05:06:07.123456 UTC)));
    }

    #[test]
    fn what_may_mean_two_times_means_none() {
        for text in [
            "",
            "yesterday",
            "03/04/2026",
            "04.03.2026",
            "2026-02-30",
            "2026-03-04T25:00:00Z",
            "-1",
            "inf",
            "nan",
            "1e300",
            "2026-3-4",
            "é2026-03-04",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
