//! The broker: whether it lets us in, and has what is published to.

use super::finding::Finding;
use crate::config::AmqpConfig;
use crate::outbox::{Broker, Declared, probe};
use crate::telemetry::chain;

const AREA: &str = "broker";

/// Looks at it, if there is one.
pub(super) async fn look(config: &AmqpConfig) -> Vec<Finding> {
    let Some(url) = &config.url else {
        return vec![Finding::skipped(AREA, "none is configured (amqp.url): the feeds are read over HTTP")];
    };
    match probe(url, config).await {
        Ok(found) => told(found, config),
        Err(error) => vec![Finding::away(
            AREA,
            chain(&error),
            "is RabbitMQ running, and do host, port, user, password and virtual host of amqp.url hold? Intake and checks go on without it",
        )],
    }
}

fn told(found: Broker, config: &AmqpConfig) -> Vec<Finding> {
    let mut findings = vec![Finding::ok(AREA, "lets us in")];
    findings.push(declared("exchange", &config.exchange, found.exchange, config));
    if let (Some(name), Some(queue)) = (&config.queue, found.queue) {
        findings.push(declared("queue", name, queue, config));
    }
    if found.is_blocked {
        findings.push(Finding::broken(
            AREA,
            "lets nobody publish: its alarm of memory or disk is on",
            "free its disk, or have its queues consumed; `rabbitmq-diagnostics alarms` says which",
        ));
    }
    findings
}

fn declared(area: &'static str, name: &str, found: Declared, config: &AmqpConfig) -> Finding {
    match (found, config.declare) {
        (Declared::There, _) => Finding::ok(area, format!("{name} is there")),
        (Declared::Missing, true) => Finding::ok(area, format!("{name} is not there yet; the service declares it")),
        (Declared::Missing, false) => {
            Finding::broken(area, format!("{name} is not there, and amqp.declare is off"), format!("declare it, or correct amqp.{area}"))
        }
        (Declared::Forbidden, _) => Finding::warning(
            area,
            format!("{name} may not be looked at"),
            "grant the user of amqp.url the right to configure, write and read it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    #[test]
    fn what_nobody_will_declare_is_broken() {
        let config = AmqpConfig { declare: false, ..AmqpConfig::default() };
        let found = Broker { exchange: Declared::Missing, queue: Some(Declared::There), is_blocked: true };
        let health: Vec<_> = told(found, &config).iter().map(|it| it.health).collect();
        assert_eq!(health, [Health::Ok, Health::Broken, Health::Ok, Health::Broken]);
        assert_eq!(declared("queue", "q", Declared::Missing, &AmqpConfig::default()).health, Health::Ok);
    }
}
