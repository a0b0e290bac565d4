//! Sources: who may report failures, how they prove who they are, and for which lists they speak.

use bounce::esp::sns::address::is_public_name;
use bounce::esp::{Credentials, HeaderSecret, Refusal};
use secrecy::{ExposeSecret as _, SecretString};

use super::list::ListName;
use super::pattern::RecipientPattern;
use super::problem::Checks;
use super::read::{Reader, Section};
use super::show::Page;
use super::values::{Scalar, SecretUrl, words};

/// The provider that stands for bounce messages as such; it has no posts of its own.
pub const MIME: &str = "mime";
/// Name under which receipts go that come by the API itself; no source may have it.
pub const API_SOURCE: &str = "api";

/// `[[source]]`: one sender of reports.
#[derive(Debug, Clone)]
pub struct SourceConfig {
    /// Its name: the last part of `/webhooks/{source}`.
    pub name: String,
    /// What it sends: `mime`, or the name of a provider.
    pub provider: String,
    /// The list its reports count for, unless they name another.
    pub list: ListName,
    /// The tree inside which a report may name another list; the list itself if not set.
    pub within: ListName,
    /// Where a report may name its list, the first that does wins.
    pub list_from: Vec<ListFrom>,
    /// What a failure is worth that anyone could have written; `None` for `record` once a list that it may be about has keys
    /// of signed return paths, else `provisional`.
    pub unattributed: Option<Unattributed>,
    /// The addresses whose mail it gets from the SMTP and LMTP listener.
    pub recipients: Vec<RecipientPattern>,
    /// What its posts are proved with.
    pub credentials: Credentials,
}

/// Where a report may name the list it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFrom {
    /// Our own token, in the return path or in `X-Rebound-Token`.
    Token,
    /// A tag or custom field of the provider.
    Tag(String),
    /// A header of the returned message, name in lower case.
    Header(String),
}

impl Scalar for ListFrom {
    const EXPECTED: &'static str = "one of token, tag:<name>, header:<name>";
    const EXAMPLE: &'static str = "\"header:List-Id\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        match value.as_str()?.split_once(':') {
            None if value.as_str() == Some("token") => Some(Self::Token),
            Some(("tag", name)) if !name.is_empty() => Some(Self::Tag(name.to_owned())),
            Some(("header", name)) if !name.is_empty() => Some(Self::Header(name.to_ascii_lowercase())),
            _ => None,
        }
    }

    fn show(&self) -> toml::Value {
        match self {
            Self::Token => "token".into(),
            Self::Tag(name) => format!("tag:{name}").into(),
            Self::Header(name) => format!("header:{name}").into(),
        }
    }
}

/// What a hard failure is worth if anyone could have written the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unattributed {
    /// It blocks for some days, and for good once a second one confirms it.
    Provisional,
    /// It counts like any other.
    Count,
    /// It is recorded and blocks nothing.
    Record,
}

words!(Unattributed, "one of provisional, count, record", "\"provisional\"", [
    "provisional" => Unattributed::Provisional,
    "count" => Unattributed::Count,
    "record" => Unattributed::Record,
]);

impl SourceConfig {
    /// A source of which nothing but name, provider and list is set.
    #[must_use]
    pub fn new(name: &str, provider: &str, list: ListName) -> Self {
        Self {
            name: name.to_owned(),
            provider: provider.to_owned(),
            within: list.clone(),
            list,
            list_from: vec![ListFrom::Token],
            unattributed: None,
            recipients: Vec::new(),
            credentials: Credentials::default(),
        }
    }

    /// Whether something is there by which a post to it can be proved, or it is said that nothing need be.
    pub(super) fn is_proved(&self) -> bool {
        self.credentials.insecure || !self.credentials.keys().is_empty()
    }

    /// Checks what can be told of the source alone.
    pub(super) fn validate(&self, at: usize, checks: &mut Checks) {
        let key = |name: &str| format!("source[{at}].{name}");
        let quoted = |it: &str| Some(format!("\"{it}\""));
        checks.name(&key("name"), &self.name, "write for example \"ses-prod\"; it becomes the last part of the webhook's URL");
        if !providers().contains(&self.provider.as_str()) {
            checks.problem(
                &key("provider"),
                quoted(&self.provider),
                "is not a provider that is known",
                &format!("write one of {}", providers().join(", ")),
            );
        }
        if !self.list.is_within(&self.within) {
            checks.problem(
                &key("within"),
                quoted(self.within.as_str()),
                &format!("is not {} nor a list above it", self.list),
                &format!("write \"{}\", or a list above it", self.list.root()),
            );
        }
        if !self.recipients.is_empty() && self.provider != MIME {
            let remedy = format!("give them to a source with provider = \"{MIME}\"");
            checks.problem(&key("recipients"), None, &format!("takes mail, which {} does not read", self.provider), &remedy);
        }
        self.validate_credentials(key, checks);
        self.validate_keys(key, checks);
        for (index, arn) in self.credentials.topic_arns.iter().enumerate() {
            let parts: Vec<_> = arn.split(':').collect();
            if parts.len() != 6 || parts[0] != "arn" || parts.iter().any(|it| it.is_empty()) {
                checks.problem(
                    &key(&format!("topic_arns[{index}]")),
                    quoted(arn),
                    "is not the ARN of a topic",
                    "copy it whole, for example \"arn:aws:sns:eu-west-1:111122223333:bounces\"",
                );
            }
        }
        for (index, host) in self.credentials.confirm_hosts.iter().enumerate() {
            if !is_public_name(&host.to_ascii_lowercase()) {
                checks.problem(
                    &key(&format!("confirm_hosts[{index}]")),
                    quoted(host),
                    "is not the name of a host that a provider may have",
                    "write for example \"sns.mnq.fr-par.scaleway.com\": no scheme, no port, no number",
                );
            }
        }
        for (index, basic) in self.credentials.basic.iter().enumerate() {
            let key = key(&format!("basic[{index}]"));
            if !basic.contains(':') {
                checks.problem(&key, Some("…".to_owned()), "has no colon", "write it as \"user:password\"");
            }
        }
    }

    /// One credential that can prove this provider's posts must be there, or the admission that there is none. Messages
    /// come by the API as well, which has keys of its own.
    fn validate_credentials(&self, key: impl Fn(&str) -> String, checks: &mut Checks) {
        let Some(provider) = bounce::esp::provider(&self.provider) else { return };
        let can_prove = provider.proved_by();
        if self.provider == MIME || self.credentials.insecure || can_prove.iter().any(|it| self.credentials.has(it)) {
            return;
        }
        let useless = self.credentials.keys().into_iter().find(|it| !can_prove.contains(it));
        let (at, what) = match useless {
            None => (can_prove[0], "is missing, and so is every other credential: anybody could post as this source".to_owned()),
            Some(useless) => (useless, format!("proves nothing with {}: anybody could post as this source", self.provider)),
        };
        let advice =
            format!("set what its posts are proved with: {}; or `insecure = true`, to take posts from anybody", can_prove.join(", "));
        checks.problem(&key(at), None, &what, &advice);
    }
}

impl SourceConfig {
    /// A credential that can prove nothing would turn every post away, for as long as nobody looks.
    fn validate_keys(&self, key: impl Fn(&str) -> String, checks: &mut Checks) {
        let Some(provider) = bounce::esp::provider(&self.provider) else { return };
        if let Err(Refusal::NotConfigured(wanted)) = provider.check_credentials(&self.credentials) {
            let at = wanted.split('`').nth(1).unwrap_or("provider");
            checks.problem(&key(at), None, "does not let any post be proved", &format!("set {wanted}"));
        }
    }
}

/// The source of a case of `rebound interpret`: the keys of a `[[source]]`, of which only `provider` must be there, and
/// `certificates` in place of fetching.
pub(super) struct Interpreted(pub(super) SourceConfig);

impl Section for Interpreted {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let provider = reader.required::<String>("provider");
        let name = reader.get("name", "interpret".to_owned());
        let list = reader.get("list", None).or_else(|| ListName::parse("interpret"));
        let within = reader.get("within", None);
        let list_from = reader.get("list_from", vec![ListFrom::Token]);
        let unattributed = reader.get("unattributed", None);
        let credentials = Credentials { certificates: reader.texts("certificates"), ..read_credentials(reader) };
        let list = list?;
        let within = within.unwrap_or_else(|| list.clone());
        Some(Self(SourceConfig { name, provider: provider?, within, list, list_from, unattributed, recipients: Vec::new(), credentials }))
    }

    fn show(&self, page: &mut Page) {
        self.0.show(page);
    }
}

/// Every name that `provider` may have.
pub(super) fn providers() -> Vec<&'static str> {
    let mut names: Vec<_> = bounce::esp::PROVIDERS.iter().map(|it| it.name()).chain([MIME]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl Section for SourceConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let name = reader.required("name");
        let provider = reader.required("provider");
        let list = reader.required::<ListName>("list");
        let within = reader.get("within", None);
        let list_from = reader.get("list_from", vec![ListFrom::Token]);
        let unattributed = reader.get("unattributed", None);
        let recipients = reader.get("recipients", Vec::new());
        let credentials = read_credentials(reader);
        let list = list?;
        Some(Self {
            name: name?,
            provider: provider?,
            within: within.unwrap_or_else(|| list.clone()),
            list,
            list_from,
            unattributed,
            recipients,
            credentials,
        })
    }

    fn show(&self, page: &mut Page) {
        let secrets = |it: &[String]| it.iter().map(|it| SecretString::from(it.as_str())).collect::<Vec<_>>();
        page.key("name", &self.name);
        page.key("provider", &self.provider);
        page.key("list", &self.list);
        page.key("within", &self.within);
        page.key("list_from", &self.list_from);
        page.key_if_set("unattributed", &self.unattributed);
        page.key_if_set("recipients", &self.recipients);
        page.key_if_set("secrets", &secrets(&self.credentials.secrets));
        page.key_if_set("public_keys", &self.credentials.public_keys);
        page.key_if_set("basic", &secrets(&self.credentials.basic));
        page.key_if_set("bearer", &secrets(&self.credentials.bearer));
        page.key_if_set("url_secret", &self.credentials.url_secret.as_deref().map(SecretString::from));
        page.key_if_set("topic_arns", &self.credentials.topic_arns);
        page.key_if_set("confirm_hosts", &self.credentials.confirm_hosts);
        page.key_if_set("url", &self.credentials.url.as_deref().map(SecretUrl::new));
        page.key("insecure", &self.credentials.insecure);
        if let Some(header) = &self.credentials.header {
            page.section("[source.header]", &Header(header.clone()));
        }
    }
}

/// Reads the credential keys that all providers share.
fn read_credentials(reader: &mut Reader<'_>) -> Credentials {
    Credentials {
        secrets: reader.plain_secrets("secrets"),
        public_keys: reader.get("public_keys", Vec::new()),
        basic: reader.plain_secrets("basic"),
        bearer: reader.plain_secrets("bearer"),
        header: reader.section::<Header>("header").map(|it| it.0),
        url_secret: reader.plain_secret("url_secret"),
        topic_arns: reader.get("topic_arns", Vec::new()),
        confirm_hosts: reader.get("confirm_hosts", Vec::new()),
        url: reader.get::<Option<SecretUrl>>("url", None).map(|it| it.expose().to_owned()),
        insecure: reader.get("insecure", false),
        certificates: std::collections::BTreeMap::new(),
    }
}

/// A header with a secret value, as a section of its own.
struct Header(HeaderSecret);

impl Section for Header {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let name = reader.required("name");
        let value = reader.required::<SecretString>("value").map(|it| it.expose_secret().to_owned());
        Some(Self(HeaderSecret { name: name?, value: value? }))
    }

    fn show(&self, page: &mut Page) {
        page.key("name", &self.0.name);
        page.key("value", &SecretString::from(self.0.value.as_str()));
    }
}
