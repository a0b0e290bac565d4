//! Turns the one schema text into statements of either database: types take their names, and the comment behind a table or
//! column becomes a comment in Postgres.

use sea_orm_migration::sea_orm::DbBackend;

/// The statements of a schema text, in order.
pub(crate) fn statements(text: &str, backend: DbBackend) -> Vec<String> {
    let names: &[(&str, &str)] = match backend {
        DbBackend::Postgres => &[
            ("{uuid}", "uuid"),
            ("{bytes}", "bytea"),
            ("{time}", "timestamptz"),
            ("{serial}", "bigint generated always as identity primary key"),
            ("{octets}", "octet_length"),
        ],
        _ => &[
            ("{uuid}", "blob"),
            ("{bytes}", "blob"),
            ("{time}", "text"),
            ("{serial}", "integer not null primary key autoincrement"),
            ("{octets}", "length"),
        ],
    };
    let text = names.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    let mut statements: Vec<String> = text.split_inclusive(";\n").map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect();
    if backend == DbBackend::Postgres {
        statements.extend(comments(&text));
    }
    statements
}

/// `comment on` statements from the comments behind tables and columns.
fn comments(text: &str) -> Vec<String> {
    let mut comments = Vec::new();
    let mut table = "";
    for (definition, comment) in text.lines().filter_map(|it| it.split_once(" -- ")) {
        let comment = comment.trim().replace('\'', "''");
        if let Some(rest) = definition.strip_prefix("create table ") {
            table = rest.trim_end_matches([' ', '(']);
            comments.push(format!("comment on table {table} is '{comment}'"));
        } else if let Some(column) = definition.split_whitespace().next() {
            comments.push(format!("comment on column {table}.{column} is '{comment}'"));
        }
    }
    comments
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "create table a ( -- Some 'a'.\n  id {uuid} not null -- Which.\n);\ncreate index b on a (id);\n";

    #[test]
    fn types_take_their_names() {
        assert_eq!(statements(TEXT, DbBackend::Sqlite).len(), 2);
        assert!(statements(TEXT, DbBackend::Sqlite)[0].contains("id blob not null"));
        assert!(statements(TEXT, DbBackend::Postgres)[0].contains("id uuid not null"));
    }

    #[test]
    fn comments_reach_postgres() {
        let statements = statements(TEXT, DbBackend::Postgres);
        assert_eq!(statements[2..], ["comment on table a is 'Some ''a''.'", "comment on column a.id is 'Which.'"]);
    }

    #[test]
    fn every_column_of_the_first_schema_has_a_comment() {
        let text = include_str!("m20261122_000001_first.sql");
        for line in text.lines().filter(|it| it.starts_with("  ") && !it.starts_with("  constraint") && !it.starts_with("  primary key")) {
            assert!(line.contains(" -- "), "{line}");
        }
    }
}
