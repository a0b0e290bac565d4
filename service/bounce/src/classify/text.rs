//! Brings what a server said into the form that patterns are written in: lower case, one blank between words, without
//! the reply code that every line of a multi-line reply repeats (RFC 5321 section 4.2.1). One pass, one buffer.

use crate::mail::each_word;

/// Longer texts are cut: what matters of a refusal stands in its first lines.
pub(super) const TEXT_LIMIT: usize = 16 * 1024;

/// The text in the form that patterns match.
pub(super) fn normalise(raw: &str) -> String {
    let raw = &raw[..raw.floor_char_boundary(TEXT_LIMIT)];
    let mut out = String::with_capacity(raw.len());
    let mut lines = Lines::default();
    each_word(raw, |word| {
        let word = lines.without_prefix(word);
        if !word.is_empty() {
            if !out.is_empty() {
                out.push(' ');
            }
            push_lower(&mut out, word);
        }
    });
    out.make_ascii_lowercase();
    out
}

/// Appends a word with all letters that are not ASCII in lower case.
fn push_lower(out: &mut String, word: &str) {
    if word.is_ascii() {
        out.push_str(word);
        return;
    }
    for letter in word.chars() {
        match letter {
            '\u{2018}' | '\u{2019}' => out.push('\''),
            '\u{201c}' | '\u{201d}' => out.push('"'),
            // `İ` would become two characters; nothing is lost by leaving such letters alone.
            _ if letter.to_lowercase().len() == 1 => out.extend(letter.to_lowercase()),
            _ => out.push(letter),
        }
    }
}

/// The prefix that the lines of a reply repeat, as far as it has been seen.
#[derive(Default)]
struct Lines<'a> {
    reply: Option<&'a str>,
    status: Option<&'a str>,
    multi_line: bool,
    place: Place,
}

/// Where the word before stood.
#[derive(Default)]
enum Place {
    /// In the text.
    #[default]
    Text,
    /// It was the first reply code.
    First,
    /// It was a repetition of the reply code.
    Repeated,
}

impl<'a> Lines<'a> {
    /// What is left of a word once the repeated prefix is taken off: `550-5.1.1` is dropped from the second line on.
    fn without_prefix(&mut self, word: &'a str) -> &'a str {
        match std::mem::take(&mut self.place) {
            Place::First if is_status(word) => {
                self.status = Some(word);
                return word;
            }
            Place::Repeated if self.status == Some(word) => return "",
            _ => {}
        }
        let Some((reply, rest)) = split_reply(word) else { return word };
        let continued = rest.starts_with('-');
        if !continued && !rest.is_empty() {
            return word;
        }
        match self.reply {
            None => {
                self.reply = Some(reply);
                self.multi_line = continued;
                self.place = if continued { Place::Text } else { Place::First };
                self.status = rest.strip_prefix('-').filter(|it| is_status(it));
                word
            }
            Some(seen) if seen == reply && (continued || self.multi_line) => {
                let rest = rest.trim_start_matches('-');
                self.place = if rest.is_empty() { Place::Repeated } else { Place::Text };
                if self.status.is_none() && is_status(rest) {
                    self.status = Some(rest);
                    return rest;
                }
                if self.status == Some(rest) { "" } else { rest }
            }
            Some(_) => word,
        }
    }
}

/// Three digits that may be a reply code, and what follows them.
fn split_reply(word: &str) -> Option<(&str, &str)> {
    let (reply, rest) = word.split_at_checked(3)?;
    let bytes = reply.as_bytes();
    (matches!(bytes[0], b'2'..=b'5') && bytes[1].is_ascii_digit() && bytes[2].is_ascii_digit()).then_some((reply, rest))
}

fn is_status(word: &str) -> bool {
    word.len() >= 5 && matches!(word.as_bytes()[0], b'2' | b'4' | b'5') && word.parse::<crate::status::EnhancedStatus>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_prefixes_go_and_the_first_stays() {
        for (raw, expected) in [
            ("550-5.1.1 The account\r\n550-5.1.1 you tried\r\n550 5.1.1 to reach", "550-5.1.1 the account you tried to reach"),
            ("550-No such user here.\n550-Check it\n550 please", "550-no such user here. check it please"),
            ("550 5.7.1 One line, 550 more", "550 5.7.1 one line, 550 more"),
            ("smtp; 550-5.1.1 a 550 5.1.1 b", "smtp; 550-5.1.1 a b"),
            ("554-a 554 5.7.1 b", "554-a 5.7.1 b"),
            ("554 5.7.1 Service   unavailable;\n\tblocked", "554 5.7.1 service unavailable; blocked"),
            ("call 555-1234 or 550-1234", "call 555-1234 or 550-1234"),
            ("user doesn\u{2019}t EXIST Größe ЯЩИК", "user doesn't exist größe ящик"),
        ] {
            assert_eq!(normalise(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_letter() {
        let raw = "é".repeat(TEXT_LIMIT);
        assert_eq!(normalise(&raw).len(), TEXT_LIMIT);
        assert_eq!(normalise(&format!("a{raw}")).len(), TEXT_LIMIT - 1);
    }
}
