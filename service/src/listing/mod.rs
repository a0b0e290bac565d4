//! Lists of addresses as files: what other systems hand out and take, and our own format. A file is read line by line into
//! [`Entry`]s, whatever its encoding, and each line that says nothing usable is refused by its number with the reason; no
//! line costs another. Nothing here knows the database, and no text of a file gets into an error: it may be somebody's
//! address.

mod cells;
mod dialect;
mod documents;
mod formula;
mod moment;
mod record;
mod spool;
mod text;
mod write;

use std::sync::Arc;

use bounce::address::{Address, AddressError};
use bounce::classify::Rules;
use bounce::classify::reason::Reason;
use bounce::policy::Cause;
use time::OffsetDateTime;

use self::dialect::Dialect;
use self::record::Records;
use self::spool::Input;

pub use self::spool::{Encoding, Spool, Spooled};
pub use self::write::{Trailer, Writer, Written};

/// Octets a line, or a row of several lines, may have.
const ROW_LIMIT: usize = 64 << 10;
/// Characters a note may have.
const NOTE_LIMIT: usize = 2000;

bounce::vocabulary! {
    /// How a list is written.
    pub enum Format, "format" {
        /// Our own, as CSV with a header.
        Csv = "csv",
        /// Our own, one JSON object on a line.
        Ndjson = "ndjson",
        /// The account suppression list of Amazon SES.
        Ses = "ses",
        /// The suppressions of Twilio SendGrid.
        Sendgrid = "sendgrid",
        /// The suppressions of Mailgun.
        Mailgun = "mailgun",
        /// The suppressions of a Postmark message stream.
        Postmark = "postmark",
        /// The suppression list of SparkPost.
        Sparkpost = "sparkpost",
        /// One address on each line.
        Plain = "plain",
    }
}

/// How to read a list.
#[derive(Debug, Clone)]
pub struct Reading {
    /// How it is written; recognised by its header if none is given.
    pub format: Option<Format>,
    /// The cause of rows that name none.
    pub cause: Option<Cause>,
    /// What the words of servers mean, for lists that quote them.
    pub rules: Arc<Rules>,
    /// The time: nothing may lie after it.
    pub now: OffsetDateTime,
}

/// What a row says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line where it begins, the first being 1.
    pub line: u64,
    /// Whom: an address or a domain entry.
    pub address: Address,
    /// Where it stands, if the row says so.
    pub list: Option<String>,
    /// Why.
    pub cause: Cause,
    /// Why in detail.
    pub reason: Option<Reason>,
    /// Whether another day must confirm it.
    pub provisional: bool,
    /// Of a manual allow: whether it overrides complaint and unsubscribe.
    pub overrides_consent: bool,
    /// Since when.
    pub since: Option<OffsetDateTime>,
    /// Until when.
    pub expires_at: Option<OffsetDateTime>,
    /// What is said of it.
    pub note: Option<String>,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number, the first being 1.
    pub line: u64,
    /// Why.
    pub why: Refusal,
}

/// Why a line was not taken. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Over the limit.
    #[error("the row has more than {} KiB", ROW_LIMIT >> 10)]
    TooLong,
    /// A quote that opens and does not close.
    #[error("a quotation mark opens here that is not closed")]
    OpenQuote,
    /// Not a JSON object.
    #[error("this is not a JSON object")]
    NotAnObject,
    /// A JSON document that does not end.
    #[error("the file ends in the middle of a document")]
    CutOff,
    /// No address where one should be.
    #[error("there is no address")]
    NoAddress,
    /// What should be an address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A word that names no cause.
    #[error("the {0} is none that is known here")]
    Word(&'static str),
    /// A time that cannot be read.
    #[error("{0} is no time that can be read; write it like 2026-11-22T10:00:00Z")]
    Time(&'static str),
    /// A time to come.
    #[error("{0} lies in the future")]
    Future(&'static str),
    /// It is over already.
    #[error("it has ended already (expires_at)")]
    Ended,
    /// The end does not come after the beginning.
    #[error("it ends before it begins")]
    Backwards,
    /// Neither true nor false.
    #[error("{0} is neither true nor false")]
    Flag(&'static str),
    /// A provisional block ends by itself.
    #[error("it is provisional, but has no expires_at")]
    Endless,
    /// Only a manual allow overrides anything.
    #[error("overrides_consent goes with the cause manual_allow only")]
    Overrides,
    /// Over the limit.
    #[error("the note has more than {NOTE_LIMIT} characters")]
    Note,
    /// What the server said is a fault of whoever sent.
    #[error("the server refused for a fault of the sender ({0}), which never blocks an address; name a cause to take it all the same")]
    SendersFault(Reason),
    /// It names a list that may not be written to here.
    #[error("it names a list that is neither this one, nor above it, nor below it")]
    Elsewhere,
    /// It names a list above that the caller may not write to.
    #[error("it stands on a list above, which this key does not reach")]
    Unreached,
    /// Overriding consent is for administrators.
    #[error("overrides_consent takes a key with the scope admin")]
    NotAdmin,
}

/// Why a file is no list at all.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// There is nothing in it.
    #[error("the list is empty")]
    Empty,
    /// The header names no column of addresses.
    #[error(
        "the first line is neither a header with a column of addresses (address, email, recipient, EmailAddress) nor an address; \
         or name the format"
    )]
    NoAddresses,
    /// It cannot be read, or kept while it is read.
    #[error("the list cannot be read")]
    Io(#[from] std::io::Error),
}

/// A list being read.
#[derive(Debug)]
pub struct Listing {
    records: Records,
    dialect: Dialect,
    reading: Reading,
    progress: Input,
}

impl Listing {
    /// Begins to read a list: tells how it is written.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(spooled: &Spooled, reading: Reading) -> Result<Self, ListingError> {
        let head = spooled.head()?;
        let progress = spooled.input()?;
        let records = Records::open(spooled.text(&progress), &head, reading.format)?;
        let dialect = match reading.format {
            Some(format) => Dialect::of(format, records.names()),
            None => Dialect::recognise(records.names()).ok_or(ListingError::NoAddresses)?,
        };
        Ok(Self { records, dialect, reading, progress })
    }

    /// How it is written.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.dialect.format(self.records.layout())
    }

    /// Octets of the file read so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.progress.position()
    }

    /// The next row, or the next line that is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_row(&mut self) -> Result<Option<Result<Entry, Refused>>, ListingError> {
        let Some(record) = self.records.next()? else { return Ok(None) };
        Ok(Some(match record {
            Ok(record) => {
                let line = record.line;
                self.dialect.entry(&record, &self.reading).map_err(|why| Refused { line, why })
            }
            Err(refused) => Err(refused),
        }))
    }
}

#[cfg(test)]
mod tests;
