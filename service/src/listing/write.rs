//! Lists on their way out. Our own formats hold all that a list says and come back as they went; the formats of other
//! systems hold who may not be mailed, as far as those systems have words for why.

use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use serde::Serialize;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{OffsetDateTime, UtcOffset};

use super::{Format, formula};

/// What a list says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Whom.
    pub address: String,
    /// The list where it stands.
    pub list: String,
    /// Why.
    pub cause: Cause,
    /// Why in detail.
    pub reason: Option<Reason>,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Since when.
    pub since: OffsetDateTime,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// What is said of it.
    pub note: Option<String>,
}

/// What stands at the end of NDJSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// Entries before it.
    pub entries: u64,
    /// Entries left out because their address was erased.
    pub erased: u64,
    /// The moment whose truth it is.
    pub as_of: OffsetDateTime,
    /// Where to go on in the feed of changes.
    pub changes_after: String,
}

/// Writes a list, a piece at a time.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    format: Format,
}

impl Format {
    /// Whether it holds all that a list says; else it holds who may not be mailed.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson)
    }

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Plain => "text/plain; charset=utf-8",
            _ => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What files of it are called.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Plain => "txt",
            _ => "csv",
        }
    }

    /// The header of a file with columns.
    const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &["address", "list", "cause", "reason", "provisional", "overrides_consent", "since", "expires_at", "note"],
            Self::Ses => &["EmailAddress", "Reason", "LastUpdateTime"],
            Self::Sendgrid => &["email", "status", "reason", "created"],
            Self::Mailgun => &["address", "code", "error", "created_at"],
            Self::Postmark => &["EmailAddress", "SuppressionReason", "Origin", "CreatedAt"],
            Self::Sparkpost => &["recipient", "type", "source", "description", "created"],
            Self::Ndjson | Self::Plain => &[],
        }
    }
}

impl Writer {
    /// Writes that format.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// What stands before the first entry.
    pub fn head(self, to: &mut Vec<u8>) {
        if !self.format.columns().is_empty() {
            row(to, self.format.columns().iter().map(|it| (*it).to_owned()));
        }
    }

    /// An entry.
    pub fn entry(self, to: &mut Vec<u8>, it: &Written) {
        let since = text(it.since);
        let word = it.reason.map_or_else(|| it.cause.to_string(), |reason| format!("{}: {reason}", it.cause));
        let cells = match self.format {
            Format::Plain => {
                to.extend_from_slice(it.address.as_bytes());
                to.push(b'\n');
                return;
            }
            Format::Ndjson => return json(to, &Line::of(it)),
            Format::Csv => vec![
                it.address.clone(),
                it.list.clone(),
                it.cause.to_string(),
                it.reason.map(|it| it.to_string()).unwrap_or_default(),
                it.provisional.to_string(),
                it.overrides_consent.to_string(),
                since,
                it.expires_at.map(text).unwrap_or_default(),
                it.note.clone().unwrap_or_default(),
            ],
            Format::Ses => vec![it.address.clone(), if it.cause.is_consent() { "COMPLAINT" } else { "BOUNCE" }.to_owned(), since],
            Format::Sendgrid => vec![it.address.clone(), String::new(), word, it.since.unix_timestamp().to_string()],
            Format::Mailgun => {
                let since = it.since.to_offset(UtcOffset::UTC).format(&Rfc2822).unwrap_or_default();
                vec![it.address.clone(), "550".to_owned(), word, since]
            }
            Format::Postmark => {
                let (reason, origin) = postmark(it.cause);
                vec![it.address.clone(), reason.to_owned(), origin.to_owned(), since]
            }
            Format::Sparkpost => {
                let (kind, source) = sparkpost(it.cause);
                vec![it.address.clone(), kind.to_owned(), source.to_owned(), word, since]
            }
        };
        row(to, cells.into_iter());
    }

    /// What stands behind the last entry: without it NDJSON is not whole.
    pub fn tail(self, to: &mut Vec<u8>, it: &Trailer) {
        if self.format == Format::Ndjson {
            let (entries, erased) = (it.entries, it.erased);
            json(to, &Last { done: true, entries, erased, as_of: text(it.as_of), changes_after: it.changes_after.clone() });
        }
    }
}

/// Addresses that bounced, or that we do not mail, are all one to Postmark.
const fn postmark(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Complaint => ("SpamComplaint", "Recipient"),
        Cause::Unsubscribe => ("ManualSuppression", "Recipient"),
        Cause::ManualBlock | Cause::ManualAllow => ("ManualSuppression", "Customer"),
        Cause::Hard | Cause::Soft | Cause::Provider | Cause::Import => ("HardBounce", "Recipient"),
    }
}

const fn sparkpost(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Complaint => ("non_transactional", "Spam Complaint"),
        Cause::Unsubscribe => ("non_transactional", "List Unsubscribe"),
        Cause::Hard | Cause::Soft => ("transactional", "Bounce Rule"),
        Cause::Provider => ("transactional", "Compliance"),
        Cause::Import | Cause::ManualBlock | Cause::ManualAllow => ("transactional", "Manually Added"),
    }
}

/// A line of NDJSON.
#[derive(Serialize)]
struct Line<'a> {
    address: &'a str,
    list: &'a str,
    cause: Cause,
    reason: Option<Reason>,
    provisional: bool,
    overrides_consent: bool,
    since: String,
    expires_at: Option<String>,
    note: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(it: &'a Written) -> Self {
        Self {
            address: &it.address,
            list: &it.list,
            cause: it.cause,
            reason: it.reason,
            provisional: it.provisional,
            overrides_consent: it.overrides_consent,
            since: text(it.since),
            expires_at: it.expires_at.map(text),
            note: it.note.as_deref(),
        }
    }
}

/// The last line of NDJSON.
#[derive(Serialize)]
struct Last {
    done: bool,
    entries: u64,
    erased: u64,
    as_of: String,
    changes_after: String,
}

fn json(to: &mut Vec<u8>, line: &impl Serialize) {
    // Texts and numbers can always be written, and a vector takes them.
    let _ = serde_json::to_writer(&mut *to, line);
    to.push(b'\n');
}

/// A row of CSV (RFC 4180) in which no cell is a formula.
fn row(to: &mut Vec<u8>, cells: impl Iterator<Item = String>) {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(&mut *to);
    for cell in cells {
        // A vector takes everything.
        let _ = writer.write_field(formula::neutral(&cell).as_ref());
    }
    let _ = writer.write_record(None::<&[u8]>);
    let _ = writer.flush();
}

/// RFC 3339 in UTC.
fn text(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(&Rfc3339).unwrap_or_default()
}
