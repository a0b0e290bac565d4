use serde_json::{Value, json};
use time::Duration;
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, Verdict, classify};
use crate::esp::{Credential, is_test};
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const SECRET: &str = "signing key of ours";
const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

fn signing() -> Credentials {
    Credentials { secrets: vec!["older".to_owned(), SECRET.to_owned()], ..Credentials::default() }
}

fn prove(credentials: &Credentials, content_type: &str, body: &[u8], now: OffsetDateTime) -> Result<Proof, Refusal> {
    let headers = [("content-type".to_owned(), content_type.to_owned())];
    Mailgun.prove(&Unverified { method: "POST", url: "/hook/u", headers: &headers, body }, credentials, now)
}

fn decode(content_type: &str, body: &[u8]) -> Decoded {
    let headers = [("content-type".to_owned(), content_type.to_owned())];
    let post = Unverified { method: "POST", url: "/", headers: &headers, body };
    Mailgun.decode(&Verified::restored(post, Attribution::Signed, NOW))
}

/// What an event says, and what is made of it.
fn one(event: &Value) -> (Report, Verdict) {
    let mut whole =
        json!({"event": "failed", "severity": "permanent", "recipient": "Jane@Example.com", "timestamp": 1_767_225_600.5, "id": "i1"});
    event.as_object().unwrap().iter().for_each(|(name, value)| whole[name] = value.clone());
    let decoded = decode("application/json", json!({"event-data": whole}).to_string().as_bytes());
    let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
    (report.clone(), classify(report, Rules::builtin()))
}

/// A form with a seal.
fn sealed(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let seal = seal::sign(SECRET, NOW).unwrap();
    let seal = ["timestamp", "token", "signature"].map(|it| (it.to_owned(), seal[it].as_str().unwrap().to_owned()));
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain(seal).collect()
}

fn urlencoded(fields: &[(String, String)]) -> Vec<u8> {
    let encoded = |it: &str| crate::esp::form::encoded(it.as_bytes());
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&").into_bytes()
}

fn multipart(fields: &[(String, String)]) -> Vec<u8> {
    let part = |(name, value): &(String, String)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    (fields.iter().map(part).collect::<String>() + "--b--\r\n").into_bytes()
}

mod events {
    use super::*;

    #[test]
    fn every_field_is_read() {
        let body = json!({"signature": {"token": "t1"}, "event-data": {"event": "failed", "severity": "permanent", "reason": "bounce", "id": "i1",
            "timestamp": 1_767_225_600.0, "recipient": "jane@example.com", "tags": ["tag one"], "user-variables": {"k": "v"},
            "delivery-status": {"code": 550, "enhanced-code": "5.1.1", "message": "5.1.1 no such user", "description": "", "mx-host": "mx.example.com"},
            "message": {"headers": {"message-id": "own@example.net", "from": "us@example.net"}}, "mailing-list": {"list-id": "weekly.example.net"}}});
        let decoded = decode("application/json", body.to_string().as_bytes());
        let report = &decoded.reading.reports[0];
        assert_eq!((report.recipient.as_ref().unwrap().expose(), report.occurred_at), ("jane@example.com", Some(NOW)));
        assert_eq!((report.message_id.as_deref(), report.provider_event_id.as_deref()), (Some("own@example.net"), Some("t1")));
        assert_eq!((report.reply.unwrap().code(), report.status.unwrap().to_string().as_str()), (550, "5.1.1"));
        assert_eq!((report.diagnostic.as_deref(), report.remote_mta.as_deref()), (Some("5.1.1 no such user"), Some("mx.example.com")));
        assert_eq!((report.hints.tags["tag"].as_str(), report.hints.tags["k"].as_str()), ("tag one", "v"));
        assert_eq!(
            (report.hints.list_id.as_deref(), report.hints.headers["from"].as_str()),
            (Some("weekly.example.net"), "us@example.net")
        );
    }

    #[test]
    fn each_type_has_its_meaning() {
        for (event, kind) in [
            (json!({"severity": "temporary", "delivery-status": {"code": 451, "message": "try later"}}), Kind::Delayed),
            (json!({"severity": "permanent"}), Kind::Bounce),
            (json!({"event": "delivered", "delivery-status": {"code": 250, "message": "OK"}}), Kind::Delivered),
            (json!({"event": "complained"}), Kind::Complaint),
            (json!({"event": "unsubscribed"}), Kind::Unsubscribe),
            (json!({"event": "rejected", "reject": {"reason": "Sandbox subdomains are for test purposes only."}}), Kind::Rejected),
        ] {
            assert_eq!(one(&event).0.kind, kind, "{event}");
        }
        for event in ["accepted", "opened", "clicked", "stored", "list_member_uploaded"] {
            let decoded = decode("application/json", json!({"event-data": {"event": event}}).to_string().as_bytes());
            assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{event}");
        }
    }

    #[test]
    fn a_final_failure_is_hard_unless_the_receiver_or_mailguns_reason_says_otherwise() {
        use BounceType::{Hard, Soft};
        for (reason, status, expected) in [
            ("bounce", Value::Null, Hard),
            ("bounce", json!({"code": 550, "message": ""}), Hard),
            ("hardfail", json!({"message": "what"}), Hard),
            ("generic", json!({"code": 550, "enhanced-code": "5.2.2", "message": "what"}), Soft),
            ("generic", json!({"code": 550, "message": "5.7.1 listed"}), Soft),
            ("bounce", json!({"bounce-code": "5.1.1", "message": "what"}), Hard),
            ("bounce", json!({"code": 552, "message": "what"}), Soft),
            ("bounce", json!({"code": 550, "message": "mailbox full"}), Soft),
            ("generic", json!({"code": 451, "message": "what"}), Soft),
            ("generic", json!({"code": 498, "message": "No MX for example.com"}), Soft),
            ("old", json!({"code": 602, "message": "Too old"}), Soft),
            ("espblock", json!({"code": 550, "message": "5.1.1 no such user"}), Soft),
            ("greylisted", json!({"code": 550}), Soft),
            ("generic", json!({"code": 699}), Soft),
        ] {
            let event = json!({"reason": reason, "delivery-status": status});
            assert_eq!(one(&event).1.bounce_type, Some(expected), "{event}");
        }
    }

    #[test]
    fn what_was_not_tried_names_its_list() {
        for (reason, code, feedback) in [
            ("suppress-bounce", 605, None),
            ("suppress-unsubscribe", 0, Some(FeedbackType::OptOut)),
            ("suppress-complaint", 0, Some(FeedbackType::Abuse)),
            ("suppress-else", 0, None),
            ("generic", 605, None),
            ("hardfail", 606, Some(FeedbackType::OptOut)),
            ("hardfail", 607, Some(FeedbackType::Abuse)),
        ] {
            let (report, verdict) = one(&json!({"reason": reason, "delivery-status": {"code": code, "message": "Not delivering"}}));
            assert_eq!((report.kind, report.feedback_type), (Kind::Suppressed, feedback), "{reason} {code}");
            assert_eq!((verdict.reason, report.reply), (Some(Reason::Suppressed), None), "{reason} {code}");
        }
        assert_eq!(one(&json!({"delivery-status": {"code": 625}})).0.kind, Kind::Rejected);
    }

    #[test]
    fn what_was_refused_is_about_all_that_the_message_names() {
        let event = json!({"event-data": {"event": "rejected", "message": {"headers": {"to": "\"Doe, Jane\" <jane@example.com>, john@example.com"}}}});
        let reports = decode("application/json", event.to_string().as_bytes()).reading.reports;
        let recipients: Vec<_> = reports.iter().map(|it| it.recipient.as_ref().unwrap().expose()).collect();
        assert_eq!(recipients, ["jane@example.com", "john@example.com"]);
    }

    #[test]
    fn variables_that_mailgun_could_not_load_are_none() {
        let (report, _) = one(&json!({"user-variables": "could not be loaded", "tags": null}));
        assert!(report.hints.tags.is_empty());
        assert_eq!(report.provider_event_id.as_deref(), Some("i1@2026-01-01"));
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        for event in [
            json!({}),
            json!({"event-data": 7}),
            json!({"event-data": {"event": "news", "recipient": "j@example.com"}}),
            json!({"event-data": {"event": "complained"}}),
        ] {
            let decoded = decode("application/json", event.to_string().as_bytes());
            assert_eq!((decoded.reading.reports.len(), decoded.unrecognised, decoded.reading.notes.len()), (0, 1, 1), "{event}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_value_in_any_field_is_read_without_a_panic(field in "event|severity|reason|recipient|timestamp|delivery-status|message|tags|user-variables|mailing-list|reject|id", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
            for value in [json!(text), json!(number), json!([text]), json!({"a": text}), json!({"code": text, "message": number, "headers": {"to": text}}), Value::Null, json!(true)] {
                for kind in ["failed", "rejected", "delivered"] {
                    let mut event = json!({"event": kind, "recipient": "jane@example.com"});
                    event[field.as_str()] = value.clone();
                    let _ = decode("application/json", json!({"event-data": event}).to_string().as_bytes());
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(kind in "application/json|multipart/form-data; boundary=b|application/x-www-form-urlencoded|message/rfc822|\\PC{0,20}", body in "(--b|name=\"(body-mime|body-plain|message-headers|event)\"|body-plain=|event=bounced&|Content-Disposition: form-data;|[\\[\\]{}:,\"a&=%]|\r\n){0,40}") {
            let _ = prove(&Credentials { insecure: true, ..Credentials::default() }, &kind, body.as_bytes(), NOW);
            let _ = prove(&signing(), &kind, body.as_bytes(), NOW);
            let _ = decode(&kind, body.as_bytes());
        }
    }
}

mod proof {
    use super::*;

    const LONGEST: Duration = Duration::seconds(seal::WINDOW as i64);

    fn body() -> Value {
        json!({"signature": seal::sign(SECRET, NOW).unwrap(), "event-data": {"event": "opened"}})
    }

    fn of(body: &Value, now: OffsetDateTime) -> Result<Proof, Refusal> {
        prove(&signing(), "application/json", body.to_string().as_bytes(), now)
    }

    #[test]
    fn what_was_signed_holds_and_its_token_is_to_be_remembered() {
        let proof = of(&body(), NOW).unwrap();
        let once = proof.once.unwrap();
        assert_eq!((proof.attribution, once.until), (Attribution::Signed, NOW + LONGEST));
        assert_eq!(json!([body()["signature"]["token"]]), json!(once.tokens));
        let mut upper = body();
        upper["signature"]["signature"] = json!(upper["signature"]["signature"].as_str().unwrap().to_uppercase());
        assert_eq!(of(&upper, NOW), Err(Refusal::Mismatch(Credential::Signature)));
        let mut number = body();
        number["signature"]["timestamp"] = json!(NOW.unix_timestamp());
        assert!(of(&number, NOW).is_ok());
    }

    #[test]
    fn each_bit_of_each_field_counts() {
        for field in ["timestamp", "token", "signature"] {
            for bit in 0..body()["signature"][field].as_str().unwrap().len() * 7 {
                let mut changed = body();
                let mut text = changed["signature"][field].as_str().unwrap().as_bytes().to_vec();
                text[bit / 7] ^= 1 << (bit % 7);
                changed["signature"][field] = json!(String::from_utf8(text).unwrap());
                assert_eq!(of(&changed, NOW), Err(Refusal::Mismatch(Credential::Signature)), "bit {bit} of {field}");
            }
        }
    }

    #[test]
    fn a_digit_moved_between_time_and_token_is_refused() {
        let whole = body();
        let (time, token) = (whole["signature"]["timestamp"].as_str().unwrap(), whole["signature"]["token"].as_str().unwrap());
        let all = format!("{time}{token}");
        for at in (1..all.len()).filter(|it| *it != time.len()) {
            let mut moved = whole.clone();
            moved["signature"]["timestamp"] = json!(all[..at]);
            moved["signature"]["token"] = json!(all[at..]);
            assert_eq!(of(&moved, NOW), Err(Refusal::Stale(seal::WINDOW)), "{at}");
        }
    }

    #[test]
    fn the_window_is_longer_than_mailgun_tries() {
        assert!(LONGEST > Duration::hours(8) + Duration::minutes(30));
        assert!(of(&body(), NOW + LONGEST).is_ok());
        assert!(of(&body(), NOW - LONGEST).is_ok());
        let past = LONGEST + Duration::seconds(1);
        assert_eq!(of(&body(), NOW + past), Err(Refusal::Stale(seal::WINDOW)));
        assert_eq!(of(&body(), NOW - past), Err(Refusal::Stale(seal::WINDOW)));
    }

    #[test]
    fn of_two_seals_that_hold_neither_is_left_for_another_body() {
        let mut both = body();
        both["parent-signature"] = seal::sign("key of the parent", NOW).unwrap();
        let mut credentials = signing();
        credentials.secrets.push("key of the parent".to_owned());
        let once = prove(&credentials, "application/json", both.to_string().as_bytes(), NOW).unwrap().once.unwrap();
        assert_eq!(json!(once.tokens), json!([both["signature"]["token"], both["parent-signature"]["token"]]));
    }

    #[test]
    fn the_seal_of_the_parent_account_does_as_well() {
        let mut both = body();
        both["parent-signature"] = seal::sign("key of the parent", NOW).unwrap();
        both["signature"]["token"] = json!("other");
        let parent = Credentials { secrets: vec!["key of the parent".to_owned()], ..Credentials::default() };
        let once = prove(&parent, "application/json", both.to_string().as_bytes(), NOW).unwrap().once.unwrap();
        assert_eq!(json!([both["parent-signature"]["token"]]), json!(once.tokens));
        assert_eq!(of(&both, NOW), Err(Refusal::Mismatch(Credential::Signature)));
    }

    #[test]
    fn without_a_seal_or_a_key_nobody_is_let_in() {
        for body in [json!({}), json!({"signature": 7}), json!({"signature": {"timestamp": "1", "token": "t"}})] {
            assert_eq!(of(&body, NOW), Err(Refusal::Missing(Credential::Signature)), "{body}");
        }
        let text = body().to_string();
        let of =
            |credentials: &Credentials| prove(credentials, "application/json", text.as_bytes(), NOW).map(|it| (it.attribution, it.once));
        assert!(matches!(of(&Credentials::default()), Err(Refusal::NotConfigured(_))));
        assert!(matches!(of(&Credentials { secrets: vec![String::new()], ..Credentials::default() }), Err(Refusal::NotConfigured(_))));
        let url = Credentials { url_secret: Some("u".into()), ..Credentials::default() };
        assert_eq!(of(&url), Ok((Attribution::Authenticated, None)));
        let both = Credentials { url_secret: Some("v".into()), ..signing() };
        assert_eq!(of(&both), Err(Refusal::Mismatch(Credential::UrlSecret)));
    }

    #[test]
    fn what_will_never_be_right_stops_and_what_may_become_right_comes_again() {
        for body in [&b""[..], b"not json", b"null", b"[]", b"{\"event\":", b"{\"a\":\"\xff\"}"] {
            let refusal = prove(&signing(), "application/json", body, NOW).unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed { .. }) && Mailgun.refusal_status(&refusal) == 406, "{body:?}");
        }
        let refusal = prove(&signing(), "message/rfc822", b"{}", NOW).unwrap_err();
        assert_eq!((Mailgun.refusal_status(&refusal), Mailgun.refusal_status(&Refusal::Replayed)), (406, 406));
        assert_eq!(Mailgun.refusal_status(&Refusal::Mismatch(Credential::Signature)), 401);
        assert_eq!(Mailgun.refusal_status(&Refusal::NotConfigured("key")), 503);
        assert_eq!(Mailgun.busy_status(), 503);
    }

    #[test]
    fn the_sample_is_believed_and_is_about_nobody() {
        for credentials in [signing(), Credentials { insecure: true, ..Credentials::default() }] {
            let sample = Mailgun.sample(&credentials, NOW).unwrap();
            let post = Unverified { method: sample.method, url: "/hook", headers: &sample.headers, body: &sample.body };
            let reports = Mailgun.decode(&post.verify(&Mailgun, &credentials, NOW).unwrap()).reading.reports;
            assert!(is_test(&Mailgun, reports[0].recipient.as_ref().unwrap()));
            assert_eq!(classify(&reports[0], Rules::builtin()).bounce_type, Some(BounceType::Hard));
        }
        let empty = Credentials { secrets: vec![String::new()], ..Credentials::default() };
        assert!(matches!(Mailgun.sample(&empty, NOW), Err(NoSample::Credentials(Refusal::NotConfigured(_)))));
    }
}

mod forms {
    use super::*;

    fn both_ways(fields: &[(&str, &str)]) -> [(Proof, Decoded); 2] {
        let fields = sealed(fields);
        [(URLENCODED, urlencoded(&fields)), (MULTIPART, multipart(&fields))].map(|(kind, body)| {
            let proof = prove(&signing(), kind, &body, NOW).unwrap();
            (proof, decode(kind, &body))
        })
    }

    #[test]
    fn an_event_of_the_old_form_is_read() {
        for (proof, decoded) in both_ways(&[
            ("event", "bounced"),
            ("recipient", "jane@example.com"),
            ("code", "550"),
            ("error", "5.1.1 no such user"),
            ("Message-Id", "<own@example.net>"),
            ("tag", "t1"),
            ("my-var", "v1"),
            ("message-headers", "[]"),
        ]) {
            assert_eq!((proof.attribution, proof.once.is_some()), (Attribution::Signed, true));
            let report = &decoded.reading.reports[0];
            assert_eq!((report.recipient.as_ref().unwrap().expose(), report.occurred_at), ("jane@example.com", Some(NOW)));
            assert_eq!((report.reply.unwrap().code(), report.diagnostic.as_deref()), (550, Some("5.1.1 no such user")));
            assert_eq!((report.message_id.as_deref(), report.provider_event_id.as_deref().unwrap().len()), (Some("own@example.net"), 50));
            let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(tags, [("my-var", "v1"), ("tag", "t1")]);
            assert_eq!(classify(report, Rules::builtin()).bounce_type, Some(BounceType::Hard));
        }
    }

    #[test]
    fn an_old_bounce_tells_of_its_message_by_the_header_block_alone() {
        let headers =
            r#"[["Message-Id", "<own@example.net>"], ["X-Mailgun-Tag", "t1"], ["X-Mailgun-Variables", "{\"list\": \"weekly\"}"], [7]]"#;
        for (_, decoded) in both_ways(&[("event", "bounced"), ("recipient", "jane@example.com"), ("message-headers", headers)]) {
            let report = &decoded.reading.reports[0];
            assert_eq!(report.message_id.as_deref(), Some("own@example.net"));
            let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(tags, [("list", "weekly"), ("tag", "t1")]);
        }
        let broken = [("event", "bounced"), ("recipient", "jane@example.com"), ("message-headers", "{")];
        assert!(both_ways(&broken).iter().all(|(_, it)| it.reading.reports.len() == 1));
    }

    #[test]
    fn each_type_of_the_old_form_has_its_meaning() {
        for (fields, kind) in [
            (&[("event", "dropped"), ("reason", "hardfail"), ("code", "605")][..], Some(Kind::Suppressed)),
            (&[("event", "dropped"), ("reason", "old"), ("code", "498")], Some(Kind::Bounce)),
            (&[("event", "bounced"), ("code", "5.2.2")], Some(Kind::Bounce)),
            (&[("event", "delivered")], Some(Kind::Delivered)),
            (&[("event", "complained")], Some(Kind::Complaint)),
            (&[("event", "unsubscribed")], Some(Kind::Unsubscribe)),
            (&[("event", "opened")], None),
        ] {
            let fields = [fields, &[("recipient", "jane@example.com")]].concat();
            for (_, decoded) in both_ways(&fields) {
                assert_eq!(decoded.reading.reports.first().map(|it| it.kind), kind, "{fields:?}");
                assert_eq!(decoded.unrecognised, 0, "{fields:?}");
            }
        }
        let (_, decoded) = &both_ways(&[("event", "bounced"), ("code", "5.2.2"), ("recipient", "jane@example.com")])[0];
        assert_eq!(decoded.reading.reports[0].status.unwrap().to_string(), "5.2.2");
    }

    #[test]
    fn a_variable_of_the_name_of_a_field_does_no_harm() {
        for extra in [("token", "mine"), ("signature", "mine"), ("timestamp", "mine")] {
            let mut fields = sealed(&[("event", "opened")]);
            fields.push((extra.0.to_owned(), extra.1.to_owned()));
            assert!(prove(&signing(), URLENCODED, &urlencoded(&fields), NOW).is_ok());
            fields.rotate_right(1);
            assert!(prove(&signing(), URLENCODED, &urlencoded(&fields), NOW).is_ok());
        }
    }

    #[test]
    fn a_broken_form_is_refused() {
        for (kind, body) in [(URLENCODED, &b""[..]), (MULTIPART, b"--b"), ("multipart/form-data", b"")] {
            assert!(matches!(prove(&signing(), kind, body, NOW), Err(Refusal::Malformed { .. })), "{kind}");
        }
        assert_eq!(prove(&signing(), URLENCODED, b"event=bounced", NOW), Err(Refusal::Missing(Credential::Signature)));
    }
}

mod mail {
    use super::*;

    const STATUS: &str =
        "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; jane@x.example\r\nAction: failed\r\nStatus: 5.1.1\r\n";

    fn both_ways(fields: &[(&str, &str)]) -> Vec<(Proof, Decoded)> {
        let fields = sealed(fields);
        let bodies = [(URLENCODED, urlencoded(&fields)), (MULTIPART, multipart(&fields))];
        let read = |(kind, body): (&str, Vec<u8>)| {
            let proof = prove(&signing(), kind, &body, NOW).unwrap();
            let headers = [("content-type".to_owned(), kind.to_owned())];
            let content = Mailgun.content(&Unverified { method: "POST", url: "/", headers: &headers, body: &body }).bytes.into_owned();
            let decoded = decode(kind, &body);
            assert_eq!(decode("message/rfc822", &content), decoded);
            (proof, decoded)
        };
        bodies.into_iter().map(read).collect()
    }

    #[test]
    fn a_raw_message_is_read_and_proves_nothing_of_its_writer() {
        let raw = mime::sample(NOW);
        for (proof, decoded) in both_ways(&[("recipient", "b+token@y.example"), ("sender", ""), ("body-mime", &raw)]) {
            assert_eq!((proof.attribution, proof.once.is_some()), (Attribution::Unattributed, true));
            assert_eq!(decoded.reading.reports[0].kind, Kind::Bounce);
        }
    }

    #[test]
    fn a_message_that_was_taken_apart_is_read() {
        let headers = json!([
            ["From", "MAILER-DAEMON@mx.example"],
            ["Subject", "Undelivered\r\n mail"],
            ["Content-Type", "multipart/report; report-type=delivery-status; boundary=x"],
            ["bad name:", "x"],
            7
        ]);
        let headers = headers.to_string();
        let mut fields = sealed(&[
            ("recipient", "list@y.example"),
            ("sender", ""),
            ("message-headers", &headers),
            ("body-plain", "It could not be delivered."),
        ]);
        let mut body = multipart(&fields);
        let file = format!(
            "--b\r\nContent-Disposition: form-data; name=\"attachment-1\"; filename=\"report\"\r\nContent-Type: message/delivery-status\r\n\r\n{STATUS}\r\n"
        );
        body.splice(0..0, file.into_bytes());
        let decoded = decode(MULTIPART, &body);
        let report = &decoded.reading.reports[0];
        assert_eq!((report.kind, report.recipient.as_ref().unwrap().expose()), (Kind::Bounce, "jane@x.example"));
        fields.retain(|(name, _)| name != "message-headers");
        fields.extend([("From".to_owned(), "MAILER-DAEMON@mx.example".to_owned()), ("Subject".to_owned(), "failure notice".to_owned())]);
        fields
            .iter_mut()
            .filter(|(name, _)| name == "body-plain")
            .for_each(|it| it.1 = "<jane@x.example>:\r\n550 5.1.1 no such user\r\n".to_owned());
        assert_eq!(decode(URLENCODED, &urlencoded(&fields)).reading.reports[0].recipient.as_ref().unwrap().expose(), "jane@x.example");
    }

    #[test]
    fn a_mail_with_the_fields_of_an_event_stays_a_mail() {
        for body in ["body-plain", "body-mime"] {
            let fields = [
                ("event", "bounced"),
                ("recipient", "victim@example.com"),
                ("code", "550"),
                ("error", "5.1.1 no such user"),
                (body, "Hello"),
            ];
            for (proof, decoded) in both_ways(&fields) {
                assert_eq!((proof.attribution, decoded.reading.reports.len()), (Attribution::Unattributed, 0), "{body}");
            }
        }
    }
}
