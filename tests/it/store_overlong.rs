//! Addresses that are reported over and over: what changes nothing does not have their whole history read, and in the end lists say what
//! they would say had everything been told at once.

use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::kind::{BounceType, Kind};
use bounce::policy::{Act, Cause, Weight};
use harness::{TestDatabase, eventually, store_at, store_on};
use sea_orm::{ConnectionTrait, Statement};
use service::store::{Accepted, ActRequest, Incoming, IncomingDelivery, IncomingFact, List, Store, Testimony, sha256};
use time::{Duration, OffsetDateTime};

use crate::store_commit::{NOW, bounced};

const WHO: &str = "jane@example.org";
/// More than there are in a history that is read as a matter of course, by far.
const MANY: usize = 4000;

fn hour(number: usize) -> OffsetDateTime {
    NOW - Duration::days(80) + Duration::seconds(i64::try_from(number).unwrap() * 60)
}

/// A failure, complaint or wish that is told of its own message.
fn fact(list: &Arc<List>, number: usize, at: OffsetDateTime, kind: Kind, reason: Reason) -> IncomingFact {
    let known = bounced(list, WHO, "gone").facts.remove(0);
    let bounce_type = (kind == Kind::Bounce).then(|| reason.permanent_type());
    let testimony = Testimony { kind, bounce_type, reason: Some(reason), fault: Some(reason.fault()), ..known.testimony };
    IncomingFact { testimony, occurred_at: at, message_keys: vec![format!("message:{number}")], ..known }
}

fn hard(list: &Arc<List>, number: usize, at: OffsetDateTime) -> IncomingFact {
    fact(list, number, at, Kind::Bounce, Reason::UserUnknown)
}

/// A receipt that tells all of this.
fn receipt(list: &Arc<List>, facts: Vec<IncomingFact>) -> Incoming {
    let told: String = facts.iter().flat_map(|it| it.message_keys.clone()).collect();
    Incoming { digest: sha256(&[told.as_bytes()]), facts, ..bounced(list, WHO, "gone") }
}

async fn tell(store: &Store, list: &Arc<List>, facts: Vec<IncomingFact>) -> Vec<Accepted> {
    store.commit(&[receipt(list, facts)], NOW).await.unwrap()
}

/// What lists say, and when what decides it happened.
async fn said(store: &Store) -> Vec<String> {
    let history = store.history(&Address::parse(WHO).unwrap(), u64::MAX >> 1).await.unwrap();
    let decided =
        |it: &service::store::Suppression| history.events.iter().find(|event| Some(event.id) == it.event).map(|it| it.occurred_at);
    let line = |it: &service::store::Suppression| {
        format!("{} {:?} {} {} {:?} {:?} {:?}", it.cause, it.reason, it.provisional, it.since, it.expires_at, it.released_at, decided(it))
    };
    let mut lines: Vec<String> = history.suppressions.iter().map(line).collect();
    lines.sort_unstable();
    lines
}

/// How many rows of events were read by index since the last time it was reset. All others have gone.
async fn events_read(database: &TestDatabase) -> i64 {
    let db = database.connect().await;
    let number = async |sql: &str| {
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
        row.try_get::<i64>("", "number").unwrap()
    };
    let others = "select count(*) as number from pg_stat_activity \
                  where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    eventually("nobody else is there", async || number(others).await == 0).await;
    let read = number("select idx_tup_fetch as number from pg_stat_user_tables where relname = 'event'").await;
    db.execute_unprepared("select pg_stat_reset()").await.unwrap();
    read
}

#[tokio::test]
async fn a_long_history_is_read_only_for_what_may_change_something() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let list = store.ensure_list("acme", None, NOW).await.unwrap();
    tell(&store, &list, (0..MANY).map(|it| hard(&list, it, hour(it))).collect()).await;
    store.close().await;
    database.connect().await.execute_unprepared("analyze").await.unwrap();
    events_read(&database).await;

    let told = async |facts: Vec<IncomingFact>| {
        let store = store_at(database.url()).await;
        let list = store.ensure_list("acme", None, NOW).await.unwrap();
        let accepted = tell(&store, &list, facts).await;
        let Accepted::New { events, changes, .. } = &accepted[0] else { panic!("told before") };
        let answer = (events.len(), changes.len());
        store.close().await;
        (answer, events_read(&database).await)
    };
    let limit = i64::try_from(MANY / 2).unwrap();
    let (answer, read) = told(vec![hard(&list, MANY, hour(MANY)), hard(&list, MANY + 1, hour(MANY + 1))]).await;
    assert_eq!(answer, (2, 0), "recorded, and nothing changes");
    assert!(read < limit, "{read} events were read");
    let (answer, read) = told(vec![fact(&list, MANY + 2, hour(1), Kind::Delayed, Reason::Greylisted)]).await;
    assert_eq!(answer, (1, 0));
    assert!(read < limit, "{read} events were read");
    let (answer, read) = told(vec![hard(&list, MANY + 3, hour(0) - Duration::DAY)]).await;
    assert_eq!(answer, (1, 1), "it happened before all others");
    assert!(read >= limit, "{read}: what is counted is what is read");
    let (answer, _) = told(vec![fact(&list, MANY + 4, hour(MANY), Kind::Complaint, Reason::Undetermined)]).await;
    assert_eq!(answer, (1, 1), "another cause");
}

#[tokio::test]
async fn a_long_history_told_bit_by_bit_says_the_same_as_told_at_once() {
    for databases in [[TestDatabase::sqlite(), TestDatabase::sqlite()], [TestDatabase::postgres().await, TestDatabase::postgres().await]] {
        let [one, other] = [store_on(&databases[0]).await, store_on(&databases[1]).await];
        let list = one.ensure_list("acme", None, NOW).await.unwrap();
        let start = || (0..1100).map(|it| hard(&list, it, hour(it))).collect::<Vec<_>>();
        let by_code = |it: IncomingFact| IncomingFact { testimony: Testimony { rule: "code.5.1.1".to_owned(), ..it.testimony }, ..it };
        let uncounted = |number, at| {
            let it = fact(&list, number, at, Kind::Bounce, Reason::ContentRejected);
            IncomingFact { testimony: Testimony { rule: "reply.550".to_owned(), ..it.testimony }, ..it }
        };
        let forged = IncomingFact { weight: Weight::Provisional, ..hard(&list, 3007, hour(1500)) };
        let bits = [
            vec![hard(&list, 3000, hour(1200)), hard(&list, 3001, hour(1201))],
            vec![fact(&list, 3002, hour(1300), Kind::Complaint, Reason::Undetermined)],
            vec![fact(&list, 3003, hour(1301), Kind::Complaint, Reason::Undetermined)],
            // A copy of one that is known, which happened earlier.
            vec![hard(&list, 0, hour(0) - Duration::HOUR)],
            vec![
                fact(&list, 3004, hour(1400), Kind::Bounce, Reason::MailboxFull),
                fact(&list, 3005, hour(9), Kind::Delayed, Reason::Greylisted),
            ],
            vec![fact(&list, 3006, hour(1401), Kind::Unsubscribe, Reason::Undetermined)],
            vec![forged, hard(&list, 3000, hour(1199))],
            vec![hard(&list, 3008, hour(0) - Duration::DAY)],
            // Copies of one failure, none of which would change anything alone: later than what decides, and one that does not count.
            vec![by_code(hard(&list, 3010, hour(1600))), uncounted(3010, hour(0) - Duration::DAY * 2)],
        ];
        tell(&one, &list, start()).await;
        for facts in &bits {
            tell(&one, &list, facts.clone()).await;
        }
        let elsewhere = other.ensure_list("acme", None, NOW).await.unwrap();
        let all = start().into_iter().chain(bits.concat()).rev().map(|it| IncomingFact { list: elsewhere.clone(), ..it });
        tell(&other, &elsewhere, all.collect()).await;
        let expected = said(&other).await;
        assert_eq!(expected.len(), 3, "{expected:#?}");
        assert_eq!(said(&one).await, expected);
        let told = async |store: &Store| store.history(&Address::parse(WHO).unwrap(), u64::MAX >> 1).await.unwrap().events.len();
        assert_eq!((told(&one).await, told(&other).await), (1100 + 10, 1100 + 10));
    }
}

#[tokio::test]
async fn after_a_release_a_long_history_is_decided_again() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let store = store_on(&database).await;
        let list = store.ensure_list("acme", None, NOW).await.unwrap();
        tell(&store, &list, (0..1100).map(|it| hard(&list, it, hour(it))).collect()).await;
        let who = Address::parse(WHO).unwrap();
        let acts = [Act::Release.into()];
        let request = ActRequest { list: list.clone(), address: &who, acts: &acts, actor: "ann", note: None };
        store.act(request, NOW).await.unwrap();
        let blocks = async || store.history(&who, 1).await.unwrap().suppressions.iter().any(|it| it.holds_at(NOW + Duration::DAY));
        tell(&store, &list, vec![hard(&list, 2000, NOW - Duration::HOUR)]).await;
        assert!(!blocks().await, "what happened before the release");
        tell(&store, &list, vec![hard(&list, 2001, NOW + Duration::HOUR)]).await;
        assert!(blocks().await);
        // A message that was taken for delivered, and bounces in the end.
        let soft_holds = async || {
            let rows = store.history(&who, 1).await.unwrap().suppressions;
            rows.iter().any(|it| it.cause == Cause::Soft && it.released_at.is_none())
        };
        let soft = |day: usize| {
            let mut it = hard(&list, 3000 + day, NOW + Duration::days(1) * u8::try_from(day).unwrap());
            it.testimony.bounce_type = Some(BounceType::Soft);
            it
        };
        tell(&store, &list, (1..4).map(soft).collect()).await;
        assert!(soft_holds().await);
        let message_keys = vec!["message:2003".to_owned()];
        let delivery = IncomingDelivery { list: list.clone(), address: who.clone(), occurred_at: NOW + Duration::days(4), message_keys };
        store.commit(&[Incoming { deliveries: vec![delivery], ..receipt(&list, vec![]) }], NOW).await.unwrap();
        assert!(!soft_holds().await);
        tell(&store, &list, vec![hard(&list, 2003, NOW + Duration::days(5))]).await;
        assert!(soft_holds().await && blocks().await);
    }
}
