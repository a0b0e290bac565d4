use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, Verdict, classify};
use crate::esp::is_test;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
const URL: &str = "https://user:pass@hooks.example/webhooks/mandrill?x=1";
const KEY: &str = "key of ours";

fn signing() -> Credentials {
    Credentials { secrets: vec!["older".to_owned(), KEY.to_owned()], url: Some(URL.to_owned()), ..Credentials::default() }
}

fn body(events: &Value) -> Vec<u8> {
    format!("mandrill_events={}", form::encoded(events.to_string().as_bytes())).into_bytes()
}

fn decode(events: &Value) -> Decoded {
    let body = body(events);
    let post = Unverified { method: "POST", url: "/", headers: &[], body: &body };
    let decoded = Mandrill.decode(&Verified::restored(post, Attribution::Signed, NOW));
    let content = Mandrill.content(&post);
    let headers = [("content-type".to_owned(), content.media_type.into_owned())];
    let stored = Unverified { method: "POST", url: "", headers: &headers, body: &content.bytes };
    assert_eq!(Mandrill.decode(&Verified::restored(stored, Attribution::Signed, NOW)), decoded);
    decoded
}

/// What an event says, and what is made of it.
fn one(event: &str, message: &Value) -> (Report, Verdict) {
    let mut whole = json!({"email": "Jane@Example.com", "_id": "m1", "ts": 1_767_225_000});
    message.as_object().unwrap().iter().for_each(|(name, value)| whole[name] = value.clone());
    let decoded = decode(&json!([{"event": event, "ts": 1_767_225_600, "_id": "m1", "msg": whole}]));
    let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
    (report.clone(), classify(report, Rules::builtin()))
}

mod events {
    use super::*;

    #[test]
    fn every_field_is_read() {
        let (report, verdict) = one(
            "hard_bounce",
            &json!({"diag": "smtp;550 5.1.1 no such user", "bounce_description": "bad_mailbox", "tags": ["t1", "t2"],
            "metadata": {"k": "v"}, "subaccount": "s1", "template": null, "smtp_events": null}),
        );
        assert_eq!((report.recipient.unwrap().expose(), report.occurred_at), ("jane@example.com", Some(NOW)));
        assert_eq!((report.provider_message_id.as_deref(), report.diagnostic.as_deref()), (Some("m1"), Some("550 5.1.1 no such user")));
        let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(tags, [("k", "v"), ("subaccount", "s1"), ("tag", "t1")]);
        assert_eq!(
            (verdict.bounce_type, verdict.reason, verdict.reply.unwrap().code()),
            (Some(BounceType::Hard), Some(Reason::UserUnknown), 550)
        );
    }

    #[test]
    fn each_type_has_its_meaning() {
        for (event, kind) in [
            ("hard_bounce", Kind::Bounce),
            ("soft_bounce", Kind::Bounce),
            ("deferral", Kind::Delayed),
            ("delivered", Kind::Delivered),
            ("spam", Kind::Complaint),
            ("unsub", Kind::Unsubscribe),
            ("reject", Kind::Suppressed),
        ] {
            assert_eq!(one(event, &json!({"metadata": []})).0.kind, kind, "{event}");
        }
        for event in [
            json!({"event": "send"}),
            json!({"event": "open"}),
            json!({"event": "click"}),
            json!({"event": "inbound"}),
            json!({"type": "denylist", "action": "add"}),
        ] {
            let decoded = decode(&json!([event]));
            assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{event}");
        }
    }

    #[test]
    fn hard_is_hard_unless_the_receiver_says_otherwise_and_soft_is_never_hard() {
        use BounceType::{Hard, Soft};
        for (event, description, code, diagnostic, expected) in [
            ("hard_bounce", "general", 30, "", Hard),
            ("hard_bounce", "bad_mailbox", 10, "smtp;550 what", Hard),
            ("hard_bounce", "invalid_domain", 0, "", Hard),
            ("hard_bounce", "general", 0, "smtp;552 5.2.2 full", Soft),
            ("hard_bounce", "general", 52, "smtp;550 what", Soft),
            ("soft_bounce", "mailbox_full", 22, "smtp;552 5.2.2 full", Soft),
            ("soft_bounce", "general", 40, "smtp;550 5.1.1 no such user", Soft),
        ] {
            let message = json!({"bounce_description": description, "bgtools_code": code, "diag": diagnostic});
            assert_eq!(one(event, &message).1.bounce_type, Some(expected), "{event} {message}");
        }
    }

    #[test]
    fn an_automatic_answer_is_no_bounce() {
        assert_eq!(one("soft_bounce", &json!({"bgtools_code": 60})).0.kind, Kind::AutoReply);
        assert_eq!(one("soft_bounce", &json!({"bgtools_code": "100"})).0.kind, Kind::ChallengeResponse);
    }

    #[test]
    fn what_was_not_tried_names_its_list_or_the_fault_of_the_message() {
        for (message, kind, feedback) in [
            (json!({"reject": {"reason": "hard-bounce"}}), Kind::Suppressed, None),
            (json!({"reject": "soft_bounce"}), Kind::Suppressed, None),
            (json!({"reject_reason": "custom"}), Kind::Suppressed, None),
            (json!({"reject": {"reason": "spam"}}), Kind::Suppressed, Some(FeedbackType::Abuse)),
            (json!({"reject": {"reason": "unsub"}}), Kind::Suppressed, Some(FeedbackType::OptOut)),
            (json!({"reject": {"reason": "unsigned"}}), Kind::Rejected, None),
            (json!({"reject": {"reason": "invalid-sender"}}), Kind::Rejected, None),
            (json!({"reject": {"reason": "rule"}}), Kind::Rejected, None),
        ] {
            let (report, _) = one("reject", &message);
            assert_eq!((report.kind, report.feedback_type), (kind, feedback), "{message}");
        }
    }

    #[test]
    fn a_deferral_tells_of_its_last_attempt() {
        let (report, _) = one(
            "deferral",
            &json!({"smtp_events": [{"diag": "421 4.7.0 first"}, {"diag": "451 4.3.5 last", "destination_ip": "192.0.2.1"}, {"diag": null}]}),
        );
        assert_eq!((report.diagnostic.as_deref(), report.remote_mta.as_deref()), (Some("451 4.3.5 last"), Some("192.0.2.1")));
    }

    #[test]
    fn a_bad_event_costs_itself_only() {
        let decoded = decode(
            &json!([{"event": "spam"}, {"event": "news", "msg": {"email": "j@example.com"}}, {}, 7, {"type": "other"}, {"event": "unsub", "msg": {"email": "j@example.com"}}]),
        );
        assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 5, 0));
        assert_eq!(decode(&json!([])).unrecognised, 0);
    }

    proptest::proptest! {
        #[test]
        fn any_value_in_any_field_is_read_without_a_panic(field in "email|_id|ts|diag|bounce_description|bgtools_code|smtp_events|metadata|tags|reject|state", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
            for value in [json!(text), json!(number), json!([text]), json!({"a": text}), Value::Null, json!(true)] {
                for event in ["hard_bounce", "soft_bounce", "reject", "deferral"] {
                    let mut message = json!({"email": "jane@example.com"});
                    message[field.as_str()] = value.clone();
                    let _ = decode(&json!([{"event": event, "msg": message}, {"event": value, "msg": value, "ts": value}]));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(kind in "application/json|multipart/form-data; boundary=b|application/x-www-form-urlencoded|\\PC{0,20}", body in "(--b|name=\"mandrill_events\"|mandrill_events=|Content-Disposition: form-data;|[\\[\\]{}:,\"a&=%]|\r\n){0,40}") {
            let headers = [("content-type".to_owned(), kind)];
            let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
            let _ = Mandrill.prove(&post, &Credentials { insecure: true, ..Credentials::default() }, NOW);
            let _ = Mandrill.content(&post);
            let _ = Mandrill.decode(&Verified::restored(post, Attribution::Signed, NOW));
        }
    }
}

mod proof {
    use super::*;

    fn prove(credentials: &Credentials, signatures: &[&str], body: &[u8]) -> Result<Attribution, Refusal> {
        let headers: Vec<_> = signatures.iter().map(|it| ("x-mandrill-signature".to_owned(), (*it).to_owned())).collect();
        Mandrill
            .prove(&Unverified { method: "POST", url: "https://elsewhere.example/", headers: &headers, body }, credentials, NOW)
            .map(|it| it.attribution)
    }

    fn signature(key: &str, url: &str, signed: &str) -> String {
        BASE64.encode(mac::sign(Hash::Sha1, key.as_bytes(), &[url.as_bytes(), signed.as_bytes()]))
    }

    const OPEN: &str = "[{\"event\":\"open\"}]";
    const MISMATCH: Result<Attribution, Refusal> = Err(Refusal::Mismatch(Credential::Signature));

    #[test]
    fn what_was_signed_holds_and_each_bit_of_it_counts() {
        let body = body(&json!([{"event": "open"}]));
        let good = signature(KEY, URL, &format!("mandrill_events{OPEN}"));
        assert_eq!(prove(&signing(), &[&good], &body), Ok(Attribution::Signed));
        for bit in 0..OPEN.len() * 8 {
            let mut changed = OPEN.as_bytes().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = format!("mandrill_events={}", form::encoded(&changed));
            assert!(prove(&signing(), &[&good], changed.as_bytes()).is_err(), "bit {bit} of the events");
        }
        let bytes = BASE64.decode(&good).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(prove(&signing(), &[&BASE64.encode(changed)], &body), MISMATCH, "bit {bit} of the signature");
        }
        for bit in 0..URL.len() * 7 {
            let mut changed = URL.as_bytes().to_vec();
            changed[bit / 7] ^= 1 << (bit % 7);
            let credentials = Credentials { url: Some(String::from_utf8(changed).unwrap()), ..signing() };
            assert_eq!(prove(&credentials, &[&good], &body), MISMATCH, "bit {bit} of the address");
        }
    }

    #[test]
    fn all_fields_are_signed_in_the_order_of_their_names() {
        let good = signature(KEY, URL, &format!("a1mandrill_events{OPEN}zé"));
        let events = form::encoded(OPEN.as_bytes());
        assert_eq!(prove(&signing(), &[&good], format!("z=%C3%A9&mandrill_events={events}&a=1").as_bytes()), Ok(Attribution::Signed));
        assert_eq!(prove(&signing(), &[&good], format!("mandrill_events={events}&a=1").as_bytes()), MISMATCH);
    }

    #[test]
    fn a_form_in_parts_is_taken_as_well() {
        let body = format!("--b\r\nContent-Disposition: form-data; name=\"mandrill_events\"\r\n\r\n{OPEN}\r\n--b--\r\n");
        let good = signature(KEY, URL, &format!("mandrill_events{OPEN}"));
        let headers =
            [("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned()), ("x-mandrill-signature".to_owned(), good)];
        let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
        let verified = post.verify(&Mandrill, &signing(), NOW).unwrap();
        assert_eq!((verified.attribution(), Mandrill.decode(&verified).unrecognised), (Attribution::Signed, 0));
    }

    #[test]
    fn the_key_that_everybody_knows_is_good_for_nothing_but_an_empty_array() {
        for (events, accepted) in [("[]", true), ("[ ]\n", true), (OPEN, false), ("[[]]", false), ("[] []", false)] {
            let body = format!("mandrill_events={}", form::encoded(events.as_bytes()));
            let of = |credentials: &Credentials| {
                prove(credentials, &[&signature(TEST_KEY, URL, &format!("mandrill_events{events}"))], body.as_bytes())
            };
            let only = Credentials { secrets: vec![TEST_KEY.to_owned()], ..signing() };
            let beside = Credentials { secrets: vec![TEST_KEY.to_owned(), KEY.to_owned()], ..signing() };
            if accepted {
                assert_eq!([of(&signing()), of(&only), of(&beside)], [const { Ok(Attribution::Unattributed) }; 3], "{events}");
            } else {
                assert_eq!([of(&signing()), of(&beside)], [MISMATCH, MISMATCH], "{events}");
                assert_eq!(of(&only), Err(NO_REAL_KEY), "{events}");
            }
        }
        assert_eq!(Mandrill.refusal_status(&NO_REAL_KEY), 503);
    }

    #[test]
    fn a_header_that_is_missing_twice_or_no_signature_is_refused() {
        let body = body(&json!([{"event": "open"}]));
        let good = signature(KEY, URL, &format!("mandrill_events{OPEN}"));
        assert_eq!(prove(&signing(), &[], &body), Err(Refusal::Missing(Credential::Signature)));
        assert_eq!(prove(&signing(), &[&good, &good], &body), Err(Refusal::Repeated(Credential::Signature)));
        assert_eq!([prove(&signing(), &[""], &body), prove(&signing(), &["***"], &body)], [MISMATCH, MISMATCH]);
        let sha256 = BASE64.encode(mac::sign(Hash::Sha256, KEY.as_bytes(), &[format!("{URL}mandrill_events{OPEN}").as_bytes()]));
        assert_eq!(prove(&signing(), &[&sha256], &body), MISMATCH);
    }

    #[test]
    fn without_an_address_or_a_key_nobody_is_let_in() {
        let body = body(&json!([{"event": "open"}]));
        let good = signature("", URL, &format!("mandrill_events{OPEN}"));
        for credentials in [
            Credentials { url: None, ..signing() },
            Credentials { url: Some(String::new()), ..signing() },
            Credentials { secrets: vec![String::new()], ..signing() },
            Credentials { secrets: Vec::new(), ..signing() },
        ] {
            assert!(matches!(prove(&credentials, &[&good], &body), Err(Refusal::NotConfigured(_))), "{:?}", credentials.url);
        }
        let bearer = Credentials { bearer: vec!["t".into()], ..signing() };
        assert_eq!(prove(&bearer, &[&good], &body), Err(Refusal::Missing(Credential::Bearer)));
        let open = Credentials { insecure: true, ..Credentials::default() };
        assert_eq!(prove(&open, &[], &body), Ok(Attribution::Unattributed));
    }

    #[test]
    fn what_is_no_such_form_is_refused() {
        let open = Credentials { insecure: true, ..Credentials::default() };
        for body in [
            "",
            "not a form",
            "other=1",
            "mandrill_events=",
            "mandrill_events=%7B%7D",
            "mandrill_events=[1",
            "mandrill_events=[]&mandrill_events=[]",
            "mandrill_events=[%ff]",
        ] {
            assert!(matches!(prove(&open, &[], body.as_bytes()), Err(Refusal::Malformed { .. })), "{body}");
        }
        let headers = [("content-type".to_owned(), "application/json".to_owned())];
        let post = Unverified { method: "POST", url: "/", headers: &headers, body: b"[]" };
        assert!(matches!(Mandrill.prove(&post, &open, NOW), Err(Refusal::MediaType(_))));
    }

    #[test]
    fn a_probe_is_answered_and_nothing_else_is_one() {
        let of = |method: &str| Unverified { method, url: "/", headers: &[], body: b"" }.handshake(&Mandrill, &signing());
        assert_eq!([of("HEAD"), of("POST")], [Ok(Some(Answer::ok())), Ok(None)]);
    }

    #[test]
    fn the_sample_is_believed_and_is_about_nobody() {
        for credentials in [signing(), Credentials { insecure: true, ..Credentials::default() }] {
            let sample = Mandrill.sample(&credentials, NOW).unwrap();
            let post = Unverified { method: sample.method, url: "/hook", headers: &sample.headers, body: &sample.body };
            let reports = Mandrill.decode(&post.verify(&Mandrill, &credentials, NOW).unwrap()).reading.reports;
            assert!(is_test(&Mandrill, reports[0].recipient.as_ref().unwrap()));
            assert_eq!(classify(&reports[0], Rules::builtin()).bounce_type, Some(BounceType::Hard));
        }
        for credentials in [Credentials { url: None, ..signing() }, Credentials { secrets: vec![TEST_KEY.to_owned()], ..signing() }] {
            assert!(matches!(Mandrill.sample(&credentials, NOW), Err(NoSample::Credentials(Refusal::NotConfigured(_)))));
        }
    }
}
