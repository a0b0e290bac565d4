//! A look at a mailbox from outside the service: logs in and opens each folder for reading, so that nothing in it changes.

use std::time::Duration;

use tokio::time::timeout;

use super::connect::connect;
use super::error::MailboxError;
use super::token::Tokens;
use crate::config::MailboxConfig;
use crate::telemetry::{MailboxFailure, chain};

/// Octets of an answer: no message is asked for.
const ANSWER: usize = 1 << 20;

/// What is wrong with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The folder, if it is one of them.
    pub folder: Option<String>,
    /// The kind of thing.
    pub cause: MailboxFailure,
    /// What was told, with all causes.
    pub what: String,
}

/// Looks at a mailbox for so long at most; nothing is wrong if nothing is found.
pub async fn probe(config: &MailboxConfig, patience: Duration) -> Vec<Trouble> {
    let config = MailboxConfig { timeout: config.timeout.min(patience), ..config.clone() };
    let all = |error: &MailboxError| vec![Trouble { folder: None, cause: error.cause(), what: chain(error) }];
    match timeout(patience, look(&config)).await {
        Ok(Ok(troubles)) => troubles,
        Ok(Err(error)) => all(&error),
        Err(_) => all(&MailboxError::Silent(patience)),
    }
}

async fn look(config: &MailboxConfig) -> Result<Vec<Trouble>, MailboxError> {
    let tokens = config.oauth2.as_ref().map(|it| Tokens::new(it, config.timeout));
    let mut client = connect(config, tokens.as_ref(), ANSWER).await?;
    let mut troubles = Vec::new();
    for folder in &config.folders {
        match client.examine(folder).await {
            Ok(()) => {}
            Err(error) if error.is_refusal() => {
                troubles.push(Trouble { folder: Some(folder.clone()), cause: error.cause(), what: chain(&error) });
            }
            Err(error) => return Err(error),
        }
    }
    client.logout().await;
    Ok(troubles)
}
