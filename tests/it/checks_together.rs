//! Checks that come together share statements: each asker still gets its own answer, of its own list, and what went wrong is
//! told to all.

use std::sync::Arc;
use std::time::Duration;

use bounce::address::Address;
use bounce::policy::Act;
use futures_util::future::join_all;
use harness::{Proxy, TestDatabase, eventually, store_on};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use secrecy::SecretString;
use service::store::{ActRequest, Announces, Answer, Connect, Identity, List, Policies, Store};
use time::{OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);
const LISTS: [&str; 4] = ["acme", "acme.weekly", "acme.weekly.daily", "other"];
/// How many addresses there are of each domain, and how many domains.
const PEOPLE: usize = 12;
const DOMAINS: usize = 3;

fn address(who: usize) -> Address {
    Address::parse(&format!("p{}@d{}.example", who % PEOPLE, who / PEOPLE)).unwrap()
}

/// Blocks: of a person or of a whole domain, on a list.
fn blocks() -> impl Strategy<Value = Vec<(usize, usize, bool)>> {
    prop::collection::vec((0..PEOPLE * DOMAINS, 0..LISTS.len(), prop::bool::weighted(0.1)), 0..12)
}

/// Questions: whom, on which list.
fn questions() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..PEOPLE * DOMAINS, 0..LISTS.len()), 1..300)
}

struct Lists(Vec<Arc<List>>);

impl Lists {
    async fn of(store: &Store) -> Self {
        for name in LISTS {
            store.ensure_list(name, None, NOW).await.unwrap();
        }
        Self(join_all(LISTS.map(|it| async move { store.list(it).await.unwrap() })).await)
    }

    async fn block(&self, store: &Store, address: Address, list: usize) {
        let act = [Act::Block.into()];
        let request = ActRequest { list: self.0[list].clone(), address: &address, acts: &act, actor: "tester", note: None };
        store.act(request, NOW).await.unwrap();
    }
}

/// Whether somebody is blocked, and where, by the blocks alone: on the list or above it.
fn expected(blocks: &[(usize, usize, bool)], who: usize, list: usize) -> bool {
    let above = |it: usize| LISTS[list] == LISTS[it] || LISTS[list].starts_with(&format!("{}.", LISTS[it]));
    blocks.iter().any(|(whom, on, domain)| above(*on) && if *domain { whom / PEOPLE == who / PEOPLE } else { *whom == who })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_askers_gets_the_answer_to_its_own_question() {
    let mut runner = TestRunner::deterministic();
    for database in [TestDatabase::postgres().await, TestDatabase::sqlite()] {
        let store = Arc::new(store_on(&database).await);
        let lists = Lists::of(&store).await;
        let mut stands = Vec::new();
        for _ in 0..4 {
            for (who, list, domain) in blocks().new_tree(&mut runner).unwrap().current() {
                lists.block(&store, if domain { address(who).domain_entry() } else { address(who) }, list).await;
                stands.push((who, list, domain));
            }
            let asked = questions().new_tree(&mut runner).unwrap().current();
            let askers = asked.iter().map(|(who, list)| {
                let (store, list, who) = (store.clone(), lists.0[*list].clone(), address(*who));
                tokio::spawn(async move { store.check(&list, &[who], NOW).await.unwrap().remove(0) })
            });
            let answers = join_all(askers).await;
            for ((who, list), answer) in asked.iter().zip(answers) {
                let is_blocked = matches!(answer.unwrap(), Answer::Suppressed(_));
                assert_eq!(is_blocked, expected(&stands, *who, *list), "{} on {}: {stands:?}", address(*who), LISTS[*list]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn askers_that_lose_patience_cost_the_others_nothing() {
    let database = TestDatabase::postgres().await;
    let store = Arc::new(store_on(&database).await);
    let lists = Lists::of(&store).await;
    lists.block(&store, address(1), 0).await;
    for _ in 0..50 {
        let ask = |who: usize| {
            let (store, list) = (store.clone(), lists.0[2].clone());
            tokio::spawn(async move { store.check(&list, &[address(who)], NOW).await.unwrap().remove(0) })
        };
        let impatient: Vec<_> = (0..20).map(ask).collect();
        let patient: Vec<_> = (0..20).map(ask).collect();
        for it in impatient {
            it.abort();
        }
        for (who, it) in patient.into_iter().enumerate() {
            assert_eq!(matches!(it.await.unwrap(), Answer::Suppressed(_)), who == 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_wrong_is_told_to_all_who_asked_and_to_nobody_afterwards() {
    let database = TestDatabase::postgres().await;
    let lists = Lists::of(&store_on(&database).await).await;
    let proxy = Proxy::before(database.url());
    let store = Arc::new(impatient_store_at(proxy.url()).await);
    let ask = || {
        let (store, list) = (store.clone(), lists.0[1].clone());
        join_all((0..40).map(move |who| {
            let (store, list) = (store.clone(), list.clone());
            async move { store.check(&list, &[address(who % (PEOPLE * DOMAINS))], NOW).await }
        }))
    };
    assert!(ask().await.iter().all(Result::is_ok));
    proxy.refuse();
    for told in ask().await {
        assert!(told.unwrap_err().is_outage());
    }
    proxy.resume();
    eventually("the database answers again", async || ask().await.iter().all(Result::is_ok)).await;
}

/// A store that does not wait long for a database that is away.
async fn impatient_store_at(url: &str) -> Store {
    let limit = Duration::from_secs(1);
    let options = Connect {
        url: SecretString::from(url),
        max_connections: 4,
        min_connections: 0,
        acquire_timeout: limit,
        connect_timeout: limit,
        statement_timeout: Duration::from_secs(20),
        announces: Announces::Outbox,
    };
    let identity = Identity::new(&SecretString::from("a pepper that only the tests know"));
    Store::connect(&options, identity, Policies::default()).await.unwrap()
}
