//! The examples that follow the help of each command. A test has the program take every one of them.

use clap::CommandFactory as _;

use crate::cli::Cli;

/// Each command with its examples, one on a line: what to type, and what for.
const EXAMPLES: &[(&str, &str)] = &[
    ("serve", "rebound serve\nrebound --config /etc/rebound/rebound.toml serve"),
    ("demo", "rebound demo\nrebound demo --once"),
    ("classify", "rebound classify bounce.eml\nrebound classify --format jsonl Maildir > judged.jsonl\nrebound classify -"),
    ("evaluate", "rebound evaluate labels.jsonl --failing"),
    ("interpret", "rebound interpret posts.jsonl"),
    ("ingest", "rebound ingest --source bounces -\nrebound ingest --source bounces archive.mbox"),
    ("check", "rebound check acme.weekly jane@corp.example joe@corp.example\nrebound check acme.weekly jane@corp.example --exit-code"),
    (
        "import",
        "rebound import suppressions.csv --list acme.weekly --dry-run\nrebound import addresses.txt --list acme.weekly --format plain",
    ),
    ("imports", "rebound imports list\nrebound imports undo 0199c0de-7a11-7000-8000-000000000004"),
    ("export", "rebound export --list acme.weekly --format ndjson -o acme.ndjson"),
    ("erase", "rebound erase jane@corp.example\nrebound erase jane@corp.example --yes --format json"),
    ("why", "rebound why jane@corp.example\nrebound why jane@corp.example --list acme.weekly --format json"),
    ("suppress", "rebound suppress joe@corp.example @evil.example --list acme --note asked --expires 90d"),
    ("allow", "rebound allow vip@corp.example --list acme.weekly"),
    (
        "release",
        "rebound release jane@corp.example --list acme\nrebound release jane@corp.example --list acme --apply\n\
         rebound release --list acme --reason user_unknown --domain corp.example --since 2d",
    ),
    ("keys", "rebound keys create newsletter --scope read --list acme\nrebound keys list\nrebound keys revoke newsletter"),
    ("lists", "rebound lists list\nrebound lists create acme.daily\nrebound lists show acme.weekly\nrebound lists policy acme.weekly"),
    ("sources", "rebound sources\nrebound sources test bounces\nrebound sources --format json"),
    ("migrate", "rebound migrate"),
    ("outbox", "rebound outbox\nrebound outbox retry --refused\nrebound outbox discard --refused 5 --apply"),
    ("reprocess", "rebound reprocess --state unrecognised,quarantined\nrebound reprocess --since 7d --apply"),
    (
        "return-path",
        "rebound return-path mint --list acme.weekly --domain bounces.example.com jane@corp.example\n\
         rebound return-path check b+k2abaujld4xfrsqkxf5qcttj@bounces.example.com --address jane@corp.example",
    ),
    ("rules", "rebound rules check own.toml\nrebound rules explain 550 5.1.1 User unknown"),
    ("config", "rebound config check\nrebound config check --format json"),
    ("subject-export", "rebound subject-export jane@corp.example"),
];

/// The command line, each command with its examples.
pub(super) fn command() -> clap::Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (name, lines)| {
        command.mut_subcommand(name, |it| {
            // What a command says of its own, its exit codes for one, comes first.
            let own = it.get_after_help().map(|it| format!("{it}\n\n")).unwrap_or_default();
            it.after_help(format!("{own}Examples:\n  {}", lines.replace('\n', "\n  ")))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_takes_every_example() {
        for (name, lines) in EXAMPLES {
            for line in lines.lines() {
                let words = line.split(" > ").next().unwrap_or_default().split(' ');
                let taken = command().try_get_matches_from(words);
                assert_eq!(taken.as_ref().ok().and_then(|it| it.subcommand_name()), Some(*name), "{line}: {taken:?}");
            }
        }
    }

    #[test]
    fn what_a_command_says_of_its_own_stays() {
        let mut command = command();
        let help = command.find_subcommand_mut("ingest").map(|it| it.render_help().to_string()).unwrap_or_default();
        assert!(help.contains("Exit codes") && help.contains("Examples:"), "{help}");
    }

    #[test]
    fn the_help_of_every_command_has_examples() {
        for it in command().get_subcommands_mut().filter(|it| it.get_name() != "help") {
            let help = it.render_help().to_string();
            assert!(help.contains("Examples:"), "{}", it.get_name());
        }
    }
}
