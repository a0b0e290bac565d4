//! What happens to a receipt that the database does not take in time: it goes to the spool, and its sender is answered as if it
//! had been committed. While the database is known to be away nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Arrival, Intake, IntakeError, Outcome};
use crate::spool::{Entry, Found, Presence, Spool};
use crate::store::{Accepted, List, ReceiptId, ReceiptState, StoreError};
use crate::telemetry::{Database, Telemetry};

/// Where receipts go, and when.
#[derive(Debug, Clone)]
pub(super) struct Shelter {
    pub(super) spool: Arc<Spool>,
    pub(super) presence: Presence,
    /// How long the database may take for one receipt.
    pub(super) patience: Duration,
}

impl Intake {
    /// The same, with a spool for what the database does not take within that time.
    #[must_use]
    pub fn with_spool(self, spool: Arc<Spool>, presence: Presence, patience: Duration) -> Self {
        if !presence.is_there() {
            self.telemetry.database_found(Database::Away);
        }
        Self { shelter: Some(Shelter { spool, presence, patience }), ..self }
    }

    /// The spool, if there is one.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool> {
        self.shelter.as_ref().map(|it| it.spool.as_ref())
    }

    /// What is known of the database, where there is a spool, and how long it may take for one receipt.
    #[must_use]
    pub fn presence(&self) -> Option<(&Presence, Duration)> {
        self.shelter.as_ref().map(|it| (&it.presence, it.patience))
    }

    /// The spool, where an arrival needs it: the database is away, or was never there to say what its lists are.
    pub(super) fn shelter_for(&self, arrival: &Arrival) -> Option<&Shelter> {
        self.shelter.as_ref().filter(|it| arrival.is_named_only() || !it.presence.is_there())
    }

    /// As [`Intake::accept`], without the database.
    pub(super) async fn accept_into(&self, shelter: &Shelter, arrival: Arrival) -> Result<Outcome, IntakeError> {
        let _room = self.room_for(&arrival)?;
        let (read, arrival) = self.read_apart(arrival).await?;
        let (outcome, incoming) = Outcome::of(read);
        let Some(incoming) = incoming else { return Ok(outcome) };
        if !shelter.take(&arrival, incoming.id).await {
            return Err(IntakeError::Away);
        }
        Ok(Outcome { spooled: Some(incoming.id), ..outcome })
    }

    /// Waits for the commit of a receipt, no longer than it may take where there is a spool. Should the spool not take it either, the
    /// database has all the time that it has without one.
    pub(super) async fn settled(&self, arrival: &Arrival, id: ReceiptId, mut committed: Commit) -> Result<Settled, IntakeError> {
        let Some(shelter) = &self.shelter else { return answered(committed.await) };
        let answer = tokio::select! {
            biased;
            answer = &mut committed => answer,
            () = shelter.is_overdue() => {
                if shelter.take(arrival, id).await {
                    return Ok(Settled::Spooled);
                }
                committed.await
            }
        };
        match answered(answer) {
            Ok(settled) => {
                shelter.presence.committed();
                Ok(settled)
            }
            Err(error) if matches!(error, IntakeError::Unavailable(_) | IntakeError::TooSlow(_)) => {
                if error.is_outage() {
                    note(&shelter.presence, Found::Away, &self.telemetry);
                }
                if shelter.take(arrival, id).await { Ok(Settled::Spooled) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }
}

/// What the committer says of a receipt, when it does.
type Commit = oneshot::Receiver<Result<(Accepted, ReceiptState), IntakeError>>;

/// What became of a receipt that may be told.
#[derive(Debug)]
pub(super) enum Settled {
    Committed(Accepted, ReceiptState),
    Spooled,
}

fn answered(answer: Result<Result<(Accepted, ReceiptState), IntakeError>, oneshot::error::RecvError>) -> Result<Settled, IntakeError> {
    let (accepted, state) = answer.map_err(|_| IntakeError::Stopping)??;
    Ok(Settled::Committed(accepted, state))
}

impl Shelter {
    /// Waits until there is no sense in waiting longer for the database.
    async fn is_overdue(&self) {
        tokio::select! {
            () = self.presence.gone() => {}
            () = tokio::time::sleep(self.patience) => {}
        }
    }

    /// Puts a receipt into the spool; whether it is there. Why it is not has been logged.
    async fn take(&self, arrival: &Arrival, id: ReceiptId) -> bool {
        let kept = self.spool.keep(entry(arrival, id)).await.is_ok();
        self.presence.doubt();
        kept
    }
}

impl IntakeError {
    /// Whether the database was found to be away.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(error) if matches!(**error, StoreError::Outage(_)))
    }

    /// Whether others would fail alike: the database is away, in trouble or slow, or not as it should be.
    pub(super) fn is_of_all(&self) -> bool {
        match self {
            Self::Unavailable(error) => error.is_of_all(),
            _ => true,
        }
    }
}

/// Notes what was found of the database, and tells it once.
pub(super) fn note(presence: &Presence, found: Found, telemetry: &Telemetry) {
    if presence.is_news(found) {
        telemetry.database_found(if found == Found::There { Database::There } else { Database::Away });
    }
}

/// An arrival as it waits on the disk.
fn entry(arrival: &Arrival, id: ReceiptId) -> Entry {
    Entry {
        id,
        source: arrival.source.name.clone(),
        list: arrival.list.as_deref().map(|it: &List| it.name.clone()),
        received_at: crate::store::kept(arrival.received_at),
        media_type: arrival.media_type.clone(),
        attribution: arrival.attribution,
        tokens: arrival.tokens.clone(),
        bytes: Bytes::clone(&arrival.bytes),
    }
}
