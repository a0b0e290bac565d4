//! What the SMTP and LMTP edge tells. Who connects is not told: an address of the network may be a person's.

use std::fmt;

use tracing::{debug, info};

use super::{MailProtocol, SmtpRefused, Telemetry};

impl Telemetry {
    /// The edge listens somewhere.
    pub fn smtp_listens(&self, protocol: MailProtocol, endpoint: &dyn fmt::Display) {
        info!(target: "rebound::smtp", protocol = protocol.as_str(), %endpoint, "listening for mail");
    }

    /// A connection was taken.
    pub fn smtp_opened(&self, protocol: MailProtocol) {
        self.metrics.mail.smtp_sessions.with_label_values(&[protocol.as_str()]).inc();
        self.metrics.mail.smtp_open.with_label_values(&[protocol.as_str()]).inc();
    }

    /// It has ended.
    pub fn smtp_closed(&self, protocol: MailProtocol) {
        self.metrics.mail.smtp_open.with_label_values(&[protocol.as_str()]).dec();
    }

    /// A message is durable for all its recipients.
    pub fn smtp_accepted(&self, protocol: MailProtocol, bytes: usize) {
        self.metrics.mail.smtp_messages.with_label_values(&[protocol.as_str()]).inc();
        self.metrics.mail.smtp_bytes.with_label_values(&[protocol.as_str()]).inc_by(bytes as u64);
        info!(target: "rebound::smtp", protocol = protocol.as_str(), bytes, "message taken");
    }

    /// Something was refused. Strangers decide how often, so it is counted and written only where one asks for it.
    pub fn smtp_refused(&self, protocol: MailProtocol, why: SmtpRefused) {
        self.metrics.mail.smtp_refused.with_label_values(&[protocol.as_str(), why.as_str()]).inc();
        debug!(target: "rebound::smtp", protocol = protocol.as_str(), why = why.as_str(), "refused");
    }

    pub(super) fn start_smtp_at_zero(&self) {
        for protocol in MailProtocol::ALL {
            self.metrics.mail.smtp_sessions.with_label_values(&[protocol.as_str()]);
            self.metrics.mail.smtp_open.with_label_values(&[protocol.as_str()]);
            self.metrics.mail.smtp_messages.with_label_values(&[protocol.as_str()]);
            self.metrics.mail.smtp_bytes.with_label_values(&[protocol.as_str()]);
            for why in SmtpRefused::ALL {
                self.metrics.mail.smtp_refused.with_label_values(&[protocol.as_str(), why.as_str()]);
            }
        }
    }
}
