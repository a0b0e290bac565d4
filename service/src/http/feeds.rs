//! The facts and what lists say, in the order of commit: for mirrors, and for whoever has no broker.

use actix_web::web;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::parameters::{Params, limit};
use crate::http::problem::{Problem, ProblemView};
use crate::http::schemas::{ChangeCursor, EventCursor, ListText};
use crate::http::views::{ChangeView, EventView, Names};
use crate::store::{BadCursor, Cursor, Feed, Visible};

/// A place in the feed of events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsPlace {
    /// `next` of the page before; from the beginning if left out.
    #[param(value_type = Option<EventCursor>, example = "e42.0199c0de7a1170008000000000000001")]
    after: Option<String>,
    /// Most items of the page, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u64>,
    /// Only this list and those below it.
    #[param(value_type = Option<ListText>, example = "acme")]
    list: Option<String>,
}

/// A place in the feed of changes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesPlace {
    /// `next` of the page before; from the beginning if left out.
    #[param(value_type = Option<ChangeCursor>, example = "c42.0199c0de7a1170008000000000000003")]
    after: Option<String>,
    /// Most items of the page, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000, example = 100)]
    limit: Option<u64>,
    /// Only this list and those below it, and what stands above and so holds there.
    #[param(value_type = Option<ListText>, example = "acme")]
    list: Option<String>,
}

/// A page of a feed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedPage<T> {
    /// In the order of commit.
    items: Vec<T>,
    /// Where to go on: `after` of the next page. Keep it, even if the page is empty.
    #[schema(example = "e42.0199c0de7a1170008000000000000001")]
    next: String,
    /// Whether there is more already.
    more: bool,
}

/// Recorded facts, in the order of commit.
///
/// An event that a later copy improved comes again with the same id. Go on with `next`, and ask again after a while when
/// `more` is false.
#[utoipa::path(get, path = "/v1/events", tag = "feeds", security(("bearer" = ["read"])), params(EventsPlace), responses(
    (status = 200, description = "a page", body = FeedPage<EventView>, example = json!({
        "items": [{"event_id": "0199c0de-7a11-7000-8000-000000000002", "recipient": "jane@example.org", "list": "acme.weekly",
            "kind": "bounce", "bounce_type": "hard", "reason": "user_unknown", "status": "5.1.1"}],
        "next": "e42.0199c0de7a1170008000000000000002", "more": false})),
    (status = 400, description = "not a cursor", body = ProblemView, content_type = "application/problem+json"),
    (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
    (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_events(
    state: web::Data<State>,
    caller: Caller,
    place: Params<EventsPlace>,
) -> Result<web::Json<FeedPage<EventView>>, Problem> {
    let visible = visible(&state, &caller, place.0.list.as_deref()).await?;
    let page = state.store.events_after(cursor(Feed::Events, place.0.after.as_deref())?, &visible, limit(place.0.limit)?).await?;
    let names = Names::look_up(&state.store, page.items.iter().map(|it| it.0.list)).await?;
    let items = page.items.into_iter().map(|(it, to)| EventView::new(it, to.address, &names).at_revision(to.revision)).collect();
    Ok(web::Json(FeedPage { items, next: page.next.of(Feed::Events), more: page.more }))
}

/// What lists say since, in the order of commit.
///
/// A mirror keeps for each address, list and cause the change with the highest revision. `expires_at` is part of it: expiry
/// itself emits nothing. After `erased` it drops the plain address of that `subject_id` and keeps what stands; after
/// `forgotten` it drops everything it has under that `subject_id`.
#[utoipa::path(get, path = "/v1/changes", tag = "feeds", security(("bearer" = ["read"])), params(ChangesPlace), responses(
    (status = 200, description = "a page", body = FeedPage<ChangeView>, example = json!({
        "items": [{"change_id": "0199c0de-7a11-7000-8000-000000000003", "change": "added", "recipient": "jane@example.org",
            "list": "acme", "cause": "hard", "reason": "user_unknown", "provisional": false, "revision": 1}],
        "next": "c42.0199c0de7a1170008000000000000003", "more": false})),
    (status = 400, description = "not a cursor", body = ProblemView, content_type = "application/problem+json"),
    (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
    (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
    (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
))]
pub(super) async fn get_changes(
    state: web::Data<State>,
    caller: Caller,
    place: Params<ChangesPlace>,
) -> Result<web::Json<FeedPage<ChangeView>>, Problem> {
    let visible = visible(&state, &caller, place.0.list.as_deref()).await?;
    let page = state.store.changes_after(cursor(Feed::Changes, place.0.after.as_deref())?, &visible, limit(place.0.limit)?).await?;
    let names = Names::look_up(&state.store, page.items.iter().map(|it| it.0.list)).await?;
    let items = page.items.into_iter().map(|(it, to)| ChangeView::new(it, to.address, &names)).collect();
    Ok(web::Json(FeedPage { items, next: page.next.of(Feed::Changes), more: page.more }))
}

async fn visible(state: &State, caller: &Caller, list: Option<&str>) -> Result<Visible, Problem> {
    Ok(match (list, caller.confined_to()) {
        (Some(name), _) => Visible::Below(caller.list(&state.store, name).await?),
        (None, Some(own)) => Visible::Below(own.clone()),
        (None, None) => Visible::All,
    })
}

fn cursor(feed: Feed, after: Option<&str>) -> Result<Cursor, BadCursor> {
    after.map_or(Ok(Cursor::START), |it| Cursor::read(feed, it))
}
