//! The harness itself: servers answer, and a wire that is cut is cut.

use harness::{Proxy, TestBroker, TestDatabase, eventually, rebound};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn number(database: &DatabaseConnection, query: &str) -> i32 {
    let statement = Statement::from_string(database.get_database_backend(), query);
    database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn each_test_has_an_empty_database_of_its_own_on_postgres() {
    let (one, other) = (TestDatabase::postgres().await, TestDatabase::postgres().await);
    let database = one.connect().await;
    database.execute_unprepared("CREATE TABLE seen (n int); INSERT INTO seen VALUES (7)").await.unwrap();
    assert_eq!(number(&database, "SELECT n FROM seen").await, 7);

    let database = other.connect().await;
    assert_eq!(number(&database, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'").await, 0);
}

#[tokio::test]
async fn a_database_is_gone_when_it_is_dropped_even_while_connected() {
    let observer = TestDatabase::postgres().await;
    let dropped = TestDatabase::postgres().await;
    let name = dropped.url().rsplit('/').next().unwrap().to_owned();
    let _connection = dropped.connect().await;
    drop(dropped);
    let query = format!("SELECT count(*)::int FROM pg_database WHERE datname = '{name}'");
    assert_eq!(number(&observer.connect().await, &query).await, 0);
}

#[tokio::test]
async fn a_file_of_sqlite_is_made_and_removed() {
    let test = TestDatabase::sqlite();
    let database = test.connect().await;
    assert_eq!(number(&database, "SELECT 7").await, 7);
    let file = test.url().trim_start_matches("sqlite://").trim_end_matches("?mode=rwc").to_owned();
    assert!(std::path::Path::new(&file).exists());
    drop((database, test));
    assert!(!std::path::Path::new(&file).exists());
}

#[tokio::test]
async fn a_database_behind_a_cut_wire_fails_and_comes_back() {
    let test = TestDatabase::postgres().await;
    let wire = Proxy::before(test.url());
    let database = Database::connect(wire.url()).await.unwrap();
    assert_eq!(number(&database, "SELECT 1").await, 1);

    wire.refuse();
    eventually("the database is away", || async { database.execute_unprepared("SELECT 1").await.is_err() }).await;
    wire.resume();
    eventually("the database is back", || async { database.execute_unprepared("SELECT 1").await.is_ok() }).await;
}

#[tokio::test]
async fn a_message_published_through_a_wire_is_taken_from_the_queue() {
    let mut broker = TestBroker::new();
    assert_eq!(broker.depth().await, None);
    let wire = Proxy::before(broker.url());
    let connection = lapin::Connection::connect(wire.url(), lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let (exchange, queue) = (broker.exchange().to_owned(), broker.queue().to_owned());
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let bind = QueueBindOptions::default();
    channel.queue_bind(queue.as_str().into(), exchange.as_str().into(), "#".into(), bind, FieldTable::default()).await.unwrap();
    let narrow = broker.bind("event.#").await;

    for (key, body) in [("event.bounce", r#"{"n":1}"#), ("suppression.added", r#"{"n":2}"#)] {
        let properties = BasicProperties::default().with_message_id(key.into()).with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let published = channel.basic_publish(exchange.as_str().into(), key.into(), options, body.as_bytes(), properties).await;
        assert!(published.unwrap().await.unwrap().is_ack());
    }
    assert_eq!(broker.depth().await, Some(2));
    let taken = broker.take(2).await;
    assert_eq!(taken.iter().map(|message| message.routing_key.as_str()).collect::<Vec<_>>(), ["event.bounce", "suppression.added"]);
    assert!(taken.iter().all(|message| message.persistent && !message.redelivered && message.exchange == exchange));
    assert_eq!((broker.depth().await, broker.depth_of(&narrow).await), (Some(0), Some(1)));
    assert_eq!(broker.take_from(&narrow, 1).await[0].body["n"], 1);

    wire.refuse();
    eventually("the connection is lost", || async { !connection.status().connected() }).await;
}

/// A server that says back what it hears.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut hears, mut says) = peer.split();
                let _ = tokio::io::copy(&mut hears, &mut says).await;
            });
        }
    });
    format!("amqp://{address}")
}

async fn connect(wire: &Proxy) -> std::io::Result<TcpStream> {
    TcpStream::connect(wire.url().trim_start_matches("amqp://")).await
}

async fn say(peer: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<[u8; 4]> {
    let mut answer = [0; 4];
    peer.write_all(word).await?;
    peer.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_cut_wire_breaks_connections_and_takes_new_ones() {
    let wire = Proxy::before(&echo().await);
    let mut old = connect(&wire).await.unwrap();
    assert_eq!(&say(&mut old, b"ping").await.unwrap(), b"ping");
    wire.cut();
    assert!(say(&mut old, b"ping").await.is_err());
    assert_eq!(&say(&mut connect(&wire).await.unwrap(), b"pong").await.unwrap(), b"pong");
    assert_eq!(wire.accepted(), 2);
}

#[tokio::test]
async fn a_refusing_wire_refuses_until_it_is_resumed_at_the_same_address() {
    let wire = Proxy::refusing(&echo().await);
    assert_eq!(connect(&wire).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    wire.resume();
    eventually("the wire is there", || async { connect(&wire).await.is_ok() }).await;
    wire.refuse();
    eventually("the wire is gone", || async { connect(&wire).await.is_err() }).await;
}

#[tokio::test]
async fn a_stalled_wire_holds_bytes_back_and_a_cut_loses_them() {
    let wire = Proxy::before(&echo().await);
    let mut peer = connect(&wire).await.unwrap();
    assert_eq!(&say(&mut peer, b"ping").await.unwrap(), b"ping");
    wire.stall();
    peer.write_all(b"held").await.unwrap();
    eventually("the wire holds the word", || async { wire.held() == 1 }).await;
    wire.resume();
    let mut answer = [0; 4];
    peer.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"held");

    wire.stall();
    peer.write_all(b"lost").await.unwrap();
    eventually("the wire holds the next word", || async { wire.held() == 2 }).await;
    wire.cut();
    assert!(peer.read_exact(&mut answer).await.is_err());
}

#[tokio::test]
async fn a_request_is_lost_or_done_as_the_wire_is_told() {
    let test = TestDatabase::postgres().await;
    for (outage, made) in [(Proxy::stall_at as fn(&Proxy, &'static str), 0), (Proxy::stall_answers_to, 1)] {
        let wire = Proxy::before(test.url());
        let database = Database::connect(wire.url()).await.unwrap();
        outage(&wire, "CREATE TABLE");
        let create = tokio::spawn(async move { database.execute_unprepared("CREATE TABLE made ()").await });
        eventually("the request hangs in the wire", || async { wire.held() > 0 }).await;
        wire.refuse();
        assert!(create.await.unwrap().is_err());
        assert_eq!(number(&test.connect().await, "SELECT count(*)::int FROM pg_tables WHERE tablename = 'made'").await, made);
    }
}

#[test]
fn the_program_of_this_build_runs() {
    assert!(rebound().arg("--help").output().unwrap().status.success());
}
