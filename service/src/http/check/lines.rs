//! Checks as NDJSON: one address on each line in, one line out for each that is suppressed or invalid, and a last line
//! without which the check has failed.

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use serde_json::json;

use crate::http::check::{Asked, Check, Checked, STEP};
use crate::http::problem::{Problem, ProblemKind};
use crate::store::StoreError;
use crate::telemetry::Stage;

/// The media type.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// The addresses of a body: each line one, as a JSON text or as it is. Empty lines are none.
pub(super) fn addresses(body: &[u8]) -> Result<Vec<Asked>, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::new(ProblemKind::InvalidBody, "the body is not UTF-8"))?;
    Ok(text.lines().map(str::trim).filter(|it| !it.is_empty()).map(|it| Asked::Text(plain(it))).collect())
}

/// A JSON text without its quotes. A quoted local part is no JSON text: more comes after its closing quote.
fn plain(line: &str) -> String {
    serde_json::from_str(line).unwrap_or_else(|_| line.to_owned())
}

/// Where the stream stands.
enum Step {
    Found(Check, Checked, std::vec::IntoIter<Asked>),
    End,
}

/// Answers line by line. The first step is made before the status is sent, so that an outage is told as one.
pub(super) async fn answer(mut check: Check, addresses: Vec<Asked>) -> Result<HttpResponse, Problem> {
    let mut rest = addresses.into_iter();
    let first = check.step(rest.by_ref().take(STEP).collect()).await?;
    let lines = stream::unfold(Step::Found(check, first, rest), |step| async {
        let Step::Found(mut check, found, mut rest) = step else { return None };
        let mut text = lines_of(&found);
        let next: Vec<Asked> = rest.by_ref().take(STEP).collect();
        if next.is_empty() {
            let counts = check.counts;
            check.tell();
            let (checked, suppressed, invalid) = (counts.checked, counts.suppressed, counts.invalid);
            push(&mut text, &json!({"done": true, "checked": checked, "suppressed": suppressed, "invalid": invalid}));
            return Some((Ok(Bytes::from(text)), Step::End));
        }
        match check.step(next).await {
            Ok(found) => Some((Ok(Bytes::from(text)), Step::Found(check, found, rest))),
            Err(error) => {
                // The status is out; the missing last line tells the client.
                check.state.telemetry.failed(Stage::Http, "going on with a check", &error);
                Some((Err(error), Step::End))
            }
        }
    });
    Ok(HttpResponse::Ok().content_type(NDJSON).streaming::<_, StoreError>(lines))
}

fn lines_of(found: &Checked) -> String {
    let mut text = String::new();
    found.suppressed.iter().for_each(|it| push(&mut text, it));
    found.invalid.iter().for_each(|it| push(&mut text, it));
    text
}

fn push(text: &mut String, line: &impl Serialize) {
    // Texts and numbers can always be written.
    text.push_str(&serde_json::to_string(line).unwrap_or_default());
    text.push('\n');
}
