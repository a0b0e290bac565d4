//! How long work takes. Where the kernel tells, only the time on the processor counts, which other work on the machine
//! lengthens far less.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Work is repeated for so long: the kernel counts in steps of some milliseconds.
const ENOUGH: Duration = Duration::from_millis(80);

/// The time that one run of some work takes.
pub(crate) fn time(work: impl Fn() -> usize) -> Duration {
    let (start, before) = (Instant::now(), on_processor());
    let mut runs = 0;
    while start.elapsed() < ENOUGH {
        black_box(work());
        runs += 1;
    }
    before.and_then(|it| on_processor()?.checked_sub(it)).unwrap_or_else(|| start.elapsed()) / runs
}

/// How long this thread has been on a processor: proc(5), /proc/pid/schedstat.
fn on_processor() -> Option<Duration> {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    status.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
