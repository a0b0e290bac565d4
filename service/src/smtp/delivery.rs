//! From a message to the intake, the same way as any other: what is answered 250 is committed, or in the spool while the database
//! is away.

use bounce::kind::Attribution;

use crate::clock::Clock;
use crate::intake::{Arrival, Intake, IntakeError, Sources};
use crate::smtp::mail::Mail;
use crate::smtp::session::Fate;
use crate::telemetry::{MailProtocol, Refused, SmtpRefused, Telemetry};
use std::sync::Arc;

/// Where messages go.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The way in.
    pub intake: Intake,
    /// Who gets them.
    pub sources: Sources,
    /// Counts and logs.
    pub telemetry: Arc<Telemetry>,
    /// Tells when they came.
    pub clock: Clock,
}

impl Delivery {
    /// Hands a message to the sources of its recipients, and says for each recipient what became of it.
    pub(super) async fn deliver(&self, protocol: MailProtocol, mail: &Mail) -> Vec<Fate> {
        let mut fates = vec![Fate::Unavailable; mail.recipients.len()];
        for share in mail.shares() {
            let fate = self.hand_in(&share.source, mail.bytes_of(&share)).await;
            for number in share.recipients {
                if let Some(it) = fates.get_mut(number) {
                    *it = fate;
                }
            }
        }
        match fates.iter().find(|it| **it != Fate::Durable) {
            None => self.telemetry.smtp_accepted(protocol, mail.text.len()),
            Some(Fate::Full) => self.telemetry.smtp_refused(protocol, SmtpRefused::Full),
            Some(_) => self.telemetry.smtp_refused(protocol, SmtpRefused::Unavailable),
        }
        fates
    }

    /// Whoever delivers proves nothing about who wrote the message; only a token in it does.
    async fn hand_in(&self, source: &str, bytes: Vec<u8>) -> Fate {
        let Some(source) = self.sources.get(source) else { return Fate::Unavailable };
        let (name, received_at) = (source.name.clone(), self.clock.now());
        let arrival = Arrival {
            source,
            media_type: "message/rfc822".to_owned(),
            bytes: bytes.into(),
            attribution: Attribution::Unattributed,
            received_at,
            tokens: Vec::new(),
            list: None,
        };
        let (fate, why) = match self.intake.accept(arrival).await {
            Ok(_) => {
                self.telemetry.post_taken(&name, received_at);
                return Fate::Durable;
            }
            Err(IntakeError::Full(_)) => (Fate::Full, Refused::Busy),
            Err(_) => (Fate::Unavailable, Refused::Unavailable),
        };
        self.telemetry.receipt_refused(&name, why);
        fate
    }
}
