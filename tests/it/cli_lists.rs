//! `rebound import`, `export` and `imports`, as a person or a cron job runs them.

use std::path::Path;
use std::process::Output;

use harness::{TestDatabase, rebound};
use serde_json::Value;
use tempfile::TempDir;

fn configured(database: &TestDatabase) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[database]\nurl = \"{}\"\n[identity]\npepper = \"a pepper that only this test knows about\"\n[[list]]\nname = \"acme.weekly\"\n",
        database.url()
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    rebound().current_dir(folder).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn a_list_goes_in_and_out_and_is_taken_back() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(&database);
        let at = |name: &str| folder.path().join(name);
        let latin: Vec<u8> = "address;cause;note\njane@example.org;manual_block;Müller\nnobody;hard;\njohn@example.org;hard;=1+1\n"
            .chars()
            .map(|it| u8::try_from(u32::from(it)).unwrap())
            .collect();
        std::fs::write(at("list.csv"), latin).unwrap();
        let import = |more: &[&str]| run(folder.path(), &[&["import", "list.csv", "--list", "acme.weekly"], more].concat());

        let preview = import(&["--dry-run", "--output", "json", "--refused", "refused.ndjson"]);
        assert_eq!(preview.status.code(), Some(65), "{preview:?}");
        assert_eq!(String::from_utf8_lossy(&preview.stderr), "", "no bar where nobody sees it");
        let view: Value = serde_json::from_slice(&preview.stdout).unwrap();
        assert_eq!((&view["added"], &view["refused"], &view["dry_run"]), (&2.into(), &1.into(), &true.into()));
        let refused = std::fs::read_to_string(at("refused.ndjson")).unwrap();
        assert_eq!(refused, "{\"line\":3,\"error\":\"the address is not of the form local@domain\"}\n");
        assert_eq!(text(&run(folder.path(), &["export", "--list", "acme.weekly", "--format", "plain"])), "");

        let done = import(&[]);
        assert_eq!(done.status.code(), Some(65));
        assert_eq!(String::from_utf8_lossy(&done.stderr), "line 3: the address is not of the form local@domain\n");
        let told = String::from_utf8(done.stdout).unwrap();
        assert!(told.starts_with("the list (csv) is imported into acme.weekly: 2 added, 0 updated, 0 unchanged, 1 refused\n"), "{told}");

        assert_eq!(text(&run(folder.path(), &["export", "--list", "acme.weekly", "-o", "out.csv"])), "");
        let out = std::fs::read_to_string(at("out.csv")).unwrap();
        assert!(out.contains("jane@example.org,acme.weekly,manual_block,,false,false,2") && out.contains(",Müller\r\n"), "{out}");
        assert!(out.contains("john@example.org,acme,hard,") && out.contains(",'=1+1\r\n"), "{out}");
        let again = text(&run(folder.path(), &["import", "out.csv", "--list", "acme.weekly"]));
        assert!(again.contains("0 added, 0 updated, 2 unchanged, 0 refused"), "{again}");
        let known = text(&run(folder.path(), &["import", "out.csv", "--list", "acme.weekly"]));
        assert!(known.contains("was imported before and stands"), "{known}");

        let imports: Value = serde_json::from_str(&text(&run(folder.path(), &["imports", "list", "--format", "json"]))).unwrap();
        let states: Vec<&str> = imports.as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["completed", "completed", "completed"]);
        let id = |at: usize| imports[at]["import_id"].as_str().unwrap();
        assert_eq!(text(&run(folder.path(), &["imports", "refused", id(1)])), refused);
        for (at, changed) in [(1, "0 entries changed"), (0, "2 entries changed")] {
            let undone = text(&run(folder.path(), &["imports", "undo", id(at)]));
            assert!(undone.contains(changed), "{undone}");
        }
        assert_eq!(text(&run(folder.path(), &["imports", "undo", id(0)])), "it was undone before\n");
        assert_eq!(text(&run(folder.path(), &["export", "--list", "acme.weekly", "--format", "plain"])), "");
        let preview = run(folder.path(), &["imports", "undo", id(2)]);
        assert_eq!(preview.status.code(), Some(1), "a preview");
        assert!(String::from_utf8_lossy(&preview.stderr).contains("it was a preview"), "{preview:?}");
        let table = text(&run(folder.path(), &["imports", "list"]));
        assert!(table.lines().last().is_some_and(|it| it.contains(id(2)) && it.contains("  preview  ")), "{table}");
    }
}

#[tokio::test]
async fn what_cannot_be_imported_says_why() {
    let database = TestDatabase::sqlite();
    let folder = configured(&database);
    std::fs::write(folder.path().join("names.csv"), "first,last\nJane,Doe\n").unwrap();
    for (arguments, code, told) in [
        (["import", "names.csv", "--list", "acme.weekly"], 65, "neither a header with a column of addresses"),
        (["import", "missing.csv", "--list", "acme.weekly"], 1, "missing.csv cannot be read"),
        (["import", "names.csv", "--list", "nowhere"], 1, "there is no list named"),
    ] {
        let output = run(folder.path(), &arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && error.contains(told), "{error}");
    }
    let into = run(folder.path(), &["export", "--list", "acme.weekly", "-o", "no/such/folder.csv"]);
    assert_eq!(into.status.code(), Some(1));
}
