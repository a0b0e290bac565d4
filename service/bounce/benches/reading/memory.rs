//! The most memory that the process holds while it reads a mail of 25 MB, mail, rules and all, as a factor of the mail's
//! size. Told by the kernel, so on Linux only.

use std::fs;
use std::hint::black_box;

use bounce::classify::Rules;
use bounce::mail::Mail;
use bounce::report;

const OCTETS: usize = 25 * 1024 * 1024;

const HEAD: &str = "Return-Path: <>\nFrom: MAILER-DAEMON@x.example\nTo: a@b.example\nSubject: failure notice\nContent-Type: ";

/// A name, the media type and what stands below it, and the line that fills the rest.
const SHAPES: &[(&str, &str, &str)] = &[
    ("prose", "text/plain\n\n<j@x.example>:\n550 no such user\n\n", "some words\n"),
    ("one line", "text/plain\n\n", "x"),
    ("prose in base64", "text/plain\nContent-Transfer-Encoding: base64\n\n", "c29tZSB3b3Jkcwpz\n"),
    ("prose in quoted-printable", "text/plain\nContent-Transfer-Encoding: quoted-printable\n\n", "some w=C3=B6rds\n"),
    ("HTML in base64", "text/html\nContent-Transfer-Encoding: base64\n\n", "PHA+c29tZSB3b3Jk\n"),
    ("a returned message", "message/rfc822\n\nSubject: news\n\n", "some words\n"),
    ("a returned message in base64", "message/rfc822\nContent-Transfer-Encoding: base64\n\n", "U3ViamVjdDogbmV3\n"),
    ("a delivery status", "message/delivery-status\n\n", "Final-Recipient: rfc822; j@x.example\nAction: failed\n\n"),
];

/// Prints for each shape the peak while it is read, or that it cannot be known.
#[expect(clippy::print_stdout, reason = "a bench reports to the terminal")]
pub(crate) fn print() {
    println!("\n{:34} {:>12} {:>14}", "shape of 25 MB", "octets", "peak / octets");
    for (name, head, line) in SHAPES {
        let mail = mail(head, line);
        match peak_while(|| crate::judged(&report::read(&Mail::parse(mail.as_bytes())), Rules::builtin())) {
            Some(peak) => println!("{name:34} {:>12} {:>11}.{:02}", mail.len(), peak / mail.len(), peak * 100 / mail.len() % 100),
            None => println!("{name:34} {:>12} {:>14}", mail.len(), "not known here"),
        }
    }
}

/// A mail whose memory is taken at once, so that its making leaves no trace.
fn mail(head: &str, line: &str) -> String {
    let mut mail = String::with_capacity(OCTETS);
    mail.push_str(HEAD);
    mail.push_str(head);
    while mail.len() + line.len() <= OCTETS {
        mail.push_str(line);
    }
    mail
}

/// The most octets that the process held while something was done.
fn peak_while(work: impl FnOnce() -> usize) -> Option<usize> {
    // 5 resets the peak: proc(5), /proc/pid/clear_refs.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    black_box(work());
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    peak.parse::<usize>().ok().map(|it| it * 1024)
}
