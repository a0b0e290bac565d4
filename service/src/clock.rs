//! The only place that asks what time it is. Everything else takes the time as an argument or holds a [`Clock`], so that
//! tests can set it.

use std::sync::Arc;

use time::OffsetDateTime;

/// Tells the time.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> OffsetDateTime + Send + Sync>,
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        Self::from(OffsetDateTime::now_utc)
    }

    /// A clock that reads what it is told; for tests.
    pub fn from(read: impl Fn() -> OffsetDateTime + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read) }
    }

    /// Now, in UTC.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        (self.read)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
