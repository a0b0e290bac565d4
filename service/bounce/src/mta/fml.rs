//! The fml mailing-list driver: it refuses a post and names the list, not a mailbox.

use super::{Bounce, address, failure};
use crate::report::Report;

/// Reads a refusal of fml.
pub(super) fn read(bounce: &Bounce<'_>) -> Option<Vec<Report>> {
    if !bounce.mail.header("x-mlserver").is_some_and(|it| it.to_ascii_lowercase().contains("fml [")) {
        return None;
    }
    let list = bounce.human.mentions().iter().find(|it| bounce.human.before(it).ends_with('<')).and_then(|it| address(it.word))?;
    Some(vec![failure(list, bounce.human.text)])
}
