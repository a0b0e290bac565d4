//! What a log record says.

use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, tag_hints, with_words};
use crate::esp::headers::Headers;
use crate::esp::json::{Json, Notes};
use crate::esp::kumomta::feedback;
use crate::esp::mailbox::mailbox;
use crate::kind::{BounceType, Kind};
use crate::limits;
use crate::report::{Claim, Hints, Report};
use crate::status::Stage;

/// The meaning of a record.
pub(super) fn meaning(record: Json<'_>, notes: &mut Notes) -> Meaning {
    // The delivery of a record of the log itself.
    if record.word("reception_protocol") == "logrecord" {
        return Meaning::Nothing;
    }
    let word = record.word("bounce_classification");
    let (kind, claim) = match record.word("type").as_str() {
        "delivery" => (Kind::Delivered, None),
        "bounce" | "oob" => (kind_of(&word), reason(&word).map(|it| Claim { bounce_type: None, reason: Some(it) })),
        "transientfailure" => (Kind::Delayed, reason(&word).map(|it| Claim { bounce_type: None, reason: Some(it) })),
        "expiration" => {
            (Kind::Bounce, Some(Claim { bounce_type: Some(BounceType::Soft), reason: reason(&word).or(Some(Reason::Expired)) }))
        }
        "adminbounce" => (Kind::Rejected, None),
        "feedback" => return feedback::meaning(record, notes),
        // Its own queue's business, or mail that came in.
        "reception" | "rejection" | "delay" | "delayed" | "adminrebind" | "deferredinjectionrebind" | "xferin" | "xferout" => {
            return Meaning::Nothing;
        }
        "" => return Meaning::Unknown("a record has no type"),
        _ => return Meaning::Unknown("a record is of a type that is not known here"),
    };
    let common = with_words(Report { claim, ..common(record, kind) }, &words(record), notes);
    about_each(&common, record.at("recipient").items(), notes)
}

/// One report for each recipient; a bad one costs itself only.
pub(super) fn about_each<'a>(common: &Report, recipients: impl Iterator<Item = Json<'a>>, notes: &mut Notes) -> Meaning {
    let mut reports: Vec<Report> = Vec::new();
    for recipient in recipients {
        if reports.len() == limits::EVENT_RECIPIENTS {
            notes.add(format!("more than {} recipients; the others were left", limits::EVENT_RECIPIENTS));
            break;
        }
        match mailbox(recipient.verbatim().unwrap_or_default()) {
            Ok(recipient) => reports.push(Report { recipient: Some(recipient), ..common.clone() }),
            Err(error) => notes.add(format!("a recipient of a record was left out: {error}")),
        }
    }
    if reports.is_empty() { Meaning::Unknown("a record names no recipient that can be read") } else { Meaning::Reports(reports) }
}

/// What all reports of a record share.
pub(super) fn common(record: Json<'_>, kind: Kind) -> Report {
    let headers = Headers(record.at("headers"));
    // Of a mail that came in, the peer is who brought it.
    let of_delivery = matches!(record.word("type").as_str(), "delivery" | "bounce" | "transientfailure");
    let peer = record.at("peer_address").text("name").map(|it| it.trim_end_matches('.').to_owned());
    Report {
        occurred_at: record.moment("event_time").or_else(|| record.moment("timestamp")),
        message_id: headers.message_id(),
        provider_message_id: record.text("id"),
        remote_mta: peer.filter(|_| of_delivery),
        stage: stage(&record.at("response").word("command")),
        hints: Hints { list_id: headers.list_id(), headers: headers.hints(), tags: tag_hints(&[record.at("meta")]), ..Hints::default() },
        ..Report::new(kind, None)
    }
}

fn words(record: Json<'_>) -> Words {
    let response = record.at("response");
    let code = response.at("enhanced_code");
    let status = || Some(format!("{}.{}.{}", code.text("class")?, code.text("subject")?, code.text("detail")?));
    Words { status: status(), reply: response.text("code"), text: response.text("content") }
}

/// The command that a reply answered; `.` is the end of the message.
fn stage(command: &str) -> Option<Stage> {
    match command.split([' ', ':']).next()? {
        "ehlo" | "helo" | "lhlo" => Some(Stage::Ehlo),
        "starttls" => Some(Stage::StartTls),
        "auth" => Some(Stage::Auth),
        "mail" => Some(Stage::MailFrom),
        "rcpt" => Some(Stage::RcptTo),
        "data" => Some(Stage::Data),
        "." | "bdat" => Some(Stage::EndOfData),
        _ => None,
    }
}

/// A failure, unless the classification knows the text for something else.
fn kind_of(classification: &str) -> Kind {
    match classification {
        "autoreply" => Kind::AutoReply,
        "challengeresponse" => Kind::ChallengeResponse,
        _ => Kind::Bounce,
    }
}

/// What a predefined class means; operators may define others, which say nothing here.
fn reason(classification: &str) -> Option<Reason> {
    Some(match classification {
        "invalidrecipient" => Reason::UserUnknown,
        "baddomain" => Reason::DomainUnknown,
        "inactivemailbox" => Reason::MailboxInactive,
        "quotaissues" => Reason::MailboxFull,
        "spamblock" => Reason::ReputationBlock,
        "spamcontent" | "spamrelated" => Reason::SpamContent,
        "policyrelated" => Reason::PolicyRejected,
        "contentrelated" | "prohibitedattachment" => Reason::ContentRejected,
        "virusrelated" => Reason::VirusDetected,
        "authenticationfailed" => Reason::AuthFailure,
        "toomanyrecipients" => Reason::RateLimited,
        "relaydenied" | "relayingissues" => Reason::RelayDenied,
        "badconfiguration" => Reason::ServerError,
        "protocolerrors" => Reason::ProtocolError,
        "routingerrors" | "dnsfailure" => Reason::DnsError,
        "invalidsender" => Reason::SenderRejected,
        "messageexpired" => Reason::Expired,
        "noanswerfromhost" | "badconnection" => Reason::NetworkError,
        _ => return None,
    })
}
