//! The field blocks of machine parts: delivery status (RFC 3464), feedback report (RFC 5965), disposition notification
//! (RFC 8098) share one grammar. Names compare without case, lines fold, any run of blank lines parts two groups, and a
//! line that is no field belongs to the one before it.

use std::borrow::Cow;

use crate::limits;
use crate::mail::lines;

/// One field: its name as written, its value with folds joined by a blank.
#[derive(Debug, Clone)]
pub(crate) struct Field<'t> {
    pub(crate) name: &'t str,
    pub(crate) value: Cow<'t, str>,
}

/// The fields between two blank lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group<'t> {
    pub(crate) fields: Vec<Field<'t>>,
}

impl Group<'_> {
    /// The value of the first field of that name that says something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of that name that say something.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |it| it.name.eq_ignore_ascii_case(name)).map(|it| it.value.trim()).filter(|it| !it.is_empty())
    }

    /// Whether there is a field of one of these names.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.fields.iter().any(|it| names.iter().any(|name| it.name.eq_ignore_ascii_case(name)))
    }
}

/// Reads the groups of a block whose lines end in `\n`. A carriage return inside a value counts as a blank.
pub(crate) fn groups(text: &str) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    let mut group = Group::default();
    for line in lines(text) {
        let line = line.trim_end_matches(['\n', '\r', ' ', '\t']);
        if line.trim_start().is_empty() {
            if !group.fields.is_empty() {
                groups.push(std::mem::take(&mut group));
            }
        } else if let Some(field) = (!line.starts_with([' ', '\t'])).then(|| field(line)).flatten() {
            group.fields.push(field);
        } else if let Some(last) = group.fields.last_mut() {
            go_on(last, line.trim());
        }
    }
    if !group.fields.is_empty() {
        groups.push(group);
    }
    groups
}

/// Splits a line into name and value; blanks may stand before the colon (RFC 822 style).
fn field(line: &str) -> Option<Field<'_>> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    let legal = name.len() <= 60
        && name.starts_with(|it: char| it.is_ascii_alphabetic())
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.'));
    if !legal || value.starts_with("//") {
        return None;
    }
    let value = value.trim();
    let value = if value.contains('\r') { Cow::Owned(value.replace('\r', " ")) } else { Cow::Borrowed(value) };
    Some(Field { name, value })
}

fn go_on(field: &mut Field<'_>, line: &str) {
    if field.value.len() + line.len() < limits::FIELD_BYTES {
        let value = field.value.to_mut();
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str(line);
    }
}

/// Splits a typed value (`type ; text`, RFC 3464 section 2.1.2): the type in lower case, empty where it is left out.
pub(crate) fn typed(value: &str) -> (String, &str) {
    match value.split_once(';') {
        Some((kind, rest)) if kind.len() <= 40 && kind.trim().bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_') => {
            (kind.trim().to_ascii_lowercase(), rest.trim())
        }
        _ => (String::new(), value.trim()),
    }
}

/// Drops comments in parentheses (RFC 5322 section 3.2.2), nested ones too; an unclosed one runs to the end.
pub(crate) fn without_comments(value: &str) -> Cow<'_, str> {
    if !value.contains('(') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let (mut depth, mut quoted) = (0_usize, false);
    for letter in value.chars() {
        match letter {
            '"' if depth == 0 => {
                quoted = !quoted;
                out.push(letter);
            }
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            _ if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    Cow::Owned(out.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<Vec<String>> {
        groups(text).iter().map(|it| it.fields.iter().map(|it| format!("{}={}", it.name, it.value)).collect()).collect()
    }

    #[test]
    fn groups_part_at_blank_lines_and_fields_fold() {
        assert_eq!(
            shown(
                "\n\nReporting-MTA: dns; a.example\n\n \n\nFinal-Recipient : rfc822; b@c.example\nDiagnostic-Code: smtp; 550\n  no such\n\tuser\n"
            ),
            [vec!["Reporting-MTA=dns; a.example"], vec!["Final-Recipient=rfc822; b@c.example", "Diagnostic-Code=smtp; 550 no such user"]]
        );
    }

    #[test]
    fn a_line_that_is_no_field_belongs_to_the_one_before() {
        assert_eq!(
            shown("Diagnostic-Code: smtp; 550-first\n550 5.1.1 <b@c.example>: second\nhttps://help.example/x\nAction: failed"),
            [vec!["Diagnostic-Code=smtp; 550-first 550 5.1.1 <b@c.example>: second https://help.example/x", "Action=failed"]]
        );
    }

    #[test]
    fn a_carriage_return_in_a_value_is_a_blank() {
        assert_eq!(shown("A: b\rc\r\nD: e"), [vec!["A=b c", "D=e"]]);
    }

    #[test]
    fn a_field_over_the_limit_is_cut() {
        let text = format!("A: x\n {}\n {}\nB: y", "a".repeat(limits::FIELD_BYTES - 10), "b".repeat(20));
        let groups = groups(&text);
        assert!(groups[0].get("a").is_some_and(|it| it.len() < limits::FIELD_BYTES && !it.contains('b')));
        assert_eq!(groups[0].get("b"), Some("y"));
    }

    #[test]
    fn types_and_comments_come_off() {
        assert_eq!(typed("RFC822 ;  a@b.example"), ("rfc822".to_owned(), "a@b.example"));
        assert_eq!(typed("<a@b.example>"), (String::new(), "<a@b.example>"));
        assert_eq!(typed("550 no; user"), (String::new(), "550 no; user"));
        assert_eq!(without_comments("5.1.1 (no (really) such) x"), "5.1.1  x");
        assert_eq!(without_comments("\"a(b\"@c.example (c"), "\"a(b\"@c.example");
    }
}
