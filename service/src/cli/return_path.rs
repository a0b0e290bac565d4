//! `rebound return-path`: signed return paths made and checked by hand, with the keys of the configuration alone.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use bounce::address::Address;
use bounce::token::{self, TokenError};

use crate::cli::page::plain;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;

/// Makes and checks signed return paths, by which a bounce proves that it is about a message of yours. docs/return-paths.md
/// has the recipe for making them in your own program.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes the return paths of messages to these recipients that are sent today (UTC), one on a line.
    Mint {
        /// The recipients.
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
        /// The list that the messages belong to. The first of its `token_keys` makes them.
        #[arg(long, value_name = "LIST")]
        list: String,
        /// The domain to which bounces come; without it the tokens are printed alone.
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// How to print them.
        #[arg(long, value_enum, default_value = "text")]
        format: Output,
    },
    /// Says whether a return path was made for a recipient and still holds. Ends with 1 if not.
    Check {
        /// The return path, or the token alone.
        return_path: String,
        /// The recipient.
        #[arg(long, value_name = "ADDRESS")]
        address: String,
        /// How to print the answer.
        #[arg(long, value_enum, default_value = "text")]
        format: Output,
    },
}

pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let now = Clock::system().now();
    let mut out = io::stdout().lock();
    match &args.command {
        Command::Mint { addresses, list, domain, format } => {
            let declared = config.lists.iter().find(|it| it.name.as_str() == list);
            let declared = declared.with_context(|| format!("{} is no list of the configuration", plain(list)))?;
            let key = declared.token_keys().next();
            let key =
                key.with_context(|| format!("{list} has no keys; write token_keys = [\"k7ab:…\"] into its [[list]], in place of … what `openssl rand -hex 20` prints"))?;
            let mut exit = Exit::Success;
            for given in addresses {
                let Ok(address) = Address::parse(given) else {
                    writeln!(io::stderr().lock(), "rebound: {}: not a mail address", plain(given))?;
                    exit = Exit::Data;
                    continue;
                };
                let token = key.mint(&address, now);
                let return_path = domain.as_deref().map(|it| token::return_path(&token, it));
                match format {
                    Output::Text => writeln!(out, "{}", return_path.as_deref().unwrap_or(&token))?,
                    Output::Json => {
                        let line = serde_json::json!({"address": address.expose(), "token": token, "return_path": return_path});
                        writeln!(out, "{line}")?;
                    }
                }
            }
            Ok(exit)
        }
        Command::Check { return_path, address, format } => {
            let recipient = Address::parse(address).with_context(|| format!("{} is no mail address", plain(address)))?;
            let keys = config.token_keys();
            let token = token::candidate(return_path).ok_or(TokenError::Malformed);
            let found = token.and_then(|it| keys.check(it, &recipient, now));
            match (format, &found) {
                (Output::Text, Ok(key)) => {
                    writeln!(out, "It holds: key {} of {} made it for {}.", key.id(), key.list(), plain(recipient.expose()))?;
                }
                (Output::Text, Err(error)) => writeln!(out, "It proves nothing: {error}.")?,
                (Output::Json, _) => {
                    let key = found.as_ref().ok();
                    let line = serde_json::json!({
                        "holds": key.is_some(), "list": key.map(|it| it.list()), "key": key.map(|it| it.id()),
                        "reason": found.as_ref().err().map(ToString::to_string),
                    });
                    writeln!(out, "{line}")?;
                }
            }
            Ok(if found.is_ok() { Exit::Success } else { Exit::Failure })
        }
    }
}
