//! Rows of the tables, one module each, as the migrations make them. Rows only: what they mean is decided in the
//! service's `store`, the only module that names this crate.

pub mod api_key;
pub mod delivery;
pub mod event;
pub mod event_copy;
pub mod event_key;
pub mod import;
pub mod import_refusal;
pub mod import_repeat;
pub mod outbox;
pub mod receipt;
pub mod seen_token;
pub mod session;
pub mod setting;
pub mod subject;
pub mod suppression;
pub mod suppression_change;
pub mod suppression_list;
