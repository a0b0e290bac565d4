//! What the processes use, out of `/proc`: processor time and memory of the service, of Postgres with all its children, of RabbitMQ, and of
//! this tool itself, which shares the cores with them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Ticks of a second in `/proc`, which Linux has set to this for programs since ever.
const TICKS: f64 = 100.0;

/// The processes that take part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Processes {
    pub(crate) service: Option<u32>,
    pub(crate) postgres: Option<u32>,
    pub(crate) rabbitmq: Option<u32>,
}

/// Seconds of processor time used so far, or between two looks.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) service: f64,
    pub(crate) postgres: f64,
    pub(crate) rabbitmq: f64,
    pub(crate) load: f64,
}

impl Processes {
    pub(crate) fn usage(&self) -> Usage {
        let seconds = |it: Option<u32>| it.and_then(seconds).unwrap_or_default();
        // Backends of Postgres that ended count for their parent.
        let children: f64 = self.postgres.map(children).unwrap_or_default().into_iter().filter_map(seconds_alone).sum();
        Usage {
            service: seconds(self.service),
            postgres: seconds(self.postgres) + children,
            rabbitmq: seconds(self.rabbitmq),
            load: seconds(Some(std::process::id())),
        }
    }
}

impl Usage {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            service: self.service - before.service,
            postgres: self.postgres - before.postgres,
            rabbitmq: self.rabbitmq - before.rabbitmq,
            load: self.load - before.load,
        }
    }

    /// Shares of one core over some seconds, for people.
    pub(crate) fn told(&self, seconds: f64) -> String {
        let share = |it: f64| 100.0 * it / seconds.max(0.001);
        format!(
            "service {:.0} %, Postgres {:.0} %, RabbitMQ {:.0} %, this tool {:.0} % of a core",
            share(self.service),
            share(self.postgres),
            share(self.rabbitmq),
            share(self.load)
        )
    }
}

/// The fields of `/proc/<pid>/stat` behind the name, of which the first is the state.
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, behind) = text.rsplit_once(')')?;
    Some(behind.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], from: usize, count: usize) -> f64 {
    fields.iter().skip(from).take(count).filter_map(|it| it.parse::<f64>().ok()).sum()
}

/// With the children that ended.
fn seconds(process: u32) -> Option<f64> {
    Some(ticks(&stat(process)?, 11, 4) / TICKS)
}

fn seconds_alone(process: u32) -> Option<f64> {
    Some(ticks(&stat(process)?, 11, 2) / TICKS)
}

fn parent(process: u32) -> Option<u32> {
    stat(process)?.get(1)?.parse().ok()
}

fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn children(process: u32) -> Vec<u32> {
    all().into_iter().filter(|it| parent(*it) == Some(process)).collect()
}

/// The postmaster above a backend that serves us.
pub(crate) fn postmaster(backend: u32) -> Option<u32> {
    let name = |it: u32| fs::read_to_string(format!("/proc/{it}/comm")).ok();
    if name(backend)?.trim() == "postgres" { parent(backend) } else { None }
}

/// The virtual machine of a broker that listens to a port, if its node is named after it as `tests/run` does.
pub(crate) fn rabbitmq(port: u16) -> Option<u32> {
    let node = format!("RABBITMQ_NODENAME=rebound{port}@localhost");
    let name = |it: u32| fs::read_to_string(format!("/proc/{it}/comm")).unwrap_or_default();
    let environment = |it: u32| fs::read(format!("/proc/{it}/environ")).unwrap_or_default();
    all().into_iter().find(|it| name(*it).starts_with("beam") && memchr::memmem::find(&environment(*it), node.as_bytes()).is_some())
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(process: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).context("the process is gone")?;
    let line = text.lines().find(|it| it.starts_with("VmRSS:")).context("a process without memory")?;
    let kib: u64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).context("VmRSS")?;
    Ok(kib * 1024)
}

/// Processor and memory of this machine, for the head of a report.
pub(crate) fn machine() -> String {
    let text = |it: &str| fs::read_to_string(Path::new(it)).unwrap_or_default();
    let cpus = text("/proc/cpuinfo");
    let model = cpus.lines().find_map(|it| it.strip_prefix("model name")?.split_once(": ").map(|it| it.1.to_owned()));
    let cores = cpus.lines().filter(|it| it.starts_with("processor")).count();
    let memory = text("/proc/meminfo").split_whitespace().nth(1).and_then(|it| it.parse::<f64>().ok()).unwrap_or_default();
    let kernel = text("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores ({}), {:.0} GiB, Linux {}",
        model.unwrap_or_else(|| "unknown".to_owned()),
        memory / 1024.0 / 1024.0,
        kernel.trim()
    )
}
