//! A Postfix of one test's own, set up by the snippet that we hand out (deploy/postfix), and run from a folder of its own on ports
//! of its own. Its master has to be started by root: by us if we are, else by a sudo that asks nothing.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::own::is_root;
use crate::wait::{free_port, started};

const PROGRAM: &str = "/usr/sbin/postfix";
/// What everybody gets who installs from us, and what it says that a test has to change.
const SNIPPET: &str = include_str!("../../deploy/postfix/main.cf");
const RECIPIENTS: &str = include_str!("../../deploy/postfix/rebound_recipients");
const NEXT_HOP: &str = "lmtp:inet:127.0.0.1:24";
const FOLDER: &str = "/etc/postfix";

/// What a Postfix needs to run from a folder, and to come again at once where it would wait for minutes.
const BASE: &str = "\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = mail.example.com
mydestination =
local_transport = error:there are no mailboxes here
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_host_lookup = native
lmtp_host_lookup = native
relayhost = [127.0.0.1]:{relayhost}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
";

/// Its services, none in a chroot.
const SERVICES: [&str; 16] = [
    "pickup unix n - n 60 1 pickup",
    "cleanup unix n - n - 0 cleanup",
    "qmgr unix n - n 1 1 qmgr",
    "rewrite unix - - n - - trivial-rewrite",
    "bounce unix - - n - 0 bounce",
    "defer unix - - n - 0 bounce",
    "trace unix - - n - 0 bounce",
    "proxymap unix - - n - - proxymap",
    "smtp unix - - n - - smtp",
    "relay unix - - n - - smtp",
    "lmtp unix - - n - - lmtp",
    "error unix - - n - - error",
    "retry unix - - n - - error",
    "flush unix n - n 1000? 0 flush",
    "anvil unix - - n - 1 anvil",
    "postlog unix-dgram n - n - 1 postlogd",
];

/// Lines of its log that are shown when a test fails.
const KEPT: usize = 40;

/// A running Postfix. Dropping it ends it.
#[derive(Debug)]
pub struct OwnPostfix {
    folder: TempDir,
    port: u16,
    master: Child,
}

impl OwnPostfix {
    /// Starts one as our snippet has it, that gives our domain's mail to `next_hop` (`lmtp:inet:127.0.0.1:24` in the snippet) and
    /// all other mail to the server at the port `relayhost`.
    pub async fn start(next_hop: &str, relayhost: u16) -> Self {
        assert!(Path::new(PROGRAM).is_file(), "{PROGRAM} is missing: run the tests by tests/run, which sees to that");
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("the folder is ours");
        let (place, port) = (folder.path().display().to_string(), free_port());
        let base = BASE.replace("{folder}", &place).replace("{relayhost}", &relayhost.to_string());
        assert!(SNIPPET.contains(NEXT_HOP) && SNIPPET.contains(FOLDER), "the snippet says what is to be changed here");
        let snippet = SNIPPET.replace(NEXT_HOP, next_hop).replace(FOLDER, &place);
        let smtpd = format!("127.0.0.1:{port} inet n - n - - smtpd");
        let services = SERVICES.iter().copied().chain([smtpd.as_str(), ""]).collect::<Vec<_>>().join("\n");
        for (name, text) in [("main.cf", base + &snippet), ("master.cf", services), ("rebound_recipients", RECIPIENTS.to_owned())] {
            std::fs::write(folder.path().join(name), text).expect("the folder is ours");
        }
        privileged(&["mkdir", "-p", &format!("{place}/queue"), &format!("{place}/data")]);
        privileged(&["chown", "postfix", &format!("{place}/data")]);
        let master = as_root(&["/usr/bin/setpriv", "--pdeathsig", "TERM", PROGRAM, "-c", &place, "start-fg"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started");
        let it = Self { folder, port, master };
        started("Postfix", || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        it
    }

    /// The port at which it takes mail.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether nothing waits in it any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let queues = ["active", "deferred", "incoming", "maildrop"].map(|it| self.path("queue").join(it).display().to_string());
        let [active, deferred, incoming, maildrop] = queues.each_ref().map(String::as_str);
        privileged(&["find", active, deferred, incoming, maildrop, "-ignore_readdir_race", "-type", "f"]).is_empty()
    }

    /// What it wrote into its log.
    #[must_use]
    pub fn log(&self) -> String {
        privileged(&["cat", &self.path("maillog").display().to_string()])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for OwnPostfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "the report of a test that fails")]
            {
                let log = self.log();
                let skipped = log.lines().count().saturating_sub(KEPT);
                log.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
            }
        }
        let place = self.folder.path().display().to_string();
        // It may have ended already.
        let _ = as_root(&[PROGRAM, "-c", &place, "stop"]).stderr(Stdio::null()).output();
        let _ = self.master.wait();
        let _ = as_root(&["rm", "-rf", &place]).output();
    }
}

/// A command as root runs it.
fn as_root(command: &[&str]) -> Command {
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    let words: Vec<&str> = sudo.iter().chain(command).copied().collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// What it prints when root runs it.
fn privileged(command: &[&str]) -> String {
    let output = as_root(command).output().unwrap_or_else(|error| panic!("{command:?} as root: {error}; tests/run says what is missing"));
    assert!(output.status.success(), "{command:?} as root: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
