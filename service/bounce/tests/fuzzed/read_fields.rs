//! Any bytes as the body of a machine part: each kind of part reads them without a panic and within the limits.

use bounce::limits;
use bounce::mail::Mail;
use bounce::report;

const HEADS: &[&str] = &[
    "Content-Type: message/delivery-status\n\n",
    "Content-Type: message/global-delivery-status\n\n",
    "Content-Type: message/feedback-report\n\n",
    "Content-Type: message/disposition-notification\n\n",
];

pub(crate) fn run(raw: &[u8]) {
    for head in HEADS {
        let mail = [head.as_bytes(), raw].concat();
        let reading = report::read(&Mail::parse(&mail));
        assert!(reading.reports.len() <= limits::RECIPIENTS);
    }
}
