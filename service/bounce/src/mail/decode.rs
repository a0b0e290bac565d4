//! Transfer encodings, charsets and encoded words, each in one pass and tolerant: what cannot be decoded stays as it is.
//! The charset tables are `mail-parser`'s.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memmem;

use crate::limits;

/// Undoes a Content-Transfer-Encoding (RFC 2045 section 6), reading no more than yields `limit` octets.
pub(super) fn transfer<'b>(bytes: &'b [u8], encoding: &str, limit: usize) -> Cow<'b, [u8]> {
    let encoding = encoding.trim();
    if encoding.eq_ignore_ascii_case("base64") {
        Cow::Owned(base64(capped(bytes, limit.saturating_mul(3) / 2)))
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        Cow::Owned(quoted_printable(capped(bytes, limit)))
    } else {
        Cow::Borrowed(capped(bytes, limit))
    }
}

fn capped(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

/// Base64 with everything outside the alphabet passed over (RFC 2045 section 6.8), so broken lines cost only themselves.
fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in bytes {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                // Padding ends a run; concatenated runs are seen in the wild.
                (bits, held) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., low] = (bits >> held).to_be_bytes();
            out.push(low);
        }
    }
    out
}

/// Quoted-printable (RFC 2045 section 6.7). An equals sign that starts nothing stands for itself.
fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = match after {
            [_, high, low, rest @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest
            }
            [_, rest @ ..] => soft_break(rest).unwrap_or_else(|| {
                out.push(b'=');
                rest
            }),
            [] => after,
        };
    }
    out.extend_from_slice(rest);
    out
}

/// What follows a soft line break: blanks up to a line end.
fn soft_break(rest: &[u8]) -> Option<&[u8]> {
    let blanks = rest.iter().take_while(|it| matches!(it, b' ' | b'\t')).take(80).count();
    match rest.get(blanks..)? {
        [b'\r', b'\n', rest @ ..] | [b'\n' | b'\r', rest @ ..] => Some(rest),
        [] => Some(&[]),
        _ => None,
    }
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok())
}

/// Text out of bytes: by the label where it is known and fits, else by what the bytes look like.
pub(super) fn charset<'b>(bytes: &'b [u8], label: Option<&str>) -> Cow<'b, str> {
    if bytes.is_ascii() && memchr::memchr2(0x1b, 0, bytes).is_none() && !label.is_some_and(is_utf7) {
        return lossy(bytes);
    }
    let label = label.map(str::trim).filter(|it| !it.is_empty() && it.len() <= 45);
    match label {
        Some(label) if is_vague(label) => unlabelled(bytes),
        Some(label) => match charset_decoder(label.as_bytes()) {
            Some(decode) => Cow::Owned(decode(bytes)),
            None => unlabelled(bytes),
        },
        None => unlabelled(bytes),
    }
}

/// As `String::from_utf8_lossy`, which is slow on what is valid.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

fn is_utf7(label: &str) -> bool {
    label.trim().eq_ignore_ascii_case("utf-7")
}

/// Labels that are put on anything, and so say nothing of octets over 127.
fn is_vague(label: &str) -> bool {
    ["us-ascii", "ascii", "unknown-8bit", "x-unknown", "unknown", "utf-8", "utf8", "default"]
        .iter()
        .any(|it| label.eq_ignore_ascii_case(it))
}

/// Guesses the charset of unlabelled octets: UTF-8 where it is valid, ISO-2022-JP by its escapes, the two Japanese
/// multi-octet sets where nearly all pairs fit, else windows-1252.
fn unlabelled(bytes: &[u8]) -> Cow<'_, str> {
    let escapes = memchr::memchr(0x1b, bytes).and_then(|at| bytes.get(at..)).unwrap_or_default();
    if memmem::find(escapes, b"\x1b$").is_some() || memmem::find(escapes, b"\x1b(J").is_some() {
        return decoded(bytes, "iso-2022-jp");
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // A character cut in two at the end is still UTF-8.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(bytes),
        Err(_) => guessed(bytes),
    }
}

fn decoded<'b>(bytes: &'b [u8], label: &str) -> Cow<'b, str> {
    charset_decoder(label.as_bytes()).map_or_else(|| String::from_utf8_lossy(bytes), |decode| Cow::Owned(decode(bytes)))
}

/// The Japanese sets that are guessed, with the octets that every kana of theirs begins with.
const KANA: [(&str, [u8; 3]); 2] = [("shift_jis", [0x81, 0x82, 0x83]), ("euc-jp", [0xa1, 0xa4, 0xa5])];

fn guessed(bytes: &[u8]) -> Cow<'_, str> {
    let high = bytes.iter().filter(|it| **it >= 0x80).count();
    for (label, leads) in KANA {
        // Text that cannot hold enough kana is not decoded to see so.
        if leads.iter().map(|it| memchr::memchr_iter(*it, bytes).count()).sum::<usize>() * 8 < high {
            continue;
        }
        let text = decoded(bytes, label);
        let kana = text.chars().filter(|it| matches!(it, '\u{3040}'..='\u{30ff}')).count();
        let broken = text.chars().filter(|it| *it == '\u{fffd}').count();
        if broken == 0 && kana * 8 >= high {
            return text;
        }
    }
    Cow::Owned(windows_1252(bytes))
}

/// Octets that are looked at together.
const ASCII_BLOCK: usize = 32;

/// Most of such a text is ASCII, which is copied; the rest goes through the table.
fn windows_1252(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + bytes.len() / 8);
    let mut rest = bytes;
    while !rest.is_empty() {
        let blocks = rest.chunks_exact(ASCII_BLOCK).take_while(|it| it.is_ascii()).count() * ASCII_BLOCK;
        let after = rest.iter().skip(blocks).take_while(|it| it.is_ascii()).count();
        let (ascii, tail) = rest.split_at(blocks + after);
        out.push_str(&lossy(ascii));
        let (high, tail) = tail.split_at(tail.iter().position(u8::is_ascii).unwrap_or(tail.len()));
        out.push_str(&decoded(high, "windows-1252"));
        rest = tail;
    }
    out
}

/// Decodes the encoded words of a header value (RFC 2047); blanks between two of them vanish.
pub(super) fn words(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains("=?") {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    let mut after_word = false;
    while let Some((before, candidate)) = rest.split_once("=?") {
        if let Some((decoded, tail)) = word(candidate) {
            if !(after_word && before.trim().is_empty()) {
                out.push_str(before);
            }
            out.push_str(&decoded);
            rest = tail;
            after_word = true;
        } else {
            out.push_str(before);
            out.push_str("=?");
            rest = candidate;
            after_word = false;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Decodes one encoded word after its `=?`, and gives what follows it.
fn word(text: &str) -> Option<(String, &str)> {
    let window = text.get(..limits::ENCODED_WORD_BYTES).unwrap_or(text);
    let (label, rest) = window.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (payload, _) = rest.split_once("?=")?;
    // RFC 2231 section 5 lets a language follow the charset.
    let label = label.split('*').next().unwrap_or(label);
    if label.is_empty() || label.contains(char::is_whitespace) {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => base64(payload.as_bytes()),
        "Q" | "q" => quoted_printable(payload.replace('_', " ").as_bytes()),
        _ => return None,
    };
    let used = label_len(text)? + 1 + encoding.len() + 1 + payload.len() + 2;
    Some((charset(&bytes, Some(label)).into_owned(), text.get(used..)?))
}

fn label_len(text: &str) -> Option<usize> {
    text.find('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_encodings_are_undone_and_broken_ones_survive() {
        for (encoded, encoding, plain) in [
            ("aGVsbG8=", "base64", "hello"),
            ("aGV\r\n sbG8", "BASE64 ", "hello"),
            ("aGk=aGk=", "base64", "hihi"),
            ("a=3Db=\r\nc", "quoted-printable", "a=bc"),
            ("a= \t\nb=zz=", "quoted-printable", "ab=zz"),
            ("a=3Db", "8bit", "a=3Db"),
        ] {
            assert_eq!(transfer(encoded.as_bytes(), encoding, 100), plain.as_bytes(), "{encoded:?}");
        }
    }

    #[test]
    fn no_more_is_decoded_than_asked_for() {
        assert_eq!(transfer(b"abcdef", "7bit", 5).len(), 5);
        assert!(transfer("YWJj".repeat(1000).as_bytes(), "base64", 100).len() <= 120);
    }

    #[test]
    fn charsets_are_known_by_label_or_by_look() {
        for (bytes, label, plain) in [
            (&b"gr\xfc\xdfe"[..], Some("iso-8859-1"), "grüße"),
            (b"gr\xfc\xdfe", None, "grüße"),
            (b"gr\xc3\xbc\xc3\x9fe", Some("us-ascii"), "grüße"),
            (b"\x83n\x83\x8d\x81[", Some("Shift_JIS"), "ハロー"),
            (b"\x83n\x83\x8d\x81[", None, "ハロー"),
            (b"\x1b$B%O%m!<\x1b(B ok", None, "ハロー ok"),
            (b"\xf0\xd2\xc9\xd7\xc5\xd4", Some("koi8-r"), "Привет"),
            (b"\xcf\xf0\xe8\xe2\xe5\xf2", Some("windows-1251"), "Привет"),
            (b"plain", Some("no-such-charset"), "plain"),
        ] {
            assert_eq!(charset(bytes, label), plain, "{label:?}");
        }
    }

    #[test]
    fn encoded_words_join_and_broken_ones_stay() {
        for (text, plain) in [
            ("=?utf-8?q?R=C3=A9ponse_automatique?=", "Réponse automatique"),
            ("=?utf-8?B?UsOp?= =?utf-8?Q?ponse?= now", "Réponse now"),
            ("=?iso-8859-1*fr?Q?R=E9?= x", "Ré x"),
            ("a =? b =?x", "a =? b =?x"),
            ("=?utf-8?X?abc?=", "=?utf-8?X?abc?="),
        ] {
            assert_eq!(words(Cow::Borrowed(text)), plain, "{text}");
        }
    }

    #[test]
    fn an_encoded_word_over_the_limit_stays_as_it_is() {
        let fits = format!("=?utf-8?Q?{}?=", "a".repeat(limits::ENCODED_WORD_BYTES - 10));
        let over = format!("=?utf-8?Q?{}?=", "a".repeat(limits::ENCODED_WORD_BYTES - 9));
        assert!(!words(Cow::Borrowed(&fits)).starts_with("=?"));
        assert!(words(Cow::Borrowed(&over)).starts_with("=?"));
    }
}
