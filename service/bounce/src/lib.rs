//! Reads what comes back when mail is not delivered. Bytes in, meaning out: no I/O, no clock, no environment.
//!
//! A mail becomes a [`report::Reading`] with one [`report::Report`] for each recipient; a report becomes a
//! [`classify::Verdict`]; recorded facts become what lists say ([`policy::decide`]). Posts of mail providers join at the
//! report ([`esp`]).

mod vocabulary;

pub mod address;
pub mod classify;
pub mod esp;
pub mod evaluate;
pub mod kind;
pub mod limits;
pub mod mail;
pub mod mta;
pub mod policy;
pub mod report;
pub mod status;
pub mod token;
