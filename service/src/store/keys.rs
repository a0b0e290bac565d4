//! API keys. A key is shown once, when it is made; what is kept is its SHA-256, which is enough because the key itself is 256
//! random bits.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use entity::api_key;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use secrecy::SecretString;
use time::OffsetDateTime;

use crate::store::Store;
use crate::store::error::{StoreError, bad_row};
use crate::store::identity::sha256;
use crate::store::ids::{KeyId, ListId};
use crate::store::lists::List;

/// Characters that the name of a key may have.
const NAME_LIMIT: usize = 100;

bounce::vocabulary! {
    /// What a key may do.
    pub enum Scope, "scope" {
        /// Ask: check, feeds, history.
        Read = "read",
        /// Change what lists say.
        Write = "write",
        /// Hand in bounces.
        Ingest = "ingest",
        /// Everything, keys and consent included.
        Admin = "admin",
    }
}

/// A key, without its secret.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// For people; the actor in the audit.
    pub name: String,
    /// First characters, to tell keys apart.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Only this list and those below it.
    pub list: Option<Arc<List>>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was revoked.
    pub revoked_at: Option<OffsetDateTime>,
    /// Requests a minute it may make; `None` for what the configuration says.
    pub rate_limit: Option<u32>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<OffsetDateTime>,
}

impl ApiKey {
    /// Whether it opens anything at that time.
    #[must_use]
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it may do this. Admin may do everything.
    #[must_use]
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether it may see this list.
    #[must_use]
    pub fn reaches(&self, list: &List) -> bool {
        self.list.as_ref().is_none_or(|it| list.lineage.contains(&it.id))
    }
}

/// A key that was just made. The secret is not kept anywhere.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub key: ApiKey,
    /// What the client sends, `rbk_…`.
    pub secret: SecretString,
}

impl Store {
    /// Makes a key.
    ///
    /// # Errors
    /// When there is one of that name, or the database is away.
    pub async fn create_key(
        &self,
        name: &str,
        scopes: &[Scope],
        list: Option<Arc<List>>,
        expires_at: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> Result<NewKey, StoreError> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| bad_row("api_key", "the system has no randomness"))?;
        let secret = format!("rbk_{}", BASE64URL_NOPAD.encode(&random));
        let prefix = secret.get(..12).unwrap_or_default().to_owned();
        let key = ApiKey {
            id: KeyId::new(),
            name: name.to_owned(),
            prefix,
            scopes: scopes.to_vec(),
            list,
            created_at: now,
            expires_at,
            revoked_at: None,
            rate_limit: None,
            last_used_at: None,
        };
        let row = api_key::Model {
            id: key.id.0,
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            hash: hash(&secret),
            scopes: serde_json::to_string(scopes).unwrap_or_default(),
            list_id: key.list.as_ref().map(|it| it.id.0),
            created_at: now,
            expires_at,
            revoked_at: None,
            rate_limit: None,
            last_used_at: None,
        };
        match api_key::Entity::insert(row.into_active_model()).exec_without_returning(&self.db).await {
            Ok(_) => Ok(NewKey { key, secret: SecretString::from(secret) }),
            Err(error) => match StoreError::from(error) {
                StoreError::Data(_) => Err(StoreError::Exists(format!("there is a key named {name:?} already; choose another name"))),
                other => Err(other),
            },
        }
    }

    /// The key that this secret is, live or not.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn find_key(&self, secret: &str) -> Result<Option<ApiKey>, StoreError> {
        let find = async || match api_key::Entity::find().filter(api_key::Column::Hash.eq(hash(secret))).one(&self.db).await? {
            Some(row) => Ok(Some(self.key_from_row(row).await?)),
            None => Ok(None),
        };
        self.despite_a_cut(find).await
    }

    /// Sets how many requests a minute a key may make; `None` for what the configuration says.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn limit_key(&self, id: KeyId, rate_limit: Option<u32>) -> Result<(), StoreError> {
        let limited = api_key::ActiveModel {
            id: ActiveValue::Unchanged(id.0),
            rate_limit: ActiveValue::Set(rate_limit.map(|it| i32::try_from(it).unwrap_or(i32::MAX))),
            ..<api_key::ActiveModel as Default>::default()
        };
        api_key::Entity::update(limited).exec(&self.db).await?;
        Ok(())
    }

    /// Remembers that a key was used, once a minute.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn key_used(&self, key: &ApiKey, now: OffsetDateTime) -> Result<(), StoreError> {
        if key.last_used_at.is_some_and(|it| now - it < time::Duration::MINUTE) {
            return Ok(());
        }
        let used = api_key::ActiveModel {
            id: ActiveValue::Unchanged(key.id.0),
            last_used_at: ActiveValue::Set(Some(crate::store::rows::kept(now))),
            ..<api_key::ActiveModel as Default>::default()
        };
        api_key::Entity::update(used).exec(&self.db).await?;
        Ok(())
    }

    /// Every key, oldest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut keys = Vec::new();
        for row in api_key::Entity::find().order_by_asc(api_key::Column::Id).all(&self.db).await? {
            keys.push(self.key_from_row(row).await?);
        }
        Ok(keys)
    }

    /// Revokes the key of that name or prefix; `None` when there is none.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn revoke_key(&self, name: &str, now: OffsetDateTime) -> Result<Option<ApiKey>, StoreError> {
        let Some(mut key) = self.keys().await?.into_iter().find(|it| it.name == name || it.prefix == name) else {
            return Ok(None);
        };
        if key.revoked_at.is_none() {
            let revoked = api_key::ActiveModel {
                id: ActiveValue::Unchanged(key.id.0),
                revoked_at: ActiveValue::Set(Some(now)),
                ..<api_key::ActiveModel as Default>::default()
            };
            api_key::Entity::update(revoked).exec(&self.db).await?;
            key.revoked_at = Some(now);
        }
        Ok(Some(key))
    }

    pub(super) async fn key_from_row(&self, row: api_key::Model) -> Result<ApiKey, StoreError> {
        let list = match row.list_id {
            Some(id) => Some(self.list_by_id(ListId(id)).await?),
            None => None,
        };
        let scopes = serde_json::from_str(&row.scopes).map_err(|it| bad_row("api_key", format!("scopes: {it}")))?;
        Ok(ApiKey {
            id: KeyId(row.id),
            name: row.name,
            prefix: row.prefix,
            scopes,
            list,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            rate_limit: row.rate_limit.and_then(|it| u32::try_from(it).ok()),
            last_used_at: row.last_used_at,
        })
    }
}

/// Reads the name of a key. It stands in the audit, so it must be one line that tells who it was.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn key_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name {
        "" => Err("the name is empty".to_owned()),
        "rebound" | "command line" => Err(format!("the audit calls somebody else {name:?}; choose another name")),
        _ if name.starts_with("rbk_") => Err("a name that begins with rbk_ looks like a secret; choose another name".to_owned()),
        _ if name.chars().count() > NAME_LIMIT => Err(format!("the name has more than {NAME_LIMIT} characters")),
        _ if name.chars().any(char::is_control) => Err("the name has a control character".to_owned()),
        _ => Ok(name.to_owned()),
    }
}

fn hash(secret: &str) -> Vec<u8> {
    sha256(&[secret.as_bytes()]).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_who_it_was() {
        assert_eq!(key_name(" newsletter 2 "), Ok("newsletter 2".to_owned()));
        for wrong in ["", "  ", "rebound", "command line", "rbk_abc", "a\nb", "\u{1b}[2J", &"x".repeat(101)] {
            assert!(key_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
