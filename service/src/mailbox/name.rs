//! Names and texts as IMAP writes them.

use std::fmt::Write as _;

use data_encoding::BASE64_NOPAD;

/// A text in quotes; `None` if it has characters that only a literal could hold.
pub(super) fn quoted(text: &str) -> Option<String> {
    let fine = text.chars().all(|it| it.is_ascii() && !it.is_control());
    fine.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The name of a folder in quotes, in the form of UTF-7 that it has on the wire (RFC 3501, section 5.1.3).
pub(super) fn folder(name: &str) -> String {
    let mut wire = String::new();
    let mut others = Vec::new();
    for character in name.chars() {
        if character.is_ascii() && !character.is_control() {
            shift(&mut wire, &mut others);
            wire.push(character);
            if character == '&' {
                wire.push('-');
            }
        } else {
            let mut units = [0; 2];
            others.extend(character.encode_utf16(&mut units).iter().flat_map(|it| it.to_be_bytes()));
        }
    }
    shift(&mut wire, &mut others);
    format!("\"{}\"", wire.replace('\\', "\\\\").replace('"', "\\\""))
}

fn shift(wire: &mut String, others: &mut Vec<u8>) {
    if !others.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(wire, "&{}-", BASE64_NOPAD.encode(others).replace('/', ","));
        others.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_written_as_the_standard_does() {
        for (name, expected) in [
            ("INBOX", "\"INBOX\""),
            ("Gel\u{f6}scht", "\"Gel&APY-scht\""),
            ("a & b", "\"a &- b\""),
            ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("\u{1f600}", "\"&2D3eAA-\""),
        ] {
            assert_eq!(folder(name), expected);
        }
    }

    #[test]
    fn what_needs_a_literal_is_not_quoted() {
        assert_eq!(quoted("a\"b\\c d").as_deref(), Some("\"a\\\"b\\\\c d\""));
        assert_eq!((quoted("caf\u{e9}"), quoted("a\r\nb")), (None, None));
    }
}
