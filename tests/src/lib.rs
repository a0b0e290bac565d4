//! The harness of the end-to-end tests: databases, brokers and wires that a test can have for itself and cut at will.
//!
//! A test reads from outside in: it takes a [`TestDatabase`] and a [`TestBroker`], puts a [`Proxy`] before either where it wants
//! to see an outage, and waits with [`eventually`] and never by the clock. The servers themselves are started by `tests/run`;
//! without them a test that needs one fails and says so, for a test that skips itself is a test that cannot fail.
#![allow(clippy::missing_panics_doc, reason = "a harness that cannot do its part fails the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "as above: its panics are the reports of the tests")]

mod app;
mod balancer;
mod broker;
mod database;
mod dovecot;
mod ledger;
mod program;
mod prometheus;
mod opened;
mod own;
mod postfix;
mod postgres;
mod proxy;
mod rabbitmq;
mod refuser;
mod replica;
mod visitor;
mod wait;

pub use app::{CERTIFICATE_URL, Plan, TOPIC, TestApp, yesterday};
pub use balancer::{Answer, Balancer};
pub use broker::{Published, TestBroker};
pub use database::TestDatabase;
pub use dovecot::{OwnDovecot, TestBox};
pub use ledger::{Fate, Ledger, Load};
pub use opened::{store_at, store_on};
pub use postfix::OwnPostfix;
pub use postgres::{End, OwnPostgres};
pub use program::rebound;
pub use prometheus::{OwnPrometheus, deploy};
pub use proxy::Proxy;
pub use rabbitmq::OwnRabbitMq;
pub use refuser::Refuser;
pub use replica::{Installation, Replica};
pub use visitor::{Sight, Visitor};
pub use wait::{eventually, eventually_some, free_port};

/// The address of a server that `tests/run` started, or that whoever runs the tests named.
fn server(variable: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the servers of the tests are no part of the service's configuration")]
    match std::env::var(variable) {
        Ok(url) if !url.is_empty() => url,
        _ => panic!("{variable} is not set: run the tests by tests/run, which starts the servers, or name a server of yours"),
    }
}

/// The log of the PostgreSQL that `tests/run` started; none of a server that somebody else runs.
fn postgres_log() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the servers of the tests are no part of the service's configuration")]
    std::env::var("REBOUND_TEST_POSTGRES_LOG").ok().filter(|it| !it.is_empty())
}

/// How often a test is to try its luck: a few times, or many when `tests/run --soak` asks for it.
#[must_use]
pub fn rounds(few: usize, many: usize) -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long the tests may take is no part of the service's configuration")]
    let soak = std::env::var("REBOUND_TEST_SOAK").is_ok_and(|it| it == "1");
    if soak { many } else { few }
}

/// A name that no other test has, now or in another run.
fn unique_name(prefix: &str) -> String {
    format!("{prefix}_{}", uuid::Uuid::now_v7().simple())
}

/// Runs a future from where there is none to await it: in `drop`, on a thread and a runtime of its own, to its end.
///
/// Gives back whether it came to its end without a panic.
fn finish(work: impl Future<Output = ()> + Send + 'static) -> bool {
    let thread = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime of one thread").block_on(work);
    });
    thread.join().is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "run the tests by tests/run")]
    fn a_test_without_its_server_fails_and_says_why() {
        super::server("REBOUND_TEST_NO_SUCH_SERVER");
    }
}
