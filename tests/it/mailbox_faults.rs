//! Whatever goes away, mail stays in the box until it is durable, and comes later.

use std::time::Duration;

use harness::{OwnDovecot, Proxy, TestDatabase, eventually};
use service::config::{After, MailboxConfig};

use crate::mailbox_fixture::{bounce_of, fetching, holds, mailbox, person, series};

const TAKEN: &str = "rebound_mailbox_messages_total";
const FAILURES: &str = "rebound_mailbox_failures_total";

#[tokio::test]
async fn while_the_database_is_away_mail_stays_in_the_box() {
    let (database, dovecot) = (TestDatabase::postgres().await, OwnDovecot::start().await);
    let wire = Proxy::before(database.url());
    let plan = harness::Plan::on(wire.url()).with(|config| {
        config.mailboxes = vec![mailbox(&dovecot, After::Delete)];
        config.intake.commit_timeout = Duration::from_secs(2);
    });
    let app = plan.start().await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    let mut owner = holds(owner, "INBOX", "ALL", 0).await;
    wire.refuse();
    for number in 2..5 {
        owner.put("INBOX", &bounce_of(&person(number))).await;
    }
    eventually("the mail is not taken", || async { series(&app, FAILURES, "cause=\"intake\"").await > 0 }).await;
    assert_eq!(owner.count("INBOX", "UNDELETED").await, 3);
    wire.resume();
    holds(owner, "INBOX", "ALL", 0).await;
    for number in 1..5 {
        assert!(app.is_suppressed(&person(number)).await);
    }
    assert_eq!(series(&app, TAKEN, "taken").await, 4);
    app.stop().await;
}

#[tokio::test]
async fn while_the_database_is_away_the_spool_takes_what_is_in_the_box() {
    let (database, dovecot, folder) = (TestDatabase::postgres().await, OwnDovecot::start().await, tempfile::tempdir().unwrap());
    let wire = Proxy::before(database.url());
    let plan = harness::Plan::on(wire.url()).with(|config| {
        config.mailboxes = vec![mailbox(&dovecot, After::Move)];
        config.spool.enabled = true;
        folder.path().clone_into(&mut config.spool.path);
        config.spool.patience = Duration::from_millis(500);
    });
    let app = plan.start().await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    let mut owner = holds(owner, "Rebound-Processed", "ALL", 1).await;
    wire.refuse();
    owner.put("INBOX", &bounce_of(&person(2))).await;
    holds(owner, "Rebound-Processed", "ALL", 2).await;
    wire.resume();
    eventually("what was spooled counts", || app.is_suppressed("person2@example.org")).await;
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_or_falls_silent_is_come_back_to() {
    let (database, mut dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
    let wire = Proxy::before(&format!("imap://127.0.0.1:{}", dovecot.port()));
    let port = wire.url().rsplit(':').next().unwrap().parse().unwrap();
    let behind = MailboxConfig { port, timeout: Duration::from_secs(1), ..mailbox(&dovecot, After::Move) };
    let app = fetching(&database, vec![behind]).await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    let mut owner = holds(owner, "Rebound-Processed", "ALL", 1).await;
    // Nothing tells that it is gone.
    wire.stall();
    eventually("silence is noticed", || async { series(&app, FAILURES, "cause=\"lost\"").await > 0 }).await;
    owner.put("INBOX", &bounce_of(&person(2))).await;
    wire.resume();
    drop(holds(owner, "Rebound-Processed", "ALL", 2).await);
    dovecot.end();
    eventually("nobody answers", || async {
        series(&app, FAILURES, "cause=\"connect\"").await + series(&app, FAILURES, "cause=\"lost\"").await > 2
    })
    .await;
    dovecot.start_again().await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(3))).await;
    holds(owner, "Rebound-Processed", "ALL", 3).await;
    app.stop().await;
}

#[tokio::test]
async fn of_two_replicas_one_fetches_and_the_other_takes_over() {
    let (database, dovecot) = (TestDatabase::postgres().await, OwnDovecot::start().await);
    let visited = "rebound_mailbox_last_success_timestamp_seconds";
    let one = fetching(&database, vec![mailbox(&dovecot, After::Move)]).await;
    eventually("the first fetches", || async { series(&one, visited, "").await > 0 }).await;
    let other = fetching(&database, vec![mailbox(&dovecot, After::Move)]).await;
    let mut owner = dovecot.log_in().await;
    for number in 0..3 {
        owner.put("INBOX", &bounce_of(&person(number))).await;
    }
    let mut owner = holds(owner, "Rebound-Processed", "ALL", 3).await;
    assert_eq!((series(&one, TAKEN, "taken").await, series(&other, TAKEN, "taken").await, series(&other, visited, "").await), (3, 0, 0));
    one.stop().await;
    owner.put("INBOX", &bounce_of(&person(4))).await;
    holds(owner, "Rebound-Processed", "ALL", 4).await;
    assert_eq!(series(&other, TAKEN, "taken").await, 1);
    other.stop().await;
}
