//! Places in the pool that come back although the network has swallowed their connections: nothing arrives on such a connection
//! any more, and nobody says that it is gone.
//!
//! The driver waits for every connection that is given back until it has answered, without a limit, and so does what it calls
//! closing while there is something left to send. Until the system gives the socket up, after a quarter of an hour or so, the
//! place is taken; with all places taken the database is away for us, whoever else may reach it. So a connection that does not
//! answer in time when it is given back is dropped, and another one gets its place.
//!
//! What is left is the round trip of the driver's own question, asked right after ours: a connection swallowed within it keeps
//! its place as long as the system lets it. A connection past its longest life is closed by the driver too, before it comes to us. And
//! at a stop each place says farewell, for which [`Store::close`](crate::store::Store::close) leaves some time and no more.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, Postgres};
use sea_orm::sqlx::{self, ConnectOptions as _, Connection as _, Executor as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Where commits would be answered before they are on any disk, they wait for that of the server. What a server does beyond that, it does.
const DURABLE: &str = "select set_config('synchronous_commit', 'local', false) where current_setting('synchronous_commit') = 'off'";
/// Prepared once for each connection; preparing it again waits for what is under way, and asks nothing of the server.
const NOTHING: &str = "select 1";
/// How long a connection that was used is taken to be there still, unless another one was cut since: asking costs as much as a
/// short statement.
const PROVEN_FOR: Duration = Duration::from_secs(1);
/// Asking takes at most this part of the time in which there must be a connection, so that there is time for another one.
const SHARE_OF_ASKING: u32 = 4;
/// Between two tries to reach the server.
const PAUSE: Duration = Duration::from_secs(1);

/// What is needed to fill a place anew.
#[derive(Debug, Default)]
pub(in crate::store) struct Slots {
    options: OnceLock<PgConnectOptions>,
    closing: CancellationToken,
    /// When a connection was last found cut. Where one broke, others usually did.
    cut_at: Mutex<Option<Instant>>,
}

impl Slots {
    /// Remembers how to connect.
    pub(in crate::store) fn remember(&self, options: PgConnectOptions) -> PgConnectOptions {
        self.options.get_or_init(|| options).clone()
    }

    /// Nobody needs the places any more.
    pub(in crate::store) fn close(&self) {
        self.closing.cancel();
    }

    /// A connection turned out to be cut: from now on each that was not used since is asked whether it is there.
    pub(in crate::store) fn suspect(&self) {
        *self.cut_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection that nobody used for so long is there without a doubt.
    fn are_proven(&self, idle_for: Duration) -> bool {
        let cut_at = *self.cut_at.lock().unwrap_or_else(PoisonError::into_inner);
        idle_for < PROVEN_FOR && cut_at.is_none_or(|it| idle_for < it.elapsed())
    }

    /// A pool of which each connection commits to the disk, whatever the default of the server, the database or the user, is there
    /// when somebody gets it, and gives its place back within the limit.
    pub(in crate::store) fn of(self: Arc<Self>, options: PoolOptions<Postgres>, limit: Duration) -> PoolOptions<Postgres> {
        let slots = self.clone();
        options
            .after_connect(|connection, _| Box::pin(begin(connection)))
            .before_acquire(move |connection, it| {
                let slots = slots.clone();
                Box::pin(async move {
                    if !slots.are_proven(it.idle_for) {
                        within(limit / SHARE_OF_ASKING, connection.ping()).await.inspect_err(|_| slots.suspect())?;
                    }
                    Ok(true)
                })
            })
            .after_release(move |connection, _| {
                let slots = self.clone();
                Box::pin(async move { slots.given_back(connection, limit).await })
            })
    }

    async fn given_back(&self, connection: &mut PgConnection, limit: Duration) -> Result<bool, sqlx::Error> {
        if let Ok(answer) = timeout(limit, connection.prepare(sqlx::SqlStr::from_static(NOTHING))).await {
            return answer.map(|_| true).inspect_err(|_| self.suspect());
        }
        self.suspect();
        let new = self.closing.run_until_cancelled(self.another(limit)).await.ok_or(sqlx::Error::PoolClosed)?;
        // Here the socket ends, whatever was left to send.
        drop(std::mem::replace(connection, new?));
        Ok(true)
    }

    /// Connects, as soon as the server can be reached: before, nobody could use the place.
    async fn another(&self, limit: Duration) -> Result<PgConnection, sqlx::Error> {
        let options = self.options.get().ok_or(sqlx::Error::PoolClosed)?;
        loop {
            let connected = within(limit, async {
                let mut new = options.connect().await?;
                begin(&mut new).await?;
                Ok(new)
            });
            if let Ok(new) = connected.await {
                return Ok(new);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn begin(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(DURABLE).await.map(|_| ())
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(limit, answer).await.unwrap_or_else(|_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())))
}
