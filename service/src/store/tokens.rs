//! Tokens of providers whose signature does not cover the body: each proves one body, here and on every other replica. They
//! are claimed in the transaction that takes in what they prove, so a retry of the same body finds its own claim.

use std::collections::{BTreeMap, BTreeSet};

use entity::seen_token;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter};
use time::{Duration, OffsetDateTime};

use crate::store::Store;
use crate::store::dialect::{self, among};
use crate::store::error::StoreError;
use crate::store::record::{Incoming, IncomingToken};

/// Keys looked for by one statement, below the 32,766 parameters that SQLite takes.
const KEYS_PER_STATEMENT: usize = 10_000;
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
    let key = [seen_token::Column::Source, seen_token::Column::Token];
    let claimed = dialect::insert_missing(tx, rows.clone(), &key, &key).await?;
    let new: BTreeSet<Key> =
        claimed.iter().map(|it| Ok((it.try_get("", "source")?, it.try_get("", "token")?))).collect::<Result<_, DbErr>>()?;
    let mut claimed: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
    let mut before = Vec::new();
    for row in rows {
        let key = (row.source, row.token);
        if new.contains(&key) {
            claimed.insert(key, row.digest);
        } else {
            before.push(key.1);
        }
    }
    for chunk in before.chunks(KEYS_PER_STATEMENT) {
        let tokens = chunk.iter().map(|it| it.clone().into());
        let found = seen_token::Entity::find().filter(among(tx, seen_token::Column::Token, tokens)).all(tx).await?;
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
