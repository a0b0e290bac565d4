//! `rebound sources`: what may post, where to and with which credential, and what came of it; and a test of each from
//! end to end. Counts are those of the running service, asked over HTTP, since it was started.

mod figures;
mod try_out;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use bounce::esp::provider;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::table::table;
use crate::cli::{Exit, Output, setup};
use crate::config::{Config, SourceConfig};

/// Lists the configured sources and tries them out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How to print them, or the answer.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    format: Output,
    /// Where the running service is reached; else where the configuration lets it listen.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<url::Url>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Posts a sample of that source's provider to the running service, proved as the provider would prove it. It is about
    /// an address that no list takes notice of.
    Test {
        /// Name of the source.
        name: String,
    },
}

/// A source as it is listed.
#[derive(Debug, PartialEq, Serialize)]
struct SourceView {
    name: String,
    provider: String,
    /// What to paste at the provider, behind the public address of this service if that is not configured.
    post_to: String,
    /// Keys of the source that prove its posts.
    proved_by: Vec<&'static str>,
    /// Whether posts are taken that nothing proves.
    insecure: bool,
    /// Addresses whose mail it gets by SMTP and LMTP.
    recipients: Vec<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_receipt_at: Option<OffsetDateTime>,
    /// Posts not taken since the service was started, by cause; null where it could not be asked.
    refused: Option<std::collections::BTreeMap<String, u64>>,
}

/// Does what was asked.
pub(super) fn run(args: &Args, config: Option<&Path>) -> anyhow::Result<Exit> {
    let config = setup::load(config)?;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let (base, client) = match &args.url {
        Some(url) => (url.clone(), client),
        // At an address that no certificate is for.
        None => (address_of(&config)?, client.tls_danger_accept_invalid_certs(is_here(config.http.listen))),
    };
    let client = client.build()?;
    setup::block_on(async {
        match &args.command {
            Some(Command::Test { name }) => try_out::run(&config, name, &base, &client, args.format).await,
            None => {
                let figures = figures::ask(&config, &base, &client).await;
                if let Err(error) = &figures {
                    writeln!(io::stderr().lock(), "rebound: {base} cannot be asked what came of them: {error:#}")?;
                }
                let figures = figures.ok();
                let views = config.sources.iter().map(|it| view(it, figures.as_ref())).collect();
                print(views, args.format)?;
                Ok(Exit::Success)
            }
        }
    })
}

/// Whether it can only be this machine that listens there, which is then believed under any certificate, as without TLS. Anywhere else it
/// may be another that is told the secrets.
fn is_here(listen: SocketAddr) -> bool {
    let ip = listen.ip().to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

/// Where the service of this configuration is reached from this machine.
fn address_of(config: &Config) -> anyhow::Result<url::Url> {
    let mut listen = config.http.listen;
    if listen.ip().is_unspecified() {
        let local: std::net::IpAddr =
            if listen.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        listen.set_ip(local);
    }
    let scheme = if config.http.tls.identity().is_some() { "https" } else { "http" };
    Ok(url::Url::parse(&format!("{scheme}://{listen}/"))?)
}

fn view(source: &SourceConfig, figures: Option<&figures::Figures>) -> SourceView {
    // What comes beside the body is asked for wherever it is set, also where it alone would not do.
    let beside = ["basic", "bearer", "header", "url_secret"];
    let can_prove = provider(&source.provider).map_or(&[][..], |it| it.proved_by());
    SourceView {
        name: source.name.clone(),
        provider: source.provider.clone(),
        post_to: post_to(source),
        proved_by: source.credentials.keys().into_iter().filter(|it| can_prove.contains(it) || beside.contains(it)).collect(),
        insecure: source.credentials.insecure,
        recipients: source.recipients.iter().map(ToString::to_string).collect(),
        last_receipt_at: figures.and_then(|it| it.last_receipt_at(&source.name)),
        refused: figures.map(|it| it.refused(&source.name)),
    }
}

/// The path of the webhook, a secret in it hidden; the whole address without its password, where that is configured.
fn post_to(source: &SourceConfig) -> String {
    if let Some(mut url) = source.credentials.url.as_deref().and_then(|it| url::Url::parse(it).ok()) {
        // Of an address without a host neither can be set, and there is nothing to hide.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        return url.to_string();
    }
    let secret = if source.credentials.url_secret.is_some() { "/<url_secret>" } else { "" };
    format!("/webhooks/{}{secret}", source.name)
}

fn print(sources: Vec<SourceView>, format: Output) -> anyhow::Result<()> {
    let text = match format {
        Output::Json => serde_json::to_string_pretty(&sources)? + "\n",
        Output::Text if sources.is_empty() => "no [[source]] is configured\n".to_owned(),
        Output::Text => {
            let head = ["SOURCE", "PROVIDER", "POST TO", "PROVED BY", "LAST RECEIPT", "REFUSED"].map(str::to_owned).to_vec();
            table(&std::iter::once(head).chain(sources.into_iter().map(row)).collect::<Vec<_>>())
        }
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn row(source: SourceView) -> Vec<String> {
    let proved_by = match (source.proved_by.is_empty(), source.insecure) {
        (false, _) => source.proved_by.join(", "),
        (true, true) => "nothing (insecure)".to_owned(),
        (true, false) => "nothing: takes no posts".to_owned(),
    };
    let takes_posts = !source.proved_by.is_empty() || source.insecure;
    let mail = (!source.recipients.is_empty()).then(|| format!("mail to {}", source.recipients.join(", ")));
    let ways = takes_posts.then_some(source.post_to).into_iter().chain(mail).collect::<Vec<_>>().join("; ");
    let ways = if ways.is_empty() { "-".to_owned() } else { ways };
    let last = match (&source.refused, source.last_receipt_at) {
        (_, Some(at)) => at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default(),
        (Some(_), None) => "none since the start".to_owned(),
        (None, None) => "?".to_owned(),
    };
    let refused = source.refused.map_or_else(
        || "?".to_owned(),
        |it| {
            if it.is_empty() {
                "0".to_owned()
            } else {
                it.iter().map(|(why, count)| format!("{why} {count}")).collect::<Vec<_>>().join(", ")
            }
        },
    );
    vec![source.name, source.provider, ways, proved_by, last, refused]
}

#[cfg(test)]
mod tests {
    use bounce::esp::Credentials;

    use super::*;
    use crate::config::{ListName, RecipientPattern};

    fn source(credentials: Credentials) -> SourceConfig {
        SourceConfig { credentials, ..SourceConfig::new("hook", "generic", ListName::parse("acme").unwrap()) }
    }

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_form_of_the_answer_may_be_named_before_and_after_the_test() {
        for line in [&["sources", "--format", "json", "test", "x"][..], &["sources", "test", "x", "--format", "json"]] {
            assert_eq!(<Line as clap::Parser>::try_parse_from(line).unwrap().args.format, Output::Json, "{line:?}");
        }
        assert_eq!(<Line as clap::Parser>::try_parse_from(["sources", "test", "x"]).unwrap().args.format, Output::Text);
    }

    #[test]
    fn only_this_machine_is_believed_under_any_certificate() {
        for (listen, here) in
            [("127.0.0.1:1", true), ("[::]:1", true), ("0.0.0.0:1", true), ("192.0.2.1:1", false), ("[2001:db8::1]:1", false)]
        {
            assert_eq!(is_here(listen.parse().unwrap()), here, "{listen}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let hidden = source(Credentials { url_secret: Some("s3cret".into()), secrets: vec!["s3cret".into()], ..Credentials::default() });
        let shown = view(&hidden, None);
        assert_eq!((shown.post_to.as_str(), shown.proved_by.as_slice()), ("/webhooks/hook/<url_secret>", &["secrets", "url_secret"][..]));
        let exact =
            source(Credentials { url: Some("https://u:s3cret@h.example/webhooks/hook?code=s3cret".into()), ..Credentials::default() });
        assert_eq!(view(&exact, None).post_to, "https://h.example/webhooks/hook");
    }

    #[test]
    fn a_password_beside_the_topics_is_named() {
        let both = Credentials {
            topic_arns: vec!["arn:x".into()],
            basic: vec!["u:p".into()],
            secrets: vec!["s".into()],
            ..Credentials::default()
        };
        let ses = SourceConfig { credentials: both, ..SourceConfig::new("ses", "ses", ListName::parse("acme").unwrap()) };
        assert_eq!(view(&ses, None).proved_by, ["topic_arns", "basic"]);
    }

    #[test]
    fn a_source_of_mail_is_told_by_its_addresses_and_has_no_place_for_posts() {
        let by_mail = SourceConfig {
            recipients: vec![RecipientPattern::parse("b+*@bounces.example.com").unwrap()],
            ..source(Credentials::default())
        };
        let told = row(view(&by_mail, None));
        assert_eq!(told[2..4], ["mail to b+*@bounces.example.com", "nothing: takes no posts"]);
        assert_eq!(row(view(&source(Credentials::default()), None))[2], "-", "only mailboxes and `rebound ingest` have it");
    }

    #[test]
    fn what_is_not_known_is_not_called_zero() {
        let row = row(view(&source(Credentials { insecure: true, ..Credentials::default() }), None));
        assert_eq!(row, ["hook", "generic", "/webhooks/hook", "nothing (insecure)", "?", "?"]);
    }
}
