//! Any bytes as the body of a machine part: each kind of part reads them without a panic and within the limits.
#![no_main]

use bounce::limits;
use bounce::mail::Mail;
use bounce::report;
use libfuzzer_sys::fuzz_target;

const HEADS: &[&str] = &[
    "Content-Type: message/delivery-status\n\n",
    "Content-Type: message/global-delivery-status\n\n",
    "Content-Type: message/feedback-report\n\n",
    "Content-Type: message/disposition-notification\n\n",
];

fuzz_target!(|raw: &[u8]| {
    for head in HEADS {
        let mail = [head.as_bytes(), raw].concat();
        let reading = report::read(&Mail::parse(&mail));
        assert!(reading.reports.len() <= limits::RECIPIENTS);
    }
});
