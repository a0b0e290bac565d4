//! Looking through what was recorded, the newest first: events by what they say. A page looks at so many rows and no more, however few
//! of them fit; where it ended, the next one goes on.

use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, BounceType, Kind};
use entity::event;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder, QuerySelect, Select};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::feed::Visible;
use crate::store::figures::{domain_of_event, standing_since};
use crate::store::ids::{EventId, SubjectId};
use crate::store::record::Event;
use crate::store::{Store, Who, rows};

/// Rows that one page looks at.
pub const EVENTS_LOOKED_AT: u64 = 50_000;

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only hard or only soft ones.
    pub bounce_type: Option<BounceType>,
    /// Only for this reason.
    pub reason: Option<Reason>,
    /// Only from this source.
    pub source: Option<String>,
    /// Only about addresses of this domain.
    pub domain: Option<String>,
    /// Only so attributed.
    pub attribution: Option<Attribution>,
    /// Only those that came since.
    pub since: Option<OffsetDateTime>,
    /// Only those that were recorded before this one.
    pub before: Option<EventId>,
}

/// Some events, the newest first.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// The events, and whom they are about.
    pub items: Vec<(Event, Who)>,
    /// Where the next page goes on, if there may be one.
    pub next: Option<EventId>,
}

impl Store {
    /// The last event of a range that is looked at, if there are more than that.
    pub(super) async fn last_looked_at(&self, range: Select<event::Entity>) -> Result<Option<Uuid>, StoreError> {
        let id = event::Column::Id;
        let last = range.select_only().column(id).order_by_desc(id).offset(EVENTS_LOOKED_AT - 1).limit(1);
        Ok(last.into_tuple().one(&self.db).await?)
    }

    /// Events that fit, the newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn browse_events(&self, filter: &EventFilter, visible: &Visible, limit: u64) -> Result<EventPage, StoreError> {
        use event::Column as C;
        let lists = self.visible_lists(visible).await?;
        let since = filter.since.unwrap_or(OffsetDateTime::UNIX_EPOCH + time::Duration::DAY);
        // The list is left to the second look, so that the range is found by the primary key alone.
        let mut range = event::Entity::find();
        if let Some(before) = filter.before {
            range = range.filter(C::Id.lt(before.0));
        }
        let last = self.last_looked_at(range.clone()).await?;
        let mut query = range.filter(standing_since(since, lists.as_deref()));
        if let Some(last) = last {
            query = query.filter(C::Id.gte(last));
        }
        let words = [
            (C::Kind, filter.kind.map(Kind::as_str)),
            (C::BounceType, filter.bounce_type.map(BounceType::as_str)),
            (C::Reason, filter.reason.map(Reason::as_str)),
            (C::Attribution, filter.attribution.map(Attribution::as_str)),
            (C::Source, filter.source.as_deref()),
        ];
        for (column, word) in words.into_iter().filter_map(|(column, word)| Some((column, word?))) {
            query = query.filter(column.eq(word));
        }
        if let Some(domain) = &filter.domain {
            query = query.filter(domain_of_event().eq(domain.as_str()));
        }
        let found = query.order_by_desc(C::Id).limit(limit + 1).all(&self.db).await?;
        let more = found.len() as u64 > limit;
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        let events = found.into_iter().take(kept).map(|it| rows::event_from_row(it, Vec::new())).collect::<Result<Vec<_>, _>>()?;
        let next = if more { events.last().map(|it| it.id) } else { last.map(EventId) };
        let subjects = self.subjects(events.iter().map(|it| it.subject)).await?;
        let items = events.into_iter().map(|it| (subjects.get(&it.subject).cloned().unwrap_or_default(), it)).map(|(a, it)| (it, a));
        Ok(EventPage { items: items.collect(), next })
    }

    /// An event that stands, and whom it is about.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn event(&self, id: EventId) -> Result<Option<(Event, Who)>, StoreError> {
        let found =
            event::Entity::find_by_id(id.0).filter(event::Column::MergedInto.is_null()).filter(event::Column::WithdrawnAt.is_null());
        let Some(row) = found.one(&self.db).await? else { return Ok(None) };
        let event = rows::event_from_row(row, Vec::new())?;
        let who = self.subjects([event.subject].into_iter()).await?.remove(&event.subject).unwrap_or_default();
        Ok(Some((event, who)))
    }

    /// The address behind a pseudonym, where it is known.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn address_of(&self, subject: SubjectId) -> Result<Option<String>, StoreError> {
        Ok(self.subjects([subject].into_iter()).await?.remove(&subject).and_then(|it| it.address))
    }
}
