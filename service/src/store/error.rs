//! What can go wrong with the database, sorted by what the caller can do about it.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or has no connection left. Come again.
    #[error("the database is away or overloaded")]
    Outage(#[source] DbErr),
    /// Two transactions got in each other's way; the same again will do.
    #[error("the transaction collided with another one")]
    Collision(#[source] DbErr),
    /// The database refused a value (SQLSTATE class 22 or 23). Coming again cannot help.
    #[error("the database refused a value")]
    Data(#[source] DbErr),
    /// Anything else: a missing table, a wrong statement.
    #[error("the database could not carry out a statement")]
    Statement(#[source] DbErr),
    /// A row holds what this version cannot have written.
    #[error("table {table}: {what}")]
    BadRow {
        /// Where.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// No such list.
    #[error("there is no list named {0:?}")]
    UnknownList(String),
    /// The pepper is not the one this database was written under.
    #[error(
        "the pepper (identity.pepper) is not the one this database was written under; every address would look unknown. \
         Set the pepper this database was made with"
    )]
    WrongPepper,
    /// The schema is older than this version needs.
    #[error("the schema is not up to date: {0} migrations are pending; run `rebound migrate`")]
    NotMigrated(usize),
    /// Something with that name is there already.
    #[error("{0}")]
    Exists(String),
}

impl StoreError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_) | Self::Collision(_))
    }

    /// What the database said: the SQLSTATE, or what SQLite has in its place.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Outage(error) | Self::Collision(error) | Self::Data(error) | Self::Statement(error) => code_of(error),
            _ => None,
        }
    }

    /// Whether it is to be expected of whatever is written: the database is away or in trouble, or its tables or rights are not what they
    /// should be. Anything else may be the fault of what was to be written.
    #[must_use]
    pub fn is_of_all(&self) -> bool {
        match self {
            Self::Statement(error) => {
                let code = code_of(error).unwrap_or_default();
                // Postgres: syntax error or access rule violation. SQLite: error, which a missing table is.
                code == "1" || code.len() == 5 && code.starts_with("42")
            }
            _ => self.is_outage(),
        }
    }

    /// Whether the same at once may succeed: after a collision; or after a connection of the pool turned out to be cut, for that
    /// one is gone from the pool now, and the next is another or new. Only for what may be done twice: it may have been done.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Collision(_) => true,
            _ => self.is_cut(),
        }
    }

    /// Whether a connection turned out to be cut.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Self::Outage(error) if is_cut(error))
    }
}

impl StoreError {
    /// The same error for one more of those whom it concerns.
    #[must_use]
    pub(super) fn told_again(&self) -> Self {
        match self {
            Self::Outage(it) => Self::Outage(it.clone()),
            Self::Collision(it) => Self::Collision(it.clone()),
            Self::Data(it) => Self::Data(it.clone()),
            Self::Statement(it) => Self::Statement(it.clone()),
            Self::BadRow { table, what } => Self::BadRow { table, what: what.clone() },
            Self::UnknownList(it) => Self::UnknownList(it.clone()),
            Self::WrongPepper => Self::WrongPepper,
            Self::NotMigrated(it) => Self::NotMigrated(*it),
            Self::Exists(it) => Self::Exists(it.clone()),
        }
    }
}

impl From<DbErr> for StoreError {
    /// Total by SQLSTATE: no database error is left without one of the four meanings.
    fn from(error: DbErr) -> Self {
        let code = match &error {
            DbErr::Exec(RuntimeErr::SqlxError(it)) | DbErr::Query(RuntimeErr::SqlxError(it)) | DbErr::Conn(RuntimeErr::SqlxError(it)) => {
                match it.as_ref() {
                    sqlx::Error::Database(it) => it.code().map(std::borrow::Cow::into_owned),
                    sqlx::Error::RowNotFound
                    | sqlx::Error::ColumnNotFound(_)
                    | sqlx::Error::ColumnDecode { .. }
                    | sqlx::Error::Decode(_) => {
                        return Self::Statement(error);
                    }
                    sqlx::Error::Encode(_) => return Self::Data(error),
                    _ => return Self::Outage(error),
                }
            }
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => return Self::Outage(error),
            _ => return Self::Statement(error),
        };
        let code = code.unwrap_or_default();
        match code.as_str() {
            // Postgres: serialization_failure, deadlock_detected. SQLite: busy and locked, with their extended forms.
            "40001" | "40P01" | "5" | "6" | "261" | "262" | "517" | "773" => Self::Collision(error),
            // SQLite: constraint, mismatch, too big.
            "19" | "20" | "18" | "275" | "787" | "1299" | "1555" | "2067" => Self::Data(error),
            // SQLite: full, cannot open, I/O.
            "10" | "13" | "14" => Self::Outage(error),
            _ => match code.get(..2).filter(|_| code.len() == 5) {
                Some("22" | "23") => Self::Data(error),
                // Connection, resources, operator intervention, system error, invalid transaction state after a cut.
                Some("08" | "53" | "57" | "58" | "25") => Self::Outage(error),
                _ => Self::Statement(error),
            },
        }
    }
}

/// Whether a connection broke: by the network, or because the server ends (SQLSTATE class 08, and 57P01 to 57P03).
fn is_cut(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(it)) | DbErr::Query(RuntimeErr::SqlxError(it)) | DbErr::Conn(RuntimeErr::SqlxError(it))) = error
    else {
        return false;
    };
    match it.as_ref() {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(it) => it.code().is_some_and(|it| it.starts_with("08") || matches!(&*it, "57P01" | "57P02" | "57P03")),
        _ => false,
    }
}

/// The SQLSTATE, or what SQLite has in its place.
fn code_of(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(it)) | DbErr::Query(RuntimeErr::SqlxError(it)) | DbErr::Conn(RuntimeErr::SqlxError(it))) = error
    else {
        return None;
    };
    it.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// A row that could not be read back.
pub(super) fn bad_row(table: &'static str, what: impl std::fmt::Display) -> StoreError {
    StoreError::BadRow { table, what: what.to_string() }
}
