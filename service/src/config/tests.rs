//! What a configuration file can get wrong, and what its author is told.

use super::*;

/// Loads a file of that text and those variables, as `rebound` does.
pub(super) fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rebound.toml");
    std::fs::write(&file, text).unwrap();
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let path = format!("{}/", folder.path().display());
    let shorten = |text: String| text.replace(&path, "");
    Config::load(&Sources { file: Some(file), environment }).map_err(|error| ConfigError {
        problems: error
            .problems
            .into_iter()
            .map(|it| Problem {
                value: it.value.map(shorten),
                origin: it.origin.map(|it| match it {
                    Origin::File { path, line } => Origin::File { path: path.file_name().unwrap().into(), line },
                    other => other,
                }),
                ..it
            })
            .collect(),
    })
}

/// The problems of a file, one a line.
pub(super) fn problems(text: &str, variables: &[(&str, &str)]) -> String {
    let error = load(text, variables).map(|it| it.redacted()).unwrap_err();
    error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const SOURCE: &str = r#"
[[list]]
name = "acme.weekly"
[[source]]
name = "ses-prod"
provider = "ses"
list = "acme.weekly"
topic_arns = ["arn:aws:sns:eu-west-1:123456789012:bounces"]
"#;

#[test]
fn the_default_file_equals_the_default_structs() {
    let file = Config::load(&Sources::default()).unwrap();
    assert_eq!(file.redacted(), Config::default().redacted());
}

#[test]
fn a_database_is_named_by_whoever_writes_the_default_too() {
    let default = "sqlite://rebound.db?mode=rwc";
    let named = |text: &str, variables: &[(&str, &str)]| load(text, variables).unwrap().is_database_named;
    assert!(named(&format!("[database]\nurl = \"{default}\"\n"), &[]));
    assert!(named("", &[("REBOUND__DATABASE__URL", default)]));
    assert!(!named("", &[]) && !named("[database]\nmax_connections = 5\n", &[]));
}

#[test]
fn the_default_file_names_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut findings = Findings::default();
    let layers = Sources { file: Some(write(&folder, "x.toml", SOURCE)), ..Sources::default() }.layers().unwrap();
    let mut reader = Reader::new("", &layers, Origin::Default, &mut findings);
    Config::read(&mut reader).unwrap();
    assert!(findings.known.len() > 60, "{:?}", findings.known);
    for key in &findings.known {
        let word = key.rsplit('.').next().unwrap();
        let written = DEFAULT.lines().any(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{word} =")) || line.starts_with(&format!("[{word}]")) || line.starts_with(&format!("[[{word}]]"))
        });
        assert!(written || key.starts_with("policy") || key.starts_with("list.policy"), "{key} is not in config.default.toml");
    }
}

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// The commented examples of the manual are real ones.
#[test]
fn the_examples_of_the_default_file_can_be_used() {
    let from = DEFAULT.find("# [policy.mailbox_full]").unwrap();
    let examples: Vec<_> = DEFAULT[from..].lines().filter(|it| it.contains('=') || it.contains("# [")).collect();
    let examples = examples.join("\n").replace("\n# ", "\n");
    let config = load(examples.trim_start_matches("# "), &[]).unwrap();
    assert_eq!(config.sources[0].list_from.len(), 3);
    assert_eq!((config.lists.len(), config.lists[1].policy.len(), config.policy.len()), (2, 1, 1));
}

#[test]
fn later_layers_win_key_by_key() {
    let config = load(
        "[http]\nlisten = \"127.0.0.1:1\"\nworkers = 2\n[database]\nmax_connections = 7\n",
        &[
            ("REBOUND__HTTP__LISTEN", "0.0.0.0:2"),
            ("REBOUND__HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("PATH", "/bin"),
            ("REBOUND_PORT", "tcp://10.0.0.1:80"),
        ],
    )
    .unwrap();
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:2");
    assert_eq!((config.http.workers, config.database.max_connections), (2, 7));
    assert_eq!(config.http.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(config.http.max_body.bytes(), 25 << 20);
}

#[test]
fn sources_can_be_given_by_the_environment() {
    let config = load(
        SOURCE,
        &[
            ("REBOUND__SOURCE__0__SECRETS", "one,two"),
            ("REBOUND__SOURCE__1", r#"{name = "bounces", provider = "mime", list = "acme.weekly"}"#),
            ("REBOUND__POLICY__MAILBOX_FULL__STRIKES", "7"),
            ("REBOUND__POLICY__USER_UNKNOWN__LIFETIME", "permanent"),
            ("REBOUND__POLICY__USER_UNKNOWN__REACH", "list"),
        ],
    )
    .unwrap();
    assert_eq!(config.sources.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["ses-prod", "bounces"]);
    assert_eq!(config.sources[0].credentials.secrets, ["one", "two"]);
    assert_eq!(config.policy[&bounce::classify::reason::Reason::MailboxFull].strikes, Some(7));
    let row = &config.policy[&bounce::classify::reason::Reason::UserUnknown];
    assert_eq!((row.lifetime, row.reach), (Some(Lifetime::Permanent), Some(Reach::List)));

    let replaced = r#"[{name = "bounces", provider = "mime", list = "acme.weekly", list_from = ["token", "header:List-Id"]}]"#;
    let config = load(SOURCE, &[("REBOUND__SOURCE", replaced)]).unwrap();
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.sources[0].list_from, [ListFrom::Token, ListFrom::Header("list-id".to_owned())]);
    assert_eq!(config.sources[0].within.as_str(), "acme.weekly");
}

#[test]
fn secrets_come_from_files_named_by_any_layer() {
    let folder = tempfile::tempdir().unwrap();
    let amqp = write(&folder, "amqp", "amqp://rebound:s3cret@mq/%2f\n");
    let keys = write(&folder, "keys", "first\nsecond\n");
    let pem = write(&folder, "pem", "-----BEGIN A-----\nx\n-----END A-----\n-----BEGIN B-----\ny\n-----END B-----\n");
    let text = format!("{SOURCE}secrets_file = {keys:?}\npublic_keys_file = {pem:?}\n[amqp]\nurl = \"amqp://other\"\n");
    let config = load(&text, &[("REBOUND__AMQP__URL_FILE", amqp.to_str().unwrap())]).unwrap();
    assert_eq!(config.amqp.url.as_ref().unwrap().expose(), "amqp://rebound:s3cret@mq/%2f");
    assert_eq!(config.sources[0].credentials.secrets, ["first", "second"]);
    assert_eq!(config.sources[0].credentials.public_keys.len(), 2);
    assert!(!config.redacted().contains("s3cret") && !config.redacted().contains("second"));
    // Credentials are rotated by writing the file; one that is being written, or gone, changes nothing.
    let url = config.amqp.url.unwrap();
    let current = |text: &str| {
        std::fs::write(&amqp, text).unwrap();
        url.current().expose().to_owned()
    };
    assert_eq!(current("amqp://rebound:n3w@mq/%2f\n"), "amqp://rebound:n3w@mq/%2f");
    assert_eq!(current("\n"), "amqp://rebound:s3cret@mq/%2f");
    std::fs::remove_file(&amqp).unwrap();
    assert_eq!(url.current().expose(), "amqp://rebound:s3cret@mq/%2f");
    write(&folder, "amqp", "amqp://rebound:s3cret@mq/%2f\n");
    // A later layer's plain value takes the place of an earlier layer's file.
    let text = format!("[amqp]\nurl_file = {amqp:?}\n");
    let config = load(&text, &[("REBOUND__AMQP__URL", "amqp://other")]).unwrap();
    assert_eq!(config.amqp.url.unwrap().expose(), "amqp://other");
}

#[test]
fn an_optional_key_is_switched_off_by_an_empty_text() {
    let config = load("[amqp]\nurl = \"amqp://mq\"\nqueue = \"\"\n", &[("REBOUND__AMQP__URL", "")]).unwrap();
    assert!(config.amqp.url.is_none() && config.amqp.queue.is_none());
}

#[test]
fn the_redacted_print_is_toml_without_secrets() {
    let text = format!(
        "{SOURCE}secrets = [\"s3cret\"]\nbasic = [\"user:s3cret\"]\nbearer = [\"s3cret\"]\nurl_secret = \"s3cret\"\nurl = \"https://u:s3cret@x.example/\"\n\
         header = {{ name = \"X-Key\", value = \"s3cret\" }}\n[database]\nurl = \"postgres://rebound:s3cret@db/rebound\"\n\
         [identity]\npepper = \"s3cret s3cret s3cret s3cret s3cret\"\n[telemetry]\nmetrics_token = \"s3cret\"\n[policy.mailbox_full]\nwindow = \"60d\"\n"
    );
    let config = load(&text, &[]).unwrap();
    assert!(!config.redacted().contains("s3cret") && !format!("{config:?}").contains("s3cret"), "{}\n{config:?}", config.redacted());
    let again: toml::Table = config.redacted().parse().unwrap();
    assert_eq!(again["source"][0]["header"]["name"].as_str(), Some("X-Key"));
    // Hidden values aside it can be read back: the hidden password is a password too.
    let readable = config.redacted().replace("pepper = \"…\"", "pepper = \"…………………………………………………………\"").replace("basic = [\"…\"]", "");
    let again = load(&readable, &[]).unwrap();
    assert_eq!(again.redacted().replace("basic", ""), config.redacted().replace("basic = [\"…\"]\n", ""));
}

#[test]
fn the_redacted_print_of_a_source() {
    let printed = load(SOURCE, &[("REBOUND__SOURCE__0__SECRETS", "s3cret")]).unwrap().redacted();
    insta::assert_snapshot!(&printed[printed.find("[[list]]").unwrap()..], @r#"
[[list]]
name = "acme.weekly"
# honours is not set

[[source]]
name = "ses-prod"
provider = "ses"
list = "acme.weekly"
within = "acme.weekly"
list_from = ["token"]
secrets = ["…"]
topic_arns = ["arn:aws:sns:eu-west-1:123456789012:bounces"]
insecure = false
"#);
}

#[test]
fn values_of_the_wrong_kind() {
    insta::assert_snapshot!(problems(
        r#"
[http]
listen = "localhost"
workers = "many"
request_timeout = 30
max_body = "25 megs"
trusted_proxies = "10.0.0.0/8"
[database]
migrate_on_start = "perhaps"
max_connections = -1
[amqp]
url = ["amqp://rebound:s3cret@mq"]
queue = 99999999999999999999
[telemetry]
log_format = "xml"
[policy]
mailbox_full = 5
[policy.user_unknown]
lifetime = "forever"
reach = "world"
"#,
        &[("REBOUND__HTTP__TRUSTED_PROXIES__0", "10.0.0.0/99"), ("REBOUND__INTAKE__QUEUE", "1e3")],
    ), @r#"
http.listen = "localhost" (rebound.toml line 3): must be an IP address with a port; write for example "127.0.0.1:8080", or "0.0.0.0:8080" to listen on every interface
http.workers = "many" (rebound.toml line 4): must be a whole number, 0 or more; write for example 10
http.request_timeout = 30 (rebound.toml line 5): must be a time with its unit, one of ms, s, m, h, d; write for example "30s"
http.max_body = "25 megs" (rebound.toml line 6): must be a size with its unit, one of KiB, MiB, GiB; write for example "25 MiB"
http.trusted_proxies[0] = "10.0.0.0/99" (environment variable REBOUND__HTTP__TRUSTED_PROXIES__0): must be an IP address or a network; write for example "10.0.0.0/8"
database.max_connections = -1 (rebound.toml line 10): must be a whole number, 0 or more; write for example 10
database.migrate_on_start = "perhaps" (rebound.toml line 9): must be true or false; write for example true
amqp.url (rebound.toml line 12): must be a URL; write for example "scheme://user:password@host/path"
intake.queue = "1e3" (environment variable REBOUND__INTAKE__QUEUE): must be a whole number, 0 or more; write for example 10
telemetry.log_format = "xml" (rebound.toml line 15): must be one of auto, text, json; write for example "auto"
policy.mailbox_full (rebound.toml line 17): must be a table; write its keys, each with a value
policy.user_unknown.lifetime = "forever" (rebound.toml line 19): must be "permanent" or a time with its unit; write for example "90d"
policy.user_unknown.reach = "world" (rebound.toml line 20): must be one of boundary, list; write for example "list"
"#);
}

#[test]
fn unknown_keys_name_the_nearest_one() {
    insta::assert_snapshot!(problems(
        r#"
listen = "127.0.0.1:80"
[http]
lisen = "127.0.0.1:80"
url = "x"
zzz = 1
[amqp]
zzz = 1
[htpp]
listen = "x"
[policy.mailbox_ful]
strikes = 3
[[list]]
name = "acme"
honors = []
"#,
        &[("REBOUND__DATABASE__URI", "x"), ("REBOUND__SOURCE__0__NAMEE", "x"), ("REBOUND_AMQP_URL", "amqp://rebound:s3cret@mq")],
    ), @r#"
source[0].name (environment variable REBOUND__SOURCE__0__NAMEE): is missing; write for example name = "name"
source[0].provider (environment variable REBOUND__SOURCE__0__NAMEE): is missing; write for example provider = "name"
source[0].list (environment variable REBOUND__SOURCE__0__NAMEE): is missing; write for example list = "acme.weekly"
http.lisen (rebound.toml line 4): is not a key that is known; did you mean http.listen? Else remove it
http.url (rebound.toml line 5): is not a key that is known; did you mean database.url? Else remove it
http.zzz (rebound.toml line 6): is not a key that is known; remove it, or write one of header_timeout, import_timeout, keep_alive, listen, max_body, max_check, max_import, max_webhook_body, rate_limit, request_timeout, shutdown_lead, shutdown_timeout, tls, trusted_proxies, workers
database.uri (environment variable REBOUND__DATABASE__URI): is not a key that is known; did you mean database.url? Else remove it
amqp.zzz (rebound.toml line 8): is not a key that is known; remove it, or write one of backoff_max, backoff_min, batch, confirm_timeout, connect_timeout, declare, exchange, in_flight, poll_interval, publish_timeout, queue, url
policy.mailbox_ful (rebound.toml line 11): is not a key that is known; did you mean policy.mailbox_full? Else remove it
list[0].honors (rebound.toml line 15): is not a key that is known; did you mean list.honours? Else remove it
source[0].namee (environment variable REBOUND__SOURCE__0__NAMEE): is not a key that is known; did you mean source.name? Else remove it
htpp (rebound.toml line 9): is not a key that is known; did you mean http? Else remove it
listen (rebound.toml line 2): is not a key that is known; did you mean http.listen? Else remove it
amqp.url (environment variable REBOUND_AMQP_URL): is not set by REBOUND_AMQP_URL; write REBOUND__AMQP__URL, with two underscores between section and key
"#);
}

#[test]
fn what_does_not_fit_together() {
    insta::assert_snapshot!(problems(
        r#"
[http]
request_timeout = "5s"
keep_alive = "0s"
max_body = "1 B"
max_check = 0
[database]
url = "mysql://root:s3cret@db"
max_connections = 0
[amqp]
url = "http://rebound:s3cret@mq"
in_flight = 0
backoff_min = "1m"
[intake]
batches_at_once = 0
[identity]
pepper = "short"
[telemetry]
log_filter = "service=loud"
[rules]
files = ["nowhere.toml"]
[policy.mailbox_full]
strikes = 0
window = "1d"
least_span = "2d"
[policy.spam_content]
counts = true
"#,
        &[],
    ), @r#"
http.keep_alive = "0s" (rebound.toml line 4): must be longer than zero; write a time such as "10s"
http.max_body = "1 B" (rebound.toml line 5): must be from 1 KiB to 1 GiB; write a size in that range
http.max_check = 0 (rebound.toml line 6): must be from 1 to 10000000; write a number in that range
database.url = "mysql://root:…@db" (rebound.toml line 8): names a database that is not known; write postgres://user:password@host/database or sqlite://file.db?mode=rwc
database.max_connections = 0 (rebound.toml line 9): must be from 1 to 10000; write a number in that range
database.min_connections = 1 (built-in default): is more than database.max_connections (0); lower it, or raise database.max_connections
amqp.url = "http://rebound:…@mq" (rebound.toml line 11): is not the URL of an AMQP broker; write amqp://user:password@host:5672/%2f, or amqps://… for TLS
amqp.in_flight = 0 (rebound.toml line 12): must be from 1 to 10000; write a number in that range
amqp.backoff_min = "1m" (rebound.toml line 13): is longer than amqp.backoff_max (30s); lower it, or raise amqp.backoff_max
intake.batches_at_once = 0 (rebound.toml line 15): must be from 1 to 64; write a number in that range
identity.pepper = … (rebound.toml line 17): is shorter than 32 octets; make one by `openssl rand -hex 32`, keep it as safe as the database, and name its file by identity.pepper_file
telemetry.log_filter = "service=loud" (rebound.toml line 19): is not a filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5; write for example "info" or "warn,rebound=debug"
rules.files[0] = "nowhere.toml" (rebound.toml line 21): is not a file; correct the path, or leave it out
policy.mailbox_full.strikes = 0 (rebound.toml line 23): must be from 1 to 1000; write a number in that range
policy.mailbox_full.least_span = "2d" (rebound.toml line 25): is longer than the window (1d); lower it, or raise the window
policy.spam_content.counts = true (rebound.toml line 27): would block addresses for a fault of the sender; leave it out: such failures are shown, and never block
intake.commit_timeout = "10s" (built-in default): is longer than http.request_timeout (5s); lower it, or raise http.request_timeout
"#);
    let short = "[retention]\nreceipts = \"0s\"\nevents = \"30d\"\n[policy.mailbox_full]\nwindow = \"40d\"\n[[list]]\nname = \"acme\"\n[list.policy.expired]\nwindow = \"50d\"\n";
    insta::assert_snapshot!(problems(short, &[]), @r#"
retention.receipts = "0s" (rebound.toml line 2): must be longer than zero; write a time such as "10s"
intake.max_fact_age = "90d" (built-in default): is longer than retention.events (30d); lower it, or raise retention.events
policy.mailbox_full.window = "40d" (rebound.toml line 5): is longer than retention.events (30d); lower it, or raise retention.events
policy.delivery_agent_error.window = "45d" (rebound.toml line 4): is longer than retention.events (30d); lower it, or raise retention.events
list[0].policy.expired.window = "50d" (rebound.toml line 9): is longer than retention.events (30d); lower it, or raise retention.events
"#);
    let effective = "[retention]\nevents = \"50d\"\n[intake]\nmax_fact_age = \"50d\"\n[policy.dns_error]\nwindow = \"51d\"\n";
    insta::assert_snapshot!(problems(effective, &[]), @r#"
policy.mailbox_full.window = "60d" (rebound.toml line 5): is longer than retention.events (50d); lower it, or raise retention.events
policy.dns_error.window = "51d" (rebound.toml line 6): is longer than retention.events (50d); lower it, or raise retention.events
"#);
    insta::assert_snapshot!(problems("[database]\nurl = \"postgres://db/rebound\"\n", &[]), @"identity.pepper: is missing, and a Postgres database needs it; make one by `openssl rand -hex 32`, keep it as safe as the database, and name its file by identity.pepper_file");
}

#[test]
fn lists_and_sources_that_cannot_be_read() {
    insta::assert_snapshot!(problems(
        r#"
list = "acme"
[[source]]
name = "some"
provider = "mime"
list = "Acme"
list_from = ["subject"]
header = { name = "X-Key" }
[[source]]
"#,
        &[],
    ), @r#"
list (rebound.toml line 2): must be a list of tables, numbered from 0 where it is given by the environment; write [[list]] and the keys below it
source[0].list = "Acme" (rebound.toml line 6): must be the name of a list: words of a-z, 0-9, _ and -, with dots between, at most 150 octets; write for example "acme.weekly"
source[0].list_from[0] = "subject" (rebound.toml line 7): must be one of token, tag:<name>, header:<name>; write for example "header:List-Id"
source[0].header.value (rebound.toml line 8): is missing; write for example value = "…", or better name a file that holds it by the same key with _file
source[1].name (rebound.toml line 9): is missing; write for example name = "name"
source[1].provider (rebound.toml line 9): is missing; write for example provider = "name"
source[1].list (rebound.toml line 9): is missing; write for example list = "acme.weekly"
"#);
}

#[test]
fn lists_and_sources_that_do_not_fit_together() {
    let text = problems(
        r#"
[[list]]
name = "acme.weekly"
honours = ["hard", "manual_allow"]
[[list]]
name = "acme.weekly"
[[source]]
name = "Ses Prod"
provider = "sess"
list = "acme.monthly"
within = "other"
basic = ["s3cret"]
[[source]]
name = "same"
provider = "mime"
list = "acme"
[[source]]
name = "same"
provider = "ses"
list = "acme.weekly"
"#,
        &[],
    );
    insta::assert_snapshot!(text.replace(&source::providers().join(", "), "(all)"), @r#"
list[0].honours[1] = "manual_allow" (rebound.toml line 4): must be one of hard, soft, complaint, unsubscribe, provider, import; write for example "hard"
list[1].name = "acme.weekly" (rebound.toml line 6): is the name of an earlier list too; keep one of them
source[0].name = "Ses Prod" (rebound.toml line 8): is not a name of a-z, 0-9, dot, _ and -, at most 64 octets; write for example "ses-prod"; it becomes the last part of the webhook's URL
source[0].provider = "sess" (rebound.toml line 9): is not a provider that is known; write one of (all)
source[0].within = "other" (rebound.toml line 11): is not acme.monthly nor a list above it; write "acme", or a list above it
source[0].basic[0] = … (rebound.toml line 12): has no colon; write it as "user:password"
source[0].list = "acme.monthly" (rebound.toml line 10): is a list that is not declared; add [[list]] with name = "acme.monthly", or correct the name
source[2].topic_arns (rebound.toml line 17): is missing, and so is every other credential: anybody could post as this source; set what its posts are proved with: topic_arns; or `insecure = true`, to take posts from anybody
source[2].name = "same" (rebound.toml line 18): is the name of an earlier source too; give each its own
"#);
}

#[test]
fn files_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let empty = write(&folder, "empty", "\n");
    let text = format!(
        "[amqp]\nurl_file = {empty:?}\n[identity]\npepper = \"x\"\npepper_file = \"y\"\n[telemetry]\nmetrics_token_file = \"nowhere\"\n"
    );
    let shown = problems(&text, &[]).replace(&folder.path().display().to_string(), "");
    insta::assert_snapshot!(shown, @r#"
amqp.url_file = "/empty" (rebound.toml line 2): names an empty file; name a readable text file that holds the value
identity.pepper_file (rebound.toml line 5): is set together with pepper; keep either pepper or pepper_file
telemetry.metrics_token_file = "nowhere" (rebound.toml line 7): names a file that cannot be read: No such file or directory (os error 2); name a readable text file that holds the value
"#);
    insta::assert_snapshot!(problems("[http]\nlisten = 127.0.0.1\n[amqp]\nurl = amqp://rebound:s3cret@mq\n[http]\n", &[]), @"
rebound.toml line 2: not TOML: invalid float, expected nothing; correct the line; texts stand in quotes, and a key stands in its [section] once
rebound.toml line 4: not TOML: string values must be quoted, expected literal string; correct the line; texts stand in quotes, and a key stands in its [section] once
rebound.toml line 5: not TOML: duplicate key; correct the line; texts stand in quotes, and a key stands in its [section] once
");
    let missing = Config::load(&Sources { file: Some("nowhere.toml".into()), ..Sources::default() }).unwrap_err();
    insta::assert_snapshot!(missing, @"
the configuration cannot be used:
  - nowhere.toml: cannot be read: No such file or directory (os error 2); name a readable UTF-8 file by --config or REBOUND_CONFIG, or leave both out
");
}

#[test]
fn a_whole_error_lists_every_problem() {
    let error = load("[http]\nworkers = -1\nzzz = 1\n", &[]).unwrap_err();
    insta::assert_snapshot!(error, @"
the configuration cannot be used:
  - http.workers = -1 (rebound.toml line 2): must be a whole number, 0 or more; write for example 10
  - http.zzz (rebound.toml line 3): is not a key that is known; remove it, or write one of header_timeout, import_timeout, keep_alive, listen, max_body, max_check, max_import, max_webhook_body, rate_limit, request_timeout, shutdown_lead, shutdown_timeout, tls, trusted_proxies, workers
");
}

#[test]
fn check_prints_what_is_in_effect() {
    let sources = Sources { file: None, environment: [("REBOUND__HTTP__WORKERS".to_owned(), "3".to_owned())].into() };
    assert!(check(&sources).unwrap().contains("\nworkers = 3\n"));
}

#[test]
fn the_values_for_tests_are_valid() {
    assert_eq!(Config::for_testing().validate(), Ok(()));
}

#[test]
fn a_case_of_interpret_gives_its_source() {
    let document = |text: &str| SourceConfig::from_document(serde_json::from_str::<serde_json::Value>(text).unwrap().as_object().unwrap());
    let source =
        document(r#"{"provider": "ses", "topic_arns": ["arn:x"], "url": null, "certificates": {"https://sns.example/x.pem": "PEM"}}"#)
            .unwrap();
    assert_eq!(source.credentials.topic_arns, ["arn:x"]);
    assert_eq!(source.credentials.certificates["https://sns.example/x.pem"], "PEM");
    insta::assert_snapshot!(document(r#"{"secrets_file": "/etc/passwd", "topic_arn": ["x"], "basic": [1.5]}"#).unwrap_err(), @r#"
the configuration cannot be used:
  - provider (the given document): is missing; write for example provider = "name"
  - secrets_file (the given document): is not a key that is known; remove it, or write one of basic, bearer, certificates, confirm_hosts, header, insecure, list, list_from, name, provider, public_keys, secrets, topic_arns, unattributed, url, url_secret, within
  - topic_arn (the given document): is not a key that is known; did you mean topic_arns? Else remove it
"#);
}

#[test]
fn a_source_needs_a_credential_that_its_provider_knows_or_says_that_it_has_none() {
    let source = |rest: &str| {
        problems(&format!("[[list]]\nname = \"a\"\n[[source]]\nname = \"s\"\nprovider = \"generic\"\nlist = \"a\"\n{rest}"), &[])
    };
    let nothing = source("");
    assert!(nothing.contains("source[0].secrets") && nothing.contains("`insecure = true`"), "{nothing}");
    let useless = source("topic_arns = [\"arn:x\"]");
    assert!(useless.contains("source[0].topic_arns") && useless.contains("proves nothing with generic"), "{useless}");
    for fine in ["insecure = true", "url_secret = \"s\"", "secrets = [\"whsec_c2VjcmV0\"]"] {
        let text = format!("[[list]]\nname = \"a\"\n[[source]]\nname = \"s\"\nprovider = \"generic\"\nlist = \"a\"\n{fine}");
        assert!(load(&text, &[]).is_ok(), "{fine}");
    }
}

#[test]
fn a_credential_that_can_prove_nothing_is_a_mistake() {
    let text = |provider: &str, rest: &str| {
        format!("[[list]]\nname = \"a\"\n[[source]]\nname = \"s\"\nprovider = \"{provider}\"\nlist = \"a\"\n{rest}")
    };
    let good = "\"whsec_c2VjcmV0\"";
    for (provider, rest, key) in [
        ("generic", format!("secrets = [{good}, \"whsec_…\"]"), "secrets"),
        ("resend", "secrets = [\"whsec_\"]\ninsecure = true".to_owned(), "secrets"),
        ("sendgrid", "public_keys = [\"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE…\"]\nbasic = [\"a:b\"]".to_owned(), "public_keys"),
        ("postal", "public_keys = [\"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\"]".to_owned(), "public_keys"),
        ("mandrill", "secrets = [\"test-webhook\"]".to_owned(), "url"),
        ("ses", "topic_arns = [\"bounces\"]".to_owned(), "topic_arns[0]"),
        ("ses", "topic_arns = [\"arn:aws:sns:eu-west-1::bounces\"]".to_owned(), "topic_arns[0]"),
    ] {
        let found = problems(&text(provider, &rest), &[]);
        assert!(found.contains(&format!("source[0].{key} (")) || found.contains(&format!("source[0].{key} = ")), "{provider}: {found}");
    }
    for (provider, rest) in [
        ("generic", format!("secrets = [{good}]")),
        ("mandrill", "secrets = [\"test-webhook\"]\nurl = \"https://h.example/webhooks/s\"".to_owned()),
        ("mandrill", "basic = [\"a:b\"]".to_owned()),
        ("ses", "topic_arns = [\"arn:aws-cn:sns:cn-north-1:111122223333:x.fifo\"]".to_owned()),
        ("scaleway", "url_secret = \"x\"\ntopic_arns = [\"arn:scw:sns:fr-par:project-1:tem\"]".to_owned()),
    ] {
        assert!(load(&text(provider, &rest), &[]).is_ok(), "{provider}: {rest}");
    }
}

#[test]
fn subscriptions_are_confirmed_on_hosts_with_public_names_only() {
    let text = |host: &str| {
        let source = "name = \"s\"\nprovider = \"scaleway\"\nlist = \"a\"\nurl_secret = \"x\"";
        format!("[[list]]\nname = \"a\"\n[[source]]\n{source}\nconfirm_hosts = [\"{host}\"]")
    };
    let config = load(&text("SNS.mnq.fr-par.example.com"), &[]).unwrap();
    assert_eq!(config.sources[0].credentials.confirm_hosts, ["SNS.mnq.fr-par.example.com"]);
    for host in ["https://sns.example.com", "sns.example.com:443", "10.0.0.1", "localhost", "sns.internal", ""] {
        let found = problems(&text(host), &[]);
        assert!(found.contains("source[0].confirm_hosts[0]"), "{host}: {found}");
    }
}

#[test]
fn what_takes_mail_says_for_whom_and_each_address_has_one_source() {
    let text = r#"
[smtp]
listen = ["0.0.0.0:25"]
lmtp_listen = ["127.0.0.1:24", "unix:/run/rebound/lmtp"]
private_key = "mx.key"
max_recipients = 10
[[list]]
name = "acme"
[[source]]
name = "one"
provider = "mime"
list = "acme"
recipients = ["b+*@in.example", "c@in.example"]
[[source]]
name = "two"
provider = "mime"
list = "acme"
recipients = ["*x@IN.example", "d@in.example"]
[[source]]
name = "three"
provider = "generic"
list = "acme"
bearer = ["x"]
recipients = ["e@in.example"]
"#;
    insta::assert_snapshot!(problems(text, &[]), @r#"
smtp.hostname: is missing: the greeting needs a name; write the name that the MX record points to, for example "mx.bounces.example.org"
smtp.certificate: is missing; name the file of the key's certificate
smtp.max_recipients = 10 (rebound.toml line 6): must be from 100 to 10000; write a number in that range
source[2].recipients (rebound.toml line 24): takes mail, which generic does not read; give them to a source with provider = "mime"
source[1].recipients = "*x@in.example" (rebound.toml line 18): stands for addresses that "b+*@in.example" of an earlier source stands for too; let each address belong to one source
"#);
    let none = "[smtp]\nlisten = [\"0.0.0.0:25\"]\nhostname = \"mx_example\"\nlmtp_listen = [\"unix:\"]\n";
    let told = problems(none, &[]);
    for part in ["smtp.lmtp_listen[0] = \"unix:\"", "\"mx_example\"", "is not the name of a host", "takes mail for nobody"] {
        assert!(told.contains(part), "{told}");
    }
    let fine = load(
        &format!(
            "[smtp]\nlmtp_listen = [\"unix:/run/rebound/lmtp\"]\n{SOURCE}{}",
            SOURCE
                .replace("ses-prod", "in")
                .replace("\"ses\"", "\"mime\"")
                .replace("[[list]]\nname = \"acme.weekly\"\n", "")
                .replace("topic_arns = [\"arn:aws:sns:eu-west-1:123456789012:bounces\"]", "recipients = [\"b+*@in.example\"]")
        ),
        &[],
    )
    .unwrap();
    assert!(
        fine.redacted().contains("lmtp_listen = [\"unix:/run/rebound/lmtp\"]\n")
            && fine.redacted().contains("recipients = [\"b+*@in.example\"]\n")
    );
    assert!(!fine.takes_posts("in") && fine.takes_posts("ses-prod"));
    let of = |name: &str| fine.sources.iter().find(|it| it.name == name).unwrap();
    let both = SourceConfig { credentials: of("ses-prod").credentials.clone(), ..of("in").clone() };
    assert!(Config { sources: vec![both], ..fine.clone() }.takes_posts("in"));
}
