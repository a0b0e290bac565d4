//! Retention: what is old goes, and what lists say stays.

use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, Kind};
use bounce::policy::{Act, Weight};
use harness::{Plan, TestDatabase, eventually, store_on};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sea_orm::{ConnectionTrait, Statement};
use service::store::{
    ActRequest, Answer, Incoming, IncomingDelivery, IncomingFact, Keep, Known, List, Outgrown, ReceiptId, ReceiptState, Selection, Store,
    Testimony,
};
use time::{Duration, OffsetDateTime, macros::datetime};

use crate::lists::Bench;

const START: OffsetDateTime = datetime!(2024-01-10 12:00 UTC);
const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

#[derive(Debug, Clone)]
struct Said {
    kind: Kind,
    reason: Reason,
    weight: Weight,
    days: i64,
    messages: Vec<u8>,
}

fn said(kind: Kind, reason: Reason, days: i64, message: u8) -> Said {
    Said { kind, reason, weight: Weight::Full, days, messages: vec![message] }
}

fn receipt(number: u64, list: &Arc<List>, who: &str, it: &Said) -> Incoming {
    let (address, at) = (Address::parse(who).unwrap(), START + Duration::days(it.days));
    let message_keys: Vec<String> = it.messages.iter().map(|it| format!("message:{it}")).collect();
    let testimony = Testimony {
        kind: it.kind,
        bounce_type: (it.kind == Kind::Bounce).then(|| it.reason.permanent_type()),
        reason: Some(it.reason),
        fault: Some(it.reason.fault()),
        status: None,
        reply: None,
        stage: None,
        diagnostic: Some(format!("said {number}")),
        feedback_type: None,
        reporting_mta: None,
        remote_mta: None,
        message_id: None,
        provider_event_id: None,
        rule: "code.5.1.1".to_owned(),
        rules_version: "1".to_owned(),
    };
    let (mut facts, mut deliveries) = (vec![], vec![]);
    if it.kind == Kind::Delivered {
        deliveries.push(IncomingDelivery { list: list.clone(), address, occurred_at: at, message_keys });
    } else {
        let attribution = Attribution::Signed;
        facts.push(IncomingFact { list: list.clone(), address, testimony, attribution, weight: it.weight, occurred_at: at, message_keys });
    }
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Incoming {
        id: ReceiptId::new(),
        source: "test".to_owned(),
        digest,
        list: list.clone(),
        received_at: at,
        media_type: "message/rfc822".to_owned(),
        size: who.len(),
        body: who.as_bytes().to_vec(),
        state: ReceiptState::Processed,
        error: None,
        attribution: Attribution::Signed,
        facts,
        deliveries,
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

async fn tell(store: &Store, list: &Arc<List>, who: &str, all: &[Said]) {
    for (number, it) in all.iter().enumerate() {
        let number = number as u64 + (u64::from(who.as_bytes()[0]) << 32) + (u64::from(who.as_bytes()[1]) << 40);
        store.commit(&[receipt(number, list, who, it)], START + Duration::days(it.days)).await.unwrap();
    }
}

async fn answer(store: &Store, list: &Arc<List>, who: &str) -> Answer {
    store.check(list, &[Address::parse(who).unwrap()], NOW).await.unwrap().remove(0)
}

async fn count(database: &TestDatabase, sql: &str) -> i64 {
    let db = database.connect().await;
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
    row.try_get("", "count").unwrap()
}

/// Lets go of everything older than a year, in steps of two addresses.
async fn let_go(store: &Store) -> Outgrown {
    let (mut after, mut gone) = (None, Outgrown::default());
    loop {
        let step = store.let_go_of_events(NOW - Duration::days(365), after, 2, NOW).await.unwrap();
        gone.events += step.gone.events;
        gone.subjects += step.gone.subjects;
        after = step.next;
        if after.is_none() {
            return gone;
        }
    }
}

#[tokio::test]
async fn what_lists_say_outlives_what_is_old() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let list = store.ensure_list("acme", None, START).await.unwrap();
        let full = |days, message| said(Kind::Bounce, Reason::MailboxFull, days, message);
        let hard = said(Kind::Bounce, Reason::UserUnknown, 0, 1);
        tell(&store, &list, "hard@example.org", &[hard.clone(), full(1, 2), said(Kind::AutoReply, Reason::UserUnknown, 2, 3)]).await;
        tell(&store, &list, "soft@example.org", &[full(0, 1), full(7, 2), full(14, 3), full(21, 4), full(28, 5)]).await;
        let provisional = Said { weight: Weight::Provisional, ..hard.clone() };
        let confirmed = [provisional.clone(), Said { days: 3, messages: vec![2], ..provisional }];
        tell(&store, &list, "two@example.org", &confirmed).await;
        tell(&store, &list, "delivered@example.org", &[said(Kind::Delivered, Reason::UserUnknown, 0, 1)]).await;
        tell(&store, &list, "released@example.org", std::slice::from_ref(&hard)).await;
        let address = Address::parse("released@example.org").unwrap();
        let release = ActRequest { list: list.clone(), address: &address, acts: &[Act::Release.into()], actor: "ann", note: None };
        store.act(release, START + Duration::days(2)).await.unwrap();
        let fresh = said(Kind::Bounce, Reason::UserUnknown, 1000, 1);
        tell(&store, &list, "fresh@example.org", &[fresh]).await;

        let people = ["hard", "soft", "two", "delivered", "released", "fresh"].map(|it| format!("{it}@example.org"));
        let mut before = Vec::new();
        for who in &people {
            before.push(answer(&store, &list, who).await);
        }
        let is_blocked: Vec<bool> = before.iter().map(|it| matches!(it, Answer::Suppressed(_))).collect();
        assert_eq!(is_blocked, [true, false, true, false, false, true]);

        let gone = let_go(&store).await;
        // Of the hard block its event stays, of the confirmed one both; the release is a person's word and stays by itself.
        assert_eq!(gone, Outgrown { events: 2 + 5 + 1, subjects: 2 });
        for (who, before) in people.iter().zip(before) {
            assert_eq!(answer(&store, &list, who).await, before, "{who}");
        }
        for (who, known, events) in [
            ("hard", Known::Known, 1),
            ("soft", Known::Never, 0),
            ("two", Known::Known, 2),
            ("delivered", Known::Never, 0),
            ("released", Known::Known, 0),
            ("fresh", Known::Known, 1),
        ] {
            let history = store.history(&Address::parse(&format!("{who}@example.org")).unwrap(), 100).await.unwrap();
            assert_eq!((history.known, history.events.len()), (known, events), "{who}");
        }
        assert_eq!(let_go(&store).await, Outgrown::default(), "once is enough");
        assert_eq!(
            count(&database, "select count(*) as count from suppression_change where cause = 'hard' and change = 'released'").await,
            1
        );

        // The blocks are not only there, the fold still tells them.
        tell(&store, &list, "hard@example.org", &[said(Kind::Delayed, Reason::MailboxFull, 1030, 77)]).await;
        assert!(matches!(answer(&store, &list, "hard@example.org").await, Answer::Suppressed(_)));
    }
}

/// Whoever has something to say of the address waits for no more than some thousand of them.
#[tokio::test]
async fn a_long_history_goes_in_parts() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let list = store.ensure_list("acme", None, START).await.unwrap();
    let who = "hard@example.org";
    tell(&store, &list, who, &[said(Kind::Bounce, Reason::UserUnknown, 0, 1), said(Kind::Delayed, Reason::MailboxFull, 1, 2)]).await;
    let fill = "insert into event select (jsonb_populate_record(it, jsonb_build_object('id', gen_random_uuid(), \
                    'fact_key', '\\x' || md5(i::text), 'occurred_at', it.occurred_at + i * interval '1 second'))).* \
                    from event it, generate_series(1, 5100) i where kind = 'delayed'; \
                insert into event_key select fact_key, id from event on conflict do nothing";
    database.connect().await.execute_unprepared(fill).await.unwrap();
    let before = answer(&store, &list, who).await;
    let go = async |after| store.let_go_of_events(NOW - Duration::days(365), after, 2, NOW).await.unwrap();
    let first = go(None).await;
    assert_eq!(first.gone, Outgrown { events: 5000, subjects: 0 });
    let second = go(first.next).await;
    assert_eq!(second.gone, Outgrown { events: 101, subjects: 0 });
    assert_eq!((second.next, let_go(&store).await), (None, Outgrown::default()));
    assert!(matches!(before, Answer::Suppressed(_)));
    assert_eq!(answer(&store, &list, who).await, before);
    assert_eq!(count(&database, "select count(*) as count from event").await, 1);
}

#[tokio::test]
async fn revisions_of_an_address_go_on_where_it_was_let_go() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let list = store.ensure_list("acme", None, START).await.unwrap();
        let full = |days, message| said(Kind::Bounce, Reason::MailboxFull, days, message);
        let blocks = |from: i64| (0..5).map(|it| full(from + it * 7, u8::try_from(it).unwrap())).collect::<Vec<_>>();
        let who = "soft@example.org";
        tell(&store, &list, who, &blocks(0)).await;
        let address = Address::parse(who).unwrap();
        let revision = async || store.history(&address, 100).await.unwrap().suppressions.iter().map(|it| it.revision).max().unwrap();
        let before = revision().await;
        assert_eq!(let_go(&store).await.subjects, 1);
        for (number, it) in blocks(1000).iter().enumerate() {
            let receipt = receipt(1000 + number as u64, &list, who, it);
            store.commit(&[receipt], START + Duration::days(it.days)).await.unwrap();
        }
        let after = revision().await;
        assert!(after > before, "{after} after {before}");
    }
}

#[tokio::test]
async fn an_import_goes_on_there_too_beside_somebody_who_is_known() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let Bench { store, list, .. } = &Bench::on(&database).await;
        let who = "soft@example.org";
        let full = |it: u8| said(Kind::Bounce, Reason::MailboxFull, i64::from(it) * 7, it);
        tell(store, list, who, &[full(0), full(1), full(2), full(3), full(4)]).await;
        tell(store, list, "known@example.org", &[said(Kind::Bounce, Reason::UserUnknown, 1030, 50)]).await;
        let address = Address::parse(who).unwrap();
        let revision = async || store.history(&address, 100).await.unwrap().suppressions.iter().map(|it| it.revision).max().unwrap();
        let before = revision().await;
        assert_eq!(let_go(store).await.subjects, 1);
        Bench::on(&database).await.import(&format!("{who}\nknown@example.org\n")).await;
        let after = revision().await;
        assert!(after > before, "{after} after {before}");
    }
}

#[tokio::test]
async fn raw_bytes_go_by_age_and_bare_receipts_with_them() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let list = store.ensure_list("acme", None, START).await.unwrap();
        let hard = said(Kind::Bounce, Reason::UserUnknown, 0, 1);
        tell(&store, &list, "jane@example.org", &[hard.clone(), Said { days: 1000, messages: vec![2], ..hard.clone() }]).await;
        let mut unclear = receipt(7, &list, "john@example.org", &hard);
        unclear.state = ReceiptState::Quarantined;
        unclear.facts.clear();
        let silent = Incoming { state: ReceiptState::Processed, digest: [8; 32], id: ReceiptId::new(), ..unclear.clone() };
        let delivered = receipt(9, &list, "joe@example.org", &said(Kind::Delivered, Reason::UserUnknown, 0, 1));
        store.commit(&[unclear, silent, delivered], START).await.unwrap();

        let go = |states: &'static [ReceiptState]| store.let_go_of_receipts(states, NOW - Duration::days(365), 2);
        assert_eq!((go(&[ReceiptState::Quarantined, ReceiptState::Unrecognised]).await.unwrap()), 1);
        assert_eq!(go(&[ReceiptState::Processed]).await.unwrap(), 2);
        assert_eq!(go(&[ReceiptState::Processed]).await.unwrap(), 1);
        assert_eq!(go(&[ReceiptState::Processed]).await.unwrap(), 0);
        let left = store.receipts(&Selection::default(), None, 10).await.unwrap();
        let bodies: Vec<bool> = left.iter().map(|it| it.body.is_some()).collect();
        assert_eq!(bodies, [false, true], "of what an event names the receipt stays, without its bytes");
        assert!(matches!(answer(&store, &list, "jane@example.org").await, Answer::Suppressed(_)));
    }
}

#[tokio::test]
async fn whatever_happened_what_holds_still_holds() {
    let kinds = prop_oneof![
        6 => Just(Kind::Bounce), 1 => Just(Kind::Complaint), 1 => Just(Kind::Unsubscribe), 1 => Just(Kind::Delayed), 2 => Just(Kind::Delivered)
    ];
    let reasons = prop::sample::select(&[Reason::UserUnknown, Reason::MailboxFull, Reason::DomainUnknown, Reason::MailboxInactive]);
    let weights = prop::sample::select(&[Weight::Full, Weight::Provisional]);
    let one = (kinds, reasons, weights, 0i64..1040, prop::collection::vec(0u8..6, 1..3))
        .prop_map(|(kind, reason, weight, days, messages)| Said { kind, reason, weight, days, messages });
    let story = (prop::collection::vec(one, 1..14), prop::option::of(prop::sample::select(&[Act::Release, Act::Allow, Act::Block])));
    let mut runner = TestRunner::deterministic();
    for case in 0..60 {
        let (mut story, act) = story.new_tree(&mut runner).unwrap().current();
        story.sort_by_key(|it| it.days);
        let database = TestDatabase::sqlite();
        let store = store_on(&database).await;
        let list = store.ensure_list("acme", None, START).await.unwrap();
        let (first, second) = story.split_at(story.len() / 2);
        tell(&store, &list, "jane@example.org", first).await;
        let address = Address::parse("jane@example.org").unwrap();
        if let Some(act) = act {
            let acts = [act.into()];
            let request = ActRequest { list: list.clone(), address: &address, acts: &acts, actor: "ann", note: None };
            store.act(request, START + Duration::days(first.last().map_or(0, |it| it.days))).await.unwrap();
        }
        tell(&store, &list, "Jane@example.org", second).await;
        let holding = || async {
            let mut rows = store.history(&address, 100).await.unwrap().suppressions;
            rows.retain(|it| it.holds_at(NOW));
            rows.sort_by_key(|it| it.cause);
            rows
        };
        let before = holding().await;
        let_go(&store).await;
        assert_eq!(holding().await, before, "case {case}: {story:#?} {act:?}");
        // And the fold over what is left says it too: whatever comes next decides again.
        tell(&store, &list, "JANE@example.org", &[said(Kind::Delayed, Reason::MailboxFull, 1045, 99)]).await;
        assert_eq!(holding().await, before, "case {case}, decided again: {story:#?} {act:?}");
        assert_eq!(let_go(&store).await, Outgrown::default(), "case {case}: {story:#?} {act:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn the_service_lets_go_by_itself() {
    let database = TestDatabase::sqlite();
    let store = store_on(&database).await;
    let list = store.ensure_list("acme.weekly", None, START).await.unwrap();
    tell(&store, &list, "jane@example.org", &[said(Kind::Bounce, Reason::MailboxFull, 0, 1)]).await;
    store.close().await;
    // Rows of 2024 are older than the defaults allow.
    let pepper = "a pepper that only the tests know";
    let app = Plan::on(database.url()).with(|it| it.identity.pepper = Some(pepper.into())).start().await;
    eventually("the old receipt and all that was known by it", || async {
        let page = app.metrics().await;
        ["receipt_bodies", "events", "subjects"]
            .iter()
            .all(|it| page.contains(&format!("rebound_retention_removed_total{{what=\"{it}\"}} 1")))
    })
    .await;
    app.stop().await;
    assert_eq!(count(&database, "select count(*) as count from subject").await, 0);
    assert_eq!(count(&database, "select count(*) as count from receipt").await, 0);
}
