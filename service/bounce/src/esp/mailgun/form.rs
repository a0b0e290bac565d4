//! Forms: events as they were posted before 2018, and mail that a route posts, raw (`body-mime`) or taken apart.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::esp::form::{self, Part};
use crate::esp::json::{self, Json};
use crate::esp::mailgun::seal::Seal;
use crate::esp::parsed::{Envelope, Piece, assemble, with_envelope};

/// Fields of an old event that are Mailgun's own; whatever else is there is a variable of the sender.
const OWN_FIELDS: [&str; 29] = [
    "attachment-count",
    "campaign-id",
    "campaign-name",
    "city",
    "client-name",
    "client-os",
    "client-type",
    "code",
    "country",
    "description",
    "device-type",
    "domain",
    "error",
    "event",
    "ip",
    "mailing-list",
    "message-headers",
    "message-id",
    "notification",
    "reason",
    "recipient",
    "region",
    "signature",
    "tag",
    "timestamp",
    "token",
    "url",
    "user-agent",
    "x-mailgun-sid",
];

/// A form, its fields in the order they came.
#[derive(Debug)]
pub(super) struct Form<'a> {
    fields: Vec<(String, Cow<'a, [u8]>)>,
    files: Vec<Part<'a>>,
}

impl<'a> Form<'a> {
    /// Reads a form, of either encoding.
    pub(super) fn read(content_type: &str, body: &'a [u8]) -> Result<Self, &'static str> {
        if form::media_type(content_type) != "multipart/form-data" {
            let fields: Vec<_> = form::fields(body)?.map(|(name, value)| (text(&name).into_owned(), value)).collect();
            return if fields.is_empty() { Err("an empty form") } else { Ok(Self { fields, files: Vec::new() }) };
        }
        let (files, fields): (Vec<_>, Vec<_>) = form::parts(content_type, body)?.into_iter().partition(|it| it.is_file);
        let fields = fields.into_iter().map(|it| (it.name.unwrap_or_default(), Cow::Borrowed(it.body))).collect();
        Ok(Self { fields, files })
    }

    fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.fields.iter().filter(move |(it, _)| it == name).map(|(_, value)| value.as_ref())
    }

    /// The first field of that name as text: where the sender's variables are laid flat between Mailgun's fields, those come first.
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        self.all(name).next().map(text)
    }

    fn filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.field(name).filter(|it| !it.trim().is_empty())
    }

    /// Whether a route posted this. Mailgun always gives one of these fields, and whoever wrote the mail cannot take it away.
    pub(super) fn is_mail(&self) -> bool {
        let names = || self.fields.iter().map(|(name, _)| name.as_str()).chain(self.files.iter().filter_map(|it| it.name.as_deref()));
        names().any(|it| matches!(it, "body-mime" | "body-plain"))
    }

    /// What may prove it. A variable of the sender may bear the name of one of the fields, so the first and the last of each are
    /// tried: what the key signed, Mailgun wrote.
    pub(super) fn seals(&self) -> Vec<Seal<'_>> {
        let of = |last: bool| {
            let pick = |name: &str| if last { self.all(name).next_back() } else { self.all(name).next() };
            let field = |name: &str| pick(name).map(text);
            Some(Seal { timestamp: field("timestamp")?, token: field("token")?, signature: field("signature")? })
        };
        [false, true].into_iter().filter_map(of).collect()
    }

    /// The event in the form of today.
    pub(super) fn event(&self) -> Value {
        let one = |name: &str| self.filled(name).map_or(Value::Null, |it| Value::String(it.into_owned()));
        let either = |first: &str, second: &str| if self.filled(first).is_some() { one(first) } else { one(second) };
        let word = self.field("event").unwrap_or_default().trim().to_ascii_lowercase();
        let is_failure = matches!(word.as_str(), "bounced" | "dropped");
        let (event, severity) = if is_failure { (json!("failed"), json!("permanent")) } else { (json!(word), Value::Null) };
        let code = one("code");
        let is_status = code.as_str().is_some_and(|it| it.contains('.'));
        let (code, status) = if is_status { (Value::Null, code) } else { (code, Value::Null) };
        let headers = self.listed_headers();
        let listed = |name: &'static str| headers.iter().filter(move |(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, it)| it.clone());
        // Bounces and complaints have the header block alone.
        let message_id = match either("Message-Id", "message-id") {
            Value::Null => listed("message-id").next().map_or(Value::Null, Value::String),
            found => found,
        };
        let tags = self.all("tag").chain(self.all("X-Mailgun-Tag")).map(|it| text(it).into_owned());
        let tags: Vec<_> = tags.chain(listed("x-mailgun-tag")).collect();
        json!({
            "signature": {"token": one("token")},
            "event-data": {
                "event": event, "severity": severity, "reason": one("reason"), "timestamp": one("timestamp"), "recipient": one("recipient"),
                "delivery-status": {
                    "code": code, "enhanced-code": status, "message": either("error", "notification"), "description": one("description"),
                },
                "message": {"headers": {"message-id": message_id}},
                "tags": tags,
                "user-variables": self.variables(listed("x-mailgun-variables")),
            },
        })
    }

    /// The sender's variables: those that were sent along in a header, and those laid flat between Mailgun's fields.
    fn variables(&self, packed: impl Iterator<Item = String>) -> Value {
        let packed = packed.filter_map(|it| json::parse(it.as_bytes()).ok()).filter_map(|it| it.as_object().cloned()).flatten();
        let is_own = |name: &str| OWN_FIELDS.contains(&name) || name.starts_with("X-Mailgun-") || name.starts_with("attachment-");
        let flat = self.fields.iter().filter(|(name, _)| !is_own(&name.to_ascii_lowercase()) && !is_own(name));
        let flat = flat.map(|(name, value)| (name.clone(), json!(text(value))));
        Value::Object(packed.chain(flat).collect::<Map<_, _>>())
    }

    /// The header block, where it is a list of names and values.
    fn listed_headers(&self) -> Vec<(String, String)> {
        let listed = self.all("message-headers").next().and_then(|it| json::parse(it).ok()).unwrap_or_default();
        let pair = |it: Json<'_>| {
            let mut pair = it.items().map(Json::verbatim);
            Some((pair.next()??.to_owned(), pair.next()??.to_owned()))
        };
        Json::new(&listed).items().filter_map(pair).collect()
    }

    /// The message that a route posted.
    pub(super) fn message(&self) -> Vec<u8> {
        let of = |name: &str| self.field(name).map(Cow::into_owned);
        let envelope = Envelope { from: of("sender"), to: of("recipient") };
        let uploaded = || self.files.iter().find(|it| it.name.as_deref() == Some("body-mime")).map(|it| it.body);
        if let Some(raw) = self.all("body-mime").next().or_else(uploaded) {
            return with_envelope(raw, &envelope).into_owned();
        }
        let text = |name: &str| self.all(name).find(|it| !it.trim_ascii().is_empty());
        let plain = text("body-plain").map(|it| Piece::text("plain", None, it));
        let body = plain.or_else(|| text("body-html").map(|it| Piece::text("html", None, it)));
        let attachments = self.files.iter().map(|it| Piece::attachment(it.content_type.as_deref(), it.filename.as_deref(), it.body));
        assemble(self.head().as_bytes(), &envelope, &body.into_iter().chain(attachments).collect::<Vec<_>>())
    }

    /// The header block: a list of names and values, else what stands in fields of its own.
    fn head(&self) -> String {
        let mut pairs = self.listed_headers();
        if pairs.is_empty() {
            let known = ["From", "To", "Cc", "Subject", "Date", "Message-Id", "from", "subject"];
            pairs = known.into_iter().filter_map(|it| Some((it.to_owned(), self.filled(it)?.into_owned()))).collect();
        }
        let is_name = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_graphic() && it != b':');
        let lines = pairs.iter().filter(|(name, _)| is_name(name)).map(|(name, value)| {
            let value: Vec<_> = value.split(char::is_control).map(str::trim).collect();
            format!("{name}: {}\r\n", value.join(" "))
        });
        lines.collect()
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
