use super::*;
use crate::report::Claim;

fn bounce(diagnostic: &str) -> Report {
    let mut report = Report::new(Kind::Bounce, Some(crate::address::Address::parse("jane@example.com").unwrap()));
    report.diagnostic = Some(diagnostic.to_owned());
    report
}

fn verdict(report: &Report) -> (Option<&'static str>, Option<&'static str>, String) {
    let verdict = judge(report, Rules::builtin());
    (verdict.reason.map(Reason::as_str), verdict.bounce_type.map(BounceType::as_str), verdict.rule.0)
}

#[test]
fn words_beat_codes_and_codes_beat_replies() {
    assert_eq!(verdict(&bounce("550 5.7.1 No such user here")).0, Some("user_unknown"));
    assert_eq!(verdict(&bounce("550 5.2.2 xyzzy")).2, "code.5.2.2");
    assert_eq!(verdict(&bounce("552 xyzzy")).2, "reply.552");
    assert_eq!(verdict(&bounce("xyzzy")), (Some("undetermined"), Some("soft"), "none".to_owned()));
}

#[test]
fn a_provider_label_stands_between_words_and_codes() {
    let mut report = bounce("550 5.2.2 xyzzy");
    report.claim = Some(Claim { bounce_type: Some(BounceType::Hard), reason: Some(Reason::UserUnknown) });
    assert_eq!(verdict(&report), (Some("user_unknown"), Some("hard"), "claim".to_owned()));
    report.diagnostic = Some("550 5.7.1 blocked using zen.spamhaus.org".to_owned());
    assert_eq!(verdict(&report), (Some("dnsbl_listed"), Some("soft"), "dnsbl.named".to_owned()));
}

#[test]
fn a_final_failure_after_temporary_refusals_is_soft() {
    let mut report = bounce("450 4.1.1 <jane@example.com>: User unknown");
    assert_eq!(verdict(&report).1, Some("soft"));
    report.diagnostic = Some("550 5.1.1 user unknown".to_owned());
    assert_eq!(verdict(&report).1, Some("hard"));
    report.status = "4.0.0".parse().ok();
    assert_eq!(verdict(&report).1, Some("soft"));
}

#[test]
fn a_domain_that_does_not_exist_is_the_recipients_only_if_it_is_named() {
    assert_eq!(verdict(&bounce("553 example.com does not exist")).0, Some("domain_unknown"));
    assert_eq!(verdict(&bounce("553 example.com does not exist")).1, Some("hard"));
    assert_eq!(verdict(&bounce("jane@example.com 553 news.example.org does not exist")).0, Some("sender_rejected"));
    assert_eq!(verdict(&bounce("550 jane does not exist")).0, Some("user_unknown"));
    assert_eq!(verdict(&bounce("550 jane@example.com does not exist")).0, Some("user_unknown"));
}

#[test]
fn what_was_accepted_on_the_way_is_no_code_of_the_failure() {
    let judged = judge(&bounce("220 mx.example.com ready, 250 ok, then nothing"), Rules::builtin());
    assert_eq!((judged.reply, judged.status), (None, None));
    assert_eq!(judge(&bounce("220 ready, then 554 5.7.1 spam"), Rules::builtin()).reply, SmtpReply::new(554));
}

#[test]
fn words_about_the_address_of_the_sender_do_not_blame_the_recipient() {
    let from = |text: &str, from: &str| {
        let mut report = bounce(text);
        report.hints.headers.insert("from".to_owned(), from.to_owned());
        verdict(&report)
    };
    let sender = "News <News@news.example>";
    assert_eq!(from("550 5.1.1 <news@news.example>: user unknown", sender).0, Some("sender_rejected"));
    assert_eq!(from("550 5.1.1 <news@news.example>: user unknown", sender).1, Some("soft"));
    assert_eq!(from("550 news@news.example account disabled", sender).1, Some("soft"));
    assert_eq!(from("550 5.1.1 <jane@example.com>: user unknown (mail from news@news.example)", sender).1, Some("hard"));
    assert_eq!(from("550 5.1.1 user unknown", sender).1, Some("hard"));
    assert_eq!(from("550 5.1.1 <jane@example.com>: user unknown", "jane@example.com").1, Some("hard"));
}
