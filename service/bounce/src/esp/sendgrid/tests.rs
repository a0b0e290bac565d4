use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::classify::{Rules, Verdict, classify};
use crate::esp::is_test;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

fn read(events: &Value) -> Decoded {
    let body = events.to_string();
    let post = Unverified { method: "POST", url: "/", headers: &[], body: body.as_bytes() };
    SendGrid.decode(&Verified::restored(post, Attribution::Signed, NOW))
}

/// What one event says, and what is made of it.
fn one(fields: &Value) -> (Report, Verdict) {
    let mut event = json!({"email": "Jane@Example.com", "timestamp": 1_767_225_600, "sg_event_id": "e1"});
    fields.as_object().unwrap().iter().for_each(|(name, value)| event[name] = value.clone());
    let decoded = read(&json!([event]));
    let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
    (report.clone(), classify(report, Rules::builtin()))
}

mod events {
    use super::*;

    #[test]
    fn every_field_is_read() {
        let (report, verdict) = one(&json!({"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 no such user",
            "smtp-id": "<own@example.net>", "sg_message_id": "m1.filter1", "category": ["c1", "c2"], "list": "acme.weekly", "n": 7, "nested": {"a": 1}}));
        assert_eq!(report.recipient.unwrap().expose(), "jane@example.com");
        assert_eq!((report.occurred_at, report.provider_event_id.as_deref()), (Some(NOW), Some("e1")));
        assert_eq!((report.message_id.as_deref(), report.provider_message_id.as_deref()), (Some("own@example.net"), Some("m1.filter1")));
        assert_eq!(report.diagnostic.as_deref(), Some("550 5.1.1 no such user"));
        assert_eq!((report.status.unwrap().to_string().as_str(), report.reply.unwrap().code()), ("5.1.1", 550));
        let tags: Vec<_> = report.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(tags, [("list", "acme.weekly"), ("n", "7"), ("tag", "c1")]);
        assert_eq!((verdict.bounce_type, verdict.reason), (Some(BounceType::Hard), Some(Reason::UserUnknown)));
    }

    #[test]
    fn each_type_has_its_meaning() {
        for (event, kind) in [
            ("deferred", Kind::Delayed),
            ("delivered", Kind::Delivered),
            ("spamreport", Kind::Complaint),
            ("unsubscribe", Kind::Unsubscribe),
            ("group_unsubscribe", Kind::Unsubscribe),
            ("bounce", Kind::Bounce),
            ("blocked", Kind::Bounce),
            ("Bounce", Kind::Bounce),
        ] {
            assert_eq!(one(&json!({"event": event})).0.kind, kind, "{event}");
        }
        for event in ["group_resubscribe", "processed", "open", "click", "account_status_change"] {
            let decoded = read(&json!([{"event": event, "email": "jane@example.com"}]));
            assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{event}");
        }
    }

    #[test]
    fn a_bounce_is_hard_unless_the_receiver_or_the_classification_says_otherwise() {
        for (status, reason, classification, expected) in [
            ("5.0.0", "500 what", "", BounceType::Hard),
            ("", "550 5.5.0 what", "Invalid Address", BounceType::Hard),
            ("", "", "", BounceType::Hard),
            ("5.2.2", "552 5.2.2 what", "", BounceType::Soft),
            ("", "550 mailbox full", "", BounceType::Soft),
            ("", "554 what", "Invalid Address", BounceType::Soft),
            ("5.0.0", "500 what", "Reputation", BounceType::Soft),
            ("5.0.0", "500 what", "technical failure", BounceType::Soft),
            ("5.0.0", "500 what", "Mailbox Unavailable", BounceType::Soft),
            ("5.2.1", "550 5.2.1 account disabled", "Mailbox Unavailable", BounceType::Hard),
            ("4.0.0", "450 what", "", BounceType::Soft),
            ("5.7.1", "550 5.7.1 listed", "Invalid Address", BounceType::Soft),
        ] {
            let event =
                json!({"event": "bounce", "type": "bounce", "status": status, "reason": reason, "bounce_classification": classification});
            assert_eq!(one(&event).1.bounce_type, Some(expected), "{event}");
        }
    }

    #[test]
    fn a_block_is_never_hard() {
        for reason in ["550 5.1.1 no such user", "550 5.7.1 listed", ""] {
            let (_, verdict) = one(&json!({"event": "bounce", "type": "blocked", "reason": reason, "bounce_classification": "Reputation"}));
            assert_eq!((verdict.kind, verdict.bounce_type), (Kind::Bounce, Some(BounceType::Soft)), "{reason}");
        }
    }

    #[test]
    fn what_was_dropped_names_its_list_or_the_fault_of_the_message() {
        for (reason, kind, feedback) in [
            ("Bounced Address", Kind::Suppressed, None),
            ("Unsubscribed Address", Kind::Suppressed, Some(FeedbackType::OptOut)),
            ("Spam Reporting Address", Kind::Suppressed, Some(FeedbackType::Abuse)),
            ("Invalid", Kind::Suppressed, None),
            ("Invalid SMTPAPI header", Kind::Rejected, None),
            ("Spam Content (if Spam Checker app is enabled)", Kind::Rejected, None),
            ("Recipient List over Package Quota", Kind::Rejected, None),
            ("", Kind::Rejected, None),
        ] {
            let (report, verdict) = one(&json!({"event": "dropped", "reason": reason}));
            assert_eq!((report.kind, report.feedback_type), (kind, feedback), "{reason}");
            assert_eq!(kind == Kind::Suppressed, verdict.reason == Some(Reason::Suppressed), "{reason}");
        }
    }

    #[test]
    fn the_senders_own_id_of_a_message_comes_before_the_providers() {
        let (report, _) = one(&json!({"event": "delivered", "sg_message_id": "m1", "anymail_id": "a1"}));
        assert_eq!(report.provider_message_id.as_deref(), Some("a1"));
    }

    #[test]
    fn custom_arguments_in_the_place_of_a_field_cost_that_field_only() {
        let (report, _) = one(&json!({"event": "delivered", "status": "shipped", "smtp-id": 7, "category": {"a": "b"}, "response": ["x"]}));
        assert_eq!((report.kind, report.status, report.diagnostic), (Kind::Delivered, None, None));
    }

    #[test]
    fn a_bad_event_costs_itself_only_and_is_read_again_alone() {
        let decoded = read(&json!([{"event": "bounce"}, {"event": "news", "email": "j@example.com"}, {}, 7, [{"Key": "event"}],
            {"event": "bounce", "email": "j@example.com, k@example.com"}, {"event": "deferred", "email": "j@example.com"}]));
        assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len(), decoded.unrecognised), (1, 6, 0));
        for aside in decoded.set_aside {
            let post = Unverified { method: "POST", url: "/", headers: &[], body: &aside.bytes };
            assert_eq!(SendGrid.decode(&Verified::restored(post, Attribution::Signed, NOW)).unrecognised, 1);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_value_in_any_field_is_read_without_a_panic(field in "event|email|timestamp|status|reason|response|type|bounce_classification|sg_event_id|smtp-id|category|other", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
            for value in [json!(text), json!(number), json!([text]), json!({"a": text}), Value::Null, json!(true)] {
                let mut event = json!({"event": "bounce", "email": "jane@example.com"});
                event[field.as_str()] = value;
                let _ = read(&json!([event]));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(kind in "application/json|multipart/form-data; boundary=b|message/rfc822|\\PC{0,20}", body in "(--b|name=\"(email|text|headers|envelope)\"|Content-Disposition: form-data;|[\\[\\]{}:,\"a]|\r\n){0,40}") {
            let headers = [("content-type".to_owned(), kind)];
            let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
            let _ = SendGrid.prove(&post, &Credentials { insecure: true, ..Credentials::default() }, NOW);
            let _ = SendGrid.content(&post);
            let _ = SendGrid.decode(&Verified::restored(post, Attribution::Signed, NOW));
        }
    }
}

mod proof {
    use super::*;

    struct Signer {
        key: EcdsaKeyPair,
        credentials: Credentials,
    }

    impl Signer {
        fn new() -> Self {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pair.serialize_der()).unwrap();
            Self { key, credentials: Credentials { public_keys: vec![pair.public_key_pem()], ..Credentials::default() } }
        }

        fn headers(&self, time: &str, body: &[u8]) -> Vec<(String, String)> {
            let signature = self.key.sign(&SystemRandom::new(), &[time.as_bytes(), body].concat()).unwrap();
            vec![(SIGNATURE.to_owned(), BASE64.encode(signature.as_ref())), (TIMESTAMP.to_owned(), time.to_owned())]
        }
    }

    fn prove(credentials: &Credentials, headers: &[(String, String)], body: &[u8]) -> Result<Attribution, Refusal> {
        let post = Unverified { method: "POST", url: "/hook/u", headers, body };
        SendGrid.prove(&post, credentials, NOW).map(|it| it.attribution)
    }

    const BODY: &[u8] = b"[{\"email\":\"jane@example.com\",\"event\":\"open\"},\r\n{\"event\":\"click\"}]\r\n";

    #[test]
    fn what_was_signed_holds_and_each_bit_of_it_counts() {
        let signer = Signer::new();
        let headers = signer.headers("1767225600", BODY);
        assert_eq!(prove(&signer.credentials, &headers, BODY), Ok(Attribution::Signed));
        let mismatch = Err(Refusal::Mismatch(Credential::Signature));
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(prove(&signer.credentials, &headers, &body), mismatch, "bit {bit} of the body");
        }
        for bit in 0..headers[1].1.len() * 7 {
            let mut changed = headers.clone();
            let mut time = changed[1].1.clone().into_bytes();
            time[bit / 7] ^= 1 << (bit % 7);
            changed[1].1 = String::from_utf8(time).unwrap();
            assert_eq!(prove(&signer.credentials, &changed, BODY), mismatch, "bit {bit} of the time");
        }
        let signature = BASE64.decode(&headers[0].1).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut changed = headers.clone();
            let mut bytes = signature.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            changed[0].1 = BASE64.encode(bytes);
            assert_eq!(prove(&signer.credentials, &changed, BODY), mismatch, "bit {bit} of the signature");
        }
    }

    #[test]
    fn a_header_that_is_missing_twice_or_no_signature_is_refused() {
        let signer = Signer::new();
        let headers = signer.headers("1767225600", BODY);
        for at in 0..2 {
            let other = vec![headers[1 - at].clone()];
            assert_eq!(prove(&signer.credentials, &other, BODY), Err(Refusal::Missing(Credential::Signature)));
            let twice = [headers.clone(), vec![headers[at].clone()]].concat();
            assert_eq!(prove(&signer.credentials, &twice, BODY), Err(Refusal::Repeated(Credential::Signature)));
        }
        for wrong in ["", "***", "AAAA"] {
            let headers = [(SIGNATURE.to_owned(), wrong.to_owned()), headers[1].clone()];
            assert_eq!(prove(&signer.credentials, &headers, BODY), Err(Refusal::Mismatch(Credential::Signature)), "{wrong}");
        }
        let moved = signer.headers("176722560", &[b"0", BODY].concat());
        assert_eq!(prove(&signer.credentials, &moved, BODY), Err(Refusal::Mismatch(Credential::Signature)));
    }

    #[test]
    fn a_key_and_a_password_must_both_hold() {
        let signer = Signer::new();
        let both = Credentials { bearer: vec!["t".into()], ..signer.credentials.clone() };
        let mut headers = signer.headers("1", BODY);
        assert_eq!(prove(&both, &headers, BODY), Err(Refusal::Missing(Credential::Bearer)));
        headers.push(("authorization".to_owned(), "Bearer t".to_owned()));
        assert_eq!(prove(&both, &headers, BODY), Ok(Attribution::Signed));
        assert_eq!(prove(&both, &headers[2..], BODY), Err(Refusal::Missing(Credential::Signature)));
        let bearer = Credentials { bearer: vec!["t".into()], ..Credentials::default() };
        assert_eq!(prove(&bearer, &headers[2..], BODY), Ok(Attribution::Authenticated));
        assert!(matches!(prove(&Credentials::default(), &headers, BODY), Err(Refusal::NotConfigured(_))));
        let empty = Credentials { public_keys: vec![String::new()], ..Credentials::default() };
        assert!(matches!(prove(&empty, &signer.headers("1", BODY), BODY), Err(Refusal::NotConfigured(_))));
    }

    #[test]
    fn what_is_no_array_is_refused_after_the_credentials() {
        let open = Credentials { insecure: true, ..Credentials::default() };
        for body in [&b""[..], b"not json", b"{\"email\":\"x\"}", b"null", b"[{", b"\"\xff\""] {
            assert!(matches!(prove(&open, &[], body), Err(Refusal::Malformed { .. })), "{body:?}");
            assert_eq!(prove(&Signer::new().credentials, &[], body), Err(Refusal::Missing(Credential::Signature)));
        }
        assert_eq!(prove(&open, &[], b"\xef\xbb\xbf []"), Ok(Attribution::Unattributed));
        let mail = [("content-type".to_owned(), "message/rfc822".to_owned())];
        assert!(matches!(prove(&open, &mail, b"[]"), Err(Refusal::MediaType(_))));
    }

    #[test]
    fn mail_needs_no_signature_where_something_else_proves_it_but_a_wrong_one_is_refused() {
        let signer = Signer::new();
        let sample = inbound::sample(NOW);
        let mut headers = sample.headers.clone();
        assert_eq!(prove(&signer.credentials, &headers, &sample.body), Err(Refusal::Missing(Credential::Signature)));
        let both = Credentials { url_secret: Some("u".into()), ..signer.credentials.clone() };
        assert_eq!(prove(&both, &headers, &sample.body), Ok(Attribution::Unattributed));
        headers.extend(signer.headers("1", &sample.body));
        assert_eq!(prove(&signer.credentials, &headers, &sample.body), Ok(Attribution::Unattributed));
        assert_eq!(prove(&both, &headers, &sample.body), Ok(Attribution::Unattributed));
        headers[1].1 = signer.headers("1", b"other")[0].1.clone();
        assert_eq!(prove(&both, &headers, &sample.body), Err(Refusal::Mismatch(Credential::Signature)));
        let elsewhere = Credentials { url_secret: Some("v".into()), ..signer.credentials };
        assert_eq!(prove(&elsewhere, &sample.headers, &sample.body), Err(Refusal::Mismatch(Credential::UrlSecret)));
    }

    #[test]
    fn the_sample_is_believed_and_is_about_nobody() {
        let signer = Signer::new();
        assert_eq!(SendGrid.sample(&signer.credentials, NOW), Err(NoSample::OnlyProviderSigns));
        let both = Credentials { url_secret: Some("u".into()), ..signer.credentials };
        for (credentials, attribution) in [
            (both, Attribution::Unattributed),
            (Credentials { url_secret: Some("u".into()), ..Credentials::default() }, Attribution::Authenticated),
        ] {
            let sample = SendGrid.sample(&credentials, NOW).unwrap();
            let post = Unverified { method: sample.method, url: "/hook/u", headers: &sample.headers, body: &sample.body };
            let verified = post.verify(&SendGrid, &credentials, NOW).unwrap();
            assert_eq!(verified.attribution(), attribution);
            let reports = SendGrid.decode(&verified).reading.reports;
            assert!(is_test(&SendGrid, reports[0].recipient.as_ref().unwrap()));
            assert_eq!(classify(&reports[0], Rules::builtin()).bounce_type, Some(BounceType::Hard));
        }
    }
}

mod inbound_parse {
    use super::*;

    const HEAD: &str = "From: MAILER-DAEMON@mx.example\nTo: list@y.example\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"x\"\n";
    const STATUS: &str = "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; jane@x.example\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 full\r\n";

    fn form(parts: &[(&str, &str)]) -> String {
        let parts = parts.iter().map(|(head, body)| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n"));
        parts.collect::<String>() + "--b--\r\n"
    }

    fn read(body: &str) -> (Decoded, Content<'static>) {
        let headers = [("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned())];
        let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
        let open = Credentials { insecure: true, ..Credentials::default() };
        let verified = post.verify(&SendGrid, &open, NOW).unwrap();
        let content = SendGrid.content(&post);
        let content = Content { media_type: content.media_type.into_owned().into(), bytes: content.bytes.into_owned().into() };
        (SendGrid.decode(&verified), content)
    }

    #[test]
    fn a_bounce_that_was_taken_apart_is_read_and_its_receipt_as_well() {
        let body = form(&[
            ("name=\"headers\"", HEAD),
            ("name=\"text\"", "I could not deliver your message."),
            ("name=\"html\"", "<p>I could not deliver your message to <i>other@x.example</i>.</p>"),
            ("name=\"envelope\"", "{\"to\":[\"b+token@y.example\"],\"from\":\"\"}"),
            ("name=\"charsets\"", "{\"text\":\"iso-8859-1\"}"),
            ("name=\"attachments\"", "2"),
            (
                "name=\"attachment-info\"",
                "{\"attachment1\":{\"type\":\"message/delivery-status\"},\"attachment2\":{\"type\":\"message/rfc822\"}}",
            ),
            ("name=\"attachment1\"; filename=\"details.txt\"", STATUS),
            (
                "name=\"attachment2\"; filename=\"message\"",
                "Message-ID: <own@y.example>\r\nTo: jane@x.example\r\nSubject: News\r\n\r\nHello\r\n",
            ),
        ]);
        let (decoded, content) = read(&body);
        let [report] = decoded.reading.reports.as_slice() else { panic!("{decoded:?}") };
        assert_eq!((report.kind, report.recipient.as_ref().unwrap().expose()), (Kind::Bounce, "jane@x.example"));
        assert_eq!((report.status.unwrap().to_string().as_str(), report.message_id.as_deref()), ("5.2.2", Some("own@y.example")));
        assert!(content.bytes.starts_with(b"Return-Path: <>\r\nDelivered-To: <b+token@y.example>\r\nFrom:"));
        let headers = [("content-type".to_owned(), content.media_type.into_owned())];
        let post = Unverified { method: "POST", url: "", headers: &headers, body: &content.bytes };
        let again = SendGrid.decode(&Verified::restored(post, Attribution::Unattributed, NOW));
        assert_eq!(again, decoded);
    }

    #[test]
    fn a_raw_message_is_taken_as_it_is() {
        let raw = mime::sample(NOW);
        let (decoded, content) = read(&form(&[("name=\"to\"", "x"), ("name=\"email\"", &raw)]));
        assert_eq!((decoded.reading.reports.len(), &*content.bytes), (1, raw.as_bytes()));
        let (_, content) =
            read(&form(&[("name=\"email\"", &raw), ("name=\"envelope\"", "{\"from\":\"a@b.example\",\"to\":[\"c@d.example\"]}")]));
        assert!(content.bytes.starts_with(b"Return-Path: <a@b.example>\r\nDelivered-To: <c@d.example>\r\nFrom:"));
    }

    #[test]
    fn without_a_header_block_the_fields_do() {
        let text = "<jane@x.example>:\r\n550 5.1.1 no such user\r\n";
        let fields = [
            ("name=\"from\"", "Mail System\r\n <MAILER-DAEMON@mx.example>"),
            ("name=\"subject\"", "failure notice"),
            ("name=\"text\"", text),
        ];
        let (decoded, content) = read(&form(&fields));
        assert_eq!(decoded.reading.reports[0].recipient.as_ref().unwrap().expose(), "jane@x.example");
        assert!(content.bytes.starts_with(b"from: Mail System   <MAILER-DAEMON@mx.example>\r\nsubject: failure notice\r\n"));
    }

    #[test]
    fn a_letter_of_a_person_is_unrecognised_and_no_form_is_refused() {
        let (decoded, _) = read(&form(&[("name=\"from\"", "jane@example.com"), ("name=\"text\"", "Hello"), ("name=\"envelope\"", "[7")]));
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 1));
        let headers = [("content-type".to_owned(), "multipart/form-data; boundary=b".to_owned())];
        let open = Credentials { insecure: true, ..Credentials::default() };
        for body in [String::new(), form(&[]), form(&[("name=\"note\"", "x")])] {
            let post = Unverified { method: "POST", url: "/", headers: &headers, body: body.as_bytes() };
            assert!(matches!(SendGrid.prove(&post, &open, NOW), Err(Refusal::Malformed { .. })), "{body}");
        }
    }
}
