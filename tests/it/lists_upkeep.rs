//! What becomes of imports after they ended: what need not be kept goes by age, and what nobody ended is ended.

use std::io::Write as _;

use harness::TestDatabase;
use service::listing::{Format, Spool};
use service::store::{Begun, IMPORT_COMPLETED, Import, ImportMode, ImportState, NewImport, Visible};
use service::transfer::{Consent, Order, Ordered, Reach};
use time::Duration;

use crate::lists::{Bench, NOW, rows};

impl Bench {
    async fn preview(&self, text: &str) -> Import {
        let mut spool = Spool::new().unwrap();
        spool.write_all(text.as_bytes()).unwrap();
        let order = Order {
            list: self.list.clone(),
            actor: "tester".to_owned(),
            reach: Reach { confined: None, consent: Consent::Stands },
            file: spool.finish().unwrap(),
            format: None,
            cause: None,
            mode: ImportMode::Preview,
        };
        let Ordered::Ready(ready) = self.transfers.order(order).await.unwrap() else { panic!("a preview is always new") };
        self.transfers.carry_out(*ready, |_| ()).await.unwrap()
    }

    /// Lets go of what is older than an hour from now.
    async fn let_go(&self) -> Vec<u64> {
        let mut steps = Vec::new();
        loop {
            match self.store.let_go_of_imports(NOW + Duration::HOUR, 500).await.unwrap() {
                0 => return steps,
                gone => steps.push(gone),
            }
        }
    }
}

#[tokio::test]
async fn of_imports_goes_by_age_what_changes_nothing() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let bench = Bench::on(&database).await;
        let text = rows(0..700, |it| format!("person{it}@example.org"));
        let first = bench.import(&text).await;
        let second = bench.import(&format!("{text}\n")).await;
        let third = bench.import(&format!("{text}\n\n")).await;
        let wrong = rows(0..600, |it| format!("nobody{it}"));
        let refused = bench.import(&format!("person1@example.org\n{wrong}")).await;
        let preview = bench.preview(&format!("person2@example.org\n{wrong}")).await;
        assert_eq!((refused.counts.refused, preview.counts.refused), (600, 600));
        let before = bench.export(Format::Ndjson).await;
        assert_eq!(bench.store.let_go_of_imports(NOW, 500).await.unwrap(), 0, "nothing is that old");

        // 1,200 refused lines and a preview.
        assert_eq!(bench.let_go().await, [500, 500, 200, 1]);
        assert_eq!(bench.store.refused_lines(refused.id, 0, 10).await.unwrap(), []);
        let left = bench.store.imports(None, &Visible::All, 10, NOW).await.unwrap();
        assert_eq!(left.iter().map(|it| it.id).collect::<Vec<_>>(), [refused.id, third.id, second.id, first.id], "the preview is gone");
        assert_eq!(bench.export(Format::Ndjson).await, before);

        // What the second and the third say goes on to hold when the first is undone; then nothing goes.
        bench.undo(&first).await;
        assert_eq!(bench.export(Format::Plain).await.len(), 700);
        assert_eq!(bench.let_go().await, [0; 0]);
        bench.undo(&third).await;
        assert_eq!(bench.export(Format::Plain).await.len(), 700, "as the second says");
        assert_eq!(bench.let_go().await, [500, 200], "what was undone says nothing again");
        bench.undo(&second).await;
        assert_eq!(bench.export(Format::Plain).await, ["person1@example.org"], "as the fourth says");
        assert_eq!(bench.let_go().await, [500, 200]);
        assert_eq!(bench.export(Format::Plain).await, ["person1@example.org"]);
    }
}

#[tokio::test]
async fn a_preview_counts_a_row_once_however_far_apart_it_comes() {
    let database = TestDatabase::sqlite();
    let bench = Bench::on(&database).await;
    bench.import("person1@example.org\n").await;
    let text = rows((0..1200).chain(0..1200).chain(0..1200), |it| format!("person{it}@example.org"));
    let counts = bench.preview(&text).await.counts;
    assert_eq!((counts.added, counts.updated, counts.unchanged), (1199, 0, 2401));
    let real = bench.import(&text).await.counts;
    assert_eq!(counts, real, "as it will be");
}

#[tokio::test]
async fn an_import_that_nobody_ended_has_failed_and_says_so_once() {
    let database = TestDatabase::sqlite();
    let bench = Bench::on(&database).await;
    let new = NewImport {
        list: bench.list.clone(),
        actor: "tester".to_owned(),
        format: Format::Plain,
        digest: [1; 32],
        size: 1,
        mode: ImportMode::Real,
    };
    let Begun::New(begun) = bench.store.begin_import(&new, NOW).await.unwrap() else { panic!("new") };
    bench.transfers.resume().await.unwrap();
    assert_eq!(bench.store.import(begun.id, NOW).await.unwrap().unwrap().state, ImportState::Running, "it may yet live");
    let later = Bench::at(NOW + Duration::minutes(10), &database).await;
    later.transfers.resume().await.unwrap();
    later.transfers.resume().await.unwrap();
    let import = later.store.import(begun.id, NOW).await.unwrap().unwrap();
    assert!(import.state == ImportState::Failed && import.error.is_some() && import.ended_at.is_some(), "{import:?}");
    let messages = later.store.outbox_pending(0, 100, NOW + Duration::HOUR).await.unwrap();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((message.message_type.as_str(), message.message_id), (IMPORT_COMPLETED, begun.id.0));
    assert!(message.payload.contains("\"state\":\"failed\"") && message.payload.contains("has gone"), "{}", message.payload);
}
