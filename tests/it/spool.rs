//! The database goes away under posts. Their senders do not notice, and once it is back everything is there, once.

use std::path::Path;
use std::time::Duration;

use bounce::esp::Credentials;
use futures_util::future::join_all;
use harness::{Plan, Proxy, TestApp, TestBroker, TestDatabase, eventually};
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait as _, DatabaseBackend, Statement};
use serde_json::Value;
use service::config::{ListName, Size, SourceConfig};
use tempfile::TempDir;

const DSN: &str = include_str!("../../docs/bounce.eml");
const SECRET: &str = "a signing key of ours";

fn message_for(address: &str) -> String {
    DSN.replace("jane@corp.example", address)
}

fn person(number: usize) -> String {
    format!("person{number}@example.org")
}

/// A service whose database can be taken away, with a spool of its own.
struct Cut {
    app: TestApp,
    proxy: Proxy,
    folder: TempDir,
    database: TestDatabase,
}

impl Cut {
    async fn new(plan: impl FnOnce(Plan) -> Plan) -> Self {
        let (database, folder) = (TestDatabase::postgres().await, tempfile::tempdir().unwrap());
        let proxy = Proxy::before(database.url());
        let spooling = Plan::on(proxy.url()).with(|config| {
            config.spool.enabled = true;
            folder.path().clone_into(&mut config.spool.path);
            config.spool.patience = Duration::from_millis(500);
            config.spool.set_aside_after = Duration::ZERO;
        });
        let app = Box::pin(plan(spooling).start()).await;
        // From here on the key is known.
        assert_eq!(app.post_message(&message_for(&person(0))).await.status(), StatusCode::OK);
        Self { app, proxy, folder, database }
    }

    async fn post(&self, people: std::ops::Range<usize>) -> Vec<StatusCode> {
        join_all(people.map(|it| self.app.post_message_owned(message_for(&person(it))))).await
    }

    /// Waits until nothing is in the spool any more.
    async fn drained(&self) {
        eventually("the spool is empty", || async {
            let ready = self.ready().await;
            ready["status"] == "ready" && ready["spool"]["entries"] == 0
        })
        .await;
    }

    async fn ready(&self) -> Value {
        self.app.get("/readyz").send().await.unwrap().json().await.unwrap()
    }

    /// How many events there are, past the feed, which other tests may hold back.
    async fn events(&self) -> i64 {
        let connection = self.database.connect().await;
        let count = "select count(*) as events from event";
        let row = connection.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, count)).await;
        row.unwrap().unwrap().try_get("", "events").unwrap()
    }

    fn files(&self, place: &str) -> usize {
        files(self.folder.path(), place)
    }
}

fn files(folder: &Path, place: &str) -> usize {
    std::fs::read_dir(folder.join(place)).unwrap().count()
}

/// The addresses that messages on the broker speak of, without repetition.
async fn told(broker: &TestBroker, count: usize) -> std::collections::BTreeSet<String> {
    broker.take(count).await.iter().map(|it| it.body["data"]["recipient"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_database_cut_under_posts_is_seen_by_no_sender() {
    let broker = TestBroker::new();
    let cut = Cut::new(|it| it.with_broker(&broker)).await;
    cut.proxy.stall_at("COMMIT");
    let away = async {
        eventually("a commit is on the wire", || async { cut.proxy.held() > 0 }).await;
        cut.proxy.refuse();
    };
    let (under, ()) = tokio::join!(cut.post(1..21), away);
    assert!(under.iter().all(StatusCode::is_success), "{under:?}");
    assert_eq!(cut.post(21..41).await, [StatusCode::ACCEPTED; 20]);
    let spooled: Value = cut.app.post_message(&message_for(&person(1))).await.json().await.unwrap();
    assert_eq!((&spooled["status"], &spooled["kind"], spooled["receipt_id"].is_string()), (&"spooled".into(), &"bounce".into(), true));
    let body = cut.app.ses_bounce(&person(41), "feedback-1");
    for _ in 0..3 {
        assert_eq!(cut.app.post_webhook("ses", body.clone()).await.status(), StatusCode::OK);
    }
    let ready = cut.ready().await;
    assert_eq!((&ready["status"], &ready["database"]), (&"spooling".into(), &"unreachable".into()));
    assert!(ready["spool"]["entries"].as_u64().unwrap() >= 24, "{ready}");
    let metrics = cut.app.metrics().await;
    assert!(metrics.contains("rebound_database_away 1\n"), "{metrics}");

    cut.proxy.resume();
    cut.drained().await;
    assert_eq!(cut.events().await, 42);
    for number in 0..42 {
        assert!(cut.app.is_suppressed(&person(number)).await, "{number}");
    }
    assert_eq!(told(&broker, 84).await, (0..42).map(person).collect());
    assert_eq!((cut.files("new"), cut.files("failed"), cut.files("corrupt"), cut.files("tmp")), (0, 0, 0, 0));
    assert_eq!(cut.app.post_message(&message_for(&person(1))).await.status(), StatusCode::OK, "all is as before");
    cut.app.stop().await;
}

#[tokio::test]
async fn a_database_that_hangs_is_seen_by_no_sender() {
    let cut = Cut::new(|it| it).await;
    cut.proxy.stall();
    for people in [1..11, 11..21] {
        assert_eq!(cut.post(people).await, [StatusCode::ACCEPTED; 10]);
    }
    cut.proxy.resume();
    cut.drained().await;
    eventually("every event is there", || async { cut.events().await == 21 }).await;
    cut.app.stop().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_after_the_commit_counts_once() {
    let cut = Cut::new(|it| it).await;
    cut.proxy.stall_answers_to("COMMIT");
    let away = async {
        eventually("the answer is on the wire", || async { cut.proxy.held() > 0 }).await;
        cut.proxy.refuse();
    };
    let (answer, ()) = tokio::join!(cut.post(1..2), away);
    assert_eq!(answer, [StatusCode::ACCEPTED]);
    cut.proxy.resume();
    cut.drained().await;
    assert_eq!(cut.events().await, 2);
    cut.app.stop().await;
}

#[tokio::test]
async fn a_full_spool_says_come_again_and_nothing_refused_is_recorded() {
    let cut = Cut::new(|it| it.with(|config| config.spool.max_bytes = Size(3 << 10))).await;
    cut.proxy.refuse();
    let mut taken = Vec::new();
    for number in 1..30 {
        let answer = cut.app.post_message(&message_for(&person(number))).await;
        match answer.status() {
            StatusCode::ACCEPTED => taken.push(number),
            StatusCode::SERVICE_UNAVAILABLE => assert!(answer.headers().contains_key("retry-after")),
            other => panic!("{other}"),
        }
    }
    assert!(!taken.is_empty() && taken.len() < 5, "{taken:?}");
    assert!(cut.app.metrics().await.contains("rebound_spool_refused_total{why=\"full\"} "));
    cut.proxy.resume();
    cut.drained().await;
    assert_eq!(cut.events().await, 1 + i64::try_from(taken.len()).unwrap());
    for number in 1..30 {
        assert_eq!(cut.app.is_suppressed(&person(number)).await, taken.contains(&number), "{number}");
    }
    cut.app.stop().await;
}

#[tokio::test]
async fn a_key_that_nobody_used_is_not_believed_while_the_database_is_away() {
    let cut = Cut::new(|it| it).await;
    cut.proxy.refuse();
    assert_eq!(cut.post(1..2).await, [StatusCode::ACCEPTED]);
    let unknown = format!("rbk_{}", "A".repeat(43));
    let post = reqwest::Client::new().post(cut.app.get("/v1/messages?list=acme.weekly").build().unwrap().url().clone());
    let answer = post.bearer_auth(unknown).header("content-type", "message/rfc822").body(DSN).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    cut.proxy.resume();
    cut.drained().await;
    assert_eq!(cut.events().await, 2);
    cut.app.stop().await;
}

/// A service whose database refuses a receipt with an error, and whose spool holds that receipt and so many others.
async fn poisoned(code: &str, others: usize) -> Cut {
    Box::pin(poisoned_by(code, others, |it| it)).await
}

async fn poisoned_by(code: &str, others: usize, plan: impl FnOnce(Plan) -> Plan) -> Cut {
    let cut = Cut::new(plan).await;
    let trap = format!(
        "create function refuse() returns trigger language plpgsql as
        $$ begin if new.diagnostic like '%poison%' then raise exception using errcode = '{code}'; end if; return new; end $$;
        create trigger refuse before insert on event for each row execute function refuse()"
    );
    cut.database.connect().await.execute_unprepared(&trap).await.unwrap();
    cut.proxy.refuse();
    let poisoned = message_for(&person(1)).replace("User unknown", "poison");
    assert_ne!(poisoned, message_for(&person(1)), "the sample says so");
    assert_eq!(cut.app.post_message_owned(poisoned).await, StatusCode::ACCEPTED);
    assert_eq!(cut.post(2..2 + others).await, vec![StatusCode::ACCEPTED; others]);
    cut.proxy.resume();
    cut
}

impl Cut {
    /// Waits until it was tried that often, which would do for one that is at fault.
    async fn has_failed(&self, times: u32) {
        let series = "rebound_failures_total{stage=\"spool\"} ";
        let failures = |page: &str| page.lines().find_map(|it| it.strip_prefix(series)?.parse::<u32>().ok());
        eventually("it has failed so often", || async { failures(&self.app.metrics().await).is_some_and(|it| it >= times) }).await;
    }

    async fn sets_the_poisoned_one_aside(self, events: i64) {
        eventually("the one that fails is set aside", || async { self.files("failed") == 1 }).await;
        self.drained().await;
        assert_eq!((self.events().await, self.files("new")), (events, 0));
        assert!(self.app.metrics().await.contains("rebound_spool_drained_total{outcome=\"failed\"} 1\n"));
        self.app.stop().await;
    }
}

#[tokio::test]
async fn a_receipt_that_fails_by_itself_is_set_aside_and_holds_nobody_up() {
    Box::pin(poisoned("0A000", 10)).await.sets_the_poisoned_one_aside(11).await;
}

#[tokio::test]
async fn a_receipt_that_fails_as_if_the_database_were_away_holds_nobody_up() {
    let cut = Box::pin(poisoned("57014", 10)).await;
    eventually("the others are there", || async { cut.events().await == 11 }).await;
    eventually("what comes in is committed", || async { cut.ready().await["status"] == "ready" }).await;
    assert_eq!(cut.post(20..21).await, [StatusCode::OK]);
    cut.sets_the_poisoned_one_aside(12).await;
}

/// Somebody may hold a lock, or have taken a right away: that others are committed meanwhile proves nothing yet.
#[tokio::test]
async fn a_receipt_that_fails_as_if_the_database_were_away_has_its_time() {
    let patient = |it: Plan| it.with(|config| config.spool.set_aside_after = Duration::from_hours(1));
    let cut = Box::pin(poisoned_by("57014", 10, patient)).await;
    eventually("the others are there", || async { cut.events().await == 11 }).await;
    cut.has_failed(6).await;
    assert_eq!(cut.files("failed"), 0);
    cut.database.connect().await.execute_unprepared("drop trigger refuse on event").await.unwrap();
    cut.drained().await;
    assert_eq!((cut.events().await, cut.files("new"), cut.files("failed")), (12, 0, 0));
    cut.app.stop().await;
}

#[tokio::test]
async fn a_receipt_that_fails_while_nothing_else_comes_is_set_aside() {
    Box::pin(poisoned("0A000", 0)).await.sets_the_poisoned_one_aside(1).await;
}

#[tokio::test]
async fn a_receipt_waits_for_a_database_that_refuses_everybody() {
    let cut = Box::pin(poisoned("42501", 0)).await;
    cut.has_failed(7).await;
    assert_eq!((cut.files("failed"), cut.events().await), (0, 1));
    cut.database.connect().await.execute_unprepared("drop trigger refuse on event").await.unwrap();
    cut.drained().await;
    assert_eq!((cut.events().await, cut.files("new")), (2, 0));
    cut.app.stop().await;
}

#[tokio::test]
async fn a_token_of_mailgun_that_was_spooled_proves_one_body() {
    let credentials = || Credentials { secrets: vec![SECRET.to_owned()], ..Credentials::default() };
    let cut = Cut::new(|it| {
        it.with(|config| {
            let mut source = SourceConfig::new("mailgun", "mailgun", ListName::parse("acme.weekly").unwrap());
            source.credentials = credentials();
            config.sources.push(source);
        })
    })
    .await;
    let now = service::clock::Clock::system().now();
    let sample = bounce::esp::provider("mailgun").unwrap().sample(&credentials(), now).unwrap();
    let first = String::from_utf8(sample.body).unwrap();
    let mut other: Value = serde_json::from_str(&first).unwrap();
    other["event-data"]["recipient"] = person(7).into();
    let address = cut.app.get("/webhooks/mailgun").build().unwrap().url().clone();
    let post = |body: String| {
        let post = reqwest::Client::new().post(address.clone()).header("content-type", "application/json").body(body);
        async move { post.send().await.unwrap().status() }
    };
    cut.proxy.refuse();
    assert_eq!(post(first.clone()).await, StatusCode::OK);
    assert_eq!(post(other.to_string()).await, StatusCode::OK, "nobody can know yet that the token was used");
    cut.proxy.resume();
    cut.drained().await;
    let metrics = cut.app.metrics().await;
    assert!(metrics.contains("rebound_spool_drained_total{outcome=\"replayed\"} 1\n"), "{metrics}");
    assert!(!cut.app.is_suppressed(&person(7)).await, "the second body was dropped");
    assert_eq!(post(first).await, StatusCode::OK);
    cut.app.stop().await;
}
