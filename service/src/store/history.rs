//! All that is known of one subject within one boundary, and what taking in one more fact does to it. No database here:
//! copies of a failure are merged, the policy is folded over the whole, and what changed is said as changes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use aws_lc_rs::digest;
use bounce::kind::{FeedbackType, Kind};
use bounce::policy::{Act, Cause, Fact, FactKey, Imported, Matter, Policy, Standing, Step, Weight, decide, explain};
use time::OffsetDateTime;

use crate::store::ids::{ChangeId, EventId, ListId, ReceiptId, SubjectId};
use crate::store::record::{Change, Delivery, Event, IncomingDelivery, IncomingFact, Suppression, SuppressionChange, Testimony};

/// What is known of one subject within one boundary.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// Root of the tree.
    pub boundary: ListId,
    /// Whom it is about.
    pub subject: SubjectId,
    /// Revision of the subject.
    pub revision: i64,
    /// Recorded facts.
    pub events: Vec<Event>,
    /// The newest deliveries.
    pub deliveries: Vec<Delivery>,
    /// What people did, as written in the audit.
    pub acts: Vec<SuppressionChange>,
    /// What lists say now.
    pub suppressions: Vec<Suppression>,
    /// Rows that the fold no longer knows, because two events turned out to be one.
    pub vanished: Vec<(ListId, Cause)>,
    /// Keys that only copies without weight brought, of events of which there are weightier ones now.
    pub dropped: BTreeSet<FactKey>,
    /// Receipts that told of an event beside the one it names.
    pub told: BTreeSet<(EventId, ReceiptId)>,
    /// Whether the rows in the database are not what the fold says, announced or not.
    pub is_stale: bool,
}

/// What taking in a fact did to the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// A new event.
    New(EventId),
    /// An event that was known already, now with better evidence or an earlier time.
    Improved(EventId),
    /// Nothing that was not known.
    Known(EventId),
}

impl Taken {
    /// The event that the fact is part of now.
    pub(super) const fn id(&self) -> EventId {
        let (Self::New(id) | Self::Improved(id) | Self::Known(id)) = self;
        *id
    }
}

/// Where a fact comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    /// The receipt.
    pub receipt: ReceiptId,
    /// Name of the source.
    pub source: &'a str,
    /// When the receipt came.
    pub received_at: OffsetDateTime,
    /// Place in the feed.
    pub position: i64,
}

impl History {
    /// Takes in a fact. Copies of a known failure merge: earliest time among those that weigh most, strongest attribution, greatest weight, strongest
    /// evidence. A copy that is known under keys of several events makes them one; those that are gone are returned.
    ///
    /// A copy without weight joins nothing and adds nothing where there is one with weight: whoever may do nothing must not make one failure
    /// of two, nor have what was never said of it known under a key of theirs. So what lists say depends on the copies with weight alone, in
    /// whatever order they come. What does depend on the order is how many events without weight stand beside them: of
    /// copies that shared keys only with one another, those that came before the first with weight are part of its event, those
    /// that come later are not. To tell them apart the keys of each single copy would have to be kept, for events that count for nothing.
    pub(super) fn take_in(&mut self, fact: &IncomingFact, keys: Vec<FactKey>, origin: Origin<'_>) -> (Taken, Vec<EventId>) {
        let incoming = self.event(fact, keys, origin);
        let is_known = |it: &Event| it.keys.iter().any(|key| incoming.keys.contains(key));
        if !incoming.counts()
            && let Some(known) = self.events.iter().filter(|it| it.counts() && is_known(it)).min_by_key(|it| it.fact_key())
        {
            self.told.extend([(known.id, known.receipt), (known.id, origin.receipt)]);
            return (Taken::Known(known.id), Vec::new());
        }
        let mut known: Vec<Event> = self.events.extract_if(.., |it| is_known(it)).collect();
        known.sort_by_key(|it| !it.counts());
        let mut known = known.into_iter();
        let Some(first) = known.next() else {
            let id = incoming.id;
            self.dropped.retain(|it| !incoming.keys.contains(it));
            self.events.push(incoming);
            return (Taken::New(id), Vec::new());
        };
        let before = first.clone();
        let id = first.id;
        let mut keys: BTreeSet<FactKey> = first.keys.iter().copied().collect();
        let mut gone = Vec::new();
        let mut merged = first;
        self.told.extend([(id, merged.receipt), (id, origin.receipt)]);
        for other in known {
            gone.push(other.id);
            self.told.insert((id, other.receipt));
            keys.extend(&other.keys);
            merged.merge(other);
        }
        merged.merge(incoming);
        self.dropped.extend(keys);
        self.dropped.retain(|it| !merged.keys.contains(it));
        let improved = !merged.says_the_same_as(&before) || !gone.is_empty();
        if improved {
            merged.position = origin.position;
        }
        self.events.push(merged);
        (if improved { Taken::Improved(id) } else { Taken::Known(id) }, gone)
    }

    fn event(&self, fact: &IncomingFact, mut keys: Vec<FactKey>, origin: Origin<'_>) -> Event {
        keys.sort_unstable();
        keys.dedup();
        Event {
            id: EventId::new(),
            position: origin.position,
            receipt: origin.receipt,
            source: origin.source.to_owned(),
            list: fact.list.id,
            boundary: self.boundary,
            subject: self.subject,
            keys,
            evidence: evidence(fact, origin.source),
            testimony: fact.testimony.clone(),
            attribution: fact.attribution,
            weight: fact.weight,
            occurred_at: fact.occurred_at,
            received_at: origin.received_at,
        }
    }

    /// Takes in a delivery, and tells whether it says anything new. Only the two newest can matter.
    pub(super) fn take_in_delivery(&mut self, delivery: &IncomingDelivery, mut messages: Vec<FactKey>, receipt: Option<ReceiptId>) -> bool {
        let before = self.deliveries.clone();
        messages.sort_unstable();
        messages.dedup();
        match self.deliveries.iter_mut().find(|it| it.messages == messages) {
            Some(known) => {
                known.occurred_at = known.occurred_at.min(delivery.occurred_at);
                known.receipt = known.receipt.or(receipt);
            }
            None => self.deliveries.push(Delivery { messages, occurred_at: delivery.occurred_at, receipt }),
        }
        self.deliveries.sort_by(|a, b| (b.occurred_at, &b.messages).cmp(&(a.occurred_at, &a.messages)));
        self.deliveries.truncate(2);
        self.deliveries != before
    }

    /// Decides again, and says what changed. `actor` is who led to it.
    pub(super) fn decide(&mut self, policy: &Policy, actor: &str, now: OffsetDateTime, position: i64) -> Vec<SuppressionChange> {
        let standings = decide(&self.facts(), self.boundary.key(), policy);
        let next: Vec<Suppression> = standings.iter().map(|it| self.suppression(it)).collect();
        let revision = self.revision + 1;
        let mut changes = Vec::new();
        let mut change = |kind: Change, it: &Suppression, released_at: Option<OffsetDateTime>| {
            changes.push(SuppressionChange {
                id: ChangeId::new(),
                position,
                subject: self.subject,
                list: it.list,
                boundary: self.boundary,
                change: kind,
                cause: Some(it.cause),
                reason: it.reason,
                event: it.event,
                act: None,
                actor: actor.to_owned(),
                note: it.note.clone(),
                provisional: it.provisional,
                overrides_consent: it.overrides_consent,
                since: Some(it.since),
                expires_at: it.expires_at,
                released_at,
                revision,
                import: None,
                at: now,
            });
        };
        let find = |rows: &[Suppression], it: &Suppression| rows.iter().find(|row| row.list == it.list && row.cause == it.cause).cloned();
        for new in &next {
            let old = find(&self.suppressions, new);
            let kind = match (&old, new.released_at) {
                (Some(old), _) if old.says_the_same_as(new) => continue,
                (None, Some(_)) => continue,
                (Some(old), None) if old.holds_at(new.since) => Change::Updated,
                (_, None) => Change::Added,
                (Some(old), Some(_)) if old.released_at.is_some() => continue,
                (Some(_), Some(_)) => Change::Released,
            };
            change(kind, new, new.released_at);
        }
        for old in self.suppressions.iter().filter(|it| find(&next, it).is_none()) {
            self.vanished.push((old.list, old.cause));
            // What was lifted before is gone without a word.
            if old.released_at.is_none() {
                change(Change::Released, old, Some(now));
            }
        }
        if !changes.is_empty() {
            self.revision = revision;
        }
        let next: Vec<Suppression> = next
            .into_iter()
            .map(|new| match find(&self.suppressions, &new) {
                Some(old) if old.says_the_same_as(&new) => old,
                _ => Suppression { revision: self.revision, ..new },
            })
            .collect();
        self.is_stale |= next != self.suppressions;
        self.suppressions = next;
        changes
    }

    /// What each fact did, events first, then deliveries, then acts: the place that a step names counts in this order.
    pub(super) fn steps(&self, policy: &Policy) -> Vec<Step> {
        explain(&self.facts(), self.boundary.key(), policy)
    }

    /// Everything that is known, as the policy wants it.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let events = self.events.iter().map(|it| Fact {
            at: it.occurred_at,
            key: it.fact_key(),
            list: it.list.key(),
            matter: Matter::Event {
                kind: meant(&it.testimony),
                bounce_type: it.testimony.bounce_type,
                reason: it.testimony.reason,
                weight: it.weight,
                received: it.received_at,
                messages: it.keys.clone(),
            },
        });
        let deliveries = self.deliveries.iter().map(|it| Fact {
            at: it.occurred_at,
            key: it.messages.first().copied().unwrap_or(FactKey([0; 16])),
            list: self.boundary.key(),
            matter: Matter::Delivery { messages: it.messages.clone() },
        });
        let acts = self.acts.iter().filter_map(|it| {
            let (at, matter) = match it.act? {
                // A list knows since when; what lies ahead is the clock of another machine.
                Act::Import => (it.since.map_or(it.at, |since| since.min(it.at)), Matter::Import(it.imported()?)),
                _ => (it.at, Matter::Act(it.deed()?)),
            };
            Some(Fact { at, key: it.fact_key(), list: it.list.key(), matter })
        });
        events.chain(deliveries).chain(acts).collect()
    }

    fn suppression(&self, standing: &Standing) -> Suppression {
        let event = self.events.iter().find(|it| it.fact_key() == standing.fact).map(|it| it.id);
        let act = self.acts.iter().find(|it| it.fact_key() == standing.fact);
        Suppression {
            list: ListId::from_key(standing.list),
            cause: standing.cause,
            reason: standing.reason,
            event,
            note: act.and_then(|it| it.note.clone()),
            overrides_consent: standing.overrides_consent,
            provisional: standing.provisional,
            since: standing.since,
            expires_at: standing.expires_at,
            released_at: standing.released_at,
            revision: self.revision,
        }
    }
}

impl Event {
    /// The smallest key: the same for the same failure in whatever order its copies came.
    pub(super) fn fact_key(&self) -> FactKey {
        self.keys.first().copied().unwrap_or(FactKey([0; 16]))
    }

    /// Whether it may do anything.
    pub(super) fn counts(&self) -> bool {
        self.weight > Weight::None
    }

    /// Takes over whatever is better in another copy. Where one counts and the other does not, that is all or nothing; without evidence
    /// the other has no testimony to give.
    pub(super) fn merge(&mut self, other: Self) {
        let is_stronger = match (self.counts(), other.counts()) {
            (true, false) => return,
            (false, true) => {
                self.keys.clear();
                self.attribution = other.attribution;
                !other.evidence.is_empty()
            }
            _ => other.evidence > self.evidence,
        };
        self.keys.extend(other.keys);
        self.keys.sort_unstable();
        self.keys.dedup();
        // The earliest times, of those that weigh most: whoever may do less may not move in time what somebody else has done.
        (self.occurred_at, self.received_at) = match self.weight.cmp(&other.weight) {
            Ordering::Less => (other.occurred_at, other.received_at),
            Ordering::Equal => (self.occurred_at.min(other.occurred_at), self.received_at.min(other.received_at)),
            Ordering::Greater => (self.occurred_at, self.received_at),
        };
        self.attribution = self.attribution.max(other.attribution);
        self.weight = self.weight.max(other.weight);
        if is_stronger {
            self.evidence = other.evidence;
            self.testimony = other.testimony;
            self.receipt = other.receipt;
            self.source = other.source;
            self.list = other.list;
        }
    }

    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.evidence == other.evidence
            && self.keys == other.keys
            && (self.occurred_at, self.received_at) == (other.occurred_at, other.received_at)
            && self.attribution == other.attribution
            && self.weight == other.weight
    }
}

/// What a testimony means to lists: an ESP that did not try because the person had left, or had complained, says just that.
pub(super) const fn meant(said: &Testimony) -> Kind {
    match (said.kind, said.feedback_type) {
        (Kind::Suppressed, Some(FeedbackType::OptOut | FeedbackType::OptOutList)) => Kind::Unsubscribe,
        (Kind::Suppressed, Some(FeedbackType::Abuse)) => Kind::Complaint,
        (kind, _) => kind,
    }
}

impl SuppressionChange {
    /// What an act of importing says.
    fn imported(&self) -> Option<Imported> {
        Some(Imported {
            cause: self.cause?,
            reason: self.reason,
            provisional: self.provisional,
            overrides_consent: self.overrides_consent,
            expires_at: self.expires_at,
        })
    }

    /// Whether two acts of importing say the same of the subject.
    pub(super) fn imports_the_same_as(&self, other: &Self) -> bool {
        let is_import = |it: &Self| it.act == Some(Act::Import);
        is_import(self)
            && is_import(other)
            && (self.list, self.since, &self.note) == (other.list, other.since, &other.note)
            && self.imported() == other.imported()
    }

    /// Its own id; of an import what it says, so that the order in which lists came does not matter.
    fn fact_key(&self) -> FactKey {
        if self.act != Some(Act::Import) {
            return FactKey(self.id.0.into_bytes());
        }
        let mut context = digest::Context::new(&digest::SHA256);
        let said = [
            self.cause.map(|it| it.to_string()),
            self.reason.map(|it| it.to_string()),
            Some(format!("{}{}", self.provisional, self.overrides_consent)),
            self.since.map(|it| it.unix_timestamp_nanos().to_string()),
            self.expires_at.map(|it| it.unix_timestamp_nanos().to_string()),
            self.note.clone(),
        ];
        for part in said {
            context.update(part.unwrap_or_default().as_bytes());
            context.update(b"\0");
        }
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        FactKey(key)
    }
}

impl Suppression {
    /// Whether a reader of the list would see no difference. A lifted row is as good as another.
    fn says_the_same_as(&self, other: &Self) -> bool {
        let key = |it: &Self| {
            (it.list, it.cause, it.reason, it.event, it.overrides_consent, it.provisional, it.since, it.expires_at, it.released_at)
        };
        key(self) == key(other) && self.note == other.note
    }
}

/// A total order over evidence: attribution first, so that the real report corrects a forged one; then how specific the rule
/// is, a receiver's words before a provider's label; then the status; and last the content itself, so that two different
/// testimonies never tie.
fn evidence(fact: &IncomingFact, source: &str) -> String {
    let said = &fact.testimony;
    let specific = match said.rule.split('.').next().unwrap_or_default() {
        "none" => 0,
        "claim" | "kind" => 1,
        "reply" | "stage" => 2,
        "code" => 3,
        _ => 4,
    };
    let status = said.status.map_or(0, |it| if it.is_bare() { 1 } else { 2 });
    format!("{}{specific}{status}{}", fact.attribution as u8, tie(source, &fact.list.name, said))
}

/// The content itself, in short.
fn tie(source: &str, list: &str, said: &Testimony) -> String {
    let mut content = Vec::with_capacity(512);
    for part in [source, list].into_iter().map(Some).chain(words(said).iter().map(Option::as_deref)) {
        content.extend_from_slice(part.unwrap_or_default().as_bytes());
        content.push(0);
    }
    data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, &content).as_ref().get(..8).unwrap_or_default())
}

/// The evidence of a testimony whose texts were changed: as strong as before. A hash of the old texts would let whoever has
/// the database guess what they said.
pub(super) fn evidence_of_scrubbed(before: &str, source: &str, list: &str, said: &Testimony) -> String {
    let rank: String = before.chars().take(3).collect();
    rank + &tie(source, list, said)
}

/// What a testimony says, word by word in a fixed order. The order is part of what is stored: it must not change.
fn words(said: &Testimony) -> [Option<Cow<'_, str>>; 14] {
    [
        Some(said.kind.as_str().into()),
        said.bounce_type.map(|it| it.as_str().into()),
        said.reason.map(|it| it.as_str().into()),
        said.fault.map(|it| it.as_str().into()),
        said.status.map(|it| it.to_string().into()),
        said.reply.map(|it| it.to_string().into()),
        said.stage.map(|it| it.as_str().into()),
        said.diagnostic.as_deref().map(Cow::Borrowed),
        said.feedback_type.map(|it| it.as_str().into()),
        said.reporting_mta.as_deref().map(Cow::Borrowed),
        said.remote_mta.as_deref().map(Cow::Borrowed),
        said.message_id.as_deref().map(Cow::Borrowed),
        said.provider_event_id.as_deref().map(Cow::Borrowed),
        Some(said.rule.as_str().into()),
    ]
}
