//! `rebound subject-export`: everything that is held about a person, as JSON, for that person.

use std::io::{self, Write as _};
use std::path::Path;

use bounce::address::Address;

use crate::cli::{Exit, setup};
use crate::clock::Clock;
use crate::http::{Raw, disclosure};

/// Prints everything that is held about an address, as JSON, for the person it belongs to.
///
/// The same as `GET /v1/addresses/{address}/export`. With --raw it has the raw bytes of mails that tell of nobody else; a
/// provider's post may name others, and is described only.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address.
    address: String,
    /// Include the raw bytes, in base64.
    #[arg(long)]
    raw: bool,
}

/// Prints it.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let address = match Address::parse(&args.address) {
        Ok(address) => address,
        Err(error) => {
            writeln!(io::stderr().lock(), "rebound: not an address: {error}")?;
            return Ok(Exit::Data);
        }
    };
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        let raw = if args.raw { Raw::Included } else { Raw::LeftOut };
        let document = disclosure(&store, &address, raw, clock.now()).await?;
        let text = serde_json::to_string_pretty(&document)? + "\n";
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(Exit::Success)
    })
}
