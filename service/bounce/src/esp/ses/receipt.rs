//! Mail that SES received and an SNS action of a receipt rule passes on whole: `content` beside `receipt` and `mail`, as it
//! is or in base64, as the rule says.

use std::borrow::Cow;

use base64::Engine;
use serde_json::Value;

use crate::esp::credentials::BASE64;
use crate::esp::json::Json;
use crate::esp::{Decoded, mime};
use crate::report::Note;

/// Whether a notification is of a mail that came in.
pub(super) fn is_one(notification: &Value) -> bool {
    Json::new(notification).word("notificationType") == "received"
}

/// Reads the mail in it.
pub(super) fn read(notification: &Value) -> Decoded {
    let content = Json::new(notification).at("content").verbatim().filter(|it| !it.trim().is_empty());
    content.map_or_else(missing, |it| mime::read(&octets(it)))
}

fn missing() -> Decoded {
    let note = "a mail was received, but it is not in the notification; let the receipt rule's SNS action publish it";
    Decoded::new("ses", Vec::new(), vec![Note(note.to_owned())], 1)
}

/// The octets of the mail. No mail is without a colon, and base64 has none, so nobody has to say which it is.
fn octets(content: &str) -> Cow<'_, [u8]> {
    if !content.contains(':')
        && let Ok(octets) = BASE64.decode(content.split_ascii_whitespace().collect::<String>())
    {
        return Cow::Owned(octets);
    }
    Cow::Borrowed(content.as_bytes())
}
