//! What the tests of mailboxes share: a server, a service that fetches from it, and messages.

use std::time::Duration;

use harness::{OwnDovecot, Plan, TestApp, TestBox, TestDatabase, eventually};
use service::config::{After, MailboxConfig, MailboxTls, RotatingSecret};

/// Has no date, so what it says happened when it came in.
pub(crate) const DSN: &str = include_str!("../../docs/bounce.eml");

/// A bounce about somebody.
pub(crate) fn bounce_of(address: &str) -> Vec<u8> {
    DSN.replace("jane@corp.example", address).replace('\n', "\r\n").into_bytes()
}

/// The address of somebody who is gone.
pub(crate) fn person(number: usize) -> String {
    format!("person{number}@example.org")
}

/// The account of a server as a mailbox, with the patience of tests.
pub(crate) fn mailbox(dovecot: &OwnDovecot, after: After) -> MailboxConfig {
    MailboxConfig {
        port: dovecot.port(),
        tls: MailboxTls::None,
        password: Some(RotatingSecret::new(OwnDovecot::PASSWORD)),
        after,
        poll_interval: Duration::from_millis(200),
        timeout: Duration::from_secs(10),
        backoff_min: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        ..MailboxConfig::new("box", "127.0.0.1", OwnDovecot::USER, "bounces")
    }
}

/// A service that fetches from these mailboxes.
pub(crate) async fn fetching(database: &TestDatabase, mailboxes: Vec<MailboxConfig>) -> TestApp {
    Plan::on(database.url()).with(|config| config.mailboxes = mailboxes).start().await
}

/// Waits until so many messages of a folder fit a query.
pub(crate) async fn holds(mut owner: TestBox, folder: &str, query: &str, count: usize) -> TestBox {
    let shared = tokio::sync::Mutex::new(&mut owner);
    eventually(&format!("{folder} holds {count} messages that are {query}"), || async {
        shared.lock().await.count(folder, query).await == count
    })
    .await;
    owner
}

/// The value of a series of the mailbox `box` and one label more.
pub(crate) async fn series(app: &TestApp, name: &str, label: &str) -> u64 {
    let page = app.metrics().await;
    let line = page.lines().find(|it| it.starts_with(name) && it.contains("mailbox=\"box\"") && it.contains(label));
    line.and_then(|it| it.rsplit(' ').next()).and_then(|it| it.parse().ok()).unwrap_or_default()
}
