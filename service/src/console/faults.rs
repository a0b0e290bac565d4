//! What is wrong with our own sending: failures for which the sender has to act, grouped by what has to be mended, each with the words
//! of a receiver, the help page that it names, and advice.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::web;
use bounce::classify::reason::{Fault, Reason};
use bounce::classify::{Rules, classify};
use bounce::kind::Kind;
use bounce::report::Report;
use maud::{Markup, html};
use time::OffsetDateTime;

use crate::console::elements::{Tone, ago, badge, counted, empty, number, words};
use crate::console::events::quoted;
use crate::console::form::Asked;
use crate::console::numbers::{Span, visible};
use crate::console::page::{Page, Place, capital};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::codes::MeaningView;
use crate::http::keys::Caller;
use crate::http::{Problem, State};
use crate::store::{EVENTS_LOOKED_AT, Event, EventId};

/// Failures that one look takes in, the newest.
const LOOKED_AT: u64 = 2000;
/// Receivers that a group names.
const NAMED: usize = 8;
/// Receivers whose words a group quotes: each has its own reasons, and its own page that tells what to do.
const QUOTED: usize = 3;

/// What has to be mended: one cause, and the block list if it names one.
type Key = (Fault, Reason, Option<String>);

/// Failures with one cause.
#[derive(Debug)]
struct Group {
    count: u64,
    last: OffsetDateTime,
    first: OffsetDateTime,
    /// The domains that refused, and how often.
    receivers: BTreeMap<String, u64>,
    sources: BTreeSet<String>,
    /// The newest words for mail to each domain.
    words: BTreeMap<String, String>,
    /// The newest failure.
    event: EventId,
}

/// The inbox of what only the sender can mend.
pub(super) async fn get_faults(state: web::Data<State>, visit: Visit, caller: Caller, asked: Asked) -> Result<Page, Problem> {
    let span = asked.0.word("span")?.unwrap_or(Span::Week);
    let now = state.clock.now();
    let found = state.store.senders_faults(span.window(now).since, &visible(&caller), LOOKED_AT).await?;
    let is_cut = found.len() as u64 == LOOKED_AT;
    let rules = state.rules.now();
    let groups = web::block(move || {
        let domain = |address: &str| address.rsplit_once('@').map(|it| it.1.to_owned());
        group(found.into_iter().map(|(event, who)| (event, who.address.as_deref().and_then(domain))), &rules)
    });
    let groups = groups.await.map_err(Problem::internal)?;
    let content = html! {
        p { "Receivers refused these for something about your sending, not for the address. They never block anybody; they end when you mend the cause." }
        nav.switch aria-label="Time span" {
            @for it in Span::ALL { a href={ "/console/faults?span=" (it) } aria-current=[(*it == span).then_some("true")] { (it.words()) } }
        }
        @if groups.is_empty() {
            (empty("Nobody complains of your sending.", &html! { "Blocks, listings and failed authentication will show up here, by cause." }))
        }
        @for (at, (key, group)) in groups.iter().enumerate() { (told(at, key, group, span, now)) }
        p.quiet {
            "Looked for among the newest " (number(EVENTS_LOOKED_AT)) " events"
            @if is_cut { "; of what was found, the newest " (number(LOOKED_AT)) " are shown" }
            "."
        }
    };
    Ok(Page::new(&visit, Place::Faults, "Sender faults", &content))
}

impl Group {
    /// The receivers that refused most, first.
    fn by_count(&self) -> Vec<(&String, u64)> {
        let mut receivers: Vec<_> = self.receivers.iter().map(|(domain, count)| (domain, *count)).collect();
        receivers.sort_by_key(|it| std::cmp::Reverse(it.1));
        receivers
    }

    /// The words of those that refused most, each wording once: behind many domains stands one receiver, which names the address and
    /// the message differently each time.
    fn quotes(&self) -> Vec<(&String, &String)> {
        let mut seen = BTreeSet::new();
        let quotes = self.by_count().into_iter().filter_map(|(domain, _)| Some((domain, self.words.get(domain)?)));
        quotes.filter(|(_, text)| seen.insert(wording(text))).take(QUOTED).collect()
    }
}

/// A text without what differs from mail to mail: words with digits or an `@`.
fn wording(text: &str) -> String {
    let is_common = |it: &&str| !it.contains(|it: char| it.is_ascii_digit() || it == '@');
    text.split_whitespace().filter(is_common).collect::<Vec<_>>().join(" ")
}

/// Groups failures by cause, the most frequent first.
fn group(found: impl Iterator<Item = (Event, Option<String>)>, rules: &Rules) -> Vec<(Key, Group)> {
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for (event, domain) in found {
        let said = &event.testimony;
        let (Some(fault), Some(reason)) = (said.fault, said.reason) else { continue };
        let key = (fault, reason, block_list(&event, rules));
        let group = groups.entry(key).or_insert_with(|| Group {
            count: 0,
            last: event.occurred_at,
            first: event.occurred_at,
            receivers: BTreeMap::new(),
            sources: BTreeSet::new(),
            words: BTreeMap::new(),
            event: event.id,
        });
        group.count += 1;
        group.last = group.last.max(event.occurred_at);
        group.first = group.first.min(event.occurred_at);
        let domain = domain.unwrap_or_else(|| "erased".to_owned());
        if let Some(text) = event.testimony.diagnostic {
            group.words.entry(domain.clone()).or_insert(text);
        }
        *group.receivers.entry(domain).or_default() += 1;
        group.sources.insert(event.source);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|it| std::cmp::Reverse((it.1.count, it.1.last)));
    groups
}

/// The block list that the receiver's words name. It is not recorded with the event; the rules in force find it again.
fn block_list(event: &Event, rules: &Rules) -> Option<String> {
    let mut report = Report::new(Kind::Bounce, None);
    report.diagnostic = Some(event.testimony.diagnostic.clone()?);
    classify(&report, rules).block_list
}

fn told(at: usize, (fault, reason, list): &Key, group: &Group, span: Span, now: OffsetDateTime) -> Markup {
    let meaning = MeaningView::of(*reason);
    let receivers = group.by_count();
    let title = format!("cause-{at}");
    html! {
        article.card.fault aria-labelledby=(title) {
            h2 id=(title) {
                @match list { Some(list) => { "Listed on " (shown(list)) }, None => (heading(*reason)) }
                " " (badge(Tone::Watch, &counted(group.count, "failure", "failures")))
            }
            p.quiet {
                (capital(fault.as_str())) ", " (words(reason.as_str())) ". Last " (ago(group.last, now))
                @if group.first != group.last { ", first " (ago(group.first, now)) }
                ". By " @for (nth, it) in group.sources.iter().enumerate() { @if nth > 0 { ", " } (it) } "."
            }
            p { (meaning.explanation) }
            p.advice { strong { "What to do: " } (meaning.advice) }
            @for (domain, text) in group.quotes() {
                (quoted(html! { "The words for mail to " (shown(domain)) }, text))
                @if let Some(help) = link(text) { p { "The receiver points to " a href=(help) rel="noreferrer noopener external" { (shown(&help)) } " (its own page, not checked by us)." } }
            }
            p {
                "Receivers: "
                @for (domain, count) in receivers.iter().take(NAMED) {
                    a href={ "/console/events?reason=" (reason) "&domain=" (domain) "&span=" (span) } { (shown(domain)) } " (" (count) ") "
                }
                @if receivers.len() > NAMED { "and " (receivers.len() - NAMED) " more" }
            }
            p.links { a href={ "/console/events?reason=" (reason) "&span=" (span) } { "All of these events" } " " a href={ "/console/events/" (group.event) } { "The newest one" } }
        }
    }
}

/// A cause as one would name it to whoever has to mend it.
fn heading(reason: Reason) -> String {
    match reason {
        Reason::AuthFailure => "SPF, DKIM or DMARC fails".to_owned(),
        Reason::RateLimited => "Too much at once".to_owned(),
        Reason::ReputationBlock => "Blocked for reputation".to_owned(),
        Reason::DnsblListed => "Listed on a block list".to_owned(),
        Reason::SpamContent => "Taken for spam".to_owned(),
        Reason::PolicyRejected => "Refused by policy".to_owned(),
        Reason::ReverseDns => "Reverse DNS or HELO fails".to_owned(),
        other => capital(&words(other.as_str())),
    }
}

/// The first page that a text points to, if it is one that a browser may open: https, a name of a host and no credentials.
fn link(text: &str) -> Option<String> {
    let at = text.find("https://").or_else(|| text.find("http://"))?;
    let rest = text.get(at..)?;
    let end = rest
        .find(|it: char| it.is_whitespace() || it.is_control() || "<>\"'`()[]{}\\".contains(it) || !it.is_ascii())
        .unwrap_or(rest.len());
    let url = url::Url::parse(rest.get(..end)?.trim_end_matches(['.', ',', ';', ':', '!'])).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.domain().is_some();
    is_plain.then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_receiver_is_quoted_once_and_those_that_refuse_most_come_first() {
        let said = [
            ("a.example", 1, "550 5.7.1 see https://a.example/help"),
            ("b.example", 9, "554 <jane@b.example> your host 192.0.2.1 sends spam"),
            ("c.example", 5, "554 <john@c.example> your host 192.0.2.7 sends spam"),
            ("d.example", 4, "421 too many complaints"),
            ("e.example", 3, "451 come back later"),
            ("f.example", 2, "554 not now"),
        ];
        let group = Group {
            count: 24,
            last: OffsetDateTime::UNIX_EPOCH,
            first: OffsetDateTime::UNIX_EPOCH,
            receivers: said.iter().map(|(domain, count, _)| ((*domain).to_owned(), *count)).collect(),
            sources: BTreeSet::new(),
            words: said.iter().map(|(domain, _, text)| ((*domain).to_owned(), (*text).to_owned())).collect(),
            event: EventId(uuid::Uuid::nil()),
        };
        let quoted: Vec<&str> = group.quotes().into_iter().map(|it| it.0.as_str()).collect();
        assert_eq!(quoted, ["b.example", "d.example", "e.example"], "c.example says what b.example says");
    }

    #[test]
    fn a_page_that_a_receiver_names_is_found_and_nothing_else() {
        for (text, found) in [
            ("550 5.7.1 blocked, see https://help.example.com/block?id=1. Bye", Some("https://help.example.com/block?id=1")),
            ("550 <http://example.org/why>", Some("http://example.org/why")),
            ("550 javascript:alert(1)", None),
            ("550 https://user:secret@example.org/", None),
            ("550 https://127.0.0.1/", None),
            ("550 https://example.org/\u{202e}gpj.exe", Some("https://example.org/")),
            ("550 https://", None),
        ] {
            assert_eq!(link(text).as_deref(), found, "{text}");
        }
    }
}
