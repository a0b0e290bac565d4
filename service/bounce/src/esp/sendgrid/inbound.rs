//! Mail by Inbound Parse: a form with the message in the field `email` (the setting "send raw"), or with its header, its
//! texts and its attachments in fields of their own.

use std::borrow::Cow;

use serde_json::Value;
use time::OffsetDateTime;

use crate::esp::form::{self, Part};
use crate::esp::json::{self, Json};
use crate::esp::parsed::{Envelope, Piece, assemble, with_envelope};
use crate::esp::{Refusal, Sample, Unverified, mime};

/// What a body should have been, in refusals.
const EXPECTED: &str = "a form of Inbound Parse";

/// The message in the form.
pub(super) fn message<'a>(post: &Unverified<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let malformed = |found: &str| Refusal::Malformed { expected: EXPECTED, found: found.to_owned() };
    let parts = form::parts(post.header("content-type").unwrap_or_default(), post.body).map_err(malformed)?;
    let form = Form { parts: &parts };
    let envelope = form.envelope();
    if let Some(raw) = form.field("email").filter(|it| !it.trim_ascii().is_empty()) {
        return Ok(with_envelope(raw, &envelope));
    }
    if ["headers", "text", "html", "from"].iter().all(|it| form.field(it).is_none()) {
        return Err(malformed("it has neither a field `email` nor `headers`, `text`, `html` or `from`"));
    }
    Ok(Cow::Owned(assemble(&form.head(), &envelope, &form.pieces())))
}

/// A bounce message as it would be posted raw.
pub(super) fn sample(now: OffsetDateTime) -> Sample {
    let boundary = "rebound-test";
    let body = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\n{}\r\n--{boundary}--\r\n", mime::sample(now));
    let headers = vec![("content-type".to_owned(), format!("multipart/form-data; boundary={boundary}"))];
    Sample { method: "POST", query: String::new(), headers, body: body.into_bytes() }
}

struct Form<'p, 'a> {
    parts: &'p [Part<'a>],
}

impl<'a> Form<'_, 'a> {
    fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.parts.iter().find(|it| it.name.as_deref() == Some(name)).map(|it| it.body)
    }

    /// A field that holds JSON; null where there is none.
    fn json(&self, name: &str) -> Value {
        self.field(name).and_then(|it| json::parse(it).ok()).unwrap_or_default()
    }

    fn envelope(&self) -> Envelope {
        let value = self.json("envelope");
        let envelope = Json::new(&value);
        let to = envelope.at("to").items().find_map(Json::verbatim);
        Envelope { from: envelope.at("from").verbatim().map(str::to_owned), to: to.map(str::to_owned) }
    }

    /// The header block; where it is missing, what stands in fields of its own.
    fn head(&self) -> Cow<'a, [u8]> {
        if let Some(head) = self.field("headers").filter(|it| !it.trim_ascii().is_empty()) {
            return Cow::Borrowed(head);
        }
        let mut head = Vec::new();
        for name in ["from", "to", "cc", "subject"] {
            if let Some(value) = self.field(name) {
                let value = value.split(u8::is_ascii_control).collect::<Vec<_>>().join(&b' ');
                head.extend([name.as_bytes(), b": ", &value, b"\n"].concat());
            }
        }
        Cow::Owned(head)
    }

    /// The plain text, else the other, and the attachments.
    fn pieces(&self) -> Vec<Piece<'a>> {
        let (charsets, info) = (self.json("charsets"), self.json("attachment-info"));
        let text = |name: &str| self.field(name).filter(|it| !it.trim_ascii().is_empty()).map(|it| (name.to_owned(), it));
        let text = text("text").or_else(|| text("html"));
        let text = text.map(|(name, body)| {
            let subtype = if name == "text" { "plain" } else { "html" };
            Piece::text(subtype, Json::new(&charsets).at(&name).verbatim(), body)
        });
        let attachments = self.parts.iter().filter(|it| it.is_file).map(|part| {
            let known = Json::new(&info).at(part.name.as_deref().unwrap_or_default());
            let declared = part.content_type.as_deref().filter(|it| form::media_type(it) != "application/octet-stream");
            let filename = part.filename.as_deref().or_else(|| known.at("filename").verbatim());
            Piece::attachment(declared.or_else(|| known.at("type").verbatim()), filename, part.body)
        });
        text.into_iter().chain(attachments).collect()
    }
}
