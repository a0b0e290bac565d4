//! What a record of Postmark says.

use crate::address::Address;
use crate::classify::reason::Reason;
use crate::esp::batch::Meaning;
use crate::esp::evidence::{Words, hint, tag_hints, weighed, with_words};
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::recipient;
use crate::esp::mime;
use crate::esp::postmark::inbound;
use crate::kind::{BounceType, Kind};
use crate::report::{Claim, Hints, Report};

/// What a bounce type says: its name, its code, and the kind it means, with what it claims; no kind where it matters to no list.
struct Label(&'static str, &'static str, Option<Kind>, Option<BounceType>, Option<Reason>);

const HARD: Option<BounceType> = Some(BounceType::Hard);
const SOFT: Option<BounceType> = Some(BounceType::Soft);

/// Every type of the Bounce API. A soft bounce may be followed by a hard one of the same message.
static LABELS: [Label; 22] = [
    Label("hardbounce", "1", Some(Kind::Bounce), HARD, None),
    Label("transient", "2", Some(Kind::Delayed), None, None),
    Label("unsubscribe", "16", Some(Kind::Unsubscribe), None, None),
    Label("subscribe", "32", None, None, None),
    Label("autoresponder", "64", None, None, None),
    Label("addresschange", "128", None, None, None),
    Label("dnserror", "256", Some(Kind::Bounce), SOFT, Some(Reason::DnsError)),
    Label("spamnotification", "512", Some(Kind::Bounce), SOFT, Some(Reason::SpamContent)),
    Label("openrelaytest", "1024", None, None, None),
    // The label says that it does not know, so the words decide.
    Label("unknown", "2048", Some(Kind::Bounce), None, None),
    Label("softbounce", "4096", Some(Kind::Bounce), SOFT, None),
    Label("virusnotification", "8192", Some(Kind::Bounce), SOFT, Some(Reason::VirusDetected)),
    Label("challengeverification", "16384", None, None, None),
    Label("bademailaddress", "100000", Some(Kind::Bounce), HARD, Some(Reason::AddressSyntax)),
    Label("spamcomplaint", "100001", Some(Kind::Complaint), None, None),
    Label("manuallydeactivated", "100002", Some(Kind::Suppressed), HARD, Some(Reason::Suppressed)),
    Label("unconfirmed", "100003", Some(Kind::Rejected), None, None),
    Label("blocked", "100006", Some(Kind::Bounce), SOFT, Some(Reason::PolicyRejected)),
    Label("smtpapierror", "100007", Some(Kind::Rejected), None, None),
    Label("inbounderror", "100008", None, None, None),
    Label("dmarcpolicy", "100009", Some(Kind::Bounce), SOFT, Some(Reason::AuthFailure)),
    Label("templaterenderingfailed", "100010", Some(Kind::Rejected), None, Some(Reason::MessageMalformed)),
];

/// The kind of a record and what its label claims; `Err` is the meaning of a record that reports nothing.
type Said = Result<(Kind, Option<Claim>), Meaning>;

/// The meaning of a record.
pub(super) fn meaning(record: Json<'_>, notes: &mut Notes) -> Meaning {
    let said = match record_type(record).as_str() {
        "bounce" => bounce(record, notes),
        "spamcomplaint" => Ok((Kind::Complaint, None)),
        "subscriptionchange" => subscription(record),
        "delivery" => Ok((Kind::Delivered, None)),
        "open" | "click" => Err(Meaning::Nothing),
        "inbound" => Err(inbound::message(record).map_or(Meaning::Unknown("a received mail is empty"), |it| mime::meaning(&it, notes))),
        "" => Err(Meaning::Unknown("a record has no type")),
        _ => Err(Meaning::Unknown("a record is of a type that is not known here")),
    };
    match said.and_then(|it| Ok((it, recipient(record, &["Email", "Recipient"]).map_err(Meaning::Unknown)?))) {
        Ok(((kind, claim), recipient)) => report(record, kind, claim, recipient, notes).into(),
        Err(meaning) => meaning,
    }
}

/// The type of a record in lower case. Old servers left it out, and then the fields tell.
fn record_type(record: Json<'_>) -> String {
    let word = record.word("RecordType");
    if !word.is_empty() {
        return word;
    }
    let has = |name: &str| record.at(name).is_some();
    let told = if inbound::is_mail(record) {
        "inbound"
    } else if has("SuppressSending") {
        "subscriptionchange"
    } else if has("BouncedAt") || has("Type") {
        "bounce"
    } else if has("DeliveredAt") {
        "delivery"
    } else if has("FirstOpen") || has("ReadSeconds") {
        "open"
    } else if has("OriginalLink") || has("ClickLocation") {
        "click"
    } else {
        ""
    };
    told.to_owned()
}

fn bounce(record: Json<'_>, notes: &mut Notes) -> Said {
    let (name, code) = (record.word("Type"), record.text("TypeCode"));
    // The name first: some samples of Postmark's carry the code of another type.
    let label = LABELS.iter().find(|it| it.0 == name).or_else(|| LABELS.iter().find(|it| Some(it.1) == code.as_deref()));
    match label {
        Some(Label(_, _, Some(kind), bounce_type, reason)) => {
            let claim = Claim { bounce_type: *bounce_type, reason: *reason };
            Ok((*kind, (bounce_type.is_some() || reason.is_some()).then_some(claim)))
        }
        Some(_) => Err(Meaning::Nothing),
        None if record.flag("Inactive") == Some(true) => {
            notes.add("the bounce's type is not known here; taken as hard, for the address was deactivated");
            Ok((Kind::Bounce, Some(Claim { bounce_type: HARD, reason: None })))
        }
        None => Err(Meaning::Unknown("a bounce is of a type that is not known here")),
    }
}

/// A change of the stream's suppressions. It comes beside the bounce or complaint that caused it, and is the same fact.
fn subscription(record: Json<'_>) -> Said {
    match (record.flag("SuppressSending"), record.word("SuppressionReason").as_str()) {
        (Some(true), "hardbounce") => Ok((Kind::Bounce, Some(Claim { bounce_type: HARD, reason: None }))),
        (Some(true), "spamcomplaint") => Ok((Kind::Complaint, None)),
        (Some(true), "manualsuppression" | "") => Ok((Kind::Unsubscribe, None)),
        (Some(true), _) => Err(Meaning::Unknown("a suppression has a reason that is not known here")),
        (Some(false), _) => Err(Meaning::Nothing),
        (None, _) => Err(Meaning::Unknown("a change of subscription does not say which")),
    }
}

fn report(record: Json<'_>, kind: Kind, claim: Option<Claim>, recipient: Address, notes: &mut Notes) -> Report {
    let mut tags = tag_hints(&[record.at("Tag"), record.at("Metadata")]);
    tags.extend(record.text("MessageStream").map(|it| ("message_stream".to_owned(), hint(&it))));
    let words = Words { text: record.text("Details"), ..Words::default() };
    let report = Report {
        occurred_at: ["BouncedAt", "DeliveredAt", "ChangedAt", "ReceivedAt"].iter().find_map(|it| record.moment(it)),
        provider_message_id: record.text("MessageID").filter(|it| !is_nil(it)),
        provider_event_id: record.text("ID"),
        claim,
        hints: Hints { tags, ..Hints::default() },
        ..Report::new(kind, Some(recipient))
    };
    weighed(with_dump(with_words(report, &words, notes), record))
}

/// Whether an id is the nil UUID (RFC 9562 section 5.9), which stands for none: as a key it would make one of all failures.
fn is_nil(id: &str) -> bool {
    id.bytes().all(|it| matches!(it, b'0' | b'-'))
}

/// Fills in from the bounce message itself, where a server is set to send it along, what the record leaves out.
fn with_dump(report: Report, record: Json<'_>) -> Report {
    let dump = record.at("Content").verbatim().filter(|it| report.kind == Kind::Bounce && !it.trim().is_empty());
    let found = dump.map(|it| mime::read(it.as_bytes()).reading.reports).unwrap_or_default();
    let Some(told) = found.into_iter().find(|it| it.kind == Kind::Bounce && it.recipient == report.recipient) else { return report };
    let message_id = report.message_id.or(told.message_id);
    if report.diagnostic.is_some() {
        return Report { message_id, ..report };
    }
    Report {
        message_id,
        action: told.action,
        status: told.status,
        reply: told.reply,
        stage: told.stage,
        diagnostic_type: told.diagnostic_type,
        diagnostic: told.diagnostic,
        text: told.text,
        reporting_mta: told.reporting_mta,
        remote_mta: told.remote_mta,
        ..report
    }
}
