//! `rebound export`: a whole list out; the same as `GET /v1/lists/{list}/export`.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

use crate::cli::import::formats;
use crate::cli::{Exit, setup};
use crate::clock::Clock;
use crate::listing::Format;
use crate::transfer;

/// Exports a list.
///
/// csv and ndjson hold all that stands on the list and on those above it, and come back unchanged by an import; ses, sendgrid,
/// mailgun, postmark, sparkpost and plain hold each address that the list may not mail, once. A file appears only when it is
/// whole; standard output is whole if the exit code is 0.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the list.
    #[arg(long, value_name = "LIST")]
    list: String,
    /// How to write it: csv, ndjson, ses, sendgrid, mailgun, postmark, sparkpost or plain.
    #[arg(long, value_name = "FORMAT", default_value = "csv", value_parser = formats(), hide_possible_values = true)]
    format: Format,
    /// Write it into this file in place of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Exports.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    setup::block_on(async {
        let store = Arc::new(setup::store(&config, &clock).await?);
        let list = store.list(&args.list).await?;
        let pieces = transfer::export(store.clone(), list, args.format, clock.now()).await?;
        match &args.output {
            None => write(pieces, &mut io::stdout().lock()).await?,
            Some(path) => {
                let unwritable = || format!("{} cannot be written", path.display());
                let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let mut file = NamedTempFile::new_in(folder).with_context(unwritable)?;
                write(pieces, &mut file).await?;
                file.as_file().sync_all().with_context(unwritable)?;
                file.persist(path).with_context(unwritable)?;
            }
        }
        Ok(Exit::Success)
    })
}

async fn write<E: std::error::Error + Send + Sync + 'static>(
    pieces: impl futures_util::Stream<Item = Result<bytes::Bytes, E>>,
    to: &mut impl Write,
) -> anyhow::Result<()> {
    let mut pieces = pin!(pieces);
    let mut to = BufWriter::new(to);
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {binary_bytes} written") {
        bar.set_style(style);
    }
    while let Some(piece) = pieces.try_next().await? {
        to.write_all(&piece)?;
        bar.inc(piece.len() as u64);
    }
    bar.finish_and_clear();
    Ok(to.flush()?)
}
