//! The mailboxes that mail is fetched from: whether each lets us in, and has the folders that it is to be fetched from.

use std::time::Duration;

use futures_util::future::join_all;

use super::finding::Finding;
use crate::config::{Config, MailboxConfig};
use crate::mailbox::{Trouble, probe};
use crate::telemetry::MailboxFailure;

const AREA: &str = "mailbox";
/// Time that each has for everything, from the connection to the last of its folders.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at all of them at once.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let found = config.mailboxes.iter().map(|it| async move { told(it, &probe(it, PATIENCE).await) });
    join_all(found).await.into_iter().flatten().collect()
}

fn told(mailbox: &MailboxConfig, troubles: &[Trouble]) -> Vec<Finding> {
    if troubles.is_empty() {
        let folders = mailbox.folders.join(", ");
        return vec![Finding::ok(AREA, format!("{}: lets us in, and {folders} can be read", mailbox.name))];
    }
    troubles.iter().map(|it| wrong(&mailbox.name, it)).collect()
}

fn wrong(name: &str, trouble: &Trouble) -> Finding {
    let what = match &trouble.folder {
        Some(folder) => format!("{name}: {folder}: {}", trouble.what),
        None => format!("{name}: {}", trouble.what),
    };
    match trouble.cause {
        MailboxFailure::Connect => {
            Finding::away(AREA, what, "do host and port hold, and may this machine connect there? What is in the box stays there meanwhile")
        }
        MailboxFailure::Lost | MailboxFailure::Intake => {
            Finding::away(AREA, what, "does that port speak IMAP, and tls as configured (993 is implicit, 143 starttls)?")
        }
        MailboxFailure::Tls => {
            Finding::broken(AREA, what, "is host the name in the server's certificate, and is its authority known here (ca_file)?")
        }
        MailboxFailure::Token => Finding::broken(
            AREA,
            what,
            "do token_url, client_id and the secrets of [mailbox.oauth2] hold? A refresh token ends when its user takes it back",
        ),
        MailboxFailure::Login => Finding::broken(
            AREA,
            what,
            "do user and password hold, and may this account use IMAP? Some providers want a password made for the application, or OAuth: \
             docs/mailboxes.md",
        ),
        MailboxFailure::Refused => {
            Finding::broken(AREA, what, "correct folders: write the name as the server has it, with its separators (\"INBOX.Bounces\")")
        }
    }
}
