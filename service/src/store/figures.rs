//! What happened lately, in numbers. Ids are in the order of time, so a window is a range of the primary key; what would grow with
//! the table is counted among the newest rows only, and says so.

use bounce::classify::reason::{Fault, Reason};
use bounce::kind::{BounceType, Kind};
use entity::{event, receipt};
use sea_orm::sea_query::{Alias, Expr, Func, Order, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait as _, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder, QuerySelect};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::feed::Visible;
use crate::store::record::Event;
use crate::store::{Store, Who, rows};

/// Events among which receivers are counted, the newest.
pub const RECEIVERS_AMONG: u64 = 20_000;
/// Receipts among which sources are counted, the newest.
pub const SOURCES_AMONG: u64 = 10_000;
/// How much later than its id an event may say that it came: clocks of replicas differ.
const SLACK: time::Duration = time::Duration::HOUR;

/// How many events of one kind there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What happened.
    pub kind: Kind,
    /// Hard or soft.
    pub bounce_type: Option<BounceType>,
    /// Why.
    pub reason: Option<Reason>,
    /// How often.
    pub count: u64,
}

/// What came of one source among the newest receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFigure {
    /// Its name.
    pub source: String,
    /// Receipts.
    pub receipts: u64,
    /// The newest.
    pub last: OffsetDateTime,
}

/// The least id that something of this time can have.
pub(super) fn first_id(at: OffsetDateTime) -> Uuid {
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// The domain of whom an event is about, looked up for each event that is asked: a join would rather read every subject there is.
pub(super) fn domain_of_event() -> Expr {
    Expr::cust("(select subject.domain from subject where subject.id = event.subject_id)")
}

/// Events that stand, of a time and of the lists that somebody may see.
pub(super) fn standing_since(since: OffsetDateTime, lists: Option<&[crate::store::ListId]>) -> Condition {
    use event::Column as C;
    let some = Condition::all()
        .add(C::Id.gte(first_id(since - SLACK)))
        .add(C::ReceivedAt.gte(rows::kept(since)))
        .add(C::MergedInto.is_null())
        .add(C::WithdrawnAt.is_null());
    match lists {
        Some(lists) => some.add(C::ListId.is_in(lists.iter().map(|it| it.0))),
        None => some,
    }
}

/// Kind, type, reason and count.
type FigureRow = (String, Option<String>, Option<String>, i64);

impl Store {
    /// How many events of which kind were recorded between two moments, the later one excluded.
    ///
    /// # Errors
    /// When the database is away, or they are too many to be counted in time.
    pub async fn figures(&self, from: OffsetDateTime, until: OffsetDateTime, visible: &Visible) -> Result<Vec<Figure>, StoreError> {
        use event::Column as C;
        let mut query = event::Entity::find()
            .select_only()
            .columns([C::Kind, C::BounceType, C::Reason])
            .expr_as(Func::count(Expr::col(C::Id)), "count")
            .filter(C::Id.gte(first_id(from)))
            .filter(C::Id.lt(first_id(until)))
            .filter(C::MergedInto.is_null())
            .filter(C::WithdrawnAt.is_null());
        if let Some(lists) = self.visible_lists(visible).await? {
            query = query.filter(C::ListId.is_in(lists.iter().map(|it| it.0)));
        }
        let query = query.group_by(C::Kind).group_by(C::BounceType).group_by(C::Reason);
        let found: Vec<FigureRow> = query.into_tuple().all(&self.db).await?;
        let figure = |(kind, bounce_type, reason, count): FigureRow| {
            Ok(Figure {
                kind: rows::word("event", &kind)?,
                bounce_type: rows::words("event", bounce_type.as_deref())?,
                reason: rows::words("event", reason.as_deref())?,
                count: count_of(count),
            })
        };
        found.into_iter().map(figure).collect()
    }

    /// Events that stand, of a time and of the lists that somebody may see, among the newest.
    async fn newest_since(&self, since: OffsetDateTime, visible: &Visible) -> Result<Condition, StoreError> {
        let some = standing_since(since, self.visible_lists(visible).await?.as_deref());
        let last = self.last_looked_at(event::Entity::find()).await?;
        Ok(some.add_option(last.map(|it| event::Column::Id.gte(it))))
    }

    /// The domains that bounced most, among the newest bounces.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn receivers(&self, since: OffsetDateTime, visible: &Visible, limit: u64) -> Result<Vec<(String, u64)>, StoreError> {
        use event::Column as C;
        let (it, domain, count) = (Alias::new("it"), Alias::new("domain"), Alias::new("count"));
        let newest = Query::select()
            .expr_as(domain_of_event(), domain.clone())
            .from(event::Entity)
            .cond_where(self.newest_since(since, visible).await?.add(C::Kind.eq(Kind::Bounce.as_str())))
            .order_by(C::Id, Order::Desc)
            .limit(RECEIVERS_AMONG)
            .to_owned();
        let query = Query::select()
            .column(domain.clone())
            .expr_as(Expr::cust("count(*)"), count.clone())
            .from_subquery(newest, it)
            .and_where(Expr::col(domain.clone()).ne(""))
            .group_by_col(domain.clone())
            .order_by(count, Order::Desc)
            .order_by(domain, Order::Asc)
            .limit(limit)
            .to_owned();
        let found = self.db.query_all(&query).await?;
        found.iter().map(|row| Ok((row.try_get_by_index(0)?, count_of(row.try_get_by_index(1)?)))).collect()
    }

    /// What came by which source, among the newest receipts.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn source_figures(&self) -> Result<Vec<SourceFigure>, StoreError> {
        use receipt::Column as C;
        let newest = Query::select()
            .columns([C::Source, C::ReceivedAt])
            .from(receipt::Entity)
            .order_by(C::Id, Order::Desc)
            .limit(SOURCES_AMONG)
            .to_owned();
        let query = Query::select()
            .column(C::Source)
            .expr(Expr::cust("count(*)"))
            .expr(Func::max(Expr::col(C::ReceivedAt)))
            .from_subquery(newest, Alias::new("it"))
            .group_by_col(C::Source)
            .to_owned();
        let found = self.db.query_all(&query).await?;
        let figure = |row: &sea_orm::QueryResult| {
            let (source, receipts, last) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            Ok(SourceFigure { source, receipts: count_of(receipts), last })
        };
        found.iter().map(figure).collect()
    }

    /// The newest events for which the sender has to act, with whom they are about.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn senders_faults(&self, since: OffsetDateTime, visible: &Visible, limit: u64) -> Result<Vec<(Event, Who)>, StoreError> {
        use event::Column as C;
        let faults = Fault::ALL.iter().filter(|it| it.is_senders()).map(|it| it.as_str());
        let kinds = [Kind::Bounce, Kind::Delayed, Kind::Rejected].map(Kind::as_str);
        let query = event::Entity::find()
            .filter(self.newest_since(since, visible).await?)
            .filter(C::Fault.is_in(faults))
            .filter(C::Kind.is_in(kinds));
        let found = query.order_by_desc(C::Id).limit(limit).all(&self.db).await?;
        let events = found.into_iter().map(|it| rows::event_from_row(it, Vec::new())).collect::<Result<Vec<_>, _>>()?;
        let subjects = self.subjects(events.iter().map(|it| it.subject)).await?;
        Ok(events.into_iter().map(|it| (subjects.get(&it.subject).cloned().unwrap_or_default(), it)).map(|(a, it)| (it, a)).collect())
    }
}

fn count_of(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
