//! How receipts are written into a file of the spool. Pure: bytes in, entries out, and the other way round.
//!
//! A file is entries one after another, each a head and what it announces:
//!
//! ```text
//! magic (8) │ octets of metadata (4) │ octets of body (4) │ SHA-256 of what follows the head │ SHA-256 of the head │ metadata │ body
//! ```
//!
//! Metadata is JSON, the body is the raw bytes compressed by zstd, numbers are little-endian. Both sums begin with the seal of the
//! file, which is random and part of its name: a body that looks like an entry is none, even where damage makes it stand
//! in the place of one. A head that holds is believed about lengths, so damage behind it costs one entry; past a damaged head the next one that
//! holds is searched, so that the reader goes over a file once, whatever is in it.

use bounce::kind::Attribution;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::store::{IncomingToken, ReceiptId, sha256};

/// How every entry begins. The digit is the version of this format.
const MAGIC: &[u8; 8] = b"RBSPOOL1";
/// Octets of a head.
const HEAD: usize = 8 + 4 + 4 + 32 + 32;
/// Octets of a head that its sum is about.
const SUMMED: usize = HEAD - 32;
/// Level of compression: the default of zstd.
const LEVEL: i32 = 3;
/// Most octets that one body unfolds to: more than `http.max_body` may be.
const BODY_LIMIT: usize = 1 << 30;

/// A receipt that waits on the disk: everything that is needed to read and commit it as if it came now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id, for good.
    pub id: ReceiptId,
    /// Name of its source.
    pub source: String,
    /// Name of the list it was handed in for, where that was chosen apart from the source.
    pub list: Option<String>,
    /// When it was accepted, to the microsecond.
    pub received_at: OffsetDateTime,
    /// Content type as announced.
    pub media_type: String,
    /// How well it is attributed.
    pub attribution: Attribution,
    /// The tokens that proved it and may prove no other body.
    pub tokens: Vec<IncomingToken>,
    /// The raw bytes.
    pub bytes: Bytes,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The entries that are whole, in their order.
    pub(super) entries: Vec<Entry>,
    /// How many places are damaged: an entry that does not hold, or octets that are none.
    pub(super) damaged: usize,
}

/// What stands beside the bytes of an entry.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    id: ReceiptId,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    list: Option<String>,
    /// Microseconds since 1970.
    received_at: i64,
    media_type: String,
    attribution: Attribution,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    tokens: Vec<([u8; 32], [u8; 32])>,
    size: usize,
}

/// Appends an entry to a file under that seal.
///
/// # Errors
/// When it cannot be written down, being too large.
pub(super) fn append(file: &mut Vec<u8>, seal: Uuid, entry: &Entry) -> std::io::Result<()> {
    let meta = Meta {
        id: entry.id,
        source: entry.source.clone(),
        list: entry.list.clone(),
        received_at: i64::try_from(entry.received_at.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX),
        media_type: entry.media_type.clone(),
        attribution: entry.attribution,
        tokens: entry.tokens.iter().map(|it| (it.token, it.digest)).collect(),
        size: entry.bytes.len(),
    };
    let meta = serde_json::to_vec(&meta)?;
    let body = zstd::bulk::compress(&entry.bytes, LEVEL)?;
    let length = |it: usize| u32::try_from(it).map_err(|_| std::io::Error::from(std::io::ErrorKind::FileTooLarge));
    let begin = file.len();
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&length(meta.len())?.to_le_bytes());
    file.extend_from_slice(&length(body.len())?.to_le_bytes());
    file.extend_from_slice(&sha256(&[seal.as_bytes(), b"content", &meta, &body]));
    let sum = head_sum(seal, file.get(begin..).unwrap_or_default());
    file.extend_from_slice(&sum);
    file.extend_from_slice(&meta);
    file.extend_from_slice(&body);
    Ok(())
}

/// Reads a file that was written under that seal. Never fails: what does not hold is counted.
pub(super) fn read(seal: Uuid, file: &[u8]) -> Read {
    let mut read = Read::default();
    let mut rest = file;
    // Whether what was passed over last is counted already.
    let mut is_lost = false;
    while !rest.is_empty() {
        let Some(head) = Head::read(seal, rest) else {
            read.damaged += usize::from(!is_lost);
            is_lost = true;
            rest = next_magic(rest);
            continue;
        };
        is_lost = false;
        let content = rest.get(HEAD..).unwrap_or_default();
        match head.entry(seal, content) {
            Some(entry) => read.entries.push(entry),
            None => read.damaged += 1,
        }
        rest = content.get(head.meta + head.body..).unwrap_or_default();
    }
    // A file is made with something in it.
    read.damaged += usize::from(file.is_empty());
    read
}

/// What a head that holds announces.
#[derive(Debug)]
struct Head {
    meta: usize,
    body: usize,
    sum: [u8; 32],
}

impl Head {
    fn read(seal: Uuid, bytes: &[u8]) -> Option<Self> {
        let (summed, rest) = bytes.split_at_checked(SUMMED)?;
        let sum: [u8; 32] = rest.get(..HEAD - SUMMED)?.try_into().ok()?;
        let (magic, fields) = summed.split_at_checked(MAGIC.len())?;
        if magic != MAGIC || head_sum(seal, summed) != sum {
            return None;
        }
        let length = |at: usize| Some(u32::from_le_bytes(fields.get(at..at + 4)?.try_into().ok()?) as usize);
        Some(Self { meta: length(0)?, body: length(4)?, sum: fields.get(8..)?.try_into().ok()? })
    }

    fn entry(&self, seal: Uuid, content: &[u8]) -> Option<Entry> {
        let meta = content.get(..self.meta)?;
        let body = content.get(self.meta..self.meta.checked_add(self.body)?)?;
        if sha256(&[seal.as_bytes(), b"content", meta, body]) != self.sum {
            return None;
        }
        let meta: Meta = serde_json::from_slice(meta).ok()?;
        let bytes = zstd::bulk::decompress(body, meta.size.min(BODY_LIMIT)).ok()?;
        Some(Entry {
            id: meta.id,
            source: meta.source,
            list: meta.list,
            received_at: OffsetDateTime::from_unix_timestamp_nanos(i128::from(meta.received_at) * 1000).ok()?,
            media_type: meta.media_type,
            attribution: meta.attribution,
            tokens: meta.tokens.into_iter().map(|(token, digest)| IncomingToken { token, digest }).collect(),
            bytes: bytes.into(),
        })
    }
}

fn head_sum(seal: Uuid, summed: &[u8]) -> [u8; 32] {
    sha256(&[seal.as_bytes(), b"head", summed])
}

/// From the next place on where an entry may begin, not counting the first octet.
fn next_magic(bytes: &[u8]) -> &[u8] {
    let rest = bytes.get(1..).unwrap_or_default();
    let at = rest.windows(MAGIC.len()).position(|it| it == MAGIC).unwrap_or(rest.len());
    rest.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let text = || "[a-z0-9.@/ -]{0,24}";
        let bytes = prop_oneof![proptest::collection::vec(any::<u8>(), 0..80), Just(MAGIC.to_vec()), Just([&MAGIC[..]; 9].concat())];
        let token = (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(token, digest)| IncomingToken { token, digest });
        let when = 0..4_000_000_000_000_000_i128;
        let attribution = proptest::sample::select(Attribution::ALL);
        (any::<u128>(), text(), proptest::option::of(text()), when, text(), attribution, proptest::collection::vec(token, 0..3), bytes)
            .prop_map(|(id, source, list, when, media_type, attribution, tokens, bytes)| Entry {
                id: ReceiptId(Uuid::from_u128(id)),
                source,
                list,
                received_at: OffsetDateTime::from_unix_timestamp_nanos(when * 1000).unwrap(),
                media_type,
                attribution,
                tokens,
                bytes: bytes.into(),
            })
    }

    /// A file of these entries, and where each of them ends.
    fn file(seal: Uuid, entries: &[Entry]) -> (Vec<u8>, Vec<usize>) {
        let mut file = Vec::new();
        let ends = entries.iter().map(|it| append(&mut file, seal, it).map(|()| file.len()).unwrap());
        let ends = ends.collect();
        (file, ends)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_file_cut_anywhere_gives_what_was_whole_and_invents_nothing(
            entries in proptest::collection::vec(entry(), 1..4), seal in any::<u128>().prop_map(Uuid::from_u128)
        ) {
            let (file, ends) = file(seal, &entries);
            for cut in 0..=file.len() {
                let read = read(seal, &file[..cut]);
                let whole = ends.iter().filter(|it| **it <= cut).count();
                prop_assert_eq!(&read.entries[..], &entries[..whole]);
                prop_assert_eq!(read.damaged == 0, cut > 0 && ends.contains(&cut), "at {}", cut);
            }
        }

        #[test]
        fn a_flipped_bit_costs_one_entry_at_most(
            entries in proptest::collection::vec(entry(), 1..5), seal in any::<u128>().prop_map(Uuid::from_u128), place in any::<prop::sample::Index>(), bit in 0..8_u32
        ) {
            let (mut file, ends) = file(seal, &entries);
            let at = place.index(file.len());
            file[at] ^= 1 << bit;
            let hit = ends.iter().filter(|it| **it <= at).count();
            let mut others = entries;
            others.remove(hit);
            let read = read(seal, &file);
            prop_assert_eq!((read.entries, read.damaged), (others, 1));
        }

        #[test]
        fn nothing_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in proptest::collection::vec(0..400_usize, 0..4)) {
            let mut bytes = bytes;
            for at in magic {
                let at = at.min(bytes.len());
                bytes.splice(at..at, *MAGIC);
            }
            prop_assert_eq!(read(Uuid::nil(), &bytes).entries, Vec::<Entry>::new());
        }
    }

    #[test]
    fn a_body_that_looks_like_an_entry_is_none_even_past_damage() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let forged = proptest::strategy::ValueTree::current(&entry().new_tree(&mut runner).unwrap());
        let (image, _) = file(Uuid::from_u128(1), std::slice::from_ref(&forged));
        let outer = Entry { bytes: image.clone().into(), ..forged };
        let (mut written, _) = file(Uuid::from_u128(2), &[outer]);
        // As if it had not been compressed, and its head were lost.
        written.extend_from_slice(&image);
        written[MAGIC.len()] ^= 1;
        let read = read(Uuid::from_u128(2), &written);
        assert_eq!((read.entries.len(), read.damaged), (0, 1));
    }
}
