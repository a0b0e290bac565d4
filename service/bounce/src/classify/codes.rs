//! The registry of SMTP codes: what each reply and each enhanced status means, how grave it is, and what to do. The rows
//! are data (`rules/codes.csv`); this module finds the one that fits a code. It knows RFC 5321 section 4.2, RFC 3463,
//! the IANA registry, the codes single receivers invented, and the spellings that lost or gained dots on the way.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::classify::reason::Reason;
use crate::status::{Class, EnhancedStatus, SmtpReply};

const TABLE: &str = include_str!("../../rules/codes.csv");

crate::vocabulary! {
    /// What a code alone says of a failed message.
    pub enum Disposition, "disposition" {
        /// The address will not work again.
        Hard = "hard",
        /// Final for this message, and the recipient's side is at fault.
        Soft = "soft",
        /// Refused because of the sender, the message or a policy: no strike against the address.
        Block = "block",
        /// Not final while the queue still tries.
        Transient = "transient",
        /// No failure.
        None = "none",
    }
}

/// One row of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The code as the registry spells it: `550`, `5.1.1`, `5.7.x`, `5.7.606..649`.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Where it is defined: an RFC, `vendor:` and a receiver, or `non-standard`.
    pub source: String,
    /// The reason, or `delivered` and `session` for codes that are no failure.
    pub category: String,
    /// The reason, unless the code is no failure.
    pub reason: Option<Reason>,
    /// What the code alone says. Words of the receiver may say more.
    pub disposition: Disposition,
    /// What it means, for people.
    pub explanation: String,
    /// What to do about it.
    pub advice: String,
}

impl Code {
    /// Whether the code says more than "it failed".
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.reason.is_some_and(|it| it != Reason::Undetermined)
    }
}

/// All codes.
#[derive(Debug)]
pub struct Codes {
    rows: Vec<Code>,
    statuses: HashMap<EnhancedStatus, usize>,
    ranges: Vec<(Class, u16, u16, u16, usize)>,
    subjects: HashMap<(Class, u16), usize>,
    classes: HashMap<Class, usize>,
    replies: HashMap<u16, usize>,
    reply_wildcards: HashMap<u16, usize>,
    undotted: HashMap<u16, EnhancedStatus>,
}

/// The registry, parsed on first use.
///
/// ```
/// let code = bounce::classify::codes::codes().find("5.7.620").unwrap();
/// assert_eq!(code.code, "5.7.606..649");
/// ```
///
/// # Panics
///
/// Never: the table is part of the program.
#[must_use]
pub fn codes() -> &'static Codes {
    static CODES: OnceLock<Codes> = OnceLock::new();
    CODES.get_or_init(|| {
        #[expect(clippy::expect_used, reason = "the table is part of the program and a test reads it")]
        Codes::parse(TABLE).expect("rules/codes.csv is well formed")
    })
}

impl Codes {
    /// Every row, in the order of the table.
    #[must_use]
    pub fn all(&self) -> &[Code] {
        &self.rows
    }

    /// Finds the row for a reply (`550`), an enhanced status (`5.1.1`, with or without `#`), or a row's own spelling
    /// (`5.7.x`). A code without a row of its own gets that of its range, its subject or its class.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&Code> {
        let text = text.trim().trim_start_matches('#');
        if let Ok(status) = text.parse::<EnhancedStatus>() {
            return Some(self.status(status));
        }
        if text.len() == 3
            && let Ok(number) = text.parse::<u16>()
        {
            return self.number(number);
        }
        self.rows.iter().find(|it| it.code.eq_ignore_ascii_case(text))
    }

    /// The row for an enhanced status: its own, else that of its range, of the reply it is a dotted spelling of
    /// (`5.0.4` for 504), of its subject, of its class.
    #[must_use]
    pub fn status(&self, status: EnhancedStatus) -> &Code {
        let row = self
            .exact(status)
            .or_else(|| self.dotted_reply(status))
            .or_else(|| self.subjects.get(&(status.class, status.subject)).copied())
            .or_else(|| self.classes.get(&status.class).copied());
        // `parse` refuses a table without the three class rows.
        row.map_or(&self.rows[0], |it| &self.rows[it])
    }

    /// The row for a reply code: its own, else `50x`, else that of its class.
    #[must_use]
    pub fn reply(&self, reply: SmtpReply) -> Option<&Code> {
        self.number(reply.code())
    }

    /// Whether the reply has a row of its own.
    #[must_use]
    pub fn knows_reply(&self, reply: SmtpReply) -> bool {
        self.replies.contains_key(&reply.code())
    }

    /// The status a reply is an undotted spelling of: 511 for 5.1.1.
    #[must_use]
    pub fn undotted(&self, reply: SmtpReply) -> Option<EnhancedStatus> {
        self.undotted.get(&reply.code()).copied()
    }

    fn number(&self, number: u16) -> Option<&Code> {
        let row = self
            .replies
            .get(&number)
            .or_else(|| self.reply_wildcards.get(&(number / 10 * 10)).filter(|_| (number / 10).is_multiple_of(10)))
            .or_else(|| self.reply_wildcards.get(&(number / 100)));
        row.map(|it| &self.rows[*it])
    }

    fn exact(&self, status: EnhancedStatus) -> Option<usize> {
        let of_range = || {
            let fits = |it: &&(Class, u16, u16, u16, usize)| {
                it.0 == status.class && it.1 == status.subject && (it.2..=it.3).contains(&status.detail)
            };
            self.ranges.iter().find(fits).map(|it| it.4)
        };
        self.statuses.get(&status).copied().or_else(of_range)
    }

    fn dotted_reply(&self, status: EnhancedStatus) -> Option<usize> {
        let dotted = (status.subject == 0 || status.class == Class::Success) && status.subject < 10 && status.detail < 10;
        let number = u16::from(status.class.digit()) * 100 + status.subject * 10 + status.detail;
        self.replies.get(&number).copied().filter(|_| dotted)
    }

    fn parse(table: &str) -> Result<Self, String> {
        let mut codes = Self {
            rows: Vec::new(),
            statuses: HashMap::new(),
            ranges: Vec::new(),
            subjects: HashMap::new(),
            classes: HashMap::new(),
            replies: HashMap::new(),
            reply_wildcards: HashMap::new(),
            undotted: HashMap::new(),
        };
        for record in csv::Reader::from_reader(table.as_bytes()).into_records() {
            let record = record.map_err(|err| err.to_string())?;
            let [kind, code, name, source, category, disposition, explanation, advice] =
                record.iter().collect::<Vec<_>>().try_into().map_err(|_| format!("{record:?} has not eight columns"))?;
            let row = codes.rows.len();
            match kind {
                "reply" => codes.place_reply(code, source, row),
                "enhanced" => codes.place_status(code, row),
                _ => None,
            }
            .ok_or_else(|| format!("{kind} {code} is no code"))?;
            codes.rows.push(Code {
                code: code.to_owned(),
                name: name.to_owned(),
                source: source.to_owned(),
                category: category.to_owned(),
                reason: match category {
                    "delivered" | "session" => None,
                    _ => Some(category.parse().map_err(|err| format!("{code}: {err}"))?),
                },
                disposition: disposition.parse().map_err(|err| format!("{code}: {err}"))?,
                explanation: explanation.to_owned(),
                advice: advice.to_owned(),
            });
        }
        if codes.classes.len() == 3 { Ok(codes) } else { Err("a class row is missing".to_owned()) }
    }

    fn place_reply(&mut self, code: &str, source: &str, row: usize) -> Option<()> {
        if let Some(start) = code.strip_suffix("xx") {
            self.reply_wildcards.insert(start.parse().ok()?, row);
        } else if let Some(start) = code.strip_suffix('x') {
            self.reply_wildcards.insert(start.parse::<u16>().ok()? * 10, row);
        } else {
            let number = code.parse().ok()?;
            self.replies.insert(number, row);
            if let Some(status) = source.split([' ', '(']).find_map(|it| it.parse().ok()).filter(|_| source.contains("without dots")) {
                self.undotted.insert(number, status);
            }
        }
        Some(())
    }

    fn place_status(&mut self, code: &str, row: usize) -> Option<()> {
        let mut parts = code.splitn(3, '.');
        let class = parts.next()?.parse().ok().and_then(Class::from_digit)?;
        match (parts.next()?, parts.next()?) {
            ("x", "x") => {
                self.classes.insert(class, row);
            }
            (subject, "x") => {
                self.subjects.insert((class, subject.parse().ok()?), row);
            }
            (subject, detail) => match detail.split_once("..") {
                Some((first, last)) => {
                    self.ranges.push((class, subject.parse().ok()?, first.parse().ok()?, last.parse().ok()?, row));
                }
                None => {
                    self.statuses.insert(code.parse().ok()?, row);
                }
            },
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_spelling() {
        assert_eq!(codes().all().len(), 337);
        for row in codes().all() {
            assert_eq!(codes().find(&row.code).map(|it| it.code.as_str()), Some(row.code.as_str()));
        }
    }

    #[test]
    fn a_code_without_a_row_gets_that_of_its_family() {
        for (code, row) in [
            ("5.7.606", "5.7.606..649"),
            ("5.7.649", "5.7.606..649"),
            ("5.7.650", "5.7.x"),
            ("4.7.651", "4.7.650..651"),
            ("5.7.999", "5.7.900..999"),
            ("5.1.99", "5.1.x"),
            ("5.9.1", "5.x.x"),
            ("4.9.9", "4.x.x"),
            ("2.9.9", "2.x.x"),
            ("507", "50x"),
            ("599", "5xx"),
            ("499", "499"),
            ("443", "4xx"),
            ("389", "3xx"),
            ("299", "2xx"),
            ("199", "1xx"),
            ("101", "101"),
            ("#5.1.0", "5.1.0"),
        ] {
            assert_eq!(codes().find(code).map(|it| it.code.as_str()), Some(row), "{code}");
        }
        for wrong in ["", "abc", "700", "55", "5.1", "6.1.1", "5.1.1.1"] {
            assert_eq!(codes().find(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lost_and_added_dots_are_seen_through() {
        assert_eq!(codes().find("5.0.4").map(|it| it.code.as_str()), Some("504"));
        assert_eq!(codes().find("2.2.1").map(|it| it.code.as_str()), Some("221"));
        for (reply, status) in
            [(511, "5.1.1"), (512, "5.1.2"), (540, "5.4.0"), (543, "5.4.3"), (441, "4.4.1"), (447, "4.4.7"), (571, "5.7.1")]
        {
            assert_eq!(SmtpReply::new(reply).and_then(|it| codes().undotted(it)).map(|it| it.to_string()).as_deref(), Some(status));
        }
        assert_eq!(SmtpReply::new(550).and_then(|it| codes().undotted(it)), None);
    }
}
