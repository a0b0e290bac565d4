//! What is told about the certificates that our edges show.

use time::OffsetDateTime;
use tracing::info;

use super::{Stage, Telemetry};

impl Telemetry {
    /// From here on an edge shows a certificate that holds until then.
    pub fn certificate_shown(&self, edge: Stage, until: OffsetDateTime) {
        self.metrics.certificate_expiry.with_label_values(&[edge.as_str()]).set(until.unix_timestamp());
    }

    /// The same of one that was read again.
    pub fn certificate_reloaded(&self, edge: Stage, until: OffsetDateTime) {
        self.certificate_shown(edge, until);
        info!(target: "rebound::tls", edge = edge.as_str(), until = %until.date(), "certificate reloaded");
    }
}
