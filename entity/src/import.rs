//! Lists that were imported, or looked at before.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Lists that were imported, or looked at before.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import")]
pub struct Model {
    /// Version 7; `import_id` of every change it led to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The list it was imported into.
    pub list_id: Uuid,
    /// Name of the API key, or of the command.
    pub actor: String,
    /// How it was written.
    pub format: String,
    /// SHA-256 of the file and of how it was to be read.
    pub digest: Vec<u8>,
    /// real, or preview: nothing was written.
    pub mode: String,
    /// running, completed, failed, undoing or undone.
    pub state: String,
    /// Why it failed; no addresses.
    pub error: Option<String>,
    /// Octets of the file.
    pub size: i64,
    /// Octets read so far.
    pub done: i64,
    /// Rows that began to block or allow.
    pub added: i64,
    /// Rows that changed what stood there.
    pub updated: i64,
    /// Rows that changed nothing.
    pub unchanged: i64,
    /// Lines that were not taken.
    pub refused: i64,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// When it last went on.
    pub updated_at: OffsetDateTime,
    /// When it was completed, or failed, or was undone.
    pub ended_at: Option<OffsetDateTime>,
    /// Who undid it.
    pub undone_by: Option<String>,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
