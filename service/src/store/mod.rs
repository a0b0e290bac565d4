//! The database and nothing else: the only module that names `entity` or `sea_orm`. It takes receipts in ([`Store::commit`]),
//! writes down what people do ([`Store::act`]), answers what lists say ([`Store::check`]) and hands out the feeds and the
//! outbox. It knows no HTTP, no broker and no clock; the time is always an argument.

mod acts;
mod asking;
mod browse;
mod check;
mod commit;
mod connect;
mod copies;
mod dialect;
mod disclose;
mod erase;
mod erased;
mod error;
mod export;
mod feed;
mod figures;
mod history;
mod identity;
mod ids;
mod import;
mod imports;
mod inspect;
mod keys;
mod lists;
mod load;
mod lookup;
mod messages;
mod outbox;
mod overlong;
mod policies;
mod quarantine;
mod receipts;
mod record;
mod release;
mod reprocess;
mod retain;
mod retell;
mod rows;
mod scrub;
mod sessions;
mod standing;
mod story;
mod tokens;
mod unread;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DatabaseConnection;

pub use acts::{ActRequest, Acted};
pub use browse::{EVENTS_LOOKED_AT, EventFilter, EventPage};
pub use check::{Answer, Blocked};
pub use commit::Accepted;
pub use connect::{Announces, Connect, PoolState};
pub use dialect::{ActiveLock, is_single_process, sqlite_file};
pub use disclose::{DisclosedEvent, DisclosedReceipt, Disclosure};
pub use erase::{Erasing, Erasure, ErasureRequest};
pub use error::StoreError;
pub use export::{ExportPage, Extent};
pub use feed::{BadCursor, Cursor, Feed, Page, Visible, Who};
pub use figures::{Figure, RECEIVERS_AMONG, SOURCES_AMONG, SourceFigure};
pub use identity::{Identity, sha256};
pub use ids::{ChangeId, EventId, ImportId, KeyId, ListId, ReceiptId, SubjectId};
pub use import::{ImportRow, ImportStep};
pub use imports::{Begun, Import, ImportCounts, ImportMode, ImportState, NewImport, Undo};
pub use keys::{ApiKey, NewKey, Scope, key_name};
pub use lists::List;
pub use lookup::{Known, SubjectHistory};
pub use messages::{EVENT_RECORDED, EVENT_WITHDRAWN, IMPORT_COMPLETED, IMPORT_UNDONE, SUBJECT_ERASED, SUPPRESSION_CHANGED};
pub use outbox::{OutboxState, Pending, Place};
pub use policies::Policies;
pub use quarantine::{UNREAD_LOOKED_AT, UNREAD_UP_TO, UnreadReceipt};
pub use receipts::{Selection, StoredReceipt};
pub use record::{
    Change, Event, Incoming, IncomingDelivery, IncomingFact, IncomingToken, Keep, ReceiptState, Suppression, SuppressionChange, Testimony,
};
pub use release::{BulkRelease, Counts, ReleaseFilter, Selected, lifting};
pub use reprocess::{Difference, Foresight, Reprocessed, Reprocessing, Said};
pub use retain::{Outgrown, Step};
pub use rows::{kept, without_nul};
pub use sessions::SessionLife;
pub use standing::{ENTRIES_LOOKED_AT, StandingFilter, StandingPage, StandingPlace, StandingRow, Whence};
pub use story::{Chapter, Happening, RawReceipt, ReceiptBrief, Story};
pub use unread::UnreadStep;
pub use waiting::{Chosen, OUTBOX_UP_TO, Waiting};

/// The database, with what is needed to read it: the pepper, the policy and the tree of lists.
#[derive(Debug)]
pub struct Store {
    db: DatabaseConnection,
    slots: Arc<dialect::Slots>,
    identity: Identity,
    policies: Policies,
    announces: Announces,
    lists: lists::Lists,
    standings: asking::Standings,
    /// How long a transaction of some statements may take.
    patience: Duration,
}
