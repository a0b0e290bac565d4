//! Any text as what a server said: judging never panics, judges the same twice, and never holds a fault of the sender
//! against the address.

use bounce::address::Address;
use bounce::classify::reason::Fault;
use bounce::classify::{Rules, classify};
use bounce::kind::{BounceType, Kind};
use bounce::report::Report;

pub(crate) fn run(text: &str) {
    for kind in [Kind::Bounce, Kind::Delayed, Kind::Delivered] {
        let mut report = Report::new(kind, Address::parse("jane@corp.example").ok());
        report.diagnostic = Some(text.to_owned());
        let verdict = classify(&report, Rules::builtin());
        let hard = verdict.bounce_type == Some(BounceType::Hard);
        assert!(!(hard && verdict.fault.is_some_and(Fault::is_senders)), "{verdict:?}");
        assert_eq!(verdict.bounce_type.is_some(), verdict.kind == Kind::Bounce);
        assert_eq!(verdict, classify(&report, Rules::builtin()));
    }
    let ranks: Vec<_> = Rules::builtin().explain(text).iter().map(|it| it.rule.id.clone()).collect();
    assert!(ranks.len() <= Rules::builtin().all().len());
}
