//! What a client says and what it hears, without a wire.

use proptest::prelude::*;

use super::*;
use crate::config::{ListName, RecipientPattern, SourceConfig};

/// Recipients `b+…@in.example` are of the source `one`, `c+…@in.example` of the source `two`.
fn terms() -> Terms {
    let source = |name: &str, recipients: &[&str]| {
        let mut source = SourceConfig::new(name, "mime", ListName::parse("acme").unwrap());
        source.recipients = recipients.iter().map(|it| RecipientPattern::parse(it).unwrap()).collect();
        source
    };
    let sources = [source("one", &["b+*@in.example", "postmaster@mx.example"]), source("two", &["c+*@in.example"])];
    Terms {
        hostname: "mx.example".to_owned(),
        max_message: 200,
        max_recipients: 3,
        max_commands: 40,
        max_errors: 5,
        routes: Routes::new(&sources),
    }
}

/// What a client hears when it sends that, cut there; and the messages that were handed over, each of which meets that fate.
fn talk(protocol: MailProtocol, tls: Tls, pieces: &[&[u8]], fate: &dyn Fn(usize) -> Fate) -> (String, Vec<Mail>) {
    let mut session = Session::new(Arc::new(terms()), protocol, tls);
    let (mut input, mut replies, mut mails) = (BytesMut::new(), Vec::new(), Vec::new());
    session.greet(&mut replies);
    'pieces: for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match session.take(&mut input, &mut replies) {
                Next::Input => break,
                Next::Settle(mail) => {
                    let fates: Vec<_> = (0..mail.recipients.len()).map(fate).collect();
                    mails.push(mail);
                    session.settled(&fates, &mut replies);
                }
                Next::Secure => {
                    input.clear();
                    session.secured();
                }
                Next::End => break 'pieces,
            }
            assert!(session.held() <= terms().max_message);
        }
    }
    (String::from_utf8(replies).unwrap(), mails)
}

fn smtp(text: &str) -> (String, Vec<Mail>) {
    talk(MailProtocol::Smtp, Tls::None, &[text.as_bytes()], &|_| Fate::Durable)
}

fn lmtp(text: &str, fate: &dyn Fn(usize) -> Fate) -> (String, Vec<Mail>) {
    talk(MailProtocol::Lmtp, Tls::None, &[text.as_bytes()], fate)
}

#[test]
fn a_report_is_taken_and_answered_once_it_is_durable() {
    let text = "EHLO x\r\nMAIL FROM:<> SIZE=20\r\nRCPT TO:<b+token@IN.example>\r\nDATA\r\nSubject: x\r\n\r\n..y\r\n.\r\nQUIT\r\n";
    let (heard, mails) = smtp(text);
    insta::assert_snapshot!(heard, @r"
    220 mx.example ESMTP Rebound
    250-mx.example
    250-PIPELINING
    250-SIZE 200
    250-8BITMIME
    250-SMTPUTF8
    250 ENHANCEDSTATUSCODES
    250 2.1.0 Sender ok
    250 2.1.5 Recipient ok
    354 End with <CRLF>.<CRLF>
    250 2.6.0 Message recorded
    221 2.0.0 Bye
    ");
    let recipient = Recipient { address: "b+token@IN.example".to_owned(), source: "one".into() };
    assert_eq!(mails, [Mail { sender: String::new(), recipients: vec![recipient], text: b"Subject: x\r\n\r\n.y\r\n".to_vec() }]);
}

#[test]
fn of_several_recipients_one_that_must_come_again_makes_all_come_again_in_smtp() {
    let text = "HELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b+1@in.example>\r\nRCPT TO:<c+1@in.example>\r\nDATA\r\nx\r\n.\r\n";
    for (fate, told) in [(Fate::Durable, "250 2.6.0"), (Fate::Full, "452 4.3.1"), (Fate::Unavailable, "451 4.3.0")] {
        let second = move |at| if at == 1 { fate } else { Fate::Durable };
        let (heard, mails) = talk(MailProtocol::Smtp, Tls::None, &[text.as_bytes()], &second);
        assert!(heard.lines().next_back().unwrap().starts_with(told), "{heard}");
        assert_eq!((mails.len(), heard.lines().count()), (1, 7), "{heard}");
        let (heard, _) = lmtp(&text.replace("HELO", "LHLO"), &second);
        let last: Vec<_> = heard.lines().rev().take(2).collect();
        assert!(last[0].starts_with(told) && last[1].starts_with("250 2.6.0"), "{heard}");
    }
}

#[test]
fn what_is_refused_in_lmtp_is_refused_for_each_recipient() {
    let envelope =
        "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b+1@in.example>\r\nRCPT TO:<nobody@in.example>\r\nRCPT TO:<b+2@in.example>\r\nDATA\r\n";
    let (heard, mails) = lmtp(&format!("{envelope}{}\r\n.\r\nNOOP\r\n", "x".repeat(300)), &|_| Fate::Durable);
    let last: Vec<_> = heard.lines().rev().take(4).collect();
    assert_eq!(
        (last, mails.len()),
        (vec!["250 2.0.0 Ok", "552 5.3.4 Message too large", "552 5.3.4 Message too large", "354 End with <CRLF>.<CRLF>"], 0)
    );
    let (heard, _) = lmtp("EHLO x\r\nHELO x\r\n", &|_| Fate::Durable);
    assert_eq!(heard.matches("500 5.5.1").count(), 2, "{heard}");
    assert!(smtp("LHLO x\r\n").0.contains("500 5.5.1"));
}

#[test]
fn each_step_has_its_time() {
    for (text, told) in [
        ("MAIL FROM:<>\r\n", "503 5.5.1"),
        ("HELO x\r\nRCPT TO:<b+1@in.example>\r\n", "503 5.5.1"),
        ("HELO x\r\nDATA\r\n", "503 5.5.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nDATA\r\n", "503 5.5.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n", "503 5.5.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nRSET\r\nRCPT TO:<b+1@in.example>\r\n", "503 5.5.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nHELO x\r\nRCPT TO:<b+1@in.example>\r\n", "503 5.5.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@in.example>\r\n", "550 5.1.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\n", "550 5.1.1"),
        ("HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\n", "250 2.1.5"),
        ("HELO x\r\nMAIL FROM:<> SIZE=201\r\n", "552 5.3.4"),
        ("HELO x\r\nMAIL FROM:<> SIZE=99999999999999999999999\r\n", "552 5.3.4"),
        ("STARTTLS\r\n", "502 5.5.1"),
        ("VRFY jane\r\n", "252 2.0.0"),
        ("HELP\r\n", "214 2.0.0"),
        ("NOOP\r\n", "250 2.0.0"),
        ("EXPN x\r\n", "502 5.5.1"),
    ] {
        let (heard, _) = smtp(text);
        assert!(heard.lines().next_back().unwrap().starts_with(told), "{text:?}: {heard}");
    }
    let crowd: String = (0..5).map(|it| format!("RCPT TO:<b+{it}@in.example>\r\n")).collect();
    let (heard, mails) = smtp(&format!("HELO x\r\nMAIL FROM:<>\r\n{crowd}DATA\r\n.\r\n"));
    assert_eq!((heard.matches("452 4.5.3").count(), mails[0].recipients.len()), (2, 3), "{heard}");
}

/// The reply codes, and whether anything but the first message was handed over.
fn smuggled(text: &str) -> (Vec<String>, usize) {
    let head = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b+1@in.example>\r\nDATA\r\n";
    let (heard, mails) = smtp(&format!("{head}{text}"));
    (heard.lines().skip(10).map(|it| it.chars().take(9).collect()).collect(), mails.len())
}

#[test]
fn a_second_message_is_not_smuggled_in() {
    let second = "MAIL FROM:<>\r\nRCPT TO:<c+1@in.example>\r\nDATA\r\ny\r\n.\r\n";
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n\r.\r\n", "\n"] {
        let (heard, messages) = smuggled(&format!("x{end}{second}\r\n.\r\n"));
        assert_eq!((heard, messages), (vec!["550 5.5.2".to_owned()], 0), "{end:?}");
    }
    for line in ["NOOP\n", "NOOP\rNOOP\r\n", "\rNOOP\r\n"] {
        let (heard, _) = smtp(&format!("EHLO x\r\n{line}NOOP\r\nNOOP\r\n"));
        assert!(heard.ends_with("550 5.5.2 A line ends with CR and LF, and neither stands alone\r\n"), "{heard}");
    }
    let (heard, _) = smtp("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b+1@in.example>\r\nBDAT 6\r\nNOOP\r\nQUIT\r\n");
    assert!(heard.ends_with("502 5.5.1 Command not offered\r\n"), "{heard}");
    let (heard, _) = smtp("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n");
    assert_eq!(heard.lines().count(), 2, "{heard}");
}

#[test]
fn what_was_said_in_plain_counts_for_nothing_under_tls() {
    let text = "EHLO x\r\nMAIL FROM:<>\r\nSTARTTLS\r\nRCPT TO:<b+1@in.example>\r\nDATA\r\nx\r\n.\r\n";
    let (heard, mails) =
        talk(MailProtocol::Smtp, Tls::Offered, &[text.as_bytes(), b"MAIL FROM:<>\r\n", b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<>\r\n"], &|_| {
            Fate::Durable
        });
    assert_eq!((heard.matches("250-STARTTLS").count(), mails.len()), (1, 0));
    let after = heard.split_once("220 2.0.0 Ready to start TLS\r\n").unwrap().1;
    let codes: Vec<_> = after.lines().map(|it| it.split(' ').next().unwrap()).collect();
    let offer = ["250-mx.example", "250-PIPELINING", "250-SIZE", "250-8BITMIME", "250-SMTPUTF8", "250"];
    assert_eq!(codes, [&["503"][..], &offer, &["503", "250"]].concat(), "{heard}");
}

#[test]
fn patience_with_mistakes_commands_and_long_lines_ends() {
    let (heard, _) = smtp(&"HUH\r\n".repeat(20));
    assert_eq!((heard.matches("500 5.5.2").count(), heard.matches("421 4.7.0 Too many errors").count()), (6, 1));
    let (heard, _) = smtp(&"NOOP\r\n".repeat(60));
    assert_eq!((heard.matches("250 2.0.0").count(), heard.matches("421 4.7.0 Too many commands").count()), (40, 1));
    let long = "N".repeat(LINE_LIMIT);
    for pieces in [&[format!("{long}\r\n")][..], &[long.clone(), "NN".to_owned(), "N\r\n".to_owned()]] {
        let pieces: Vec<_> = pieces.iter().map(String::as_bytes).chain([&b"NOOP\r\n"[..]]).collect();
        let (heard, _) = talk(MailProtocol::Smtp, Tls::None, &pieces, &|_| Fate::Durable);
        assert!(heard.ends_with("500 5.5.2 Line too long\r\n250 2.0.0 Ok\r\n"), "{heard}");
    }
}

#[test]
fn a_message_without_room_is_read_to_its_end_and_comes_again() {
    let mut session = Session::new(Arc::new(terms()), MailProtocol::Smtp, Tls::None);
    let (mut input, mut replies) = (BytesMut::new(), Vec::new());
    input.extend_from_slice(b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b+1@in.example>\r\nDATA\r\nsome text\r\n");
    assert_eq!(session.take(&mut input, &mut replies), Next::Input);
    assert_eq!((session.held(), session.is_in_text()), (11, true));
    session.no_room();
    assert!(!session.end(Reply::STOPPING, &mut replies), "a message under way is finished");
    input.extend_from_slice(b"more\r\n.\r\nNOOP\r\n");
    assert_eq!((session.held(), session.take(&mut input, &mut replies)), (0, Next::Input));
    assert!(session.end(Reply::STOPPING, &mut replies));
    assert_eq!(session.take(&mut input, &mut replies), Next::End);
    let heard = String::from_utf8(replies).unwrap();
    assert!(heard.contains("452 4.3.1") && heard.contains("250 2.0.0 Ok\r\n421 4.3.2"), "{heard}");
    assert_eq!(session.refused(), [SmtpRefused::Full]);
}

/// Lines that a session is made of, right and wrong.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = proptest::sample::select(vec![
        "EHLO x\r\n",
        "LHLO x\r\n",
        "HELO x\r\n",
        "MAIL FROM:<>\r\n",
        "MAIL FROM:<jane@corp.example> SIZE=10 BODY=8BITMIME\r\n",
        "RCPT TO:<b+1@in.example>\r\n",
        "RCPT TO:<c+1@in.example>\r\n",
        "RCPT TO:<nobody@in.example>\r\n",
        "DATA\r\n",
        "text\r\n",
        "..\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "\n.\n",
        "\r",
        "\n",
        "QUIT\r\n",
    ]);
    let known = known.prop_map(|it| it.as_bytes().to_vec());
    prop_oneof![12 => known, 1 => proptest::collection::vec(any::<u8>(), 0..60), 1 => Just(vec![b'x'; LINE_LIMIT + 3])]
}

proptest! {
    #[test]
    fn however_the_input_is_cut_the_same_is_heard(lines in proptest::collection::vec(line(), 0..30), cuts in proptest::collection::vec(0..4000_usize, 0..20), is_lmtp in any::<bool>()) {
        let text = lines.concat();
        let protocol = if is_lmtp { MailProtocol::Lmtp } else { MailProtocol::Smtp };
        let fate = |at: usize| if at.is_multiple_of(2) { Fate::Durable } else { Fate::Full };
        let whole = talk(protocol, Tls::None, &[&text], &fate);
        let mut ends: Vec<usize> = cuts.iter().map(|it| it % (text.len() + 1)).chain([0, text.len()]).collect();
        ends.sort_unstable();
        let pieces: Vec<&[u8]> = ends.windows(2).map(|it| &text[it[0]..it[1]]).collect();
        prop_assert_eq!(&talk(protocol, Tls::None, &pieces, &fate), &whole);
        let octets: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(&talk(protocol, Tls::None, &octets, &fate), &whole);
        for mail in whole.1 {
            let lone = |it: &[u8]| it != b"\r\n" && it.iter().any(|it| matches!(it, b'\r' | b'\n'));
            let text = String::from_utf8_lossy(&mail.text).replace("\r\n", "");
            prop_assert!(!lone(text.as_bytes()) && !mail.recipients.is_empty());
        }
    }
}
