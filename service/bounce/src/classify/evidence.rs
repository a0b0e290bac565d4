//! Everything about a refusal that can be known before it is judged: the words in their normal form, the codes in them,
//! which status wins (reference section 4.5 of the project: the remote's own words beat a status filled in by others),
//! the command that was refused, the receiver.

use crate::classify::codes::{Disposition, codes};
use crate::classify::reason::Reason;
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
    /// The status that somebody stated.
    pub(super) stated: Option<EnhancedStatus>,
    /// The status stated, or what the reply makes of it.
    pub(super) status: Option<EnhancedStatus>,
    pub(super) reply: Option<SmtpReply>,
    pub(super) stage: Option<Stage>,
    pub(super) rule: Option<Matched<'a>>,
    /// Whether somebody said that it may work later.
    pub(super) transient: bool,
}

impl<'a> Evidence<'a> {
    pub(super) fn gather(report: &Report, rules: &'a Rules) -> Self {
        let text = report.text.as_deref().filter(|it| Some(*it) != report.diagnostic.as_deref());
        let diagnostic = rules.read(remote_words(report.diagnostic.as_deref().unwrap_or_default()));
        // Prose is looked at only where something is missing: it is long, and further from the refusal.
        let mut stage = report.stage.or(diagnostic.stage());
        let mut prose = text.filter(|_| stage.is_none()).map(|it| rules.read(it));
        stage = stage.or(prose.as_ref().and_then(Words::stage));
        let diagnostic = Self::of_words(report, rules, diagnostic, stage);
        if !diagnostic.is_telling() {
            prose = prose.or_else(|| text.map(|it| rules.read(it)));
        }
        let Some(prose) = prose.filter(|_| !diagnostic.is_telling()) else { return diagnostic };
        let mut prose = Self::of_words(report, rules, prose, stage);
        // Prose adds words; codes of the diagnostic stand closer to the refusal.
        if diagnostic.reply.is_some() || diagnostic.status.is_some_and(|it| !it.is_bare()) {
            prose.said = diagnostic.said;
            prose.stated = diagnostic.stated;
            prose.status = diagnostic.status;
            prose.reply = diagnostic.reply;
            prose.transient = diagnostic.transient;
        }
        if prose.rule.is_none_or(|it| it.tier == Tier::Weak) && diagnostic.rule.is_some() {
            prose.rule = diagnostic.rule;
        }
        prose
    }

    /// Whether nothing is left for prose to add: clear words, vague ones beside a status that says what they mean, or a
    /// status that blames the address. Prose has footers and advice, which speak of spam and viruses without meaning it.
    fn is_telling(&self) -> bool {
        let vague = self.rule.is_none_or(|it| it.tier == Tier::Weak);
        let blamed = self.stated.is_some_and(|it| it.detail != 0 && codes().status(it).disposition == Disposition::Hard);
        !vague || blamed || (self.rule.is_some() && self.said.iter().filter_map(|it| it.status).any(|it| it.detail != 0))
    }

    fn of_words(report: &Report, rules: &'a Rules, words: Words, stage: Option<Stage>) -> Self {
        let mut said = codes_in(&words.text);
        decisive_first(&mut said);
        let first = said.first();
        let reply = report.reply.or_else(|| first.and_then(|it| it.reply)).or_else(|| said.iter().find_map(|it| it.reply));
        let own = first.and_then(|it| it.status).or_else(|| said.iter().find_map(|it| it.status));
        let stated = inner_cause(weigh_statuses(report.status, own), &said);
        let status = stated.or_else(|| reply.and_then(status_of_reply));
        let facts = Facts {
            receiver: receiver_of(report, rules, &words),
            stage,
            reply,
            statuses: [own, report.status],
            diagnostic_type: report.diagnostic_type.as_deref(),
        };
        let rule = rules.best(&words, &facts);
        let classes = [report.status.map(|it| it.class), own.map(|it| it.class), reply.and_then(SmtpReply::class)];
        Self { transient: classes.contains(&Some(Class::Transient)), words, said, stated, status, reply, stage, rule }
    }
}

/// What the remote said, where a gateway of ours put its own name for the status before it:
/// `5.1.0 - Unknown address error 550-'5.7.1 Access denied'` (Cisco).
fn remote_words(text: &str) -> &str {
    let Some((status, rest)) = text.trim_start().split_once(" - ") else { return text };
    let quoted = rest.find('\'').filter(|_| status.parse::<EnhancedStatus>().is_ok());
    let start = quoted.and_then(|at| rest[..at].trim_end_matches(['-', ' ']).len().checked_sub(3));
    start.and_then(|at| rest.get(at..)).filter(|it| it.as_bytes()[..3].iter().all(u8::is_ascii_digit)).unwrap_or(text)
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
fn weigh_statuses(reported: Option<EnhancedStatus>, own: Option<EnhancedStatus>) -> Option<EnhancedStatus> {
    let (Some(reported), Some(own)) = (reported, own) else { return reported.or(own) };
    let vaguer = own.is_bare() || (own.detail == 0 && own.subject == reported.subject);
    let keep = reported.class == own.class && vaguer && !reported.is_bare();
    Some(if keep { reported } else { own })
}

/// The status a reply stands for where none was stated: 511 is 5.1.1 without dots, 550 is 5.0.0.
fn status_of_reply(reply: SmtpReply) -> Option<EnhancedStatus> {
    codes().undotted(reply).or_else(|| reply.class().map(|class| EnhancedStatus::new(class, 0, 0)))
}

/// Where a queue gave up, the status of the last error it quotes: `554 4.4.7 expired <421 4.4.2 timed out>`.
fn inner_cause(status: Option<EnhancedStatus>, said: &[Said]) -> Option<EnhancedStatus> {
    let gave_up = status.is_some_and(|it| codes().status(it).reason == Some(Reason::Expired));
    let telling = |it: &EnhancedStatus| it.detail != 0 && codes().status(*it).reason.is_some_and(|it| it != Reason::Expired);
    let inner = said.iter().skip(1).filter_map(|it| it.status).find(telling).filter(|_| gave_up);
    inner.or(status)
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

/// Whether a text names the address that failed, or its local part.
pub(super) fn names_recipient(report: &Report, text: &str) -> bool {
    let names = |address: &str| {
        let local = address.rsplit_once('@').map_or(address, |it| it.0);
        text.contains(&address.to_ascii_lowercase()) || (local.len() > 3 && text.contains(&local.to_ascii_lowercase()))
    };
    report.recipient.as_ref().is_some_and(|it| names(it.expose()))
        || report.original_recipient.as_deref().is_some_and(names)
        || report.final_recipient.as_deref().is_some_and(names)
}

/// Whether a text names the domain that failed.
pub(super) fn names_domain(report: &Report, text: &str) -> bool {
    report.recipient.as_ref().is_some_and(|it| text.contains(it.domain()))
}
