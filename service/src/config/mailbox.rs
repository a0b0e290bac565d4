//! Mailboxes: where bounces are fetched from by IMAP, how to log in there, and what happens to a message afterwards.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Checks;
use super::read::{Reader, Section};
use super::rotating::RotatingSecret;
use super::show::Page;
use super::source::{MIME, SourceConfig};
use super::values::{Scalar, Size, words};

/// A server ends IDLE after half an hour (RFC 2177), so it is asked anew before.
const LONGEST_IDLE: Duration = Duration::from_mins(29);

/// `[[mailbox]]`: one account on an IMAP server.
#[derive(Debug, Clone)]
pub struct MailboxConfig {
    /// Its name in metrics and in the log.
    pub name: String,
    /// The server.
    pub host: String,
    /// Its port; 993, or 143 if the connection does not begin with TLS.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailboxTls,
    /// Whether a connection that nothing protects may leave this machine.
    pub allow_plain: bool,
    /// The authorities that the server's certificate is proved by, in PEM, in place of those of the system.
    pub ca_file: Option<PathBuf>,
    /// Who logs in.
    pub user: String,
    /// By a password.
    pub password: Option<RotatingSecret>,
    /// By a token.
    pub oauth2: Option<OAuth2Config>,
    /// Folders that messages are taken from.
    pub folders: Vec<String>,
    /// The source that they come from, with provider `mime`.
    pub source: String,
    /// What happens to a message that is durable.
    pub after: After,
    /// `after = "move"`: where messages go that were taken, and those that could not be.
    pub move_to: String,
    /// As above.
    pub failed_to: String,
    /// `after = "flag"`: the keyword of messages that were taken.
    pub keyword: String,
    /// `after = "flag"` and `"delete"`: the keyword of those that could not be.
    pub failed_keyword: String,
    /// Whether the server tells of new messages.
    pub idle: bool,
    /// How often a folder is looked at, whatever the server tells.
    pub poll_interval: Duration,
    /// Greatest message that is taken.
    pub max_size: Size,
    /// How long the server may say nothing before it counts as gone.
    pub timeout: Duration,
    /// First wait after a failure, doubled each time.
    pub backoff_min: Duration,
    /// Longest wait after a failure.
    pub backoff_max: Duration,
}

/// `[mailbox.oauth2]`: access tokens by RFC 6749, from a refresh token (section 6) or, without one, for the client itself
/// (section 4.4).
#[derive(Debug, Clone)]
pub struct OAuth2Config {
    /// Where tokens are asked for.
    pub token_url: String,
    /// Who asks.
    pub client_id: String,
    /// Its secret, where it has one.
    pub client_secret: Option<RotatingSecret>,
    /// What the user has granted.
    pub refresh_token: Option<RotatingSecret>,
    /// What is asked for.
    pub scope: Option<String>,
}

/// How the connection to a server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxTls {
    /// By TLS from the first octet (RFC 8314).
    Implicit,
    /// By TLS after STARTTLS, or not used at all.
    StartTls,
    /// Not.
    None,
}

words!(MailboxTls, "one of implicit, starttls, none", "\"implicit\"", [
    "implicit" => MailboxTls::Implicit,
    "starttls" => MailboxTls::StartTls,
    "none" => MailboxTls::None,
]);

/// What happens to a message that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It goes into another folder.
    Move,
    /// It gets a keyword.
    Flag,
    /// It goes.
    Delete,
}

words!(After, "one of move, flag, delete", "\"move\"", [
    "move" => After::Move,
    "flag" => After::Flag,
    "delete" => After::Delete,
]);

impl MailboxConfig {
    /// A mailbox of which nothing else is set.
    #[must_use]
    pub fn new(name: &str, host: &str, user: &str, source: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            port: 993,
            tls: MailboxTls::Implicit,
            allow_plain: false,
            ca_file: None,
            user: user.to_owned(),
            password: None,
            oauth2: None,
            folders: vec!["INBOX".to_owned()],
            source: source.to_owned(),
            after: After::Move,
            move_to: "Rebound-Processed".to_owned(),
            failed_to: "Rebound-Failed".to_owned(),
            keyword: "$ReboundProcessed".to_owned(),
            failed_keyword: "$ReboundFailed".to_owned(),
            idle: true,
            poll_interval: Duration::from_mins(1),
            max_size: Size(25 << 20),
            timeout: Duration::from_secs(30),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_mins(5),
        }
    }

    /// Checks what can be told of the mailbox and of the source that it names.
    pub(super) fn validate(&self, at: usize, sources: &[SourceConfig], checks: &mut Checks) {
        let key = |name: &str| format!("mailbox[{at}].{name}");
        let quoted = |it: &str| Some(format!("\"{it}\""));
        checks.name(&key("name"), &self.name, "write for example \"bounces\"; metrics tell mailboxes apart by it");
        match sources.iter().find(|it| it.name == self.source) {
            None => checks.problem(&key("source"), quoted(&self.source), "is not the name of a [[source]]", "add one, or correct the name"),
            Some(it) if it.provider != MIME => {
                checks.problem(&key("source"), quoted(&self.source), "takes no messages", "name a source with provider = \"mime\"");
            }
            Some(_) => {}
        }
        if self.tls == MailboxTls::None && !self.allow_plain && !is_loopback(&self.host) {
            let what = "would send credentials and mail unprotected to another machine";
            checks.problem(&key("tls"), quoted("none"), what, "write \"implicit\" or \"starttls\"; or allow_plain = true");
        }
        for (name, value) in [("host", &self.host), ("user", &self.user)] {
            if value.is_empty() || value.contains(|it: char| it.is_control() || (name == "host" && it.is_whitespace())) {
                checks.problem(&key(name), quoted(value), "cannot be used", "write it as the provider's page on IMAP has it");
            }
        }
        self.validate_login(key, checks);
        self.validate_places(key, checks);
        if self.idle && self.poll_interval > LONGEST_IDLE {
            let what = "is longer than the 29 minutes for which a server may be waited for";
            checks.problem(&key("poll_interval"), None, what, "write \"29m\" or less, or idle = false");
        }
        checks.size(&key("max_size"), self.max_size, Size(1 << 10)..=Size(1 << 30));
        for (name, value) in [("poll_interval", self.poll_interval), ("timeout", self.timeout), ("backoff_min", self.backoff_min)] {
            checks.positive(&key(name), value);
        }
        checks.at_most(&key("backoff_min"), self.backoff_min, self.backoff_max, "backoff_max");
    }

    fn validate_login(&self, key: impl Fn(&str) -> String, checks: &mut Checks) {
        match (&self.password, &self.oauth2) {
            (None, None) => {
                checks.problem(
                    &key("password"),
                    None,
                    "is missing, and so is [mailbox.oauth2]",
                    "write password_file = \"…\", or [mailbox.oauth2]",
                );
            }
            (Some(_), Some(_)) => checks.problem(&key("password"), None, "is set together with [mailbox.oauth2]", "keep one of them"),
            (None, Some(it)) => {
                let url = url::Url::parse(&it.token_url).ok();
                let host = url.as_ref().and_then(|it| it.host_str()).unwrap_or_default();
                let fine = url.as_ref().is_some_and(|it| it.scheme() == "https" || (it.scheme() == "http" && is_loopback(host)));
                if !fine {
                    let at = key("oauth2.token_url");
                    checks.problem(
                        &at,
                        Some(format!("\"{}\"", it.token_url)),
                        "is not an https address",
                        "copy it from the provider's page on OAuth 2.0",
                    );
                }
                if it.refresh_token.is_none() && it.client_secret.is_none() {
                    let what = "is missing, and so is client_secret: nothing proves who asks for a token";
                    checks.problem(&key("oauth2.refresh_token"), None, what, "set refresh_token_file, or client_secret_file, or both");
                }
            }
            (Some(_), None) => {}
        }
    }

    fn validate_places(&self, key: impl Fn(&str) -> String, checks: &mut Checks) {
        let quoted = |it: &str| Some(format!("\"{it}\""));
        if self.folders.is_empty() {
            checks.problem(&key("folders"), None, "names no folder", "write for example [\"INBOX\"]");
        }
        let places = [("move_to", &self.move_to), ("failed_to", &self.failed_to)];
        let named = self.folders.iter().map(|it| ("folders", it)).chain(places);
        for (name, folder) in named {
            if folder.is_empty() || folder.chars().any(char::is_control) {
                checks.problem(&key(name), quoted(folder), "is not the name of a folder", "write for example \"INBOX\"");
            }
        }
        for (at, folder) in self.folders.iter().enumerate() {
            if self.folders.iter().take(at).any(|it| it == folder) {
                checks.problem(&key(&format!("folders[{at}]")), quoted(folder), "is named twice", "name it once");
            }
        }
        if self.after == After::Move {
            for (name, folder) in places.into_iter().filter(|(_, it)| self.folders.contains(it)) {
                checks.problem(&key(name), quoted(folder), "is a folder that messages are taken from", "name another one");
            }
        }
        for (name, keyword) in [("keyword", &self.keyword), ("failed_keyword", &self.failed_keyword)] {
            if !is_flag(keyword) {
                let remedy = "write for example \"$Rebound\", or one of \\\\Seen, \\\\Flagged, \\\\Answered";
                checks.problem(&key(name), quoted(keyword), "is not a keyword of IMAP", remedy);
            }
        }
        if self.keyword.eq_ignore_ascii_case(&self.failed_keyword) {
            checks.problem(&key("failed_keyword"), quoted(&self.failed_keyword), "is the same as keyword", "write another");
        }
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// Whether a word is a keyword of RFC 3501, or a flag that a message keeps.
fn is_flag(word: &str) -> bool {
    let atom = |it: u8| it.is_ascii_graphic() && !b"(){%*\"\\]".contains(&it);
    let system = ["\\seen", "\\flagged", "\\answered"];
    system.contains(&word.to_ascii_lowercase().as_str()) || (!word.is_empty() && word.bytes().all(atom))
}

impl Section for MailboxConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (name, host) = (reader.required::<String>("name"), reader.required::<String>("host"));
        let (user, source) = (reader.required::<String>("user"), reader.required::<String>("source"));
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        let default = Self::new(&text(&name), &text(&host), &text(&user), &text(&source));
        let tls = reader.get("tls", default.tls);
        let port = reader.get("port", Port(if tls == MailboxTls::Implicit { default.port } else { 143 }));
        let read = Self {
            tls,
            port: port.0,
            allow_plain: reader.get("allow_plain", default.allow_plain),
            ca_file: reader.get("ca_file", None),
            password: reader.get("password", None),
            oauth2: reader.section("oauth2"),
            folders: reader.get("folders", default.folders),
            after: reader.get("after", default.after),
            move_to: reader.get("move_to", default.move_to),
            failed_to: reader.get("failed_to", default.failed_to),
            keyword: reader.get("keyword", default.keyword),
            failed_keyword: reader.get("failed_keyword", default.failed_keyword),
            idle: reader.get("idle", default.idle),
            poll_interval: reader.get("poll_interval", default.poll_interval),
            max_size: reader.get("max_size", default.max_size),
            timeout: reader.get("timeout", default.timeout),
            backoff_min: reader.get("backoff_min", default.backoff_min),
            backoff_max: reader.get("backoff_max", default.backoff_max),
            ..default
        };
        (name.is_some() && host.is_some() && user.is_some() && source.is_some()).then_some(read)
    }

    fn show(&self, page: &mut Page) {
        page.key("name", &self.name);
        page.key("host", &self.host);
        page.key("port", &Port(self.port));
        page.key("tls", &self.tls);
        page.key("allow_plain", &self.allow_plain);
        page.key_if_set("ca_file", &self.ca_file);
        page.key("user", &self.user);
        page.key_if_set("password", &self.password);
        page.key("folders", &self.folders);
        page.key("source", &self.source);
        page.key("after", &self.after);
        page.key("move_to", &self.move_to);
        page.key("failed_to", &self.failed_to);
        page.key("keyword", &self.keyword);
        page.key("failed_keyword", &self.failed_keyword);
        page.key("idle", &self.idle);
        page.key("poll_interval", &self.poll_interval);
        page.key("max_size", &self.max_size);
        page.key("timeout", &self.timeout);
        page.key("backoff_min", &self.backoff_min);
        page.key("backoff_max", &self.backoff_max);
        if let Some(oauth2) = &self.oauth2 {
            page.section("[mailbox.oauth2]", oauth2);
        }
    }
}

impl Section for OAuth2Config {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (token_url, client_id) = (reader.required("token_url"), reader.required("client_id"));
        let client_secret = reader.get("client_secret", None);
        let refresh_token = reader.get("refresh_token", None);
        let scope = reader.get("scope", None);
        Some(Self { token_url: token_url?, client_id: client_id?, client_secret, refresh_token, scope })
    }

    fn show(&self, page: &mut Page) {
        page.key("token_url", &self.token_url);
        page.key("client_id", &self.client_id);
        page.key_if_set("client_secret", &self.client_secret);
        page.key_if_set("refresh_token", &self.refresh_token);
        page.key_if_set("scope", &self.scope);
    }
}

/// A port of TCP.
#[derive(Debug, Clone, Copy)]
struct Port(u16);

impl Scalar for Port {
    const EXPECTED: &'static str = "a port from 1 to 65535";
    const EXAMPLE: &'static str = "993";

    fn parse(value: &toml::Value) -> Option<Self> {
        let number = value.as_integer().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|it| *it > 0).map(Self)
    }

    fn show(&self) -> toml::Value {
        i64::from(self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{load, problems};

    const REST: &str = "[[list]]\nname = \"acme\"\n[[source]]\nname = \"bounces\"\nprovider = \"mime\"\nlist = \"acme\"\n\
                        [[source]]\nname = \"own\"\nprovider = \"generic\"\nlist = \"acme\"\nbearer = [\"x\"]\n";
    const MAILBOX: &str = "[[mailbox]]\nname = \"box\"\nhost = \"imap.example.com\"\nuser = \"b\"\nsource = \"bounces\"\n";

    fn told(more: &str) -> String {
        problems(&format!("{REST}{MAILBOX}{more}"), &[])
    }

    #[test]
    fn a_mailbox_needs_little_and_what_is_read_is_shown() {
        let config = load(&format!("{REST}{MAILBOX}password = \"sesame\"\n"), &[]).unwrap();
        let mailbox = &config.mailboxes[0];
        assert_eq!((mailbox.port, mailbox.folders.as_slice()), (993, &["INBOX".to_owned()][..]));
        let shown = config.redacted();
        assert!(shown.contains("[[mailbox]]") && !shown.contains("sesame"), "{shown}");
        let again: toml::Table = shown.parse().unwrap();
        assert_eq!(again["mailbox"][0]["poll_interval"].as_str(), Some("1m"));
        let plain = load(&format!("{REST}{MAILBOX}password = \"x\"\ntls = \"starttls\"\n"), &[]).unwrap();
        assert_eq!(plain.mailboxes[0].port, 143);
    }

    #[test]
    fn what_is_wrong_with_a_mailbox_is_told() {
        for (more, key, word) in [
            ("", "mailbox[0].password", "is missing"),
            (
                "password = \"x\"\n[mailbox.oauth2]\ntoken_url = \"https://x.example/\"\nclient_id = \"c\"\n",
                "mailbox[0].password",
                "together",
            ),
            ("[mailbox.oauth2]\ntoken_url = \"http://x.example/\"\nclient_id = \"c\"\n", "mailbox[0].oauth2.token_url", "https"),
            (
                "[mailbox.oauth2]\ntoken_url = \"https://x.example/\"\nclient_id = \"c\"\n",
                "mailbox[0].oauth2.refresh_token",
                "client_secret",
            ),
            ("password = \"x\"\ntls = \"none\"\n", "mailbox[0].tls", "unprotected"),
            ("password = \"x\"\nfolders = []\n", "mailbox[0].folders", "no folder"),
            ("password = \"x\"\nfolders = [\"a\", \"a\"]\n", "mailbox[0].folders[1]", "twice"),
            ("password = \"x\"\nmove_to = \"INBOX\"\n", "mailbox[0].move_to", "taken from"),
            ("password = \"x\"\nkeyword = \"two words\"\n", "mailbox[0].keyword", "keyword of IMAP"),
            ("password = \"x\"\nfailed_keyword = \"$reboundprocessed\"\n", "mailbox[0].failed_keyword", "the same"),
            ("password = \"x\"\npoll_interval = \"30m\"\n", "mailbox[0].poll_interval", "29"),
            ("password = \"x\"\nport = 70000\n", "mailbox[0].port", "a port"),
            ("password = \"x\"\nafter = \"archive\"\n", "mailbox[0].after", "one of move"),
        ] {
            let told = told(more);
            assert!(told.contains(key) && told.contains(word), "{more}: {told}");
        }
        let other = |source: &str| problems(&format!("{REST}{}password = \"x\"\n", MAILBOX.replace("bounces", source)), &[]);
        assert!(other("nobody").contains("not the name of a [[source]]") && other("own").contains("takes no messages"));
        let twice = problems(&format!("{REST}{MAILBOX}password = \"x\"\n{MAILBOX}password = \"x\"\n"), &[]);
        assert!(twice.contains("mailbox[1].name"), "{twice}");
    }

    #[test]
    fn a_source_that_only_a_mailbox_feeds_takes_no_posts() {
        let of = |more: &str| load(&format!("{REST}{more}"), &[]).unwrap();
        let mailbox = format!("{MAILBOX}password = \"x\"\n");
        let fed = of(&mailbox);
        assert!(!fed.takes_posts("bounces") && fed.takes_posts("own") && !fed.takes_posts("nobody"));
        assert!(of("").takes_posts("bounces"), "it is refused as a source without credentials, as ever");
        let both = load(&format!("{}{mailbox}", REST.replace("\"mime\"", "\"mime\"\nbearer = [\"x\"]")), &[]).unwrap();
        assert!(both.takes_posts("bounces"));
    }
}
