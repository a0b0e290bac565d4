//! A list as a stream of octets, a page of it at a time.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use time::OffsetDateTime;

use crate::listing::{Format, Trailer, Writer, Written};
use crate::store::{Extent, Feed, List, Store, StoreError, SubjectId, kept};

/// Where an export stands.
enum Stand {
    Begin,
    After(SubjectId),
    End,
}

/// What an export is made of.
struct Export {
    store: Arc<Store>,
    list: Arc<List>,
    format: Format,
    trailer: Trailer,
    stand: Stand,
}

/// A list in a format, as it stands at that moment. The first page is read before anything is given out, so an outage is
/// told as one; a later one ends the stream with an error, and NDJSON without its last line.
///
/// # Errors
/// When the database is away.
pub async fn export(
    store: Arc<Store>,
    list: Arc<List>,
    format: Format,
    as_of: OffsetDateTime,
) -> Result<impl Stream<Item = Result<Bytes, StoreError>>, StoreError> {
    let changes_after = store.changes_end().await?.of(Feed::Changes);
    let trailer = Trailer { entries: 0, erased: 0, as_of: kept(as_of), changes_after };
    let mut export = Export { store, list, format, trailer, stand: Stand::Begin };
    let mut first = Vec::new();
    Writer::new(format).head(&mut first);
    export.page(&mut first).await?;
    Ok(stream::unfold((export, Some(first)), |(mut export, first)| async {
        if let Some(first) = first {
            return Some((Ok(Bytes::from(first)), (export, None)));
        }
        if matches!(export.stand, Stand::End) {
            return None;
        }
        let mut bytes = Vec::new();
        let page = export.page(&mut bytes).await;
        if page.is_err() {
            export.stand = Stand::End;
        }
        Some((page.map(|()| Bytes::from(bytes)), (export, None)))
    }))
}

impl Export {
    /// Writes the next page, and behind the last one the end.
    async fn page(&mut self, to: &mut Vec<u8>) -> Result<(), StoreError> {
        let extent = if self.format.is_own() { Extent::Everything } else { Extent::Blocked };
        let after = match self.stand {
            Stand::Begin => None,
            Stand::After(it) => Some(it),
            Stand::End => return Ok(()),
        };
        let page = self.store.export(&self.list, extent, after, self.trailer.as_of).await?;
        let writer = Writer::new(self.format);
        self.trailer.entries += page.entries.len() as u64;
        self.trailer.erased += page.erased;
        for (address, list, it) in page.entries {
            let written = Written {
                address,
                list: list.name.clone(),
                cause: it.cause,
                reason: it.reason,
                provisional: it.provisional,
                overrides_consent: it.overrides_consent,
                since: it.since,
                expires_at: it.expires_at,
                note: it.note,
            };
            writer.entry(to, &written);
        }
        self.stand = page.next.map_or(Stand::End, Stand::After);
        if matches!(self.stand, Stand::End) {
            writer.tail(to, &self.trailer);
        }
        Ok(())
    }
}
