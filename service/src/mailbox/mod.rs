//! Mailboxes that bounces are fetched from by IMAP (RFC 3501, IDLE of RFC 2177, MOVE of RFC 6851). Each folder has a connection and
//! a loop of its own; messages go through the same intake as those that are posted, and what is configured to happen to them
//! afterwards happens once they are durable. A mail in the box is the queue: whatever fails, it stays there and is asked for again.
//!
//! The client is our own over the grammar of `imap-proto`, for the usual one (`async-imap`) takes a refused FETCH or SEARCH for an
//! empty one, gives up the connection for an answer that it cannot read, and quotes mail and passwords in errors and traces.
//!
//! One process per database fetches, by an advisory lock. That saves work and no more: two that fetch the same mail store it once.

mod answer;
mod client;
mod connect;
mod error;
mod folder;
mod name;
mod probe;
mod sweep;
mod token;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::folder::Folder;
use self::token::Tokens;
use crate::clock::Clock;
use crate::config::{Config, MailboxConfig};
use crate::intake::{Intake, Sources};
use crate::store::{ActiveLock, Store};
use crate::telemetry::Telemetry;

pub use self::probe::{Trouble, probe};

/// How often it is looked whether this process is the one that fetches.
const LOOK: Duration = Duration::from_secs(2);
/// Time the database has to say so.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Time that folders have to end what they have begun.
const ENDING: Duration = Duration::from_secs(5);

/// All mailboxes of the configuration.
#[derive(Debug)]
pub struct Mailboxes {
    mailboxes: Vec<Arc<Mailbox>>,
    store: Arc<Store>,
}

/// One account.
#[derive(Debug)]
struct Mailbox {
    config: MailboxConfig,
    tokens: Option<Tokens>,
    intake: Intake,
    sources: Sources,
    telemetry: Arc<Telemetry>,
    clock: Clock,
}

impl Mailboxes {
    /// The mailboxes of a configuration, from which messages go into that intake.
    #[must_use]
    pub fn new(config: &Config, store: Arc<Store>, intake: &Intake, sources: &Sources, telemetry: &Arc<Telemetry>, clock: &Clock) -> Self {
        let mailbox = |it: &MailboxConfig| {
            Arc::new(Mailbox {
                tokens: it.oauth2.as_ref().map(|oauth2| Tokens::new(oauth2, it.timeout)),
                config: it.clone(),
                intake: intake.clone(),
                sources: sources.clone(),
                telemetry: telemetry.clone(),
                clock: clock.clone(),
            })
        };
        Self { mailboxes: config.mailboxes.iter().map(mailbox).collect(), store }
    }

    /// Fetches until told to stop, while no other process does.
    pub async fn run(self, stop: CancellationToken) {
        if self.mailboxes.is_empty() {
            stop.cancelled().await;
            return;
        }
        let mut lock = None;
        while let Some(may_fetch) = stop.run_until_cancelled(self.may_fetch(&mut lock)).await {
            if may_fetch {
                self.fetch(&mut lock, &stop).await;
            } else {
                stop.run_until_cancelled(sleep(LOOK)).await;
            }
        }
    }

    /// Whether no other process fetches, as far as the database can say. While it is away everybody may: the spool takes what
    /// comes, or it stays in the box.
    async fn may_fetch(&self, lock: &mut Option<ActiveLock>) -> bool {
        if let Some(held) = lock
            && timeout(LOCK_PATIENCE, held.holds()).await.unwrap_or(false)
        {
            return true;
        }
        *lock = None;
        match timeout(LOCK_PATIENCE, self.store.mailbox_lock()).await {
            Ok(Ok(taken)) => {
                *lock = taken;
                lock.is_some()
            }
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// Fetches from all folders, until another process does or it is told to stop.
    async fn fetch(&self, lock: &mut Option<ActiveLock>, stop: &CancellationToken) {
        let term = stop.child_token();
        let mut folders = JoinSet::new();
        for mailbox in &self.mailboxes {
            for name in &mailbox.config.folders {
                let folder = Folder { mailbox: mailbox.clone(), name: name.clone() };
                folders.spawn(folder.run(term.clone()));
            }
        }
        let watch = async {
            loop {
                sleep(LOOK).await;
                if !self.may_fetch(lock).await {
                    return;
                }
            }
        };
        let ended = tokio::select! {
            _ = stop.run_until_cancelled(watch) => None,
            ended = folders.join_next() => ended,
        };
        term.cancel();
        // They end only when told to, or by a fault of ours, which must not be overlooked.
        if let Some(Err(error)) = ended
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        // What has not ended then is cut; its messages stay in the box.
        let _ = timeout(ENDING, async { while folders.join_next().await.is_some() {} }).await;
    }
}
