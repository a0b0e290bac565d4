//! The feeds: recorded facts and what lists say, in the order in which they were committed. A reader that goes on from its last
//! cursor misses nothing, because a page ends before the oldest transaction that is still running.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use entity::{event, subject, suppression_change};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::ids::{ListId, SubjectId};
use crate::store::lists::List;
use crate::store::record::{Event, SuppressionChange};
use crate::store::{Store, dialect, rows};

/// A place in a feed, after which to go on. Written `position.id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    position: i64,
    id: Uuid,
}

/// The feeds. Each knows its own cursors: a place in one means nothing in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// The facts.
    Events,
    /// What lists say.
    Changes,
}

impl Feed {
    const fn letter(self) -> char {
        match self {
            Self::Events => 'e',
            Self::Changes => 'c',
        }
    }
}

impl Cursor {
    /// Before everything.
    pub const START: Self = Self { position: 0, id: Uuid::nil() };

    /// The cursor as a client of that feed gets it.
    #[must_use]
    pub fn of(self, feed: Feed) -> String {
        format!("{}{self}", feed.letter())
    }

    /// Reads what a client of that feed gives back.
    ///
    /// # Errors
    /// When that feed did not give it out.
    pub fn read(feed: Feed, text: &str) -> Result<Self, BadCursor> {
        text.strip_prefix(feed.letter()).ok_or(BadCursor)?.parse()
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.position, self.id.simple())
    }
}

/// Why a text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that this feed gave out; leave `after` away to start from the beginning")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (position, id) = text.split_once('.').ok_or(BadCursor)?;
        let read = Self { position: position.parse().map_err(|_| BadCursor)?, id: Uuid::try_parse(id).map_err(|_| BadCursor)? };
        // Numbers and ids can be spelled in more ways than one; only ours is a cursor.
        if read.position >= 0 && read.to_string() == text { Ok(read) } else { Err(BadCursor) }
    }
}

/// A page of a feed.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In the order of commit, each with whom it is about.
    pub items: Vec<(T, Who)>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether there was more than the page holds.
    pub more: bool,
}

/// Whom an item of a feed is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    /// The plain address; none once erased.
    pub address: Option<String>,
    /// Its revision when the page was read.
    pub revision: i64,
}

/// Which tree of lists a reader may see.
#[derive(Debug, Clone)]
pub enum Visible {
    /// Everything.
    All,
    /// One list and those below it.
    Below(Arc<List>),
}

impl Store {
    /// Recorded facts after a cursor.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn events_after(&self, after: Cursor, visible: &Visible, limit: u64) -> Result<Page<Event>, StoreError> {
        use event::Column as C;
        let horizon = dialect::horizon(&self.db).await?;
        let mut query = event::Entity::find()
            .filter(later(C::Position, C::Id, after))
            .filter(C::Position.lt(horizon))
            .filter(C::MergedInto.is_null())
            .filter(C::WithdrawnAt.is_null());
        if let Some(lists) = self.visible_lists(visible).await? {
            query = query.filter(C::ListId.is_in(lists.iter().map(|it| it.0)));
        }
        let found = query.order_by_asc(C::Position).order_by_asc(C::Id).limit(limit + 1).all(&self.db).await?;
        let more = found.len() as u64 > limit;
        let mut events = Vec::new();
        for row in found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            events.push(rows::event_from_row(row, Vec::new())?);
        }
        let next = events.last().map_or(after, |it| Cursor { position: it.position, id: it.id.0 });
        let subjects = self.subjects(events.iter().map(|it| it.subject)).await?;
        let items =
            events.into_iter().map(|it| (subjects.get(&it.subject).cloned().unwrap_or_default(), it)).map(|(a, it)| (it, a)).collect();
        Ok(Page { items, next, more })
    }

    /// Changes of what lists say after a cursor, for one list with those on the lists above it, erasures among them. Acts are
    /// not: what follows from them is.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn changes_after(&self, after: Cursor, visible: &Visible, limit: u64) -> Result<Page<SuppressionChange>, StoreError> {
        use suppression_change::Column as C;
        let horizon = dialect::horizon(&self.db).await?;
        let mut query = suppression_change::Entity::find()
            .filter(later(C::Position, C::Id, after))
            .filter(C::Position.lt(horizon))
            .filter(C::Act.is_null());
        if let (Some(below), Visible::Below(list)) = (self.visible_lists(visible).await?, visible) {
            // What stands above holds below; a mirror without it would mail whom it must not.
            query = query.filter(C::ListId.is_in(below.iter().chain(&list.lineage).map(|it| it.0)));
        }
        let found = query.order_by_asc(C::Position).order_by_asc(C::Id).limit(limit + 1).all(&self.db).await?;
        let more = found.len() as u64 > limit;
        let mut changes = Vec::new();
        for row in found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            changes.push(rows::change_from_row(row)?);
        }
        let next = changes.last().map_or(after, |it| Cursor { position: it.position, id: it.id.0 });
        let subjects = self.subjects(changes.iter().map(|it| it.subject)).await?;
        let items =
            changes.into_iter().map(|it| (subjects.get(&it.subject).cloned().unwrap_or_default(), it)).map(|(a, it)| (it, a)).collect();
        Ok(Page { items, next, more })
    }

    /// Where the feed of changes stands: what is committed from now on comes after it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn changes_end(&self) -> Result<Cursor, StoreError> {
        let horizon = dialect::horizon(&self.db).await?;
        let last = suppression_change::Entity::find()
            .filter(suppression_change::Column::Position.lt(horizon))
            .order_by_desc(suppression_change::Column::Position)
            .order_by_desc(suppression_change::Column::Id)
            .one(&self.db)
            .await?;
        Ok(last.map_or(Cursor::START, |it| Cursor { position: it.position, id: it.id }))
    }

    /// Who subjects are.
    pub(super) async fn subjects(&self, subjects: impl Iterator<Item = SubjectId>) -> Result<HashMap<SubjectId, Who>, StoreError> {
        let mut ids: Vec<SubjectId> = subjects.collect();
        ids.sort_unstable();
        ids.dedup();
        let mut known = HashMap::new();
        for chunk in ids.chunks(1000) {
            let found =
                subject::Entity::find().filter(subject::Column::Id.is_in(chunk.iter().map(|it| it.0.to_vec()))).all(&self.db).await?;
            for row in found {
                let who = Who { address: row.address, revision: row.revision };
                known.insert(SubjectId(rows::sixteen("subject", &row.id)?), who);
            }
        }
        Ok(known)
    }

    pub(super) async fn visible_lists(&self, visible: &Visible) -> Result<Option<Vec<ListId>>, StoreError> {
        match visible {
            Visible::All => Ok(None),
            Visible::Below(list) => {
                Ok(Some(self.lists().await?.iter().filter(|it| it.lineage.contains(&list.id)).map(|it| it.id).collect()))
            }
        }
    }
}

/// Whether a row stands behind a cursor. Compared as a pair, so that an index over both columns is entered at the cursor.
fn later<C: ColumnTrait>(position: C, id: C, after: Cursor) -> Expr {
    Expr::tuple([Expr::col(position), Expr::col(id)]).gt(Expr::tuple([Expr::val(after.position), Expr::val(after.id)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        let cursor = Cursor { position: 42, id: Uuid::now_v7() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(Cursor::read(Feed::Events, &cursor.of(Feed::Events)), Ok(cursor));
        assert_eq!(Cursor::read(Feed::Events, &cursor.of(Feed::Changes)), Err(BadCursor));
        for wrong in ["", "42", "42.", ".0", "x.y", "42.zz"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(BadCursor), "{wrong:?}");
        }
    }
}
