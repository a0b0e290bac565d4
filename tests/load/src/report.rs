//! The table: what the service reached, what the machine can do, and the ratio that is wanted; for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::stretch::Cost;

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "ratio")]
pub(crate) enum Wanted {
    /// At least this share of the limit.
    Share(f64),
    /// Not above the limit.
    AtMost,
    /// Not below the limit.
    AtLeast,
    /// Nothing: it is for information.
    Nothing,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    what: String,
    ours: f64,
    limit: Option<f64>,
    ratio: Option<f64>,
    wanted: Wanted,
    reached: Option<bool>,
    unit: &'static str,
    /// What the limit is.
    against: String,
}

/// A run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    machine: String,
    postgres: String,
    options: String,
    rows: Vec<Row>,
    /// What an event costs, by kind of load; `docs/scaling.md` counts with it.
    costs: BTreeMap<String, Cost>,
    notes: Vec<String>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, ours: f64, unit: &'static str) -> Self {
        let (what, against) = (what.into(), String::new());
        Self { what, ours, limit: None, ratio: None, wanted: Wanted::Nothing, reached: None, unit, against }
    }

    pub(crate) fn against(self, limit: f64, against: impl Into<String>, wanted: Wanted) -> Self {
        let ratio = if limit == 0.0 { None } else { Some(self.ours / limit) };
        let reached = match wanted {
            Wanted::Share(share) => Some(self.ours >= share * limit),
            Wanted::AtMost => Some(self.ours <= limit),
            Wanted::AtLeast => Some(self.ours >= limit),
            Wanted::Nothing => None,
        };
        Self { limit: Some(limit), ratio, wanted, reached, against: against.into(), ..self }
    }

    fn cells(&self) -> [String; 7] {
        let wanted = match (self.wanted, self.limit) {
            (Wanted::Share(share), _) => format!("≥ {share:.2}"),
            (Wanted::AtMost, Some(limit)) => format!("≤ {}", figure(limit)),
            (Wanted::AtLeast, Some(limit)) => format!("≥ {}", figure(limit)),
            _ => String::new(),
        };
        let ratio = if matches!(self.wanted, Wanted::Share(_) | Wanted::Nothing) { self.ratio } else { None };
        let limit = if matches!(self.wanted, Wanted::Share(_) | Wanted::Nothing) { self.limit } else { None };
        [
            self.what.clone(),
            format!("{} {}", figure(self.ours), self.unit),
            limit.map(figure).unwrap_or_default(),
            ratio.map(|it| format!("{it:.2}")).unwrap_or_default(),
            wanted,
            match self.reached {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            }
            .to_owned(),
            self.against.clone(),
        ]
    }
}

impl Report {
    pub(crate) fn new(machine: String, postgres: String, options: String) -> Self {
        Self { machine, postgres, options, ..Self::default() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        say(&format!("  = {}", row.cells().map(|it| it.trim().to_owned()).join(" | ")));
        self.rows.push(row);
    }

    /// What an event cost.
    pub(crate) fn cost(&mut self, what: &str, cost: Cost) {
        self.note(format!("{what}: {}", cost.told()));
        self.costs.insert(what.to_owned(), cost);
    }

    /// Something for people beside the table.
    pub(crate) fn note(&mut self, note: String) {
        say(&format!("  {note}"));
        self.notes.push(note);
    }

    /// Rows that did not reach what was wanted.
    pub(crate) fn failed(&self) -> usize {
        self.rows.iter().filter(|it| it.reached == Some(false)).count()
    }

    /// The table in Markdown, which reads well as it stands.
    pub(crate) fn text(&self) -> String {
        let head = ["what", "ours", "limit", "ratio", "wanted", "reached", "the limit is"].map(str::to_owned);
        let mut lines = vec![head];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |at: usize| lines.iter().filter_map(|it| Some(it.get(at)?.chars().count())).max().unwrap_or_default();
        let widths: Vec<_> = (0..7).map(width).collect();
        let mut text = String::new();
        for it in [&self.machine, &self.postgres, &self.options] {
            let _ = writeln!(text, "{it}");
        }
        text.push('\n');
        for (number, line) in lines.iter().enumerate() {
            let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
            if number == 0 {
                let rules: Vec<_> = widths.iter().map(|it| "-".repeat(*it)).collect();
                let _ = writeln!(text, "| {} |", rules.join(" | "));
            }
        }
        text.push('\n');
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// Prints the table, and writes it as JSON where that is asked for.
    pub(crate) fn finish(&self, json: Option<&Path>) -> anyhow::Result<()> {
        say(&format!("\n{}", self.text()));
        if let Some(path) = json {
            std::fs::write(path, serde_json::to_string_pretty(self)?)?;
        }
        Ok(())
    }
}

/// A number to three digits or so.
pub(crate) fn figure(it: f64) -> String {
    match it.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => {
            let digits = format!("{it:.0}");
            let mut text = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    text.push(' ');
                }
                text.push(digit);
            }
            text
        }
        size if size >= 100.0 => format!("{it:.0}"),
        size if size >= 10.0 => format!("{it:.1}"),
        _ => format!("{it:.2}"),
    }
}

/// A line for whoever waits.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_whether_it_reached_what_is_wanted() {
        let row = |wanted| Row::new("posts", 45.0, "/s").against(100.0, "SQL", wanted).reached;
        assert_eq!(row(Wanted::Share(0.5)), Some(false));
        assert_eq!(row(Wanted::Share(0.4)), Some(true));
        assert_eq!(row(Wanted::AtMost), Some(true));
        assert_eq!(row(Wanted::AtLeast), Some(false));
        assert_eq!(row(Wanted::Nothing), None);
    }

    #[test]
    fn figures_are_grouped() {
        assert_eq!([1_234_567.0, 999.0, 12.34, 0.5].map(figure), ["1 234 567", "999", "12.3", "0.50"]);
    }
}
