//! The one way in. Every edge ends here: a proved arrival is read, judged and put into a bounded queue; a committer takes what
//! waits and makes it durable in one transaction. Only then does the edge say 2xx.
//!
//! Reading runs isolated: a panic quarantines the receipt that led to it and nothing else. What cannot be understood is kept
//! as `unrecognised`. A full queue answers at once that the sender should come again. What the database does not take in time
//! goes to the spool, where there is one, and is committed from there when the database is back.

mod again;
mod batch;
mod drain;
mod interpret;
mod rules;
mod shelter;
mod source;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bounce::address::Address;
use bounce::classify::Rules;
use bounce::esp::{Answer, Provider, Request, Unverified, Verified};
use bounce::kind::{Attribution, Kind};
use bounce::report::Note;
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::config::IntakeConfig;
use crate::store::{Accepted, Incoming, IncomingToken, List, ReceiptId, ReceiptState, Store, StoreError};
use crate::telemetry::Telemetry;

use self::shelter::{Settled, Shelter};

pub use again::{Chosen, Progress, Reprocess, Summary};
pub use drain::Drain;
pub use rules::RulesInForce;
pub use source::{Source, Sources};

/// Octets from which reading leaves the thread that serves requests.
pub const READ_ELSEWHERE_FROM: usize = 64 * 1024;

/// Something that came in and was proved to be authentic.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Where it came from.
    pub source: Arc<Source>,
    /// Content type as announced.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
    /// How well it is attributed.
    pub attribution: Attribution,
    /// When it was accepted.
    pub received_at: OffsetDateTime,
    /// The tokens that proved it and may prove no other body.
    pub tokens: Vec<IncomingToken>,
    /// The list to use instead of the source's.
    pub list: Option<Arc<List>>,
}

/// What became of an arrival.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was recorded; `None` when there was nothing to record (a click, a ping).
    pub accepted: Option<Accepted>,
    /// Its id, when the database is away and it was put into the spool: durable, and committed later.
    pub spooled: Option<ReceiptId>,
    /// What became of the receipt, where there is one.
    pub state: Option<ReceiptState>,
    /// What the whole is.
    pub kind: Kind,
    /// Who wrote it, as far as known.
    pub dialect: &'static str,
    /// Whom its facts are about.
    pub recipients: Vec<Address>,
    /// What was odd.
    pub notes: Vec<Note>,
    /// What the provider wants to hear.
    pub answer: Answer,
    /// Requests to carry out for the provider.
    pub requests: Vec<Request>,
}

/// Why an arrival was not taken in. It is not lost: the sender still has it and should come again.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// More is waiting than the queue holds.
    #[error("as much is waiting as the queue holds: {0} receipts (intake.queue), or intake.queue_bytes of them")]
    Full(usize),
    /// The database is away, or did not commit in time.
    #[error("the receipt could not be committed")]
    Unavailable(#[source] Arc<StoreError>),
    /// The database did not commit in time.
    #[error("the receipt was not committed within {0:?} (intake.commit_timeout, spool.patience)")]
    TooSlow(Duration),
    /// The database is known to be away, and the spool did not take it.
    #[error("the database is away")]
    Away,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// Takes arrivals in.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::Sender<Waiting>,
    capacity: usize,
    room: Arc<Semaphore>,
    room_size: usize,
    rules: RulesInForce,
    max_fact_age: Duration,
    telemetry: Arc<Telemetry>,
    shelter: Option<Shelter>,
}

/// The other half of an [`Intake`]: commits what waits.
#[derive(Debug)]
pub struct Committer {
    queue: mpsc::Receiver<Waiting>,
    desk: Desk,
}

/// What a batch is committed with.
#[derive(Debug)]
struct Desk {
    store: Arc<Store>,
    telemetry: Arc<Telemetry>,
    config: IntakeConfig,
    nudge: Arc<Notify>,
}

/// A receipt that waits for its commit, and whoever waits for it.
#[derive(Debug)]
struct Waiting {
    incoming: Incoming,
    since: Instant,
    done: oneshot::Sender<Result<(Accepted, ReceiptState), IntakeError>>,
    /// Its share of the bytes that may wait, given back when it is committed.
    room: OwnedSemaphorePermit,
}

/// Makes the two halves. `nudge` wakes the relay after each commit.
#[must_use]
pub fn channel(
    store: Arc<Store>,
    rules: RulesInForce,
    config: IntakeConfig,
    telemetry: Arc<Telemetry>,
    nudge: Arc<Notify>,
) -> (Intake, Committer) {
    let (sender, receiver) = mpsc::channel(config.queue);
    telemetry.intake_queue(0, config.queue);
    let room_size = (config.queue_bytes.bytes() / 1024).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let intake = Intake {
        queue: sender,
        capacity: config.queue,
        room: Arc::new(Semaphore::new(room_size)),
        room_size,
        rules,
        max_fact_age: config.max_fact_age,
        telemetry: telemetry.clone(),
        shelter: None,
    };
    (intake, Committer { queue: receiver, desk: Desk { store, telemetry, config, nudge } })
}

impl Intake {
    /// Reads an arrival, commits it, and says what became of it. When it returns, all effects are durable; or the receipt is,
    /// in the spool, while the database is away.
    ///
    /// # Errors
    /// When the sender should come again; see [`IntakeError`].
    pub async fn accept(&self, arrival: Arrival) -> Result<Outcome, IntakeError> {
        if let Some(shelter) = self.shelter_for(&arrival) {
            return self.accept_into(shelter, arrival).await;
        }
        if arrival.is_named_only() {
            return Err(IntakeError::Away);
        }
        let place = self.queue.clone().try_reserve_owned().map_err(|it| match it {
            mpsc::error::TrySendError::Full(_) => IntakeError::Full(self.capacity),
            mpsc::error::TrySendError::Closed(_) => IntakeError::Stopping,
        })?;
        let room = self.room_for(&arrival)?;
        let since = Instant::now();
        let (read, arrival) = self.read_apart(arrival).await?;
        let (outcome, incoming) = Outcome::of(read);
        let Some(incoming) = incoming else { return Ok(outcome) };
        let recipients = incoming.facts.iter().map(|it| it.address.clone()).collect();
        let (id, (done, committed)) = (incoming.id, oneshot::channel());
        place.send(Waiting { incoming, since, done, room });
        self.telemetry.intake_queue(self.capacity - self.queue.capacity(), self.capacity);
        Ok(match self.settled(&arrival, id, committed).await? {
            Settled::Committed(accepted, state) => Outcome { accepted: Some(accepted), state: Some(state), recipients, ..outcome },
            Settled::Spooled => Outcome { spooled: Some(id), ..outcome },
        })
    }

    /// A share of the bytes that may wait: of the size of an arrival.
    fn room_for(&self, arrival: &Arrival) -> Result<OwnedSemaphorePermit, IntakeError> {
        self.room.clone().try_acquire_many_owned(self.share_of(arrival)).map_err(|_| IntakeError::Full(self.capacity))
    }

    /// Counted in KiB; a message beyond the whole room takes all of it.
    fn share_of(&self, arrival: &Arrival) -> u32 {
        u32::try_from((arrival.bytes.len() / 1024).clamp(1, self.room_size)).unwrap_or(u32::MAX)
    }

    /// Reads an arrival, a large one apart from the thread that serves requests.
    async fn read_apart(&self, arrival: Arrival) -> Result<(interpret::Read, Arrival), IntakeError> {
        let begun = Instant::now();
        let read = if arrival.bytes.len() < READ_ELSEWHERE_FROM {
            (self.read(&arrival), arrival)
        } else {
            let this = self.clone();
            // The closure isolates panics itself, so joining can only fail when the runtime is going down.
            let read = tokio::task::spawn_blocking(move || (this.read(&arrival), arrival)).await;
            read.map_err(|_| IntakeError::Stopping)?
        };
        self.telemetry.receipt_interpreted(begun.elapsed());
        Ok(read)
    }

    fn read(&self, arrival: &Arrival) -> interpret::Read {
        read(arrival, &self.rules.now(), self.max_fact_age)
    }
}

impl Arrival {
    /// Whether it came before the database could say what its lists are, so that it cannot be recorded as it is.
    fn is_named_only(&self) -> bool {
        self.source.list.is_named_only() || self.list.as_ref().is_some_and(|it| it.is_named_only())
    }
}

impl Outcome {
    /// What was read, before anything is recorded of it; and what is to be recorded.
    fn of(read: interpret::Read) -> (Self, Option<Incoming>) {
        let interpret::Read { incoming, kind, dialect, notes, answer, requests } = read;
        let recipients = Vec::new();
        (Self { accepted: None, spooled: None, state: None, kind, dialect, recipients, notes, answer, requests }, incoming)
    }
}

impl Waiting {
    /// Whether anybody still waits for it. Who does not was told nothing, or has it in the spool.
    fn is_awaited(&self) -> bool {
        !self.done.is_closed()
    }
}

/// Reads and judges, isolated from the rest.
fn read(arrival: &Arrival, rules: &Rules, max_fact_age: Duration) -> interpret::Read {
    let provider = arrival.source.provider;
    let read = catch_unwind(AssertUnwindSafe(|| {
        let decoded = decode(provider, arrival);
        let verdicts = decoded.reading.reports.iter().map(|it| bounce::classify::classify(it, rules)).collect();
        interpret::read(arrival, decoded, verdicts, rules.version(), max_fact_age)
    }));
    match read {
        Ok(read) => read,
        Err(_) => interpret::quarantined(arrival, "reading it ended in a panic; the receipt is kept and can be read again"),
    }
}

/// What an arrival says, by the provider of its source. The same for a fresh arrival and for a stored receipt.
fn decode(provider: &'static dyn Provider, arrival: &Arrival) -> bounce::esp::Decoded {
    let headers = [("content-type".to_owned(), arrival.media_type.clone())];
    let post = Unverified { method: "POST", url: "", headers: &headers, body: &arrival.bytes };
    provider.decode(&Verified::restored(post, arrival.attribution, arrival.received_at))
}

/// Names of lists to lists, for sources that take the list from the report.
type ListsByName = BTreeMap<String, Arc<List>>;

#[cfg(test)]
mod tests;
