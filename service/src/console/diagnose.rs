//! A bounce or a reply in, what it means out. Nothing is recorded.

use actix_web::web;
use bytes::Bytes;
use maud::{Markup, html};

use crate::console::elements::{Tone, badge, kind_badge, token_field, words};
use crate::console::events::quoted;
use crate::console::form::Form;
use crate::console::overview::fault_badge;
use crate::console::page::{Page, Place};
use crate::console::session::Visit;
use crate::console::shown::shown;
use crate::http::{Diagnosis, Finding, Input, Problem, State, diagnose};

/// Lines that a message begins with; a reply of a server does not.
const HEADERS: [&str; 9] =
    ["return-path:", "received:", "from:", "to:", "date:", "subject:", "delivered-to:", "mime-version:", "content-type:"];

/// The page where one pastes.
pub(super) async fn get_diagnose(visit: Visit) -> Page {
    page(&visit, "", None)
}

/// Diagnoses what was pasted.
pub(super) async fn post_diagnose(state: web::Data<State>, visit: Visit, form: Form) -> Result<Page, Problem> {
    let text = form.0.get("text").unwrap_or_default().to_owned();
    if text.is_empty() {
        return Ok(page(&visit, "", None));
    }
    let input = if is_message(&text) { Input::Message(Bytes::from(text.clone())) } else { Input::Reply(text.clone()) };
    let rules = state.rules.now();
    // Off the thread that serves requests; a panic ends there too.
    let diagnosis = web::block(move || diagnose(&input, &rules)).await.map_err(Problem::internal)?;
    Ok(page(&visit, &text, Some(&diagnosis)))
}

/// Whether a text is a message rather than a reply.
fn is_message(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default().to_ascii_lowercase();
    first.starts_with("from ") || HEADERS.iter().any(|it| first.starts_with(it)) || {
        let headers = text.lines().take_while(|it| !it.trim().is_empty());
        headers.filter(|it| HEADERS.iter().any(|header| it.to_ascii_lowercase().starts_with(header))).count() >= 2
    }
}

fn page(visit: &Visit, text: &str, diagnosis: Option<&Diagnosis>) -> Page {
    let content = html! {
        @if let Some(it) = diagnosis { (told(it)) }
        form.card method="post" action="/console/diagnose" {
            (token_field(visit))
            label for="text" { "A bounce message with its headers, or a reply of a mail server" }
            textarea #text name="text" rows="12" spellcheck="false" required placeholder="550 5.1.1 <jane@example.org>: Recipient address rejected: User unknown" { (text) }
            p.quiet { "Nothing is recorded, and no list changes." }
            button.primary type="submit" { "Diagnose" }
        }
    };
    Page::new(visit, Place::Diagnose, "Diagnose", &content)
}

fn told(it: &Diagnosis) -> Markup {
    html! {
        section.diagnosis aria-label="Diagnosis" {
            @if it.reports.is_empty() {
                div.card {
                    p.lead { (kind_badge(it.kind, None)) " This reports no failure of a recipient." }
                    p.quiet { "If it is a bounce, paste the whole message with all of its headers, as it came." }
                }
            }
            @for finding in &it.reports { (found(finding)) }
            @if it.dialect.is_some() || !it.notes.is_empty() {
                div.card {
                    dl.facts {
                        @if let Some(dialect) = it.dialect { dt { "Written by" } dd { (words(dialect)) } }
                        @for note in &it.notes { dt { "Note" } dd { (shown(note)) } }
                    }
                }
            }
        }
    }
}

fn found(it: &Finding) -> Markup {
    html! {
        article.card {
            p.lead {
                (kind_badge(it.kind, it.bounce_type)) " "
                @if let Some(reason) = it.reason { strong { (words(reason.as_str())) } " " }
                @if let Some(fault) = it.fault { (fault_badge(fault)) }
            }
            @if let Some(recipient) = &it.recipient { p { "About " (shown(recipient)) } }
            @if let Some(meaning) = &it.meaning {
                p { (meaning.explanation) }
                p.advice { strong { "What to do: " } (meaning.advice) }
            }
            @if let Some(text) = &it.diagnostic { (quoted("What the receiver said", text)) }
            dl.facts {
                @if let Some(meaning) = &it.meaning { dt { "Who has to act" } dd { (meaning.who) } dt { "Trying again" } dd { (meaning.retry) } }
                @if let Some(code) = it.reply { dt { "Reply" } dd { (code) } }
                @if let Some(status) = &it.status { dt { "Enhanced code" } dd { (status) } }
                @if let Some(code) = &it.code { dt { "The code means" } dd { (code.name) " (" (code.source) "): " (code.explanation) } }
                @if let Some(stage) = it.stage { dt { "Refused at" } dd { (stage) } }
                @if let Some(list) = &it.block_list { dt { "Block list" } dd { (shown(list)) } }
                @if let Some(seconds) = it.retry_after_seconds { dt { "Asks to wait" } dd { (seconds) " s" } }
                dt { "Judged by" }
                dd {
                    code { (it.evidence.rule) }
                    @if let Some(matched) = &it.evidence.matched { ", which found " q { (shown(matched)) } }
                    @if !it.evidence.also.is_empty() { "; also fit: " @for also in &it.evidence.also { code { (also) } " " } }
                }
                @if let Some(source) = &it.evidence.source { dt { "Documented at" } dd { (documented(source)) } }
            }
            @if it.fault.is_some_and(bounce::classify::reason::Fault::is_senders) {
                p { (badge(Tone::Good, "no block")) " Such a failure never blocks the address: it is not the recipient's." }
            }
        }
    }
}

/// Where something is documented: links and what is said of them.
pub(super) fn documented(source: &str) -> Markup {
    html! {
        @for word in source.split_whitespace() {
            @if word.starts_with("https://") { a href=(word) rel="noreferrer noopener" { (word) } } @else { (word) }
            " "
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_something_is_documented_is_linked_and_nothing_else() {
        let shown = documented("https://github.com/zone-eu/zone-mta config/bounces.txt").into_string();
        let link = "<a href=\"https://github.com/zone-eu/zone-mta\" rel=\"noreferrer noopener\">https://github.com/zone-eu/zone-mta</a>";
        assert_eq!(shown, format!("{link} config/bounces.txt "));
        assert_eq!(documented("RFC 3463").into_string(), "RFC 3463 ");
    }

    #[test]
    fn a_message_is_told_from_a_reply() {
        for message in
            ["From: a@b.example\nSubject: x\n\nHello", "Received: by x\n\nx", "X-Spam: no\nDate: today\nTo: me\n\n550", "From jane Mon\n"]
        {
            assert!(is_message(message), "{message}");
        }
        for reply in ["550 5.1.1 User unknown", "host mx.example.org said: 550 No\nsuch user", "User unknown"] {
            assert!(!is_message(reply), "{reply}");
        }
    }
}
