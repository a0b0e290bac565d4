//! A `RabbitMQ` of one test's own, from the programs that are installed: it can be killed and started again where it was.

use std::path::Path;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::own;
use crate::wait::{eventually, free_port, started};

/// Where packages put the server's own script. The one in `/usr/sbin` changes folder and user.
const SERVERS: [&str; 3] =
    ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server", "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server"];
/// Where Erlang's port mapper is.
const MAPPERS: [&str; 4] = ["/usr/bin/epmd", "/usr/lib/erlang/bin/epmd", "/usr/local/bin/epmd", "/opt/homebrew/bin/epmd"];

/// Where a file of Erlang's `dets` says whether it was closed.
const CLOSED: std::ops::Range<usize> = 8..12;

/// A node of its own. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct OwnRabbitMq {
    folder: TempDir,
    port: u16,
    /// That of the port mapper, and that over which nodes would talk.
    inner: (u16, u16),
    mapper: Child,
    node: Option<Child>,
}

impl OwnRabbitMq {
    /// Makes a new node and starts it.
    pub async fn start() -> Self {
        let folder = own::folder();
        let (port, inner) = (free_port(), (free_port(), free_port()));
        let settings = format!("listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\nlog.console.level = warning\nlog.file = false\n");
        std::fs::write(folder.path().join("rabbitmq.conf"), settings).expect("a file in a folder of ours");
        std::fs::write(folder.path().join("plugins"), "[].\n").expect("a file in a folder of ours");
        let mut mapper = own::command(installed(&MAPPERS), folder.path());
        mapper.args(["-address", "127.0.0.1", "-port", &inner.0.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut it = Self { folder, port, inner, mapper: mapper.spawn().expect("epmd can be run"), node: None };
        it.start_again().await;
        it
    }

    /// Where it is, as the configuration's `amqp.url` wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Ends it without a warning, once it has written down that there is this quorum queue.
    ///
    /// The file with the names of the queues is closed half a second or more after a new one was made (`ra_directory`). One that is
    /// killed before starts with no name at all, and confirms nothing that is routed to the queue, for ever: a fault of its own.
    pub async fn kill(&mut self, queue: &str) {
        let node = format!("rebound{}@localhost", self.port);
        let names = self.folder.path().join("mnesia").join(&node).join("quorum").join(&node).join("names.dets");
        eventually("the broker has written down its queues", || {
            let held = std::fs::read(&names).unwrap_or_default();
            let closed = held.get(CLOSED) == Some(&[0, 0, 0, 1]);
            std::future::ready(closed && held.windows(queue.len()).any(|it| it == queue.as_bytes()))
        })
        .await;
        let mut node = self.node.take().expect("it runs");
        node.kill().expect("it can be killed");
        node.wait().expect("it ends");
    }

    /// Starts it where it was, and waits until it takes connections.
    pub async fn start_again(&mut self) {
        started("RabbitMQ", || {
            // Until the port mapper has noticed that the one before is gone it refuses to start.
            let running = self.node.as_mut().is_some_and(|it| it.try_wait().expect("it can be asked").is_none());
            if !running {
                self.node = Some(self.launch());
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            // It says so once the listeners are up.
            std::future::ready(running && log.contains("completed with"))
        })
        .await;
    }

    fn launch(&self) -> Child {
        let at = |name: &str| self.folder.path().join(name);
        let log = std::fs::File::create(at("log")).expect("a file in a folder of ours");
        let again = log.try_clone().expect("a second handle");
        let mut command = own::command(installed(&SERVERS), self.folder.path());
        command
            // Makes the script become the server instead of standing beside it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", format!("rebound{}@localhost", self.port))
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("logs"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_PID_FILE", at("pid"))
            .env("RABBITMQ_DIST_PORT", self.inner.1.to_string())
            .env("ERL_EPMD_PORT", self.inner.0.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command.stdout(log).stderr(again).spawn().expect("RabbitMQ can be run")
    }
}

impl Drop for OwnRabbitMq {
    fn drop(&mut self) {
        for server in self.node.iter_mut().chain([&mut self.mapper]) {
            let _ = server.kill(); // it may have ended already
            let _ = server.wait();
        }
    }
}

fn installed<'a>(places: &'a [&'a str]) -> &'a Path {
    let found = places.iter().map(Path::new).find(|it| it.is_file());
    found.unwrap_or_else(|| panic!("none of {places:?} is there: run the tests by tests/run, which installs RabbitMQ"))
}
