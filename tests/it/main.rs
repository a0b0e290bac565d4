//! The end-to-end tests: one binary, one file per flow and scenario.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test does not expect ends it")]

mod servers;
mod store_commit;
mod store_convergence;
mod store_schema;
