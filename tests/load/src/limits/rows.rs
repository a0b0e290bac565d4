//! The rows that the service wrote, read back and written again into an empty database with the same tables, constraints and indexes, by
//! plain SQL: one prepared multi-row insert for each table of a transaction, as many receipts in a transaction as the
//! service had. Nothing is looked up, locked or decided, so this is what the database alone can take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::servers::Database;

/// Tables in the order in which their references allow writing, with the SQL that tells to which receipt of the sample a row belongs.
/// `place` has a row for each event: receipt, event, subject, and the rank of the receipt.
const TABLES: &[(&str, &str)] = &[
    ("seen_token", "(row_number() over (order by seen_at) - 1) * (select count(*) from receipt) / (select count(*) from seen_token)"),
    ("subject", "(select min(rank) from place where place.subject = t.id)"),
    ("receipt", "(select min(rank) from place where place.receipt = t.id)"),
    ("event", "(select min(rank) from place where place.event = t.id)"),
    ("event_key", "(select min(rank) from place where place.event = t.event_id)"),
    ("event_copy", "(select min(rank) from place where place.event = t.event_id)"),
    ("suppression", "(select min(rank) from place where place.subject = t.subject_id)"),
    ("suppression_change", "(select min(rank) from place where place.subject = t.subject_id)"),
    ("outbox", "(row_number() over (order by sequence) - 1) * (select count(*) from receipt) / (select count(*) from outbox)"),
];

/// Rows of a sample, cut into transactions.
#[derive(Debug)]
pub(crate) struct Sample {
    tables: Vec<Table>,
    transactions: Vec<Vec<Chunk>>,
    pub(crate) events: u64,
    pub(crate) rows: u64,
}

#[derive(Debug)]
struct Table {
    insert: String,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: String,
}

/// The rows of one table in one transaction, column by column.
#[derive(Debug)]
struct Chunk {
    table: usize,
    columns: Vec<Values>,
}

#[derive(Debug)]
enum Values {
    Bytes(Vec<Option<Vec<u8>>>),
    Text(Vec<Option<String>>),
}

impl Sample {
    /// Reads all that a service wrote into a database, with so many receipts to a transaction.
    pub(crate) async fn read(database: &Database, batch: u64) -> anyhow::Result<Self> {
        database
            .execute(
                "drop table if exists place; create table place as select r.id receipt, e.id event, e.subject_id subject, \
                 dense_rank() over (order by r.received_at, r.id) - 1 as rank from receipt r join event e on e.receipt_id = r.id; \
                 create index on place (receipt); create index on place (event); create index on place (subject); analyze place",
            )
            .await?;
        let receipts = u64::try_from(database.count("select count(distinct receipt) from place").await?)?;
        let events = u64::try_from(database.count("select count(*) from place").await?)?;
        let batch = batch.max(1);
        let mut it = Self { tables: Vec::new(), transactions: Vec::new(), events, rows: 0 };
        it.transactions.resize_with(usize::try_from(receipts.div_ceil(batch))?, Vec::new);
        for (name, rank) in TABLES {
            it.add(database, name, rank, batch).await?;
        }
        database.execute("drop table place").await?;
        Ok(it)
    }

    async fn add(&mut self, database: &Database, name: &str, rank: &str, batch: u64) -> anyhow::Result<()> {
        if sqlx::query(AssertSqlSafe(format!("select 1 from {name} limit 1"))).fetch_optional(&database.pool).await?.is_none() {
            return Ok(());
        }
        let columns = columns(&database.pool, name).await?;
        let wanted: Vec<_> = columns.iter().map(Column::read).collect();
        let sql = format!("select {}, ({rank})::bigint from {name} t order by {}", wanted.join(", "), columns.len() + 1);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&database.pool).await.with_context(|| format!("reading {name}"))?;
        self.rows += rows.len() as u64;
        let at = self.tables.len();
        let transaction = |row: &PgRow| -> anyhow::Result<usize> {
            let rank: i64 = row.try_get::<Option<i64>, _>(columns.len())?.with_context(|| format!("a row of {name} belongs to nothing"))?;
            Ok(usize::try_from(rank.unsigned_abs() / batch)?)
        };
        let placed = rows.iter().map(|row| Ok((transaction(row)?, row))).collect::<anyhow::Result<Vec<_>>>()?;
        for chunk in placed.chunk_by(|a, b| a.0 == b.0) {
            let Some((to, _)) = chunk.first() else { continue };
            let to = self.transactions.get_mut(*to).context("a row behind the last receipt")?;
            let of_column = |(at, column): (usize, &Column)| -> anyhow::Result<Values> {
                let rows = chunk.iter().map(|it| it.1);
                Ok(match column.kind.as_str() {
                    "bytea" => Values::Bytes(rows.map(|it| it.try_get(at)).collect::<Result<_, _>>()?),
                    _ => Values::Text(rows.map(|it| it.try_get(at)).collect::<Result<_, _>>()?),
                })
            };
            to.push(Chunk { table: at, columns: columns.iter().enumerate().map(of_column).collect::<anyhow::Result<_>>()? });
        }
        self.tables.push(Table { insert: insert(name, &columns), columns });
        Ok(())
    }

    /// Writes so many of the transactions, the last of them, by clients that each write one after another; gives back the events a second.
    pub(crate) async fn write(self: &std::sync::Arc<Self>, url: &str, clients: usize, most: usize) -> anyhow::Result<f64> {
        let most = most.min(self.transactions.len());
        let next = std::sync::Arc::new(AtomicUsize::new(self.transactions.len() - most));
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(PgConnection::connect(url).await?);
        }
        let start = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for mut connection in connections {
            let (sample, next) = (self.clone(), next.clone());
            tasks.spawn(async move {
                while sample.write_next(&mut connection, &next).await? {}
                Ok::<_, anyhow::Error>(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        let events = self.events as f64 * most as f64 / self.transactions.len().max(1) as f64;
        Ok(events / start.elapsed().as_secs_f64())
    }

    /// Writes the next transaction, if there is one.
    pub(crate) async fn write_next(&self, connection: &mut PgConnection, next: &AtomicUsize) -> anyhow::Result<bool> {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= self.transactions.len() {
            return Ok(false);
        }
        self.write_one(connection, at).await?;
        Ok(true)
    }

    async fn write_one(&self, connection: &mut PgConnection, at: usize) -> anyhow::Result<()> {
        let mut tx = connection.begin().await?;
        for chunk in self.transactions.get(at).into_iter().flatten() {
            let table = self.tables.get(chunk.table).context("a table")?;
            let mut query = sqlx::query(AssertSqlSafe(table.insert.clone()));
            for values in &chunk.columns {
                query = match values {
                    Values::Bytes(values) => query.bind(values),
                    Values::Text(values) => query.bind(values),
                };
            }
            query.execute(&mut *tx).await.with_context(|| table.insert.clone())?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// How many columns a table has, for people.
    pub(crate) fn told(&self) -> String {
        let columns: usize = self.tables.iter().map(|it| it.columns.len()).sum();
        format!(
            "{} rows of {} tables ({columns} columns) for {} events in {} transactions",
            self.rows,
            self.tables.len(),
            self.events,
            self.transactions.len()
        )
    }
}

impl Column {
    fn read(&self) -> String {
        if self.kind == "bytea" { format!("t.\"{}\"", self.name) } else { format!("t.\"{}\"::text", self.name) }
    }

    fn array(&self) -> &'static str {
        if self.kind == "bytea" { "bytea[]" } else { "text[]" }
    }
}

fn insert(name: &str, columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|it| format!("\"{}\"", it.name)).collect();
    let values: Vec<_> = columns.iter().enumerate().map(|(at, it)| format!("u.c{at}::{}", it.kind)).collect();
    let arrays: Vec<_> = columns.iter().enumerate().map(|(at, it)| format!("${}::{}", at + 1, it.array())).collect();
    let aliases: Vec<_> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    format!(
        "insert into {name} ({}) select {} from unnest({}) as u({})",
        names.join(", "),
        values.join(", "),
        arrays.join(", "),
        aliases.join(", ")
    )
}

/// Columns that are given: all but those that the database numbers itself.
async fn columns(pool: &PgPool, name: &str) -> anyhow::Result<Vec<Column>> {
    let sql = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = $1::regclass and attnum > 0 \
               and not attisdropped and attidentity = '' and attgenerated = '' \
               and not exists (select from pg_attrdef d where d.adrelid = attrelid and d.adnum = attnum and pg_get_expr(d.adbin, d.adrelid) like 'nextval%') \
               order by attnum";
    let rows = sqlx::query(sql).bind(name).fetch_all(pool).await?;
    rows.iter().map(|it| Ok(Column { name: it.try_get(0)?, kind: it.try_get(1)? })).collect()
}

/// Empties every table of a sample, and puts the lists of another database in.
pub(crate) async fn prepare(target: &Database, source: &Database) -> anyhow::Result<()> {
    let names: Vec<_> = TABLES.iter().map(|it| it.0).collect();
    target.execute(format!("truncate {}, suppression_list, delivery, api_key, session, import cascade", names.join(", "))).await?;
    let columns = columns(&target.pool, "suppression_list").await?;
    let wanted: Vec<_> = columns.iter().map(Column::read).collect();
    let sql = format!("select {} from suppression_list t order by t.id", wanted.join(", "));
    for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&source.pool).await? {
        let insert = insert("suppression_list", &columns);
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for at in 0..columns.len() {
            query = query.bind(vec![row.try_get::<Option<String>, _>(at)?]);
        }
        query.execute(&target.pool).await?;
    }
    Ok(())
}

/// Copies the rows of an import into an empty database by COPY, everything in one transaction, and tells how long the writing took.
pub(crate) async fn copy(source: &Database, target: &Database, tables: &[(&str, String)]) -> anyhow::Result<Duration> {
    let mut out = source.pool.acquire().await?;
    let mut ready = Vec::new();
    for (name, rows) in tables {
        let columns: Vec<_> = columns(&source.pool, name).await?.iter().map(|it| format!("\"{}\"", it.name)).collect();
        let columns = columns.join(", ");
        let mut bytes = Vec::new();
        let statement = format!("copy (select {columns} from {name} t where {rows}) to stdout (format binary)");
        let mut stream = out.copy_out_raw(&statement).await?;
        while let Some(piece) = futures_util::StreamExt::next(&mut stream).await {
            bytes.extend_from_slice(&piece?);
        }
        drop(stream);
        ready.push((format!("copy {name} ({columns}) from stdin (format binary)"), bytes));
    }
    let mut into = target.pool.acquire().await?;
    let start = Instant::now();
    let mut tx = into.begin().await?;
    for (statement, bytes) in &ready {
        let mut writer = tx.copy_in_raw(statement).await?;
        for piece in bytes.chunks(1 << 16) {
            writer.send(piece).await?;
        }
        writer.finish().await?;
    }
    tx.commit().await?;
    Ok(start.elapsed())
}
