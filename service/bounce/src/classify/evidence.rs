//! Everything about a refusal that can be known before it is judged: the words in their normal form, the codes in them,
//! which status wins (the remote's own words beat a status that others filled in),
//! the command that was refused, the receiver.

use crate::classify::codes::{Disposition, codes};
use crate::classify::reason::Reason;
use crate::classify::rules::pattern::Facts;
use crate::classify::rules::{Matched, Rules, Tier, Words};
use crate::classify::said::{Said, codes_in};
use crate::mail::lines;
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
        let mut prose = text.filter(|_| stage.is_none()).map(|it| rules.read(remote_words(it)));
        stage = stage.or(prose.as_ref().and_then(Words::stage));
        let diagnostic = Self::of_words(report, rules, diagnostic, stage);
        if !diagnostic.is_telling() {
            prose = prose.or_else(|| text.map(|it| rules.read(remote_words(it))));
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
        // What was accepted on the way does not tell what failed.
        said.retain(|it| it.class() != Some(Class::Success));
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
            local: is_local(report),
        };
        let rule = rules.best(&words, &facts);
        let classes = [report.status.map(|it| it.class), own.map(|it| it.class), reply.and_then(SmtpReply::class)];
        Self { transient: classes.contains(&Some(Class::Transient)), words, said, stated, status, reply, stage, rule }
    }
}

/// What the remote said, where a gateway put its own name for the status before it:
/// `5.1.0 - Unknown address error 550-'5.7.1 Access denied'` (Cisco), as a whole or on a line of prose.
fn remote_words(text: &str) -> &str {
    let mut start = 0;
    for line in lines(text) {
        if let Some(at) = gateway_name(line) {
            return &text[start + at..];
        }
        start += line.len();
    }
    text
}

/// How far the gateway's own name for a status reaches at the start of a line.
fn gateway_name(line: &str) -> Option<usize> {
    if !line.trim_start().starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let (status, rest) = line.split_once(" - ")?;
    status.trim().parse::<EnhancedStatus>().ok()?;
    let name = rest[..rest.find('\'')?].trim_end_matches(['-', ' ']);
    let reply = name.get(name.len().checked_sub(3)?..).filter(|it| it.parse::<SmtpReply>().is_ok())?;
    Some(status.len() + " - ".len() + name.len() - reply.len())
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

/// Whether the host that reports is in charge of the recipient's domain, as far as its name tells.
fn is_local(report: &Report) -> bool {
    let (Some(host), Some(recipient)) = (&report.reporting_mta, &report.recipient) else { return false };
    let above = host.len().checked_sub(recipient.domain().len()).and_then(|at| host.split_at_checked(at));
    above.is_some_and(|(above, domain)| domain.eq_ignore_ascii_case(recipient.domain()) && (above.is_empty() || above.ends_with('.')))
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

/// Whether a text names the address that failed, or its local part as a word of its own.
pub(super) fn names_recipient(report: &Report, text: &str) -> bool {
    let names = |address: &str| {
        let address = address.to_ascii_lowercase();
        let local = address.rsplit_once('@').map_or(address.as_str(), |it| it.0);
        text.contains(&address) || (local.len() > 2 && has_word(text, local))
    };
    report.recipient.as_ref().is_some_and(|it| names(it.expose()))
        || report.original_recipient.as_deref().is_some_and(names)
        || report.final_recipient.as_deref().is_some_and(names)
}

/// Whether a text names an address that the message was sent from, as its returned headers tell, and not the recipient.
pub(super) fn names_only_sender(report: &Report, text: &str) -> bool {
    let fields = ["from", "sender", "return-path"].iter().filter_map(|it| report.hints.headers.get(*it));
    let mut senders = fields.flat_map(|it| it.split([' ', '<', '>', ',', ';', '"'])).filter(|it| it.contains('@'));
    senders.any(|it| text.contains(&it.to_ascii_lowercase())) && !names_recipient(report, text)
}

fn has_word(text: &str, word: &str) -> bool {
    let inner = |it: Option<char>| it.is_some_and(|it| it.is_alphanumeric() || "._-+".contains(it));
    let whole = |(at, _): (usize, &str)| !inner(text[..at].chars().next_back()) && !inner(text[at + word.len()..].chars().next());
    text.match_indices(word).any(whole)
}

/// Whether a text names the domain that failed.
pub(super) fn names_domain(report: &Report, text: &str) -> bool {
    report.recipient.as_ref().is_some_and(|it| text.contains(it.domain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_own_name_for_a_status_is_taken_off() {
        for (text, words) in [
            (
                "5.1.0 - Unknown address error 550-'5.7.1 Access denied' (delivery attempts: 0)",
                "550-'5.7.1 Access denied' (delivery attempts: 0)",
            ),
            ("5.3.0 - Other mail system problem 554 'Refused'", "554 'Refused'"),
            ("550 5.1.1 no such user - sorry, it isn't here", "550 5.1.1 no such user - sorry, it isn't here"),
            ("5.1.2 - Bad destination host 'DNS Hard Error'", "5.1.2 - Bad destination host 'DNS Hard Error'"),
            ("5.1.1 - ä'", "5.1.1 - ä'"),
            ("Not delivered:\n 5.1.0 - Unknown address error 550-'5.7.1 Denied'\n", "550-'5.7.1 Denied'\n"),
        ] {
            assert_eq!(remote_words(text), words);
        }
    }

    #[test]
    fn a_local_part_counts_only_as_a_word() {
        let report = Report::new(crate::kind::Kind::Bounce, crate::address::Address::parse("info@example.com").ok());
        for (text, named) in [
            ("550 <info@example.com>: unknown", true),
            ("550 user info unknown", true),
            ("550 info: no such user", true),
            ("550 more information at example.org", false),
            ("550 info.desk is unknown", false),
        ] {
            assert_eq!(names_recipient(&report, text), named, "{text}");
        }
    }
}
