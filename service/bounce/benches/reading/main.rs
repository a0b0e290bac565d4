//! How fast mails are read and judged, beside a plain MIME parse of the same mails, and how the time grows with the size of
//! mails made to hurt. Messages are the project's own fixtures, in memory, on one thread.
//!
//! `cargo bench -p bounce` runs both. After `--`, `hostile` asks for the second only, `memory` for the memory that mails of
//! 25 MB take, and `folder PATH` for the speed over the mails below an absolute path.

mod clock;
mod folder;
mod hostile;
mod memory;

use std::hint::black_box;
use std::path::Path;

use bounce::classify::{Rules, classify};
use bounce::mail::Mail;
use bounce::report::{self, Reading};
use criterion::{Criterion, Throughput};
use mail_parser::MessageParser;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hostile", ..] => return hostile::print(),
        ["memory", ..] => return memory::print(),
        ["folder", path, ..] => return folder::print(Path::new(path)),
        _ => {}
    }
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    fixtures(&mut criterion);
    criterion.final_summary();
    // `cargo test --benches` runs benches too, and wants no measurement.
    if !arguments.iter().any(|it| it == "--test") {
        hostile::print();
    }
}

/// Reads, judges, and does both, over all fixtures; once counted in messages, once in octets.
fn fixtures(criterion: &mut Criterion) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
    let mails = mails(&fixtures, |path| path.extension().is_some_and(|it| it == "eml"));
    let rules = Rules::builtin();
    let readings: Vec<Reading> = mails.iter().map(|it| report::read(&Mail::parse(it))).collect();
    let octets = mails.iter().map(Vec::len).sum::<usize>();
    for (unit, throughput) in [("messages", Throughput::Elements(mails.len() as u64)), ("octets", Throughput::Bytes(octets as u64))] {
        let mut group = criterion.benchmark_group(unit);
        group.throughput(throughput);
        group.bench_function("baseline: MIME parse by mail-parser", |it| {
            it.iter(|| {
                mails.iter().filter_map(|mail| MessageParser::default().parse(mail)).map(|it| black_box(it).parts.len()).sum::<usize>()
            });
        });
        group.bench_function("read", |it| {
            it.iter(|| mails.iter().map(|mail| black_box(report::read(&Mail::parse(mail))).reports.len()).sum::<usize>());
        });
        group.bench_function("classify", |it| it.iter(|| readings.iter().map(|reading| judged(reading, rules)).sum::<usize>()));
        group.bench_function("read and classify", |it| {
            it.iter(|| mails.iter().map(|mail| judged(&report::read(&Mail::parse(mail)), rules)).sum::<usize>());
        });
        group.finish();
    }
}

fn judged(reading: &Reading, rules: &Rules) -> usize {
    for report in &reading.reports {
        black_box(classify(report, rules));
    }
    reading.reports.len()
}

/// Every mail below a folder, read into memory.
fn mails(folder: &Path, is_mail: impl Fn(&Path) -> bool) -> Vec<Vec<u8>> {
    let mut folders = vec![folder.to_owned()];
    let mut mails = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if is_mail(&path) {
                mails.extend(std::fs::read(&path));
            }
        }
    }
    assert!(!mails.is_empty(), "there are no mails in {}", folder.display());
    mails
}
