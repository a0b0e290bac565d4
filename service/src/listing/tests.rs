use std::io::Write as _;
use std::sync::LazyLock;

use bounce::policy::Cause;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

static RULES: LazyLock<Arc<Rules>> = LazyLock::new(|| Arc::new(Rules::load(&[]).unwrap()));

fn reading() -> Reading {
    Reading { format: None, cause: None, rules: RULES.clone(), now: NOW }
}

fn spooled(bytes: &[u8]) -> Spooled {
    let mut spool = Spool::new().unwrap();
    spool.write_all(bytes).unwrap();
    spool.finish().unwrap()
}

type Rows = (Format, Vec<Result<Entry, Refused>>);

fn read_with(bytes: &[u8], reading: Reading) -> Result<Rows, ListingError> {
    let mut listing = Listing::open(&spooled(bytes), reading)?;
    let rows = std::iter::from_fn(|| listing.next_row().unwrap()).collect();
    assert_eq!(listing.position(), bytes.len() as u64, "all of it was read");
    Ok((listing.format(), rows))
}

/// The format, and each line in words: `1 jane@example.org hard user_unknown @2026-03-04T05:06:07Z (note)`.
fn told(rows: Rows) -> (Format, Vec<String>) {
    let line = |row: Result<Entry, Refused>| match row {
        Ok(it) => {
            let word = |it: Option<String>| it.map(|it| format!(" {it}")).unwrap_or_default();
            let time = |sign: &str, at: Option<OffsetDateTime>| {
                at.map(|it| format!(" {sign}{}", it.format(&time::format_description::well_known::Rfc3339).unwrap())).unwrap_or_default()
            };
            format!(
                "{} {} {}{}{}{}{}{}{}{}",
                it.line,
                it.address.expose(),
                it.cause,
                word(it.reason.map(|it| it.to_string())),
                word(it.list.map(|it| format!("on {it}"))),
                if it.provisional { " provisionally" } else { "" },
                if it.overrides_consent { " overriding" } else { "" },
                time("@", it.since),
                time("until ", it.expires_at),
                word(it.note.map(|it| format!("({it})"))),
            )
        }
        Err(it) => format!("{} refused: {}", it.line, it.why),
    };
    (rows.0, rows.1.into_iter().map(line).collect())
}

fn read(text: &str) -> (Format, Vec<String>) {
    told(read_with(text.as_bytes(), reading()).unwrap())
}

#[test]
fn our_own_csv() {
    let text = "address,list,cause,reason,provisional,overrides_consent,since,expires_at,note\r\n\
        jane@example.org,acme,hard,user_unknown,false,false,2026-03-04T05:06:07Z,,\r\n\
        John@Example.org,acme,soft,mailbox_full,true,false,2026-11-20T00:00:00Z,2026-12-01T00:00:00Z,\"full, again\"\r\n\
        '@example.net,acme.weekly,manual_allow,,false,true,2026-01-01T00:00:00Z,,\"'=said\nso\"\r\n\
        joan@example.org,,,,,,,,\r\n";
    let (format, rows) = read(text);
    assert_eq!(format, Format::Csv);
    assert_eq!(
        rows,
        [
            "2 jane@example.org hard user_unknown on acme @2026-03-04T05:06:07Z",
            "3 john@example.org soft mailbox_full on acme provisionally @2026-11-20T00:00:00Z until 2026-12-01T00:00:00Z (full, again)",
            "4 @example.net manual_allow on acme.weekly overriding @2026-01-01T00:00:00Z (=said\nso)",
            "6 joan@example.org import",
        ]
    );
}

#[test]
fn our_own_ndjson_with_its_last_line() {
    let text = "{\"address\":\"jane@example.org\",\"list\":\"acme\",\"cause\":\"complaint\",\"reason\":null,\"provisional\":false,\
        \"overrides_consent\":false,\"since\":\"2026-03-04T05:06:07Z\",\"expires_at\":null,\"note\":null}\n\n\
        {\"done\":true,\"entries\":1}\n";
    assert_eq!(read(text), (Format::Ndjson, vec!["1 jane@example.org complaint on acme @2026-03-04T05:06:07Z".to_owned()]));
}

#[test]
fn the_lists_of_ses() {
    let document = "{\n    \"SuppressedDestinationSummaries\": [\n        {\n            \"EmailAddress\": \"jane@example.org\",\n            \
        \"Reason\": \"BOUNCE\",\n            \"LastUpdateTime\": \"2026-03-04T05:06:07.000000+00:00\"\n        },\n        \
        {\"EmailAddress\": \"john@example.org\", \"Reason\": \"COMPLAINT\", \"LastUpdateTime\": 1772600767.0}\n    ],\n    \"NextToken\": \"x\"\n}\n";
    let expected = |lines: [u64; 2]| {
        vec![
            format!("{} jane@example.org hard @2026-03-04T05:06:07Z", lines[0]),
            format!("{} john@example.org complaint @2026-03-04T05:06:07Z", lines[1]),
        ]
    };
    assert_eq!(read(document), (Format::Ses, expected([3, 8])));
    let csv = "EmailAddress,Reason,LastUpdateTime\njane@example.org,BOUNCE,2026-03-04T05:06:07Z\njohn@example.org,COMPLAINT,2026-03-04T05:06:07Z\n";
    assert_eq!(read(csv), (Format::Ses, expected([2, 3])));
    let lines =
        "{\"emailAddress\":\"jane@example.org\",\"reason\":\"BOUNCE\"}\n{\"emailAddress\":\"john@example.org\",\"reason\":\"OTHER\"}";
    assert_eq!(read(lines).1, ["1 jane@example.org hard", "2 refused: the reason is none that is known here"]);
    assert_eq!(
        read("jane@example.org,BOUNCE\njohn@example.org, COMPLAINT\n").1,
        ["1 jane@example.org hard", "2 john@example.org complaint"]
    );
}

#[test]
fn the_lists_of_sendgrid() {
    let bounces = "status,reason,email,created\n5.1.1,\"550 5.1.1 <jane@example.org>: User unknown\",jane@example.org,1772600767\n\
        550,\"550 5.7.1 Service unavailable; client host blocked using Spamhaus\",john@example.org,1772600767\n";
    let (format, rows) = read(bounces);
    assert_eq!(format, Format::Sendgrid);
    assert_eq!(rows[0], "2 jane@example.org hard user_unknown @2026-03-04T05:06:07Z (550 5.1.1 <…>: User unknown)");
    assert!(rows[1].starts_with("3 refused: the server refused for a fault of the sender (dnsbl_listed"), "{}", rows[1]);
    let taken = read_with(bounces.as_bytes(), Reading { cause: Some(Cause::Hard), ..reading() }).unwrap();
    assert!(told(taken).1[1].starts_with("3 john@example.org hard"), "a cause that is named holds");
    let json = "[{\"created\":1772600767,\"email\":\"jane@example.org\",\"ip\":\"192.0.2.1\"}]";
    assert_eq!(read(json).1, ["1 jane@example.org complaint @2026-03-04T05:06:07Z"]);
    let unsubscribes = "email,created\njane@example.org,1772600767\n";
    assert_eq!(read(unsubscribes), (Format::Sendgrid, vec!["2 jane@example.org unsubscribe @2026-03-04T05:06:07Z".to_owned()]));
    let invalid =
        "[{\"created\":1772600767,\"email\":\"jane@example.org\",\"reason\":\"Mail domain mentioned in email address is unknown\"}]";
    assert_eq!(
        read(invalid).1,
        ["1 jane@example.org hard domain_unknown @2026-03-04T05:06:07Z (Mail domain mentioned in email address is unknown)"]
    );
}

#[test]
fn the_lists_of_mailgun() {
    let bounces = "address,code,error,created_at\njane@example.org,550,No such mailbox,\"Wed, 04 Mar 2026 05:06:07 UTC\"\n";
    assert_eq!(
        read(bounces),
        (Format::Mailgun, vec!["2 jane@example.org hard user_unknown @2026-03-04T05:06:07Z (No such mailbox)".to_owned()])
    );
    let json = "{\"items\":[{\"address\":\"jane@example.org\",\"tags\":[\"*\"],\"created_at\":\"Wed, 04 Mar 2026 05:06:07 UTC\"},\
        {\"address\":\"john@example.org\",\"tags\":[\"news\",\"shop\"],\"created_at\":\"Wed, 04 Mar 2026 05:06:07 UTC\"}],\
        \"paging\":{\"next\":\"https://api.example/next\"}}";
    assert_eq!(
        read(json).1,
        ["1 jane@example.org unsubscribe @2026-03-04T05:06:07Z", "1 john@example.org unsubscribe @2026-03-04T05:06:07Z (tags: news,shop)"]
    );
    let complaints = "address,created_at\njane@example.org,\"Wed, 04 Mar 2026 05:06:07 +0000\"\n";
    assert_eq!(read(complaints).1, ["2 jane@example.org complaint @2026-03-04T05:06:07Z"]);
}

#[test]
fn the_lists_of_postmark() {
    let dump = "{\"Suppressions\":[\
        {\"EmailAddress\":\"a@example.org\",\"SuppressionReason\":\"HardBounce\",\"Origin\":\"Recipient\",\"CreatedAt\":\"2026-03-04T00:06:07-05:00\"},\
        {\"EmailAddress\":\"b@example.org\",\"SuppressionReason\":\"SpamComplaint\",\"Origin\":\"Recipient\",\"CreatedAt\":\"2026-03-04T00:06:07-05:00\"},\
        {\"EmailAddress\":\"c@example.org\",\"SuppressionReason\":\"ManualSuppression\",\"Origin\":\"Recipient\",\"CreatedAt\":\"2026-03-04T00:06:07-05:00\"},\
        {\"EmailAddress\":\"d@example.org\",\"SuppressionReason\":\"ManualSuppression\",\"Origin\":\"Customer\",\"CreatedAt\":\"2026-03-04T00:06:07-05:00\"}]}";
    let (format, rows) = read(dump);
    let causes: Vec<&str> = rows.iter().map(|it| it.split(' ').nth(2).unwrap()).collect();
    assert_eq!((format, causes), (Format::Postmark, vec!["hard", "complaint", "unsubscribe", "manual_block"]));
    let csv = "EmailAddress,SuppressionReason,Origin,CreatedAt\na@example.org,HardBounce,Recipient,2026-03-04T05:06:07Z\n";
    assert_eq!(read(csv), (Format::Postmark, vec!["2 a@example.org hard @2026-03-04T05:06:07Z".to_owned()]));
}

#[test]
fn the_lists_of_sparkpost() {
    let json = "{\"results\":[\
        {\"recipient\":\"a@example.org\",\"type\":\"transactional\",\"source\":\"Bounce Rule\",\"description\":\"550: no a@example.org\",\"created\":\"2026-03-04T05:06:07+00:00\"},\
        {\"recipient\":\"b@example.org\",\"type\":\"non_transactional\",\"source\":\"Spam Complaint\",\"created\":\"2026-03-04T05:06:07+00:00\"},\
        {\"recipient\":\"c@example.org\",\"non_transactional\":true,\"source\":\"Unsubscribe Link\"},\
        {\"recipient\":\"d@example.org\",\"type\":\"transactional\",\"source\":\"Manually Added\"},\
        {\"recipient\":\"e@example.org\",\"type\":\"transactional\",\"source\":\"Bounce Rule\",\"description\":\"554 5.7.1 client host blocked using zen.spamhaus.org\"}],\
        \"links\":[{\"href\":\"x\",\"rel\":\"next\"}],\"total_count\":4}";
    let (format, rows) = read(json);
    assert_eq!(format, Format::Sparkpost);
    assert_eq!(
        rows,
        [
            "1 a@example.org hard @2026-03-04T05:06:07Z (550: no …)",
            "1 b@example.org complaint @2026-03-04T05:06:07Z",
            "1 c@example.org unsubscribe",
            "1 d@example.org manual_block",
            "1 refused: the server refused for a fault of the sender (dnsbl_listed), which never blocks an address; name a cause to take it all the same",
        ]
    );
    let template =
        "recipient,type,description\na@example.org,transactional,imported once\nb@example.org,non_transactional,\nc@example.org,both,\n";
    assert_eq!(
        read(template).1,
        ["2 a@example.org import (imported once)", "3 b@example.org unsubscribe", "4 refused: the type is none that is known here"]
    );
}

#[test]
fn addresses_alone_and_lists_of_others() {
    let plain = "jane@example.org\n\n\"john\"@example.org\n<joan@example.org>\n@example.net\nnobody\n";
    let (format, rows) = read(plain);
    assert_eq!(format, Format::Plain);
    assert_eq!(rows[0], "1 jane@example.org import");
    assert_eq!(rows[2..4], ["4 joan@example.org import", "5 @example.net import"]);
    assert_eq!(rows[4], "6 refused: the address is not of the form local@domain");
    let foreign =
        "Name;E-Mail;Reason;Created at\nJane;jane@example.org;hard-bounce;2026-03-04 05:06:07\nJohn;john@example.org;moved house;\n;;;\n";
    assert_eq!(
        read(foreign),
        (
            Format::Csv,
            vec![
                "2 jane@example.org hard @2026-03-04T05:06:07Z".to_owned(),
                "3 john@example.org import (moved house)".to_owned(),
                "4 refused: there is no address".to_owned(),
            ]
        )
    );
    let unsubscribes = read_with(b"jane@example.org\n", Reading { cause: Some(Cause::Unsubscribe), ..reading() }).unwrap();
    assert_eq!(told(unsubscribes).1, ["1 jane@example.org unsubscribe"]);
}

#[test]
fn what_a_server_blames_on_the_sender_is_refused_in_any_list() {
    let list = "email,reason,type\njane@example.org,\"554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org\",\n\
        john@example.org,\"554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org\",hard\n\
        joan@example.org,\"550 5.1.1 User unknown\",hard\nbob@example.org,she blocked us using her phone,\n\
        eve@example.org,\"554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org\",unsubscribed\n";
    let rows = read(list).1;
    assert!(rows[..2].iter().all(|it| it.contains("refused: the server refused for a fault of the sender (dnsbl_listed")), "{rows:?}");
    assert_eq!(rows[2], "4 joan@example.org hard (550 5.1.1 User unknown)");
    assert_eq!(rows[3], "5 bob@example.org import (she blocked us using her phone)");
    assert!(rows[4].starts_with("6 eve@example.org unsubscribe"), "her own wish: {}", rows[4]);
    let named = read_with(list.as_bytes(), Reading { cause: Some(Cause::Hard), ..reading() }).unwrap();
    let quoted = "554 5.7.1 Rejected: your host is blocked using zen.spamhaus.org";
    for (columns, cells) in [
        ("reason,type", format!("{quoted},soft")),
        ("reason,type", format!("{quoted},manual")),
        ("status,reason", format!("blocked,{quoted}")),
        ("reason,description", format!("blocked,{quoted}")),
        ("type,source,description", format!("transactional,Compliance,{quoted}")),
    ] {
        let address = if columns.contains("source") { "recipient" } else { "email" };
        let rows = read(&format!("{address},{columns}\njane@example.org,{cells}\n")).1;
        assert!(rows[0].contains("for a fault of the sender (dnsbl_listed"), "{columns}: {rows:?}");
    }
    let blocked = read("email,status,reason\njane@example.org,blocked,550 5.1.1 User unknown\njohn@example.org,blocked,by telephone\n").1;
    assert_eq!(blocked, ["2 jane@example.org hard (550 5.1.1 User unknown)", "3 john@example.org manual_block (by telephone)"]);
    assert!(told(named).1[0].starts_with("2 jane@example.org hard"), "a cause that is named holds");
}

#[test]
fn what_is_no_list_is_told_at_once() {
    let error = |bytes: &[u8]| read_with(bytes, reading()).unwrap_err().to_string();
    assert_eq!(error(b""), "the list is empty");
    assert_eq!(error(b" \n\r\n"), "the list is empty");
    assert!(error(b"first name,last name\nJane,Doe\n").starts_with("the first line is neither a header"));
    assert!(error(b"{\"name\":\"Jane\"}\n").starts_with("the first line is neither a header"));
    assert!(error(&b"x".repeat(100_000)).starts_with("the first line is neither a header"));
}

#[test]
fn every_refused_line_says_why_and_costs_no_other() {
    let rows = read(
        "address,cause,reason,provisional,overrides_consent,since,expires_at,note\n\
         jane@@example.org,hard,,,,,,\n\
         a@example.org,deadly,,,,,,\n\
         a@example.org,hard,because,,,,,\n\
         a@example.org,hard,,perhaps,,,,\n\
         a@example.org,hard,,true,,,,\n\
         a@example.org,hard,,,true,,,\n\
         a@example.org,hard,,,,last year,,\n\
         a@example.org,hard,,,,2026-11-24,,\n\
         a@example.org,hard,,,,,2026-11-22T10:00:00Z,\n\
         a@example.org,hard,,,,2026-11-23T09:00:00Z,2026-11-23T08:00:00Z,\n\
         \"a@example.org,hard\n\
         good@example.org,hard,,,,,,\n",
    )
    .1;
    let said: Vec<&str> = rows.iter().map(|it| it.split_once(' ').unwrap().1).collect();
    assert_eq!(
        said,
        [
            "refused: the local part (before the @) has a character that may not stand there",
            "refused: the cause is none that is known here",
            "refused: the reason is none that is known here",
            "refused: provisional is neither true nor false",
            "refused: it is provisional, but has no expires_at",
            "refused: overrides_consent goes with the cause manual_allow only",
            "refused: since is no time that can be read; write it like 2026-11-22T10:00:00Z",
            "refused: since lies in the future",
            "refused: it has ended already (expires_at)",
            "refused: it ends before it begins",
            "refused: a quotation mark opens here that is not closed",
            "good@example.org hard",
        ]
    );
    let long = format!("{{\"address\":\"a@example.org\",\"cause\":\"hard\",\"note\":\"{}\"}}\n", "é".repeat(NOTE_LIMIT + 1));
    assert_eq!(read(&long).1, ["1 refused: the note has more than 2000 characters"]);
    let rows =
        read("{\"address\":\"a@example.org\",\"cause\":\"hard\"}\n{\"address\":\n[]\n{\"address\":\"b@example.org\",\"cause\":\"hard\"}\n")
            .1;
    assert_eq!(rows[1..3], ["2 refused: this is not a JSON object", "3 refused: this is not a JSON object"]);
    assert_eq!(rows[3], "4 b@example.org hard");
}

#[test]
fn every_encoding_is_read() {
    let text = "address,cause,note\r\njane@example.org,manual_block,Müller\r\n";
    let wide = |order: fn(u16) -> [u8; 2]| std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(order).collect::<Vec<u8>>();
    let latin = text.chars().map(|it| u8::try_from(u32::from(it)).unwrap()).collect();
    for bytes in [text.into(), [b"\xef\xbb\xbf", text.as_bytes()].concat(), wide(u16::to_le_bytes), wide(u16::to_be_bytes), latin] {
        let rows = told(read_with(&bytes, reading()).unwrap());
        assert_eq!(rows, (Format::Csv, vec!["2 jane@example.org manual_block (Müller)".to_owned()]));
    }
}

fn written() -> impl Strategy<Value = Written> {
    let local = "[a-z0-9=+'{}_-][a-z0-9=+'{}_.-]{0,6}[a-z0-9]";
    let address = prop_oneof![
        local.prop_map(|it| Address::parse(&format!("{it}@example.org")).unwrap().expose().to_owned()),
        Just("@example.net".to_owned())
    ];
    let note = prop::option::of("[-a-z =+@'\"\t\r\n,;é|{}]{1,12}".prop_filter("is said", |it| !it.is_empty()));
    let times = (0i64..1_000_000_000_000, 1i64..1_000_000_000_000);
    (address, prop::sample::select(Cause::ALL), prop::option::of(prop::sample::select(Reason::ALL)), note, times, any::<[bool; 3]>())
        .prop_map(|(address, cause, reason, note, (since, lasts), [provisional, overrides, ends])| {
            let since = NOW - time::Duration::microseconds(since);
            let expires_at = (ends || provisional).then(|| NOW + time::Duration::microseconds(lasts));
            Written {
                address,
                list: "acme.weekly".to_owned(),
                cause,
                reason,
                provisional,
                overrides_consent: overrides && cause == Cause::ManualAllow,
                since,
                expires_at,
                note,
            }
        })
}

fn export(format: Format, entries: &[Written]) -> Vec<u8> {
    let (writer, mut bytes) = (Writer::new(format), Vec::new());
    writer.head(&mut bytes);
    for it in entries {
        writer.entry(&mut bytes, it);
    }
    let trailer = Trailer { entries: entries.len() as u64, erased: 0, as_of: NOW, changes_after: "1.x".to_owned() };
    writer.tail(&mut bytes, &trailer);
    bytes
}

proptest! {
    #[test]
    fn what_goes_out_in_our_own_formats_comes_back_as_it_was(entries in prop::collection::vec(written(), 1..8)) {
        for format in [Format::Csv, Format::Ndjson] {
            let bytes = export(format, &entries);
            let (read_as, rows) = read_with(&bytes, reading()).unwrap();
            prop_assert_eq!(read_as, format);
            let back: Vec<Written> = rows.into_iter().map(|it| {
                let it = it.unwrap();
                Written {
                    address: it.address.expose().to_owned(),
                    list: it.list.unwrap(),
                    cause: it.cause,
                    reason: it.reason,
                    provisional: it.provisional,
                    overrides_consent: it.overrides_consent,
                    since: it.since.unwrap(),
                    expires_at: it.expires_at,
                    note: it.note,
                }
            }).collect();
            prop_assert_eq!(&back, &entries);
        }
    }

    #[test]
    fn nothing_makes_the_reader_panic(bytes in prop::collection::vec(prop::sample::select(b"a@.,;\"'\n\r{}[]:\\\0\xff\xfe\xe9 =1".as_slice()), 0..200)) {
        if let Ok((_, rows)) = read_with(&bytes, reading()) {
            prop_assert!(rows.len() <= bytes.len());
        }
    }
}

#[test]
fn the_formats_of_others_come_back_with_the_cause_they_have_words_for() {
    let entry = |cause: Cause| Written {
        address: format!("{cause}@example.org"),
        list: "acme".to_owned(),
        cause,
        reason: (cause == Cause::Hard).then_some(Reason::UserUnknown),
        provisional: false,
        overrides_consent: false,
        since: datetime!(2026-03-04 05:06:07 UTC),
        expires_at: None,
        note: None,
    };
    let causes = [Cause::Hard, Cause::Complaint, Cause::Unsubscribe, Cause::ManualBlock, Cause::Import];
    let entries: Vec<Written> = causes.into_iter().map(entry).collect();
    let back = |format: Format| {
        let (read_as, rows) = read_with(&export(format, &entries), reading()).unwrap();
        assert_eq!(read_as, format);
        rows.into_iter().map(|it| it.map_or_else(|it| it.why.to_string(), |it| it.cause.to_string())).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(back(Format::Ses), "hard complaint complaint hard hard");
    assert_eq!(back(Format::Sendgrid), "hard complaint unsubscribe manual_block import");
    assert_eq!(back(Format::Mailgun), "hard complaint unsubscribe manual_block import");
    assert_eq!(back(Format::Postmark), "hard complaint unsubscribe manual_block hard");
    assert_eq!(back(Format::Sparkpost), "hard complaint unsubscribe manual_block import");
    assert_eq!(back(Format::Plain), "import import import import import");
}
