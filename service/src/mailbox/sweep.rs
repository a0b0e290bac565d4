//! One pass over a folder: what is new is fetched, taken in, and only then marked as done. A message that cannot be fetched or is
//! too large is told of and marked as failed, and never keeps the others waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bounce::kind::Attribution;
use bytes::Bytes;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::Mailbox;
use super::client::{Client, Selected};
use super::error::MailboxError;
use crate::config::After;
use crate::intake::{Arrival, IntakeError};
use crate::store::ReceiptState;
use crate::telemetry::Polled;

/// Messages whose sizes are asked for at once.
const SIZED: usize = 500;
/// Messages that are fetched and taken in together, and their octets; a larger one comes alone.
const TOGETHER: usize = 64;
const TOGETHER_BYTES: usize = 8 << 20;
/// A message may be twice as large as the server says, and so much more, before it has to come alone.
const SLACK: usize = 64 * 1024;
/// How often a message is asked for over which the connection broke.
const TRIES: u32 = 3;

/// What is known of a folder from one connection to the next, and holds while its UIDVALIDITY does.
#[derive(Debug, Default)]
pub(super) struct Memory {
    validity: u32,
    /// Messages that were asked for when the connection broke, or refused while others were not, and how often.
    broke: BTreeMap<u32, u32>,
    /// Durable, but the server would not mark them.
    done: BTreeSet<u32>,
    /// As above, of those that failed.
    failed: BTreeSet<u32>,
}

impl Memory {
    /// Forgets everything if the numbers of messages are others now.
    pub(super) fn begin(&mut self, validity: u32) {
        if self.validity != validity {
            *self = Self { validity, ..Self::default() };
        }
    }
}

/// Messages that are fetched together.
#[derive(Debug, Default)]
struct Batch {
    uids: Vec<u32>,
    /// Their octets, as the server says.
    bytes: usize,
    /// The octets of each that are asked for.
    limit: usize,
}

/// What a pass works with.
pub(super) struct Sweep<'a> {
    pub(super) mailbox: &'a Mailbox,
    pub(super) client: &'a mut Client,
    pub(super) folder: &'a Selected,
    pub(super) memory: &'a mut Memory,
    pub(super) stop: &'a CancellationToken,
    /// What came of this pass so far.
    pub(super) seen: Seen,
}

/// Whether messages could be fetched in a pass, and those that could not. One that is refused is at fault only if others are not: else
/// the server gives nobody anything for a while.
#[derive(Debug, Default)]
pub(super) struct Seen {
    has_fetched: bool,
    refused: Vec<u32>,
}

impl Sweep<'_> {
    /// Works through all that is new. Where it is told to stop it ends between two steps.
    pub(super) async fn run(mut self) -> Result<(), MailboxError> {
        self.client.forget_news();
        let mut found = self.client.search(&self.query()).await?;
        self.memory.done.retain(|it| found.contains(it));
        self.memory.failed.retain(|it| found.contains(it));
        self.memory.broke.retain(|it, _| found.contains(it));
        let unmarked: Vec<u32> = self.memory.done.iter().copied().collect();
        found.retain(|it| !self.memory.done.contains(it) && !self.memory.failed.contains(it));
        let mut worst = self.mark_done(&unmarked).await?;
        let found: Vec<u32> = found.into_iter().collect();
        for some in found.chunks(SIZED) {
            let Some(sizes) = self.stop.run_until_cancelled(self.client.sizes(some)).await else { return Ok(()) };
            let sizes = match sizes {
                Err(error) if error.is_refusal() => BTreeMap::new(),
                sizes => sizes?,
            };
            for batch in self.batches(some, &sizes).await? {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                let refusal = self.batch(&batch).await?;
                worst = worst.or(refusal);
            }
        }
        if self.seen.has_fetched {
            for uid in &self.seen.refused {
                *self.memory.broke.entry(*uid).or_default() += 1;
            }
        }
        worst.map_or(Ok(()), Err)
    }

    /// What has not been worked on.
    fn query(&self) -> String {
        let config = &self.mailbox.config;
        let without = |flag: &str| match flag.strip_prefix('\\') {
            Some(system) => format!(" UN{}", system.to_ascii_uppercase()),
            None => format!(" UNKEYWORD {flag}"),
        };
        let flags = match config.after {
            After::Move => String::new(),
            After::Flag => without(&config.keyword) + &without(&config.failed_keyword),
            After::Delete => without(&config.failed_keyword),
        };
        format!("UNDELETED{flags}")
    }

    /// Messages to be fetched together. Those of which no size is known come alone; those over which the connection broke too, and not
    /// for ever.
    async fn batches(&mut self, uids: &[u32], sizes: &BTreeMap<u32, usize>) -> Result<Vec<Batch>, MailboxError> {
        let most = self.mailbox.config.max_size.bytes() + 1;
        let (mut batches, mut batch) = (Vec::new(), Batch::default());
        for uid in uids {
            let tries = self.memory.broke.get(uid).copied().unwrap_or_default();
            let size = sizes.get(uid).copied();
            if size.is_some_and(|it| it >= most) {
                self.fail(*uid, Polled::TooLarge).await?;
            } else if tries >= TRIES {
                self.fail(*uid, Polled::Unreadable).await?;
            } else if let (Some(size), 0) = (size, tries) {
                if batch.bytes + size > TOGETHER_BYTES || batch.uids.len() == TOGETHER {
                    batches.push(std::mem::take(&mut batch));
                }
                batch.bytes += size;
                batch.uids.push(*uid);
                batch.limit = batch.limit.max(2 * size + SLACK).min(most);
            } else {
                batches.push(Batch { uids: vec![*uid], bytes: 0, limit: most });
            }
        }
        batches.push(batch);
        batches.retain(|it| !it.uids.is_empty());
        Ok(batches)
    }

    /// Fetches, takes in and marks. What comes back as `Ok` is a refusal that the others need not wait for.
    async fn batch(&mut self, batch: &Batch) -> Result<Option<MailboxError>, MailboxError> {
        let Batch { uids, limit, .. } = batch;
        let Some(bodies) = self.stop.run_until_cancelled(self.bodies(uids, *limit)).await else { return Ok(None) };
        let mut bodies = match bodies {
            // It is asked for once more, alone.
            Err(error) if error.is_refusal() => BTreeMap::new(),
            bodies => bodies?,
        };
        // Cut short, since it is larger than the server has said: it comes alone.
        bodies.retain(|_, it| it.len() < *limit || *limit > self.mailbox.config.max_size.bytes());
        let missing: Vec<u32> = uids.iter().copied().filter(|it| !bodies.contains_key(it)).collect();
        self.seen.has_fetched |= !bodies.is_empty();
        let taken = self.mailbox.take_all(bodies).await;
        let done: Vec<u32> = taken.iter().filter(|(_, it)| matches!(it, Ok(Polled::Taken))).map(|(uid, _)| *uid).collect();
        self.mailbox.telemetry.mailbox_taken(&self.mailbox.config.name, done.len());
        let mut refusal = self.mark_done(&done).await?;
        let mut left = None;
        for (uid, it) in taken {
            match it {
                Ok(Polled::Taken) => {}
                Ok(why) => self.fail(uid, why).await?,
                Err(error) => left = Some(MailboxError::Intake(error)),
            }
        }
        for uid in missing {
            refusal = refusal.or(self.alone(uid).await?);
        }
        // There is no sense in asking for the next ones.
        left.map_or(Ok(refusal), Err)
    }

    /// Fetches messages. One over which the connection breaks is remembered.
    async fn bodies(&mut self, uids: &[u32], limit: usize) -> Result<BTreeMap<u32, Bytes>, MailboxError> {
        match self.client.bodies(uids, limit).await {
            Err(error) if error.is_refusal() => Err(error),
            Err(error) => {
                for uid in uids {
                    *self.memory.broke.entry(*uid).or_default() += 1;
                }
                Err(error)
            }
            Ok(bodies) => Ok(bodies),
        }
    }

    /// A message that did not come with the others: it is asked for alone. One that is refused then stays for the next pass, and the
    /// refusal comes back as `Ok`. One that is granted and does not come is gone, or unreadable.
    async fn alone(&mut self, uid: u32) -> Result<Option<MailboxError>, MailboxError> {
        let bodies = match self.bodies(&[uid], self.mailbox.config.max_size.bytes() + 1).await {
            Err(error) if error.is_refusal() => {
                self.seen.refused.push(uid);
                return Ok(Some(error));
            }
            bodies => bodies?,
        };
        if !bodies.contains_key(&uid) {
            let is_there = self.client.search(&format!("UID {uid}")).await?.contains(&uid);
            if is_there {
                self.fail(uid, Polled::Unreadable).await?;
            }
            return Ok(None);
        }
        self.seen.has_fetched = true;
        for (uid, it) in self.mailbox.take_all(bodies).await {
            match it {
                Ok(Polled::Taken) => {
                    self.mailbox.telemetry.mailbox_taken(&self.mailbox.config.name, 1);
                    self.mark_done(&[uid]).await?.map_or(Ok(()), Err)?;
                }
                Ok(why) => self.fail(uid, why).await?,
                Err(error) => return Err(MailboxError::Intake(error)),
            }
        }
        Ok(None)
    }

    /// Marks messages that are durable. A refusal comes back as `Ok`: the messages are remembered and the rest goes on.
    async fn mark_done(&mut self, uids: &[u32]) -> Result<Option<MailboxError>, MailboxError> {
        if uids.is_empty() {
            return Ok(None);
        }
        let config = &self.mailbox.config;
        let marked = match config.after {
            After::Move => self.client.relocate(uids, &config.move_to).await,
            After::Flag => self.client.flag(uids, &config.keyword).await,
            After::Delete => self.client.delete(uids).await,
        };
        match marked {
            Ok(()) => {
                self.memory.done.retain(|it| !uids.contains(it));
                Ok(None)
            }
            Err(error) if error.is_refusal() => {
                self.memory.done.extend(uids);
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Tells of a message that was not taken, or not understood, and marks it, so that it is not asked for again. Nothing is deleted
    /// that is not kept here.
    async fn fail(&mut self, uid: u32, why: Polled) -> Result<(), MailboxError> {
        let config = &self.mailbox.config;
        self.mailbox.telemetry.mailbox_message_failed(&config.name, uid, self.folder.validity, why);
        let marked = match config.after {
            After::Move => self.client.relocate(&[uid], &config.failed_to).await,
            After::Delete if !self.folder.keeps(&config.failed_keyword) => Err(MailboxError::NoKeyword),
            After::Flag | After::Delete => self.client.flag(&[uid], &config.failed_keyword).await,
        };
        match marked {
            Err(error) if error.is_refusal() || matches!(error, MailboxError::NoKeyword) => {
                self.memory.failed.insert(uid);
                self.mailbox.telemetry.mailbox_failed(&config.name, error.cause(), &error);
                Ok(())
            }
            marked => marked,
        }
    }
}

impl Mailbox {
    /// Takes messages in, all at once, for the intake commits them together. That is not cut short: what was begun comes to its end.
    async fn take_all(&self, bodies: BTreeMap<u32, Bytes>) -> Vec<(u32, Result<Polled, IntakeError>)> {
        join_all(bodies.into_iter().map(|(uid, body)| async move { (uid, self.take(body).await) })).await
    }

    /// Takes a message in. What cannot be read is kept as well, and told of.
    async fn take(&self, bytes: Bytes) -> Result<Polled, IntakeError> {
        // Not every server knows how large its messages are.
        if bytes.len() > self.config.max_size.bytes() {
            return Ok(Polled::TooLarge);
        }
        let source = self.sources.get(&self.config.source).ok_or(IntakeError::Stopping)?;
        let arrival = Arrival {
            tokens: Vec::new(),
            source: Arc::clone(&source),
            media_type: "message/rfc822".to_owned(),
            bytes,
            attribution: Attribution::Unattributed,
            received_at: self.clock.now(),
            list: None,
        };
        let outcome = self.intake.accept(arrival).await?;
        self.telemetry.post_taken(&source.name, self.clock.now());
        Ok(if outcome.state == Some(ReceiptState::Quarantined) { Polled::Quarantined } else { Polled::Taken })
    }
}
