//! Mail that a service took apart before it posted it (`SendGrid`'s inbound parse, Mailgun's routes), put together again,
//! so that there is one reader of mail. What is made is a message only as far as that reader needs one: the header as it
//! was, the text, and the attachments with their types. What of the envelope the message itself does not say is put on
//! top, where a receiving server writes it (RFC 5321 section 4.4): an empty return path marks a bounce, and the address it
//! came to may carry a token.

use std::borrow::Cow;

use aws_lc_rs::digest;
use memchr::memmem;

use crate::esp::{form, mac};

/// Fields that tell how the parts were put together, which is told anew.
const OF_THE_BODY: [&str; 3] = ["content-type", "content-transfer-encoding", "content-length"];

/// The envelope that a message came in.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The return path; empty where there was none to return to.
    pub(super) from: Option<String>,
    /// Whom it came to.
    pub(super) to: Option<String>,
}

/// A text or an attachment.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    content_type: String,
    body: Cow<'a, [u8]>,
}

impl<'a> Piece<'a> {
    /// Text of that type (`plain`, `html`) in that charset.
    pub(super) fn text(subtype: &str, charset: Option<&str>, body: impl Into<Cow<'a, [u8]>>) -> Self {
        let named = |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.:+".contains(&it));
        let charset = charset.filter(named).unwrap_or("utf-8");
        Self { content_type: format!("text/{subtype}; charset={charset}"), body: body.into() }
    }

    /// An attachment. Where nothing useful is declared, its first words tell what a report is made of.
    pub(super) fn attachment(declared: Option<&str>, filename: Option<&str>, body: &'a [u8]) -> Self {
        let declared = declared.filter(|it| is_type(it)).unwrap_or("application/octet-stream");
        let is_vague = matches!(form::media_type(declared).as_str(), "application/octet-stream" | "text/plain");
        let found = if is_vague { by_first_words(body, filename) } else { None };
        Self { content_type: found.unwrap_or(declared).to_owned(), body: Cow::Borrowed(body) }
    }
}

/// Whether this is a media type, perhaps with parameters, and fits on a line.
fn is_type(text: &str) -> bool {
    let kind = form::media_type(text);
    let token = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.+".contains(&it));
    text.len() <= 200 && !text.bytes().any(|it| it.is_ascii_control()) && kind.split_once('/').is_some_and(|(a, b)| token(a) && token(b))
}

/// The parts of a report (RFC 6522), known by how they begin.
fn by_first_words(body: &[u8], filename: Option<&str>) -> Option<&'static str> {
    const FIRST_WORDS: [(&str, &str); 7] = [
        ("reporting-mta:", "message/delivery-status"),
        ("original-envelope-id:", "message/delivery-status"),
        ("original-recipient:", "message/delivery-status"),
        ("final-recipient:", "message/delivery-status"),
        ("feedback-type:", "message/feedback-report"),
        ("received:", "message/rfc822"),
        ("return-path:", "message/rfc822"),
    ];
    let begins = |words: &str| {
        let body = body.trim_ascii_start();
        body.get(..words.len()).is_some_and(|it| it.eq_ignore_ascii_case(words.as_bytes()))
    };
    let is_message = filename.is_some_and(|it| it.len() >= 4 && it.to_ascii_lowercase().ends_with(".eml"));
    FIRST_WORDS.into_iter().find(|(words, _)| begins(words)).map(|(_, kind)| kind).or_else(|| is_message.then_some("message/rfc822"))
}

/// A message out of its header block and its parts.
pub(super) fn assemble(head: &[u8], envelope: &Envelope, pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut message = envelope_fields(head, envelope);
    for line in kept_lines(head) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
    }
    let was = field(head, "content-type").unwrap_or_default();
    let is_multipart = form::media_type(&was).starts_with("multipart/");
    match pieces {
        [] => message.extend_from_slice(b"\r\n"),
        [alone] if !is_multipart => piece(&mut message, alone),
        several => {
            let boundary = boundary(several);
            let top = format!("Content-Type: {}; boundary=\"{boundary}\"\r\n", container(&was));
            message.extend_from_slice(top.as_bytes());
            for it in several {
                message.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
                piece(&mut message, it);
            }
            message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        }
    }
    message
}

/// A whole message, with what the envelope adds to it.
pub(super) fn with_envelope<'a>(message: &'a [u8], envelope: &Envelope) -> Cow<'a, [u8]> {
    let ends = [&b"\r\n\r\n"[..], b"\n\n"].iter().filter_map(|it| memmem::find(message, it)).min();
    let head = ends.and_then(|it| message.get(..it)).unwrap_or(message);
    let mut added = envelope_fields(head, envelope);
    if added.is_empty() {
        return Cow::Borrowed(message);
    }
    added.extend_from_slice(message);
    Cow::Owned(added)
}

fn envelope_fields(head: &[u8], envelope: &Envelope) -> Vec<u8> {
    let of = |name: &str, address: Option<&str>| {
        let address = address?.trim().trim_start_matches('<').trim_end_matches('>');
        let fits = address.len() <= 512 && !address.chars().any(char::is_control) && field(head, name).is_none();
        fits.then(|| format!("{name}: <{address}>\r\n"))
    };
    let to = envelope.to.as_deref().filter(|it| !it.trim().is_empty());
    [of("Return-Path", envelope.from.as_deref()), of("Delivered-To", to)].into_iter().flatten().collect::<String>().into_bytes()
}

/// The lines of a header block: without blank ones, which would end it, and without the fields that are told anew.
fn kept_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut keep = true;
    lines(head).filter(move |line| {
        if !is_folded(line) {
            let name = line.split(|it| *it == b':').next().unwrap_or_default().trim_ascii();
            keep = !OF_THE_BODY.iter().any(|it| name.eq_ignore_ascii_case(it.as_bytes()));
        }
        keep
    })
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|it| *it == b'\n').map(|it| it.strip_suffix(b"\r").unwrap_or(it)).filter(|it| !it.trim_ascii().is_empty())
}

fn is_folded(line: &[u8]) -> bool {
    line.first().is_some_and(|it| matches!(it, b' ' | b'\t'))
}

/// The first field of that name, unfolded.
fn field(head: &[u8], name: &str) -> Option<String> {
    let mut lines = lines(head).skip_while(|line| {
        let found = line.split(|it| *it == b':').next().unwrap_or_default().trim_ascii();
        is_folded(line) || found.len() == line.len() || !found.eq_ignore_ascii_case(name.as_bytes())
    });
    let mut value = String::from_utf8_lossy(lines.next()?).split_once(':')?.1.trim().to_owned();
    lines.take_while(|it| is_folded(it)).for_each(|it| value += &String::from_utf8_lossy(it));
    Some(value)
}

fn piece(message: &mut Vec<u8>, piece: &Piece<'_>) {
    message.extend_from_slice(format!("Content-Type: {}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", piece.content_type).as_bytes());
    message.extend_from_slice(&piece.body);
}

/// The multipart that the parts go into: a report stays one.
fn container(was: &str) -> String {
    let kind = form::parameter(was, "report-type").filter(|_| form::media_type(was) == "multipart/report");
    match kind.filter(|it| is_type(&format!("report/{it}"))) {
        Some(kind) => format!("multipart/report; report-type={kind}"),
        None => "multipart/mixed".to_owned(),
    }
}

/// A boundary that no part holds: nobody can write a text that holds its own digest.
fn boundary(pieces: &[Piece<'_>]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for it in pieces {
        context.update(&it.body);
    }
    format!("=_{}", mac::to_hex(context.finish().as_ref().get(..16).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::mime;
    use crate::kind::Kind;

    const HEAD: &str = "From: MAILER-DAEMON@mx.example\nTo: us@y.example\nSubject: Undelivered\nContent-Type: multipart/report;\n\treport-type=delivery-status; boundary=old\nContent-Transfer-Encoding:\n 7bit\n\nMIME-Version: 1.0\n";
    const STATUS: &[u8] = b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; jane@x.example\nAction: failed\nStatus: 5.1.1\n";

    fn lines_of(message: &[u8]) -> Vec<String> {
        String::from_utf8_lossy(message).lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_report_is_one_again() {
        for declared in [Some("message/delivery-status"), Some("text/plain"), Some("x\r\ny/z"), None] {
            let pieces = [Piece::text("plain", Some("us-ascii"), &b"failed\n"[..]), Piece::attachment(declared, None, STATUS)];
            let message = assemble(HEAD.as_bytes(), &Envelope { from: Some(String::new()), to: Some("b+x@y.example".into()) }, &pieces);
            let reading = mime::read(&message).reading;
            let [report] = reading.reports.as_slice() else { panic!("{declared:?}: {reading:?}") };
            assert_eq!((report.kind, report.recipient.as_ref().unwrap().expose()), (Kind::Bounce, "jane@x.example"));
            let lines = lines_of(&message);
            assert_eq!((lines[0].as_str(), lines[1].as_str()), ("Return-Path: <>", "Delivered-To: <b+x@y.example>"));
            assert_eq!(lines.iter().filter(|it| it.starts_with("Content-Type: multipart/report; report-type=delivery-status;")).count(), 1);
            assert!(!lines.iter().any(|it| it.contains("7bit") || it.contains("boundary=old")));
        }
    }

    #[test]
    fn one_text_stays_one_text() {
        let message =
            assemble(b"Subject: x\r\nContent-Type: text/plain\r\n", &Envelope::default(), &[Piece::text("plain", None, &b"y"[..])]);
        let expected = "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ny";
        assert_eq!(String::from_utf8_lossy(&message), expected);
        assert_eq!(assemble(b"", &Envelope::default(), &[]), b"\r\n");
    }

    #[test]
    fn what_the_message_says_of_its_envelope_stays() {
        let envelope = Envelope { from: Some("<s@x.example>".into()), to: Some("r@y.example".into()) };
        let whole = b"return-path: <a@b.example>\r\n\r\nDelivered-To: none\r\n";
        assert_eq!(lines_of(&with_envelope(whole, &envelope))[0], "Delivered-To: <r@y.example>");
        let both = b"Return-Path: <>\nDelivered-To: <q@y.example>\n\nx";
        assert!(matches!(with_envelope(both, &envelope), Cow::Borrowed(_)));
        for hostile in ["a@b.example\r\nX: y", "\0", &"x".repeat(600)] {
            let envelope = Envelope { from: Some(hostile.to_owned()), to: Some(" ".to_owned()) };
            assert!(matches!(with_envelope(b"A: b\n\nx", &envelope), Cow::Borrowed(_)), "{hostile:?}");
        }
    }

    #[test]
    fn attachments_are_known_by_their_first_words_only_where_nothing_else_tells() {
        let of = |declared: Option<&str>, filename: Option<&str>, body: &str| {
            Piece::attachment(declared, filename, body.as_bytes()).content_type
        };
        assert_eq!(of(None, None, "Feedback-Type: abuse"), "message/feedback-report");
        assert_eq!(of(Some("application/octet-stream"), Some("A.EML"), "X: y"), "message/rfc822");
        assert_eq!(of(Some("image/png"), Some("a.eml"), "Received: x"), "image/png");
        assert_eq!(of(Some("text/plain; charset=x"), None, "hello"), "text/plain; charset=x");
        assert_eq!(of(Some("nonsense"), None, ""), "application/octet-stream");
        assert_eq!(Piece::text("plain", Some("x\r\ny"), &b""[..]).content_type, "text/plain; charset=utf-8");
    }

    proptest::proptest! {
        #[test]
        fn anything_is_put_together_without_a_panic(head in "([A-Za-z-]{0,14}:?[ \t]?[a-z;=/\"\u{e9}]{0,12}\r?\n){0,6}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..200), from in "\\PC{0,10}") {
            let pieces = [Piece::text("plain", Some(&from), body.as_slice()), Piece::attachment(Some(&from), Some(&head), &body)];
            let message = assemble(head.as_bytes(), &Envelope { from: Some(from.clone()), to: Some(from) }, &pieces);
            let _ = mime::read(&message);
        }
    }
}
