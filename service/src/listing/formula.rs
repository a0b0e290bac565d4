//! Spreadsheets take a cell that begins with one of a few characters for a formula, and a formula may call programs. On the
//! way out such a cell gets an apostrophe, which makes it text; on the way in exactly that is undone.

use std::borrow::Cow;

/// The characters that begin a formula.
const BEGINNINGS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// The cell as text that no spreadsheet calculates. One that looks like our own remedy gets it too, so that it can be told.
pub(super) fn neutral(cell: &str) -> Cow<'_, str> {
    if is_dangerous(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// The cell as it was before [`neutral`].
pub(super) fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|it| is_dangerous(it)).unwrap_or(cell)
}

fn is_dangerous(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(BEGINNINGS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_begins_like_a_formula_gets_an_apostrophe() {
        for cell in ["=1+1", "+1", "-1", "@example.org", "\t=1", "\r=1", "'=1", "''@x"] {
            assert_eq!(neutral(cell), format!("'{cell}"));
        }
        for cell in ["", "jane@example.org", "'", "'jane", "1=1", "\"=1"] {
            assert_eq!(neutral(cell), cell);
            assert_eq!(plain(cell), cell);
        }
    }

    proptest! {
        #[test]
        fn in_undoes_exactly_what_out_did(cell in "['=+@\\-\t\ra\"]{0,6}") {
            let out = neutral(&cell);
            prop_assert!(!out.starts_with(BEGINNINGS));
            prop_assert_eq!(plain(&out), cell.as_str());
        }
    }
}
