//! Reading again by other rules ends as if the rules had always been those, whatever the order and the size of the batches;
//! by the same rules it changes nothing; and what a look foretells is what then happens.

use std::collections::{BTreeMap, BTreeSet};
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
    ActRequest, Difference, Foresight, Incoming, IncomingDelivery, IncomingFact, Keep, List, ReceiptId, ReceiptState, Reprocessed,
    Reprocessing, Selection, Store, Testimony,
};
use time::{Duration, OffsetDateTime, macros::datetime};

const START: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);
const END: OffsetDateTime = datetime!(2026-07-31 12:00 UTC);

/// What one reader sees in a part of a receipt.
#[derive(Debug, Clone)]
struct Seen {
    address: u8,
    kind: Kind,
    reason: Reason,
    messages: Vec<u8>,
    hours: i64,
    rule: &'static str,
}

/// A receipt, and what each of two readers sees in it.
#[derive(Debug, Clone)]
struct Letter {
    number: u8,
    list: usize,
    attribution: Attribution,
    delivered: Option<(u8, u8, i64)>,
    seen: [Vec<Seen>; 2],
}

fn seen() -> impl Strategy<Value = Seen> {
    let kinds = prop_oneof![6 => Just(Kind::Bounce), 1 => Just(Kind::Complaint), 1 => Just(Kind::Suppressed), 1 => Just(Kind::AutoReply)];
    let reasons = prop::sample::select(&[Reason::UserUnknown, Reason::MailboxFull, Reason::DomainUnknown, Reason::SpamContent]);
    let rules = prop::sample::select(&["gmail.no_such_user", "code.5.1.1", "claim", "none"]);
    (0u8..3, kinds, reasons, prop::collection::vec(0u8..4, 1..3), 0i64..1000, rules)
        .prop_map(|(address, kind, reason, messages, hours, rule)| Seen { address, kind, reason, messages, hours, rule })
}

fn letter() -> impl Strategy<Value = Letter> {
    let attributions = prop::sample::select(Attribution::ALL);
    let delivered = prop::option::weighted(0.2, (0u8..3, 0u8..4, 0i64..1000));
    // What the second reader sees is often the same.
    let both = (prop::collection::vec(seen(), 0..3), prop::option::of(prop::collection::vec(seen(), 0..3)));
    (any::<u8>(), 0usize..2, attributions, delivered, both).prop_map(|(number, list, attribution, delivered, (first, second))| Letter {
        number,
        list,
        attribution,
        delivered,
        seen: [first.clone(), second.unwrap_or(first)],
    })
}

fn person(number: u8) -> Address {
    Address::parse(&format!("person{number}@example.org")).unwrap()
}

fn read(letter: &Letter, reader: usize, at: usize, lists: &[Arc<List>]) -> Incoming {
    let list = &lists[letter.list];
    let fact = |it: &Seen| IncomingFact {
        list: list.clone(),
        address: person(it.address),
        testimony: Testimony {
            kind: it.kind,
            bounce_type: (it.kind == Kind::Bounce).then(|| it.reason.permanent_type()),
            reason: Some(it.reason),
            fault: Some(it.reason.fault()),
            status: None,
            reply: None,
            stage: None,
            diagnostic: Some(format!("said {} {}", letter.number, it.hours)),
            feedback_type: None,
            reporting_mta: None,
            remote_mta: None,
            message_id: None,
            provider_event_id: None,
            rule: it.rule.to_owned(),
            rules_version: "1".to_owned(),
        },
        attribution: letter.attribution,
        weight: if letter.attribution == Attribution::Unattributed { Weight::Provisional } else { Weight::Full },
        occurred_at: START + Duration::hours(it.hours),
        message_keys: it.messages.iter().map(|it| format!("message:{it}")).collect(),
    };
    let delivery = |&(address, message, hours): &(u8, u8, i64)| IncomingDelivery {
        list: list.clone(),
        address: person(address),
        occurred_at: START + Duration::hours(hours),
        message_keys: vec![format!("message:{message}")],
    };
    let mut hash = DefaultHasher::new();
    format!("{letter:?} {at}").hash(&mut hash);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&hash.finish().to_be_bytes());
    Incoming {
        id: ReceiptId::new(),
        source: format!("source-{}", letter.number % 3),
        digest,
        list: list.clone(),
        received_at: END,
        media_type: "message/rfc822".to_owned(),
        size: 1,
        body: vec![u8::try_from(at).unwrap()],
        state: if letter.seen[reader].is_empty() { ReceiptState::Unrecognised } else { ReceiptState::Processed },
        error: None,
        attribution: letter.attribution,
        facts: letter.seen[reader].iter().map(fact).collect(),
        deliveries: letter.delivered.iter().map(delivery).collect(),
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

/// What lists say, and what is known, without anything that depends on when it was told.
async fn state(store: &Store, lists: &[Arc<List>]) -> BTreeMap<u8, Vec<String>> {
    let mut state = BTreeMap::new();
    for number in 0..3 {
        let history = store.history(&person(number), 1000).await.unwrap();
        let name = |id| lists.iter().find(|it| it.id == id).map_or("?", |it| it.name.as_str());
        let standing = history.suppressions.iter().map(|it| {
            let end = (it.expires_at, it.released_at);
            format!("{} {} {:?} {} {} {end:?}", name(it.list), it.cause, it.reason, it.provisional, it.since)
        });
        let events = history.events.iter().map(|it| {
            let copied = (it.attribution, it.weight, &it.evidence);
            format!("event {} {} {:?} {copied:?}", name(it.list), it.occurred_at, it.testimony)
        });
        let mut said: Vec<String> = standing.chain(events).collect();
        said.sort();
        state.insert(number, said);
    }
    state
}

async fn commit(store: &Store, letters: &[Letter], reader: usize, lists: &[Arc<List>]) {
    let incoming: Vec<Incoming> = letters.iter().enumerate().map(|(at, it)| read(it, reader, at, lists)).collect();
    for chunk in incoming.chunks(4) {
        store.commit(chunk, END).await.unwrap();
    }
    let block = ActRequest { list: lists[1].clone(), address: &person(0), acts: &[Act::Block.into()], actor: "test", note: None };
    store.act(block, END).await.unwrap();
}

/// Reads everything again by one of the readers, in batches; looks only, if there is a foresight.
async fn again(
    store: &Store,
    letters: &[Letter],
    reader: usize,
    lists: &[Arc<List>],
    batch: u64,
    mut foresight: Option<&mut Foresight>,
) -> (Reprocessed, Vec<Difference>) {
    let (mut after, mut all) = (None, Reprocessed::default());
    let mut differences: BTreeMap<_, Difference> = BTreeMap::new();
    loop {
        let page = store.receipts(&Selection::default(), after, batch).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let read = |stored: &service::store::StoredReceipt| {
            let at = usize::from(stored.body.as_ref().unwrap()[0]);
            Incoming { id: stored.id, ..read(&letters[at], reader, at, lists) }
        };
        let chosen: Vec<Incoming> = page.iter().map(read).collect();
        let ids: Vec<ReceiptId> = chosen.iter().map(|it| it.id).collect();
        let mut whom = store.subjects_of(&ids).await.unwrap();
        whom.extend(chosen.iter().flat_map(|it| &it.facts).map(|it| store.identity().subject(&it.address)));
        let about: BTreeSet<ReceiptId> = store.receipts_about(&whom).await.unwrap().into_iter().filter(|it| !ids.contains(it)).collect();
        let others: Vec<Incoming> = store.receipts_of(&about).await.unwrap().iter().map(read).collect();
        let what = Reprocessing { chosen: &chosen, others: &others, unreadable: &[], run: uuid::Uuid::now_v7(), actor: "test" };
        let done = match foresight.as_deref_mut() {
            Some(foresight) => store.foresee(what, foresight, END).await.unwrap(),
            None => store.reprocess(what, END).await.unwrap(),
        };
        all.new += done.new;
        all.changed += done.changed;
        all.withdrawn += done.withdrawn;
        all.receipts += done.receipts;
        for one in done.differences {
            let known = differences.entry((one.subject, one.list.clone(), one.cause));
            known.and_modify(|it| it.after.clone_from(&one.after)).or_insert(one);
        }
    }
    (all, differences.into_values().filter(|it| it.before != it.after).collect())
}

async fn ready(database: &TestDatabase) -> (Store, Vec<Arc<List>>) {
    let store = store_on(database).await;
    let mut lists = Vec::new();
    for name in ["acme", "acme.weekly"] {
        lists.push(store.ensure_list(name, None, START).await.unwrap());
    }
    (store, lists)
}

async fn converges(database: impl AsyncFn() -> TestDatabase, cases: u32) {
    let mut runner = TestRunner::deterministic();
    for case in 0..cases {
        let letters = prop::collection::vec(letter(), 1..10).new_tree(&mut runner).unwrap().current();
        let straight = database().await;
        let (store, lists) = ready(&straight).await;
        commit(&store, &letters, 1, &lists).await;
        let expected = state(&store, &lists).await;
        for batch in [1, 3, 100] {
            let database = database().await;
            let (store, lists) = ready(&database).await;
            commit(&store, &letters, 0, &lists).await;
            let before = state(&store, &lists).await;

            let (nothing, differences) = again(&store, &letters, 0, &lists, batch, None).await;
            assert_eq!((nothing, differences), (Reprocessed::default(), vec![]), "case {case}, the same rules: {letters:#?}");
            assert_eq!(state(&store, &lists).await, before, "case {case}, the same rules: {letters:#?}");

            let (_, foreseen) = again(&store, &letters, 1, &lists, batch, Some(&mut Foresight::default())).await;
            assert_eq!(state(&store, &lists).await, before, "case {case}: a look changes nothing");
            let (_, done) = again(&store, &letters, 1, &lists, batch, None).await;
            assert_eq!(foreseen, done, "case {case}, batches of {batch}: {letters:#?}");
            assert_eq!(state(&store, &lists).await, expected, "case {case}, batches of {batch}: {letters:#?}");

            let (nothing, differences) = again(&store, &letters, 1, &lists, batch, None).await;
            assert_eq!((nothing, differences), (Reprocessed::default(), vec![]), "case {case}, a second time: {letters:#?}");
            store.close().await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn reading_again_while_more_comes_in_neither_deadlocks_nor_loses_anything() {
    let database = TestDatabase::postgres().await;
    let (one, lists) = ready(&database).await;
    let two = store_on(&database).await;
    let mut runner = TestRunner::deterministic();
    let letters = prop::collection::vec(letter(), 60..61).new_tree(&mut runner).unwrap().current();
    let (early, late) = letters.split_at(30);
    commit(&one, early, 0, &lists).await;
    let taking_in = async {
        for (at, it) in late.iter().enumerate() {
            one.commit(&[read(it, 1, 30 + at, &lists)], END).await.unwrap();
        }
    };
    let work = async { tokio::join!(taking_in, again(&two, &letters, 1, &lists, 4, None)) };
    tokio::time::timeout(std::time::Duration::from_mins(1), Box::pin(work)).await.expect("nobody waits for ever");
    again(&two, &letters, 1, &lists, 7, None).await;

    let straight = TestDatabase::sqlite();
    let (store, other_lists) = ready(&straight).await;
    commit(&store, &letters, 1, &other_lists).await;
    assert_eq!(state(&one, &lists).await, state(&store, &other_lists).await);
}

#[tokio::test]
async fn other_rules_end_as_if_they_had_always_been_those_on_sqlite() {
    Box::pin(converges(async || TestDatabase::sqlite(), 40)).await;
}

#[tokio::test]
async fn other_rules_end_as_if_they_had_always_been_those_on_postgres() {
    Box::pin(converges(async || TestDatabase::postgres().await, 4)).await;
}
