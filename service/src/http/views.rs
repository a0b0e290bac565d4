//! What goes over the wire, field by field, and how it is made of what the store says. Times are RFC 3339 in UTC.

use std::collections::HashMap;

use bounce::classify::codes::Disposition;
use bounce::classify::reason::{Fault, Reason};
use bounce::kind::{Attribution, BounceType, FeedbackType, Kind};
use bounce::policy::{Act, Cause, Weight};
use bounce::status::{SmtpReply, Stage};
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::listing::Format;
use crate::store::{Change, Event, ImportState, ListId, Store, StoreError, Suppression, SuppressionChange};
use crate::telemetry::RelayState;

/// A moment: RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) OffsetDateTime);

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.0.to_offset(UtcOffset::UTC).format(&Rfc3339).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl std::fmt::Display for Moment {
    /// Whole seconds, for sentences.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_offset(UtcOffset::UTC).truncate_to_second().format(&Rfc3339).unwrap_or_default())
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let format = utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).examples(["2026-11-22T10:00:00Z"]).into()
    }
}

impl ToSchema for Moment {}

/// The schemas of closed lists of words, each under its name in the document.
macro_rules! words {
    ($($name:ident = $vocabulary:ident;)+) => { $(
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words = $vocabulary::ALL.iter().map(|it| it.as_str());
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($vocabulary).into()
            }
        }
    )+ };
}

words! {
    KindWord = Kind;
    BounceTypeWord = BounceType;
    ReasonWord = Reason;
    FaultWord = Fault;
    StageWord = Stage;
    CauseWord = Cause;
    ActWord = Act;
    ChangeWord = Change;
    FormatWord = Format;
    ImportStateWord = ImportState;
    AttributionWord = Attribution;
    WeightWord = Weight;
    FeedbackTypeWord = FeedbackType;
    DispositionWord = Disposition;
    RelayStateWord = RelayState;
}

/// A recorded fact.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct EventView {
    /// Its id; the CloudEvents id of its message is the same.
    pub(crate) event_id: Uuid,
    /// Whom it is about; null once erased.
    pub(crate) recipient: Option<String>,
    /// The pseudonym of the address, the same in every event, change and message about it, erased or not.
    #[schema(example = "28dba94685e8032b8667719a1449c84a")]
    pub(crate) subject_id: String,
    /// Name of the list it was said about.
    pub(crate) list: Option<String>,
    /// What happened.
    #[schema(value_type = KindWord)]
    pub(crate) kind: Kind,
    /// Hard or soft, of a bounce.
    #[schema(value_type = Option<BounceTypeWord>)]
    pub(crate) bounce_type: Option<BounceType>,
    /// Why.
    #[schema(value_type = Option<ReasonWord>)]
    pub(crate) reason: Option<Reason>,
    /// Who has to act for the next message to arrive.
    #[schema(value_type = Option<FaultWord>)]
    pub(crate) fault: Option<Fault>,
    /// Enhanced status code (RFC 3463).
    #[schema(example = "5.1.1")]
    pub(crate) status: Option<String>,
    /// SMTP reply code (RFC 5321 section 4.2).
    #[schema(example = 550)]
    pub(crate) reply: Option<u16>,
    /// The SMTP command that was refused.
    #[schema(value_type = Option<StageWord>)]
    pub(crate) stage: Option<Stage>,
    /// What the receiver said.
    pub(crate) diagnostic: Option<String>,
    /// Of a complaint: which (RFC 5965 section 7.3).
    #[schema(value_type = Option<FeedbackTypeWord>)]
    pub(crate) feedback_type: Option<FeedbackType>,
    /// Host that tried (RFC 3464 section 2.2.2).
    pub(crate) reporting_mta: Option<String>,
    /// Host that refused (RFC 3464 section 2.3.5).
    pub(crate) remote_mta: Option<String>,
    /// Message-ID of the message that failed, or the provider's id of it.
    pub(crate) message_id: Option<String>,
    /// The provider's id of the event.
    pub(crate) provider_event_id: Option<String>,
    /// Name of the source of the strongest evidence.
    pub(crate) source: String,
    /// The receipt that holds the raw evidence.
    pub(crate) receipt_id: Uuid,
    /// How well it is attributed, weakest first.
    #[schema(value_type = AttributionWord)]
    pub(crate) attribution: Attribution,
    /// How much it may do to lists: `none`, `provisional` or `full`.
    #[schema(value_type = WeightWord)]
    pub(crate) weight: Weight,
    /// The rule that decided.
    #[schema(example = "gmail.no_such_user")]
    pub(crate) rule: String,
    /// Version of all rules together when it decided.
    pub(crate) rules_version: String,
    /// When it happened, as far as known; never after it was received.
    pub(crate) occurred_at: Moment,
    /// When it was recorded.
    pub(crate) received_at: Moment,
    /// In the feed: revision of the address when the page was read; the higher one is the newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<i64>,
}

impl EventView {
    pub(crate) fn new(event: Event, recipient: Option<String>, names: &Names) -> Self {
        let said = event.testimony;
        Self {
            event_id: event.id.0,
            recipient,
            subject_id: event.subject.to_string(),
            list: names.of(event.list),
            kind: said.kind,
            bounce_type: said.bounce_type,
            reason: said.reason,
            fault: said.fault,
            status: said.status.map(|it| it.to_string()),
            reply: said.reply.map(SmtpReply::code),
            stage: said.stage,
            diagnostic: said.diagnostic,
            feedback_type: said.feedback_type,
            reporting_mta: said.reporting_mta,
            remote_mta: said.remote_mta,
            message_id: said.message_id,
            provider_event_id: said.provider_event_id,
            source: event.source,
            receipt_id: event.receipt.0,
            attribution: event.attribution,
            weight: event.weight,
            rule: said.rule,
            rules_version: said.rules_version,
            occurred_at: Moment(event.occurred_at),
            received_at: Moment(event.received_at),
            revision: None,
        }
    }
}

impl EventView {
    /// The same as an item of the feed.
    pub(super) fn at_revision(self, revision: i64) -> Self {
        Self { revision: Some(revision), ..self }
    }

    /// The same in words.
    pub(crate) fn summary(&self) -> String {
        let mut text = self.kind.to_string();
        let words = [self.bounce_type.map(BounceType::as_str), self.reason.map(Reason::as_str)];
        words.into_iter().flatten().for_each(|it| text.extend([", ", it]));
        let codes: Vec<String> = self.status.iter().cloned().chain(self.reply.map(|it| it.to_string())).collect();
        if !codes.is_empty() {
            text.extend([" (", &codes.join(", "), ")"]);
        }
        text.extend([", judged by ", &self.rule, ", from ", &self.source, " (", self.attribution.as_str(), "), receipt "]);
        text.push_str(&self.receipt_id.to_string());
        text
    }
}

/// What a list says of an address for one cause.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the wire")]
pub(crate) struct SuppressionView {
    /// Name of the list where it stands.
    pub(crate) list: Option<String>,
    /// Why it stands there.
    #[schema(value_type = CauseWord)]
    pub(crate) cause: Cause,
    /// Reason of the deciding event.
    #[schema(value_type = Option<ReasonWord>)]
    pub(crate) reason: Option<Reason>,
    /// Whether it holds now: not released and not expired.
    pub(crate) holds: bool,
    /// Whether it is the entry of the whole domain.
    pub(crate) by_domain: bool,
    /// Whether it holds only for some days, until a fact of another day confirms it.
    pub(crate) provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub(crate) overrides_consent: bool,
    /// Since when.
    pub(crate) since: Moment,
    /// Until when; null for good. Expiry itself emits nothing.
    pub(crate) expires_at: Option<Moment>,
    /// When it was lifted.
    pub(crate) released_at: Option<Moment>,
    /// The deciding event.
    pub(crate) event_id: Option<Uuid>,
    /// What a person said of it.
    pub(crate) note: Option<String>,
    /// Revision of the address at its last change; the higher one is the newer.
    pub(crate) revision: i64,
}

impl SuppressionView {
    pub(crate) fn new(it: Suppression, names: &Names, now: OffsetDateTime) -> Self {
        Self {
            list: names.of(it.list),
            cause: it.cause,
            reason: it.reason,
            holds: it.holds_at(now),
            by_domain: false,
            provisional: it.provisional,
            overrides_consent: it.overrides_consent,
            since: Moment(it.since),
            expires_at: it.expires_at.map(Moment),
            released_at: it.released_at.map(Moment),
            event_id: it.event.map(|it| it.0),
            note: it.note,
            revision: it.revision,
        }
    }
}

impl SuppressionView {
    /// The same, of the entry of the domain.
    pub(crate) fn of_domain(self) -> Self {
        Self { by_domain: true, ..self }
    }

    /// Whether it holds now.
    pub(crate) fn holds(&self) -> bool {
        self.holds
    }

    /// The same in words.
    pub(crate) fn summary(&self) -> String {
        let reason = self.reason.map(|it| format!(" ({it})")).unwrap_or_default();
        let surely = if self.provisional { ", provisionally" } else { "" };
        let end = self.expires_at.map_or_else(|| ", for good".to_owned(), |it| format!(", until {it}"));
        let note = self.note.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        format!("{}{reason} on {}{surely}, since {}{end}{note}", self.cause, self.list.as_deref().unwrap_or_default(), self.since)
    }
}

/// A row of the audit: what a person did, or what a list says since.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeView {
    /// Its id; the CloudEvents id of its message is the same.
    change_id: Uuid,
    /// What happened: `act` is what a person did, `erased` and `forgotten` are erasures, the others what a list says since.
    #[schema(value_type = ChangeWord)]
    change: Change,
    /// Whom it is about; null once erased.
    recipient: Option<String>,
    /// The pseudonym of the address, the same in every event, change and message about it, erased or not.
    #[schema(example = "28dba94685e8032b8667719a1449c84a")]
    subject_id: String,
    /// Name of the list.
    list: Option<String>,
    /// Which cause; of an act only where it names one.
    #[schema(value_type = Option<CauseWord>)]
    cause: Option<Cause>,
    /// Reason of the deciding event.
    #[schema(value_type = Option<ReasonWord>)]
    reason: Option<Reason>,
    /// The event that led to it.
    event_id: Option<Uuid>,
    /// What a person did.
    #[schema(value_type = Option<ActWord>)]
    act: Option<Act>,
    /// Name of the API key that led to it; `rebound` where facts did.
    actor: String,
    /// What a person said of it.
    note: Option<String>,
    /// Whether it holds only for some days, until a fact of another day confirms it.
    provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    overrides_consent: bool,
    /// Since when it stands.
    since: Option<Moment>,
    /// Until when; null for good.
    expires_at: Option<Moment>,
    /// When it was lifted.
    released_at: Option<Moment>,
    /// Revision of the address; the higher one is the newer.
    revision: i64,
    /// The import or bulk request that it belongs to.
    import_id: Option<Uuid>,
    /// When it was recorded.
    at: Moment,
}

impl ChangeView {
    pub(super) fn new(it: SuppressionChange, recipient: Option<String>, names: &Names) -> Self {
        Self {
            change_id: it.id.0,
            change: it.change,
            recipient,
            subject_id: it.subject.to_string(),
            list: names.of(it.list),
            cause: it.cause,
            reason: it.reason,
            event_id: it.event.map(|it| it.0),
            act: it.act,
            actor: it.actor,
            note: it.note,
            provisional: it.provisional,
            overrides_consent: it.overrides_consent,
            since: it.since.map(Moment),
            expires_at: it.expires_at.map(Moment),
            released_at: it.released_at.map(Moment),
            import_id: it.import,
            revision: it.revision,
            at: Moment(it.at),
        }
    }
}

/// Names of the lists that an answer speaks of.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<ListId, String>);

impl Names {
    /// Looks up the names of those lists.
    pub(crate) async fn look_up(store: &Store, lists: impl IntoIterator<Item = ListId>) -> Result<Self, StoreError> {
        let mut names = HashMap::new();
        for id in lists {
            if let std::collections::hash_map::Entry::Vacant(it) = names.entry(id) {
                it.insert(store.list_by_id(id).await?.name.clone());
            }
        }
        Ok(Self(names))
    }

    pub(crate) fn of(&self, id: ListId) -> Option<String> {
        self.0.get(&id).cloned()
    }
}
