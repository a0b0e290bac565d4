//! Where receipts wait while the database is away: a folder on the local disk. What [`Spool::keep`] has taken is safe
//! from a crash of the process and of the machine, so its sender may be told 2xx; whoever looks after the database commits it
//! when that is back (`intake`), and takes it out of the folder only then. What comes twice by this changes nothing: a receipt keeps
//! the id it was given when it was accepted, and the database knows it by its digest.
//!
//! Writing is a group commit: all that waits becomes one file, so that one force to the disk serves many. The module knows
//! neither what a receipt says nor where it came from.

mod folder;
mod format;
mod presence;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::SpoolConfig;
use crate::telemetry::{SpoolFigures, Stage, Telemetry, Unspooled};

use self::folder::{Closed, Folder, Name, Place};
use self::writer::{Waiting, Writer};

pub use format::Entry;
pub use presence::{Found, Presence};

/// Receipts that may wait to be written.
const QUEUE: usize = 4096;
/// Octets of them, in KiB.
const ROOM: usize = 256 << 10;

/// Why the spool cannot be used, or did not take a receipt. Of what was not taken nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be made, read or written.
    #[error("{path}: the folder cannot be used (spool.path); name one that can be written, or set spool.enabled = false")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process empties it.
    #[error("{0}: another process uses this folder (spool.path): is `rebound serve` running already? Else give each its own")]
    InUse(PathBuf),
    /// It holds as much as it may.
    #[error("the spool holds as much as it may: {0} bytes (spool.max_bytes)")]
    Full(usize),
    /// What is in it has waited for too long.
    #[error("what is in the spool has waited for longer than {0:?} (spool.max_age)")]
    TooOld(Duration),
    /// One receipt is too large.
    #[error("a receipt of {size} bytes is over the limit of {limit} (spool.max_entry)")]
    TooLarge {
        /// Its octets.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// More waits to be written than fits into memory.
    #[error("more waits for the disk than may wait")]
    Busy,
    /// The disk did not take it.
    #[error("the spool cannot be written")]
    Write(#[source] Arc<io::Error>),
    /// The spool has ended.
    #[error("the spool is closed")]
    Closed,
}

/// Whether this process also empties the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It does, and no other process may.
    Keeper,
    /// It only puts things in, where a keeper has been.
    Guest,
}

/// Where an entry goes that cannot be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Its source or list is not configured; the next start tries again.
    Held,
    /// The database refuses it while it takes others.
    Failed,
}

/// A file that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch(Name);

/// What is in a file.
#[derive(Debug)]
pub struct Content {
    /// The receipts that are whole.
    pub entries: Vec<Entry>,
    /// How many places of the file are damaged.
    pub damaged: usize,
}

/// The spool, open.
#[derive(Debug)]
pub struct Spool {
    config: SpoolConfig,
    folder: Arc<Folder>,
    totals: Arc<Mutex<Totals>>,
    room: Arc<Semaphore>,
    queue: mpsc::Sender<Waiting>,
    writer: Option<JoinHandle<()>>,
    telemetry: Arc<Telemetry>,
}

/// How much is in the folder.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    /// Receipts that wait.
    entries: usize,
    /// Octets of their files.
    bytes: u64,
    /// Octets of what was set aside.
    aside: u64,
    /// When the oldest file that waits was made.
    oldest: Option<OffsetDateTime>,
}

impl Spool {
    /// Opens the folder of a configuration.
    ///
    /// # Errors
    /// When it cannot be used, or another process empties it already.
    pub fn open(config: &SpoolConfig, role: Role, telemetry: Arc<Telemetry>, clock: &Clock) -> Result<Self, SpoolError> {
        let path = config.path.clone();
        let failed = |source| SpoolError::Folder { path: path.clone(), source };
        let folder = match role {
            Role::Guest if !is_kept(&path) => return Err(failed(io::ErrorKind::NotFound.into())),
            Role::Guest => Folder::open(&path).map_err(failed)?,
            Role::Keeper => match Folder::own(&path) {
                Ok((folder, strangers)) => {
                    telemetry.spool_damaged(strangers);
                    folder
                }
                Err(Closed::InUse) => return Err(SpoolError::InUse(path)),
                Err(Closed::Io(error)) => return Err(failed(error)),
            },
        };
        let (folder, totals) = (Arc::new(folder), Arc::new(Mutex::new(Totals::default())));
        *lock(&totals) = Totals::of(&folder).map_err(failed)?.0;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = Writer { queue: waiting, folder: folder.clone(), totals: totals.clone(), config: config.clone() };
        let writer = std::thread::Builder::new().name("spool".to_owned()).spawn(move || writer.run()).map_err(failed)?;
        if folder.is_owned() {
            let (totals, clock) = (totals.clone(), clock.clone());
            telemetry.watch_spool(config.max_bytes.0, move || lock(&totals).figures(clock.now()));
        }
        Ok(Self { config: config.clone(), folder, totals, room: Arc::new(Semaphore::new(ROOM)), queue, writer: Some(writer), telemetry })
    }

    /// Keeps a receipt. When this returns it is on the disk, and will be until the database has it.
    ///
    /// # Errors
    /// When nothing was kept; see [`SpoolError`].
    pub async fn keep(&self, entry: Entry) -> Result<(), SpoolError> {
        let (source, receipt, bytes) = (entry.source.clone(), entry.id.0, entry.bytes.len());
        let kept = self.written(entry).await;
        match &kept {
            Ok(()) => self.telemetry.receipt_spooled(&source, receipt, bytes),
            Err(error) => self.telemetry.spool_refused(error.why(), error),
        }
        kept
    }

    async fn written(&self, entry: Entry) -> Result<(), SpoolError> {
        let (size, limit) = (entry.bytes.len(), self.config.max_entry.bytes());
        if size > limit {
            return Err(SpoolError::TooLarge { size, limit });
        }
        // Counted in KiB. The limit above is far below all the room.
        let share = u32::try_from((size / 1024).clamp(1, ROOM)).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(share).map_err(|_| SpoolError::Busy)?;
        let (done, written) = oneshot::channel();
        self.queue.try_send(Waiting { entry, done, _room: room }).map_err(|it| match it {
            mpsc::error::TrySendError::Full(_) => SpoolError::Busy,
            mpsc::error::TrySendError::Closed(_) => SpoolError::Closed,
        })?;
        written.await.map_err(|_| SpoolError::Closed)?
    }

    /// Whether it would take a receipt now.
    #[must_use]
    pub fn has_room(&self, now: OffsetDateTime) -> bool {
        lock(&self.totals).admit(&self.config, now, 0).is_ok()
    }

    /// How much waits.
    #[must_use]
    pub fn figures(&self, now: OffsetDateTime) -> SpoolFigures {
        lock(&self.totals).figures(now)
    }

    /// The files that wait, the oldest first, so many at most. Counts all anew, for others may put files in.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn oldest(&self, limit: usize) -> Result<Vec<Batch>, SpoolError> {
        let totals = self.totals.clone();
        self.blocking(move |folder| {
            let counting = lock(&folder.counting);
            let (counted, mut names) = Totals::of(folder)?;
            *lock(&totals) = counted;
            drop(counting);
            names.truncate(limit);
            Ok(names.into_iter().map(Batch).collect())
        })
        .await
    }

    /// Reads a file that waits.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, batch: &Batch) -> Result<Content, SpoolError> {
        let name = batch.0;
        let content = move |folder: &Folder| {
            let format::Read { entries, damaged } = format::read(name.seal, &folder.read(&name)?);
            Ok(Content { entries, damaged })
        };
        self.blocking(content).await
    }

    /// Takes a file out of which every receipt is committed or set aside. One with damage is kept as it was found.
    ///
    /// # Errors
    /// When it cannot be moved or removed; then its receipts are committed once more, which changes nothing.
    pub async fn done(&self, batch: &Batch, damaged: usize) -> Result<(), SpoolError> {
        let name = batch.0;
        let removed = move |folder: &Folder| match damaged {
            0 => folder.remove(&name),
            _ => folder.shift(&name, Place::New, Place::Corrupt),
        };
        self.blocking(removed).await
    }

    /// Sets receipts aside, where they wait for a person or for the next start.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn set_aside(&self, aside: Aside, entries: Vec<Entry>) -> Result<(), SpoolError> {
        let place = match aside {
            Aside::Held => Place::Held,
            Aside::Failed => Place::Failed,
        };
        self.put(place, entries).await
    }

    /// Puts receipts behind all others.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn put_back(&self, entries: Vec<Entry>) -> Result<(), SpoolError> {
        self.put(Place::New, entries).await
    }

    async fn put(&self, place: Place, entries: Vec<Entry>) -> Result<(), SpoolError> {
        self.blocking(move |folder| {
            let seal = Uuid::now_v7();
            let mut content = Vec::new();
            entries.iter().try_for_each(|it| format::append(&mut content, seal, it))?;
            let name = Name { seal, entries: entries.len(), bytes: content.len() as u64 };
            folder.write(place, &name, &content)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static) -> Result<T, SpoolError> {
        let folder = self.folder.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await.map_err(|_| SpoolError::Closed)?;
        done.map_err(|source| SpoolError::Folder { path: self.config.path.clone(), source })
    }

    /// Logs a failure to empty the folder.
    pub(crate) fn tell(&self, error: &SpoolError) {
        self.telemetry.failed(Stage::Spool, "emptying the spool", error);
    }
}

impl Drop for Spool {
    /// Waits until what waits is written: whoever waits for it may still be told.
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.queue, closed));
        if let Some(writer) = self.writer.take() {
            // A panic of the writer has been logged by the hook.
            let _ = writer.join();
        }
    }
}

/// Whether somebody has emptied this folder, and will again.
#[must_use]
pub fn is_kept(folder: &Path) -> bool {
    folder.join(folder::LOCK).is_file()
}

impl SpoolError {
    /// The word under which a receipt is counted that was not taken for this.
    const fn why(&self) -> Unspooled {
        match self {
            Self::Full(_) => Unspooled::Full,
            Self::TooOld(_) => Unspooled::TooOld,
            Self::TooLarge { .. } => Unspooled::TooLarge,
            Self::Busy => Unspooled::Busy,
            Self::Folder { .. } | Self::InUse(_) | Self::Write(_) | Self::Closed => Unspooled::Failed,
        }
    }
}

impl Totals {
    /// Counts what is in the folder; also the names of what waits, the oldest first.
    fn of(folder: &Folder) -> io::Result<(Self, Vec<Name>)> {
        let mut names = folder.names(Place::New)?;
        names.sort_unstable();
        let mut totals = Self::default();
        for place in Place::ALL.iter().filter(|it| **it != Place::New) {
            totals.aside += folder.names(*place)?.iter().map(|it| it.bytes).sum::<u64>();
        }
        for name in &names {
            totals.add(name);
        }
        Ok((totals, names))
    }

    fn add(&mut self, name: &Name) {
        self.entries += name.entries;
        self.bytes += name.bytes;
        self.oldest = self.oldest.or_else(|| made_at(name.seal));
    }

    /// Whether so many octets more may be kept.
    fn admit(&self, config: &SpoolConfig, now: OffsetDateTime, bytes: u64) -> Result<(), SpoolError> {
        let limit = config.max_bytes.bytes();
        if self.bytes + self.aside + bytes.max(1) > limit as u64 {
            return Err(SpoolError::Full(limit));
        }
        match (config.max_age, self.oldest) {
            (Some(age), Some(oldest)) if now - oldest > age => Err(SpoolError::TooOld(age)),
            _ => Ok(()),
        }
    }

    fn figures(&self, now: OffsetDateTime) -> SpoolFigures {
        let oldest = self.oldest.map(|it| (now - it).try_into().unwrap_or_default());
        SpoolFigures { entries: self.entries, bytes: self.bytes, oldest }
    }
}

/// When a seal was made.
fn made_at(seal: Uuid) -> Option<OffsetDateTime> {
    let (seconds, _) = seal.get_timestamp()?.to_unix();
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()
}

fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
