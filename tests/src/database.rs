//! A database that belongs to one test.

use std::sync::LazyLock;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use tempfile::TempDir;
use url::Url;

use crate::{eventually, finish, postgres_log, server, unique_name};

/// An empty database of its own, gone when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    kept: Kept,
}

/// What has to be cleaned up.
#[derive(Debug)]
enum Kept {
    Postgres { admin: String, name: String },
    Sqlite { _folder: TempDir },
}

static ADMIN: LazyLock<String> = LazyLock::new(|| server("REBOUND_TEST_DATABASE_URL"));

impl TestDatabase {
    /// A fresh database on the real PostgreSQL.
    pub async fn postgres() -> Self {
        let admin = ADMIN.clone();
        let name = unique_name("rebound_test");
        // From `template0`, so that two tests may create at the same time and nothing a person put into `template1` shows.
        run(&admin, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let mut url = Url::parse(&admin).expect("REBOUND_TEST_DATABASE_URL is a URL");
        url.set_path(&name);
        Self { url: url.into(), kept: Kept::Postgres { admin, name } }
    }

    /// A fresh file of SQLite, made when it is first connected to.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("rebound.db").display());
        Self { url, kept: Kept::Sqlite { _folder: folder } }
    }

    /// Where it is, as the configuration's `database.url` wants it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection past all of the service's code, to look at rows or to disturb them.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await
    }
}

impl TestDatabase {
    /// Fails if PostgreSQL ever ended a transaction of this database to resolve a deadlock, retried or not. Its log tells, where it
    /// can be read; else its statistics, to which a connection adds when it is closed.
    pub async fn assert_no_deadlock(&self) {
        let db = self.connect().await;
        let sql = "select current_database()::text as name, deadlocks from pg_stat_database where datname = current_database()";
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
        let (name, deadlocks): (String, i64) = (row.try_get("", "name").unwrap(), row.try_get("", "deadlocks").unwrap());
        assert_eq!(deadlocks, 0, "{name}");
        let Some(log) = postgres_log() else { return };
        db.execute_unprepared("do $$ begin raise log 'read until here'; end $$").await.unwrap();
        let read = || async {
            let log = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
            log.lines().filter(|it| it.contains(&format!(" {name} "))).map(str::to_owned).collect::<Vec<_>>()
        };
        eventually("the log is that of this server, and written", || async {
            read().await.iter().any(|it| it.contains("read until here"))
        })
        .await;
        let found: Vec<String> = read().await.into_iter().filter(|it| it.contains("deadlock detected")).collect();
        assert_eq!(found, [] as [String; 0]);
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Kept::Postgres { admin, name } = &self.kept else { return };
        let (admin, statement) = (admin.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        let done = finish(async move { run(&admin, &statement).await });
        // A second panic would end the process and with it every other test's report.
        assert!(done || std::thread::panicking(), "the database {name} could not be dropped");
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap_or_else(|error| panic!("connecting to {url}: {error}"))
}

async fn run(url: &str, statement: &str) {
    let connection = connect(url).await;
    connection.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    connection.close().await.expect("a connection closes");
}
