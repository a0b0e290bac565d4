//! How fast the mails of a folder are read and judged, for an archive that is not part of this repository.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use bounce::classify::Rules;
use bounce::mail::Mail;
use bounce::report;
use mail_parser::MessageParser;

use crate::clock;

/// How often all mails are read; the median counts.
const ROUNDS: usize = 21;

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
    let mut times = [(); ROUNDS].map(|()| [clock::time(parse), clock::time(read), clock::time(both)]);
    for (place, name) in ["baseline: MIME parse by mail-parser", "read", "read and classify"].into_iter().enumerate() {
        times.sort_by_key(|it| it[place]);
        println!("{name:36} {:>8.0} mails/s", per_second(mails.len(), times[ROUNDS / 2][place]));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of mails is far below 2^52")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
