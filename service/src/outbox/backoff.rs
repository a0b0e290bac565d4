//! How long to wait after a failure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// First wait after the broker has refused one message, and the longest.
const REFUSED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// Waits that double, up to a limit, until something works again.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Waits from `min` to `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// The wait after one more failure. Up to half of it is left to chance, so that replicas that failed together do not
    /// come back together.
    pub fn next_wait(&mut self) -> Duration {
        let full = doubled(self.min, self.max, self.failures);
        self.failures = self.failures.saturating_add(1);
        // Each `RandomState` has keys of its own; this needs to be spread, not to be secret.
        let chance = RandomState::new().hash_one(self.failures) % 1024;
        full.mul_f64(0.5 + f64::from(u32::try_from(chance).unwrap_or_default()) / 2048.0)
    }

    /// Something worked.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// How long a message is put off that the broker has returned or refused so often before.
pub(super) fn put_off(attempts: i32) -> Duration {
    doubled(REFUSED.0, REFUSED.1, u32::try_from(attempts).unwrap_or_default())
}

fn doubled(min: Duration, max: Duration, times: u32) -> Duration {
    min.saturating_mul(2_u32.saturating_pow(times)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_again() {
        let (min, max) = (Duration::from_millis(200), Duration::from_secs(30));
        let mut backoff = Backoff::new(min, max);
        let waits: Vec<Duration> = (0..100).map(|_| backoff.next_wait()).collect();
        for (failures, wait) in waits.iter().enumerate() {
            let full = min.saturating_mul(1 << failures.min(20)).min(max);
            assert!(*wait >= full / 2 && *wait <= full, "{failures}: {wait:?} of {full:?}");
        }
        let late = waits.get(50..).unwrap();
        assert!(late.iter().any(|it| it != late.first().unwrap()), "nothing is left to chance");
        backoff.reset();
        assert!(backoff.next_wait() <= min);
    }

    #[test]
    fn a_refused_message_is_put_off_ever_longer_but_not_for_good() {
        let waits: Vec<u64> = [0, 1, 2, 8, 9, 1000, i32::MAX, -1].map(|it| put_off(it).as_secs()).to_vec();
        assert_eq!(waits, [1, 2, 4, 256, 300, 300, 300, 1]);
    }
}
