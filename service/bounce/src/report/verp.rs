//! Addresses inside addresses: return paths that carry the recipient (VERP), a tag against forged bounces (BATV), or the
//! sender a forwarder rewrote (SRS). Undone so that a report can be tied to what was sent where the failed address is
//! redacted.

use crate::address::Address;

/// The address that a rewritten one stands for, with every known wrapping undone; `None` where there is no wrapping.
pub(crate) fn unwrapped(address: &Address) -> Option<Address> {
    let mut current = batv(address);
    // SRS wraps at most twice (SRS1 around SRS0), BATV once around either.
    for _ in 0..3 {
        let next = srs(current.as_ref().unwrap_or(address));
        if next.is_none() {
            break;
        }
        current = next;
    }
    current
}

/// The recipient that a return path of the form `anything+local=domain@ours` names (Bernstein's VERP and those who write
/// like it).
pub(crate) fn recipient(address: &Address) -> Option<Address> {
    let local = unwrapped(address).map_or_else(|| address.local().to_owned(), |it| it.local().to_owned());
    let (head, domain) = local.rsplit_once('=')?;
    if !domain.contains('.') || domain.ends_with('.') {
        return None;
    }
    // Behind a plus the recipient's local part begins; qmail's own form puts a dash there, which local parts may have too.
    let (_, name) = head
        .split_once('+')
        .or_else(|| head.rsplit_once("bounces-"))
        .or_else(|| head.rsplit_once("bounce-"))
        .or_else(|| head.split_once('-'))?;
    Address::parse(&format!("{}@{domain}", without_account(name))).ok()
}

/// Drops the account and message numbers that SendGrid puts in front: `1234567-ab12-local`.
fn without_account(name: &str) -> &str {
    let mut parts = name.splitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(account), Some(tag), Some(local))
            if account.bytes().all(|it| it.is_ascii_digit()) && tag.len() == 4 && tag.bytes().all(|it| it.is_ascii_hexdigit()) =>
        {
            local
        }
        _ => name,
    }
}

/// `prvs=tag=local@domain` (Levine's BATV draft, section 4.2), and the older `prvs=local/tag@domain`.
fn batv(address: &Address) -> Option<Address> {
    let rest = address.local().strip_prefix("prvs=").or_else(|| address.local().strip_prefix("msprvs1="))?;
    let local = match rest.split_once('=') {
        Some((tag, local)) if tag.bytes().all(|it| it.is_ascii_alphanumeric()) => local,
        _ => rest.split_once('/')?.0,
    };
    Address::parse(&format!("{local}@{}", address.domain())).ok()
}

/// `SRS0=hash=time=domain=local@forwarder` and `SRS1=hash=forwarder==hash=time=domain=local@second`.
fn srs(address: &Address) -> Option<Address> {
    let local = address.local();
    let kind = local.get(..4)?;
    let rest = local.get(5..).filter(|_| matches!(local.as_bytes().get(4), Some(b'=' | b'+' | b'-')))?;
    let mut parts = match kind {
        "srs0" => rest.splitn(4, '='),
        "srs1" => rest.split_once("==").or_else(|| rest.split_once("=+")).or_else(|| rest.split_once("=-"))?.1.splitn(4, '='),
        _ => return None,
    };
    let (_hash, _time, domain, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Address::parse(&format!("{name}@{domain}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn wrappings_are_undone_and_plain_addresses_have_none() {
        for (wrapped, plain) in [
            ("prvs=1234abcdef=jane@corp.example", Some("jane@corp.example")),
            ("prvs=jane/1234abcdef@corp.example", Some("jane@corp.example")),
            ("SRS0=HHH=TT=corp.example=jane@forward.example", Some("jane@corp.example")),
            ("srs0+hhh=tt=corp.example=jane@forward.example", Some("jane@corp.example")),
            ("SRS1=GGG=forward.example==HHH=TT=corp.example=jane@second.example", Some("jane@corp.example")),
            ("jane@corp.example", None),
            ("srs0@corp.example", None),
            ("prvs=@corp.example", None),
        ] {
            assert_eq!(unwrapped(&parsed(wrapped)).as_ref().map(Address::expose), plain, "{wrapped}");
        }
    }

    #[test]
    fn a_return_path_tells_the_recipient() {
        for (path, recipient_of) in [
            ("bounces+jane.doe=corp.example@news.example", Some("jane.doe@corp.example")),
            ("list-bounces-jane=corp.example@news.example", Some("jane@corp.example")),
            ("news-jane=corp.example@news.example", Some("jane@corp.example")),
            ("bounces+1234567-ab12-jane=corp.example@news.example", Some("jane@corp.example")),
            ("bounces+abc123@news.example", None),
            ("a=b@news.example", None),
        ] {
            assert_eq!(recipient(&parsed(path)).as_ref().map(Address::expose), recipient_of, "{path}");
        }
    }
}
