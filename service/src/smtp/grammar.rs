//! One line of a client as a command. The grammar (RFC 5321 section 4.1, RFC 6531) is that of the crate `smtp-proto`; lines are cut
//! and line ends checked before it sees them, for it takes any LF as an end and skips a CR anywhere. What it reads and we do not
//! offer is told apart here, so that nobody is promised what is not done.

use std::borrow::Cow;

use smtp_proto::{Error, MAIL_BODY_7BIT, MAIL_BODY_8BITMIME, MAIL_SMTPUTF8, MailFrom, RcptTo, Request};

use super::reply::Reply;
use crate::telemetry::MailProtocol;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// HELO.
    Helo,
    /// EHLO, and LHLO of LMTP.
    Hello(MailProtocol),
    /// MAIL: the reverse path, empty for a report, and the size it announces, 0 if none.
    Mail {
        from: String,
        size: usize,
    },
    /// RCPT: the forward path.
    Rcpt {
        to: String,
    },
    Data,
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
    StartTls,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is refused, and the next line is read.
    Refused(Reply),
    /// It is refused, and what comes after it cannot be commands: another protocol, or the octets of a message.
    Fatal(Reply),
}

/// Words of other protocols: somebody makes a browser talk to us.
const OTHER_PROTOCOLS: [&str; 8] = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH"];

/// Reads a line, without its end.
pub(super) fn command(line: &[u8]) -> Result<Command, Wrong> {
    let refused = |it| Err(Wrong::Refused(it));
    let Ok(text) = std::str::from_utf8(line) else { return refused(Reply::UNKNOWN_COMMAND) };
    if text.chars().any(|it| it.is_control() && it != '\t') {
        return refused(Reply::UNKNOWN_COMMAND);
    }
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_bare = rest.trim().is_empty();
    let ended = [line, b"\r\n"].concat();
    match Request::parse(&mut ended.iter()) {
        Ok(Request::Helo { .. }) => Ok(Command::Helo),
        Ok(Request::Ehlo { .. }) => Ok(Command::Hello(MailProtocol::Smtp)),
        Ok(Request::Lhlo { .. }) => Ok(Command::Hello(MailProtocol::Lmtp)),
        Ok(Request::Mail { from }) => mail(from),
        Ok(Request::Rcpt { to }) => rcpt(to, rest),
        Ok(Request::Data | Request::Rset | Request::Quit | Request::StartTls) if !is_bare => refused(Reply::SYNTAX),
        Ok(Request::Data) => Ok(Command::Data),
        Ok(Request::Rset) => Ok(Command::Rset),
        Ok(Request::Quit) => Ok(Command::Quit),
        Ok(Request::StartTls) => Ok(Command::StartTls),
        Ok(Request::Noop { .. }) => Ok(Command::Noop),
        Ok(Request::Vrfy { .. }) => Ok(Command::Vrfy),
        Ok(Request::Help { .. }) => Ok(Command::Help),
        // Octets of a message follow it at once, whatever is answered.
        Ok(Request::Bdat { .. }) => Err(Wrong::Fatal(Reply::NOT_OFFERED)),
        Ok(Request::Auth { .. } | Request::Expn { .. } | Request::Etrn { .. } | Request::Atrn { .. } | Request::Burl { .. }) => {
            refused(Reply::NOT_OFFERED)
        }
        Err(_) if word.eq_ignore_ascii_case("BDAT") => Err(Wrong::Fatal(Reply::NOT_OFFERED)),
        Err(Error::InvalidSenderAddress) => refused(Reply::BAD_SENDER),
        Err(Error::InvalidRecipientAddress) => refused(Reply::BAD_RECIPIENT),
        Err(Error::UnsupportedParameter { .. }) => refused(Reply::UNKNOWN_PARAMETER),
        Err(Error::SyntaxError { .. } | Error::InvalidParameter { .. }) => refused(Reply::SYNTAX),
        Err(_) if word.ends_with(':') || OTHER_PROTOCOLS.iter().any(|it| word.eq_ignore_ascii_case(it)) => {
            Err(Wrong::Fatal(Reply::OTHER_PROTOCOL))
        }
        Err(_) => refused(Reply::UNKNOWN_COMMAND),
    }
}

fn mail(from: MailFrom<Cow<'_, str>>) -> Result<Command, Wrong> {
    const OFFERED: u64 = MAIL_BODY_7BIT | MAIL_BODY_8BITMIME | MAIL_SMTPUTF8;
    let MailFrom { address, flags, size, .. } = from.clone();
    let plain = MailFrom { address, flags: flags & OFFERED, size, ..MailFrom::default() };
    if plain != from {
        return Err(Wrong::Refused(Reply::UNKNOWN_PARAMETER));
    }
    Ok(Command::Mail { from: from.address.into_owned(), size })
}

fn rcpt(to: RcptTo<Cow<'_, str>>, rest: &str) -> Result<Command, Wrong> {
    let plain = RcptTo { address: to.address.clone(), ..RcptTo::default() };
    if plain != to {
        return Err(Wrong::Refused(Reply::UNKNOWN_PARAMETER));
    }
    // The one address that may come without a domain (RFC 5321 section 4.5.1) is read as no address at all.
    let is_postmaster = to.address.is_empty() && rest.to_ascii_lowercase().contains("postmaster");
    Ok(Command::Rcpt { to: if is_postmaster { "postmaster".to_owned() } else { to.address.into_owned() } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_read_as_the_rfc_has_them() {
        let mail = |from: &str, size| Ok(Command::Mail { from: from.to_owned(), size });
        let rcpt = |to: &str| Ok(Command::Rcpt { to: to.to_owned() });
        for (line, expected) in [
            ("EHLO mx.example.net", Ok(Command::Hello(MailProtocol::Smtp))),
            ("ehlo [192.0.2.1]", Ok(Command::Hello(MailProtocol::Smtp))),
            ("LHLO x", Ok(Command::Hello(MailProtocol::Lmtp))),
            ("HELO x", Ok(Command::Helo)),
            ("MAIL FROM:<>", mail("", 0)),
            ("MAIL FROM:<> SIZE=1234 BODY=8BITMIME SMTPUTF8", mail("", 1234)),
            ("mail from:<Jane@corp.example> BODY=7BIT", mail("Jane@corp.example", 0)),
            ("RCPT TO:<b+token@bounces.example.org>", rcpt("b+token@bounces.example.org")),
            ("RCPT TO:<jörg@bücher.example>", rcpt("jörg@bücher.example")),
            ("RCPT TO:<Postmaster>", rcpt("postmaster")),
            ("DATA", Ok(Command::Data)),
            ("data ", Ok(Command::Data)),
            ("RSET", Ok(Command::Rset)),
            ("NOOP", Ok(Command::Noop)),
            ("NOOP and more", Ok(Command::Noop)),
            ("VRFY jane", Ok(Command::Vrfy)),
            ("HELP", Ok(Command::Help)),
            ("HELP MAIL", Ok(Command::Help)),
            ("STARTTLS", Ok(Command::StartTls)),
            ("QUIT", Ok(Command::Quit)),
        ] {
            assert_eq!(command(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_kind() {
        for (line, expected) in [
            (&b""[..], Wrong::Refused(Reply::UNKNOWN_COMMAND)),
            (b"HUH", Wrong::Refused(Reply::UNKNOWN_COMMAND)),
            (b"\xff\xfe", Wrong::Refused(Reply::UNKNOWN_COMMAND)),
            (b"MAIL FROM:<a\0@b.example>", Wrong::Refused(Reply::UNKNOWN_COMMAND)),
            (b"DATA x", Wrong::Refused(Reply::SYNTAX)),
            (b"STARTTLS now", Wrong::Refused(Reply::SYNTAX)),
            (b"EHLO", Wrong::Refused(Reply::SYNTAX)),
            (b"MAIL FROM:jane@corp.example", Wrong::Refused(Reply::SYNTAX)),
            (b"MAIL FROM:<jane", Wrong::Refused(Reply::BAD_SENDER)),
            (b"RCPT TO:<@>", Wrong::Refused(Reply::BAD_RECIPIENT)),
            (b"MAIL FROM:<> BODY=BINARYMIME", Wrong::Refused(Reply::UNKNOWN_PARAMETER)),
            (b"MAIL FROM:<> RET=HDRS", Wrong::Refused(Reply::UNKNOWN_PARAMETER)),
            (b"RCPT TO:<a@b.example> NOTIFY=NEVER", Wrong::Refused(Reply::UNKNOWN_PARAMETER)),
            (b"AUTH PLAIN dGVzdA==", Wrong::Refused(Reply::NOT_OFFERED)),
            (b"EXPN list", Wrong::Refused(Reply::NOT_OFFERED)),
            (b"BDAT 1000 LAST", Wrong::Fatal(Reply::NOT_OFFERED)),
            (b"BDAT x", Wrong::Fatal(Reply::NOT_OFFERED)),
            (b"GET / HTTP/1.1", Wrong::Fatal(Reply::OTHER_PROTOCOL)),
            (b"Host: bounces.example.org", Wrong::Fatal(Reply::OTHER_PROTOCOL)),
        ] {
            assert_eq!(command(line), Err(expected), "{}", line.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = command(&line);
        }

        #[test]
        fn no_line_like_a_command_panics(line in "(MAIL FROM|RCPT TO|EHLO|BDAT|VRFY|AUTH)[: ]<?[\"\\\\@:,.<> a-zé+=;0-9A-Z-]{0,60}") {
            let _ = command(line.as_bytes());
        }
    }
}
