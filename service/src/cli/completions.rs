//! `rebound completions`: what a shell needs to complete commands and options.

use std::io;

use clap_complete::Shell;

use crate::cli::{Exit, examples};

/// Prints what a shell needs to complete commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  rebound completions bash > /etc/bash_completion.d/rebound
  rebound completions zsh > \"${fpath[1]}/_rebound\"
  rebound completions fish > ~/.config/fish/completions/rebound.fish")]
pub(super) struct Args {
    /// Which shell.
    shell: Shell,
}

/// Prints them.
pub(super) fn run(args: &Args) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut examples::command(), "rebound", &mut text);
    // Whoever closes the pipe early has seen enough.
    let _ = io::Write::write_all(&mut io::stdout().lock(), &text);
    Exit::Success
}
