mod spooled;

use std::sync::Arc;

use bounce::esp::{Credentials, Decoded, NoSample, Proof, Provider, Refusal, Sample, Unverified, Verified};
use bounce::kind::{Attribution, Kind};
use bounce::policy::{Act, Cause};
use bounce::report::Report;
use secrecy::SecretString;
use time::macros::datetime;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::config::{Size, Unattributed};
use crate::store::{
    ActRequest, Announces, Answer, Connect, Cursor, Erasing, ErasureRequest, Identity, Policies, ReceiptState, Selection, Visible, sha256,
};
use crate::telemetry::Erased;

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// Says a hard bounce of the address that the body is; panics at "panic".
#[derive(Debug)]
struct Plain;

impl Provider for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn prove(&self, _: &Unverified<'_>, _: &Credentials, _: OffsetDateTime) -> Result<Proof, Refusal> {
        Ok(Proof::of(Attribution::Signed))
    }

    fn sample(&self, _: &Credentials, _: OffsetDateTime) -> Result<Sample, NoSample> {
        Err(NoSample::OnlyProviderSigns)
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let body = String::from_utf8_lossy(post.post().body);
        assert!(body != "panic", "as asked");
        let reports = match Address::parse(&body) {
            Ok(address) => {
                let mut report = Report::new(Kind::Bounce, Some(address));
                report.diagnostic = Some("550 5.1.1 user \0 unknown".to_owned());
                report.occurred_at = Some(datetime!(9999-12-31 23:59 UTC));
                vec![report]
            }
            Err(_) => vec![],
        };
        let unrecognised = usize::from(reports.is_empty() && body != "ping");
        Decoded::new("plain", reports, vec![], unrecognised)
    }
}

/// The same sender, read by a better reader: one that neither panics nor fails to understand "no address".
#[derive(Debug)]
struct Better;

impl Provider for Better {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn prove(&self, post: &Unverified<'_>, credentials: &Credentials, now: OffsetDateTime) -> Result<Proof, Refusal> {
        Plain.prove(post, credentials, now)
    }

    fn sample(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Sample, NoSample> {
        Plain.sample(credentials, now)
    }

    fn decode(&self, post: &Verified<'_>) -> Decoded {
        let body = String::from_utf8_lossy(post.post().body);
        let text = body.trim_start_matches("address: ").to_owned();
        let who = if text == "panic" { "panicked@example.org" } else { &text };
        let mut report = Report::new(Kind::Bounce, Some(Address::parse(who).unwrap()));
        report.diagnostic = Some("550 5.2.2 mailbox is full".to_owned());
        Decoded::new("plain", vec![report], vec![], 0)
    }
}

struct Bench {
    intake: Intake,
    store: Arc<Store>,
    source: Arc<Source>,
    stop: CancellationToken,
    committer: Option<Committer>,
}

impl Bench {
    async fn new(queue: usize) -> Self {
        Self::with(IntakeConfig { queue, ..IntakeConfig::default() }).await
    }

    async fn with(config: IntakeConfig) -> Self {
        let connect = Connect {
            url: SecretString::from("sqlite::memory:"),
            max_connections: 1,
            min_connections: 1,
            acquire_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            announces: Announces::FeedsOnly,
        };
        let store = Arc::new(Store::connect(&connect, Identity::new(&SecretString::from("pepper")), Policies::default()).await.unwrap());
        store.migrate().await.unwrap();
        store.check_in().await.unwrap();
        let list = store.ensure_list("acme.weekly", None, NOW).await.unwrap();
        let source = Source {
            name: "plain".to_owned(),
            provider: &Plain,
            credentials: Credentials::default(),
            list,
            within: Arc::default(),
            list_from: vec![],
            unattributed: Unattributed::Provisional,
            tokens: Arc::default(),
        };
        let telemetry = Arc::new(Telemetry::new(["plain"]));
        let (intake, committer) =
            channel(store.clone(), RulesInForce::new(Rules::load(&[]).unwrap()), config, telemetry, Arc::new(Notify::new()));
        Self { intake, store, source: Arc::new(source), stop: CancellationToken::new(), committer: Some(committer) }
    }

    fn run(mut self) -> Self {
        if let Some(committer) = self.committer.take() {
            tokio::spawn(committer.run(Clock::from(|| NOW), self.stop.clone()));
        }
        self
    }

    async fn accept(&self, body: &str) -> Result<Outcome, IntakeError> {
        self.accept_with(&[], body).await
    }

    async fn accept_with(&self, tokens: &[&str], body: &str) -> Result<Outcome, IntakeError> {
        let arrival = Arrival {
            tokens: tokens.iter().map(|it| IncomingToken { token: sha256(&[it.as_bytes()]), digest: sha256(&[body.as_bytes()]) }).collect(),
            source: self.source.clone(),
            media_type: "text/plain; charset=utf-8".to_owned(),
            bytes: Bytes::copy_from_slice(body.as_bytes()),
            attribution: Attribution::Signed,
            received_at: NOW,
            list: None,
        };
        self.intake.accept(arrival).await
    }

    /// Reads what is stored again, by the source's reader or another one.
    fn reprocess(&self, provider: &'static dyn Provider) -> Reprocess {
        let source = Source { provider, ..(*self.source).clone() };
        Reprocess {
            store: self.store.clone(),
            sources: Sources::of([Arc::new(source)]),
            rules: Arc::new(Rules::load(&[]).unwrap()),
            max_fact_age: Duration::from_hours(90 * 24),
            clock: Clock::from(|| NOW),
        }
    }

    async fn cause(&self, who: &str) -> Option<Cause> {
        let address = Address::parse(who).unwrap();
        let answers = self.store.check(&self.source.list, &[address], NOW).await.unwrap();
        match &answers[0] {
            Answer::Clear => None,
            Answer::Suppressed(it) => Some(it.cause),
        }
    }

    async fn recipients(&self) -> Vec<String> {
        let page = self.store.events_after(Cursor::START, &Visible::All, 100).await.unwrap();
        page.items.into_iter().filter_map(|(_, who)| who.address).collect()
    }
}

#[tokio::test]
async fn a_panic_quarantines_its_receipt_and_the_next_one_is_fine() {
    let bench = Bench::new(8).await.run();
    let outcome = bench.accept("panic").await.unwrap();
    let Some(Accepted::New { receipt, events, .. }) = outcome.accepted else { panic!("{outcome:?}") };
    assert_eq!(events, []);
    assert_eq!(bench.store.receipt_state(receipt).await.unwrap(), Some(ReceiptState::Quarantined));
    bench.accept("jane@example.org").await.unwrap();
    assert_eq!(bench.recipients().await, ["jane@example.org"]);
}

#[tokio::test]
async fn what_says_nothing_is_kept_unless_it_means_nothing() {
    let bench = Bench::new(8).await.run();
    let Some(Accepted::New { receipt, .. }) = bench.accept("no address").await.unwrap().accepted else { panic!("not kept") };
    assert_eq!(bench.store.receipt_state(receipt).await.unwrap(), Some(ReceiptState::Unrecognised));
    assert!(bench.accept("ping").await.unwrap().accepted.is_none());
}

#[tokio::test]
async fn ten_copies_are_one_receipt_and_one_event() {
    let bench = Bench::new(32).await.run();
    let outcomes = futures_util::future::join_all((0..10).map(|_| bench.accept("jane@example.org"))).await;
    let new = outcomes.iter().filter(|it| matches!(it.as_ref().unwrap().accepted, Some(Accepted::New { .. }))).count();
    assert_eq!((new, bench.recipients().await.len()), (1, 1));
}

#[tokio::test]
async fn a_full_queue_says_come_again_at_once() {
    let mut bench = Bench::new(1).await;
    let committer = bench.committer.take().unwrap();
    let first = bench.accept("jane@example.org");
    tokio::pin!(first);
    // One poll puts it into the queue; nobody commits.
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    assert!(matches!(bench.accept("john@example.org").await, Err(IntakeError::Full(1))));
    tokio::spawn(committer.run(Clock::from(|| NOW), bench.stop.clone()));
    first.await.unwrap();
    assert_eq!(bench.recipients().await, ["jane@example.org"]);
}

#[tokio::test]
async fn what_waits_at_the_end_is_still_committed() {
    let mut bench = Bench::new(8).await;
    let committer = bench.committer.take().unwrap();
    let first = bench.accept("jane@example.org");
    tokio::pin!(first);
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    bench.stop.cancel();
    let ((), accepted) = tokio::join!(committer.run(Clock::from(|| NOW), bench.stop.clone()), first);
    assert!(accepted.unwrap().accepted.is_some());
    assert!(matches!(bench.accept("john@example.org").await, Err(IntakeError::Stopping)));
}

#[tokio::test]
async fn a_time_in_the_future_is_when_it_was_received_and_nul_is_shown() {
    let bench = Bench::new(8).await.run();
    bench.accept("jane@example.org").await.unwrap();
    let page = bench.store.events_after(Cursor::START, &Visible::All, 1).await.unwrap();
    assert_eq!(page.items[0].0.occurred_at, NOW);
    assert_eq!(page.items[0].0.testimony.diagnostic.as_deref(), Some("550 5.1.1 user \u{2400} unknown"));
}

#[tokio::test]
async fn a_token_proves_one_body_however_often_it_comes() {
    let bench = Bench::new(8).await.run();
    let first = bench.accept_with(&["t"], "jane@example.org").await.unwrap();
    assert!(matches!(first.accepted, Some(Accepted::New { .. })));
    let again = bench.accept_with(&["t"], "jane@example.org").await.unwrap();
    assert!(matches!(again.accepted, Some(Accepted::Duplicate { .. })));
    let other = bench.accept_with(&["t"], "john@example.org").await.unwrap();
    assert!(matches!(other.accepted, Some(Accepted::Replayed)));
    assert_eq!(bench.recipients().await, ["jane@example.org"]);
}

#[tokio::test]
async fn of_several_tokens_none_proves_another_body() {
    let bench = Bench::new(8).await.run();
    bench.accept_with(&["own", "parent"], "jane@example.org").await.unwrap();
    for token in ["own", "parent"] {
        let other = bench.accept_with(&[token], "john@example.org").await.unwrap();
        assert!(matches!(other.accepted, Some(Accepted::Replayed)), "{token}");
    }
    let again = bench.accept_with(&["own", "parent"], "jane@example.org").await.unwrap();
    assert!(matches!(again.accepted, Some(Accepted::Duplicate { .. })));
}

#[tokio::test]
async fn a_post_that_does_not_matter_uses_up_its_token() {
    let bench = Bench::new(8).await.run();
    bench.accept_with(&["t"], "ping").await.unwrap();
    let other = bench.accept_with(&["t"], "john@example.org").await.unwrap();
    assert!(matches!(other.accepted, Some(Accepted::Replayed)));
}

#[tokio::test]
async fn a_queue_full_of_bytes_says_come_again_before_it_is_full_of_receipts() {
    let mut bench = Bench::with(IntakeConfig { queue: 8, queue_bytes: Size(64 << 10), ..IntakeConfig::default() }).await;
    let committer = bench.committer.take().unwrap();
    let large = "no address ".repeat(4000);
    let first = bench.accept(&large);
    tokio::pin!(first);
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    assert!(matches!(bench.accept(&large).await, Err(IntakeError::Full(8))), "43 KiB wait, 64 may");
    tokio::spawn(committer.run(Clock::from(|| NOW), bench.stop.clone()));
    first.await.unwrap();
    bench.accept(&large).await.unwrap();
}

#[tokio::test]
async fn what_was_not_understood_is_read_by_a_better_reader() {
    let bench = Bench::new(8).await.run();
    let mut receipts = Vec::new();
    for body in ["panic", "address: jane@example.org"] {
        let Some(Accepted::New { receipt, .. }) = bench.accept(body).await.unwrap().accepted else { panic!("not kept") };
        receipts.push(receipt);
    }
    let states = || async {
        let mut states = Vec::new();
        for receipt in &receipts {
            states.push(bench.store.receipt_state(*receipt).await.unwrap().unwrap());
        }
        states
    };
    let before = [ReceiptState::Quarantined, ReceiptState::Unrecognised];
    assert_eq!(states().await, before);
    let same = bench.reprocess(&Plain).apply(&Chosen::all(Selection::default(), "test"), |_| ()).await.unwrap();
    assert_eq!((same.read, same.failed, same.changes_anything()), (1, 1, false), "{same:?}");

    let quarantined = Selection { states: vec![ReceiptState::Quarantined], ..Selection::default() };
    let look = bench.reprocess(&Better).foresee(&Chosen::all(quarantined, "test"), |_| ()).await.unwrap();
    assert_eq!((look.read, look.other_state, look.new, look.differences.len()), (1, 1, 1, 0), "{look:?}");
    assert_eq!(states().await, before);
    let done = bench.reprocess(&Better).apply(&Chosen::all(Selection::default(), "test"), |_| ()).await.unwrap();
    assert_eq!((done.read, done.other_state, done.new), (2, 2, 2), "one full mailbox is not a block yet: {done:?}");
    assert_eq!(states().await, [ReceiptState::Processed; 2]);
    let mut recipients = bench.recipients().await;
    recipients.sort();
    assert_eq!(recipients, ["jane@example.org", "panicked@example.org"]);
}

#[tokio::test]
async fn a_release_and_an_erasure_outlast_reading_again() {
    let bench = Bench::new(8).await.run();
    for who in ["jane@example.org", "john@example.org", "jim@example.org"] {
        bench.accept(who).await.unwrap();
        assert_eq!(bench.cause(who).await, Some(Cause::Hard));
    }
    let root = bench.store.list("acme").await.unwrap();
    let address = |who: &str| Address::parse(who).unwrap();
    let release = ActRequest { list: root, address: &address("jane@example.org"), acts: &[Act::Release.into()], actor: "ann", note: None };
    bench.store.act(release, NOW).await.unwrap();
    for (who, block) in [("john@example.org", Erased::Kept), ("jim@example.org", Erased::Forgotten)] {
        let request = ErasureRequest { address: &address(who), block, actor: "ann", erasing: Erasing::Do };
        bench.store.erase(request, NOW).await.unwrap();
    }
    let all = Chosen::all(Selection::default(), "test");
    let same = bench.reprocess(&Plain).apply(&all, |_| ()).await.unwrap();
    assert_eq!((same.read, same.without_bytes, same.changes_anything()), (1, 2, false), "{same:?}");
    let other = bench.reprocess(&Better).apply(&all, |_| ()).await.unwrap();
    assert_eq!((other.changed, other.differences.len()), (1, 0), "{other:?}");
    assert_eq!(bench.reprocess(&Plain).apply(&all, |_| ()).await.unwrap().changed, 1);
    for (who, cause) in [("jane@example.org", None), ("john@example.org", Some(Cause::Hard)), ("jim@example.org", None)] {
        assert_eq!(bench.cause(who).await, cause, "{who}");
    }
}

#[tokio::test]
async fn a_source_that_is_gone_leaves_its_receipts_as_they_were() {
    let bench = Bench::new(8).await.run();
    bench.accept("jane@example.org").await.unwrap();
    let reprocess = Reprocess { sources: Sources::default(), ..bench.reprocess(&Better) };
    let done = reprocess.apply(&Chosen::all(Selection::default(), "test"), |_| ()).await.unwrap();
    assert_eq!((done.without_source, done.changes_anything()), (1, false), "{done:?}");
    assert_eq!(bench.cause("jane@example.org").await, Some(Cause::Hard));
}

#[tokio::test]
async fn a_run_goes_on_where_it_stopped() {
    let bench = Bench::new(8).await.run();
    for number in 0..3 {
        bench.accept(&format!("person{number}@example.org")).await.unwrap();
    }
    let mut last = None;
    let all = Chosen::all(Selection::default(), "test");
    bench.reprocess(&Plain).foresee(&all, |it| last = Some((it.receipts, it.last))).await.unwrap();
    let (count, last) = last.unwrap();
    assert_eq!(count, 3);
    let rest = Chosen { after: Some(last), ..all };
    assert_eq!(bench.reprocess(&Better).apply(&rest, |_| ()).await.unwrap().read, 0);
}
