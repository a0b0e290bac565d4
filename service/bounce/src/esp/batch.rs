//! Posts of several events. Each is cut out of the body before it is read, so that a bad one costs itself only and the
//! memory needed is that of one event and of what is kept of the others.

use serde_json::value::RawValue;

use crate::esp::json::{self, Json, Notes};
use crate::esp::{Decoded, Refusal, SetAside};
use crate::limits;
use crate::report::Report;

/// The events of a body: a JSON array of them, or one alone. Of those that are there, one at least must be an object that
/// can be read: a body of which nothing can be is refused, not kept.
pub(super) fn events<'a>(body: &'a [u8], expected: &'static str) -> Result<Vec<&'a RawValue>, Refusal> {
    let malformed = |found: String| Refusal::Malformed { expected, found };
    let text = json::text(body).map_err(malformed)?;
    let events: Vec<&'a RawValue> = match text.trim_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str(text).map_err(|it| malformed(json::what(&it)))?,
        Some(b'{') => vec![serde_json::from_str(text).map_err(|it| malformed(json::what(&it)))?],
        _ => return Err(malformed("it is neither a JSON object nor an array".to_owned())),
    };
    if !events.is_empty() && !events.iter().any(|it| it.get().starts_with('{') && json::parse(it.get().as_bytes()).is_ok()) {
        return Err(malformed("nothing in it is an object that can be read".to_owned()));
    }
    bounded(events)
}

/// The event that a body is: one JSON object.
pub(super) fn one<'a>(body: &'a [u8], expected: &'static str) -> Result<Vec<&'a RawValue>, Refusal> {
    let malformed = |found: String| Refusal::Malformed { expected, found };
    let text = json::text(body).map_err(malformed)?;
    if !text.trim_start().starts_with('{') {
        return Err(malformed("it is no JSON object".to_owned()));
    }
    let event: &'a RawValue = serde_json::from_str(text).map_err(|it| malformed(json::what(&it)))?;
    // Nested deeper than anybody means it.
    json::parse(event.get().as_bytes()).map_err(malformed)?;
    Ok(vec![event])
}

/// The events of a body `{"events": […]}`; any other object is one event, and an array is a list of them.
pub(super) fn enveloped<'a>(body: &'a [u8], expected: &'static str) -> Result<Vec<&'a RawValue>, Refusal> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        events: Option<Vec<&'a RawValue>>,
    }
    let found = events(body, expected)?;
    match found.as_slice() {
        [alone] if alone.get().starts_with('{') => {
            let envelope: Envelope<'a> = serde_json::from_str(alone.get())
                .map_err(|it| Refusal::Malformed { expected, found: format!("its events cannot be told apart: {}", json::what(&it)) })?;
            envelope.events.map_or(Ok(found), bounded)
        }
        _ => Ok(found),
    }
}

/// The events of a body of JSON Lines: one on each line that is not blank. A line that is no JSON is set aside by
/// [`decode`]; where none is, the body is refused.
pub(super) fn lines<'a>(body: &'a [u8], expected: &'static str) -> Result<Vec<&'a str>, Refusal> {
    let malformed = |found: String| Refusal::Malformed { expected, found };
    let lines: Vec<&str> = json::text(body).map_err(malformed)?.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    if !lines.iter().any(|it| it.starts_with('{') && json::parse(it.as_bytes()).is_ok()) {
        return Err(malformed("no line of it is a JSON object".to_owned()));
    }
    bounded(lines)
}

fn bounded<T>(events: Vec<T>) -> Result<Vec<T>, Refusal> {
    if events.len() > limits::POST_EVENTS { Err(Refusal::TooMany(limits::POST_EVENTS)) } else { Ok(events) }
}

/// What one event means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// This happened.
    Reports(Vec<Report>),
    /// Nothing that matters to a list: an opening, a click, a test.
    Nothing,
    /// It is not understood, for this reason, and kept to be read again.
    Unknown(&'static str),
}

impl From<Report> for Meaning {
    fn from(report: Report) -> Self {
        Self::Reports(vec![report])
    }
}

/// Reads events one by one. What is not understood of several is set aside on its own; of one alone, the whole post is.
pub(super) fn decode<'e>(
    dialect: &'static str,
    events: impl ExactSizeIterator<Item = &'e str>,
    mut meaning: impl FnMut(Json<'_>, &mut Notes) -> Meaning,
) -> Decoded {
    let count = events.len();
    let (mut reports, mut set_aside, mut unrecognised) = (Vec::new(), Vec::new(), 0);
    let mut notes = Notes::default();
    for event in events {
        let why = match json::parse(event.as_bytes()) {
            Ok(value) => match meaning(Json::new(&value), &mut notes) {
                Meaning::Reports(found) => {
                    reports.extend(found);
                    continue;
                }
                Meaning::Nothing => continue,
                Meaning::Unknown(why) => why.to_owned(),
            },
            Err(error) => format!("an event cannot be read: {error}"),
        };
        if count > 1 && set_aside.len() < limits::POST_SET_ASIDE {
            set_aside.push(SetAside { bytes: event.as_bytes().to_vec(), why: why.clone() });
        } else {
            unrecognised += 1;
        }
        notes.add(why);
    }
    Decoded { set_aside, ..Decoded::new(dialect, reports, notes.finish(), unrecognised) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    fn read(body: &str) -> Decoded {
        let events = events(body.as_bytes(), "events").unwrap();
        decode("test", events.iter().map(|it| it.get()), |event, _| match event.text("kind").as_deref() {
            Some("bounce") => Report::new(Kind::Bounce, None).into(),
            Some("open") => Meaning::Nothing,
            _ => Meaning::Unknown("of no kind that is known"),
        })
    }

    #[test]
    fn a_bad_event_costs_itself_only() {
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        let decoded = read(&format!("[{{\"kind\":\"bounce\"}},\r\n{deep}, null,{{\"kind\":\"open\"}} ,{{\"kind\": \"bounce\"}}]\r\n"));
        assert_eq!((decoded.reading.reports.len(), decoded.unrecognised), (2, 0));
        let aside: Vec<_> = decoded.set_aside.iter().map(|it| it.bytes.as_slice()).collect();
        assert_eq!(aside, [deep.as_bytes(), b"null"]);
    }

    #[test]
    fn one_alone_is_not_set_aside_but_is_the_post() {
        let decoded = read("{\"kind\":\"news\"}");
        assert_eq!((decoded.unrecognised, decoded.set_aside.len(), decoded.reading.notes.len()), (1, 0, 1));
        assert_eq!(read("[]").unrecognised, 0);
    }

    #[test]
    fn what_is_no_json_is_refused_without_being_quoted() {
        for (body, found) in [
            ("", "it is empty"),
            ("not json", "it is neither a JSON object nor an array"),
            ("{} secret", "it is not JSON, line 1 column 4"),
            ("[{},", "it ends too early, line 1 column 4"),
            (&format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000)), "nothing in it is an object that can be read"),
        ] {
            let found = Refusal::Malformed { expected: "events", found: found.to_owned() };
            assert_eq!(events(body.as_bytes(), "events").err(), Some(found), "{body}");
        }
    }

    #[test]
    fn an_envelope_is_opened_and_one_alone_is_one() {
        let of = |body: &str| enveloped(body.as_bytes(), "events").map(|it| it.iter().map(|it| it.get().to_owned()).collect::<Vec<_>>());
        assert_eq!(of("{\"events\": [{\"a\":1}, 2]}"), Ok(vec!["{\"a\":1}".to_owned(), "2".to_owned()]));
        assert_eq!(of("{\"event\":\"x\"}"), Ok(vec!["{\"event\":\"x\"}".to_owned()]));
        assert_eq!(of("{\"events\":null}"), Ok(vec!["{\"events\":null}".to_owned()]));
        assert_eq!(of("[{}]"), Ok(vec!["{}".to_owned()]));
        assert_eq!(of("{\"events\":[]}"), Ok(vec![]));
        for wrong in ["{\"events\":7}", "{\"events\":[],\"events\":[]}", "null", ""] {
            assert!(matches!(of(wrong), Err(Refusal::Malformed { .. })), "{wrong}");
        }
        let many = format!("{{\"events\":[{}]}}", vec!["1"; limits::POST_EVENTS + 1].join(","));
        assert_eq!(of(&many), Err(Refusal::TooMany(limits::POST_EVENTS)));
        assert_eq!(one(b" {\"a\":1}\n", "an event").map(|it| it.len()), Ok(1));
        let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
        for wrong in ["[{}]", "{} {}", "{", "null", &deep] {
            assert!(matches!(one(wrong.as_bytes(), "an event"), Err(Refusal::Malformed { .. })), "{wrong}");
        }
    }

    #[test]
    fn one_event_more_than_the_limit_is_refused() {
        let body = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(events(body(limits::POST_EVENTS).as_bytes(), "events").map(|it| it.len()), Ok(limits::POST_EVENTS));
        assert_eq!(events(body(limits::POST_EVENTS + 1).as_bytes(), "events").err(), Some(Refusal::TooMany(limits::POST_EVENTS)));
    }

    #[test]
    fn a_body_of_which_nothing_can_be_read_is_refused() {
        let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
        for body in ["[null, 7, \"x\", []]", &deep("[", "]"), &deep("{\"a\":", "}"), &format!("[{}]", deep("{\"a\":", "}"))] {
            assert!(matches!(events(body.as_bytes(), "events"), Err(Refusal::Malformed { .. })), "{body}");
        }
        assert_eq!(events(format!("[{}, {{}}]", deep("[", "]")).as_bytes(), "events").map(|it| it.len()), Ok(2));
    }

    #[test]
    fn lines_are_taken_where_one_of_them_is_json() {
        assert_eq!(lines(b"{\"a\":1}\r\n\n nope\n", "lines"), Ok(vec!["{\"a\":1}", "nope"]));
        assert!(matches!(lines(b"nope\nneither", "lines"), Err(Refusal::Malformed { .. })));
    }

    #[test]
    fn of_very_many_bad_events_the_whole_post_is_kept() {
        let decoded = read(&format!("[{}]", vec!["{}"; limits::POST_SET_ASIDE + 1].join(",")));
        assert_eq!((decoded.set_aside.len(), decoded.unrecognised), (limits::POST_SET_ASIDE, 1));
    }
}
