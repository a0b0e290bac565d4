//! The part of a report that was written for people: where it ends and a pasted message begins, which addresses it names,
//! and what it says about each. Everything is found in one pass over the lines, so many recipients cost no more than one.

use std::borrow::Cow;

use super::phrases::Phrases;
use super::recipient;
use crate::address::Address;
use crate::limits;
use crate::mail::lines;
use crate::mta::{reply, signs};

/// Headers that only a message that travelled has; they tell a pasted message from a summary of one.
const TRAVELLED: &[&str] =
    &["received", "message-id", "return-path", "mime-version", "dkim-signature", "content-type", "delivered-to", "x-mailer"];

/// How many places that name one address are weighed against each other.
const MENTIONS_WEIGHED: usize = 8;

/// A text for people, cut where a pasted message begins.
#[derive(Debug)]
pub(crate) struct Human<'m> {
    /// What people are told.
    pub(crate) text: &'m str,
    /// The message pasted below it, from its first header on.
    pub(crate) pasted: Option<&'m str>,
    mentions: Vec<Mention<'m>>,
    /// The addresses in lower case, sorted, and which mention names them.
    by_address: Vec<(Cow<'m, str>, usize)>,
}

/// An address that the text names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mention<'m> {
    /// The address as written, without what is around it.
    pub(crate) word: &'m str,
    /// Where it stands.
    pub(crate) at: usize,
    /// Where its line begins.
    pub(crate) line: usize,
    /// Whether only blanks, quotes, brackets or bullets stand before it in its line.
    pub(crate) leads: bool,
}

/// How a line sets an address off: what stands before it in the line, and right after it.
pub(crate) type Shape<'m> = (&'m str, Option<char>);

impl<'m> Human<'m> {
    /// Looks through a text.
    pub(crate) fn new(whole: &'m str) -> Self {
        let (text, pasted) = cut(whole);
        let mentions = mentions(text);
        let mut by_address: Vec<_> =
            mentions.iter().enumerate().map(|(number, it)| (lower_case(recipient::octal_unescaped(it.word)), number)).collect();
        by_address.sort_unstable();
        Self { text, pasted, mentions, by_address }
    }

    /// Every address named, in order.
    pub(crate) fn mentions(&self) -> &[Mention<'m>] {
        &self.mentions
    }

    /// How the text sets a mention off.
    pub(crate) fn shape(&self, mention: &Mention<'_>) -> Shape<'m> {
        (self.before(mention), self.after(mention).chars().next())
    }

    /// What follows a mention in the text.
    pub(crate) fn after(&self, mention: &Mention<'_>) -> &'m str {
        self.text.get(mention.at + mention.word.len()..).unwrap_or_default()
    }

    /// The blanks and signs between the beginning of the line and a mention.
    pub(crate) fn before(&self, mention: &Mention<'_>) -> &'m str {
        tail(self.text.get(mention.line..mention.at).unwrap_or_default(), REACH)
    }

    /// The end of all that stands before a mention.
    pub(crate) fn text_before(&self, mention: &Mention<'_>) -> &'m str {
        tail(self.text.get(..mention.at).unwrap_or_default(), REACH)
    }

    /// The end of the last line that is not empty above that of a mention.
    pub(crate) fn line_before(&self, mention: &Mention<'_>) -> &'m str {
        let above = self.text.get(..mention.at - self.before(mention).len()).unwrap_or_default().trim_end_matches('\n');
        tail(above, REACH).rsplit('\n').next().unwrap_or_default()
    }

    /// What the text says about an address: from the line that names it to the next blank line or the next address.
    pub(crate) fn about(&self, address: &str) -> Option<&'m str> {
        self.place(address).map(|it| self.paragraph(it))
    }

    /// Everything from the line of a mention on, for a text about one recipient whose paragraph says too little.
    pub(crate) fn story(&self, mention: &Mention<'_>) -> &'m str {
        let story = self.text.get(mention.at - self.before(mention).len()..).unwrap_or_default();
        capped(story.trim(), limits::DIAGNOSTIC_BYTES)
    }

    /// The paragraph of an address with the one above it, where that is one line that names a cause, as KDDI puts it.
    pub(crate) fn introduced(&self, place: &Mention<'m>) -> Option<&'m str> {
        if !place.leads {
            return None;
        }
        let line = place.at - self.before(place).len();
        let above = self.text.get(..line)?.trim_end();
        let start = above.rfind('\n').map_or(0, |it| it + 1);
        let alone = above.get(..start)?.trim_end_matches([' ', '\t']).ends_with("\n\n") || start == 0;
        let cause = above.get(start..)?;
        let own = self.paragraph(place);
        (alone && !cause.ends_with(':') && cause.len() < REACH && signs::names_a_cause(cause))
            .then(|| self.text.get(start..line + own.len()).map(str::trim))
            .flatten()
    }

    /// Where the text says most about an address: of several places the one that holds a reply, then the one beside words of
    /// failure, then the one that begins with the address.
    pub(crate) fn place(&self, address: &str) -> Option<&Mention<'m>> {
        let address = lower_case(Cow::Borrowed(address));
        let first = self.by_address.partition_point(|it| it.0 < address);
        let places = self.by_address.get(first..)?.iter().take(MENTIONS_WEIGHED).take_while(|it| it.0 == address);
        let mut places = places.filter_map(|it| self.mentions.get(it.1)).peekable();
        let only = places.next()?;
        if places.peek().is_none() {
            return Some(only);
        }
        let places = std::iter::once(only).chain(places);
        let told = places.map(|it| {
            let paragraph = self.paragraph(it);
            let says = paragraph.len() > it.word.len() + 12;
            let fails = says && signs::speaks_of_failure(paragraph);
            ((reply::find(paragraph).is_some(), fails, says && it.leads, says, it.leads), it)
        });
        // The first of equals counts.
        told.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|it| it.1)
    }

    /// The paragraph that begins with the line of a mention.
    pub(crate) fn paragraph(&self, mention: &Mention<'m>) -> &'m str {
        let before = self.before(mention).len();
        let from_line = capped(self.text.get(mention.at - before..).unwrap_or_default(), REACH + limits::PARAGRAPH_BYTES);
        let skip = before + mention.word.len();
        let end = paragraph_end(from_line, skip);
        let paragraph = from_line.get(..end).unwrap_or(from_line).trim();
        capped(paragraph, limits::PARAGRAPH_BYTES)
    }
}

/// Letters that make a reason.
const ENOUGH: usize = 8;

/// How far before an address its line is looked at; some bounces are one line of a megabyte.
const REACH: usize = 500;

fn lower_case(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_lower = text.bytes().all(|it| it.is_ascii() && !it.is_ascii_uppercase());
    if is_lower { text } else { Cow::Owned(text.to_lowercase()) }
}

/// The end of a text, no longer than a limit.
fn tail(text: &str, limit: usize) -> &str {
    let start = text.len().saturating_sub(limit);
    let start = (start..=text.len()).find(|it| text.is_char_boundary(*it)).unwrap_or(start);
    text.get(start..).unwrap_or_default()
}

/// Cuts a text at a limit, on a character.
pub(crate) fn capped(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

/// Where the paragraph that holds the address ends. One that says nothing but the address goes on after the blank line.
fn paragraph_end(text: &str, skip: usize) -> usize {
    let mut at = 0;
    let mut said = 0;
    let margin = indent(text);
    for line in lines(text) {
        let start = at;
        at += line.len();
        let words = if start == 0 { text.get(skip..at).unwrap_or_default() } else { line };
        if start > 0 && line.trim().is_empty() {
            if said > ENOUGH {
                return start;
            }
            continue;
        }
        if start > 0 && indent(line) <= margin && leads_with_address(line) {
            return start;
        }
        said += words.bytes().filter(u8::is_ascii_alphanumeric).take(ENOUGH + 1).count();
        if at > limits::PARAGRAPH_BYTES {
            break;
        }
    }
    at
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

fn leads_with_address(line: &str) -> bool {
    let word = line.trim_start().split([' ', '\t', '\n']).next().unwrap_or_default();
    word.contains('@') && Address::parse(recipient::trimmed_word(word)).is_ok()
}

/// The addresses named in a list of them, as a header holds one.
pub(crate) fn listed(text: &str) -> Vec<Mention<'_>> {
    // A single line holds no pasted message.
    mentions(if text.contains('\n') { cut(text).0 } else { text })
}

/// Finds every address in a text: each `@`, grown to both sides as far as address characters go.
fn mentions(text: &str) -> Vec<Mention<'_>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut after = 0;
    let mut line = 0;
    for at in memchr::memchr_iter(b'@', bytes) {
        if at < after || found.len() >= limits::MENTIONS {
            continue;
        }
        let floor = at.saturating_sub(200).max(after);
        let local = bytes.get(floor..at).unwrap_or_default().iter().rev().take_while(|it| is_local(**it)).count();
        let domain = bytes
            .get(at + 1..)
            .unwrap_or_default()
            .iter()
            .take(260)
            .take_while(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_') || **it >= 0x80)
            .count();
        let (start, end) = (at - local, at + 1 + domain);
        // A piece of something broken is somebody else's address: next to a control character or another @ it is not taken.
        let broken = |it: Option<&u8>| it.is_some_and(|it| *it == b'@' || *it == 0x7f || (*it < b' ' && !it.is_ascii_whitespace()));
        if broken(start.checked_sub(1).and_then(|it| bytes.get(it))) || broken(bytes.get(end)) {
            after = end;
            continue;
        }
        let Some(word) = text.get(start..end) else { continue };
        let word = word.trim_end_matches(['.', '-', '_']);
        let opening = word.len() - word.trim_start_matches(['\'', '`', '.', '=', '*', '|', '/']).len();
        // Exchange of old: c=US;a= ;p=Corp;dda:SMTP=jane@corp.example
        let typed = word.get(opening..opening + 5).is_some_and(|it| it.eq_ignore_ascii_case("smtp="));
        let opening = if typed { opening + 5 } else { opening };
        // A backslash that escapes nothing parts a login domain from the name.
        let escapes = |at: usize| word.get(at + 1..at + 4).is_some_and(|it| it.bytes().all(|b| matches!(b, b'0'..=b'7')));
        let opening = word.rfind('\\').filter(|it| *it >= opening && !escapes(*it)).map_or(opening, |it| it + 1);
        let word = word.get(opening..).unwrap_or_default();
        let plain = word
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') || !local.is_empty() && !domain.is_empty());
        if plain {
            let above = bytes.get(line..start).and_then(|it| memchr::memrchr(b'\n', it));
            line = above.map_or(line, |it| line + it + 1);
            let leads = start < line + 40 && text.get(line..start).is_some_and(|it| it.chars().all(is_bullet));
            found.push(Mention { word, at: start + opening, line, leads });
        }
        after = end;
    }
    found
}

/// Signs that may stand between the beginning of a line and an address that leads it.
fn is_bullet(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '<' | '"' | '\'' | '*' | '-' | '•' | '[' | '(' | '>' | '·')
}

/// Octets that may stand in front of the `@`; the backslash since Exim escapes with it.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 0x80
        || matches!(
            byte,
            b'.' | b'_'
                | b'-'
                | b'+'
                | b'='
                | b'&'
                | b'\''
                | b'!'
                | b'#'
                | b'$'
                | b'%'
                | b'*'
                | b'/'
                | b'?'
                | b'^'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
                | b'\\'
        )
}

/// Parts what people are told from the message below it: at a separator, or where header lines begin.
fn cut(whole: &str) -> (&str, Option<&str>) {
    let mut at = 0;
    let mut separator = None;
    let mut fields = Fields::default();
    let mut pasted = None;
    for line in lines(whole) {
        pasted = fields.pasted_with(at, line);
        if pasted.is_some() {
            break;
        }
        if separator.is_none() && at > 0 && is_separator(line) {
            separator = Some(at);
        }
        at += line.len();
    }
    let end = separator.into_iter().chain(pasted).min().unwrap_or(whole.len());
    (whole.get(..end).unwrap_or(whole), pasted.and_then(|it| whole.get(it..)))
}

/// Words that announce a copy of the message, in lower case.
static ANNOUNCEMENTS: Phrases = Phrases::new(&[
    "original message follows",
    "message headers follow",
    "this is a copy of",
    "is a copy of the message",
    "is a copy of your message",
    "copy of the original message",
    "original message as received",
    "header of the source mail",
    "unsent message below",
    "returned message below",
    "original message headers:",
    "original message header:",
]);

/// Words for a message in the languages of separators such as `----- Original message -----`.
static MESSAGES: Phrases = Phrases::new(&[
    "original message",
    "forwarded message",
    "nachricht",
    "mensaje",
    "message d",
    "messaggio",
    "mensagem",
    "bericht",
    "сообщени",
    "wiadomość",
    "メッセージ",
    "邮件",
    "郵件",
    "meddelande",
    "besked",
    "zpráva",
    "ileti",
]);

/// Whether a line announces that a copy of the message follows.
fn is_separator(line: &str) -> bool {
    let line = line.trim();
    let dashed = line.starts_with("---") || line.starts_with("===");
    (12..=120).contains(&line.len())
        && (dashed || line.ends_with(['.', ':', '-', '=']))
        && (ANNOUNCEMENTS.found_in(line) || dashed && line.ends_with("--") && MESSAGES.found_in(line))
}

/// A run of header lines in a text.
#[derive(Default)]
struct Fields {
    start: usize,
    count: usize,
    /// Whether one of them is of a message that travelled.
    travelled: bool,
}

impl Fields {
    /// Takes the next line and where it begins; gives where the run began once it is that of a pasted message.
    fn pasted_with(&mut self, at: usize, line: &str) -> Option<usize> {
        if let Some(name) = field_name(line) {
            if self.count == 0 {
                self.start = at;
            }
            self.travelled = self.travelled || TRAVELLED.iter().any(|it| it.eq_ignore_ascii_case(name));
            if self.travelled && self.count >= 2 {
                return Some(self.start);
            }
            self.count += 1;
        } else if self.count > 0 {
            let folded = line.starts_with([' ', '\t']) && !line.trim().is_empty();
            if !folded {
                *self = Self::default();
            }
        }
        None
    }
}

/// The name of a header line, if the line is one.
fn field_name(line: &str) -> Option<&str> {
    // A colon further back ends no name.
    let colon = line.bytes().take(40).position(|it| it == b':')?;
    let (name, rest) = (line.get(..colon)?, line.get(colon + 1..)?);
    let legal = name.len() >= 2
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
        && name.starts_with(|it: char| it.is_ascii_alphabetic());
    (legal && (rest.starts_with([' ', '\t', '\n', '\r', '<']) || rest.is_empty()) && !rest.starts_with("//")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_has_its_sample() {
        assert_eq!(ANNOUNCEMENTS.flaws("announcements"), Vec::<String>::new());
        assert_eq!(MESSAGES.flaws("messages"), Vec::<String>::new());
    }

    #[test]
    fn a_pasted_message_is_cut_off_and_a_summary_is_not() {
        let human = Human::new(
            "It failed.\n\nTo: a@b.example\nSubject: x\nDate: today\n\nSee below.\n\nReceived: from x\n\tby y\nFrom: me\nTo: you\n\nhi\n",
        );
        assert!(human.text.ends_with("See below.\n\n"));
        assert!(human.pasted.is_some_and(|it| it.starts_with("Received: from x")));
        assert!(Human::new("To: a@b.example\nSubject: x\nDate: today\n\nfailed").pasted.is_none());
    }

    #[test]
    fn each_address_has_its_own_paragraph() {
        let human = Human::new(
            "Failed:\n\n  a@x.example\n    550 no a\n  b@x.example\n    550 no b\n\n<c@x.example>:\n\n  550 no c at all\n\nBye, d@x.example\n",
        );
        assert_eq!(human.about("A@x.example"), Some("a@x.example\n    550 no a"));
        assert_eq!(human.about("b@x.example"), Some("b@x.example\n    550 no b"));
        assert_eq!(human.about("c@x.example"), Some("<c@x.example>:\n\n  550 no c at all"));
        assert_eq!(human.about("e@x.example"), None);
    }

    #[test]
    fn a_cause_above_the_address_belongs_to_it() {
        let human = Human::new("Sorry.\n\nThe account is disabled.\n\n<a@x.example>: no\n\n<b@x.example>: user unknown\n");
        let above = |human: &Human<'static>, of: &str| human.place(of).and_then(|it| human.introduced(it));
        assert_eq!(above(&human, "a@x.example"), Some("The account is disabled.\n\n<a@x.example>: no"));
        assert_eq!(above(&human, "b@x.example"), None);
        assert_eq!(above(&Human::new("Not found\n\nYour mail to a@x.example failed."), "a@x.example"), None);
        assert_eq!(above(&Human::new("Unknown:\n\n<a@x.example>"), "a@x.example"), None);
    }

    #[test]
    fn addresses_shed_what_is_around_them() {
        let words = |text| Human::new(text).mentions().iter().map(|it| (it.word.to_owned(), it.leads)).collect::<Vec<_>>();
        assert_eq!(
            words("(a@b.example). 'c+d@e.example' see <mailto:f@g.example>"),
            [("a@b.example".into(), true), ("c+d@e.example".into(), false), ("f@g.example".into(), false)]
        );
        assert_eq!(
            words("CORP\\jane@b.example j\\303\\266rg@b.example"),
            [("jane@b.example".into(), true), ("j\\303\\266rg@b.example".into(), false)]
        );
        assert!(words("@ @x y@ @@").is_empty());
    }

    #[test]
    fn one_address_more_than_the_limit_is_not_looked_at() {
        let text = |count: usize| "a@b.example ".repeat(count);
        assert_eq!(Human::new(&text(limits::MENTIONS)).mentions().len(), limits::MENTIONS);
        assert_eq!(Human::new(&text(limits::MENTIONS + 1)).mentions().len(), limits::MENTIONS);
    }

    #[test]
    fn a_long_paragraph_is_cut_at_the_limit() {
        let text = format!("a@b.example: {}", "ä".repeat(limits::PARAGRAPH_BYTES));
        assert!(
            Human::new(&text)
                .about("a@b.example")
                .is_some_and(|it| it.len() <= limits::PARAGRAPH_BYTES && it.len() > limits::PARAGRAPH_BYTES - 4)
        );
    }
}
