//! Fills a database with suppressions and events: a real post is taken in by the service, and its rows are repeated by SQL under other
//! addresses, ids, keys and times, so that every column holds what it would. Constraints and indexes are taken off meanwhile and
//! put back as they were.

use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use sqlx::AssertSqlSafe;

use crate::drive::Pace;
use crate::posts::{self, Kind, Posts};
use crate::report::say;
use crate::servers::Database;
use crate::service::{Broker, PEPPER};
use crate::stretch::{Bench, Extent, Site};

/// Events that one receipt tells of.
const EVENTS: u64 = 100;
/// Rows of one statement.
const STEP: u64 = 500_000;

/// A table: its name, `n` for a row for each event or `r` for a row for each receipt, and what is different in each row numbered `n`.
type Table = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const TABLES: &[Table] = &[
    ("subject", "n", &[("id", "{subject}"), ("address", "{address}"), ("created_at", "{at}")]),
    ("receipt", "r", &[("id", "{receipt}"), ("digest", "sha256(convert_to('r' || n, 'UTF8'))"), ("received_at", "{at}")]),
    (
        "event",
        "n",
        &[
            ("id", "{event}"),
            ("position", "n / 100"),
            ("receipt_id", "{receipt}"),
            ("subject_id", "{subject}"),
            ("fact_key", "substr(sha256(convert_to('k' || n, 'UTF8')), 1, 16)"),
            ("message_id", "'sg-' || n || '@news.load.test'"),
            ("provider_event_id", "'event-' || n"),
            ("occurred_at", "{at}"),
            ("received_at", "{at}"),
        ],
    ),
    ("event_key", "n", &[("key", "substr(sha256(convert_to('k' || n, 'UTF8')), 1, 16)"), ("event_id", "{event}")]),
    ("suppression", "n", &[("subject_id", "{subject}"), ("event_id", "{event}"), ("since", "{at}")]),
    (
        "suppression_change",
        "n",
        &[
            ("id", "{change}"),
            ("position", "n / 100"),
            ("subject_id", "{subject}"),
            ("event_id", "{event}"),
            ("since", "{at}"),
            ("at", "{at}"),
        ],
    ),
];

/// The address numbered so.
pub(super) fn address(n: u64) -> String {
    format!("g{n}@d{}.load.test", n % 997)
}

/// Fills up to so many.
pub(super) async fn to(bench: &mut Bench, site: Site, from: u64, to: u64) -> anyhow::Result<Site> {
    let run = bench.run();
    let post = Posts::new(run, Kind::Batches(1), &site.service.senders, 1, 1);
    let extent = Extent { connections: 1, warm: Duration::ZERO, time: Duration::from_secs(5) };
    bench.load(&site, extent, Pace::AsFast, post.clone()).await?;
    bench.balance(&site, "what is repeated", &post).await?;
    let database = bench.pause(site).await?;
    patterns(&database, &posts::address(run, 0)).await?;
    let structure = Structure::take_off(&database).await?;
    for (table, per, others) in TABLES {
        let each = if *per == "r" { EVENTS } else { 1 };
        for start in (from..to).step_by(usize::try_from(STEP)?) {
            let end = (start + STEP).min(to);
            database.execute(insert(&database, table, others, (start, end, each)).await?).await?;
        }
        say(&format!("  {table} is filled"));
    }
    structure.put_back(&database).await?;
    database.execute("drop schema pattern cascade").await?;
    for (table, ..) in TABLES {
        database.execute(format!("vacuum (freeze, analyze) {table}")).await?;
    }
    bench.servers.checkpoint().await?;
    bench.again(database, Broker::There, &[]).await
}

/// The rows that are repeated, in tables of their own.
async fn patterns(database: &Database, address: &str) -> anyhow::Result<()> {
    database
        .execute(format!(
            "create schema pattern; create table pattern.subject as select * from subject where address = '{address}'; \
             create table pattern.event as select * from event where subject_id = (select id from pattern.subject); \
             create table pattern.receipt as select * from receipt where id = (select receipt_id from pattern.event); \
             create table pattern.event_key as select * from event_key where event_id = (select id from pattern.event) limit 1; \
             create table pattern.suppression as select * from suppression where subject_id = (select id from pattern.subject); \
             create table pattern.suppression_change as select * from suppression_change where subject_id = (select id from pattern.subject) limit 1"
        ))
        .await
}

/// HMAC-SHA256 (RFC 2104) of a text under the pepper, in SQL: the first half is the subject.
fn subject_of(text: &str) -> String {
    let pad = |with: u8| {
        let mut key = [0_u8; 64];
        if PEPPER.len() > key.len() {
            key.iter_mut().zip(digest(&SHA256, PEPPER.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
        } else {
            key.iter_mut().zip(PEPPER.as_bytes()).for_each(|(to, from)| *to = *from);
        }
        HEXLOWER.encode(&key.map(|it| it ^ with))
    };
    format!("substr(sha256('\\x{}'::bytea || sha256('\\x{}'::bytea || convert_to({text}, 'UTF8'))), 1, 16)", pad(0x5c), pad(0x36))
}

/// An id of version 7, in the order of the numbers.
fn id(number: &str, salt: char) -> String {
    format!(
        "(lpad(to_hex(1750000000000 + {number}), 12, '0') || '7' || substr(md5('{salt}' || {number}), 1, 3) || '8' || substr(md5('{salt}' || {number}), 5, 15))::uuid"
    )
}

/// One statement.
async fn insert(database: &Database, table: &str, others: &[(&str, &str)], (start, end, each): (u64, u64, u64)) -> anyhow::Result<String> {
    let columns: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum",
    )
    .bind(table)
    .fetch_all(&database.pool)
    .await?;
    for (name, _) in others {
        anyhow::ensure!(columns.iter().any(|it| it == name), "{table} has no column {name}");
    }
    let at = "timestamptz '2026-11-20 00:00:00Z' - (n % 5000000) * interval '1 second'";
    let address = "('g' || n || '@d' || n % 997 || '.load.test')";
    let receipt = id(&format!("(n / {EVENTS})"), 'r');
    let value = |name: &String| {
        let other = others.iter().find(|it| it.0 == name.as_str());
        other.map_or_else(
            || format!("p.\"{name}\""),
            |it| {
                it.1.replace("{subject}", &subject_of(address))
                    .replace("{address}", address)
                    .replace("{receipt}", &receipt)
                    .replace("{event}", &id("n", 'e'))
                    .replace("{change}", &id("n", 'c'))
                    .replace("{at}", at)
            },
        )
    };
    let names: Vec<_> = columns.iter().map(|it| format!("\"{it}\"")).collect();
    let values: Vec<_> = columns.iter().map(value).collect();
    let last = end - 1;
    Ok(format!(
        "insert into {table} ({}) select {} from pattern.{table} p cross join generate_series({start}::bigint, {last}, {each}) n",
        names.join(", "),
        values.join(", ")
    ))
}

/// Constraints and indexes that were taken off: the SQL that puts them back.
struct Structure(Vec<String>);

impl Structure {
    async fn take_off(database: &Database) -> anyhow::Result<Self> {
        let names: Vec<_> = TABLES.iter().map(|it| format!("'{}'::regclass", it.0)).collect();
        let tables = names.join(", ");
        // What refers to others first, for it depends on their keys; put back last, and without a look at what is there.
        let constraints = format!(
            "select format('alter table %s drop constraint %I', conrelid::regclass, conname), \
             format('alter table %s add constraint %I %s%s', conrelid::regclass, conname, pg_get_constraintdef(oid), \
             case when contype = 'f' and convalidated then ' not valid' else '' end) from pg_constraint where contype in ('f', 'p', 'u') \
             and (conrelid in ({tables}) or confrelid in ({tables})) order by contype <> 'f'"
        );
        let indexes = format!(
            "select format('drop index %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid) from pg_index i where i.indrelid in ({tables}) \
             and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u'))"
        );
        let mut back = Vec::new();
        for sql in [constraints, indexes] {
            let found: Vec<(String, String)> =
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&database.pool).await.context("reading the structure")?;
            for (off, on) in found {
                database.execute(off).await?;
                back.push(on);
            }
        }
        back.reverse();
        Ok(Self(back))
    }

    async fn put_back(self, database: &Database) -> anyhow::Result<()> {
        for sql in self.0 {
            database.execute(sql).await?;
        }
        Ok(())
    }
}
