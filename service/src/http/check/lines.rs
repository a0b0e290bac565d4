//! Checks as NDJSON: one address on each line in, one line out for each that is suppressed or invalid, and a last line
//! without which the check has failed. Lines are read, asked about and answered in steps, so that there may be any number of
//! them; a line that is no address is named and costs the others nothing.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::check::{Check, Checked, Counts, Halted, Question};
use crate::http::problem::{Problem, ProblemKind};
use crate::telemetry::Stage;

/// The media type.
pub(super) const NDJSON: &str = "application/x-ndjson";
/// Octets of a line; no address is nearly as long.
const LINE_LIMIT: usize = 8192;

/// What is asked, as it comes.
pub(super) struct Lines {
    payload: Option<web::Payload>,
    known: Vec<Question>,
    buffer: BytesMut,
    /// Lines read.
    number: usize,
    /// Whether the rest of an overlong line is being skipped.
    skipping: bool,
    /// How long the client may pause.
    patience: Duration,
}

impl Lines {
    /// The lines of a body.
    pub(super) fn new(request: &HttpRequest, payload: web::Payload, patience: Duration) -> Result<Self, Problem> {
        let encoding = request.headers().get(header::CONTENT_ENCODING).and_then(|it| it.to_str().ok());
        if encoding.is_some_and(|it| !it.trim().eq_ignore_ascii_case("identity")) {
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, "a body with Content-Encoding is not taken; send it as it is"));
        }
        Ok(Self { payload: Some(payload), known: Vec::new(), buffer: BytesMut::new(), number: 0, skipping: false, patience })
    }

    /// What is known already.
    pub(super) fn known(mut questions: Vec<Question>) -> Self {
        questions.reverse();
        Self { payload: None, known: questions, buffer: BytesMut::new(), number: 0, skipping: false, patience: Duration::ZERO }
    }

    /// The next questions; none when there are no more.
    pub(super) async fn take(&mut self, most: usize) -> Result<Vec<Question>, Problem> {
        let mut questions = self.known.split_off(self.known.len().saturating_sub(most));
        questions.reverse();
        while questions.len() < most {
            self.cut(&mut questions, most);
            if questions.len() == most {
                break;
            }
            let Some(payload) = &mut self.payload else { break };
            let chunk = tokio::time::timeout(self.patience, payload.next()).await;
            let chunk = chunk
                .map_err(|_| Problem::new(ProblemKind::RequestTimeout, "the next line did not arrive in time (http.request_timeout)"))?;
            match chunk {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(_)) => return Err(Problem::new(ProblemKind::InvalidBody, "the body ended before its announced end")),
                None => {
                    self.payload = None;
                    let rest = self.buffer.split();
                    self.line(&rest, &mut questions);
                }
            }
        }
        Ok(questions)
    }

    /// Cuts whole lines off what was read.
    fn cut(&mut self, questions: &mut Vec<Question>, most: usize) {
        while questions.len() < most {
            let Some(end) = self.buffer.iter().position(|it| *it == b'\n') else {
                if self.buffer.len() > LINE_LIMIT {
                    if !self.skipping {
                        questions.push(Question { line: Some(self.number + 1), text: Err("the line is too long for an address") });
                    }
                    self.skipping = true;
                    self.buffer.clear();
                }
                return;
            };
            let line = self.buffer.split_to(end);
            self.buffer.advance(1);
            self.line(&line, questions);
        }
    }

    fn line(&mut self, line: &[u8], questions: &mut Vec<Question>) {
        self.number += 1;
        if std::mem::take(&mut self.skipping) {
            return;
        }
        let line = line.trim_ascii();
        // A mark of the byte order is none of the address.
        let line = if self.number == 1 { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
        if !line.is_empty() {
            questions.push(Question { line: Some(self.number), text: plain(line) });
        }
    }
}

/// An address as an object of its own.
#[derive(Deserialize)]
struct Object {
    address: String,
}

/// What a line asks about: the address as it is, as a JSON text, or as an object with `address`. A quoted local part is no JSON
/// text: more comes after its closing quote.
fn plain(line: &[u8]) -> Result<String, &'static str> {
    if line.len() > LINE_LIMIT {
        return Err("the line is too long for an address");
    }
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
    if text.starts_with('{') {
        let object: Result<Object, _> = serde_json::from_str(text);
        return object.map(|it| it.address).map_err(|_| "the line is not a JSON object with the text `address`");
    }
    Ok(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()))
}

/// Where the stream stands.
enum Step<S> {
    Found(Box<(Counts, Checked, S)>),
    Failed,
    End,
}

/// The stream ends here, and not well.
#[derive(Debug, thiserror::Error)]
#[error("the check failed on the way")]
struct Broken;

/// The last line of an answer that is whole.
#[derive(Serialize)]
struct Last {
    done: bool,
    checked: usize,
    suppressed: usize,
    invalid: usize,
}

/// Answers line by line. The first step is made before the status is sent, so that an outage is told as one.
pub(super) async fn answer(check: Check, lines: Lines) -> Result<HttpResponse, Problem> {
    let mut steps = Box::pin(check.clone().steps(lines));
    let first = steps.next().await.transpose()?.unwrap_or_default();
    let begun = Step::Found(Box::new((Counts::default(), first, steps)));
    let answered = stream::unfold((check, begun), |(check, step)| async {
        let (counts, found, mut steps) = match step {
            Step::Found(it) => *it,
            // The connection is cut, so that no proxy makes a whole answer of half a one.
            Step::Failed => return Some((Err(Broken), (check, Step::End))),
            Step::End => return None,
        };
        let counts = counts.and(&found);
        let mut text = lines_of(&found);
        let next = match steps.next().await {
            Some(Ok(found)) => Step::Found(Box::new((counts, found, steps))),
            Some(Err(halted)) => {
                if let Halted::Asking(error) = &halted {
                    check.state.telemetry.failed(Stage::Http, "going on with a check", error);
                }
                // The status is out; what stands in the place of the last line tells the client.
                push(&mut text, &json!({"done": false, "problem": Problem::from(halted).told()}));
                Step::Failed
            }
            None => {
                check.tell(counts);
                let Counts { checked, suppressed, invalid } = counts;
                push(&mut text, &Last { done: true, checked, suppressed, invalid });
                Step::End
            }
        };
        Some((Ok(Bytes::from(text)), (check, next)))
    });
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming::<_, Broken>(answered))
}

fn lines_of(found: &Checked) -> String {
    let mut text = String::new();
    for it in &found.suppressed {
        push(&mut text, it);
    }
    for it in &found.invalid {
        push(&mut text, it);
    }
    text
}

fn push(text: &mut String, line: &impl Serialize) {
    // Texts and numbers can always be written.
    text.push_str(&serde_json::to_string(line).unwrap_or_default());
    text.push('\n');
}
