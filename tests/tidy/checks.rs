//! What is checked. A new check is a new row, with a sample that it must find and one that it must not.

use crate::source::{Source, is_rust, mentions, word_at};

/// A line number and what is wrong there.
type Finding = (usize, String);

/// A path and what the file says.
type Sample = (&'static str, &'static str);

pub(crate) struct Check {
    /// The rule in a sentence, for the one who broke it.
    pub(crate) rule: &'static str,
    pub(crate) covers: fn(&str) -> bool,
    pub(crate) find: fn(&Source) -> Vec<Finding>,
    pub(crate) offenders: &'static [Sample],
    pub(crate) innocents: &'static [Sample],
}

/// The modules of `service` in the order in which data meets them; each may use those to its left.
const RANKS: &[&str] = &[
    "clock",
    "config",
    "telemetry",
    "tls",
    "listing",
    "store",
    "outbox",
    "spool",
    "intake",
    "inbound",
    "mailbox",
    "transfer",
    "smtp",
    "http",
    "console",
    "app",
    "cli",
];

/// The modules of `bounce` in layers; each uses those of its own and of lower layers. Reasons are words like `kind` and
/// count among these; `report` and `mta` know each other, as prose completes a delivery status.
const LAYERS: &[&[&str]] = &[
    &["limits", "vocabulary", "status", "kind", "classify::reason"],
    &["address", "mail", "token"],
    &["report", "mta"],
    &["classify"],
    &["policy", "esp", "evaluate"],
];

/// Lines of code that a file may have. Aim at 150, look again at 300.
const LONGEST: usize = 500;

pub(crate) const CHECKS: &[Check] = &[
    Check {
        rule: "modules of `service` use only modules to their left: config < telemetry < tls < listing < store < outbox < spool < intake < inbound < mailbox < transfer < smtp < http < console < app < cli",
        covers: |path| service(path).is_some_and(|module| !matches!(module, "lib" | "main")),
        find: ranks,
        offenders: &[
            ("service/src/store/mod.rs", "use crate::http::Problem;"),
            ("service/src/config.rs", "fn f() { crate::telemetry::start() }"),
            ("service/src/http/check.rs", "use crate::{store::Store, app::App};"),
            ("service/src/store/mod.rs", "use super::http;"),
            ("service/src/store/rows.rs", "use super::super::http;"),
            ("service/src/misplaced.rs", "fn f() {}"),
        ],
        innocents: &[
            ("service/src/http/mod.rs", "use crate::store::Store;\nuse crate::http::problem::Problem;"),
            ("service/src/store/rows.rs", "use super::Store; // unlike crate::http"),
            ("service/src/store/mod.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
            ("service/src/lib.rs", "pub use crate::app::App;"),
        ],
    },
    Check {
        rule: "modules of `bounce` use only lower layers: words < address, mail, token < report, mta < classify < policy, esp, evaluate",
        covers: |path| bounce(path).is_some_and(|module| module != "lib"),
        find: layers,
        offenders: &[
            ("service/bounce/src/mail/walk.rs", "use crate::report::Report;"),
            ("service/bounce/src/report/dsn.rs", "use crate::classify::codes::codes;"),
            ("service/bounce/src/mta/mod.rs", "fn f() { crate::classify::classify() }"),
            ("service/bounce/src/classify/mod.rs", "use crate::policy::Fact;"),
            ("service/bounce/src/kind.rs", "use crate::address::Address;"),
            ("service/bounce/src/esp/mod.rs", "use crate::{kind::Kind, report::Report};"),
            ("service/bounce/src/misplaced.rs", "fn f() {}"),
        ],
        innocents: &[
            ("service/bounce/src/report/mod.rs", "use crate::classify::reason::Reason;\nuse crate::mta::Bounce;"),
            ("service/bounce/src/mta/mod.rs", "use crate::report::Report;"),
            ("service/bounce/src/esp/ses/payload.rs", "use crate::classify::Verdict;\nuse crate::esp::json;"),
            ("service/bounce/src/kind.rs", "crate::vocabulary! {}"),
            ("service/bounce/src/report/mod.rs", "#[cfg(test)]\nmod tests {\n    use crate::classify::classify;\n}"),
            ("service/bounce/src/lib.rs", "pub use crate::policy::decide;"),
        ],
    },
    Check {
        rule: "only `store` names rows and sea-orm",
        covers: |path| service(path).is_some_and(|module| module != "store"),
        find: |source| words(source, &["entity::", "sea_orm::", "sea_orm_migration::", "sqlx::"]),
        offenders: &[("service/src/http/check.rs", "use entity::suppression;"), ("service/src/main.rs", "fn f(_: sea_orm::DbErr) {}")],
        innocents: &[
            ("service/src/store/mod.rs", "use entity::suppression;"),
            ("service/src/http/mod.rs", "use crate::store::identity::Key;"),
        ],
    },
    Check {
        rule: "SQL that differs between databases stands in store/dialect.rs",
        covers: |path| is_rust(path) && path.starts_with("service/src/") && !path.starts_with("service/src/store/dialect"),
        find: |source| words(source, &["DbBackend", "DatabaseBackend", "get_database_backend"]),
        offenders: &[("service/src/store/events.rs", "match db.get_database_backend() {}")],
        innocents: &[("service/src/store/dialect.rs", "use sea_orm::DbBackend;"), ("migration/src/lib.rs", "use sea_orm::DbBackend;")],
    },
    Check {
        rule: "a module is named after what it is for",
        covers: is_rust,
        find: names,
        offenders: &[("service/src/store/utils.rs", ""), ("service/src/helpers/mod.rs", ""), ("entity/src/lib.rs", "mod common {\n}")],
        innocents: &[("service/src/store/mod.rs", "mod commonplace;"), ("service/bounce/src/esp/ses/payload.rs", "")],
    },
    Check {
        rule: "a file has up to 500 lines of code, tests aside; split it",
        covers: |path| is_rust(path) && !path.ends_with("/tests.rs") && !path.starts_with("tests/it/"),
        find: length,
        offenders: &[("service/src/store/mod.rs", LONG)],
        innocents: &[("service/src/store/tests.rs", LONG), ("service/src/store/mod.rs", "#[cfg(test)]\nmod tests {\n}")],
    },
    Check {
        rule: "counting and logging happen in `telemetry`, by one function per happening",
        covers: |path| {
            let speaks = matches!(service(path), Some("telemetry" | "cli" | "main"));
            is_rust(path) && !speaks && !path.starts_with("tests/")
        },
        find: raw_macros,
        offenders: &[
            ("service/src/http/mod.rs", "tracing::info!(%id, \"stored\");"),
            ("service/src/http/mod.rs", "use tracing::{Instrument, warn};"),
            ("service/src/store/mod.rs", "use prometheus::IntCounter;"),
            ("service/bounce/src/mail.rs", "log::debug!(\"x\");"),
        ],
        innocents: &[
            ("service/src/telemetry/mod.rs", "tracing::info!(\"x\"); use prometheus::IntCounter;"),
            ("service/src/http/mod.rs", "use tracing::Instrument; let span = tracing::info_span!(\"batch\");"),
        ],
    },
    Check {
        rule: "errors are typed outside of `cli` and `main`",
        covers: |path| path.starts_with("service/") && is_rust(path) && !matches!(service(path), Some("cli" | "main")),
        find: |source| words(source, &["anyhow"]),
        offenders: &[("service/src/http/mod.rs", "fn f() -> anyhow::Result<()> {}")],
        innocents: &[("service/src/cli/mod.rs", "use anyhow::Context;"), ("service/src/http/mod.rs", "// unlike anyhow")],
    },
    Check {
        rule: "`bounce` does no I/O and knows no clock, environment or randomness",
        covers: |path| path.starts_with("service/bounce/src/") && is_rust(path),
        find: |source| {
            let mut found = words(
                source,
                &[
                    "std::fs",
                    "std::net",
                    "std::env",
                    "std::process",
                    "std::io::stdin",
                    "SystemTime",
                    "Instant",
                    "now_utc",
                    "async fn",
                    "async move",
                ],
            );
            found.retain(|(line, _)| *line < source.tests_begin());
            found
        },
        offenders: &[
            ("service/bounce/src/mail.rs", "use std::time::SystemTime;"),
            ("service/bounce/src/esp/mod.rs", "async fn fetch() {}"),
        ],
        innocents: &[
            ("service/bounce/src/mail.rs", "use std::time::Duration; #[cfg(test)]\nmod tests { }"),
            ("service/src/app.rs", "use std::fs;"),
        ],
    },
    Check {
        rule: "`bounce` depends on nothing that does I/O and on no other member; `entity` on no member",
        covers: |path| matches!(path, "service/bounce/Cargo.toml" | "entity/Cargo.toml"),
        find: dependencies,
        offenders: &[
            ("service/bounce/Cargo.toml", "[dependencies]\nregex = \"1\"\ntokio.workspace = true"),
            ("service/bounce/Cargo.toml", "[dependencies]\nactix-web = { version = \"4\" }"),
            ("entity/Cargo.toml", "[dependencies]\nbounce.workspace = true"),
        ],
        innocents: &[
            (
                "service/bounce/Cargo.toml",
                "[package]\nname = \"bounce\"\n[dependencies]\nregex.workspace = true\n[dev-dependencies]\nrand = \"1\"",
            ),
            ("entity/Cargo.toml", "[dependencies]\nsea-orm.workspace = true"),
        ],
    },
    Check {
        rule: "every member keeps the lints of the workspace",
        // The fuzz targets are a workspace of their own: they need another toolchain.
        covers: |path| path.ends_with("Cargo.toml") && !path.contains("/fuzz/"),
        find: |source| {
            let keeps = !source.text.contains("[package]") || source.text.contains("[lints]\nworkspace = true");
            if keeps { vec![] } else { vec![(1, "no `[lints] workspace = true`".to_owned())] }
        },
        offenders: &[("entity/Cargo.toml", "[package]\nname = \"entity\"")],
        innocents: &[("entity/Cargo.toml", "[package]\n[lints]\nworkspace = true"), ("Cargo.toml", "[workspace]")],
    },
    Check {
        rule: "every module begins with what it is for",
        covers: |path| is_rust(path) && !path.ends_with("/tests.rs"),
        find: |source| {
            let begins = source.text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"));
            if begins { vec![] } else { vec![(1, "no `//!`".to_owned())] }
        },
        offenders: &[("service/src/main.rs", "fn main() {}"), ("service/src/lib.rs", "")],
        innocents: &[("service/src/main.rs", "//! The program.\nfn main() {}"), ("service/src/store/tests.rs", "use super::*;")],
    },
    Check {
        rule: "a lint is set aside by `#[expect(…, reason = \"…\")]`",
        covers: is_rust,
        find: unexplained,
        offenders: &[("service/src/main.rs", "#[allow(dead_code)]"), ("service/src/main.rs", "#![expect(\n    unused,\n)]")],
        innocents: &[("service/src/main.rs", "#[expect(unused, reason = \"later\")]")],
    },
    Check {
        rule: "tests wait on a condition (`harness::eventually`), and none is left out",
        covers: |path| is_rust(path) && path != "tests/src/wait.rs",
        find: |source| {
            // The load tool is a program that sends at given times, not a test.
            let is_of_tests = source.path.starts_with("tests/") && !source.path.starts_with("tests/load/");
            let is_test = |line: usize| is_of_tests || source.path.ends_with("/tests.rs") || line >= source.tests_begin();
            let mut found = words(source, &["sleep(", "sleep_until("]);
            found.retain(|(line, _)| is_test(*line));
            found.extend(words(source, &["#[ignore"]));
            found
        },
        offenders: &[
            ("tests/it/relay.rs", "tokio::time::sleep(second).await;"),
            ("service/src/store/mod.rs", "#[cfg(test)]\nmod tests {\n    fn f() { std::thread::sleep(second) }\n}"),
            ("service/src/store/mod.rs", "#[ignore]"),
        ],
        innocents: &[
            ("service/src/outbox/mod.rs", "tokio::time::sleep(pause).await;"),
            ("tests/load/src/drive.rs", "tokio::time::sleep_until(due).await;"),
            ("tests/it/relay.rs", "// sleep(1)"),
        ],
    },
    Check {
        rule: "nothing is left for later in the files; file an issue",
        covers: |path| path != SELF,
        find: |source| text(source, &["TODO", "FIXME", "XXX", "todo!", "unimplemented!"]),
        offenders: &[("README.md", "TODO: write"), ("service/src/main.rs", "// FIXME"), ("service/src/main.rs", "todo!()")],
        innocents: &[("README.md", "a todo list"), ("service/src/main.rs", "let XXXL = 1;")],
    },
    Check {
        rule: "no path of somebody's machine",
        covers: |path| path != SELF,
        find: |source| {
            let path = |(_, line): &(usize, &str)| {
                HOMES.iter().any(|home| line.match_indices(home).any(|(at, _)| line[..at].chars().next_back().is_none_or(opens)))
            };
            source.text_lines().filter(path).map(|(line, text)| (line, text.trim().to_owned())).collect()
        },
        offenders: &[("tests/run", concat!("cd ", "/wo", "rk/main")), ("README.md", concat!("(", "/ho", "me/me/x)"))],
        innocents: &[("README.md", concat!("https://x.example", "/wo", "rk/")), ("README.md", "/usr/bin")],
    },
    Check {
        rule: "no address of a package registry",
        covers: |path| path != "Cargo.lock",
        find: |source| text(source, REGISTRIES),
        offenders: &[("Cargo.toml", concat!("index = \"https://index.", "crates", ".io\""))],
        innocents: &[("Cargo.lock", concat!("crates", ".io-index")), ("README.md", "a crate")],
    },
];

/// This file has to name what it looks for.
const SELF: &str = "tests/tidy/checks.rs";

const HOMES: &[&str] = &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
];

macro_rules! eight_times {
    ($text:expr) => {
        concat!($text, $text, $text, $text, $text, $text, $text, $text)
    };
}

/// Eight times eight times eight lines, which is more than a file may have.
const LONG: &str = eight_times!(eight_times!(eight_times!("f();\n")));

/// The module of `service` that a path belongs to, `lib` and `main` included.
fn service(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("service/src/").filter(|path| is_rust(path))?;
    Some(inside.split('/').next()?.trim_end_matches(".rs"))
}

/// The module of `bounce` that a path belongs to, `lib` included.
fn bounce(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("service/bounce/src/").filter(|path| is_rust(path))?;
    Some(inside.split('/').next()?.trim_end_matches(".rs"))
}

fn opens(before: char) -> bool {
    before.is_whitespace() || "\"'`(=:<".contains(before)
}

/// Lines of code that mention one of the words.
fn words(source: &Source, banned: &[&str]) -> Vec<Finding> {
    found_in(source.lines(), banned)
}

/// Lines of text that mention one of the words.
fn text(source: &Source, banned: &[&str]) -> Vec<Finding> {
    found_in(source.text_lines(), banned)
}

fn found_in<'a>(lines: impl Iterator<Item = (usize, &'a str)>, banned: &[&str]) -> Vec<Finding> {
    lines
        .filter_map(|(number, line)| {
            let word = banned.iter().find(|word| !mentions(line, word).is_empty())?;
            Some((number, format!("`{word}`")))
        })
        .collect()
}

fn ranks(source: &Source) -> Vec<Finding> {
    let own = service(&source.path).expect("the check covers `service`");
    let rank = |module: &str| RANKS.iter().position(|ranked| *ranked == module);
    let Some(own_rank) = rank(own) else { return vec![(1, format!("`{own}` has no rank"))] };
    let depth = source.path.trim_end_matches("/mod.rs").split('/').count() - 2;
    let mut found = Vec::new();
    for (number, line) in source.lines() {
        for at in mentions(line, "crate::") {
            let after = &line[at + "crate::".len()..];
            let module = word_at(after);
            if after.starts_with('{') || rank(module).is_some_and(|rank| rank > own_rank) {
                found.push((number, line.trim().to_owned()));
            }
        }
        let climbs = line.matches("super::").count();
        if climbs >= depth && climbs > 0 && number < source.tests_begin() && line.contains(&"super::".repeat(depth)) {
            found.push((number, format!("{} (say `crate::`)", line.trim())));
        }
    }
    found
}

fn layers(source: &Source) -> Vec<Finding> {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let own = bounce(&source.path).expect("the check covers `bounce`");
    let inner = source.path.trim_start_matches("service/bounce/src/").trim_end_matches(".rs").replace('/', "::");
    let Some(own_layer) = layer(&inner).or_else(|| layer(own)) else { return vec![(1, format!("`{own}` has no layer"))] };
    let mut found = Vec::new();
    for (number, line) in source.lines().filter(|(number, _)| *number < source.tests_begin()) {
        for at in mentions(line, "crate::") {
            let after = &line[at + "crate::".len()..];
            let module = word_at(after);
            let inside = after[module.len()..].strip_prefix("::").map_or("", word_at);
            let used = layer(&format!("{module}::{inside}")).or_else(|| layer(module));
            if after.starts_with('{') || used.is_some_and(|used| used > own_layer) {
                found.push((number, line.trim().to_owned()));
            }
        }
    }
    found
}

fn names(source: &Source) -> Vec<Finding> {
    const BANNED: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "processor", "misc"];
    let file = source.path.split('/').map(|part| part.trim_end_matches(".rs")).filter(|part| BANNED.contains(part));
    let mut found: Vec<Finding> = file.map(|part| (1, format!("`{part}`"))).collect();
    for (number, line) in source.lines() {
        let module = mentions(line, "mod ").into_iter().map(|at| word_at(line[at + 4..].trim_start()));
        found.extend(module.filter(|module| BANNED.contains(module)).map(|module| (number, format!("`mod {module}`"))));
    }
    found
}

fn length(source: &Source) -> Vec<Finding> {
    let end = source.tests_begin();
    let lines = source.lines().filter(|(number, line)| *number < end && !line.trim().is_empty()).count();
    if lines > LONGEST { vec![(LONGEST, format!("{lines} lines"))] } else { vec![] }
}

fn raw_macros(source: &Source) -> Vec<Finding> {
    const MACROS: &[&str] = &["trace", "debug", "info", "warn", "error", "event"];
    let mut found = words(source, &["prometheus::", "log::"]);
    for (number, line) in source.lines() {
        let logs = mentions(line, "tracing::").into_iter().any(|at| {
            let after = &line[at + "tracing::".len()..];
            let list = after.strip_prefix('{').map(|list| list.split('}').next().unwrap_or_default());
            list.unwrap_or(word_at(after)).split(',').any(|name| MACROS.contains(&name.trim()))
        });
        if logs {
            found.push((number, line.trim().to_owned()));
        }
    }
    found
}

fn dependencies(source: &Source) -> Vec<Finding> {
    const MEMBERS: &[&str] = &["service", "bounce", "entity", "migration", "rebound-tests"];
    const IO: &[&str] = &[
        "tokio",
        "async",
        "futures",
        "reqwest",
        "hyper",
        "actix",
        "sea-orm",
        "sqlx",
        "lapin",
        "rand",
        "getrandom",
        "chrono",
        "tempfile",
        "config",
        "tracing",
        "log",
        "prometheus",
        "moka",
    ];
    let io =
        |name: &str| source.path.starts_with("service/bounce") && IO.iter().any(|io| name == *io || name.starts_with(&format!("{io}-")));
    let mut section = "";
    let mut found = Vec::new();
    for (number, line) in source.text_lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if section.ends_with("dependencies]") && !section.contains("dev-") && (MEMBERS.contains(&name) || io(name)) {
            found.push((number, format!("`{name}`")));
        }
    }
    found
}

fn unexplained(source: &Source) -> Vec<Finding> {
    let attributes = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
    let line_of = |at: usize| source.code[..at].matches('\n').count() + 1;
    attributes
        .iter()
        .flat_map(|opening| source.code.match_indices(opening))
        .filter(|(at, _)| !source.code[*at..].split(']').next().unwrap_or_default().contains("reason"))
        .map(|(at, opening)| (line_of(at), format!("`{opening}` without a reason")))
        .collect()
}
