//! The rules by which reports are read, one test for each section of them: sorting, the grammar of a delivery status,
//! actions, status against diagnostic, stages, whose address, which message, complaints, dispositions, responders. Free
//! dialects and deviations of single servers are mails of `tests/corpus`.

use bounce::address::Address;
use bounce::classify::{Rules, classify};
use bounce::kind::Kind;
use bounce::mail::Mail;
use bounce::report::{self, Reading, Report};

fn read(raw: &str) -> Reading {
    report::read(&Mail::parse(raw.as_bytes()))
}

/// The report of a mail that is about one recipient.
fn only(raw: &str) -> Report {
    let mut reading = read(raw);
    assert_eq!(reading.reports.len(), 1, "{raw}");
    reading.reports.remove(0)
}

/// Kind, then reason, type, status, reply and stage as far as there are any.
fn judged(report: &Report) -> String {
    let it = classify(report, Rules::builtin());
    let words = [
        Some(it.kind.to_string()),
        it.bounce_type.map(|it| it.to_string()),
        it.reason.map(|it| it.to_string()),
        it.status.map(|it| it.to_string()),
        it.reply.map(|it| it.to_string()),
        it.stage.map(|it| it.to_string()),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A mail of a mail system with some parts in a `multipart/…`.
fn multipart(kind: &str, parts: &[&str]) -> String {
    let parts = parts.iter().fold(String::new(), |all, it| all + "--b\n" + it + "\n");
    format!(
        "From: MAILER-DAEMON@mx.example\nTo: news@news.example\nSubject: Returned mail\nContent-Type: multipart/{kind}; boundary=b\n\n{parts}--b--\n"
    )
}

/// A report with a delivery status.
fn dsn(group: &str) -> String {
    let status = format!("Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{group}\n");
    multipart("report; report-type=delivery-status", &["Content-Type: text/plain\n\nIt failed.\n", &status])
}

/// A failed recipient with a status and a diagnostic.
fn failed(status: &str, diagnostic: &str) -> String {
    dsn(&format!("Final-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus: {status}\nDiagnostic-Code: {diagnostic}\n"))
}

fn prose(headers: &str, text: &str) -> String {
    format!("{headers}\nTo: news@news.example\n\n{text}\n")
}

fn address(report: &Report) -> Option<&str> {
    report.recipient.as_ref().map(Address::expose)
}

const GROUP: &str = "Final-Recipient: rfc822; jane@corp.example\nAction: failed\nStatus: 5.1.1\n";
const RETURNED: &str = "Content-Type: message/rfc822\n\nMessage-ID: <1@news.example>\nTo: jane@corp.example\nSubject: News\n\nHello\n";

/// What proves most is asked first, and marks of automatic mail last.
#[test]
fn mail_is_sorted_by_its_parts_before_its_words_and_marks() {
    let feedback =
        "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Rcpt-To: jane@corp.example\n";
    let mdn = "Content-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; jane@corp.example\nDisposition: automatic-action/MDN-sent-automatically; displayed\n";
    let status = format!("Content-Type: message/delivery-status\n\n{GROUP}");
    let global = format!("Content-Type: message/global-delivery-status\n\n{GROUP}");
    let misspelt = format!("Content-Type: message/xdelivery-status\n\n{GROUP}");
    for (raw, kind) in [
        (multipart("report; report-type=feedback-report", &["\nspam\n", feedback, RETURNED]), Kind::Complaint),
        (multipart("mixed", &["\nspam\n", feedback]), Kind::Complaint),
        (
            prose(
                "From: staff@hotmail.example\nSubject: complaint about message from 192.0.2.1\nContent-Type: multipart/mixed; boundary=b",
                &format!("--b\n{}--b--", RETURNED.replace("Subject", "X-HmXmrOriginalRecipient: jane@corp.example\nSubject")),
            ),
            Kind::Complaint,
        ),
        (prose("From: jane@corp.example\nSubject: unsubscribe\nX-Apple-Unsubscribe: true", "bye"), Kind::Unsubscribe),
        (multipart("report; report-type=disposition-notification", &["\nread\n", mdn]), Kind::Mdn),
        (multipart("mixed", &["\nread\n", &mdn.replace("disposition", "global-disposition")]), Kind::Mdn),
        (multipart("report; report-type=delivery-status", &["\nno\n", &status]), Kind::Bounce),
        (multipart("report", &["\nno\n", &status]), Kind::Bounce),
        (multipart("mixed", &["\nno\n", &global]), Kind::Bounce),
        (multipart("mx6d", &["\nno\n", &misspelt]), Kind::Bounce),
        // Free form: each sign alone is enough.
        (prose("Return-Path: <>\nFrom: x@mx.example\nSubject: hm", "<jane@corp.example>: 550 user unknown"), Kind::Bounce),
        (prose("From: MAILER-DAEMON@mx.example\nSubject: hm", "<jane@corp.example>: 550 user unknown"), Kind::Bounce),
        (prose("From: postmaster@mx.example\nSubject: hm", "<jane@corp.example>: 550 user unknown"), Kind::Bounce),
        (prose("From: x@mx.example\nSubject: hm\nX-Failed-Recipients: jane@corp.example", "550 user unknown"), Kind::Bounce),
        (prose("From: x@mx.example\nSubject: Undelivered Mail Returned to Sender", "<jane@corp.example>: 550 user unknown"), Kind::Bounce),
        (
            prose(
                "From: x@mx.example\nSubject: hm",
                "Hi. This is the qmail-send program at mx.example.\n\n<jane@corp.example>:\n550 user unknown",
            ),
            Kind::Bounce,
        ),
        // Servers mark real bounces as automatic replies.
        (multipart("report", &["\nno\n", &status]).replace("Subject:", "Auto-Submitted: auto-replied\nSubject:"), Kind::Bounce),
        (
            prose(
                "From: MAILER-DAEMON@mx.example\nSubject: failure notice\nAuto-Submitted: auto-replied",
                "<jane@corp.example>: 550 user unknown",
            ),
            Kind::Bounce,
        ),
        (prose("From: jane@corp.example\nSubject: Re: News\nAuto-Submitted: auto-replied", "I am away."), Kind::AutoReply),
        (prose("From: jane@corp.example\nSubject: Re: News", "Thanks, I liked it."), Kind::Other),
    ] {
        assert_eq!(read(&raw).kind, kind, "{raw}");
    }
}

/// Parts are known by what they are; a returned report is not ours.
#[test]
fn the_parts_of_a_report_are_found_whatever_they_are_wrapped_in() {
    let status = format!("Content-Type: message/delivery-status\n\n{GROUP}");
    let inner = multipart("report; report-type=delivery-status", &["\nno\n", &status.replace("jane", "other")])
        .replace("=b\n", "=c\n")
        .replace("--b", "--c");
    let bounced_bounce = format!("Content-Type: message/rfc822\n\n{inner}");
    let raw = multipart("report; report-type=delivery-status", &["\nno\n", &status, &bounced_bounce]);
    assert_eq!(address(&only(&raw)), Some("jane@corp.example"));

    let languages = "Content-Type: multipart/alternative; boundary=c\n\n--c\nContent-Type: text/plain\n\nno\n--c\nContent-Type: text/html\n\n<p>no\n--c--\n";
    assert_eq!(address(&only(&multipart("report", &[languages, &status]))), Some("jane@corp.example"));

    for kind in
        ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers", "message/partial"]
    {
        let raw = multipart("report", &["\nno\n", &status, &RETURNED.replace("message/rfc822", kind)]);
        assert_eq!(only(&raw).message_id.as_deref(), Some("1@news.example"), "{kind}");
    }
    let pasted =
        prose("From: MAILER-DAEMON@mx.example", &format!("<jane@corp.example>: 550 user unknown\n\nReceived: from x\n{}", &RETURNED[30..]));
    assert_eq!(only(&pasted).message_id.as_deref(), Some("1@news.example"));

    let quoted =
        format!("Content-Type: message/delivery-status\nContent-Transfer-Encoding: quoted-printable\n\n{}", GROUP.replace('@', "=40"));
    assert_eq!(address(&only(&multipart("report", &["\nno\n", &quoted]))), Some("jane@corp.example"));
    let path = multipart("report", &["\nno\n", &status]).replace("From:", "Return-Path: <someone@mx.example>\nFrom:");
    assert_eq!(read(&path).kind, Kind::Bounce);
}

/// The fields of a delivery status, in any order and spelling.
#[test]
fn fields_are_read_as_servers_write_them() {
    let raw = dsn(concat!(
        "ORIGINAL-RECIPIENT: rfc822;jane+2Bnews@corp.example\n",
        "Final-Recipient : RFC822 ; <jane@alias.corp.example> (expanded)\n",
        "Action: Failed (bad)\n",
        "Status: 5.1.1 (really)\n",
        "Remote-MTA: dns; mx.corp.example (192.0.2.9, the one)\n",
        "Diagnostic-Code: smtp; 550 5.1.1 (no) such\n\tuser here\n",
        "Last-Attempt-Date: Sun, 22 Nov 2026 09:00:00 +0000\n",
        "Will-Retry-Until: Mon, 23 Nov 2026 09:00:00 +0000\n",
        "Final-Log-ID: x\nX-Own: y\n",
    ))
    .replace("Reporting-MTA: dns; mx.example", "Original-Envelope-Id: QQ+3D1\nReporting-MTA: dsn; MX.example");
    let report = only(&raw);
    assert_eq!(address(&report), Some("jane+2bnews@corp.example"));
    assert_eq!(report.final_recipient.as_deref(), Some("<jane@alias.corp.example> (expanded)"));
    assert_eq!(report.diagnostic.as_deref(), Some("550 5.1.1 (no) such user here"));
    assert_eq!((report.remote_mta.as_deref(), report.reporting_mta.as_deref()), (Some("mx.corp.example"), Some("mx.example")));
    assert_eq!(report.envelope_id.as_deref(), Some("QQ=1"));
    assert!(report.occurred_at.is_some() && report.retry_until.is_some());

    for (field, expected) in [
        ("Original-Recipient: <jane@corp.example>", Some("jane@corp.example")),
        ("Final-Recipient: utf-8; j\\x{F6}rg@corp.example", Some("jörg@corp.example")),
        ("Final-Recipient: rfc822; jane@bücher.example", Some("jane@xn--bcher-kva.example")),
        ("Final-Recipient: rfc822; \"jane..doe\"@corp.example", Some("\"jane..doe\"@corp.example")),
        ("Final-Recipient: x-local; jane@corp.example", Some("jane@corp.example")),
        ("Final-Recipient: rfc822; @gate.example:jane@corp.example", Some("jane@corp.example")),
    ] {
        assert_eq!(address(&only(&dsn(&format!("{field}\nAction: failed\nStatus: 5.1.1\n")))), expected, "{field}");
    }
    // A field whose value cannot be read costs that value only.
    let odd = only(&dsn("Final-Recipient: rfc822; jane@corp.example\nAction: failed\nArrival-Date: 2013-07-08 18-21-01\nStatus: none\n"));
    assert_eq!((address(&odd), odd.status), (Some("jane@corp.example"), None));
    let dead = dsn(
        "Final-Recipient: x400; /S=jane/\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: rfc822; joe@corp.example\nAction: failed\nStatus: 5.1.1\n",
    );
    assert_eq!(address(&only(&dead)), Some("joe@corp.example"));
}

/// The action tells what is final; where it is missing the status and the words do.
#[test]
fn actions_tell_what_is_final() {
    for (action, status, subject, kind) in [
        ("Action: failed", "5.1.1", "", Kind::Bounce),
        ("Action: failed", "4.4.1", "", Kind::Bounce),
        ("Action: delayed", "4.4.1", "", Kind::Delayed),
        ("Action: delivered", "2.0.0", "", Kind::Delivered),
        ("Action: relayed", "2.0.0", "", Kind::Delivered),
        ("Action: expired", "", "", Kind::Bounce),
        ("Action: undeliverable", "5.1.1", "", Kind::Bounce),
        ("Action: error", "5.1.1", "", Kind::Bounce),
        ("Action: failed (no such user)", "5.1.1", "", Kind::Bounce),
        ("Action: deliverable", "2.0.0", "", Kind::Delivered),
        ("Action: whatever", "5.1.1", "", Kind::Bounce),
        ("X: y", "5.1.1", "", Kind::Bounce),
        ("X: y", "2.0.0", "", Kind::Delivered),
        ("X: y", "4.4.1", "Warning: message delayed 4 hours", Kind::Delayed),
        ("X: y", "4.4.1", "Returned mail", Kind::Bounce),
    ] {
        let raw = dsn(&format!("Final-Recipient: rfc822; jane@corp.example\n{action}\nStatus: {status}\n"));
        let raw = if subject.is_empty() { raw } else { raw.replace("Subject: Returned mail", &format!("Subject: {subject}")) };
        assert_eq!(only(&raw).kind, kind, "{action} {status} {subject}");
    }
    let mixed = dsn(&format!("Final-Recipient: rfc822; list@corp.example\nAction: expanded\nStatus: 2.0.0\n\n{GROUP}"));
    let mixed = read(&mixed);
    assert_eq!(mixed.kind, Kind::Bounce);
    assert_eq!(mixed.reports.iter().map(|it| it.kind).collect::<Vec<_>>(), [Kind::Other, Kind::Bounce]);
}

/// Which of status and diagnostic speaks, row by row.
#[test]
fn status_and_diagnostic_are_weighed() {
    for (status, diagnostic, expected) in [
        // Equal.
        ("5.1.1", "smtp; 550 5.1.1 User unknown", "bounce hard user_unknown 5.1.1 550"),
        // No enhanced code in the words, same class.
        ("5.2.2", "smtp; 550 xyzzy", "bounce soft mailbox_full 5.2.2 550"),
        // A bare status loses against a specific one, on either side.
        ("5.0.0", "smtp; 550 5.2.2 xyzzy", "bounce soft mailbox_full 5.2.2 550"),
        ("5.2.2", "smtp; 550 5.0.0 xyzzy", "bounce soft mailbox_full 5.2.2 550"),
        // Both specific: the remote's own words, unless they are vaguer on the same subject.
        ("5.1.1", "smtp; 550 5.7.1 xyzzy", "bounce soft policy_rejected 5.7.1 550"),
        ("5.1.1", "smtp; 550 5.2.2 xyzzy", "bounce soft mailbox_full 5.2.2 550"),
        ("5.2.2", "smtp; 550 5.2.0 xyzzy", "bounce soft mailbox_full 5.2.2 550"),
        ("4.4.7", "smtp; 450 4.7.1 xyzzy", "bounce soft policy_rejected 4.7.1 450"),
        // The remote was permanent, the reporter temporary: hard becomes soft.
        ("4.0.0", "smtp; 554 5.1.1 User unknown", "bounce soft user_unknown 5.1.1 554"),
        ("4.0.0", "smtp; 550 User unknown", "bounce soft user_unknown 4.0.0 550"),
        ("4.0.0", "smtp; 554 5.7.1 blocked using zen.spamhaus.org", "bounce soft dnsbl_listed 5.7.1 554"),
        // The sender gave up after temporary errors: expired, or what it quotes.
        ("4.4.7", "smtp; 550 4.4.7 Message expired", "bounce soft expired 4.4.7 550"),
        (
            "5.4.7",
            "smtp; 554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>",
            "bounce soft network_error 4.4.2 554",
        ),
        // A temporary reply with a permanent status.
        ("5.2.3", "smtp; 450 5.2.3 Message size greater than allowed", "bounce soft message_too_large 5.2.3 450"),
        // Missing or malformed.
        ("", "smtp; 550 5.1.1 User unknown", "bounce hard user_unknown 5.1.1 550"),
        ("", "smtp; 550 User unknown", "bounce hard user_unknown 5.0.0 550"),
        ("", "X-Notes; User not listed in Domino Directory", "bounce hard user_unknown"),
        ("511", "smtp; xyzzy", "bounce hard user_unknown 5.1.1"),
        ("5.0.4", "smtp; 504 xyzzy", "bounce soft protocol_error 5.0.4 504"),
        // A greeting or go-ahead comes before the refusal.
        ("5.0.0", "smtp; 220 mx.corp.example ready 554 5.7.1 blocked using zen.spamhaus.org", "bounce soft dnsbl_listed 5.7.1 554"),
        ("5.0.0", "smtp; 354 go ahead 552 5.2.2 Mailbox full", "bounce soft mailbox_full 5.2.2 552"),
        // What looks like a code and is none.
        (
            "5.0.0",
            "smtp; mx.corp.example[4.2.2.1] said 550 see http://corp.example/550/5.1.1 and wait",
            "bounce soft mailbox_unavailable 5.0.0 550",
        ),
        // A multi-line reply repeats its codes.
        ("5.0.0", "smtp; 550-5.1.1 The mailbox\n 550-5.1.1 you tried\n 550 5.1.1 does not exist", "bounce hard user_unknown 5.1.1 550"),
        ("5.0.0", "X-Unix; 255", "bounce soft delivery_agent_error 5.0.0"),
    ] {
        assert_eq!(judged(&only(&failed(status, diagnostic))), expected, "{status} {diagnostic}");
    }
}

/// Who says what at which command, and what a bare refusal means there.
#[test]
fn a_bare_refusal_means_what_its_command_is_about() {
    for (words, stage, reason) in [
        ("host mx said: 550 xyzzy (in reply to RCPT TO command)", "rcpt_to", "mailbox_unavailable"),
        ("host mx said: 554 xyzzy (in reply to end of DATA command)", "end_of_data", "policy_rejected"),
        ("host mx said: 554 xyzzy (in reply to DATA command)", "data", "policy_rejected"),
        ("host mx said: 550 xyzzy (in reply to MAIL FROM command)", "mail_from", "sender_rejected"),
        ("host mx said: 550 xyzzy (in reply to EHLO command)", "ehlo", "reputation_block"),
        ("host mx refused to talk to me: 554 xyzzy", "connect", "reputation_block"),
        ("SMTP error from remote mail server after RCPT TO:<jane@corp.example>: 550 xyzzy", "rcpt_to", "mailbox_unavailable"),
        ("SMTP error from remote mail server after end of data: 550 xyzzy", "end_of_data", "policy_rejected"),
        ("SMTP error from remote mail server after initial connection: 554 xyzzy", "connect", "reputation_block"),
        (">>> RCPT To:<jane@corp.example>\n<<< 550 xyzzy", "rcpt_to", "mailbox_unavailable"),
        ("192.0.2.9 does not like recipient.\nRemote host said: 550 xyzzy", "rcpt_to", "mailbox_unavailable"),
        ("Connected to 192.0.2.9 but sender was rejected.\nRemote host said: 550 xyzzy", "mail_from", "sender_rejected"),
        ("192.0.2.9 failed after I sent the message.\nRemote host said: 554 xyzzy", "end_of_data", "policy_rejected"),
        ("Remote host said: 550 xyzzy [RCPT_TO]", "rcpt_to", "mailbox_unavailable"),
        ("550 550 xyzzy (state 14)", "rcpt_to", "mailbox_unavailable"),
        ("550 550 xyzzy (state 15)", "data", "policy_rejected"),
        ("554 554 xyzzy (state 17)", "end_of_data", "policy_rejected"),
        ("554 554 xyzzy (state 18)", "end_of_data", "policy_rejected"),
        ("550 550 xyzzy (state 13)", "ehlo", "reputation_block"),
        ("host mx said: 550 xyzzy (in reply to AUTH command)", "auth", "submission_auth"),
        ("host mx said: 454 xyzzy (in reply to STARTTLS command)", "starttls", "tls_required"),
    ] {
        let report = only(&prose("From: MAILER-DAEMON@mx.example", &format!("<jane@corp.example>:\n{words}")));
        let verdict = classify(&report, Rules::builtin());
        let found = (verdict.stage.map(|it| it.to_string()), verdict.reason.map(|it| it.to_string()));
        assert_eq!(found, (Some(stage.to_owned()), Some(reason.to_owned())), "{words}");
    }
    // The same words at a Japanese carrier: nobody, or somebody's filter.
    for (stage, expected) in
        [("RCPT TO", "bounce hard user_unknown 5.1.1 550 rcpt_to"), ("end of DATA", "bounce soft recipient_refused 5.2.0 550 end_of_data")]
    {
        let status = if stage == "RCPT TO" { "5.1.1" } else { "5.2.0" };
        let raw = failed(
            status,
            &format!(
                "smtp; host mfsmax.docomo.ne.jp[192.0.2.9] said: 550 {status} Unknown user jane@docomo.ne.jp (in reply to {stage} command)"
            ),
        )
        .replace(
            "Final-Recipient: rfc822; jane@corp.example",
            "Final-Recipient: rfc822; jane@docomo.ne.jp\nRemote-MTA: dns; mfsmax.docomo.ne.jp",
        );
        assert_eq!(judged(&only(&raw)), expected);
    }
}

/// Whose address failed, strongest evidence first.
#[test]
fn the_address_that_was_mailed_is_the_one_that_failed() {
    let both =
        "Original-Recipient: rfc822; jane@corp.example\nFinal-Recipient: rfc822; j.doe@inner.corp.example\nAction: failed\nStatus: 5.1.1\n";
    let report = only(&dsn(both));
    assert_eq!((address(&report), report.final_recipient.as_deref()), (Some("jane@corp.example"), Some("j.doe@inner.corp.example")));
    // Final-Recipient counts where it is what was mailed, and the other is not.
    let status = format!("Content-Type: message/delivery-status\n\n{both}");
    let mailed = multipart("report", &["\nno\n", &status, &RETURNED.replace("To: jane@corp", "To: j.doe@inner.corp")]);
    assert_eq!(address(&only(&mailed)), Some("j.doe@inner.corp.example"));
    let last = dsn(&both.replace("Original-Recipient: rfc822; jane@corp.example\n", ""));
    assert_eq!(address(&only(&last)), Some("j.doe@inner.corp.example"));
    // X-Actual-Recipient is only an alias.
    let actual = dsn(
        "Final-Recipient: rfc822; jane@corp.example\nX-Actual-Recipient: rfc822; j.doe@inner.corp.example\nAction: failed\nStatus: 5.1.1\n",
    );
    assert_eq!(address(&only(&actual)), Some("jane@corp.example"));
    // Without a machine part: the header, the returned message, the text; never the writer.
    let header =
        prose("From: x@mx.example\nSubject: failure notice\nX-Failed-Recipients: jane@corp.example, joe@corp.example", "550 user unknown");
    assert_eq!(read(&header).reports.iter().filter_map(address).collect::<Vec<_>>(), ["jane@corp.example", "joe@corp.example"]);
    let nobody = multipart("mixed", &["\nYour message could not be delivered: user unknown\n", RETURNED]);
    assert_eq!(address(&only(&nobody)), Some("jane@corp.example"));
    let text = prose(
        "From: MAILER-DAEMON@mx.example\nSubject: failure notice",
        "Your message to jane@corp.example could not be delivered.\nAsk postmaster@mx.example or news@news.example.",
    );
    assert_eq!(address(&only(&text)), Some("jane@corp.example"));
    let writer =
        prose("From: MAILER-DAEMON@mx.example\nSubject: failure notice", "MAILER-DAEMON@mx.example could not deliver it: user unknown");
    assert!(read(&writer).reports.is_empty());
}

/// Which message failed.
#[test]
fn the_message_that_failed_is_tied_by_its_ids() {
    let status = format!(
        "Content-Type: message/delivery-status\n\nOriginal-Envelope-Id: weekly-7\nX-Original-Message-ID: <0@news.example>\n\n{GROUP}"
    );
    let both = only(&multipart("report", &["\nno\n", &status, RETURNED]));
    assert_eq!((both.envelope_id.as_deref(), both.message_id.as_deref()), (Some("weekly-7"), Some("0@news.example")));
    let returned = only(&multipart("report", &["\nno\n", &format!("Content-Type: message/delivery-status\n\n{GROUP}"), RETURNED]));
    assert_eq!(returned.message_id.as_deref(), Some("1@news.example"));
    // Gmail answers the message in the thread it belongs to.
    let thread = dsn(GROUP).replace("Subject:", "In-Reply-To: <2@news.example>\nReferences: <a@x> <2@news.example>\nSubject:");
    assert_eq!(only(&thread).message_id.as_deref(), Some("2@news.example"));
    let references = dsn(GROUP).replace("Subject:", "References: <a@x> <3@news.example>\nSubject:");
    assert_eq!(only(&references).message_id.as_deref(), Some("3@news.example"));
}

/// What each type of feedback is.
#[test]
fn feedback_is_what_its_type_says() {
    for (kind, expected) in [
        ("abuse", Kind::Complaint),
        ("fraud", Kind::Complaint),
        ("virus", Kind::Complaint),
        ("other", Kind::Complaint),
        ("something-new", Kind::Complaint),
        ("not-spam", Kind::Other),
        ("auth-failure", Kind::Other),
        ("opt-out", Kind::Unsubscribe),
        ("opt-out-list", Kind::Unsubscribe),
    ] {
        let part = format!(
            "Content-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: x/1\nVersion: 0.1\nOriginal-Rcpt-To: jane@corp.example\nReceived-Date: Sun, 22 Nov 2026 09:00:00 +0000\nOriginal-Envelope-Id: weekly-7\n"
        );
        let reading = read(&multipart("report; report-type=feedback-report", &["\nspam\n", &part, RETURNED]));
        assert_eq!((reading.kind, reading.reports[0].kind), (expected, expected), "{kind}");
        assert_eq!(reading.notes.is_empty(), kind != "something-new", "{kind}");
        let report = &reading.reports[0];
        assert_eq!((address(report), report.message_id.as_deref()), (Some("jane@corp.example"), Some("1@news.example")));
        assert!(report.occurred_at.is_some() && report.envelope_id.as_deref() == Some("weekly-7"));
        assert_eq!(classify(report, Rules::builtin()).bounce_type, None);
    }
    let redacted = "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\nRedacted-Address: jane@\n";
    let redacted = only(&multipart("report; report-type=feedback-report", &["\nspam\n", redacted, RETURNED]));
    assert_eq!((address(&redacted), redacted.message_id.as_deref()), (None, Some("1@news.example")));
}

/// Whatever became of a message that arrived, it did not bounce.
#[test]
fn a_disposition_is_never_a_bounce() {
    for disposition in [
        "manual-action/MDN-sent-manually; displayed",
        "automatic-action/MDN-sent-automatically; deleted",
        "automatic-action/MDN-sent-automatically; dispatched",
        "automatic-action/MDN-sent-automatically; processed/error",
        "automatic-action/MDN-sent-automatically; denied",
        "automatic-action/MDN-sent-automatically; failed",
    ] {
        let part = format!(
            "Content-Type: message/disposition-notification\n\nReporting-UA: x\nFinal-Recipient: rfc822; jane@corp.example\nOriginal-Message-ID: <1@news.example>\nDisposition: {disposition}\nError: 550 5.1.1 no such user\nFailure: x\n"
        );
        let raw = multipart("report; report-type=disposition-notification", &["\nYour message was refused: user unknown\n", &part]);
        let report = only(&raw);
        assert_eq!((report.kind, report.message_id.as_deref()), (Kind::Mdn, Some("1@news.example")), "{disposition}");
        let verdict = classify(&report, Rules::builtin());
        assert_eq!((verdict.kind, verdict.bounce_type, verdict.reason), (Kind::Mdn, None, None));
    }
}

/// What a responder is known by, and what is no sign.
#[test]
fn responders_are_known_by_one_strong_or_two_weak_signs() {
    for header in [
        "Auto-Submitted: auto-replied",
        "X-Autoreply: yes",
        "X-Autorespond: x",
        "X-Auto-Reply-From: x",
        "X-Mail-Autoreply: x",
        "Precedence: auto_reply",
        "X-Apple-Action: VACATION",
        "Delivered-To: Autoresponder",
        "Subject: Auto: News",
        "Subject: AUTO: Jane Doe is out of the office (returning Monday)",
        "Subject: Automatic reply: News",
        "Subject: AutoReply: News",
        "Subject: Auto Response: News",
        "Subject: Out of Office: News",
        "Subject: Out of the office: News",
        "Subject: Abwesenheitsnotiz: News",
        "Subject: Automatische Antwort: News",
        "Subject: =?utf-8?q?R=C3=A9ponse_automatique_:_News?=",
        "Subject: Absence du bureau",
        "Subject: =?utf-8?q?Respuesta_autom=C3=A1tica:_News?=",
        "Subject: Risposta automatica: News",
        "Subject: =?utf-8?q?Resposta_autom=C3=A1tica:_News?=",
        "Subject: Automatisch antwoord: News",
        "Subject: Autosvar: News",
        "Subject: Automaattinen vastaus: News",
        "Subject: Automatyczna odpowied\u{17a}: News",
        "Subject: \u{410}\u{432}\u{442}\u{43e}\u{43e}\u{442}\u{432}\u{435}\u{442}: News",
        "Subject: \u{81ea}\u{52d5}\u{8fd4}\u{4fe1}",
        "Subject: \u{81ea}\u{52a8}\u{56de}\u{590d}: News",
        "Subject: \u{c790}\u{b3d9} \u{c751}\u{b2f5}: News",
        "Subject: Otomatik yan\u{131}t: News",
        "Precedence: bulk\nSubject: Re: News\n\nI am out of the office until Monday.",
        "In-Reply-To: <1@news.example>\nSubject: Re: News\n\nI am currently on vacation.",
    ] {
        assert_eq!(read(&prose_to(header)).kind, Kind::AutoReply, "{header}");
    }
    for header in [
        "Subject: News",
        "Auto-Submitted: no\nSubject: Re: News",
        "X-Auto-Response-Suppress: All\nSubject: Re: News",
        "Precedence: bulk\nSubject: Re: News\n\nWe meet on Monday.",
        "Subject: Re: News\n\nI have moved: my address has changed, please write to jane@new.example.",
    ] {
        assert_eq!(read(&prose_to(header)).kind, Kind::Other, "{header}");
    }
    for from in ["root", "postmaster", "MAILER-DAEMON"] {
        let raw = prose(
            &format!("From: {from}@mx.example\nSubject: Undelivered mail\nAuto-Submitted: auto-replied"),
            "<jane@corp.example>: 550 user unknown",
        );
        assert_eq!(read(&raw).kind, Kind::Bounce, "{from}");
    }
    let challenge =
        prose("From: jane@corp.example\nX-Delivery-Agent: TMDA/1.0\nSubject: Please confirm your message", "Confirm that you are human.");
    assert_eq!(read(&challenge).kind, Kind::ChallengeResponse);
}

/// A mail of a person with some headers, and a text below them if it has one.
fn prose_to(headers: &str) -> String {
    let (headers, text) = headers.split_once("\n\n").unwrap_or((headers, "See you."));
    prose(&format!("From: jane@corp.example\n{headers}"), text)
}
