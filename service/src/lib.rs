//! Rebound.

pub mod config;
pub mod store;
