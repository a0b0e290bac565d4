//! The one thread that writes: takes what waits and makes one file of it, as the committer does with the database. While it forces one
//! file to the disk, the next gathers.

use std::io;
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use super::folder::{Folder, Name, Place};
use super::{Entry, SpoolError, Totals, format, lock};
use crate::config::SpoolConfig;

/// Most receipts in one file.
const ENTRIES: usize = 256;
/// Octets from which a file is full.
const BYTES: usize = 16 << 20;

/// A receipt that waits to be written, and whoever waits for that.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) done: oneshot::Sender<Result<(), SpoolError>>,
    /// Its share of what may wait, given back when it is written.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Writes until nobody can ask for it any more.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) queue: mpsc::Receiver<Waiting>,
    pub(super) folder: Arc<Folder>,
    pub(super) totals: Arc<Mutex<Totals>>,
    pub(super) config: SpoolConfig,
}

/// A file in the making.
struct Draft {
    seal: Uuid,
    content: Vec<u8>,
    inside: Vec<Waiting>,
}

impl Writer {
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut draft = Draft { seal: Uuid::now_v7(), content: Vec::new(), inside: Vec::new() };
            self.add(&mut draft, first);
            while draft.inside.len() < ENTRIES && draft.content.len() < BYTES {
                let Ok(next) = self.queue.try_recv() else { break };
                self.add(&mut draft, next);
            }
            self.write(draft);
        }
    }

    /// Adds a receipt, if it may be kept. One whose sender has gone meanwhile was not promised anything.
    fn add(&self, draft: &mut Draft, one: Waiting) {
        if one.done.is_closed() {
            return;
        }
        let before = draft.content.len();
        let added = format::append(&mut draft.content, draft.seal, &one.entry)
            .map_err(|it| SpoolError::Write(Arc::new(it)))
            .and_then(|()| self.admit(one.entry.received_at, draft.content.len()));
        match added {
            Ok(()) => draft.inside.push(one),
            Err(error) => {
                draft.content.truncate(before);
                // Whoever waited may have gone.
                let _ = one.done.send(Err(error));
            }
        }
    }

    fn admit(&self, now: OffsetDateTime, bytes: usize) -> Result<(), SpoolError> {
        lock(&self.totals).admit(&self.config, now, bytes as u64)
    }

    fn write(&self, draft: Draft) {
        let Draft { seal, content, inside } = draft;
        if inside.is_empty() {
            return;
        }
        let name = Name { seal, entries: inside.len(), bytes: content.len() as u64 };
        let counting = lock(&self.folder.counting);
        let written = self.folder.write(Place::New, &name, &content).map_err(Arc::new);
        if written.is_ok() {
            lock(&self.totals).add(&name);
        }
        drop(counting);
        for one in inside {
            let told: Result<(), Arc<io::Error>> = written.clone();
            let _ = one.done.send(told.map_err(SpoolError::Write));
        }
    }
}
