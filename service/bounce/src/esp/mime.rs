//! Raw messages over HTTP: whatever receives bounces for us posts them as they are, or uploads them by a form. The
//! credential proves who brought the mail, not who wrote it, so what it says stays unattributed (anyone may write a
//! bounce); only a token of ours in the mail raises that.
//!
//! Taken are `message/rfc822`, `text/plain` and `application/octet-stream` bodies and those without a type;
//! `multipart/form-data` with the message in the field `message`, `email` or `body-mime`, else in the first file; and
//! `application/x-www-form-urlencoded` with such a field, else as a raw message, which is what `curl --data-binary` sends.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::esp::batch::Meaning;
use crate::esp::form::{self, Plus};
use crate::esp::json::Notes;
use crate::esp::{Content, Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, TEST_RECIPIENT, Unverified, Verified};
use crate::kind::{Attribution, Kind};
use crate::mail::Mail;
use crate::report;

/// Names under which services upload a message (ours, `SendGrid`'s inbound parse, Mailgun's routes), most telling first.
const FIELDS: [&str; 3] = ["message", "email", "body-mime"];

/// Raw messages.
#[derive(Debug)]
pub struct Mime;

impl Provider for Mime {
    fn name(&self) -> &'static str {
        "mime"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, _now: OffsetDateTime) -> Result<Proof, Refusal> {
        credentials.transport_required(post)?;
        message(post)?;
        Ok(Proof::of(Attribution::Unattributed))
    }

    /// The message alone, so that one that came by form and one that came raw are the same receipt.
    fn content<'a>(&self, post: &Unverified<'a>) -> Content<'a> {
        let bytes = message(post).unwrap_or(Cow::Borrowed(post.body));
        Content { media_type: Cow::Borrowed("message/rfc822"), bytes }
    }

    fn sample(&self, _credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        let headers = vec![("content-type".to_owned(), "message/rfc822".to_owned())];
        Ok(Sample { method: "POST", query: String::new(), headers, body: sample(now).into_bytes() })
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        match message(post.post()) {
            Ok(bytes) => read(&bytes),
            Err(refusal) => Decoded::unreadable("none", &refusal),
        }
    }
}

/// Reads a raw message, whoever brought it.
pub(super) fn read(message: &[u8]) -> Decoded {
    let reading = report::read(&Mail::parse(message));
    let unrecognised = usize::from(reading.kind == Kind::Other && reading.reports.is_empty());
    Decoded { reading, ..Decoded::new("none", Vec::new(), Vec::new(), unrecognised) }
}

/// Reads a raw message that came as one event among others.
pub(super) fn meaning(message: &[u8], notes: &mut Notes) -> Meaning {
    let Decoded { reading, unrecognised, .. } = read(message);
    reading.notes.into_iter().for_each(|it| notes.add(it.0));
    if unrecognised == 0 { Meaning::Reports(reading.reports) } else { Meaning::Unknown("a mail is none that this version understands") }
}

/// A bounce message about [`TEST_RECIPIENT`].
pub(super) fn sample(now: OffsetDateTime) -> String {
    let date = now.format(&Rfc2822).unwrap_or_default();
    format!(
        "From: MAILER-DAEMON@rebound.invalid\r\nTo: bounces@rebound.invalid\r\nDate: {date}\r\nSubject: Test of a source\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"=_test\"\r\n\r\n\
         --=_test\r\nContent-Type: text/plain\r\n\r\nThis is a test of a source of Rebound.\r\n\
         --=_test\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.rebound.invalid\r\n\r\n\
         Final-Recipient: rfc822; {TEST_RECIPIENT}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such user (test)\r\n\r\n--=_test--\r\n"
    )
}

/// The message in a post, raw or in a form.
///
/// # Errors
/// [`Refusal::MediaType`] or [`Refusal::Malformed`], when there is none in it.
pub fn message<'a>(post: &Unverified<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let content_type = post.header("content-type").unwrap_or_default();
    let found = match form::media_type(content_type).as_str() {
        "" | "message/rfc822" | "message/global" | "text/plain" | "application/octet-stream" => Cow::Borrowed(post.body),
        "multipart/form-data" => Cow::Borrowed(in_form(content_type, post.body)?),
        "application/x-www-form-urlencoded" => in_urlencoded(post.body),
        _ => return Err(Refusal::MediaType("message/rfc822, text/plain, application/octet-stream, multipart/form-data")),
    };
    if found.trim_ascii().is_empty() { Err(malformed("it is empty")) } else { Ok(found) }
}

fn in_form<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], Refusal> {
    let parts = form::parts(content_type, body).map_err(malformed)?;
    // Taking one of several would lose the others behind a 2xx.
    if parts.iter().filter(|it| it.is_file).count() > 1 {
        return Err(malformed("a form with several files; post each message on its own"));
    }
    let named = FIELDS.iter().find_map(|name| parts.iter().find(|it| it.name.as_deref() == Some(*name)));
    let part = named.or_else(|| parts.iter().find(|it| it.is_file));
    part.map(|it| it.body).ok_or_else(|| malformed("a form with neither a field `message`, `email` or `body-mime` nor a file"))
}

fn in_urlencoded(body: &[u8]) -> Cow<'_, [u8]> {
    let is_form = FIELDS.iter().any(|name| {
        let at_start = |it: &[u8]| it.strip_prefix(name.as_bytes()).is_some_and(|it| it.starts_with(b"="));
        // A raw message has blanks and line breaks, a form has none.
        !body.iter().any(u8::is_ascii_whitespace) && body.split(|it| *it == b'&').any(at_start)
    });
    let field = |name: &str| form::pairs(body, Plus::Blank).find(|(it, _)| **it == *name.as_bytes());
    match FIELDS.iter().find_map(|it| field(it)).filter(|_| is_form) {
        Some((_, value)) => value,
        None => Cow::Borrowed(body),
    }
}

fn malformed(found: &str) -> Refusal {
    Refusal::Malformed { expected: "a message (RFC 5322), raw or in a form", found: found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::esp::Credential;

    const MESSAGE: &str = "From: a@example.com\r\nSubject: x\r\n\r\n100%25 + 1 = text & more\r\n";

    fn prove(content_type: &str, body: &[u8]) -> Result<(Proof, Vec<u8>), Refusal> {
        let credentials = Credentials { bearer: vec!["t".into()], ..Credentials::default() };
        let headers = [("authorization".to_owned(), "Bearer t".to_owned()), ("content-type".to_owned(), content_type.to_owned())];
        let post = Unverified { method: "POST", url: "/webhooks/bounces", headers: &headers, body };
        let proof = Mime.prove(&post, &credentials, OffsetDateTime::UNIX_EPOCH)?;
        Ok((proof, Mime.content(&post).bytes.into_owned()))
    }

    fn upload(parts: &[(&str, &str)]) -> String {
        let parts =
            parts.iter().map(|(disposition, body)| format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{body}\r\n"));
        parts.collect::<String>() + "--b--\r\n"
    }

    #[test]
    fn of_several_files_none_is_taken() {
        let body = upload(&[("name=\"message\"; filename=\"a.eml\"", MESSAGE), ("name=\"b\"; filename=\"b.eml\"", MESSAGE)]);
        assert!(matches!(prove("multipart/form-data; boundary=b", body.as_bytes()), Err(Refusal::Malformed { .. })));
    }

    #[test]
    fn without_a_credential_nobody_is_let_in() {
        let post = Unverified { method: "POST", url: "/", headers: &[], body: MESSAGE.as_bytes() };
        let prove = |credentials: &Credentials| Mime.prove(&post, credentials, OffsetDateTime::UNIX_EPOCH);
        assert!(matches!(prove(&Credentials::default()), Err(Refusal::NotConfigured(_))));
        let basic = Credentials { basic: vec!["a:b".into()], ..Credentials::default() };
        assert_eq!(prove(&basic), Err(Refusal::Missing(Credential::Basic)));
    }

    #[test]
    fn a_message_comes_raw_or_in_a_form_and_is_the_same_receipt() {
        let of = |content_type: &str, body: &str| prove(content_type, body.as_bytes()).map(|(_, it)| String::from_utf8(it).unwrap());
        for content_type in
            ["", "message/rfc822", "Text/Plain; charset=utf-8", "application/octet-stream", "application/x-www-form-urlencoded"]
        {
            assert_eq!(of(content_type, MESSAGE).as_deref(), Ok(MESSAGE), "{content_type}");
        }
        for parts in [
            &[("name=\"message\"", MESSAGE)][..],
            &[("name=\"note\"", "x"), ("name=\"f\"; filename=\"x.txt\"", "y"), ("name=\"body-mime\"", MESSAGE)],
            &[("name=\"email\"", MESSAGE), ("name=\"f\"; filename=\"x.txt\"", "y")],
            &[("name=\"note\"", "x"), ("name=\"f\"; filename=\"x.eml\"", MESSAGE)],
        ] {
            assert_eq!(of("multipart/form-data; boundary=b", &upload(parts)).as_deref(), Ok(MESSAGE), "{parts:?}");
        }
        let digit = |it: u8| char::from_digit(u32::from(it), 16).unwrap();
        let encoded: String = MESSAGE.bytes().flat_map(|it| ['%', digit(it >> 4), digit(it & 15)]).collect();
        assert_eq!(of("application/x-www-form-urlencoded", &format!("a=b&email={encoded}&c")).as_deref(), Ok(MESSAGE));
    }

    #[test]
    fn what_holds_no_message_says_why() {
        assert!(matches!(prove("application/json", b"{}"), Err(Refusal::MediaType(_))));
        assert_eq!(prove("message/rfc822", b" \r\n").map(|_| ()), Err(malformed("it is empty")));
        let no_file = upload(&[("name=\"note\"", "x")]);
        let expected = malformed("a form with neither a field `message`, `email` or `body-mime` nor a file");
        assert_eq!(prove("multipart/form-data; boundary=b", no_file.as_bytes()).map(|_| ()), Err(expected));
        assert_eq!(prove("multipart/form-data", b"x").map(|_| ()), Err(malformed("a form without a boundary")));
    }

    #[test]
    fn whoever_brings_a_mail_did_not_write_it() {
        assert_eq!(prove("message/rfc822", MESSAGE.as_bytes()).map(|it| it.0), Ok(Proof::of(Attribution::Unattributed)));
    }

    #[test]
    fn an_unreadable_receipt_is_unrecognised() {
        let post = Unverified { method: "POST", url: "", headers: &[], body: b"" };
        let decoded = Mime.decode(&Verified::restored(post, Attribution::Unattributed, OffsetDateTime::UNIX_EPOCH));
        assert_eq!((decoded.unrecognised, decoded.reading.notes.len()), (1, 1));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused_without_a_panic(content_type in "(multipart/form-data; boundary=b|application/x-www-form-urlencoded|message/rfc822|\\PC{0,30})", body in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = prove(&content_type, &body);
        }
    }
}
