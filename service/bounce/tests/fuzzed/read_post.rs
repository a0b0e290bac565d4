//! Any bytes as a post of any provider: proving and decoding never panic, keep their limits and say the same twice. The first
//! two bytes choose provider and content type.

use bounce::esp::{Credentials, PROVIDERS, Provider, Unverified, Verified};
use bounce::kind::Attribution;
use bounce::limits;
use time::OffsetDateTime;

const CONTENT_TYPES: [&str; 6] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain; charset=UTF-8",
    "application/cloudevents-batch+json",
    "message/rfc822",
];

pub(crate) fn run(data: &[u8]) {
    let [provider, content_type, body @ ..] = data else { return };
    let provider = PROVIDERS[usize::from(*provider) % PROVIDERS.len()];
    read(provider, CONTENT_TYPES[usize::from(*content_type) % CONTENT_TYPES.len()], body);
}

/// Credentials of a source that believes everybody.
pub(crate) fn open() -> Credentials {
    let topic_arns = vec!["arn:aws:sns:eu-west-1:111122223333:test".to_owned()];
    Credentials { insecure: true, topic_arns, ..Credentials::default() }
}

pub(crate) fn read(provider: &dyn Provider, content_type: &str, body: &[u8]) {
    let headers = [("content-type".to_owned(), content_type.to_owned())];
    for method in provider.methods() {
        let post = Unverified { method, url: "https://hooks.example/webhooks/x", headers: &headers, body };
        let _ = post.handshake(provider, &open());
        let Ok(verified) = post.verify(provider, &open(), OffsetDateTime::UNIX_EPOCH) else { continue };
        let content = provider.content(verified.post());
        let kept = [("content-type".to_owned(), content.media_type.clone().into_owned())];
        let stored = Unverified { method: "POST", url: "", headers: &kept, body: &content.bytes };
        check(provider, &Verified::restored(stored, verified.attribution(), verified.now()));
    }
    // What was readable once may be read by a later version that finds it is not.
    let post = Unverified { method: "POST", url: "", headers: &headers, body };
    check(provider, &Verified::restored(post, Attribution::Authenticated, OffsetDateTime::UNIX_EPOCH));
}

fn check(provider: &dyn Provider, post: &Verified<'_>) {
    let decoded = provider.decode(post);
    assert!(decoded.set_aside.len() <= limits::POST_SET_ASIDE);
    assert!(decoded.reading.reports.len() <= limits::POST_EVENTS * limits::EVENT_RECIPIENTS);
    for report in &decoded.reading.reports {
        for text in [&report.diagnostic, &report.message_id, &report.provider_event_id].into_iter().flatten() {
            assert!(text.len() <= limits::POST_FIELD_BYTES.max(limits::DIAGNOSTIC_BYTES), "{}", text.len());
        }
    }
    assert_eq!(decoded, provider.decode(post));
}
