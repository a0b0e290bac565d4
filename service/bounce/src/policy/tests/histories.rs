//! Histories of addresses as stories: what happened on which day, and what the whole tree of lists says at the end.

use super::*;

/// A story in words; what happened, each `day what`; and what the list says on a day.
///
/// What happened: a reason is a failure of the kind that its permanent code makes it; `soft` and `forged` before it make it
/// soft, or a mail that nobody vouches for. `delivered`, `complaint`, `unsubscribe` and the words of acts are what they say.
struct Story(&'static str, &'static [&'static str], i64, &'static [&'static str]);

const STORIES: &[Story] = &[
    Story("Nothing ever happened.", &[], 0, &[]),
    Story("The address does not exist, says a source that is believed.", &["0 user_unknown"], 3000, &["hard"]),
    Story("The address does not exist, says a mail that anyone could have written.", &["0 forged user_unknown"], 6, &["hard until 7"]),
    Story("The same, and nobody confirmed it within the week.", &["0 forged user_unknown"], 7, &[]),
    Story("Two such mails on one day are one voice.", &["0 forged user_unknown", "0 forged user_unknown"], 8, &[]),
    Story("A second one on another day confirms it.", &["0 forged user_unknown", "3 forged user_unknown"], 3000, &["hard"]),
    Story("It confirms it even after the week was over.", &["0 forged user_unknown", "30 forged user_unknown"], 3000, &["hard"]),
    Story("A provider's word on the same day makes it sure.", &["0 forged user_unknown", "0 user_unknown"], 3000, &["hard"]),
    Story("An unknown domain may be a hiccup of the name servers: provisional whoever says it.", &["0 domain_unknown"], 8, &[]),
    Story("Said again two days later it is not.", &["0 domain_unknown", "2 domain_unknown"], 3000, &["hard"]),
    Story("A domain that takes no mail is tried again after a quarter.", &["0 domain_no_mail", "1 domain_no_mail"], 91, &[]),
    Story("Three full mailboxes on three days in one week: not yet.", &["0 mailbox_full", "3 mailbox_full", "6 mailbox_full"], 7, &[]),
    Story(
        "Five full mailboxes in four weeks: the person is away for long.",
        &["0 mailbox_full", "7 mailbox_full", "14 mailbox_full", "21 mailbox_full", "28 mailbox_full"],
        30,
        &["soft until 118"],
    ),
    Story(
        "Five full mailboxes within one campaign week are one long holiday.",
        &["0 mailbox_full", "1 mailbox_full", "2 mailbox_full", "3 mailbox_full", "4 mailbox_full"],
        5,
        &[],
    ),
    Story(
        "Ten messages of one day are one strike.",
        &["0 mailbox_full", "0 mailbox_full", "0 mailbox_full", "0 mailbox_full", "0 mailbox_full", "22 mailbox_full"],
        23,
        &[],
    ),
    Story(
        "One message came through in between: all begins anew.",
        &["0 mailbox_full", "7 mailbox_full", "14 mailbox_full", "21 mailbox_full", "22 delivered", "28 mailbox_full"],
        30,
        &[],
    ),
    Story(
        "The oldest failure has fallen out of the window.",
        &["0 mailbox_full", "20 mailbox_full", "40 mailbox_full", "61 mailbox_full", "70 mailbox_full"],
        71,
        &[],
    ),
    Story(
        "A block for failures ends, and the mailbox is tried again.",
        &["0 mailbox_unavailable", "5 mailbox_unavailable", "10 mailbox_unavailable"],
        100,
        &[],
    ),
    Story(
        "The trial fails: one failure is enough now, and the block is twice as long.",
        &["0 mailbox_unavailable", "5 mailbox_unavailable", "10 mailbox_unavailable", "105 mailbox_unavailable"],
        106,
        &["soft until 285"],
    ),
    Story(
        "The next trial fails too: twice as long again.",
        &["0 mailbox_unavailable", "5 mailbox_unavailable", "10 mailbox_unavailable", "105 mailbox_unavailable", "290 mailbox_unavailable"],
        300,
        &["soft until 650"],
    ),
    Story(
        "However often, a block for failures ends within a year.",
        &[
            "0 mailbox_unavailable",
            "5 mailbox_unavailable",
            "10 mailbox_unavailable",
            "105 mailbox_unavailable",
            "290 mailbox_unavailable",
            "660 mailbox_unavailable",
        ],
        700,
        &["soft until 1025"],
    ),
    Story(
        "The trial succeeds: a later failure begins at nothing.",
        &["0 mailbox_unavailable", "5 mailbox_unavailable", "10 mailbox_unavailable", "105 delivered", "110 mailbox_unavailable"],
        111,
        &[],
    ),
    Story(
        "Nothing was heard for long after the block: one failure alone is a beginning, not a proof.",
        &["0 mailbox_unavailable", "5 mailbox_unavailable", "10 mailbox_unavailable", "200 mailbox_unavailable"],
        201,
        &[],
    ),
    Story(
        "But when it comes to a block again, it is the longer one.",
        &[
            "0 mailbox_unavailable",
            "5 mailbox_unavailable",
            "10 mailbox_unavailable",
            "200 mailbox_unavailable",
            "205 mailbox_unavailable",
            "210 mailbox_unavailable",
        ],
        211,
        &["soft until 390"],
    ),
    Story(
        "Failures for different reasons do not add up.",
        &["0 mailbox_full", "8 server_error", "16 network_error", "24 expired"],
        25,
        &[],
    ),
    Story("We are on a block list: never the address's fault.", &["0 dnsbl_listed", "1 dnsbl_listed", "2 dnsbl_listed"], 3, &[]),
    Story("Our message looked like spam: never the address's fault.", &["0 spam_content", "10 spam_content", "20 spam_content"], 21, &[]),
    Story("Greylisting that never ended.", &["0 greylisted", "10 greylisted", "20 greylisted", "30 greylisted"], 31, &[]),
    Story("The person complained.", &["0 complaint"], 3000, &["complaint"]),
    Story(
        "The person complained and later mail arrived: mail that arrives lifts no complaint.",
        &["0 complaint", "5 delivered"],
        6,
        &["complaint"],
    ),
    Story("A complaint that anyone could have written holds for a week.", &["0 forged complaint"], 8, &[]),
    Story("The person left this list.", &["0 unsubscribe"], 3000, &["leaf unsubscribe"]),
    Story(
        "The person refuses this sender: twice is enough, for this list.",
        &["0 recipient_refused", "7 recipient_refused"],
        3000,
        &["leaf soft"],
    ),
    Story("The provider did not even try.", &["0 suppressed"], 3000, &["provider"]),
    Story("Hard, and then mail arrived: a hard bounce is not lifted by a delivery.", &["0 user_unknown", "9 delivered"], 10, &["hard"]),
    Story("Somebody released it.", &["0 user_unknown", "5 release"], 6, &[]),
    Story("It bounced again after the release.", &["0 user_unknown", "5 release", "8 user_unknown"], 9, &["hard"]),
    Story(
        "Strikes from before a release are forgotten.",
        &["0 mailbox_unavailable", "5 mailbox_unavailable", "6 release", "10 mailbox_unavailable"],
        11,
        &[],
    ),
    Story("Somebody wants it mailed all the same; the fact stands beside.", &["0 user_unknown", "5 allow"], 6, &["hard", "manual_allow"]),
    Story("Somebody blocked it by hand, and mail that arrives changes nothing.", &["0 block", "5 delivered"], 3000, &["manual_block"]),
    Story("A release of what machines said leaves the block by hand.", &["0 user_unknown", "1 block", "2 release"], 3, &["manual_block"]),
    Story("A late delivery of a message that bounced after all.", &["0 user_unknown", "3 delayed", "4 mailbox_full"], 5, &["hard"]),
];

#[test]
fn every_story_ends_as_told() {
    for Story(story, happened, on, says) in STORIES {
        let facts: Vec<Fact> = happened.iter().zip(1..).map(|(it, number)| fact(it, number)).collect();
        let mut found: Vec<String> = decide(&facts, ROOT, &Policy::default()).iter().filter(|it| it.holds_at(day(*on))).map(said).collect();
        found.sort_unstable();
        assert_eq!(found, *says, "{story}");
    }
}

fn said(it: &Standing) -> String {
    let list = if it.list == ROOT { "" } else { "leaf " };
    let end = it.expires_at.map_or_else(String::new, |end| format!(" until {}", (end - START).whole_days()));
    format!("{list}{}{end}", it.cause)
}

fn fact(line: &str, number: u8) -> Fact {
    let mut words = line.split(' ');
    let at = day(words.next().unwrap().parse().unwrap());
    let words: Vec<&str> = words.collect();
    let (last, before) = words.split_last().unwrap();
    let weight = if before.contains(&"forged") { Weight::Provisional } else { Weight::Full };
    match *last {
        "delivered" => delivery(number, at, number),
        "complaint" => event(number, at, Kind::Complaint, Reason::Undetermined, weight),
        "unsubscribe" => event(number, at, Kind::Unsubscribe, Reason::Undetermined, weight),
        "suppressed" => event(number, at, Kind::Suppressed, Reason::Suppressed, weight),
        "delayed" => event(number, at, Kind::Delayed, Reason::ServerError, weight),
        word => {
            if let Ok(done) = word.parse::<Act>() {
                return act(number, at, ROOT, done);
            }
            let reason: Reason = word.parse().unwrap();
            let bounce_type = if before.contains(&"soft") { BounceType::Soft } else { reason.permanent_type() };
            told(number, at, at, Kind::Bounce, Some(bounce_type), reason, weight)
        }
    }
}
