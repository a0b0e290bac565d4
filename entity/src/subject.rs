//! Addresses and domain entries by pseudonymous id. Beside receipts the only table with addresses in plain.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Addresses and domain entries by pseudonymous id. Beside receipts the only table with addresses in plain.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subject")]
pub struct Model {
    /// First 16 octets of HMAC-SHA256(pepper, normalised address).
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Vec<u8>,
    /// The normalised address, or @domain for a domain entry; null once erased.
    pub address: Option<String>,
    /// The domain, in lower-case A-labels; empty once erased.
    pub domain: String,
    /// Grows with every change of what lists say; consumers keep the highest.
    pub revision: i64,
    /// When it was first heard of.
    pub created_at: OffsetDateTime,
    /// When the plain address was erased; null again if it had to be stored anew.
    pub erased_at: Option<OffsetDateTime>,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
