//! How fast the mails of a folder are read and judged, for an archive that is not part of this repository.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bounce::classify::Rules;
use bounce::mail::Mail;
use bounce::report;
use mail_parser::MessageParser;

/// How often all mails are read; the median counts.
const ROUNDS: usize = 41;

/// Prints how many mails of a folder are read in a second, and how many a plain MIME parse takes apart.
#[expect(clippy::print_stdout, reason = "a bench reports to the terminal")]
pub(crate) fn print(folder: &Path) {
    let mails = crate::mails(folder, |_| true);
    let rules = Rules::builtin();
    let octets = mails.iter().map(Vec::len).sum::<usize>();
    println!("\n{} mails of {} octets in the mean", mails.len(), octets / mails.len());
    let parse = || mails.iter().filter_map(|it| MessageParser::default().parse(it)).map(|it| black_box(it).parts.len()).sum();
    let read = || mails.iter().map(|it| black_box(report::read(&Mail::parse(it))).reports.len()).sum();
    let both = || mails.iter().map(|it| crate::judged(&report::read(&Mail::parse(it)), rules)).sum();
    // One after the other in each round, so that what else the machine does falls on all of them.
    let mut times = [(); ROUNDS].map(|()| [time(&parse), time(&read), time(&both)]);
    for (place, name) in ["baseline: MIME parse by mail-parser", "read", "read and classify"].into_iter().enumerate() {
        times.sort_by_key(|it| it[place]);
        println!("{name:36} {:>8.0} mails/s", per_second(mails.len(), times[ROUNDS / 2][place]));
    }
}

/// The time that work takes: where the kernel tells, only that on the processor, which other work does not lengthen as much.
fn time(work: &impl Fn() -> usize) -> Duration {
    let (start, on_processor) = (Instant::now(), on_processor());
    black_box(work());
    on_processor.and_then(|before| self::on_processor()?.checked_sub(before)).unwrap_or_else(|| start.elapsed())
}

/// How long this thread has been on a processor: proc(5), /proc/pid/schedstat.
fn on_processor() -> Option<Duration> {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    status.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[expect(clippy::cast_precision_loss, reason = "a count of mails is far below 2^52")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
