//! A secret that may change while the service runs: where it was read from a file, that is read again by whoever needs it anew.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::values::Scalar;

/// A secret, and the file that it came from. `Debug` hides it.
#[derive(Debug, Clone)]
pub struct RotatingSecret {
    text: SecretString,
    file: Option<PathBuf>,
}

impl RotatingSecret {
    /// A secret that stays as it is.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), file: None }
    }

    /// The secret as its file has it now. While there is no such file, or nothing in it, what was known last holds.
    #[must_use]
    pub fn current(&self) -> SecretString {
        let read = self.file.as_ref().and_then(|it| std::fs::read_to_string(it).ok());
        let text = read.map(|it| it.trim_end_matches(['\r', '\n']).to_owned()).filter(|it| !it.is_empty());
        text.map_or_else(|| self.text.clone(), SecretString::from)
    }
}

impl Scalar for RotatingSecret {
    const EXPECTED: &'static str = <SecretString as Scalar>::EXPECTED;
    const EXAMPLE: &'static str = <SecretString as Scalar>::EXAMPLE;

    fn parse(value: &toml::Value) -> Option<Self> {
        <SecretString as Scalar>::parse(value).map(|it| Self::new(it.expose_secret()))
    }

    fn show(&self) -> toml::Value {
        Scalar::show(&self.text)
    }

    fn quote(value: &toml::Value) -> String {
        <SecretString as Scalar>::quote(value)
    }

    fn read_from(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_follows_its_file_and_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let secret = RotatingSecret::new("first").read_from(&file);
        let now = || secret.current().expose_secret().to_owned();
        assert_eq!(now(), "first");
        std::fs::write(&file, "second\n").unwrap();
        assert_eq!(now(), "second");
        std::fs::write(&file, "").unwrap();
        assert_eq!(now(), "first");
        assert!(!format!("{secret:?}").contains("first"));
    }
}
