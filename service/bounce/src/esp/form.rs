//! Forms: `application/x-www-form-urlencoded` (WHATWG URL section 5.1) and `multipart/form-data` (RFC 7578). Written here
//! and not borrowed: `multer` and actix read asynchronously, `form_urlencoded` makes UTF-8 of what may be a message in
//! another charset, and to `mail-parser` a form is no mail (it has no limits, and cuts a part at a boundary in mid-line).
//! Both work on bytes, in one pass, and borrow where they can.

use std::borrow::Cow;

use memchr::memmem;

use crate::limits;

/// What a `+` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// A blank, as in forms.
    Blank,
    /// Itself, as in paths.
    Literal,
}

/// Undoes percent-encoding (RFC 3986 section 2.1). What is no valid escape stays as it is.
pub(super) fn decoded(text: &[u8], plus: Plus) -> Cow<'_, [u8]> {
    let blank = |byte: u8| plus == Plus::Blank && byte == b'+';
    if !text.iter().any(|it| *it == b'%' || blank(*it)) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (*byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                plain.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (byte, _) if blank(byte) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
    }
    Cow::Owned(plain)
}

/// Percent-encodes all that is not unreserved (RFC 3986 section 2.3).
pub(super) fn encoded(text: &[u8]) -> String {
    let is_unreserved = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_' | b'~');
    text.iter().fold(String::with_capacity(text.len()), |mut all, it| {
        if is_unreserved(*it) {
            all.push(char::from(*it));
        } else {
            all.push('%');
            all.push_str(&data_encoding::HEXUPPER.encode(&[*it]));
        }
        all
    })
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// A name and a value, decoded.
pub(super) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// Names and values of an urlencoded form or query, decoded. A name without `=` has an empty value.
pub(super) fn pairs(form: &[u8], plus: Plus) -> impl Iterator<Item = Pair<'_>> {
    form.split(|it| *it == b'&').filter(|it| !it.is_empty()).map(move |pair| match memchr::memchr(b'=', pair) {
        Some(at) => {
            let (name, value) = pair.split_at(at);
            (decoded(name, plus), decoded(value.get(1..).unwrap_or_default(), plus))
        }
        None => (decoded(pair, plus), Cow::Borrowed(&[][..])),
    })
}

/// As [`pairs`], of a whole post: all of them, or none if they are too many.
///
/// # Errors
/// What is wrong, without any of the content.
pub(super) fn fields(form: &[u8]) -> Result<impl Iterator<Item = Pair<'_>>, &'static str> {
    if memchr::memchr_iter(b'&', form).count() >= limits::FORM_FIELDS {
        return Err("a form with more than 20,000 fields");
    }
    Ok(pairs(form, Plus::Blank))
}

/// One part of a multipart/form-data body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The `name` of its Content-Disposition.
    pub(super) name: Option<String>,
    /// Whether it is a file: has a `filename`, or is declared to be a message.
    pub(super) is_file: bool,
    /// The `filename` of its Content-Disposition.
    pub(super) filename: Option<String>,
    /// Its Content-Type, with parameters.
    pub(super) content_type: Option<String>,
    /// Its bytes.
    pub(super) body: &'a [u8],
}

/// The parts of a multipart/form-data body.
///
/// # Errors
/// What is wrong, without any of the content.
pub(super) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, &'static str> {
    let boundary = parameter(content_type, "boundary").ok_or("a form without a boundary")?;
    if boundary.is_empty() || boundary.len() > limits::FORM_BOUNDARY_BYTES {
        return Err("a form whose boundary is empty or longer than 70 characters");
    }
    let needle = format!("--{boundary}").into_bytes();
    let mut found = Vec::new();
    let mut start = None;
    let needle = memmem::Finder::new(&needle);
    for delimiter in (Delimiters { body, needle: &needle, at: 0 }) {
        if let Some(start) = start {
            if found.len() == limits::FORM_PARTS {
                return Err("a form with more than 300 parts");
            }
            found.push(part(body.get(start..delimiter.from).unwrap_or_default())?);
        }
        if delimiter.last {
            return Ok(found);
        }
        start = Some(delimiter.to);
    }
    Err("a form without its closing boundary")
}

/// A boundary line: where the part before it ends, where the next begins, whether it was the last.
struct Delimiter {
    from: usize,
    to: usize,
    last: bool,
}

/// The boundary lines of a body, in order.
struct Delimiters<'a, 'n> {
    body: &'a [u8],
    needle: &'n memmem::Finder<'n>,
    at: usize,
}

impl Iterator for Delimiters<'_, '_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let begin = self.at + self.needle.find(self.body.get(self.at..)?)?;
            let end = begin + self.needle.needle().len();
            self.at = end;
            let (before, after) = (self.body.get(..begin)?, self.body.get(end..)?);
            if !(before.is_empty() || before.ends_with(b"\n")) {
                continue;
            }
            let from = before.strip_suffix(b"\r\n").or_else(|| before.strip_suffix(b"\n")).unwrap_or(before).len();
            if after.starts_with(b"--") {
                return Some(Delimiter { from, to: end, last: true });
            }
            let blanks = after.iter().take_while(|it| matches!(it, b' ' | b'\t')).count();
            let line_end = match after.get(blanks..)? {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => continue,
            };
            // The line break stays with the next part, so that a part without headers begins with its blank line.
            self.at = end + blanks;
            return Some(Delimiter { from, to: end + blanks + line_end, last: false });
        }
    }
}

/// Reads the header block of a part.
fn part(bytes: &[u8]) -> Result<Part<'_>, &'static str> {
    let window = bytes.get(..limits::FORM_PART_HEADER_BYTES.min(bytes.len())).unwrap_or_default();
    let blank = |mark: &[u8]| memmem::find(window, mark).map(|at| (at, at + mark.len()));
    let (head, body) = match (bytes, blank(b"\r\n\r\n"), blank(b"\n\n")) {
        ([], _, _) => (0, 0),
        ([b'\r', b'\n', ..], _, _) => (0, 2),
        ([b'\n', ..], _, _) => (0, 1),
        (_, Some(crlf), Some(lf)) => crlf.min(lf),
        (_, Some(one), None) | (_, None, Some(one)) => one,
        (_, None, None) => return Err("a form part without a blank line after its headers"),
    };
    let head = String::from_utf8_lossy(bytes.get(..head).unwrap_or_default());
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let disposition = header("content-disposition").unwrap_or_default();
    let (filename, content_type) = (parameter(&disposition, "filename"), header("content-type"));
    let is_message = content_type.as_deref().is_some_and(|it| media_type(it) == "message/rfc822");
    Ok(Part {
        name: parameter(&disposition, "name"),
        is_file: is_message || filename.is_some(),
        filename,
        content_type,
        body: bytes.get(body..).unwrap_or_default(),
    })
}

/// The media type of a Content-Type value, in lower case and without parameters.
pub(super) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A parameter of a header value, unquoted (RFC 2045 section 5.1).
pub(super) fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (found, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let bare = || {
            let (text, remaining) = after.split_once(';').unwrap_or((after, ""));
            (text.trim_end().to_owned(), remaining)
        };
        let (text, remaining) = after.strip_prefix('"').map_or_else(bare, unquoted);
        if found.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = remaining;
    }
}

/// A quoted string from behind its opening quote, and what follows the closing one.
fn unquoted(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => text.extend(letters.next()),
            other => text.push(other),
        }
    }
    (text, letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Option<String>, bool, String);

    fn form(body: &str) -> Result<Vec<Read>, &'static str> {
        let parts = parts("multipart/form-data; boundary=\"b=1\"", body.as_bytes())?;
        Ok(parts.into_iter().map(|it| (it.name, it.is_file, String::from_utf8_lossy(it.body).into_owned())).collect())
    }

    #[test]
    fn escapes_are_undone_and_what_is_none_stays() {
        assert_eq!(&*decoded(b"a%20b+c%2", Plus::Blank), b"a b c%2");
        assert_eq!(&*decoded(b"a%zz+%FF%0a", Plus::Literal), b"a%zz+\xff\n");
        assert_eq!(encoded("a-Z~0 +&=é".as_bytes()), "a-Z~0%20%2B%26%3D%C3%A9");
        let pairs: Vec<_> = pairs(b"a=1&&b&c=x=%26&=d", Plus::Blank).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b""), (b"c", b"x=&"), (b"", b"d")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_vec(), v.to_vec())));
    }

    #[test]
    fn parts_are_cut_at_whole_boundary_lines_only() {
        let body = "preamble\r\n--b=1\r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\nx --b=1\r\n--b=12\r\ny\r\n\
                    --b=1 \t\r\ncontent-disposition: form-data; filename=\"q;name=z.eml\"; name=m\r\nContent-Type: text/plain\r\n\r\n\r\nz\r\n\r\n--b=1--\r\nepilogue";
        let expected = vec![
            (Some("a\"b".to_owned()), false, "x --b=1\r\n--b=12\r\ny".to_owned()),
            (Some("m".to_owned()), true, "\r\nz\r\n".to_owned()),
        ];
        assert_eq!(form(body), Ok(expected.clone()));
        let lf: Vec<_> = expected.into_iter().map(|(name, is_file, body)| (name, is_file, body.replace("\r\n", "\n"))).collect();
        assert_eq!(form(&body.replace("\r\n", "\n")), Ok(lf));
    }

    #[test]
    fn a_declared_message_is_a_file_and_headers_may_be_missing() {
        let body = "--b=1\r\nContent-Type: Message/RFC822; x=y\r\n\r\nA: b\r\n--b=1\r\n\r\nbare\r\n--b=1\r\n\r\n--b=1--";
        let expected = vec![(None, true, "A: b".to_owned()), (None, false, "bare".to_owned()), (None, false, String::new())];
        assert_eq!(form(body), Ok(expected));
    }

    #[test]
    fn a_broken_form_says_what_is_wrong() {
        assert_eq!(form(""), Err("a form without its closing boundary"));
        assert_eq!(form("--b=1\r\n\r\nx"), Err("a form without its closing boundary"));
        assert_eq!(form("--b=1\r\nA: b\r\n--b=1--"), Err("a form part without a blank line after its headers"));
        assert_eq!(parts("multipart/form-data", b"x"), Err("a form without a boundary"));
        assert_eq!(parts("multipart/form-data; boundary=", b"x"), Err("a form whose boundary is empty or longer than 70 characters"));
    }

    #[test]
    fn forms_are_bounded() {
        let boundary = |length: usize| format!("multipart/form-data; boundary={}", "b".repeat(length));
        assert_eq!(
            parts(&boundary(limits::FORM_BOUNDARY_BYTES + 1), b""),
            Err("a form whose boundary is empty or longer than 70 characters")
        );
        assert_eq!(parts(&boundary(limits::FORM_BOUNDARY_BYTES), b""), Err("a form without its closing boundary"));
        let many = |count: usize| form(&format!("{}--b=1--", "--b=1\r\n\r\nx\r\n".repeat(count)));
        assert_eq!(many(limits::FORM_PARTS).map(|it| it.len()), Ok(limits::FORM_PARTS));
        assert_eq!(many(limits::FORM_PARTS + 1), Err("a form with more than 300 parts"));
        let wide = |length: usize| form(&format!("--b=1\r\nA: {}\r\n\r\nx\r\n--b=1--", "a".repeat(length - 7)));
        assert!(wide(limits::FORM_PART_HEADER_BYTES).is_ok());
        assert_eq!(wide(limits::FORM_PART_HEADER_BYTES + 1), Err("a form part without a blank line after its headers"));
    }

    #[test]
    fn fields_are_bounded() {
        let count = |it: usize| fields(["a=b"].repeat(it).join("&").as_bytes()).map(Iterator::count);
        assert_eq!(count(limits::FORM_FIELDS), Ok(limits::FORM_FIELDS));
        assert_eq!(count(limits::FORM_FIELDS + 1), Err("a form with more than 20,000 fields"));
        // Names and values that are empty cost a separator, and one field each.
        assert!(fields("&".repeat(limits::FORM_FIELDS).as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_cut_without_a_panic(content_type in "multipart/form-data; ?(boundary=)?\"?[a-b;=\"\\\\]{0,8}", body in "(--|[ab:;\"=\\\\]|\r?\n){0,60}") {
            let _ = parts(&content_type, body.as_bytes());
        }
    }
}
