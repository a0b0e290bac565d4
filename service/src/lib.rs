//! Rebound.

pub mod store;
