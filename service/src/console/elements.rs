//! What pages are made of: times, badges, bars, numbers, links between pages, and fields of forms.

use bounce::kind::{BounceType, Kind};
use maud::{Markup, html};
use time::{OffsetDateTime, UtcOffset};

use crate::console::form::{Fields, TOKEN};
use crate::console::session::Visit;
use crate::console::shown::shown;

/// The field that every form has.
pub(super) fn token_field(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(TOKEN) value=(visit.token()); }
}

/// A word of a vocabulary as people write it.
pub(super) fn words(word: &str) -> String {
    let words = word.split(['_', '-']).map(|it| match it {
        "dnsbl" => "DNSBL",
        "dns" => "DNS",
        "tls" => "TLS",
        "mdn" => "read receipt",
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A moment, to the day.
pub(super) fn day(at: OffsetDateTime) -> Markup {
    let at = at.to_offset(UtcOffset::UTC);
    let exact = format!("{}T{:02}:{:02}:{:02}Z", at.date(), at.hour(), at.minute(), at.second());
    html! { time datetime=(exact) title=(exact) { (at.date()) } }
}

/// A moment, to the minute.
pub(super) fn moment(at: OffsetDateTime) -> Markup {
    let at = at.to_offset(UtcOffset::UTC);
    let (date, hour, minute) = (at.date(), at.hour(), at.minute());
    let exact = format!("{date}T{hour:02}:{minute:02}:{:02}Z", at.second());
    html! { time datetime=(exact) title=(exact) { span.nowrap { (date) } " " (format!("{hour:02}:{minute:02}")) } }
}

/// How long ago it was, and when.
pub(super) fn ago(at: OffsetDateTime, now: OffsetDateTime) -> Markup {
    let at_utc = at.to_offset(UtcOffset::UTC);
    let exact = format!("{}T{:02}:{:02}:{:02}Z", at_utc.date(), at_utc.hour(), at_utc.minute(), at_utc.second());
    html! { time datetime=(exact) title=(exact) { (since(now - at)) " ago" } }
}

/// A length of time in the unit that tells most.
pub(super) fn since(length: time::Duration) -> String {
    let seconds = length.whole_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A number with its thousands apart.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Octets as people write them.
pub(super) fn octets(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}

/// A count of things.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// The same of what is counted up to a limit.
pub(super) fn at_least(count: u64, limit: u64, one: &str, many: &str) -> String {
    format!("{}{}", if count >= limit { "at least " } else { "" }, counted(count, one, many))
}

/// How a thing stands: a colour, which the word makes plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Plain,
    Watch,
    Bad,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Watch => "watch",
            Self::Bad => "bad",
        }
    }
}

pub(super) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// What happened, as a badge.
pub(super) fn kind_badge(kind: Kind, bounce_type: Option<BounceType>) -> Markup {
    match (kind, bounce_type) {
        (Kind::Bounce, Some(BounceType::Hard)) => badge(Tone::Bad, "hard bounce"),
        (Kind::Bounce, _) => badge(Tone::Watch, "soft bounce"),
        (Kind::Complaint, _) => badge(Tone::Bad, "complaint"),
        (Kind::Unsubscribe, _) => badge(Tone::Watch, "unsubscribe"),
        (Kind::Delivered, _) => badge(Tone::Good, "delivered"),
        (other, _) => badge(Tone::Plain, &words(other.as_str())),
    }
}

/// A share of something as a bar. The number stands beside it, so it is for the eye only.
pub(super) fn bar(part: u64, of: u64) -> Markup {
    #[expect(clippy::cast_precision_loss, reason = "a bar is some hundred points long")]
    let width = if of == 0 { 0.0 } else { part as f64 / of as f64 * 100.0 };
    html! {
        svg.bar aria-hidden="true" focusable="false" viewBox="0 0 100 6" preserveAspectRatio="none" {
            rect.rail width="100" height="6" {}
            rect.fill width=(format!("{width:.1}")) height="6" {}
        }
    }
}

/// An address that leads to its page; a pseudonym where it was erased.
pub(super) fn address_link(address: Option<&str>, subject: &str) -> Markup {
    html! {
        a.address href={ "/console/address/" (subject) } {
            @match address {
                Some(address) => {
                    // Where there is no room for all of it, it goes on at its domain.
                    @let (local, domain) = address.split_at(address.rfind('@').unwrap_or_default());
                    @if !local.is_empty() { (shown(local)) wbr; }
                    (shown(domain))
                },
                None => em { "erased" },
            }
        }
    }
}

/// What is there instead of rows.
pub(super) fn empty(what: &str, next: &Markup) -> Markup {
    html! { div.empty { p { strong { (what) } } p.quiet { (next) } } }
}

/// A choice among words, which may be left open.
pub(super) fn choice(name: &str, label: &str, all: &str, words_of: impl Iterator<Item = &'static str>, fields: &Fields) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                option value="" { (all) }
                @for word in words_of { option value=(word) selected[fields.get(name) == Some(word)] { (words(word)) } }
            }
        }
    }
}

/// What was done, said once at the top of the page.
pub(super) fn done(text: &Markup) -> Markup {
    html! { p.done role="status" { (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_break_before_its_domain() {
        let text = |address: Option<&str>| {
            let link = address_link(address, "00").into_string();
            link.trim_start_matches("<a class=\"address\" href=\"/console/address/00\">").trim_end_matches("</a>").to_owned()
        };
        assert_eq!(text(Some("jane@example.org")), "<bdi>jane</bdi><wbr><bdi>@example.org</bdi>");
        assert_eq!(text(Some("@example.org")), "<bdi>@example.org</bdi>");
        assert_eq!(text(None), "<em>erased</em>");
    }

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        let lengths = [-5, 59, 60, 3599, 3600, 172_799, 172_800].map(|it| since(time::Duration::seconds(it)));
        assert_eq!(lengths, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 days"]);
        assert_eq!([0, 1, 9, 10].map(|it| at_least(it, 10, "mail", "mails")), ["0 mails", "1 mail", "9 mails", "at least 10 mails"]);
        assert_eq!([12, 4096, 3 << 20].map(octets), ["12 B", "4 KiB", "3 MiB"]);
        let at = time::macros::datetime!(2026-11-22 09:05:07 +1);
        assert_eq!(
            moment(at).into_string(),
            "<time datetime=\"2026-11-22T08:05:07Z\" title=\"2026-11-22T08:05:07Z\"><span class=\"nowrap\">2026-11-22</span> 08:05</time>"
        );
    }
}
