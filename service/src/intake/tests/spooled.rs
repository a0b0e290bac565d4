//! What goes to the spool, and comes back from it.

use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::config::SpoolConfig;
use crate::spool::{Entry, Found, Presence, Role, Spool};
use crate::telemetry::Telemetry;

/// A bench with a spool, and what is known of its database.
struct Spooled {
    bench: Bench,
    presence: Presence,
    folder: TempDir,
}

fn open(folder: &Path, telemetry: &Arc<Telemetry>) -> Arc<Spool> {
    let config = SpoolConfig { path: folder.to_owned(), ..SpoolConfig::default() };
    Arc::new(Spool::open(&config, Role::Keeper, telemetry.clone(), &Clock::from(|| NOW)).unwrap())
}

impl Spooled {
    async fn new(found: Found, patience: Duration) -> Self {
        let mut bench = Bench::new(8).await;
        let (folder, presence) = (tempfile::tempdir().unwrap(), Presence::new(found));
        let spool = open(folder.path(), &bench.intake.telemetry);
        bench.intake = bench.intake.clone().with_spool(spool, presence.clone(), patience);
        Self { bench, presence, folder }
    }

    async fn away() -> Self {
        Self::new(Found::Away, Duration::from_secs(5)).await
    }

    /// Empties the spool into the database, which is there, for these sources, until nothing waits.
    async fn drain(&mut self, sources: Sources) {
        if let Some(committer) = self.bench.committer.take() {
            tokio::spawn(committer.run(Clock::from(|| NOW), self.bench.stop.clone()));
        }
        let stop = CancellationToken::new();
        let drain = self.bench.intake.drain(self.bench.store.clone(), sources, Duration::ZERO).unwrap().run(stop.clone());
        tokio::spawn(drain);
        let spool = self.bench.intake.spool().unwrap();
        while !self.presence.is_there() || spool.figures(NOW).entries > 0 || !spool.oldest(1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    }

    fn sources(&self) -> Sources {
        Sources::of([self.bench.source.clone()])
    }

    fn drained(&self, outcome: &str) -> u64 {
        let page = self.bench.intake.telemetry.render();
        let series = format!("rebound_spool_drained_total{{outcome=\"{outcome}\"}} ");
        page.lines().find_map(|it| it.strip_prefix(&series)).unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn while_the_database_is_away_nobody_waits_and_nothing_is_lost() {
    let mut it = Spooled::away().await;
    for who in ["jane@example.org", "john@example.org", "jane@example.org"] {
        let outcome = it.bench.accept(who).await.unwrap();
        assert!(outcome.spooled.is_some() && outcome.accepted.is_none(), "{outcome:?}");
    }
    let ping = it.bench.accept("ping").await.unwrap();
    assert!(ping.spooled.is_none(), "what means nothing is not kept");
    let sources = it.sources();
    it.drain(sources).await;
    let mut recipients = it.bench.recipients().await;
    recipients.sort();
    assert_eq!(recipients, ["jane@example.org", "john@example.org"]);
    assert_eq!((it.drained("recorded"), it.drained("duplicate")), (2, 1));
    assert!(it.bench.accept("jim@example.org").await.unwrap().accepted.is_some());
}

#[tokio::test]
async fn what_takes_longer_than_patience_is_spooled_and_counts_once() {
    let mut it = Spooled::new(Found::There, Duration::from_millis(1)).await;
    let outcome = it.bench.accept("jane@example.org").await.unwrap();
    let id = outcome.spooled.expect("nobody commits it");
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!(it.bench.recipients().await, ["jane@example.org"]);
    assert_eq!(it.bench.store.receipt_state(id).await.unwrap(), Some(ReceiptState::Processed), "under the id of its acceptance");
}

#[tokio::test]
async fn a_receipt_committed_and_spooled_counts_once() {
    let mut it = Spooled::new(Found::There, Duration::from_secs(5)).await;
    tokio::spawn(it.bench.committer.take().unwrap().run(Clock::from(|| NOW), it.bench.stop.clone()));
    let first = it.bench.accept("jane@example.org").await.unwrap();
    assert!(matches!(first.accepted, Some(Accepted::New { .. })));
    assert!(it.presence.is_news(Found::Away));
    assert!(it.bench.accept("jane@example.org").await.unwrap().spooled.is_some());
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!((it.bench.recipients().await.len(), it.drained("duplicate")), (1, 1));
}

#[tokio::test]
async fn a_token_that_was_spooled_proves_one_body() {
    let mut it = Spooled::away().await;
    it.bench.accept_with(&["t"], "jane@example.org").await.unwrap();
    it.bench.accept_with(&["t"], "john@example.org").await.unwrap();
    it.bench.accept_with(&["t"], "jane@example.org").await.unwrap();
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!(it.bench.recipients().await, ["jane@example.org"]);
    assert_eq!((it.drained("recorded"), it.drained("replayed"), it.drained("duplicate")), (1, 1, 1));
}

#[tokio::test]
async fn what_has_no_source_any_more_is_held_until_it_has() {
    let mut it = Spooled::away().await;
    it.bench.accept("jane@example.org").await.unwrap();
    it.drain(Sources::default()).await;
    assert_eq!((it.bench.recipients().await, it.drained("held")), (Vec::new(), 1));
    assert_eq!(std::fs::read_dir(it.folder.path().join("held")).unwrap().count(), 1);

    // The next start.
    it.bench.intake.shelter = None;
    let spool = loop {
        // The loop that emptied it may take a moment to end.
        let config = SpoolConfig { path: it.folder.path().to_owned(), ..SpoolConfig::default() };
        match Spool::open(&config, Role::Keeper, it.bench.intake.telemetry.clone(), &Clock::from(|| NOW)) {
            Ok(spool) => break spool,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert!(it.presence.is_news(Found::Away));
    it.bench.intake = it.bench.intake.clone().with_spool(Arc::new(spool), it.presence.clone(), Duration::from_secs(5));
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!((it.bench.recipients().await, it.drained("recorded")), (vec!["jane@example.org".to_owned()], 1));
}

#[tokio::test]
async fn what_the_spool_does_not_take_is_told_to_come_again_and_leaves_nothing() {
    let mut it = Spooled::away().await;
    std::fs::remove_dir(it.folder.path().join("new")).unwrap();
    assert!(matches!(it.bench.accept("jane@example.org").await, Err(IntakeError::Away)));
    std::fs::create_dir(it.folder.path().join("new")).unwrap();
    it.bench.accept("john@example.org").await.unwrap();
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!(it.bench.recipients().await, ["john@example.org"]);
}

#[tokio::test]
async fn before_the_database_was_met_everything_waits() {
    let mut it = Spooled::new(Found::Unmet, Duration::from_secs(5)).await;
    let known = it.bench.source.clone();
    it.bench.source = Arc::new(Source { list: Arc::new(List::named_only("acme.weekly")), ..(*known).clone() });
    assert!(it.bench.accept("jane@example.org").await.unwrap().spooled.is_some());
    assert!(it.presence.is_news(Found::There));
    assert!(it.bench.accept("john@example.org").await.unwrap().spooled.is_some(), "its list is not known yet");
    it.bench.source = known;
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!(it.bench.recipients().await.len(), 2);
}

#[tokio::test]
async fn a_message_for_a_list_is_the_same_receipt_by_either_way() {
    let mut it = Spooled::away().await;
    let list = it.bench.store.list("acme").await.unwrap();
    let arrival = || Arrival {
        source: it.bench.source.clone(),
        media_type: "text/plain".to_owned(),
        bytes: Bytes::from_static(b"jane@example.org"),
        attribution: Attribution::Signed,
        received_at: NOW,
        tokens: Vec::new(),
        list: Some(list.clone()),
    };
    let (one, other) = (arrival(), arrival());
    it.bench.intake.accept(one).await.unwrap();
    let sources = it.sources();
    it.drain(sources).await;
    let again = it.bench.intake.accept(other).await.unwrap();
    assert!(matches!(again.accepted, Some(Accepted::Duplicate { .. })), "{again:?}");
}

#[tokio::test]
async fn a_list_that_is_not_there_holds_its_receipt() {
    let mut it = Spooled::away().await;
    let entry = Entry {
        id: ReceiptId::new(),
        source: "plain".to_owned(),
        list: Some("nobody".to_owned()),
        received_at: NOW,
        media_type: "text/plain".to_owned(),
        attribution: Attribution::Signed,
        tokens: Vec::new(),
        bytes: Bytes::from_static(b"jane@example.org"),
    };
    it.bench.intake.spool().unwrap().keep(entry).await.unwrap();
    let sources = it.sources();
    it.drain(sources).await;
    assert_eq!((it.bench.recipients().await.len(), it.drained("held")), (0, 1));
}

#[tokio::test]
async fn where_the_spool_takes_nothing_a_slow_database_has_all_its_time() {
    let mut it = Spooled::new(Found::There, Duration::from_millis(1)).await;
    std::fs::remove_dir(it.folder.path().join("new")).unwrap();
    let committer = it.bench.committer.take().unwrap();
    let (telemetry, stop) = (it.bench.intake.telemetry.clone(), it.bench.stop.clone());
    let commit = async {
        while telemetry.render().contains("rebound_spool_refused_total{why=\"failed\"} 0\n") {
            tokio::task::yield_now().await;
        }
        tokio::spawn(committer.run(Clock::from(|| NOW), stop));
    };
    let (outcome, ()) = tokio::join!(it.bench.accept("jane@example.org"), commit);
    assert!(outcome.unwrap().accepted.is_some());
    assert_eq!(it.bench.recipients().await, ["jane@example.org"]);
}
