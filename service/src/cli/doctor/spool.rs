//! The spool: whether its folder can be written, has room, and holds what waits for a person.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::config::SpoolConfig;

const AREA: &str = "spool";

/// Looks at it, if there is one.
pub(super) fn look(config: &SpoolConfig) -> Vec<Finding> {
    if !config.enabled {
        return vec![Finding::skipped(AREA, "is off (spool.enabled): while the database is away senders are told to come again")];
    }
    let Some(folder) = nearest(&config.path) else {
        let what = format!("{} cannot be made: nothing above it is there", config.path.display());
        return vec![Finding::unusable(AREA, what, "correct spool.path, or make the folder above it")];
    };
    if let Err(error) = try_out(&folder) {
        let remedy =
            "let the service's user write there (is this run as that user?), or correct spool.path; in Kubernetes it needs a volume";
        return vec![Finding::unusable(AREA, format!("{} cannot be written: {error}", folder.display()), remedy)];
    }
    let mut findings = vec![room(&folder, config.max_bytes.0 as u64)];
    for (place, remedy) in [
        ("held", "put the source or list back that they came by, and restart"),
        ("failed", "report it; move them to new/ after an update, and restart"),
        ("corrupt", "check the disk; what was whole in them is committed"),
    ] {
        let count = std::fs::read_dir(config.path.join(place)).map_or(0, Iterator::count);
        if count > 0 {
            findings.push(Finding::warning(AREA, format!("{count} files in {place}/ wait for a person"), remedy));
        }
    }
    findings
}

/// The folder, or the one above it in which it would be made.
fn nearest(path: &Path) -> Option<PathBuf> {
    let here = Path::new(".");
    path.ancestors().map(|it| if it.as_os_str().is_empty() { here } else { it }).find(|it| it.exists()).map(Path::to_owned)
}

/// Makes a file in a folder and takes it away again.
fn try_out(folder: &Path) -> std::io::Result<()> {
    let file = folder.join(format!(".rebound-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&file)?.sync_all()?;
    std::fs::remove_file(&file)
}

fn room(folder: &Path, max: u64) -> Finding {
    let free = match rustix::fs::statvfs(folder) {
        Ok(it) => it.f_bavail.saturating_mul(it.f_frsize),
        Err(error) => return Finding::warning(AREA, format!("the room on its disk cannot be told: {error}"), "look at `df`"),
    };
    let what = format!("{} can be written; {} are free, and it may take {}", folder.display(), size(free), size(max));
    if free < max { Finding::warning(AREA, what, "free the disk, or lower spool.max_bytes") } else { Finding::ok(AREA, what) }
}

fn size(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Health;
    use super::*;
    use crate::config::Size;

    fn health(config: &SpoolConfig) -> Vec<Health> {
        look(config).iter().map(|it| it.health).collect()
    }

    #[test]
    fn a_folder_is_looked_at_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let config = SpoolConfig { path: folder.path().join("a/b"), max_bytes: Size(1 << 10), ..SpoolConfig::default() };
        assert_eq!(health(&config), [Health::Ok]);
        assert!(!folder.path().join("a").exists(), "a look makes nothing");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let config = SpoolConfig { max_bytes: Size(1 << 50), ..config };
        assert_eq!(health(&config), [Health::Warning]);
        std::fs::write(folder.path().join("a"), "no folder").unwrap();
        assert_eq!(health(&config), [Health::Unusable]);
    }

    #[test]
    fn what_was_set_aside_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = SpoolConfig { path: folder.path().to_owned(), max_bytes: Size(1 << 10), ..SpoolConfig::default() };
        std::fs::create_dir(folder.path().join("held")).unwrap();
        std::fs::write(folder.path().join("held/one"), "").unwrap();
        assert_eq!(health(&config), [Health::Ok, Health::Warning]);
    }
}
