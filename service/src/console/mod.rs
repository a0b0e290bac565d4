//! The console: pages for people, at `/console`. It shows what the API tells and does what the API does, by the same functions and
//! the same rules of access; signing in turns a key into a session. Everything works without scripts.
//!
//! Every text that came in a mail or was written by a person is an attacker's until it is shown: templates escape by themselves
//! (`maud`), and [`shown`] makes visible what would otherwise act on the reader's screen without being seen. Addresses stand in
//! no path and no query, so that neither logs nor histories have them: a page about an address goes by its pseudonym.

mod address;
mod assets;
mod chart;
mod cookies;
mod csrf;
mod diagnose;
mod elements;
mod entries;
mod events;
mod faults;
mod form;
mod imports;
mod lists;
mod numbers;
mod overview;
mod page;
mod routes;
mod session;
mod shown;
mod sign_in;
mod uploads;
mod waiting;

use std::sync::Arc;

use actix_web::web;

use crate::config::Config;
use crate::console::numbers::Numbers;
use crate::console::sign_in::SignIns;
use crate::console::uploads::Uploads;
use crate::http::Pages;

/// The pages, to be installed beside the API; none if the configuration says so.
pub(crate) fn pages(config: &Config) -> Pages {
    if !config.console.enabled {
        return Arc::new(|_| ());
    }
    let sign_ins = web::Data::new(SignIns::new(config.console.sign_ins_a_minute));
    let numbers = web::Data::new(Numbers::new());
    let uploads = web::Data::new(Uploads::new(config.http.max_import.bytes() as u64 / uploads::SHARE));
    Arc::new(move |it| {
        it.app_data(sign_ins.clone()).app_data(numbers.clone()).app_data(uploads.clone());
        routes::configure(it);
    })
}

#[cfg(test)]
mod tests;
