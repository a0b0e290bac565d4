//! Text for people: wrapped to the width of a terminal, styled, and free of control characters that a message may hold.
//! Styles are written always; the stream takes them out where nobody wants them ([`stdout`]).

use std::fmt::Write as _;
use std::io;

use anstyle::{AnsiColor, Style};

/// Columns that every terminal has.
pub(super) const WIDTH: usize = 80;

/// A blank at which a line does not end.
pub(super) const NO_BREAK: char = '\u{a0}';

/// What matters most.
pub(super) const BOLD: Style = Style::new().bold();
/// What matters least.
pub(super) const DIM: Style = Style::new().dimmed();
/// Well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Take care.
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
/// Not well.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Headings.
pub(super) const HEAD: Style = AnsiColor::Cyan.on_default().bold();

/// Standard output for people: in colour only on a terminal, and only without `NO_COLOR`.
pub(super) fn stdout() -> impl io::Write {
    anstream::AutoStream::auto(io::stdout()).lock()
}

/// Standard error, likewise.
pub(super) fn stderr() -> impl io::Write {
    anstream::AutoStream::auto(io::stderr()).lock()
}

/// A piece of text in a style.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Appends `text` in lines of at most [`WIDTH`] columns: the first after `lead`, which must be as wide as `indent` says once
/// its styles are taken off, the others indented as far. Every white space and control character is a blank, at which a line
/// may end; only the no-break space keeps its words together.
pub(super) fn wrap(out: &mut String, lead: &str, indent: usize, text: &str) {
    out.push_str(lead);
    let mut column = indent;
    let is_blank = |it: char| it != NO_BREAK && (it.is_whitespace() || it.is_control());
    for word in text.split(is_blank).filter(|it| !it.is_empty()) {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{:indent$}", "");
            column = indent;
        }
        if column > indent {
            out.push(' ');
            column += 1;
        }
        out.extend(word.chars().map(|it| if it == NO_BREAK { ' ' } else { it }));
        column += length;
    }
    out.push('\n');
}

/// Appends a label and its text, the labels of a page in one column.
pub(super) fn field(out: &mut String, indent: usize, label: &str, text: &str) {
    const LABEL: usize = 10;
    let lead = format!("{:indent$}{}", "", styled(DIM, &format!("{label:LABEL$}")));
    wrap(out, &lead, indent + LABEL, text);
}

/// Text of a message that goes on one line with others.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_within_the_width() {
        let mut out = String::new();
        wrap(&mut out, "    ", 4, &"word ".repeat(40));
        assert!(out.lines().count() > 1 && out.lines().all(|it| it.len() <= WIDTH && it.starts_with("    word")), "{out}");
        let mut out = String::new();
        wrap(&mut out, "> ", 2, &"x".repeat(100));
        assert_eq!(out, format!("> {}\n", "x".repeat(100)));
        let mut out = String::new();
        wrap(&mut out, "", 0, &format!("{} 29\u{a0}Nov", "x".repeat(75)));
        assert_eq!(out, format!("{}\n29 Nov\n", "x".repeat(75)));
    }

    #[test]
    fn a_message_cannot_write_to_the_terminal() {
        let mut out = String::new();
        wrap(&mut out, "", 0, "550\u{1b}[2J no\r\nsuch\u{9b}1m user");
        assert_eq!(out, "550 [2J no such 1m user\n");
        assert_eq!(plain("a\u{1b}b\u{7}"), "a b ");
    }
}
