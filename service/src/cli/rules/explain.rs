//! `rebound rules explain`: which rules fit a text, and what is made of it in the end.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use bounce::classify::rules::{Matched, Tier};
use bounce::classify::{Rules, Verdict, classify};
use bounce::kind::Kind;
use bounce::report::Report;
use bounce::status::SmtpReply;
use serde_json::json;

use crate::cli::classify::{codes, headline};
use crate::cli::page::{self, BOLD, field, styled, wrap};
use crate::cli::{Exit, Output};

/// Columns before the fields of a rule.
const INDENT: usize = 2;

/// Explains.
pub(super) fn run(rules: &Rules, text: &str, format: Output) -> anyhow::Result<Exit> {
    match format {
        Output::Text => page::stdout().write_all(explain(rules, text).as_bytes())?,
        Output::Json => writeln!(io::stdout().lock(), "{}", serde_json::to_string_pretty(&view(rules, text))?)?,
    }
    Ok(Exit::Success)
}

/// The same for programs.
fn view(rules: &Rules, text: &str) -> serde_json::Value {
    let verdict = judged(rules, text);
    let rule = |it: &Matched<'_>| {
        json!({
            "rule": it.rule.id, "reason": it.rule.reason, "matched": it.pattern, "weight": weight(it.tier),
            "file": it.rule.file, "line": it.rule.line, "source": it.rule.source,
        })
    };
    json!({
        "kind": verdict.kind,
        "bounce_type": verdict.bounce_type,
        "reason": verdict.reason,
        "fault": verdict.fault,
        "status": verdict.status.map(|it| it.to_string()),
        "reply": verdict.reply.map(SmtpReply::code),
        "rule": verdict.rule.0,
        "meaning": verdict.meaning().map(|it| json!({ "explanation": it.explanation, "advice": it.advice, "retry": it.retry })),
        "rules": rules.explain(text).iter().map(rule).collect::<Vec<_>>(),
    })
}

fn judged(rules: &Rules, text: &str) -> Verdict {
    let report = Report { diagnostic: Some(text.to_owned()), ..Report::new(Kind::Bounce, None) };
    classify(&report, rules)
}

fn explain(rules: &Rules, text: &str) -> String {
    let verdict = judged(rules, text);
    let mut out = format!("{}\n", headline(&verdict));
    let codes = codes(&verdict);
    if !codes.is_empty() {
        field(&mut out, INDENT, "codes", &codes);
    }
    field(&mut out, INDENT, "rule", &verdict.rule.0);
    if let Some(meaning) = verdict.meaning() {
        field(&mut out, INDENT, "means", &meaning.explanation);
        field(&mut out, INDENT, "do", &meaning.advice);
        field(&mut out, INDENT, "again", &meaning.retry);
    }
    if let Some(code) = verdict.code() {
        field(&mut out, INDENT, "registry", &format!("{} {}: {}", code.code, code.name, code.explanation));
    }
    let matches = rules.explain(text);
    if matches.is_empty() {
        wrap(&mut out, "\n", 0, "No rule fits these words; codes decide.");
        return out;
    }
    out.push_str("\nRules that fit, the strongest first:\n");
    for it in &matches {
        matched(&mut out, it);
    }
    out
}

fn matched(out: &mut String, it: &Matched<'_>) {
    let _ = writeln!(out, "  {}  {}", styled(BOLD, &it.rule.id), it.rule.reason);
    field(out, 2 * INDENT, "because", it.pattern.unwrap_or("the codes alone"));
    field(out, 2 * INDENT, "weight", weight(it.tier));
    field(out, 2 * INDENT, "stands in", &format!("{} line {}", it.rule.file, it.rule.line));
    if !it.rule.source.is_empty() {
        field(out, 2 * INDENT, "source", &it.rule.source);
    }
}

const fn weight(tier: Tier) -> &'static str {
    match tier {
        Tier::Operator => "a rule of yours; it wins over all others",
        Tier::Receiver => "the words of the receiver that refused",
        Tier::Distinct => "words that only one receiver writes",
        Tier::Generic => "words that mean the same everywhere",
        Tier::ReceiverCode => "a code that this receiver uses in its own way",
        Tier::Weak => "vague words; a specific status says more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_names_the_winner_and_what_to_do() {
        let text = explain(Rules::builtin(), "550 5.1.1 No such user here");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.starts_with("hard bounce, user_unknown (at fault: recipient)\n  codes     550 5.1.1\n"), "{plain}");
        assert!(
            plain.contains("Rules that fit, the strongest first:") && plain.lines().all(|it| it.chars().count() <= page::WIDTH),
            "{plain}"
        );
    }

    #[test]
    fn programs_are_told_the_same() {
        let it = view(Rules::builtin(), "550 5.1.1 No such user here");
        assert_eq!((&it["reason"], &it["fault"], &it["status"]), (&json!("user_unknown"), &json!("recipient"), &json!("5.1.1")));
        assert_eq!(it["rules"][0]["rule"], it["rule"], "the winner comes first");
    }

    #[test]
    fn where_no_rule_fits_the_codes_decide() {
        let text = explain(Rules::builtin(), "552 5.2.2 zzz");
        assert!(text.contains("No rule fits these words") && text.contains("mailbox_full"), "{text}");
    }
}
