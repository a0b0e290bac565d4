//! Sources as they work: configuration with the lists looked up.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bounce::esp::mime::Mime;
use bounce::esp::{Credentials, Provider};
use bounce::token::TokenKeys;
use time::OffsetDateTime;

use super::ListsByName;
use crate::config::{Config, ListFrom, ListName, SourceConfig, Unattributed};
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
    /// The keys of signed return paths of the lists that it may speak for, and of no other: whoever makes tokens for somebody
    /// else's list proves nothing here.
    pub tokens: Arc<TokenKeys>,
}

impl Source {
    /// Whoever hands in raw messages for a list, under a name: the holder of the key is known, who wrote the mail is not.
    #[must_use]
    pub fn of_messages(name: &str, list: Arc<List>, tokens: &TokenKeys) -> Self {
        let tokens = ListName::parse(&list.name).map(|it| ours(tokens, &it, &it)).unwrap_or_default();
        Self {
            name: name.to_owned(),
            provider: &Mime,
            credentials: Credentials::default(),
            unattributed: unattributed(None, &tokens),
            list,
            within: Arc::default(),
            list_from: Vec::new(),
            tokens: Arc::new(tokens),
        }
    }
}

/// All sources, by name. Its clones are one: what [`Sources::settle`] finds, all of them see.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    by_name: Arc<RwLock<Arc<SourcesByName>>>,
    tokens: Arc<TokenKeys>,
}

type SourcesByName = BTreeMap<String, Arc<Source>>;

impl Sources {
    /// These sources, whatever the configuration says.
    #[cfg(test)]
    pub(super) fn of(sources: impl IntoIterator<Item = Arc<Source>>) -> Self {
        Self::from(sources.into_iter().map(|it| (it.name.clone(), it)).collect(), Arc::default())
    }

    fn from(by_name: SourcesByName, tokens: Arc<TokenKeys>) -> Self {
        Self { by_name: Arc::new(RwLock::new(Arc::new(by_name))), tokens }
    }

    /// Looks up what the configuration names, making the lists that are not there yet.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn open(store: &Store, config: &Config, now: OffsetDateTime) -> Result<Self, StoreError> {
        let tokens = Arc::new(config.token_keys());
        look_up(store, &config.sources, &tokens, now).await.map(|it| Self::from(it, tokens))
    }

    /// What the configuration names, before the database can be asked which lists these are: enough to prove a post and to
    /// answer it, not to record it.
    #[must_use]
    pub fn named_only(config: &Config) -> Self {
        let tokens = Arc::new(config.token_keys());
        let list = |name: &str| Arc::new(List::named_only(name));
        let source = |it: &SourceConfig| Some((it.name.clone(), Arc::new(source(it, list(it.list.as_str()), Arc::default(), &tokens)?)));
        let by_name = config.sources.iter().filter_map(source).collect();
        Self::from(by_name, tokens)
    }

    /// Looks up anew what the configuration names.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn settle(&self, store: &Store, configured: &[SourceConfig], now: OffsetDateTime) -> Result<(), StoreError> {
        let found = look_up(store, configured, &self.tokens, now).await?;
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
        Ok(())
    }

    /// The keys of signed return paths.
    #[must_use]
    pub fn tokens(&self) -> Arc<TokenKeys> {
        self.tokens.clone()
    }

    /// Names of those that take posts which nothing proves.
    #[must_use]
    pub fn insecure(&self) -> Vec<String> {
        let proved = |it: &Source| it.provider.proved_by().iter().any(|key| it.credentials.has(key));
        self.all().values().filter(|it| it.credentials.insecure && !proved(it)).map(|it| it.name.clone()).collect()
    }

    /// The source of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Source>> {
        self.all().get(name).cloned()
    }

    fn all(&self) -> Arc<SourcesByName> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn look_up(store: &Store, configured: &[SourceConfig], tokens: &TokenKeys, now: OffsetDateTime) -> Result<SourcesByName, StoreError> {
    let mut by_name = BTreeMap::new();
    for config in configured {
        let list = ensure(store, config.list.as_str(), now).await?;
        let root = ensure(store, config.within.as_str(), now).await?;
        let within = store.lists().await?.into_iter().filter(|it| it.lineage.contains(&root.id)).map(|it| (it.name.clone(), it)).collect();
        by_name.extend(source(config, list, Arc::new(within), tokens).map(|it| (it.name.clone(), Arc::new(it))));
    }
    Ok(by_name)
}

/// The source that a configuration says; `None` of a provider that is not known.
fn source(config: &SourceConfig, list: Arc<List>, within: Arc<ListsByName>, tokens: &TokenKeys) -> Option<Source> {
    let tokens = ours(tokens, &config.list, &config.within);
    Some(Source {
        name: config.name.clone(),
        provider: bounce::esp::provider(&config.provider)?,
        credentials: config.credentials.clone(),
        list,
        within,
        list_from: config.list_from.clone(),
        unattributed: unattributed(config.unattributed, &tokens),
        tokens: Arc::new(tokens),
    })
}

/// The keys of the lists within which a source speaks, and of those above its own list.
fn ours(tokens: &TokenKeys, list: &ListName, within: &ListName) -> TokenKeys {
    tokens.of_lists(|it| ListName::parse(it).is_some_and(|it| it.is_within(within) || list.is_within(&it)))
}

/// What a failure is worth that nothing proves: what the configuration says; else nothing as soon as a list that it may be
/// about has keys of signed return paths, for then real ones bring a token back.
fn unattributed(said: Option<Unattributed>, ours: &TokenKeys) -> Unattributed {
    said.unwrap_or(if ours.is_empty() { Unattributed::Provisional } else { Unattributed::Record })
}

async fn ensure(store: &Store, name: &str, now: OffsetDateTime) -> Result<Arc<List>, StoreError> {
    match store.list(name).await {
        Err(StoreError::UnknownList(_)) => store.ensure_list(name, None, now).await,
        other => other,
    }
}
