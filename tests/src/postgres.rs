//! A PostgreSQL of one test's own, from the programs that are installed: it can be killed and started again, and it syncs to the
//! disk as one in production does, so that what it loses is lost.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use tempfile::TempDir;

use crate::own;
use crate::wait::{free_port, started};

/// Where packages put the programs; below, a folder for each version.
const PACKAGES: [&str; 2] = ["/usr/lib/postgresql", "/usr"];
/// Where the programs are without a version.
const FOLDERS: [&str; 3] = ["/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/local/bin"];

/// A server of its own. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct OwnPostgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As `pg_ctl stop -m immediate`: every connection is cut, nothing is written down.
    Immediate,
    /// As the machine's power: all its processes are gone at once.
    Killed,
}

impl OwnPostgres {
    /// Makes a new cluster and starts it.
    pub async fn start() -> Self {
        let programs = programs().expect("initdb and postgres are installed: run the tests by tests/run, which sees to that");
        let folder = own::folder();
        let mut it = Self { programs, folder, port: free_port(), server: None };
        let data = it.data();
        let made = it
            .command("initdb")
            .args(["--username=rebound", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(data)
            .output();
        let made = made.expect("initdb can be run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        it.start_again().await;
        it
    }

    /// Where it is, as the configuration's `database.url` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://rebound@127.0.0.1:{}/postgres", self.port)
    }

    /// A connection past all of the service's code.
    pub async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.url());
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.expect("it can be connected to")
    }

    /// Ends it, so that it has to recover when it starts again.
    pub fn end(&mut self, how: End) {
        let mut server = self.server.take().expect("it runs");
        let mut whom = vec![server.id().to_string()];
        let signal = match how {
            End::Immediate => "-QUIT",
            End::Killed => {
                // Each of its processes leads a session of its own, so no signal reaches them all.
                let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id())).unwrap_or_default();
                whom.extend(children.split_whitespace().map(str::to_owned));
                "-KILL"
            }
        };
        // A child may have ended by itself meanwhile, of which `kill` complains.
        let _ = Command::new("kill").arg(signal).args(whom).stderr(Stdio::null()).status();
        server.wait().expect("it ends");
    }

    /// Starts it where it was, and waits until it takes connections.
    pub async fn start_again(&mut self) {
        started("PostgreSQL", || {
            // Until the last process of the one before is gone it refuses to start.
            let running = self.server.as_mut().is_some_and(|it| it.try_wait().expect("it can be asked").is_none());
            if !running {
                self.server = Some(self.launch());
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            std::future::ready(running && log.contains("ready to accept connections"))
        })
        .await;
    }

    fn launch(&self) -> Child {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a file in a folder of ours");
        let port = format!("port={}", self.port);
        let settings = ["listen_addresses=127.0.0.1", &port, "unix_socket_directories=", "jit=off", "timezone=UTC"];
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(settings.iter().flat_map(|it| ["-c", it]));
        command.stdout(Stdio::null()).stderr(log).spawn().expect("postgres can be run")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        own::command(&self.programs.join(program), self.folder.path())
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.end(End::Killed);
        }
    }
}

/// The folder of the programs, of the newest version.
fn programs() -> Option<PathBuf> {
    let is_one = |it: &Path| it.join("initdb").is_file() && it.join("postgres").is_file();
    let versions = PACKAGES.iter().filter_map(|it| std::fs::read_dir(it).ok()).flatten().flatten().map(|it| it.path().join("bin"));
    let mut versions: Vec<PathBuf> = versions.filter(|it| is_one(it)).collect();
    let number =
        |it: &PathBuf| it.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap_or_default();
    versions.sort_by_key(number);
    versions.pop().or_else(|| FOLDERS.iter().map(PathBuf::from).find(|it| is_one(it)))
}
