//! Signs of a bounce on the outside of a mail: who wrote it, what its subject says, which headers it carries. They decide
//! whether free text is worth reading as a bounce at all.

use crate::mail::Mail;
use crate::report::phrases::Phrases;

/// Names that mail systems write under.
static AUTHORS: Phrases = Phrases::new(&[
    "mailer-daemon",
    "mailerdaemon",
    "mail-daemon",
    "maildaemon",
    "postmaster",
    "post_master",
    "mail delivery s",
    "mail administrator",
    "mail system",
    "delivery subsystem",
    "system administrator",
    "mail router",
    "mailsystem",
    "mail-system",
    "microsoft exchange",
    "microsoftexchange",
    "bounce@",
    "bounces@",
    "symantec_antivirus",
    "internet mail delivery",
    "mail gateway",
    "smtp gateway",
    "mdaemon@",
    "mail server",
    "mail daemon",
    "non-delivery",
    "delivery notification",
]);

/// What subjects of bounces hold, in lower case.
static SUBJECTS: Phrases = Phrases::new(&[
    "undeliver",
    "delivery fail",
    "delivery status notification",
    "delivery notification",
    "delivery problem",
    "delivery error",
    "delivery has failed",
    "delivery report",
    "delivery incomplete",
    "failure notice",
    "failure delivery",
    "delivery delay",
    "delayed mail",
    "message delayed",
    "could not be delivered",
    "cannot be delivered",
    "could not send message",
    "not delivered",
    "non delivery",
    "non-delivery",
    "nondeliverable",
    "non recapitabile",
    "returned mail",
    "returned to sender",
    "return to sender",
    "returning message",
    "returned message",
    "mail error",
    "mail system error",
    "mail failure",
    "mail status report",
    "mail delivery",
    "message status",
    "user unknown",
    "unknown user",
    "unknown local part",
    "unknown recipient",
    "unable to deliver",
    "unzustellbar",
    "nicht zustellbar",
    "nicht zugestellt",
    "zustellung",
    "non remis",
    "échec de",
    "echec de",
    "no se puede entregar",
    "no entregado",
    "no se ha podido entregar",
    "devuelto",
    "mancata consegna",
    "impossibile recapitare",
    "não foi possível entregar",
    "não entregue",
    "falha na entrega",
    "onbestelbaar",
    "niet bezorgd",
    "не доставлен",
    "недоставлен",
    "не удалось доставить",
    "nie dostarczono",
    "niedostarcz",
    "zwrot",
    "配信不能",
    "配信できません",
    "配送",
    "退信",
    "无法投递",
    "未送达",
    "投递失败",
    "olevererbart",
    "kunde inte levereras",
    "kunne ikke leveres",
    "teslim edilemedi",
    "warning: could not send",
    "warning: message",
    "problems with the mail",
    "mail quota",
    "rejected:",
    "message rejected",
    "blocked mail",
    "message blocked",
    "mail returned",
    "bounced mail",
    "notice: mail",
    "failed mail",
    "failed to deliver",
    "send failure",
    "mail_failure",
    "your message was not",
    "message you sent",
    "permanent delivery",
    "mail rejected",
    "recipient unknown",
]);

/// Whether the outside of a mail says that it may be a bounce.
pub(crate) fn is_bounce(mail: &Mail<'_>) -> bool {
    says_failure(mail) || by_system(mail) || wants_no_answer(mail)
}

/// Whether a mail says in so many words that it is about a failure. A subject or first words are enough only where nothing
/// says that a person passes on a bounce of theirs.
pub(crate) fn says_failure(mail: &Mail<'_>) -> bool {
    let headers = mail.headers();
    headers.has("x-failed-recipients")
        || headers.has("x-ms-exchange-message-is-ndr")
        || mail.report_type() == Some("delivery-status")
        || (by_subject(mail) || by_text(mail)) && !is_passed_on(mail)
}

/// Whether the return path is empty, as that of reports is (RFC 3464 section 2), but also of many a responder.
fn wants_no_answer(mail: &Mail<'_>) -> bool {
    mail.header("return-path").is_some_and(|it| matches!(it.trim(), "<>" | ""))
}

/// Whether a person answers or forwards.
fn is_passed_on(mail: &Mail<'_>) -> bool {
    let subject = mail.header("subject").unwrap_or_default().trim_start().to_lowercase();
    ["re:", "aw:", "fw:", "fwd:", "wg:", "tr:", "rv:", "i:", "sv:", "odp:"].iter().any(|it| subject.starts_with(it))
}

/// First words of texts that nobody but a mail system writes, in lower case.
static TEXTS: Phrases = Phrases::new(&[
    "this message was created automatically by mail delivery software",
    "this is an automatically generated delivery status notification",
    "this is the mail system at host",
    "hi. this is the ",
    "your message did not reach some or all of the intended recipients",
    "did not reach the following recipient",
    "error message below:",
    "delivery to the following recipient failed permanently",
    "\"notificationtype\":\"",
    "\\\"notificationtype\\\":\\\"",
    "\"eventtype\":\"",
    "could not be delivered to one or more",
    "list of failed recipients",
    "final-recipient:",
]);

/// Whether the text begins like one of a mail system.
pub(crate) fn by_text(mail: &Mail<'_>) -> bool {
    TEXTS.found_in(crate::report::human::capped(mail.human(), 3_000)) || mail.headers().has("x-mlserver")
}

/// Whether a mail system wrote it.
pub(crate) fn by_system(mail: &Mail<'_>) -> bool {
    let path = || mail.header("return-path").unwrap_or_default().to_ascii_lowercase();
    mail.header("from").is_some_and(|it| it.trim() == "<>" || AUTHORS.found_in(&it)) || path().contains("mailer-daemon")
}

/// Whether the subject is one of a bounce.
pub(crate) fn by_subject(mail: &Mail<'_>) -> bool {
    mail.header("subject").is_some_and(|it| SUBJECTS.found_in(&it))
}

/// Words of failure, in lower case.
static FAILURE: Phrases = Phrases::new(&[
    "fail",
    "unknown",
    "undeliver",
    "not deliver",
    "cannot",
    "could not",
    "can't",
    "couldn't",
    "unable",
    "doesn't exist",
    "no such",
    "not found",
    "reject",
    "invalid",
    "full",
    "quota",
    "refused",
    "denied",
    "not listed",
    "expired",
    "unreachable",
    "disabled",
    "not exist",
    "bounced",
    "not known",
    "not a valid",
    "delayed",
    "no mailbox",
    "inactive",
    "unavailable",
    "error",
    "fatal",
    "temporar",
    "over limit",
    "exceed",
    "blocked",
    "spam",
    "not allowed",
    "not permitted",
    "suspended",
    "not accept",
    "nicht",
    "unbekannt",
    "non ",
    "inconnu",
    "desconocid",
    "sconosciut",
    "nie ",
    "не ",
    "não",
    "niet",
    "退",
    "不",
    "できません",
    "存在",
    "delivery",
    "giving up",
    "returned",
    "timed out",
    "wasn't able",
    "no account",
    "too large",
    "too big",
]);

/// Whether a text speaks of something that failed.
pub(crate) fn speaks_of_failure(text: &str) -> bool {
    FAILURE.found_in(text)
}

/// Words that name a cause, in lower case: more than that something failed.
static CAUSES: Phrases = Phrases::new(&[
    "unknown",
    "not found",
    "no such",
    "not exist",
    "n't exist",
    "no mailbox",
    "no account",
    "n't have",
    "not listed",
    "not recognized",
    "not known",
    "not a valid",
    "invalid",
    "illegal",
    "quota",
    "full",
    "over limit",
    "exceed",
    "too large",
    "too big",
    "size",
    "disabled",
    "inactive",
    "suspended",
    "expired",
    "not responding",
    "not reachable",
    "unreachable",
    "timed out",
    "timeout",
    "time-out",
    "refused",
    "reject",
    "denied",
    "blocked",
    "blacklist",
    "spam",
    "virus",
    "not allowed",
    "not permitted",
    "not authorized",
    "not accept",
    "be found",
    "couldn't find",
    "could not find",
    "cannot find",
    "lookup",
    "relay",
    "loop",
    "hops",
    "policy",
    "no longer",
    "has moved",
    "temporar",
    "unrouteable",
    "unroutable",
    "exit status",
    "child process",
    "permission",
    "not collected",
    "not been collected",
    "unavailable",
    "bad address",
    "smtputf8",
    "not support",
    "unbekannt",
    "voll",
    "inconnu",
    "desconoc",
    "sconosciut",
    "onbekend",
    "nieznan",
    "неизвест",
    "не найден",
    "не существует",
    "переполн",
    "ha expirado",
    "存在",
    "一杯",
    "見つかり",
    "超過",
    "已满",
    "拒绝",
]);

/// Whether a text names a cause.
pub(crate) fn names_a_cause(text: &str) -> bool {
    CAUSES.found_in(text)
}

/// Words about the delivery of mail, in lower case.
static DELIVERY: Phrases = Phrases::new(&[
    "deliver",
    "recipient",
    "your message",
    "your mail",
    "sent mail",
    "your e-mail",
    "your email",
    "the message",
    "the mail",
    "returned",
    "bounce",
    "mailbox",
    "rcpt",
    "mail to",
    "message to",
    "intended for",
    "zustell",
    "nachricht",
    "remis",
    "entreg",
    "mensa",
    "consegn",
    "recapit",
    "messaggio",
    "bezorg",
    "bericht",
    "dostarcz",
    "wiadomo",
    "достав",
    "сообщени",
    "письмо",
    "配信",
    "配送",
    "メール",
    "送信",
    "邮件",
    "郵件",
    "投递",
    "投遞",
    "发送",
    "메일",
]);

/// Whether a text speaks of the delivery of mail.
pub(crate) fn speaks_of_delivery(text: &str) -> bool {
    DELIVERY.found_in(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_has_its_sample() {
        assert_eq!(AUTHORS.flaws("authors"), Vec::<String>::new());
        assert_eq!(SUBJECTS.flaws("subjects"), Vec::<String>::new());
        assert_eq!(TEXTS.flaws("texts"), Vec::<String>::new());
        assert_eq!(FAILURE.flaws("failure"), Vec::<String>::new());
        assert_eq!(CAUSES.flaws("causes"), Vec::<String>::new());
        assert_eq!(DELIVERY.flaws("delivery"), Vec::<String>::new());
    }
}
