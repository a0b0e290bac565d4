//! Many messages at once through the intake, which commits together what waits together; told of in the order in which they were
//! found. What is on its way is bounded in number and in octets, however large the archive.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Ingest, Taken};
use crate::cli::Exit;
use crate::cli::messages::{Entry, Found};

/// Messages that are on their way at most.
const TOGETHER: usize = 256;
/// KiB of them at most.
const ROOM: usize = 64 * 1024;

/// A message that was read, with its share of the room.
type Read = (Found, OwnedSemaphorePermit);

/// Takes all in, tells of each, and stops where the rest has to be brought again.
pub(super) async fn take_all(
    ingest: Arc<Ingest>,
    entries: Vec<Entry>,
    mut told: impl FnMut(Taken) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let together = TOGETHER.min(ingest.queue).max(1);
    let room = ROOM.min(ingest.queue_bytes / 2048).max(1);
    let (sender, mut found) = mpsc::channel(together);
    let reading = tokio::task::spawn_blocking(move || read(entries, room, &sender));
    let (mut worst, mut must_come_again) = (Exit::Success, false);
    let (mut under_way, mut is_read) = (FuturesOrdered::new(), false);
    while !(is_read && under_way.is_empty()) {
        tokio::select! {
            biased;
            next = found.recv(), if !is_read && under_way.len() < together => match next {
                Some((found, room)) => under_way.push_back(tokio::spawn(ingest.clone().take_in(found, room))),
                None => is_read = true,
            },
            Some(taken) = under_way.next(), if !under_way.is_empty() => {
                let taken: Taken = taken.context("taking a message in ended in a panic")?;
                worst = worst.max(taken.exit);
                must_come_again |= taken.exit == Exit::Again;
                told(taken)?;
                if must_come_again && !is_read {
                    // Nothing more is read; what is on its way is waited for.
                    is_read = true;
                    found.close();
                    while found.try_recv().is_ok() {}
                }
            }
        }
    }
    drop(found);
    // An error of the reader is that nobody listens any more.
    let _ = reading.await;
    Ok(if must_come_again { Exit::Again } else { worst })
}

/// Reads one message after the other, each once there is room for it.
fn read(entries: Vec<Entry>, room: usize, to: &mpsc::Sender<Read>) -> Result<(), ()> {
    let semaphore = Arc::new(Semaphore::new(room));
    let (runtime, most) = (Handle::current(), u32::try_from(room).unwrap_or(u32::MAX));
    entries.into_iter().try_for_each(|entry| {
        entry.read(|found| {
            let size = found.content.as_ref().map_or(0, Vec::len) / 1024;
            let share = u32::try_from(size).unwrap_or(most).clamp(1, most);
            let permit = runtime.block_on(semaphore.clone().acquire_many_owned(share)).map_err(drop)?;
            to.blocking_send((found, permit)).map_err(drop)
        })
    })
}

impl Ingest {
    /// Takes a message in. Its room is free once it is told what became of it.
    async fn take_in(self: Arc<Self>, found: Found, room: OwnedSemaphorePermit) -> Taken {
        let taken = self.take(found).await;
        drop(room);
        taken
    }
}
