//! Which receiver refused: known by the name of its mail host, by the recipient's domain, or by a mark of its own in the
//! text (`rules/receivers.toml`). The same words mean other things elsewhere, so this comes before the words.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

const TABLE: &str = include_str!("../../../rules/receivers.toml");

static KNOWN: LazyLock<Receivers> = LazyLock::new(Receivers::builtin);

/// Names of all receivers that are known: a closed list, so that figures may be kept by it.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.names.iter().map(String::as_str)
}

/// The name of the receiver that runs a host or, where the host is none that is known, the mailboxes of a domain.
#[must_use]
pub fn name_of(host: Option<&str>, domain: &str) -> Option<&'static str> {
    let index = host.and_then(|it| KNOWN.of_host(it)).or_else(|| KNOWN.of_domain(domain))?;
    KNOWN.names.get(usize::from(index)).map(String::as_str)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    receiver: Vec<RawReceiver>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReceiver {
    name: String,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    signs: Vec<String>,
}

/// The receivers and how to know them.
#[derive(Debug)]
pub(super) struct Receivers {
    names: Vec<String>,
    hosts: HashMap<String, u16>,
    domains: HashMap<String, u16>,
    signs: Vec<(String, u16)>,
}

impl Receivers {
    pub(super) fn builtin() -> Self {
        #[expect(clippy::expect_used, reason = "the table is part of the program and a test reads it")]
        let raw: RawFile = toml::from_str(TABLE).expect("rules/receivers.toml is well formed");
        let mut receivers = Self { names: Vec::new(), hosts: HashMap::new(), domains: HashMap::new(), signs: Vec::new() };
        for (index, receiver) in (0_u16..).zip(raw.receiver) {
            receivers.names.push(receiver.name);
            receivers.hosts.extend(receiver.hosts.into_iter().map(|it| (it, index)));
            receivers.domains.extend(receiver.domains.into_iter().map(|it| (it, index)));
            receivers.signs.extend(receiver.signs.into_iter().map(|it| (it, index)));
        }
        receivers
    }

    pub(super) fn index(&self, name: &str) -> Option<u16> {
        self.names.iter().position(|it| it == name).and_then(|it| u16::try_from(it).ok())
    }

    pub(super) fn signs(&self) -> &[(String, u16)] {
        &self.signs
    }

    /// The receiver that runs a host, by the longest known end of its name.
    pub(super) fn of_host(&self, host: &str) -> Option<u16> {
        let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
        by_suffix(&self.hosts, &host).or_else(|| by_suffix(&self.domains, &host))
    }

    /// The receiver that runs the mailboxes of a domain.
    pub(super) fn of_domain(&self, domain: &str) -> Option<u16> {
        self.domains.get(domain).copied()
    }
}

fn by_suffix(table: &HashMap<String, u16>, host: &str) -> Option<u16> {
    let mut rest = host;
    // A name has at most 127 labels, so this ends soon.
    loop {
        if let Some(found) = table.get(rest) {
            return Some(*found);
        }
        rest = rest.split_once('.')?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_known_by_the_end_of_its_host() {
        let receivers = Receivers::builtin();
        for (host, name) in [
            ("gmail-smtp-in.l.google.com", "gmail"),
            ("ACME-example.mail.protection.outlook.com.", "microsoft"),
            ("mta7.am0.yahoodns.net", "yahoo"),
            ("mx01.mail.icloud.com", "apple"),
            ("mx3.qq.com", "qq"),
        ] {
            assert_eq!(receivers.of_host(host), receivers.index(name), "{host}");
            assert!(receivers.index(name).is_some(), "{name}");
        }
        assert_eq!(receivers.of_host("mail.notgoogle.com"), None);
        assert_eq!(receivers.of_domain("web.de"), receivers.index("gmx"));
        assert_eq!(name_of(Some("mx.corp.example"), "yahoo.fr"), Some("yahoo"));
        assert_eq!(name_of(Some("acme-example.mail.protection.outlook.com"), "acme.example"), Some("microsoft"));
        assert_eq!((name_of(None, "corp.example"), names().count()), (None, receivers.names.len()));
    }
}
