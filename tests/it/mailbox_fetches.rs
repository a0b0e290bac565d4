//! Messages in a mailbox of a real Dovecot are taken in, and what is configured happens to them afterwards.

use std::time::Duration;

use harness::{OwnDovecot, TestDatabase, eventually};
use service::config::{After, MailboxConfig, Size};

use crate::mailbox_fixture::{bounce_of, fetching, holds, mailbox, person, series};

#[tokio::test]
async fn messages_are_taken_in_and_moved_flagged_or_deleted() {
    for after in [After::Move, After::Flag, After::Delete] {
        let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
        let mut owner = dovecot.log_in().await;
        for number in 0..3 {
            owner.put("INBOX", &bounce_of(&person(number))).await;
        }
        owner.put("INBOX", b"Subject: lunch\r\n\r\nAt noon?\r\n").await;
        let app = fetching(&database, vec![mailbox(&dovecot, after)]).await;
        let (folder, query, left) = match after {
            After::Move => ("Rebound-Processed", "ALL", 0),
            After::Flag => ("INBOX", "KEYWORD $ReboundProcessed", 4),
            After::Delete => ("INBOX", "ALL", 0),
        };
        let mut owner = holds(owner, folder, query, if after == After::Delete { 0 } else { 4 }).await;
        assert_eq!(owner.count("INBOX", "ALL").await, left, "{after:?}");
        assert_eq!(owner.count(folder, "SEEN").await, 0, "{after:?}: they stay unread for their owner");
        for number in 0..3 {
            assert!(app.is_suppressed(&person(number)).await, "{after:?}");
        }
        assert_eq!(series(&app, "rebound_mailbox_messages_total", "taken").await, 4);
        assert!(series(&app, "rebound_mailbox_last_success_timestamp_seconds", "").await > 0);
        app.stop().await;
    }
}

#[tokio::test]
async fn the_server_tells_of_a_message_that_comes_later() {
    let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
    // Nobody would look again within the time of this test.
    let waits = MailboxConfig { poll_interval: Duration::from_mins(20), ..mailbox(&dovecot, After::Move) };
    let app = fetching(&database, vec![waits]).await;
    let mut owner = dovecot.log_in().await;
    for number in 0..3 {
        owner.put("INBOX", &bounce_of(&person(number))).await;
        owner = holds(owner, "Rebound-Processed", "ALL", number + 1).await;
    }
    assert_eq!(series(&app, "rebound_mailbox_failures_total", "").await, 0);
    app.stop().await;
}

#[tokio::test]
async fn a_server_that_can_little_is_polled_and_copied_from() {
    let dovecot = OwnDovecot::start_with("imap_capability = IMAP4rev1 AUTH=PLAIN\n", &[]).await;
    let database = TestDatabase::sqlite();
    let app = fetching(&database, vec![mailbox(&dovecot, After::Move)]).await;
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    let mut owner = holds(owner, "Rebound-Processed", "ALL", 1).await;
    assert_eq!((owner.count("INBOX", "ALL").await, owner.count("INBOX", "UNDELETED").await), (1, 0), "without UIDPLUS it stays, marked");
    app.stop().await;
}

#[tokio::test]
async fn several_folders_are_looked_at_and_their_names_may_be_anything() {
    let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
    let mut owner = dovecot.log_in().await;
    owner.run("CREATE R&APw-cklauf").await;
    owner.put("R&APw-cklauf", &bounce_of(&person(1))).await;
    owner.put("INBOX", &bounce_of(&person(2))).await;
    let folders = vec!["INBOX".to_owned(), "R\u{fc}cklauf".to_owned()];
    let app = fetching(&database, vec![MailboxConfig { folders, ..mailbox(&dovecot, After::Move) }]).await;
    holds(owner, "Rebound-Processed", "ALL", 2).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_flagged_is_not_taken_again_after_a_restart() {
    let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
    let mut owner = dovecot.log_in().await;
    owner.put("INBOX", &bounce_of(&person(1))).await;
    let app = fetching(&database, vec![mailbox(&dovecot, After::Flag)]).await;
    let mut owner = holds(owner, "INBOX", "KEYWORD $ReboundProcessed", 1).await;
    app.stop().await;
    let app = fetching(&database, vec![mailbox(&dovecot, After::Flag)]).await;
    owner.put("INBOX", &bounce_of(&person(2))).await;
    holds(owner, "INBOX", "KEYWORD $ReboundProcessed", 2).await;
    assert_eq!(series(&app, "rebound_mailbox_messages_total", "taken").await, 1, "the second alone");
    app.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_set_aside_and_costs_the_others_nothing() {
    for after in [After::Move, After::Flag, After::Delete] {
        let (database, dovecot) = (TestDatabase::sqlite(), OwnDovecot::start().await);
        let mut owner = dovecot.log_in().await;
        owner.put("INBOX", &[b"Subject: large\r\n\r\n".to_vec(), b"x".repeat(20_000)].concat()).await;
        owner.put("INBOX", &bounce_of(&person(1))).await;
        let small = MailboxConfig { max_size: Size(16 * 1024), ..mailbox(&dovecot, after) };
        let app = fetching(&database, vec![small]).await;
        eventually("the bounce counts", || app.is_suppressed("person1@example.org")).await;
        match after {
            After::Move => holds(owner, "Rebound-Failed", "ALL", 1).await,
            After::Flag | After::Delete => holds(owner, "INBOX", "KEYWORD $ReboundFailed", 1).await,
        };
        assert_eq!(series(&app, "rebound_mailbox_messages_total", "too_large").await, 1, "{after:?}: told once");
        app.stop().await;
    }
}
