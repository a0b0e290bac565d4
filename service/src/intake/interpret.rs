//! From what an arrival says to what is recorded of it: which list, which address, how much weight, under which keys. Pure.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bounce::address::Address;
use bounce::classify::Verdict;
use bounce::esp::{Answer, Decoded, Request, SetAside};
use bounce::kind::{Attribution, Kind};
use bounce::policy::Weight;
use bounce::report::{Note, Report};
use bounce::token::TokenError;
use time::OffsetDateTime;
use time::macros::datetime;

use zstd::bulk::Compressor;

use super::{Arrival, READ_ELSEWHERE_FROM, Source};
use crate::config::{ListFrom, Unattributed};
use crate::store::{Incoming, IncomingDelivery, IncomingFact, Keep, List, ReceiptId, ReceiptState, Testimony, kept, sha256, without_nul};

/// Before this nobody sent newsletters that could still bounce; a time that says otherwise is a broken clock.
const EARLIEST: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);
/// Octets kept of a diagnostic.
const DIAGNOSTIC_LIMIT: usize = 4096;
/// Octets kept of a name or id.
const NAME_LIMIT: usize = 1024;
/// Level of compression, the fastest. The default of zstd (3) takes longer and leaves bounces of a few kB one percent smaller.
const LEVEL: i32 = 1;

/// What is to be recorded of an arrival, and what goes back to its sender.
#[derive(Debug)]
pub(super) struct Read {
    /// What to commit, if anything.
    pub incoming: Option<Incoming>,
    /// What the whole is.
    pub kind: Kind,
    /// Who wrote it, as far as known.
    pub dialect: &'static str,
    /// What was odd.
    pub notes: Vec<Note>,
    /// What the provider wants to hear.
    pub answer: Answer,
    /// Requests to carry out.
    pub requests: Vec<Request>,
}

/// Turns reports with their verdicts into facts.
pub(super) fn read(arrival: &Arrival, decoded: Decoded, verdicts: Vec<Verdict>, rules_version: &str, max_fact_age: Duration) -> Read {
    let Decoded { reading, unrecognised, set_aside, requests, answer } = decoded;
    let mut notes = reading.notes;
    let mut incoming = receipt(arrival, ReceiptState::Processed, None);
    let mut nameless = 0;
    let complainants = verdicts.iter().filter(|it| it.kind == Kind::Complaint).count();
    for (report, verdict) in reading.reports.iter().zip(verdicts) {
        if verdict.kind == Kind::Other {
            continue;
        }
        let mut candidates = report.named();
        if reading.reports.len() == 1 {
            candidates.extend(report.returned_to());
        }
        let proved = proved(arrival, report, candidates, &mut notes);
        let Some(address) = proved.as_ref().map(|it| it.address.clone()).or_else(|| report.recipient.clone()) else {
            nameless += 1;
            continue;
        };
        let attribution = if proved.is_some() { Attribution::Attributed } else { arrival.attribution };
        let list = list_of(arrival, report, proved.as_ref(), &mut notes);
        let (occurred_at, too_old) = occurred(report, arrival.received_at, max_fact_age);
        if too_old {
            notes.push(Note(format!(
                "happened on {}, longer ago than intake.max_fact_age: recorded, but it counts for nothing",
                occurred_at.date()
            )));
        }
        let message_keys = message_keys(&arrival.source, report, &verdict, occurred_at);
        let is_test = bounce::esp::is_test(arrival.source.provider, &address);
        if is_test {
            notes.push(Note("about a test recipient of the provider: recorded, but it counts for nothing".to_owned()));
        }
        let weight = if too_old || is_test { Weight::None } else { weight(attribution, &arrival.source) };
        if verdict.kind == Kind::Delivered {
            if weight != Weight::Full {
                notes.push(Note("a delivery that nobody vouches for lifts nothing".to_owned()));
                continue;
            }
            incoming.deliveries.push(IncomingDelivery { list, address, occurred_at, message_keys });
            continue;
        }
        incoming.facts.push(IncomingFact {
            list,
            testimony: testimony(report, &verdict, rules_version),
            attribution,
            // Who complained is a guess where several are named: the provider names all it may have been.
            weight: if verdict.kind == Kind::Complaint && complainants > 1 { weight.min(Weight::Provisional) } else { weight },
            occurred_at,
            message_keys,
            address,
        });
    }
    if nameless > 0 {
        notes.push(Note(format!("{nameless} reports name no recipient")));
    }
    incoming.set_aside = set_aside.into_iter().map(|it| aside(arrival, it)).collect();
    let facts = incoming.facts.len() + incoming.deliveries.len();
    if unrecognised > 0 || (facts == 0 && nameless > 0) {
        incoming.state = ReceiptState::Unrecognised;
        incoming.error = Some(notes.first().map_or_else(|| "nothing in it was understood".to_owned(), |it| it.0.clone()));
    }
    if facts == 0 && incoming.state == ReceiptState::Processed {
        // Nothing that is recorded would lead from whom it names to its raw bytes, to show them or to remove them.
        incoming.keep = Keep::Facts;
    }
    if incoming.facts.is_empty() && !incoming.deliveries.is_empty() && unrecognised == 0 && notes.is_empty() {
        incoming.keep = Keep::Nothing;
    }
    let mut nothing_to_keep = facts == 0 && incoming.state == ReceiptState::Processed && notes.is_empty();
    if nothing_to_keep && !incoming.tokens.is_empty() {
        // The post does not matter, but its token must not prove another one.
        incoming.keep = Keep::Nothing;
        nothing_to_keep = false;
    }
    Read { incoming: (!nothing_to_keep).then_some(incoming), kind: reading.kind, dialect: reading.dialect, notes, answer, requests }
}

/// A receipt that could not be read for a fault of ours.
pub(super) fn quarantined(arrival: &Arrival, why: &str) -> Read {
    let incoming = receipt(arrival, ReceiptState::Quarantined, Some(why.to_owned()));
    Read {
        incoming: Some(incoming),
        kind: Kind::Other,
        dialect: "none",
        notes: vec![Note(why.to_owned())],
        answer: Answer::ok(),
        requests: Vec::new(),
    }
}

/// A receipt that says nothing yet.
pub(super) fn receipt(arrival: &Arrival, state: ReceiptState, error: Option<String>) -> Incoming {
    // Handed in for two lists, the same bytes are two receipts.
    let list = arrival.list.as_ref().map(|it| it.id.0);
    Incoming {
        id: ReceiptId::new(),
        source: arrival.source.name.clone(),
        digest: sha256(&[&arrival.bytes, list.as_ref().map(uuid::Uuid::as_bytes).map_or(&[][..], |it| it)]),
        list: arrival.list.clone().unwrap_or_else(|| arrival.source.list.clone()),
        received_at: kept(arrival.received_at),
        media_type: arrival.media_type.trim().to_owned(),
        size: arrival.bytes.len(),
        // Writing into memory cannot fail; if it did, the raw bytes are kept rather than nothing.
        body: compressed(&arrival.bytes).unwrap_or_else(|_| arrival.bytes.to_vec()),
        state,
        error,
        attribution: arrival.attribution,
        facts: Vec::new(),
        deliveries: Vec::new(),
        tokens: arrival.tokens.clone(),
        set_aside: Vec::new(),
        keep: Keep::Receipt,
    }
}

/// A small body is compressed with what its thread keeps for that: making it anew takes as long as compressing.
fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static KEPT: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    if bytes.len() >= READ_ELSEWHERE_FROM {
        return zstd::bulk::compress(bytes, LEVEL);
    }
    KEPT.with_borrow_mut(|kept| match kept {
        Some(it) => it.compress(bytes),
        None => kept.insert(Compressor::new(LEVEL)?).compress(bytes),
    })
}

/// A receipt for one event of a post that is not understood; alone it is a post that can be read again.
fn aside(arrival: &Arrival, event: SetAside) -> Incoming {
    let alone = Arrival { media_type: "application/json".to_owned(), bytes: event.bytes.into(), tokens: Vec::new(), ..arrival.clone() };
    receipt(&alone, ReceiptState::Unrecognised, Some(event.why))
}

/// Whom and which list a token of ours names.
struct Proved {
    address: Address,
    list: String,
}

/// What a token proves that the report brought back: that whoever wrote it had our message to one of the candidates. The
/// token then also tells which of them was mailed.
fn proved(arrival: &Arrival, report: &Report, candidates: Vec<Address>, notes: &mut Vec<Note>) -> Option<Proved> {
    let keys = &arrival.source.tokens;
    if keys.is_empty() || report.hints.tokens.is_empty() {
        return None;
    }
    let mut refusal = TokenError::UnknownKey;
    for address in candidates {
        for token in &report.hints.tokens {
            match keys.check(token, &address, arrival.received_at) {
                Ok(key) => return Some(Proved { list: key.list().to_owned(), address }),
                Err(TokenError::UnknownKey | TokenError::Malformed) => {}
                // A token that was made for this recipient once says more than one made for another.
                Err(error) if refusal == TokenError::UnknownKey || error != TokenError::Mismatch => refusal = error,
                Err(_) => {}
            }
        }
    }
    // Other people's return paths may look like ours, and say nothing about us.
    if refusal != TokenError::UnknownKey {
        notes.push(Note(format!("a token of a signed return path came back and proves nothing: {refusal}")));
    }
    None
}

/// The list that the report names, if the source may be believed in that; else the default one.
fn list_of(arrival: &Arrival, report: &Report, proved: Option<&Proved>, notes: &mut Vec<Note>) -> Arc<List> {
    let default = || arrival.list.clone().unwrap_or_else(|| arrival.source.list.clone());
    let named = arrival.source.list_from.iter().find_map(|from| match from {
        ListFrom::Token => proved.map(|it| it.list.clone()),
        ListFrom::Tag(name) => report.hints.tags.get(name).cloned(),
        ListFrom::Header(name) if name == "list-id" => report.hints.list_id.clone(),
        ListFrom::Header(name) => report.hints.headers.get(name).cloned(),
    });
    match named {
        None => default(),
        Some(name) => arrival.source.within.get(name.trim()).cloned().unwrap_or_else(|| {
            notes.push(Note("the report names a list that is not within this source's lists; the default list was used".to_owned()));
            default()
        }),
    }
}

/// When it happened, never after it was received; and whether that is too long ago to count.
fn occurred(report: &Report, received_at: OffsetDateTime, max_fact_age: Duration) -> (OffsetDateTime, bool) {
    let said = report.occurred_at.filter(|it| *it >= EARLIEST).unwrap_or(received_at);
    let at = kept(said.min(received_at));
    (at, received_at - at > max_fact_age)
}

/// Keys of the message: every id it carries; where it has none, the provider's id of the event, else day and reason.
fn message_keys(source: &Source, report: &Report, verdict: &Verdict, occurred_at: OffsetDateTime) -> Vec<String> {
    let name = source.provider.name();
    let provider = if source.provider.has_global_ids() { name.to_owned() } else { format!("{name}/{}", source.name) };
    let canonical = |it: &str| it.trim().trim_matches(['<', '>']).to_owned();
    let ids = [("message", &report.message_id), ("envelope", &report.envelope_id)];
    let mut keys: Vec<String> = ids
        .iter()
        .filter_map(|(name, it)| it.as_deref().map(canonical).filter(|it| !it.is_empty()).map(|it| format!("{name}:{it}")))
        .collect();
    if let Some((provider, id)) = report.message_id.as_deref().map(canonical).as_deref().and_then(bounce::esp::id_within) {
        keys.push(format!("provider:{provider}:{id}"));
    }
    if let Some(id) = report.provider_message_id.as_deref().map(canonical).filter(|it| !it.is_empty()) {
        keys.push(format!("provider:{provider}:{id}"));
    }
    if keys.is_empty() {
        let reason = verdict.reason.map_or("none", bounce::classify::reason::Reason::as_str);
        let event = report.provider_event_id.as_deref().filter(|it| !it.is_empty());
        keys.push(event.map_or_else(|| format!("day:{}:{reason}", occurred_at.date()), |id| format!("event:{provider}:{id}")));
    }
    keys
}

fn weight(attribution: Attribution, source: &Source) -> Weight {
    match (attribution, source.unattributed) {
        (Attribution::Unattributed, Unattributed::Provisional) => Weight::Provisional,
        (Attribution::Unattributed, Unattributed::Record) => Weight::None,
        _ => Weight::Full,
    }
}

fn testimony(report: &Report, verdict: &Verdict, rules_version: &str) -> Testimony {
    let name = |it: &Option<String>| it.as_deref().map(|it| clean(it, NAME_LIMIT)).filter(|it| !it.is_empty());
    Testimony {
        kind: verdict.kind,
        bounce_type: verdict.bounce_type,
        reason: verdict.reason,
        fault: verdict.fault,
        status: verdict.status,
        reply: verdict.reply,
        stage: verdict.stage,
        diagnostic: report.diagnostic.as_deref().or(report.text.as_deref()).map(|it| clean(it, DIAGNOSTIC_LIMIT)),
        feedback_type: report.feedback_type,
        reporting_mta: name(&report.reporting_mta),
        remote_mta: name(&report.remote_mta),
        message_id: name(&report.message_id).or_else(|| name(&report.provider_message_id)),
        provider_event_id: name(&report.provider_event_id),
        rule: verdict.rule.0.clone(),
        rules_version: rules_version.to_owned(),
    }
}

/// Text as both databases keep it, cut at a character.
fn clean(text: &str, limit: usize) -> String {
    let end = (0..=limit.min(text.len())).rev().find(|it| text.is_char_boundary(*it)).unwrap_or_default();
    without_nul(text.get(..end).unwrap_or_default())
}
