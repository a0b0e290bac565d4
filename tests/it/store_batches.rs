//! What a commit costs the database: as many statements for a large batch as for a small one, and no table read as a whole.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bounce::address::Address;
use harness::{TestDatabase, store_at, store_on};
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use service::store::{Incoming, IncomingDelivery, IncomingToken, Keep, List, ReceiptId, Store, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::store_commit::{NOW, bounced};

/// Batches of one kind after which every statement has been prepared and planned for good.
const WARM: usize = 12;

/// A wire to Postgres that counts what goes over it: statements, and how many of these had to be prepared first.
struct Counted {
    url: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    executed: AtomicUsize,
    prepared: AtomicUsize,
}

impl Counted {
    async fn before(url: &str) -> Self {
        let mut url = Url::parse(url).unwrap();
        let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let counts = Arc::new(Counts::default());
        tokio::spawn({
            let counts = counts.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let server = TcpStream::connect((server.0.as_str(), server.1)).await.unwrap();
                    tokio::spawn(pass(client, server, counts.clone()));
                }
            }
        });
        Self { url: url.into(), counts }
    }

    /// Statements executed and prepared since the last time.
    fn take(&self) -> (usize, usize) {
        (self.counts.executed.swap(0, Ordering::SeqCst), self.counts.prepared.swap(0, Ordering::SeqCst))
    }
}

/// Passes messages on until either side ends. Messages before the first typed one (a question about TLS, the greeting) are
/// told by their length, which starts with a zero.
async fn pass(client: TcpStream, server: TcpStream, counts: Arc<Counts>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    while let Ok(first) = from_client.read_u8().await {
        let mut head = vec![first];
        if first != 0 {
            head.push(from_client.read_u8().await.unwrap());
        }
        for _ in 0..3 {
            head.push(from_client.read_u8().await.unwrap());
        }
        let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        from_client.read_exact(&mut body).await.unwrap();
        match first {
            b'P' => counts.prepared.fetch_add(1, Ordering::SeqCst),
            b'E' | b'Q' => counts.executed.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
        head.extend(body);
        if to_server.write_all(&head).await.is_err() {
            break;
        }
    }
    answers.abort();
}

/// Receipts about so many people, each with a token, a bounce and a delivery; `round` tells apart what was said when.
fn receipts(list: &Arc<List>, people: std::ops::Range<usize>, round: usize) -> Vec<Incoming> {
    people
        .map(|it| {
            let address = format!("person{it}@example.org");
            let digest = sha256(&[format!("{round} {address}").as_bytes()]);
            let mut incoming = Incoming {
                id: ReceiptId::new(),
                digest,
                tokens: vec![IncomingToken { token: digest, digest }],
                keep: Keep::Receipt,
                ..bounced(list, &address, "gone")
            };
            // Later than anything of the rounds before, so that the first failure stays the one that decides.
            let at = NOW + time::Duration::hours(i64::try_from(round.min(999)).unwrap() - 1000);
            incoming.facts[0].occurred_at = at;
            incoming.facts[0].message_keys = vec![format!("message:{round}"), format!("envelope:{round}")];
            let delivered = Address::parse(&address).unwrap();
            incoming.deliveries = vec![IncomingDelivery {
                list: list.clone(),
                address: delivered,
                occurred_at: at,
                message_keys: vec![format!("message:delivered {round}")],
            }];
            incoming
        })
        .collect()
}

/// A batch of copies that show, two by two, that events so far apart are one.
fn merging(list: &Arc<List>, people: std::ops::Range<usize>, rounds: [usize; 2]) -> Vec<Incoming> {
    let mut batch = receipts(list, people, 1_000_000 + rounds[0]);
    for it in &mut batch {
        it.facts[0].message_keys = rounds.iter().map(|it| format!("message:{it}")).collect();
    }
    batch
}

async fn commit(store: &Store, batch: &[Incoming]) {
    store.commit(batch, NOW).await.unwrap();
}

#[tokio::test]
async fn a_large_batch_takes_as_many_statements_as_a_small_one_and_all_are_prepared() {
    let database = TestDatabase::postgres().await;
    store_on(&database).await.close().await;
    let wire = Counted::before(database.url()).await;
    let store = store_at(&wire.url).await;
    store.check_in().await.unwrap();
    let list = store.ensure_list("acme.weekly", None, NOW).await.unwrap();
    let mut next = 0;
    let mut strangers = |size: usize| {
        next += size;
        receipts(&list, next - size..next, 0)
    };
    for _ in 0..WARM {
        commit(&store, &strangers(3)).await;
    }
    wire.take();
    commit(&store, &strangers(3)).await;
    let (small, prepared) = wire.take();
    assert_eq!(prepared, 0, "prepared before");
    commit(&store, &strangers(700)).await;
    assert_eq!(wire.take(), (small, 0), "people not heard of before");
    assert!(small <= 16, "{small} statements");

    // Each connection of the pool prepares for itself, so each has its turn before anything is counted.
    for round in 1..WARM {
        commit(&store, &receipts(&list, 0..3, round)).await;
    }
    wire.take();
    commit(&store, &receipts(&list, 0..3, WARM)).await;
    let (small, prepared) = wire.take();
    assert_eq!(prepared, 0, "prepared before");
    commit(&store, &receipts(&list, 0..700, WARM + 1)).await;
    assert_eq!(wire.take(), (small, 0), "people of whom something is known");

    commit(&store, &merging(&list, 3..6, [0, WARM + 1])).await;
    let (small, _) = wire.take();
    commit(&store, &merging(&list, 6..700, [0, WARM + 1])).await;
    assert_eq!(wire.take().0, small, "events that turn out to be one");

    for _ in 0..WARM {
        wire.take();
        commit(&store, &receipts(&list, 0..3, WARM + 1)).await;
    }
    let (small, prepared) = wire.take();
    assert_eq!(prepared, 0, "prepared before");
    commit(&store, &receipts(&list, 0..700, WARM + 1)).await;
    assert_eq!(wire.take(), (small, 0), "receipts that are known");
}

#[tokio::test]
async fn a_commit_reads_no_table_as_a_whole_however_small_it_was_when_the_statements_were_prepared() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let list = store.ensure_list("acme.weekly", None, NOW).await.unwrap();
    // Making the schema reads every table that gets an index.
    store.close().await;
    let database_of_test = database.connect().await;
    database_of_test.execute_unprepared("select pg_stat_reset()").await.unwrap();
    let store = store_at(database.url()).await;
    for round in 0..WARM {
        commit(&store, &receipts(&list, 0..4, round)).await;
        commit(&store, &receipts(&list, 10 * round..10 * round + 10, 100 + round)).await;
    }
    commit(&store, &merging(&list, 0..4, [0, 1])).await;
    commit(&store, &receipts(&list, 0..4, 0)).await;
    // What a connection counted is told when it closes.
    store.close().await;
    let sql = "select relname::text as name, seq_scan, idx_scan from pg_stat_user_tables where relname in \
               ('subject', 'receipt', 'event', 'event_key', 'event_copy', 'delivery', 'suppression', 'suppression_change', 'seen_token')";
    let rows = database_of_test.query_all_raw(Statement::from_string(DatabaseBackend::Postgres, sql)).await.unwrap();
    assert_eq!(rows.len(), 9);
    let scanned: Vec<(String, i64)> =
        rows.iter().map(|it| (it.try_get("", "name").unwrap(), it.try_get("", "seq_scan").unwrap())).collect();
    let looked_up: i64 = rows.iter().map(|it| it.try_get::<i64>("", "idx_scan").unwrap()).sum();
    assert!(looked_up > 0, "what was counted has been told");
    let whole: Vec<&(String, i64)> = scanned.iter().filter(|(_, times)| *times > 0).collect();
    assert!(whole.is_empty(), "{whole:?}");
}
