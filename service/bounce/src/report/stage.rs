//! Which SMTP command was refused, told by the phrases that mail servers write around a reply. Each phrase is a fact of
//! one server's wording; all are looked for in one pass.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::status::Stage;

/// Phrase in lower case, and the stage it tells.
const PHRASES: &[(&str, Stage)] = &[
    // Postfix: (in reply to RCPT TO command)
    ("in reply to rcpt to", Stage::RcptTo),
    ("in reply to mail from", Stage::MailFrom),
    ("in reply to data command", Stage::Data),
    ("in reply to end of data", Stage::EndOfData),
    ("in reply to ehlo", Stage::Ehlo),
    ("in reply to helo", Stage::Ehlo),
    ("in reply to lhlo", Stage::Ehlo),
    ("in reply to auth", Stage::Auth),
    ("in reply to starttls", Stage::StartTls),
    ("refused to talk to me", Stage::Connect),
    ("while receiving the initial server greeting", Stage::Connect),
    ("while sending rcpt to", Stage::RcptTo),
    ("while sending mail from", Stage::MailFrom),
    ("while sending message body", Stage::EndOfData),
    ("while sending end of data", Stage::EndOfData),
    ("while performing the ehlo handshake", Stage::Ehlo),
    ("while performing the helo handshake", Stage::Ehlo),
    // Exim: SMTP error from remote mail server after RCPT TO:<...>
    ("after rcpt to", Stage::RcptTo),
    ("after pipelined rcpt to", Stage::RcptTo),
    ("after mail from", Stage::MailFrom),
    ("after pipelined mail from", Stage::MailFrom),
    ("after end of data", Stage::EndOfData),
    ("after sending data block", Stage::EndOfData),
    ("after pipelined end of data", Stage::EndOfData),
    ("server after data", Stage::Data),
    ("after pipelined data", Stage::Data),
    ("after initial connection", Stage::Connect),
    ("after helo", Stage::Ehlo),
    ("after ehlo", Stage::Ehlo),
    ("after starttls", Stage::StartTls),
    ("after auth", Stage::Auth),
    // Sendmail and Courier transcripts: >>> RCPT To:<...>
    (">>> rcpt to", Stage::RcptTo),
    (">>> mail from", Stage::MailFrom),
    (">>> ehlo", Stage::Ehlo),
    (">>> helo", Stage::Ehlo),
    (">>> data", Stage::Data),
    (">>> starttls", Stage::StartTls),
    (">>> .", Stage::EndOfData),
    // qmail
    ("does not like recipient", Stage::RcptTo),
    ("sender was rejected", Stage::MailFrom),
    ("failed after i sent the message", Stage::EndOfData),
    ("greeting failed", Stage::Connect),
    ("my name was rejected", Stage::Ehlo),
    ("failed on data command", Stage::Data),
    // Yahoo
    ("[rcpt_to]", Stage::RcptTo),
    ("[mail_from]", Stage::MailFrom),
    ("[data]", Stage::Data),
    ("[dot]", Stage::EndOfData),
    ("[connect]", Stage::Connect),
    // Gmail of old: (state 14)
    ("(state 9)", Stage::Ehlo),
    ("(state 13)", Stage::Ehlo),
    ("(state 14)", Stage::RcptTo),
    ("(state 15)", Stage::Data),
    ("(state 17)", Stage::EndOfData),
    ("(state 18)", Stage::EndOfData),
    // Others
    ("in response to rcpt to", Stage::RcptTo),
    ("in response to mail from", Stage::MailFrom),
    ("in response to data", Stage::Data),
    ("error after end of message", Stage::EndOfData),
    ("while sending rcpt", Stage::RcptTo),
    ("unknown user rcpt to", Stage::RcptTo),
];

static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest).build(PHRASES.iter().map(|it| it.0)).ok()
});

/// The stage that the last phrase in the text tells: a transcript ends with the command that failed.
pub(crate) fn find(text: &str) -> Option<Stage> {
    let last = SEARCH.as_ref()?.find_iter(text).last()?;
    PHRASES.get(last.pattern().as_usize()).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_is_found_and_tells_its_stage() {
        for (phrase, stage) in PHRASES {
            assert_eq!(find(&format!("it said no ({}) at all", phrase.to_uppercase())), Some(*stage), "{phrase}");
        }
        assert_eq!(find("550 no such user"), None);
    }

    #[test]
    fn the_last_command_of_a_transcript_counts() {
        assert_eq!(find(">>> MAIL FROM:<a@b.example>\n<<< 250 ok\n>>> RCPT TO:<c@d.example>\n<<< 550 no"), Some(Stage::RcptTo));
    }
}
