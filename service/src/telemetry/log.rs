//! Where log lines go: stderr, as text or JSON, each line scrubbed of addresses on its way out. By construction none
//! should be there (addresses display redacted, errors go through [`chain()`](super::chain())); the scrubbing is for what
//! other libraries say.

use std::any::Any;
use std::io::{self, IsTerminal as _, Write};
use std::panic::Location;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, TelemetryConfig};
use crate::telemetry::chain::{Quotes, scrub_line};

/// Libraries that tell statements, frames and requests at levels below `warn`. What the operator's filter says of them
/// comes later and so wins. lapin would show every message that is returned, addresses and all, as octets that no scrubbing
/// finds; what fails in it comes to the relay as an error and is told there. The dispatchers would tell as an error of ours
/// every broken request of a stranger.
const QUIET: &str = "sqlx=warn,sea_orm=warn,sea_orm_migration=warn,lapin=off,hyper=warn,reqwest=warn,rustls=warn,actix_server=warn,\
                     actix_http=warn,actix_http::h1::dispatcher=off,actix_http::h2::dispatcher=off,\
                     actix_web=warn,mio=warn,h2=warn";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read; validation of the configuration finds this first.
    #[error("telemetry.log_filter is not a filter")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Something else in this process logs already.
    #[error("logging has been set up already")]
    Again(#[source] tracing_subscriber::util::TryInitError),
}

/// Starts logging to stderr for the whole process, panics included. Once, before anything else; tests leave it out.
///
/// # Errors
/// When the filter cannot be read or logging has been set up already.
pub fn init(config: &TelemetryConfig) -> Result<(), LogError> {
    let json = match config.log_format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let filter = filter(&config.log_filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer();
    if json {
        let lines = lines.with_writer(Scrubbed { to: io::stderr, quotes: Quotes::Escaped });
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        registry.with(lines).try_init().map_err(LogError::Again)?;
    } else {
        let colour = io::stderr().is_terminal();
        let lines = lines.with_writer(Scrubbed { to: io::stderr, quotes: Quotes::Any });
        registry.with(lines.with_ansi(colour)).try_init().map_err(LogError::Again)?;
    }
    std::panic::set_hook(Box::new(|panic| panicked(panic.payload(), panic.location())));
    Ok(())
}

/// Logs a panic. The ready-made hook would print its message as it is, and that of a slice out of bounds quotes the text
/// that was sliced; so only a message that is a literal is shown.
fn panicked(payload: &(dyn Any + Send), location: Option<&Location<'_>>) {
    let message = payload.downcast_ref::<&'static str>().copied().unwrap_or("a message that may hold data");
    let location = location.map(tracing::field::display);
    tracing::error!(target: "rebound::failure", location, "panicked: {message}");
}

fn filter(directives: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(format!("{QUIET},{directives}")).map_err(LogError::Filter)
}

/// A writer that scrubs each line. The formatter hands over whole lines.
#[derive(Debug, Clone, Copy)]
struct Scrubbed<M> {
    to: M,
    quotes: Quotes,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Scrubbed<M> {
    type Writer = Scrubbed<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Scrubbed { to: self.to.make_writer(), quotes: self.quotes }
    }
}

impl<W: Write> Write for Scrubbed<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.to.write_all(scrub_line(&String::from_utf8_lossy(line), self.quotes).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Lines that were logged inside `during`.
    pub(in crate::telemetry) fn logged(during: impl FnOnce()) -> String {
        let lines = Lines::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(Scrubbed { to: lines.clone(), quotes: Quotes::Escaped })
            .json()
            .without_time()
            .flatten_event(true);
        let subscriber = tracing_subscriber::registry().with(filter("debug").unwrap()).with(layer);
        tracing::subscriber::with_default(subscriber, during);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn no_line_holds_an_address_whoever_wrote_it() {
        let lines = logged(|| {
            tracing::error!(target: "some_library", "cannot insert jane@example.org\n and \"jane doe\"@example.org");
            tracing::warn!(who = "jane@example.org", seen = %bounce::address::Address::parse("jane@example.org").unwrap(), "odd");
        });
        assert!(!lines.contains("jane") && lines.contains("j…@example.org"), "{lines}");
        let parsed: Vec<serde_json::Value> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        assert_eq!(parsed.len(), 2);
    }

    #[test]
    fn a_panic_is_logged_without_data() {
        let lines = logged(|| {
            panicked(&"out of luck", Some(Location::caller()));
            panicked(&"byte index 1 of `jane`".to_owned(), None);
        });
        assert!(lines.contains("panicked: out of luck") && lines.contains("log.rs:") && !lines.contains("jane"), "{lines}");
    }

    #[test]
    fn libraries_are_quiet_unless_asked_for() {
        let lines = logged(|| {
            tracing::debug!(target: "sqlx::query", "select");
            tracing::warn!(target: "lapin::returned_messages", "frame");
            tracing::warn!(target: "sqlx::query", "slow");
            tracing::debug!(target: "rebound::intake", "ours");
        });
        assert!(!lines.contains("select") && !lines.contains("frame") && lines.contains("slow") && lines.contains("ours"), "{lines}");
        assert!(filter("debug,sqlx=debug").unwrap().to_string().contains("sqlx=debug"));
        assert!(filter("service=loud").is_err());
    }
}
