//! The fold itself: facts in the order of (time, key), each changing what stands.

use std::collections::{BTreeMap, BTreeSet};

use time::{Date, Duration, OffsetDateTime};

use super::effect::{Effect, Ignored, Step};
use super::streak::{Streak, is_enough};
use super::{Act, Cause, Deed, Fact, FactKey, Imported, ListKey, Matter, Policy, Reach, Standing, Weight};
use crate::classify::reason::Reason;
use crate::kind::{BounceType, Kind};

/// What every list of a boundary says about one address: one standing per list and cause, in that order, those that were
/// lifted included. `facts` may come in any order and any number of times.
///
/// ```
/// use bounce::{classify::reason::Reason, kind::{BounceType, Kind}, policy::*};
/// use time::macros::datetime;
///
/// let list = ListKey([1; 16]);
/// let bounced = Fact {
///     at: datetime!(2026-11-22 10:00 UTC),
///     key: FactKey([7; 16]),
///     list,
///     matter: Matter::Event {
///         kind: Kind::Bounce,
///         bounce_type: Some(BounceType::Hard),
///         reason: Some(Reason::UserUnknown),
///         weight: Weight::Full,
///         received: datetime!(2026-11-22 10:00 UTC),
///         messages: vec![],
///     },
/// };
/// let standings = decide(&[bounced], list, &Policy::default());
/// assert_eq!((standings[0].cause, standings[0].expires_at), (Cause::Hard, None));
/// ```
#[must_use]
pub fn decide(facts: &[Fact], boundary: ListKey, policy: &Policy) -> Vec<Standing> {
    fold(facts, boundary, policy, |_, _| ())
}

/// The same fold, telling what each fact did, in the order in which they count. A fact that was given twice is told once.
#[must_use]
pub fn explain(facts: &[Fact], boundary: ListKey, policy: &Policy) -> Vec<Step> {
    let mut steps = Vec::with_capacity(facts.len());
    fold(facts, boundary, policy, |index, effect| steps.push(Step { index, effect }));
    steps
}

fn fold(facts: &[Fact], boundary: ListKey, policy: &Policy, mut tell: impl FnMut(usize, Effect)) -> Vec<Standing> {
    let mut sorted: Vec<(usize, &Fact)> = facts.iter().enumerate().collect();
    sorted.sort_by_key(|(_, it)| (it.at, order_of(&it.matter), it.key));
    sorted.dedup_by_key(|(_, it)| (it.at, order_of(&it.matter), it.key));
    let bounced: BTreeSet<FactKey> = sorted.iter().flat_map(|(_, it)| bounced_messages(it)).copied().collect();
    let mut fold =
        Fold { boundary, policy, standings: BTreeMap::new(), streaks: BTreeMap::new(), told: BTreeMap::new(), imported: BTreeSet::new() };
    for (index, fact) in sorted {
        let effect = match &fact.matter {
            Matter::Event { weight: Weight::None, .. } => Effect::Ignored(Ignored::NoWeight),
            Matter::Event { kind, bounce_type, reason, weight, received, .. } => {
                let told = Told { weight: *weight, at: if *weight == Weight::Provisional { *received } else { fact.at } };
                fold.event(fact, *kind, *bounce_type, *reason, told)
            }
            // A message that bounced in the end was not delivered, whatever the clocks of two servers say of the order.
            Matter::Delivery { messages } if messages.iter().any(|it| bounced.contains(it)) => Effect::Ignored(Ignored::Bounced),
            Matter::Delivery { .. } => fold.delivered(fact.at),
            Matter::Act(deed) => fold.act(fact, *deed),
            Matter::Import(entry) => fold.import(fact, *entry),
        };
        tell(index, effect);
    }
    fold.standings.into_values().collect()
}

/// At the same moment a machine's fact comes first, then what was imported, and a person's word last, so that the person has it.
const fn order_of(matter: &Matter) -> u8 {
    match matter {
        Matter::Delivery { .. } => 0,
        Matter::Event { .. } => 1,
        Matter::Import(_) => 2,
        Matter::Act(_) => 3,
    }
}

fn bounced_messages(fact: &Fact) -> &[FactKey] {
    match &fact.matter {
        Matter::Event { kind: Kind::Bounce, weight, messages, .. } if *weight != Weight::None => messages,
        _ => &[],
    }
}

/// How much a fact may do, and the time by which its day counts.
#[derive(Clone, Copy)]
struct Told {
    weight: Weight,
    at: OffsetDateTime,
}

struct Fold<'a> {
    boundary: ListKey,
    policy: &'a Policy,
    standings: BTreeMap<(ListKey, Cause), Standing>,
    streaks: BTreeMap<(ListKey, Reason), Streak>,
    /// Days on which a provisional block was told.
    told: BTreeMap<(ListKey, Cause), BTreeSet<Date>>,
    /// Standings for which an import is all the evidence there is.
    imported: BTreeSet<(ListKey, Cause)>,
}

impl Fold<'_> {
    fn event(&mut self, fact: &Fact, kind: Kind, bounce_type: Option<BounceType>, reason: Option<Reason>, told: Told) -> Effect {
        match (kind, bounce_type) {
            (Kind::Bounce, Some(BounceType::Hard)) => {
                let rule = self.policy.of(reason.unwrap_or(Reason::Undetermined));
                if !rule.counts {
                    return Effect::Ignored(Ignored::NotCounted);
                }
                let weight = if rule.provisional { Weight::Provisional } else { told.weight };
                self.block(fact, self.reached(fact, rule.reach), Cause::Hard, reason, Told { weight, ..told })
            }
            (Kind::Bounce, _) => self.strike(fact, reason.unwrap_or(Reason::Undetermined), told),
            (Kind::Complaint, _) => self.block(fact, self.boundary, Cause::Complaint, reason, told),
            (Kind::Unsubscribe, _) => self.block(fact, fact.list, Cause::Unsubscribe, reason, told),
            (Kind::Suppressed, _) => self.block(fact, self.boundary, Cause::Provider, reason, told),
            _ => Effect::Ignored(Ignored::NoFailure),
        }
    }

    fn reached(&self, fact: &Fact, reach: Reach) -> ListKey {
        match reach {
            Reach::Boundary => self.boundary,
            Reach::List => fact.list,
        }
    }

    /// Puts a block, or makes a provisional one permanent when another day or a stronger fact says so too.
    fn block(&mut self, fact: &Fact, list: ListKey, cause: Cause, reason: Option<Reason>, told: Told) -> Effect {
        let is_held = self.standings.get(&(list, cause)).is_some_and(|it| it.released_at.is_none());
        let days = self.told.entry((list, cause)).or_default();
        if !is_held {
            days.clear();
        }
        days.insert(told.at.date());
        let provisional = told.weight == Weight::Provisional && days.len() < 2;
        let lifetime = reason.filter(|_| cause == Cause::Hard).and_then(|it| self.policy.of(it).lifetime);
        let lifetime = if provisional { Some(self.unconfirmed(lifetime)) } else { lifetime };
        let end = lifetime.map(|it| fact.at.saturating_add(it));
        self.settle(Standing { provisional, ..standing(fact, (list, cause), reason, end) })
    }

    /// How long a provisional block lasts: never longer than a sure one would.
    fn unconfirmed(&self, lifetime: Option<Duration>) -> Duration {
        lifetime.map_or(self.policy.provisional_for, |it| it.min(self.policy.provisional_for))
    }

    /// Counts a soft failure: one strike a day, list and reason, within the window of the reason.
    fn strike(&mut self, fact: &Fact, reason: Reason, told: Told) -> Effect {
        let rule = self.policy.of(reason);
        if !rule.counts {
            return Effect::Ignored(Ignored::NotCounted);
        }
        let (list, unconfirmed) = (self.reached(fact, rule.reach), self.unconfirmed(rule.lifetime));
        let streak = self.streaks.entry((list, reason)).or_default();
        let is_first = streak.add(told.at);
        let count = streak.count(told.at, &rule);
        if !is_enough(&count) && !streak.is_on_probation(fact.at, &rule) {
            return if is_first { Effect::Strike(count) } else { Effect::Ignored(Ignored::SameDay) };
        }
        // Several days confirm one another; a single day that nobody vouches for does not.
        let provisional = told.weight == Weight::Provisional && count.strikes < 2;
        let own = provisional.then(|| fact.at.saturating_add(unconfirmed));
        let end = match rule.lifetime {
            Some(lifetime) => Some(streak.block(fact.at, lifetime, own)),
            None => own,
        };
        match self.settle(Standing { provisional, ..standing(fact, (list, Cause::Soft), Some(reason), end) }) {
            Effect::Put { list, cause, provisional, expires_at, .. } => {
                Effect::Put { list, cause, provisional, expires_at, count: Some(count) }
            }
            other => other,
        }
    }

    /// Puts what a fact led to. What holds and what comes are joined: as sure as the surer, as long as the longer; so no fact,
    /// in whatever order they come, makes another one's block weaker. Where nothing changes the older fact stays the deciding
    /// one, but evidence is a better witness than an import and takes its place.
    fn settle(&mut self, new: Standing) -> Effect {
        let slot = (new.list, new.cause);
        let Some(held) = self.standings.get_mut(&slot).filter(|it| it.holds_at(new.since)) else {
            self.imported.remove(&slot);
            return self.put(slot, new);
        };
        if goes_beyond(&new, held) {
            let joined = joined(&new, held);
            self.imported.remove(&slot);
            return self.put(slot, joined);
        }
        if !goes_beyond(held, &new) && self.imported.remove(&slot) {
            (held.fact, held.reason) = (new.fact, new.reason);
        }
        Effect::Stands { list: slot.0, cause: slot.1 }
    }

    fn put(&mut self, slot: (ListKey, Cause), it: Standing) -> Effect {
        let effect = Effect::Put { list: slot.0, cause: slot.1, provisional: it.provisional, expires_at: it.expires_at, count: None };
        self.standings.insert(slot, it);
        effect
    }

    /// Puts what a list says that was imported. It goes by the same rule as everything else of its cause, and the time since
    /// when it stands remains.
    fn import(&mut self, fact: &Fact, entry: Imported) -> Effect {
        let slot = (fact.list, entry.cause);
        let overrides_consent = entry.overrides_consent && entry.cause == Cause::ManualAllow;
        let provisional = entry.provisional && entry.expires_at.is_some();
        let new = Standing { provisional, overrides_consent, ..standing(fact, slot, entry.reason, entry.expires_at) };
        // An allow of the other kind is another word, which takes its place from then on.
        let held = self.standings.get(&slot).filter(|it| it.holds_at(fact.at) && it.overrides_consent == overrides_consent);
        let new = match held {
            Some(held) if !goes_beyond(&new, held) => return Effect::Stands { list: slot.0, cause: slot.1 },
            Some(held) => joined(&new, held),
            None => new,
        };
        self.imported.insert(slot);
        self.put(slot, new)
    }

    /// The mailbox works: strikes are forgotten and soft blocks lifted. Nothing else is touched.
    fn delivered(&mut self, at: OffsetDateTime) -> Effect {
        self.streaks.clear();
        self.lift(at, |it| it.cause == Cause::Soft)
    }

    fn act(&mut self, fact: &Fact, deed: Deed) -> Effect {
        match deed.act {
            Act::Block => self.word(fact, Cause::ManualBlock, deed),
            Act::Allow | Act::AllowConsent => self.word(fact, Cause::ManualAllow, deed),
            Act::Import => self.word(fact, Cause::Import, deed),
            Act::Unblock | Act::Disallow | Act::Release => {
                if deed.lifts(Cause::Soft) {
                    self.streaks.retain(|(list, _), _| *list != fact.list);
                }
                self.lift(fact.at, |it| it.list == fact.list && deed.lifts(it.cause))
            }
        }
    }

    /// Puts what a person says. The last word counts: it may end sooner than the one before.
    fn word(&mut self, fact: &Fact, cause: Cause, deed: Deed) -> Effect {
        let slot = (fact.list, cause);
        let overrides_consent = deed.act == Act::AllowConsent;
        let held = self.standings.get(&slot).filter(|it| it.holds_at(fact.at) && it.overrides_consent == overrides_consent);
        if held.is_some_and(|it| it.expires_at == deed.expires_at) {
            return Effect::Stands { list: slot.0, cause };
        }
        let since = held.map_or(fact.at, |it| it.since);
        self.imported.remove(&slot);
        self.put(slot, Standing { overrides_consent, since, ..standing(fact, slot, None, deed.expires_at) })
    }

    fn lift(&mut self, at: OffsetDateTime, which: impl Fn(&Standing) -> bool) -> Effect {
        let mut lifted = Vec::new();
        for standing in self.standings.values_mut().filter(|it| it.released_at.is_none() && which(it)) {
            if standing.holds_at(at) {
                lifted.push((standing.list, standing.cause));
            }
            standing.released_at = Some(at);
        }
        Effect::Lifted(lifted)
    }
}

/// What a fact puts, as if nothing were there yet.
fn standing(fact: &Fact, (list, cause): (ListKey, Cause), reason: Option<Reason>, expires_at: Option<OffsetDateTime>) -> Standing {
    let (fact, since) = (fact.key, fact.at);
    Standing { list, cause, reason, fact, provisional: false, overrides_consent: false, since, expires_at, released_at: None }
}

/// Whether the new standing goes beyond the old one: surer, or for longer.
fn goes_beyond(new: &Standing, old: &Standing) -> bool {
    (old.provisional && !new.provisional) || ends_before(old.expires_at, new.expires_at)
}

/// What two facts say together, by the witness of the new one.
fn joined(new: &Standing, old: &Standing) -> Standing {
    let provisional = new.provisional && old.provisional;
    let expires_at = if ends_before(new.expires_at, old.expires_at) { old.expires_at } else { new.expires_at };
    Standing { provisional, since: old.since, expires_at, ..new.clone() }
}

/// Whether one end comes before another; no end comes last.
fn ends_before(one: Option<OffsetDateTime>, other: Option<OffsetDateTime>) -> bool {
    one.is_some_and(|one| other.is_none_or(|other| one < other))
}
