//! The fold itself: facts in the order of (time, key), each changing what stands.

use std::collections::{BTreeMap, BTreeSet};

use time::{Date, OffsetDateTime};

use super::{Act, Cause, Fact, FactKey, ListKey, Matter, Policy, Reach, Standing, Weight};
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
    let bounced: Vec<(OffsetDateTime, FactKey)> = sorted.iter().flat_map(|it| bounced_messages(it)).collect();
    let mut fold = Fold { boundary, policy, standings: BTreeMap::new(), strikes: BTreeMap::new(), days: BTreeSet::new() };
    for fact in sorted {
        match &fact.matter {
            Matter::Event { kind, bounce_type, reason, weight, .. } if *weight != Weight::None => {
                fold.event(fact, *kind, *bounce_type, *reason, *weight);
            }
            Matter::Event { .. } => {}
            Matter::Delivery { messages } => {
                // A message that bounced after it was accepted was not delivered.
                if !bounced.iter().any(|(at, key)| *at >= fact.at && messages.contains(key)) {
                    fold.delivered(fact.at);
                }
            }
            Matter::Act(act) => fold.act(fact, *act),
        }
    }
    fold.standings.into_values().collect()
}

/// At the same moment a machine's fact comes first and a person's word last, so that the person has it.
const fn order_of(matter: &Matter) -> u8 {
    match matter {
        Matter::Delivery { .. } => 0,
        Matter::Event { .. } => 1,
        Matter::Act(_) => 2,
    }
}

fn bounced_messages(fact: &Fact) -> Vec<(OffsetDateTime, FactKey)> {
    match &fact.matter {
        Matter::Event { kind: Kind::Bounce, weight, messages, .. } if *weight != Weight::None => {
            messages.iter().map(|it| (fact.at, *it)).collect()
        }
        _ => Vec::new(),
    }
}

struct Fold<'a> {
    boundary: ListKey,
    policy: &'a Policy,
    standings: BTreeMap<(ListKey, Cause), Standing>,
    strikes: BTreeMap<(ListKey, Reason), Vec<OffsetDateTime>>,
    days: BTreeSet<(ListKey, Date)>,
}

impl Fold<'_> {
    fn event(&mut self, fact: &Fact, kind: Kind, bounce_type: Option<BounceType>, reason: Option<Reason>, weight: Weight) {
        match (kind, bounce_type) {
            (Kind::Bounce, Some(BounceType::Hard)) => {
                let rule = self.policy.of(reason.unwrap_or(Reason::Undetermined));
                let weight = if rule.provisional { Weight::Provisional } else { weight };
                self.block(fact, self.boundary, Cause::Hard, reason, weight);
            }
            (Kind::Bounce, _) => self.strike(fact, reason.unwrap_or(Reason::Undetermined)),
            (Kind::Complaint, _) => self.block(fact, self.boundary, Cause::Complaint, reason, weight),
            (Kind::Unsubscribe, _) => self.block(fact, fact.list, Cause::Unsubscribe, reason, weight),
            (Kind::Suppressed, _) => self.block(fact, self.boundary, Cause::Provider, reason, weight),
            _ => {}
        }
    }

    /// Puts a block, or makes a provisional one permanent when another day or a stronger fact says so too.
    fn block(&mut self, fact: &Fact, list: ListKey, cause: Cause, reason: Option<Reason>, weight: Weight) {
        let provisional = weight == Weight::Provisional;
        let lifetime = reason.filter(|_| cause == Cause::Hard).and_then(|it| self.policy.of(it).lifetime);
        let permanent_end = lifetime.map(|it| later(fact.at, it));
        let provisional_end = Some(later(fact.at, self.policy.provisional_for));
        let fresh = |provisional: bool| Standing {
            list,
            cause,
            reason,
            fact: fact.key,
            provisional,
            overrides_consent: false,
            since: fact.at,
            expires_at: if provisional { provisional_end } else { permanent_end },
            released_at: None,
        };
        let next = match self.standings.get(&(list, cause)).filter(|it| it.released_at.is_none()) {
            None => fresh(provisional),
            Some(old) if old.provisional => {
                let confirmed = !provisional || old.since.date() != fact.at.date();
                match (confirmed, old.holds_at(fact.at)) {
                    (true, true) => Standing { since: old.since, ..fresh(false) },
                    (true, false) => fresh(false),
                    (false, _) => return,
                }
            }
            // A lifetime starts again with each further fact; a permanent block stays as it is.
            Some(old) if old.expires_at.is_some() && permanent_end.is_none_or(|end| old.expires_at < Some(end)) && !provisional => {
                let since = if old.holds_at(fact.at) { old.since } else { fact.at };
                Standing { since, ..fresh(false) }
            }
            Some(_) => return,
        };
        self.standings.insert((list, cause), next);
    }

    /// Counts a soft failure: one a day and list, within the window of its reason.
    fn strike(&mut self, fact: &Fact, reason: Reason) {
        let rule = self.policy.of(reason);
        if !rule.counts {
            return;
        }
        let list = match rule.reach {
            Reach::Boundary => self.boundary,
            Reach::List => fact.list,
        };
        if !self.days.insert((list, fact.at.date())) {
            return;
        }
        let strikes = self.strikes.entry((list, reason)).or_default();
        strikes.retain(|it| fact.at - *it <= rule.window);
        strikes.push(fact.at);
        let span = strikes.first().map_or(time::Duration::ZERO, |first| fact.at - *first);
        if strikes.len() < rule.strikes as usize || span < rule.least_span {
            return;
        }
        let expires_at = rule.lifetime.map(|it| later(fact.at, it));
        let held = self.standings.get(&(list, Cause::Soft)).filter(|it| it.holds_at(fact.at));
        if held.is_some_and(|it| it.expires_at.is_none() || (expires_at.is_some() && it.expires_at >= expires_at)) {
            return;
        }
        let standing = Standing {
            list,
            cause: Cause::Soft,
            reason: Some(reason),
            fact: fact.key,
            provisional: false,
            overrides_consent: false,
            since: held.map_or(fact.at, |it| it.since),
            expires_at,
            released_at: None,
        };
        self.standings.insert((list, Cause::Soft), standing);
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

/// Adds without leaving the calendar.
fn later(at: OffsetDateTime, by: time::Duration) -> OffsetDateTime {
    at.saturating_add(by)
}
