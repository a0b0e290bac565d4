//! The judgement: which evidence decides, and whether it speaks against the address. In order: words of the receiver,
//! words of anyone, the provider's label, an exact enhanced status, vague words, a vague status, the reply code with the
//! command it answered.

use crate::classify::codes::{Code, Disposition, codes};
use crate::classify::evidence::{Evidence, names_domain, names_only_sender, names_recipient};
use crate::classify::reason::Reason;
use crate::classify::rules::{Matched, Rules, Tier};
use crate::classify::{RuleId, Verdict};
use crate::kind::{BounceType, Kind};
use crate::report::Report;
use crate::status::{Class, EnhancedStatus, SmtpReply, Stage};

/// What decided, before it is known whether it is final.
struct Finding {
    reason: Reason,
    /// What a permanent failure for this reason says of the address.
    if_permanent: BounceType,
    /// Whether words decided, and not codes.
    from_words: bool,
    rule: String,
}

pub(super) fn judge(report: &Report, rules: &Rules) -> Verdict {
    let evidence = Evidence::gather(report, rules);
    let kind = kind_of(report, &evidence);
    let finding = find(report, &evidence);
    let retry_after = evidence.words.wait();
    let block_list = match finding.reason {
        Reason::DnsblListed => rules.block_list(&evidence.words).or_else(|| evidence.words.zone()),
        Reason::ReputationBlock | Reason::PolicyRejected | Reason::SpamContent => rules.block_list(&evidence.words),
        _ => None,
    };
    Verdict {
        kind,
        bounce_type: (kind == Kind::Bounce).then(|| bounce_type(report, &evidence, &finding)),
        reason: Some(finding.reason),
        fault: Some(finding.reason.fault()),
        status: evidence.status,
        reply: evidence.reply,
        stage: evidence.stage,
        retry_after,
        block_list: block_list.map(str::to_owned),
        rule: RuleId(finding.rule),
    }
}

/// A final failure that calls itself delayed is a bounce: the queue says that it gave up, and not that it goes on.
fn kind_of(report: &Report, evidence: &Evidence<'_>) -> Kind {
    let over = evidence.words.gave_up() && !evidence.words.still_trying() && report.retry_until.is_none();
    if report.kind == Kind::Delayed && over { Kind::Bounce } else { report.kind }
}

fn find(report: &Report, evidence: &Evidence<'_>) -> Finding {
    let finding = weigh(report, evidence);
    if finding.from_words { about_us(report, evidence, finding) } else { finding }
}

fn weigh(report: &Report, evidence: &Evidence<'_>) -> Finding {
    let rule = evidence.rule.filter(|it| it.rule.reason != Reason::Expired || it.tier == Tier::Operator);
    let clear = rule.filter(|it| it.tier < Tier::Weak);
    let vague = rule.filter(|it| it.tier == Tier::Weak);
    clear
        .map(by_rule)
        .or_else(|| by_claim(report))
        .or_else(|| by_stage_and_status(evidence))
        .or_else(|| evidence.stated.filter(|it| it.detail != 0 && !beside_the_login(evidence)).and_then(by_status))
        .or_else(|| expired_words(evidence))
        .or_else(|| vague.filter(|it| it.rule.reason == Reason::ServerError).map(by_rule))
        .or_else(|| by_stage(report, evidence).filter(|_| evidence.stage < Some(Stage::RcptTo)))
        .or_else(|| vague.map(by_rule))
        .or_else(|| evidence.stated.filter(|it| it.subject != 0).and_then(by_status))
        .or_else(|| by_stage(report, evidence))
        .or_else(|| evidence.reply.and_then(by_reply))
        .or_else(|| evidence.stated.and_then(by_status))
        .or_else(|| expired_code(evidence))
        .unwrap_or_else(|| Finding {
            reason: Reason::Undetermined,
            if_permanent: BounceType::Soft,
            from_words: false,
            rule: "none".to_owned(),
        })
}

fn by_rule(matched: Matched<'_>) -> Finding {
    let rule = matched.rule;
    let if_permanent = rule.bounce_type.unwrap_or(rule.reason.permanent_type());
    Finding { reason: rule.reason, if_permanent, from_words: true, rule: rule.id.clone() }
}

fn by_claim(report: &Report) -> Option<Finding> {
    let reason = report.claim?.reason.filter(|it| *it != Reason::Undetermined)?;
    Some(Finding { reason, if_permanent: reason.permanent_type(), from_words: false, rule: "claim".to_owned() })
}

fn by_status(status: EnhancedStatus) -> Option<Finding> {
    let code = codes().status(status);
    // That time ran out is said of every failure that lasted; anything else says more.
    if code.reason == Some(Reason::Expired) {
        return None;
    }
    by_code(code, "code")
}

fn by_reply(reply: SmtpReply) -> Option<Finding> {
    by_code(codes().reply(reply)?, "reply")
}

fn by_code(code: &Code, family: &str) -> Option<Finding> {
    let reason = code.reason.filter(|_| code.is_telling())?;
    let hard = code.disposition == Disposition::Hard;
    let if_permanent = if hard { BounceType::Hard } else { BounceType::Soft };
    Some(Finding { reason, if_permanent, from_words: false, rule: format!("{family}.{}", code.code) })
}

/// The queue gave up, and says so in words.
fn expired_words(evidence: &Evidence<'_>) -> Option<Finding> {
    evidence.rule.filter(|it| it.rule.reason == Reason::Expired).map(|it| expired(it.rule.id.clone()))
}

/// The queue gave up, and says so by its code.
fn expired_code(evidence: &Evidence<'_>) -> Option<Finding> {
    let code = evidence.status.map(|it| codes().status(it)).filter(|it| it.reason == Some(Reason::Expired));
    code.map(|it| expired(format!("code.{}", it.code)))
}

fn expired(rule: String) -> Finding {
    Finding { reason: Reason::Expired, if_permanent: BounceType::Soft, from_words: false, rule }
}

/// Codes that mean one thing at the login and another at the recipient.
fn by_stage_and_status(evidence: &Evidence<'_>) -> Option<Finding> {
    let account =
        evidence.status == Some(EnhancedStatus::new(Class::Permanent, 7, 13)) || evidence.reply.is_some_and(|it| it.code() == 525);
    (account && evidence.stage == Some(Stage::RcptTo)).then(|| Finding {
        reason: Reason::MailboxInactive,
        if_permanent: BounceType::Hard,
        from_words: false,
        rule: "stage.rcpt_to".to_owned(),
    })
}

/// Whether a status of the login stands beside a reply that no login gets: such receivers mean a policy of theirs, and
/// even vague words say more.
fn beside_the_login(evidence: &Evidence<'_>) -> bool {
    let of_login = evidence.stated.is_some_and(|it| codes().status(it).reason == Some(Reason::SubmissionAuth));
    of_login && evidence.stage != Some(Stage::Auth) && matches!(evidence.reply.map(SmtpReply::code), Some(450..=452 | 550..=554))
}

/// What a reply that may mean anything means at the command it answered.
fn by_stage(report: &Report, evidence: &Evidence<'_>) -> Option<Finding> {
    let stage = evidence.stage?;
    let reason = match (stage, evidence.reply.map(SmtpReply::code)) {
        (Stage::Connect | Stage::Ehlo, Some(550 | 554)) => Reason::ReputationBlock,
        (Stage::Auth, Some(550 | 554 | 454)) => Reason::SubmissionAuth,
        (Stage::StartTls, Some(550 | 554 | 454)) => Reason::TlsRequired,
        (Stage::MailFrom, Some(501 | 550 | 553 | 554)) => Reason::SenderRejected,
        (Stage::RcptTo, Some(550 | 554)) => Reason::MailboxUnavailable,
        (Stage::RcptTo, Some(501)) => Reason::AddressSyntax,
        (Stage::RcptTo, Some(454)) => Reason::PolicyRejected,
        (Stage::Data | Stage::EndOfData, Some(550 | 554)) => Reason::PolicyRejected,
        _ => return None,
    };
    let named = reason == Reason::AddressSyntax && names_recipient(report, &evidence.words.text);
    let if_permanent = if named { BounceType::Hard } else { BounceType::Soft };
    Some(Finding { reason, if_permanent, from_words: false, rule: format!("stage.{stage}") })
}

/// Words about an address or a name are about ours where the recipient's was not named yet, or where a server that
/// answers for the recipient's domain speaks of a missing one.
fn about_us(report: &Report, evidence: &Evidence<'_>, finding: Finding) -> Finding {
    if !evidence.rule.is_some_and(|it| matches!(it.tier, Tier::Generic | Tier::Weak)) {
        return finding;
    }
    if let Some(domain) = missing_domain(evidence).filter(|_| finding.reason == Reason::UserUnknown) {
        let ours = report.recipient.as_ref().is_some_and(|it| it.domain() == domain);
        let reason = if ours { Reason::DomainUnknown } else { Reason::SenderRejected };
        let if_permanent = if ours { BounceType::Hard } else { BounceType::Soft };
        return Finding { reason, if_permanent, ..finding };
    }
    let inactive = finding.reason == Reason::MailboxInactive;
    let of_address = matches!(finding.reason, Reason::UserUnknown | Reason::DomainUnknown | Reason::DomainNoMail | Reason::AddressSyntax);
    let elsewhere = finding.reason == Reason::DomainUnknown && evidence.reply.is_some() && !of_routing(evidence);
    let text = &evidence.words.text;
    let reason = match evidence.stage {
        Some(Stage::MailFrom) if of_address => Reason::SenderRejected,
        _ if (of_address || inactive) && names_only_sender(report, text) => Reason::SenderRejected,
        // Whoever knows the recipient by name was told it: the stage is wrong then.
        Some(Stage::Ehlo) if of_address && !names_recipient(report, text) => Reason::ReverseDns,
        _ if elsewhere && !names_domain(report, text) && !text.contains("recipient") => Reason::SenderRejected,
        _ => return finding,
    };
    Finding { reason, if_permanent: BounceType::Soft, ..finding }
}

/// The domain that vague words call missing: `corp.example does not exist`.
fn missing_domain<'e>(evidence: &'e Evidence<'_>) -> Option<&'e str> {
    let pattern = evidence.rule.filter(|it| it.tier == Tier::Weak)?.pattern?;
    let before = evidence.words.text.split(pattern).next()?;
    let word = before.split_whitespace().next_back()?.trim_matches(['<', '>', '"', '\'', '(', ')', '[', ']', ':', ',']);
    let (name, top) = word.rsplit_once('.')?;
    let is_domain = !name.is_empty() && top.len() > 1 && top.bytes().all(|it| it.is_ascii_lowercase()) && !word.contains(['@', '/', ':']);
    is_domain.then_some(word)
}

/// Hard only if everything agrees that the address is at fault and that it is for good.
fn bounce_type(report: &Report, evidence: &Evidence<'_>, finding: &Finding) -> BounceType {
    // Whatever a label or a rule says: an address is never hard for a fault of the sender.
    if finding.reason.fault().is_senders() {
        return BounceType::Soft;
    }
    if let Some(claimed) = report.claim.and_then(|it| it.bounce_type) {
        return claimed;
    }
    let before_recipient = matches!(evidence.stage, Some(Stage::Connect | Stage::Ehlo | Stage::StartTls | Stage::Auth | Stage::MailFrom));
    let refused = evidence.said.iter().any(|it| it.class() == Some(Class::Permanent));
    let gave_up = evidence.rule.is_some_and(|it| it.rule.reason == Reason::Expired) || (evidence.words.gave_up() && !refused);
    let for_good = !evidence.transient && !gave_up && !before_recipient;
    if for_good && !contradicted(report, evidence, finding) { finding.if_permanent } else { BounceType::Soft }
}

/// Whether words seem to blame the address and may as well speak of the sender.
fn contradicted(report: &Report, evidence: &Evidence<'_>, finding: &Finding) -> bool {
    const NOUNS: [&str; 9] = ["recipient", "user", "mailbox", "account", "address", "rcpt", "customer", "inbox", "host does not accept"];
    let Some(matched) = evidence.rule.filter(|it| finding.from_words && matches!(it.tier, Tier::Generic | Tier::Weak)) else {
        return false;
    };
    let text = &evidence.words.text;
    if matched.tier == Tier::Weak {
        let names_ours = finding.reason == Reason::DomainUnknown && names_domain(report, text);
        return !names_ours && !names_recipient(report, text);
    }
    let of_policy = |it: EnhancedStatus| it.subject == 7 || (it.subject == 1 && matches!(it.detail, 7 | 8));
    let blocked = evidence.status.is_some_and(|it| of_policy(it) && codes().status(it).disposition == Disposition::Block);
    let pattern = matched.pattern.unwrap_or_default();
    blocked && !names_recipient(report, text) && !NOUNS.iter().any(|it| pattern.contains(it))
}

/// Whether the status says that the way to the recipient was not found: a server that answers and speaks of a missing
/// domain means the sender's otherwise.
fn of_routing(evidence: &Evidence<'_>) -> bool {
    let status = evidence.status.is_some_and(|it| matches!((it.subject, it.detail), (1, 0..=3) | (4, 0 | 4 | 310)));
    // RFC 7504: the domain takes no mail.
    status || evidence.reply.is_some_and(|it| it.code() == 556)
}

#[cfg(test)]
mod tests;
