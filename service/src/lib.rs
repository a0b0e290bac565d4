//! Rebound: mail that comes back becomes knowledge of which addresses to stop mailing.
//!
//! The modules stand in the order in which data meets them, and import only from those before them:
//!
//! ```text
//! http, inbound ─► intake ─► bounce (pure crate) ─► store ─► outbox ─► RabbitMQ
//! Receipt           Report ─► Verdict ─► Event ─► Decision ─► Message
//! ```
//!
//! An edge (`http`, and later SMTP and mailboxes) proves who brings something and hands it to [`intake`], which reads it
//! with the crate `bounce`, and commits receipt, events, decisions and messages in one transaction of [`store`]. Only then
//! is the sender told 2xx. [`outbox`] publishes what was committed. `app` puts the parts together, `cli` is the program.

pub mod clock;
pub mod config;
pub mod telemetry;
pub mod store;
pub mod outbox;
pub mod intake;
pub mod inbound;
pub mod http;
pub mod app;
pub mod cli;
