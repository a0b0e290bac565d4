use proptest::prelude::*;
use time::{Duration, OffsetDateTime, PrimitiveDateTime, macros::datetime};

use super::*;

mod histories;

const ROOT: ListKey = ListKey([1; 16]);
const LEAF: ListKey = ListKey([2; 16]);
const START: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

fn day(number: i64) -> OffsetDateTime {
    START + Duration::days(number)
}

fn key(number: u8) -> FactKey {
    FactKey([number; 16])
}

fn event(number: u8, at: OffsetDateTime, kind: Kind, reason: Reason, weight: Weight) -> Fact {
    let bounce_type = (kind == Kind::Bounce).then(|| reason.permanent_type());
    told(number, at, at, kind, bounce_type, reason, weight)
}

fn told(
    number: u8,
    at: OffsetDateTime,
    received: OffsetDateTime,
    kind: Kind,
    bounce_type: Option<BounceType>,
    reason: Reason,
    weight: Weight,
) -> Fact {
    let matter = Matter::Event { kind, bounce_type, reason: Some(reason), weight, received, messages: vec![key(number)] };
    Fact { at, key: key(number), list: LEAF, matter }
}

/// A final failure that somebody calls hard, whatever its reason.
fn hard(number: u8, at: OffsetDateTime, reason: Reason) -> Fact {
    told(number, at, at, Kind::Bounce, Some(BounceType::Hard), reason, Weight::Full)
}

fn bounce(number: u8, at: OffsetDateTime, reason: Reason) -> Fact {
    event(number, at, Kind::Bounce, reason, Weight::Full)
}

fn act(number: u8, at: OffsetDateTime, list: ListKey, act: Act) -> Fact {
    Fact { at, key: key(number), list, matter: Matter::Act(act.into()) }
}

fn delivery(number: u8, at: OffsetDateTime, message: u8) -> Fact {
    Fact { at, key: key(number), list: LEAF, matter: Matter::Delivery { messages: vec![key(message)] } }
}

/// `list/cause until` of everything that is not released.
fn standing(facts: &[Fact]) -> Vec<String> {
    decide(facts, ROOT, &Policy::default())
        .iter()
        .filter(|it| it.released_at.is_none())
        .map(|it| {
            let list = if it.list == ROOT { "root" } else { "leaf" };
            let end = it.expires_at.map_or_else(|| "for good".to_owned(), |end| format!("for {} days", (end - it.since).whole_days()));
            format!("{list} {} {}{end}", it.cause, if it.provisional { "provisionally " } else { "" })
        })
        .collect()
}

#[test]
fn a_hard_bounce_blocks_the_whole_tree_for_good() {
    assert_eq!(standing(&[bounce(1, day(0), Reason::UserUnknown)]), ["root hard for good"]);
}

#[test]
fn what_is_the_senders_fault_never_blocks() {
    for reason in Reason::ALL.iter().copied().filter(|it| it.fault().is_senders()) {
        let facts: Vec<Fact> = (0..200).map(|it| bounce(it, day(it.into()), reason)).collect();
        assert_eq!(standing(&facts), Vec::<String>::new(), "{reason}");
        assert_eq!(standing(&[hard(1, day(0), reason), hard(2, day(1), reason)]), Vec::<String>::new(), "{reason}, called hard");
    }
}

#[test]
fn an_unattributed_bounce_blocks_for_a_week_until_another_day_confirms_it() {
    let forged = |number, at| event(number, at, Kind::Bounce, Reason::UserUnknown, Weight::Provisional);
    assert_eq!(standing(&[forged(1, day(0))]), ["root hard provisionally for 7 days"]);
    assert_eq!(standing(&[forged(1, day(0)), forged(2, day(0) + Duration::hours(3))]), ["root hard provisionally for 7 days"]);
    assert_eq!(standing(&[forged(1, day(0)), forged(2, day(1))]), ["root hard for good"]);
    assert_eq!(standing(&[forged(1, day(0)), bounce(2, day(0), Reason::UserUnknown)]), ["root hard for good"]);
    assert_eq!(standing(&[event(1, day(0), Kind::Bounce, Reason::UserUnknown, Weight::None)]), Vec::<String>::new());
}

#[test]
fn forged_mails_that_come_together_do_not_confirm_one_another_by_their_dates() {
    let forged = |number, at| told(number, at, day(9), Kind::Bounce, Some(BounceType::Hard), Reason::UserUnknown, Weight::Provisional);
    assert_eq!(standing(&[forged(1, day(7)), forged(2, day(8))]), ["root hard provisionally for 8 days"], "a week from the later one");
    let soft = |number, at| told(number, at, day(9), Kind::Bounce, Some(BounceType::Soft), Reason::UserUnknown, Weight::Provisional);
    assert_eq!(standing(&[soft(1, day(5)), soft(2, day(6)), soft(3, day(7))]), Vec::<String>::new(), "one strike: they came on one day");
}

#[test]
fn a_block_that_has_ended_comes_back_with_the_next_failures() {
    let facts: Vec<Fact> = [0, 1, 2, 100, 101, 200].iter().zip(0..).map(|(at, n)| bounce(n, day(*at), Reason::DomainNoMail)).collect();
    let held = |until: usize, at: i64| decide(&facts[..until], ROOT, &Policy::default()).iter().any(|it| it.holds_at(day(at)));
    assert!(held(3, 60) && !held(3, 99), "90 days");
    assert!(held(4, 103), "again");
    assert!(held(6, 205) && held(6, 280));
}

#[test]
fn a_policy_that_says_a_reason_does_not_count_is_obeyed_for_hard_failures_too() {
    let mut policy = Policy::default();
    policy.set(Reason::UserUnknown, ReasonPolicy { counts: false, ..policy.of(Reason::UserUnknown) }).unwrap();
    assert_eq!(decide(&[bounce(1, day(0), Reason::UserUnknown)], ROOT, &policy), []);
}

#[test]
fn an_unknown_domain_is_provisional_even_from_a_good_source() {
    assert_eq!(standing(&[bounce(1, day(0), Reason::DomainUnknown)]), ["root hard provisionally for 7 days"]);
    assert_eq!(standing(&[bounce(1, day(0), Reason::DomainUnknown), bounce(2, day(2), Reason::DomainUnknown)]), ["root hard for good"]);
}

#[test]
fn a_full_mailbox_needs_five_messages_over_three_weeks() {
    let full = |days: &[i64]| -> Vec<Fact> {
        days.iter().enumerate().map(|(n, d)| bounce(u8::try_from(n).unwrap(), day(*d), Reason::MailboxFull)).collect()
    };
    assert_eq!(standing(&full(&[0, 1, 2, 3, 4])), Vec::<String>::new(), "too close together");
    assert_eq!(standing(&full(&[0, 5, 10, 21])), Vec::<String>::new(), "one too few");
    assert_eq!(standing(&full(&[0, 5, 10, 15, 21])), ["root soft for 90 days"]);
    assert_eq!(standing(&full(&[0, 0, 0, 0, 21])), Vec::<String>::new(), "one strike a day");
    assert_eq!(standing(&full(&[0, 20, 40, 61, 80])), Vec::<String>::new(), "the first one is forgotten");
}

#[test]
fn a_delivery_clears_strikes_and_soft_blocks_and_nothing_else() {
    let full: Vec<Fact> = (0..5).map(|it| bounce(it, day(i64::from(it) * 6), Reason::MailboxFull)).collect();
    assert_eq!(standing(&full), ["root soft for 90 days"]);
    let mut facts = full.clone();
    facts.push(delivery(9, day(13), 90));
    assert_eq!(standing(&facts), Vec::<String>::new(), "in the middle");
    let mut facts = full.clone();
    facts.push(delivery(9, day(30), 90));
    assert_eq!(standing(&facts), Vec::<String>::new(), "at the end");
    let mut facts = full;
    facts.extend([delivery(9, day(30), 90), bounce(90, day(31), Reason::SpamContent)]);
    assert_eq!(standing(&facts), ["root soft for 90 days"], "its message bounced afterwards");
    let hard = [bounce(1, day(0), Reason::UserUnknown), delivery(9, day(1), 90)];
    assert_eq!(standing(&hard), ["root hard for good"]);
}

#[test]
fn a_complaint_stands_for_the_tree_and_an_unsubscribe_for_its_list() {
    let facts = [
        event(1, day(0), Kind::Complaint, Reason::Undetermined, Weight::Full),
        event(2, day(0), Kind::Unsubscribe, Reason::Undetermined, Weight::Full),
        event(3, day(0), Kind::Suppressed, Reason::Suppressed, Weight::Full),
        event(4, day(0), Kind::Delayed, Reason::ServerError, Weight::Full),
        event(5, day(0), Kind::AutoReply, Reason::Undetermined, Weight::Full),
    ];
    assert_eq!(standing(&facts), ["root complaint for good", "root provider for good", "leaf unsubscribe for good"]);
}

#[test]
fn a_refused_sender_is_one_lists_matter() {
    let facts = [bounce(1, day(0), Reason::RecipientRefused), bounce(2, day(3), Reason::RecipientRefused)];
    assert_eq!(standing(&facts), ["leaf soft for good"]);
}

#[test]
fn a_release_sticks_against_older_facts_and_yields_to_newer_ones() {
    let released = [bounce(1, day(0), Reason::UserUnknown), act(2, day(5), ROOT, Act::Release)];
    assert_eq!(standing(&released), Vec::<String>::new());
    let mut older = released.to_vec();
    older.push(bounce(3, day(4), Reason::UserUnknown));
    assert_eq!(standing(&older), Vec::<String>::new());
    let mut newer = released.to_vec();
    newer.push(bounce(3, day(6), Reason::UserUnknown));
    assert_eq!(standing(&newer), ["root hard for good"]);
    let same_moment = [bounce(1, day(5), Reason::UserUnknown), act(0, day(5), ROOT, Act::Release)];
    assert_eq!(standing(&same_moment), Vec::<String>::new(), "a person's word is the last of its moment");
}

#[test]
fn manual_entries_stand_beside_automatic_ones() {
    let facts = [bounce(1, day(0), Reason::UserUnknown), act(2, day(1), LEAF, Act::Block), act(3, day(2), LEAF, Act::Allow)];
    assert_eq!(standing(&facts), ["root hard for good", "leaf manual_block for good", "leaf manual_allow for good"]);
    let mut gone = facts.to_vec();
    gone.extend([act(4, day(3), LEAF, Act::Unblock), act(5, day(3), LEAF, Act::Disallow)]);
    assert_eq!(standing(&gone), ["root hard for good"]);
}

#[test]
fn times_at_the_end_of_the_calendar_do_not_overflow() {
    let facts = [bounce(1, datetime!(9999-12-31 23:59 UTC), Reason::DomainUnknown)];
    assert_eq!(standing(&facts).len(), 1);
}

fn entry(cause: Cause) -> Imported {
    Imported { cause, reason: None, provisional: false, overrides_consent: false, expires_at: None }
}

fn imported(number: u8, at: OffsetDateTime, list: ListKey, entry: Imported) -> Fact {
    Fact { at, key: key(number), list, matter: Matter::Import(entry) }
}

#[test]
fn what_was_imported_stands_where_the_list_says_however_old_it_is() {
    let long_ago = day(-4000);
    let facts: Vec<Fact> = [Cause::Hard, Cause::Complaint, Cause::Unsubscribe, Cause::ManualBlock, Cause::Import]
        .into_iter()
        .zip(1..)
        .map(|(cause, number)| imported(number, long_ago, LEAF, entry(cause)))
        .collect();
    assert_eq!(
        standing(&facts),
        [
            "leaf hard for good",
            "leaf complaint for good",
            "leaf unsubscribe for good",
            "leaf import for good",
            "leaf manual_block for good"
        ]
    );
    let for_a_month = Imported { provisional: true, expires_at: Some(day(30)), ..entry(Cause::Hard) };
    assert_eq!(standing(&[imported(1, day(0), LEAF, for_a_month)]), ["leaf hard provisionally for 30 days"]);
}

#[test]
fn a_release_sticks_against_a_list_with_older_entries_and_yields_to_one_with_newer() {
    let release = act(9, day(5), ROOT, Act::Release);
    assert_eq!(standing(&[release.clone(), imported(1, day(4), ROOT, entry(Cause::Hard))]), Vec::<String>::new());
    assert_eq!(standing(&[release.clone(), imported(1, day(5), ROOT, entry(Cause::Hard))]), Vec::<String>::new(), "the same moment");
    assert_eq!(standing(&[release, imported(1, day(6), ROOT, entry(Cause::Hard))]), ["root hard for good"]);
}

#[test]
fn an_import_confirms_and_lengthens_and_never_weakens() {
    let forged = event(1, day(0), Kind::Bounce, Reason::UserUnknown, Weight::Provisional);
    assert_eq!(standing(&[forged, imported(2, day(1), ROOT, entry(Cause::Hard))]), ["root hard for good"]);
    let sure = bounce(1, day(0), Reason::UserUnknown);
    let weaker = Imported { provisional: true, expires_at: Some(day(3)), ..entry(Cause::Hard) };
    assert_eq!(standing(&[sure, imported(2, day(1), ROOT, weaker)]), ["root hard for good"]);
}

#[test]
fn a_delivery_lifts_an_imported_soft_block_and_no_other() {
    let soft = Imported { expires_at: Some(day(90)), ..entry(Cause::Soft) };
    let facts = [imported(1, day(0), ROOT, soft), imported(2, day(0), ROOT, entry(Cause::Import)), delivery(3, day(1), 90)];
    assert_eq!(standing(&facts), ["root import for good"]);
}

#[test]
fn evidence_takes_the_place_of_an_import_that_says_the_same() {
    let facts =
        [imported(1, day(0), ROOT, entry(Cause::Hard)), bounce(2, day(3), Reason::UserUnknown), hard(3, day(4), Reason::UserUnknown)];
    let standings = decide(&facts, ROOT, &Policy::default());
    assert_eq!((standings[0].fact, standings[0].reason, standings[0].since), (key(2), Some(Reason::UserUnknown), day(0)));
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let kinds = prop_oneof![
        4 => Just(Kind::Bounce), 1 => Just(Kind::Complaint), 1 => Just(Kind::Unsubscribe), 1 => Just(Kind::Suppressed), 1 => Just(Kind::Delayed)
    ];
    let reasons = prop::sample::select(Reason::ALL);
    let weights = prop::sample::select(Weight::ALL);
    let acts = prop::sample::select(Act::ALL);
    let lists = prop::sample::select(&[ROOT, LEAF]);
    (0u8..40, 0i64..60, lists, 0u8..10, kinds, reasons, weights, acts).prop_map(|(number, at, list, choice, kind, reason, weight, act)| {
        let at = START + Duration::hours(at * 17);
        let bounce_type = (kind == Kind::Bounce).then_some(if number % 2 == 0 { BounceType::Hard } else { BounceType::Soft });
        let fact = match choice {
            0..=1 => Matter::Act(Deed {
                act,
                cause: (number % 3 == 0).then_some(Cause::ALL[usize::from(number) % Cause::ALL.len()]),
                expires_at: (number % 7 == 0).then(|| at + Duration::days(5)),
            }),
            2..=3 => Matter::Delivery { messages: vec![key(number)] },
            4 => Matter::Import(Imported {
                cause: Cause::ALL[usize::from(number) % Cause::ALL.len()],
                reason: (number % 3 == 0).then_some(reason),
                provisional: number % 4 == 0,
                overrides_consent: number % 5 == 0,
                expires_at: (number % 2 == 0).then(|| at + Duration::days(i64::from(number))),
            }),
            _ => told(number, at, at + Duration::hours(i64::from(number)), kind, bounce_type, reason, weight).matter,
        };
        Fact { at, key: key(number), list, matter: fact }
    })
}

/// The same key and time always carry the same fact, as they do where facts are recorded.
fn distinct(facts: Vec<Fact>) -> Vec<Fact> {
    let mut seen = std::collections::BTreeSet::new();
    facts.into_iter().filter(|it| seen.insert(it.key)).collect()
}

/// Whether a fact is told to change nothing beside these.
fn is_told_to_change_nothing(one: &Fact, facts: &[Fact]) -> bool {
    let standings = decide(facts, ROOT, &hasty());
    let by = |it: &Standing| facts.iter().find(|fact| fact.key == it.fact && matches!(fact.matter, Matter::Event { .. }));
    let settled: Vec<Settled<'_>> = standings.iter().filter_map(|it| Some(Settled { standing: it, decided_at: by(it)?.at })).collect();
    let messages = |it: &Fact| match &it.matter {
        Matter::Delivery { messages } => messages.clone(),
        _ => vec![],
    };
    let delivered: Vec<FactKey> = facts.iter().flat_map(messages).collect();
    changes_nothing(one, ROOT, &settled, &delivered, &hasty())
}

#[test]
fn what_says_again_what_stands_for_good_changes_nothing() {
    let held = [bounce(1, day(3), Reason::UserUnknown), delivery(9, day(1), 50)];
    let told = |it: &Fact, held: &[Fact]| is_told_to_change_nothing(it, held);
    assert!(told(&bounce(2, day(4), Reason::UserUnknown), &held));
    assert!(told(&event(2, day(4), Kind::Bounce, Reason::DomainUnknown, Weight::Provisional), &held), "another reason");
    assert!(!told(&bounce(2, day(2), Reason::UserUnknown), &held), "it may decide in place of the later one");
    assert!(!told(&bounce(50, day(4), Reason::UserUnknown), &held), "its message was not delivered after all");
    assert!(!told(&bounce(2, day(4), Reason::MailboxFull), &held), "another cause");
    assert!(!told(&event(2, day(4), Kind::Complaint, Reason::Undetermined, Weight::Full), &held), "another cause");
    assert!(told(&event(2, day(4), Kind::Delayed, Reason::MailboxFull, Weight::Full), &held), "no failure");
    assert!(told(&event(2, day(4), Kind::Complaint, Reason::Undetermined, Weight::None), &held), "no weight");
    let released = [held.as_slice(), &[act(3, day(3), ROOT, Act::Release)]].concat();
    assert!(!told(&bounce(2, day(4), Reason::UserUnknown), &released));
    let unsure = [event(1, day(3), Kind::Bounce, Reason::UserUnknown, Weight::Provisional)];
    assert!(!told(&event(2, day(3) + Duration::HOUR, Kind::Bounce, Reason::UserUnknown, Weight::Provisional), &unsure));
    let listed = [imported(1, day(3), ROOT, entry(Cause::Hard))];
    assert!(!told(&bounce(2, day(4), Reason::UserUnknown), &listed), "evidence takes the place of an import");
}

/// Reasons of which a few days of chance make blocks, by [`hasty`].
const OFTEN: &[Reason] = &[Reason::MailboxFull, Reason::ServerError, Reason::UserUnknown, Reason::DomainUnknown, Reason::RecipientRefused];

/// A policy under which blocks come and go within days.
fn hasty() -> Policy {
    let mut policy = Policy::default();
    for (reason, days) in [(Reason::MailboxFull, 3), (Reason::ServerError, 2)] {
        let quick = ReasonPolicy {
            strikes: 2,
            window: Duration::days(5),
            least_span: Duration::days(1),
            lifetime: Some(Duration::days(days)),
            ..policy.of(reason)
        };
        policy.set(reason, quick).unwrap();
    }
    policy
}

fn of_few_reasons(mut fact: Fact) -> Fact {
    if let Matter::Event { reason: Some(reason), .. } = &mut fact.matter {
        *reason = OFTEN[*reason as usize % OFTEN.len()];
    }
    fact
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_gives_the_same_standings(
        facts in prop::collection::vec(any_fact(), 0..30).prop_map(distinct),
        order in any::<prop::sample::Index>(),
        shuffled in any::<u64>(),
    ) {
        let expected = decide(&facts, ROOT, &Policy::default());
        let mut other = facts.clone();
        other.extend(facts.iter().take(if facts.is_empty() { 0 } else { order.index(facts.len()) }).cloned());
        let mut state = shuffled;
        for at in (1..other.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            other.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        prop_assert_eq!(decide(&other, ROOT, &Policy::default()), expected);
    }

    #[test]
    fn a_later_failure_never_lifts_a_block(facts in prop::collection::vec(any_fact(), 0..20).prop_map(distinct), reason in prop::sample::select(Reason::ALL)) {
        let end = START + Duration::days(100);
        let before = decide(&facts, ROOT, &Policy::default());
        let mut more = facts;
        more.push(Fact { key: FactKey([250; 16]), ..bounce(250, end, reason) });
        let after = decide(&more, ROOT, &Policy::default());
        for held in before.iter().filter(|it| it.holds_at(end)) {
            prop_assert!(after.iter().any(|it| it.list == held.list && it.cause == held.cause && it.holds_at(end)));
        }
    }

    #[test]
    fn one_more_failure_whenever_it_happened_never_lifts_or_shortens_a_block(
        facts in prop::collection::vec(any_fact(), 0..30).prop_map(distinct),
        hour in 0i64..1100,
        delay in 0i64..200,
        is_hard in any::<bool>(),
        reason in prop::sample::select(OFTEN),
        weight in prop::sample::select(Weight::ALL),
    ) {
        let at = START + Duration::hours(hour);
        let bounce_type = Some(if is_hard { BounceType::Hard } else { BounceType::Soft });
        let facts: Vec<Fact> = facts.into_iter().map(of_few_reasons).collect();
        let before = decide(&facts, ROOT, &hasty());
        let mut more = facts;
        more.push(told(251, at, at + Duration::hours(delay), Kind::Bounce, bounce_type, reason, weight));
        let after = decide(&more, ROOT, &hasty());
        for held in before.iter().filter(|it| it.cause.is_automatic() && it.released_at.is_none()) {
            let still = after.iter().find(|it| it.list == held.list && it.cause == held.cause && it.released_at.is_none());
            let end = |it: &Standing| it.expires_at.unwrap_or(PrimitiveDateTime::MAX.assume_utc());
            prop_assert!(still.is_some_and(|it| end(it) >= end(held) && (held.provisional || !it.provisional)), "{held:?}\n{still:?}");
        }
    }

    #[test]
    fn what_is_told_to_change_nothing_changes_nothing(
        facts in prop::collection::vec(any_fact(), 0..30).prop_map(distinct),
        one in any_fact(),
        late in any::<bool>(),
        confirmed in any::<bool>(),
    ) {
        let mut facts: Vec<Fact> = facts.into_iter().map(of_few_reasons).collect();
        if confirmed {
            facts.push(bounce(240, day(5), Reason::UserUnknown));
        }
        let mut one = Fact { key: FactKey([251; 16]), ..of_few_reasons(one) };
        if late {
            one.at += Duration::days(20);
        }
        // About every third one is.
        if is_told_to_change_nothing(&one, &facts) {
            let before = decide(&facts, ROOT, &hasty());
            facts.push(one);
            prop_assert_eq!(decide(&facts, ROOT, &hasty()), before);
        }
    }

    #[test]
    fn what_people_put_outlives_whatever_machines_say(
        facts in prop::collection::vec(any_fact(), 0..40).prop_map(distinct),
        put in prop::sample::select(&[Act::Block, Act::Allow, Act::AllowConsent]),
        list in prop::sample::select(&[ROOT, LEAF]),
    ) {
        let mut facts: Vec<Fact> = facts.into_iter().filter(|it| matches!(it.matter, Matter::Event { .. } | Matter::Delivery { .. })).collect();
        facts.push(act(200, day(20), list, put));
        let cause = if put == Act::Block { Cause::ManualBlock } else { Cause::ManualAllow };
        let standings = decide(&facts, ROOT, &Policy::default());
        let manual: Vec<&Standing> = standings.iter().filter(|it| !it.cause.is_automatic()).collect();
        prop_assert_eq!(manual.len(), 1);
        let expected = (list, cause, key(200), None, None, put == Act::AllowConsent);
        let found = (manual[0].list, manual[0].cause, manual[0].fact, manual[0].expires_at, manual[0].released_at, manual[0].overrides_consent);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_release_sticks_whatever_older_facts_come_late(
        facts in prop::collection::vec(any_fact(), 0..40).prop_map(distinct),
        late in prop::collection::vec(any_fact(), 0..10).prop_map(distinct),
    ) {
        let end = START + Duration::days(60);
        let known = facts.len();
        let mut all = facts;
        all.extend(late.into_iter().map(|it| Fact { key: FactKey([it.key.0[0] + 100; 16]), ..it }));
        all.extend([act(240, end, ROOT, Act::Release), act(241, end, LEAF, Act::Release)]);
        for part in [&all[..known], &all[..]] {
            let mut part = part.to_vec();
            part.extend([act(240, end, ROOT, Act::Release), act(241, end, LEAF, Act::Release)]);
            let standings = decide(&part, ROOT, &Policy::default());
            prop_assert!(standings.iter().all(|it| !it.cause.is_automatic() || it.released_at.is_some()));
            // Nor does what happened before count towards what comes after.
            part.push(bounce(249, end + Duration::HOUR, Reason::MailboxFull));
            let standings = decide(&part, ROOT, &Policy::default());
            prop_assert!(standings.iter().all(|it| !it.cause.is_automatic() || it.released_at.is_some()));
        }
    }

    #[test]
    fn the_story_has_a_step_for_every_fact_and_decides_the_same(facts in prop::collection::vec(any_fact(), 0..30).prop_map(distinct)) {
        let steps = explain(&facts, ROOT, &Policy::default());
        prop_assert_eq!(steps.len(), facts.len());
        for standing in decide(&facts, ROOT, &Policy::default()) {
            let puts = |it: &Step| matches!(it.effect, Effect::Put { list, cause, .. } if list == standing.list && cause == standing.cause);
            prop_assert!(steps.iter().any(puts), "{standing:?}");
        }
    }

    #[test]
    fn what_a_list_says_brought_back_to_it_changes_nothing(facts in prop::collection::vec(any_fact(), 0..30).prop_map(distinct)) {
        let now = START + Duration::days(100);
        let before = decide(&facts, ROOT, &Policy::default());
        let mut more = facts;
        for (it, number) in before.iter().filter(|it| it.holds_at(now)).zip(100..) {
            let entry = Imported {
                cause: it.cause,
                reason: it.reason,
                provisional: it.provisional,
                overrides_consent: it.overrides_consent,
                expires_at: it.expires_at,
            };
            more.push(imported(number, it.since, it.list, entry));
        }
        let after = decide(&more, ROOT, &Policy::default());
        prop_assert_eq!(after.len(), before.len());
        for (before, after) in before.iter().zip(&after) {
            // Where a person, or an earlier import, said the same at the same moment, either may stand as the deciding fact.
            let fact = if more.iter().any(|it| it.key == before.fact && matches!(it.matter, Matter::Act(_) | Matter::Import(_))) { before.fact } else { after.fact };
            prop_assert_eq!(&Standing { fact, ..after.clone() }, before);
        }
    }

    #[test]
    fn senders_faults_alone_never_block(numbers in prop::collection::vec((0u8..250, 0i64..400, prop::sample::select(Reason::ALL)), 0..60)) {
        let senders = numbers.into_iter().filter(|it| it.2.fault().is_senders());
        let facts: Vec<Fact> = senders.flat_map(|(n, d, reason)| [bounce(n, day(d), reason), hard(n.wrapping_add(1), day(d), reason)]).collect();
        prop_assert!(decide(&facts, ROOT, &Policy::default()).is_empty());
    }
}
