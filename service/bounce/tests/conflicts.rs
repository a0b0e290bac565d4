//! Codes that mean one thing in the registry and another at some receivers, and contradictions between the sources the
//! project began with: each ruling is held here by an example.

use bounce::address::Address;
use bounce::classify::codes::codes;
use bounce::classify::reason::Reason;
use bounce::classify::rules::Rules;
use bounce::classify::{Verdict, classify};
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;
use bounce::status::Stage;

fn judge(remote_mta: &str, status: Option<&str>, stage: Option<Stage>, diagnostic: &str) -> Verdict {
    let mut report = Report::new(Kind::Bounce, Address::parse("jane@customer.example").ok());
    report.remote_mta = (!remote_mta.is_empty()).then(|| remote_mta.to_owned());
    report.status = status.and_then(|it| it.parse().ok());
    report.stage = stage;
    report.diagnostic = Some(diagnostic.to_owned());
    classify(&report, Rules::builtin())
}

fn words(verdict: &Verdict) -> String {
    let words = [verdict.reason.map(Reason::as_str), verdict.bounce_type.map(BounceType::as_str)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_registered_code_gives_way_to_the_receiver_that_uses_it_otherwise() {
    const MICROSOFT: &str = "customer-example.mail.protection.outlook.com";
    const GMAIL: &str = "gmail-smtp-in.l.google.com";
    const YAHOO: &str = "mta5.am0.yahoodns.net";
    for (code, remote_mta, diagnostic, expected) in [
        ("X.1.10", MICROSOFT, "550 5.1.10 xyzzy", "user_unknown hard"),
        ("X.1.10", "", "556 5.1.10 xyzzy", "domain_no_mail hard"),
        ("5.1.1", "smtp-in.orange.fr", "552 5.1.1 Boite du destinataire pleine, quota OFR_417", "mailbox_full soft"),
        ("5.1.1", "mx1.comcast.net", "552 5.1.1 Mailbox full: extended quota violation", "mailbox_full soft"),
        ("5.1.1", "mx1.comcast.net", "452 4.1.1 too many recent messages", "rate_limited soft"),
        ("5.1.4", "", "550 5.1.4 Recipient refused: blocked by recipient", "recipient_refused soft"),
        ("5.1.8", MICROSOFT, "550 5.1.8 Access denied, bad outbound sender", "sender_rejected soft"),
        ("5.2.0", "mfsmax.docomo.ne.jp", "550 5.2.0 Unknown user", "recipient_refused soft"),
        ("5.2.0", "smtp-in.orange.fr", "550 5.2.0 Mail rejete. OFR_506", "spam_content soft"),
        ("5.2.0", "mx1.comcast.net", "550 5.2.0 Message rejected due to DMARC", "auth_failure soft"),
        ("5.2.1", GMAIL, "550 5.2.1 receiving mail at a rate that prevents additional messages", "rate_limited soft"),
        ("5.2.1", "scc-mailrelay.att.net", "550 5.2.1 Addressee unknown", "user_unknown hard"),
        ("5.2.1", "", "550 5.2.1 Mailbox unavailable. Your IP address is blacklisted using SPAMHAUS-XBL", "dnsbl_listed soft"),
        ("5.2.2", MICROSOFT, "554 5.2.2 mailbox full; Submission quota exceeded", "rate_limited soft"),
        ("5.3.0", "scc-mailrelay.att.net", "553 5.3.0 DNSBL:RBL 521< 192.0.2.1 >_is_blocked", "dnsbl_listed soft"),
        ("5.4.1", MICROSOFT, "550 5.4.1 Recipient address rejected: Access denied", "user_unknown hard"),
        ("5.4.1", "", "5.4.1 xyzzy", "network_error soft"),
        ("5.4.5", GMAIL, "550 5.4.5 Daily user sending quota exceeded", "rate_limited soft"),
        ("5.5.0", MICROSOFT, "550 5.5.0 Requested action not taken: mailbox unavailable", "user_unknown hard"),
        ("5.5.4", "", "554 5.5.4 Your IP address has a bad reputation", "reputation_block soft"),
        ("5.7.1", "mx.yandex.ru", "550 5.7.1 No such user!", "user_unknown hard"),
        ("5.7.2", YAHOO, "553 5.7.2 [TSS09] All messages will be permanently deferred", "reputation_block soft"),
        ("X.7.5", YAHOO, "554 5.7.5 (AU01) Message not accepted", "auth_failure soft"),
        ("5.7.9", YAHOO, "554 5.7.9 Message not accepted for policy reasons", "policy_rejected soft"),
        ("5.7.9", YAHOO, "550 5.7.9 Yahoo requires all senders to authenticate", "auth_failure soft"),
        ("X.7.23", GMAIL, "421 4.7.23 xyzzy", "reverse_dns soft"),
        ("X.7.23", "", "550 5.7.23 xyzzy", "auth_failure soft"),
        ("X.7.27", GMAIL, "550 5.7.27 xyzzy", "auth_failure soft"),
        ("X.7.27", "", "550 5.7.27 xyzzy", "sender_rejected soft"),
        ("X.7.29", GMAIL, "550 5.7.29 xyzzy", "tls_required soft"),
        ("X.7.29", "", "550 5.7.29 xyzzy", "auth_failure soft"),
        ("X.7.30", GMAIL, "550 5.7.30 xyzzy", "auth_failure soft"),
        ("X.7.30", "", "550 5.7.30 xyzzy", "tls_required soft"),
    ] {
        let verdict = judge(remote_mta, None, None, diagnostic);
        assert_eq!(words(&verdict), expected, "{code}: {diagnostic} by {}", verdict.rule.0);
    }
    let at_recipient = judge("", None, Some(Stage::RcptTo), "525 5.7.13 xyzzy");
    assert_eq!(words(&at_recipient), "mailbox_inactive hard");
    assert_eq!(words(&judge("", None, Some(Stage::Auth), "525 5.7.13 xyzzy")), "submission_auth soft");
}

#[test]
fn contradictions_between_the_sources_are_settled() {
    let at = |stage, diagnostic| words(&judge("", None, Some(stage), diagnostic));
    let bare = |diagnostic| words(&judge("", None, None, diagnostic));
    for (ruling, found, expected) in [
        ("C1", bare("450 xyzzy"), "mailbox_unavailable soft"),
        ("C1", bare("450 4.1.1 xyzzy"), "user_unknown soft"),
        ("C2", bare("421 xyzzy"), "server_error soft"),
        ("C2", bare("421 too many connections"), "rate_limited soft"),
        ("C3", bare("451 xyzzy"), "server_error soft"),
        ("C3", bare("451 greylisted"), "greylisted soft"),
        ("C4", bare("500 xyzzy"), "protocol_error soft"),
        ("C4", bare("400 xyzzy"), "undetermined soft"),
        ("C5", bare("550 xyzzy"), "mailbox_unavailable soft"),
        ("C5", at(Stage::EndOfData, "550 xyzzy"), "policy_rejected soft"),
        ("C6", bare("552 5.2.2 xyzzy"), "mailbox_full soft"),
        ("C6", bare("552 5.3.4 xyzzy"), "message_too_large soft"),
        ("C6", bare("552 too many recipients"), "rate_limited soft"),
        ("C7", bare("452 xyzzy"), "server_error soft"),
        ("C7", bare("452 4.2.2 xyzzy"), "mailbox_full soft"),
        ("C8", at(Stage::RcptTo, "553 xyzzy"), "address_syntax soft"),
        ("C8", at(Stage::MailFrom, "553 xyzzy"), "sender_rejected soft"),
        ("C9", bare("554 xyzzy"), "policy_rejected soft"),
        ("C9", at(Stage::Connect, "554 xyzzy"), "reputation_block soft"),
        ("C10", bare("530 xyzzy"), "submission_auth soft"),
        ("C10", bare("535 xyzzy"), "submission_auth soft"),
        ("C11", bare("541 xyzzy"), "policy_rejected soft"),
        ("C11", bare("541 no answer from host"), "network_error soft"),
        ("C12", bare("543 xyzzy"), "dns_error soft"),
        ("C13", bare("512 xyzzy"), "domain_unknown hard"),
        ("C14", bare("5.0.4 xyzzy"), "protocol_error soft"),
        ("C15", bare("450 5.2.3 xyzzy"), "message_too_large soft"),
        ("C17", bare("551 xyzzy"), "address_moved hard"),
        ("C20", bare("552 quota exceeded"), "mailbox_full soft"),
        ("C20", words(&judge("", Some("4.0.0"), None, "550 5.1.1 user unknown")), "user_unknown soft"),
        ("C21", bare("550 5.7.1 relaying denied"), "relay_denied soft"),
        ("C21", bare("550 5.7.1 xyzzy"), "policy_rejected soft"),
        ("C22", bare("550 5.7.26 xyzzy"), "auth_failure soft"),
        ("C23", bare("550 5.7.1 forwarded mail: SPF check failed"), "auth_failure soft"),
    ] {
        assert_eq!(found, expected, "{ruling}");
    }
    let category = |code: &str| codes().find(code).map_or("", |it| it.category.as_str());
    for (ruling, code, expected) in [
        ("C12", "540", "mailbox_inactive"),
        ("C12", "542", "network_error"),
        ("C14", "2.2.1", "session"),
        ("C16", "101", "network_error"),
        ("C18", "521", "domain_no_mail"),
        ("C18", "524", "tls_required"),
        ("C19", "550", "mailbox_unavailable"),
        ("C24", "413", "server_error"),
        ("C24", "510", "user_unknown"),
    ] {
        assert_eq!(category(code), expected, "{ruling}");
    }
}

#[test]
fn the_remote_words_beat_a_status_filled_in_by_others() {
    let status = |reported, diagnostic| judge("", reported, None, diagnostic).status.map_or_else(String::new, |it| it.to_string());
    for (reported, diagnostic, expected) in [
        (Some("5.1.1"), "550 5.1.1 user unknown", "5.1.1"),
        (Some("5.2.2"), "552 full", "5.2.2"),
        (Some("5.0.0"), "550 5.1.1 user unknown", "5.1.1"),
        (Some("5.1.1"), "550 5.0.0 user unknown", "5.1.1"),
        (Some("4.4.7"), "451 4.7.1 xyzzy", "4.7.1"),
        (Some("5.1.1"), "550 5.7.1 xyzzy", "5.7.1"),
        (Some("5.7.26"), "550 5.7.0 xyzzy", "5.7.26"),
        (Some("4.0.0"), "550 5.1.1 xyzzy", "5.1.1"),
        (None, "450 5.2.3 too big", "5.2.3"),
        (None, "511 xyzzy", "5.1.1"),
        (None, "550 xyzzy", "5.0.0"),
        (None, "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 xyzzy>", "4.4.2"),
        (None, "220 mx.customer.example ready 421 4.3.2 xyzzy", "4.3.2"),
        (None, "xyzzy", ""),
    ] {
        assert_eq!(status(reported, diagnostic), expected, "{reported:?} {diagnostic}");
    }
}

#[test]
fn the_command_that_was_refused_is_found_in_the_words() {
    for (diagnostic, stage) in [
        ("host mx said: 550 xyzzy (in reply to RCPT TO command)", Stage::RcptTo),
        ("host mx said: 550 xyzzy (in reply to end of DATA command)", Stage::EndOfData),
        ("host mx said: 550 xyzzy (in reply to DATA command)", Stage::Data),
        ("SMTP error from remote mail server after MAIL FROM:<a@customer.example>: 550 xyzzy", Stage::MailFrom),
        (">>> RCPT To:<a@customer.example> <<< 550 xyzzy", Stage::RcptTo),
        ("192.0.2.1 does not like recipient. Remote host said: 550 xyzzy", Stage::RcptTo),
        ("192.0.2.1 failed after I sent the message. Remote host said: 554 xyzzy", Stage::EndOfData),
        ("554 xyzzy [RCPT_TO]", Stage::RcptTo),
        ("550 xyzzy (state 14)", Stage::RcptTo),
        ("550 xyzzy (state 13)", Stage::Ehlo),
        ("host mx refused to talk to me: 554 xyzzy", Stage::Connect),
    ] {
        assert_eq!(judge("", None, None, diagnostic).stage, Some(stage), "{diagnostic}");
    }
}

#[test]
fn waits_and_block_lists_are_taken_from_the_words() {
    let wait = |diagnostic| judge("", None, None, diagnostic).retry_after.map(time::Duration::whole_seconds);
    assert_eq!(wait("450 4.7.1 Greylisted, please try again in 300 seconds"), Some(300));
    assert_eq!(wait("451 4.7.1 Greylisted for 5 minutes"), Some(300));
    assert_eq!(wait("421 4.7.0 Too many messages, retry after 00:10:00"), Some(600));
    assert_eq!(wait("450 4.7.1 Greylisted, try again in 2 hours, do not wait for us"), Some(7200));
    assert_eq!(wait("450 4.7.1 Greylisted"), None);
    let list = |diagnostic| judge("", None, None, diagnostic).block_list;
    assert_eq!(list("554 Client host [192.0.2.1] blocked using zen.spamhaus.org; see x").as_deref(), Some("zen.spamhaus.org"));
    assert_eq!(list("554 Client host [192.0.2.1] blocked using bl.customer.example; see x").as_deref(), Some("bl.customer.example"));
    assert_eq!(list("550 5.7.1 rejected by policy"), None);
    assert_eq!(list("550 5.1.1 rejected by mx.customer.example: user unknown"), None);
}

#[test]
fn a_bounce_never_turns_hard_by_words_about_somebody_else() {
    for (remote_mta, stage, diagnostic) in [
        ("", None, "550 5.1.8 <news@sender.example>: Sender address rejected: Domain not found"),
        ("", None, "450 4.1.8 Domain of sender address news@sender.example does not exist"),
        ("", Some(Stage::MailFrom), "550 5.1.7 No such domain sender.example"),
        ("", Some(Stage::Ehlo), "501 5.0.0 Invalid domain name"),
        ("", None, "550 5.7.1 Too many unknown users in your list"),
        ("", None, "554 5.7.1 Connection refused: dictionary attack, unknown user ratio"),
        ("", None, "550 5.7.1 Mail from disabled account refused: sender rejected"),
        ("mx00.gmx.net", None, "550-Requested action not taken: mailbox unavailable 550 Reject due to policy restrictions."),
        ("", None, "554 5.7.1 Your mail server does not exist in our list: unknown host"),
    ] {
        let verdict = judge(remote_mta, None, stage, diagnostic);
        assert_eq!(verdict.bounce_type.map(BounceType::as_str), Some("soft"), "{diagnostic} is {} by {}", words(&verdict), verdict.rule.0);
    }
}

#[test]
fn the_same_words_mean_the_person_at_home_and_the_domain_abroad() {
    let mut report = Report::new(Kind::Bounce, Address::parse("jane@customer.example").ok());
    report.text = Some("jane@customer.example\n    Unrouteable address".to_owned());
    for (reporting_mta, expected) in [
        (None, "domain_unknown hard"),
        (Some("relay.sender.example"), "domain_unknown hard"),
        (Some("notcustomer.example"), "domain_unknown hard"),
        (Some("customer.example"), "user_unknown hard"),
        (Some("mx1.Customer.example"), "user_unknown hard"),
    ] {
        report.reporting_mta = reporting_mta.map(str::to_owned);
        assert_eq!(words(&classify(&report, Rules::builtin())), expected, "{reporting_mta:?}");
    }
}
