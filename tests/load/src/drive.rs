//! Load: many connections that ask, at a given rate or as fast as the service answers. At a given rate the latency of a request counts
//! from when it was to be sent, not from when a connection was free for it, so a service that stalls cannot hide it
//! (coordinated omission). The timer's millisecond counts against the service too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;

use crate::wire::Connection;

/// What is asked, one request after another.
pub(crate) trait Requests: Send + Sync {
    /// The bytes of a request; `None` when there are no more.
    fn bytes(&self, index: u64) -> Option<std::borrow::Cow<'_, [u8]>>;
    /// What became of it; `None` if the connection broke, which tells nothing.
    fn answered(&self, _index: u64, _status: Option<u16>) {}
}

/// How fast.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// The next request of a connection follows the answer to the last.
    AsFast,
    /// Requests per second, whatever the answers.
    Rate(f64),
}

/// One stretch of load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// Threads that drive them.
    pub(crate) threads: usize,
    pub(crate) pace: Pace,
    /// What comes first and is not counted.
    pub(crate) warm: Duration,
    /// What is counted.
    pub(crate) time: Duration,
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// Requests answered 2xx within the time that counts.
    pub(crate) answered: u64,
    /// Other answers by status, and broken connections under 0, at any time.
    pub(crate) failed: BTreeMap<u16, u64>,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// Microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Outcome {
    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// A percentile in milliseconds.
    pub(crate) fn millis(&self, percentile: f64) -> f64 {
        self.latency.value_at_percentile(percentile) as f64 / 1000.0
    }

    /// One line for people.
    pub(crate) fn told(&self) -> String {
        let failed: Vec<_> = self.failed.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        let failed = if failed.is_empty() { String::new() } else { format!(", other answers: {}", failed.join(", ")) };
        let p = |it| self.millis(it);
        format!(
            "{:.0}/s, p50 {:.2} p90 {:.2} p99 {:.2} p99.9 {:.2} max {:.2} ms{failed}",
            self.rate(),
            p(50.0),
            p(90.0),
            p(99.0),
            p(99.9),
            p(100.0)
        )
    }
}

/// An empty histogram of microseconds up to a minute, to three digits.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Runs a load to its end, on threads of its own.
pub(crate) async fn drive(load: Load, requests: Arc<dyn Requests>) -> anyhow::Result<Outcome> {
    if let Pace::Rate(rate) = load.pace {
        anyhow::ensure!(rate.is_finite() && rate > 0.0, "nothing was answered while it counted, or the posts ran out before (--most)");
    }
    let next = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let threads = load.threads.clamp(1, load.connections.max(1));
    let mut running = Vec::new();
    for thread in 0..threads {
        let mine = load.connections / threads + usize::from(thread < load.connections % threads);
        let (next, requests) = (next.clone(), requests.clone());
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::Builder::new().name(format!("load-{thread}")).spawn(move || {
            let _ = tell.send(one_thread(load, mine, start, &next, &requests));
        })?;
        running.push(told);
    }
    let mut all = Tally::new()?;
    for told in running {
        all.add(&told.await.context("a thread of the load ended")??)?;
    }
    let elapsed = all.last.saturating_duration_since(start + load.warm);
    Ok(Outcome { answered: all.answered, failed: all.failed, elapsed, latency: all.latency })
}

struct Tally {
    answered: u64,
    failed: BTreeMap<u16, u64>,
    latency: Histogram<u64>,
    last: Instant,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { answered: 0, failed: BTreeMap::new(), latency: histogram()?, last: Instant::now() })
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.answered += other.answered;
        other.failed.iter().for_each(|(status, count)| *self.failed.entry(*status).or_default() += count);
        self.latency.add(&other.latency)?;
        self.last = self.last.max(other.last);
        Ok(())
    }
}

fn one_thread(
    load: Load,
    connections: usize,
    start: Instant,
    next: &Arc<AtomicU64>,
    requests: &Arc<dyn Requests>,
) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(one_connection(load, start, next.clone(), requests.clone()))).collect();
        let mut all = Tally::new()?;
        for task in tasks {
            all.add(&task.await??)?;
        }
        Ok(all)
    })
}

async fn one_connection(load: Load, start: Instant, next: Arc<AtomicU64>, requests: Arc<dyn Requests>) -> anyhow::Result<Tally> {
    let mut tally = Tally::new()?;
    let mut connection = None;
    let (from, to) = (start + load.warm, start + load.warm + load.time);
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let intended = match load.pace {
            Pace::AsFast => Instant::now(),
            Pace::Rate(rate) => start + Duration::from_secs_f64(index as f64 / rate),
        };
        if intended >= to {
            break;
        }
        let Some(request) = requests.bytes(index) else { break };
        if intended > Instant::now() {
            tokio::time::sleep_until(intended.into()).await;
        }
        if connection.is_none() {
            connection = Some(Connection::open(load.address).await.context("the service cannot be reached")?);
        }
        let Some(open) = connection.as_mut() else { break };
        let answer = open.ask(&request).await;
        let now = Instant::now();
        tally.last = now;
        requests.answered(index, answer.as_ref().ok().map(|it| it.status));
        match answer {
            Ok(answer) if answer.is_success() => {
                let counts = match load.pace {
                    Pace::AsFast => now >= from,
                    Pace::Rate(_) => intended >= from,
                };
                if counts {
                    tally.answered += 1;
                    let micros = u64::try_from(now.duration_since(intended).as_micros()).unwrap_or(u64::MAX);
                    tally.latency.saturating_record(micros.max(1));
                }
            }
            Ok(answer) => *tally.failed.entry(answer.status).or_default() += 1,
            Err(_) => {
                *tally.failed.entry(0).or_default() += 1;
                connection = None;
            }
        }
    }
    Ok(tally)
}

/// Requests that are the same ones over and over.
#[derive(Debug)]
pub(crate) struct Cycle(pub(crate) Vec<Vec<u8>>);

/// The same request so many times.
#[derive(Debug)]
pub(crate) struct Times(pub(crate) u64, pub(crate) Vec<u8>);

impl Requests for Times {
    fn bytes(&self, index: u64) -> Option<std::borrow::Cow<'_, [u8]>> {
        (index < self.0).then_some(std::borrow::Cow::Borrowed(&self.1))
    }
}

impl Requests for Cycle {
    fn bytes(&self, index: u64) -> Option<std::borrow::Cow<'_, [u8]>> {
        let at = usize::try_from(index).ok()?.checked_rem(self.0.len())?;
        Some(std::borrow::Cow::Borrowed(self.0.get(at)?))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wire::request;

    /// A server that answers at once, except that it stalls before one answer.
    async fn stalling(stall: Duration) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let mut asked = 0;
            while stream.read(&mut buffer).await.is_ok_and(|it| it > 0) {
                asked += 1;
                if asked == 10 {
                    tokio::task::spawn_blocking(move || std::thread::park_timeout(stall)).await.unwrap();
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_stall_counts_for_everything_that_was_due_meanwhile() {
        let address = stalling(Duration::from_millis(400)).await;
        let load =
            Load { address, connections: 1, threads: 1, pace: Pace::Rate(200.0), warm: Duration::ZERO, time: Duration::from_millis(900) };
        let outcome = drive(load, Arc::new(Cycle(vec![request("GET", "/", &[], b"")]))).await.unwrap();
        assert_eq!(outcome.answered, 180);
        // One answer was late; some eighty requests were due while it was.
        let late = outcome.latency.count_between(50_000, 60_000_000);
        assert!(late > 20, "{late} were late");
    }
}
