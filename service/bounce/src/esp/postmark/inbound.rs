//! A mail that Postmark received and took apart, put together again (RFC 5322, RFC 2046 section 5.1) to be read like any
//! other. Where the server is set to send the raw mail along, that is what is read.

use aws_lc_rs::digest;
use base64::Engine;
use data_encoding::HEXLOWER;

use crate::esp::credentials::BASE64;
use crate::esp::json::Json;
use crate::limits;

/// Whether a record is a mail that was received: those have no type, and the parts of a mail.
pub(super) fn is_mail(record: Json<'_>) -> bool {
    match record.word("RecordType").as_str() {
        "inbound" => true,
        "" => ["RawEmail", "FromFull", "TextBody", "HtmlBody", "Headers"].iter().any(|it| record.at(it).is_some()),
        _ => false,
    }
}

/// The mail, if the record is one that was received and holds anything.
pub(super) fn message(record: Json<'_>) -> Option<Vec<u8>> {
    if !is_mail(record) {
        return None;
    }
    let raw = record.at("RawEmail").verbatim().filter(|it| !it.trim().is_empty());
    Some(raw.map_or_else(|| assembled(record), |it| it.as_bytes().to_vec())).filter(|it| !it.trim_ascii().is_empty())
}

/// One part of a mail.
struct Part {
    content_type: String,
    encoding: &'static str,
    body: Vec<u8>,
}

fn assembled(record: Json<'_>) -> Vec<u8> {
    let mut message = headers(record);
    let mut parts: Vec<Part> = text(record).into_iter().collect();
    parts.extend(record.at("Attachments").items().filter_map(attachment).take(limits::PARTS));
    match parts.as_slice() {
        [] => message.extend(b"\r\n"),
        [only] => write_part(&mut message, only),
        _ => write_parts(&mut message, &parts),
    }
    message
}

/// The headers, without those that tell how the mail was made up of parts.
fn headers(record: Json<'_>) -> Vec<u8> {
    const OF_PARTS: [&str; 4] = ["mime-version", "content-type", "content-transfer-encoding", "content-disposition"];
    // Postmark lists some apart from the others.
    const APART: [(&str, &str); 7] = [
        ("From", "From"),
        ("To", "To"),
        ("Cc", "Cc"),
        ("Reply-To", "ReplyTo"),
        ("Subject", "Subject"),
        ("Date", "Date"),
        ("X-Original-To", "OriginalRecipient"),
    ];
    let listed = record.at("Headers").items().take(limits::HEADER_FIELDS).filter_map(|it| Some((it.text("Name")?, it.at("Value"))));
    let listed: Vec<_> = listed.filter(|(name, _)| is_name(name) && !OF_PARTS.contains(&name.to_ascii_lowercase().as_str())).collect();
    let missing = APART.iter().filter(|(name, _)| !listed.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)));
    let mut block = Vec::new();
    let mut add = |name: &str, value: Json<'_>| {
        if let Some(value) = value.verbatim() {
            block.extend(format!("{name}: {}\r\n", one_line(value)).into_bytes());
        }
    };
    for (name, field) in missing.filter(|(_, field)| record.text(field).is_some()) {
        add(name, record.at(field));
    }
    for (name, value) in &listed {
        add(name, *value);
    }
    block.extend(b"MIME-Version: 1.0\r\n");
    block
}

/// Whether a text can be the name of a header field (RFC 5322 section 2.2).
fn is_name(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_graphic() && it != b':')
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n', '\0'], " ")
}

/// What a reader would see.
fn text(record: Json<'_>) -> Option<Part> {
    let body = |name: &str| record.at(name).verbatim().filter(|it| !it.trim().is_empty());
    let (content_type, body) = match (body("TextBody"), body("HtmlBody")) {
        (Some(text), _) => ("text/plain; charset=utf-8", text),
        (None, Some(html)) => ("text/html; charset=utf-8", html),
        (None, None) => return None,
    };
    Some(Part { content_type: content_type.to_owned(), encoding: "8bit", body: body.as_bytes().to_vec() })
}

/// An attachment. Reports and returned messages come as such; they may not be encoded (RFC 6522 section 3, RFC 2046 section
/// 5.2.1), so they are decoded. What is no base64 is left out.
fn attachment(attachment: Json<'_>) -> Option<Part> {
    let encoded: String = attachment.at("Content").verbatim()?.split_ascii_whitespace().collect();
    let body = BASE64.decode(&encoded).ok()?;
    let content_type = attachment.text("ContentType").map_or_else(|| "application/octet-stream".to_owned(), |it| one_line(&it));
    let is_plain = ["text/", "message/"].iter().any(|it| content_type.to_ascii_lowercase().starts_with(it));
    let (encoding, body) = if is_plain { ("8bit", body) } else { ("base64", encoded.into_bytes()) };
    Some(Part { content_type, encoding, body })
}

fn write_part(message: &mut Vec<u8>, part: &Part) {
    let head = format!("Content-Type: {}\r\nContent-Transfer-Encoding: {}\r\n\r\n", part.content_type, part.encoding);
    message.extend(head.into_bytes());
    message.extend(&part.body);
}

fn write_parts(message: &mut Vec<u8>, parts: &[Part]) {
    // A boundary out of the content cannot stand in it, whoever wrote it.
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&part.body);
    }
    let boundary = HEXLOWER.encode(context.finish().as_ref().get(..20).unwrap_or_default());
    let content_type = report_type(parts).map_or_else(|| "mixed".to_owned(), |it| format!("report; report-type={it}"));
    message.extend(format!("Content-Type: multipart/{content_type}; boundary=\"{boundary}\"\r\n\r\n").into_bytes());
    for part in parts {
        message.extend(format!("--{boundary}\r\n").into_bytes());
        write_part(message, part);
        message.extend(b"\r\n");
    }
    message.extend(format!("--{boundary}--\r\n").into_bytes());
}

/// The type of report (RFC 6522 section 3) that the parts make up.
fn report_type(parts: &[Part]) -> Option<&'static str> {
    parts.iter().find_map(|it| match it.content_type.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "message/delivery-status" | "message/global-delivery-status" => Some("delivery-status"),
        "message/feedback-report" => Some("feedback-report"),
        "message/disposition-notification" | "message/global-disposition-notification" => Some("disposition-notification"),
        _ => None,
    })
}
