//! `rebound serve`: the service, until it is told to stop. A first SIGINT or SIGTERM lets it finish what it has begun, a second
//! one ends it at once; what was not committed then was not answered either. SIGHUP has the operator's rules read again.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::{Exit, setup};
use crate::clock::Clock;
use crate::telemetry;

/// What a shell says of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Runs the service.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Serves.
pub(super) fn run(config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    telemetry::init(&config.telemetry)?;
    setup::block_on(async {
        let stop = stopped_by_signals()?;
        let app = App::build(config, Clock::system()).await.context("the service cannot start")?;
        reload_on_hangup(app.reload_rules())?;
        app.run(stop).await?;
        Ok(Exit::Success)
    })
}

/// A token that the first signal cancels. The second ends the process.
pub(super) fn stopped_by_signals() -> anyhow::Result<CancellationToken> {
    let listen = |kind| signal(kind).context("signals cannot be listened to");
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        stop.cancel();
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(INTERRUPTED);
    });
    Ok(token)
}

/// Asks for the rules whenever the signal comes. From here on it does not end the process.
fn reload_on_hangup(reload: Arc<Notify>) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("signals cannot be listened to")?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reload.notify_one();
        }
    });
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
