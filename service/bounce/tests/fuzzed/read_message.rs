//! Any bytes as a mail: reading never panics, keeps its limits and reads the same twice.

use bounce::limits;
use bounce::mail::Mail;
use bounce::report;

pub(crate) fn run(raw: &[u8]) {
    let mail = Mail::parse(raw);
    let reading = report::read(&mail);
    assert!(mail.human().len() <= limits::TEXT_BYTES * 4);
    assert!(reading.reports.len() <= limits::RECIPIENTS);
    for report in &reading.reports {
        for text in [&report.diagnostic, &report.text].into_iter().flatten() {
            assert!(text.len() <= limits::DIAGNOSTIC_BYTES);
        }
    }
    assert_eq!(reading, report::read(&Mail::parse(raw)));
}
