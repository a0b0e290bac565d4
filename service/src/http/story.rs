//! Why: the whole story of an address in the order of time, each thing with what it led to.

use std::sync::Arc;

use actix_web::web;
use bounce::address::Address;
use bounce::policy::{Act, Cause, Count, Effect, Ignored, ListKey};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::State;
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params};
use crate::http::problem::{Problem, ProblemView};
use crate::http::schemas::{AddressText, ListText};
use crate::http::views::{AttributionWord, CauseWord, ChangeView, EventView, Moment, Names, SuppressionView};
use crate::store::{Chapter, Happening, Known, List, ListId, ReceiptBrief, Store, StoreError, Story, SuppressionChange};

/// Of which lists.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfList {
    /// Only the tree of lists that this one belongs to.
    #[param(value_type = Option<ListText>, example = "acme.weekly")]
    list: Option<String>,
}

/// The story of an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "address": "jane@example.org", "known": "known", "subject_id": "28dba94685e8032b8667719a1449c84a",
    "causes": [{"list": "acme", "cause": "hard", "reason": "user_unknown", "holds": true, "by_domain": false, "provisional": false,
        "overrides_consent": false, "since": "2026-11-22T10:00:00Z", "expires_at": null, "released_at": null,
        "event_id": "0199c0de-7a11-7000-8000-000000000002", "note": null, "revision": 1}],
    "story": [
        {"at": "2026-11-22T10:00:00Z", "what": "event", "list": "acme.weekly",
            "summary": "bounce, hard, user_unknown (5.1.1, 550), judged by gmail.no_such_user, from ses-prod (signed)",
            "effect": {"effect": "put", "summary": "puts hard on acme, for good", "cause": "hard", "list": "acme",
                "provisional": false, "expires_at": null}}]
}))]
pub struct StoryView {
    /// The address as lists know it.
    pub(crate) address: String,
    /// `never` heard of, `known`, or `erased`.
    #[schema(example = "known")]
    pub(crate) known: &'static str,
    /// Who it is in messages and feeds.
    pub(crate) subject_id: String,
    /// What lists say of it, lifted and expired causes included.
    pub(crate) causes: Vec<SuppressionView>,
    /// What happened, oldest first.
    pub(crate) story: Vec<ChapterView>,
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChapterView {
    /// When.
    pub(crate) at: Moment,
    /// `receipt`: something came in; `event`: what it said; `delivery`: a message arrived; `act`: what a person did;
    /// `change`: what a list says since.
    #[schema(example = "event")]
    pub(crate) what: &'static str,
    /// Name of the list; null for a delivery, which is known for the whole tree.
    pub(crate) list: Option<String>,
    /// The same in words.
    pub(crate) summary: String,
    /// What it led to, by the policy in force now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<EffectView>,
    /// Of a receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<ReceiptView>,
    /// Of an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Box<EventView>>,
    /// Of an act or a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<Box<ChangeView>>,
}

/// What a fact led to.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct EffectView {
    /// `ignored`, `strike` (it counted, more are needed), `put` (a cause stands since, or is surer or longer), `stands` (it stood
    /// already) or `lifted`.
    pub(crate) effect: &'static str,
    /// The same in words.
    pub(crate) summary: String,
    /// Of what is ignored: `no_failure`, `no_weight`, `not_counted`, `same_day` or `bounced`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<&'static str>,
    /// Of what is put or stands: which cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CauseWord>)]
    pub(crate) cause: Option<Cause>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<String>,
    /// Whether another day must confirm it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provisional: Option<bool>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Moment>,
    /// Days with a strike within the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strikes: Option<u32>,
    /// Strikes that block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<u32>,
    /// Days from the first strike to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_days: Option<i64>,
    /// Days that must lie between them at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) least_span_days: Option<i64>,
}

/// A receipt without its body, which `GET /v1/receipts/{id}/raw` gives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceiptView {
    /// Its id.
    pub(crate) receipt_id: Uuid,
    /// Name of the source.
    pub(crate) source: String,
    /// When it was accepted.
    pub(crate) received_at: Moment,
    /// Content type as announced.
    pub(crate) media_type: String,
    /// Octets as received.
    pub(crate) size: u64,
    /// `processed`, `unrecognised` or `quarantined`.
    pub(crate) state: &'static str,
    /// How well it is attributed.
    #[schema(value_type = AttributionWord)]
    pub(crate) attribution: bounce::kind::Attribution,
}

/// Tells why lists say what they say of an address, or of the entry of a domain: receipts, events, strikes, deliveries, what
/// people did, and what each of them led to.
///
/// The effects are told by the policy in force now. A key that is confined to a list hears of what happened on that list and
/// below, and of what blocks there.
#[utoipa::path(get, path = "/v1/addresses/{address}/why", tag = "addresses", security(("bearer" = ["read"])),
    params(("address" = AddressText, Path, example = "jane@example.org"), OfList),
    responses(
        (status = 200, description = "the story", body = StoryView),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope read", body = ProblemView, content_type = "application/problem+json"),
        (status = 404, description = "no such list", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_why(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    of: Params<OfList>,
) -> Result<web::Json<StoryView>, Problem> {
    let address = parameters::entry(&path)?;
    let list = match of.0.list.as_deref() {
        Some(name) => Some(caller.list(&state.store, name).await?),
        None => None,
    };
    let view = StoryView::tell(&state.store, &address, list.as_ref(), caller.confined_to(), state.clock.now()).await?;
    Ok(web::Json(view))
}

impl StoryView {
    /// Tells the story of an address on one tree of lists or on all, to somebody who may see one list and those below it, or
    /// everything.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn tell(
        store: &Store,
        address: &Address,
        list: Option<&Arc<List>>,
        confined_to: Option<&Arc<List>>,
        now: OffsetDateTime,
    ) -> Result<Self, StoreError> {
        let lists = store.lists().await?;
        let boundary = list.or(confined_to).map(|it| it.boundary);
        let is_wanted = |it: &&Arc<List>| it.id == it.boundary && boundary.is_none_or(|wanted| wanted == it.id);
        let roots: Vec<Arc<List>> = lists.iter().filter(is_wanted).cloned().collect();
        let mut story = store.story(address, &roots).await?;
        if let Some(own) = confined_to {
            confine(&mut story, own, &lists);
        }
        let names = Names::look_up(store, lists.iter().map(|it| it.id)).await?;
        Ok(Self::new(address.expose(), story, &names, now))
    }

    fn new(address: &str, story: Story, names: &Names, now: OffsetDateTime) -> Self {
        let Story { known, subject, suppressions, chapters } = story;
        let chapter = |it: Chapter| ChapterView::new(it, address, names);
        Self {
            known: known_word(known),
            subject_id: subject.to_string(),
            causes: suppressions.into_iter().map(|it| SuppressionView::new(it, names, now)).collect(),
            story: chapters.into_iter().map(chapter).collect(),
            address: address.to_owned(),
        }
    }

    /// Whether the address was ever heard of, in a word.
    #[must_use]
    pub fn known(&self) -> &'static str {
        self.known
    }

    /// What holds now, in words.
    #[must_use]
    pub fn holding(&self) -> Vec<String> {
        self.causes.iter().filter(|it| it.holds()).map(SuppressionView::summary).collect()
    }

    /// What happened: when, what kind of thing, where, in words, and what it led to.
    pub fn chapters(&self) -> impl Iterator<Item = (OffsetDateTime, &'static str, Option<&str>, &str, Option<&str>)> {
        self.story.iter().map(|it| {
            let effect = it.effect.as_ref().map(|it| it.summary.as_str());
            (it.at.0, it.what, it.list.as_deref(), it.summary.as_str(), effect)
        })
    }
}

/// The word for whether an address was ever heard of.
pub(super) const fn known_word(known: Known) -> &'static str {
    match known {
        Known::Never => "never",
        Known::Known => "known",
        Known::Erased => "erased",
    }
}

/// Leaves what somebody who is confined to a list may see: what was said there and below, and what blocks there.
fn confine(story: &mut Story, own: &Arc<List>, lists: &[Arc<List>]) {
    let below: Vec<ListId> = lists.iter().filter(|it| it.lineage.contains(&own.id)).map(|it| it.id).collect();
    let blocks = |it: ListId| below.contains(&it) || own.lineage.contains(&it);
    story.suppressions.retain(|it| blocks(it.list));
    story.chapters.retain(|it| match (&it.what, it.list) {
        // A delivery may have been on another list of the tree.
        (_, None) => own.id == own.boundary,
        (Happening::Receipt(_) | Happening::Event(_), Some(list)) => below.contains(&list),
        (_, Some(list)) => blocks(list),
    });
    if story.chapters.is_empty() && story.suppressions.is_empty() {
        // Nor may it learn that others have heard of the address.
        story.known = Known::Never;
    }
}

impl ChapterView {
    fn new(it: Chapter, address: &str, names: &Names) -> Self {
        let recipient = || Some(address.to_owned());
        let (at, list) = (Moment(it.at), it.list.and_then(|it| names.of(it)));
        let effect = it.effect.map(|it| EffectView::new(&it, names));
        let bare = |what, summary| Self { at, what, list, summary, effect, receipt: None, event: None, change: None };
        match it.what {
            Happening::Receipt(it) => Self { receipt: Some(ReceiptView::new(&it)), ..bare("receipt", of_receipt(&it)) },
            Happening::Delivery => bare("delivery", "a message arrived".to_owned()),
            Happening::Event(it) => {
                let view = EventView::new(*it, recipient(), names);
                Self { event: Some(Box::new(view.clone())), ..bare("event", view.summary()) }
            }
            Happening::Act(it) => {
                let summary = of_act(&it);
                Self { change: Some(Box::new(ChangeView::new(*it, recipient(), names))), ..bare("act", summary) }
            }
            Happening::Change(it) => {
                let summary = of_change(&it);
                Self { change: Some(Box::new(ChangeView::new(*it, recipient(), names))), ..bare("change", summary) }
            }
        }
    }
}

fn of_receipt(it: &ReceiptBrief) -> String {
    format!("{} of {} octets from {} ({}), {}; receipt {}", it.media_type, it.size, it.source, it.attribution, it.state, it.id)
}

fn of_act(it: &SuppressionChange) -> String {
    let act = it.act.map_or("acted", act_words);
    let cause = it.cause.map(|it| format!(", {it} only")).unwrap_or_default();
    let end = it.expires_at.map(|it| format!(", until {}", Moment(it))).unwrap_or_default();
    let note = it.note.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    format!("{} {act}{cause}{end}{note}", it.actor)
}

const fn act_words(act: Act) -> &'static str {
    match act {
        Act::Block => "blocked it",
        Act::Allow => "allowed it",
        Act::AllowConsent => "allowed it, against complaint and unsubscribe too",
        Act::Unblock => "lifted the manual block",
        Act::Disallow => "lifted the manual allow",
        Act::Release => "released it",
        Act::Import => "imported it",
    }
}

fn of_change(it: &SuppressionChange) -> String {
    let Some(cause) = it.cause.map(Cause::as_str) else { return format!("the address was {}; by {}", it.change, it.actor) };
    let reason = it.reason.map(|it| format!(" ({it})")).unwrap_or_default();
    let provisional = if it.provisional { ", provisional" } else { "" };
    let end = match (it.released_at, it.expires_at) {
        (Some(_), _) => String::new(),
        (None, Some(end)) => format!(", until {}", Moment(end)),
        (None, None) => ", for good".to_owned(),
    };
    format!("{cause}{reason} {}{provisional}{end}; by {}", it.change, it.actor)
}

impl EffectView {
    fn new(effect: &Effect, names: &Names) -> Self {
        let name = |it: &ListKey| names.of(ListId::from_key(*it)).unwrap_or_default();
        match effect {
            Effect::Ignored(why) => {
                Self { effect: "ignored", summary: of_ignored(*why).to_owned(), why: Some(why.as_str()), ..Self::default() }
            }
            Effect::Strike(count) => Self { effect: "strike", summary: of_strike(count), ..Self::counted(Some(count)) },
            Effect::Put { list, cause, provisional, expires_at, count } => {
                let (list, counted) = (name(list), count.as_ref().map(|it| format!(" (strike {} of {})", it.strikes, it.of)));
                let surely = if *provisional { ", provisionally" } else { "" };
                let end = expires_at.map_or_else(|| ", for good".to_owned(), |it| format!(", until {}", Moment(it)));
                let summary = format!("puts {cause} on {list}{surely}{end}{}", counted.unwrap_or_default());
                let (provisional, expires_at) = (Some(*provisional), expires_at.map(Moment));
                let (cause, list) = (Some(*cause), Some(list));
                Self { effect: "put", summary, cause, list, provisional, expires_at, ..Self::counted(count.as_ref()) }
            }
            Effect::Stands { list, cause } => {
                let list = name(list);
                let summary = format!("{cause} stands on {list} already, as sure and for as long");
                Self { effect: "stands", summary, cause: Some(*cause), list: Some(list), ..Self::default() }
            }
            Effect::Lifted(lifted) if lifted.is_empty() => {
                Self { effect: "lifted", summary: "nothing stood that it could lift".to_owned(), ..Self::default() }
            }
            Effect::Lifted(lifted) => {
                let lifted: Vec<String> = lifted.iter().map(|(list, cause)| format!("{cause} on {}", name(list))).collect();
                Self { effect: "lifted", summary: format!("lifts {}", lifted.join(", ")), ..Self::default() }
            }
        }
    }

    fn counted(count: Option<&Count>) -> Self {
        Self {
            strikes: count.map(|it| it.strikes),
            of: count.map(|it| it.of),
            span_days: count.map(|it| it.span.whole_days()),
            least_span_days: count.map(|it| it.least_span.whole_days()),
            ..Self::default()
        }
    }
}

fn of_strike(it: &Count) -> String {
    let (span, least) = (it.span.whole_days(), it.least_span.whole_days());
    let far = if span < least { format!(", over {span} days of at least {least}") } else { String::new() };
    format!("strike {} of {}{far}: not yet", it.strikes, it.of)
}

const fn of_ignored(why: Ignored) -> &'static str {
    match why {
        Ignored::NoFailure => "does not count: nothing of this kind speaks against an address",
        Ignored::NoWeight => "does not count: it was too old when it came, or its source is not believed",
        Ignored::NotCounted => "does not count: by the policy this reason says nothing against the address",
        Ignored::SameDay => "does not count: another failure for this reason was that day's strike",
        Ignored::Bounced => "does not count: the message bounced after all",
    }
}

impl ReceiptView {
    fn new(it: &ReceiptBrief) -> Self {
        Self {
            receipt_id: it.id.0,
            source: it.source.clone(),
            received_at: Moment(it.received_at),
            media_type: it.media_type.clone(),
            size: it.size,
            state: it.state.as_str(),
            attribution: it.attribution,
        }
    }
}
