//! Who may post and read: sources that anybody may post as, secrets that were never changed, figures that everybody may read.

use bounce::esp::{Credentials, NoSample, provider};

use super::finding::Finding;
use crate::clock::Clock;
use crate::config::{Config, SourceConfig};

const AREA: &str = "credentials";
/// What stands in examples, ours included.
const EXAMPLES: [&str; 6] = ["change-me", "changeme", "let-me-in", "secret", "password", "whsec_…"];
/// Fewer can be guessed.
const LEAST: usize = 12;

/// Looks at the sources, and at what is open to everybody.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = config.sources.iter().filter_map(source).collect();
    if config.sources.is_empty() {
        findings.push(Finding::warning(
            AREA,
            "no [[source]] is configured, so only keys of the API may hand in",
            "docs/sources.md has one for each provider",
        ));
    } else if findings.is_empty() {
        findings.push(Finding::ok(AREA, format!("of {} sources are set", config.sources.len())));
    }
    if config.telemetry.metrics_token.is_none() && !config.http.listen.ip().is_loopback() {
        findings.push(Finding::warning(
            AREA,
            format!("everybody who reaches {} may read /metrics, with the names of the sources", config.http.listen),
            "set telemetry.metrics_token_file, or keep the path from the outside at the proxy",
        ));
    }
    findings
}

fn source(source: &SourceConfig) -> Option<Finding> {
    let (name, credentials) = (&source.name, &source.credentials);
    if credentials.insecure {
        return Some(Finding::warning(
            AREA,
            format!("anybody may post as {name} (insecure = true)"),
            "give it a credential: docs/sources.md",
        ));
    }
    if let Some(key) = weak(credentials) {
        let remedy = format!("make a longer one by `openssl rand -hex 24`, set it as {key} of the source, and at the provider");
        return Some(Finding::warning(AREA, format!("{key} of {name} is one of an example, or can be guessed"), remedy));
    }
    let sample = provider(&source.provider)?.sample(credentials, Clock::system().now());
    let has_secret = !credentials.secrets.is_empty();
    (has_secret && matches!(sample, Err(NoSample::Credentials(_)))).then(|| {
        let remedy = "copy it again from the provider, whole: docs/sources.md says from where";
        Finding::broken(AREA, format!("no post of {name} can be proved by its secrets: they have not the form of the provider's"), remedy)
    })
}

/// The key of a secret that we choose and the provider repeats, if it is a weak one.
fn weak(credentials: &Credentials) -> Option<&'static str> {
    let is_weak = |it: &str| it.len() < LEAST || EXAMPLES.contains(&it);
    let passwords = credentials.basic.iter().map(|it| it.split_once(':').map_or(it.as_str(), |it| it.1));
    if credentials.bearer.iter().any(|it| is_weak(it)) {
        Some("bearer")
    } else if passwords.into_iter().any(is_weak) {
        Some("basic")
    } else if credentials.header.as_ref().is_some_and(|it| is_weak(&it.value)) {
        Some("header")
    } else if credentials.url_secret.as_deref().is_some_and(is_weak) {
        Some("url_secret")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_example_is_weak() {
        let bearer = |it: &str| Credentials { bearer: vec![it.to_owned()], ..Credentials::default() };
        assert_eq!(weak(&bearer("change-me")), Some("bearer"));
        assert_eq!(weak(&bearer("f3a9c1d07b5e4482")), None);
        let basic = |it: &str| Credentials { basic: vec![it.to_owned()], ..Credentials::default() };
        assert_eq!(weak(&basic("a-rather-long-user:short")), Some("basic"));
        assert_eq!(weak(&basic("u:f3a9c1d07b5e4482")), None);
    }
}
