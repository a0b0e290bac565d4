//! Lines that an import did not take. The text of the line is not kept.

use sea_orm::entity::prelude::*;

/// Lines that an import did not take. The text of the line is not kept.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_refusal")]
pub struct Model {
    /// The import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: Uuid,
    /// The number of the line, the first being 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub line: i64,
    /// Why it was not taken; no addresses.
    pub error: String,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
