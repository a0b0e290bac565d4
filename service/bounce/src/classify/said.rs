//! Finds the codes in what a server said: the reply code and the enhanced status, told apart from addresses, versions,
//! sizes and times that look alike (RFC 5321 section 4.2, RFC 2034 section 4). One pass over the bytes.

use crate::classify::codes::codes;
use crate::status::{Class, EnhancedStatus, SmtpReply};

/// More codes than this in one text add nothing.
const CODES_LIMIT: usize = 8;

/// A code at one place of a text: a reply, an enhanced status, or a reply with the status right behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    /// Where it begins.
    pub(super) at: usize,
    pub(super) reply: Option<SmtpReply>,
    pub(super) status: Option<EnhancedStatus>,
}

impl Said {
    /// The class that the two codes agree on; the status speaks where they do not.
    pub(super) fn class(&self) -> Option<Class> {
        self.status.map(|it| it.class).or_else(|| self.reply.and_then(SmtpReply::class))
    }
}

/// All codes of a text in the form of [`super::text::normalise`], in their order.
pub(super) fn codes_in(text: &str) -> Vec<Said> {
    let bytes = text.as_bytes();
    let mut found: Vec<Said> = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < CODES_LIMIT {
        match bytes[at] {
            b'0'..=b'9' => {
                let end = number_end(bytes, at);
                if starts_a_code(bytes, at) {
                    read_code(text, at, end, &mut found);
                }
                at = end;
            }
            b':' if bytes[at..].starts_with(b"://") => at = word_end(bytes, at),
            b'w' if bytes[at..].starts_with(b"www.") => at = word_end(bytes, at),
            _ => at += 1,
        }
    }
    found
}

fn read_code(text: &str, at: usize, end: usize, found: &mut Vec<Said>) {
    let (number, before) = (&text[at..end], text[..at].trim_end_matches(|it: char| " -#(".contains(it)));
    if let Ok(status) = number.parse::<EnhancedStatus>() {
        if status.subject > 7 || !ends_a_code(text.as_bytes(), end) || follows_a_product(text, at) {
            return;
        }
        match found.last_mut() {
            Some(last) if last.reply.is_some() && last.status.is_none() && before.len() == last.at + 3 => last.status = Some(status),
            _ => found.push(Said { at, reply: None, status: Some(status) }),
        }
    } else if let Ok(reply) = number.parse::<SmtpReply>()
        && ends_a_code(text.as_bytes(), end)
        && is_meant_as_reply(text, at, reply)
    {
        found.push(Said { at, reply: Some(reply), status: None });
    }
}

/// The end of a run of digits and dots, without a dot that ends a sentence.
fn number_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    while end < bytes.len() && (bytes[end].is_ascii_digit() || bytes[end] == b'.') {
        end += 1;
    }
    while end > at + 1 && bytes[end - 1] == b'.' {
        end -= 1;
    }
    end
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|it| *it == b' ').map_or(bytes.len(), |it| at + it)
}

fn starts_a_code(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|it| bytes[it]) else { return true };
    match before {
        b'-' => at >= 4 && bytes[at - 4..at - 1].iter().all(u8::is_ascii_digit),
        b':' => !follows_groups(&bytes[..at]),
        b' ' | b'#' | b'(' | b'<' | b'[' | b';' | b'"' | b'\'' | b'=' | b'>' | b',' | b'*' | b'|' => true,
        _ => false,
    }
}

/// Whether the groups of an IPv6 address end here: `2001:db8::`.
fn follows_groups(before: &[u8]) -> bool {
    let group = |it: &&u8| it.is_ascii_hexdigit() || **it == b':';
    before.iter().rev().take(40).take_while(group).filter(|it| **it == b':').count() > 1
}

fn ends_a_code(bytes: &[u8], end: usize) -> bool {
    match bytes.get(end) {
        None => true,
        Some(after) => b" -:;,#)]>'\".|<*_".contains(after),
    }
}

fn follows_a_product(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end();
    ["version", "exim", "postfix", "sendmail", "exchange", "server", "ver", "v"]
        .iter()
        .any(|it| before.ends_with(it) && !before[..before.len() - it.len()].ends_with(|it: char| it.is_alphanumeric()))
        && before.len() < at
        && !before.ends_with("smtp server")
}

/// Tells a reply code from a count, a size, a port or a time.
fn is_meant_as_reply(text: &str, at: usize, reply: SmtpReply) -> bool {
    const LEADS: [&str; 13] =
        ["smtp", "code", "error", "reply", "response", "said", "status", "permanent", "server", "returned", "with", "esmtp", "reason"];
    const COUNTS: [&str; 15] =
        ["after", "port", "than", "of", "limit", "is", "line", "over", "about", "every", "least", "most", "last", "max", "for"];
    let (before, after) = (text[..at].trim_end(), &text[at + 3..]);
    if before.is_empty() {
        return true;
    }
    if before.ends_with(|it: char| ":;<([\"'>#*=|,".contains(it)) {
        return !is_counted(after);
    }
    if after.starts_with('-') || starts_with_status(after) {
        return true;
    }
    let word = before.rsplit(|it: char| !it.is_alphanumeric()).next().unwrap_or_default();
    if LEADS.contains(&word) {
        return true;
    }
    !COUNTS.contains(&word) && codes().knows_reply(reply) && reply.class() != Some(Class::Success) && !is_counted(after)
}

fn starts_with_status(after: &str) -> bool {
    let after = after.trim_start_matches([' ', '#', '(']);
    let end = number_end(after.as_bytes(), 0);
    after.get(..end).is_some_and(|it| it.parse::<EnhancedStatus>().is_ok())
}

/// Whether the number is followed by what it counts.
fn is_counted(after: &str) -> bool {
    const UNITS: [&str; 19] = [
        "second",
        "sec",
        "minute",
        "min",
        "hour",
        "day",
        "message",
        "mail",
        "email",
        "byte",
        "kb",
        "mb",
        "recipient",
        "time",
        "line",
        "connection",
        "character",
        "octet",
        "hop",
    ];
    let after = after.trim_start();
    UNITS.iter().any(|it| {
        after.strip_prefix(it).is_some_and(|rest| {
            let rest = rest.strip_prefix('s').unwrap_or(rest);
            rest.is_empty() || rest.starts_with(|it: char| !it.is_alphanumeric())
        })
    }) && !after.starts_with("message ")
        && !after.starts_with("mail ")
        && !after.starts_with("recipient ")
        && !after.starts_with("connection ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        codes_in(text)
            .iter()
            .map(|it| {
                [it.reply.map(|it| it.to_string()), it.status.map(|it| it.to_string())].into_iter().flatten().collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn codes_are_found_where_servers_put_them() {
        for (text, expected) in [
            ("550 5.1.1 user unknown", vec!["550 5.1.1"]),
            ("550-5.1.1 user unknown", vec!["550 5.1.1"]),
            ("smtp; 550 #5.1.0 address rejected", vec!["550 5.1.0"]),
            ("550#5.1.0 address rejected", vec!["550 5.1.0"]),
            ("sorry, no mailbox here by that name. (#5.1.1)", vec!["5.1.1"]),
            ("host mx[192.0.2.1] said: 552 quota (in reply to rcpt to command)", vec!["552"]),
            (
                "554 4.4.7 message expired: unable to deliver in 840 minutes.<421 4.4.2 connection timed out>",
                vec!["554 4.4.7", "421 4.4.2"],
            ),
            ("server responded with 452: try later", vec!["452"]),
            ("5.1.1 unknown", vec!["5.1.1"]),
            ("550 messages with two senders", vec!["550"]),
            ("553 sorry (#5.7.1) rejected", vec!["553", "5.7.1"]),
            ("remote host said: 550 550 unknown user", vec!["550", "550"]),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_code_is_left_alone() {
        for text in [
            "see http://example.org/550/5.1.1 now",
            "client 5.1.1.4 refused",
            "host [4.2.1.25] unreachable",
            "exim 4.9.2 on port 587",
            "retry timeout after 240 hours",
            "exceeded 500 messages",
            "limit of 250 recipients",
            "queued for 432 seconds",
            "user550@example.org",
            "mail-550.example.org",
            "at 5.30.2",
            "from mx.example.org (2001:db8:550::421)",
            "[2001:db8:451:5::550]",
        ] {
            assert_eq!(read(text), Vec::<String>::new(), "{text}");
        }
    }
}
