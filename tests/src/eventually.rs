//! Waiting for something to become true: the only place in the tests that lets time pass.

use std::panic::Location;
use std::time::{Duration, Instant};

/// After this long something that should have happened has not. Generous, since all tests share two cores.
const PATIENCE: Duration = Duration::from_mins(1);
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
pub fn eventually_some<T, F, P>(what: &str, mut probe: F) -> impl Future<Output = T>
where
    F: FnMut() -> P,
    P: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    async move {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let attempt = tokio::time::timeout(PATIENCE, probe()).await;
            if let Ok(Some(found)) = attempt {
                return found;
            }
            assert!(attempt.is_ok() && begun.elapsed() < PATIENCE, "{caller}: waited {PATIENCE:?} in vain until {what}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
