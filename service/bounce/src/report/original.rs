//! The message that came back (part three, RFC 6522 section 3): found as a part of any of its media types, as a part
//! without one, or pasted below the human text. Gives what ties a report to what was sent.

use std::borrow::Cow;
use std::collections::btree_map::Entry;

use super::human::{self, Human};
use super::{Hints, recipient};
use crate::address::Address;
use crate::limits;
use crate::mail::{Mail, Message};

/// Media types of a returned message or its header, RFC 6522 and RFC 6533 section 6 and what is seen beside them.
const TYPES: &[&str] = &[
    "message/rfc822",
    "text/rfc822-headers",
    "message/global",
    "message/global-headers",
    "message/rfc822-headers",
    "message/rfc822-header",
    "text/rfc822-header",
    "text/rfc822",
    "message/partial",
    "message/news",
];

/// How headers begin that say how a message travelled, not what it is; of no use as hints.
const TRACE: &[&str] = &[
    "received",
    "dkim-",
    "domainkey-",
    "arc-",
    "authentication-results",
    "x-received",
    "x-google-",
    "x-gm-",
    "x-ms-",
    "x-microsoft-",
    "x-forefront-",
    "x-spam-",
];

/// How much of a returned message is decoded to read its header.
const HEAD: usize = limits::HEADER_BYTES + 4096;

/// The returned message, if the mail has one.
pub(super) fn find<'m>(mail: &'m Mail<'_>, human: &Human<'m>) -> Option<Message<'m>> {
    mail.parts()
        .find(|it| TYPES.contains(&it.content_type()))
        .map(|it| it.message(HEAD))
        .filter(|it| !it.headers().is_empty())
        .or_else(|| human.pasted.map(|it| Message::parse(Cow::Borrowed(it.as_bytes()))))
        .filter(|it| !it.headers().is_empty())
}

/// All of the returned message, as far as a report inside it may reach.
pub(super) fn octets<'m>(mail: &'m Mail<'_>, human: &Human<'m>) -> Option<Cow<'m, [u8]>> {
    let part = mail.parts().find(|it| TYPES.contains(&it.content_type())).map(|it| it.octets(limits::REPORT_BYTES));
    part.or_else(|| human.pasted.map(|it| Cow::Borrowed(it.as_bytes())))
}

/// Whether the message went through a discussion list, so that its To names the list and not the subscriber.
pub(crate) fn is_discussion(message: &Message<'_>) -> bool {
    let headers = message.headers();
    headers.has("x-beenthere") || headers.first("list-post").is_some_and(|it| it.contains("mailto:"))
}

/// The Message-ID, without angle brackets.
pub(crate) fn message_id(message: &Message<'_>) -> Option<String> {
    message.headers().first("message-id").map(|it| bare_message_id(&it)).filter(|it| !it.is_empty())
}

/// A message id without brackets and comments.
pub(crate) fn bare_message_id(text: &str) -> String {
    let text = text.trim();
    let inside = text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(text, |(inside, _)| inside);
    let id = inside.split_whitespace().next().unwrap_or_default();
    human::capped(id, limits::HINT_BYTES).to_owned()
}

/// The addresses of its To header, of which a lone one is the recipient.
pub(crate) fn to(message: &Message<'_>) -> Vec<Address> {
    addresses(&message.headers().first("to").unwrap_or_default())
}

/// Every address in a list of mailboxes (RFC 5322 section 3.4).
pub(crate) fn addresses(text: &str) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for mention in human::listed(text) {
        if let Some(address) = recipient::from_text(mention.word)
            && found.len() < limits::RECIPIENTS
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// Where the message hints at its list: `List-Id`, and all headers that are no trace of its way.
pub(crate) fn hints(message: &Message<'_>) -> Hints {
    let mut hints = Hints::default();
    let mut room = limits::HINTS_BYTES;
    let is_trace = |name: &[u8]| TRACE.iter().any(|it| name.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it.as_bytes())));
    for (name, value) in message.headers().iter_except(is_trace) {
        let name = name.to_ascii_lowercase();
        if name == "list-id" && hints.list_id.is_none() {
            hints.list_id = list_id(&value);
        }
        let value = human::capped(&value, limits::HINT_BYTES);
        let size = name.len() + value.len();
        if hints.headers.len() < limits::HINT_HEADERS
            && size <= room
            && let Entry::Vacant(place) = hints.headers.entry(name)
        {
            room -= size;
            place.insert(value.to_owned());
        }
    }
    hints
}

/// What stands in the brackets of a `List-Id` (RFC 2919 section 2), or the whole where there are none.
fn list_id(value: &str) -> Option<String> {
    let id = value.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(id, _)| id).trim();
    (!id.is_empty() && id.len() <= 255).then(|| id.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_lists_shed_their_brackets() {
        assert_eq!(bare_message_id(" <a.b@c.example> (x)"), "a.b@c.example");
        assert_eq!(bare_message_id("a.b@c.example"), "a.b@c.example");
        assert_eq!(list_id("News \"of us\" <Weekly.corp.example>").as_deref(), Some("weekly.corp.example"));
        assert_eq!(list_id("weekly.corp.example").as_deref(), Some("weekly.corp.example"));
        assert_eq!(list_id("<>"), None);
    }

    #[test]
    fn hints_leave_out_traces_and_stop_at_the_limits() {
        let read = |text: &str| hints(&Message::parse(Cow::Borrowed(text.as_bytes())));
        let few = read("Received: a\nX-MS-Exchange-Y: b\nList-Id: <l.example>\nX-Campaign: 7\n");
        assert_eq!(few.list_id.as_deref(), Some("l.example"));
        assert_eq!(few.headers.keys().map(String::as_str).collect::<Vec<_>>(), ["list-id", "x-campaign"]);
        let headers = |count: usize, value: &str| (0..count).fold(String::new(), |all, it| all + &format!("X-{it}: {value}\n"));
        let many = headers(limits::HINT_HEADERS + 1, "y");
        assert_eq!(read(&many).headers.len(), limits::HINT_HEADERS);
        let long = "y".repeat(limits::HINT_BYTES + 1);
        assert_eq!(read(&format!("X-1: {long}\n")).headers.get("x-1").map(String::len), Some(limits::HINT_BYTES));
        let large = headers(limits::HINT_HEADERS, &long);
        assert!(read(&large).headers.values().map(String::len).sum::<usize>() <= limits::HINTS_BYTES);
    }

    #[test]
    fn a_list_of_mailboxes_gives_each_address_once() {
        let found = addresses("\"Doe, Jane\" <jane@corp.example>, bob@corp.example (Bob), <JANE@corp.example>");
        assert_eq!(found.iter().map(Address::expose).collect::<Vec<_>>(), ["jane@corp.example", "bob@corp.example"]);
        assert!(addresses("undisclosed-recipients:;").is_empty());
    }
}
