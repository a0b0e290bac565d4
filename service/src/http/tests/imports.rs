//! Whole lists in and out.

use serde_json::json;

use super::*;

const LIST: &str = "address,cause,reason,since,expires_at,note\n\
    jane@example.org,hard,user_unknown,2025-03-04T05:06:07Z,,\n\
    john@example.org,unsubscribe,,2025-06-01T00:00:00Z,,\"=asked, twice\"\n\
    nobody,hard,,,,\n\
    joan@example.org,manual_block,,,2026-02-01T00:00:00Z,\n";

impl Bench {
    /// Imports a list, and waits until that has ended.
    async fn import(&self, list: &str, query: &str, text: impl Into<reqwest::Body>) -> Value {
        let begun = self.ask("POST", &format!("/v1/lists/{list}/import{query}"), "text/csv", text).await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let place = begun.header("location").to_owned();
        assert_eq!(place, format!("/v1/imports/{}", begun.json()["import_id"].as_str().unwrap()));
        self.ended(&place).await
    }

    /// What an import says once it has ended.
    async fn ended(&self, place: &str) -> Value {
        loop {
            let import = self.get(place).await.json();
            if !matches!(import["state"].as_str().unwrap(), "running" | "undoing") {
                return import;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn export(&self, list: &str, format: &str) -> String {
        let answered = self.get(&format!("/v1/lists/{list}/export?format={format}")).await;
        assert_eq!(answered.status, 200, "{answered:?}");
        answered.text
    }
}

fn counts(import: &Value) -> [u64; 5] {
    ["rows", "added", "updated", "unchanged", "refused"].map(|it| import[it].as_u64().unwrap())
}

/// Lines in the order of the alphabet: theirs is that of the subjects.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn a_list_is_imported_and_every_line_that_is_not_says_why() {
    let bench = Bench::new().await;
    let import = bench.import("acme.weekly", "", LIST).await;
    assert_eq!((&import["state"], &import["format"], &import["dry_run"]), (&json!("completed"), &json!("csv"), &json!(false)));
    assert_eq!(counts(&import), [4, 3, 0, 0, 1]);
    assert_eq!((import["size"].as_u64(), import["done"].as_u64()), (Some(LIST.len() as u64), Some(LIST.len() as u64)));
    assert_eq!(import["refused_lines"], json!([{"line": 4, "error": "the address is not of the form local@domain"}]));
    assert_eq!(bench.cause("acme.daily", "jane@example.org").await.as_deref(), Some("hard"), "it holds for the whole tree");
    assert_eq!(bench.cause("acme.weekly", "john@example.org").await.as_deref(), Some("unsubscribe"));
    assert_eq!(bench.cause("acme.daily", "john@example.org").await, None, "an unsubscribe is one list's");
    assert_eq!(bench.cause("other", "jane@example.org").await, None);
    let page = bench.get("/v1/changes?list=acme").await.json();
    assert!(page["items"].as_array().unwrap().iter().all(|it| it["import_id"] == import["import_id"] && it["actor"] == "tester"));
    assert_eq!(bench.metric("rebound_import_rows_total{mode=\"real\",outcome=\"added\"}"), 3);
    assert_eq!(bench.get("/v1/imports?list=acme").await.json()["imports"][0]["import_id"], import["import_id"]);
}

#[tokio::test]
async fn a_preview_tells_and_does_nothing() {
    let bench = Bench::new().await;
    let import = bench.import("acme.weekly", "?dry_run=true", LIST).await;
    assert_eq!((counts(&import), &import["dry_run"]), ([4, 3, 0, 0, 1], &json!(true)));
    assert_eq!(bench.cause("acme.weekly", "jane@example.org").await, None);
    assert_eq!(bench.export("acme.weekly", "plain").await, "");
    let refused = bench
        .send(bench.request("DELETE", &format!("/v1/imports/{}", import["import_id"].as_str().unwrap())).bearer_auth(&bench.key))
        .await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "conflict"));
    assert_eq!(counts(&bench.import("acme.weekly", "", LIST).await), [4, 3, 0, 0, 1]);
    assert_eq!(counts(&bench.import("acme.weekly", "?dry_run=true", LIST).await), [4, 0, 0, 3, 1]);
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let bench = Bench::new().await;
    let whole = LIST.replace("nobody,hard,,,,\n", "");
    let first = bench.import("acme.weekly", "", whole.clone()).await;
    let before = bench.export("acme.weekly", "ndjson").await;
    let again = bench.ask("POST", "/v1/lists/acme.weekly/import", "text/csv", whole.clone()).await;
    assert_eq!((again.status, &again.json()["import_id"]), (200, &first["import_id"]), "it is known by its content");
    let other = bench.import("acme.weekly", "", format!("{whole}\n\n")).await;
    assert_eq!(counts(&other), [3, 0, 0, 3, 0], "and so is each of its rows");
    let sheet = bench.import("acme.weekly", "", before.clone()).await;
    assert_eq!(counts(&sheet)[1..3], [0, 0], "what was exported comes back: {sheet}");
    let changed = |it: &str| it.split("\"changes_after\"").next().unwrap().to_owned();
    assert_eq!(changed(&bench.export("acme.weekly", "ndjson").await), changed(&before));
    assert_eq!(bench.get("/v1/changes").await.json()["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_one_import_says_outlasts_the_undoing_of_another() {
    let bench = Bench::new().await;
    let undo = async |import: &Value| {
        let place = format!("/v1/imports/{}", import["import_id"].as_str().unwrap());
        let begun = bench.send(bench.request("DELETE", &place).bearer_auth(&bench.key)).await;
        assert_eq!(begun.status, 202, "{begun:?}");
        let ended = bench.ended(&place).await;
        assert_eq!((&ended["state"], &ended["undone_by"]), (&json!("undone"), &json!("tester")));
        bench.send(bench.request("DELETE", &place).bearer_auth(&bench.key)).await.status
    };
    bench.json("PUT", "/v1/lists/acme.weekly/suppressions/by-hand@example.org", json!({})).await;
    let first = bench.import("acme.weekly", "", "a@example.org\nb@example.org\nby-hand@example.org,manual\n").await;
    let second = bench.import("acme.weekly", "", "b@example.org\nc@example.org\n").await;
    assert_eq!(counts(&second), [2, 1, 0, 1, 0]);
    let blocked = async || sorted(&bench.export("acme.weekly", "plain").await).join(" ");
    assert_eq!(blocked().await, "a@example.org b@example.org by-hand@example.org c@example.org");
    assert_eq!(undo(&first).await, 200, "what is undone stays undone");
    assert_eq!(blocked().await, "b@example.org by-hand@example.org c@example.org");
    assert_eq!(undo(&second).await, 200);
    assert_eq!(blocked().await, "by-hand@example.org");
    let third = bench.import("acme.weekly", "", "a@example.org\nb@example.org\nby-hand@example.org,manual\n").await;
    assert_eq!(counts(&third), [3, 2, 0, 1, 0], "an import that was undone can be imported again");
    let history = bench.get("/v1/addresses/a@example.org").await.json();
    let changes: Vec<&str> = history["changes"].as_array().unwrap().iter().rev().map(|it| it["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["act", "added", "released", "act", "added"]);
}

#[tokio::test]
async fn a_release_sticks_against_the_same_rows_and_older_ones() {
    let bench = Bench::new().await;
    bench.import("acme", "", "address,cause,since\njane@example.org,hard,2025-01-01\njohn@example.org,import,\n").await;
    for address in ["jane", "john"] {
        let release = bench.request("DELETE", &format!("/v1/lists/acme/suppressions/{address}@example.org"));
        assert_eq!(bench.send(release.bearer_auth(&bench.key)).await.status, 200);
    }
    let again = bench.import("acme", "", "address,cause,since\njane@example.org,hard,2025-01-01\njohn@example.org,import,\n\n").await;
    assert_eq!(counts(&again), [2, 0, 0, 2, 0]);
    let older = bench.import("acme", "", "address,cause,since\njane@example.org,hard,2025-02-01\n").await;
    assert_eq!(counts(&older), [1, 0, 0, 1, 0]);
    assert_eq!(bench.cause("acme", "jane@example.org").await, None);
}

#[tokio::test]
async fn what_went_out_comes_back_into_an_empty_list_as_it_was() {
    let bench = Bench::new().await;
    bench.import("acme.weekly", "", LIST).await;
    bench
        .import(
            "acme.weekly",
            "",
            "address,cause,overrides_consent,note\n@example.net,manual_block,,\nboss@example.org,manual_allow,true,'-1\n",
        )
        .await;
    bench.hand_in(&HARD.replace("jane@", "provisional@")).await;
    for format in ["csv", "ndjson"] {
        let fresh = Bench::new().await;
        let (out, cut) = (bench.export("acme.weekly", format).await, |it: &str| it.split("{\"done\"").next().unwrap().to_owned());
        fresh.import("acme.weekly", "", out.clone()).await;
        let back = fresh.export("acme.weekly", format).await;
        assert_eq!(cut(&back), cut(&out));
        assert_eq!(out.matches("example").count(), 6);
    }
}

#[tokio::test]
async fn each_format_has_its_form() {
    let bench = Bench::new().await;
    let rows = "address,cause,since\nh@example.org,hard,2025-01-02T03:04:05Z\nc@example.org,complaint,2025-01-02T03:04:05Z\n\
        u@example.org,unsubscribe,2025-01-02T03:04:05Z\n+m@example.org,manual_block,2025-01-02T03:04:05Z\nok@example.org,hard,2025-01-02T03:04:05Z\n\
        ok@example.org,manual_allow,2025-01-02T03:04:05Z\n@example.net,manual_block,2025-01-02T03:04:05Z\n";
    bench.import("acme.weekly", "", rows).await;
    let form = async |format: &str| sorted(&bench.export("acme.weekly", format).await).join("|");
    assert_eq!(form("plain").await, "+m@example.org|c@example.org|h@example.org|u@example.org");
    assert_eq!(
        form("ses").await,
        "'+m@example.org,BOUNCE,2025-01-02T03:04:05Z|EmailAddress,Reason,LastUpdateTime|c@example.org,COMPLAINT,2025-01-02T03:04:05Z|\
         h@example.org,BOUNCE,2025-01-02T03:04:05Z|u@example.org,COMPLAINT,2025-01-02T03:04:05Z"
    );
    assert!(form("sendgrid").await.contains("email,status,reason,created|h@example.org,,hard,1735787045|"));
    assert!(form("mailgun").await.contains("c@example.org,550,complaint,\"Thu, 02 Jan 2025 03:04:05 +0000\"|"));
    assert!(form("postmark").await.contains("u@example.org,ManualSuppression,Recipient,2025-01-02T03:04:05Z"));
    assert!(form("sparkpost").await.contains("|u@example.org,non_transactional,List Unsubscribe,unsubscribe,2025-01-02T03:04:05Z"));
    assert!(form("csv").await.contains("'@example.net,acme.weekly,manual_block,,false,false,2025-01-02T03:04:05Z,,"));
    let whole = bench.export("acme.weekly", "ndjson").await;
    let last: Value = serde_json::from_str(whole.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["entries"], &last["erased"]), (&json!(true), &json!(7), &json!(0)));
    assert_eq!(bench.get(&format!("/v1/changes?after={}", last["changes_after"].as_str().unwrap())).await.json()["items"], json!([]));
    let csv = bench.get("/v1/lists/acme.weekly/export").await;
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"acme.weekly.csv\"");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8; header=present");
}

#[tokio::test]
async fn what_is_no_list_is_refused_at_once() {
    let bench = Bench::with(|config| config.http.max_import = crate::config::Size(1 << 10)).await;
    for (query, kind, body, status, problem) in [
        ("", "text/csv", "", 400, "invalid-body"),
        ("", "text/csv", "first name,last name\nJane,Doe\n", 400, "invalid-body"),
        ("?format=excel", "text/csv", "a@example.org\n", 400, "invalid-request"),
        ("?cause=deadly", "text/csv", "a@example.org\n", 400, "invalid-request"),
        ("?dry-run=true", "text/csv", "a@example.org\n", 400, "invalid-request"),
        ("", "multipart/form-data; boundary=x", "a@example.org\n", 415, "unsupported-media-type"),
        ("", "text/csv", &"a@example.org\n".repeat(100), 413, "too-large"),
    ] {
        let answered = bench.ask("POST", &format!("/v1/lists/acme/import{query}"), kind, body.to_owned()).await;
        assert_eq!((answered.status, answered.problem().as_str()), (status, problem), "{query} {kind} {answered:?}");
    }
    let encoded = bench.request("POST", "/v1/lists/acme/import").bearer_auth(&bench.key).header("content-encoding", "gzip");
    assert_eq!(bench.send(encoded.body("x")).await.status, 415);
    assert_eq!(bench.get("/v1/lists/acme/export?format=excel").await.problem(), "invalid-request");
    assert_eq!(bench.get("/v1/imports").await.json()["imports"], json!([]));
    for id in ["x", "0199c0de-7a11-7000-8000-000000000004"] {
        assert_eq!(bench.get(&format!("/v1/imports/{id}")).await.problem(), "not-found");
    }
}

#[tokio::test]
async fn a_key_writes_no_further_than_it_reaches() {
    let bench = Bench::new().await;
    let list = "address,list,cause,overrides_consent\na@example.org,acme.weekly,manual_block,\nb@example.org,acme,hard,\n\
        c@example.org,acme,manual_block,\nd@example.org,acme.daily,hard,\ne@example.org,other,hard,\nf@example.org,nowhere,hard,\n\
        g@example.org,,manual_allow,true\n";
    let key = bench.key_of("confined", &[Scope::Write, Scope::Read], Some("acme.weekly")).await;
    let send =
        async |method: &str, path: &str, body: &str| bench.send(bench.request(method, path).bearer_auth(&key).body(body.to_owned())).await;
    for list in ["acme", "other", "nowhere"] {
        assert_eq!(send("POST", &format!("/v1/lists/{list}/import"), "a@example.org\n").await.status, 404, "{list}");
        assert_eq!(send("GET", &format!("/v1/lists/{list}/export"), "").await.status, 404, "{list}");
    }
    let begun = send("POST", "/v1/lists/acme.weekly/import", list).await;
    let place = begun.header("location").to_owned();
    let import = bench.ended(&place).await;
    let refused: Vec<(u64, &str)> = import["refused_lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["line"].as_u64().unwrap(), it["error"].as_str().unwrap()))
        .collect();
    let elsewhere = "it names a list that is neither this one, nor above it, nor below it";
    assert_eq!(
        refused,
        [
            (4, "it stands on a list above, which this key does not reach"),
            (5, elsewhere),
            (6, elsewhere),
            (7, elsewhere),
            (8, "overrides_consent takes a key with the scope admin"),
        ]
    );
    assert_eq!(counts(&import), [7, 2, 0, 0, 5]);
    assert_eq!(send("GET", &place, "").await.status, 200);
    let stranger = bench.key_of("stranger", &[Scope::Read, Scope::Write], Some("other")).await;
    for method in ["GET", "DELETE"] {
        assert_eq!(bench.send(bench.request(method, &place).bearer_auth(&stranger)).await.status, 404);
    }
    let page = |key: String| async {
        bench.send(bench.request("GET", "/v1/imports").bearer_auth(key)).await.json()["imports"].as_array().unwrap().len()
    };
    assert_eq!((page(stranger).await, page(key.clone()).await), (0, 1));
    let whole = bench.import("acme.weekly", "", list.replace("nowhere", "acme.weekly")).await;
    assert_eq!(counts(&whole)[4], 2, "an administrator's reaches above, and never elsewhere: {whole}");
}

#[tokio::test]
async fn a_key_undoes_no_further_than_it_reaches() {
    let bench = Bench::new().await;
    let key = bench.key_of("confined", &[Scope::Write, Scope::Read], Some("acme.weekly")).await;
    let undo = async |import: &Value, key: &str| {
        let place = format!("/v1/imports/{}", import["import_id"].as_str().unwrap());
        bench.send(bench.request("DELETE", &place).bearer_auth(key)).await
    };
    let whole = "address,list,cause\na@example.org,acme.weekly,manual_block\nb@example.org,acme,manual_block\n";
    let whole = bench.import("acme.weekly", "", whole.to_owned()).await;
    let again = bench.import("acme.weekly", "", "address,list,cause\nb@example.org,acme,manual_block\n".to_owned()).await;
    for import in [&whole, &again] {
        assert_eq!(undo(import, &key).await.problem(), "forbidden", "{import}");
    }
    let below = bench.import("acme.weekly", "", "address,cause\nc@example.org,manual_block\n".to_owned()).await;
    assert_eq!(undo(&below, &key).await.status, 202);
    let own = bench.request("POST", "/v1/lists/acme.weekly/import").bearer_auth(&key).header("content-type", "text/csv");
    let begun = bench.send(own.body("address,cause\nd@example.org,hard\n")).await;
    let own = bench.ended(begun.header("location")).await;
    assert_eq!(undo(&own, &key).await.status, 202, "a fact that it brought itself, though it stands above");
    assert_eq!(undo(&whole, &bench.key).await.status, 202);
}

#[tokio::test]
async fn imports_and_refused_lines_come_in_pages() {
    let bench = Bench::new().await;
    let first = bench.import("acme", "", format!("a@example.org\n{}", "nobody\n".repeat(5))).await;
    let place = format!("/v1/imports/{}", first["import_id"].as_str().unwrap());
    let page = bench.get(&format!("{place}?limit=3")).await.json();
    let lines = |page: &Value| page["refused_lines"].as_array().unwrap().iter().map(|it| it["line"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((lines(&page), &page["refused_next"]), (vec![2, 3, 4], &json!(4)));
    let page = bench.get(&format!("{place}?limit=3&refused_after=4")).await.json();
    assert_eq!((lines(&page), &page["refused_next"]), (vec![5, 6], &Value::Null));
    let second = bench.import("other", "", "a@example.org\n").await;
    let page = bench.get("/v1/imports?limit=1").await.json();
    assert_eq!(page["imports"][0]["import_id"], second["import_id"]);
    let page = bench.get(&format!("/v1/imports?limit=1&before={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!(page["imports"][0]["import_id"], first["import_id"]);
}

#[tokio::test]
async fn enough_is_enough() {
    let bench = Bench::new().await;
    let rooms: Vec<_> = (0..4).map(|_| bench.state.transfers.room().unwrap()).collect();
    let busy = bench.ask("POST", "/v1/lists/acme/import", "text/csv", "a@example.org\n").await;
    assert_eq!((busy.status, busy.problem().as_str(), busy.header("retry-after")), (503, "busy", "5"));
    drop(rooms);
    bench.import("acme", "", "a@example.org\n").await;
    bench.state.transfers.stop().await;
    let stopping = bench.ask("POST", "/v1/lists/acme/import", "text/csv", "b@example.org\n").await;
    assert_eq!((stopping.status, stopping.problem().as_str()), (503, "unavailable"));
}

#[tokio::test]
async fn an_export_that_breaks_off_cannot_be_taken_for_whole() {
    let bench = Bench::new().await;
    let many: String = (0..6000).map(|it| format!("person{it}@example.org")).collect::<Vec<_>>().join("\n");
    bench.import("acme", "", many).await;
    let whole = bench.export("acme", "csv").await;
    assert_eq!(whole.lines().count(), 6001);
    let list = bench.state.store.list("acme").await.unwrap();
    for format in [crate::listing::Format::Csv, crate::listing::Format::Ndjson] {
        let pieces = crate::transfer::export(bench.state.store.clone(), list.clone(), format, NOW).await.unwrap();
        let pieces = futures_util::StreamExt::collect::<Vec<_>>(pieces).await;
        assert!(pieces.len() > 1 && pieces.iter().all(Result::is_ok), "a piece at a time");
    }
    let pieces = crate::transfer::export(bench.state.store.clone(), list, crate::listing::Format::Ndjson, NOW).await.unwrap();
    bench.state.store.close().await;
    let pieces = futures_util::StreamExt::collect::<Vec<_>>(pieces).await;
    assert!(pieces.last().unwrap().is_err());
    assert!(!pieces.iter().flatten().any(|it| it.windows(6).any(|it| it == b"\"done\"")));
}
