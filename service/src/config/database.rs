//! The database: where it is, how many connections it gets, how long it may take.

use std::time::Duration;

use super::problem::Checks;
use super::read::section;
use super::values::SecretUrl;

section! {
    /// `[database]`: Postgres, or SQLite for a first try and a single small process.
    pub struct DatabaseConfig {
        /// `postgres://…` or `sqlite://…`.
        pub url: SecretUrl = SecretUrl::new("sqlite://rebound.db?mode=rwc"),
        /// Most connections in the pool.
        pub max_connections: u32 = 10,
        /// Connections kept open when idle.
        pub min_connections: u32 = 1,
        /// Time to wait for a free connection of the pool, and for one that is given back to answer.
        pub acquire_timeout: Duration = Duration::from_secs(5),
        /// Time to wait for a new connection.
        pub connect_timeout: Duration = Duration::from_secs(5),
        /// Time one statement may take (Postgres).
        pub statement_timeout: Duration = Duration::from_secs(30),
        /// Whether `serve` brings the schema up to date before it starts.
        pub migrate_on_start: bool = true,
    }
}

/// The databases there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The database for production.
    Postgres,
    /// One file, one process.
    Sqlite,
}

impl DatabaseConfig {
    /// Values for tests: a database in memory. Its one connection holds it, so the pool has one.
    #[must_use]
    pub fn for_testing() -> Self {
        Self { url: SecretUrl::new("sqlite::memory:"), max_connections: 1, ..Self::default() }
    }

    /// Which database the URL names; `None` if it names none that is known, which validation refuses.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        match self.url.scheme().as_str() {
            "postgres" | "postgresql" => Some(Engine::Postgres),
            "sqlite" => Some(Engine::Sqlite),
            _ => None,
        }
    }

    pub(super) fn validate(&self, checks: &mut Checks) {
        if self.engine().is_none() {
            checks.problem(
                "database.url",
                Some(format!("\"{}\"", self.url)),
                "names a database that is not known",
                "write postgres://user:password@host/database or sqlite://file.db?mode=rwc",
            );
        }
        checks.within("database.max_connections", self.max_connections as usize, 1..=10_000);
        if self.min_connections > self.max_connections {
            checks.problem(
                "database.min_connections",
                Some(self.min_connections.to_string()),
                &format!("is more than database.max_connections ({})", self.max_connections),
                "lower it, or raise database.max_connections",
            );
        }
        checks.positive("database.acquire_timeout", self.acquire_timeout);
        checks.positive("database.connect_timeout", self.connect_timeout);
        checks.positive("database.statement_timeout", self.statement_timeout);
    }
}
