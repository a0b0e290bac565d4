//! The real program, killed without warning between a post and its publication, loses nothing.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use harness::{Proxy, TestBroker, TestDatabase, eventually, rebound};
use reqwest::{Client, StatusCode};

const DSN: &str = include_str!("../../docs/bounce.eml");

/// The program, and what it needs to be started again as it was.
struct Killed {
    environment: Vec<(&'static str, String)>,
}

impl Killed {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = rebound();
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Starts it and waits until it says where it listens.
    fn serve(&self) -> (Child, String) {
        let mut child = self.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (say, heard) = std::sync::mpsc::channel();
        // Reads to the end, so that the program never waits for somebody to read its log.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = say.send(line);
            }
        });
        let started = heard.iter().find(|it| it.contains("\"started\"")).expect("it says that it started");
        let line: serde_json::Value = serde_json::from_str(&started).unwrap();
        (child, format!("http://{}", line["listen"].as_str().unwrap()))
    }

    fn key(&self) -> String {
        let made = self.command(&["keys", "create", "test", "--scope", "ingest", "--scope", "read", "--quiet"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_post_and_publication_it_loses_nothing() {
    let (database, broker) = (TestDatabase::postgres().await, TestBroker::new());
    let proxy = Proxy::refusing(broker.url());
    let rebound = Killed {
        environment: vec![
            ("REBOUND__DATABASE__URL", database.url().to_owned()),
            ("REBOUND__AMQP__URL", proxy.url().to_owned()),
            ("REBOUND__AMQP__EXCHANGE", broker.exchange().to_owned()),
            ("REBOUND__AMQP__QUEUE", broker.queue().to_owned()),
            ("REBOUND__IDENTITY__PEPPER", "0123456789abcdef0123456789abcdef".to_owned()),
            ("REBOUND__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
            ("REBOUND__TELEMETRY__LOG_FORMAT", "json".to_owned()),
            ("REBOUND__SPOOL__ENABLED", "false".to_owned()),
            ("REBOUND__LIST", "[{ name = \"acme.weekly\" }]".to_owned()),
        ],
    };
    let (mut first, address) = tokio::task::block_in_place(|| rebound.serve());
    let key = tokio::task::block_in_place(|| rebound.key());
    let client = Client::new();
    for number in 0..5 {
        let post =
            client.post(format!("{address}/v1/messages?list=acme.weekly")).bearer_auth(&key).header("content-type", "message/rfc822");
        let answer = post.body(DSN.replace("jane@", &format!("person{number}@"))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    first.kill().unwrap();
    first.wait().unwrap();

    proxy.resume();
    let (mut second, address) = tokio::task::block_in_place(|| rebound.serve());
    let messages = broker.take(10).await;
    // At least once: a message may come twice, but each person's event and change came.
    let told: BTreeSet<(&str, &str)> =
        messages.iter().filter_map(|it| Some((it.body["data"]["recipient"].as_str()?, it.body["type"].as_str()?))).collect();
    assert_eq!(told.len(), 10, "{told:?}");
    eventually("the service is ready", || async {
        client.get(format!("{address}/readyz")).send().await.is_ok_and(|it| it.status().is_success())
    })
    .await;
    second.kill().unwrap();
    second.wait().unwrap();
}
