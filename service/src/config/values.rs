//! The kinds of single values that keys hold: how each is read, printed, and described to somebody who got it wrong.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};

use super::units;

/// Characters of a wrong value that are shown again.
const QUOTED: usize = 80;
/// What stands in the place of a secret.
const HIDDEN: &str = "…";

/// A value that is not a list. An environment variable is always a text, so each kind also reads itself from text.
pub(super) trait Scalar: Sized {
    /// What it must be, after "must be".
    const EXPECTED: &'static str;
    /// A value as it may be written.
    const EXAMPLE: &'static str;

    fn parse(value: &toml::Value) -> Option<Self>;

    fn show(&self) -> toml::Value;

    /// How a wrong value may be repeated in an error.
    fn quote(value: &toml::Value) -> String {
        let text = value.to_string();
        if text.chars().count() <= QUOTED { text } else { text.chars().take(QUOTED).chain("…".chars()).collect() }
    }

    /// Remembers the file that the value was read from, where it may change.
    fn read_from(self, _file: &Path) -> Self {
        self
    }
}

/// A number of bytes, written `25 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Size {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

impl Scalar for Size {
    const EXPECTED: &'static str = "a size with its unit, one of KiB, MiB, GiB";
    const EXAMPLE: &'static str = "\"25 MiB\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        match value {
            toml::Value::Integer(bytes) => usize::try_from(*bytes).ok(),
            other => units::parse_size(other.as_str()?),
        }
        .map(Self)
    }

    fn show(&self) -> toml::Value {
        units::size(self.0).into()
    }
}

impl Scalar for Duration {
    const EXPECTED: &'static str = "a time with its unit, one of ms, s, m, h, d";
    const EXAMPLE: &'static str = "\"30s\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        units::parse_duration(value.as_str()?)
    }

    fn show(&self) -> toml::Value {
        units::duration(*self).into()
    }
}

/// A URL that may hold a password. `Debug` and `Display` hide it.
#[derive(Clone)]
pub struct SecretUrl {
    text: SecretString,
    /// The file it was read from, if it was.
    file: Option<PathBuf>,
}

impl SecretUrl {
    /// Takes any text; whether its scheme fits is checked by the section that holds it.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { text: url.into(), file: None }
    }

    /// The same as its file says it now, for whoever connects anew: credentials may have been rotated. While there is no such
    /// file, or nothing in it, what was known last holds.
    #[must_use]
    pub fn current(&self) -> Self {
        let read = self.file.as_ref().and_then(|it| std::fs::read_to_string(it).ok());
        let text = read.map(|it| it.trim_end_matches(['\r', '\n']).to_owned()).filter(|it| !it.is_empty());
        Self { text: text.map_or_else(|| self.text.clone(), SecretString::from), file: self.file.clone() }
    }

    /// The URL with its password, for the client that connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What stands before the first colon, in lower case.
    #[must_use]
    pub fn scheme(&self) -> String {
        self.expose().split_once(':').map(|(it, _)| it.to_ascii_lowercase()).unwrap_or_default()
    }
}

impl std::fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&without_secrets(self.expose()))
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretUrl({self})")
    }
}

impl Scalar for SecretUrl {
    const EXPECTED: &'static str = "a URL";
    const EXAMPLE: &'static str = "\"scheme://user:password@host/path\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        value.as_str().filter(|it| !it.is_empty()).map(Self::new)
    }

    fn read_from(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }

    fn quote(value: &toml::Value) -> String {
        value.as_str().map_or_else(|| HIDDEN.to_owned(), |it| format!("\"{}\"", without_secrets(it)))
    }
}

/// A URL with its password, and any parameter that may be one, hidden. Everything up to the last `@` counts as
/// credentials, for a password may hold `/`, `?` or `#` that should have been encoded; hiding too much does no harm.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Without a scheme it may be anything, such as a password in the wrong place.
        return if url.contains(['@', '=']) { HIDDEN.to_owned() } else { url.to_owned() };
    };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((credentials, rest)) => match credentials.split_once(':') {
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), rest),
            None => (format!("{credentials}@"), rest),
        },
        None => (String::new(), rest),
    };
    let Some((place, query)) = rest.split_once('?') else { return format!("{scheme}://{user}{rest}") };
    let parameter = |it: &str| match it.split_once('=') {
        Some((name, _)) if ["pass", "secret", "token", "key"].iter().any(|it| name.to_ascii_lowercase().contains(it)) => {
            format!("{name}={HIDDEN}")
        }
        _ => it.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(parameter).collect();
    format!("{scheme}://{user}{place}?{}", query.join("&"))
}

impl Scalar for SecretString {
    const EXPECTED: &'static str = "a text in quotes that is not empty";
    const EXAMPLE: &'static str = "\"…\", or better name a file that holds it by the same key with _file";

    fn parse(value: &toml::Value) -> Option<Self> {
        value.as_str().filter(|it| !it.is_empty()).map(Into::into)
    }

    fn show(&self) -> toml::Value {
        HIDDEN.into()
    }

    fn quote(_: &toml::Value) -> String {
        HIDDEN.to_owned()
    }
}

impl Scalar for String {
    const EXPECTED: &'static str = "a text in quotes that is not empty";
    const EXAMPLE: &'static str = "\"name\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        value.as_str().filter(|it| !it.is_empty()).map(str::to_owned)
    }

    fn show(&self) -> toml::Value {
        self.clone().into()
    }
}

impl Scalar for PathBuf {
    const EXPECTED: &'static str = "the path of a file";
    const EXAMPLE: &'static str = "\"/etc/rebound/file\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        value.as_str().filter(|it| !it.is_empty()).map(Into::into)
    }

    fn show(&self) -> toml::Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl Scalar for bool {
    const EXPECTED: &'static str = "true or false";
    const EXAMPLE: &'static str = "true";

    fn parse(value: &toml::Value) -> Option<Self> {
        match value {
            toml::Value::Boolean(value) => Some(*value),
            other => other.as_str()?.parse().ok(),
        }
    }

    fn show(&self) -> toml::Value {
        (*self).into()
    }
}

macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Scalar for $type {
            const EXPECTED: &'static str = "a whole number, 0 or more";
            const EXAMPLE: &'static str = "10";

            fn parse(value: &toml::Value) -> Option<Self> {
                match value {
                    toml::Value::Integer(number) => Self::try_from(*number).ok(),
                    other => other.as_str()?.parse().ok(),
                }
            }

            fn show(&self) -> toml::Value {
                toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}
whole_number!(u32, usize);

impl Scalar for SocketAddr {
    const EXPECTED: &'static str = "an IP address with a port";
    const EXAMPLE: &'static str = "\"127.0.0.1:8080\", or \"0.0.0.0:8080\" to listen on every interface";

    fn parse(value: &toml::Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl Scalar for IpNet {
    const EXPECTED: &'static str = "an IP address or a network";
    const EXAMPLE: &'static str = "\"10.0.0.0/8\"";

    fn parse(value: &toml::Value) -> Option<Self> {
        let text = value.as_str()?;
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
    }

    fn show(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Implements [`Scalar`] for an enum of words.
macro_rules! words {
    ($name:ty, $expected:literal, $example:literal, [$($word:literal => $value:expr),+ $(,)?]) => {
        impl $crate::config::values::Scalar for $name {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = $example;

            fn parse(value: &toml::Value) -> Option<Self> {
                match value.as_str()? {
                    $($word => Some($value),)+
                    _ => None,
                }
            }

            fn show(&self) -> toml::Value {
                [$(($word, $value)),+].iter().find(|(_, it)| it == self).map_or("", |(word, _)| *word).into()
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_never_shows_its_password() {
        for (url, shown) in [
            ("postgres://rebound:s3cret@db:5432/rebound", "postgres://rebound:…@db:5432/rebound"),
            ("postgres://rebound:s3/c?r#et@db/rebound", "postgres://rebound:…@db/rebound"),
            ("postgres://rebound:a@s3cret@db/rebound", "postgres://rebound:…@db/rebound"),
            ("postgres://db/rebound?user=x&password=s3cret&sslmode=require", "postgres://db/rebound?user=x&password=…&sslmode=require"),
            ("postgres://db/rebound?sslpassword=s3cret", "postgres://db/rebound?sslpassword=…"),
            ("amqp://guest@localhost/%2f", "amqp://guest@localhost/%2f"),
            ("sqlite://rebound.db?mode=rwc", "sqlite://rebound.db?mode=rwc"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("host=db password=s3cret", "…"),
        ] {
            assert_eq!(format!("{:?}", SecretUrl::new(url)), format!("SecretUrl({shown})"));
        }
    }
}
