//! What the tests of the mail edge have in common: the program with a list whose return paths are signed, a way to ask it, swaks,
//! and a client that says what it is told.

use std::process::Command;
use std::time::Duration;

use harness::{Installation, Replica, eventually, free_port};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(crate) const DSN: &str = include_str!("../../docs/bounce.eml");
pub(crate) const GONE: &str = "jane@corp.example";
/// After this long a reply will not come any more.
const PATIENCE: Duration = Duration::from_mins(1);
const LISTS: &str = "[{ name = \"acme.weekly\", token_keys = [\"k7ab:a secret of sixteen octets or more\"] }, { name = \"plain\" }]";
const SOURCES: &str = "[{ name = \"returns\", provider = \"mime\", list = \"acme.weekly\", recipients = [\"b+*@bounces.example.com\", \"bounces@bounces.example.com\"] }, \
    { name = \"unsigned\", provider = \"mime\", list = \"plain\", recipients = [\"*@plain.example.com\"] }]";

/// An installation that takes mail at two ports, which stay the same when it is started again.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) installation: Installation,
    pub(crate) smtp: u16,
    pub(crate) lmtp: u16,
}

impl Bench {
    pub(crate) fn on(database_url: &str) -> Self {
        let (smtp, lmtp) = (free_port(), free_port());
        let installation = Installation::on(database_url)
            .with("SMTP__LISTEN", &format!("127.0.0.1:{smtp}"))
            .with("SMTP__LMTP_LISTEN", &format!("127.0.0.1:{lmtp}"))
            .with("SMTP__HOSTNAME", "mx.bounces.example.com")
            .with("LIST", LISTS)
            .with("SOURCE", SOURCES);
        Self { installation, smtp, lmtp }
    }

    pub(crate) fn with(self, key: &str, value: &str) -> Self {
        Self { installation: self.installation.with(key, value), ..self }
    }

    /// Starts it, and makes a key to ask it with.
    pub(crate) async fn serve(&self) -> Mailed {
        let replica = self.installation.serve().await;
        let key = self.said(&["keys", "create", "test", "--scope", "read", "--quiet"]);
        let it = Mailed { replica, key, client: Client::new() };
        it.listens(self.smtp).await;
        it
    }

    /// The return path of a message to somebody on the list.
    pub(crate) fn return_path(&self, recipient: &str) -> String {
        self.said(&["return-path", "mint", "--list", "acme.weekly", "--domain", "bounces.example.com", recipient])
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.installation.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The program while it runs.
#[derive(Debug)]
pub(crate) struct Mailed {
    pub(crate) replica: Replica,
    key: String,
    client: Client,
}

impl Mailed {
    /// Waits until somebody listens at a port.
    pub(crate) async fn listens(&self, port: u16) {
        eventually("it listens for mail", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
    }

    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.replica.address())).bearer_auth(&self.key).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    /// Whether the next check of an address says no.
    pub(crate) async fn refuses(&self, list: &str, address: &str) -> bool {
        let asked = json!({ "list": list, "addresses": [address] });
        let post = self.client.post(format!("{}/v1/check", self.replica.address())).bearer_auth(&self.key).json(&asked);
        let answer: Value = post.send().await.unwrap().json().await.unwrap();
        answer["suppressed"].as_array().is_some_and(|it| !it.is_empty())
    }

    /// What its events say of who wrote them, in the order they came.
    pub(crate) async fn attributions(&self) -> Vec<String> {
        let events = self.read("/v1/events").await;
        let events = events["items"].as_array().cloned().unwrap_or_default();
        events.iter().map(|it| it["attribution"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A series of its metrics.
    pub(crate) async fn series(&self, name: &str) -> u64 {
        let page = self.client.get(format!("{}/metrics", self.replica.address())).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {page}")).parse().unwrap()
    }
}

/// Hands a message in by swaks, at a port or, if that is 0, where the rest of its arguments says; its exit code and what was said.
pub(crate) fn swaks(port: u16, from: &str, to: &str, message: &str, more: &[&str]) -> (Option<i32>, String) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), message).unwrap();
    let data = format!("@{}", file.path().display());
    let mut command = Command::new("swaks");
    command.args(["--from", from, "--to", to, "--data", &data]).args(more);
    if port > 0 {
        command.args(["--server", "127.0.0.1", "--port", &port.to_string()]);
    }
    let output = tokio::task::block_in_place(|| command.output()).expect("swaks is installed: run the tests by tests/run");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// A client that says anything.
pub(crate) struct Client25 {
    pub(crate) input: BufReader<OwnedReadHalf>,
    pub(crate) output: OwnedWriteHalf,
}

impl Client25 {
    pub(crate) async fn connect(port: u16) -> Self {
        let (input, output) = TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
        Self { input: BufReader::new(input), output }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.output.write_all(text.as_bytes()).await.unwrap();
    }

    /// The last line of the next reply; empty at the end of the connection.
    pub(crate) async fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.input.read_line(&mut line)).await.expect("a reply comes, or the end");
            if read.unwrap_or_default() == 0 {
                return String::new();
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    /// All replies to the end of the connection, by their codes.
    pub(crate) async fn hear_all(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let line = self.hear().await;
            if line.is_empty() {
                return heard;
            }
            heard.push(line.chars().take(3).collect());
        }
    }
}
