use super::*;
use crate::address::Address;
use crate::classify::classify;
use crate::kind::{BounceType, Kind};
use crate::report::Report;

/// A rule file of an operator, with `@` for the head that every rule has.
fn file(body: &str) -> String {
    body.replace('@', "source = \"our archive\"\nseen = \"2026-11-22\"\n")
}

fn load(body: &str) -> Result<Rules, RulesError> {
    Rules::load(&[("own.toml", &file(body))])
}

fn winner(rules: &Rules, text: &str) -> Option<String> {
    rules.explain(text).first().map(|it| it.rule.id.clone())
}

#[test]
fn the_rules_of_the_program_load() {
    let rules = Rules::load(&[]).unwrap_or_else(|err| panic!("{err}"));
    assert!(rules.all().len() > 250);
    assert_eq!(rules.version(), Rules::builtin().version());
    assert_eq!(rules.version().len(), 12);
}

#[test]
fn the_rules_of_the_program_have_no_defect() {
    let defects: Vec<String> = Rules::builtin().lint().iter().filter(|it| it.is_defect()).map(ToString::to_string).collect();
    assert_eq!(defects, Vec::<String>::new());
}

#[test]
fn every_receiver_with_rules_can_be_recognised() {
    let receivers = Receivers::builtin();
    for rule in Rules::builtin().all() {
        assert!(rule.receiver.as_deref().is_none_or(|it| receivers.index(it).is_some()), "{}", rule.id);
    }
}

#[test]
fn an_operators_rule_comes_first_and_changes_the_version() {
    let rules =
        load("[[rule]]\nid = \"own.gone\"\nreason = \"mailbox_inactive\"\nany = [\"user unknown\"]\nsample = \"550 User unknown\"\n@")
            .unwrap();
    assert_eq!(winner(&rules, "550 5.1.1 user unknown").as_deref(), Some("own.gone"));
    assert_eq!(winner(Rules::builtin(), "550 5.1.1 user unknown").as_deref(), Some("user.unknown"));
    assert_ne!(rules.version(), Rules::builtin().version());
}

#[test]
fn an_operators_rule_may_call_a_failure_hard_or_soft() {
    let rules = load(
        "[[rule]]\nid = \"own.paused\"\nreason = \"mailbox_inactive\"\nbounce_type = \"soft\"\nany = [\"on leave\"]\nsample = \"550 on leave\"\n@",
    )
    .unwrap();
    let mut report = Report::new(Kind::Bounce, Address::parse("jane@customer.example").ok());
    report.diagnostic = Some("550 5.2.1 jane is on leave".to_owned());
    assert_eq!(classify(&report, &rules).bounce_type, Some(BounceType::Soft));
    assert_eq!(classify(&report, Rules::builtin()).bounce_type, Some(BounceType::Hard));
}

#[test]
fn a_broken_rule_is_named_with_its_file_and_line() {
    let good = "[[rule]]\nid = \"own.a\"\nreason = \"mailbox_full\"\nany = [\"brimming\"]\nsample = \"550 brimming\"\n@\n";
    for (second, problem) in [
        ("id = \"own.b\"\nreason = \"mailbox_full\"\nany = [\"voll\"]\nsample = \"550 leer\"", "does not match its own sample"),
        ("id = \"own.a\"\nreason = \"mailbox_full\"\nany = [\"voll\"]\nsample = \"voll\"", "taken already"),
        ("id = \"Own B\"\nreason = \"mailbox_full\"\nany = [\"voll\"]\nsample = \"voll\"", "an id is made of"),
        ("id = \"own.b\"\nreason = \"mailbox_full\"\nsample = \"voll\"", "would match everything"),
        ("id = \"own.b\"\nreason = \"mailbox_full\"\nany = [\"x ... voll\"]\nsample = \"x voll\"", "fewer than two letters"),
        ("id = \"own.b\"\nreason = \"mailbox_full\"\nany = [\"voll\"]\nwhen = { reply = \"55\" }\nsample = \"voll\"", "no reply code"),
        ("id = \"own.b\"\nreason = \"mailbox_full\"\nany = [\"voll\"]\nwhen = { status = \"5.1\" }\nsample = \"voll\"", "no status"),
        ("id = \"own.b\"\nreason = \"mailbox_full\"\nany = [\"voll\"]\nwhen = { receiver = \"acme\" }\nsample = \"voll\"", "no receiver"),
    ] {
        let err = load(&format!("{good}\n[[rule]]\n{second}\n@")).unwrap_err();
        let RulesError::Rule { file, line, problem: found, .. } = &err else { panic!("{err}") };
        assert_eq!((file.as_str(), *line), ("own.toml", 11), "{err}");
        assert!(found.contains(problem), "{err}");
    }
}

#[test]
fn a_file_that_is_no_rule_file_is_named_with_its_line() {
    for (body, line) in [
        ("[[rule]]\nid = \"own.a\"\nreason = \"no_such_reason\"\nsample = \"x\"\n", 3),
        ("# words\n[[rule]]\nid = \"own.a\"\nunknown_key = 1\n", 4),
        ("\n\nnot toml at all\n", 3),
    ] {
        let err = load(body).unwrap_err();
        let RulesError::File { line: found, .. } = &err else { panic!("{err}") };
        assert_eq!(*found, line, "{err}");
    }
}

#[test]
fn the_linter_finds_what_is_odd() {
    let rules = load(
        "[[rule]]\nid = \"own.a\"\nreason = \"mailbox_full\"\nany = [\"brimming\"]\nsample = \"brimming\"\n@
         [[rule]]\nid = \"own.b\"\nreason = \"user_unknown\"\nany = [\"brimming over\", \"brimming\"]\nsample = \"brimming over\"\n",
    )
    .unwrap();
    let findings = rules.lint();
    let has = |finding: Finding| findings.contains(&finding);
    assert!(has(Finding::Duplicate { id: "own.b".to_owned(), other: "own.a".to_owned(), pattern: "brimming".to_owned() }));
    assert!(has(Finding::Shadowed { id: "own.b".to_owned(), by: "own.a".to_owned() }));
    assert!(has(Finding::Overlap { id: "own.b".to_owned(), other: "own.a".to_owned() }));
    assert!(has(Finding::NoSource { id: "own.b".to_owned() }));
    assert!(!has(Finding::NoSource { id: "own.a".to_owned() }));
}

#[test]
fn conditions_keep_a_rule_to_its_place() {
    let rules = load(
        "[[rule]]\nid = \"own.rcpt\"\nreason = \"mailbox_full\"\nany = [\"xyzzy\"]\nwhen = { stage = \"rcpt_to\", reply = \"55x\", \
         status = [\"5.2.x\", \"5.7.1\"] }\nsample = \"550 5.2.0 xyzzy (in reply to RCPT TO command)\"\n@",
    )
    .unwrap();
    for (text, fits) in [
        ("550 5.2.9 xyzzy (in reply to RCPT TO command)", true),
        ("559 5.7.1 xyzzy (in reply to RCPT TO command)", true),
        ("550 5.2.0 xyzzy (in reply to DATA command)", false),
        ("550 5.2.0 xyzzy", false),
        ("560 5.2.0 xyzzy (in reply to RCPT TO command)", false),
        ("550 5.1.1 xyzzy (in reply to RCPT TO command)", false),
        ("550 xyzzy (in reply to RCPT TO command)", false),
    ] {
        assert_eq!(winner(&rules, text).as_deref() == Some("own.rcpt"), fits, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in ".{0,400}", tail in "[0-9 .:<>\\-#'a-z]{0,80}") {
        let rules = Rules::builtin();
        let mut report = Report::new(Kind::Bounce, Address::parse("jane@customer.example").ok());
        report.diagnostic = Some(format!("{text}{tail}"));
        report.text = Some(format!("{tail} wait {text} blocked using {tail}"));
        let verdict = classify(&report, rules);
        proptest::prop_assert!(verdict.bounce_type.is_some() && verdict.reason.is_some());
    }
}

#[test]
fn operators_files_load_in_any_order() {
    let rule = |name: &str| {
        file(&format!("[[rule]]\nid = \"own.{name}\"\nreason = \"mailbox_full\"\nany = [\"{name} box\"]\nsample = \"{name} box\"\n@"))
    };
    let (blue, green, red) = (rule("blue"), rule("green"), rule("red"));
    for files in [
        [("blue", &*blue), ("green", &*green), ("red", &*red)],
        [("red", &*red), ("green", &*green), ("blue", &*blue)],
        [("green", &*green), ("red", &*red), ("blue", &*blue)],
    ] {
        let rules = Rules::load(&files).unwrap();
        assert_eq!(winner(&rules, "550 a green box").as_deref(), Some("own.green"));
    }
}
