//! The database: whether it answers, its tables, its pepper, its clock, its connections, and the keys to it.

use time::{Duration, OffsetDateTime};

use super::finding::Finding;
use crate::app;
use crate::config::{Config, DatabaseConfig};
use crate::store::{Store, StoreError, sqlite_file};
use crate::telemetry::chain;

const AREA: &str = "database";
/// Skew from which tokens and signatures may be refused, and from which they are.
const ODD: Duration = Duration::seconds(5);
const WRONG: Duration = Duration::minutes(2);

/// Looks at it, as far as it answers.
pub(super) async fn look(config: &Config, now: OffsetDateTime) -> Vec<Finding> {
    if let Some(file) = sqlite_file(config.database.url.expose()).filter(|it| !it.exists()) {
        return vec![Finding::ok(AREA, format!("{} is not there yet; `rebound serve` makes it", file.display()))];
    }
    let store = match app::open_store(config).await {
        Ok(store) => store,
        Err(error) => {
            return vec![Finding::unusable(AREA, chain(&error), "correct database.url or identity.pepper_file")];
        }
    };
    let pending = match store.pending_migrations().await {
        Ok(pending) => pending,
        Err(error) => return vec![failed(&error)],
    };
    let mut findings = vec![Finding::ok(AREA, "answers"), migrations(pending, &config.database)];
    if pending == 0 {
        findings.push(pepper(&store).await);
        findings.push(keys(&store, now).await);
    }
    findings.extend(clock(&store, now).await);
    findings.extend(connections(&store, config.database.max_connections).await);
    store.close().await;
    findings
}

fn failed(error: &StoreError) -> Finding {
    if error.is_outage() {
        let remedy = "is it running, and is it reached from here under the host, port, user and database of database.url?";
        return Finding::away(AREA, chain(error), remedy);
    }
    // SQLSTATE: invalid_authorization_specification, invalid_password; invalid_catalog_name.
    let remedy = match error.code().as_deref() {
        Some("28000" | "28P01") => {
            "correct user and password of database.url; Postgres says in its log what it missed, pg_hba.conf who may come"
        }
        Some("3D000") => "make it: `createdb --owner=USER NAME`, with the names of database.url",
        _ => "does its user own the database, or may it at least make tables in it?",
    };
    Finding::broken(AREA, chain(error), remedy)
}

fn migrations(pending: usize, config: &DatabaseConfig) -> Finding {
    match (pending, config.migrate_on_start) {
        (0, _) => Finding::ok("migrations", "the schema is up to date"),
        (_, true) => Finding::ok("migrations", format!("{pending} to come; `rebound serve` sees to it when it starts")),
        (_, false) => Finding::broken(
            "migrations",
            format!("{pending} are pending, and database.migrate_on_start is off"),
            "run `rebound migrate`; the release before goes on working meanwhile",
        ),
    }
}

async fn pepper(store: &Store) -> Finding {
    match store.is_of_this_pepper().await {
        Ok(Some(true)) => Finding::ok("pepper", "is that of the database"),
        Ok(None) => Finding::ok("pepper", "the database has none yet and will take this one"),
        Ok(Some(false)) => Finding::unusable(
            "pepper",
            "is not the one that the database was written under: every address would look unknown",
            "put back the pepper of this database (identity.pepper_file); it is in the same backup, or should be",
        ),
        Err(error) => failed(&error),
    }
}

async fn keys(store: &Store, now: OffsetDateTime) -> Finding {
    match store.keys().await {
        Ok(keys) => match keys.iter().filter(|it| it.is_live(now)).count() {
            0 => Finding::warning("API keys", "there is none", "`rebound keys create newsletter --scope read` makes one"),
            1 => Finding::ok("API keys", "one opens the service"),
            count => Finding::ok("API keys", format!("{count} open the service")),
        },
        Err(error) => failed(&error),
    }
}

async fn clock(store: &Store, now: OffsetDateTime) -> Option<Finding> {
    let theirs = match store.server_time().await {
        Ok(theirs) => theirs?,
        Err(error) => return Some(failed(&error)),
    };
    Some(skew((theirs - now).abs()))
}

fn skew(skew: Duration) -> Finding {
    let what = format!("differs by {} s from that of the database", skew.whole_seconds());
    let remedy = "let both machines keep time by NTP (`timedatectl status`): signatures have a time, and are refused when it is not now";
    match skew {
        skew if skew < ODD => Finding::ok("clock", "agrees with that of the database"),
        skew if skew < WRONG => Finding::warning("clock", what, remedy),
        _ => Finding::broken("clock", what, remedy),
    }
}

async fn connections(store: &Store, ours: u32) -> Option<Finding> {
    let theirs = match store.server_connections().await {
        Ok(theirs) => theirs?,
        Err(error) => return Some(failed(&error)),
    };
    let what = format!("one replica takes up to {ours} of the {theirs} that the database has");
    // Three are kept for superusers by default.
    Some(if ours.saturating_add(3) >= theirs {
        Finding::warning("connections", what, "lower database.max_connections, or raise max_connections of Postgres")
    } else {
        Finding::ok("connections", what)
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;

    #[test]
    fn a_clock_is_told_by_how_far_it_is_off() {
        let health = |seconds| skew(Duration::seconds(seconds)).health;
        assert_eq!([health(0), health(4), health(5), health(119), health(120)], {
            [Health::Ok, Health::Ok, Health::Warning, Health::Warning, Health::Broken]
        });
    }

    #[test]
    fn what_nobody_will_migrate_is_broken() {
        let by_hand = DatabaseConfig { migrate_on_start: false, ..DatabaseConfig::default() };
        let on_start = DatabaseConfig::default();
        let health = [(0, &by_hand), (3, &on_start), (3, &by_hand)].map(|(pending, config)| migrations(pending, config).health);
        assert_eq!(health, [Health::Ok, Health::Ok, Health::Broken]);
    }
}
