//! Many rows in one statement. On Postgres each column goes as one array, so the text is the same for any number of rows:
//! the statement is prepared once for each connection, and a batch of thousands is one round trip. SQLite, which knows no
//! arrays, takes lists of values, as many as its parameters allow.

use std::fmt::Write as _;

use sea_orm::sea_query::{Expr, ExprTrait as _, IntoColumnRef as _};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityName, EntityTrait, IdenStatic as _,
    IntoActiveModel, Iterable as _, QueryResult, Statement, Value,
};

use crate::store::error::StoreError;

/// Parameters of one statement on SQLite, which takes 32,766.
const PARAMETERS: usize = 30_000;

/// What becomes of a row whose key is there already.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Known<'a, C> {
    /// It cannot be there; if it is, that is an error.
    Impossible,
    /// What is there stays.
    Stays(&'a [C]),
    /// Every other column is replaced.
    Yields(&'a [C]),
}

/// Inserts rows. Rows with the same key may not come twice.
pub(in crate::store) async fn insert<M, A>(
    tx: &DatabaseTransaction,
    rows: Vec<M>,
    known: Known<'_, <A::Entity as EntityTrait>::Column>,
) -> Result<(), StoreError>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    for statement in inserts(tx.get_database_backend(), rows, known, &[]) {
        tx.execute_raw(statement).await?;
    }
    Ok(())
}

/// Inserts the rows that are not there yet, in their order, and gives back these columns of those that were not.
pub(in crate::store) async fn insert_missing<M, A>(
    tx: &DatabaseTransaction,
    rows: Vec<M>,
    key: &[<A::Entity as EntityTrait>::Column],
    returning: &[<A::Entity as EntityTrait>::Column],
) -> Result<Vec<QueryResult>, StoreError>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    let mut new = Vec::new();
    for statement in inserts(tx.get_database_backend(), rows, Known::Stays(key), returning) {
        new.extend(tx.query_all_raw(statement).await?);
    }
    Ok(new)
}

/// Deletes the rows with these values in these columns. They are found by the first, also outside of transactions that find rows by
/// key alone.
pub(in crate::store) async fn delete<C>(db: &impl ConnectionTrait, columns: &[C], keys: Vec<Vec<Value>>) -> Result<(), StoreError>
where
    C: ColumnTrait,
{
    for statement in deletes(db.get_database_backend(), columns, keys) {
        db.execute_raw(statement).await?;
    }
    Ok(())
}

fn deletes<C: ColumnTrait>(backend: DbBackend, columns: &[C], keys: Vec<Vec<Value>>) -> Vec<Statement> {
    let Some(first) = columns.first() else { return Vec::new() };
    let table = first.entity_name().to_string();
    let names = joined(columns.iter().map(|it| it.as_str().to_owned()));
    let never_null = vec![false; columns.len()];
    statements(backend, &never_null, keys, |source| match backend {
        DbBackend::Postgres => format!("delete from {table} where {} = any($1) and ({names}) in ({source})", first.as_str()),
        // Of bare values SQLite makes no table to look up by, and would read all of ours.
        _ => format!("delete from {table} where ({names}) in (select * from ({source}))"),
    })
}

/// Sets one column of the rows with these keys.
pub(in crate::store) async fn set<C>(tx: &DatabaseTransaction, key: C, column: C, rows: Vec<(Value, Value)>) -> Result<(), StoreError>
where
    C: ColumnTrait,
{
    let (table, key, column) = (key.entity_name().to_string(), key.as_str(), column.as_str());
    let rows = rows.into_iter().map(|(key, value)| vec![key, value]).collect();
    for statement in statements(tx.get_database_backend(), &[false, false], rows, |source| {
        format!(
            "with given (given_key, given_value) as ({source}) update {table} set {column} = given_value from given where {key} = given_key"
        )
    }) {
        tx.execute_raw(statement).await?;
    }
    Ok(())
}

/// The condition that a column has one of these values.
pub(in crate::store) fn among<C: ColumnTrait>(db: &impl ConnectionTrait, column: C, values: impl IntoIterator<Item = Value>) -> Expr {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            use sea_orm::sea_query::extension::postgres::PgFunc;
            let values: Vec<Value> = values.into_iter().collect();
            let Some(first) = values.first() else { return Expr::value(false) };
            let array = Value::Array(first.array_type(), Some(Box::new(values)));
            Expr::col(column.as_column_ref().into_column_ref()).eq(PgFunc::any(Expr::val(array)))
        }
        _ => column.is_in(values),
    }
}

fn inserts<M, A>(
    backend: DbBackend,
    rows: Vec<M>,
    known: Known<'_, <A::Entity as EntityTrait>::Column>,
    returning: &[<A::Entity as EntityTrait>::Column],
) -> Vec<Statement>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait,
{
    let mut columns: Vec<<A::Entity as EntityTrait>::Column> = Vec::new();
    let mut values: Vec<Vec<Value>> = Vec::new();
    for row in rows {
        let mut row = row.into_active_model();
        if values.is_empty() {
            // A column that is not set is the database's to fill, in every row.
            columns = <A::Entity as EntityTrait>::Column::iter().filter(|it| !row.is_not_set(*it)).collect();
        }
        values.push(columns.iter().filter_map(|it| row.take(*it).into_value()).collect());
    }
    let table = A::Entity::default().table_name().to_owned();
    let names = joined(columns.iter().map(|it| it.as_str().to_owned()));
    let key = |key: &[<A::Entity as EntityTrait>::Column]| joined(key.iter().map(|it| it.as_str().to_owned()));
    let conflict = match known {
        Known::Impossible => String::new(),
        Known::Stays(it) => format!(" on conflict ({}) do nothing", key(it)),
        Known::Yields(it) => {
            let rest = columns.iter().map(sea_orm::IdenStatic::as_str).filter(|name| it.iter().all(|key| key.as_str() != *name));
            format!(" on conflict ({}) do update set {}", key(it), joined(rest.map(|it| format!("{it} = excluded.{it}"))))
        }
    };
    let returning = if returning.is_empty() { String::new() } else { format!(" returning {}", key(returning)) };
    let nullable: Vec<bool> = columns.iter().map(|it| it.def().is_null()).collect();
    statements(backend, &nullable, values, |source| format!("insert into {table} ({names}) {source}{conflict}{returning}"))
}

/// Statements over rows of values, which the text takes as a query that gives the rows in their order.
fn statements(backend: DbBackend, nullable: &[bool], rows: Vec<Vec<Value>>, text: impl Fn(&str) -> String) -> Vec<Statement> {
    let width = nullable.len();
    if rows.is_empty() || width == 0 {
        return Vec::new();
    }
    if backend == DbBackend::Postgres {
        let (source, values) = arrays(nullable, rows);
        return vec![Statement::from_sql_and_values(backend, text(&source), values)];
    }
    let mut statements = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let chunk: Vec<Vec<Value>> = rows.by_ref().take(PARAMETERS / width).collect();
        let place = format!("({})", joined((0..width).map(|_| "?".to_owned())));
        let source = format!("values {}", joined((0..chunk.len()).map(|_| place.clone())));
        statements.push(Statement::from_sql_and_values(backend, text(&source), chunk.into_iter().flatten()));
    }
    statements
}

/// A query over one array for each column. Arrays of the driver hold no nulls, so beside them goes a number for each row whose
/// bits tell which of its values are null.
fn arrays(nullable: &[bool], rows: Vec<Vec<Value>>) -> (String, Vec<Value>) {
    let mut columns: Vec<Vec<Value>> = nullable.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    let mut nulls: Vec<Value> = Vec::with_capacity(rows.len());
    for row in rows {
        let mut mask = 0_i64;
        for (at, (column, value)) in columns.iter_mut().zip(row).enumerate() {
            let is_there = value.is_some();
            mask |= i64::from(!is_there) << at;
            column.push(if is_there { value } else { value.dummy_value() });
        }
        nulls.push(mask.into());
    }
    let mut selected = Vec::with_capacity(columns.len());
    let mut given = String::new();
    let mut names = String::new();
    for (at, (column, nullable)) in columns.iter().zip(nullable).enumerate() {
        selected.push(if *nullable { format!("case when nulls & {} = 0 then c{at} end", 1_i64 << at) } else { format!("c{at}") });
        // Writing into a string cannot fail.
        let _ = write!(given, "${}::{}[], ", at + 1, column.first().map_or("text", name_of));
        let _ = write!(names, "c{at}, ");
    }
    let source = format!("select {} from unnest({given}${}::bigint[]) as given ({names}nulls)", selected.join(", "), columns.len() + 1);
    let array = |it: Vec<Value>| {
        let kind = it.first().map_or(sea_orm::sea_query::ArrayType::String, Value::array_type);
        Value::Array(kind, Some(Box::new(it)))
    };
    (source, columns.into_iter().chain([nulls]).map(array).collect())
}

/// What Postgres calls the type of a value.
const fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::SmallInt(_) => "smallint",
        Value::Int(_) => "integer",
        Value::BigInt(_) => "bigint",
        Value::Bytes(_) => "bytea",
        Value::Uuid(_) => "uuid",
        Value::TimeDateTimeWithTimeZone(_) => "timestamptz",
        _ => "text",
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use entity::{delivery, outbox, suppression};
    use migration::Migrator;
    use sea_orm::Database;
    use sea_orm_migration::MigratorTrait as _;

    use super::*;

    #[tokio::test]
    async fn sqlite_finds_what_is_deleted_by_key() {
        let db = Database::connect("sqlite::memory:").await.unwrap();
        Migrator::up(&db, None).await.unwrap();
        let bytes = || Value::from(vec![7_u8; 16]);
        let id = || Value::from(uuid::Uuid::nil());
        let deleted = [
            deletes(DbBackend::Sqlite, &[outbox::Column::Sequence, outbox::Column::MessageId], vec![vec![1_i64.into(), id()]; 3]),
            deletes(DbBackend::Sqlite, &[delivery::Column::SubjectId, delivery::Column::BoundaryId], vec![vec![bytes(), id()]; 3]),
            deletes(
                DbBackend::Sqlite,
                &[suppression::Column::SubjectId, suppression::Column::ListId, suppression::Column::Cause],
                vec![vec![bytes(), id(), "hard".into()]; 3],
            ),
        ];
        for (table, mut statements) in ["outbox", "delivery", "suppression"].into_iter().zip(deleted) {
            let mut statement = statements.remove(0);
            statement.sql = format!("explain query plan {}", statement.sql);
            let plan = db.query_all_raw(statement).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|it| it.try_get("", "detail").unwrap()).collect();
            assert!(plan.iter().any(|it| it.starts_with(&format!("SEARCH {table} USING"))), "{plan:?}");
            assert!(!plan.iter().any(|it| it.starts_with(&format!("SCAN {table}"))), "{plan:?}");
        }
    }
}
