//! A small load balancer as real ones are: it asks each replica whether it is ready, sends requests in turn to those that are, and
//! tries another one where no connection is made or the answer is 503. A request that was sent and not answered it never repeats.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::task::JoinHandle;

use crate::wait::pause;

/// After this long a request hangs: every time limit of the service is far shorter.
const PATIENCE: Duration = Duration::from_secs(30);

/// Balances the load of a test over replicas. Dropping it stops its questions.
#[derive(Debug)]
pub struct Balancer {
    replicas: Arc<Mutex<Vec<Arc<Place>>>>,
    client: Client,
    turn: AtomicUsize,
    asking: JoinHandle<()>,
}

/// Where a replica is, and whether it said that it is ready.
#[derive(Debug)]
struct Place {
    address: String,
    ready: AtomicBool,
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// Somebody answered, in these words.
    Answered(StatusCode, String),
    /// No replica was to be reached.
    Unreached,
    /// It was sent, and the answer was lost.
    Lost(String),
    /// It was sent, and nobody answered for as long as anybody waits.
    Hung,
}

impl Balancer {
    /// A balancer before replicas at these addresses.
    #[must_use]
    pub fn before<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let client = Client::builder().timeout(PATIENCE).build().expect("a client");
        let replicas = Arc::new(Mutex::new(Vec::new()));
        let asking = tokio::spawn(ask(replicas.clone(), client.clone()));
        let it = Self { replicas, client, turn: AtomicUsize::new(0), asking };
        it.send_to(addresses);
        it
    }

    /// From here on the replicas are those.
    pub fn send_to<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) {
        let place = |it: &str| Arc::new(Place { address: it.to_owned(), ready: AtomicBool::new(true) });
        *self.replicas.lock().expect("no panic") = addresses.into_iter().map(place).collect();
    }

    /// Posts to the webhook of a source.
    pub async fn post(&self, source: &str, content_type: &str, body: &str) -> Answer {
        let mut places = self.replicas.lock().expect("no panic").clone();
        if !places.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % places.len();
            places.rotate_left(turn);
        }
        // Those that are not ready come last: better than nobody.
        places.sort_by_key(|it| !it.ready.load(Ordering::Relaxed));
        let mut told = Answer::Unreached;
        for place in places {
            let post = self.client.post(format!("{}/webhooks/{source}", place.address)).bearer_auth("let-me-in");
            let answer = match post.header("content-type", content_type).body(body.to_owned()).send().await {
                Ok(answer) => answer,
                Err(error) if error.is_connect() => continue,
                Err(error) if error.is_timeout() => return Answer::Hung,
                Err(error) => return Answer::Lost(format!("{error:?}")),
            };
            let status = answer.status();
            let text = match answer.text().await {
                Ok(text) => text,
                Err(error) => return Answer::Lost(format!("{error:?}")),
            };
            told = Answer::Answered(status, text);
            if status != StatusCode::SERVICE_UNAVAILABLE {
                break;
            }
        }
        told
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

/// Asks everybody, again and again.
async fn ask(replicas: Arc<Mutex<Vec<Arc<Place>>>>, client: Client) {
    loop {
        let places = replicas.lock().expect("no panic").clone();
        for place in places {
            let answer = client.get(format!("{}/readyz", place.address)).send().await;
            place.ready.store(answer.is_ok_and(|it| it.status().is_success()), Ordering::Relaxed);
        }
        pause().await;
    }
}
