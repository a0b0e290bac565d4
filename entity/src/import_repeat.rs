//! Rows that an import brought again: they hold as long as any import that says so does.

use sea_orm::entity::prelude::*;

/// Rows that an import brought again: they hold as long as any import that says so does.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_repeat")]
pub struct Model {
    /// The later import.
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: Uuid,
    /// Whom.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Vec<u8>,
    /// The act of the import that said so first.
    #[sea_orm(primary_key, auto_increment = false)]
    pub change_id: Uuid,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
