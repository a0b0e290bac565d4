//! Whoever can reach port 25 can try anything: talk slowly, talk without end, hold the line, come by thousands.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{TestDatabase, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::smtp_bench::{Bench, Client25, DSN, GONE, Mailed, swaks};

async fn memory(service: &Mailed) -> u64 {
    service.series("process_resident_memory_bytes").await
}

async fn refused(service: &Mailed, why: &str) -> u64 {
    service.series(&format!("rebound_smtp_refused_total{{protocol=\"smtp\",why=\"{why}\"}}")).await
}

/// Whether somebody honest is served.
fn serves(bench: &Bench) -> bool {
    swaks(bench.lmtp, "<>", &bench.return_path(GONE), DSN, &["--protocol", "LMTP"]).0 == Some(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talks_slowly_is_cut_off() {
    let database = TestDatabase::sqlite();
    let bench =
        Bench::on(database.url()).with("SMTP__COMMAND_TIMEOUT", "1s").with("SMTP__DATA_TIMEOUT", "1s").with("SMTP__SESSION_TIMEOUT", "20s");
    let service = bench.serve().await;
    let text = format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{}>\r\nDATA\r\n", bench.return_path(GONE));
    for head in ["", &text] {
        let mut client = Client25::connect(bench.smtp).await;
        client.say(head).await;
        let slow = Mutex::new((client, Vec::new()));
        // An octet now and then does not make a line, and lines do not make a message.
        eventually("it is cut off", || async {
            let (client, heard) = &mut *slow.lock().await;
            let _ = client.output.write_all(b"N").await;
            let mut some = [0; 4096];
            let read = tokio::time::timeout(Duration::from_millis(50), client.input.read(&mut some)).await;
            if let Ok(Ok(read)) = read {
                heard.extend_from_slice(&some[..read]);
            }
            matches!(read, Ok(Ok(0) | Err(_)))
        })
        .await;
        let (_, heard) = slow.into_inner();
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.lines().next_back().unwrap().starts_with("421 4.4.2"), "{heard}");
    }
    assert_eq!(refused(&service, "timed_out").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_in_and_mistakes_and_half_closed_sockets_are_borne() {
    let database = TestDatabase::sqlite();
    let bench = Bench::on(database.url());
    let service = bench.serve().await;
    let path = bench.return_path(GONE);
    let envelope = format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{path}>\r\nDATA\r\n");
    let report = DSN.replace('\n', "\r\n");
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n"] {
        let mut client = Client25::connect(bench.smtp).await;
        client.say(&format!("{envelope}x{end}MAIL FROM:<>\r\nRCPT TO:<{path}>\r\nDATA\r\n{report}.\r\nQUIT\r\n")).await;
        assert_eq!(client.hear_all().await, ["220", "250", "250", "250", "354", "550"], "{end:?}");
    }
    assert_eq!(refused(&service, "bare_line_end").await, 5);
    assert!(!service.refuses("acme.weekly", GONE).await);
    // All at once, the way out closed behind it: every answer still comes.
    let mut client = Client25::connect(bench.smtp).await;
    client.say(&format!("{envelope}{report}.\r\nNOOP\r\nQUIT\r\n")).await;
    client.output.shutdown().await.unwrap();
    assert_eq!(client.hear_all().await, ["220", "250", "250", "250", "354", "250", "250", "221"]);
    assert!(service.refuses("acme.weekly", GONE).await);
    // Half a message is none.
    let mut client = Client25::connect(bench.smtp).await;
    client.say(&format!("{envelope}{}", report.replace("jane@", "ann@"))).await;
    client.output.shutdown().await.unwrap();
    assert_eq!(client.hear_all().await, ["220", "250", "250", "250", "354"]);
    assert_eq!(service.attributions().await.len(), 1);
    let mut client = Client25::connect(bench.smtp).await;
    client.say(&"HUH\r\n".repeat(1000)).await;
    let heard = client.hear_all().await;
    assert_eq!((heard.len(), heard.last().map(String::as_str)), (23, Some("421")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_without_listening_is_not_waited_for() {
    let database = TestDatabase::sqlite();
    let bench = Bench::on(database.url()).with("SMTP__COMMAND_TIMEOUT", "1s").with("SMTP__MAX_COMMANDS", "1000000");
    let service = bench.serve().await;
    let before = memory(&service).await;
    let mut client = TcpStream::connect(("127.0.0.1", bench.smtp)).await.unwrap();
    let helps = "HELP\r\n".repeat(10_000);
    let closed = async {
        loop {
            if client.write_all(helps.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), closed).await.expect("it is closed");
    assert!(memory(&service).await < before + (64 << 20));
    assert!(serves(&bench));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_at_once_are_as_many_as_may_be_and_cost_no_more() {
    const MAY_BE: usize = 200;
    let database = TestDatabase::sqlite();
    let bench = Bench::on(database.url())
        .with("SMTP__MAX_CONNECTIONS", &MAY_BE.to_string())
        .with("SMTP__MAX_CONNECTIONS_PER_ADDRESS", "10000")
        .with("SMTP__RATE_LIMIT", "0")
        .with("SMTP__MAX_MESSAGE", "4 MiB")
        .with("SMTP__MAX_BYTES", "16 MiB");
    let service = bench.serve().await;
    let before = memory(&service).await;
    let opened = service.series("rebound_smtp_sessions_total{protocol=\"smtp\"}").await;
    let clients = join_all((0..2000).map(|_| async {
        let stream = TcpStream::connect(("127.0.0.1", bench.smtp)).await.expect("2000 files may be open: ulimit -n");
        let (input, output) = stream.into_split();
        Client25 { input: tokio::io::BufReader::new(input), output }
    }))
    .await;
    let greeted = join_all(clients.into_iter().map(|mut client| async move {
        let code = client.hear().await;
        (code, client)
    }))
    .await;
    let (inside, outside): (Vec<_>, Vec<_>) = greeted.into_iter().partition(|(code, _)| code.starts_with("220"));
    assert_eq!((inside.len(), outside.iter().filter(|(code, _)| code.starts_with("421 4.3.2")).count()), (MAY_BE, 2000 - MAY_BE));
    assert_eq!(service.series("rebound_smtp_sessions_total{protocol=\"smtp\"}").await, opened + MAY_BE as u64);
    assert_eq!(service.series("rebound_smtp_sessions_open{protocol=\"smtp\"}").await, MAY_BE as u64);
    drop(outside);
    // Each of those inside begins a message of a mebibyte, of which there is room for sixteen.
    let path = bench.return_path(GONE);
    let line = format!("{}\r\n", "x".repeat(1022));
    let heard = join_all(inside.into_iter().map(|(_, mut client)| {
        let (path, line) = (path.as_str(), line.as_str());
        async move {
            client.say(&format!("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<{path}>\r\nDATA\r\n{}", line.repeat(1024))).await;
            client
        }
    }))
    .await;
    assert!(memory(&service).await < before + (80 << 20), "{} of {before}", memory(&service).await);
    assert!(serves(&bench), "neighbours have connections of their own");
    let ended = join_all(heard.into_iter().map(|mut client| async move {
        client.say(".\r\nQUIT\r\n").await;
        client.hear_all().await.split_off(4)
    }))
    .await;
    let told = |code: &str| ended.iter().filter(|it| **it == [code, "221"]).count();
    assert_eq!(told("250") + told("452"), MAY_BE, "{ended:?}");
    assert!((1..=16).contains(&told("250")), "{}", told("250"));
    eventually("all are gone", || async { service.series("rebound_smtp_sessions_open{protocol=\"smtp\"}").await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_and_no_more_a_minute() {
    let database = TestDatabase::sqlite();
    let bench = Bench::on(database.url()).with("SMTP__MAX_CONNECTIONS_PER_ADDRESS", "3").with("SMTP__RATE_LIMIT", "10");
    let service = bench.serve().await;
    // `serve` has tried whether it listens: that counted too.
    let mut inside = Vec::new();
    let mut told = String::new();
    while told.is_empty() {
        let mut client = Client25::connect(bench.smtp).await;
        let heard = client.hear().await;
        if heard.starts_with("220") {
            inside.push(client);
        } else {
            told = heard;
        }
        assert!(inside.len() <= 3);
    }
    assert!(told.starts_with("421 4.7.0"), "{told}");
    assert!(refused(&service, "address_connections").await >= 1);
    drop(inside);
    eventually("they are gone", || async { service.series("rebound_smtp_sessions_open{protocol=\"smtp\"}").await == 0 }).await;
    let mut last = String::new();
    for _ in 0..12 {
        let mut client = Client25::connect(bench.smtp).await;
        last = client.hear().await;
        client.say("QUIT\r\n").await;
        client.hear_all().await;
    }
    assert!(last.starts_with("421 4.7.0"), "{last}");
    assert!(serves(&bench));
}
