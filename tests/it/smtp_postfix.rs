//! A real Postfix, set up from the snippet that we hand out: it brings us mail over both protocols, and its own bounces, whatever
//! happens to us meanwhile.

use harness::{OwnPostfix, Proxy, Refuser, TestDatabase, eventually};

use crate::smtp_bench::{Bench, DSN, GONE, Mailed, swaks};

const LETTER: &str = "From: Acme Weekly <news@example.com>\nTo: jane@corp.example\nSubject: What is new\nMessage-ID: <weekly-2.jane@example.com>\n\nHello Jane.\n";

/// By LMTP, as the snippet has it.
fn by_lmtp(bench: &Bench) -> String {
    format!("lmtp:inet:127.0.0.1:{}", bench.lmtp)
}

/// Sends a letter to somebody who is not there any more, under a signed return path, which Postfix will tell.
fn send(path: &str, postfix: &OwnPostfix) {
    let (status, heard) = swaks(postfix.port(), path, GONE, LETTER, &[]);
    assert_eq!(status, Some(0), "{heard}");
}

/// Waits until the bounce has done what it should, once.
async fn refused_for_good(service: &Mailed, postfix: &OwnPostfix) {
    eventually("the address is refused", || async { service.refuses("acme.weekly", GONE).await }).await;
    eventually("Postfix has nothing left", || async { postfix.is_empty() }).await;
    assert_eq!(service.attributions().await, ["attributed"]);
    let standing = service.read(&format!("/v1/lists/acme.weekly/suppressions/{GONE}")).await;
    assert_eq!(standing["causes"][0]["provisional"], false, "{standing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_bounce_comes_by_lmtp_and_the_next_check_says_no() {
    let (database, refuser) = (TestDatabase::postgres().await, Refuser::start().await);
    let bench = Bench::on(database.url());
    let service = bench.serve().await;
    let postfix = OwnPostfix::start(&by_lmtp(&bench), refuser.port()).await;
    send(&bench.return_path(GONE), &postfix);
    refused_for_good(&service, &postfix).await;
    assert_eq!(refuser.refused(), 1);
    // A report that somebody else wrote about somebody else, to a return path that he was sent.
    let (status, heard) = swaks(postfix.port(), "<>", &bench.return_path("mallory@corp.example"), &DSN.replace("jane@", "ann@"), &[]);
    assert_eq!(status, Some(0), "{heard}");
    eventually("it was taken", || async { service.attributions().await.len() == 2 }).await;
    assert_eq!(service.attributions().await, ["attributed", "unattributed"]);
    assert!(!service.refuses("acme.weekly", "ann@corp.example").await);
    for attribution in ["attributed", "unattributed"] {
        let series = format!("rebound_facts_taken_total{{attribution=\"{attribution}\",source=\"returns\"}}");
        assert_eq!(service.series(&series).await, 1, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_relays_to_us_by_smtp_and_refuses_itself_what_we_would() {
    let (database, refuser) = (TestDatabase::postgres().await, Refuser::start().await);
    let bench = Bench::on(database.url());
    let service = bench.serve().await;
    let postfix = OwnPostfix::start(&format!("smtp:[127.0.0.1]:{}", bench.smtp), refuser.port()).await;
    let (status, heard) = swaks(postfix.port(), "<>", &bench.return_path(GONE), DSN, &[]);
    assert_eq!(status, Some(0), "{heard}");
    refused_for_good(&service, &postfix).await;
    let (_, heard) = swaks(postfix.port(), "<>", "b+notoken@bounces.example.com", DSN, &[]);
    assert!(heard.contains("550 5.1.1"), "{heard}");
    assert_eq!(service.series("rebound_smtp_refused_total{protocol=\"smtp\",why=\"unknown_recipient\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_postfix_waits_for_the_answer_it_loses_nothing_and_counts_once() {
    // Before the commit has reached the database; and after, when only the answer is lost.
    for is_committed in [false, true] {
        let (database, refuser) = (TestDatabase::postgres().await, Refuser::start().await);
        let wire = Proxy::before(database.url());
        let bench = Bench::on(wire.url()).with("SPOOL__ENABLED", "false").with("INTAKE__COMMIT_TIMEOUT", "25s");
        let mut service = bench.serve().await;
        let postfix = OwnPostfix::start(&by_lmtp(&bench), refuser.port()).await;
        let (path, held) = (bench.return_path(GONE), wire.held());
        if is_committed {
            wire.stall_answers_to("COMMIT");
        } else {
            wire.stall_at("COMMIT");
        }
        send(&path, &postfix);
        eventually("it is being committed", || async { wire.held() > held }).await;
        service.replica.kill();
        wire.cut();
        wire.resume();
        eventually("Postfix has tried in vain", || async { postfix.log().contains("status=deferred") }).await;
        assert!(!postfix.is_empty());
        service.replica.start_again().await;
        refused_for_good(&service, &postfix).await;
        assert_eq!(refuser.refused(), 1);
        let stored = service.series("rebound_receipts_stored_total{outcome=\"duplicate\",source=\"returns\"}").await;
        assert_eq!(stored, u64::from(is_committed), "the same mail is the same receipt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_away_the_spool_takes_it_and_without_a_spool_postfix_keeps_it() {
    for spool in ["true", "false"] {
        let (database, refuser) = (TestDatabase::postgres().await, Refuser::start().await);
        let wire = Proxy::before(database.url());
        let bench = Bench::on(wire.url()).with("SPOOL__ENABLED", spool).with("SPOOL__PATIENCE", "500ms");
        let service = bench.serve().await;
        let postfix = OwnPostfix::start(&by_lmtp(&bench), refuser.port()).await;
        let path = bench.return_path(GONE);
        wire.refuse();
        send(&path, &postfix);
        if spool == "true" {
            eventually("it is in the spool", || async { service.series("rebound_receipts_spooled_total{source=\"returns\"}").await == 1 })
                .await;
            eventually("Postfix is rid of it", || async { postfix.is_empty() }).await;
        } else {
            let name = "rebound_smtp_refused_total{protocol=\"lmtp\",why=\"unavailable\"}";
            eventually("it was tried more than once", || async { service.series(name).await > 1 }).await;
            assert!(!postfix.is_empty());
        }
        wire.resume();
        refused_for_good(&service, &postfix).await;
    }
}
