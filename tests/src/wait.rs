//! Waiting for something to become true: the only place in the tests that lets time pass.

use std::hash::{BuildHasher as _, RandomState};
use std::panic::Location;
use std::time::{Duration, Instant};

/// After this long something that should have happened has not. Generous, since all tests share two cores.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Waits until the probe says yes.
///
/// Panics at the caller's line, naming `what`, when it has not for a minute.
#[track_caller]
pub fn eventually<F, P>(what: &str, mut probe: F) -> impl Future<Output = ()>
where
    F: FnMut() -> P,
    P: Future<Output = bool>,
{
    eventually_some(what, move || {
        let answer = probe();
        async move { answer.await.then_some(()) }
    })
}

/// Waits until the probe has something to give, and gives it.
///
/// Panics at the caller's line, naming `what`, when it has not for a minute.
#[track_caller]
pub fn eventually_some<T, F, P>(what: &str, probe: F) -> impl Future<Output = T>
where
    F: FnMut() -> P,
    P: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    async move {
        match within(PATIENCE, probe).await {
            Some(found) => found,
            None => panic!("{caller}: waited {PATIENCE:?} in vain until {what}"),
        }
    }
}

/// Waits until a server that a test has started says yes, which takes it some time where all cores are busy.
///
/// Panics when it has not for so long that it never will.
pub(crate) async fn started<F, P>(what: &str, mut probe: F)
where
    F: FnMut() -> P,
    P: Future<Output = bool>,
{
    let probe = move || {
        let answer = probe();
        async move { answer.await.then_some(()) }
    };
    let patience = PATIENCE * 4;
    assert!(within(patience, probe).await.is_some(), "{what} did not start within {patience:?}");
}

/// Lets a moment pass between two of the same questions, or before somebody who was refused comes again.
pub(crate) async fn pause() {
    tokio::time::sleep(FIRST_PAUSE * 4).await;
}

/// A port that nobody uses now, below the range from which the kernel takes ports for outgoing connections.
#[must_use]
pub fn free_port() -> u16 {
    let port = || u16::try_from(20_000 + random_below(12_000)).unwrap_or_default();
    std::iter::repeat_with(port).find(|it| std::net::TcpListener::bind(("127.0.0.1", *it)).is_ok()).unwrap_or_default()
}

/// A number below `limit`, at random.
pub(crate) fn random_below(limit: usize) -> usize {
    // Each `RandomState` has keys of its own; this needs to be spread, not to be secret.
    usize::try_from(RandomState::new().hash_one(limit) % limit.max(1) as u64).unwrap_or_default()
}

/// Asks the probe again and again, with growing pauses; a probe that hangs is out of patience too.
async fn within<T, F, P>(patience: Duration, mut probe: F) -> Option<T>
where
    F: FnMut() -> P,
    P: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match tokio::time::timeout(patience, probe()).await {
            Ok(Some(found)) => return Some(found),
            Ok(None) if begun.elapsed() < patience => {}
            _ => return None,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_true_is_found() {
        let mut answers = [None, None, Some(7)].into_iter();
        assert_eq!(within(PATIENCE, || std::future::ready(answers.next().unwrap())).await, Some(7));
    }

    #[tokio::test]
    async fn patience_ends() {
        assert_eq!(within(FIRST_PAUSE, || std::future::ready(None::<()>)).await, None);
        assert_eq!(within(FIRST_PAUSE, std::future::pending::<Option<()>>).await, None);
    }
}
