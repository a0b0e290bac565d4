//! Free-form dialects: bounces that were written for people. One file for each mail server that needs one, and a generic
//! reader for the rest. Readers get a `Bounce`, which has been looked through once for all of them.

mod bare;
mod exim;
mod fml;
mod generic;
mod notification;
mod qsbmf;
pub(crate) mod reply;
pub(crate) mod signs;

use crate::address::Address;
use crate::kind::Kind;
use crate::mail::{Mail, Message};
use crate::report::Report;
use crate::report::human::Human;
use crate::report::{original, recipient};

/// A mail that shows a sign of being a bounce, with what every reader needs of it.
pub(crate) struct Bounce<'m> {
    pub(crate) mail: &'m Mail<'m>,
    pub(crate) human: &'m Human<'m>,
    pub(crate) returned: Option<&'m Message<'m>>,
    pub(crate) subject: &'m str,
}

impl Bounce<'_> {
    /// The addresses of `X-Failed-Recipients`, which Exim and Google write.
    pub(crate) fn failed_recipients(&self) -> Vec<Address> {
        self.mail.headers().all("x-failed-recipients").flat_map(|it| original::addresses(&it)).collect()
    }
}

/// One reader of one dialect.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    pub(crate) read: fn(&Bounce<'_>) -> Option<Vec<Report>>,
}

/// All readers, specific before generic; the first that knows the mail wins.
pub(crate) const ORDER: &[Dialect] = &[
    Dialect { name: "ses", read: notification::read },
    Dialect { name: "fml", read: fml::read },
    Dialect { name: "exim", read: exim::read },
    Dialect { name: "qsbmf", read: qsbmf::read },
    Dialect { name: "bare", read: bare::read },
    Dialect { name: "generic", read: generic::read },
];

/// Reads a free-form bounce: the dialect that knew it, and a report for each recipient.
pub(crate) fn read(bounce: &Bounce<'_>) -> Option<(&'static str, Vec<Report>)> {
    ORDER.iter().find_map(|it| (it.read)(bounce).filter(|reports| !reports.is_empty()).map(|reports| (it.name, reports)))
}

/// What Exim's text says of each address, with the alias it was made from.
pub(crate) fn members(bounce: &Bounce<'_>) -> Vec<Report> {
    exim::read(bounce).unwrap_or_default()
}

/// The last resort: whom the returned message was for, where the text names nobody.
pub(crate) fn returned_to(bounce: &Bounce<'_>) -> Option<(&'static str, Vec<Report>)> {
    generic::returned_to(bounce).map(|it| ("generic", vec![it]))
}

/// A failure of an address with the text about it; the reply inside the text becomes the diagnostic.
pub(crate) fn failure(address: Address, text: &str) -> Report {
    let mut report = Report::new(Kind::Bounce, Some(address));
    describe(&mut report, text);
    report
}

/// Puts the text about a recipient into a report, and what the remote said into its diagnostic.
pub(crate) fn describe(report: &mut Report, text: &str) {
    diagnose(report, text);
    if report.text.is_none() && !text.trim().is_empty() {
        report.text = Some(text.trim().to_owned());
    }
}

/// Finds in a text what the remote said, for a report that does not tell it.
pub(crate) fn diagnose(report: &mut Report, text: &str) {
    if report.diagnostic.is_none()
        && let Some(reply) = reply::find(text)
    {
        report.diagnostic = Some(reply::joined(reply).into_owned());
        report.diagnostic_type.get_or_insert_with(|| "smtp".to_owned());
    }
}

/// The address a mention names.
pub(crate) fn address(word: &str) -> Option<Address> {
    recipient::from_text(word)
}
