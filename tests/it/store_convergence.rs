//! State converges: the same receipts in any order and with any repetition end in the same state (design, promise 6).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, Kind};
use bounce::policy::{Act, Weight};
use harness::{TestDatabase, store_on};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use service::store::{
    ActRequest, Erasing, ErasureRequest, Incoming, IncomingDelivery, IncomingFact, Keep, List, ReceiptId, ReceiptState, Store, Testimony,
};
use service::telemetry::Erased;
use time::{Duration, OffsetDateTime, macros::datetime};

const START: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

/// A fact without ids of the database, so that it can be told to several.
#[derive(Debug, Clone)]
struct Told {
    number: u8,
    address: u8,
    list: usize,
    kind: Kind,
    reason: Reason,
    attribution: Attribution,
    weightless: bool,
    hours: i64,
    messages: Vec<u8>,
    rule: &'static str,
}

fn told() -> impl Strategy<Value = Told> {
    let kinds = prop_oneof![
        6 => Just(Kind::Bounce), 1 => Just(Kind::Complaint), 1 => Just(Kind::Unsubscribe), 1 => Just(Kind::Suppressed),
        1 => Just(Kind::Delayed), 3 => Just(Kind::Delivered)
    ];
    let reasons = prop::sample::select(&[
        Reason::UserUnknown,
        Reason::MailboxFull,
        Reason::DomainUnknown,
        Reason::SpamContent,
        Reason::RecipientRefused,
    ]);
    let rules = prop::sample::select(&["gmail.no_such_user", "code.5.1.1", "claim", "none"]);
    let messages = prop::collection::vec(0u8..4, 1..3);
    let attributions = (prop::sample::select(Attribution::ALL), prop::bool::weighted(0.3));
    (any::<u8>(), 0u8..2, 0usize..2, kinds, reasons, attributions, 0i64..1000, messages, rules).prop_map(
        |(number, address, list, kind, reason, (attribution, weightless), hours, messages, rule)| Told {
            number,
            address,
            list,
            kind,
            reason,
            attribution,
            weightless,
            hours,
            messages,
            rule,
        },
    )
}

fn incoming(told: &Told, lists: &[Arc<List>]) -> Incoming {
    let list = lists[told.list].clone();
    let address = Address::parse(&format!("person{}@example.org", told.address)).unwrap();
    let occurred_at = START + Duration::hours(told.hours);
    let message_keys: Vec<String> = told.messages.iter().map(|it| format!("message:{it}")).collect();
    let testimony = Testimony {
        kind: told.kind,
        bounce_type: (told.kind == Kind::Bounce).then(|| told.reason.permanent_type()),
        reason: Some(told.reason),
        fault: Some(told.reason.fault()),
        status: None,
        reply: None,
        stage: None,
        diagnostic: Some(format!("said {}", told.number)),
        feedback_type: None,
        reporting_mta: None,
        remote_mta: None,
        message_id: None,
        provider_event_id: None,
        rule: told.rule.to_owned(),
        rules_version: "1".to_owned(),
    };
    let weight = match told.attribution {
        _ if told.weightless => Weight::None,
        Attribution::Unattributed => Weight::Provisional,
        _ => Weight::Full,
    };
    let (facts, deliveries) = if told.kind == Kind::Delivered {
        (vec![], vec![IncomingDelivery { list: list.clone(), address, occurred_at, message_keys }])
    } else {
        let fact =
            IncomingFact { list: list.clone(), address, testimony, attribution: told.attribution, weight, occurred_at, message_keys };
        (vec![fact], vec![])
    };
    let mut hash = DefaultHasher::new();
    format!("{told:?}").hash(&mut hash);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&hash.finish().to_be_bytes());
    Incoming {
        id: ReceiptId::new(),
        source: format!("source-{}-{}", told.kind, told.reason),
        digest,
        list,
        received_at: START + Duration::days(60) + Duration::minutes(told.number.into()),
        media_type: "message/rfc822".to_owned(),
        size: 1,
        body: vec![],
        state: ReceiptState::Processed,
        error: None,
        attribution: told.attribution,
        facts,
        deliveries,
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

/// What lists say, and what is known and counts, without anything that depends on when it was told.
async fn state(store: &Store) -> BTreeMap<String, Vec<String>> {
    let mut state = BTreeMap::new();
    for number in 0..2 {
        let address = Address::parse(&format!("person{number}@example.org")).unwrap();
        let history = store.history(&address, 1000).await.unwrap();
        let mut said: Vec<String> = history
            .suppressions
            .iter()
            .map(|it| {
                format!(
                    "{:?} {} {:?} {} {} {:?} {:?}",
                    it.list, it.cause, it.reason, it.provisional, it.since, it.expires_at, it.released_at
                )
            })
            .chain(
                history
                    .events
                    .iter()
                    .filter(|it| it.weight > Weight::None)
                    .map(|it| format!("event {} {:?} {} {} {}", it.occurred_at, it.testimony, it.attribution, it.weight, it.evidence)),
            )
            .collect();
        said.sort();
        state.insert(address.expose().to_owned(), said);
    }
    state
}

async fn tell(store: &Store, told: &[Told], lists: &[Arc<List>], batch: usize) {
    let incoming: Vec<Incoming> = told.iter().map(|it| incoming(it, lists)).collect();
    for chunk in incoming.chunks(batch) {
        store.commit(chunk, START + Duration::days(60)).await.unwrap();
    }
}

/// Tells the same facts in several orders, in batches of several sizes, and compares what comes of it.
async fn converges(database: impl AsyncFn() -> TestDatabase, cases: u32) {
    let mut runner = TestRunner::deterministic();
    for case in 0..cases {
        let told = prop::collection::vec(told(), 1..14).new_tree(&mut runner).unwrap().current();
        let mut outcomes = Vec::new();
        for order in 0..5u32 {
            let database = database().await;
            let store = store_on(&database).await;
            let mut lists = Vec::new();
            for name in ["acme", "acme.weekly"] {
                lists.push(store.ensure_list(name, None, START).await.unwrap());
            }
            let blocked = Address::parse("person0@example.org").unwrap();
            let act = [Act::Block.into()];
            let block = || ActRequest { list: lists[1].clone(), address: &blocked, acts: &act, actor: "test", note: None };
            let mut ordered = told.clone();
            match order {
                0 => store.act(block(), START + Duration::days(60)).await.map(|_| ()).unwrap(),
                1 => ordered.reverse(),
                3 | 4 => {}
                _ => {
                    ordered.rotate_left(told.len() / 2);
                    ordered.extend(told.iter().take(3).cloned());
                }
            }
            if order == 3 {
                let (first, second) = ordered.split_at(told.len() / 2);
                tell(&store, first, &lists, 2).await;
                for number in 0..2 {
                    let address = Address::parse(&format!("person{number}@example.org")).unwrap();
                    let request = ErasureRequest { address: &address, block: Erased::Kept, actor: "test", erasing: Erasing::Do };
                    store.erase(request, START + Duration::days(60)).await.unwrap();
                }
                tell(&store, second, &lists, 2).await;
            } else if order == 4 {
                let backwards: Vec<Told> = ordered.iter().rev().cloned().collect();
                tokio::join!(
                    tell(&store, &ordered, &lists, 2),
                    tell(&store, &backwards, &lists, 3),
                    tell(&store, &ordered, &lists, 1),
                    tell(&store, &backwards, &lists, 5)
                );
            } else {
                tell(&store, &ordered, &lists, if order == 1 { 1 } else { 5 }).await;
            }
            if order > 0 {
                store.act(block(), START + Duration::days(60)).await.unwrap();
            }
            let names: BTreeMap<String, &str> = lists.iter().map(|it| (format!("{:?}", it.id), it.name.as_str())).collect();
            let state: BTreeMap<String, Vec<String>> = state(&store)
                .await
                .into_iter()
                .map(|(address, said)| {
                    let named = |it: String| names.iter().fold(it, |it, (id, name)| it.replace(id, name));
                    (address, said.into_iter().map(named).collect())
                })
                .collect();
            outcomes.push(state);
            store.close().await;
        }
        assert_eq!(outcomes[0], outcomes[1], "case {case}, reversed: {told:#?}");
        assert_eq!(outcomes[0], outcomes[2], "case {case}, rotated and repeated: {told:#?}");
        assert_eq!(outcomes[0], outcomes[3], "case {case}, erased half-way: {told:#?}");
        assert_eq!(outcomes[0], outcomes[4], "case {case}, by four at once: {told:#?}");
    }
}

#[tokio::test]
async fn any_order_and_any_repetition_gives_the_same_state_on_sqlite() {
    Box::pin(converges(async || TestDatabase::sqlite(), 60)).await;
}

#[tokio::test]
async fn any_order_and_any_repetition_gives_the_same_state_on_postgres() {
    Box::pin(converges(async || TestDatabase::postgres().await, 8)).await;
}

/// Every order of these.
fn orders(of: &[Told]) -> Vec<Vec<Told>> {
    let Some((first, rest)) = of.split_first() else { return vec![Vec::new()] };
    let with = |order: Vec<Told>| (0..=order.len()).map(move |at| [&order[..at], std::slice::from_ref(first), &order[at..]].concat());
    orders(rest).into_iter().flat_map(with).collect()
}

#[tokio::test]
async fn a_copy_that_may_do_nothing_joins_nothing_and_lends_no_key() {
    let said = |number, messages: &[u8], weightless| Told {
        number,
        address: 0,
        list: 0,
        kind: Kind::Bounce,
        reason: Reason::UserUnknown,
        attribution: if weightless { Attribution::Unattributed } else { Attribution::Signed },
        weightless,
        hours: i64::from(number) * 30,
        messages: messages.to_vec(),
        rule: "code.5.1.1",
    };
    let forged = said(9, &[0, 1, 2], true);
    let all = [said(0, &[0], false), said(1, &[1], false), said(2, &[2], false), forged];
    for order in orders(&all) {
        let store = store_on(&TestDatabase::sqlite()).await;
        let lists = vec![store.ensure_list("acme", None, START).await.unwrap()];
        tell(&store, &order, &lists, 1).await;
        let history = store.history(&Address::parse("person0@example.org").unwrap(), 1000).await.unwrap();
        let mut counted: Vec<i64> =
            history.events.iter().filter(|it| it.weight > Weight::None).map(|it| (it.occurred_at - START).whole_hours()).collect();
        counted.sort_unstable();
        assert_eq!(counted, [0, 30, 60], "{order:#?}");
    }
}
