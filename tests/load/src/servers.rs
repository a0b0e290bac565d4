//! The servers that `tests/run` started: databases in Postgres, made for one measurement and dropped after it, and the broker.

use anyhow::Context as _;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use url::Url;

use crate::process::{self, Processes};

/// Addresses of both servers.
#[derive(Debug, Clone)]
pub(crate) struct Servers {
    postgres: Url,
    pub(crate) amqp: String,
    admin: PgPool,
    pub(crate) processes: Processes,
}

/// A database of our own.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pool: PgPool,
}

/// What Postgres wrote so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Bytes of write-ahead log.
    pub(crate) wal: i64,
    /// Bytes that the database takes.
    pub(crate) disk: i64,
}

impl Servers {
    /// Finds the servers, and how durable they are.
    pub(crate) async fn find() -> anyhow::Result<Self> {
        let postgres = Url::parse(&variable("REBOUND_TEST_DATABASE_URL")?).context("REBOUND_TEST_DATABASE_URL")?;
        let amqp = variable("REBOUND_TEST_AMQP_URL")?;
        let admin = pool(postgres.as_str(), 2).await?;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&admin).await?;
        let port = Url::parse(&amqp).ok().and_then(|it| it.port()).unwrap_or(5672);
        let processes = Processes {
            service: None,
            postgres: u32::try_from(backend).ok().and_then(process::postmaster),
            rabbitmq: process::rabbitmq(port),
        };
        Ok(Self { postgres, amqp, admin, processes })
    }

    /// What Postgres is, in a line.
    pub(crate) async fn told(&self) -> anyhow::Result<String> {
        let show = async |name: &'static str| -> anyhow::Result<String> {
            Ok(sqlx::query_scalar(AssertSqlSafe(format!("show {name}"))).fetch_one(&self.admin).await?)
        };
        Ok(format!(
            "PostgreSQL {}, fsync {}, synchronous_commit {}, full_page_writes {}, shared_buffers {}, max_wal_size {}",
            show("server_version").await?,
            show("fsync").await?,
            show("synchronous_commit").await?,
            show("full_page_writes").await?,
            show("shared_buffers").await?,
            show("max_wal_size").await?
        ))
    }

    /// Makes an empty database; one that a killed run left under this name goes first.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<Database> {
        let name = format!("rebound_load_{name}");
        self.execute(format!("drop database if exists {name} with (force)")).await?;
        self.execute(format!("create database {name}")).await?;
        let mut url = self.postgres.clone();
        url.set_path(&name);
        let pool = pool(url.as_str(), 16).await?;
        Ok(Database { name, url: url.to_string(), pool })
    }

    pub(crate) async fn drop(&self, database: Database) -> anyhow::Result<()> {
        database.pool.close().await;
        self.execute(format!("drop database if exists {} with (force)", database.name)).await
    }

    /// Writes out what is dirty, so that a measurement does not pay for the one before.
    pub(crate) async fn checkpoint(&self) -> anyhow::Result<()> {
        self.execute("checkpoint".to_owned()).await
    }

    async fn execute(&self, sql: String) -> anyhow::Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.admin).await?;
        Ok(())
    }
}

impl Database {
    pub(crate) async fn execute(&self, sql: impl Into<String>) -> anyhow::Result<()> {
        let sql = sql.into();
        let started = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&self.pool).await;
        started.with_context(|| format!("Postgres refuses: {}", sql.chars().take(2000).collect::<String>()))?;
        Ok(())
    }

    pub(crate) async fn count(&self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query(sql).fetch_one(&self.pool).await?.try_get(0)?)
    }

    pub(crate) async fn written(&self) -> anyhow::Result<Written> {
        Ok(Written {
            wal: self.count("select (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint").await?,
            disk: self.count("select pg_database_size(current_database())").await?,
        })
    }
}

async fn pool(url: &str, most: u32) -> anyhow::Result<PgPool> {
    PgPoolOptions::new().max_connections(most).connect(url).await.context("Postgres cannot be reached")
}

fn variable(name: &str) -> anyhow::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "the servers are no part of the service's configuration")]
    let value = std::env::var(name);
    value.ok().filter(|it| !it.is_empty()).with_context(|| format!("{name} is not set: run tests/load/run, which starts the servers"))
}
