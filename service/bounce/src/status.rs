//! Codes and stages of an SMTP conversation: enhanced status (RFC 3463), reply code (RFC 5321 section 4.2) and the
//! command a reply answered. Values only; what they mean is the registry's business (`classify::codes`).

use std::fmt;
use std::str::FromStr;

/// First number of an enhanced status code, RFC 3463 section 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// 2: it worked.
    Success,
    /// 4: it may work later.
    Transient,
    /// 5: it will not work unless something changes.
    Permanent,
}

impl Class {
    /// The digit that stands for the class.
    #[must_use]
    pub const fn digit(self) -> u8 {
        match self {
            Self::Success => 2,
            Self::Transient => 4,
            Self::Permanent => 5,
        }
    }

    /// The class a digit stands for; RFC 3463 knows 2, 4 and 5 only.
    #[must_use]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        match digit {
            2 => Some(Self::Success),
            4 => Some(Self::Transient),
            5 => Some(Self::Permanent),
            _ => None,
        }
    }
}

/// An enhanced mail system status code such as `5.1.1`, RFC 3463.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatus {
    /// Whether it worked.
    pub class: Class,
    /// Who or what it is about: 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

impl EnhancedStatus {
    /// Builds a status from its three numbers.
    #[must_use]
    pub const fn new(class: Class, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// Whether this is `X.0.0`, which says nothing but the class.
    #[must_use]
    pub const fn is_bare(self) -> bool {
        self.subject == 0 && self.detail == 0
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class.digit(), self.subject, self.detail)
    }
}

/// Why a text is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Not three numbers with dots, or a class other than 2, 4 and 5.
    #[error("{0:?} is not an enhanced status code such as 5.1.1 (RFC 3463)")]
    Status(String),
    /// Not a number from 200 to 599.
    #[error("{0:?} is not an SMTP reply code such as 550 (RFC 5321 section 4.2)")]
    Reply(String),
    /// Not a word of this vocabulary.
    #[error("{word:?} is not a known {vocabulary}")]
    Word {
        /// What was expected.
        vocabulary: &'static str,
        /// What was found.
        word: String,
    },
}

impl FromStr for EnhancedStatus {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let wrong = || CodeError::Status(text.chars().take(40).collect());
        let number = |part: Option<&str>| {
            part.filter(|it| (1..=3).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit())).and_then(|it| it.parse::<u16>().ok())
        };
        let mut parts = text.trim().split('.');
        let class =
            parts.next().filter(|it| it.len() == 1).and_then(|it| it.parse::<u8>().ok()).and_then(Class::from_digit).ok_or_else(wrong)?;
        match (number(parts.next()), number(parts.next()), parts.next()) {
            (Some(subject), Some(detail), None) => Ok(Self { class, subject, detail }),
            _ => Err(wrong()),
        }
    }
}

/// An SMTP reply code, RFC 5321 section 4.2. Never below 200 nor above 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmtpReply(u16);

impl SmtpReply {
    /// A reply code, if the number is one.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        if code >= 200 && code <= 599 { Some(Self(code)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// The class its first digit stands for; `None` for the 3yz replies in mid-dialogue.
    #[must_use]
    pub const fn class(self) -> Option<Class> {
        match self.0 / 100 {
            2 => Some(Class::Success),
            4 => Some(Class::Transient),
            5 => Some(Class::Permanent),
            _ => None,
        }
    }
}

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for SmtpReply {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let text = text.trim();
        text.parse().ok().filter(|_| text.len() == 3).and_then(Self::new).ok_or_else(|| CodeError::Reply(text.chars().take(40).collect()))
    }
}

crate::vocabulary! {
    /// The SMTP command that a reply answered.
    pub enum Stage, "SMTP stage" {
        /// Before or at the greeting.
        Connect = "connect",
        /// HELO, EHLO or LHLO.
        Ehlo = "ehlo",
        /// STARTTLS and the handshake after it.
        StartTls = "starttls",
        /// AUTH.
        Auth = "auth",
        /// MAIL FROM.
        MailFrom = "mail_from",
        /// RCPT TO.
        RcptTo = "rcpt_to",
        /// DATA, before the message.
        Data = "data",
        /// The end of the message: the reply to the final dot.
        EndOfData = "end_of_data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_numbers_with_a_known_class() {
        assert_eq!("5.1.1".parse(), Ok(EnhancedStatus::new(Class::Permanent, 1, 1)));
        assert_eq!("4.7.650".parse(), Ok(EnhancedStatus::new(Class::Transient, 7, 650)));
        for wrong in ["", "5", "5.1", "5.1.1.1", "3.1.1", "55.1.1", "5.1.1111", "5.-1.1", "5. 1.1", "5.1.x"] {
            assert!(wrong.parse::<EnhancedStatus>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_reply_has_three_digits_from_200_to_599() {
        assert_eq!("550".parse::<SmtpReply>().map(SmtpReply::code), Ok(550));
        for wrong in ["", "55", "5500", "199", "600", "-50", "+50", "abc"] {
            assert!(wrong.parse::<SmtpReply>().is_err(), "{wrong:?}");
        }
    }
}
