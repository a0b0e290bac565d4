//! JSON of strangers. A field that is missing, null or of another type is simply not there, and costs nothing but itself.
//! Depth is bounded by `serde_json` (128), text by [`limits::POST_FIELD_BYTES`]; NUL, which Postgres refuses, is dropped.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::error::Category;
use time::OffsetDateTime;

use crate::esp::moment::moment;
use crate::limits;
use crate::report::Note;

/// Parses bytes. The error says what is wrong and where, and quotes nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_str(text(bytes)?).map_err(|it| what(&it))
}

/// The text that may be JSON: UTF-8, without its byte order mark, and not blank.
pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty".to_owned());
    }
    std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// What is wrong with it, and where.
pub(super) fn what(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "ends too early",
        _ => "is not JSON",
    };
    format!("it {what}, line {} column {}", error.line(), error.column())
}

/// A value that may not be there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Json<'a>(Option<&'a Value>);

impl<'a> Json<'a> {
    pub(super) const fn new(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// The field of that name.
    pub(super) fn at(self, name: &str) -> Self {
        Self(self.0.and_then(|it| it.get(name)).filter(|it| !it.is_null()))
    }

    /// Whether anything is there.
    pub(super) const fn is_some(self) -> bool {
        self.0.is_some()
    }

    /// Whether this is `true`.
    pub(super) fn is_true(self) -> bool {
        self.0.and_then(Value::as_bool) == Some(true)
    }

    /// Whether the field of that name says yes or no: as a truth value, a number or a word.
    pub(super) fn flag(self, name: &str) -> Option<bool> {
        match self.at(name).0? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => Some(number.as_f64()? != 0.0),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Some(true),
                "false" | "0" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether this is an object.
    pub(super) fn is_object(self) -> bool {
        self.0.is_some_and(Value::is_object)
    }

    /// This as text: a string that is not blank, or a number, never rounded.
    pub(super) fn own_text(self) -> Option<String> {
        match self.0? {
            Value::String(text) => clean(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// This string as it is: for addresses, where dropping a character would make another one of it.
    pub(super) fn verbatim(self) -> Option<&'a str> {
        self.0.and_then(Value::as_str)
    }

    /// This string or number exactly as it was written, for what was signed.
    pub(super) fn exact(self) -> Option<Cow<'a, str>> {
        match self.0? {
            Value::String(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// The field of that name as text.
    pub(super) fn text(self, name: &str) -> Option<String> {
        self.at(name).own_text()
    }

    /// The field of that name in lower case, for comparing with keywords; empty where there is none.
    pub(super) fn word(self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_ascii_lowercase()
    }

    /// The field of that name as a point in time.
    pub(super) fn moment(self, name: &str) -> Option<OffsetDateTime> {
        self.text(name).as_deref().and_then(moment)
    }

    /// The items of a list; a single value counts as a list of one.
    pub(super) fn items(self) -> impl Iterator<Item = Json<'a>> {
        let items = match self.0 {
            Some(Value::Array(items)) => items.as_slice(),
            Some(Value::Null) | None => &[],
            Some(one) => std::slice::from_ref(one),
        };
        items.iter().map(Json::new)
    }

    /// Names and values of an object.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        self.0.and_then(Value::as_object).into_iter().flatten().map(|(name, value)| (name.as_str(), Json::new(value)))
    }
}

/// Text without NUL and blanks around it, cut to the limit; `None` where nothing is left.
fn clean(text: &str) -> Option<String> {
    let text = text.trim_matches(|it: char| it.is_whitespace() || it == '\0');
    let text = text.get(..text.floor_char_boundary(limits::POST_FIELD_BYTES)).unwrap_or_default();
    if text.is_empty() { None } else { Some(text.replace('\0', "")) }
}

/// Notes of one post, bounded.
#[derive(Debug, Default)]
pub(super) struct Notes {
    notes: Vec<Note>,
    left_out: usize,
}

impl Notes {
    /// Adds one. It must not hold an address, nor anything else that a person wrote.
    pub(super) fn add(&mut self, text: impl Into<String>) {
        if self.notes.len() < limits::POST_NOTES {
            self.notes.push(Note(text.into()));
        } else {
            self.left_out += 1;
        }
    }

    /// All of them, and how many were left out.
    pub(super) fn finish(mut self) -> Vec<Note> {
        if self.left_out > 0 {
            self.notes.push(Note(format!("and {} more notes", self.left_out)));
        }
        self.notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_says_where_and_quotes_nothing() {
        assert_eq!(parse(b" \n").unwrap_err(), "it is empty");
        assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap_err(), "it is not UTF-8");
        assert_eq!(parse(b"{\"secret\":").unwrap_err(), "it ends too early, line 1 column 10");
        assert_eq!(parse(b"{\n\"secret\": nope}").unwrap_err(), "it is not JSON, line 2 column 12");
        assert!(parse(&b"[".repeat(100_000)).is_err());
        assert_eq!(parse(b"\xef\xbb\xbf{}"), Ok(json!({})));
    }

    #[test]
    fn a_flag_is_read_in_any_spelling() {
        let value = json!({"a": true, "b": "True", "c": 1, "d": "0", "e": "maybe", "f": null, "g": [true]});
        let flags = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|it| Json::new(&value).flag(it));
        assert_eq!(flags, [Some(true), Some(true), Some(true), Some(false), None, None, None, None]);
    }

    #[test]
    fn a_wrong_type_costs_that_field_only() {
        let value =
            json!({"a": {"b": " x\0y "}, "n": 9_007_199_254_740_993_u64, "null": null, "list": [1, "two"], "flag": true, "blank": " "});
        let json = Json::new(&value);
        assert_eq!(json.at("a").text("b").as_deref(), Some("xy"));
        assert_eq!(json.text("n").as_deref(), Some("9007199254740993"));
        assert_eq!([json.text("a"), json.text("null"), json.text("flag"), json.text("blank"), json.at("n").text("x")], [const { None }; 5]);
        assert_eq!(json.at("list").items().filter_map(Json::own_text).collect::<Vec<_>>(), ["1", "two"]);
        assert_eq!(json.at("a").items().count(), 1);
        assert_eq!(json.at("null").items().count(), 0);
        assert!(json.at("flag").is_true() && !json.at("n").is_true() && !json.at("null").is_some());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let at = |text: String| Json::new(&Value::String(text)).own_text().unwrap().len();
        assert_eq!(at("x".repeat(limits::POST_FIELD_BYTES)), limits::POST_FIELD_BYTES);
        assert_eq!(at("x".repeat(limits::POST_FIELD_BYTES + 1)), limits::POST_FIELD_BYTES);
        assert_eq!(at("é".repeat(limits::POST_FIELD_BYTES) + "x"), limits::POST_FIELD_BYTES);
        assert_eq!(at(format!("x{}", "é".repeat(limits::POST_FIELD_BYTES))), limits::POST_FIELD_BYTES - 1);
    }

    #[test]
    fn notes_are_bounded() {
        let of = |count: usize| {
            let mut notes = Notes::default();
            (0..count).for_each(|it| notes.add(it.to_string()));
            notes.finish()
        };
        assert_eq!(of(limits::POST_NOTES).len(), limits::POST_NOTES);
        assert_eq!(of(limits::POST_NOTES + 2).last(), Some(&Note("and 2 more notes".to_owned())));
    }
}
