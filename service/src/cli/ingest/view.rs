//! The line that tells what became of a message.

use std::io::{self, Write as _};

use bounce::report::Note;
use serde::Serialize;

use super::{Lines, Taken, Told};
use crate::store::{Accepted, ReceiptId};

#[derive(Debug, Serialize)]
struct TakenView<'a> {
    path: &'a str,
    /// `processed`, `unrecognised`, `quarantined`, `duplicate`, `ignored` (nothing in it to record) or `failed`.
    outcome: &'static str,
    receipt_id: Option<ReceiptId>,
    /// Facts that were not known.
    events: usize,
    /// Changes of what lists say.
    changes: usize,
    notes: &'a [Note],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Prints the line where it is wanted; an error goes to standard error in any case.
pub(super) fn print(taken: &Taken, lines: Lines) -> anyhow::Result<()> {
    if let Err(error) = &taken.told {
        // Where standard error is closed nobody can be told; the exit code still says it.
        let _ = writeln!(io::stderr().lock(), "rebound: {}: {error}", taken.path);
    }
    if lines == Lines::All {
        writeln!(io::stdout().lock(), "{}", serde_json::to_string(&view(taken))?)?;
    }
    Ok(())
}

fn view(taken: &Taken) -> TakenView<'_> {
    let bare = TakenView { path: &taken.path, outcome: "failed", receipt_id: None, events: 0, changes: 0, notes: &[], error: None };
    match &taken.told {
        Err(error) => TakenView { error: Some(error), ..bare },
        Ok(Told { outcome, state }) => {
            let bare = TakenView { notes: &outcome.notes, ..bare };
            match &outcome.accepted {
                None => TakenView { outcome: "ignored", ..bare },
                Some(Accepted::Duplicate { receipt }) => TakenView { outcome: "duplicate", receipt_id: Some(*receipt), ..bare },
                Some(Accepted::New { receipt, events, changes }) => TakenView {
                    outcome: state.map_or("processed", crate::store::ReceiptState::as_str),
                    receipt_id: Some(*receipt),
                    events: events.len(),
                    changes: changes.len(),
                    ..bare
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bounce::esp::Answer;
    use bounce::kind::Kind;

    use super::*;
    use crate::cli::Exit;
    use crate::intake::Outcome;

    fn taken(accepted: Option<Accepted>) -> Taken {
        let outcome = Outcome {
            accepted,
            state: None,
            kind: Kind::Other,
            dialect: "none",
            recipients: Vec::new(),
            notes: vec![Note("odd".to_owned())],
            answer: Answer::ok(),
            requests: Vec::new(),
        };
        Taken { path: "x".to_owned(), exit: Exit::Success, told: Ok(Told { outcome, state: None }) }
    }

    #[test]
    fn a_line_says_what_became_of_a_message() {
        let line = |it: &Taken| serde_json::to_string(&view(it)).unwrap();
        let receipt = ReceiptId::default();
        assert_eq!(
            line(&taken(Some(Accepted::Duplicate { receipt }))),
            format!(r#"{{"path":"x","outcome":"duplicate","receipt_id":"{receipt}","events":0,"changes":0,"notes":["odd"]}}"#)
        );
        assert_eq!(line(&taken(None)), r#"{"path":"x","outcome":"ignored","receipt_id":null,"events":0,"changes":0,"notes":["odd"]}"#);
        let failed = Taken { path: "x".to_owned(), exit: Exit::Again, told: Err("away".to_owned()) };
        assert_eq!(line(&failed), r#"{"path":"x","outcome":"failed","receipt_id":null,"events":0,"changes":0,"notes":[],"error":"away"}"#);
    }
}
