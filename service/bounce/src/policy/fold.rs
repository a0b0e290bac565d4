//! The fold itself: facts in the order of (time, key), each changing what stands.

use std::collections::{BTreeMap, BTreeSet};

use time::{Date, Duration, OffsetDateTime};

use super::{Act, Cause, Fact, FactKey, Imported, ListKey, Matter, Policy, Reach, Standing, Weight};
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
    let mut sorted: Vec<&Fact> = facts.iter().collect();
    sorted.sort_by_key(|it| (it.at, order_of(&it.matter), it.key));
    sorted.dedup_by_key(|it| (it.at, order_of(&it.matter), it.key));
    let bounced: BTreeSet<FactKey> = sorted.iter().flat_map(|it| bounced_messages(it)).copied().collect();
    let mut fold = Fold {
        boundary,
        policy,
        standings: BTreeMap::new(),
        strikes: BTreeMap::new(),
        days: BTreeSet::new(),
        told: BTreeMap::new(),
        imported: BTreeSet::new(),
    };
    for fact in sorted {
        match &fact.matter {
            Matter::Event { kind, bounce_type, reason, weight, received, .. } if *weight != Weight::None => {
                let told = Told { weight: *weight, at: if *weight == Weight::Provisional { *received } else { fact.at } };
                fold.event(fact, *kind, *bounce_type, *reason, told);
            }
            Matter::Event { .. } => {}
            Matter::Delivery { messages } => {
                // A message that bounced in the end was not delivered, whatever the clocks of two servers say of the order.
                if !messages.iter().any(|it| bounced.contains(it)) {
                    fold.delivered(fact.at);
                }
            }
            Matter::Act(act) => fold.act(fact, *act),
            Matter::Import(entry) => fold.import(fact, *entry),
        }
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
    strikes: BTreeMap<(ListKey, Reason), Vec<OffsetDateTime>>,
    days: BTreeSet<(ListKey, Date)>,
    /// Days on which a provisional block was told.
    told: BTreeMap<(ListKey, Cause), BTreeSet<Date>>,
    /// Standings for which an import is all the evidence there is.
    imported: BTreeSet<(ListKey, Cause)>,
}

impl Fold<'_> {
    fn event(&mut self, fact: &Fact, kind: Kind, bounce_type: Option<BounceType>, reason: Option<Reason>, told: Told) {
        match (kind, bounce_type) {
            (Kind::Bounce, Some(BounceType::Hard)) => {
                let rule = self.policy.of(reason.unwrap_or(Reason::Undetermined));
                if rule.counts {
                    let weight = if rule.provisional { Weight::Provisional } else { told.weight };
                    self.block(fact, self.reached(fact, rule.reach), Cause::Hard, reason, Told { weight, ..told });
                }
            }
            (Kind::Bounce, _) => self.strike(fact, reason.unwrap_or(Reason::Undetermined), told),
            (Kind::Complaint, _) => self.block(fact, self.boundary, Cause::Complaint, reason, told),
            (Kind::Unsubscribe, _) => self.block(fact, fact.list, Cause::Unsubscribe, reason, told),
            (Kind::Suppressed, _) => self.block(fact, self.boundary, Cause::Provider, reason, told),
            _ => {}
        }
    }

    fn reached(&self, fact: &Fact, reach: Reach) -> ListKey {
        match reach {
            Reach::Boundary => self.boundary,
            Reach::List => fact.list,
        }
    }

    /// Puts a block, or makes a provisional one permanent when another day or a stronger fact says so too.
    fn block(&mut self, fact: &Fact, list: ListKey, cause: Cause, reason: Option<Reason>, told: Told) {
        let held = self.standings.get(&(list, cause)).filter(|it| it.released_at.is_none());
        let days = self.told.entry((list, cause)).or_default();
        if held.is_none() {
            days.clear();
        }
        days.insert(told.at.date());
        let provisional = told.weight == Weight::Provisional && days.len() < 2;
        let lifetime = reason.filter(|_| cause == Cause::Hard).and_then(|it| self.policy.of(it).lifetime);
        let end = if provisional { Some(later(fact.at, self.policy.provisional_for)) } else { lifetime.map(|it| later(fact.at, it)) };
        let held = held.filter(|it| it.holds_at(fact.at));
        let standing = Standing {
            list,
            cause,
            reason,
            fact: fact.key,
            provisional,
            overrides_consent: false,
            since: held.map_or(fact.at, |it| it.since),
            expires_at: end,
            released_at: None,
        };
        self.settle(fact.at, standing);
    }

    /// Puts what an event led to, unless what holds is as sure and as long. Then it stays, but evidence is a better witness
    /// than an import: the event takes its place as the deciding fact.
    fn settle(&mut self, at: OffsetDateTime, standing: Standing) {
        let slot = (standing.list, standing.cause);
        match self.standings.get_mut(&slot).filter(|it| it.holds_at(at)) {
            Some(held) if !goes_beyond(&standing, held) => {
                if !goes_beyond(held, &standing) && self.imported.remove(&slot) {
                    (held.fact, held.reason) = (standing.fact, standing.reason);
                }
            }
            _ => {
                self.imported.remove(&slot);
                self.standings.insert(slot, standing);
            }
        }
    }

    /// Counts a soft failure: one a day and list, within the window of its reason.
    fn strike(&mut self, fact: &Fact, reason: Reason, told: Told) {
        let rule = self.policy.of(reason);
        if !rule.counts {
            return;
        }
        let list = self.reached(fact, rule.reach);
        if !self.days.insert((list, told.at.date())) {
            return;
        }
        let strikes = self.strikes.entry((list, reason)).or_default();
        strikes.push(told.at);
        strikes.sort_unstable();
        let last = strikes.last().copied().unwrap_or(told.at);
        strikes.retain(|it| last - *it <= rule.window);
        let span = strikes.first().map_or(Duration::ZERO, |first| last - *first);
        if strikes.len() < rule.strikes as usize || span < rule.least_span {
            return;
        }
        // Several days confirm one another; a single day that nobody vouches for does not.
        let provisional = told.weight == Weight::Provisional && strikes.len() < 2;
        let end = if provisional { Some(later(fact.at, self.policy.provisional_for)) } else { rule.lifetime.map(|it| later(fact.at, it)) };
        let held = self.standings.get(&(list, Cause::Soft)).filter(|it| it.holds_at(fact.at));
        let standing = Standing {
            list,
            cause: Cause::Soft,
            reason: Some(reason),
            fact: fact.key,
            provisional,
            overrides_consent: false,
            since: held.map_or(fact.at, |it| it.since),
            expires_at: end,
            released_at: None,
        };
        self.settle(fact.at, standing);
    }

    /// Puts what a list says that was imported. It goes by the same rule as everything else of its cause: what goes beyond what
    /// holds takes its place, and the time since when it stands remains.
    fn import(&mut self, fact: &Fact, entry: Imported) {
        let slot = (fact.list, entry.cause);
        let overrides_consent = entry.overrides_consent && entry.cause == Cause::ManualAllow;
        // An allow of the other kind is another word, which takes its place from then on.
        let held = self.standings.get(&slot).filter(|it| it.holds_at(fact.at) && it.overrides_consent == overrides_consent);
        let standing = Standing {
            list: fact.list,
            cause: entry.cause,
            reason: entry.reason,
            fact: fact.key,
            provisional: entry.provisional && entry.expires_at.is_some(),
            overrides_consent,
            since: held.map_or(fact.at, |it| it.since),
            expires_at: entry.expires_at,
            released_at: None,
        };
        if held.is_some_and(|it| !goes_beyond(&standing, it)) {
            return;
        }
        self.imported.insert(slot);
        self.standings.insert(slot, standing);
    }

    /// The mailbox works: strikes are forgotten and soft blocks lifted. Nothing else is touched.
    fn delivered(&mut self, at: OffsetDateTime) {
        self.strikes.clear();
        self.days.clear();
        for standing in self.standings.values_mut().filter(|it| it.cause == Cause::Soft && it.released_at.is_none()) {
            standing.released_at = Some(at);
        }
    }

    fn act(&mut self, fact: &Fact, act: Act) {
        match act {
            Act::Block => self.put(fact, Cause::ManualBlock, act),
            Act::Allow | Act::AllowConsent => self.put(fact, Cause::ManualAllow, act),
            Act::Import => self.put(fact, Cause::Import, act),
            Act::Unblock => self.release(fact, |it| it == Cause::ManualBlock),
            Act::Disallow => self.release(fact, |it| it == Cause::ManualAllow),
            Act::Release => {
                self.strikes.retain(|(list, _), _| *list != fact.list);
                self.release(fact, Cause::is_automatic);
            }
        }
    }

    fn put(&mut self, fact: &Fact, cause: Cause, act: Act) {
        let overrides_consent = act == Act::AllowConsent;
        let held = self.standings.get(&(fact.list, cause)).filter(|it| it.released_at.is_none());
        if held.is_some_and(|it| it.overrides_consent == overrides_consent) {
            return;
        }
        let standing = Standing {
            list: fact.list,
            cause,
            reason: None,
            fact: fact.key,
            provisional: false,
            overrides_consent,
            since: fact.at,
            expires_at: None,
            released_at: None,
        };
        self.standings.insert((fact.list, cause), standing);
    }

    fn release(&mut self, fact: &Fact, which: impl Fn(Cause) -> bool) {
        for standing in self.standings.values_mut() {
            if standing.list == fact.list && which(standing.cause) && standing.released_at.is_none() {
                standing.released_at = Some(fact.at);
            }
        }
    }
}

/// Whether the new standing goes beyond the old one: surer, or, as sure, for longer. A provisional block is not drawn out by
/// its own kind; the second day decides.
fn goes_beyond(new: &Standing, old: &Standing) -> bool {
    match (old.provisional, new.provisional) {
        (true, is_provisional) => !is_provisional,
        (false, true) => false,
        (false, false) => old.expires_at.is_some_and(|it| new.expires_at.is_none_or(|end| it < end)),
    }
}

/// Adds without leaving the calendar.
fn later(at: OffsetDateTime, by: Duration) -> OffsetDateTime {
    at.saturating_add(by)
}
