//! Where the rows of an import stand, and whether whoever imports them may put them there.

use std::collections::HashMap;
use std::sync::Arc;

use bounce::classify::reason::Reason;
use bounce::policy::Cause;

use crate::listing::{Entry, Refusal, Refused};
use crate::store::{ImportRow, List, Store, StoreError};

/// How far somebody's word goes.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Only this list and those below; none for all.
    pub confined: Option<Arc<List>>,
    /// Whether consent may be overridden.
    pub consent: Consent,
}

/// Whether an allow may override complaint and unsubscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It may.
    MayBeOverridden,
    /// That is for administrators.
    Stands,
}

/// The lists that rows name, each looked up once.
pub(super) struct Places<'a> {
    store: &'a Store,
    target: Arc<List>,
    reach: &'a Reach,
    known: HashMap<String, Option<Arc<List>>>,
}

impl<'a> Places<'a> {
    pub(super) fn new(store: &'a Store, target: Arc<List>, reach: &'a Reach) -> Self {
        Self { store, target, reach, known: HashMap::new() }
    }

    /// The row with the list where it stands, or why it may not.
    pub(super) async fn place(&mut self, entry: Entry) -> Result<Result<ImportRow, Refused>, StoreError> {
        let line = entry.line;
        let refused = |why| Ok(Err(Refused { line, why }));
        if entry.overrides_consent && self.reach.consent == Consent::Stands {
            return refused(Refusal::NotAdmin);
        }
        let list = match &entry.list {
            None if is_of_boundary(&entry) => self.store.in_time(self.store.list_by_id(self.target.boundary)).await?,
            None => self.target.clone(),
            Some(name) => match self.named(name).await? {
                Some(list) if list.lineage.contains(&self.target.id) => list,
                Some(list) if !self.target.lineage.contains(&list.id) => return refused(Refusal::Elsewhere),
                // What a fact says reaches the boundary, whoever brings it; a person's word needs to reach that far itself.
                Some(list) if self.reaches(&list) || (is_of_boundary(&entry) && list.id == list.boundary) => list,
                Some(_) => return refused(Refusal::Unreached),
                None => return refused(Refusal::Elsewhere),
            },
        };
        Ok(Ok(ImportRow {
            list,
            address: entry.address,
            cause: entry.cause,
            reason: entry.reason,
            provisional: entry.provisional,
            overrides_consent: entry.overrides_consent,
            since: entry.since,
            expires_at: entry.expires_at,
            note: entry.note,
        }))
    }

    fn reaches(&self, list: &List) -> bool {
        self.reach.confined.as_ref().is_none_or(|own| list.lineage.contains(&own.id))
    }

    async fn named(&mut self, name: &str) -> Result<Option<Arc<List>>, StoreError> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let found = match self.store.in_time(self.store.list(name)).await {
            Ok(list) => Some(list),
            Err(StoreError::UnknownList(_)) => None,
            Err(error) => return Err(error),
        };
        // Lists are few; a column that holds something else is not kept.
        if self.known.len() < 1000 {
            self.known.insert(name.to_owned(), found.clone());
        }
        Ok(found)
    }
}

/// Whether it stands at the root of the tree and so holds for all of it, if the row names no list.
fn is_of_boundary(entry: &Entry) -> bool {
    entry.reason != Some(Reason::RecipientRefused)
        && matches!(entry.cause, Cause::Hard | Cause::Soft | Cause::Complaint | Cause::Provider | Cause::Import)
}
