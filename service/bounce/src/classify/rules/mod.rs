//! Wording as data: which words of which receiver mean what (`rules/*.toml`). Loading runs every rule on its own sample;
//! all patterns are looked for in one pass. Operators' files come first and win.

mod builtin;
mod file;
mod lint;
mod matcher;
pub(super) mod pattern;
pub mod receivers;
mod signs;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::OnceLock;

use time::Duration;

use crate::classify::reason::Reason;
pub use crate::classify::rules::file::{Rule, RulesError};
pub use crate::classify::rules::lint::Finding;
use crate::classify::rules::matcher::{Builder, Matcher, Scan};
use crate::classify::rules::pattern::Facts;
use crate::classify::rules::receivers::Receivers;
use crate::classify::rules::signs::{Sign, Signs};
use crate::classify::said::codes_in;
use crate::classify::text::normalise;

/// Codes and wording, loaded and checked.
#[derive(Debug)]
pub struct Rules {
    list: Vec<Rule>,
    places: Vec<Place>,
    /// Rules that ask for codes only, by their place in `list`.
    code_only: Vec<u32>,
    matcher: Matcher,
    receivers: Receivers,
    block_lists: Vec<String>,
    version: String,
}

/// Where a rule stands among the others, computed once.
#[derive(Debug, Clone, Copy)]
struct Place {
    operators: bool,
    receiver: Option<u16>,
}

/// How much a match weighs, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// An operator's own rule.
    Operator,
    /// The words of the receiver that refused.
    Receiver,
    /// A code that the receiver uses in its own way.
    ReceiverCode,
    /// Words that only one receiver writes, met elsewhere.
    Distinct,
    /// Words that mean the same everywhere.
    Generic,
    /// Words so vague that a specific status says more.
    Weak,
}

/// A rule that fits a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The pattern that fitted; `None` where the rule asks for codes only.
    pub pattern: Option<&'a str>,
    /// How much it weighs.
    pub tier: Tier,
}

/// A text after the pass: its normal form and what was found in it.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) text: String,
    scan: Scan,
}

impl Words {
    pub(super) fn stage(&self) -> Option<crate::status::Stage> {
        self.scan.stage
    }

    pub(super) fn gave_up(&self) -> bool {
        self.scan.gave_up
    }

    pub(super) fn still_trying(&self) -> bool {
        self.scan.still_trying
    }

    /// The receiver whose mark stands in the text.
    pub(super) fn receiver(&self) -> Option<u16> {
        self.scan.receiver
    }

    /// The zone that the text says it looked the sender up in.
    pub(super) fn zone(&self) -> Option<&str> {
        self.scan.listed_at.and_then(|at| signs::zone_in(&self.text[at..]))
    }

    /// How long the text asks to wait.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.scan.waits_at.iter().find_map(|at| signs::wait_in(&self.text[*at..]))
    }
}

impl Rules {
    /// The rules that come with the program.
    ///
    /// # Panics
    ///
    /// Never: they are part of the program, and a test loads them.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static RULES: OnceLock<Rules> = OnceLock::new();
        RULES.get_or_init(|| {
            #[expect(clippy::expect_used, reason = "the rules are part of the program and a test loads them")]
            Self::load(&[]).expect("the rules of the program load")
        })
    }

    /// Loads an operator's files, each a name and its text, before those of the program.
    ///
    /// # Errors
    ///
    /// If a file is not readable, or a rule does not match its own sample: with file, line and id. Nothing is loaded then.
    pub fn load(extra: &[(&str, &str)]) -> Result<Self, RulesError> {
        let mut rules = Vec::new();
        for (name, text) in extra {
            rules.extend(file::parse(name, text)?);
        }
        let operators = rules.len();
        for (name, text) in builtin::FILES {
            rules.extend(file::parse(name, text)?);
        }
        let files = extra.iter().copied().chain(builtin::FILES.iter().copied());
        Self::assemble(rules, operators, version_of(files))
    }

    /// Every rule, in the order in which they are asked.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.list
    }

    /// A short hash of all rules, to be kept with what they decided.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What is odd about the rules: duplicates, rules that never win, missing sources.
    #[must_use]
    pub fn lint(&self) -> Vec<Finding> {
        lint::lint(self)
    }

    /// Every rule that fits a text, the strongest first. It decides unless it is [`Tier::Weak`] and a code in the text
    /// says more.
    ///
    /// ```
    /// use bounce::classify::rules::Rules;
    /// let matches = Rules::builtin().explain("550 5.1.1 No such user here");
    /// assert_eq!(matches[0].rule.reason.as_str(), "user_unknown");
    /// ```
    #[must_use]
    pub fn explain(&self, text: &str) -> Vec<Matched<'_>> {
        let words = self.read(text);
        let said = codes_in(&words.text);
        let facts = Facts {
            receiver: words.receiver(),
            stage: words.stage(),
            reply: said.iter().find_map(|it| it.reply),
            statuses: [said.iter().find_map(|it| it.status), None],
            diagnostic_type: None,
            local: false,
        };
        self.matches(&words, &facts)
    }

    /// Takes a text apart: the one pass.
    pub(super) fn read(&self, raw: &str) -> Words {
        let text = normalise(raw);
        let scan = self.matcher.scan(&text);
        Words { text, scan }
    }

    /// The strongest rule that fits; one that says no more than that time ran out only if there is no other.
    pub(super) fn best(&self, words: &Words, facts: &Facts<'_>) -> Option<Matched<'_>> {
        let with_words = words.scan.hits.iter().filter_map(|(rule, pattern)| self.weigh(*rule, Some(*pattern), facts));
        let codes_only = self.code_only.iter().filter_map(|rule| self.weigh(*rule, None, facts));
        with_words.chain(codes_only).min_by_key(|it| it.0).map(|it| it.1)
    }

    fn matches(&self, words: &Words, facts: &Facts<'_>) -> Vec<Matched<'_>> {
        let with_words = words.scan.hits.iter().filter_map(|(rule, pattern)| self.weigh(*rule, Some(*pattern), facts));
        let codes_only = self.code_only.iter().filter_map(|rule| self.weigh(*rule, None, facts));
        let mut all: Vec<_> = with_words.chain(codes_only).collect();
        all.sort_by_key(|it| it.0);
        all.dedup_by_key(|it| it.0);
        all.into_iter().map(|it| it.1).collect()
    }

    fn weigh(&self, index: u32, pattern: Option<u32>, facts: &Facts<'_>) -> Option<((bool, Tier, u32), Matched<'_>)> {
        let (rule, place) = (self.list.get(index as usize)?, self.places.get(index as usize)?);
        let tier = match place.receiver {
            Some(own) if facts.receiver != Some(own) && !rule.distinct => return None,
            _ if place.operators => Tier::Operator,
            Some(_) if rule.any.is_empty() => Tier::ReceiverCode,
            _ if rule.weak => Tier::Weak,
            Some(own) if facts.receiver == Some(own) => Tier::Receiver,
            Some(_) => Tier::Distinct,
            None => Tier::Generic,
        };
        if !rule.when.hold(facts) {
            return None;
        }
        let pattern = pattern.and_then(|it| rule.any.get(it as usize)).map(String::as_str);
        // That time ran out is said of every failure that lasted; any clear word says more, a vague one does not.
        let last_resort = tier == Tier::Weak || (rule.reason == Reason::Expired && tier != Tier::Operator);
        Some(((last_resort, tier, index), Matched { rule, pattern, tier }))
    }

    /// The receiver that runs a host.
    pub(super) fn receiver_of_host(&self, host: &str) -> Option<u16> {
        self.receivers.of_host(host)
    }

    /// The receiver that runs the mailboxes of a domain.
    pub(super) fn receiver_of_domain(&self, domain: &str) -> Option<u16> {
        self.receivers.of_domain(domain)
    }

    /// The well-known block list that a text names.
    pub(super) fn block_list(&self, words: &Words) -> Option<&str> {
        words.scan.block_list.and_then(|it| self.block_lists.get(usize::from(it))).map(String::as_str)
    }

    fn assemble(rules: Vec<Rule>, operators: usize, version: String) -> Result<Self, RulesError> {
        let receivers = Receivers::builtin();
        let signs = Signs::builtin();
        let mut builder = Builder::default();
        let mut places = Vec::with_capacity(rules.len());
        let mut code_only = Vec::new();
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for (index, rule) in (0_u32..).zip(&rules) {
            if let Some(line) = lines.insert(&rule.id, rule.line) {
                return Err(wrong(rule, format!("the id is taken already (line {line}); every rule needs a name of its own")));
            }
            let receiver = match &rule.receiver {
                None => None,
                Some(name) => Some(receivers.index(name).ok_or_else(|| wrong(rule, format!("{name:?} is no receiver that is known")))?),
            };
            if rule.any.is_empty() {
                code_only.push(index);
            }
            for (place, pattern) in (0_u32..).zip(&rule.any) {
                builder.add_pattern(pattern, index, place);
            }
            places.push(Place { operators: (index as usize) < operators, receiver });
        }
        for (word, sign) in signs.words {
            builder.add_sign(&word, sign);
        }
        for (word, receiver) in receivers.signs() {
            builder.add_sign(word, Sign::Receiver(*receiver));
        }
        let matcher =
            builder.build().map_err(|err| RulesError::File { file: "all rules".to_owned(), line: 1, problem: err.to_string() })?;
        let rules = Self { list: rules, places, code_only, matcher, receivers, block_lists: signs.block_lists, version };
        rules.list.iter().try_for_each(|rule| rules.try_sample(rule))?;
        Ok(rules)
    }

    fn try_sample(&self, rule: &Rule) -> Result<(), RulesError> {
        if self.on_sample(rule).iter().any(|it| it.rule.id == rule.id) {
            return Ok(());
        }
        Err(wrong(rule, format!("it does not match its own sample {:?}; mend the pattern, the condition or the sample", rule.sample)))
    }

    /// What fits the sample of a rule, in the circumstances that the rule asks for.
    fn on_sample(&self, rule: &Rule) -> Vec<Matched<'_>> {
        let words = self.read(&rule.sample);
        let said = codes_in(&words.text);
        let (stage, diagnostic_type) = rule.when.example();
        let facts = Facts {
            receiver: rule.receiver.as_deref().and_then(|it| self.receivers.index(it)).or_else(|| words.receiver()),
            stage: stage.or_else(|| words.stage()),
            reply: said.iter().find_map(|it| it.reply),
            statuses: [said.iter().find_map(|it| it.status), None],
            diagnostic_type,
            local: rule.when.local,
        };
        self.matches(&words, &facts)
    }
}

fn wrong(rule: &Rule, problem: String) -> RulesError {
    RulesError::Rule { file: rule.file.clone(), line: rule.line, id: rule.id.clone(), problem }
}

fn version_of<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for text in files.map(|it| it.1).chain(builtin::TABLES.iter().copied()) {
        context.update(text.as_bytes());
        context.update(&[0]);
    }
    context.finish().as_ref().iter().take(6).fold(String::new(), |mut out, byte| {
        _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests;
