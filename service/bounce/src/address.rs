//! Mail addresses (RFC 5321 section 4.1.2, RFC 6531) in the one form that identity is built on. Everything that a report
//! may put around an address is undone here: angle brackets, source routes, quotes, letter case, Unicode forms. What
//! the text was before is the caller's to keep.

use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Octets a local part may have, RFC 5321 section 4.5.3.1.1. Receivers are known to hold longer ones, so it is doubled.
const LOCAL_LIMIT: usize = 128;
/// Octets a domain may have, RFC 5321 section 4.5.3.1.2.
const DOMAIN_LIMIT: usize = 255;
/// Octets a label of a domain may have, RFC 1035 section 2.3.4.
const LABEL_LIMIT: usize = 63;
/// Octets read of a text before it is no address at all; room for route, quotes and brackets.
const TEXT_LIMIT: usize = 1024;

/// Why a text is no address. Never quotes the text: it may be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty")]
    Empty,
    /// Over the limits of RFC 5321.
    #[error("the address has {0} octets; RFC 5321 allows 64 before and 255 after the @")]
    TooLong(usize),
    /// No `@` with text on both sides.
    #[error("the address is not of the form local@domain")]
    NoDomain,
    /// Blanks, control characters or brackets where none may stand.
    #[error("the local part (before the @) has a character that may not stand there")]
    Local,
    /// The domain is neither a name nor an address literal.
    #[error("the domain (after the @) is not a domain name")]
    Domain,
}

/// A normalised mail address: domain in lower-case A-labels, local part in lower-case NFC, source route and needless quotes
/// undone, plus-tags kept.
///
/// `Display` redacts; [`Address::expose`] is for the wire and the database.
///
/// ```
/// let address = bounce::address::Address::parse("<@relay.example:\"Jane\"@BÜCHER.example>").unwrap();
/// assert_eq!(address.expose(), "jane@xn--bcher-kva.example");
/// assert_eq!(address.to_string(), "j…@xn--bcher-kva.example");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    /// Reads and normalises an address.
    ///
    /// # Errors
    /// When the text is not of the form `local@domain` after brackets, route and quotes are undone.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > TEXT_LIMIT {
            return Err(AddressError::TooLong(text.len()));
        }
        let text = without_route(text.strip_prefix('<').and_then(|it| it.strip_suffix('>')).unwrap_or(text).trim());
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoDomain)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::NoDomain);
        }
        if is_plain_local(local) && is_plain_domain(domain) {
            // Most are like that, and the normal form differs in letter case only.
            let mut plain = String::with_capacity(text.len());
            plain.push_str(text);
            plain.make_ascii_lowercase();
            return Ok(Self { at: local.len(), text: plain });
        }
        let local = normal_local(local)?;
        let domain = normal_domain(domain)?;
        if local.len() > LOCAL_LIMIT || domain.len() > DOMAIN_LIMIT {
            return Err(AddressError::TooLong(local.len() + 1 + domain.len()));
        }
        Ok(Self { at: local.len(), text: format!("{local}@{domain}") })
    }

    /// Reads the entry for a whole domain, written `@example.org`.
    ///
    /// # Errors
    /// When what follows the `@` is no domain name, or there is no leading `@`.
    pub fn parse_domain_entry(text: &str) -> Result<Self, AddressError> {
        let domain = text.trim().strip_prefix('@').ok_or(AddressError::NoDomain)?;
        Ok(Self { at: 0, text: format!("@{}", normal_domain(domain)?) })
    }

    /// Reads either an address or a domain entry.
    ///
    /// # Errors
    /// As [`Address::parse`] and [`Address::parse_domain_entry`].
    pub fn parse_entry(text: &str) -> Result<Self, AddressError> {
        if text.trim().starts_with('@') && text.trim().matches('@').count() == 1 {
            Self::parse_domain_entry(text)
        } else {
            Self::parse(text)
        }
    }

    /// Whether this stands for a whole domain.
    #[must_use]
    pub const fn is_domain_entry(&self) -> bool {
        self.at == 0
    }

    /// The entry of the domain this address belongs to.
    #[must_use]
    pub fn domain_entry(&self) -> Self {
        Self { at: 0, text: format!("@{}", self.domain()) }
    }

    /// The whole address in plain. For the wire and the database, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`; empty for a domain entry.
    #[must_use]
    pub fn local(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    /// What stands after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }

    /// The domain as people write it: its U-labels, where it has some (RFC 5890 section 2.3.2.1).
    #[must_use]
    pub fn domain_in_words(&self) -> String {
        idna::domain_to_unicode(self.domain()).0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.local().trim_start_matches('"').chars().next() {
            Some(first) => write!(f, "{first}…@{}", self.domain()),
            None => write!(f, "@{}", self.domain()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// Drops a source route `@a,@b:user@c` (RFC 5321 appendix C).
fn without_route(text: &str) -> &str {
    if !text.starts_with('@') {
        return text;
    }
    match text.split_once(':') {
        Some((route, rest)) if route.contains('@') && rest.contains('@') => rest.trim(),
        _ => text,
    }
}

/// Whether a local part is in ASCII, needs no quotes and is within the limit.
fn is_plain_local(local: &str) -> bool {
    let mut previous = b'.';
    let plain = local.bytes().all(|it| {
        let fits = if it == b'.' { previous != b'.' } else { is_atext(it) };
        previous = it;
        fits
    });
    plain && previous != b'.' && local.len() <= LOCAL_LIMIT
}

/// Whether a domain is a name in ASCII, within the limits and without what may be an A-label.
fn is_plain_domain(domain: &str) -> bool {
    let mut previous = b'.';
    let mut label = 0;
    let plain = domain.bytes().all(|it| {
        label = if it == b'.' { 0 } else { label + 1 };
        let fits = match it {
            b'.' => previous != b'.' && previous != b'-',
            b'-' => previous != b'-' && previous != b'.',
            _ => it.is_ascii_alphanumeric() || it == b'_',
        };
        previous = it;
        fits && label <= LABEL_LIMIT
    });
    plain && previous != b'.' && previous != b'-' && domain.len() <= DOMAIN_LIMIT
}

/// The characters of an atom, RFC 5322 section 3.2.3.
fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

fn normal_local(local: &str) -> Result<String, AddressError> {
    let plain = match local.strip_prefix('"').and_then(|it| it.strip_suffix('"')) {
        Some(quoted) => {
            let mut plain = String::with_capacity(quoted.len());
            let mut escaped = false;
            for letter in quoted.chars() {
                match letter {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => return Err(AddressError::Local),
                    _ => {
                        plain.push(letter);
                        escaped = false;
                    }
                }
            }
            plain
        }
        None if local.contains(['<', '>', '(', ')', '[', ']', ',', ';', ':', '"', '\\', '@']) => return Err(AddressError::Local),
        None => local.to_owned(),
    };
    // Of blanks only the space may stand there, and only quoted (`qtextSMTP`, RFC 5321 section 4.1.2).
    let is_quoted = local.starts_with('"');
    let cannot_stand = |it: char| it.is_control() || is_no_letter(it) || (it.is_whitespace() && !(it == ' ' && is_quoted));
    if plain.is_empty() || plain.chars().any(cannot_stand) {
        return Err(AddressError::Local);
    }
    // The forms of Unicode leave ASCII as it is.
    let normal = if plain.is_ascii() { plain.to_ascii_lowercase() } else { plain.nfc().collect::<String>().to_lowercase().nfc().collect() };
    Ok(quoted_if_needed(normal))
}

/// What nobody sees: an address with such a letter looks like another one, and a check for the other would pass. And what
/// decoding leaves where a text was none.
const fn is_no_letter(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffd}')
}

/// Puts a local part into quotes that cannot stand without (RFC 5321 section 4.1.2, `Quoted-string`), so that what is shown can
/// be mailed and reads back as the same address.
fn quoted_if_needed(local: String) -> String {
    if local.split('.').all(|it| !it.is_empty() && it.bytes().all(|b| is_atext(b) || !b.is_ascii())) {
        return local;
    }
    let mut quoted = String::with_capacity(local.len() + 2);
    quoted.push('"');
    for letter in local.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

fn normal_domain(domain: &str) -> Result<String, AddressError> {
    // The root, written in any of the ways that IDNA takes for a dot (UTS 46 section 2.3).
    let domain = domain.strip_suffix(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).unwrap_or(domain);
    if let Some(literal) = domain.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        let fine = !literal.is_empty() && literal.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b':' | b'-'));
        return if fine { Ok(domain.to_ascii_lowercase()) } else { Err(AddressError::Domain) };
    }
    if domain.is_empty() || domain.len() > TEXT_LIMIT {
        return Err(AddressError::Domain);
    }
    let ascii = if domain.is_ascii() && !domain.to_ascii_lowercase().split('.').any(|it| it.starts_with("xn--")) {
        domain.to_ascii_lowercase()
    } else {
        // A label that IDNA refuses is still a name somebody mailed; it stays as it is, in lower case.
        match idna::domain_to_ascii(domain) {
            Ok(ascii) => ascii,
            Err(_) if domain.is_ascii() => domain.to_ascii_lowercase(),
            Err(_) => return Err(AddressError::Domain),
        }
    };
    // Letters, digits and hyphens, the hyphens inside (RFC 5321 section 4.1.2, `sub-domain`); underscores are in use.
    let letters = |it: &str| it.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let label = |it: &str| !it.is_empty() && it.len() <= LABEL_LIMIT && letters(it) && !it.starts_with('-') && !it.ends_with('-');
    if ascii.len() <= DOMAIN_LIMIT && ascii.split('.').all(label) { Ok(ascii) } else { Err(AddressError::Domain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> Result<String, AddressError> {
        Address::parse(text).map(|it| it.expose().to_owned())
    }

    #[test]
    fn everything_around_an_address_is_undone() {
        for text in [
            "Jane.Doe+news@Example.ORG",
            " <Jane.Doe+news@example.org> ",
            "\"Jane.Doe+news\"@example.org.",
            "<@a.example,@b.example:jane.doe+news@example.org>",
            "\"Jane\\.Doe+news\"@EXAMPLE.org",
        ] {
            assert_eq!(normal(text).as_deref(), Ok("jane.doe+news@example.org"), "{text}");
        }
    }

    #[test]
    fn quotes_stand_where_they_must() {
        for text in ["\"neko....nyaan....\"@example.org", "neko....nyaan....@example.org", "\"neko....nyaan\\....\"@EXAMPLE.org"] {
            assert_eq!(normal(text).as_deref(), Ok("\"neko....nyaan....\"@example.org"), "{text}");
        }
        assert_eq!(normal("\"John Smith\"@example.org").as_deref(), Ok("\"john smith\"@example.org"));
        assert_eq!(normal("\"john\\ smith\"@example.org").as_deref(), Ok("\"john smith\"@example.org"));
        assert_eq!(normal("\"a@b\"@example.org").as_deref(), Ok("\"a@b\"@example.org"));
        assert_eq!(normal(r#""a\"b"@example.org"#).as_deref(), Ok(r#""a\"b"@example.org"#));
    }

    #[test]
    fn unicode_comes_to_one_form() {
        assert_eq!(
            normal("\u{416}ena@\u{43f}\u{440}\u{438}\u{43c}\u{435}\u{440}.example").as_deref(),
            Ok("\u{436}ena@xn--e1afmkfd.example")
        );
        assert_eq!(normal("jane@example\u{3002}org\u{3002}").as_deref(), Ok("jane@example.org"), "dots of other scripts");
        assert_eq!(normal("jane@XN--BCHER-KVA.example").as_deref(), Ok("jane@xn--bcher-kva.example"));
        assert_eq!(normal("jane@fa\u{df}.example").as_deref(), Ok("jane@xn--fa-hia.example"), "not fass.example");
        assert_eq!(normal("jos\u{e9}@B\u{dc}CHER.example"), normal("JOSE\u{301}@xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("jane", AddressError::NoDomain),
            ("@example.org", AddressError::NoDomain),
            ("jane@", AddressError::NoDomain),
            ("ja ne@example.org", AddressError::Local),
            ("ja\0ne@example.org", AddressError::Local),
            ("jane@exa mple.org", AddressError::Domain),
            ("jane@-..org", AddressError::Domain),
            ("jane@-example.org", AddressError::Domain),
            ("jane@example-.org", AddressError::Domain),
            ("jane@example.org..", AddressError::Domain),
            ("jane@.example.org", AddressError::Domain),
            ("john smith@example.org", AddressError::Local),
            ("\"john\tsmith\"@example.org", AddressError::Local),
            ("\"john\u{a0}smith\"@example.org", AddressError::Local),
            ("jane\u{200b}@example.org", AddressError::Local),
            ("\u{feff}jane@example.org", AddressError::Local),
            ("\"jane@example.org", AddressError::Local),
            ("jane@example.org\u{0}", AddressError::Domain),
        ] {
            assert_eq!(normal(text), Err(error), "{text:?}");
        }
        assert_eq!(normal(&format!("{}@example.org", "a".repeat(10_000))), Err(AddressError::TooLong(10_012)));
        assert_eq!(normal(&format!("{}@example.org", "a".repeat(200))), Err(AddressError::TooLong(212)));
    }

    #[test]
    fn a_domain_entry_stands_for_the_domain() {
        let entry = Address::parse_entry("@Example.org").unwrap();
        assert!(entry.is_domain_entry());
        assert_eq!((entry.expose(), entry.local(), entry.domain()), ("@example.org", "", "example.org"));
        assert_eq!(Address::parse("jane@example.org").unwrap().domain_entry(), entry);
    }

    #[test]
    fn display_and_debug_redact() {
        let address = Address::parse("jane@example.org").unwrap();
        assert_eq!(format!("{address} {address:?}"), "j…@example.org Address(j…@example.org)");
    }

    proptest::proptest! {
        #[test]
        fn plain_addresses_take_no_other_form(local in "[a-zA-Z.+=\"@-]{1,12}", domain in "[a-zA-Z0-9._-]{1,12}") {
            if is_plain_local(&local) && is_plain_domain(&domain) {
                proptest::prop_assert_eq!(normal_local(&local), Ok(local.to_ascii_lowercase()));
                proptest::prop_assert_eq!(normal_domain(&domain), Ok(domain.to_ascii_lowercase()));
            }
        }

        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,80}(@\\PC{1,40})?") {
            if let Ok(once) = Address::parse(&text) {
                proptest::prop_assert_eq!(Address::parse(once.expose()), Ok(once));
            }
        }
    }
}
