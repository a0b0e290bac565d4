//! What single servers write in their own way, each in a mail of a few lines: the sentence or field that differs, and what
//! is to be made of it. Whole mails of the same servers stand in `tests/corpus`.

use bounce::address::Address;
use bounce::classify::{Rules, classify};
use bounce::mail::Mail;
use bounce::report::{self, Report};

/// All recipients of a mail: address, kind, type, reason, status.
fn read(raw: &str) -> Vec<String> {
    report::read(&Mail::parse(raw.as_bytes())).reports.iter().map(shown).collect()
}

fn shown(report: &Report) -> String {
    let it = classify(report, Rules::builtin());
    let address = report.recipient.as_ref().map_or("nobody", Address::expose).to_owned();
    let words = [
        Some(address),
        Some(it.kind.to_string()),
        it.bounce_type.map(|it| it.to_string()),
        it.reason.map(|it| it.to_string()),
        it.status.map(|it| it.to_string()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn prose(headers: &str, text: &str) -> String {
    format!("From: MAILER-DAEMON@mx.example\nTo: news@news.example\n{headers}\n\n{text}\n")
}

fn dsn(text: &str, status: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\nTo: news@news.example\nSubject: Returned mail\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: text/plain\n\n{text}\n--b\nContent-Type: message/delivery-status\n\n{status}\n--b--\n"
    )
}

#[test]
fn exim_puts_the_reason_below_the_address_and_tells_waiting_in_words() {
    let intro = "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to all of its recipients. The following address(es) failed:\n\n";
    let failed = prose(
        "Subject: Mail delivery failed\nX-Failed-Recipients: jane@corp.example",
        &format!(
            "{intro}  jane@corp.example\n    retry timeout exceeded\n\n------ This is a copy of the message, including all the headers. ------\n\nTo: other@corp.example\nMessage-ID: <1@news.example>\n"
        ),
    );
    assert_eq!(read(&failed), ["jane@corp.example bounce soft expired"]);
    for words in [
        "A message that you sent has not yet been delivered to one or more of its recipients after more than 24 hours.",
        "Message 1abc-00-de has been frozen (delivery error message).",
    ] {
        let delayed = prose(
            "Subject: Warning: message 1abc-00-de delayed 24 hours",
            &format!(
                "This message was created automatically by mail delivery software.\n{words}\n\nThe address to which the message has not yet been delivered is:\n\n  jane@corp.example\n    host mx.corp.example [192.0.2.9]: Connection timed out\n\nNo action is required on your part.\n"
            ),
        );
        assert_eq!(read(&delayed), ["jane@corp.example delayed network_error"], "{words}");
    }
}

#[test]
fn qmail_has_a_paragraph_for_each_and_the_code_in_brackets() {
    let raw = prose(
        "Subject: failure notice",
        "Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message.\n\n<jane@corp.example>:\n192.0.2.9 does not like recipient.\nRemote host said: 550 No such user here\nGiving up on 192.0.2.9.\n\n<joe@corp.example>:\nuser is over quota. (#5.2.2)\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <news@news.example>\nTo: third@corp.example\nMessage-ID: <1@news.example>\n",
    );
    assert_eq!(read(&raw), ["jane@corp.example bounce hard user_unknown 5.0.0", "joe@corp.example bounce soft mailbox_full 5.2.2"]);
    let clone = prose(
        "Subject: failure notice",
        "This is the machine generated message from mail service.\n\n<jane@corp.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n",
    );
    assert_eq!(read(&clone), ["jane@corp.example bounce hard user_unknown 5.1.1"]);
}

#[test]
fn postfix_speaks_for_itself_and_sends_notes_to_postmasters() {
    let local = dsn(
        "no",
        "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus: 5.4.4\nDiagnostic-Code: X-Postfix; Host or domain name not found. Name service error\n    for name=corp.example type=AAAA: Host not found\n",
    );
    assert_eq!(read(&local), ["jane@corp.example bounce hard domain_unknown 5.4.4"]);
    let greeting = dsn(
        "no",
        "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus: 4.0.0\nDiagnostic-Code: smtp; 554 5.7.1 no SMTP service here\n",
    );
    assert_eq!(read(&greeting), ["jane@corp.example bounce soft reputation_block 5.7.1"]);
    for (action, expected) in
        [("deliverable", "jane@corp.example delivered 2.1.5"), ("undeliverable", "jane@corp.example bounce hard user_unknown 5.1.1")]
    {
        let status = if action == "deliverable" { "2.1.5" } else { "5.1.1" };
        let probe = dsn(
            "probe",
            &format!("Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; jane@corp.example\nAction: {action}\nStatus: {status}\n"),
        );
        assert_eq!(read(&probe), [expected]);
    }
    let note = prose(
        "Subject: Postfix SMTP server: errors from mail.example[192.0.2.9]",
        "Transcript of session follows.\n\n Out: 220 mx.example ESMTP Postfix\n In:  RCPT TO:<staff@mx.example>\n Out: 554 5.7.1 <staff@mx.example>: Relay access denied\n In:  QUIT\n",
    );
    assert!(read(&note).iter().all(|it| !it.contains(" hard ")), "{:?}", read(&note));
    assert_eq!(read(&dsn("no", "Reporting-MTA: dns; mx.example\n")), [""; 0]);
}

#[test]
fn sendmail_tells_the_reply_in_its_transcript() {
    let text = "   ----- The following addresses had permanent fatal errors -----\n<jane@corp.example>\n\n   ----- Transcript of session follows -----\n... while talking to mx.corp.example.:\n>>> DATA\n<<< 554 5.7.1 blocked using zen.spamhaus.org\n554 5.0.0 Service unavailable\n";
    let raw = dsn(
        text,
        "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: RFC822; jane@corp.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: SMTP; 554 5.7.1 blocked using zen.spamhaus.org\n",
    );
    assert_eq!(read(&raw), ["jane@corp.example bounce soft dnsbl_listed 5.7.1"]);
    let cut = dsn("no", "Reporting-MTA: dns; mx.example\n\nFinal-Recipient: RFC822; jane@corp.example\nction: failed\nStatus: 5.1.1\n");
    assert_eq!(read(&cut), ["jane@corp.example bounce hard user_unknown 5.1.1"]);
    let warning = prose(
        "Subject: Warning: could not send message for past 4 hours",
        "    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **\n    **********************************************\n\n   ----- Transcript of session follows -----\n<jane@corp.example>... Deferred: Connection timed out with mx.corp.example.\nWarning: message still undelivered after 4 hours\nWill keep trying until message is 5 days old\n",
    );
    assert_eq!(read(&warning), ["jane@corp.example delayed network_error"]);
}

#[test]
fn gmail_quotes_the_answer_below_a_sentence() {
    for (answer, expected) in [
        ("The response was:\n\n550 5.1.1 User unknown", "jane@corp.example bounce hard user_unknown 5.1.1"),
        ("The response from the remote server was:\n\n552 5.2.2 Mailbox full", "jane@corp.example bounce soft mailbox_full 5.2.2"),
        (
            "The response was:\n\nDNS Error: DNS type 'mx' lookup of corp.example responded with code NXDOMAIN\nDomain name not found: corp.example",
            "jane@corp.example bounce soft domain_unknown 4.0.0",
        ),
        ("The response was:\n\nThe recipient domain corp.example returned Null MX", "jane@corp.example bounce soft domain_no_mail 4.0.0"),
    ] {
        let status = if answer.contains("DNS") || answer.contains("Null") { "4.0.0" } else { "5.0.0" };
        let raw = dsn(
            &format!("** Address not found **\n\nYour message wasn't delivered to jane@corp.example.\n\n{answer}\n"),
            &format!(
                "Reporting-MTA: dns; googlemail.com\n\nFinal-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus: {status}\n"
            ),
        );
        assert_eq!(read(&raw), [expected], "{answer}");
    }
    let delay = dsn(
        "** Delivery incomplete **\n\nThere was a temporary problem delivering your message to jane@corp.example. Gmail will retry for 46 more hours.\n",
        "Final-Recipient: rfc822; jane@corp.example\nAction: delayed\nStatus: 4.4.1\nWill-Retry-Until: Tue, 24 Nov 2026 09:00:00 +0000\n",
    );
    assert_eq!(read(&delay), ["jane@corp.example delayed network_error 4.4.1"]);
}

#[test]
fn exchange_has_codes_of_its_own() {
    for (text, expected) in [
        (
            "Your message did not reach some or all of the intended recipients.\n\nThe following recipient(s) could not be reached:\n\n      jane@corp.example on 22/11/2026 09:00\n            MSEXCH:IMS:Corp:Site:SERVER 0 (000C05A6) Unknown Recipient\n",
            "jane@corp.example bounce hard user_unknown",
        ),
        (
            "did not reach the following recipient(s):\n\njane@corp.example on Sun, 22 Nov 2026 09:00:00 +0000\n    The recipient name is not recognized\n",
            "jane@corp.example bounce hard user_unknown",
        ),
        (
            "did not reach the following recipient(s):\n\njane@corp.example on Sun, 22 Nov 2026 09:00:00 +0000\n    MSEXCH:IMS:Corp:Site:SERVER 0 (00120270) Too Many Hops\n",
            "jane@corp.example bounce soft delivery_agent_error",
        ),
        (
            "Delivery has failed to these recipients or distribution lists:\n\njane@corp.example\nThe recipient's e-mail address was not found.\n\nDiagnostic information for administrators:\n\nGenerating server: mx.example\n\njane@corp.example\n#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##\n",
            "jane@corp.example bounce hard user_unknown 5.1.1",
        ),
        (
            "Delivery has failed to these recipients:\n\njane@corp.example\nRemote Server returned '550 5.2.2 mailbox full'\n",
            "jane@corp.example bounce soft mailbox_full 5.2.2",
        ),
        (
            "Delivery has failed to these recipients:\n\njane@corp.example\n#< #4.4.7 smtp;550 4.4.7 QUEUE.Expired; message expired> #SMTP#\n",
            "jane@corp.example bounce soft expired 4.4.7",
        ),
    ] {
        assert_eq!(read(&prose("Subject: Undeliverable: News", text)), [expected], "{text}");
    }
}

#[test]
fn domino_and_notes_name_the_reason_in_subject_or_block() {
    let subject = dsn(
        "Your message\n\n  Subject: News\n\nwas not delivered to:\n\n  jane@corp.example\n\nbecause:\n\n  User jane (jane@corp.example) not listed in Domino Directory\n",
        "Reporting-MTA: dns;mx.example\n\nFinal-Recipient: rfc822;jane@corp.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: X-Notes; User jane (jane@corp.example) not listed in Domino\n Directory\n",
    );
    assert_eq!(read(&subject), ["jane@corp.example bounce hard user_unknown 5.1.1"]);
}

#[test]
fn yahoo_tells_the_stage_in_brackets() {
    let raw = prose(
        "Subject: Failure Notice",
        "Sorry, we were unable to deliver your message to the following address.\n\n<jane@corp.example>:\nRemote host said:\n554 xyzzy\n [RCPT_TO]\n\n--- Below this line is a copy of the message.\n",
    );
    assert_eq!(read(&raw), ["jane@corp.example bounce soft mailbox_unavailable 5.0.0"]);
}

#[test]
fn gateways_order_and_spell_fields_as_they_like() {
    for (server, status) in [
        (
            "AOL",
            "Reporting-MTA: dns; mx.example\nArrival-Date: Sun, 22 Nov 2026 09:00:00 +0000\nFinal-Recipient: RFC822; jane@corp.example\nAction: failed\nStatus: 5.1.1\n",
        ),
        ("Mimecast", "Reporting-MTA : dns; mx.example\n\nFinal-Recipient : rfc822; jane@corp.example\nAction : failed\nStatus : 5.1.1\n"),
        (
            "McAfee",
            "\n\nReporting-MTA: dns; mx.example\n\nOriginal-Recipient: <jane@corp.example>\nAction: failed\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\n",
        ),
        (
            "MessageLabs",
            "\nReporting-MTA: dns; mx.example\n\n\nAction: failed\nFinal-Recipient: rfc822; jane@corp.example\nStatus: 5.1.1\n",
        ),
        (
            "SendGrid",
            "Arrival-Date: 2026-11-22 09-00-00\n\nFinal-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus:\nDiagnostic-Code: 550 5.1.1 User unknown\n",
        ),
        (
            "Oracle",
            "Reporting-MTA: dns; mx.example (a tcp-daemon)\n\nFinal-recipient: rfc822;@mx.example:jane@corp.example\nAction: failed\nStatus: 5.1.1 (Remote SMTP server has rejected address)\nRemote-MTA: dns;mx.corp.example (TCP|192.0.2.1|25) (ready)\n",
        ),
        ("IIS", "Reporting-MTA: dns; mx.example\n\n\n\nFinal-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus: 5.1.1\n\n\n"),
    ] {
        assert_eq!(read(&dsn("no", status)), ["jane@corp.example bounce hard user_unknown 5.1.1"], "{server}");
    }
    let expired = dsn("no", "Final-Recipient: rfc822; jane@corp.example\nAction: expired\nStatus:\n");
    assert_eq!(read(&expired), ["jane@corp.example bounce soft undetermined"]);
    let ses = dsn(
        "no",
        "Reporting-MTA: dsn; a8-9.smtp-out.amazonses.com\n\nFinal-Recipient: rfc822;jane@corp.example\nDiagnostic-Code: smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>\nStatus: 4.4.7\nAction: failed\n",
    );
    assert_eq!(read(&ses), ["jane@corp.example bounce soft network_error 4.4.2"]);
}

#[test]
fn japanese_carriers_have_words_and_addresses_of_their_own() {
    let limited = prose(
        "Subject: Mail System Error - Returned Mail",
        "The user(s) account is temporarily limited.\n\n<jane@ezweb.ne.jp>: user unknown\n",
    );
    assert_eq!(read(&limited), ["jane@ezweb.ne.jp bounce soft mailbox_inactive"]);
    let dots = dsn("no", "Final-Recipient: rfc822; \"jane..doe.\"@docomo.ne.jp\nAction: failed\nStatus: 5.1.1\n");
    assert_eq!(read(&dots), ["\"jane..doe.\"@docomo.ne.jp bounce hard user_unknown 5.1.1"]);
    let bare = dsn("no", "Final-Recipient: rfc822; jane..doe.@docomo.ne.jp\nAction: failed\nStatus: 5.1.1\n");
    assert_eq!(read(&bare), ["\"jane..doe.\"@docomo.ne.jp bounce hard user_unknown 5.1.1"]);
}
