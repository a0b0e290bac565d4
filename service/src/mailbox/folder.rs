//! The loop of one folder: connect, work through what is there, wait for more; after a failure wait longer each time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Mailbox;
use super::client::{Client, Idle, Selected};
use super::connect::connect;
use super::error::MailboxError;
use super::sweep::{Memory, Seen, Sweep};
use crate::config::After;
use crate::outbox::Backoff;

/// Without IDLE a connection is kept open over waits up to this; for longer ones it is made anew.
const KEPT: Duration = Duration::from_mins(5);
/// Octets that an answer may quote beyond a message and its share of a batch: headers of other commands.
const QUOTED: usize = 16 << 20;
/// Time for parting.
const PARTING: Duration = Duration::from_secs(1);

/// One folder of a mailbox.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) name: String,
}

/// How a session ended without a failure.
enum Ended {
    Stopped,
    /// The next one is to begin.
    Again,
}

impl Folder {
    /// Works until told to stop. Whatever fails is told and tried again.
    pub(super) async fn run(self, stop: CancellationToken) {
        let config = &self.mailbox.config;
        let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
        let mut memory = Memory::default();
        loop {
            match self.session(&mut memory, &mut backoff, &stop).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Again) => {}
                Err(error) => {
                    self.mailbox.telemetry.mailbox_failed(&config.name, error.cause(), &error);
                    if stop.run_until_cancelled(sleep(backoff.next_wait())).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn session(&self, memory: &mut Memory, backoff: &mut Backoff, stop: &CancellationToken) -> Result<Ended, MailboxError> {
        let config = &self.mailbox.config;
        let opening = async {
            let mut client = connect(config, self.mailbox.tokens.as_ref(), config.max_size.bytes() + QUOTED).await?;
            let folder = self.open(&mut client).await?;
            Ok((client, folder))
        };
        let Some(opened) = stop.run_until_cancelled(opening).await else { return Ok(Ended::Stopped) };
        let (mut client, folder) = opened?;
        memory.begin(folder.validity);
        self.mailbox.telemetry.mailbox_opened(&config.name, &self.name);
        loop {
            let sweep = Sweep { mailbox: &self.mailbox, client: &mut client, folder: &folder, memory, stop, seen: Seen::default() };
            sweep.run().await?;
            if stop.is_cancelled() {
                return part(client, Ended::Stopped).await;
            }
            self.mailbox.telemetry.mailbox_visited(&config.name, self.mailbox.clock.now());
            backoff.reset();
            if client.has_news() {
                continue;
            }
            if config.idle && client.can("IDLE").await? {
                match client.idle(config.poll_interval, stop).await? {
                    Idle::Over if stop.is_cancelled() => return part(client, Ended::Stopped).await,
                    Idle::News | Idle::Over => {}
                }
            } else if config.poll_interval > KEPT {
                let ended = part(client, Ended::Again).await;
                return if stop.run_until_cancelled(sleep(config.poll_interval)).await.is_none() { Ok(Ended::Stopped) } else { ended };
            } else if stop.run_until_cancelled(sleep(config.poll_interval)).await.is_none() {
                return part(client, Ended::Stopped).await;
            }
        }
    }

    /// Opens the folder, if messages in it can be marked as configured.
    async fn open(&self, client: &mut Client) -> Result<Selected, MailboxError> {
        let config = &self.mailbox.config;
        if config.after == After::Move {
            client.ensure_folder(&config.move_to).await?;
            client.ensure_folder(&config.failed_to).await?;
        }
        let folder = client.select(&self.name).await?;
        if folder.is_read_only() {
            return Err(MailboxError::ReadOnly);
        }
        if config.after == After::Flag && !(folder.keeps(&config.keyword) && folder.keeps(&config.failed_keyword)) {
            return Err(MailboxError::NoKeyword);
        }
        Ok(folder)
    }
}

async fn part(client: Client, ended: Ended) -> Result<Ended, MailboxError> {
    // A server that does not say good-bye is left without.
    let _ = tokio::time::timeout(PARTING, client.logout()).await;
    Ok(ended)
}
