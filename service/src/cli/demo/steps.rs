//! What the tour posts, and what should come of it. The mails are our own, written as such servers write them; only their
//! dates are set when they are sent, for old facts do not count.

use time::format_description::well_known::Rfc2822;
use time::{Duration, OffsetDateTime};

/// The address that Amazon reports.
pub(super) const SES_RECIPIENT: &str = "grace@example.com";
/// An address that nothing is ever said about.
pub(super) const NEVER_HEARD_OF: &str = "hugo@example.org";

/// One stop of the tour.
#[derive(Debug)]
pub(super) struct Step {
    /// What comes in.
    pub(super) title: &'static str,
    /// What is worth knowing about it.
    pub(super) about: &'static str,
    pub(super) post: Post,
    /// Facts that should be recorded: recipient, kind, bounce type, reason, status; what does not apply left out.
    pub(super) events: &'static [&'static str],
    /// What lists should say then: recipient, cause, list, and whether provisionally.
    pub(super) changes: &'static [&'static str],
}

/// What is posted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Post {
    /// A mail with places for dates.
    Mail(&'static str),
    /// The signed post of Amazon SES.
    Ses,
    /// The very same once more.
    SesAgain,
}

/// The tour.
pub(super) const STEPS: &[Step] = &[
    Step {
        title: "A delivery report from Postfix",
        about: "One mail, three recipients: two have failed, for different reasons, and one is still being tried.",
        post: Post::Mail(include_str!("postfix.eml")),
        events: &[
            "anna.berger@example.com bounce hard user_unknown 5.1.1",
            "ben@exmaple.example bounce hard domain_unknown 5.4.4",
            "carla@slow.example delayed network_error 4.4.1",
        ],
        changes: &["anna.berger@example.com hard demo provisional", "ben@exmaple.example hard demo provisional"],
    },
    Step {
        title: "Gmail says that a mailbox is full",
        about: "The code says temporary (452), the report says that the message failed for good. The address is fine.",
        post: Post::Mail(include_str!("gmail.eml")),
        events: &["dana.ortiz@example.net bounce soft mailbox_full 4.2.2"],
        changes: &[],
    },
    Step {
        title: "A spam filter refuses the message",
        about: "Exim puts 5.0.0 into the report; what the filter said stands in the text.",
        post: Post::Mail(include_str!("spam.eml")),
        events: &["emil@corp.example bounce soft spam_content 5.7.1"],
        changes: &[],
    },
    Step {
        title: "A reader presses \"this is spam\"",
        about: "A complaint in the Abuse Reporting Format (RFC 5965), from the feedback loop of a provider.",
        post: Post::Mail(include_str!("complaint.eml")),
        events: &["eva@isp.example complaint"],
        changes: &["eva@isp.example complaint demo provisional"],
    },
    Step {
        title: "Somebody is out of office",
        about: "An automatic reply is no bounce, although it comes to the same place.",
        post: Post::Mail(include_str!("away.eml")),
        events: &["frank.meyer@example.org auto_reply"],
        changes: &[],
    },
    Step {
        title: "Amazon SES reports a hard bounce",
        about: "A webhook, signed by SNS. The signature is checked against Amazon's certificate before anything is read.",
        post: Post::Ses,
        events: &["grace@example.com bounce hard user_unknown 5.1.1"],
        changes: &["grace@example.com hard demo"],
    },
    Step {
        title: "The same post once more",
        about: "SNS delivers at least once. One failure counts once.",
        post: Post::SesAgain,
        events: &[],
        changes: &[],
    },
];

/// Addresses that a newsletter system asks about, and whether they should be suppressed.
pub(super) const CHECKED: &[(&str, bool)] = &[
    ("anna.berger@example.com", true),
    ("ben@exmaple.example", true),
    ("carla@slow.example", false),
    ("dana.ortiz@example.net", false),
    ("emil@corp.example", false),
    ("eva@isp.example", true),
    ("frank.meyer@example.org", false),
    (SES_RECIPIENT, true),
    (NEVER_HEARD_OF, false),
];

/// Series of `/metrics` that should be there after the tour: name, labels, value.
pub(super) const METRICS: &[(&str, &[&str], u64)] = &[
    ("rebound_receipts_stored_total", &["source=\"bounces\"", "outcome=\"new\""], 5),
    ("rebound_receipts_stored_total", &["source=\"ses\"", "outcome=\"new\""], 1),
    ("rebound_receipts_stored_total", &["source=\"ses\"", "outcome=\"duplicate\""], 1),
    ("rebound_events_recorded_total", &["kind=\"bounce\"", "bounce_type=\"hard\"", "source=\"bounces\"", "reason=\"user_unknown\""], 1),
    ("rebound_events_recorded_total", &["kind=\"complaint\"", "source=\"bounces\""], 1),
    ("rebound_suppressions_changed_total", &["cause=\"hard\"", "change=\"added\""], 3),
    ("rebound_addresses_checked_total", &["answer=\"suppressed\""], 4),
    ("rebound_addresses_checked_total", &["answer=\"clear\""], 5),
];

/// A mail with its dates set.
pub(super) fn dated(mail: &str, now: OffsetDateTime) -> anyhow::Result<String> {
    let text = |at: OffsetDateTime| at.truncate_to_second().format(&Rfc2822);
    Ok(mail
        .replace("{{now}}", &text(now)?)
        .replace("{{earlier}}", &text(now - Duration::minutes(4))?)
        .replace("{{later}}", &text(now + Duration::days(5))?))
}

#[cfg(test)]
mod tests {
    use bounce::classify::{Rules, classify};
    use bounce::mail::Mail;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_mails_say_what_the_tour_expects_of_them() {
        for step in STEPS {
            let Post::Mail(mail) = step.post else { continue };
            let text = dated(mail, datetime!(2026-11-22 08:00 UTC)).unwrap();
            assert!(!text.contains("{{"), "{}", step.title);
            let crlf = text.replace('\n', "\r\n");
            for text in [text, crlf] {
                let reading = bounce::report::read(&Mail::parse(text.as_bytes()));
                let events: Vec<String> = reading
                    .reports
                    .iter()
                    .map(|report| {
                        let verdict = classify(report, Rules::builtin());
                        let words = [
                            report.recipient.as_ref().map(|it| it.expose().to_owned()),
                            Some(verdict.kind.to_string()),
                            verdict.bounce_type.map(|it| it.to_string()),
                            verdict.reason.map(|it| it.to_string()),
                            verdict.status.map(|it| it.to_string()),
                        ];
                        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
                    })
                    .collect();
                assert_eq!(events, step.events, "{}", step.title);
                assert_eq!(reading.notes, [], "{}", step.title);
            }
        }
    }

    #[test]
    fn whoever_is_to_be_suppressed_is_so_by_a_step() {
        for (address, suppressed) in CHECKED {
            let blocked = STEPS.iter().flat_map(|it| it.changes).any(|it| it.starts_with(address));
            assert_eq!(blocked, *suppressed, "{address}");
        }
    }
}
