//! What a labelled set says is true: one JSON object on a line, a message with what is expected of each recipient. Unknown
//! keys are let be, so that a set may say more than is measured.

use serde::Deserialize;

crate::vocabulary! {
    /// What a label, or an answer, says of one recipient.
    pub enum Outcome, "outcome" {
        /// The address will not work again.
        Hard = "hard",
        /// Final for this message; everything else.
        Soft = "soft",
        /// The queue gave up; as good as `soft`.
        Expired = "expired",
        /// A failure, hard or soft: the label does not say.
        Unknown = "unknown",
        /// Not final.
        Delayed = "delayed",
        /// It arrived.
        Delivered = "delivered",
        /// The recipient complained, or does not want more.
        Complaint = "complaint",
        /// Nothing may be claimed.
        None = "none",
    }
}

/// One message and what is true of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Label {
    /// Name, unique in the set.
    pub id: String,
    /// Where the message lies, relative to the labels; the name if it is not said.
    pub path: Option<String>,
    /// Which part of the set it belongs to.
    #[serde(default)]
    pub source: String,
    /// Its recipients. None: nothing may be claimed.
    #[serde(default)]
    pub expected: Vec<Expected>,
}

/// What is true of one recipient.
#[derive(Debug, Clone, Deserialize)]
pub struct Expected {
    /// The address.
    pub recipient: String,
    /// What happened.
    pub disposition: Outcome,
    /// What else counts as right.
    #[serde(default)]
    pub accept: Vec<Outcome>,
    /// Other spellings of the recipient.
    #[serde(default)]
    pub also: Vec<String>,
    /// The enhanced status.
    pub status: Option<String>,
    /// What else counts as right.
    #[serde(default)]
    pub status_accept: Vec<String>,
    /// The reason, in our words if `reasons_accept` is there, else in those of the set.
    pub reason: Option<String>,
    /// What else counts as right. Sets of others share words with us that mean something else; this key says that the
    /// words are ours.
    pub reasons_accept: Option<Vec<String>>,
    /// The coarse reason: `user`, `domain`, `full`, `disabled`, `policy`, `relay`, `size`, `system`, `expired` …
    pub cat: Option<String>,
    /// It may be reported or not.
    #[serde(default)]
    pub optional: bool,
}

impl Expected {
    /// Whether it has to be reported.
    pub(super) fn is_due(&self) -> bool {
        !self.optional && self.disposition != Outcome::None
    }

    /// Whether hard and something else both count as right, so that nothing can be said about suppression.
    pub(super) fn is_contested(&self) -> bool {
        let mut all = self.accept.iter().chain([&self.disposition]);
        let (hard, other) = (all.clone().any(|it| *it == Outcome::Hard), all.clone().any(|it| *it != Outcome::Hard));
        (hard && other) || all.any(|it| *it == Outcome::Unknown)
    }

    pub(super) fn suppresses(&self) -> bool {
        matches!(self.disposition, Outcome::Hard | Outcome::Complaint)
    }
}

/// Why labels could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LabelError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads a labelled set.
///
/// # Errors
///
/// At the first line that is no label.
pub fn labels(text: &str) -> Result<Vec<Label>, LabelError> {
    let lines = text.lines().enumerate().filter(|it| !it.1.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|err| LabelError { line: at + 1, problem: err.to_string() })).collect()
}
