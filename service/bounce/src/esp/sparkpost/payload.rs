//! What an event of `SparkPost` says.

use base64::Engine;

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::credentials::BASE64;
use crate::esp::evidence::{Words, hint, tag_hints, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::esp::mime;
use crate::kind::{BounceType, FeedbackType, Kind};
use crate::report::{Claim, Hints, Report};

/// The class of a mail that came to an inbound domain.
const RELAYED: &str = "relay_message";

/// Whether an event is such a mail.
pub(super) fn is_relayed(event: Json<'_>) -> bool {
    event.at("msys").at(RELAYED).is_some()
}

/// The mail, if the event is one and it can be read.
pub(super) fn relayed(event: Json<'_>) -> Option<Vec<u8>> {
    let relay = event.at("msys").at(RELAYED);
    let content = relay.at("content");
    let text = content.at("email_rfc822").verbatim().filter(|it| !it.trim().is_empty())?;
    let message = if content.flag("email_rfc822_is_base64") == Some(true) {
        let encoded: String = text.split_ascii_whitespace().collect();
        BASE64.decode(encoded).ok()?
    } else {
        text.as_bytes().to_vec()
    };
    Some([envelope(relay).into_bytes(), message].concat())
}

/// The envelope, as the header fields in which a server that delivers keeps it (RFC 5321 section 4.4).
fn envelope(relay: Json<'_>) -> String {
    let field = |name: &str, value: &str| format!("{name}: {}\r\n", value.replace(['\r', '\n', '\0'], " "));
    let from =
        relay.at("msg_from").verbatim().map(|it| it.trim().trim_matches(['<', '>'])).map(|it| field("Return-Path", &format!("<{it}>")));
    let to = relay.text("rcpt_to").map(|it| field("X-Original-To", &it));
    from.into_iter().chain(to).collect()
}

/// The meaning of an event.
pub(super) fn meaning(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let msys = event.at("msys");
    if !msys.is_object() {
        return Meaning::Unknown("an event has no msys object");
    }
    if is_relayed(event) {
        return relayed(event).map_or(Meaning::Unknown("a relayed mail cannot be read"), |it| mime::meaning(&it, notes));
    }
    // The class tells nothing that the type does not tell, and new classes bring types that are known.
    match msys.entries().next() {
        Some((_, event)) => of_type(event, notes),
        // The question whether the address works.
        None => Meaning::Nothing,
    }
}

/// What an event says before it is known whom it is about.
struct Said {
    kind: Kind,
    claim: Option<Claim>,
    feedback_type: Option<FeedbackType>,
}

impl Said {
    const fn only(kind: Kind) -> Self {
        Self { kind, claim: None, feedback_type: None }
    }

    const fn claimed(kind: Kind, bounce_type: BounceType, reason: Option<Reason>) -> Self {
        Self { kind, claim: Some(Claim { bounce_type: Some(bounce_type), reason }), feedback_type: None }
    }

    const fn suppressed() -> Self {
        Self::claimed(Kind::Suppressed, BounceType::Hard, Some(Reason::Suppressed))
    }
}

fn of_type(event: Json<'_>, notes: &mut Notes) -> Meaning {
    let said = match event.word("type").as_str() {
        "bounce" | "out_of_band" => match bounce(event, notes) {
            Some(said) => said,
            None => return Meaning::Nothing,
        },
        "delay" => Said::only(Kind::Delayed),
        "policy_rejection" | "generation_failure" | "generation_rejection" => refused(event),
        "spam_complaint" => {
            let feedback_type = event.word("fbtype").parse().ok();
            if feedback_type == Some(FeedbackType::NotSpam) {
                notes.add("the recipient said that it is not spam; nothing to record");
                return Meaning::Nothing;
            }
            Said { feedback_type, ..Said::only(Kind::Complaint) }
        }
        "list_unsubscribe" | "link_unsubscribe" => Said::only(Kind::Unsubscribe),
        "delivery" => Said::only(Kind::Delivered),
        "injection" | "open" | "initial_open" | "click" | "amp_open" | "amp_initial_open" | "amp_click" | "sms_status"
        | "relay_injection" | "relay_rejection" | "relay_delivery" | "relay_tempfail" | "relay_permfail" | "ab_test_completed"
        | "ab_test_cancelled" | "success" | "error" => return Meaning::Nothing,
        "" => return Meaning::Unknown("an event has no type"),
        _ => return Meaning::Unknown("an event is of a type that is not known here"),
    };
    report(event, &said, notes)
}

/// What a bounce means by its class; nothing where it is a responder's answer.
fn bounce(event: Json<'_>, notes: &mut Notes) -> Option<Said> {
    let hard = |reason| Some(Said::claimed(Kind::Bounce, BounceType::Hard, reason));
    let soft = |reason| Some(Said::claimed(Kind::Bounce, BounceType::Soft, reason));
    match event.text("bounce_class").as_deref().unwrap_or_default() {
        "1" => soft(None),
        "10" => hard(Some(Reason::UserUnknown)),
        "20" => soft(None),
        "21" => soft(Some(Reason::DnsError)),
        "22" => soft(Some(Reason::MailboxFull)),
        "23" => soft(Some(Reason::MessageTooLarge)),
        "24" => soft(Some(Reason::Expired)),
        "25" => Some(refused(event)),
        // Left out since the recipient does not open, says a rule of the sender's: nothing against the address.
        "26" => Some(Said::only(Kind::Rejected)),
        "30" => hard(None),
        "40" => soft(None),
        "50" => soft(Some(Reason::PolicyRejected)),
        "51" => soft(Some(Reason::ReputationBlock)),
        "52" => soft(Some(Reason::SpamContent)),
        "53" => soft(Some(Reason::ContentRejected)),
        "54" => soft(Some(Reason::RelayDenied)),
        "60" | "80" | "100" => None,
        "70" => soft(None),
        "90" => Some(Said::only(Kind::Unsubscribe)),
        _ => {
            notes.add("a bounce is of a class that is not known here; its words decide");
            Some(Said::only(Kind::Bounce))
        }
    }
}

/// `SparkPost` did not try: because the address stands on its list of suppressions, which only the text tells, or for a
/// fault of the message.
fn refused(event: Json<'_>) -> Said {
    // 554 5.7.1 recipient address was suppressed due to customer policy
    let is_listed = ["raw_reason", "reason"].iter().any(|it| event.word(it).contains("suppress"));
    if is_listed { Said::suppressed() } else { Said::only(Kind::Rejected) }
}

fn report(event: Json<'_>, said: &Said, notes: &mut Notes) -> Meaning {
    let recipient = match recipient(event, &["raw_rcpt_to", "rcpt_to"]) {
        Ok(recipient) => recipient,
        Err(why) => return Meaning::Unknown(why),
    };
    let mut tags = tag_hints(&[event.at("rcpt_tags"), event.at("rcpt_meta")]);
    for name in ["campaign_id", "subaccount_id", "template_id"] {
        tags.extend(event.text(name).map(|it| (name.to_owned(), hint(&it))));
    }
    let text = event.text("raw_reason").or_else(|| event.text("reason"));
    let words = Words { reply: event.text("error_code"), text, ..Words::default() };
    let report = Report {
        occurred_at: event.moment("timestamp"),
        provider_message_id: event.text("transmission_id").or_else(|| event.text("message_id")),
        provider_event_id: event.text("event_id"),
        reporting_mta: event.text("report_by"),
        remote_mta: event.text("mta_host").or_else(|| event.text("ip_address")).filter(|_| said.kind != Kind::Complaint),
        claim: said.claim,
        feedback_type: said.feedback_type,
        hints: Hints { tags, ..Hints::default() },
        ..Report::new(said.kind, Some(recipient))
    };
    weighed(with_words(report, &words, notes)).into()
}
