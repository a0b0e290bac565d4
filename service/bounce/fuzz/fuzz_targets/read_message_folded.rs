//! Each byte stands for one of few words that reports are made of, so that the fuzzer soon meets deep structures.
#![no_main]

use bounce::mail::Mail;
use bounce::report;
use libfuzzer_sys::fuzz_target;

const WORDS: &[&str] = &[
    "\n", "\r\n", "\r", " ", "\t", "\n\n", ":", ";", "=", "\"", "<", ">", "(", ")", "@", ".", ",", "-", "--b", "--b--", "--c", "a", "\u{fc}", "\0",
    "From: MAILER-DAEMON@x.example\n", "Return-Path: <>\n", "Subject: failure notice\n", "To: a@b.example\n", "Received: from a by b\n",
    "Message-ID: <a@b>\n", "X-Failed-Recipients: ", "Auto-Submitted: auto-replied\n", "Content-Type: ", "multipart/report; boundary=b\n",
    "multipart/alternative; boundary=c\n", "message/delivery-status\n", "message/rfc822\n", "message/feedback-report\n", "text/plain\n",
    "text/html\n", "Content-Transfer-Encoding: ", "base64\n", "quoted-printable\n", "Final-Recipient: rfc822; ", "Original-Recipient: ",
    "Action: ", "failed\n", "delayed\n", "Status: ", "5.1.1", "Diagnostic-Code: smtp; ", "550 5.1.1 ", "550-", "Feedback-Type: abuse\n",
    "Original-Rcpt-To: ", "jane@corp.example", "=?utf-8?q?", "?=", "=3D", "+2B", "\\x{F6}", "<br>", "<style>", "&lt;", "generated from ",
    "{\"notificationType\":\"Bounce\"}", "prvs=1=", "SRS0=a=b=", ">>> RCPT TO", "The following recipients:\n",
];

fuzz_target!(|raw: &[u8]| {
    let text: String = raw.iter().filter_map(|it| WORDS.get(usize::from(*it) % WORDS.len())).copied().collect();
    let _ = report::read(&Mail::parse(text.as_bytes()));
});
