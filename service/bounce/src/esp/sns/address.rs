//! Which addresses in an envelope may be fetched: HTTPS, no user, the default port, nothing that URL parsers read
//! differently, and a host on a list: Amazon's, or the one that a source gives. Never an address by number.

use crate::esp::form::{Plus, pairs};
use crate::esp::sns::{Envelope, malformed};
use crate::esp::{Credentials, Refusal};
use crate::limits;

/// What a confirmation that is not believed lacks.
const NOT_ALLOWED: Refusal = Refusal::NotAllowed("the host or action of SubscribeURL");

impl Envelope {
    /// The address that confirms a subscription, if it is Amazon's.
    pub(in crate::esp) fn confirmation_url(&self) -> Result<&str, Refusal> {
        let url = self.some_confirmation_url()?;
        if is_confirmation_url(url) { Ok(url) } else { Err(NOT_ALLOWED) }
    }

    /// The address that confirms a subscription to this topic and to no other, on one of the hosts that the source allows.
    pub(in crate::esp) fn confirmation_url_of(&self, credentials: &Credentials) -> Result<&str, Refusal> {
        let url = self.some_confirmation_url()?;
        if credentials.confirm_hosts.is_empty() {
            return Err(Refusal::NotConfigured("`confirm_hosts` (the host of the SubscribeURL)"));
        }
        let topics = query(url).into_iter().flat_map(|it| pairs(it.as_bytes(), Plus::Literal));
        let of_this_topic =
            topics.filter(|(name, _)| name.eq_ignore_ascii_case(b"TopicArn")).all(|(_, it)| *it == *self.topic_arn.as_bytes());
        if of_this_topic && is_confirmation_url_at(url, &credentials.confirm_hosts) { Ok(url) } else { Err(NOT_ALLOWED) }
    }

    /// The address that would confirm, on whatever host.
    pub(in crate::esp) fn some_confirmation_url(&self) -> Result<&str, Refusal> {
        self.subscribe_url.as_deref().ok_or_else(|| malformed("the field SubscribeURL is missing"))
    }

    /// Whether the certificate comes from the region of the topic. It always has, but Amazon does not promise it.
    pub(in crate::esp) fn is_of_one_region(&self) -> bool {
        let of_host = self.signing_cert_url.as_deref().and_then(sns_host).map(|(region, _)| region);
        of_host.is_none_or(|it| self.topic_arn.split(':').nth(3) == Some(it))
    }
}

/// `https://sns.<region>.amazonaws.com/SimpleNotificationService-<letters and digits>.pem`, or the same in China.
pub(super) fn is_certificate_url(url: &str) -> bool {
    let name = sns_host(url).and_then(|(_, path)| path.strip_prefix("/SimpleNotificationService-")?.strip_suffix(".pem"));
    name.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// A URL of Amazon's SNS that confirms a subscription and does nothing else.
pub(in crate::esp) fn is_confirmation_url(url: &str) -> bool {
    sns_host(url).is_some_and(|(_, path)| path.starts_with("/?")) && only_confirms(url)
}

/// The same on one of these hosts.
pub(in crate::esp) fn is_confirmation_url_at(url: &str, hosts: &[String]) -> bool {
    let host = host_and_path(url).map(|(host, _)| host).filter(|it| is_public_name(it));
    host.is_some_and(|it| hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(it))) && only_confirms(url)
}

/// Whether the text is the name of a host that may be anywhere but here: no number, none of the names that lead into a
/// network of one's own. What it resolves to is checked again by whoever fetches.
#[must_use]
pub fn is_public_name(host: &str) -> bool {
    const OWN: [&str; 5] = ["localhost", "local", "internal", "localdomain", "arpa"];
    let label = |it: &str| {
        (1..=63).contains(&it.len())
            && !it.starts_with('-')
            && !it.ends_with('-')
            && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // Parsers take a name whose last label is a number, in whatever base, for an address.
    let last = host.rsplit_once('.').map_or("", |(_, it)| it);
    host.len() <= 253 && host.split('.').all(label) && last.starts_with(|it: char| it.is_ascii_lowercase()) && !OWN.contains(&last)
}

/// Whether the only action in the query is to confirm.
fn only_confirms(url: &str) -> bool {
    let actions = query(url).map(|it| pairs(it.as_bytes(), Plus::Literal).filter(|(name, _)| name.eq_ignore_ascii_case(b"Action")));
    actions.is_some_and(|mut it| it.next().is_some_and(|(_, value)| *value == *b"ConfirmSubscription") && it.next().is_none())
}

fn query(url: &str) -> Option<&str> {
    url.split_once('?').map(|(_, query)| query)
}

/// Region and path of an address on an SNS host of Amazon's.
fn sns_host(url: &str) -> Option<(&str, &str)> {
    let (host, path) = host_and_path(url)?;
    let host = host.strip_prefix("sns.")?;
    let region = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"))?;
    is_region(region).then_some((region, path))
}

/// Whether the text is the name of a region: `us-east-1`, `us-gov-west-1`. Anything looser lets in the buckets of strangers:
/// `sns.s3-us-west-2.amazonaws.com` is a bucket of that name, and whoever owns it signs what they like.
fn is_region(text: &str) -> bool {
    let is_word = |it: &&str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_lowercase());
    let parts: Vec<&str> = text.split('-').take(6).collect();
    matches!(parts.as_slice(), [country, places @ .., number]
        if country.len() == 2 && is_word(country) && (1..=3).contains(&places.len()) && places.iter().all(is_word)
            && matches!(number.as_bytes(), [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'9']))
}

/// Host and path of a plain HTTPS address; whatever stands between them (a user, a port) is part of the host here, and
/// makes it none that is allowed.
fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~:/?&=%+,;".contains(&it);
    if url.len() > limits::FETCHED_URL_BYTES || !url.bytes().all(plain) {
        return None;
    }
    let rest = url.strip_prefix("https://")?;
    Some(rest.split_at(rest.find('/')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_of_sns_hosts_are_fetched() {
        for url in [
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-7ff5318490ec183fbaddaa2a969abfda.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0.pem",
            "https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.ap-southeast-5.amazonaws.com/SimpleNotificationService-0.pem",
        ] {
            assert!(is_certificate_url(url), "{url}");
        }
        for url in [
            "",
            "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "HTTPS://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-.pem",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem?x=.pem",
            "https://sns.us-east-1.amazonaws.com/x/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-..%2f0.pem",
            "https://sns.us-east-1.amazonaws.com/../SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com:443/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com./SimpleNotificationService-0.pem",
            "https://jane@sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com\\@evil.example/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com#.evil.example/SimpleNotificationService-0.pem",
            "https://evil.example/sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.evil.example/x.amazonaws.com/SimpleNotificationService-0.pem",
            "https://evil.sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.a.b.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us.amazonaws.com/SimpleNotificationService-0.pem",
            // Buckets, and whatever else has hosts in this domain.
            "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.s3-website-us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.s3-accelerate.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.s3-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-west-2b.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us--2.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-west-east-north-south-2.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.US-EAST-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com\n/SimpleNotificationService-0.pem",
            "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://169.254.169.254/SimpleNotificationService-0.pem",
        ] {
            assert!(!is_certificate_url(url), "{url}");
        }
    }

    #[test]
    fn only_confirmations_of_sns_hosts_are_visited() {
        let good = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:t&Token=2";
        assert!(is_confirmation_url(good));
        assert!(is_confirmation_url("https://sns.us-east-1.amazonaws.com/?TopicArn=arn%3Aaws%3Asns&Action=ConfirmSubscription"));
        for url in [
            good.replace("Confirm", "Un"),
            good.replace("Action=ConfirmSubscription&", ""),
            good.replace("&Token", "&Action=Unsubscribe&Token"),
            good.replace("us-east-1.amazonaws.com", "us-east-1.example.com"),
            good.replace("com/?", "com/x?"),
            format!("{good}{}", "2".repeat(limits::FETCHED_URL_BYTES)),
        ] {
            assert!(!is_confirmation_url(&url), "{url}");
        }
    }

    #[test]
    fn an_address_one_past_the_limit_is_not_fetched() {
        let of = |length: usize| {
            let (head, tail) = ("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-", ".pem");
            is_certificate_url(&format!("{head}{}{tail}", "0".repeat(length - head.len() - tail.len())))
        };
        assert!(of(limits::FETCHED_URL_BYTES) && !of(limits::FETCHED_URL_BYTES + 1));
    }

    #[test]
    fn other_hosts_confirm_only_where_the_source_allows_them() {
        let hosts = ["sns.mnq.fr-par.example.com".to_owned(), "10.0.0.1".to_owned(), "localhost".to_owned(), "x.internal".to_owned()];
        let good = "https://sns.mnq.fr-par.example.com/?Action=ConfirmSubscription&TopicArn=arn:scw:sns:fr-par:p:t&Token=2";
        assert!(is_confirmation_url_at(good, &hosts));
        assert!(is_confirmation_url_at(&good.replace("/?", "/path?"), &hosts));
        assert!(!is_confirmation_url_at(good, &[]) && !is_confirmation_url_at("", &hosts));
        for (from, to) in [
            ("https:", "http:"),
            ("https:", "HTTPS:"),
            ("sns.mnq", "jane@sns.mnq"),
            ("sns.mnq", "jane:p@sns.mnq"),
            (".com/", ".com:443/"),
            (".com/", ".com:/"),
            (".com/", ".com./"),
            (".com/", ".com"),
            (".com/", ".com\\"),
            (".com/", ".com@evil.example/"),
            (".com/", ".com.evil.example/"),
            (".com/", ".com#.evil.example/"),
            (".com/", ".com%2f.evil.example/"),
            ("sns.mnq", "SNS.mnq"),
            ("sns.mnq", "x.sns.mnq"),
            ("sns.mnq.fr-par.example.com", "10.0.0.1"),
            ("sns.mnq.fr-par.example.com", "localhost"),
            ("sns.mnq.fr-par.example.com", "x.internal"),
            ("sns.mnq.fr-par.example.com", "evil.example"),
            ("Confirm", "Un"),
            ("Action=ConfirmSubscription&", ""),
            ("&Token", "&Action=Unsubscribe&Token"),
            ("&Token", "&%41ction=Unsubscribe&Token"),
            ("&Token", "&action=Unsubscribe&Token"),
        ] {
            let url = good.replace(from, to);
            assert!(url != good && !is_confirmation_url_at(&url, &hosts), "{url}");
        }
    }

    #[test]
    fn names_that_lead_home_are_not_public() {
        for host in ["sns.example.com", "a.b-c.xn--p1ai", "1.example.com"] {
            assert!(is_public_name(host), "{host}");
        }
        for host in [
            "",
            "com",
            "localhost",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "1.0.0.127.in-addr.arpa",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "1.2.3.0x4",
            "[::1]",
            "::1",
            "a..b.example",
            ".example.com",
            "example.com.",
            "-a.example.com",
            "A.example.com",
            "a_b.example.com",
            "a.example.com:443",
            "é.example.com",
        ] {
            assert!(!is_public_name(host), "{host}");
        }
        assert!(is_public_name(&format!("{}.example.com", "a".repeat(63))) && !is_public_name(&format!("{}.example.com", "a".repeat(64))));
    }
}
