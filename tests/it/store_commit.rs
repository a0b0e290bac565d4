//! What one commit does: the poisoned receipt of a batch, lists that name one another, people's words, the feeds.

use std::sync::Arc;
use std::time::Duration;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, BounceType, Kind};
use bounce::policy::{Act, Cause, Weight};
use harness::{TestDatabase, eventually_some, store_on};
use sea_orm::ConnectionTrait;
use service::store::{
    Accepted, ActRequest, Acted, Answer, Cursor, Incoming, IncomingFact, IncomingToken, Keep, List, ReceiptId, ReceiptState, Store,
    StoreError, Testimony, Visible,
};
use time::{OffsetDateTime, macros::datetime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

pub(crate) fn bounced(list: &Arc<List>, address: &str, diagnostic: &str) -> Incoming {
    let testimony = Testimony {
        kind: Kind::Bounce,
        bounce_type: Some(BounceType::Hard),
        reason: Some(Reason::UserUnknown),
        fault: Some(Reason::UserUnknown.fault()),
        status: "5.1.1".parse().ok(),
        reply: "550".parse().ok(),
        stage: None,
        diagnostic: Some(diagnostic.to_owned()),
        feedback_type: None,
        reporting_mta: None,
        remote_mta: None,
        message_id: None,
        provider_event_id: None,
        rule: "code.5.1.1".to_owned(),
        rules_version: "1".to_owned(),
    };
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(address.bytes()) {
        *to = from;
    }
    Incoming {
        id: ReceiptId::new(),
        source: "test".to_owned(),
        digest,
        list: list.clone(),
        received_at: NOW,
        media_type: "message/rfc822".to_owned(),
        size: 1,
        body: vec![],
        state: ReceiptState::Processed,
        error: None,
        attribution: Attribution::Signed,
        facts: vec![IncomingFact {
            list: list.clone(),
            address: Address::parse(address).unwrap(),
            testimony,
            attribution: Attribution::Signed,
            weight: Weight::Full,
            occurred_at: NOW,
            message_keys: vec![format!("message:{address}")],
        }],
        deliveries: vec![],
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

async fn lists(store: &Store) -> (Arc<List>, Arc<List>) {
    (store.ensure_list("acme", None, NOW).await.unwrap(), store.ensure_list("acme.weekly", None, NOW).await.unwrap())
}

async fn is_suppressed(store: &Store, list: &Arc<List>, address: &str) -> bool {
    let answers = store.check(list, &[Address::parse(address).unwrap()], NOW).await.unwrap();
    matches!(answers[0], Answer::Suppressed(_))
}

#[tokio::test]
async fn a_value_the_database_refuses_leaves_nothing_of_its_batch() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let (_, list) = lists(&store).await;
    database.connect().await.execute_unprepared("alter table event add constraint no_poison check (diagnostic <> 'poison')").await.unwrap();
    let batch = [bounced(&list, "jane@example.org", "fine"), bounced(&list, "john@example.org", "poison")];
    let error = store.commit(&batch, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Data(_)), "{error:?}");
    assert!(!is_suppressed(&store, &list, "jane@example.org").await);
    store.commit(&batch[..1], NOW).await.unwrap();
    assert!(is_suppressed(&store, &list, "jane@example.org").await);
}

#[tokio::test]
async fn two_replicas_that_take_in_the_same_at_once_neither_race_nor_deadlock() {
    let database = TestDatabase::postgres().await;
    let (one, two) = (store_on(&database).await, store_on(&database).await);
    let (_, list) = lists(&one).await;
    let people: Vec<String> = (0..40).map(|it| format!("person{it}@example.org")).collect();
    let batch: Vec<Incoming> = people.iter().map(|it| bounced(&list, it, "gone")).collect();
    let reversed: Vec<Incoming> = people.iter().rev().map(|it| bounced(&list, it, "gone")).collect();
    let commits = (0..6).map(|it| {
        let (store, batch) = if it % 2 == 0 { (&one, &batch) } else { (&two, &reversed) };
        async move {
            for chunk in batch.chunks(7) {
                store.commit(chunk, NOW).await.unwrap();
            }
        }
    });
    tokio::time::timeout(Duration::from_mins(1), futures_util::future::join_all(commits)).await.expect("nobody waits for ever");
    let page = eventually_some("all events in the feed", || async {
        let page = one.events_after(Cursor::START, &Visible::All, 1000).await.unwrap();
        (page.items.len() >= 40).then_some(page)
    })
    .await;
    assert_eq!(page.items.len(), 40);
    assert_eq!(one.outbox_state().await.unwrap().depth, 80, "one message for the event and one for the list, each once");
}

#[tokio::test]
async fn a_receipt_that_is_committed_again_under_its_id_says_nothing_new() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let (_, list) = lists(&store).await;
        let receipt = bounced(&list, "jane@example.org", "gone");
        assert!(matches!(&store.commit(std::slice::from_ref(&receipt), NOW).await.unwrap()[..], [Accepted::New { .. }]));
        // As if its events had been withdrawn since.
        let db = database.connect().await;
        db.execute_unprepared("update event set withdrawn_at = occurred_at").await.unwrap();
        let again = store.commit(std::slice::from_ref(&receipt), NOW).await.unwrap();
        assert_eq!(again, [Accepted::Duplicate { receipt: receipt.id }]);
        assert_eq!(store.outbox_state().await.unwrap().depth, 2);
    }
}

#[tokio::test]
async fn a_release_is_a_persons_word_and_says_where_it_stands() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let (root, leaf) = lists(&store).await;
        let jane = Address::parse("jane@example.org").unwrap();
        store.commit(&[bounced(&leaf, "jane@example.org", "gone")], NOW).await.unwrap();
        let act = async |list: &Arc<List>, act: Act| {
            let request =
                ActRequest { list: list.clone(), address: &jane, acts: &[act.into()], actor: "ann", note: Some("she asked".to_owned()) };
            store.act(request, NOW + Duration::from_secs(1)).await
        };
        assert_eq!(act(&leaf, Act::Release).await.unwrap(), Acted::Inherited { from: "acme".to_owned() });
        let Acted::Done { changes, .. } = act(&root, Act::Release).await.unwrap() else { panic!("not released") };
        assert_eq!(changes.iter().map(|it| (it.cause, it.actor.as_str())).collect::<Vec<_>>(), [(Some(Cause::Hard), "ann")]);
        assert!(!is_suppressed(&store, &leaf, "jane@example.org").await);
        assert_eq!(act(&root, Act::Release).await.unwrap(), Acted::Nothing);
        let mut again = bounced(&leaf, "jane@example.org", "gone, says another copy");
        again.digest = [9; 32];
        store.commit(&[again], NOW + Duration::from_secs(9)).await.unwrap();
        assert!(!is_suppressed(&store, &leaf, "jane@example.org").await, "an older fact that arrives later does not block again");
    }
}

#[tokio::test]
async fn a_domain_entry_blocks_its_addresses_and_an_allow_lets_one_through() {
    let database = TestDatabase::sqlite();
    let store = store_on(&database).await;
    let (root, leaf) = lists(&store).await;
    let act = async |entry: &str, act: Act| {
        let address = Address::parse_entry(entry).unwrap();
        let request = ActRequest { list: root.clone(), address: &address, acts: &[act.into()], actor: "ann", note: None };
        store.act(request, NOW).await.unwrap();
    };
    act("@example.org", Act::Block).await;
    assert!(is_suppressed(&store, &leaf, "jane@example.org").await);
    assert!(!is_suppressed(&store, &leaf, "jane@example.net").await);
    act("jane@example.org", Act::Allow).await;
    assert!(!is_suppressed(&store, &leaf, "jane@example.org").await);
    assert!(is_suppressed(&store, &leaf, "john@example.org").await);
}

#[tokio::test]
async fn nothing_crosses_from_one_root_to_another() {
    let database = TestDatabase::sqlite();
    let store = store_on(&database).await;
    let (_, leaf) = lists(&store).await;
    let other = store.ensure_list("globex", None, NOW).await.unwrap();
    store.commit(&[bounced(&leaf, "jane@example.org", "gone")], NOW).await.unwrap();
    assert!(is_suppressed(&store, &leaf, "jane@example.org").await);
    assert!(!is_suppressed(&store, &other, "jane@example.org").await);
}

#[tokio::test]
async fn a_reader_of_the_feed_who_goes_on_misses_nothing() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let (_, list) = lists(&store).await;
    let db = database.connect().await;
    // A transaction that takes its number now and commits last: nothing above it may be served before.
    let open = sea_orm::TransactionTrait::begin(&db).await.unwrap();
    open.execute_unprepared("insert into setting values ('held', 'open')").await.unwrap();
    let accepted = store.commit(&[bounced(&list, "jane@example.org", "gone")], NOW).await.unwrap();
    assert!(matches!(accepted[0], Accepted::New { .. }));
    let page = store.events_after(Cursor::START, &Visible::All, 10).await.unwrap();
    assert_eq!(page.items.len(), 0, "what is above a running transaction waits");
    open.commit().await.unwrap();
    let after = page.next;
    // Transactions of other tests on the same server hold it back as well, for a moment.
    let page = eventually_some("the event in the feed", || async {
        let page = store.events_after(after, &Visible::All, 10).await.unwrap();
        (!page.items.is_empty()).then_some(page)
    })
    .await;
    assert_eq!(page.items.len(), 1);
    let rest = store.events_after(page.next, &Visible::All, 10).await.unwrap();
    assert_eq!((rest.items.len(), rest.more), (0, false));
}

#[tokio::test]
async fn of_two_bodies_under_one_token_one_replica_takes_one() {
    let database = TestDatabase::postgres().await;
    let (one, two) = (store_on(&database).await, store_on(&database).await);
    let (_, list) = lists(&one).await;
    for round in 0..20_u8 {
        let with = |who: &str, digest: u8| {
            let tokens = vec![IncomingToken { token: [round; 32], digest: [digest; 32] }];
            Incoming { tokens, ..bounced(&list, &format!("{who}{round}@example.org"), "gone") }
        };
        let (jane, john) = ([with("jane", 1)], [with("john", 2), with("jim", 2)]);
        let (first, second) = tokio::join!(one.commit(&jane, NOW), two.commit(&john, NOW));
        let taken = |it: &[Accepted]| it.iter().filter(|it| matches!(it, Accepted::New { .. })).count();
        assert!(matches!((taken(&first.unwrap()), taken(&second.unwrap())), (1, 0) | (0, 2)), "round {round}");
    }
    assert_eq!(one.forget_tokens(NOW + time::Duration::days(1)).await.unwrap(), 0);
    assert_eq!(one.forget_tokens(NOW + time::Duration::days(10)).await.unwrap(), 20);
}
