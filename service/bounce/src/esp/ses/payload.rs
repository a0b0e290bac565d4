//! What SES says in a notification: the feedback format (`notificationType`) and the event format (`eventType`) hold the
//! same objects, so one reader does for both. Both at once for one failure carry the same `feedbackId` and message id.
//!
//! SES publishes a bounce only once it has stopped trying, so even a transient one is final for its message.

use serde_json::Value;
use time::OffsetDateTime;

use crate::classify::reason::Reason;
use crate::esp::evidence::{Words, bare_message_id, hint, tag_hints, weighed, with_words, without_type};
use crate::esp::headers::Headers;
use crate::esp::json::{Json, Notes};
use crate::esp::mailbox::mailbox;
use crate::esp::ses::labels::{bounce_meaning, is_suppression};
use crate::kind::{FeedbackType, Kind};
use crate::limits;
use crate::report::{Claim, Hints, Report};
use crate::status::Class;

/// How a notification came.
#[derive(Debug)]
pub(super) struct Publication {
    /// SNS's id of the message; the same on a retry.
    pub(super) id: Option<String>,
    /// When it was published.
    pub(super) published_at: Option<OffsetDateTime>,
}

/// What was found in it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) reports: Vec<Report>,
    pub(super) unrecognised: usize,
}

/// Reads a notification.
pub(super) fn read(notification: &Value, publication: &Publication, notes: &mut Notes) -> Findings {
    let notification = Json::new(notification);
    let mail = notification.at("mail");
    let event = Event { mail, publication };
    let word = if notification.at("eventType").is_some() { "eventType" } else { "notificationType" };
    let reports = match notification.word(word).as_str() {
        "bounce" => event.bounces(notification.at("bounce"), notes),
        "complaint" => event.complaints(notification.at("complaint"), notes),
        "delivery" => event.deliveries(notification.at("delivery"), notes),
        "deliverydelay" => event.delays(notification.at("deliveryDelay"), notes),
        "reject" => event.rejections(notification.at("reject"), "reason", notes),
        "rendering failure" => event.rejections(notification.at("failure"), "errorMessage", notes),
        "subscription" => event.unsubscriptions(notification.at("subscription"), notes),
        // The first is the question whether the topic works. The others do not say which recipient, and robots click.
        "amazonsnssubscriptionsucceeded" | "send" | "open" | "click" => Some(Vec::new()),
        "" => {
            notes.add("the message in the notification has neither eventType nor notificationType");
            None
        }
        _ => {
            notes.add("the message in the notification is of a type that is not known here");
            None
        }
    };
    let unrecognised = usize::from(reports.is_none());
    Findings { reports: reports.unwrap_or_default(), unrecognised }
}

/// What all reports of one notification share.
struct Event<'a> {
    mail: Json<'a>,
    publication: &'a Publication,
}

/// A recipient an event names, and what stands beside it.
struct Named<'a> {
    report: Report,
    detail: Json<'a>,
}

impl<'a> Event<'a> {
    fn bounces(&self, bounce: Json<'a>, notes: &mut Notes) -> Option<Vec<Report>> {
        let bounce_type = bounce.word("bounceType");
        let (kind, claim, feedback_type) = bounce_meaning(&bounce_type, &bounce.word("bounceSubType"), notes);
        let reports = self.reports(kind, bounce, "bouncedRecipients", notes)?.into_iter().map(|Named { report, detail }| {
            let report = Report {
                reporting_mta: bounce.text("reportingMTA").map(|it| without_type(&it).1.to_owned()),
                remote_mta: bounce.text("remoteMtaIp"),
                claim: Some(claim),
                feedback_type,
                ..report
            };
            heard(with_reply(report, detail, "diagnosticCode", notes), &bounce_type)
        });
        Some(reports.collect())
    }

    /// Whom a complaint names is a guess where the message had several recipients at one provider: those redact the
    /// address, and SES names all it may have been.
    fn complaints(&self, complaint: Json<'a>, notes: &mut Notes) -> Option<Vec<Report>> {
        let word = complaint.word("complaintFeedbackType");
        let feedback_type = match word.parse() {
            Ok(FeedbackType::NotSpam) => {
                notes.add("the recipient said that it is not spam; nothing to record");
                return Some(Vec::new());
            }
            Ok(known) => Some(known),
            Err(_) if word.is_empty() => None,
            Err(_) => {
                notes.add("the complaint's feedback type is not known here; taken as a complaint");
                None
            }
        };
        let sub_type = complaint.word("complaintSubType");
        let (kind, claim) = if is_suppression(&sub_type) {
            (Kind::Suppressed, Some(Claim { bounce_type: None, reason: Some(Reason::Suppressed) }))
        } else {
            if !sub_type.is_empty() {
                notes.add("the complaint's subtype is not known here; taken as a complaint");
            }
            (Kind::Complaint, None)
        };
        let named = self.reports(kind, complaint, "complainedRecipients", notes)?;
        if named.len() > 1 {
            notes.add(format!("the complaint may have come from any of {} recipients of one message", named.len()));
        }
        Some(named.into_iter().map(|it| Report { feedback_type, claim, ..it.report }).collect())
    }

    fn deliveries(&self, delivery: Json<'a>, notes: &mut Notes) -> Option<Vec<Report>> {
        let reports = self.reports(Kind::Delivered, delivery, "recipients", notes)?.into_iter().map(|Named { report, .. }| {
            let remote_mta = delivery.text("remoteMtaIp");
            let report = Report { reporting_mta: delivery.text("reportingMTA"), remote_mta, ..report };
            with_reply(report, delivery, "smtpResponse", notes)
        });
        Some(reports.collect())
    }

    fn delays(&self, delay: Json<'a>, notes: &mut Notes) -> Option<Vec<Report>> {
        let reason = match delay.word("delayType").as_str() {
            "mailboxfull" => Some(Reason::MailboxFull),
            "spamdetected" => Some(Reason::SpamContent),
            "recipientservererror" => Some(Reason::ServerError),
            "ipfailure" => Some(Reason::ReputationBlock),
            "transientcommunicationfailure" => Some(Reason::NetworkError),
            "byoiphostnamelookupunavailable" => Some(Reason::ReverseDns),
            _ => None,
        };
        let reports = self.reports(Kind::Delayed, delay, "delayedRecipients", notes)?.into_iter().map(|Named { report, detail }| {
            let claim = reason.map(|it| Claim { bounce_type: None, reason: Some(it) });
            let report = Report { claim, retry_until: delay.moment("expirationTime"), ..report };
            with_reply(report, detail, "diagnosticCode", notes)
        });
        Some(reports.collect())
    }

    /// SES refused the message: a virus, or a template that lacked a value. It went to none of its recipients.
    fn rejections(&self, rejection: Json<'a>, text: &str, notes: &mut Notes) -> Option<Vec<Report>> {
        let diagnostic = rejection.text(text);
        let is_virus = diagnostic.as_deref().is_some_and(|it| it.eq_ignore_ascii_case("bad content"));
        let claim = is_virus.then_some(Claim { bounce_type: None, reason: Some(Reason::VirusDetected) });
        let named = self.reports(Kind::Rejected, rejection, "recipients", notes)?;
        Some(named.into_iter().map(|it| Report { claim, diagnostic: diagnostic.clone(), ..it.report }).collect())
    }

    /// A change of the contact list. It names nobody, so only a message to one recipient tells who changed it.
    fn unsubscriptions(&self, subscription: Json<'a>, notes: &mut Notes) -> Option<Vec<Report>> {
        let wishes = subscription.at("newTopicPreferences");
        let topics = || wishes.at("topicSubscriptionStatus").items().filter(|it| it.word("subscriptionStatus") == "optout");
        if !wishes.at("unsubscribeAll").is_true() && topics().next().is_none() {
            return Some(Vec::new());
        }
        if self.mail.at("destination").items().count() > 1 {
            notes.add("a recipient unsubscribed, but the message went to several and the event does not say which");
            return None;
        }
        let mut named = self.reports(Kind::Unsubscribe, subscription, "recipients", notes)?;
        for Named { report, .. } in &mut named {
            let tags = [("contact_list", subscription.text("contactList")), ("topic", topics().find_map(|it| it.text("topicName")))];
            report.hints.tags.extend(tags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), hint(&value?)))));
        }
        Some(named.into_iter().map(|it| it.report).collect())
    }

    /// One report for each address in the list, or for the only one or, of a rejection, every one the message went to. A bad one
    /// costs itself only. `None` where nobody is left.
    fn reports(&self, kind: Kind, object: Json<'a>, list: &str, notes: &mut Notes) -> Option<Vec<Named<'a>>> {
        let common = self.common(kind, object);
        let destinations = || self.mail.at("destination").items();
        let mut named: Vec<Json<'a>> = object.at(list).items().take(limits::EVENT_RECIPIENTS + 1).collect();
        if named.is_empty() && (kind == Kind::Rejected || destinations().count() == 1) {
            named = destinations().take(limits::EVENT_RECIPIENTS + 1).collect();
        }
        if named.len() > limits::EVENT_RECIPIENTS {
            notes.add(format!("more than {} recipients; the others were left", limits::EVENT_RECIPIENTS));
            named.truncate(limits::EVENT_RECIPIENTS);
        }
        let only_destination = destinations().next().filter(|_| destinations().count() == 1).and_then(Json::verbatim);
        let sent_to = only_destination.filter(|it| it.len() <= limits::POST_HINT_BYTES).and_then(|it| Some((it, mailbox(it).ok()?)));
        let mut found = Vec::with_capacity(named.len());
        for (index, detail) in named.iter().enumerate() {
            let text = detail.at("emailAddress").verbatim().or_else(|| detail.verbatim()).unwrap_or_default();
            match mailbox(text) {
                Ok(recipient) => {
                    // Where a message went to one address and another failed, the first was forwarded to the second.
                    let forwarded = sent_to.as_ref().filter(|(_, it)| *it != recipient).map(|(text, _)| (*text).to_owned());
                    let report = Report { original_recipient: forwarded, recipient: Some(recipient), ..common.clone() };
                    found.push(Named { report, detail: *detail });
                }
                Err(error) => notes.add(format!("recipient {} of {} was left out: {error}", index + 1, named.len())),
            }
        }
        if found.is_empty() {
            notes.add("the event names no recipient that can be read");
            return None;
        }
        Some(found)
    }

    fn common(&self, kind: Kind, object: Json<'_>) -> Report {
        let headers = Headers(self.mail.at("headers"));
        let message_id = self.mail.at("commonHeaders").text("messageId").as_deref().and_then(bare_message_id);
        Report {
            occurred_at: object.moment("timestamp").or(self.publication.published_at).or_else(|| self.mail.moment("timestamp")),
            message_id: message_id.or_else(|| headers.message_id()),
            provider_message_id: self.mail.text("messageId"),
            // The id of SNS is that of this notification; a bare one has only the feedback's, which two notifications may share.
            provider_event_id: self.publication.id.clone().or_else(|| object.text("feedbackId")),
            hints: Hints {
                list_id: headers.list_id(),
                headers: headers.hints(),
                tags: tag_hints(&[self.mail.at("tags")]),
                ..Hints::default()
            },
            ..Report::new(kind, None)
        }
    }
}

/// Lets the receiver's words decide where they say more than the label: `Permanent` is said of full mailboxes too, and
/// `Transient` without a subtype of domains that do not exist (5.4.4). Where there are none, the label stands.
fn heard(report: Report, bounce_type: &str) -> Report {
    let is_plain = report.claim.is_some_and(|it| it.reason.is_none());
    let for_good = report.status.is_some_and(|it| it.class == Class::Permanent && it.detail != 0);
    if bounce_type == "transient" && is_plain && for_good { Report { claim: None, ..report } } else { weighed(report) }
}

/// Takes what the other side said: status, action, and the reply with its type taken off.
fn with_reply(report: Report, detail: Json<'_>, text: &str, notes: &mut Notes) -> Report {
    let words = Words { status: detail.text("status"), reply: None, text: detail.text(text) };
    with_words(Report { action: detail.word("action").parse().ok(), ..report }, &words, notes)
}
