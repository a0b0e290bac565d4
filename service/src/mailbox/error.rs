//! What can go wrong with a mailbox. What a server says is repeated only as far as it says why it refuses something.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::token::TokenError;
use crate::intake::IntakeError;
use crate::telemetry::MailboxFailure;

/// Characters of a server's own words that are repeated.
const QUOTED: usize = 160;

/// Why a mailbox could not be worked on.
#[derive(Debug, thiserror::Error)]
pub(super) enum MailboxError {
    #[error("the server cannot be reached")]
    Connect(#[source] io::Error),
    #[error("TLS with the server failed")]
    Tls(#[source] io::Error),
    #[error("{path} holds no certificates that can be used (ca_file)")]
    Authorities { path: PathBuf },
    #[error("the certificates of the system's authorities cannot be used")]
    NoAuthorities,
    #[error("{0:?} is no name that a certificate can be proved for (host)")]
    Host(String),
    #[error("the server spoke before the connection was protected")]
    SaidAhead,
    #[error("the server offers no {0}")]
    NotOffered(&'static str),
    #[error("no access token")]
    Token(#[source] TokenError),
    #[error("the server refuses the login: {0}")]
    Login(String),
    #[error("the server said nothing for {0:?} (timeout)")]
    Silent(Duration),
    #[error("the server has closed the connection")]
    Closed,
    #[error("the server ends the session: {0}")]
    Bye(String),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the server sends more than {0} octets in one answer")]
    TooMuch(usize),
    #[error("the server refuses {command}: {text}")]
    Refused { command: &'static str, text: String },
    #[error("the folder can only be read, so no message can be marked as done")]
    ReadOnly,
    #[error("the folder does not keep the keyword of messages that are done (keyword)")]
    NoKeyword,
    #[error("a message was not taken in; it stays in the box")]
    Intake(#[source] IntakeError),
}

impl MailboxError {
    /// What refused something, in the server's own words, as far as they are any.
    pub(super) fn refused(command: &'static str, text: &str) -> Self {
        Self::Refused { command, text: quoted(text) }
    }

    /// Whether the server has answered, and the connection goes on.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The word under which it is counted.
    pub(super) const fn cause(&self) -> MailboxFailure {
        match self {
            Self::Connect(_) => MailboxFailure::Connect,
            Self::Tls(_) | Self::Authorities { .. } | Self::NoAuthorities | Self::Host(_) | Self::SaidAhead => MailboxFailure::Tls,
            Self::Token(_) => MailboxFailure::Token,
            Self::Login(_) | Self::NotOffered(_) => MailboxFailure::Login,
            Self::Silent(_) | Self::Closed | Self::Bye(_) | Self::Broken(_) => MailboxFailure::Lost,
            Self::TooMuch(_) | Self::Refused { .. } | Self::ReadOnly | Self::NoKeyword => MailboxFailure::Refused,
            Self::Intake(_) => MailboxFailure::Intake,
        }
    }
}

/// A server's words, printable and not many.
pub(super) fn quoted(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(QUOTED).collect()
}
