//! The end-to-end tests: one binary, one file per flow and scenario.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test does not expect ends it")]

mod checks_together;
mod cli_classify;
mod cli_demo;
mod cli_erase;
mod cli_evaluate;
mod cli_ingest;
mod cli_lists;
mod cli_reprocess;
mod cli_serve;
mod cli_suppressions;
mod lists;
mod one_failure;
mod plans;
mod privacy_erase;
mod relay_blocked;
mod relay_fixture;
mod relay_outages;
mod relay_publishes;
mod relay_replicas;
mod relay_returns;
mod reprocess_converges;
mod retention;
mod river;
mod river_killed;
mod servers;
mod store_commit;
mod store_convergence;
mod store_schema;
