//! `pgbench`, which comes with Postgres: prepared selects by primary key from many clients.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Selects by primary key a second, from so many clients, out of `scale` times 100,000 rows.
pub(crate) fn select(url: &str, clients: usize, seconds: u64, scale: u64) -> anyhow::Result<f64> {
    let program = program()?;
    let made =
        Command::new(&program).args(["--initialize", "--quiet", "--scale", &scale.to_string(), url]).stdin(Stdio::null()).output()?;
    anyhow::ensure!(made.status.success(), "pgbench: {}", String::from_utf8_lossy(&made.stderr));
    let (clients, seconds) = (clients.to_string(), seconds.to_string());
    let arguments =
        ["--select-only", "--protocol", "prepared", "--jobs", "2", "--client", &clients, "--time", &seconds, "--no-vacuum", url];
    let ran = Command::new(&program).args(arguments).stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let line =
        text.lines().find(|it| it.starts_with("tps = ")).with_context(|| format!("pgbench: {}", String::from_utf8_lossy(&ran.stderr)))?;
    line.split_whitespace().nth(2).and_then(|it| it.parse().ok()).context("what pgbench says")
}

/// Debian does not put it on the path.
fn program() -> anyhow::Result<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|it| Some(it.ok()?.path().join("bin/pgbench")))
        .filter(|it| it.is_file())
        .collect();
    found.sort();
    let on_path = || Command::new("pgbench").arg("--version").output().is_ok().then(|| PathBuf::from("pgbench"));
    found.pop().or_else(on_path).context("pgbench is missing (Debian: postgresql)")
}
