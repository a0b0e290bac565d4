//! Configuration: one struct for each concern, read once at start, checked as a whole, and never looked at again by
//! anything but the part it is made for.
//!
//! Four layers, the later one wins key by key: the defaults (`config.default.toml`, which is also the manual),
//! `rebound.toml`, environment variables (`REBOUND__SECTION__KEY`), and files that a key with `_file` names. Every
//! problem is told at once, with the key, where its value came from, and what to do ([`Problem`]). This is the only
//! place that reads the environment.

mod amqp;
mod certificate;
mod console;
mod database;
mod fetch;
mod http;
mod identity;
mod intake;
mod list;
mod mailbox;
mod pattern;
mod policy;
mod problem;
mod read;
mod retention;
mod rotating;
mod rules;
mod show;
mod smtp;
mod source;
mod sources;
mod spool;
mod telemetry;
#[cfg(test)]
mod tests;
mod tree;
mod units;
mod values;

use std::collections::HashSet;

pub use self::amqp::AmqpConfig;
pub use self::certificate::CertificateFiles;
pub use self::console::ConsoleConfig;
pub use self::database::{DatabaseConfig, Engine};
pub use self::fetch::FetchConfig;
pub use self::http::{HttpConfig, HttpTlsConfig};
pub use self::identity::IdentityConfig;
pub use self::intake::IntakeConfig;
pub use self::list::{Honoured, ListConfig, ListName};
pub use self::mailbox::{After, MailboxConfig, MailboxTls, OAuth2Config};
pub use self::pattern::RecipientPattern;
pub use self::policy::{Lifetime, PolicyOverride, PolicyOverrides, Reach};
pub use self::problem::{ConfigError, Origin, Problem};
pub use self::retention::RetentionConfig;
pub use self::rotating::RotatingSecret;
pub use self::rules::RulesConfig;
pub use self::smtp::{Endpoint, SmtpConfig};
pub use self::source::{API_SOURCE, ListFrom, MIME, SourceConfig, Unattributed};
pub use self::sources::Sources;
pub use self::spool::SpoolConfig;
pub use self::telemetry::{LogFormat, TelemetryConfig};
pub use self::units::{duration as show_duration, parse_duration};
pub use self::values::{SecretUrl, Size};

use bounce::token::TokenKeys;

use self::problem::Checks;
use self::read::{Findings, Reader, Section};
use self::show::Page;

/// The built-in defaults and the manual of every key.
pub const DEFAULT: &str = include_str!("../../config.default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// `[http]`.
    pub http: HttpConfig,
    /// The console.
    pub console: ConsoleConfig,
    /// `[smtp]`.
    pub smtp: SmtpConfig,
    /// `[database]`.
    pub database: DatabaseConfig,
    /// `[amqp]`.
    pub amqp: AmqpConfig,
    /// `[intake]`.
    pub intake: IntakeConfig,
    /// `[spool]`.
    pub spool: SpoolConfig,
    /// `[identity]`.
    pub identity: IdentityConfig,
    /// `[telemetry]`.
    pub telemetry: TelemetryConfig,
    /// `[rules]`.
    pub rules: RulesConfig,
    /// `[fetch]`.
    pub fetch: FetchConfig,
    /// `[retention]`.
    pub retention: RetentionConfig,
    /// `[policy.<reason>]`.
    pub policy: PolicyOverrides,
    /// `[[list]]`.
    pub lists: Vec<ListConfig>,
    /// `[[source]]`.
    pub sources: Vec<SourceConfig>,
    /// `[[mailbox]]`.
    pub mailboxes: Vec<MailboxConfig>,
    /// Whether somebody has written `database.url`, be it as it is by default.
    pub is_database_named: bool,
}

/// Reads and checks the configuration and prints what is in effect: `rebound config check`.
///
/// # Errors
/// When anything is wrong with it: all of it.
pub fn check(sources: &Sources) -> Result<String, ConfigError> {
    Config::load(sources).map(|it| it.redacted())
}

impl Config {
    /// Reads all layers and checks the result.
    ///
    /// # Errors
    /// When anything is wrong: every problem at once.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let layers = sources.layers()?;
        let mut findings = Findings::default();
        let mut reader = Reader::new("", &layers, Origin::Default, &mut findings);
        let config = Self::read(&mut reader);
        reader.finish();
        findings.report_unknown();
        findings.problems.extend(sources.misspelt(&findings.known));
        if let Err(error) = config.as_ref().map_or(Ok(()), Self::validate) {
            let located = |it: Problem| Problem { origin: tree::origin_of(&layers, &it.key), ..it };
            findings.add_failed_checks(error.problems.into_iter().map(located));
        }
        match config {
            Some(config) if findings.problems.is_empty() => {
                let origin = tree::origin_of(&layers, "database.url");
                Ok(Self { is_database_named: origin.is_some_and(|it| it != Origin::Default), ..config })
            }
            _ => Err(ConfigError { problems: findings.problems }),
        }
    }

    /// Checks every section and what must hold between them.
    ///
    /// # Errors
    /// When anything is wrong: every problem at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut checks = Checks::default();
        self.http.validate(&mut checks);
        self.console.validate(&mut checks);
        self.smtp.validate(&mut checks);
        self.database.validate(&mut checks);
        self.amqp.validate(&mut checks);
        self.intake.validate(&mut checks);
        self.spool.validate(&mut checks);
        self.identity.validate(self.database.engine(), &mut checks);
        self.telemetry.validate(&mut checks);
        self.rules.validate(&mut checks);
        self.fetch.validate(&mut checks);
        self.retention.validate(self, &mut checks);
        policy::validate(&self.policy, "", &mut checks);
        // Else a sender would be given up before its receipt is safe.
        checks.at_most("intake.commit_timeout", self.intake.commit_timeout, self.http.request_timeout, "http.request_timeout");
        checks.at_most("spool.patience", self.spool.patience, self.http.request_timeout, "http.request_timeout");
        self.validate_lists(&mut checks);
        self.validate_sources(&mut checks);
        self.validate_recipients(&mut checks);
        self.validate_mailboxes(&mut checks);
        if checks.problems.is_empty() { Ok(()) } else { Err(ConfigError { problems: checks.problems }) }
    }

    /// The keys of signed return paths of all lists.
    #[must_use]
    pub fn token_keys(&self) -> TokenKeys {
        let max_age = self.intake.token_max_age.try_into().unwrap_or(time::Duration::MAX);
        TokenKeys::new(self.lists.iter().flat_map(ListConfig::token_keys), max_age)
    }

    fn validate_lists(&self, checks: &mut Checks) {
        let mut names = HashSet::new();
        let mut ids = HashSet::new();
        for (at, list) in self.lists.iter().enumerate() {
            list.validate(at, checks);
            let key = format!("list[{at}].name");
            let value = Some(format!("\"{}\"", list.name));
            if !names.insert(&list.name) {
                checks.problem(&key, value, "is the name of an earlier list too", "keep one of them");
            }
            for key in list.token_keys().filter(|it| !ids.insert(it.id().to_owned())) {
                let value = Some(format!("\"{}:…\"", key.id()));
                let remedy = "give each key a name of its own: it tells the list";
                checks.problem(&format!("list[{at}].token_keys"), value, "has the name of an earlier key", remedy);
            }
        }
    }

    fn validate_sources(&self, checks: &mut Checks) {
        let mut names = HashSet::new();
        for (at, source) in self.sources.iter().enumerate() {
            source.validate(at, checks);
            let key = format!("source[{at}].name");
            let value = Some(format!("\"{}\"", source.name));
            if !names.insert(&source.name) {
                checks.problem(&key, value, "is the name of an earlier source too", "give each its own");
            }
            if source.name == API_SOURCE {
                checks.problem(
                    &key,
                    Some(format!("\"{API_SOURCE}\"")),
                    "is the name under which the API itself takes messages in",
                    "choose another",
                );
            }
            let declared = self.lists.iter().any(|it| it.name.is_within(&source.list));
            if !declared {
                checks.problem(
                    &format!("source[{at}].list"),
                    Some(format!("\"{}\"", source.list)),
                    "is a list that is not declared",
                    &format!("add [[list]] with name = \"{}\", or correct the name", source.list),
                );
            }
        }
    }

    /// Each recipient has one source at most, and somebody has some where mail is listened for.
    fn validate_recipients(&self, checks: &mut Checks) {
        let sources = self.sources.iter().enumerate();
        let all: Vec<_> = sources.flat_map(|(at, source)| source.recipients.iter().map(move |it| (at, it))).collect();
        if self.smtp.is_on() && all.is_empty() {
            let remedy = "give a [[source]] with provider = \"mime\" its `recipients`, or do not listen";
            checks.problem("smtp.listen", None, "takes mail for nobody", remedy);
        }
        for (at, pattern) in &all {
            let earlier = all.iter().find(|(other, it)| other < at && it.overlaps(pattern));
            if let Some((_, other)) = earlier {
                let what = format!("stands for addresses that \"{other}\" of an earlier source stands for too");
                let remedy = "let each address belong to one source";
                checks.problem(&format!("source[{at}].recipients"), Some(format!("\"{pattern}\"")), &what, remedy);
            }
        }
    }

    fn validate_mailboxes(&self, checks: &mut Checks) {
        let mut names = HashSet::new();
        for (at, mailbox) in self.mailboxes.iter().enumerate() {
            mailbox.validate(at, &self.sources, checks);
            if !names.insert(&mailbox.name) {
                let value = Some(format!("\"{}\"", mailbox.name));
                checks.problem(&format!("mailbox[{at}].name"), value, "is the name of an earlier mailbox too", "give each its own");
            }
        }
    }

    /// Whether the source of that name is reached by HTTP. One that nothing proves and that mail comes to by another way is not.
    #[must_use]
    pub fn takes_posts(&self, source: &str) -> bool {
        let Some(it) = self.sources.iter().find(|it| it.name == source) else { return false };
        let has_other_way = !it.recipients.is_empty() || self.mailboxes.iter().any(|it| it.source == source);
        !has_other_way || it.is_proved()
    }

    /// What is in effect, as TOML, with secrets and passwords hidden.
    #[must_use]
    pub fn redacted(&self) -> String {
        let mut page = Page::default();
        self.show(&mut page);
        page.finish()
    }

    /// Values for tests: a database in memory, no broker, any free port, one list `acme.weekly` with a source `bounces`
    /// that takes messages.
    #[must_use]
    pub fn for_testing() -> Self {
        let list = ListName::parse("acme.weekly");
        Self {
            http: HttpConfig::for_testing(),
            database: DatabaseConfig::for_testing(),
            amqp: AmqpConfig::for_testing(),
            spool: SpoolConfig::for_testing(),
            identity: IdentityConfig { pepper: Some("a pepper that is only for testing".into()) },
            lists: list.iter().cloned().map(ListConfig::new).collect(),
            sources: list.into_iter().map(|it| SourceConfig::new("bounces", MIME, it)).collect(),
            ..Self::default()
        }
    }
}

impl SourceConfig {
    /// Reads the source of a case of `rebound interpret`: the keys of a `[[source]]`, of which only `provider` must be
    /// there, and `certificates` in place of fetching.
    ///
    /// # Errors
    /// When a key is unknown or a value cannot be read.
    pub fn from_document(document: &serde_json::Map<String, serde_json::Value>) -> Result<Self, ConfigError> {
        let table = tree::from_json(document);
        let mut findings = Findings::default();
        let mut reader = Reader::new("", &table, Origin::Document, &mut findings);
        let source = source::Interpreted::read(&mut reader);
        reader.finish();
        findings.report_unknown();
        match source {
            Some(source) if findings.problems.is_empty() => Ok(source.0),
            _ => Err(ConfigError { problems: findings.problems }),
        }
    }
}

impl Section for Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            http: reader.section("http").unwrap_or_default(),
            console: reader.section("console").unwrap_or_default(),
            smtp: reader.section("smtp").unwrap_or_default(),
            database: reader.section("database").unwrap_or_default(),
            amqp: reader.section("amqp").unwrap_or_default(),
            intake: reader.section("intake").unwrap_or_default(),
            spool: reader.section("spool").unwrap_or_default(),
            identity: reader.section("identity").unwrap_or_default(),
            telemetry: reader.section("telemetry").unwrap_or_default(),
            rules: reader.section("rules").unwrap_or_default(),
            fetch: reader.section("fetch").unwrap_or_default(),
            retention: reader.section("retention").unwrap_or_default(),
            policy: policy::read(reader),
            lists: reader.sections("list"),
            sources: reader.sections("source"),
            mailboxes: reader.sections("mailbox"),
            is_database_named: false,
        })
    }

    fn show(&self, page: &mut Page) {
        page.section("[http]", &self.http);
        page.section("[console]", &self.console);
        page.section("[smtp]", &self.smtp);
        page.section("[database]", &self.database);
        page.section("[amqp]", &self.amqp);
        page.section("[intake]", &self.intake);
        page.section("[spool]", &self.spool);
        page.section("[identity]", &self.identity);
        page.section("[telemetry]", &self.telemetry);
        page.section("[rules]", &self.rules);
        page.section("[fetch]", &self.fetch);
        page.section("[retention]", &self.retention);
        policy::show(&self.policy, "", page);
        for list in &self.lists {
            page.section("[[list]]", list);
        }
        for source in &self.sources {
            page.section("[[source]]", source);
        }
        for mailbox in &self.mailboxes {
            page.section("[[mailbox]]", mailbox);
        }
    }
}
