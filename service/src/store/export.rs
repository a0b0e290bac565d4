//! All that a list says, page by page in the order of the subjects' ids. A page ends between two subjects, so the next one
//! goes on where it ended, whatever changed meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bounce::address::Address;
use entity::suppression;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;

use crate::store::check::weigh;
use crate::store::error::StoreError;
use crate::store::ids::SubjectId;
use crate::store::lists::List;
use crate::store::record::Suppression;
use crate::store::{Store, rows};

/// Rows read by one page: more than any subject has.
const ROWS_PER_PAGE: u64 = 5_000;

/// What is wanted of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything that stands on it and on those above it.
    Everything,
    /// The addresses that it may not mail, each with the weightiest cause.
    Blocked,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct ExportPage {
    /// What stands, each with its plain address and the list where it stands.
    pub entries: Vec<(String, Arc<List>, Suppression)>,
    /// Entries of addresses that were erased.
    pub erased: u64,
    /// Where to go on; none at the end.
    pub next: Option<SubjectId>,
}

impl Store {
    /// What holds on a list at a moment, of the subjects after one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn export(
        &self,
        list: &Arc<List>,
        extent: Extent,
        after: Option<SubjectId>,
        as_of: OffsetDateTime,
    ) -> Result<ExportPage, StoreError> {
        let mut query = suppression::Entity::find()
            .filter(suppression::Column::ListId.is_in(list.lineage.iter().map(|it| it.0)))
            .filter(suppression::Column::ReleasedAt.is_null());
        if let Some(after) = after {
            query = query.filter(suppression::Column::SubjectId.gt(after.0.to_vec()));
        }
        let found = query
            .order_by_asc(suppression::Column::SubjectId)
            .order_by_asc(suppression::Column::ListId)
            .order_by_asc(suppression::Column::Cause)
            .limit(ROWS_PER_PAGE)
            .all(&self.db)
            .await?;
        let is_full = found.len() as u64 == ROWS_PER_PAGE;
        let mut standing: BTreeMap<SubjectId, Vec<Suppression>> = BTreeMap::new();
        for row in found {
            let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
            standing.entry(subject).or_default().push(rows::suppression_from_row(row)?);
        }
        if is_full {
            // The rows of the last one may go on.
            standing.pop_last();
        }
        let next = standing.last_key_value().filter(|_| is_full).map(|it| *it.0);
        let subjects = self.subjects(standing.keys().copied()).await?;
        let mut page = ExportPage { next, ..ExportPage::default() };
        let domains = match extent {
            Extent::Everything => HashMap::new(),
            Extent::Blocked => self.domains(list, subjects.values().filter_map(|it| it.address.as_ref())).await?,
        };
        for (subject, mut held) in standing {
            held.retain(|it| it.holds_at(as_of));
            let Some(address) = subjects.get(&subject).and_then(|it| it.address.as_ref()) else {
                page.erased += held.len() as u64;
                continue;
            };
            if extent == Extent::Blocked {
                // A domain entry is no address that could be mailed.
                let domain = Address::parse(address).ok().map(|it| self.identity.subject(&it.domain_entry()));
                let none = Vec::new();
                let Some(domain) = domain.map(|it| domains.get(&it).unwrap_or(&none)) else { continue };
                held = weigh(list, &held, domain, as_of).map(|it| it.0.clone()).into_iter().collect();
            }
            for it in held {
                page.entries.push((address.clone(), self.list_by_id(it.list).await?, it));
            }
        }
        Ok(page)
    }

    /// What stands for the domains of these addresses.
    async fn domains(
        &self,
        list: &List,
        addresses: impl Iterator<Item = &String>,
    ) -> Result<HashMap<SubjectId, Vec<Suppression>>, StoreError> {
        let mut ids: Vec<SubjectId> =
            addresses.filter_map(|it| Address::parse(it).ok()).map(|it| self.identity.subject(&it.domain_entry())).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut standing: HashMap<SubjectId, Vec<Suppression>> = HashMap::new();
        for chunk in ids.chunks(1000) {
            let found = suppression::Entity::find()
                .filter(suppression::Column::SubjectId.is_in(chunk.iter().map(|it| it.0.to_vec())))
                .filter(suppression::Column::ListId.is_in(list.lineage.iter().map(|it| it.0)))
                .filter(suppression::Column::ReleasedAt.is_null())
                .all(&self.db)
                .await?;
            for row in found {
                let subject = SubjectId(rows::sixteen("suppression", &row.subject_id)?);
                standing.entry(subject).or_default().push(rows::suppression_from_row(row)?);
            }
        }
        Ok(standing)
    }
}
