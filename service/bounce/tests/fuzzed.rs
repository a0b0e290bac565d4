//! The bodies of the fuzz targets as ordinary tests, so that they keep compiling and hold on stable: each runs over every
//! mail of the corpus, over every refusal of the tables, and over pieces of them. `fuzz/` wraps the same
//! bodies.

use std::fs;
use std::path::{Path, PathBuf};

use bounce::esp::PROVIDERS;
use time::OffsetDateTime;

#[path = "fuzzed/classify_text.rs"]
mod classify_text;
#[path = "fuzzed/classify_text_folded.rs"]
mod classify_text_folded;
#[path = "fuzzed/parse_address.rs"]
mod parse_address;
#[path = "fuzzed/read_fields.rs"]
mod read_fields;
#[path = "fuzzed/read_message.rs"]
mod read_message;
#[path = "fuzzed/read_message_folded.rs"]
mod read_message_folded;
#[path = "fuzzed/read_post.rs"]
mod read_post;
#[path = "fuzzed/read_post_bent.rs"]
mod read_post_bent;

const BASE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn mails_and_pieces_of_them_hold() {
    for raw in mails() {
        for piece in pieces(&raw) {
            read_message::run(piece);
            read_fields::run(piece);
        }
    }
}

#[test]
fn refusals_and_pieces_of_them_hold() {
    for table in ["wordings.csv", "receiver_patterns.csv", "seed_rows.csv"] {
        let table = fs::read(Path::new(BASE).join("tests/data").join(table)).unwrap();
        for line in table.split(|it| *it == b'\n').filter(|it| !it.is_empty()) {
            for piece in pieces(line) {
                let text = String::from_utf8_lossy(piece);
                classify_text::run(&text);
                parse_address::run(&text);
            }
        }
    }
}

/// Any bytes are words to the folded bodies, so those of the fixtures will do.
#[test]
fn folded_words_hold() {
    for raw in mails() {
        for piece in raw.chunks(256).take(4) {
            classify_text::run(&classify_text_folded::unfolded(piece));
            read_message_folded::run(piece);
        }
    }
}

#[test]
fn posts_cut_and_bent_hold() {
    for provider in PROVIDERS {
        let Ok(sample) = provider.sample(&read_post::open(), OffsetDateTime::UNIX_EPOCH) else { continue };
        let content_type = sample.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
        for piece in pieces(&sample.body) {
            read_post::read(*provider, content_type, piece);
        }
        for place in 0..=40 {
            for what in 0..16 {
                read_post_bent::bend(*provider, &[place, what, what, place]);
            }
        }
    }
    for raw in mails().iter().take(30) {
        for piece in pieces(raw) {
            read_post::run(piece);
            read_post_bent::run(piece);
        }
    }
}

#[test]
fn every_body_has_its_target() {
    let names = |folder: &str| {
        let files = files(&Path::new(BASE).join(folder));
        let mut names: Vec<String> = files.iter().filter_map(|it| Some(it.file_name()?.to_str()?.to_owned())).collect();
        names.sort();
        names
    };
    let bodies = names("tests/fuzzed");
    assert_eq!(bodies, names("fuzz/fuzz_targets"));
    let manifest = fs::read_to_string(Path::new(BASE).join("fuzz/Cargo.toml")).unwrap();
    for body in bodies {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{body}\"")), "{body} is no target of fuzz/Cargo.toml");
        let target = fs::read_to_string(Path::new(BASE).join("fuzz/fuzz_targets").join(&body)).unwrap();
        assert!(target.contains(&format!("tests/fuzzed/{body}")), "{body} runs another body");
    }
}

/// The whole, what is left when it is cut at a few places.
fn pieces(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let cuts = [1, 2, 3, 5, 7].into_iter().flat_map(|it| {
        let (front, back) = raw.split_at(raw.len() / it);
        [front, back]
    });
    cuts.filter(|it| !it.is_empty())
}

fn mails() -> Vec<Vec<u8>> {
    let folders = files(&Path::new(BASE).join("../../tests/corpus"));
    let files = folders.iter().filter(|it| it.is_dir()).flat_map(|it| files(it));
    let mails: Vec<_> = files.filter(|it| it.extension().is_some_and(|it| it == "eml")).filter_map(|it| fs::read(it).ok()).collect();
    assert!(mails.len() >= 150, "only {} mails", mails.len());
    mails
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    read.filter_map(Result::ok).map(|it| it.path()).collect()
}
