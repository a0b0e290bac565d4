//! The outbox as a person sees it who looks after it: what waits and why, trying it again at once, and giving it up. The relay
//! may be at work on the same rows meanwhile; a row that it removes first is neither listed nor given up any more.

use entity::outbox;
use sea_orm::sea_query::{Alias, Expr, Order, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait as _, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::{StoreError, bad_row};
use crate::store::{OutboxState, Store};

/// Messages that a page counts, and among which it looks for those that were refused: the oldest.
pub const OUTBOX_UP_TO: u64 = 10_000;
/// Rows given up at once.
const AT_ONCE: u64 = 500;

/// Which messages of the outbox are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// All that wait.
    All,
    /// Those that the broker has returned or refused at least so often.
    Refused(u16),
    /// Those of these ids.
    These(Vec<Uuid>),
}

/// A message that waits, as it is told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its id, by which consumers know it.
    pub message_id: Uuid,
    /// CloudEvents type.
    pub message_type: String,
    /// Routing key.
    pub routing_key: String,
    /// The document. It may name an address.
    pub payload: String,
    /// Returns and nacks so far.
    pub attempts: i32,
    /// What the broker said last.
    pub last_error: Option<String>,
    /// Not to be tried again before.
    pub not_before: Option<OffsetDateTime>,
    /// When it was written.
    pub created_at: OffsetDateTime,
}

impl Store {
    /// How many of these messages wait.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_count(&self, chosen: &Chosen) -> Result<u64, StoreError> {
        Ok(outbox::Entity::find().filter(of(chosen)).count(&self.db).await?)
    }

    /// The first of these messages, in the order in which they are published.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_list(&self, chosen: &Chosen, limit: u64) -> Result<Vec<Waiting>, StoreError> {
        let query = outbox::Entity::find().filter(of(chosen)).order_by_asc(outbox::Column::Sequence);
        Ok(query.limit(limit).all(&self.db).await?.into_iter().map(waiting).collect())
    }

    /// How full the outbox is, counted up to [`OUTBOX_UP_TO`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_glance(&self) -> Result<OutboxState, StoreError> {
        use outbox::Column as C;
        let first =
            Query::select().column(C::Sequence).from(outbox::Entity).order_by(C::Sequence, Order::Asc).limit(OUTBOX_UP_TO).to_owned();
        let counted = Query::select().expr(Expr::cust("count(*)")).from_subquery(first, Alias::new("it")).to_owned();
        let row = self.db.query_one(&counted).await?.ok_or_else(|| bad_row("outbox", "a count gave no row"))?;
        let depth: i64 = row.try_get_by_index(0)?;
        let oldest = outbox::Entity::find().select_only().column(C::CreatedAt).order_by_asc(C::Sequence);
        Ok(OutboxState { depth: u64::try_from(depth).unwrap_or_default(), oldest: oldest.into_tuple().one(&self.db).await? })
    }

    /// Messages that the broker has returned or refused, among the oldest [`OUTBOX_UP_TO`]: whatever waits longer was tried before.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_refusals(&self, limit: u64) -> Result<Vec<Waiting>, StoreError> {
        use outbox::Column as C;
        let last = outbox::Entity::find().select_only().column(C::Sequence).order_by_asc(C::Sequence).offset(OUTBOX_UP_TO - 1).limit(1);
        let last: Option<i64> = last.into_tuple().one(&self.db).await?;
        let among = of(&Chosen::Refused(1)).add_option(last.map(|it| C::Sequence.lte(it)));
        let query = outbox::Entity::find().filter(among).order_by_asc(C::Sequence).limit(limit);
        Ok(query.all(&self.db).await?.into_iter().map(waiting).collect())
    }

    /// Has these messages tried again at once, whatever the broker said of them. Gives how many had been put off.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_retry(&self, chosen: &Chosen) -> Result<u64, StoreError> {
        let put_off = of(chosen).add(outbox::Column::NotBefore.is_not_null());
        let update = outbox::Entity::update_many().col_expr(outbox::Column::NotBefore, Expr::value(None::<OffsetDateTime>));
        Ok(update.filter(put_off).exec(&self.db).await?.rows_affected)
    }

    /// Gives the next of these messages up, some hundreds at most: they are never published. What they say stays in the feeds.
    /// `last` is where to end, so that what is written meanwhile is left alone; see [`Store::outbox_last`].
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_discard(&self, chosen: &Chosen, last: i64) -> Result<Vec<Waiting>, StoreError> {
        use outbox::Column as C;
        let next = outbox::Entity::find().select_only().column(C::Sequence).filter(of(chosen).add(C::Sequence.lte(last)));
        let next: Vec<i64> = next.order_by_asc(C::Sequence).limit(AT_ONCE).into_tuple().all(&self.db).await?;
        if next.is_empty() {
            return Ok(Vec::new());
        }
        let mut gone = outbox::Entity::delete_many().filter(C::Sequence.is_in(next)).exec_with_returning(&self.db).await?;
        gone.sort_unstable_by_key(|it| it.sequence);
        Ok(gone.into_iter().map(waiting).collect())
    }

    /// The place of the newest message.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn outbox_last(&self) -> Result<i64, StoreError> {
        let newest = outbox::Entity::find().order_by_desc(outbox::Column::Sequence).one(&self.db).await?;
        Ok(newest.map_or(0, |it| it.sequence))
    }
}

fn of(chosen: &Chosen) -> Condition {
    match chosen {
        Chosen::All => Condition::all(),
        Chosen::Refused(times) => Condition::all().add(outbox::Column::Attempts.gte(i32::from(*times))),
        Chosen::These(ids) => Condition::all().add(outbox::Column::MessageId.is_in(ids.iter().copied())),
    }
}

fn waiting(row: outbox::Model) -> Waiting {
    Waiting {
        message_id: row.message_id,
        message_type: row.message_type,
        routing_key: row.routing_key,
        payload: row.payload,
        attempts: row.attempts,
        last_error: row.last_error,
        not_before: row.not_before,
        created_at: row.created_at,
    }
}
