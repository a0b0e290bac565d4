//! The sample of any provider with fields replaced: the first byte chooses the provider, each further pair a place in the
//! JSON and what stands there instead.

use bounce::esp::{PROVIDERS, Provider};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::read_post;

pub(crate) fn run(data: &[u8]) {
    let [provider, edits @ ..] = data else { return };
    bend(PROVIDERS[usize::from(*provider) % PROVIDERS.len()], edits);
}

pub(crate) fn bend(provider: &dyn Provider, edits: &[u8]) {
    let Ok(sample) = provider.sample(&read_post::open(), OffsetDateTime::UNIX_EPOCH) else { return };
    let Ok(mut value) = serde_json::from_slice::<Value>(&sample.body) else { return };
    for edit in edits.as_chunks::<2>().0.iter().take(64) {
        let mut left = usize::from(edit[0]);
        place(&mut value, &mut left, edit[1]);
    }
    let content_type = sample.headers.iter().find(|(name, _)| name == "content-type").map_or("", |(_, value)| value);
    read_post::read(provider, content_type, value.to_string().as_bytes());
}

/// Puts something strange into the place of that number, counted in the order of the text.
fn place(value: &mut Value, left: &mut usize, what: u8) -> bool {
    if *left == 0 {
        *value = strange(what, value);
        return true;
    }
    *left -= 1;
    match value {
        Value::Object(fields) => fields.iter_mut().any(|(_, it)| place(it, left, what)),
        Value::Array(items) => items.iter_mut().any(|it| place(it, left, what)),
        _ => false,
    }
}

fn strange(what: u8, was: &Value) -> Value {
    match what % 16 {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1e308),
        5 => json!(""),
        6 => json!("\u{0}\u{202e}x\r\n"),
        7 => json!("x".repeat(usize::from(what) * 64)),
        8 => json!([was]),
        9 => json!({"a": was}),
        10 => json!([was, was]),
        11 => json!("550 5.1.1 no such user"),
        12 => json!("Jane <jane@example.com>, john@example.com"),
        13 => json!("2026-01-01T00:00:00.1234567+14:00"),
        14 => json!({}),
        _ => json!([]),
    }
}
