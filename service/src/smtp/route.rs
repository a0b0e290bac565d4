//! Which source a recipient belongs to. Nothing else is taken: a listener that takes what nobody reads is a relay or a hole.

use std::sync::Arc;

use bounce::address::Address;

use crate::config::{RecipientPattern, SourceConfig};

/// The sources of the configuration by the addresses that they get mail of.
#[derive(Debug, Default)]
pub(super) struct Routes(Vec<(RecipientPattern, Arc<str>)>);

impl Routes {
    /// Those of a configuration, which lets each address belong to one source.
    pub(super) fn new(sources: &[SourceConfig]) -> Self {
        let of = |source: &SourceConfig| {
            let name: Arc<str> = source.name.as_str().into();
            source.recipients.iter().cloned().map(move |it| (it, name.clone())).collect::<Vec<_>>()
        };
        Self(sources.iter().flat_map(of).collect())
    }

    /// The source of a recipient, as the client wrote it.
    pub(super) fn source(&self, recipient: &str) -> Option<&Arc<str>> {
        let address = Address::parse(recipient).ok()?;
        self.0.iter().find(|(pattern, _)| pattern.matches(&address)).map(|(_, source)| source)
    }
}
