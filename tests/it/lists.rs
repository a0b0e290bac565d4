//! Whole lists in and out, on the real databases: what goes out comes back, an import is one thing to undo, and nobody gets in
//! anybody's way.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;

use bounce::address::Address;
use bounce::classify::Rules;
use bounce::classify::reason::Reason;
use bounce::kind::{Attribution, BounceType, Kind};
use bounce::policy::{Act, Cause, Weight};
use futures_util::TryStreamExt as _;
use harness::{TestDatabase, eventually, eventually_some, store_on};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sea_orm::{ConnectionTrait, Statement};
use service::clock::Clock;
use service::intake::RulesInForce;
use service::listing::{Format, Spool};
use service::store::{
    Accepted, ActRequest, Answer, BulkRelease, Cursor, Erasing, ErasureRequest, IMPORT_COMPLETED, IMPORT_UNDONE, Import, ImportMode,
    ImportState, Incoming, IncomingFact, Keep, Known, List, ReceiptId, ReceiptState, ReleaseFilter, Store, Testimony, Undo, Visible,
};
use service::telemetry::{Erased, Telemetry};
use service::transfer::{Consent, Order, Ordered, Reach, TransferError, Transfers, export};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, macros::datetime};
use tokio::sync::Notify;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

/// A store with what brings lists into it.
pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    telemetry: Arc<Telemetry>,
    pub(crate) transfers: Transfers,
    pub(crate) list: Arc<List>,
}

impl Bench {
    pub(crate) async fn on(database: &TestDatabase) -> Self {
        Self::at(NOW, database).await
    }

    /// A process that looks at another clock.
    pub(crate) async fn at(now: OffsetDateTime, database: &TestDatabase) -> Self {
        Self::over(Arc::new(store_on(database).await), now).await
    }

    /// A process that has this way to the database.
    pub(crate) async fn over(store: Arc<Store>, now: OffsetDateTime) -> Self {
        for name in ["acme", "acme.weekly", "acme.daily"] {
            store.ensure_list(name, None, NOW).await.unwrap();
        }
        let telemetry = Arc::new(Telemetry::new([]));
        let rules = RulesInForce::new(Rules::load(&[]).unwrap());
        let transfers = Transfers::new(store.clone(), rules, telemetry.clone(), Arc::new(Notify::new()), Clock::from(move || now));
        let list = store.list("acme.weekly").await.unwrap();
        Self { store, telemetry, transfers, list }
    }

    async fn order(&self, text: &str) -> Ordered {
        let mut spool = Spool::new().unwrap();
        spool.write_all(text.as_bytes()).unwrap();
        let order = Order {
            list: self.list.clone(),
            actor: "tester".to_owned(),
            reach: Reach { confined: None, consent: Consent::MayBeOverridden },
            file: spool.finish().unwrap(),
            format: None,
            cause: None,
            mode: ImportMode::Real,
        };
        self.transfers.order(order).await.unwrap()
    }

    pub(crate) async fn import(&self, text: &str) -> Import {
        let Ordered::Ready(ready) = self.order(text).await else { panic!("it was imported before") };
        let import = self.transfers.carry_out(*ready, |_| ()).await.unwrap();
        assert_eq!((import.state, import.error.as_deref()), (ImportState::Completed, None));
        import
    }

    pub(crate) async fn undo(&self, import: &Import) -> u64 {
        let Undo::Begun(import) = self.store.begin_undo(import.id, "undoer", NOW).await.unwrap() else { panic!("not undone") };
        let (import, changed) = self.transfers.take_back(&import).await.unwrap();
        assert_eq!(import.state, ImportState::Undone);
        changed
    }

    /// The list, line by line in the order of the alphabet: that of the subjects depends on the pepper.
    pub(crate) async fn export(&self, format: Format) -> Vec<String> {
        let pieces = export(self.store.clone(), self.list.clone(), format, NOW).await.unwrap();
        let bytes: Vec<u8> = pieces.try_fold(Vec::new(), async |all, it| Ok([all, it.to_vec()].concat())).await.unwrap();
        let mut lines: Vec<String> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
        if format == Format::Ndjson {
            assert!(lines.pop().unwrap().starts_with("{\"done\":true,"));
        }
        let head = usize::from(format == Format::Csv);
        lines[head..].sort_unstable();
        lines
    }

    pub(crate) async fn suppressed(&self, address: &str) -> bool {
        let answers = self.store.check(&self.list, &[Address::parse(address).unwrap()], NOW).await.unwrap();
        matches!(answers[0], Answer::Suppressed(_))
    }

    async fn act(&self, address: &str, act: Act) {
        let address = Address::parse_entry(address).unwrap();
        let request = ActRequest {
            list: self.list.clone(),
            address: &address,
            acts: &[act.into()],
            actor: "a person",
            note: Some("asked".to_owned()),
        };
        self.store.act(request, NOW).await.unwrap();
    }

    /// Whether nobody ever had to begin again because of somebody else.
    fn assert_nobody_collided(&self) {
        let page = self.telemetry.render();
        assert!(page.contains("rebound_batches_retried_total 0"), "{page}");
    }
}

/// A line for each.
pub(crate) fn rows<T>(of: impl IntoIterator<Item = T>, line: impl Fn(T) -> String) -> String {
    of.into_iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn bounced(list: &Arc<List>, address: &str, at: OffsetDateTime) -> Incoming {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(format!("{}{address}", at.unix_timestamp()).bytes()) {
        *to = from;
    }
    let testimony = Testimony {
        kind: Kind::Bounce,
        bounce_type: Some(BounceType::Hard),
        reason: Some(Reason::UserUnknown),
        fault: Some(Reason::UserUnknown.fault()),
        status: "5.1.1".parse().ok(),
        reply: None,
        stage: None,
        diagnostic: None,
        feedback_type: None,
        reporting_mta: None,
        remote_mta: None,
        message_id: None,
        provider_event_id: None,
        rule: "code.5.1.1".to_owned(),
        rules_version: "1".to_owned(),
    };
    let fact = IncomingFact {
        list: list.clone(),
        address: Address::parse(address).unwrap(),
        testimony,
        attribution: Attribution::Signed,
        weight: Weight::Full,
        occurred_at: at,
        message_keys: vec![format!("message:{address}{at}")],
    };
    Incoming {
        id: ReceiptId::new(),
        source: "test".to_owned(),
        digest,
        list: list.clone(),
        received_at: NOW,
        media_type: "message/rfc822".to_owned(),
        size: 1,
        body: vec![],
        state: ReceiptState::Processed,
        error: None,
        attribution: Attribution::Signed,
        facts: vec![fact],
        deliveries: vec![],
        tokens: Vec::new(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

/// Lines of our own format: any cause on any list of the tree, with all that may be said of it.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = (0u8..30, prop::sample::select(Cause::ALL), 0usize..4, any::<[bool; 4]>(), 0i64..400, "[-=a-z\"é,]{0,5}");
    let line = line.prop_map(|(person, cause, list, [provisional, ends, dated, overrides], day, note)| {
        let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap();
        let address = if person == 0 { "@example.net".to_owned() } else { format!("person{person}@example.org") };
        let list = [None, Some("acme"), Some("acme.weekly"), Some("acme.weekly")][list];
        serde_json::json!({
            "address": address,
            "list": list,
            "cause": cause,
            "reason": (day % 3 == 0).then_some("user_unknown"),
            "provisional": provisional,
            "overrides_consent": overrides && cause == Cause::ManualAllow,
            "since": dated.then(|| time(NOW - Duration::hours(day * 7) - Duration::microseconds(day))),
            "expires_at": (ends || provisional).then(|| time(NOW + Duration::hours(day + 1))),
            "note": note,
        })
        .to_string()
    });
    prop::collection::vec(line, 1..40)
}

#[tokio::test]
async fn what_goes_out_comes_back_as_it_was_on_either_database() {
    let mut runner = TestRunner::deterministic();
    for round in 0..6 {
        let text = lines().new_tree(&mut runner).unwrap().current().join("\n");
        let mut exported = Vec::new();
        for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
            let bench = Bench::on(&database).await;
            // Beside what is imported, facts and a person's words.
            bench.store.commit(&[bounced(&bench.list, "person1@example.org", NOW - Duration::days(3))], NOW).await.unwrap();
            bench.act("person2@example.org", Act::Block).await;
            bench.act("person3@example.org", Act::AllowConsent).await;
            bench.import(&text).await;
            for format in [Format::Csv, Format::Ndjson] {
                let out = bench.export(format).await;
                let same = bench.import(&out.join("\r\n")).await;
                assert_eq!((same.counts.added, same.counts.updated, same.counts.refused), (0, 0, 0), "{round} {out:?}");
                assert_eq!(bench.export(format).await, out, "{round}: brought back to where it came from");
                let fresh = TestDatabase::sqlite();
                let other = Bench::on(&fresh).await;
                other.import(&out.join("\n")).await;
                assert_eq!(other.export(format).await, out, "{round}: brought to an empty list");
            }
            exported.push(bench.export(Format::Ndjson).await);
        }
        assert_eq!(exported[0], exported[1], "{round}: both databases say the same");
    }
}

#[tokio::test]
async fn an_import_is_one_thing_to_publish_and_to_undo() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let bench = Bench::on(&database).await;
        bench.store.commit(&[bounced(&bench.list, "person1@example.org", NOW - Duration::days(3))], NOW).await.unwrap();
        bench.act("person2@example.org", Act::Block).await;
        let before = bench.export(Format::Ndjson).await;
        let published = bench.store.outbox_state().await.unwrap().depth;
        let text = rows(0..1200, |it| format!("person{it}@example.org,unsubscribe\nperson{it}@example.org,hard"));
        let import = bench.import(&text).await;
        assert_eq!((import.counts.added, import.counts.unchanged), (2399, 1), "one bounced before");
        assert!(bench.suppressed("person7@example.org").await);
        let messages = bench.store.outbox_pending(i64::MIN, 100, NOW).await.unwrap().split_off(usize::try_from(published).unwrap());
        let [message] = &messages[..] else { panic!("one message for {} rows, not {}", import.counts.rows(), messages.len()) };
        assert_eq!((message.message_type.as_str(), message.message_id), (IMPORT_COMPLETED, import.id.0));
        assert_eq!(message.routing_key, "import.completed.plain.acme.weekly");
        assert!(message.payload.contains("\"added\":2399") && !message.payload.contains("example.org"), "{}", message.payload);
        assert!(matches!(bench.order(&text).await, Ordered::Known(known) if known.id == import.id));
        assert_eq!(bench.undo(&import).await, 2399);
        assert_eq!(bench.export(Format::Ndjson).await, before, "what others say remains");
        let last = bench.store.outbox_pending(i64::MIN, 100, NOW).await.unwrap().pop().unwrap();
        assert_eq!((last.message_type.as_str(), last.routing_key.as_str()), (IMPORT_UNDONE, "import.undone.plain.acme.weekly"));
        // A page ends before the oldest transaction that runs anywhere on the server, and other tests run there too.
        eventually("each entry is in the audit, in and out", || async {
            let changes = bench.store.changes_after(Cursor::START, &Visible::All, 10_000).await.unwrap();
            let (brought, taken): (Vec<_>, Vec<_>) =
                changes.items.iter().filter(|it| it.0.import == Some(import.id.0)).partition(|it| it.0.actor == "tester");
            (brought.len(), taken.len()) == (2399, 2399)
        })
        .await;
        assert_eq!(bench.import(&text).await.counts.added, 2399, "it can be imported again");
    }
}

#[tokio::test]
async fn an_import_that_stopped_is_gone_on_with_by_importing_again() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(&database).await;
    let text = rows(0..5000, |it| format!("person{it}@example.org"));
    let Ordered::Ready(ready) = bench.order(&text).await else { panic!("new") };
    let id = ready.import().id;
    let transfers = bench.transfers.clone();
    let stopped = bench
        .transfers
        .carry_out(*ready, |it| {
            if it.counts.added >= 1000 {
                tokio::spawn({
                    let transfers = transfers.clone();
                    async move { transfers.stop().await }
                });
            }
        })
        .await;
    assert!(matches!(stopped, Err(TransferError::Stopping)), "{stopped:?}");
    let import = bench.store.import(id, NOW).await.unwrap().unwrap();
    assert_eq!(import.state, ImportState::Failed);
    assert!((1000..5000).contains(&import.counts.added), "{import:?}");
    let published = bench.store.outbox_pending(0, 10, NOW).await.unwrap().pop().unwrap();
    assert_eq!((published.message_type.as_str(), published.message_id), (IMPORT_COMPLETED, id.0));
    assert!(published.payload.contains("\"state\":\"failed\"") && published.payload.contains("stopped"), "{}", published.payload);
    let again = Bench::on(&database).await;
    let rest = again.import(&text).await;
    assert_eq!((rest.counts.added + import.counts.added, rest.counts.unchanged), (5000, import.counts.added));
    // What the first brought, the second has said too.
    again.undo(&import).await;
    assert_eq!(again.export(Format::Plain).await.len(), 5000);
}

#[tokio::test]
async fn what_a_dead_process_had_begun_to_undo_another_ends() {
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(&database).await;
    let import = bench.import(&rows(0..2700, |it| format!("person{it}@example.org"))).await;
    let Undo::Begun(begun) = bench.store.begin_undo(import.id, "undoer", NOW).await.unwrap() else { panic!("not begun") };
    bench.store.undo_rows(&begun, None, NOW).await.unwrap();
    assert_eq!(bench.export(Format::Plain).await.len(), 700, "it died after one step");
    bench.transfers.resume().await.unwrap();
    assert!(matches!(bench.store.begin_undo(import.id, "hasty", NOW).await.unwrap(), Undo::NotNow(_)), "it may yet live");
    let later = Bench::at(NOW + Duration::minutes(10), &database).await;
    later.transfers.resume().await.unwrap();
    let undone = async || later.store.import(import.id, NOW).await.unwrap().filter(|it| it.state == ImportState::Undone);
    let import = eventually_some("the import undone", undone).await;
    assert_eq!((import.state, import.undone_by.as_deref()), (ImportState::Undone, Some("undoer")));
    assert_eq!(later.export(Format::Plain).await, Vec::<String>::new());
}

#[tokio::test]
async fn imports_checks_events_and_a_release_at_once_neither_deadlock_nor_lose_anything() {
    const PEOPLE: usize = 3000;
    let database = TestDatabase::postgres().await;
    let (one, two, third) = (Bench::on(&database).await, Bench::on(&database).await, Bench::on(&database).await);
    let people: Vec<String> = (0..PEOPLE).map(|it| format!("person{it}@example.org")).collect();
    one.import(&rows(&people, String::clone)).await;
    let forwards = rows(&people, |it| format!("{it},complaint"));
    let backwards = rows(people.iter().rev(), |it| format!("{it},unsubscribe"));
    let incoming: Vec<Incoming> = people.iter().rev().map(|it| bounced(&third.list, it, NOW - Duration::days(1))).collect();
    let asked: Vec<Address> = people.iter().map(|it| Address::parse(it).unwrap()).collect();
    let importing = async { (one.import(&forwards).await, two.import(&backwards).await) };
    let importing_too = async {
        let Ordered::Ready(ready) = two.order(&format!("{backwards}\n")).await else { panic!("new") };
        two.transfers.carry_out(*ready, |_| ()).await.unwrap()
    };
    let events = async {
        for batch in incoming.chunks(70) {
            let accepted = third.store.commit(batch, NOW).await.unwrap();
            assert!(accepted.iter().all(|it| matches!(it, Accepted::New { .. })));
        }
    };
    let releasing = async {
        let selection = ReleaseFilter { cause: Some(Cause::Import), ..ReleaseFilter::default() };
        let mut bulk = BulkRelease::new(third.store.list("acme").await.unwrap(), &selection, "releaser", None);
        let mut released = 0;
        while let Some(changes) = third.store.release_next(&mut bulk, NOW).await.unwrap() {
            released += changes.len();
        }
        assert_eq!(released, PEOPLE, "each once");
    };
    let check = async |bench: &Bench| {
        let mut blocked = BTreeSet::new();
        for _ in 0..5 {
            let answers = bench.store.check(&bench.list, &asked, NOW).await.unwrap();
            let lasts = |it: &Answer| matches!(it, Answer::Suppressed(it) if it.cause != Cause::Import);
            let now: BTreeSet<usize> = answers.iter().enumerate().filter(|it| lasts(it.1)).map(|it| it.0).collect();
            assert!(now.is_superset(&blocked), "nobody is mailed again whom nobody released");
            blocked = now;
        }
    };
    tokio::join!(importing, importing_too, events, releasing, check(&one), check(&two), check(&third));
    let lines = one.export(Format::Csv).await;
    for (cause, expected) in [(Cause::Hard, PEOPLE), (Cause::Complaint, PEOPLE), (Cause::Unsubscribe, PEOPLE), (Cause::Import, 0)] {
        let found: BTreeSet<&str> =
            lines.iter().filter(|it| it.contains(&format!(",{cause},"))).map(|it| it.split(',').next().unwrap()).collect();
        assert_eq!(found.len(), expected, "{cause}");
    }
    for bench in [&one, &two, &third] {
        bench.assert_nobody_collided();
        // With its last connection a process hands in its statistics.
        bench.store.close().await;
    }
    let db = database.connect().await;
    let sql = "select change, count(*)::bigint as number, count(distinct (subject_id, revision))::bigint as steps \
               from suppression_change where act is null group by change order by change";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let count = |it: &sea_orm::QueryResult| {
        (it.try_get::<String>("", "change").unwrap(), it.try_get::<i64>("", "number").unwrap(), it.try_get::<i64>("", "steps").unwrap())
    };
    let people = i64::try_from(PEOPLE).unwrap();
    let all = 4 * people;
    let expected = [("added".to_owned(), all, all), ("released".to_owned(), people, people)];
    assert_eq!(rows.iter().map(count).collect::<Vec<_>>(), expected, "each change once, each at a revision of its own");
    database.assert_no_deadlock().await;
}

#[tokio::test]
async fn the_order_of_imports_and_events_does_not_matter() {
    let dated = |at: &str| format!("address,cause,since,note\nperson1@example.org,hard,{at},from {at}\n");
    let texts = [dated("2026-11-20T00:00:00Z"), dated("2026-11-18T00:00:00Z")];
    let mut seen = BTreeSet::new();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let database = TestDatabase::sqlite();
        let bench = Bench::on(&database).await;
        for step in order {
            match texts.get(step) {
                Some(text) => drop(bench.import(text).await),
                None => {
                    bench.store.commit(&[bounced(&bench.list, "person1@example.org", NOW - Duration::days(3))], NOW).await.unwrap();
                }
            }
        }
        seen.insert(bench.export(Format::Ndjson).await);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test]
async fn a_hundred_thousand_rows_go_in_and_out() {
    const ROWS: usize = 100_000;
    let database = TestDatabase::postgres().await;
    let bench = Bench::on(&database).await;
    let text = format!("email,created\n{}", rows(0..ROWS, |it| format!("person{it}@example.org,{}", 1_700_000_000 + it)));
    let import = bench.import(&text).await;
    assert_eq!((import.format, import.counts.added, import.done), (Format::Sendgrid, ROWS as u64, text.len() as u64));
    let out = bench.export(Format::Plain).await;
    assert_eq!(out.iter().collect::<BTreeSet<_>>().len(), ROWS);
    assert!(bench.suppressed("person99999@example.org").await);
    assert!(!bench.suppressed("person100000@example.org").await);
}

#[tokio::test]
async fn an_import_does_not_undo_an_erasure() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let bench = Bench::on(&database).await;
        let jane = Address::parse("jane@example.org").unwrap();
        let erase = async |block: Erased| {
            let request = ErasureRequest { address: &jane, block, actor: "ann", erasing: Erasing::Do };
            bench.store.erase(request, NOW).await.unwrap()
        };
        let file = |number: u8| {
            format!(
                "address,cause,note\njane@example.org,import,jane {number}\njohn@example.org,import,\njoe{number}@example.org,import,\n"
            )
        };
        bench.import(&file(1)).await;
        bench.import(&file(2)).await;
        let done = erase(Erased::Kept).await;
        assert!(done.known == Known::Known && done.notes >= 2, "a note of each act, and of what lists said by it: {done:?}");
        bench.import(&file(3)).await;
        assert!(bench.suppressed("jane@example.org").await);
        let history = bench.store.history(&jane, 100).await.unwrap();
        assert_eq!(history.known, Known::Erased);
        let notes: Vec<&str> = history.changes.iter().filter_map(|it| it.note.as_deref()).collect();
        assert!(!notes.is_empty() && notes.iter().all(|it| it.starts_with("[erased] ")), "{notes:?}");
        assert!(bench.export(Format::Csv).await.iter().all(|it| !it.contains("jane")), "what nobody can name is not exported");

        erase(Erased::Forgotten).await;
        assert!(!bench.suppressed("jane@example.org").await);
        bench.import(&file(4)).await;
        assert!(bench.suppressed("jane@example.org").await);
        assert_eq!(bench.store.history(&jane, 1).await.unwrap().known, Known::Known, "of whom nothing is held is a stranger");
    }
}
