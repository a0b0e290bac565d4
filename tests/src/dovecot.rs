//! A Dovecot of one test's own: accounts, folders and certificates in a folder that goes with it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::own;
use crate::wait::{free_port, started};

/// Where packages put the program.
const PROGRAMS: [&str; 3] = ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot", "/opt/homebrew/sbin/dovecot"];

/// A server of its own, with one account. Dropping it ends it and removes its mail.
#[derive(Debug)]
pub struct OwnDovecot {
    folder: TempDir,
    port: u16,
    tls_port: u16,
    server: Option<Child>,
}

impl OwnDovecot {
    /// The account.
    pub const USER: &'static str = "box";
    /// Its password at first.
    pub const PASSWORD: &'static str = "sesame";

    /// Makes one and starts it.
    pub async fn start() -> Self {
        Self::start_with("", &[]).await
    }

    /// As [`Self::start`], with more lines in its configuration, and files in its folder, which these name as `{folder}/NAME`.
    pub async fn start_with(more: &str, files: &[(&str, &str)]) -> Self {
        let mut it = Self { folder: own::folder(), port: free_port(), tls_port: free_port(), server: None };
        it.set_password(Self::PASSWORD);
        it.certify();
        for (name, text) in files {
            std::fs::write(it.path(name), text).expect("a file in a folder of ours");
        }
        std::fs::write(it.path("dovecot.conf"), it.configuration(more)).expect("a file in a folder of ours");
        it.start_again().await;
        it
    }

    /// The port without TLS, which also offers STARTTLS.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS, certified for `localhost`.
    #[must_use]
    pub const fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// Who certified it, in PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on the account has another password.
    pub fn set_password(&self, password: &str) {
        std::fs::write(self.path("users"), format!("{}:{{PLAIN}}{password}\n", Self::USER)).expect("a file in a folder of ours");
    }

    /// Logs in as the account, past all of the service's code.
    pub async fn log_in(&self) -> TestBox {
        let users = std::fs::read_to_string(self.path("users")).expect("it is ours");
        let password = users.trim_end().rsplit('}').next().unwrap_or_default().to_owned();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it can be connected to");
        let mut it = TestBox { stream: BufReader::new(stream) };
        it.run(&format!("LOGIN {} {password}", Self::USER)).await;
        it
    }

    /// Ends it as a loss of power would.
    pub fn end(&mut self) {
        let server = self.server.take().expect("it runs");
        own::end_with_children(server);
    }

    /// Starts it where it was, and waits until somebody can log in.
    pub async fn start_again(&mut self) {
        let program = PROGRAMS.iter().map(Path::new).find(|it| it.is_file());
        let program = program.expect("dovecot is installed: run the tests by tests/run, which sees to that");
        let mut command: Command = own::command(program, self.folder.path());
        command.args(["-F", "-c"]).arg(self.path("dovecot.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().expect("dovecot can be run"));
        started("Dovecot", || async {
            let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)).await else { return false };
            BufReader::new(stream).lines().next_line().await.ok().flatten().is_some_and(|it| it.starts_with("* OK"))
        })
        .await;
    }

    fn certify(&self) {
        let made = |it: Result<KeyPair, rcgen::Error>| it.expect("a key");
        let (authority_key, key) = (made(KeyPair::generate()), made(KeyPair::generate()));
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(authority, authority_key);
        let names = vec!["localhost".to_owned()];
        let certificate = CertificateParams::new(names).expect("a name").signed_by(&key, &issuer).expect("a certificate");
        for (name, text) in [("ca.pem", root.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())] {
            std::fs::write(self.path(name), text).expect("a file in a folder of ours");
        }
    }

    fn configuration(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        let (user, group, uid, gid) = own::server_user();
        let mut text = format!(
            "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\nprotocols = imap\nlisten = 127.0.0.1\n\
             default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\nfirst_valid_uid = 1\n\
             ssl = yes\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\ndisable_plaintext_auth = no\n\
             auth_failure_delay = 0\nmail_location = maildir:~/Maildir\nmail_max_userip_connections = 100\n"
        );
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {}\n  }}\n  inet_listener imaps {{\n    port = {}\n    ssl = yes\n  }}\n}}\n",
            self.port, self.tls_port
        );
        for service in ["anvil", "stats"] {
            let _ = write!(text, "service {service} {{\n  chroot =\n}}\n");
        }
        for service in ["auth", "auth-worker"] {
            let _ = write!(text, "service {service} {{\n  user = {user}\n}}\n");
        }
        let _ = write!(text, "passdb {{\n  driver = passwd-file\n  args = scheme=PLAIN {folder}/users\n}}\n");
        let _ = write!(text, "userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={folder}/home/%u\n}}\n");
        text + &more.replace("{folder}", &folder.to_string())
    }
}

impl Drop for OwnDovecot {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            own::end_with_children(server);
        }
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(self.path("log"))
        {
            #[expect(clippy::print_stderr, reason = "the report of a test that fails")]
            for line in log.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev() {
                eprintln!("dovecot: {line}");
            }
        }
    }
}

/// A session of the account: what its owner would do by hand.
#[derive(Debug)]
pub struct TestBox {
    stream: BufReader<TcpStream>,
}

impl TestBox {
    /// Runs a command, and gives back all lines of its answer but the last.
    pub async fn run(&mut self, command: &str) -> Vec<String> {
        let answer = self.try_run(command).await;
        answer.unwrap_or_else(|line| panic!("{command}: {line}"))
    }

    /// As [`Self::run`]; the last line where it says no.
    pub async fn try_run(&mut self, command: &str) -> Result<Vec<String>, String> {
        self.stream.write_all(format!("t {command}\r\n").as_bytes()).await.expect("it can be written to");
        self.answer().await
    }

    /// Puts a message into a folder.
    pub async fn put(&mut self, folder: &str, message: &[u8]) {
        let command = format!("t APPEND {folder} {{{}+}}\r\n", message.len());
        self.stream.write_all(&[command.as_bytes(), message, b"\r\n"].concat()).await.expect("it can be written to");
        self.answer().await.expect("the message is taken");
    }

    /// How many messages of a folder fit a query; none of a folder that is not there.
    pub async fn count(&mut self, folder: &str, query: &str) -> usize {
        if self.try_run(&format!("EXAMINE {folder}")).await.is_err() {
            return 0;
        }
        let found = self.run(&format!("SEARCH {query}")).await;
        found.iter().filter_map(|it| it.strip_prefix("* SEARCH")).flat_map(str::split_whitespace).count()
    }

    async fn answer(&mut self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).await.expect("it can be read from");
            assert!(!line.is_empty(), "the server has closed the connection");
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            match line.strip_prefix("t ") {
                Some(last) if last.starts_with("OK") => return Ok(lines),
                Some(last) => return Err(last.to_owned()),
                None => lines.push(line),
            }
        }
    }
}
