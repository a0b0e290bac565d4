use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::classify::reason::Reason;
use crate::esp::{Credential, is_test};
use crate::kind::{Attribution, BounceType, Kind};
use crate::report::Report;

const NOW: OffsetDateTime = datetime!(2026-01-01 13:05:09 UTC);

fn credentials() -> Credentials {
    Credentials { url_secret: Some("s3cret".to_owned()), ..Credentials::default() }
}

/// What becomes of a post: proved, put into a receipt, and read out of the receipt's content alone.
fn received(method: &str, query: &str, body: &str) -> Result<(Decoded, String), Refusal> {
    let url = format!("https://hooks.example/webhooks/elastic?key=s3cret&{query}");
    let post = Unverified { method, url: &url, headers: &[], body: body.as_bytes() };
    let verified = post.verify(&ElasticEmail, &credentials(), NOW)?;
    let content = ElasticEmail.content(&post);
    let kept = [("content-type".to_owned(), content.media_type.into_owned())];
    let restored = Unverified { method: "POST", url: "", headers: &kept, body: &content.bytes };
    let decoded = ElasticEmail.decode(&Verified::restored(restored, verified.attribution(), NOW));
    assert_eq!(ElasticEmail.decode(&verified), decoded);
    Ok((decoded, String::from_utf8(content.bytes.into_owned()).unwrap()))
}

fn query(status: &str, category: &str) -> String {
    format!(
        "from=news%40example.net&to=Jane%20%3Cjane%2Bx%40example.com%3E&date=3%2F1%2F2024+1%3A02%3A03+PM&subject=s&status={status}\
         &channel=weekly&account=a%40example.net&category={category}&messageid=m-1&transaction=t-1&postback=k%3Dv"
    )
}

fn report(query: &str) -> Report {
    let (mut decoded, _) = received("GET", query, "").unwrap();
    assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (1, 0), "{query}: {decoded:?}");
    decoded.reading.reports.remove(0)
}

#[test]
fn every_status_and_category_has_its_meaning() {
    use BounceType::{Hard, Soft};
    let claimed = |status: &str, category: &str| {
        let report = report(&query(status, category));
        (report.kind, report.claim.and_then(|it| it.bounce_type), report.claim.and_then(|it| it.reason))
    };
    for (category, bounce_type, reason) in [
        ("NoMailbox", Hard, Some(Reason::UserUnknown)),
        ("GreyListed", Soft, Some(Reason::Greylisted)),
        ("Throttled", Soft, Some(Reason::RateLimited)),
        ("Timeout", Soft, Some(Reason::NetworkError)),
        ("ConnectionProblem", Soft, Some(Reason::NetworkError)),
        ("ConnectionTerminated", Soft, Some(Reason::NetworkError)),
        ("DNSProblem", Soft, Some(Reason::DnsError)),
        ("WhitelistingProblem", Soft, Some(Reason::PolicyRejected)),
        ("BlackListed", Soft, Some(Reason::ReputationBlock)),
        ("Spam", Soft, Some(Reason::SpamContent)),
        ("ContentFilter", Soft, Some(Reason::ContentRejected)),
        ("SPFProblem", Soft, Some(Reason::AuthFailure)),
        ("AccountProblem", Soft, Some(Reason::MailboxUnavailable)),
        ("CodeError", Soft, None),
        ("NotDelivered", Soft, None),
        ("Unknown", Soft, None),
        ("", Soft, None),
        ("SomethingNew", Soft, None),
    ] {
        assert_eq!(claimed("Error", category), (Kind::Bounce, Some(bounce_type), reason), "{category}");
    }
    assert_eq!(claimed("Error", "ManualCancel").0, Kind::Rejected);
    for (status, kind) in [
        ("Sent", Kind::Delivered),
        ("AbuseReport", Kind::Complaint),
        ("UNSUBSCRIBED", Kind::Unsubscribe),
        ("WaitingToRetry", Kind::Delayed),
    ] {
        assert_eq!(claimed(status, ""), (kind, None, None), "{status}");
    }
    for query in [query("Opened", ""), query("Clicked", ""), query("Error", "Ignore")] {
        let (decoded, _) = received("GET", &query, "").unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 0), "{query}");
    }
    for query in [query("Dissolved", ""), query("", ""), query("Sent", "").replace("to=", "x="), query("Sent", "").replace("%40", "")] {
        let (decoded, _) = received("GET", &query, "").unwrap();
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (0, 1), "{query}");
    }
}

#[test]
fn everything_known_of_a_failure_is_taken() {
    let found = report(&query("Error", "NoMailbox"));
    assert_eq!(found.recipient.as_ref().unwrap().expose(), "jane+x@example.com");
    assert_eq!(found.occurred_at, Some(datetime!(2024-03-01 13:02:03 UTC)));
    assert_eq!((found.provider_message_id.as_deref(), found.provider_event_id), (Some("m-1"), None));
    let tags: Vec<_> = found.hints.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("channel", "weekly"), ("postback", "k=v"), ("transaction", "t-1")]);
}

#[test]
fn a_plus_that_was_not_encoded_is_one() {
    let found = report(&query("Sent", "").replace("Jane%20%3Cjane%2Bx%40example.com%3E", "jane+x@example.com"));
    assert_eq!(found.recipient.unwrap().expose(), "jane+x@example.com");
}

#[test]
fn dates_are_read_month_first_or_as_iso() {
    let at = |date: &str| report(&format!("to=jane@example.com&status=Sent&date={date}")).occurred_at;
    assert_eq!(at("12/31/2025+12:00:00+AM"), Some(datetime!(2025-12-31 00:00 UTC)));
    assert_eq!(at("3/1/2024+13:05:09"), Some(datetime!(2024-03-01 13:05:09 UTC)));
    assert_eq!(at("03/01/2024+01:02:03+pm"), Some(datetime!(2024-03-01 13:02:03 UTC)));
    assert_eq!(at("2024-03-01T13:02:03Z"), Some(datetime!(2024-03-01 13:02:03 UTC)));
    assert_eq!([at("31/12/2025+12:00:00+AM"), at("13/1/2024+13:00:00+PM"), at("soon")], [None; 3]);
}

#[test]
fn the_receipt_keeps_the_event_and_never_the_secret() {
    let (_, kept) = received("GET", &format!("{}&s3cret&x=s3cret", query("Error", "NoMailbox")), "").unwrap();
    assert_eq!(kept, query("Error", "NoMailbox"));
    let path = Unverified { method: "GET", url: "/webhooks/elastic/s3cret?To=a%40example.com#s3cret", headers: &[], body: b"" };
    assert_eq!(&*ElasticEmail.content(&path).bytes, b"To=a%40example.com");
}

#[test]
fn the_same_fields_come_by_post_too() {
    let (expected, _) = received("GET", &query("Error", "NoMailbox"), "").unwrap();
    assert_eq!(received("POST", "", &query("Error", "NoMailbox")).unwrap().0, expected);
    assert_eq!(received("POST", &query("Error", "NoMailbox"), "").unwrap().0, expected);
    let object = json!({"to": "Jane <jane+x@example.com>", "date": "2024-03-01T13:02:03Z", "status": "Error", "category": "NoMailbox",
        "messageid": "m-1", "channel": "weekly", "transaction": "t-1", "postback": "k=v"});
    assert_eq!(received("POST", "", &object.to_string()).unwrap().0, expected);
    let array = json!([object, {"status": "Opened"}, {"status": "Dissolved"}, 7]).to_string();
    let (decoded, _) = received("POST", "", &array).unwrap();
    assert_eq!((decoded.reading.reports.len(), decoded.set_aside.len()), (1, 2));
}

#[test]
fn the_address_may_be_tried_without_an_event() {
    for query in ["", "x=1", "a&b&&=c"] {
        let (decoded, kept) = received("GET", query, "").unwrap();
        assert_eq!((decoded.answer.status, decoded.reading.reports.len(), decoded.unrecognised), (200, 0, 0), "{query}");
        assert!(kept.is_empty() && decoded.answer.headers.contains(&("cache-control", "no-store".to_owned())));
    }
    for body in ["", "not json", "null", "{\"to\":", "[7]", "a=b&c"] {
        assert!(matches!(received("POST", "", body), Err(Refusal::Malformed { .. })), "{body}");
    }
}

#[test]
fn only_who_has_the_secret_is_let_in() {
    let verify = |credentials: &Credentials, url: &str, headers: &[(String, String)]| {
        Unverified { method: "GET", url, headers, body: b"" }.verify(&ElasticEmail, credentials, NOW).map(|it| it.attribution())
    };
    assert_eq!(verify(&credentials(), "/webhooks/e/s3cret?status=Sent", &[]), Ok(Attribution::Authenticated));
    assert_eq!(verify(&credentials(), "/webhooks/e/s3creT?status=Sent", &[]), Err(Refusal::Mismatch(Credential::UrlSecret)));
    assert!(matches!(verify(&Credentials::default(), "/", &[]), Err(Refusal::NotConfigured(_))));
    let empty = Credentials { url_secret: Some(String::new()), ..Credentials::default() };
    assert!(matches!(verify(&empty, "/", &[]), Err(Refusal::NotConfigured(_))));
    let basic = Credentials { basic: vec!["u:p".to_owned()], ..Credentials::default() };
    let authorization = ("authorization".to_owned(), "Basic dTpw".to_owned());
    assert_eq!(verify(&basic, "/", std::slice::from_ref(&authorization)), Ok(Attribution::Authenticated));
    assert_eq!(verify(&basic, "/", &[authorization.clone(), authorization]), Err(Refusal::Repeated(Credential::Basic)));
    assert_eq!(verify(&Credentials { insecure: true, ..Credentials::default() }, "/", &[]), Ok(Attribution::Unattributed));
    let put = Unverified { method: "PUT", url: "/", headers: &[], body: b"" };
    assert_eq!(put.verify(&ElasticEmail, &credentials(), NOW).unwrap_err(), Refusal::Method(&["GET", "POST"]));
}

#[test]
fn the_sample_is_believed_and_is_about_nobody() {
    let sample = ElasticEmail.sample(&credentials(), NOW).unwrap();
    assert_eq!((sample.method, sample.body.len()), ("GET", 0));
    let found = report(&sample.query);
    assert!(is_test(&ElasticEmail, found.recipient.as_ref().unwrap()));
    assert_eq!((found.kind, found.occurred_at), (Kind::Bounce, Some(NOW)));
}

#[test]
fn very_many_pairs_are_one_event() {
    let body = "status=Sent&".repeat(10_000) + &"x=y&".repeat(10_000) + "to=jane@example.com";
    assert_eq!(received("POST", "", &body).unwrap().0.reading.reports.len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_value_in_any_field_is_read_without_a_panic(field in "to|date|status|category|messageid|channel|postback|transaction", text in "\\PC{0,40}", number in proptest::num::f64::ANY) {
        for value in [json!(text), json!(number), json!([text]), json!({"a": text}), Value::Null, json!(true)] {
            let mut event = json!({"to": "jane@example.com", "status": "Error", "category": "NoMailbox"});
            event[field.as_str()] = value;
            let _ = received("POST", "", &event.to_string());
        }
        let _ = received("GET", &format!("to=jane@example.com&status=Error&{field}={text}"), "");
    }

    #[test]
    fn any_bytes_are_taken_or_refused_without_a_panic(method in "GET|POST", query in "\\PC{0,60}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let url = format!("/s3cret?{query}");
        let post = Unverified { method: &method, url: &url, headers: &[], body: &body };
        let _ = post.verify(&ElasticEmail, &credentials(), NOW);
        let _ = ElasticEmail.content(&post);
        let _ = ElasticEmail.decode(&Verified::restored(post, Attribution::Authenticated, NOW));
    }
}
