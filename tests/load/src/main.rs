//! Drives the service as its senders and askers would, measures what it takes and how long they wait, checks against a ledger that nothing
//! was lost, and measures in the same run what the machine itself can do. `tests/load/run` starts the servers and this.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are counted in integers and shown to three digits"
)]

mod drive;
mod growth;
mod ledger;
mod limits;
mod measure;
mod memory;
mod plot;
mod posts;
mod process;
mod queue;
mod report;
mod servers;
mod service;
mod smoke;
mod stretch;
mod sweep;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

use crate::service::Settings;
use crate::stretch::Bench;

/// Measures the service under load. Needs the servers of `tests/run`; start it by `tests/load/run`.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// The program to measure; the `rebound` beside this tool if left out.
    #[arg(long, global = true, value_name = "FILE")]
    program: Option<PathBuf>,
    /// A key of the service's configuration, such as intake.batch=256. May be given again.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Every figure against the machine's own limits, as a table.
    Measure(measure::Args),
    /// Latency and throughput over load, as charts.
    Sweep(sweep::Args),
    /// The same load on databases that hold more and more.
    Growth(growth::Args),
    /// Memory of the service: idle, under full load, over a time of steady load.
    Memory(memory::Args),
    /// A few seconds of load, without regard to figures: whether this tool works.
    Smoke(smoke::Args),
    /// A server for comparison: answers at once.
    #[command(hide = true)]
    ServeEmpty {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// A server for comparison: a transaction for each request.
    #[command(hide = true)]
    ServeTransactions {
        #[arg(long)]
        listen: SocketAddr,
        /// Database with the rows.
        #[arg(long)]
        sample: String,
        /// Database to write them to.
        #[arg(long)]
        target: String,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    actix_web::rt::System::new().block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let bench = async || {
        let settings = Settings::new(arguments.program.clone(), &arguments.set)?;
        let options = if arguments.set.is_empty() { "default".to_owned() } else { arguments.set.join(", ") };
        Bench::new(settings, format!("configuration of the service: {options}")).await
    };
    let failed = match &arguments.command {
        Command::Measure(args) => measure::run(args, bench().await?).await?,
        Command::Sweep(args) => sweep::run(args, bench().await?).await?,
        Command::Growth(args) => growth::run(args, bench().await?).await?,
        Command::Memory(args) => memory::run(args, bench().await?).await?,
        Command::Smoke(args) => smoke::run(args, bench().await?).await?,
        Command::ServeEmpty { listen } => return limits::handler::serve_empty(*listen).await.map(|()| ExitCode::SUCCESS),
        Command::ServeTransactions { listen, sample, target } => {
            return limits::handler::serve_transactions(*listen, sample, target).await.map(|()| ExitCode::SUCCESS);
        }
    };
    // What was wanted and not reached is told by the table; what this tells is that the measurement was made.
    let _ = failed;
    Ok(ExitCode::SUCCESS)
}
