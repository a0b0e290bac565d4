//! What the rows of each system mean. Recognised by the names of their values; each dialect is one function from a row to an
//! [`Entry`].
//!
//! A list of bounces that quotes the servers is judged by their words: what is a fault of the sender (a block list, a spam
//! verdict) never blocks an address, whoever's list it stands on, unless whoever imports it names the cause.

use bounce::address::Address;
use bounce::classify::reason::Reason;
use bounce::classify::{Verdict, classify};
use bounce::kind::Kind;
use bounce::policy::Cause;
use bounce::report::Report;
use time::{Duration, OffsetDateTime};

use super::record::{Layout, Record, normal};
use super::{Entry, Format, NOTE_LIMIT, Reading, Refusal, moment};

/// What a column of addresses may be called.
const ADDRESSES: &[&str] = &["address", "email", "emailaddress", "recipient", "mail", "subscriber", "subscriberkey"];
/// How far clocks may be apart.
const SKEW: Duration = Duration::DAY;
/// Characters kept of what a server said.
const SAID: usize = 500;

/// A system that hands out lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Our own: every word is one of ours.
    Own,
    /// Some list with a column of addresses; its words are taken as far as they are known.
    Foreign,
    Ses,
    Sendgrid,
    Mailgun,
    Postmark,
    Sparkpost,
    /// No names: an address, perhaps a cause behind it.
    Plain,
}

impl Dialect {
    /// The dialect that somebody names.
    pub(super) fn of(format: Format, names: &[String]) -> Self {
        match format {
            _ if names.is_empty() => Self::Plain,
            Format::Csv | Format::Ndjson => Self::Own,
            Format::Ses => Self::Ses,
            Format::Sendgrid => Self::Sendgrid,
            Format::Mailgun => Self::Mailgun,
            Format::Postmark => Self::Postmark,
            Format::Sparkpost => Self::Sparkpost,
            Format::Plain => Self::Plain,
        }
    }

    /// The dialect with these names; none when no name is one of addresses.
    pub(super) fn recognise(names: &[String]) -> Option<Self> {
        let has = |name: &str| names.iter().any(|it| it == name);
        Some(match () {
            () if names.is_empty() => Self::Plain,
            () if has("address") && has("cause") => Self::Own,
            () if has("emailaddress") && has("suppressionreason") && (has("origin") || has("createdat")) => Self::Postmark,
            () if has("emailaddress") && (has("reason") || has("suppressionreason")) => Self::Ses,
            () if has("recipient") && ["type", "source", "transactional", "nontransactional"].iter().any(|it| has(it)) => Self::Sparkpost,
            () if has("email") && has("created") => Self::Sendgrid,
            () if has("address") && (has("createdat") || has("tags") || has("code") && has("error")) => Self::Mailgun,
            () if ADDRESSES.iter().any(|it| has(it)) => Self::Foreign,
            () => return None,
        })
    }

    /// The format it belongs to.
    pub(super) const fn format(self, layout: Layout) -> Format {
        match self {
            Self::Own | Self::Foreign => match layout {
                Layout::Cells => Format::Csv,
                Layout::Json => Format::Ndjson,
            },
            Self::Ses => Format::Ses,
            Self::Sendgrid => Format::Sendgrid,
            Self::Mailgun => Format::Mailgun,
            Self::Postmark => Format::Postmark,
            Self::Sparkpost => Format::Sparkpost,
            Self::Plain => Format::Plain,
        }
    }

    /// What a row says.
    pub(super) fn entry(self, record: &Record, reading: &Reading) -> Result<Entry, Refusal> {
        let row = Row { record, reading };
        let entry = match self {
            Self::Own => row.own(),
            Self::Foreign => row.foreign(),
            Self::Ses => row.ses(),
            Self::Sendgrid => row.sendgrid(),
            Self::Mailgun => row.mailgun(),
            Self::Postmark => row.postmark(),
            Self::Sparkpost => row.sparkpost(),
            Self::Plain => row.plain(),
        }?;
        row.hold_to_sense(&entry)?;
        Ok(entry)
    }
}

/// A row and what it is read with.
struct Row<'a> {
    record: &'a Record,
    reading: &'a Reading,
}

impl Row<'_> {
    fn own(&self) -> Result<Entry, Refusal> {
        let cause = match self.record.get("cause") {
            Some(word) => word.parse().map_err(|_| Refusal::Word("cause"))?,
            None => self.cause(),
        };
        let reason = self.record.get("reason").map(|it| it.parse().map_err(|_| Refusal::Word("reason"))).transpose()?;
        Ok(Entry {
            list: self.record.get("list").map(str::to_owned),
            reason,
            provisional: self.flag("provisional", "provisional")?,
            overrides_consent: self.flag("overridesconsent", "overrides_consent")?,
            since: self.past(&["since"], "since")?,
            expires_at: self.time(&["expiresat"], "expires_at")?,
            note: self.record.verbatim("note").map(str::to_owned),
            ..self.bare(self.address(ADDRESSES)?, cause)
        })
    }

    fn foreign(&self) -> Result<Entry, Refusal> {
        let words = ["cause", "reason", "type", "status", "state", "category"];
        let named = words.iter().filter_map(|it| self.record.get(it)).find_map(|it| Some((it, cause_of(it)?)));
        let texts = ["reason", "detail", "description", "error", "note", "comment"];
        let said = self.record.any(&texts);
        let quoted = || texts.iter().filter_map(|it| self.record.get(it));
        let address = self.address(ADDRESSES)?;
        let cause = named.map(|(word, cause)| match cause {
            // By whom it was blocked the word does not say; where a server is quoted, by that.
            Cause::ManualBlock if normal(word) == "blocked" && quoted().any(|it| self.is_a_servers(it)) => Cause::Hard,
            cause => cause,
        });
        self.hold_to_fault(cause, quoted())?;
        Ok(Entry {
            reason: said.and_then(|it| it.parse().ok()),
            since: self.past(&["since", "createdat", "created", "date", "timestamp", "suppressedat", "unsubscribedat"], "the date")?,
            expires_at: self.time(&["expiresat", "expires"], "expires_at")?,
            note: said.filter(|it| cause_of(it).is_none()).map(|it| without(it, &address)),
            ..self.bare(address, cause.unwrap_or_else(|| self.cause()))
        })
    }

    fn ses(&self) -> Result<Entry, Refusal> {
        let word = self.record.any(&["reason", "suppressionreason"]);
        let cause = match word {
            Some(word) => cause_of(word).ok_or(Refusal::Word("reason"))?,
            None => self.cause(),
        };
        let since = self.past(&["lastupdatetime", "lastupdated", "lastupdate"], "LastUpdateTime")?;
        Ok(Entry { since, ..self.bare(self.address(&["emailaddress"])?, cause) })
    }

    /// Bounces and blocks have a status and a reason, invalid addresses a reason, spam reports the address of a host, and
    /// unsubscribes nothing else; groups have an id. Our own exports name the cause as the reason.
    fn sendgrid(&self) -> Result<Entry, Refusal> {
        let address = self.address(&["email"])?;
        let since = self.past(&["created"], "created")?;
        let said = self.record.get("reason");
        let known = match said {
            _ if self.reading.cause.is_some() => None,
            Some(said) => own_words(said),
            None if self.record.get("ip").is_some() => Some((Cause::Complaint, None)),
            None => Some((Cause::Unsubscribe, None)),
        };
        match known {
            Some((cause, reason)) => Ok(Entry { reason, since, ..self.bare(address, cause) }),
            None => self.bounced(address, since, self.record.get("status"), said),
        }
    }

    /// Bounces have a code and an error, unsubscribes have tags, complaints nothing else. Our own exports name the cause as
    /// the error.
    fn mailgun(&self) -> Result<Entry, Refusal> {
        let address = self.address(&["address"])?;
        let since = self.past(&["createdat"], "created_at")?;
        let (code, said) = (self.record.get("code"), self.record.get("error"));
        let known = match said.and_then(own_words) {
            _ if self.reading.cause.is_some() => None,
            Some(known) => Some(known),
            None if self.record.get("tags").is_some() => Some((Cause::Unsubscribe, None)),
            None if code.is_none() && said.is_none() => Some((Cause::Complaint, None)),
            None => None,
        };
        let tags = self.record.get("tags").filter(|it| *it != "*").map(|it| clipped(&format!("tags: {it}")));
        match known {
            Some((cause, reason)) => Ok(Entry { reason, since, note: tags, ..self.bare(address, cause) }),
            None => self.bounced(address, since, code, said),
        }
    }

    fn postmark(&self) -> Result<Entry, Refusal> {
        let by_recipient = self.record.get("origin").is_some_and(|it| it.eq_ignore_ascii_case("recipient"));
        let word = self.record.get("suppressionreason").ok_or(Refusal::Word("SuppressionReason"))?;
        let cause = match cause_of(word).ok_or(Refusal::Word("SuppressionReason"))? {
            // The recipient's own hand is an unsubscribe.
            Cause::ManualBlock if by_recipient => Cause::Unsubscribe,
            cause => cause,
        };
        let since = self.past(&["createdat"], "CreatedAt")?;
        Ok(Entry { since, ..self.bare(self.address(&["emailaddress"])?, cause) })
    }

    fn sparkpost(&self) -> Result<Entry, Refusal> {
        let address = self.address(&["recipient"])?;
        let is = |name: &str| self.record.get(name).is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let only_newsletters = match self.record.get("type").map(normal).as_deref() {
            Some("nontransactional") => true,
            Some("transactional") => false,
            Some(_) => return Err(Refusal::Word("type")),
            None => is("nontransactional") && !is("transactional"),
        };
        let cause = match self.record.get("source") {
            Some(source) => cause_of(source).ok_or(Refusal::Word("source"))?,
            None if only_newsletters && self.reading.cause.is_none() => Cause::Unsubscribe,
            None => self.cause(),
        };
        let since = self.past(&["created", "updated"], "created")?;
        let said = self.record.get("description");
        self.hold_to_fault(Some(cause), said)?;
        match said.and_then(own_words) {
            Some((cause, reason)) => Ok(Entry { reason, since, ..self.bare(address, cause) }),
            None => Ok(Entry { since, note: said.map(|it| without(it, &address)), ..self.bare(address, cause) }),
        }
    }

    fn plain(&self) -> Result<Entry, Refusal> {
        let address = Address::parse_entry(self.record.cell(0).ok_or(Refusal::NoAddress)?)?;
        let cause = self.record.cell(1).and_then(cause_of);
        Ok(self.bare(address, cause.unwrap_or_else(|| self.cause())))
    }

    /// A bounce with what the server said.
    fn bounced(&self, address: Address, since: Option<OffsetDateTime>, code: Option<&str>, said: Option<&str>) -> Result<Entry, Refusal> {
        let note = said.map(|it| without(it, &address));
        if let Some(cause) = self.reading.cause {
            return Ok(Entry { since, note, ..self.bare(address, cause) });
        }
        let mut report = Report::new(Kind::Bounce, None);
        report.status = code.and_then(|it| it.parse().ok());
        report.diagnostic = said.or(code).map(str::to_owned);
        let reason = classify(&report, &self.reading.rules).reason.filter(|it| *it != Reason::Undetermined);
        if let Some(reason) = reason.filter(|it| it.fault().is_senders()) {
            return Err(Refusal::SendersFault(reason));
        }
        Ok(Entry { reason, since, note, ..self.bare(address, Cause::Hard) })
    }

    /// Refuses what servers blame on the sender, unless whoever imports it named the cause, or the wish of a person is the cause:
    /// then what a server said does not matter.
    fn hold_to_fault<'a>(&self, cause: Option<Cause>, said: impl IntoIterator<Item = &'a str>) -> Result<(), Refusal> {
        if self.reading.cause.is_some() || matches!(cause, Some(Cause::Complaint | Cause::Unsubscribe | Cause::ManualAllow)) {
            return Ok(());
        }
        let fault = |it| self.of_server(it)?.reason.filter(|it| it.fault().is_senders());
        said.into_iter().find_map(fault).map_or(Ok(()), |it| Err(Refusal::SendersFault(it)))
    }

    /// Whether these are the words of a server.
    fn is_a_servers(&self, said: &str) -> bool {
        self.of_server(said).is_some()
    }

    /// What the words of a server mean. They begin with its code, which the notes of people do not.
    fn of_server(&self, said: &str) -> Option<Verdict> {
        let mut report = Report::new(Kind::Bounce, None);
        report.diagnostic = Some(said.to_owned());
        let verdict = classify(&report, &self.reading.rules);
        (verdict.reply.is_some() || verdict.status.is_some()).then_some(verdict)
    }

    fn bare(&self, address: Address, cause: Cause) -> Entry {
        Entry {
            line: self.record.line,
            address,
            list: None,
            cause,
            reason: None,
            provisional: false,
            overrides_consent: false,
            since: None,
            expires_at: None,
            note: None,
        }
    }

    /// The cause of rows that name none.
    fn cause(&self) -> Cause {
        self.reading.cause.unwrap_or(Cause::Import)
    }

    fn address(&self, names: &[&str]) -> Result<Address, Refusal> {
        Ok(Address::parse_entry(self.record.any(names).ok_or(Refusal::NoAddress)?)?)
    }

    fn time(&self, names: &[&str], said: &'static str) -> Result<Option<OffsetDateTime>, Refusal> {
        self.record.any(names).map(|it| moment::parse(it).ok_or(Refusal::Time(said))).transpose()
    }

    /// A time that has come. Clocks differ, so what lies ahead by less than a day is now.
    fn past(&self, names: &[&str], said: &'static str) -> Result<Option<OffsetDateTime>, Refusal> {
        match self.time(names, said)? {
            Some(at) if at > self.reading.now + SKEW => Err(Refusal::Future(said)),
            at => Ok(at),
        }
    }

    fn flag(&self, name: &str, said: &'static str) -> Result<bool, Refusal> {
        match self.record.get(name).map(normal).as_deref() {
            None | Some("false" | "no" | "0") => Ok(false),
            Some("true" | "yes" | "1") => Ok(true),
            Some(_) => Err(Refusal::Flag(said)),
        }
    }

    /// What each value allows, all together may not.
    fn hold_to_sense(&self, entry: &Entry) -> Result<(), Refusal> {
        let now = self.reading.now;
        match entry.expires_at {
            Some(end) if end <= now => return Err(Refusal::Ended),
            Some(end) if end <= entry.since.unwrap_or(now) => return Err(Refusal::Backwards),
            None if entry.provisional => return Err(Refusal::Endless),
            _ => {}
        }
        if entry.overrides_consent && entry.cause != Cause::ManualAllow {
            return Err(Refusal::Overrides);
        }
        if entry.note.as_ref().is_some_and(|it| it.chars().count() > NOTE_LIMIT) {
            return Err(Refusal::Note);
        }
        Ok(())
    }
}

/// The cause that a word of some system means.
fn cause_of(word: &str) -> Option<Cause> {
    Some(match normal(word).as_str() {
        "hard" | "bounce" | "bounced" | "hardbounce" | "permanent" | "bouncerule" | "invalid" | "invalidemail" | "badmailbox" => {
            Cause::Hard
        }
        "soft" | "softbounce" => Cause::Soft,
        "complaint" | "complained" | "spam" | "spamcomplaint" | "spamreport" | "abuse" | "fbl" => Cause::Complaint,
        "unsubscribe" | "unsubscribed" | "unsub" | "optout" | "listunsubscribe" | "unsubscribelink" | "globalunsubscribe" => {
            Cause::Unsubscribe
        }
        "provider" | "compliance" => Cause::Provider,
        "import" | "imported" => Cause::Import,
        "manual" | "manualblock" | "manualsuppression" | "manuallyadded" | "blocked" | "blacklist" | "custom" => Cause::ManualBlock,
        "manualallow" => Cause::ManualAllow,
        _ => return None,
    })
}

/// The cause, and behind a colon the reason, that our own exports name where other systems have free text.
fn own_words(said: &str) -> Option<(Cause, Option<Reason>)> {
    match said.split_once(": ") {
        Some((cause, reason)) => Some((cause.parse().ok()?, Some(reason.parse().ok()?))),
        None => Some((said.parse().ok()?, None)),
    }
}

/// What a server said, without the address: it is kept beside it and goes when it is erased.
fn without(said: &str, address: &Address) -> String {
    let lower = said.to_lowercase();
    let text = if lower.len() == said.len() && lower.contains(address.expose()) {
        let mut text = String::new();
        let mut from = 0;
        for (at, found) in lower.match_indices(address.expose()) {
            text.push_str(said.get(from..at).unwrap_or_default());
            text.push('…');
            from = at + found.len();
        }
        text + said.get(from..).unwrap_or_default()
    } else {
        said.to_owned()
    };
    clipped(&text)
}

fn clipped(text: &str) -> String {
    text.chars().take(SAID).collect()
}
