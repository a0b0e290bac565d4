//! Looks for what is odd about rules that load: two with the same words, one that another always beats, one that fits
//! the sample of another, one without source.

use std::collections::HashMap;
use std::fmt;

use crate::classify::rules::{Rule, Rules};

/// One odd thing about one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Two rules have a pattern in common, for the same receiver and under the same conditions.
    Duplicate {
        /// The later rule.
        id: String,
        /// The earlier one.
        other: String,
        /// The pattern.
        pattern: String,
    },
    /// Another rule with another reason wins on the rule's own sample.
    Shadowed {
        /// The rule that cannot win.
        id: String,
        /// The one that wins.
        by: String,
    },
    /// The rule fits the sample of another one that stands elsewhere and means something else.
    Overlap {
        /// The rule that fits too much.
        id: String,
        /// The rule whose sample it fits.
        other: String,
    },
    /// Nobody can look up where the words come from.
    NoSource {
        /// The rule.
        id: String,
    },
}

impl Finding {
    /// Whether the rules do not do what they say. An overlap is only a remark: the order of the rules settles it.
    #[must_use]
    pub const fn is_defect(&self) -> bool {
        !matches!(self, Self::Overlap { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate { id, other, pattern } => write!(f, "{id}: pattern {pattern:?} stands in {other} already"),
            Self::Shadowed { id, by } => write!(f, "{id}: {by} wins on its own sample"),
            Self::Overlap { id, other } => write!(f, "{id}: fits the sample of {other}, which means something else"),
            Self::NoSource { id } => write!(f, "{id}: has no source or no date"),
        }
    }
}

pub(super) fn lint(rules: &Rules) -> Vec<Finding> {
    let mut findings = duplicates(rules.all());
    for rule in rules.all() {
        if rule.source.is_empty() || rule.seen.is_empty() {
            findings.push(Finding::NoSource { id: rule.id.clone() });
        }
        let matches = rules.on_sample(rule);
        let Some(winner) = matches.first() else { continue };
        if winner.rule.id != rule.id && winner.rule.reason != rule.reason {
            findings.push(Finding::Shadowed { id: rule.id.clone(), by: winner.rule.id.clone() });
        }
        let own = matches.iter().find(|it| it.rule.id == rule.id).map(|it| it.tier);
        let meddles = |it: &&crate::classify::rules::Matched<'_>| {
            it.rule.id != rule.id && it.rule.reason != rule.reason && Some(it.tier) == own && !it.rule.weak
        };
        findings.extend(matches.iter().filter(meddles).map(|it| Finding::Overlap { id: it.rule.id.clone(), other: rule.id.clone() }));
    }
    findings
}

fn duplicates(rules: &[Rule]) -> Vec<Finding> {
    let mut seen: HashMap<(&str, Option<&str>), Vec<&Rule>> = HashMap::new();
    let mut findings = Vec::new();
    for rule in rules {
        for pattern in &rule.any {
            let others = seen.entry((pattern, rule.receiver.as_deref())).or_default();
            if let Some(other) = others.iter().find(|it| it.when == rule.when) {
                findings.push(Finding::Duplicate { id: rule.id.clone(), other: other.id.clone(), pattern: pattern.clone() });
            }
            others.push(rule);
        }
    }
    findings
}
