//! The program that is measured: `rebound serve` as a process of its own, from the same build as this tool, configured by a file as
//! an operator would, on a database and a queue of this measurement.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::posts::{LIST, MAILGUN_SECRET, POSTMARK_BASIC, Senders};
use crate::servers::{Database, Servers};
use crate::wire::{Answer, Connection, request};

/// How long it may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is the same for every service of a run.
#[derive(Debug)]
pub(crate) struct Settings {
    program: PathBuf,
    scratch: tempfile::TempDir,
    /// Further keys of the configuration, as `intake.batch=256`.
    set: Vec<(String, String)>,
}

/// A running service. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) senders: Arc<Senders>,
    pub(crate) queue: String,
    process: Child,
}

/// Whether there is a broker behind the address that the service is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broker {
    There,
    /// Nobody answers, so the outbox fills.
    Away,
}

impl Settings {
    /// Beside this tool lies the program, of the same build.
    pub(crate) fn new(program: Option<PathBuf>, set: &[String]) -> anyhow::Result<Self> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("rebound"));
        let program = program.map_or_else(beside, Ok)?;
        anyhow::ensure!(program.is_file(), "{} is missing: cargo build --release -p service", program.display());
        let set = set.iter().map(|it| it.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())));
        let set = set.collect::<Option<_>>().context("--set takes KEY=VALUE, such as intake.batch=256")?;
        Ok(Self { program, scratch: tempfile::tempdir()?, set })
    }

    fn environment(&self, further: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = self.set.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        own.chain(further.iter().copied())
            .map(|(key, value)| (format!("REBOUND__{}", key.to_ascii_uppercase().replace('.', "__")), value.to_owned()))
            .collect()
    }

    /// Starts the service on a database, with a queue that is named after it.
    pub(crate) async fn start(
        &self,
        servers: &Servers,
        database: &Database,
        broker: Broker,
        further: &[(&str, &str)],
    ) -> anyhow::Result<Service> {
        let folder = self.scratch.path().join(&database.name);
        std::fs::create_dir_all(&folder)?;
        let mut senders = Senders::new()?;
        let address = free_address()?;
        let amqp = match broker {
            Broker::There => servers.amqp.clone(),
            Broker::Away => format!("amqp://guest:guest@{}/%2f", free_address()?),
        };
        let queue = format!("{}.events", database.name);
        let config = format!(
            "[http]\nlisten = \"{address}\"\n\n[database]\nurl = \"{}\"\n\n\
             [amqp]\nurl = \"{amqp}\"\nexchange = \"{}\"\nqueue = \"{queue}\"\n\n\
             [identity]\npepper = \"{}\"\n\n[[list]]\nname = \"{LIST}\"\n\n\
             [[source]]\nname = \"sendgrid\"\nprovider = \"sendgrid\"\nlist = \"{LIST}\"\npublic_keys = [\"{}\"]\n\n\
             [[source]]\nname = \"mailgun\"\nprovider = \"mailgun\"\nlist = \"{LIST}\"\nsecrets = [\"{MAILGUN_SECRET}\"]\n\n\
             [[source]]\nname = \"postmark\"\nprovider = \"postmark\"\nlist = \"{LIST}\"\nbasic = [\"{POSTMARK_BASIC}\"]\n",
            database.url,
            database.name,
            PEPPER,
            senders.sendgrid_public()?,
        );
        std::fs::write(folder.join("rebound.toml"), config)?;
        senders.bearer = self.key(&folder)?;
        // No balancer has to look away first.
        let in_effect = self.command(&folder).args(["config", "check"]).output()?.stdout;
        let at_once = memchr::memmem::find(&in_effect, b"shutdown_lead").map(|_| ("http.shutdown_lead", "0s"));
        let further: Vec<_> = further.iter().copied().chain(at_once).collect();
        let log = std::fs::File::options().create(true).append(true).open(folder.join("service.log"))?;
        let process = self.command(&folder).arg("serve").envs(self.environment(&further)).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut service = Service { address, senders: Arc::new(senders), queue, process };
        if let Err(error) = service.is_ready(broker).await {
            let log = std::fs::read_to_string(folder.join("service.log")).unwrap_or_default();
            bail!("{error:#}\n{}", log.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
        }
        Ok(service)
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir(folder).stdin(Stdio::null());
        command
    }

    /// A key to everything that load asks.
    fn key(&self, folder: &Path) -> anyhow::Result<String> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
        let name = format!("load{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let made = self.command(folder).args(["keys", "create", &name, "--scope", "read,write,ingest,admin", "--quiet"]).output()?;
        anyhow::ensure!(made.status.success(), "no key was made: {}", String::from_utf8_lossy(&made.stderr));
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }
}

/// The pepper of every measurement, so that a filled database knows the same subjects.
pub(crate) const PEPPER: &str = "6c6f61642d6c6f61642d6c6f61642d6c6f61642d6c6f61642d6c6f61642d6c6f";

impl Service {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    async fn is_ready(&mut self, broker: Broker) -> anyhow::Result<()> {
        let by = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("the service ended: {status}");
            }
            let ready = self.get("/readyz").await.map(|it| serde_json::from_slice::<serde_json::Value>(&it.body).unwrap_or_default());
            let is_connected = |it: &serde_json::Value| it["relay"].as_str().is_some_and(|it| it == "connected");
            match ready {
                Ok(it) if it["relay"].is_string() && (broker == Broker::Away || is_connected(&it)) => return Ok(()),
                other if Instant::now() > by => bail!("the service does not get ready: {other:?}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub(crate) async fn get(&self, target: &str) -> anyhow::Result<Answer> {
        let bytes = request("GET", target, &[("Authorization", &self.bearer())], b"");
        Ok(Connection::open(self.address).await?.ask(&bytes).await?)
    }

    pub(crate) async fn post(&self, target: &str, media_type: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let bytes = request("POST", target, &[("Authorization", &self.bearer()), ("Content-Type", media_type)], body);
        let answer = Connection::open(self.address).await?.ask(&bytes).await?;
        anyhow::ensure!(answer.is_success(), "{target} was answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        Ok(answer)
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.senders.bearer)
    }

    /// The series that begin so, added up.
    pub(crate) async fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let text = String::from_utf8(self.get("/metrics").await?.body)?;
        let is_it = |it: &&str| it.strip_prefix(series).is_some_and(|it| it.starts_with(' ') || it.starts_with('{') || it.starts_with(','));
        Ok(text.lines().filter(is_it).filter_map(|it| it.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// Stops it as an operator would.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        let by = Instant::now() + PATIENCE;
        while self.process.try_wait()?.is_none() {
            anyhow::ensure!(Instant::now() < by, "the service does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody listens to.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
