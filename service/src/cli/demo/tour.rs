//! The tour: post, look what came of it, compare with what should have. Everything is seen through the API, as a user sees it.

use time::OffsetDateTime;

use super::client::{ChangeView, Checked, EventView, Posted};
use super::show::Screen;
use super::steps::{CHECKED, METRICS, Post, SES_RECIPIENT, STEPS, Step, dated};
use super::{Demo, client::Client};
use crate::cli::Exit;
use crate::clock::Clock;

/// What came of one step.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) posted: Posted,
    pub(super) events: Vec<EventView>,
    pub(super) changes: Vec<ChangeView>,
}

/// What should have come, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) expected: Vec<String>,
    pub(super) got: Vec<String>,
}

/// Where the tour stands in the feeds.
#[derive(Debug, Default)]
struct Tour {
    events: Option<String>,
    changes: Option<String>,
    ses: Option<String>,
}

/// Makes the tour; a success only if everything came out as it should.
pub(super) async fn tour(demo: &Demo, screen: &mut Screen) -> anyhow::Result<Exit> {
    let clock = Clock::system();
    let mut tour = Tour::default();
    let mut is_fine = true;
    screen.welcome(demo)?;
    for (at, step) in STEPS.iter().enumerate() {
        let seen = tour.take(demo, step, clock.now()).await?;
        let wrong = compare(step, &seen);
        is_fine &= wrong.is_empty();
        screen.step(at + 1, step, &seen, &wrong)?;
    }
    let addresses: Vec<&str> = CHECKED.iter().map(|it| it.0).collect();
    let checked = demo.client.check(&addresses).await?;
    let wrong = compare_checked(&checked);
    is_fine &= wrong.is_none();
    screen.checked(&checked, wrong.as_ref())?;
    is_fine &= changes(&demo.client, screen).await?;
    let wrong = compare_metrics(&demo.client.metrics().await?);
    is_fine &= wrong.is_empty();
    screen.metrics(&wrong)?;
    let exit = if is_fine { Exit::Success } else { Exit::Failure };
    screen.verdict(exit)?;
    Ok(exit)
}

impl Tour {
    async fn take(&mut self, demo: &Demo, step: &Step, now: OffsetDateTime) -> anyhow::Result<Seen> {
        let posted = match step.post {
            Post::Mail(mail) => demo.client.post_mail(dated(mail, now)?).await?,
            Post::Ses => {
                let body = demo.amazon.hard_bounce(SES_RECIPIENT, now)?;
                self.ses = Some(body.clone());
                demo.client.post_ses(body).await?
            }
            Post::SesAgain => demo.client.post_ses(self.ses.clone().unwrap_or_default()).await?,
        };
        let events = demo.client.events(self.events.as_deref()).await?;
        let changes = demo.client.changes(self.changes.as_deref()).await?;
        (self.events, self.changes) = (Some(events.next), Some(changes.next));
        Ok(Seen { posted, events: events.items, changes: changes.items })
    }
}

/// All changes at once, as a mirror reads them that begins today.
async fn changes(client: &Client, screen: &mut Screen) -> anyhow::Result<bool> {
    let changes = client.changes(None).await?.items;
    let expected = STEPS.iter().flat_map(|it| it.changes).map(|it| (*it).to_owned()).collect();
    let wrong = differ("changes in all", expected, changes.iter().map(change_words).collect());
    screen.changes(&changes, wrong.as_ref())?;
    Ok(wrong.is_none())
}

fn compare(step: &Step, seen: &Seen) -> Vec<Wrong> {
    let texts = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let accepted = (!seen.posted.status.is_success()).then(|| Wrong {
        what: "the answer".to_owned(),
        expected: vec!["200 OK".to_owned()],
        got: vec![seen.posted.status.to_string()],
    });
    let events = differ("facts", texts(step.events), seen.events.iter().map(event_words).collect());
    let changes = differ("changes of lists", texts(step.changes), seen.changes.iter().map(change_words).collect());
    [accepted, events, changes].into_iter().flatten().collect()
}

fn compare_checked(checked: &Checked) -> Option<Wrong> {
    let suppressed = CHECKED.iter().filter(|it| it.1).map(|it| it.0.to_owned()).chain([format!("of {}", CHECKED.len())]);
    let got = checked.suppressed.iter().map(|it| it.address.clone()).chain([format!("of {}", checked.checked)]);
    differ("suppressed addresses", suppressed.collect(), got.collect())
}

/// Series that are not what they should be.
fn compare_metrics(text: &str) -> Vec<Wrong> {
    let wrong = METRICS.iter().map(|(name, labels, value)| {
        let total: f64 = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")) && labels.iter().all(|it| line.contains(it)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        differ(&format!("{name}{{{}}}", labels.join(",")), vec![value.to_string()], vec![total.to_string()])
    });
    wrong.flatten().collect()
}

fn differ(what: &str, mut expected: Vec<String>, mut got: Vec<String>) -> Option<Wrong> {
    expected.sort_unstable();
    got.sort_unstable();
    (expected != got).then(|| Wrong { what: what.to_owned(), expected, got })
}

fn event_words(it: &EventView) -> String {
    let words = [it.recipient.as_deref(), Some(&it.kind), it.bounce_type.as_deref(), it.reason.as_deref(), it.status.as_deref()];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn change_words(it: &ChangeView) -> String {
    let change = (it.change != "added").then_some(it.change.as_str());
    let provisional = it.provisional.then_some("provisional");
    let words = [it.recipient.as_deref(), change, it.cause.as_deref(), Some(&it.list), provisional];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn seen(status: StatusCode, events: Vec<EventView>) -> Seen {
        Seen { posted: Posted { path: String::new(), content_type: "", bytes: 0, status }, events, changes: Vec::new() }
    }

    fn event(kind: &str) -> EventView {
        EventView {
            recipient: Some("frank.meyer@example.org".to_owned()),
            kind: kind.to_owned(),
            bounce_type: None,
            reason: None,
            status: None,
            reply: None,
            stage: None,
            diagnostic: None,
            attribution: "unattributed".to_owned(),
            rule: "none".to_owned(),
        }
    }

    #[test]
    fn a_step_that_came_out_otherwise_is_told() {
        let away = STEPS.iter().find(|it| it.events == ["frank.meyer@example.org auto_reply"]).unwrap();
        assert_eq!(compare(away, &seen(StatusCode::OK, vec![event("auto_reply")])), []);
        let told = |seen: &Seen| compare(away, seen).into_iter().map(|it| it.what).collect::<Vec<_>>();
        assert_eq!(told(&seen(StatusCode::OK, vec![])), ["facts"]);
        assert_eq!(told(&seen(StatusCode::OK, vec![event("bounce")])), ["facts"]);
        assert_eq!(told(&seen(StatusCode::SERVICE_UNAVAILABLE, vec![event("auto_reply")])), ["the answer"]);
    }

    #[test]
    fn a_series_that_counts_otherwise_is_told() {
        let lines = METRICS.iter().map(|(name, labels, value)| format!("{name}{{{}}} {value}\n", labels.join(",")));
        let text: String = lines.collect();
        assert_eq!(compare_metrics(&text), []);
        assert_eq!(compare_metrics(&text.replace("\"duplicate\"} 1", "\"duplicate\"} 2")).len(), 1);
        assert_eq!(compare_metrics("").len(), METRICS.len());
    }
}
