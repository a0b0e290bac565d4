//! The database and nothing else: the only module that names `entity` or `sea_orm`. It takes receipts in ([`Store::commit`]),
//! writes down what people do ([`Store::act`]), answers what lists say ([`Store::check`]) and hands out the feeds and the
//! outbox. It knows no HTTP, no broker and no clock; the time is always an argument.

mod acts;
mod check;
mod commit;
mod connect;
mod dialect;
mod error;
mod feed;
mod history;
mod identity;
mod ids;
mod keys;
mod lists;
mod load;
mod lookup;
mod messages;
mod outbox;
mod policies;
mod record;
mod release;
mod rows;
mod story;
mod tokens;

use sea_orm::DatabaseConnection;

pub use acts::{ActRequest, Acted};
pub use check::{Answer, Blocked};
pub use commit::Accepted;
pub use connect::{Announces, Connect, PoolState};
pub use dialect::{RelayLock, is_single_process, sqlite_file};
pub use error::StoreError;
pub use feed::{BadCursor, Cursor, Page, Visible, Who};
pub use identity::{Identity, sha256};
pub use ids::{ChangeId, EventId, KeyId, ListId, ReceiptId, SubjectId};
pub use keys::{ApiKey, NewKey, Scope, key_name};
pub use lists::List;
pub use lookup::{Known, SubjectHistory};
pub use messages::{EVENT_RECORDED, SUPPRESSION_CHANGED};
pub use outbox::{OutboxState, Pending};
pub use policies::Policies;
pub use record::{
    Change, Event, Incoming, IncomingDelivery, IncomingFact, IncomingToken, Keep, ReceiptState, Suppression, SuppressionChange, Testimony,
};
pub use release::{BulkRelease, Counts, Selected, Selection, lifting};
pub use rows::{kept, without_nul};
pub use story::{Chapter, Happening, RawReceipt, ReceiptBrief, Story};

/// The database, with what is needed to read it: the pepper, the policy and the tree of lists.
#[derive(Debug)]
pub struct Store {
    db: DatabaseConnection,
    identity: Identity,
    policies: Policies,
    announces: Announces,
    lists: lists::Lists,
}
