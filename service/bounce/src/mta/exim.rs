//! Placeholder.
use super::Bounce;
use crate::report::Report;
pub(super) fn read(_bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    None
}
