//! Everything about a refusal that can be known before it is judged: the words in their normal form, the codes in them,
//! which status wins (reference section 4.5 of the project: the remote's own words beat a status filled in by others),
//! the command that was refused, the receiver.

use crate::classify::codes::codes;
use crate::classify::rules::pattern::Facts;
use crate::classify::rules::{Matched, Rules, Tier, Words};
use crate::classify::said::{Said, codes_in};
use crate::report::Report;
use crate::status::{Class, EnhancedStatus, SmtpReply, Stage};

/// What is known of one refusal.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    /// The words that decide, if any do: the diagnostic's, else those of the human part.
    pub(super) words: Words,
    /// The codes in the words, the decisive one first.
    pub(super) said: Vec<Said>,
    pub(super) status: Option<EnhancedStatus>,
    pub(super) reply: Option<SmtpReply>,
    pub(super) stage: Option<Stage>,
    pub(super) rule: Option<Matched<'a>>,
    /// Whether somebody said that it may work later.
    pub(super) transient: bool,
    /// Whether the words name the address that failed.
    pub(super) names_recipient: bool,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(report: &Report, rules: &'a Rules) -> Self {
        let diagnostic = Self::of_text(report, rules, report.diagnostic.as_deref().unwrap_or_default());
        let text = report.text.as_deref().filter(|it| Some(*it) != report.diagnostic.as_deref());
        let decided = |it: &Self| it.rule.is_some_and(|rule| rule.tier < Tier::Weak);
        let Some(text) = text.filter(|_| !decided(&diagnostic)) else { return diagnostic };
        let mut prose = Self::of_text(report, rules, text);
        // Prose adds words; codes and stage of the diagnostic stand closer to the refusal.
        if diagnostic.reply.is_some() || diagnostic.status.is_some_and(|it| !it.is_bare()) {
            prose.said = diagnostic.said;
            prose.status = diagnostic.status;
            prose.reply = diagnostic.reply;
            prose.transient = diagnostic.transient;
        }
        prose.stage = diagnostic.stage.or(prose.stage);
        if !decided(&prose) && diagnostic.rule.is_some() {
            prose.rule = diagnostic.rule;
        }
        prose
    }

    fn of_text(report: &Report, rules: &'a Rules, text: &str) -> Self {
        let words = rules.read(text);
        let mut said = codes_in(&words.text);
        decisive_first(&mut said);
        let first = said.first();
        let reply = report.reply.or_else(|| first.and_then(|it| it.reply)).or_else(|| said.iter().find_map(|it| it.reply));
        let own = first.and_then(|it| it.status).or_else(|| said.iter().find_map(|it| it.status));
        let status = weigh_statuses(report.status, own, reply);
        let stage = report.stage.or(words.stage());
        let facts = Facts {
            receiver: receiver_of(report, rules, &words),
            stage,
            reply,
            statuses: [own, report.status],
            diagnostic_type: report.diagnostic_type.as_deref(),
        };
        let rule = rules.best(&words, &facts);
        let classes = [report.status.map(|it| it.class), own.map(|it| it.class), reply.and_then(SmtpReply::class)];
        Self {
            transient: classes.contains(&Some(Class::Transient)),
            names_recipient: names_recipient(report, &words.text),
            words,
            said,
            status,
            reply,
            stage,
            rule,
        }
    }
}

/// Puts the code that decides first: the first that is a refusal; a greeting or go-ahead before it is only the scene.
fn decisive_first(said: &mut [Said]) {
    let refusal = |it: &Said| !matches!(it.class(), None | Some(Class::Success));
    if let Some(at) = said.iter().position(refusal) {
        said[..=at].rotate_right(1);
    }
    // `553 sorry (#5.7.1)`: the status of a reply may stand further back, as long as no other reply comes between.
    if let [first, second, ..] = said
        && first.status.is_none()
        && second.reply.is_none()
    {
        first.status = second.status;
    }
}

/// Which status speaks: that of the report, or that in the words.
fn weigh_statuses(reported: Option<EnhancedStatus>, own: Option<EnhancedStatus>, reply: Option<SmtpReply>) -> Option<EnhancedStatus> {
    let own = own.or_else(|| reply.and_then(|it| codes().undotted(it)));
    match (reported, own) {
        (None, None) => reply.and_then(SmtpReply::class).map(|class| EnhancedStatus::new(class, 0, 0)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (Some(reported), Some(own)) => {
            let vaguer = own.is_bare() || (own.detail == 0 && own.subject == reported.subject);
            let keep = reported.class == own.class && vaguer && !reported.is_bare();
            Some(if keep { reported } else { own })
        }
    }
}

fn receiver_of(report: &Report, rules: &Rules, words: &Words) -> Option<u16> {
    let host = report.remote_mta.as_deref().and_then(|it| rules.receiver_of_host(it));
    host.or_else(|| host_in(&words.text).and_then(|it| rules.receiver_of_host(it)))
        .or_else(|| report.recipient.as_ref().and_then(|it| rules.receiver_of_domain(it.domain())))
        .or_else(|| words.receiver())
}

/// The host in `host mx.example.com[192.0.2.1] said`, as Postfix and Exim write it.
fn host_in(text: &str) -> Option<&str> {
    let at = text.find("host ")?;
    let name = text[at + 5..].split([' ', '[', ':', ';', ',']).next()?;
    name.contains('.').then_some(name)
}

fn names_recipient(report: &Report, text: &str) -> bool {
    let names = |address: &str| {
        let local = address.rsplit_once('@').map_or(address, |it| it.0);
        text.contains(&address.to_ascii_lowercase()) || (local.len() > 3 && text.contains(&local.to_ascii_lowercase()))
    };
    report.recipient.as_ref().is_some_and(|it| names(it.expose()))
        || report.original_recipient.as_deref().is_some_and(names)
        || report.final_recipient.as_deref().is_some_and(names)
}
