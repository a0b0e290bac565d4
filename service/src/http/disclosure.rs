//! Everything that is held about one person, as a document for that person.

use actix_web::web;
use bounce::address::Address;
use bounce::kind::Attribution;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::State;
use crate::http::addresses::unconfined;
use crate::http::keys::Caller;
use crate::http::parameters::{self, Params};
use crate::http::problem::{Problem, ProblemView};
use crate::http::schemas::AddressText;
use crate::http::views::{AttributionWord, ChangeView, EventView, Moment, Names, SuppressionView};
use crate::store::{DisclosedEvent, DisclosedReceipt, Disclosure, Store, StoreError};

/// What a mail is.
const MAIL: &str = "message/rfc822";

/// How much.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMuch {
    /// Whether to include the raw bytes of mails that tell of nobody else.
    #[serde(default)]
    #[param(example = false)]
    raw: bool,
}

/// Everything that is held about an address.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Disclosure, example = json!({
    "address": "jane@example.org", "known": "known", "subject_id": "28dba94685e8032b8667719a1449c84a",
    "first_heard_of": "2026-11-22T10:00:00Z", "erased_at": null, "revision": 1, "events": [], "deliveries": [],
    "suppressions": [{"list": "acme", "cause": "hard", "reason": "user_unknown", "holds": true, "provisional": false,
        "since": "2026-11-22T10:00:00Z", "event_id": "0199c0de-7a11-7000-8000-000000000002"}],
    "changes": [], "messages_waiting": [],
    "receipts": [{"receipt_id": "0199c0de-7a11-7000-8000-000000000001", "source": "bounces", "received_at": "2026-11-22T10:00:00Z",
        "media_type": "message/rfc822", "octets": 2048, "attribution": "unattributed", "tells_of_others": false,
        "is_kept": true, "raw_base64": null}],
    "receipts_not_understood": [],
    "imported_again": [{"import_id": "0199c0de-7a11-7000-8000-000000000004", "change_id": "0199c0de-7a11-7000-8000-000000000003"}]
}))]
pub(crate) struct DisclosureView {
    /// The address that was asked about, as lists know it.
    address: String,
    /// `never` heard of, `known`, or `erased`: then everything stands under the pseudonym alone.
    #[schema(example = "known")]
    known: &'static str,
    /// The pseudonym.
    subject_id: Option<String>,
    /// When it was first heard of.
    first_heard_of: Option<Moment>,
    /// When its plain form was erased.
    erased_at: Option<Moment>,
    /// Grows with every change of what lists say.
    revision: i64,
    /// What happened, oldest first; those that do not count any more too.
    events: Vec<EventOf>,
    /// The newest deliveries.
    deliveries: Vec<DeliveryOf>,
    /// What lists say, lifted and expired causes included.
    suppressions: Vec<SuppressionView>,
    /// What they said since when, and what people did; oldest first.
    changes: Vec<ChangeView>,
    /// What came in about it, oldest first.
    receipts: Vec<ReceiptOf>,
    /// Receipts that could not be read or were not understood, and that name the address; oldest first. They lead to nothing.
    receipts_not_understood: Vec<ReceiptOf>,
    /// Imports that said again what is among the changes already.
    imported_again: Vec<RepeatOf>,
    /// Messages about it that wait for the broker.
    messages_waiting: Vec<Value>,
}

/// A row of an import that an import before had said.
#[derive(Debug, Serialize, ToSchema)]
struct RepeatOf {
    /// The later import.
    import_id: Uuid,
    /// The act of the one before; one of the changes.
    change_id: Uuid,
}

/// An event, and whether it counts.
#[derive(Debug, Serialize, ToSchema)]
struct EventOf {
    #[serde(flatten)]
    event: EventView,
    /// The event that it became part of.
    merged_into: Option<Uuid>,
    /// When its receipts were read again and no longer said it.
    withdrawn_at: Option<Moment>,
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
struct DeliveryOf {
    /// Root of the list it was sent for.
    list: Option<String>,
    /// When it arrived.
    occurred_at: Moment,
}

/// A receipt.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptOf {
    /// Its id.
    receipt_id: Uuid,
    /// Name of the source it came by.
    source: String,
    /// When it was accepted.
    received_at: Moment,
    /// Content type as announced.
    media_type: String,
    /// Octets as received.
    octets: usize,
    /// How well it is attributed, weakest first.
    #[schema(value_type = AttributionWord)]
    attribution: Attribution,
    /// Whether it tells, or may tell, of other people too.
    tells_of_others: bool,
    /// Whether its raw bytes are still kept.
    is_kept: bool,
    /// Its raw bytes, where they were asked for and tell of nobody else.
    raw_base64: Option<String>,
}

/// Tells everything that is held about an address, as a document for the person it belongs to.
///
/// Raw bytes are included on request, of mails that tell of nobody else; a provider's post may name others, and is described
/// only. What was not understood is searched too; where there are very many of such receipts, `rebound subject-export` has the
/// time. Takes a key that is not confined to a list.
#[utoipa::path(get, path = "/v1/addresses/{address}/export", tag = "addresses", security(("bearer" = ["admin"])),
    params(("address" = AddressText, Path, example = "jane@example.org"), HowMuch),
    responses(
        (status = 200, description = "everything that is held", body = DisclosureView),
        (status = 400, description = "not an address", body = ProblemView, content_type = "application/problem+json"),
        (status = 401, description = "no valid key", body = ProblemView, content_type = "application/problem+json"),
        (status = 403, description = "the key lacks the scope admin, or is confined to a list", body = ProblemView, content_type = "application/problem+json"),
        (status = 503, description = "the database is away", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(super) async fn get_disclosure(
    state: web::Data<State>,
    caller: Caller,
    path: web::Path<String>,
    much: Params<HowMuch>,
) -> Result<web::Json<DisclosureView>, Problem> {
    let address = parameters::address(&path)?;
    unconfined(&caller)?;
    let raw = if much.0.raw { Raw::Included } else { Raw::LeftOut };
    Ok(web::Json(disclosure(&state.store, &address, raw, state.clock.now()).await?))
}

/// Whether raw bytes are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    /// Of mails that tell of nobody else.
    Included,
    /// Not at all.
    LeftOut,
}

/// The document about an address.
///
/// # Errors
/// When the database is away.
pub(crate) async fn disclosure(store: &Store, address: &Address, raw: Raw, now: OffsetDateTime) -> Result<DisclosureView, StoreError> {
    let Some(Disclosure {
        subject,
        address: plain,
        created_at,
        erased_at,
        revision,
        events,
        deliveries,
        suppressions,
        changes,
        receipts,
        repeats,
        messages,
    }) = store.disclose(address).await?
    else {
        return Ok(DisclosureView { receipts_not_understood: unread(store, address).await?, ..never(address) });
    };
    let lists = events.iter().map(|it| it.event.list).chain(deliveries.iter().map(|it| it.0));
    let lists = lists.chain(suppressions.iter().map(|it| it.list)).chain(changes.iter().map(|it| it.list));
    let names = Names::look_up(store, lists).await?;
    let recipient = || plain.clone();
    let event = |it: DisclosedEvent| EventOf {
        event: EventView::new(it.event, recipient(), &names),
        merged_into: it.merged_into.map(|it| it.0),
        withdrawn_at: it.withdrawn_at.map(Moment),
    };
    Ok(DisclosureView {
        known: if erased_at.is_some() { "erased" } else { "known" },
        subject_id: Some(subject.to_string()),
        first_heard_of: Some(Moment(created_at)),
        erased_at: erased_at.map(Moment),
        revision,
        events: events.into_iter().map(event).collect(),
        deliveries: deliveries.into_iter().map(|(list, at)| DeliveryOf { list: names.of(list), occurred_at: Moment(at) }).collect(),
        suppressions: suppressions.into_iter().map(|it| SuppressionView::new(it, &names, now)).collect(),
        changes: changes.into_iter().map(|it| ChangeView::new(it, recipient(), &names)).collect(),
        receipts: receipts.into_iter().map(|it| receipt(it, raw)).collect(),
        receipts_not_understood: unread(store, address).await?,
        imported_again: repeats.into_iter().map(|(import, act)| RepeatOf { import_id: import.0, change_id: act.0 }).collect(),
        messages_waiting: messages.iter().filter_map(|it| serde_json::from_str(it).ok()).collect(),
        ..never(address)
    })
}

/// The document about an address that was never heard of.
fn never(address: &Address) -> DisclosureView {
    DisclosureView {
        address: address.expose().to_owned(),
        known: "never",
        subject_id: None,
        first_heard_of: None,
        erased_at: None,
        revision: 0,
        events: Vec::new(),
        deliveries: Vec::new(),
        suppressions: Vec::new(),
        changes: Vec::new(),
        receipts: Vec::new(),
        receipts_not_understood: Vec::new(),
        imported_again: Vec::new(),
        messages_waiting: Vec::new(),
    }
}

/// Receipts of which nothing was read and that name the address. Nobody knows whom else they name, so they are described only.
async fn unread(store: &Store, address: &Address) -> Result<Vec<ReceiptOf>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let step = store.unread_naming(address, after).await?;
        found.extend(step.naming.into_iter().map(|it| receipt(DisclosedReceipt { receipt: it, is_shared: true }, Raw::LeftOut)));
        match step.next {
            Some(next) => after = Some(next),
            None => return Ok(found),
        }
    }
}

fn receipt(it: DisclosedReceipt, raw: Raw) -> ReceiptOf {
    let DisclosedReceipt { receipt, is_shared } = it;
    // Only of a mail the events say whom it is about; a post may hold deliveries of others that left no trace.
    let may_be_shown = raw == Raw::Included && !is_shared && receipt.media_type.eq_ignore_ascii_case(MAIL);
    ReceiptOf {
        receipt_id: receipt.id.0,
        raw_base64: may_be_shown.then(|| receipt.bytes()).flatten().map(|it| BASE64.encode(&it)),
        is_kept: receipt.body.is_some(),
        source: receipt.source,
        received_at: Moment(receipt.received_at),
        media_type: receipt.media_type,
        octets: receipt.size,
        attribution: receipt.attribution,
        tells_of_others: is_shared,
    }
}
