//! What a reason means in words people can act on: explanation, who has to act, advice, when to try again. Text only,
//! from `rules/reasons.toml`; nothing here decides anything.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::classify::reason::Reason;

/// The words about one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// What happened.
    pub explanation: String,
    /// Who has to act for the next message to arrive.
    pub who: String,
    /// What to do.
    pub advice: String,
    /// When, and whether, to try again.
    pub retry: String,
}

/// The words about a reason.
///
/// ```
/// use bounce::classify::{meaning, reason::Reason};
/// assert!(meaning::of(Reason::MailboxFull).explanation.contains("quota"));
/// ```
///
/// # Panics
///
/// Never: the table is part of the program.
#[must_use]
pub fn of(reason: Reason) -> &'static Meaning {
    static MEANINGS: OnceLock<HashMap<Reason, Meaning>> = OnceLock::new();
    let meanings = MEANINGS.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "the table is part of the program and a test reads it")]
        toml::from_str(include_str!("../../rules/reasons.toml")).expect("rules/reasons.toml is well formed")
    });
    &meanings[&reason]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_words() {
        for reason in Reason::ALL {
            let Meaning { explanation, who, advice, retry } = of(*reason);
            assert!([explanation, who, advice, retry].iter().all(|it| !it.is_empty()), "{reason}");
        }
    }
}
