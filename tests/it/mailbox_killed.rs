//! The real program, killed in the midst of a mailbox again and again, loses nothing of it.

use harness::{Installation, OwnDovecot, TestDatabase, eventually};

use crate::mailbox_fixture::{bounce_of, holds, person};

const MESSAGES: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_midst_of_a_mailbox_it_loses_nothing() {
    let (database, dovecot) = (TestDatabase::postgres().await, OwnDovecot::start().await);
    let mut owner = dovecot.log_in().await;
    for number in 0..MESSAGES {
        owner.put("INBOX", &bounce_of(&person(number))).await;
    }
    let mailbox = format!(
        "[{{ name = \"box\", host = \"127.0.0.1\", port = {}, tls = \"none\", user = \"box\", password = \"sesame\", source = \"bounces\", \
         after = \"delete\", backoff_min = \"20ms\" }}]",
        dovecot.port()
    );
    let installation = Installation::on(database.url()).with("MAILBOX", &mailbox).with("SPOOL__ENABLED", "false");
    let mut replica = installation.serve().await;
    for part in [MESSAGES / 3, MESSAGES / 3 * 2] {
        let shared = tokio::sync::Mutex::new(&mut owner);
        eventually("a part is gone", || async { shared.lock().await.count("INBOX", "ALL").await <= MESSAGES - part }).await;
        replica.kill();
        replica.start_again().await;
    }
    holds(owner, "INBOX", "ALL", 0).await;
    let everybody: Vec<String> = (0..MESSAGES).map(person).collect();
    let mut asked = vec!["check", "--list", "acme.weekly", "--format", "json"];
    asked.extend(everybody.iter().map(String::as_str));
    let answer = installation.command(&asked).output().unwrap();
    let suppressed = String::from_utf8_lossy(&answer.stdout).lines().filter(|it| it.contains("\"suppressed\":true")).count();
    assert_eq!(suppressed, MESSAGES, "{}", String::from_utf8_lossy(&answer.stderr));
}
