//! Telemetry: what is logged and who may read the metrics.

use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use super::problem::Checks;
use super::read::section;
use super::values::words;

section! {
    /// `[telemetry]`: logs and metrics.
    pub struct TelemetryConfig {
        /// How a line of the log looks.
        pub log_format: LogFormat = LogFormat::Auto,
        /// Which lines are logged, as `tracing` writes it: `info`, `warn,rebound=debug`.
        pub log_filter: String = "info".to_owned(),
        /// Bearer token that `/metrics` asks for; none leaves it open.
        pub metrics_token: Option<SecretString> = None,
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

words!(LogFormat, "one of auto, text, json", "\"auto\"", ["auto" => LogFormat::Auto, "text" => LogFormat::Text, "json" => LogFormat::Json]);

impl TelemetryConfig {
    pub(super) fn validate(&self, checks: &mut Checks) {
        if let Err(error) = EnvFilter::builder().parse(&self.log_filter) {
            let what = format!("is not a filter: {error}");
            let value = Some(format!("\"{}\"", self.log_filter));
            checks.problem("telemetry.log_filter", value, &what, "write for example \"info\" or \"warn,rebound=debug\"");
        }
    }
}
