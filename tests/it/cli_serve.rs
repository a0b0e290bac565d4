//! `rebound serve` as an operator runs it: keys from the command line open it, and a signal ends it well.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::{TestDatabase, eventually, rebound};
use serde_json::Value;
use tempfile::TempDir;

const BOUNCE: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";

fn configured(database: &TestDatabase) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\nshutdown_lead = \"0s\"\n[database]\nurl = \"{}\"\n\
         [identity]\npepper = \"a pepper that only this test knows about\"\n[[list]]\nname = \"acme.weekly\"\n",
        database.url()
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut program = rebound();
    program.current_dir(folder).args(arguments);
    program
}

fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A service that is ended when the test is.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    /// Starts it and waits until it says where it listens.
    fn start(folder: &Path) -> Self {
        let mut child = command(folder, &["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut told = Vec::new();
        let address = log.find_map(|line| {
            let listen = serde_json::from_str::<Value>(&line).ok()?["listen"].as_str().map(|it| format!("http://{it}"));
            told.push(line);
            listen
        });
        let address = address.unwrap_or_else(|| panic!("it does not start: {told:?}"));
        // Whoever writes into a pipe that nobody empties stops one day.
        std::thread::spawn(move || log.count());
        Self { child, address }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended well already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_key_of_the_command_line_opens_the_service_and_a_signal_ends_it() {
    for database in [TestDatabase::sqlite(), TestDatabase::postgres().await] {
        let folder = configured(&database);
        let mut service = Service::start(folder.path());
        let key = said(folder.path(), &["keys", "create", "news", "--scope", "read", "--scope", "ingest", "--quiet"]).trim().to_owned();
        let client = reqwest::Client::new();
        let address = service.address.clone();
        let post = client.post(format!("{address}/v1/messages?list=acme.weekly")).header("content-type", "message/rfc822");
        let answer = post.bearer_auth(&key).body(BOUNCE).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        assert!(said(folder.path(), &["check", "acme.weekly", GONE]).contains("suppressed: hard (user_unknown) on acme, provisionally"));

        let keys: Value = serde_json::from_str(&said(folder.path(), &["keys", "list", "--format", "json"])).unwrap();
        assert_eq!((&keys[0]["name"], &keys[0]["state"], &keys[0]["scopes"][1]), (&"news".into(), &"live".into(), &"ingest".into()));
        assert!(!keys.to_string().contains(&key), "no secret is told twice");
        said(folder.path(), &["keys", "revoke", "news"]);
        assert!(said(folder.path(), &["keys", "list"]).contains("revoked"));

        service.signal("-TERM");
        assert!(service.child.wait().unwrap().success());
    }
}

#[test]
fn what_keeps_the_service_from_starting_is_one_readable_line() {
    let database = TestDatabase::sqlite();
    let folder = configured(&database);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = std::fs::read_to_string(folder.path().join("rebound.toml")).unwrap();
    let config = config.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    std::fs::write(folder.path().join("taken.toml"), config).unwrap();
    let output = command(folder.path(), &["serve", "--config", "taken.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    let line = error.lines().last().unwrap();
    assert!(line.starts_with("rebound: the service cannot start: ") && line.contains("(http.listen)"), "{error}");
    let output = command(folder.path(), &["keys", "create", "x", "--scope", "everything"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn the_schema_can_be_brought_up_to_date_apart() {
    let database = TestDatabase::postgres().await;
    let folder = configured(&database);
    let config = std::fs::read_to_string(folder.path().join("rebound.toml")).unwrap();
    let config = config.replace("[database]\n", "[database]\nmigrate_on_start = false\n");
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    let output = command(folder.path(), &["lists", "list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("rebound migrate"), "{output:?}");
    assert!(said(folder.path(), &["migrate"]).contains("applied"));
    assert_eq!(said(folder.path(), &["migrate"]), "the schema is up to date\n");
    assert!(said(folder.path(), &["lists", "create", "acme.daily"]).contains("is made"));
    assert!(said(folder.path(), &["lists", "list"]).lines().any(|it| it.starts_with("acme.daily ")));
}

#[tokio::test]
async fn a_hangup_has_the_rules_read_again_and_broken_ones_are_refused() {
    const RULE: &str = "[[rule]]\nid = \"own.first\"\nreason = \"mailbox_full\"\nany = [\"has left the building\"]\n\
        sample = \"550 she has left the building\"\nsource = \"our postmaster\"\nseen = \"2026-11-22\"\n";
    let database = TestDatabase::sqlite();
    let folder = configured(&database);
    let config = std::fs::read_to_string(folder.path().join("rebound.toml")).unwrap();
    let config = config.replace("[[list]]", "[rules]\nfiles = [\"own.toml\"]\npoll_interval = \"1h\"\n[[list]]");
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    let own = folder.path().join("own.toml");
    std::fs::write(&own, RULE).unwrap();
    let service = Service::start(folder.path());
    let key = said(folder.path(), &["keys", "create", "news", "--scope", "read", "--quiet"]).trim().to_owned();
    let client = reqwest::Client::new();
    let rule = || async {
        let post = client.post(format!("{}/v1/diagnose", service.address)).bearer_auth(&key).header("content-type", "text/plain");
        let answer: Value = post.body("550 she has left the building").send().await.unwrap().json().await.unwrap();
        answer["reports"][0]["evidence"]["rule"].as_str().unwrap().to_owned()
    };
    let refused = || async {
        let page = client.get(format!("{}/metrics", service.address)).send().await.unwrap().text().await.unwrap();
        page.contains("rebound_rules_reloads_total{outcome=\"refused\"} 1\n")
    };
    assert_eq!(rule().await, "own.first");
    std::fs::write(&own, RULE.replace("own.first", "own.second")).unwrap();
    service.signal("-HUP");
    eventually("the new rule decides", || async { rule().await == "own.second" }).await;
    std::fs::write(&own, "nonsense").unwrap();
    service.signal("-HUP");
    eventually("the broken rules are refused", refused).await;
    assert_eq!(rule().await, "own.second");
}
