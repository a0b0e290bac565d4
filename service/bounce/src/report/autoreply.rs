//! Responders: out-of-office notes (RFC 3834 and the practice beside it) and filters that ask the sender to prove to be
//! human. Asked only after a mail showed no sign of being a bounce: mail servers mark real bounces the same way.

use super::human::Human;
use super::phrases::Phrases;
use super::{Report, recipient};
use crate::kind::Kind;
use crate::mail::Mail;
use crate::mta::signs;

/// How a subject of a responder begins, in lower case, after `re:` and its like are taken off.
const SUBJECTS: &[&str] = &[
    "auto:",
    "auto ",
    "automatic reply",
    "auto reply",
    "auto-reply",
    "autoreply",
    "auto response",
    "auto-response",
    "autoresponse",
    "autorespon",
    "automated response",
    "automatic response",
    "automated reply",
    "out of office",
    "out of the office",
    "out-of-office",
    "ooo:",
    "vacation",
    "away from",
    "i am away",
    "i am out of",
    "on vacation",
    "abwesenheitsnotiz",
    "abwesenheit",
    "abwesend",
    "automatische antwort",
    "autoantwort",
    "réponse automatique",
    "reponse automatique",
    "absence du bureau",
    "absent du bureau",
    "message d'absence",
    "respuesta automática",
    "respuesta automatica",
    "fuera de la oficina",
    "ausente",
    "risposta automatica",
    "fuori ufficio",
    "fuori sede",
    "assente",
    "resposta automática",
    "resposta automatica",
    "ausência temporária",
    "fora do escritório",
    "automatisch antwoord",
    "automatisch bericht",
    "afwezig",
    "niet aanwezig",
    "autosvar",
    "automatiskt svar",
    "automatisk svar",
    "frånvaro",
    "fravær",
    "automaattinen vastaus",
    "poissa",
    "automatyczna odpowiedź",
    "odpowiedź automatyczna",
    "nieobecność",
    "poza biurem",
    "automatická odpověď",
    "automatikus válasz",
    "răspuns automat",
    "автоответ",
    "автоматический ответ",
    "自動返信",
    "自動応答",
    "不在",
    "自动回复",
    "自動回覆",
    "自動回復",
    "자동 응답",
    "부재중",
    "otomatik yanıt",
    "atvaļinājum",
];

/// Headers that only a responder writes.
const HEADERS: &[&str] =
    &["x-autoreply", "x-autorespond", "x-auto-reply-from", "x-mail-autoreply", "x-autoreply-from", "x-autoresponder", "x-vacation"];

/// Hosts of filters that ask the sender to prove to be human.
static CHALLENGERS: Phrases = Phrases::new(&["@boxbe.com", "@spamarrest.com"]);

/// What their subjects hold, in lower case.
static CHALLENGES: Phrases = Phrases::new(&["requires confirmation", "please confirm (conf#"]);

/// Words of a short note from somebody who is away.
const WORDS: &[&str] = &[
    "out of the office",
    "out of office",
    "away from the office",
    "on vacation",
    "on holiday",
    "on annual leave",
    "on maternity leave",
    "automated response",
    "automatic reply",
    "automatic response",
    "auto-reply",
    "autoreply",
    "nicht im büro",
    "nicht im haus",
    "im urlaub",
    "en vacances",
    "absent du bureau",
    "fuera de la oficina",
    "de vacaciones",
    "fuori ufficio",
    "in ferie",
    "fora do escritório",
    "de férias",
    "niet op kantoor",
    "met vakantie",
    "в отпуске",
    "na urlopie",
    "不在にして",
    "休暇",
];

/// Reads a responder's mail, if it is one.
pub(super) fn read(mail: &Mail<'_>) -> Option<Report> {
    is_auto_reply(mail).then(|| Report::new(Kind::AutoReply, author(mail)))
}

/// Reads a challenge, if the mail is one. Some dress up as delivery reports, so this is asked first.
pub(super) fn challenge(mail: &Mail<'_>) -> Option<Report> {
    is_challenge(mail).then(|| Report::new(Kind::ChallengeResponse, author(mail)))
}

fn author(mail: &Mail<'_>) -> Option<crate::address::Address> {
    let from = mail.header("from")?;
    Human::new(&from).mentions().last().and_then(|it| recipient::from_text(it.word))
}

fn is_challenge(mail: &Mail<'_>) -> bool {
    mail.header("x-delivery-agent").is_some_and(|it| it.to_ascii_lowercase().contains("tmda"))
        || mail.header("from").is_some_and(|it| CHALLENGERS.found_in(&it))
        || mail.header("subject").is_some_and(|it| CHALLENGES.found_in(&it))
}

/// Whether a mail is a responder's for certain and nothing about it says that it reports a failure. An empty return path
/// alone does not: responders use it as well.
pub(super) fn is_plain(mail: &Mail<'_>) -> bool {
    !signs::says_failure(mail) && (subject(mail) || strong(mail) && !signs::by_system(mail))
}

fn is_auto_reply(mail: &Mail<'_>) -> bool {
    strong(mail) || subject(mail) || weak(mail)
}

/// One of these is enough.
fn strong(mail: &Mail<'_>) -> bool {
    let submitted = mail.header("auto-submitted").unwrap_or_default().to_ascii_lowercase();
    submitted.starts_with("auto-replied")
        || HEADERS.iter().any(|it| mail.headers().has(it))
        || mail.header("precedence").is_some_and(|it| matches!(it.to_ascii_lowercase().as_str(), "auto_reply" | "auto-reply"))
        || mail.header("x-precedence").is_some_and(|it| it.eq_ignore_ascii_case("auto_reply"))
        || mail.header("x-apple-action").is_some_and(|it| it.eq_ignore_ascii_case("vacation"))
        || mail.headers().all("delivered-to").any(|it| it.eq_ignore_ascii_case("autoresponder"))
}

fn subject(mail: &Mail<'_>) -> bool {
    let subject = mail.header("subject").unwrap_or_default().to_lowercase();
    let mut rest = subject.trim();
    while let Some(shorter) =
        ["re:", "aw:", "fw:", "fwd:", "sv:", "tr:", "rif:", "odp:", "[", "("].iter().find_map(|it| rest.strip_prefix(it))
    {
        rest = shorter.trim_start();
    }
    SUBJECTS.iter().any(|it| rest.starts_with(it)) || subject.contains("(automatic response)") || subject.contains("is out of the office")
}

/// A responder that does not say so: marked as bulk or automatic, short, and with the words of somebody who is away.
fn weak(mail: &Mail<'_>) -> bool {
    let precedence = mail.header("precedence").unwrap_or_default().to_ascii_lowercase();
    let submitted = mail.header("auto-submitted").unwrap_or_default().to_ascii_lowercase();
    let returned_to_nobody = mail.header("return-path").is_some_and(|it| it.trim() == "<>");
    let sign = matches!(precedence.as_str(), "bulk" | "junk" | "list")
        || submitted.starts_with("auto-")
        || returned_to_nobody
        || mail.headers().has("in-reply-to");
    let text = mail.human();
    sign && text.len() < 3_000 && {
        let text = text.to_lowercase();
        WORDS.iter().any(|it| text.contains(it))
    }
}
