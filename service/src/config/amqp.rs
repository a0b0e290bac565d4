//! The broker: where events are published and how patiently.

use std::time::Duration;

use super::problem::Checks;
use super::read::section;
use super::values::SecretUrl;

section! {
    /// `[amqp]`: `RabbitMQ`. Without a URL nothing is published and events stay readable in the feed.
    pub struct AmqpConfig {
        /// `amqp://…` or `amqps://…`.
        pub url: Option<SecretUrl> = None,
        /// Topic exchange that messages are published to.
        pub exchange: String = "rebound".to_owned(),
        /// Queue bound to everything, so that nothing is unroutable on the first day; empty for none.
        pub queue: Option<String> = Some("rebound.events".to_owned()),
        /// Whether exchange and queue are declared on connecting.
        pub declare: bool = true,
        /// Time to connect.
        pub connect_timeout: Duration = Duration::from_secs(10),
        /// Time to hand one message to the broker.
        pub publish_timeout: Duration = Duration::from_secs(10),
        /// Time the broker has to confirm one message.
        pub confirm_timeout: Duration = Duration::from_secs(10),
        /// Messages published and not yet confirmed.
        pub in_flight: usize = 200,
        /// Messages read from the outbox at once.
        pub batch: usize = 500,
        /// How often the outbox is looked at if nobody says that there is something.
        pub poll_interval: Duration = Duration::from_secs(2),
        /// First wait after a failure; doubled each time.
        pub backoff_min: Duration = Duration::from_millis(200),
        /// Longest wait after a failure.
        pub backoff_max: Duration = Duration::from_secs(30),
    }
}

impl AmqpConfig {
    /// Values for tests: no broker, and little patience where one is set.
    #[must_use]
    pub fn for_testing() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            publish_timeout: Duration::from_secs(2),
            confirm_timeout: Duration::from_secs(2),
            poll_interval: Duration::from_millis(100),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_millis(500),
            ..Self::default()
        }
    }

    pub(super) fn validate(&self, checks: &mut Checks) {
        if let Some(url) = &self.url
            && !matches!(url.scheme().as_str(), "amqp" | "amqps")
        {
            checks.problem(
                "amqp.url",
                Some(format!("\"{url}\"")),
                "is not the URL of an AMQP broker",
                "write amqp://user:password@host:5672/%2f, or amqps://… for TLS",
            );
        }
        for (key, name) in [("amqp.exchange", Some(&self.exchange)), ("amqp.queue", self.queue.as_ref())] {
            if name.is_some_and(|it| it.len() > 255) {
                checks.problem(key, None, "is longer than the 255 octets that AMQP allows", "write a shorter name");
            }
        }
        checks.positive("amqp.connect_timeout", self.connect_timeout);
        checks.positive("amqp.publish_timeout", self.publish_timeout);
        checks.positive("amqp.confirm_timeout", self.confirm_timeout);
        checks.within("amqp.in_flight", self.in_flight, 1..=10_000);
        checks.within("amqp.batch", self.batch, 1..=10_000);
        checks.positive("amqp.poll_interval", self.poll_interval);
        checks.positive("amqp.backoff_min", self.backoff_min);
        checks.at_most("amqp.backoff_min", self.backoff_min, self.backoff_max, "amqp.backoff_max");
    }
}
