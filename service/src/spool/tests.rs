use std::path::Path;

use bounce::kind::Attribution;
use bytes::Bytes;
use time::macros::datetime;

use super::*;
use crate::config::Size;
use crate::store::ReceiptId;

/// An entry of so many octets that do not compress.
fn entry(octets: usize) -> Entry {
    let mut bytes = vec![0; octets];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    Entry {
        id: ReceiptId::new(),
        source: "ses".to_owned(),
        list: None,
        received_at: Clock::system().now().replace_nanosecond(0).unwrap(),
        media_type: "application/json".to_owned(),
        attribution: Attribution::Signed,
        tokens: Vec::new(),
        bytes: Bytes::from(bytes),
    }
}

fn config(path: &Path) -> SpoolConfig {
    SpoolConfig { path: path.to_owned(), ..SpoolConfig::default() }
}

fn open(config: &SpoolConfig) -> Result<Spool, SpoolError> {
    Spool::open(config, Role::Keeper, Arc::new(Telemetry::new(["ses"])), &Clock::system())
}

/// Everything that waits, the oldest first.
async fn waiting(spool: &Spool) -> Vec<Entry> {
    let mut entries = Vec::new();
    for batch in spool.oldest(1000).await.unwrap() {
        entries.extend(spool.read(&batch).await.unwrap().entries);
    }
    entries
}

fn files(folder: &Path, place: &str) -> usize {
    std::fs::read_dir(folder.join(place)).unwrap().count()
}

#[tokio::test]
async fn what_is_kept_is_there_after_a_restart_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    let entries: Vec<Entry> = (0..5).map(|it| entry(it * 10)).collect();
    for it in &entries {
        spool.keep(it.clone()).await.unwrap();
    }
    assert_eq!(spool.figures(Clock::system().now()).entries, 5);
    drop(spool);
    let spool = open(&config(folder.path())).unwrap();
    assert_eq!(spool.figures(Clock::system().now()).entries, 5);
    assert_eq!(waiting(&spool).await, entries);
    for batch in spool.oldest(1000).await.unwrap() {
        spool.done(&batch, 0).await.unwrap();
    }
    assert_eq!((waiting(&spool).await, spool.figures(Clock::system().now())), (Vec::new(), SpoolFigures::default()));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    let entries: Vec<Entry> = (0..500).map(|_| entry(1000)).collect();
    let kept = futures_util::future::join_all(entries.iter().map(|it| spool.keep(it.clone()))).await;
    assert!(kept.iter().all(Result::is_ok));
    assert!(files(folder.path(), "new") < 250, "{} files", files(folder.path(), "new"));
    let mut ids: Vec<ReceiptId> = waiting(&spool).await.iter().map(|it| it.id).collect();
    ids.sort();
    assert_eq!(ids, entries.iter().map(|it| it.id).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = SpoolConfig { max_bytes: Size(5000), max_entry: Size(4000), ..config(folder.path()) };
    let spool = open(&small).unwrap();
    let refused = |it: Result<(), SpoolError>| it.unwrap_err().why();
    assert_eq!(refused(spool.keep(entry(4001)).await), Unspooled::TooLarge);
    spool.keep(entry(3000)).await.unwrap();
    assert_eq!(refused(spool.keep(entry(3000)).await), Unspooled::Full);
    assert!(spool.has_room(Clock::system().now()), "a smaller one fits");
    spool.keep(entry(100)).await.unwrap();
    assert_eq!((waiting(&spool).await.len(), files(folder.path(), "tmp")), (2, 0));
}

#[tokio::test]
async fn once_the_oldest_has_waited_too_long_no_more_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    spool.keep(entry(1)).await.unwrap();
    let late = datetime!(2200-01-01 00:00 UTC);
    let refused = spool.keep(Entry { received_at: late, ..entry(1) }).await.unwrap_err();
    assert!(matches!(refused, SpoolError::TooOld(_)), "{refused}");
    assert!(!spool.has_room(late));
    assert_eq!(waiting(&spool).await.len(), 1);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    std::fs::rename(folder.path().join("new"), folder.path().join("gone")).unwrap();
    assert!(matches!(spool.keep(entry(1)).await, Err(SpoolError::Write(_))));
    assert_eq!(files(folder.path(), "tmp"), 0);
    std::fs::rename(folder.path().join("gone"), folder.path().join("new")).unwrap();
    spool.keep(entry(1)).await.unwrap();
    assert_eq!(waiting(&spool).await.len(), 1);
}

#[tokio::test]
async fn a_second_process_is_told_and_a_guest_may_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    let error = open(&config(folder.path())).unwrap_err();
    assert!(matches!(error, SpoolError::InUse(_)) && error.to_string().contains("spool.path"), "{error}");
    let guest = Spool::open(&config(folder.path()), Role::Guest, Arc::new(Telemetry::new([])), &Clock::system()).unwrap();
    guest.keep(entry(1)).await.unwrap();
    assert_eq!((waiting(&spool).await.len(), spool.figures(Clock::system().now()).entries), (1, 1));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(open(&config(&file)), Err(SpoolError::Folder { .. })));
}

#[tokio::test]
async fn damage_is_kept_and_the_rest_of_the_file_drains() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    let entries: Vec<Entry> = (0..3).map(|_| entry(50)).collect();
    spool.put_back(entries.clone()).await.unwrap();
    let batch = spool.oldest(10).await.unwrap().remove(0);
    let path = folder.path().join("new").join(batch.0.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let content = spool.read(&batch).await.unwrap();
    assert_eq!((content.entries, content.damaged), (vec![entries[0].clone(), entries[2].clone()], 1));
    spool.done(&batch, content.damaged).await.unwrap();
    assert_eq!((files(folder.path(), "new"), files(folder.path(), "corrupt")), (0, 1));
    assert_eq!(std::fs::read(folder.path().join("corrupt").join(batch.0.to_string())).unwrap(), bytes);
}

#[tokio::test]
async fn what_is_held_is_tried_again_at_the_next_start_and_what_failed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&config(folder.path())).unwrap();
    let (held, failed) = (entry(1), entry(2));
    spool.set_aside(Aside::Held, vec![held.clone()]).await.unwrap();
    spool.set_aside(Aside::Failed, vec![failed]).await.unwrap();
    assert_eq!(waiting(&spool).await, []);
    drop(spool);
    let spool = open(&config(folder.path())).unwrap();
    assert_eq!(waiting(&spool).await, [held]);
    assert_eq!(files(folder.path(), "failed"), 1);
}
