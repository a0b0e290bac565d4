//! Rebound.

pub mod config;
pub mod telemetry;
pub mod store;
pub mod outbox;
