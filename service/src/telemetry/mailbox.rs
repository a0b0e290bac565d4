//! What is told about mailboxes. Names of mailboxes and folders are the operator's own; messages are told apart by the numbers that
//! their server gave them.

use std::error::Error;

use time::OffsetDateTime;
use tracing::{error, info, warn};

use super::{MailboxFailure, Polled, Telemetry, chain};

impl Telemetry {
    /// Series of these mailboxes start at zero.
    pub fn watch_mailboxes<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            self.metrics.mail.mailbox_visited.with_label_values(&[name]);
            for outcome in Polled::ALL {
                self.metrics.mail.mailbox_messages.with_label_values(&[name, outcome.as_str()]);
            }
            for cause in MailboxFailure::ALL {
                self.metrics.mail.mailbox_failures.with_label_values(&[name, cause.as_str()]);
            }
        }
    }

    /// A folder of a mailbox is open.
    pub fn mailbox_opened(&self, mailbox: &str, folder: &str) {
        info!(target: "rebound::mailbox", mailbox, folder, "mailbox open");
    }

    /// A folder of a mailbox was worked through.
    pub fn mailbox_visited(&self, mailbox: &str, at: OffsetDateTime) {
        self.metrics.mail.mailbox_visited.with_label_values(&[mailbox]).set(at.unix_timestamp());
    }

    /// So many messages of a mailbox are durable. Each has a line of its own as a receipt.
    pub fn mailbox_taken(&self, mailbox: &str, count: usize) {
        self.metrics.mail.mailbox_messages.with_label_values(&[mailbox, Polled::Taken.as_str()]).inc_by(count as u64);
    }

    /// A message of a mailbox is set aside there.
    pub fn mailbox_message_failed(&self, mailbox: &str, uid: u32, validity: u32, why: Polled) {
        self.metrics.mail.mailbox_messages.with_label_values(&[mailbox, why.as_str()]).inc();
        warn!(target: "rebound::mailbox", mailbox, uid, validity, why = why.as_str(), "message of a mailbox set aside");
    }

    /// A mailbox could not be worked on; it is tried again.
    pub fn mailbox_failed(&self, mailbox: &str, why: MailboxFailure, cause: &dyn Error) {
        self.metrics.mail.mailbox_failures.with_label_values(&[mailbox, why.as_str()]).inc();
        error!(target: "rebound::mailbox", mailbox, cause = why.as_str(), error = chain(cause), "mailbox failed; it is tried again");
    }
}
