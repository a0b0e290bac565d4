//! What stands on a list, row by row and page by page: on the list itself, then on each above it, in the order of the subjects'
//! ids. A place is the key of a row, so a reader goes on where it ended, whatever changed meanwhile.

use std::str::FromStr;
use std::sync::Arc;

use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use entity::suppression;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::feed::BadCursor;
use crate::store::ids::{ListId, SubjectId};
use crate::store::lists::List;
use crate::store::record::Suppression;
use crate::store::release::holding;
use crate::store::{Store, rows};

/// Rows of a list that one look goes through.
pub const ENTRIES_LOOKED_AT: u64 = 20_000;
/// The cause that stands last of a subject's.
const LAST_CAUSE: Cause = Cause::Unsubscribe;

/// Which rows are wanted; everything that is set must fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StandingFilter {
    /// For this cause.
    pub cause: Option<Cause>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// Those that hold now, or those that were lifted or have ended.
    pub holds: Option<bool>,
    /// Those that another day must confirm, or those that are sure.
    pub provisional: Option<bool>,
    /// Where they stand.
    pub whence: Whence,
}

/// Which lists count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whence {
    /// The list and those above it, whose rows hold there too.
    #[default]
    Lineage,
    /// This very list.
    Own,
}

/// A row on a page: after it the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingPlace {
    list: ListId,
    subject: SubjectId,
    cause: Cause,
}

/// A row with whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRow {
    /// The plain address or domain entry; none once erased.
    pub address: Option<String>,
    /// Its pseudonym.
    pub subject: SubjectId,
    /// What is said.
    pub suppression: Suppression,
}

/// Some rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingPage {
    /// In the order of the lists, the subjects and the causes.
    pub items: Vec<StandingRow>,
    /// Where the next page goes on, if there may be one.
    pub next: Option<StandingPlace>,
}

impl StandingFilter {
    fn lists(self, list: &List) -> &[ListId] {
        match self.whence {
            Whence::Lineage => &list.lineage,
            Whence::Own => std::slice::from_ref(&list.id),
        }
    }

    /// The lists that are left to be read after a place.
    fn lists_from(self, list: &List, after: Option<StandingPlace>) -> impl Iterator<Item = ListId> {
        self.lists(list).iter().copied().skip_while(move |it| after.is_some_and(|place| place.list != *it))
    }

    /// Whether a place is one of the rows that are read of a list.
    #[must_use]
    pub fn reads(self, list: &List, place: StandingPlace) -> bool {
        self.lists(list).contains(&place.list)
    }
}

impl StandingRow {
    /// Where to go on after it.
    #[must_use]
    pub const fn place(&self) -> StandingPlace {
        StandingPlace { list: self.suppression.list, subject: self.subject, cause: self.suppression.cause }
    }
}

impl std::fmt::Display for StandingPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{}.{}.{}", self.list.0.simple(), self.subject, self.cause)
    }
}

impl FromStr for StandingPlace {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut parts = text.strip_prefix('s').ok_or(BadCursor)?.splitn(3, '.');
        let mut part = || parts.next().ok_or(BadCursor);
        let id = |text: &str| Uuid::try_parse(text).map_err(|_| BadCursor);
        let (list, subject, cause) = (id(part()?)?, id(part()?)?, part()?);
        let cause = cause.parse().map_err(|_| BadCursor)?;
        let read = Self { list: ListId(list), subject: SubjectId(subject.into_bytes()), cause };
        // Ids can be spelled in more ways than one; only ours is a place.
        if read.to_string() == text { Ok(read) } else { Err(BadCursor) }
    }
}

impl Store {
    /// Rows of a list after a place, most `limit` of them; fewer at the end.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn standing_after(
        &self,
        list: &Arc<List>,
        filter: StandingFilter,
        after: Option<StandingPlace>,
        limit: u64,
        now: OffsetDateTime,
    ) -> Result<Vec<StandingRow>, StoreError> {
        let mut found = Vec::new();
        for list in filter.lists_from(list, after) {
            let left = limit - found.len() as u64;
            if left == 0 {
                break;
            }
            let after = after.filter(|it| it.list == list);
            found.extend(self.standing_of(wanted(list, filter, after, now), left).await?);
        }
        self.with_addresses(found).await
    }

    /// Rows of a list after a place, most `limit` of them, for which no more than [`ENTRIES_LOOKED_AT`] of each list are looked at,
    /// however few fit: where the look ended, the next one goes on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn browse_standing(
        &self,
        list: &Arc<List>,
        filter: StandingFilter,
        after: Option<StandingPlace>,
        limit: u64,
        now: OffsetDateTime,
    ) -> Result<StandingPage, StoreError> {
        let (mut found, mut next) = (Vec::new(), None);
        for list in filter.lists_from(list, after) {
            let after = after.filter(|it| it.list == list);
            let last = self.last_looked_at_of(list, after).await?;
            let near = last.map(|it| suppression::Column::SubjectId.lte(it.0.to_vec()));
            let left = limit + 1 - found.len() as u64;
            found.extend(self.standing_of(wanted(list, filter, after, now).add_option(near), left).await?);
            next = last.map(|subject| StandingPlace { list, subject, cause: LAST_CAUSE });
            if next.is_some() || found.len() as u64 > limit {
                break;
            }
        }
        let is_full = found.len() as u64 > limit;
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let items = self.with_addresses(found).await?;
        let next = if is_full { items.last().map(StandingRow::place) } else { next };
        Ok(StandingPage { items, next })
    }

    /// The subject with which a look at the rows of a list ends, if there are more than that.
    async fn last_looked_at_of(&self, list: ListId, after: Option<StandingPlace>) -> Result<Option<SubjectId>, StoreError> {
        use suppression::Column as C;
        let from = after.map(|it| C::SubjectId.gte(it.subject.0.to_vec()));
        let range = suppression::Entity::find().filter(Condition::all().add(C::ListId.eq(list.0)).add_option(from));
        let last = range.select_only().column(C::SubjectId).order_by_asc(C::SubjectId).offset(ENTRIES_LOOKED_AT - 1).limit(1);
        let last: Option<Vec<u8>> = last.into_tuple().one(&self.db).await?;
        last.map(|it| rows::sixteen("suppression", &it).map(SubjectId)).transpose()
    }

    async fn standing_of(&self, wanted: Condition, limit: u64) -> Result<Vec<(SubjectId, Suppression)>, StoreError> {
        let found = suppression::Entity::find()
            .filter(wanted)
            .order_by_asc(suppression::Column::SubjectId)
            .order_by_asc(suppression::Column::Cause)
            .limit(limit)
            .all(&self.db)
            .await?;
        let row = |it: suppression::Model| Ok((SubjectId(rows::sixteen("suppression", &it.subject_id)?), rows::suppression_from_row(it)?));
        found.into_iter().map(row).collect()
    }

    async fn with_addresses(&self, found: Vec<(SubjectId, Suppression)>) -> Result<Vec<StandingRow>, StoreError> {
        let subjects = self.subjects(found.iter().map(|it| it.0)).await?;
        let address = |it| subjects.get(&it).and_then(|it| it.address.clone());
        Ok(found.into_iter().map(|(subject, suppression)| StandingRow { address: address(subject), subject, suppression }).collect())
    }
}

fn wanted(list: ListId, filter: StandingFilter, after: Option<StandingPlace>, now: OffsetDateTime) -> Condition {
    use suppression::Column as C;
    let cause = filter.cause.map(|it| C::Cause.eq(it.as_str()));
    let reason = filter.reason.map(|it| C::Reason.eq(it.as_str()));
    let holds = filter.holds.map(|it| if it { holding(now) } else { holding(now).not() });
    let provisional = filter.provisional.map(|it| C::Provisional.eq(it));
    let later = after.map(|it| {
        let subject = it.subject.0.to_vec();
        let same = Condition::all().add(C::SubjectId.eq(subject.clone())).add(C::Cause.gt(it.cause.as_str()));
        // The first part lets the index find where to begin.
        let from = Condition::all().add(C::SubjectId.gte(subject.clone()));
        from.add(Condition::any().add(C::SubjectId.gt(subject)).add(same))
    });
    Condition::all()
        .add(C::ListId.eq(list.0))
        .add_option(cause)
        .add_option(reason)
        .add_option(holds)
        .add_option(provisional)
        .add_option(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cause_is_the_last() {
        assert!(Cause::ALL.iter().all(|it| it.as_str() <= LAST_CAUSE.as_str()));
    }

    #[test]
    fn a_place_survives_the_way_to_the_client_and_back() {
        let place = StandingPlace { list: ListId::new(), subject: SubjectId([7; 16]), cause: Cause::Unsubscribe };
        assert_eq!(place.to_string().parse(), Ok(place));
        let text = place.to_string();
        for wrong in ["", "s", "s1.2.hard", &text.replacen('s', "c", 1), &text.replace("unsubscribe", "nonsense"), &format!("{text}.")] {
            assert_eq!(wrong.parse::<StandingPlace>(), Err(BadCursor), "{wrong:?}");
        }
    }
}
