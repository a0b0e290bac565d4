//! The tests of the repository itself: what the compiler cannot hold and a reviewer would tire of.
//!
//! A check is a row of [`CHECKS`]: where it looks, what it finds, and samples of both kinds, for a check that cannot fail is
//! worth nothing. Text is searched as it stands, code after comments and the contents of literals are blanked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what a test does not expect ends it")]

#[path = "tidy/checks.rs"]
mod checks;
#[path = "tidy/source.rs"]
mod source;

use checks::CHECKS;
use source::{Source, repository};

#[test]
fn the_repository_is_tidy() {
    let sources = repository();
    let findings: Vec<String> = CHECKS
        .iter()
        .flat_map(|check| {
            sources.iter().filter(|source| (check.covers)(&source.path)).flat_map(|source| {
                (check.find)(source).into_iter().map(|(line, what)| format!("{}:{line}: {what}: {}", source.path, check.rule))
            })
        })
        .collect();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn every_check_finds_its_offenders_and_spares_the_others() {
    for check in CHECKS {
        assert!(!check.offenders.is_empty() && !check.innocents.is_empty(), "{} has no samples", check.rule);
        for (path, text) in check.offenders {
            let found = (check.covers)(path) && !(check.find)(&Source::new(path, text)).is_empty();
            assert!(found, "{} does not find\n{path}: {text}", check.rule);
        }
        for (path, text) in check.innocents {
            let found = if (check.covers)(path) { (check.find)(&Source::new(path, text)) } else { vec![] };
            assert!(found.is_empty(), "{} finds {found:?} in\n{path}: {text}", check.rule);
        }
    }
}

#[test]
fn every_kind_of_file_is_seen() {
    let sources = repository();
    for path in ["Cargo.toml", "tests/run", ".ci/run", "service/src/main.rs", "service/bounce/src/lib.rs", "tests/tidy.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path} was not read");
    }
    assert!(sources.iter().all(|source| !source.path.starts_with("target/")));
}
