//! Tokens of providers whose signature does not cover the body: each proves one body, here and on every other replica. They
//! are claimed in the transaction that takes in what they prove, so a retry of the same body finds its own claim.

use std::collections::{BTreeMap, BTreeSet};

use entity::seen_token;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};
use time::{Duration, OffsetDateTime};

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::record::{Incoming, IncomingToken};

/// Rows of one statement.
const ROWS_PER_STATEMENT: usize = 500;
/// How long a token is remembered: longer than any provider's signature is believed, and what it proved may wait for the database
/// (`spool.max_age` by default).
const REMEMBERED: Duration = Duration::days(9);

type Key = (String, Vec<u8>);

/// Claims the tokens of a batch; tells the places of those that were used with another body.
pub(super) async fn claim(tx: &DatabaseTransaction, batch: &[Incoming], now: OffsetDateTime) -> Result<BTreeSet<usize>, StoreError> {
    let mut wanted: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    for incoming in batch {
        for it in &incoming.tokens {
            // The first of a batch wins, as the first of two batches would.
            wanted.entry((incoming.source.clone(), it.token.to_vec())).or_insert_with(|| it.digest.to_vec());
        }
    }
    let rows: Vec<seen_token::Model> =
        wanted.into_iter().map(|((source, token), digest)| seen_token::Model { source, token, digest, seen_at: now }).collect();
    let mut claimed = BTreeMap::new();
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        seen_token::Entity::insert_many(chunk.iter().map(|it| it.clone().into_active_model()))
            .on_conflict_do_nothing_on([seen_token::Column::Source, seen_token::Column::Token])
            .exec_without_returning(tx)
            .await?;
        let found = seen_token::Entity::find()
            .filter(seen_token::Column::Token.is_in(chunk.iter().map(|it| it.token.clone())))
            .filter(seen_token::Column::Source.is_in(chunk.iter().map(|it| it.source.as_str())))
            .all(tx)
            .await?;
        claimed.extend(found.into_iter().map(|it| ((it.source, it.token), it.digest)));
    }
    let is_replayed = |incoming: &Incoming| {
        let is_taken =
            |it: &IncomingToken| claimed.get(&(incoming.source.clone(), it.token.to_vec())).is_some_and(|digest| *digest != it.digest);
        incoming.tokens.iter().any(is_taken)
    };
    Ok(batch.iter().enumerate().filter(|(_, it)| is_replayed(it)).map(|(at, _)| at).collect())
}

impl Store {
    /// Forgets tokens that no signature with them would be believed any more.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn forget_tokens(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        let old = seen_token::Column::SeenAt.lt(now - REMEMBERED);
        Ok(seen_token::Entity::delete_many().filter(old).exec(&self.db).await?.rows_affected)
    }
}
