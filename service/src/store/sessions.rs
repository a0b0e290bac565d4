//! Sessions of the console. What is kept is the hash of a secret that only the browser has. A session is worth what its key is
//! worth: the key is read with it each time, so that revoking one ends the other.

use std::time::Duration;

use entity::{api_key, session};
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use time::OffsetDateTime;

use crate::store::error::StoreError;
use crate::store::ids::KeyId;
use crate::store::keys::ApiKey;
use crate::store::{Store, rows, sha256};

/// A session is made longer at most this often, so that not every page is a write.
const RENEWED_EVERY: time::Duration = time::Duration::MINUTE;

/// How long a session may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLife {
    /// Without a request.
    pub idle: Duration,
    /// Whatever is done.
    pub longest: Duration,
}

impl SessionLife {
    /// When a session that began then ends, if nothing more is heard.
    fn end(self, began: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
        rows::kept((now + self.idle).min(began + self.longest))
    }
}

impl Store {
    /// Opens a session for a key, and removes those that have ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn open_session(&self, secret: &str, key: KeyId, life: SessionLife, now: OffsetDateTime) -> Result<(), StoreError> {
        session::Entity::delete_many().filter(session::Column::ExpiresAt.lte(rows::kept(now))).exec(&self.db).await?;
        let expires_at = life.end(now, now);
        let row = session::Model { hash: hash(secret), api_key_id: key.0, created_at: rows::kept(now), expires_at };
        session::Entity::insert(row.into_active_model()).exec_without_returning(&self.db).await?;
        Ok(())
    }

    /// The key of a session that lasts, which then lasts longer; `None` when it or its key has ended.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn session(&self, secret: &str, life: SessionLife, now: OffsetDateTime) -> Result<Option<ApiKey>, StoreError> {
        let Some(row) = session::Entity::find_by_id(hash(secret)).one(&self.db).await? else { return Ok(None) };
        // Lifetimes may have been made shorter since; and a clock that was set back prolongs nothing.
        if now >= row.expires_at || now >= row.created_at + life.longest || now < row.created_at - time::Duration::HOUR {
            return Ok(None);
        }
        let Some(key) = api_key::Entity::find_by_id(row.api_key_id).one(&self.db).await? else { return Ok(None) };
        let key = self.key_from_row(key).await?;
        if !key.is_live(now) {
            return Ok(None);
        }
        let end = life.end(row.created_at, now);
        if end - row.expires_at >= RENEWED_EVERY {
            let renewed = session::ActiveModel {
                hash: ActiveValue::Unchanged(row.hash),
                expires_at: ActiveValue::Set(end),
                ..<session::ActiveModel as Default>::default()
            };
            // It may have been closed meanwhile, which stands.
            session::Entity::update_many().set(renewed.clone()).filter(session::Column::Hash.eq(hash(secret))).exec(&self.db).await?;
        }
        Ok(Some(key))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn close_session(&self, secret: &str) -> Result<(), StoreError> {
        session::Entity::delete_by_id(hash(secret)).exec(&self.db).await?;
        Ok(())
    }
}

fn hash(secret: &str) -> Vec<u8> {
    sha256(&[secret.as_bytes()]).to_vec()
}
