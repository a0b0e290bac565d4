//! Which facts change nothing, told without the rest of what is known: an address that is reported over and over need not be decided
//! again each time.

use time::OffsetDateTime;

use super::table::Reach;
use super::{Cause, Fact, FactKey, ListKey, Matter, Policy, Standing, Weight};
use crate::classify::reason::Reason;
use crate::kind::{BounceType, Kind};

/// A standing that an event has put, not an import or a person, and when that event happened.
#[derive(Debug, Clone, Copy)]
pub struct Settled<'a> {
    /// What stands.
    pub standing: &'a Standing,
    /// When the deciding event happened.
    pub decided_at: OffsetDateTime,
}

/// Whether [`decide`](super::decide) says the same with a fact as without it, however much else is known, as long as that has led to
/// these standings and `delivered` are the messages of all deliveries. `false` means that it may say something else.
///
/// * What has no weight, or is no failure, or does not count by the policy never changes anything.
/// * Nothing goes beyond a cause that stands for good and for sure, so whatever says the same later changes nothing: not while it stands,
///   for nothing is surer or longer; not after somebody has released it, for days count anew from then on; and the older fact stays
///   the deciding one. What happened before the deciding fact is another matter: it may take its place.
/// * A message that bounced was not delivered, so a delivery may count no more once its message bounces.
#[must_use]
pub fn changes_nothing(fact: &Fact, boundary: ListKey, standings: &[Settled<'_>], delivered: &[FactKey], policy: &Policy) -> bool {
    let Matter::Event { kind, bounce_type, reason, weight, messages, .. } = &fact.matter else { return false };
    if *weight == Weight::None {
        return true;
    }
    if *kind == Kind::Bounce && messages.iter().any(|it| delivered.contains(it)) {
        return false;
    }
    let (list, cause) = match (kind, bounce_type) {
        (Kind::Bounce, hardness) => {
            let rule = policy.of(reason.unwrap_or(Reason::Undetermined));
            match (rule.counts, hardness, rule.reach) {
                (false, ..) => return true,
                (true, Some(BounceType::Hard), Reach::Boundary) => (boundary, Cause::Hard),
                (true, Some(BounceType::Hard), Reach::List) => (fact.list, Cause::Hard),
                // Each one may be a strike.
                _ => return false,
            }
        }
        (Kind::Complaint, _) => (boundary, Cause::Complaint),
        (Kind::Unsubscribe, _) => (fact.list, Cause::Unsubscribe),
        (Kind::Suppressed, _) => (boundary, Cause::Provider),
        _ => return true,
    };
    standings.iter().any(|Settled { standing: it, decided_at }| {
        let is_for_good = it.released_at.is_none() && it.expires_at.is_none() && !it.provisional;
        (it.list, it.cause) == (list, cause) && is_for_good && *decided_at < fact.at
    })
}
