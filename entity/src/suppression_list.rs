//! Lists, as a tree by dotted name. A list never moves.

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// Lists, as a tree by dotted name. A list never moves.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppression_list")]
pub struct Model {
    /// Version 7, so in the order of creation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Dotted name, lower case; acme.weekly is a child of acme.
    pub name: String,
    /// The list above; null for a root.
    pub parent_id: Option<Uuid>,
    /// The root of the tree; facts never cross it.
    pub boundary_id: Uuid,
    /// JSON array of the automatic causes that block here; null for all.
    pub honours: Option<String>,
    /// When it was created.
    pub created_at: OffsetDateTime,
}

/// None: what belongs together is read together by key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
