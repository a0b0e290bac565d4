//! The events of one subject told anew by receipts that were read again: what was once read from them is taken apart, and
//! everything is merged as if it came in today. Pure: no database here.
//!
//! A receipt that cannot be read any more still told what it told. An event that it has the strongest evidence of stays as
//! it is and merges with what others say now; where it was only a copy of the event, what it may have added (a key, an
//! earlier time, a stronger attribution) is not lost.

use std::collections::{BTreeMap, BTreeSet};

use bounce::policy::FactKey;

use crate::store::history::{History, Origin};
use crate::store::ids::{EventId, ReceiptId};
use crate::store::record::{Event, IncomingFact};

/// One fact of a receipt that was read again.
#[derive(Debug, Clone)]
pub(super) struct Told<'a> {
    /// The fact.
    pub fact: &'a IncomingFact,
    /// Its keys.
    pub keys: Vec<FactKey>,
    /// The receipt it comes from.
    pub origin: Origin<'a>,
}

/// What reading again has done to the events of a subject.
#[derive(Debug, Default)]
pub(super) struct Retold {
    /// Events that were not known.
    pub new: BTreeSet<EventId>,
    /// Events that say something else than before.
    pub changed: BTreeSet<EventId>,
    /// Events that became part of another.
    pub gone: BTreeMap<EventId, EventId>,
    /// Events that no receipt tells any more.
    pub withdrawn: Vec<Event>,
}

impl History {
    /// Tells the events anew. `told` are the facts of all receipts in `read`; `copies` are the receipts that told of the
    /// events so far beside those they name.
    pub(super) fn retell(
        &mut self,
        told: Vec<Told<'_>>,
        read: &BTreeSet<ReceiptId>,
        copies: &BTreeMap<EventId, BTreeSet<ReceiptId>>,
    ) -> Retold {
        let before = std::mem::take(&mut self.events);
        let (open, closed): (Vec<Event>, Vec<Event>) = before.iter().cloned().partition(|it| read.contains(&it.receipt));
        let position = told.first().map_or(0, |it| it.origin.position);
        self.events = closed;
        let mut retold = Retold::default();
        for it in told {
            let (taken, gone) = self.take_in(it.fact, it.keys, it.origin);
            retold.gone.extend(gone.into_iter().map(|it| (it, taken.id())));
        }
        let unread = |it: &&Event| copies.get(&it.id).is_some_and(|copies| !copies.is_subset(read));
        for event in open.iter().filter(unread) {
            retold.gone.extend(self.hold_on_to(event));
        }
        self.give_back_ids(&before, &mut retold);
        let mut known: BTreeMap<EventId, &Event> = before.iter().map(|it| (it.id, it)).collect();
        for event in &mut self.events {
            match known.remove(&event.id) {
                None => _ = retold.new.insert(event.id),
                Some(old) if event.says_the_same_as(old) => old.clone_into(event),
                Some(_) => {
                    event.position = position.max(event.position);
                    retold.changed.insert(event.id);
                }
            }
        }
        // Ids that were given for the time of the telling only are not known to anybody.
        retold.gone.retain(|it, _| before.iter().any(|old| old.id == *it));
        for (id, event) in known {
            if retold.gone.contains_key(&id) {
                continue;
            }
            match self.events.iter().find(|it| shares_a_key(it, event)) {
                Some(heir) => _ = retold.gone.insert(id, heir.id),
                None => retold.withdrawn.push(event.clone()),
            }
        }
        retold
    }

    /// Keeps what copies that cannot be read any more may have told of an event; tells which events became one by that.
    fn hold_on_to(&mut self, event: &Event) -> Vec<(EventId, EventId)> {
        if !event.counts() && self.events.iter().any(|it| it.counts() && shares_a_key(it, event)) {
            return Vec::new();
        }
        let (mut same, others): (Vec<Event>, Vec<Event>) =
            std::mem::take(&mut self.events).into_iter().partition(|it| shares_a_key(it, event));
        same.sort_by_key(|it| !it.counts());
        self.events = others;
        if same.is_empty() {
            self.events.push(event.clone());
            return Vec::new();
        }
        let mut held = same.remove(0);
        let gone = same.iter().map(|it| (it.id, held.id)).collect();
        for other in same {
            self.told.insert((held.id, other.receipt));
            held.merge(other);
        }
        // All but the testimony, which was read anew.
        held.merge(Event { evidence: String::new(), ..event.clone() });
        self.events.push(held);
        gone
    }

    /// What was known before keeps its id, the oldest where several became one.
    fn give_back_ids(&mut self, before: &[Event], retold: &mut Retold) {
        let mut free: BTreeMap<EventId, &Event> = before.iter().map(|it| (it.id, it)).collect();
        for event in &self.events {
            free.remove(&event.id);
        }
        let mut names = BTreeMap::new();
        for event in &mut self.events {
            if before.iter().any(|it| it.id == event.id) {
                continue;
            }
            let Some(old) = free.values().find(|it| shares_a_key(it, event)).map(|it| it.id) else { continue };
            free.remove(&old);
            names.insert(event.id, old);
            event.id = old;
        }
        // A receipt that says something else today (another kind, a reason where it carries no id) still says it of the same.
        free.retain(|_, old| !self.events.iter().any(|it| shares_a_key(it, old)));
        for event in self.events.iter_mut().filter(|it| !before.iter().any(|old| old.id == it.id)) {
            let Some(old) = free.values().find(|it| it.receipt == event.receipt).map(|it| it.id) else { continue };
            free.remove(&old);
            names.insert(event.id, old);
            event.id = old;
        }
        // An event may have become part of one that became part of another; the last one counts, under its old name.
        let raw = std::mem::take(&mut retold.gone);
        let heir = |id: EventId| {
            let last = std::iter::successors(Some(id), |it| raw.get(it).copied()).last().unwrap_or(id);
            names.get(&last).copied().unwrap_or(last)
        };
        self.told = std::mem::take(&mut self.told).into_iter().map(|(event, receipt)| (heir(event), receipt)).collect();
        retold.gone = raw.keys().map(|it| (*it, heir(*it))).filter(|(gone, heir)| gone != heir).collect();
    }
}

fn shares_a_key(one: &Event, other: &Event) -> bool {
    one.keys.iter().any(|it| other.keys.contains(it))
}
