//! `rebound doctor`: looks at everything that the service needs, changes nothing, and says of each what is wrong with it and what
//! to do. One file for each thing that is looked at.

mod broker;
mod certificates;
mod configuration;
mod credentials;
mod database;
mod finding;
mod mail;
mod mailboxes;
mod ports;
mod spool;

use std::io::Write as _;
use std::path::Path;

use anstyle::Style;
use serde::Serialize;

use self::finding::{Finding, Health};
use crate::cli::page::{BAD, DIM, GOOD, WARN, plain, stdout, styled, wrap};
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;

/// Looks for what is wrong: configuration, database, broker, ports, certificates, mail, mailboxes, clock, spool, credentials.
///
/// Changes nothing. Run it where the service runs, as its user and with its environment.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code, by the worst finding: 0 nothing is broken (warnings included); 1 something is broken; 75 the database, the \
broker or a mailbox does not answer; 78 the configuration cannot be used.

Examples:
  rebound doctor
  rebound --config /etc/rebound/rebound.toml doctor
  rebound doctor --format json | jq '.findings[] | select(.remedy)'"
)]
pub(super) struct Args {
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// What is printed for programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    worst: Health,
    findings: &'a [Finding],
}

/// Looks, and tells.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let findings = setup::block_on(async { Ok(look(config).await) })?;
    let worst = findings.iter().map(|it| it.health).max().unwrap_or(Health::Ok);
    match args.format {
        Output::Json => writeln!(stdout(), "{}", serde_json::to_string_pretty(&Report { worst, findings: &findings })?)?,
        // Colours go to a terminal only.
        Output::Text => stdout().write_all(text(&findings).as_bytes())?,
    }
    Ok(worst.exit())
}

async fn look(config: Option<&Path>) -> Vec<Finding> {
    let (mut findings, config) = configuration::look(config);
    let Some(config) = config else {
        findings.push(Finding::skipped("everything else", "nothing can be said of it without a configuration"));
        return findings;
    };
    let now = Clock::system().now();
    findings.extend(database::look(&config, now).await);
    findings.extend(broker::look(&config.amqp).await);
    findings.push(ports::look(&config.http).await);
    findings.extend(certificates::look(&config, now));
    findings.extend(mail::look(&config).await);
    findings.extend(mailboxes::look(&config).await);
    findings.extend(spool::look(&config.spool));
    findings.extend(credentials::look(&config));
    findings
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|it| it.area.len()).max().unwrap_or_default();
    let mut out = String::new();
    for it in findings {
        let lead = format!("{}  {:width$}  ", styled(style(it.health), &format!("{:8}", it.health.as_str())), it.area);
        wrap(&mut out, &lead, width + 12, &plain(&it.what));
        if let Some(remedy) = &it.remedy {
            wrap(&mut out, &format!("{:1$}", "", width + 12), width + 12, &format!("→ {}", plain(remedy)));
        }
    }
    out
}

const fn style(health: Health) -> Style {
    match health {
        Health::Ok => GOOD,
        Health::Skipped => DIM,
        Health::Warning => WARN,
        Health::Broken | Health::Away | Health::Unusable => BAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_has_its_remedy_below() {
        let findings = [Finding::ok("pepper", "is that of the database"), Finding::away("broker", "is not there", "start it")];
        let text = anstream::adapter::strip_str(&text(&findings)).to_string();
        assert_eq!(text, "ok        pepper  is that of the database\naway      broker  is not there\n                  → start it\n");
    }
}
