//! What Prometheus and Grafana are given holds on a real Prometheus: it scrapes the service under a load of everything, and every
//! query of every panel and every rule finds something.

use std::collections::BTreeSet;
use std::path::Path;

use harness::{OwnPrometheus, Plan, TestApp, TestBroker, TestDatabase, deploy, eventually, eventually_some, yesterday};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service::config::{MailboxConfig, SmtpConfig};

const DSN: &str = include_str!("../../docs/bounce.eml");
const RUNBOOK: &str = include_str!("../../docs/runbook.md");

/// One of everything that comes in and is asked, about addresses that no other round had.
async fn load(app: &TestApp, round: usize) {
    let mail = |id: &str, to: &str| json!({ "messageId": format!("{id}-{round}"), "destination": [to], "timestamp": yesterday() });
    let gone = format!("gone{round}@gmail.com");
    let taken = [
        app.ses_bounce(&gone, &format!("gone-{round}")),
        app.sns(
            &format!("fine-{round}"),
            &json!({ "eventType": "Delivery", "mail": mail("fine", "fine@gmail.com"),
                "delivery": { "timestamp": yesterday(), "recipients": [format!("fine{round}@gmail.com")], "smtpResponse": "250 ok" } }),
        ),
        app.sns(
            &format!("angry-{round}"),
            &json!({ "eventType": "Complaint", "mail": mail("angry", "angry@yahoo.com"),
                "complaint": { "timestamp": yesterday(), "feedbackId": format!("angry-{round}"), "complaintFeedbackType": "abuse",
                    "complainedRecipients": [{ "emailAddress": format!("angry{round}@yahoo.com") }] } }),
        ),
        app.sns(
            &format!("blocked-{round}"),
            &json!({ "eventType": "Bounce", "mail": mail("blocked", "blocked@outlook.com"),
                "bounce": { "bounceType": "Transient", "bounceSubType": "General", "feedbackId": format!("blocked-{round}"), "timestamp": yesterday(),
                    "bouncedRecipients": [{ "emailAddress": format!("blocked{round}@outlook.com"), "action": "failed", "status": "5.7.1",
                        "diagnosticCode": "smtp; 550 5.7.1 [192.0.2.1] listed at zen.spamhaus.org, message refused" }] } }),
        ),
    ];
    for post in taken {
        assert_eq!(app.post_webhook("ses", post).await.status(), StatusCode::OK);
    }
    assert!(app.post_webhook("ses", "{}".to_owned()).await.status().is_client_error());
    assert!(app.post_webhook("bounces", DSN.to_owned()).await.status().is_client_error());
    let message = DSN.replace("jane@corp.example", &format!("jane{round}@corp.example"));
    assert_eq!(app.post_message(&message).await.status(), StatusCode::OK);
    assert!(app.is_suppressed(&gone).await);
}

/// A mailbox that is tried again and again.
fn nowhere() -> MailboxConfig {
    MailboxConfig { port: 1, ..MailboxConfig::new("returns", "127.0.0.1", "nobody", "bounces") }
}

/// An edge that shows a certificate, whose files lie in a folder.
fn certified(smtp: &mut SmtpConfig, folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec!["mx.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (certificate, private_key) = (folder.join("mx.pem"), folder.join("mx.key"));
    std::fs::write(&certificate, made.pem()).unwrap();
    std::fs::write(&private_key, key.serialize_pem()).unwrap();
    smtp.listen = vec![([127, 0, 0, 1], 0).into()];
    (smtp.certificate, smtp.private_key) = (Some(certificate), Some(private_key));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_and_every_rule_finds_something() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::on(database.url()).with_broker(&broker).with(|it| {
        it.mailboxes = vec![nowhere()];
        certified(&mut it.smtp, folder.path());
    });
    let app = plan.start().await;
    let prometheus = &OwnPrometheus::watching(app.address()).await;
    load(&app, 0).await;
    let seen = |query: &'static str| async move { prometheus.query(query).await.is_ok_and(|it| !it.is_empty()) };
    eventually("the first round was seen", || seen("count(rebound_bounces_by_receiver_total) >= 3")).await;
    // What is counted from one to the next shows only once it grows.
    load(&app, 1).await;
    eventually("the second round was seen", || seen("sum(rebound_bounces_by_receiver_total) >= 6")).await;

    let mut asked = 0;
    for (panel, query) in queries_of_panels() {
        let found = || async {
            let found = prometheus.query(&query).await;
            assert!(found.is_ok(), "{panel}: {query}: {found:?}");
            found.ok().filter(|it| !it.is_empty())
        };
        eventually_some(&format!("{panel} finds something by {query}"), found).await;
        asked += 1;
    }
    assert!(asked > 60, "{asked} queries: the dashboards were not read");

    for rule in prometheus.rules().await {
        let (name, query) = (rule["name"].as_str().unwrap(), rule["query"].as_str().unwrap().to_owned());
        assert_eq!((&rule["health"], &rule["lastError"]), (&json!("ok"), &Value::Null), "{name}");
        let mut parts = if rule["type"] == "recording" { BTreeSet::from([query]) } else { selectors(&query) };
        assert!(!parts.is_empty(), "{name}");
        while let Some(part) = parts.pop_first() {
            eventually(&format!("{name} finds something by {part}"), || async {
                prometheus.query(&part).await.is_ok_and(|it| !it.is_empty())
            })
            .await;
        }
        if rule["type"] == "alerting" {
            let anchor = rule["annotations"]["runbook_url"].as_str().and_then(|it| it.strip_prefix("docs/runbook.md#")).unwrap();
            let section = RUNBOOK.lines().filter_map(|it| it.strip_prefix("### ")).find(|it| it.to_lowercase() == anchor);
            assert_eq!(section, Some(name), "the runbook has no section of this alert");
            assert!(["critical", "warning"].iter().any(|it| rule["labels"]["severity"] == **it), "{name}");
        }
    }
}

/// Each query of each dashboard, variables at what they mean when everything is chosen, and where it stands.
fn queries_of_panels() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for board in std::fs::read_dir(deploy().join("grafana/dashboards")).unwrap() {
        let board: Value = serde_json::from_slice(&std::fs::read(board.unwrap().path()).unwrap()).unwrap();
        let mut add = |place: &str, query: &str| {
            let query =
                query.replace("$__rate_interval", "1m").replace("$__range", "6h").replace("$source", ".*").replace("$receiver", ".*");
            assert!(!query.contains('$'), "{query}: a variable that this test does not know");
            queries.push((format!("{}: {place}", board["title"]), query));
        };
        for variable in board["templating"]["list"].as_array().unwrap().iter().filter(|it| it["type"] == "query") {
            let query = variable["query"]["query"].as_str().unwrap();
            let (metric, label) = query.strip_prefix("label_values(").and_then(|it| it.strip_suffix(')')?.split_once(", ")).unwrap();
            add("variable", &format!("{metric}{{{label}!=\"\"}}"));
        }
        for panel in board["panels"].as_array().unwrap().iter().filter(|it| it["type"] != "row") {
            for target in panel["targets"].as_array().unwrap() {
                add(panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap());
            }
        }
    }
    queries
}

/// The series that a query looks at, with what it demands of their labels. That of up is left to the target.
fn selectors(query: &str) -> BTreeSet<String> {
    let is_name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | ':');
    let mut found = BTreeSet::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_name) {
        let end = rest[start..].find(|it| !is_name(it)).map_or(rest.len(), |it| start + it);
        let name = &rest[start..end];
        let labels = rest[end..].strip_prefix('{').and_then(|it| it.split_once('}'));
        if name.contains("rebound_") || name == "up" {
            found.insert(labels.map_or_else(|| name.to_owned(), |(labels, _)| format!("{name}{{{labels}}}")));
        }
        rest = labels.map_or(&rest[end..], |(_, after)| after);
    }
    found
}
