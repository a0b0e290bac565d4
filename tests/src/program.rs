//! The program itself, for tests of the command line and of processes that die.

use std::path::PathBuf;
use std::process::Command;

/// A command that runs the `rebound` of this build in a clean environment.
///
/// `tests/run` builds it before the tests; Cargo has no way to say that a test of one package needs a program of another.
#[must_use]
pub fn rebound() -> Command {
    let program = path();
    assert!(program.is_file(), "{} is missing: run the tests by tests/run, which builds it", program.display());
    let mut command = Command::new(program);
    command.env_clear().stdin(std::process::Stdio::null());
    command
}

/// The tests lie in `deps`, beside which the programs lie.
fn path() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("a test lies two folders deep");
    folder.join("rebound")
}
