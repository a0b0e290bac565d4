//! The form of a rule file: TOML, one `[[rule]]` after the other, each with its own sample. A file that cannot be read,
//! or a rule that does not match its own sample, is refused with file, line and id.

use serde::Deserialize;
use toml::Spanned;

use crate::classify::reason::Reason;
use crate::classify::rules::pattern::{Conditions, ReplyPattern, StatusPattern};
use crate::kind::BounceType;
use crate::status::Stage;

/// Why rules were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The file is no rule file.
    #[error("{file}:{line}: {problem}")]
    File {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong, and with what.
        problem: String,
    },
    /// One rule cannot work.
    #[error("{file}:{line}: rule {id}: {problem}")]
    Rule {
        /// Name of the file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Name of the rule.
        id: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// One rule: words, and what they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Name, unique among all rules: `gmail.no_such_user`.
    pub id: String,
    /// What the words mean.
    pub reason: Reason,
    /// Hard or soft, where it differs from what the reason says of a permanent failure.
    pub bounce_type: Option<BounceType>,
    /// The receiver whose words these are; `None` for words that mean the same everywhere.
    pub receiver: Option<String>,
    /// Whether nobody else says it, so that the rule holds wherever the words turn up.
    pub distinct: bool,
    /// Whether the words are so vague that a specific enhanced status says more.
    pub weak: bool,
    /// What must hold besides.
    pub when: Conditions,
    /// Patterns: any one will do. `...` stands for anything, `|` at an end for the edge of a word.
    pub any: Vec<String>,
    /// A text that the rule must match.
    pub sample: String,
    /// Where the words are documented or were seen.
    pub source: String,
    /// When they were last seen or looked up.
    pub seen: String,
    /// The file the rule stands in.
    pub file: String,
    /// The line its id stands on, from 1.
    pub line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    receiver: Option<String>,
    #[serde(default)]
    rule: Vec<RawRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: Spanned<String>,
    reason: Reason,
    bounce_type: Option<BounceType>,
    #[serde(default)]
    distinct: bool,
    #[serde(default)]
    weak: bool,
    #[serde(default)]
    when: RawWhen,
    #[serde(default)]
    any: Vec<String>,
    sample: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    seen: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawWhen {
    receiver: Option<String>,
    #[serde(default)]
    stage: OneOrMore<Stage>,
    #[serde(default)]
    reply: OneOrMore<String>,
    #[serde(default)]
    status: OneOrMore<String>,
    #[serde(default)]
    diagnostic: OneOrMore<String>,
    #[serde(default)]
    local: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

/// Reads the rules of one file, in their order.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Rule>, RulesError> {
    let raw: RawFile = toml::from_str(text).map_err(|err| RulesError::File {
        file: file.to_owned(),
        line: err.span().map_or(1, |span| line_of(text, span.start)),
        problem: err.message().to_owned(),
    })?;
    let receiver = raw.receiver;
    raw.rule.into_iter().map(|it| convert(it, file, text, receiver.as_deref())).collect()
}

fn convert(raw: RawRule, file: &str, text: &str, receiver: Option<&str>) -> Result<Rule, RulesError> {
    let line = line_of(text, raw.id.span().start);
    let id = raw.id.into_inner();
    let wrong = |problem: String| RulesError::Rule { file: file.to_owned(), line, id: id.clone(), problem };
    let shaped = !id.is_empty() && id.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"._-".contains(&it));
    if !shaped {
        return Err(wrong("an id is made of a-z, 0-9, `.`, `_` and `-`".to_owned()));
    }
    let replies = raw.when.reply.into_vec();
    let statuses = raw.when.status.into_vec();
    let when = Conditions {
        stage: raw.when.stage.into_vec(),
        reply: replies
            .iter()
            .map(|it| ReplyPattern::parse(it).ok_or_else(|| wrong(format!("{it:?} is no reply code such as 550, 55x or 5xx"))))
            .collect::<Result<_, _>>()?,
        status: statuses
            .iter()
            .map(|it| StatusPattern::parse(it).ok_or_else(|| wrong(format!("{it:?} is no status such as 5.1.1, x.7.1 or 5.7.606..649"))))
            .collect::<Result<_, _>>()?,
        diagnostic: raw.when.diagnostic.into_vec(),
        local: raw.when.local,
    };
    if raw.any.is_empty() && when.is_empty() {
        return Err(wrong("it would match everything: give it patterns in `any` or codes in `when`".to_owned()));
    }
    let vague = |it: &&String| it.split("...").any(|part| part.trim_matches([' ', '|']).len() < 2);
    if let Some(short) = raw.any.iter().find(vague) {
        return Err(wrong(format!("pattern {short:?} has a part of fewer than two letters")));
    }
    Ok(Rule {
        reason: raw.reason,
        bounce_type: raw.bounce_type,
        receiver: raw.when.receiver.or_else(|| receiver.map(str::to_owned)),
        distinct: raw.distinct,
        weak: raw.weak,
        when,
        any: raw.any,
        sample: raw.sample,
        source: raw.source,
        seen: raw.seen,
        file: file.to_owned(),
        line,
        id,
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|it| **it == b'\n').count() + 1
}
