//! One session of SMTP (RFC 5321) or LMTP (RFC 2033) as a machine: octets go in, replies come out, and now and then something
//! is asked of whoever holds the socket ([`Next`]). It knows no socket, no clock and no database, and does the same however its
//! input is cut into pieces. A message is answered only when it is told what became of it.

use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use memchr::memchr;

use super::body::{Body, Dropped, Fed};
use super::grammar::{self, Command, Wrong};
use super::mail::{Mail, Recipient};
use super::reply::Reply;
use super::route::Routes;
use crate::telemetry::{MailProtocol, SmtpRefused};

/// Octets of a command with its end: RFC 5321 section 4.5.3.1.4 has 512, and its extensions add to that.
pub(super) const LINE_LIMIT: usize = 2048;

/// What a session goes by.
#[derive(Debug)]
pub(super) struct Terms {
    /// The name that the greeting says.
    pub(super) hostname: String,
    /// Octets of a message.
    pub(super) max_message: usize,
    /// Recipients of a message.
    pub(super) max_recipients: usize,
    /// Commands of a session.
    pub(super) max_commands: usize,
    /// Commands of a session that may be refused.
    pub(super) max_errors: usize,
    /// Who gets whose mail.
    pub(super) routes: Routes,
}

/// What a session needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More octets.
    Input,
    /// To know what became of this message: [`Session::settled`].
    Settle(Mail),
    /// TLS, once the replies are written: [`Session::secured`]. What else has come in is thrown away, for it came in plain.
    Secure,
    /// Its end, once the replies are written.
    End,
}

/// What became of a message for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is durable.
    Durable,
    /// It is to come again: as much waits as can.
    Full,
    /// It is to come again.
    Unavailable,
}

/// Whether STARTTLS can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// There is no certificate.
    None,
    /// It is offered.
    Offered,
    /// It is spoken.
    Active,
}

/// Where a session stands.
#[derive(Debug)]
enum Phase {
    Commands,
    /// What follows DATA.
    Text(Body),
    /// Somebody else has the message.
    Settling(usize),
    Ended,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    terms: Arc<Terms>,
    protocol: MailProtocol,
    tls: Tls,
    phase: Phase,
    is_greeted: bool,
    sender: Option<String>,
    recipients: Vec<Recipient>,
    commands: usize,
    errors: usize,
    /// Whether the line that is being read is too long already.
    is_overlong: bool,
    refused: Vec<SmtpRefused>,
}

impl Session {
    /// A session that begins.
    pub(super) fn new(terms: Arc<Terms>, protocol: MailProtocol, tls: Tls) -> Self {
        Self {
            terms,
            protocol,
            tls,
            phase: Phase::Commands,
            is_greeted: false,
            sender: None,
            recipients: Vec::new(),
            commands: 0,
            errors: 0,
            is_overlong: false,
            refused: Vec::new(),
        }
    }

    /// What is said before anything is asked.
    pub(super) fn greet(&self, replies: &mut Vec<u8>) {
        let name = if self.protocol == MailProtocol::Smtp { "ESMTP" } else { "LMTP" };
        replies.extend_from_slice(format!("220 {} {name} Rebound\r\n", self.terms.hostname).as_bytes());
    }

    /// Takes what it can of the input.
    pub(super) fn take(&mut self, input: &mut BytesMut, replies: &mut Vec<u8>) -> Next {
        loop {
            let next = match &mut self.phase {
                Phase::Ended => Some(Next::End),
                Phase::Settling(_) => Some(Next::Input),
                Phase::Text(_) => self.take_text(input, replies),
                Phase::Commands => match self.line(input) {
                    None => Some(Next::Input),
                    Some(line) => self.take_line(line, replies),
                },
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    /// Octets of the message that it holds.
    pub(super) fn held(&self) -> usize {
        if let Phase::Text(body) = &self.phase { body.held() } else { 0 }
    }

    /// Whether a message is being read.
    pub(super) const fn is_in_text(&self) -> bool {
        matches!(self.phase, Phase::Text(_))
    }

    /// Commands that it has taken.
    pub(super) const fn commands(&self) -> usize {
        self.commands
    }

    /// There is no room for the message that is being read.
    pub(super) fn no_room(&mut self) {
        if let Phase::Text(body) = &mut self.phase {
            body.drop_text(Dropped::NoRoom);
        }
    }

    /// What became of the message, recipient by recipient.
    pub(super) fn settled(&mut self, fates: &[Fate], replies: &mut Vec<u8>) {
        let Phase::Settling(count) = self.phase else { return };
        self.phase = Phase::Commands;
        let told = |it: Fate| match it {
            Fate::Durable => Reply::TAKEN,
            Fate::Full => Reply::FULL,
            Fate::Unavailable => Reply::UNAVAILABLE,
        };
        let fate = |at: usize| fates.get(at).copied().unwrap_or(Fate::Unavailable);
        if self.protocol == MailProtocol::Lmtp {
            (0..count).for_each(|at| told(fate(at)).write(replies));
        } else {
            // One answer for all: only if nothing is left to come again.
            let worst = (0..count).map(fate).find(|it| *it != Fate::Durable).unwrap_or(Fate::Durable);
            told(worst).write(replies);
        }
    }

    /// TLS is spoken from here on; what was said before counts for nothing (RFC 3207 section 4.2).
    pub(super) fn secured(&mut self) {
        self.tls = Tls::Active;
        self.is_greeted = false;
        self.reset();
    }

    /// Ends it with a reply, unless a message is under way; whether it has ended.
    pub(super) fn end(&mut self, with: Reply, replies: &mut Vec<u8>) -> bool {
        match self.phase {
            Phase::Commands => {
                self.close(with, replies);
                true
            }
            Phase::Text(_) | Phase::Settling(_) => false,
            Phase::Ended => true,
        }
    }

    /// What was refused since this was asked last, to be counted.
    pub(super) fn refused(&mut self) -> Vec<SmtpRefused> {
        std::mem::take(&mut self.refused)
    }

    /// The next line with its end; `None` if it has not come whole. Of a line that is too long no more is kept than tells so.
    fn line(&mut self, input: &mut BytesMut) -> Option<BytesMut> {
        let Some(end) = memchr(b'\n', input) else {
            if input.len() > LINE_LIMIT {
                self.is_overlong = true;
                input.clear();
            }
            return None;
        };
        Some(input.split_to(end + 1))
    }

    fn take_line(&mut self, line: BytesMut, replies: &mut Vec<u8>) -> Option<Next> {
        self.commands += 1;
        if self.commands > self.terms.max_commands {
            return self.give_up(Reply::TOO_MANY_COMMANDS, SmtpRefused::TooManyCommands, replies);
        }
        if std::mem::take(&mut self.is_overlong) || line.len() > LINE_LIMIT {
            return self.refuse(Reply::LINE_TOO_LONG, SmtpRefused::Syntax, replies);
        }
        let Some(line) = line.strip_suffix(b"\r\n").filter(|it| memchr(b'\r', it).is_none()) else {
            return self.give_up(Reply::BARE_LINE_END, SmtpRefused::BareLineEnd, replies);
        };
        match grammar::command(line) {
            Ok(command) => self.obey(command, replies),
            Err(Wrong::Refused(reply)) => self.refuse(reply, SmtpRefused::Syntax, replies),
            Err(Wrong::Fatal(reply)) => self.give_up(reply, SmtpRefused::Syntax, replies),
        }
    }

    fn obey(&mut self, command: Command, replies: &mut Vec<u8>) -> Option<Next> {
        let sequence = SmtpRefused::Sequence;
        match command {
            Command::Helo if self.protocol == MailProtocol::Lmtp => self.refuse(Reply::OTHER_PROTOCOL, sequence, replies),
            Command::Hello(protocol) if protocol != self.protocol => self.refuse(Reply::OTHER_PROTOCOL, sequence, replies),
            Command::Helo => {
                self.hello();
                replies.extend_from_slice(format!("250 {}\r\n", self.terms.hostname).as_bytes());
                None
            }
            Command::Hello(_) => {
                self.hello();
                self.offer(replies);
                None
            }
            Command::Mail { from, size } => self.mail(from, size, replies),
            Command::Rcpt { to } => self.rcpt(to, replies),
            Command::Data if self.sender.is_none() => self.refuse(Reply::SENDER_FIRST, sequence, replies),
            Command::Data if self.recipients.is_empty() => self.refuse(Reply::RECIPIENT_FIRST, sequence, replies),
            Command::Data => {
                self.phase = Phase::Text(Body::new(self.terms.max_message));
                Self::answer(Reply::GO_AHEAD, replies)
            }
            Command::Rset => {
                self.reset();
                Self::answer(Reply::FINE, replies)
            }
            Command::Noop => Self::answer(Reply::FINE, replies),
            Command::Vrfy => Self::answer(Reply::NOT_VERIFIED, replies),
            Command::Help => Self::answer(Reply::HELP, replies),
            Command::Quit => {
                self.close(Reply::BYE, replies);
                None
            }
            Command::StartTls => match self.tls {
                Tls::None => self.refuse(Reply::NOT_OFFERED, sequence, replies),
                Tls::Active => self.refuse(Reply::TLS_ALREADY, sequence, replies),
                Tls::Offered => {
                    Reply::READY_FOR_TLS.write(replies);
                    Some(Next::Secure)
                }
            },
        }
    }

    fn mail(&mut self, from: String, size: usize, replies: &mut Vec<u8>) -> Option<Next> {
        if !self.is_greeted {
            return self.refuse(Reply::HELLO_FIRST, SmtpRefused::Sequence, replies);
        }
        if self.sender.is_some() {
            return self.refuse(Reply::NESTED_SENDER, SmtpRefused::Sequence, replies);
        }
        if size > self.terms.max_message {
            return self.refuse(Reply::TOO_LARGE, SmtpRefused::TooLarge, replies);
        }
        self.sender = Some(from);
        Self::answer(Reply::SENDER_FINE, replies)
    }

    fn rcpt(&mut self, address: String, replies: &mut Vec<u8>) -> Option<Next> {
        if self.sender.is_none() {
            return self.refuse(Reply::SENDER_FIRST, SmtpRefused::Sequence, replies);
        }
        if self.recipients.len() >= self.terms.max_recipients {
            return self.refuse(Reply::TOO_MANY_RECIPIENTS, SmtpRefused::TooManyRecipients, replies);
        }
        let address = if address == "postmaster" { format!("{address}@{}", self.terms.hostname) } else { address };
        let Some(source) = self.terms.routes.source(&address).cloned() else {
            return self.refuse(Reply::UNKNOWN_RECIPIENT, SmtpRefused::UnknownRecipient, replies);
        };
        self.recipients.push(Recipient { address, source });
        Self::answer(Reply::RECIPIENT_FINE, replies)
    }

    fn take_text(&mut self, input: &mut BytesMut, replies: &mut Vec<u8>) -> Option<Next> {
        let Phase::Text(body) = &mut self.phase else { return None };
        match body.feed(input) {
            Fed::More => {
                input.clear();
                Some(Next::Input)
            }
            Fed::Bare => {
                // What follows is the rest of a message or commands that somebody wants to smuggle in: none of it is read.
                self.refused.push(SmtpRefused::BareLineEnd);
                self.tell_all(Reply::BARE_LINE_END, replies);
                self.phase = Phase::Ended;
                None
            }
            Fed::End(read) => {
                input.advance(read);
                let Phase::Text(body) = std::mem::replace(&mut self.phase, Phase::Commands) else { return None };
                let (reply, why) = match body.finish() {
                    Ok(text) => return Some(self.hand_over(text)),
                    Err(Dropped::TooLarge) => (Reply::TOO_LARGE, SmtpRefused::TooLarge),
                    Err(Dropped::NoRoom) => (Reply::FULL, SmtpRefused::Full),
                };
                self.refused.push(why);
                self.tell_all(reply, replies);
                self.reset();
                None
            }
        }
    }

    fn hand_over(&mut self, text: Vec<u8>) -> Next {
        let (sender, recipients) = (self.sender.take().unwrap_or_default(), std::mem::take(&mut self.recipients));
        self.phase = Phase::Settling(recipients.len());
        Next::Settle(Mail { sender, recipients, text })
    }

    /// Answers a message: in LMTP for each recipient.
    fn tell_all(&self, reply: Reply, replies: &mut Vec<u8>) {
        let times = if self.protocol == MailProtocol::Lmtp { self.recipients.len() } else { 1 };
        (0..times).for_each(|_| reply.write(replies));
    }

    fn hello(&mut self) {
        self.is_greeted = true;
        self.reset();
    }

    fn offer(&self, replies: &mut Vec<u8>) {
        let Terms { hostname, max_message, .. } = &*self.terms;
        let tls = if self.tls == Tls::Offered { "250-STARTTLS\r\n" } else { "" };
        let offer = format!(
            "250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {max_message}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n{tls}250 ENHANCEDSTATUSCODES\r\n"
        );
        replies.extend_from_slice(offer.as_bytes());
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    fn answer(reply: Reply, replies: &mut Vec<u8>) -> Option<Next> {
        reply.write(replies);
        None
    }

    /// Refuses a command, and gives up on whoever has none that can be obeyed.
    fn refuse(&mut self, reply: Reply, why: SmtpRefused, replies: &mut Vec<u8>) -> Option<Next> {
        self.refused.push(why);
        self.errors += 1;
        reply.write(replies);
        if self.errors > self.terms.max_errors {
            return self.give_up(Reply::TOO_MANY_ERRORS, SmtpRefused::TooManyErrors, replies);
        }
        None
    }

    fn give_up(&mut self, reply: Reply, why: SmtpRefused, replies: &mut Vec<u8>) -> Option<Next> {
        self.refused.push(why);
        self.close(reply, replies);
        None
    }

    fn close(&mut self, reply: Reply, replies: &mut Vec<u8>) {
        reply.write(replies);
        self.reset();
        self.phase = Phase::Ended;
    }
}

#[cfg(test)]
mod tests;
