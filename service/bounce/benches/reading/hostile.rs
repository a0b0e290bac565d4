//! Mails made to hurt, each at a size and at twice that size. Reading in linear time shows as a ratio of about 2 or less;
//! a reader that goes quadratic shows 4.

use std::fmt::Write;
use std::time::Duration;

use bounce::classify::Rules;
use bounce::mail::Mail;
use bounce::report;

use crate::clock;

const HEAD: &str = "Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nTo: a@b.example\nSubject: failure notice\n";

const HEAD_OF_EXIM: &str = "Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nX-Failed-Recipients: a@b.example\nSubject: failure notice\n";

/// How often each mail is read; the quickest counts.
const ROUNDS: usize = 7;

/// A name, half of the size, and how to make the mail of a size.
type Shape = (&'static str, usize, fn(usize) -> String);

const SHAPES: &[Shape] = &[
    ("nested multiparts", 50_000, |n| nested(n, |level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"))),
    ("nested message/rfc822", 100_000, |n| {
        let inner = "Content-Type: message/rfc822\n\n".repeat(n);
        format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n--b\n{inner}")
    }),
    ("a million headers", 500_000, |n| format!("{HEAD}{}\nbody", "X-A: b\n".repeat(n))),
    ("one line of 15 MB", 7_500_000, |n| format!("{HEAD}\n{}", "x".repeat(n))),
    ("100,000 recipient groups", 50_000, |n| status(&groups(n))),
    ("unterminated MIME", 100_000, |n| {
        format!("{HEAD}Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\nContent-Type: text/plain\n\nj@x.example failed\n".repeat(n))
    }),
    ("addresses behind a line of 1 MB", 500_000, |n| format!("{HEAD}\n{}{}", "it failed ".repeat(n / 10), addresses(", "))),
    ("the same without a blank", 500_000, |n| format!("{HEAD}\n{}{}", "failed,".repeat(n / 7), addresses(","))),
    ("the same as Exim lists them", 500_000, |n| {
        format!("{HEAD_OF_EXIM}\n{}{}", "it failed ".repeat(n / 10), addresses("\ngenerated from "))
    }),
    ("fields of a status in prose, 1 MB", 500_000, |n| format!("{HEAD}\n{}", "a\nFinal-Recipient: x\nb: - c\n".repeat(n / 29))),
    ("blanks and line ends, 1 MB", 500_000, |n| format!("{HEAD}\n{}j@x.example failed", "{ \r\r \n\t".repeat(n / 8))),
    ("ARF complaint of 300 KB", 150_000, complaint),
    ("100 KB boundary, 20 MB of dashes", 10_000_000, |n| {
        let boundary = "-".repeat(100_000);
        format!("{HEAD}Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\n{}", "-".repeat(n))
    }),
    ("50 MB folded subject", 25_000_000, |n| format!("Subject: a{}\n{HEAD}\nbody", "\n word".repeat(n / 6))),
];

/// Prints for each shape the time at both sizes and their ratio.
#[expect(clippy::print_stdout, reason = "a bench reports to the terminal")]
pub(crate) fn print() {
    println!("\n{:34} {:>12} {:>12} {:>12} {:>6}", "shape", "octets (2n)", "time (n)", "time (2n)", "ratio");
    for (name, size, make) in SHAPES {
        let (single, double) = (make(*size), make(size * 2));
        // One after the other in each round, so that what else the machine does falls on both.
        let rounds: Vec<_> = (0..ROUNDS).map(|_| (time(&single), time(&double))).collect();
        let once = rounds.iter().map(|it| it.0).min().unwrap_or_default();
        let twice = rounds.iter().map(|it| it.1).min().unwrap_or_default();
        println!("{name:34} {:>12} {once:>12.2?} {twice:>12.2?} {:>6.2}", double.len(), twice.as_secs_f64() / once.as_secs_f64());
    }
}

fn time(mail: &str) -> Duration {
    clock::time(|| crate::judged(&report::read(&Mail::parse(mail.as_bytes())), Rules::builtin()))
}

fn nested(count: usize, level: impl Fn(usize) -> String) -> String {
    (0..count).fold(HEAD.to_owned(), |all, it| all + &level(it))
}

fn status(fields: &str) -> String {
    format!(
        "{HEAD}Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nfailed\n\n--b\nContent-Type: message/delivery-status\n\n{fields}\n--b--\n"
    )
}

fn groups(count: usize) -> String {
    let mut out = String::new();
    for number in 0..count {
        let written = writeln!(out, "Final-Recipient: rfc822; j{number}@corp.example\nAction: failed\nStatus: 5.1.1\n");
        debug_assert!(written.is_ok(), "a string takes all that is written");
    }
    out
}

/// As many as are looked at.
fn addresses(separator: &str) -> String {
    (0..2_000).fold(String::new(), |all, it| all + &format!("j{it}@corp.example") + separator)
}

fn complaint(octets: usize) -> String {
    let to = "a@b.example, ".repeat(octets / 3 / 13);
    let fields = "Original-Rcpt-To: a@b.example\n".repeat(octets / 3 / 30);
    let body = "Some words\n".repeat(octets / 3 / 11);
    format!(
        "{HEAD}Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nA complaint.\n\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n{fields}\n--b\nContent-Type: message/rfc822\n\nTo: {to}\n\n{body}\n--b--\n"
    )
}
