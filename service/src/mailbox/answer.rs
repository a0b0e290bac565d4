//! What a server's answers say, as far as it matters here. The grammar is that of `imap-proto`; what it cannot read is told as such.

use std::borrow::Cow;

use bytes::Bytes;
use imap_proto::{AttributeValue, Capability, MailboxDatum, Response, ResponseCode};

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A command is done.
    Done { tag: String, verdict: Verdict, text: String, told: Option<Told> },
    /// The server waits for more.
    GoOn,
    /// Something is told, whether it was asked for or not.
    Told(Told),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    No,
    /// Also what is no verdict at all.
    Bad,
}

/// What a server tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// What it can do, in upper case; logins as `AUTH=PLAIN`.
    Capabilities(Vec<String>),
    /// Something about a message.
    Message(Message),
    /// Messages that were searched for.
    Found(Vec<u32>),
    /// How many messages there are, which it says when there are more.
    Exists(u32),
    /// A folder that was listed.
    Folder,
    /// Flags that last; `\*` if others can be made.
    PermanentFlags(Vec<String>),
    UidValidity(u32),
    ReadOnly,
    /// The session ends.
    Bye(String),
    /// Nothing that matters, or what cannot be read.
    Other,
}

/// What was asked about a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) uid: Option<u32>,
    pub(super) size: Option<u32>,
    pub(super) body: Option<Bytes>,
}

/// Reads an answer. Whatever it is, it is something.
pub(super) fn answer(bytes: &[u8]) -> Answer {
    let line = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
    if line.first() == Some(&b'+') {
        return Answer::GoOn;
    }
    let parsed = Response::parse(bytes).ok().map(|(_, it)| it);
    if line.starts_with(b"* ") {
        let bye = || line.get(..5).is_some_and(|it| it.eq_ignore_ascii_case(b"* BYE"));
        return Answer::Told(match parsed {
            _ if bye() => Told::Bye(String::from_utf8_lossy(line.get(5..).unwrap_or_default()).trim().to_owned()),
            Some(it) => told(it),
            None => Told::Other,
        });
    }
    // Read by hand: the words of a refusal may be in any encoding, and its tag is what counts.
    let text = String::from_utf8_lossy(line.get(..line.len().min(2_000)).unwrap_or_default());
    let mut words = text.splitn(3, ' ');
    let tag = words.next().unwrap_or_default().to_owned();
    let verdict = match words.next().unwrap_or_default() {
        it if it.eq_ignore_ascii_case("OK") => Verdict::Ok,
        it if it.eq_ignore_ascii_case("NO") => Verdict::No,
        _ => Verdict::Bad,
    };
    let told = match parsed {
        Some(Response::Done { outcome, .. }) => outcome.code.map(code),
        _ => None,
    };
    Answer::Done { tag, verdict, text: words.next().unwrap_or_default().to_owned(), told }
}

fn told(response: Response<'_>) -> Told {
    match response {
        Response::Capabilities(all) => Told::Capabilities(all.into_iter().map(capability).collect()),
        Response::Fetch(_, attributes) => Told::Message(message(attributes)),
        Response::MailboxData(MailboxDatum::Search(found)) => Told::Found(found),
        Response::MailboxData(MailboxDatum::Exists(count)) => Told::Exists(count),
        Response::MailboxData(MailboxDatum::List(_)) => Told::Folder,
        Response::Data { outcome, .. } => outcome.code.map_or(Told::Other, code),
        _ => Told::Other,
    }
}

fn code(code: ResponseCode<'_>) -> Told {
    match code {
        ResponseCode::Capabilities(all) => Told::Capabilities(all.into_iter().map(capability).collect()),
        ResponseCode::PermanentFlags(flags) => Told::PermanentFlags(flags.into_iter().map(Cow::into_owned).collect()),
        ResponseCode::UidValidity(it) => Told::UidValidity(it),
        ResponseCode::ReadOnly => Told::ReadOnly,
        _ => Told::Other,
    }
}

fn capability(capability: Capability<'_>) -> String {
    match capability {
        Capability::Imap4rev1 => "IMAP4REV1".to_owned(),
        Capability::Auth(it) => format!("AUTH={}", it.to_ascii_uppercase()),
        Capability::Atom(it) => it.to_ascii_uppercase(),
    }
}

fn message(attributes: Vec<AttributeValue<'_>>) -> Message {
    let mut message = Message::default();
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(uid) => message.uid = Some(uid),
            AttributeValue::Rfc822Size(size) => message.size = Some(size),
            AttributeValue::BodySection { section: None, data: Some(data), .. } => message.body = Some(Bytes::copy_from_slice(&data)),
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(verdict: Verdict, text: &str) -> Answer {
        Answer::Done { tag: "r1".to_owned(), verdict, text: text.to_owned(), told: None }
    }

    #[test]
    fn answers_are_read() {
        let words = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let told = |it: Told| Answer::Told(it);
        let message =
            |uid, size, body: Option<&'static [u8]>| told(Told::Message(Message { uid, size, body: body.map(Bytes::from_static) }));
        for (text, expected) in [
            ("* CAPABILITY IMAP4rev1 auth=Plain Idle\r\n", told(Told::Capabilities(words(&["IMAP4REV1", "AUTH=PLAIN", "IDLE"])))),
            ("* SEARCH 4 2 9\r\n", told(Told::Found(vec![4, 2, 9]))),
            ("* SEARCH\r\n", told(Told::Found(vec![]))),
            ("* 7 EXISTS\r\n", told(Told::Exists(7))),
            ("* 7 EXPUNGE\r\n", told(Told::Other)),
            ("* LIST (\\HasNoChildren) \"/\" INBOX\r\n", told(Told::Folder)),
            ("* OK [UIDVALIDITY 5] valid\r\n", told(Told::UidValidity(5))),
            ("* OK [PERMANENTFLAGS (\\Seen \\*)] kept\r\n", told(Told::PermanentFlags(words(&["\\Seen", "\\*"])))),
            ("* 1 FETCH (UID 3 RFC822.SIZE 44)\r\n", message(Some(3), Some(44), None)),
            ("* 1 FETCH (UID 3 BODY[]<0> {4}\r\nA: 1)\r\n", message(Some(3), None, Some(b"A: 1"))),
            ("* 1 FETCH (BODY[] {0}\r\n UID 3)\r\n", message(Some(3), None, Some(b""))),
            ("* bye too \u{fc}ber\r\n", told(Told::Bye("too \u{fc}ber".to_owned()))),
            ("+ go on\r\n", Answer::GoOn),
            ("+\r\n", Answer::GoOn),
            ("r1 OK done\r\n", done(Verdict::Ok, "done")),
            ("r1 NO [AUTHENTICATIONFAILED] no\r\n", done(Verdict::No, "[AUTHENTICATIONFAILED] no")),
            ("r1 NO\r\n", done(Verdict::No, "")),
            ("r1 what\r\n", done(Verdict::Bad, "")),
            ("* 1 FETCH (UID x\r\n", told(Told::Other)),
            ("\r\n", Answer::Done { tag: String::new(), verdict: Verdict::Bad, text: String::new(), told: None }),
        ] {
            assert_eq!(answer(text.as_bytes()), expected, "{text:?}");
        }
        let Answer::Done { verdict, .. } = answer(b"r1 NO \xe9\xff\r\n") else { panic!("it is one") };
        assert_eq!(verdict, Verdict::No);
        let Answer::Done { told, .. } = answer(b"r1 OK [READ-ONLY] examined\r\n") else { panic!("it is one") };
        assert_eq!(told, Some(Told::ReadOnly));
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(text in "[*+r] ?(OK|NO|FETCH|SEARCH|LIST|1|[(){}\\[\\]\"\\\\ 0-9A-Z])*\r?\n?") {
            answer(text.as_bytes());
        }
    }
}
