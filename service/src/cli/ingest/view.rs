//! The line that tells what became of a message.

use std::io::{self, Write as _};

use bounce::kind::Kind;
use bounce::report::Note;
use serde::Serialize;

use super::{Format, Taken};
use crate::store::{Accepted, ReceiptId, ReceiptState};

#[derive(Debug, Serialize)]
struct TakenView<'a> {
    path: &'a str,
    /// As `POST /v1/messages` says it: `recorded`, `duplicate`, `unrecognised`, `quarantined`, `spooled` or `nothing`; or `failed`.
    status: &'static str,
    receipt_id: Option<ReceiptId>,
    kind: Option<Kind>,
    /// Facts that were not known.
    events: usize,
    /// Changes of what lists say.
    changes: usize,
    notes: &'a [Note],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Prints the line where it is wanted; an error goes to standard error in any case. Where nobody listens any more nobody is
/// told: the messages are taken in all the same, and the exit code says so.
pub(super) fn print(taken: &Taken, format: Option<Format>) {
    if let Err(error) = &taken.told {
        let _ = writeln!(io::stderr().lock(), "rebound: {}: {error}", taken.path);
    }
    if format == Some(Format::Lines)
        && let Ok(line) = serde_json::to_string(&view(taken))
    {
        let _ = writeln!(io::stdout().lock(), "{line}");
    }
}

/// The word for what became of a message.
pub(super) fn status(taken: &Taken) -> &'static str {
    view(taken).status
}

fn view(taken: &Taken) -> TakenView<'_> {
    let (status, receipt_id, kind, events, changes) = ("failed", None, None, 0, 0);
    let failed = TakenView { path: &taken.path, status, receipt_id, kind, events, changes, notes: &[], error: None };
    let outcome = match &taken.told {
        Ok(outcome) => outcome,
        Err(error) => return TakenView { error: Some(error), ..failed },
    };
    let kept = TakenView { status: status_of(outcome.state), kind: Some(outcome.kind), notes: &outcome.notes, ..failed };
    if outcome.spooled.is_some() {
        return TakenView { status: "spooled", receipt_id: outcome.spooled, ..kept };
    }
    match &outcome.accepted {
        None | Some(Accepted::Replayed) => kept,
        Some(Accepted::Duplicate { receipt }) => TakenView { status: "duplicate", receipt_id: Some(*receipt), ..kept },
        Some(Accepted::New { receipt, events, changes, .. }) => {
            TakenView { receipt_id: Some(*receipt), events: events.len(), changes: changes.len(), ..kept }
        }
    }
}

const fn status_of(state: Option<ReceiptState>) -> &'static str {
    match state {
        Some(ReceiptState::Processed) => "recorded",
        Some(ReceiptState::Unrecognised) => "unrecognised",
        Some(ReceiptState::Quarantined) => "quarantined",
        None => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use bounce::esp::Answer;

    use super::*;
    use crate::cli::Exit;
    use crate::intake::Outcome;

    fn taken(accepted: Option<Accepted>, state: Option<ReceiptState>) -> Taken {
        let outcome = Outcome {
            accepted,
            spooled: None,
            state,
            kind: Kind::Bounce,
            dialect: "postfix",
            recipients: Vec::new(),
            notes: vec![Note("odd".to_owned())],
            answer: Answer::ok(),
            requests: Vec::new(),
        };
        Taken { path: "x".to_owned(), file: "x".into(), reached: None, exit: Exit::Success, told: Ok(outcome) }
    }

    #[test]
    fn a_line_says_what_became_of_a_message() {
        let line = |it: &Taken| serde_json::to_string(&view(it)).unwrap();
        let receipt = ReceiptId::default();
        let of = |status, id: &str| {
            format!(r#"{{"path":"x","status":"{status}","receipt_id":{id},"kind":"bounce","events":0,"changes":0,"notes":["odd"]}}"#)
        };
        let id = format!("\"{receipt}\"");
        let new = || Some(Accepted::New { receipt, events: Vec::new(), merged: Vec::new(), changes: Vec::new() });
        assert_eq!(line(&taken(new(), Some(ReceiptState::Processed))), of("recorded", &id));
        assert_eq!(line(&taken(new(), Some(ReceiptState::Unrecognised))), of("unrecognised", &id));
        assert_eq!(line(&taken(Some(Accepted::Duplicate { receipt }), Some(ReceiptState::Processed))), of("duplicate", &id));
        assert_eq!(line(&taken(None, None)), of("nothing", "null"));
        let failed = Taken { exit: Exit::Again, told: Err("away".to_owned()), ..taken(None, None) };
        let expected = r#"{"path":"x","status":"failed","receipt_id":null,"kind":null,"events":0,"changes":0,"notes":[],"error":"away"}"#;
        assert_eq!(line(&failed), expected);
    }
}
