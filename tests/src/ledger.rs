//! A load of posts and the book of what was said to each, held against what is there in the end: whatever was acknowledged is in
//! the database exactly once and on the queue at least once, and whatever was refused for certain left no trace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use tokio::task::JoinSet;

use crate::balancer::{Answer, Balancer};
use crate::wait::{PATIENCE, pause, random_below};
use crate::{TestBroker, eventually, unique_name, yesterday};

const DSN: &str = include_str!("../../docs/bounce.eml");

/// What was said to a post, over all the times it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Never anything but that nothing was recorded.
    Refused,
    /// An answer was lost, or left open what became of it.
    Unknown,
    /// 2xx, once at least.
    Acknowledged,
}

/// Posts under way, and the book of their fates. Dropping it stops them.
#[derive(Debug)]
pub struct Load {
    book: Arc<Book>,
    senders: JoinSet<()>,
}

#[derive(Debug)]
struct Book {
    run: String,
    when: String,
    balancer: Arc<Balancer>,
    fates: Mutex<BTreeMap<String, Fate>>,
    next: AtomicUsize,
    sent: AtomicUsize,
    hung: AtomicUsize,
    stop: AtomicBool,
}

/// What a sender does that was told to come again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    ComesAgain,
    GivesUp,
}

impl Load {
    /// Posts over so many connections until told to [finish](Self::finish). Each post is a failure of an address of its own. Half
    /// of the senders come again until they hear 2xx, the others give up where they are told to come again.
    #[must_use]
    pub fn start(balancer: &Arc<Balancer>, connections: usize) -> Self {
        let book = Arc::new(Book {
            run: unique_name("load").replace('_', "-"),
            when: yesterday(),
            balancer: balancer.clone(),
            fates: Mutex::default(),
            next: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            hung: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let mut senders = JoinSet::new();
        for sender in 0..connections {
            let book = book.clone();
            let manner = if sender % 2 == 0 { Manner::ComesAgain } else { Manner::GivesUp };
            senders.spawn(async move {
                while !book.stop.load(Ordering::Relaxed) {
                    book.bring(book.next.fetch_add(1, Ordering::Relaxed), manner).await;
                }
            });
        }
        Self { book, senders }
    }

    /// Waits until so many more posts have been sent, at random up to that number: a moment that nobody has chosen.
    pub async fn a_while(&self, most: usize) {
        let until = self.book.sent.load(Ordering::Relaxed) + 1 + random_below(most);
        eventually("more posts are sent", || async { self.book.sent.load(Ordering::Relaxed) >= until }).await;
    }

    /// Waits until so many more posts are acknowledged.
    pub async fn acknowledged(&self, more: usize) {
        let until = self.count(Fate::Acknowledged) + more;
        eventually("more posts are acknowledged", || async { self.count(Fate::Acknowledged) >= until }).await;
    }

    /// Waits until so many more posts are answered, whatever the answer.
    pub async fn answered(&self, more: usize) {
        let all = || self.book.fates.lock().expect("no panic").len();
        let until = all() + more;
        eventually("more posts are answered", || async { all() >= until }).await;
    }

    /// How many posts have met a fate so far.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.book.fates.lock().expect("no panic").values().filter(|it| **it == fate).count()
    }

    /// Begins no more posts, waits for the last answers, and closes the book.
    pub async fn finish(mut self) -> Ledger {
        self.book.stop.store(true, Ordering::Relaxed);
        let ended = async {
            while let Some(sender) = self.senders.join_next().await {
                sender.expect("a sender does not panic");
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("whoever comes again is heard at last");
        let fates = std::mem::take(&mut *self.book.fates.lock().expect("no panic"));
        Ledger { fates, hung: self.book.hung.load(Ordering::Relaxed), receipts: 1 }
    }
}

impl Book {
    /// Brings one post, and again where that is this sender's way.
    async fn bring(&self, number: usize, manner: Manner) {
        let address = format!("person-{number}@{}.example", self.run);
        let (source, content_type, body) = post_about(&address, number, &self.when);
        loop {
            self.sent.fetch_add(1, Ordering::Relaxed);
            let answer = self.balancer.post(source, content_type, &body).await;
            if matches!(answer, Answer::Hung) {
                self.hung.fetch_add(1, Ordering::Relaxed);
            }
            let fate = fate_of(&answer);
            self.write(&address, fate);
            if fate == Fate::Acknowledged {
                return;
            }
            pause().await;
            if manner == Manner::GivesUp {
                return;
            }
        }
    }
}

impl Book {
    /// The best of all that was said to a post counts.
    fn write(&self, address: &str, fate: Fate) {
        let mut fates = self.fates.lock().expect("no panic");
        let known = fates.entry(address.to_owned()).or_insert(fate);
        *known = fate.max(*known);
    }
}

/// A failure of that address, in one of two forms.
fn post_about(address: &str, number: usize, when: &str) -> (&'static str, &'static str, String) {
    if number.is_multiple_of(3) {
        ("bounces", "message/rfc822", DSN.replace("jane@corp.example", address).replace("weekly-1.jane", &format!("weekly-{number}")))
    } else {
        let event = json!({ "type": "hard_bounce", "recipient": address, "timestamp": when, "event_id": address });
        ("events", "application/json", event.to_string())
    }
}

/// What an answer says for certain. A 503 says in words whether nothing was recorded.
fn fate_of(answer: &Answer) -> Fate {
    match answer {
        Answer::Answered(status, _) if status.is_success() => Fate::Acknowledged,
        Answer::Answered(StatusCode::SERVICE_UNAVAILABLE, text) if text.contains("nothing was recorded") => Fate::Refused,
        Answer::Answered(StatusCode::SERVICE_UNAVAILABLE, _) | Answer::Lost(_) | Answer::Hung => Fate::Unknown,
        Answer::Answered(status, text) => panic!("nobody is to answer {status}: {text}"),
        Answer::Unreached => Fate::Refused,
    }
}

/// What was said to each post, when all is said.
#[derive(Debug)]
pub struct Ledger {
    fates: BTreeMap<String, Fate>,
    hung: usize,
    /// How many receipts tell of each address.
    receipts: usize,
}

impl Ledger {
    /// A book of posts that were all acknowledged, where so many of different bytes told of each address.
    #[must_use]
    pub fn of_copies(addresses: impl IntoIterator<Item = String>, receipts: usize) -> Self {
        Self { fates: addresses.into_iter().map(|it| (it, Fate::Acknowledged)).collect(), hung: 0, receipts }
    }

    /// The addresses of posts that met a fate.
    #[must_use]
    pub fn of(&self, fate: Fate) -> BTreeSet<&str> {
        self.fates.iter().filter(|(_, it)| **it == fate).map(|(address, _)| address.as_str()).collect()
    }

    /// Holds the book against the database and the queue, once all has come there.
    pub async fn balance(&self, database: &DatabaseConnection, broker: &TestBroker) {
        assert_eq!(self.hung, 0, "posts that nobody answered");
        let acknowledged = self.of(Fate::Acknowledged);
        eventually("everything that was acknowledged is recorded", || async {
            let rows = recorded(database).await;
            acknowledged.iter().all(|it| rows.contains_key(*it))
        })
        .await;
        eventually("the outbox is empty", || async { number(database, "select count(*) from outbox").await == 0 }).await;

        let rows = recorded(database).await;
        let twice: Vec<_> = rows.iter().filter(|(_, it)| **it != (1, 1)).collect();
        assert!(twice.is_empty(), "not exactly once (events, receipts): {twice:?}");
        let receipts = i64::try_from(rows.len() * self.receipts).expect("not so many");
        assert_eq!(number(database, "select count(*) from receipt").await, receipts, "receipts");
        let refused: Vec<_> = self.of(Fate::Refused).into_iter().filter(|it| rows.contains_key(*it)).collect();
        assert!(refused.is_empty(), "refused, and there: {refused:?}");
        let strangers: Vec<_> = rows.keys().filter(|it| !self.fates.contains_key(*it)).collect();
        assert!(strangers.is_empty(), "nobody brought these: {strangers:?}");

        let (mut events, mut changes) = (BTreeSet::new(), BTreeSet::new());
        for message in broker.drain().await {
            let told = if message.body["type"] == "rebound.event.recorded" { &mut events } else { &mut changes };
            told.insert(message.body["data"]["recipient"].as_str().expect("a message names its recipient").to_owned());
        }
        let there: BTreeSet<String> = rows.into_keys().collect();
        let missing = |told: &BTreeSet<String>| there.symmetric_difference(told).cloned().collect::<Vec<_>>();
        assert_eq!((missing(&events), missing(&changes)), (vec![], vec![]), "recorded and not told, or told and not recorded");
    }
}

/// How many events and receipts there are of each address.
async fn recorded(database: &DatabaseConnection) -> BTreeMap<String, (i64, i64)> {
    let query = "select subject.address, count(distinct event.id) as events, count(distinct event.receipt_id) as receipts \
                 from event join subject on subject.id = event.subject_id join receipt on receipt.id = event.receipt_id group by 1";
    let Ok(rows) = database.query_all_raw(Statement::from_string(DbBackend::Postgres, query)).await else {
        return BTreeMap::new(); // it is not back yet
    };
    let row = |it: &sea_orm::QueryResult| {
        Ok::<_, sea_orm::DbErr>((it.try_get("", "address")?, (it.try_get("", "events")?, it.try_get("", "receipts")?)))
    };
    rows.iter().map(row).collect::<Result<_, _>>().expect("the columns are there")
}

async fn number(database: &DatabaseConnection, query: &str) -> i64 {
    let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await.expect("the database is back");
    row.expect("a scalar query gives a row").try_get_by_index(0).expect("a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_no_more_than_it_says() {
        let away = |text: &str| Answer::Answered(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
        for (answer, fate) in [
            (Answer::Answered(StatusCode::OK, String::new()), Fate::Acknowledged),
            (away("the service is stopping; nothing was recorded"), Fate::Refused),
            (away("the database did not take it in time; send it again"), Fate::Unknown),
            (Answer::Unreached, Fate::Refused),
            (Answer::Lost("the connection broke".to_owned()), Fate::Unknown),
            (Answer::Hung, Fate::Unknown),
        ] {
            assert_eq!(fate_of(&answer), fate, "{answer:?}");
        }
        // Over several attempts the best counts: what was left open once stays open.
        assert!(Fate::Acknowledged > Fate::Unknown && Fate::Unknown > Fate::Refused);
    }
}
