//! Erasure: afterwards the address is nowhere in the database, and a check still blocks.

use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, BounceType, Kind};
use bounce::policy::{Act, Weight};
use harness::{TestDatabase, store_on};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use service::store::{
    Accepted, ActRequest, Answer, Cursor, Erasing, Erasure, ErasureRequest, Incoming, IncomingDelivery, IncomingFact, Keep, Known, List,
    ReceiptId, ReceiptState, Store, Testimony, Visible,
};
use service::telemetry::Erased;
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const JANE: &str = "jane@example.org";

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn fact(list: &Arc<List>, who: &str, message: &str, rule: &str) -> IncomingFact {
    IncomingFact {
        list: list.clone(),
        address: address(who),
        testimony: Testimony {
            kind: Kind::Bounce,
            bounce_type: Some(BounceType::Hard),
            reason: Some(Reason::UserUnknown),
            fault: Some(Reason::UserUnknown.fault()),
            status: "5.1.1".parse().ok(),
            reply: "550".parse().ok(),
            stage: None,
            diagnostic: Some(format!("550 5.1.1 <{}>: no such user", who.to_uppercase())),
            feedback_type: None,
            reporting_mta: Some(format!("{}.mx.example.net", who.split('@').next().unwrap())),
            remote_mta: None,
            message_id: Some(format!("{message}.{}@lists.example.com", who.replace('@', "="))),
            provider_event_id: Some(format!("for-{who}")),
            rule: rule.to_owned(),
            rules_version: "1".to_owned(),
        },
        attribution: Attribution::Signed,
        weight: Weight::Full,
        occurred_at: NOW,
        message_keys: vec![format!("message:{message}")],
    }
}

fn receipt(number: u8, list: &Arc<List>, facts: Vec<IncomingFact>) -> Incoming {
    let text: String = facts.iter().map(|it| it.address.expose()).collect();
    Incoming {
        id: ReceiptId::new(),
        source: "test".to_owned(),
        digest: [number; 32],
        list: list.clone(),
        received_at: NOW,
        media_type: "message/rfc822".to_owned(),
        size: text.len(),
        body: text.into_bytes(),
        state: ReceiptState::Processed,
        error: None,
        attribution: Attribution::Signed,
        facts,
        deliveries: vec![],
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

/// A receipt that says a delivery to somebody, beside a failure of somebody else.
fn delivered(number: u8, list: &Arc<List>, to: &str, beside: &str) -> Incoming {
    let delivery =
        IncomingDelivery { list: list.clone(), address: address(to), occurred_at: NOW, message_keys: vec!["message:d".to_owned()] };
    let mut receipt = receipt(number, list, vec![fact(list, beside, "beside", "code.5.1.1")]);
    receipt.body.extend(to.bytes());
    Incoming { deliveries: vec![delivery], ..receipt }
}

async fn erase(store: &Store, who: &str, block: Erased, erasing: Erasing) -> Erasure {
    store.erase(ErasureRequest { address: &address(who), block, actor: "ann", erasing }, NOW).await.unwrap()
}

async fn is_suppressed(store: &Store, list: &Arc<List>, who: &str) -> bool {
    matches!(store.check(list, &[address(who)], NOW).await.unwrap()[0], Answer::Suppressed(_))
}

/// Every row of every table that may hold something about a person, as text, raw bytes included.
async fn dump(db: &DatabaseConnection) -> String {
    let mut dump = String::new();
    for (table, bytes) in [
        ("subject", ""),
        ("receipt", "body"),
        ("event", ""),
        ("suppression", ""),
        ("suppression_change", ""),
        ("outbox", ""),
        ("delivery", ""),
        ("event_key", ""),
        ("event_copy", ""),
    ] {
        let postgres = db.get_database_backend() == DbBackend::Postgres;
        let columns: Vec<String> = {
            let sql = if postgres {
                format!(
                    "select column_name::text as name from information_schema.columns where table_name = '{table}' order by ordinal_position"
                )
            } else {
                format!("select name from pragma_table_info('{table}')")
            };
            let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
            rows.iter().map(|it| it.try_get("", "name").unwrap()).collect()
        };
        assert!(!columns.is_empty(), "{table}");
        let shown = columns.iter().map(|it| match (postgres, it == bytes) {
            (true, true) => format!("coalesce(encode({it}, 'escape'), '-')"),
            (true, false) => format!("coalesce({it}::text, '-')"),
            (false, true) => format!("coalesce(cast({it} as text), '-')"),
            (false, false) => format!("case typeof({it}) when 'blob' then hex({it}) else coalesce({it}, '-') end"),
        });
        let sql = format!("select {} as line from {table} order by 1", shown.collect::<Vec<_>>().join(" || '|' || "));
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
        for row in rows {
            let line: String = row.try_get("", "line").unwrap();
            dump.extend([table, ": ", &line, "\n"]);
        }
    }
    dump
}

fn mentions(dump: &str) -> Vec<&str> {
    dump.lines().filter(|it| it.to_lowercase().contains("jane")).collect()
}

/// A store in which Jane is known in every way there is.
async fn told(database: &TestDatabase) -> (Store, Arc<List>, Arc<List>) {
    let store = store_on(database).await;
    let (root, list) = (store.ensure_list("acme", None, NOW).await.unwrap(), store.ensure_list("acme.weekly", None, NOW).await.unwrap());
    let both = vec![fact(&list, JANE, "1", "code.5.1.1"), fact(&list, "john@example.org", "1", "code.5.1.1")];
    let weaker = receipt(2, &list, vec![fact(&list, JANE, "1", "none")]);
    let stronger = receipt(3, &list, vec![fact(&list, JANE, "1", "gmail.no_such_user")]);
    let bridge = {
        let mut fact = fact(&list, JANE, "1", "none");
        fact.message_keys.push("message:2".to_owned());
        receipt(5, &list, vec![fact])
    };
    for batch in [
        vec![receipt(1, &list, both), weaker],
        vec![stronger, receipt(4, &list, vec![fact(&list, JANE, "2", "claim")])],
        vec![bridge, delivered(6, &list, JANE, "jim@example.org")],
    ] {
        store.commit(&batch, NOW).await.unwrap();
    }
    let note = Some("Jane (jane@example.org) asked by telephone".to_owned());
    let block = ActRequest { list: list.clone(), address: &address(JANE), acts: &[Act::Block.into()], actor: "ann", note };
    store.act(block, NOW).await.unwrap();
    (store, root, list)
}

#[tokio::test]
async fn an_erased_address_is_nowhere_and_still_blocked() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let (store, root, list) = told(&database).await;
        let db = database.connect().await;
        let before = dump(&db).await;
        assert!(mentions(&before).len() > 10, "{before}");

        let look = erase(&store, JANE, Erased::Kept, Erasing::Look).await;
        assert_eq!(dump(&db).await, before, "a look changes nothing");
        let done = erase(&store, JANE, Erased::Kept, Erasing::Do).await;
        assert_eq!(done, look);
        assert_eq!((done.known, done.receipts, done.standing.len()), (Known::Known, 6, 2), "{done:?}");

        let after = dump(&db).await;
        assert_eq!(mentions(&after), Vec::<&str>::new());
        assert!(is_suppressed(&store, &list, JANE).await);
        assert!(is_suppressed(&store, &root, JANE).await, "the failure itself blocks, not only the person's word");
        for other in ["john@example.org", "jim@example.org"] {
            assert!(is_suppressed(&store, &list, other).await, "who shared a receipt keeps what was read from it");
            let history = store.history(&address(other), 10).await.unwrap();
            assert_eq!((history.known, history.events.len()), (Known::Known, 1));
            assert!(history.events[0].testimony.diagnostic.as_ref().unwrap().contains(&other.to_uppercase()));
        }
        let history = store.history(&address(JANE), 10).await.unwrap();
        assert_eq!((history.known, history.events.len()), (Known::Erased, 1));
        assert_eq!(history.events[0].testimony.diagnostic.as_deref(), Some("550 5.1.1 <[erased]>: no such user"));
        assert_eq!(
            history.changes.iter().filter(|it| it.change.as_str() == "erased").map(|it| it.actor.as_str()).collect::<Vec<_>>(),
            ["ann"]
        );
        assert_eq!(after.matches("rebound.subject.erased|subject.erased.kept.acme").count(), 1, "{after}");

        let again = erase(&store, JANE, Erased::Kept, Erasing::Do).await;
        assert_eq!((again.known, again.receipts + again.events + again.notes + again.messages), (Known::Erased, 0), "{again:?}");
        assert_eq!(dump(&db).await, after, "twice is once");
        assert_eq!(erase(&store, "nobody@example.org", Erased::Kept, Erasing::Do).await, Erasure::default());
    }
}

#[tokio::test]
async fn late_news_of_somebody_erased_is_recorded_without_the_address() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let (store, _, list) = told(&database).await;
        let db = database.connect().await;
        erase(&store, JANE, Erased::Kept, Erasing::Do).await;
        let copy = receipt(9, &list, vec![fact(&list, JANE, "1", "gmail.no_such_user")]);
        let Accepted::New { events, changes, .. } = &store.commit(&[copy], NOW).await.unwrap()[0] else { panic!("not taken") };
        assert_eq!((events.len(), changes.len()), (0, 0), "a late copy of the strongest evidence tells nothing new");
        let fresh =
            receipt(10, &list, vec![fact(&list, JANE, "another", "gmail.no_such_user"), fact(&list, "joe@example.org", "x", "none")]);
        let Accepted::New { events, .. } = &store.commit(&[fresh], NOW).await.unwrap()[0] else { panic!("not taken") };
        assert_eq!(events.len(), 2);
        let after = dump(&db).await;
        assert_eq!(mentions(&after), Vec::<&str>::new());
        assert!(is_suppressed(&store, &list, JANE).await && is_suppressed(&store, &list, "joe@example.org").await);

        // Whoever enters the address again by hand has it, and wants to see it.
        let allow = ActRequest { list: list.clone(), address: &address(JANE), acts: &[Act::Unblock.into()], actor: "ann", note: None };
        store.act(allow.clone(), NOW).await.unwrap();
        assert_eq!(mentions(&dump(&db).await), Vec::<&str>::new(), "lifting an entry needs no address");
        store.act(ActRequest { acts: &[Act::Block.into()], ..allow }, NOW).await.unwrap();
        assert_eq!(store.history(&address(JANE), 1).await.unwrap().known, Known::Known);
    }
}

#[tokio::test]
async fn a_forgotten_block_is_gone_and_the_address_is_a_stranger_again() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let (store, root, list) = told(&database).await;
        let db = database.connect().await;
        let revision = store.history(&address(JANE), 100).await.unwrap().changes.iter().map(|it| it.revision).max().unwrap();
        let look = erase(&store, JANE, Erased::Forgotten, Erasing::Look).await;
        let done = erase(&store, JANE, Erased::Forgotten, Erasing::Do).await;
        assert_eq!(done, look);
        assert!(done.messages > 0 && done.notes > 0 && done.events > 0, "{done:?}");
        let after = dump(&db).await;
        assert_eq!(mentions(&after), Vec::<&str>::new());
        assert!(!is_suppressed(&store, &root, JANE).await && !is_suppressed(&store, &list, JANE).await);
        assert!(is_suppressed(&store, &list, "john@example.org").await);
        let history = store.history(&address(JANE), 100).await.unwrap();
        assert_eq!((history.known, history.events.len(), history.suppressions.len(), history.changes.len()), (Known::Erased, 0, 0, 1));
        assert_eq!(history.changes[0].change.as_str(), "forgotten");
        erase(&store, JANE, Erased::Forgotten, Erasing::Do).await;
        erase(&store, JANE, Erased::Kept, Erasing::Do).await;
        assert_eq!(dump(&db).await, after, "twice is once");

        store.commit(&[receipt(9, &list, vec![fact(&list, JANE, "new", "code.5.1.1")])], NOW).await.unwrap();
        assert!(is_suppressed(&store, &list, JANE).await);
        let history = store.history(&address(JANE), 100).await.unwrap();
        assert_eq!((history.known, history.events.len()), (Known::Known, 1));
        assert!(history.changes[0].revision > revision, "whoever keeps the highest revision must believe what is new");
    }
}

#[tokio::test]
async fn a_block_that_was_kept_can_be_forgotten_later() {
    let database = TestDatabase::sqlite();
    let (store, root, _) = told(&database).await;
    erase(&store, JANE, Erased::Kept, Erasing::Do).await;
    assert!(is_suppressed(&store, &root, JANE).await);
    erase(&store, JANE, Erased::Forgotten, Erasing::Do).await;
    assert!(!is_suppressed(&store, &root, JANE).await);
    let page = store.changes_after(Cursor::START, &Visible::All, 100).await.unwrap();
    let last = page.items.last().map(|(change, who)| (change.change.as_str(), who.address.clone()));
    assert_eq!(last, Some(("forgotten", None)), "a mirror hears that it is to drop what it has");
}

#[tokio::test]
async fn erasing_and_taking_in_at_once_neither_deadlock_nor_leave_the_address() {
    let database = TestDatabase::postgres().await;
    let (one, two) = (store_on(&database).await, store_on(&database).await);
    let list = one.ensure_list("acme", None, NOW).await.unwrap();
    let people: Vec<String> = (0..12).map(|it| format!("jane{it}@example.org")).collect();
    let everybody = |number: u8| {
        let facts = people.iter().map(|it| fact(&list, it, &format!("{number}"), "code.5.1.1"));
        let facts: Vec<_> = if number.is_multiple_of(2) { facts.collect() } else { facts.rev().collect() };
        receipt(number, &list, facts)
    };
    one.commit(&[everybody(0), everybody(1)], NOW).await.unwrap();
    let commits = async {
        for number in 2..20 {
            one.commit(&[everybody(number)], NOW + Duration::seconds(1)).await.unwrap();
        }
    };
    let erasures = |store: &'static Store| async {
        for who in &people {
            erase(store, who, Erased::Kept, Erasing::Do).await;
        }
    };
    let two: &'static Store = Box::leak(Box::new(two));
    let work = async { tokio::join!(commits, erasures(two), erasures(two)) };
    tokio::time::timeout(std::time::Duration::from_mins(1), Box::pin(work)).await.expect("nobody waits for ever");
    let after = dump(&database.connect().await).await;
    assert_eq!(mentions(&after), Vec::<&str>::new());
    for who in &people {
        assert!(is_suppressed(two, &list, who).await);
    }
}
