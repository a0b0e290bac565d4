//! What a look at one thing found, and what to do about it.

use serde::Serialize;

use crate::cli::Exit;

/// How well something is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    /// As it should be.
    Ok,
    /// Not looked at, since something else is not as it should be, or it is not used.
    Skipped,
    /// It works; somebody should look at it.
    Warning,
    /// It does not work.
    Broken,
    /// It does not answer, which may pass.
    Away,
    /// The configuration cannot be used.
    Unusable,
}

impl Health {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Broken => "broken",
            Self::Away => "away",
            Self::Unusable => "unusable",
        }
    }

    /// How the program ends if this is the worst.
    pub(super) const fn exit(self) -> Exit {
        match self {
            Self::Ok | Self::Skipped | Self::Warning => Exit::Success,
            Self::Broken => Exit::Failure,
            Self::Away => Exit::Again,
            Self::Unusable => Exit::Config,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which: `database`, `broker`.
    pub area: &'static str,
    pub health: Health,
    /// What was found.
    pub what: String,
    /// What to do about it; null if nothing is to be done.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(area: &'static str, what: impl Into<String>) -> Self {
        Self { area, health: Health::Ok, what: what.into(), remedy: None }
    }

    pub(super) fn skipped(area: &'static str, what: impl Into<String>) -> Self {
        Self { area, health: Health::Skipped, what: what.into(), remedy: None }
    }

    pub(super) fn warning(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::bad(area, Health::Warning, what, remedy)
    }

    pub(super) fn broken(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::bad(area, Health::Broken, what, remedy)
    }

    pub(super) fn away(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::bad(area, Health::Away, what, remedy)
    }

    pub(super) fn unusable(area: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::bad(area, Health::Unusable, what, remedy)
    }

    fn bad(area: &'static str, health: Health, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { area, health, what: what.into(), remedy: Some(remedy.into()) }
    }
}
