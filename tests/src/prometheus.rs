//! A Prometheus of one test's own, from the program that is installed, with the configuration and the rules that we ship.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::own;
use crate::wait::{free_port, started};

/// Where packages put the program.
const PROGRAMS: [&str; 3] = ["/usr/bin/prometheus", "/usr/local/bin/prometheus", "/opt/homebrew/bin/prometheus"];

/// A server of its own. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct OwnPrometheus {
    _folder: TempDir,
    port: u16,
    server: Child,
    client: reqwest::Client,
}

impl OwnPrometheus {
    /// Starts one that does what `deploy/prometheus` says, but looks at this service, and many times as often.
    pub async fn watching(address: &str) -> Self {
        let folder = own::folder();
        let ours = deploy().join("prometheus");
        let target = address.trim_start_matches("http://");
        let settings = std::fs::read_to_string(ours.join("prometheus.yml")).expect("its configuration");
        assert!(settings.contains("rebound:8080") && settings.contains("15s"), "the configuration is not as this test knows it");
        let settings = settings.replace("rebound:8080", target).replace("15s", "250ms");
        std::fs::write(folder.path().join("prometheus.yml"), settings).expect("a file in a folder of ours");
        std::fs::create_dir(folder.path().join("rules")).expect("a folder in a folder of ours");
        for rules in std::fs::read_dir(ours.join("rules")).expect("its rules") {
            let rules = rules.expect("a file");
            std::fs::copy(rules.path(), folder.path().join("rules").join(rules.file_name())).expect("a copy in a folder of ours");
        }
        if let Some((user, group)) = own::other_user() {
            std::os::unix::fs::chown(folder.path().join("rules"), Some(user), Some(group)).expect("root may give a folder away");
        }
        let program = PROGRAMS.iter().map(Path::new).find(|it| it.is_file());
        let program = program.expect("prometheus is installed: run the tests by tests/run, which sees to that");
        let port = free_port();
        let mut server = own::command(program, folder.path());
        server.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"]);
        server.arg(format!("--web.listen-address=127.0.0.1:{port}")).stdout(Stdio::null()).stderr(Stdio::inherit());
        let server = server.spawn().expect("prometheus can be run");
        let it = Self { _folder: folder, port, server, client: reqwest::Client::new() };
        started("Prometheus", || async { it.client.get(it.url("-/ready")).send().await.is_ok_and(|it| it.status().is_success()) }).await;
        it
    }

    /// What a query finds now: its series, or why it is no query.
    ///
    /// # Errors
    /// What Prometheus says of the query.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let mut url = self.url("api/v1/query");
        url.query_pairs_mut().append_pair("query", query);
        let mut answer: Value = self.client.get(url).send().await.expect("an answer").json().await.expect("JSON");
        match answer["data"]["result"].take() {
            Value::Array(found) => Ok(found),
            _ => Err(answer["error"].to_string()),
        }
    }

    /// All rules, as Prometheus has read them.
    pub async fn rules(&self) -> Vec<Value> {
        let answer: Value = self.client.get(self.url("api/v1/rules")).send().await.expect("an answer").json().await.expect("JSON");
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|it| it["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    fn url(&self, path: &str) -> url::Url {
        format!("http://127.0.0.1:{}/{path}", self.port).parse().expect("a URL")
    }
}

impl Drop for OwnPrometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The folder of this repository that holds what operators are given.
#[must_use]
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}
