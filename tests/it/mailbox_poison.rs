//! A message over which the server stumbles does not keep the others from being fetched. No real server does so on demand; the one
//! here speaks just enough IMAP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use harness::{TestDatabase, eventually};
use service::config::{After, MailboxConfig, MailboxTls, RotatingSecret};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::mailbox_fixture::{bounce_of, fetching, person, series};

/// What the server has.
#[derive(Default)]
struct Folders {
    inbox: BTreeSet<u32>,
    moved: BTreeMap<String, BTreeSet<u32>>,
    broken: usize,
}

/// Of messages 1 to 6, the second comes garbled, the third breaks the connection, the fourth is refused and the fifth says that it is
/// smaller than it is.
async fn serve(stream: TcpStream, folders: Arc<Mutex<Folders>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"* OK ready\r\n").await?;
    let mut line = String::new();
    while {
        line.clear();
        stream.read_line(&mut line).await? > 0
    } {
        let (tag, command) = line.trim_end().split_once(' ').unwrap_or_default();
        let mut answer = Vec::new();
        let mut verdict = "OK done";
        let uids: Vec<u32> = command.split(' ').nth(2).map(set).unwrap_or_default();
        if command.starts_with("CAPABILITY") {
            answer.extend(b"* CAPABILITY IMAP4rev1 MOVE\r\n");
        } else if command.starts_with("LIST") {
            answer.extend(b"* LIST () \"/\" there\r\n");
        } else if command.starts_with("SELECT") {
            answer.extend(b"* OK [UIDVALIDITY 9] valid\r\n");
        } else if command.starts_with("UID SEARCH") {
            let inbox = folders.lock().unwrap().inbox.clone();
            let found: Vec<String> = inbox.iter().map(u32::to_string).collect();
            answer.extend(format!("* SEARCH {}\r\n", found.join(" ")).bytes());
        } else if command.ends_with("(UID RFC822.SIZE)") {
            answer.extend(uids.iter().flat_map(|it| format!("* {it} FETCH (UID {it} RFC822.SIZE 900)\r\n").into_bytes()));
        } else if command.starts_with("UID FETCH") {
            for uid in &uids {
                let body = if *uid == 5 { vec![b'x'; 70_000] } else { bounce_of(&person(*uid as usize)) };
                let text = match uid {
                    2 => b"* 2 FETCH (UID two BODY[] {3}\r\nabc)\r\n".to_vec(),
                    3 => {
                        folders.lock().unwrap().broken += 1;
                        return stream.shutdown().await;
                    }
                    4 => {
                        verdict = "NO that one is broken";
                        Vec::new()
                    }
                    _ => [format!("* {uid} FETCH (UID {uid} BODY[]<0> {{{}}}\r\n", body.len()).as_bytes(), &body, b")\r\n"].concat(),
                };
                answer.extend(text);
            }
        } else if command.starts_with("UID MOVE") {
            let to = command.rsplit(' ').next().unwrap_or_default().trim_matches('"').to_owned();
            let mut folders = folders.lock().unwrap();
            folders.inbox.retain(|it| !uids.contains(it));
            folders.moved.entry(to).or_default().extend(uids);
        }
        answer.extend(format!("{tag} {verdict}\r\n").bytes());
        stream.write_all(&answer).await?;
    }
    Ok(())
}

/// `1:3,7`
fn set(text: &str) -> Vec<u32> {
    let ends = |range: &str| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
    };
    text.split(',').filter_map(ends).flatten().collect()
}

#[tokio::test]
async fn messages_over_which_the_server_stumbles_are_set_aside() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folders = Arc::new(Mutex::new(Folders { inbox: (1..=6).collect(), ..Folders::default() }));
    let mailbox = MailboxConfig {
        port: listener.local_addr().unwrap().port(),
        tls: MailboxTls::None,
        password: Some(RotatingSecret::new("any")),
        poll_interval: std::time::Duration::from_millis(50),
        backoff_min: std::time::Duration::from_millis(5),
        backoff_max: std::time::Duration::from_millis(20),
        max_size: service::config::Size(64 * 1024),
        ..MailboxConfig::new("box", "127.0.0.1", "box", "bounces")
    };
    assert_eq!(mailbox.after, After::Move);
    tokio::spawn({
        let folders = folders.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, folders.clone()));
            }
        }
    });
    let database = TestDatabase::sqlite();
    let app = fetching(&database, vec![mailbox]).await;
    let left = || folders.lock().unwrap().inbox.clone();
    eventually("one is left", || async { left() == BTreeSet::from([4]) }).await;
    // A server that refuses all there is may refuse everything for a while. Only where it gives others, that one is at fault.
    let mut last = 6;
    while !left().is_empty() {
        last += 1;
        assert!(last < 12, "it is asked for, but not for ever");
        folders.lock().unwrap().inbox.insert(last);
        eventually("another one is taken", || async { !left().contains(&last) }).await;
    }
    assert!(last > 6);
    let moved = folders.lock().unwrap().moved.clone();
    assert_eq!(moved["Rebound-Processed"], (6..=last).chain([1]).collect());
    assert_eq!(moved["Rebound-Failed"], BTreeSet::from([2, 3, 4, 5]));
    for number in [1, 6, last as usize] {
        assert!(app.is_suppressed(&person(number)).await);
    }
    let counted = |why: &'static str| series(&app, "rebound_mailbox_messages_total", why);
    assert_eq!((counted("unreadable").await, counted("too_large").await), (3, 1));
    assert_eq!(folders.lock().unwrap().broken, 3, "it comes back, but not for ever");
    app.stop().await;
}
