//! `rebound check`: may these addresses be mailed on this list? The same question as `GET /v1/check`, asked of the database.

use std::io::{self, BufRead as _, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use bounce::address::{Address, AddressError};
use serde::Serialize;

use crate::cli::keys::text;
use crate::cli::{Exit, Output, setup};
use crate::clock::Clock;
use crate::store::{Answer, List, Store};

/// Addresses asked for at once.
const AT_ONCE: usize = 1_000;

/// Asks whether addresses may be mailed on a list.
///
/// Ends with 0 whatever the answers are, unless an address is none (65); with --exit-code, with 1 if any is suppressed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the list; else it is the first argument.
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// Name of the list, unless --list names it, and addresses, or - to read them from standard input, one on a line.
    #[arg(value_name = "LIST> <ADDRESS", required = true)]
    given: Vec<String>,
    /// How to print the answers; json is one object on a line for each address.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
    /// End with 1 if any of the addresses is suppressed.
    #[arg(long)]
    exit_code: bool,
}

/// One answer.
#[derive(Debug, Serialize)]
struct AnswerView<'a> {
    address: &'a str,
    suppressed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_domain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisional: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// What was seen among all answers.
#[derive(Debug, Default)]
struct Seen {
    invalid: bool,
    suppressed: bool,
}

/// Checks.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let clock = Clock::system();
    let (list, given) = named(args.list.as_deref(), &args.given);
    let addresses = addresses(given)?;
    let seen = setup::block_on(async {
        let store = setup::store(&config, &clock).await?;
        let list = store.list(list).await?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut seen = Seen::default();
        for some in addresses.chunks(AT_ONCE) {
            check(&store, &list, some, args.format, &clock, &mut out, &mut seen).await?;
        }
        out.flush()?;
        Ok(seen)
    })?;
    Ok(match seen {
        Seen { invalid: true, .. } => Exit::Data,
        Seen { suppressed: true, .. } if args.exit_code => Exit::Failure,
        Seen { .. } => Exit::Success,
    })
}

/// The list and what is asked about it.
fn named<'a>(list: Option<&'a str>, given: &'a [String]) -> (&'a str, &'a [String]) {
    match (list, given) {
        (Some(list), given) => (list, given),
        (None, [list, given @ ..]) if !given.is_empty() => (list, given),
        (None, _) => {
            let why = "an address is missing: rebound check <LIST> <ADDRESS>..., or rebound check --list <LIST> <ADDRESS>...\n";
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, why).exit()
        }
    }
}

fn addresses(given: &[String]) -> io::Result<Vec<String>> {
    let mut addresses = Vec::new();
    for address in given {
        if address == "-" {
            // A line that is not UTF-8 is no address, and costs the others nothing.
            for line in io::stdin().lock().split(b'\n') {
                addresses.push(String::from_utf8_lossy(&line?).trim().to_owned());
            }
            addresses.retain(|it| !it.is_empty());
        } else {
            addresses.push(address.clone());
        }
    }
    Ok(addresses)
}

async fn check(
    store: &Store,
    list: &Arc<List>,
    given: &[String],
    format: Output,
    clock: &Clock,
    out: &mut impl Write,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let parsed: Vec<Result<Address, AddressError>> = given.iter().map(|it| Address::parse(it)).collect();
    let asked: Vec<Address> = parsed.iter().flatten().cloned().collect();
    let mut answers = store.check(list, &asked, clock.now()).await?.into_iter();
    for (given, parsed) in given.iter().zip(&parsed) {
        let answer = parsed.as_ref().map(|_| answers.next().unwrap_or(Answer::Clear));
        let view = view(given, &answer);
        seen.invalid |= view.invalid.is_some();
        seen.suppressed |= view.suppressed;
        match format {
            Output::Json => writeln!(out, "{}", serde_json::to_string(&view)?)?,
            Output::Text => writeln!(out, "{}", sentence(&view))?,
        }
    }
    Ok(())
}

fn view<'a>(address: &'a str, answer: &'a Result<Answer, &AddressError>) -> AnswerView<'a> {
    let clear = AnswerView {
        address,
        suppressed: false,
        invalid: None,
        cause: None,
        reason: None,
        list: None,
        by_domain: None,
        provisional: None,
        since: None,
        expires_at: None,
    };
    match answer {
        Err(error) => AnswerView { invalid: Some(error.to_string()), ..clear },
        Ok(Answer::Clear) => clear,
        Ok(Answer::Suppressed(it)) => AnswerView {
            suppressed: true,
            cause: Some(it.cause.as_str()),
            reason: it.reason.map(bounce::classify::reason::Reason::as_str),
            list: Some(&it.list),
            by_domain: Some(it.by_domain),
            provisional: Some(it.provisional),
            since: Some(text(it.since)),
            expires_at: it.expires_at.map(text),
            ..clear
        },
    }
}

fn sentence(view: &AnswerView<'_>) -> String {
    let address = crate::cli::page::plain(view.address);
    if let Some(invalid) = &view.invalid {
        return format!("{address}  invalid: {invalid}");
    }
    let Some(cause) = view.cause else { return format!("{address}  clear") };
    let reason = view.reason.map(|it| format!(" ({it})")).unwrap_or_default();
    let list = view.list.map(|it| format!(" on {it}")).unwrap_or_default();
    let domain = if view.by_domain == Some(true) { ", the whole domain" } else { "" };
    let provisional = if view.provisional == Some(true) { ", provisionally" } else { "" };
    let until = view.expires_at.as_deref().map_or_else(|| ", for good".to_owned(), |it| format!(", until {it}"));
    format!("{address}  suppressed: {cause}{reason}{list}{domain}{provisional}{until}")
}

#[cfg(test)]
mod tests {
    use bounce::classify::reason::Reason;
    use bounce::policy::Cause;
    use time::macros::datetime;

    use super::*;
    use crate::store::Blocked;

    #[test]
    fn an_answer_is_a_sentence() {
        let blocked = Blocked {
            cause: Cause::Hard,
            reason: Some(Reason::UserUnknown),
            list: "acme".to_owned(),
            by_domain: false,
            provisional: true,
            since: datetime!(2026-11-22 10:00 UTC),
            expires_at: Some(datetime!(2026-11-29 10:00 UTC)),
            event: None,
            note: None,
        };
        let error = AddressError::NoDomain;
        let answers = [Ok(Answer::Suppressed(blocked)), Ok(Answer::Clear), Err(&error)];
        let sentences: Vec<String> = answers.iter().map(|it| sentence(&view("jane@example.com", it))).collect();
        assert_eq!(
            sentences,
            [
                "jane@example.com  suppressed: hard (user_unknown) on acme, provisionally, until 2026-11-29T10:00:00Z",
                "jane@example.com  clear",
                "jane@example.com  invalid: the address is not of the form local@domain",
            ]
        );
    }
}
