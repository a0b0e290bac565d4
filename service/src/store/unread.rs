//! Receipts of which nothing was read: unrecognised and quarantined ones hold no facts, so nothing links them to the people
//! they name. Whoever is to be forgotten, or asks what is held, is looked for in their raw bytes.

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
    /// It is found as it is written there, in whatever case, with `@`, and with `=` or `%40` in its place. In bodies that are
    /// encoded (base64) it is not.
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
        let (local, domain) = (address.local().to_lowercase(), address.domain());
        Self(["@", "=", "%40"].iter().map(|at| format!("{local}{at}{domain}").into_bytes()).collect())
    }

    /// Whether it stands there as a word of its own: `jane@example.org` is not in `maryjane@example.org`.
    fn is_in(&self, body: &[u8]) -> bool {
        let body = body.to_ascii_lowercase();
        let is_word = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
        self.0.iter().any(|sought| {
            let goes_on = |at: usize| is_word(body.get(at + sought.len()));
            let has_begun = |at: usize| is_word(at.checked_sub(1).and_then(|it| body.get(it)));
            memmem::find_iter(&body, sought).any(|at| !has_begun(at) && !goes_on(at))
        })
    }
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
        ] {
            assert_eq!(Sought::of(&Address::parse("jane@example.org").unwrap()).is_in(text.as_bytes()), found, "{text}");
        }
        assert!(Sought::of(&Address::parse("jürgen@example.org").unwrap()).is_in("an jürgen@example.org".as_bytes()));
    }
}
