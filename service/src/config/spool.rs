//! The spool: where receipts wait while the database is away.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Checks;
use super::read::section;
use super::values::Size;

section! {
    /// `[spool]`: the folder in which receipts are kept while the database is away.
    pub struct SpoolConfig {
        /// Whether there is one.
        pub enabled: bool = true,
        /// The folder, made if it is not there.
        pub path: PathBuf = PathBuf::from("rebound-spool"),
        /// Most bytes in the folder, set aside ones included; what comes on top is told to come again.
        pub max_bytes: Size = Size(1 << 30),
        /// Greatest receipt that is taken.
        pub max_entry: Size = Size(32 << 20),
        /// Once the oldest receipt has waited for so long no more are taken.
        pub max_age: Option<Duration> = Some(Duration::from_hours(7 * 24)),
        /// A receipt that keeps failing as if the database were away, while others are committed, is set aside after so long.
        pub set_aside_after: Duration = Duration::from_hours(1),
        /// Time the database has to commit a receipt before it goes to the folder.
        pub patience: Duration = Duration::from_secs(2),
        /// How long an API key that was used is believed while the database is away.
        pub keys_for: Duration = Duration::from_hours(24),
    }
}

impl SpoolConfig {
    /// Values for tests: none.
    #[must_use]
    pub fn for_testing() -> Self {
        Self { enabled: false, ..Self::default() }
    }

    pub(super) fn validate(&self, checks: &mut Checks) {
        checks.size("spool.max_bytes", self.max_bytes, Size(1 << 10)..=Size(1 << 50));
        checks.size("spool.max_entry", self.max_entry, Size(1 << 10)..=Size(1 << 30));
        if let Some(age) = self.max_age {
            checks.positive("spool.max_age", age);
        }
        checks.positive("spool.patience", self.patience);
    }
}
