//! The rules of a configuration, and their reloading: when the service is asked to, and when a file has changed. A set that
//! does not hold is refused whole, and told once with the file and the line; the rules in force stay.

use std::error::Error;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bounce::classify::Rules;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::AppError;
use crate::config::{Config, RulesConfig};
use crate::intake::RulesInForce;
use crate::telemetry::Telemetry;

/// The rules of a configuration: the operator's first, then the built-in ones.
///
/// # Errors
/// When a file cannot be read, or a rule does not hold.
pub fn load_rules(config: &Config) -> Result<Rules, AppError> {
    load(&config.rules.files)
}

fn load(paths: &[PathBuf]) -> Result<Rules, AppError> {
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).map_err(|source| AppError::RulesFile { path: path.display().to_string(), source })?;
        files.push((path.display().to_string(), text));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Rules::load(&files).map_err(AppError::Rules)
}

/// What shows that a file is another than before: inode, size, and time of change. `None` where it cannot be seen.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Keeps the rules in force in step with their files.
#[derive(Debug)]
pub(super) struct Reloader {
    files: Vec<PathBuf>,
    poll_interval: Duration,
    /// The files as they were before they were last read.
    seen: Vec<Stamp>,
    rules: RulesInForce,
    asked: Arc<Notify>,
    telemetry: Arc<Telemetry>,
}

impl Reloader {
    /// Loads the rules for the first time.
    pub(super) fn open(config: &RulesConfig, telemetry: Arc<Telemetry>) -> Result<Self, AppError> {
        let seen = stamps(&config.files);
        let rules = RulesInForce::new(load(&config.files)?);
        Ok(Self {
            files: config.files.clone(),
            poll_interval: config.poll_interval,
            seen,
            rules,
            asked: Arc::new(Notify::new()),
            telemetry,
        })
    }

    /// The rules that it keeps.
    pub(super) fn rules(&self) -> RulesInForce {
        self.rules.clone()
    }

    /// Whoever notifies this asks for the files to be read again, changed or not.
    pub(super) fn asked(&self) -> Arc<Notify> {
        self.asked.clone()
    }

    /// Reloads until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.asked.notified() => self.reload().await,
                () = tokio::time::sleep(self.poll_interval) => self.look().await,
            }
        }
    }

    /// Reloads if a file has changed. One that was refused is not tried again until it changes.
    async fn look(&mut self) {
        if stamps(&self.files) != self.seen {
            self.reload().await;
        }
    }

    async fn reload(&mut self) {
        // Before reading: a change that comes in between shows at the next look.
        self.seen = stamps(&self.files);
        let files = self.files.clone();
        let loaded: Result<Rules, Box<dyn Error + Send + Sync>> = match tokio::task::spawn_blocking(move || load(&files)).await {
            Ok(loaded) => loaded.map_err(Into::into),
            Err(panicked) => Err(panicked.into()),
        };
        match loaded {
            Ok(rules) => {
                self.telemetry.rules_loaded(rules.version());
                self.rules.replace(rules);
            }
            Err(error) => self.telemetry.rules_refused(error.as_ref()),
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|it| stamp(it)).collect()
}

fn stamp(file: &Path) -> Stamp {
    std::fs::metadata(file).ok().map(|it| (it.ino(), it.size(), it.mtime(), it.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use bounce::classify::classify;
    use bounce::kind::Kind;
    use bounce::report::Report;

    use super::*;

    const RULE: &str = "[[rule]]\nid = \"own.gone\"\nreason = \"mailbox_full\"\nany = [\"has left the building\"]\n\
        sample = \"550 she has left the building\"\nsource = \"our postmaster\"\nseen = \"2026-11-22\"\n";

    fn decides(rules: &RulesInForce) -> String {
        let report = Report { diagnostic: Some("550 she has left the building".to_owned()), ..Report::new(Kind::Bounce, None) };
        classify(&report, &rules.now()).reason.map(|it| it.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn a_changed_file_decides_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, RULE).unwrap();
        let telemetry = Arc::new(Telemetry::new([]));
        let config = RulesConfig { files: vec![file.clone()], ..RulesConfig::default() };
        let mut reloader = Reloader::open(&config, telemetry.clone()).unwrap();
        let rules = reloader.rules();
        let counted = |outcome: &str, count: u32| {
            let line = format!("rebound_rules_reloads_total{{outcome=\"{outcome}\"}} {count}\n");
            assert!(telemetry.render().contains(&line), "{line}{}", telemetry.render());
        };
        assert_eq!(decides(&rules), "mailbox_full");
        reloader.look().await;
        counted("loaded", 0);

        std::fs::write(&file, RULE.replace("mailbox_full", "mailbox_inactive")).unwrap();
        reloader.look().await;
        assert_eq!(decides(&rules), "mailbox_inactive");
        counted("loaded", 1);

        std::fs::write(&file, RULE.replace("mailbox_full", "no_such_reason")).unwrap();
        reloader.look().await;
        assert_eq!(decides(&rules), "mailbox_inactive", "the old rules stay");
        counted("refused", 1);
        reloader.look().await;
        counted("refused", 1);

        std::fs::remove_file(&file).unwrap();
        reloader.look().await;
        assert_eq!(decides(&rules), "mailbox_inactive", "the old rules stay");
        counted("refused", 2);
        std::fs::write(&file, RULE).unwrap();
        reloader.look().await;
        assert_eq!(decides(&rules), "mailbox_full");
        counted("loaded", 2);
    }

    /// Waits until other rules are in force than these.
    async fn others(before: &Arc<Rules>, rules: &RulesInForce) {
        let changed = async {
            while Arc::ptr_eq(before, &rules.now()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), changed).await.expect("the rules are loaded");
    }

    #[tokio::test]
    async fn the_loop_looks_by_itself_and_when_asked_and_ends_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        for poll_interval in [Duration::from_hours(1), Duration::from_millis(1)] {
            std::fs::write(&file, RULE).unwrap();
            let config = RulesConfig { files: vec![file.clone()], poll_interval };
            let reloader = Reloader::open(&config, Arc::new(Telemetry::new([]))).unwrap();
            let (rules, asked, stop) = (reloader.rules(), reloader.asked(), CancellationToken::new());
            let before = rules.now();
            let running = tokio::spawn(reloader.run(stop.clone()));
            if poll_interval > Duration::from_secs(1) {
                asked.notify_one();
            } else {
                std::fs::write(&file, RULE.replace("mailbox_full", "mailbox_inactive")).unwrap();
            }
            others(&before, &rules).await;
            stop.cancel();
            running.await.unwrap();
        }
    }
}
