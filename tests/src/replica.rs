//! The program itself as a process: replicas that are started, asked to end, and killed.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::{TestBroker, eventually_some, rebound};

/// Lines of its log that a replica keeps for a test that fails.
const KEPT: usize = 40;

/// What replicas have in common: database, broker, pepper, lists and sources.
#[derive(Clone, Debug)]
pub struct Installation {
    environment: BTreeMap<String, String>,
    folder: Arc<TempDir>,
    replicas: Arc<AtomicUsize>,
}

impl Installation {
    /// On a database, with the list `acme.weekly` and the sources `bounces` (raw messages) and `events` (our own format), both
    /// by the bearer `let-me-in`. It has little patience, as tests have.
    #[must_use]
    pub fn on(database_url: &str) -> Self {
        let sources = "[{ name = \"bounces\", provider = \"mime\", list = \"acme.weekly\", bearer = [\"let-me-in\"] }, \
                       { name = \"events\", provider = \"generic\", list = \"acme.weekly\", bearer = [\"let-me-in\"] }]";
        let settings = [
            ("DATABASE__URL", database_url),
            ("DATABASE__ACQUIRE_TIMEOUT", "2s"),
            ("DATABASE__CONNECT_TIMEOUT", "2s"),
            ("DATABASE__STATEMENT_TIMEOUT", "5s"),
            ("INTAKE__COMMIT_TIMEOUT", "5s"),
            ("HTTP__LISTEN", "127.0.0.1:0"),
            ("HTTP__WORKERS", "1"),
            ("HTTP__SHUTDOWN_LEAD", "0s"),
            ("IDENTITY__PEPPER", "0123456789abcdef0123456789abcdef"),
            ("TELEMETRY__LOG_FORMAT", "json"),
            ("LIST", "[{ name = \"acme.weekly\" }]"),
            ("SOURCE", sources),
        ];
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        let empty = Self { environment: BTreeMap::new(), folder, replicas: Arc::default() };
        settings.iter().fold(empty, |it, (key, value)| it.with(key, value))
    }

    /// With a broker, which is reached at an address: its own, or that of a proxy.
    #[must_use]
    pub fn with_broker_at(self, broker: &TestBroker, url: &str) -> Self {
        let settings = [
            ("AMQP__URL", url),
            ("AMQP__EXCHANGE", broker.exchange()),
            ("AMQP__QUEUE", broker.queue()),
            ("AMQP__CONNECT_TIMEOUT", "10s"),
            ("AMQP__CONFIRM_TIMEOUT", "10s"),
            ("AMQP__POLL_INTERVAL", "200ms"),
            ("AMQP__BACKOFF_MIN", "50ms"),
            ("AMQP__BACKOFF_MAX", "500ms"),
        ];
        settings.iter().fold(self, |it, (key, value)| it.with(key, value))
    }

    /// With another setting, named as the environment names it without its prefix: `HTTP__WORKERS`.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.environment.insert(format!("REBOUND__{key}"), value.to_owned());
        self
    }

    /// Without a setting.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.environment.remove(&format!("REBOUND__{key}"));
        self
    }

    /// A command of the program in this installation.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = rebound();
        command.args(arguments).envs(&self.environment);
        command
    }

    /// Starts a replica, in a working folder of its own, and waits until it says where it listens.
    pub async fn serve(&self) -> Replica {
        let place = self.folder.path().join(self.replicas.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&place).expect("a folder in a folder of ours");
        self.serve_in(place).await
    }

    async fn serve_in(&self, place: PathBuf) -> Replica {
        let mut command = self.command(&["serve"]);
        command.current_dir(&place).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = Arc::new(Mutex::new(Log::default()));
        let kept = log.clone();
        // Reads to the end, so that the program never waits for somebody to read its log.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().expect("no panic").keep(line)));
        let mut replica = Replica { child, address: String::new(), log, place, installation: self.clone() };
        let address =
            eventually_some("a replica says where it listens", || async { replica.log.lock().expect("no panic").listens.clone() });
        let address = address.await;
        replica.address = address;
        replica
    }
}

#[derive(Debug, Default)]
struct Log {
    listens: Option<String>,
    last: VecDeque<String>,
}

impl Log {
    fn keep(&mut self, line: String) {
        if self.listens.is_none() && line.contains("\"started\"") {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let (scheme, listens) = (line["scheme"].as_str(), line["listen"].as_str());
            self.listens = scheme.zip(listens).map(|(scheme, it)| format!("{scheme}://{it}"));
        }
        self.last.push_back(line);
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }
}

/// A running process of the program. Dropping it kills it.
#[derive(Debug)]
pub struct Replica {
    child: Child,
    address: String,
    log: Arc<Mutex<Log>>,
    place: PathBuf,
    installation: Installation,
}

impl Replica {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether one of the last lines of its log holds a text.
    #[must_use]
    pub fn said(&self, text: &str) -> bool {
        self.log.lock().expect("no panic").last.iter().any(|it| it.contains(text))
    }

    /// Starts it where it was, once it has ended, with all that it left there. It listens at another address.
    pub async fn start_again(&mut self) {
        *self = self.installation.clone().serve_in(self.place.clone()).await;
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Sends it a signal: `TERM`, `INT`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().expect("there is `kill`");
        assert!(sent.success(), "the process is there");
    }

    /// Waits until it has ended, as it was told to.
    pub async fn ended(&mut self) -> ExitStatus {
        let Self { child, .. } = self;
        let child = Mutex::new(child);
        eventually_some("a replica ends", || async { child.lock().expect("no panic").try_wait().expect("it can be asked") }).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(log) = self.log.lock()
        {
            #[expect(clippy::print_stderr, reason = "the report of a test that fails")]
            for line in &log.last {
                eprintln!("{}: {line}", self.address);
            }
        }
    }
}
