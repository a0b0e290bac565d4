//! Ids, each of its own type, so that one cannot be given for another.

use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, in the order of time.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// Id of a receipt.
    ReceiptId
);
uuid_id!(
    /// Id of an event.
    EventId
);
uuid_id!(
    /// Id of a list.
    ListId
);
uuid_id!(
    /// Id of a change to what a list says.
    ChangeId
);
uuid_id!(
    /// Id of an import.
    ImportId
);
uuid_id!(
    /// Id of an API key.
    KeyId
);

impl ListId {
    /// The id as the policy knows it.
    #[must_use]
    pub const fn key(self) -> bounce::policy::ListKey {
        bounce::policy::ListKey(self.0.into_bytes())
    }

    /// Back from the policy.
    #[must_use]
    pub const fn from_key(key: bounce::policy::ListKey) -> Self {
        Self(Uuid::from_bytes(key.0))
    }
}

/// Pseudonymous id of an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(pub [u8; 16]);

impl SubjectId {
    /// The id after which this one comes first.
    pub(super) const fn just_before(self) -> Self {
        Self(u128::from_be_bytes(self.0).saturating_sub(1).to_be_bytes())
    }
}

impl std::fmt::Display for SubjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubjectId({self})")
    }
}
