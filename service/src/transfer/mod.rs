//! Lists in and out: a file is read on a thread of its own and imported step by step, each step a transaction; a list is
//! written page by page as fast as whoever asked for it reads. Either way only a piece is in memory, however long the list.

mod export;
mod place;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bounce::policy::Cause;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::place::Places;
use crate::clock::Clock;
use crate::intake::RulesInForce;
use crate::listing::{Entry, Format, Listing, ListingError, Reading, Refused, Spooled};
use crate::store::{
    Begun, Import, ImportCounts, ImportMode, ImportRow, ImportStep, List, NewImport, Store, StoreError, SubjectId, Undo, sha256,
};
use crate::telemetry::{Imported, Stage, Telemetry};

pub use self::export::export;
pub use self::place::{Consent, Reach};

/// Rows of one step: few enough that nobody waits long for its locks.
const ROWS_PER_STEP: usize = 2000;
/// Steps read ahead.
const READ_AHEAD: usize = 2;
/// Imports that a process works on at the same time.
const AT_ONCE: usize = 4;
/// Rows of a preview that are remembered, to know those that come again: some 40 MiB of them.
const SEEN: usize = 1 << 21;
/// How often a step is tried: with the waits below, for half a minute of an outage.
const TRIES: u32 = 12;
/// First wait before a step is tried again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// Longest wait before a step is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why a list could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The file is no list.
    #[error("the file cannot be imported")]
    Listing(#[source] ListingError),
    /// The database.
    #[error("importing failed")]
    Store(#[source] StoreError),
    /// Enough is being imported.
    #[error("{AT_ONCE} imports are on their way; come again")]
    Busy,
    /// The process is told to stop.
    #[error("the service stopped; what was imported stands, and importing the same file again does the rest")]
    Stopping,
    /// A fault of ours.
    #[error("reading the file ended in a panic")]
    Panicked,
}

impl From<ListingError> for TransferError {
    fn from(error: ListingError) -> Self {
        Self::Listing(error)
    }
}

impl From<StoreError> for TransferError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A file that somebody wants imported.
#[derive(Debug)]
pub struct Order {
    /// Into which list.
    pub list: Arc<List>,
    /// Who.
    pub actor: String,
    /// How far their word goes.
    pub reach: Reach,
    /// The file.
    pub file: Spooled,
    /// How it is written; recognised if none is given.
    pub format: Option<Format>,
    /// The cause of rows that name none.
    pub cause: Option<Cause>,
    /// Whether it is meant.
    pub mode: ImportMode,
}

/// What became of a step, for whoever looks on.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Octets read so far.
    pub done: u64,
    /// What became of all rows so far.
    pub counts: ImportCounts,
    /// The lines that this step refused.
    pub refused: &'a [Refused],
}

/// An import that can begin.
#[derive(Debug)]
pub struct Ready {
    import: Import,
    listing: Listing,
    reach: Reach,
}

impl Ready {
    /// The import as it stands in the database.
    #[must_use]
    pub const fn import(&self) -> &Import {
        &self.import
    }
}

/// What an order leads to.
#[derive(Debug)]
pub enum Ordered {
    /// An import that can begin.
    Ready(Box<Ready>),
    /// The same file stands in this list already.
    Known(Import),
}

/// Imports of one process.
#[derive(Debug, Clone)]
pub struct Transfers {
    store: Arc<Store>,
    rules: RulesInForce,
    telemetry: Arc<Telemetry>,
    nudge: Arc<Notify>,
    clock: Clock,
    room: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Transfers {
    /// Nothing on its way.
    #[must_use]
    pub fn new(store: Arc<Store>, rules: RulesInForce, telemetry: Arc<Telemetry>, nudge: Arc<Notify>, clock: Clock) -> Self {
        let (room, tasks, stop) = (Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new(), CancellationToken::new());
        Self { store, rules, telemetry, nudge, clock, room, tasks, stop }
    }

    /// A place for an import; one more than there are is told to come again, before its file is taken.
    ///
    /// # Errors
    /// [`TransferError::Busy`] when there is none, [`TransferError::Stopping`] when there will be none.
    pub fn room(&self) -> Result<OwnedSemaphorePermit, TransferError> {
        if self.stop.is_cancelled() {
            return Err(TransferError::Stopping);
        }
        self.room.clone().try_acquire_owned().map_err(|_| TransferError::Busy)
    }

    /// Looks at a file and writes down that it is to be imported.
    ///
    /// # Errors
    /// When it is no list, or the database is away.
    pub async fn order(&self, order: Order) -> Result<Ordered, TransferError> {
        let Order { list, actor, reach, file, format, cause, mode } = order;
        let word = |it: Option<&'static str>| it.unwrap_or_default().as_bytes();
        let (as_format, as_cause) = (word(format.map(Format::as_str)), word(cause.map(Cause::as_str)));
        let digest = sha256(&[&file.digest, as_format, b"\0", as_cause]);
        let size = file.size;
        let reading = Reading { format, cause, rules: self.rules.now(), now: self.clock.now() };
        let opened = tokio::task::spawn_blocking(move || Listing::open(&file, reading)).await;
        let listing = opened.map_err(|_| TransferError::Panicked)??;
        let new = NewImport { list, actor, format: listing.format(), digest, size, mode };
        Ok(match self.store.begin_import(&new, self.clock.now()).await? {
            Begun::Known(import) => Ordered::Known(import),
            Begun::New(import) => Ordered::Ready(Box::new(Ready { import, listing, reach })),
        })
    }

    /// Imports in the background.
    pub fn begin(&self, ready: Box<Ready>, room: OwnedSemaphorePermit) {
        let it = self.clone();
        self.tasks.spawn(async move {
            // What went wrong stands in the import and in the log.
            let _ = it.carry_out(*ready, |_| ()).await;
            drop(room);
        });
    }

    /// Imports, telling of each step.
    ///
    /// # Errors
    /// When it ended before its time; what was imported until then stands.
    pub async fn carry_out(&self, ready: Ready, mut tell: impl FnMut(Progress<'_>)) -> Result<Import, TransferError> {
        let Ready { import, listing, reach } = ready;
        let ended = self.run(&import, listing, &reach, &mut tell).await;
        let told = ended.as_ref().err().map(ToString::to_string);
        match (ended, self.end(&import, told.as_deref()).await) {
            (Ok(()), Ok(import)) => {
                self.telemetry.import_ended(&import.list.name, import.format.as_str(), import.mode.as_str(), words(import.counts));
                self.nudge.notify_one();
                Ok(import)
            }
            (Ok(()), Err(error)) => {
                self.telemetry.failed(Stage::Store, "ending an import", &error);
                Err(error.into())
            }
            (Err(error), _) => {
                self.telemetry.failed(Stage::Store, "importing a list", &error);
                self.nudge.notify_one();
                Err(error)
            }
        }
    }

    async fn end(&self, import: &Import, error: Option<&str>) -> Result<Import, StoreError> {
        let mut patience = Patience::new();
        loop {
            match self.store.in_time(self.store.end_import(import.id, error, self.clock.now())).await {
                Ok(import) => return Ok(import),
                Err(error) => patience.wait(&self.telemetry, error).await?,
            }
        }
    }

    async fn step(&self, import: &Import, step: &ImportStep) -> Result<ImportCounts, StoreError> {
        let mut patience = Patience::new();
        loop {
            match self.store.in_time(self.store.import_rows(import, step, self.clock.now())).await {
                Ok(counts) => return Ok(counts),
                Err(error) => patience.wait(&self.telemetry, error).await?,
            }
        }
    }

    async fn run(
        &self,
        import: &Import,
        listing: Listing,
        reach: &Reach,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<(), TransferError> {
        let (sender, mut pieces) = mpsc::channel(READ_AHEAD);
        let reading = tokio::task::spawn_blocking(move || read(listing, &sender));
        let mut places = Places::new(&self.store, import.list.clone(), reach);
        let mut counts = ImportCounts::default();
        let mut seen = Seen::default();
        while let Some(piece) = pieces.recv().await {
            if self.stop.is_cancelled() {
                return Err(TransferError::Stopping);
            }
            let rows = Vec::with_capacity(piece.entries.len());
            let mut step = ImportStep { rows, refused: piece.refused, done: piece.done, repeated: 0, before: counts };
            for entry in piece.entries {
                match places.place(entry).await? {
                    Ok(row) if import.mode == ImportMode::Preview && seen.has(&row) => step.repeated += 1,
                    Ok(row) => step.rows.push(row),
                    Err(refused) => step.refused.push(refused),
                }
            }
            counts += self.step(import, &step).await?;
            tell(Progress { done: step.done, counts, refused: &step.refused });
        }
        reading.await.map_err(|_| TransferError::Panicked)??;
        Ok(())
    }

    /// Undoes an import in the background, if that is to be done.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn undo(&self, import: &Import, actor: &str) -> Result<Undo, TransferError> {
        let undo = self.store.in_time(self.store.begin_undo(import.id, actor, self.clock.now())).await?;
        if let Undo::Begun(import) = &undo {
            let (it, import) = (self.clone(), import.clone());
            self.tasks.spawn(async move {
                // What went wrong stands in the log; asking again goes on.
                let _ = it.take_back(&import).await;
            });
        }
        Ok(undo)
    }

    /// Ends what processes that have gone had begun to import, and goes on with what they had begun to undo: half of an undoing
    /// is no state to stay in.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn resume(&self) -> Result<(), TransferError> {
        self.store.in_time(self.store.end_abandoned(self.clock.now())).await?;
        for import in self.store.in_time(self.store.interrupted_undos(self.clock.now())).await? {
            self.undo(&import, import.undone_by.as_deref().unwrap_or(&import.actor)).await?;
        }
        Ok(())
    }

    /// Carries out the undoing of an import that was begun.
    ///
    /// # Errors
    /// When the database is away; asking again goes on.
    pub async fn take_back(&self, import: &Import) -> Result<(Import, u64), TransferError> {
        let undone = self.take_back_all(import).await;
        match &undone {
            Ok((import, changed)) => {
                self.telemetry.import_undone(&import.list.name, *changed);
                self.nudge.notify_one();
            }
            Err(error) => self.telemetry.failed(Stage::Store, "undoing an import", error),
        }
        undone
    }

    async fn take_back_all(&self, import: &Import) -> Result<(Import, u64), TransferError> {
        let (mut after, mut changed): (Option<SubjectId>, u64) = (None, 0);
        let mut patience = Patience::new();
        loop {
            if self.stop.is_cancelled() {
                return Err(TransferError::Stopping);
            }
            match self.store.in_time(self.store.undo_rows(import, after, self.clock.now())).await {
                Ok((None, _)) => break,
                Ok((last, more)) => {
                    (after, changed) = (last, changed + more);
                    patience = Patience::new();
                }
                Err(error) => patience.wait(&self.telemetry, error).await?,
            }
        }
        loop {
            match self.store.in_time(self.store.end_undo(import.id, changed, self.clock.now())).await {
                Ok(import) => return Ok((import, changed)),
                Err(error) => patience.wait(&self.telemetry, error).await?,
            }
        }
    }

    /// Stops what is on its way between two steps, and waits until it has.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How often something is tried again that only collided, or met an outage of a moment.
struct Patience {
    left: u32,
    next: Duration,
}

impl Patience {
    const fn new() -> Self {
        Self { left: TRIES, next: FIRST_WAIT }
    }

    /// Waits before the next try; gives the error back when there is to be none.
    async fn wait(&mut self, telemetry: &Telemetry, error: StoreError) -> Result<(), StoreError> {
        if !error.is_outage() || self.left == 0 {
            return Err(error);
        }
        telemetry.batch_retried(&error);
        tokio::time::sleep(self.next).await;
        self.left -= 1;
        self.next = (2 * self.next).min(LONGEST_WAIT);
        Ok(())
    }
}

/// What the rows of a preview were about. Nothing of it is written, so a step does not find there what one before had said.
#[derive(Default)]
struct Seen {
    slots: HashSet<u64>,
    keys: RandomState,
}

impl Seen {
    /// Whether a row before was about the same; of a file of very many rows, as far as is remembered.
    fn has(&mut self, row: &ImportRow) -> bool {
        let slot = self.keys.hash_one((row.list.id, row.address.expose(), row.cause));
        if self.slots.len() < SEEN { !self.slots.insert(slot) } else { self.slots.contains(&slot) }
    }
}

/// Some rows of a file.
#[derive(Debug, Default)]
struct Piece {
    entries: Vec<Entry>,
    refused: Vec<Refused>,
    done: u64,
}

/// Reads a file to its end, or until nobody listens any more.
fn read(mut listing: Listing, sender: &mpsc::Sender<Piece>) -> Result<(), ListingError> {
    let mut piece = Piece::default();
    loop {
        match listing.next_row()? {
            Some(Ok(entry)) => piece.entries.push(entry),
            Some(Err(refused)) => piece.refused.push(refused),
            None => break,
        }
        if piece.entries.len() + piece.refused.len() >= ROWS_PER_STEP {
            piece.done = listing.position();
            if sender.blocking_send(std::mem::take(&mut piece)).is_err() {
                return Ok(());
            }
        }
    }
    piece.done = listing.position();
    // Whoever does not listen any more has said why.
    let _ = sender.blocking_send(piece);
    Ok(())
}

const fn words(counts: ImportCounts) -> [(Imported, u64); 4] {
    [
        (Imported::Added, counts.added),
        (Imported::Updated, counts.updated),
        (Imported::Unchanged, counts.unchanged),
        (Imported::Refused, counts.refused),
    ]
}
