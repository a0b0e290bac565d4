//! The outbox as the relay sees it: what is pending, and what became of it.

use entity::outbox;
use sea_orm::QuerySelect;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::{ActiveLock, Store, dialect, rows};

/// Rows removed by one statement.
const DONE_PER_STATEMENT: usize = 5000;

/// A row of the outbox and the message in it. The number alone says too little: it is given again where a database is restored or
/// wound back, or another one stands behind the same URL, and what became of one message must never be written to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The number of the row.
    pub sequence: i64,
    /// The message in it.
    pub message_id: Uuid,
}

/// More than the relay ever puts a message off.
const FAR_AHEAD: time::Duration = time::Duration::minutes(10);

/// A message that waits to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its row.
    pub sequence: i64,
    /// Its id, stable over retries.
    pub message_id: Uuid,
    /// CloudEvents type.
    pub message_type: String,
    /// Routing key.
    pub routing_key: String,
    /// The document.
    pub payload: String,
    /// Returns and nacks so far.
    pub attempts: i32,
    /// When it was written.
    pub created_at: OffsetDateTime,
}

impl Pending {
    /// The row with the message in it.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place { sequence: self.sequence, message_id: self.message_id }
    }
}

/// How full the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxState {
    /// Messages that wait.
    pub depth: u64,
    /// Since when the oldest one waits.
    pub oldest: Option<OffsetDateTime>,
}

impl Store {
    /// The next messages to publish behind a row, in order, leaving out those put off.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_pending(&self, after: i64, limit: u64, now: OffsetDateTime) -> Result<Vec<Pending>, StoreError> {
        use outbox::Column as C;
        let due = Condition::any().add(C::NotBefore.is_null()).add(C::NotBefore.lte(rows::kept(now)));
        // Nobody puts off for so long: the clock has been set back since.
        let due = due.add(C::NotBefore.gt(rows::kept(now + FAR_AHEAD)));
        let query = outbox::Entity::find().filter(C::Sequence.gt(after)).filter(due).order_by_asc(C::Sequence).limit(limit);
        // By their places: looking each up by its name takes longer than reading it.
        let columns = [C::Sequence, C::MessageId, C::MessageType, C::RoutingKey, C::Payload, C::Attempts, C::CreatedAt];
        let found = query.select_only().columns(columns).into_tuple::<(i64, Uuid, String, String, String, i32, OffsetDateTime)>();
        let pending = |(sequence, message_id, message_type, routing_key, payload, attempts, created_at)| Pending {
            sequence,
            message_id,
            message_type,
            routing_key,
            payload,
            attempts,
            created_at,
        };
        Ok(found.all(&self.db).await?.into_iter().map(pending).collect())
    }

    /// Removes messages that the broker has confirmed and routed, and none that has meanwhile taken the place of one.
    ///
    /// # Errors
    /// When the database is away; the messages will then be published again.
    pub async fn outbox_done(&self, done: &[Place]) -> Result<(), StoreError> {
        for chunk in done.chunks(DONE_PER_STATEMENT) {
            let keys = chunk.iter().map(|it| vec![it.sequence.into(), it.message_id.into()]).collect();
            dialect::delete(&self.db, &[outbox::Column::Sequence, outbox::Column::MessageId], keys).await?;
        }
        Ok(())
    }

    /// Writes down that the broker returned or refused a message, and puts it off.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_refused(&self, place: Place, error: &str, not_before: OffsetDateTime) -> Result<(), StoreError> {
        outbox::Entity::update_many()
            .col_expr(outbox::Column::Attempts, Expr::col(outbox::Column::Attempts).add(1))
            .col_expr(outbox::Column::LastError, Expr::value(rows::without_nul(error)))
            .col_expr(outbox::Column::NotBefore, Expr::value(rows::kept(not_before)))
            .filter(outbox::Column::Sequence.eq(place.sequence))
            .filter(outbox::Column::MessageId.eq(place.message_id))
            .exec(&self.db)
            .await?;
        Ok(())
    }

    /// How full the outbox is.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_state(&self) -> Result<OutboxState, StoreError> {
        let depth = outbox::Entity::find().count(&self.db).await?;
        let oldest = outbox::Entity::find().order_by_asc(outbox::Column::Sequence).one(&self.db).await?.map(|it| it.created_at);
        Ok(OutboxState { depth, oldest })
    }

    /// Tries to become the one active relay of this database.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn relay_lock(&self) -> Result<Option<ActiveLock>, StoreError> {
        ActiveLock::take(&self.db, dialect::RELAY_LOCK).await
    }

    /// Makes this process the one that fetches from mailboxes; `None` while another one is.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn mailbox_lock(&self) -> Result<Option<ActiveLock>, StoreError> {
        ActiveLock::take(&self.db, dialect::MAILBOX_LOCK).await
    }
}
