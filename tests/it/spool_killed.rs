//! The real program with a filled spool: killed, stopped and started while the database is away, and what it took is there in the end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use harness::{Proxy, TestDatabase, eventually, rebound};
use reqwest::{Client, StatusCode};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;
use tempfile::TempDir;

const DSN: &str = include_str!("../../docs/bounce.eml");
const GONE: &str = "jane@corp.example";

fn message_for(number: usize) -> String {
    DSN.replace("jane@", &format!("person{number}@"))
}

fn configured(database: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{database}\"\nacquire_timeout = \"1s\"\n[spool]\npatience = \"500ms\"\n\
         [telemetry]\nlog_format = \"json\"\n[identity]\npepper = \"a pepper that only this test knows about\"\n\
         [[list]]\nname = \"acme.weekly\"\n\
         [[source]]\nname = \"bounces\"\nprovider = \"mime\"\nbearer = [\"let-me-in\"]\nlist = \"acme.weekly\"\n"
    );
    std::fs::write(folder.path().join("rebound.toml"), config).unwrap();
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut program = rebound();
    program.current_dir(folder).args(arguments);
    program
}

/// Runs it to its end.
fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(folder, arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A service that is ended when the test is.
struct Service {
    child: Child,
    address: String,
    client: Client,
}

impl Service {
    /// Starts it and waits until it says where it listens.
    fn start(folder: &Path) -> Self {
        Self::start_by(command(folder, &["serve"]))
    }

    fn start_by(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
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
        Self { child, address, client: Client::new() }
    }

    async fn post(&self, message: String) -> StatusCode {
        let post = self.client.post(format!("{}/webhooks/bounces", self.address)).header("content-type", "message/rfc822");
        post.bearer_auth("let-me-in").body(message).send().await.unwrap().status()
    }

    async fn ready(&self) -> (StatusCode, Value) {
        let answer = self.client.get(format!("{}/readyz", self.address)).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    async fn drained(&self) {
        eventually("the spool is empty", || async {
            let (status, ready) = self.ready().await;
            status == StatusCode::OK && ready["spool"]["entries"] == 0
        })
        .await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended well already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// Several threads: the wire has to work while the program is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn killed_stopped_and_started_while_the_database_is_away_it_loses_nothing() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(database.url());
    let folder = configured(proxy.url());
    let spool = folder.path().join("rebound-spool");
    let service = Service::start(folder.path());
    assert_eq!(service.post(message_for(0)).await, StatusCode::OK);
    proxy.refuse();
    for number in 1..4 {
        assert_eq!(service.post(message_for(number)).await, StatusCode::OK);
    }
    service.kill();

    // As if the machine had died while it wrote, and the disk had lost the end of what it wrote before.
    std::fs::write(spool.join("tmp/half"), "RBSPOOL1").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(spool.join("new")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let last = std::fs::read(&files[2]).unwrap();
    std::fs::write(&files[2], &last[..last.len() - 1]).unwrap();

    // The database is still away: what comes is kept, and nobody is told that all is well.
    let service = Service::start(folder.path());
    let (status, ready) = service.ready().await;
    assert_eq!((status, &ready["status"], &ready["spool"]["entries"]), (StatusCode::SERVICE_UNAVAILABLE, &"not_ready".into(), &3.into()));
    assert_eq!(service.post(message_for(4)).await, StatusCode::OK);
    let check = service.client.get(format!("{}/v1/check?list=acme.weekly&address={GONE}", service.address));
    assert_eq!(check.bearer_auth("x").send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    service.end();

    proxy.resume();
    let service = Service::start(folder.path());
    service.drained().await;
    let blocked = |number: usize| {
        let output = run(folder.path(), &["check", "acme.weekly", &format!("person{number}@corp.example"), "--exit-code"], "");
        output.status.code() == Some(1)
    };
    let blocked: Vec<usize> = tokio::task::block_in_place(|| (0..5).filter(|it| blocked(*it)).collect());
    assert_eq!(blocked, [0, 1, 2, 4], "all but the one that the disk lost");
    let count = |place: &str| std::fs::read_dir(spool.join(place)).unwrap().count();
    assert_eq!((count("new"), count("tmp"), count("corrupt")), (0, 0, 1));
    let metrics = service.client.get(format!("{}/metrics", service.address)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("rebound_spool_drained_total{outcome=\"damaged\"} 1\n"), "{metrics}");
    service.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_may_come_later_and_a_piped_message_need_not_wait_for_it() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::refusing(database.url());
    let folder = configured(proxy.url());
    let ingest = || tokio::task::block_in_place(|| run(folder.path(), &["ingest", "--source", "bounces", "-"], DSN));
    let output = ingest();
    assert_eq!(output.status.code(), Some(75), "nobody has a spool here: {output:?}");
    let service = tokio::task::block_in_place(|| Service::start(folder.path()));
    assert_eq!(service.post(message_for(1)).await, StatusCode::OK);
    let output = ingest();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &line["status"]), (Some(0), &"spooled".into()), "{output:?}");
    let second = tokio::task::block_in_place(|| run(folder.path(), &["serve"], ""));
    assert_eq!(second.status.code(), Some(78), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process uses this folder (spool.path)"), "{second:?}");

    proxy.resume();
    service.drained().await;
    eventually("both are recorded", || async {
        let blocked = |address: &str| run(folder.path(), &["check", "acme.weekly", address, "--exit-code"], "").status.code() == Some(1);
        tokio::task::block_in_place(|| blocked(GONE) && blocked("person1@corp.example"))
    })
    .await;
    service.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_out_to_be_another_ends_the_service_and_the_spool_stays() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(database.url());
    let folder = configured(proxy.url());
    let listed = tokio::task::block_in_place(|| run(folder.path(), &["lists", "list"], ""));
    assert!(listed.status.success(), "{listed:?}");
    let file = folder.path().join("rebound.toml");
    let config = std::fs::read_to_string(&file).unwrap().replace("only this test knows about", "belongs to another database");
    std::fs::write(&file, config).unwrap();
    proxy.refuse();
    let mut service = tokio::task::block_in_place(|| Service::start(folder.path()));
    assert_eq!(service.post(message_for(1)).await, StatusCode::OK);
    proxy.resume();
    let ended = tokio::task::block_in_place(|| service.child.wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    assert_eq!(std::fs::read_dir(folder.path().join("rebound-spool/new")).unwrap().count(), 1);
}

/// A command that runs the program with a disk of its own for the spool, of which nobody else knows.
///
/// Panics where neither root nor a name space of the user's may mount one. There the test is to be left out by name.
fn on_a_small_disk(folder: &Path) -> Command {
    let may = |how: &&str| Command::new("unshare").args([how, "true"]).stderr(Stdio::null()).status().is_ok_and(|it| it.success());
    let how = ["-m", "-rm"].into_iter().find(may).expect(
        "`unshare -rm true` fails: this user may mount nothing. Run the tests as root, allow user name spaces, or leave this test out: --skip a_full_disk",
    );
    std::fs::create_dir(folder.join("rebound-spool")).unwrap();
    let script = "mount -t tmpfs -o size=192k none rebound-spool && exec \"$0\" serve";
    let program = rebound();
    let mut command = Command::new("unshare");
    command.args([how, "sh", "-c", script]).arg(program.get_program()).current_dir(folder);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_says_come_again_and_tears_nothing() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(database.url());
    let folder = configured(proxy.url());
    let service = tokio::task::block_in_place(|| Service::start_by(on_a_small_disk(folder.path())));
    let mut taken = vec![0];
    assert_eq!(service.post(message_for(0)).await, StatusCode::OK);
    let mut number = 1;
    for round in 0..2 {
        proxy.refuse();
        let mut refused = 0;
        // Far more than the disk holds, of different sizes.
        for _ in 0..100 {
            let padding = "X-Padding: more than nothing\n".repeat(number * 37 % 200);
            match service.post(format!("{padding}{}", message_for(number))).await {
                StatusCode::OK => taken.push(number),
                StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                other => panic!("{other}"),
            }
            number += 1;
        }
        assert!(refused > 10 && taken.len() > 10 * (round + 1), "{refused} refused, {taken:?} taken");
        proxy.resume();
        service.drained().await;
    }
    let metrics = service.client.get(format!("{}/metrics", service.address)).send().await.unwrap().text().await.unwrap();
    assert!(!metrics.contains("rebound_spool_refused_total{why=\"failed\"} 0\n"), "the disk was full: {metrics}");
    assert!(metrics.contains("rebound_spool_drained_total{outcome=\"damaged\"} 0\n"), "{metrics}");
    let db = database.connect().await;
    let sql = "select address from subject";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let mut known: Vec<usize> = rows
        .iter()
        .map(|it| it.try_get::<String>("", "address").unwrap())
        .map(|it| it.trim_start_matches("person").trim_end_matches("@corp.example").parse().unwrap())
        .collect();
    known.sort_unstable();
    assert_eq!(known, taken, "what was acknowledged is recorded, and nothing else");
    service.end();
}
