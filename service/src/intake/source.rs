//! Sources as they work: configuration with the lists looked up.

use std::collections::BTreeMap;
use std::sync::Arc;

use bounce::esp::mime::Mime;
use bounce::esp::{Credentials, Provider};
use bounce::token::TokenKeys;
use time::OffsetDateTime;

use super::ListsByName;
use crate::config::{Config, ListFrom, Unattributed};
use crate::store::{List, Store, StoreError};

/// One sender of reports.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name: the last part of `/webhooks/{source}`.
    pub name: String,
    /// Who posts.
    pub provider: &'static dyn Provider,
    /// What its posts are proved with.
    pub credentials: Credentials,
    /// The list its reports count for, unless they name another.
    pub list: Arc<List>,
    /// Lists that a report may name, by name.
    pub within: Arc<ListsByName>,
    /// Where a report may name its list.
    pub list_from: Vec<ListFrom>,
    /// What a failure is worth that anyone could have written.
    pub unattributed: Unattributed,
    /// The keys of signed return paths.
    pub tokens: Arc<TokenKeys>,
}

impl Source {
    /// Whoever hands in raw messages for a list, under a name: the holder of the key is known, who wrote the mail is not.
    #[must_use]
    pub fn of_messages(name: &str, list: Arc<List>, tokens: Arc<TokenKeys>) -> Self {
        Self {
            name: name.to_owned(),
            provider: &Mime,
            credentials: Credentials::default(),
            unattributed: unattributed(None, &tokens, &list.name, &list.name),
            list,
            within: Arc::default(),
            list_from: Vec::new(),
            tokens,
        }
    }
}

/// All sources, by name.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    by_name: BTreeMap<String, Arc<Source>>,
    tokens: Arc<TokenKeys>,
}

impl Sources {
    /// These sources, whatever the configuration says.
    #[cfg(test)]
    pub(super) fn of(sources: impl IntoIterator<Item = Arc<Source>>) -> Self {
        Self { by_name: sources.into_iter().map(|it| (it.name.clone(), it)).collect(), tokens: Arc::default() }
    }

    /// Looks up what the configuration names, making the lists that are not there yet.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn open(store: &Store, config: &Config, now: OffsetDateTime) -> Result<Self, StoreError> {
        let mut by_name = BTreeMap::new();
        let tokens = Arc::new(config.token_keys());
        for config in &config.sources {
            let Some(provider) = bounce::esp::provider(&config.provider) else { continue };
            let list = ensure(store, config.list.as_str(), now).await?;
            let root = ensure(store, config.within.as_str(), now).await?;
            let within =
                store.lists().await?.into_iter().filter(|it| it.lineage.contains(&root.id)).map(|it| (it.name.clone(), it)).collect();
            let source = Source {
                name: config.name.clone(),
                provider,
                credentials: config.credentials.clone(),
                list,
                within: Arc::new(within),
                list_from: config.list_from.clone(),
                unattributed: unattributed(config.unattributed, &tokens, config.list.as_str(), config.within.as_str()),
                tokens: tokens.clone(),
            };
            by_name.insert(source.name.clone(), Arc::new(source));
        }
        Ok(Self { by_name, tokens })
    }

    /// The keys of signed return paths.
    #[must_use]
    pub fn tokens(&self) -> Arc<TokenKeys> {
        self.tokens.clone()
    }

    /// Names of those that take posts which nothing proves.
    #[must_use]
    pub fn insecure(&self) -> Vec<&str> {
        let proved = |it: &Source| it.provider.proved_by().iter().any(|key| it.credentials.has(key));
        self.by_name.values().filter(|it| it.credentials.insecure && !proved(it)).map(|it| it.name.as_str()).collect()
    }

    /// The source of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Source>> {
        self.by_name.get(name).cloned()
    }
}

/// What a failure is worth that nothing proves: what the configuration says; else nothing as soon as a list that it may be
/// about has keys of signed return paths, for then real ones bring a token back.
fn unattributed(said: Option<Unattributed>, tokens: &TokenKeys, list: &str, within: &str) -> Unattributed {
    let is_within = |it: &str, above: &str| it.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let is_signed = tokens.iter().any(|it| is_within(it.list(), within) || is_within(list, it.list()));
    said.unwrap_or(if is_signed { Unattributed::Record } else { Unattributed::Provisional })
}

async fn ensure(store: &Store, name: &str, now: OffsetDateTime) -> Result<Arc<List>, StoreError> {
    match store.list(name).await {
        Err(StoreError::UnknownList(_)) => store.ensure_list(name, None, now).await,
        other => other,
    }
}
