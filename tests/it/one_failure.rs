//! One failure is told by several channels, several times, in any order, and by forgers: it is one event, and what is best
//! attested stands.

use harness::{Plan, TestApp, TestDatabase, yesterday};
use serde_json::{Value, json};

/// What tells of one failure.
#[derive(Debug, Clone, Copy)]
enum Telling {
    /// The feedback notification of an identity.
    Feedback,
    /// The event of a configuration set.
    Event,
    /// The same event, published again under another id.
    Again,
    /// The bounce by mail.
    Mail,
}

use Telling::{Again, Event, Feedback, Mail};

fn ses(who: &str, key: &str, bounce_type: (&str, &str), words: &str) -> Value {
    let mut event = json!({
        "bounce": {
            "bounceType": bounce_type.0, "bounceSubType": bounce_type.1, "feedbackId": format!("feedback-{who}"),
            "timestamp": yesterday(),
            "bouncedRecipients": [{"emailAddress": format!("{who}@example.org"), "action": "failed", "diagnosticCode": words}],
        },
        "mail": {"messageId": format!("0100-{who}"), "destination": [format!("{who}@example.org")], "timestamp": yesterday()},
    });
    event[key] = json!("Bounce");
    event
}

/// A bounce message about a mail that SES sent; anybody can write one.
fn mail(who: &str, words: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\r\nTo: us@example.com\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {who}@example.org\r\nAction: failed\r\nStatus: 5.0.0\r\n\
         Diagnostic-Code: smtp; {words}\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
         Message-ID: <0100-{who}@eu-west-1.amazonses.com>\r\nTo: {who}@example.org\r\n\r\nhello\r\n--b--\r\n"
    )
}

async fn tell(app: &TestApp, who: &str, telling: Telling) {
    let gone = "smtp; 550 5.1.1 no such user";
    let post =
        |id: &str, key: &str| app.post_webhook("ses", app.sns(&format!("{id}-{who}"), &ses(who, key, ("Permanent", "General"), gone)));
    let answer = match telling {
        Feedback => post("sns-1", "notificationType").await,
        Event => post("sns-2", "eventType").await,
        Again => post("sns-3", "eventType").await,
        Mail => app.post_message(&mail(who, "550 5.1.1 no such user")).await,
    };
    assert_eq!(answer.status(), 200, "{telling:?}");
}

async fn events(app: &TestApp, who: &str) -> Vec<Value> {
    let all = app.read(&format!("/v1/addresses/{who}@example.org")).await;
    all["events"].as_array().cloned().unwrap_or_default()
}

/// All orders of four.
fn orders() -> Vec<[Telling; 4]> {
    let all = [Feedback, Event, Again, Mail];
    let mut orders = Vec::new();
    for a in 0..4 {
        for b in (0..4).filter(|it| *it != a) {
            for c in (0..4).filter(|it| ![a, b].contains(it)) {
                let d = 6 - a - b - c;
                orders.push([all[a], all[b], all[c], all[d]]);
            }
        }
    }
    orders
}

#[tokio::test]
async fn told_by_four_channels_in_any_order_it_is_one_event() {
    let database = TestDatabase::postgres().await;
    let app = Plan::on(database.url()).start().await;
    for (at, order) in orders().into_iter().enumerate() {
        let who = format!("person{at}");
        for telling in order {
            tell(&app, &who, telling).await;
        }
        let events = events(&app, &who).await;
        assert_eq!(events.len(), 1, "{order:?}: {events:?}");
        assert_eq!((&events[0]["attribution"], &events[0]["reason"]), (&json!("signed"), &json!("user_unknown")), "{order:?}");
        let check = app.check(&format!("{who}@example.org")).await;
        assert_eq!(check["suppressed"][0]["provisional"], json!(false), "{order:?}: the signed one stands for good");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_forged_copy_that_came_first_is_corrected_by_the_signed_one() {
    let database = TestDatabase::sqlite();
    let app = Plan::on(database.url()).start().await;
    let full = app.sns("sns-1", &ses("jane", "eventType", ("Transient", "MailboxFull"), "smtp; 452 4.2.2 mailbox full"));
    assert_eq!(app.post_message(&mail("jane", "550 5.1.1 no such user")).await.status(), 200);
    assert!(app.is_suppressed("jane@example.org").await, "provisionally");
    assert_eq!(app.post_webhook("ses", full).await.status(), 200);
    let events = events(&app, "jane").await;
    assert_eq!((events.len(), &events[0]["reason"], &events[0]["attribution"]), (1, &json!("mailbox_full"), &json!("signed")));
    assert!(!app.is_suppressed("jane@example.org").await, "what the provider signed says that it is only full");
    assert_eq!(app.post_message(&mail("jane", "550 5.1.1 no such user at all")).await.status(), 200);
    assert!(!app.is_suppressed("jane@example.org").await, "and a forger who comes again changes nothing");
    app.stop().await;
}
