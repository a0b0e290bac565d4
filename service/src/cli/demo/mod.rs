//! `rebound demo`: the whole service in a minute. It starts the real thing on a temporary SQLite database, posts what bounces
//! look like in the wild through the real HTTP endpoints, tells what was understood and what the lists did and why, and
//! checks each step against what should come of it. No configuration is read, and nothing is left behind.

mod amazon;
mod client;
mod show;
mod steps;
mod tour;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{App, AppError};
use crate::cli::serve::stopped_by_signals;
use crate::cli::{Exit, setup};
use crate::clock::Clock;
use crate::config::{Config, ListConfig, ListName, MIME, SecretUrl, SourceConfig};
use crate::store::Scope;

use amazon::Amazon;
use client::Client;
use show::Screen;

/// The list that everything counts for. What it stands on, `demo`, is the boundary.
const LIST: &str = "demo.news";
/// The source that mails come to.
const MAIL_SOURCE: &str = "bounces";
/// The source that Amazon SES posts to.
const SES_SOURCE: &str = "ses";

/// Shows the whole service at work on samples, without any configuration, and stays up to be tried.
///
/// With --once it ends after the tour, with 0 only if every step came out as it should.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// End after the tour.
    #[arg(long)]
    once: bool,
    /// Address and port to listen on; any free port if left out.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// The service of the demonstration, and what is needed to talk to it.
struct Demo {
    client: Client,
    amazon: Amazon,
    running: JoinHandle<Result<(), AppError>>,
    _folder: TempDir,
}

/// Runs the demonstration.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    setup::block_on(async {
        let stop = stopped_by_signals()?;
        let mut screen = Screen::stdout();
        let demo = start(args.listen, &stop).await?;
        let toured = tokio::select! {
            toured = tour::tour(&demo, &mut screen) => toured,
            () = stop.cancelled() => Err(anyhow!("it was stopped before its end")),
        };
        if toured.is_ok() && !args.once {
            screen.stays_up(&demo)?;
            stop.cancelled().await;
        }
        stop.cancel();
        demo.running.await.context("the service ended in a panic")??;
        toured
    })
}

/// Starts the service on a database that goes with it.
async fn start(listen: SocketAddr, stop: &CancellationToken) -> anyhow::Result<Demo> {
    let folder = tempfile::Builder::new().prefix("rebound-demo-").tempdir().context("no temporary folder can be made")?;
    let token = Uuid::now_v7().simple().to_string();
    let amazon = Amazon::new()?;
    let clock = Clock::system();
    let mut app = App::build(config(listen, &folder, &token, amazon.topic())?, clock.clone()).await?;
    let known = app.state().fetcher.clone().with_certificates([amazon.certificate()]);
    app.state_mut().fetcher = known;
    // With every scope: whoever tries the console shall find all of its pages.
    let scopes = [Scope::Read, Scope::Write, Scope::Ingest, Scope::Admin];
    let key = app.state().store.create_key("demo", &scopes, None, None, clock.now()).await?;
    let address = app.address();
    let running = tokio::spawn(app.run(stop.clone()));
    let client = Client::new(address, key.secret, SecretString::from(token))?;
    Ok(Demo { client, amazon, running, _folder: folder })
}

/// The defaults, with what a demonstration needs: neither a file nor the environment is asked.
fn config(listen: SocketAddr, folder: &TempDir, token: &str, topic: &str) -> anyhow::Result<Config> {
    let list = ListName::parse(LIST).context("the list of the demonstration has a name")?;
    let mut config = Config::default();
    // Nobody balances the load of a demonstration.
    config.http.shutdown_lead = Duration::ZERO;
    config.http.listen = listen;
    config.http.workers = 2;
    config.database.url = SecretUrl::new(&format!("sqlite://{}?mode=rwc", folder.path().join("demo.db").display()));
    // The database is a file that goes with the demonstration.
    config.spool.enabled = false;
    config.lists = vec![ListConfig::new(list.clone())];
    let mut mail = SourceConfig::new(MAIL_SOURCE, MIME, list.clone());
    mail.credentials.bearer = vec![token.to_owned()];
    let mut ses = SourceConfig::new(SES_SOURCE, "ses", list);
    ses.credentials.topic_arns = vec![topic.to_owned()];
    config.sources = vec![mail, ses];
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstration_is_configured_soundly() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(SocketAddr::from(([127, 0, 0, 1], 0)), &folder, "token", "arn:aws:sns:eu-west-1:111122223333:x").unwrap();
        assert_eq!(config.sources.len(), 2);
    }
}
