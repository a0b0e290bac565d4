//! Receipts of which nothing was read: unrecognised and quarantined ones hold no facts, so nothing links them to the people
//! they name. Whoever is to be forgotten, or asks what is held, is looked for in their raw bytes.

use std::collections::BTreeSet;

use bounce::address::Address;
use entity::receipt;
use memchr::memmem;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::store::error::StoreError;
use crate::store::ids::ReceiptId;
use crate::store::receipts::{self, StoredReceipt};
use crate::store::record::ReceiptState;
use crate::store::{Erasing, Store, dialect};

/// Receipts read at once: their raw bytes are in memory together.
const STEP: u64 = 20;
/// States in which a receipt holds no facts.
const UNREAD: [ReceiptState; 2] = [ReceiptState::Unrecognised, ReceiptState::Quarantined];

/// Some of the receipts of which nothing was read.
#[derive(Debug, Clone, Default)]
pub struct UnreadStep {
    /// Those that name the address.
    pub naming: Vec<StoredReceipt>,
    /// Where to go on; none at the end.
    pub next: Option<ReceiptId>,
}

impl Store {
    /// Looks for an address in the next receipts of which nothing was read.
    ///
    /// It is found as it is written there, in whatever case, with `@` or `=`, its domain in letters or as A-labels, as it is or with
    /// escapes of URLs, JSON or quoted-printable in it or around it. In bodies that are encoded whole (base64) it is not.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn unread_naming(&self, address: &Address, after: Option<ReceiptId>) -> Result<UnreadStep, StoreError> {
        let mut query = receipt::Entity::find()
            .filter(receipt::Column::State.is_in(UNREAD.iter().map(|it| it.as_str())))
            .filter(receipt::Column::Body.is_not_null());
        if let Some(after) = after {
            query = query.filter(receipt::Column::Id.gt(after.0));
        }
        let found = query.order_by_asc(receipt::Column::Id).limit(STEP).all(&self.db).await?;
        let found = self.stored(found).await?;
        let next = found.last().filter(|_| found.len() as u64 == STEP).map(|it| it.id);
        let sought = Sought::of(address);
        Ok(UnreadStep { naming: found.into_iter().filter(|it| it.bytes().is_some_and(|it| sought.is_in(&it))).collect(), next })
    }

    /// Removes the raw bytes of those of the next receipts that name an address, or tells of how many it would.
    ///
    /// # Errors
    /// When the database is away; the steps before stay done.
    pub async fn erase_unread(
        &self,
        address: &Address,
        after: Option<ReceiptId>,
        erasing: Erasing,
    ) -> Result<(usize, Option<ReceiptId>), StoreError> {
        let UnreadStep { naming, next } = self.unread_naming(address, after).await?;
        if naming.is_empty() || erasing == Erasing::Look {
            return Ok((naming.len(), next));
        }
        let ids: Vec<ReceiptId> = naming.iter().map(|it| it.id).collect();
        let tx = dialect::begin(&self.db).await?;
        let removed = receipts::remove_bodies(&tx, &ids).await?;
        tx.commit().await?;
        Ok((removed, next))
    }
}

/// An address as it may be written.
struct Sought(Vec<Vec<u8>>);

impl Sought {
    fn of(address: &Address) -> Self {
        let local = address.local().to_lowercase();
        let domains = BTreeSet::from([address.domain().to_owned(), address.domain_in_words()]);
        let written = |domain: &String| ["@", "="].map(|at| format!("{local}{at}{domain}").into_bytes());
        Self(domains.iter().flat_map(written).collect())
    }

    /// Whether it stands there, as it is or behind escapes. Of these each kind is undone by itself too: what looks like an escape of one
    /// kind may be part of an address in a text that has the other.
    fn is_in(&self, body: &[u8]) -> bool {
        let body = body.to_ascii_lowercase();
        let each = || Escape::ALL.iter().map(std::slice::from_ref);
        let ways = || each().chain([Escape::ALL.as_slice()]);
        self.stands_in(&body) || ways().any(|kinds| unescaped(&body, kinds).is_some_and(|it| self.stands_in(&it)))
    }

    /// Whether it is there as a word of its own: `jane@example.org` is not in `maryjane@example.org`.
    fn stands_in(&self, body: &[u8]) -> bool {
        let is_word = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
        self.0.iter().any(|sought| {
            let goes_on = |at: usize| is_word(body.get(at + sought.len()));
            let has_begun = |at: usize| is_word(at.checked_sub(1).and_then(|it| body.get(it)));
            memmem::find_iter(body, sought).any(|at| !has_begun(at) && !goes_on(at))
        })
    }
}

/// A way to write a character by others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// `%40`, in URLs and forms.
    Percent,
    /// `=40`, and `=` at the end of a line that goes on (RFC 2045 section 6.7).
    Quoted,
    /// `\u0040`, `\n`, in JSON.
    Json,
}

impl Escape {
    const ALL: [Self; 3] = [Self::Percent, Self::Quoted, Self::Json];

    /// What a text begins with, undone: how many octets it takes, and what stands for it.
    fn begins(self, text: &[u8]) -> Option<(usize, Option<char>)> {
        let hex = |digits: Option<&[u8]>| u32::from_str_radix(std::str::from_utf8(digits?).ok()?, 16).ok();
        match (self, text) {
            (Self::Quoted, [b'=', b'\r', b'\n', ..]) => Some((3, None)),
            (Self::Quoted, [b'=', b'\n', ..]) => Some((2, None)),
            (Self::Percent, [b'%', ..]) | (Self::Quoted, [b'=', ..]) => Some((3, char::from_u32(hex(text.get(1..3))?))),
            (Self::Json, [b'\\', b'u', ..]) => Some((6, char::from_u32(hex(text.get(2..6))?))),
            (Self::Json, [b'\\', b'n' | b'r' | b't' | b'b' | b'f', ..]) => Some((2, Some(' '))),
            (Self::Json, [b'\\', it, ..]) => Some((2, Some(char::from(*it)))),
            _ => None,
        }
    }
}

/// A text in small letters with these escapes undone; none where there are none. Octets beyond ASCII come by several in percent and
/// quoted-printable, in JSON as characters.
fn unescaped(body: &[u8], kinds: &[Escape]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut at, mut kept) = (0, 0);
    while let Some(next) = memchr::memchr3(b'%', b'=', b'\\', body.get(at..)?).map(|it| at + it) {
        let rest = body.get(next..)?;
        let Some((kind, (length, stands_for))) = kinds.iter().find_map(|it| Some((it, it.begins(rest)?))) else {
            at = next + 1;
            continue;
        };
        out.extend_from_slice(body.get(kept..next)?);
        match stands_for {
            Some(it) if *kind == Escape::Json => out.extend_from_slice(it.to_lowercase().collect::<String>().as_bytes()),
            Some(it) => out.extend(u8::try_from(u32::from(it)).map(|it| it.to_ascii_lowercase())),
            None => {}
        }
        at = next + length;
        kept = at;
    }
    if kept == 0 {
        return None;
    }
    out.extend_from_slice(body.get(kept..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_as_it_is_written() {
        for (text, found) in [
            ("To: jane@example.org\r\n", true),
            ("<JANE@Example.ORG>", true),
            ("bounces+jane=example.org@lists.example.com", true),
            ("{\"to\":\"jane%40example.org\"}", true),
            ("--jane@example.org", true),
            ("maryjane@example.org", false),
            ("jane@example.organic", false),
            ("jane@example.com, john@example.org", false),
            ("", false),
            ("to=%3Cjane%40example.org%3E", true),
            (r#"{"to":"\u003cjane\u0040example.org\u003E"}"#, true),
            (r#"{"text":"failed:\njane@example.org\nbye"}"#, true),
            ("To:=20=3Cjane=40example.org=3E", true),
            ("To: jane@exam=\r\nple.org", true),
            ("path=bounces%2Bjane%3Dexample.org%40lists.example.com", true),
            ("%61jane%40example.org", false),
            ("=%", false),
        ] {
            assert_eq!(Sought::of(&Address::parse("jane@example.org").unwrap()).is_in(text.as_bytes()), found, "{text}");
        }
        let is_in = |address: &str, text: &str| Sought::of(&Address::parse(address).unwrap()).is_in(text.as_bytes());
        assert!(is_in("jürgen@example.org", "an jürgen@example.org"));
        assert!(is_in("jürgen@example.org", "an=20j=C3=BCrgen@example.org"));
        for text in ["<jane@bücher.example>", "<jane@xn--bcher-kva.example>", r#""jane@b\u00fccher.example""#, "jane%40b%C3%BCcher.example"]
        {
            assert!(is_in("jane@bücher.example", text), "{text}");
        }
        assert!(is_in("jane@adexample.org", "%3Cx+jane=adexample.org@lists.example.com%3E"), "which has no escape");
        assert!(is_in("jane+news@example.org", "to=jane%2Bnews%40example.org"));
    }
}
