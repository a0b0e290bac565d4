//! Opening the database, bringing its schema up to date, and telling how it is.

use std::sync::Arc;
use std::time::Duration;

use bounce::policy::Cause;
use entity::setting;
use migration::Migrator;
use sea_orm::{ActiveValue, ConnectOptions, ConnectionTrait, Database, DbErr, EntityTrait};
use sea_orm_migration::MigratorTrait;
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::store::asking::Standings;
use crate::store::error::StoreError;
use crate::store::identity::Identity;
use crate::store::ids::ListId;
use crate::store::lists::{List, Lists};
use crate::store::policies::Policies;
use crate::store::{Store, dialect};

/// Statements of a transaction that may each take as long as one may, before it is given up.
const STATEMENTS: u32 = 4;
/// Time that connections have to say farewell; the server ends what is left.
const CLOSING: Duration = Duration::from_secs(3);

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Connect {
    /// `postgres://…` or `sqlite://…`.
    pub url: SecretString,
    /// Connections at most.
    pub max_connections: u32,
    /// Connections kept open.
    pub min_connections: u32,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
    /// Longest wait for a new connection to be made.
    pub connect_timeout: Duration,
    /// Longest run of one statement (Postgres).
    pub statement_timeout: Duration,
    /// Whether messages go to the outbox.
    pub announces: Announces,
}

/// Whether what is recorded is also put into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announces {
    /// A relay empties it.
    Outbox,
    /// There is no broker; the feeds are enough, and the outbox would only grow.
    FeedsOnly,
}

/// How many connections there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections.
    pub size: u32,
    /// Of these, unused now.
    pub idle: usize,
}

impl Store {
    /// Opens the database without waiting for it: an outage at start is one like any other.
    ///
    /// # Errors
    /// When the URL cannot be used at all.
    pub async fn connect(options: &Connect, identity: Identity, policies: Policies) -> Result<Self, StoreError> {
        let slots = Arc::new(dialect::Slots::default());
        let mut connect = ConnectOptions::new(options.url.expose_secret());
        connect
            .max_connections(options.max_connections)
            .min_connections(options.min_connections)
            .acquire_timeout(options.acquire_timeout)
            // Where a connection may be gone, its place in the pool sees to it that it is there.
            .test_before_acquire(false)
            .connect_timeout(options.connect_timeout)
            .connect_lazy(true)
            .sqlx_logging(false);
        if dialect::is_single_process(options.url.expose_secret()) {
            let busy = options.acquire_timeout;
            connect.map_sqlx_sqlite_opts(move |it| {
                it.busy_timeout(busy).foreign_keys(true).journal_mode(dialect::WAL).synchronous(dialect::FULL)
            });
        } else {
            connect.statement_timeout(options.statement_timeout).set_application_name("rebound");
            let (remembering, of, limit) = (slots.clone(), slots.clone(), options.acquire_timeout);
            connect.map_sqlx_postgres_opts(move |it| remembering.remember(it.options(dialect::SESSION)));
            connect.map_sqlx_postgres_pool_opts(move |it| of.clone().of(it, limit));
        }
        let db = Database::connect(connect).await?;
        let (announces, lists, standings) = (options.announces, Lists::default(), Standings::default());
        let patience = options.statement_timeout.saturating_mul(STATEMENTS);
        Ok(Self { db, slots, identity, policies, announces, lists, standings, patience })
    }

    /// Brings the schema up to date. Replicas that start at once wait for one another.
    ///
    /// # Errors
    /// When the database is away or a migration fails; nothing of it is then left behind.
    pub async fn migrate(&self) -> Result<usize, StoreError> {
        let pending = self.pending_migrations().await?;
        let tx = dialect::begin(&self.db).await?;
        dialect::lock_migration(&tx).await?;
        Migrator::up(&tx, None).await?;
        tx.commit().await?;
        Ok(pending)
    }

    /// Migrations that have not been applied.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn pending_migrations(&self) -> Result<usize, StoreError> {
        let manager = sea_orm_migration::SchemaManager::new(&self.db);
        if !manager.has_table("seaql_migrations").await? {
            return Ok(Migrator::migrations().len());
        }
        Ok(Migrator::get_pending_migrations(&self.db).await?.len())
    }

    /// Makes sure that this database was written under this pepper, and that the feed goes on after a restore.
    ///
    /// # Errors
    /// [`StoreError::WrongPepper`], [`StoreError::NotMigrated`], or an outage.
    pub async fn check_in(&self) -> Result<(), StoreError> {
        let pending = self.pending_migrations().await?;
        if pending > 0 {
            return Err(StoreError::NotMigrated(pending));
        }
        let mine = self.identity.check_value();
        let row = setting::ActiveModel { name: ActiveValue::Set("pepper_check".to_owned()), value: ActiveValue::Set(mine.clone()) };
        setting::Entity::insert(row).on_conflict_do_nothing_on([setting::Column::Name]).exec_without_returning(&self.db).await?;
        let kept = setting::Entity::find_by_id("pepper_check".to_owned()).one(&self.db).await?;
        if kept.is_none_or(|it| it.value != mine) {
            return Err(StoreError::WrongPepper);
        }
        dialect::lift_feed_base(&self.db).await?;
        self.lists.refresh(&self.db).await?;
        Ok(())
    }

    /// Settings of the server that are off and without which a crash of its machine loses what was committed.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn risks(&self) -> Result<Vec<String>, StoreError> {
        dialect::risks(&self.db).await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.execute_unprepared("select 1").await?;
        Ok(())
    }

    /// Writes something that changes nothing, and commits it.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn try_commit(&self) -> Result<(), StoreError> {
        let tx = dialect::begin(&self.db).await?;
        tx.execute_unprepared("update setting set value = value where name = 'pepper_check'").await?;
        Ok(tx.commit().await?)
    }

    /// Whether the database takes one transaction that writes at a time.
    #[must_use]
    pub fn has_one_writer(&self) -> bool {
        dialect::has_one_writer(&self.db)
    }

    /// How many connections there are.
    #[must_use]
    pub fn pool(&self) -> PoolState {
        dialect::pool(&self.db)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.slots.close();
        // Closing can only fail for connections that are gone already, and can only take long for those that lead nowhere.
        let _ = timeout(CLOSING, self.db.clone().close()).await;
    }

    /// Asks once more when the connection that was asked over turns out to be cut: the next one is there, if the database is.
    pub(super) async fn despite_a_cut<T>(&self, ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match ask().await {
            Err(error) if error.is_cut() => {
                self.slots.suspect();
                ask().await
            }
            asked => asked,
        }
    }

    /// Waits for some work of one transaction, as long as a few statements may take. A connection that the network has swallowed after it
    /// took the question would be waited for without end: the system gives up only what it has something left to send on.
    ///
    /// # Errors
    /// Those of the work, and an outage when it takes longer: whether it was committed is then not known.
    pub fn in_time<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> impl Future<Output = Result<T, StoreError>> {
        // Boxed before anybody waits: such work is large, and whoever waits would hold it twice.
        let waiting = timeout(self.patience, Box::pin(work));
        let late = |_| Err(StoreError::Outage(DbErr::Custom("the database did not answer in time".to_owned())));
        async move { waiting.await.unwrap_or_else(late) }
    }

    /// Makes sure that a list and those above it exist.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ensure_list(&self, name: &str, honours: Option<&[Cause]>, now: OffsetDateTime) -> Result<Arc<List>, StoreError> {
        let tx = dialect::begin(&self.db).await?;
        Lists::ensure(&tx, name, honours, now).await?;
        tx.commit().await?;
        self.lists.refresh(&self.db).await?;
        self.lists.by_name(&self.db, name).await
    }

    /// The list of that name.
    ///
    /// # Errors
    /// [`StoreError::UnknownList`], or an outage.
    pub async fn list(&self, name: &str) -> Result<Arc<List>, StoreError> {
        self.lists.by_name(&self.db, name).await
    }

    /// The list of that id.
    ///
    /// # Errors
    /// When it is not there, or an outage.
    pub async fn list_by_id(&self, id: ListId) -> Result<Arc<List>, StoreError> {
        self.lists.by_id(&self.db, id).await
    }

    /// Reads all lists again, by name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn lists(&self) -> Result<Vec<Arc<List>>, StoreError> {
        self.lists.refresh(&self.db).await
    }

    /// The policy that holds for a list.
    #[must_use]
    pub fn policy(&self, list: &List) -> &bounce::policy::Policy {
        self.policies.of(&list.name)
    }

    /// Derives subject ids.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }
}
