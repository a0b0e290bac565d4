//! The question newsletter systems ask before they send: may this address be mailed on this list?

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use time::OffsetDateTime;

use crate::store::error::StoreError;
use crate::store::ids::SubjectId;
use crate::store::lists::List;
use crate::store::record::Suppression;
use crate::store::{Store, asking};

/// Whether an address may be mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing speaks against it.
    Clear,
    /// It may not be mailed.
    Suppressed(Blocked),
}

/// Why an address may not be mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The weightiest cause.
    pub cause: Cause,
    /// Its reason.
    pub reason: Option<Reason>,
    /// Name of the list where it stands.
    pub list: String,
    /// Whether the whole domain is blocked rather than the address.
    pub by_domain: bool,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// The event that led to it.
    pub event: Option<crate::store::ids::EventId>,
    /// What a person said of it.
    pub note: Option<String>,
}

impl Store {
    /// Asks for many addresses at once; answers in the same order.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn check(&self, list: &Arc<List>, addresses: &[Address], now: OffsetDateTime) -> Result<Vec<Answer>, StoreError> {
        if let [address] = addresses {
            return Ok(vec![self.check_one(list, address, now).await?]);
        }
        let mut domains: HashMap<&str, SubjectId> = HashMap::new();
        let mut own = Vec::with_capacity(addresses.len());
        for it in addresses {
            let domain = domains.entry(it.domain()).or_insert_with(|| self.identity.subject(&it.domain_entry()));
            own.push((self.identity.subject(it), *domain));
        }
        let wanted: HashSet<SubjectId> = own.iter().map(|it| it.0).chain(domains.into_values()).collect();
        let wanted: Vec<SubjectId> = wanted.into_iter().collect();
        let standing = asking::read(&self.db, &wanted, &list.lineage).await?;
        let rows_of = |it: &SubjectId| standing.get(it).map(Vec::as_slice).unwrap_or_default();
        let mut answers = Vec::with_capacity(own.len());
        for (address, domain) in own {
            answers.push(self.answer(weigh(list, rows_of(&address), rows_of(&domain), now)).await?);
        }
        Ok(answers)
    }

    /// Asks for one address, in the company of others who ask at the same time.
    async fn check_one(&self, list: &Arc<List>, address: &Address, now: OffsetDateTime) -> Result<Answer, StoreError> {
        let subjects = [self.identity.subject(address), self.identity.subject(&address.domain_entry())];
        let [address, domain] = self.standings.of(&self.db, list, subjects).await?;
        self.answer(weigh(list, &address, &domain, now)).await
    }

    /// What is answered for the standing that weighs most.
    async fn answer(&self, weightiest: Option<(&Suppression, bool)>) -> Result<Answer, StoreError> {
        let Some((it, by_domain)) = weightiest else { return Ok(Answer::Clear) };
        Ok(Answer::Suppressed(Blocked {
            cause: it.cause,
            reason: it.reason,
            list: self.list_by_id(it.list).await?.name.clone(),
            by_domain,
            provisional: it.provisional,
            since: it.since,
            expires_at: it.expires_at,
            event: it.event,
            note: it.note.clone(),
        }))
    }
}

/// The standing that blocks, if any does, and whether it is the domain's. Precedence: manual block of the address, manual
/// allow of the address, manual block of the domain, manual allow of the domain, automatic causes that the list honours.
/// An allow lifts automatic causes, but complaint and unsubscribe only when it says so.
pub(super) fn weigh<'a>(
    list: &List,
    address: &'a [Suppression],
    domain: &'a [Suppression],
    now: OffsetDateTime,
) -> Option<(&'a Suppression, bool)> {
    let find = |rows: &'a [Suppression], cause: Cause| rows.iter().find(|it| it.cause == cause && it.holds_at(now));
    if let Some(block) = find(address, Cause::ManualBlock) {
        return Some((block, false));
    }
    if find(address, Cause::ManualAllow).is_none()
        && let Some(block) = find(domain, Cause::ManualBlock)
    {
        return Some((block, true));
    }
    // Several lists of the lineage may allow, and one of them may override consent.
    let allows: Vec<&Suppression> = address.iter().chain(domain).filter(|it| it.cause == Cause::ManualAllow && it.holds_at(now)).collect();
    let lifted = |cause: Cause| if cause.is_consent() { allows.iter().any(|it| it.overrides_consent) } else { !allows.is_empty() };
    let automatic = |rows: &'a [Suppression]| {
        rows.iter()
            .filter(|it| it.cause.is_automatic() && it.holds_at(now) && list.honours(it.cause) && !lifted(it.cause))
            .min_by_key(|it| (weight(it.cause), it.provisional, it.since))
    };
    automatic(address).map(|it| (it, false)).or_else(|| automatic(domain).map(|it| (it, true)))
}

/// A person's own will first, then what lasts longest.
const fn weight(cause: Cause) -> u8 {
    match cause {
        Cause::Unsubscribe => 0,
        Cause::Complaint => 1,
        Cause::Hard => 2,
        Cause::Provider => 3,
        Cause::Import => 4,
        Cause::Soft => 5,
        Cause::ManualBlock | Cause::ManualAllow => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ids::ListId;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    fn list(honours: Option<Vec<Cause>>) -> List {
        let id = ListId::new();
        List { id, name: "acme".to_owned(), boundary: id, lineage: vec![id], honours }
    }

    fn row(cause: Cause) -> Suppression {
        Suppression {
            list: ListId::new(),
            cause,
            reason: None,
            event: None,
            note: None,
            overrides_consent: false,
            provisional: false,
            since: NOW - time::Duration::DAY,
            expires_at: None,
            released_at: None,
            revision: 1,
        }
    }

    fn blocked(address: &[Suppression], domain: &[Suppression]) -> Option<(Cause, bool)> {
        weigh(&list(None), address, domain, NOW).map(|(it, by_domain)| (it.cause, by_domain))
    }

    #[test]
    fn precedence_is_manual_before_domain_before_automatic() {
        use Cause::{Complaint, Hard, ManualAllow, ManualBlock};
        for (address, domain, expected) in [
            (vec![], vec![], None),
            (vec![Hard], vec![], Some((Hard, false))),
            (vec![Hard, ManualAllow], vec![], None),
            (vec![ManualBlock, ManualAllow], vec![], Some((ManualBlock, false))),
            (vec![ManualAllow], vec![ManualBlock], None),
            (vec![], vec![ManualBlock], Some((ManualBlock, true))),
            (vec![], vec![ManualBlock, ManualAllow], Some((ManualBlock, true))),
            (vec![Hard], vec![ManualAllow], None),
            (vec![Complaint], vec![ManualAllow], Some((Complaint, false))),
            (vec![Complaint, ManualAllow], vec![], Some((Complaint, false))),
            (vec![Hard, Complaint], vec![], Some((Complaint, false))),
        ] {
            let rows = |causes: &[Cause]| causes.iter().map(|it| row(*it)).collect::<Vec<_>>();
            assert_eq!(blocked(&rows(&address), &rows(&domain)), expected, "{address:?} {domain:?}");
        }
    }

    #[test]
    fn an_allow_that_overrides_consent_lifts_a_complaint() {
        let allow = Suppression { overrides_consent: true, ..row(Cause::ManualAllow) };
        assert_eq!(blocked(&[row(Cause::Complaint), allow], &[]), None);
    }

    #[test]
    fn of_two_allows_the_one_that_overrides_consent_does_so_in_any_order() {
        let consent = Suppression { overrides_consent: true, ..row(Cause::ManualAllow) };
        for allows in [[row(Cause::ManualAllow), consent.clone()], [consent.clone(), row(Cause::ManualAllow)]] {
            assert_eq!(blocked(&[&[row(Cause::Unsubscribe)], &allows[..]].concat(), &[]), None);
        }
    }

    #[test]
    fn what_has_ended_does_not_block() {
        let ended = Suppression { expires_at: Some(NOW), ..row(Cause::Soft) };
        let lifted = Suppression { released_at: Some(NOW), ..row(Cause::Hard) };
        assert_eq!(blocked(&[ended, lifted], &[]), None);
        let lasting = Suppression { expires_at: Some(NOW + time::Duration::SECOND), ..row(Cause::Soft) };
        assert_eq!(blocked(&[lasting], &[]), Some((Cause::Soft, false)));
    }

    #[test]
    fn a_list_blocks_only_by_what_it_honours() {
        let transactional = list(Some(vec![Cause::Hard]));
        assert!(weigh(&transactional, &[row(Cause::Complaint)], &[], NOW).is_none());
        assert!(weigh(&transactional, &[row(Cause::Complaint), row(Cause::Hard)], &[], NOW).is_some());
        assert!(weigh(&transactional, &[row(Cause::ManualBlock)], &[], NOW).is_some());
    }
}
