//! The texts that callers give, as the OpenAPI document describes them: what they look like, as far as a pattern can say it.

use bounce::policy::Cause;
use serde_json::json;
use utoipa::openapi::schema::{AnyOfBuilder, SchemaType};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// Words of a list's name with dots between, as [`crate::config::ListName`] reads them.
const LIST: &str = "^[a-z0-9_-]+([.][a-z0-9_-]+)*$";
const ENTRY: &str = "^@[^@]+$";

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident = $of:literal, $schema:expr;)+) => { $(
        $(#[doc = $doc])+
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $of.into()
            }
        }
    )+ };
}

texts! {
    /// A mail address.
    AddressText = "Address", address().examples([json!("jane@example.org")]).description(Some("A mail address (RFC 5321, RFC 6531).")).into();
    /// A mail address or the entry of a whole domain.
    EntryText = "Entry", AnyOfBuilder::new().item(address()).item(pattern(ENTRY)).examples([json!("jane@example.org"), json!("@example.org")])
        .description(Some("A mail address, or a whole domain behind an `@`.")).into();
    /// The name of a domain.
    DomainText = "Domain", ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("idn-hostname".to_owned())))
        .examples([json!("corp.example")]).into();
    /// The name of a list.
    ListText = "ListName", pattern(LIST).min_length(Some(1)).max_length(Some(150)).examples([json!("acme.weekly")])
        .description(Some("Words with dots between; `acme.weekly` is a child of `acme`.")).into();
    /// A place in the feed of events.
    EventCursor = "EventCursor", pattern("^e(0|[1-9][0-9]{0,17})[.][0-9a-f]{32}$").examples([json!("e42.0199c0de7a1170008000000000000001")]).into();
    /// A place in the feed of changes.
    ChangeCursor = "ChangeCursor", pattern("^c(0|[1-9][0-9]{0,17})[.][0-9a-f]{32}$").examples([json!("c42.0199c0de7a1170008000000000000003")]).into();
    /// A place in what stands on a list.
    StandingCursor = "SuppressionCursor", pattern("^s[0-9a-f]{32}[.][0-9a-f]{32}[.][a-z_]+$")
        .examples([json!("s0199c0de7a1170008000000000000005.28dba94685e8032b8667719a1449c84a.hard")]).into();
    /// A cause that facts and imports lead to.
    AutomaticCauseWord = "AutomaticCause",
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Cause::ALL.iter().filter(|it| it.is_automatic()).map(|it| it.as_str()))).into();
    /// A file, a message or a post as it is.
    RawBody = "Raw", ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("The bytes as they are.")).into();
    /// What a mail server replied.
    ReplyText = "ReplyText", pattern("[^ \\t\\r\\n]").examples([json!("550 5.1.1 User unknown")]).into();
    /// Documents as somebody else writes them.
    AnyJson = "AnyJson", ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Any JSON.")).into();
}

fn address() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("idn-email".to_owned())))
}

fn pattern(pattern: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;
    use crate::config::ListName;
    use crate::store::{Cursor, Feed, StandingPlace};

    fn pattern_of(schema: &RefOr<Schema>) -> Regex {
        Regex::new(serde_json::to_value(schema).unwrap()["pattern"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn the_patterns_say_what_is_taken() {
        let list = pattern_of(&ListText::schema());
        for text in ["acme", "acme.weekly", "a-b_c.0", "", ".", "acme.", ".acme", "a..b", "Acme", "a b", "a/b", "ä"] {
            assert_eq!(list.is_match(text), ListName::parse(text).is_some(), "{text:?}");
        }
        let uuid = "0199c0de7a1170008000000000000001";
        let (events, standing) = (pattern_of(&EventCursor::schema()), pattern_of(&StandingCursor::schema()));
        for text in [
            &format!("e42.{uuid}"),
            &format!("e0.{uuid}"),
            &format!("e042.{uuid}"),
            &format!("e-1.{uuid}"),
            &format!("e1.{}", uuid.to_uppercase()),
            &format!("c42.{uuid}"),
            &format!("e+1.{uuid}"),
            "e",
            "e1.",
            "",
            &format!("e1.{{{uuid}}}"),
        ] {
            assert_eq!(events.is_match(text), Cursor::read(Feed::Events, text).is_ok(), "{text:?}");
        }
        for text in [
            &format!("s{uuid}.{uuid}.hard"),
            &format!("s{uuid}.{}.hard", uuid.to_uppercase()),
            &format!("s{uuid}.{uuid}"),
            &format!("{uuid}.{uuid}.hard"),
        ] {
            assert_eq!(standing.is_match(text), text.parse::<StandingPlace>().is_ok(), "{text:?}");
        }
    }
}
