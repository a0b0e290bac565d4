//! Lists: their names, which are also their tree, and what is declared of them.

use std::fmt;

use bounce::token::{KeyError, TokenKey};
use secrecy::SecretString;

use super::policy::{self, PolicyOverrides};
use super::problem::Checks;
use super::read::{Reader, Section};
use super::show::Page;
use super::values::{Scalar, words};

/// Octets a name may have, so that it fits a routing key with room for what stands before it.
const NAME_LIMIT: usize = 150;

/// Name of a list: words of `a-z 0-9 _ -` with dots between. `acme.weekly` is a child of `acme`; the first word is the
/// root, which nothing crosses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListName(String);

impl ListName {
    /// Reads a name; `None` if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let word =
            |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || matches!(it, b'_' | b'-'));
        (text.len() <= NAME_LIMIT && text.split('.').all(word)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The list above, if this is not a root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(it, _)| Self(it.to_owned()))
    }

    /// The root of the tree, the boundary that nothing crosses.
    #[must_use]
    pub fn root(&self) -> Self {
        Self(self.0.split('.').next().unwrap_or_default().to_owned())
    }

    /// Whether this is that list or stands below it.
    #[must_use]
    pub fn is_within(&self, above: &Self) -> bool {
        self.0.strip_prefix(&above.0).is_some_and(|it| it.is_empty() || it.starts_with('.'))
    }
}

impl fmt::Display for ListName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for ListName {
    const EXPECTED: &'static str = "the name of a list: words of a-z, 0-9, _ and -, with dots between, at most 150 octets";
    const EXAMPLE: &'static str = "\"acme.weekly\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        Self::parse(value.as_str()?)
    }

    fn show(&self) -> toml::Value {
        self.as_str().into()
    }
}

/// What may block an address on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Honoured {
    /// The address does not work.
    Hard,
    /// It failed too often.
    Soft,
    /// The person called a message spam.
    Complaint,
    /// The person does not want more.
    Unsubscribe,
    /// The provider has it on a list of its own.
    Provider,
    /// It was imported as blocked.
    Import,
}

impl Honoured {
    /// Every cause that a list may be told to ignore.
    pub const ALL: &'static [Self] = &[Self::Hard, Self::Soft, Self::Complaint, Self::Unsubscribe, Self::Provider, Self::Import];

    /// The word, as everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Complaint => "complaint",
            Self::Unsubscribe => "unsubscribe",
            Self::Provider => "provider",
            Self::Import => "import",
        }
    }
}

words!(Honoured, "one of hard, soft, complaint, unsubscribe, provider, import", "\"hard\"", [
    "hard" => Honoured::Hard,
    "soft" => Honoured::Soft,
    "complaint" => Honoured::Complaint,
    "unsubscribe" => Honoured::Unsubscribe,
    "provider" => Honoured::Provider,
    "import" => Honoured::Import,
]);

/// `[[list]]`: a list that is made on start if it is not there. Lists above it are made too.
#[derive(Debug, Clone)]
pub struct ListConfig {
    /// Its name.
    pub name: ListName,
    /// Causes that block here; `None` for all. A manual block always blocks.
    pub honours: Option<Vec<Honoured>>,
    /// Overrides of the policy for this list and those below it.
    pub policy: PolicyOverrides,
    /// Keys of signed return paths, each `<four characters>:<secret>`.
    pub token_keys: Vec<String>,
}

impl ListConfig {
    /// A list of which nothing but the name is set.
    #[must_use]
    pub const fn new(name: ListName) -> Self {
        Self { name, honours: None, policy: PolicyOverrides::new(), token_keys: Vec::new() }
    }

    /// The keys of signed return paths that can be used; validation finds the others.
    pub fn token_keys(&self) -> impl Iterator<Item = TokenKey> {
        self.token_keys.iter().filter_map(|it| self.token_key(it).ok())
    }

    fn token_key(&self, text: &str) -> Result<TokenKey, KeyError> {
        let (id, secret) = text.split_once(':').ok_or(KeyError::Id)?;
        TokenKey::new(id, self.name.as_str(), secret)
    }

    pub(super) fn validate(&self, at: usize, checks: &mut Checks) {
        for (index, key) in self.token_keys.iter().enumerate() {
            if let Err(error) = self.token_key(key) {
                let what = format!("cannot be used: {error}");
                let remedy = "write it as \"k7ab:a long random secret\", for example with the output of `openssl rand -hex 20`";
                checks.problem(&format!("list[{at}].token_keys[{index}]"), Some("…".to_owned()), &what, remedy);
            }
        }
        policy::validate(&self.policy, &format!("list[{at}]."), checks);
        if self.name.parent().is_some() && !self.policy.is_empty() {
            checks.problem(
                &format!("list[{at}].policy"),
                None,
                &format!("stands at {}, but facts of a tree are weighed as one", self.name),
                &format!("write it at the root of the tree, {}", self.name.root()),
            );
        }
    }
}

impl Section for ListConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let name = reader.required("name");
        let all = !reader.is_set("honours");
        let honours = reader.get("honours", Vec::new());
        let policy = policy::read(reader);
        let token_keys = reader.plain_secrets("token_keys");
        Some(Self { name: name?, honours: if all { None } else { Some(honours) }, policy, token_keys })
    }

    fn show(&self, page: &mut Page) {
        page.key("name", &self.name);
        match &self.honours {
            Some(honours) => page.key("honours", honours),
            None => page.key("honours", &None::<Honoured>),
        }
        let secrets: Vec<SecretString> = self.token_keys.iter().map(|it| SecretString::from(it.as_str())).collect();
        page.key_if_set("token_keys", &secrets);
        policy::show(&self.policy, "list.", page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trees() {
        let name = ListName::parse("acme.weekly.vienna").unwrap();
        assert_eq!(name.parent(), ListName::parse("acme.weekly"));
        assert_eq!(Some(name.root()), ListName::parse("acme"));
        assert_eq!(name.root().parent(), None);
        for (above, within) in
            [("acme", true), ("acme.weekly.vienna", true), ("acme.week", false), ("acme.weekly.vienna.x", false), ("b", false)]
        {
            assert_eq!(name.is_within(&ListName::parse(above).unwrap()), within, "{above}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ".", "a..b", ".a", "a.", "Acme", "a b", "a*", "a#", "ä", "a/b", &"a".repeat(151)] {
            assert_eq!(ListName::parse(text), None, "{text}");
        }
        assert!(ListName::parse(&"a".repeat(150)).is_some());
    }
}
