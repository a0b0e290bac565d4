//! Rebound: mail that comes back becomes knowledge of which addresses to stop mailing.
//!
//! The modules stand in the order of what they build on, and import only from those before them. Data enters at the end of
//! the list and sinks to its beginning:
//!
//! ```text
//! http, smtp ─► inbound ─► intake ─► crate bounce ─► intake ─► store ─► outbox ─► RabbitMQ
//!         Receipt               Report ─► Verdict        Event ─► Decision ─► Message
//! ```
//!
//! An edge (`http`, [`smtp`], [`mailbox`]) proves who brings something and hands it to [`intake`], which has the crate
//! `bounce` read and judge it, and commits receipt, events, decisions and messages in one transaction of [`store`]. Only then
//! is the sender told 2xx; while the database is away, once the receipt is safe in the [`spool`]. [`outbox`] publishes what was committed. [`app`] puts the parts together, [`cli`] is the program;
//! [`transfer`] brings whole lists in and out, written as [`listing`] reads and writes them;
//! the console shows people what [`http`] tells programs;
//! [`config`] is read once at the start, [`tls`] keeps the certificates of the edges, and [`telemetry`] and [`clock`] serve all.

pub mod clock;
pub mod config;
pub mod telemetry;
pub mod tls;
pub mod listing;
pub mod store;
pub mod outbox;
pub mod spool;
pub mod intake;
pub mod inbound;
pub mod mailbox;
pub mod transfer;
pub mod smtp;
pub mod http;
pub(crate) mod console;
pub mod app;
pub mod cli;
