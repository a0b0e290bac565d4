//! Words that decide nothing by themselves and yet tell something: which command was refused, how long to wait, which
//! block list is meant, whether the queue gave up (`rules/signs.toml`). They ride along in the one pass of the rules.

use serde::Deserialize;
use time::Duration;

use crate::status::Stage;

const TABLE: &str = include_str!("../../../rules/signs.toml");

/// What a text tells besides its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A receiver, by its index.
    Receiver(u16),
    /// The command that was refused.
    Stage(Stage),
    /// A time to wait follows.
    Wait,
    /// A block list, by its index.
    BlockList(u16),
    /// The name of a block list follows.
    Listed,
    /// The queue gave up.
    GaveUp,
    /// The queue goes on.
    StillTrying,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    stage: Vec<RawStage>,
    block_list: Vec<RawBlockList>,
    wait: Vec<String>,
    listed: Vec<String>,
    gave_up: Vec<String>,
    still_trying: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStage {
    stage: Stage,
    any: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBlockList {
    name: String,
    any: Vec<String>,
}

/// All signs with their words, and the names of the block lists.
pub(super) struct Signs {
    pub(super) words: Vec<(String, Sign)>,
    pub(super) block_lists: Vec<String>,
}

impl Signs {
    pub(super) fn builtin() -> Self {
        #[expect(clippy::expect_used, reason = "the table is part of the program and a test reads it")]
        let raw: RawFile = toml::from_str(TABLE).expect("rules/signs.toml is well formed");
        let mut signs = Self { words: Vec::new(), block_lists: Vec::new() };
        for stage in raw.stage {
            signs.words.extend(stage.any.into_iter().map(|it| (it, Sign::Stage(stage.stage))));
        }
        for (index, list) in (0_u16..).zip(raw.block_list) {
            signs.words.extend(list.any.into_iter().map(|it| (it, Sign::BlockList(index))));
            signs.block_lists.push(list.name);
        }
        for (words, sign) in
            [(raw.wait, Sign::Wait), (raw.listed, Sign::Listed), (raw.gave_up, Sign::GaveUp), (raw.still_trying, Sign::StillTrying)]
        {
            signs.words.extend(words.into_iter().map(|it| (it, sign)));
        }
        signs
    }
}

/// Longer waits than this are a mistake.
const LONGEST_WAIT: Duration = Duration::days(30);

/// Reads a time at the start of a text: `5 minutes`, `300 s`, `00:05:00`, `about 2 hours`.
pub(super) fn wait_in(text: &str) -> Option<Duration> {
    let mut words = text.split([' ', '=', ')', ',']).filter(|it| !it.is_empty()).peekable();
    while words.next_if(|it| ["in", "about", "at", "least", "another", "approximately", "after", "for", "~", "next"].contains(it)).is_some()
    {
    }
    let first = words.next()?.trim_end_matches([';', '.', ':']);
    if let Some(wait) = clock_time(first) {
        return within_reason(wait);
    }
    let digits = first.bytes().take_while(u8::is_ascii_digit).count();
    let count = if ["a", "an", "one"].contains(&first) { 1 } else { first[..digits].parse::<i32>().ok()? };
    let unit = if first.len() > digits && digits > 0 { &first[digits..] } else { words.next()? };
    within_reason(unit_of(unit)?.checked_mul(count)?)
}

fn within_reason(wait: Duration) -> Option<Duration> {
    (wait.is_positive() && wait <= LONGEST_WAIT).then_some(wait)
}

fn clock_time(word: &str) -> Option<Duration> {
    let parts: Vec<i64> = word.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    match parts[..] {
        [hours, minutes, seconds] if hours < 1000 && minutes < 60 && seconds < 60 => {
            Some(Duration::seconds(hours * 3600 + minutes * 60 + seconds))
        }
        _ => None,
    }
}

fn unit_of(word: &str) -> Option<Duration> {
    let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
    match &word[..letters] {
        "s" | "sec" | "secs" | "second" | "seconds" => Some(Duration::SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(Duration::MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(Duration::HOUR),
        "d" | "day" | "days" => Some(Duration::DAY),
        _ => None,
    }
}

/// Reads the name of a host or zone at the start of a text.
pub(super) fn zone_in(text: &str) -> Option<&str> {
    let word = text.trim_start_matches([' ', ':', '\'', '"', '(', '[']);
    let end = word.bytes().position(|it| !it.is_ascii_alphanumeric() && it != b'.' && it != b'-').unwrap_or(word.len());
    let zone = word[..end].trim_end_matches('.');
    let named = zone.contains('.') && zone.len() <= 100 && zone.bytes().any(|it| it.is_ascii_alphabetic());
    named.then_some(zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read_in_their_spellings() {
        for (text, seconds) in [
            ("5 minutes", 300),
            ("in 300 seconds; see", 300),
            ("60s", 60),
            ("00:04:30)", 270),
            ("about 2 hours.", 7200),
            ("an hour", 3600),
            ("1 day", 86400),
            ("= 900 sec", 900),
        ] {
            assert_eq!(wait_in(text), Some(Duration::seconds(seconds)), "{text}");
        }
        for text in ["", "later", "5", "5 apples", "0 minutes", "99999999999 days", "400 days", "12:99:00", "é"] {
            assert_eq!(wait_in(text), None, "{text}");
        }
    }

    #[test]
    fn zones_are_names_with_a_dot() {
        assert_eq!(zone_in(" bl.example.net; see http://x"), Some("bl.example.net"));
        assert_eq!(zone_in("'bl.example.net'"), Some("bl.example.net"));
        for text in ["", "our list", "192.0.2.1", "spamlist"] {
            assert_eq!(zone_in(text), None, "{text}");
        }
    }
}
