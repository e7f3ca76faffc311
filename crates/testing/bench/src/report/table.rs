//! The one table of a run, for a terminal and for Markdown.

use std::fmt;

use super::{FigureOutcome, Outcome, RowOutcome};

const HEAD: [&str; 9] = ["#", "figure", "contestant", "role", "median", "min", "max", "ours ÷ it", "target"];

/// Lines of cells; prints as a Markdown table whose columns are aligned.
#[derive(Debug, Default)]
pub struct Table {
    lines: Vec<[String; HEAD.len()]>,
}

impl Table {
    /// The figures of these runs.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut table = Self::default();
        for outcome in outcomes {
            for figure in &outcome.figures {
                for row in &figure.rows {
                    table.lines.push(line(outcome.number, figure, row));
                }
            }
        }
        table
    }
}

fn line(number: u8, figure: &FigureOutcome, row: &RowOutcome) -> [String; HEAD.len()] {
    let first = row.role == "ours";
    let target = match (&row.target, row.held) {
        (Some(target), Some(true)) => format!("{target}: held"),
        (Some(target), _) => format!("**{target}: missed**"),
        (None, _) => String::new(),
    };
    let compared = match (row.compared, row.role.as_str()) {
        (Some(share), "limit") => format!("{share:.2}"),
        (Some(times), _) => format!("{}× as good", digits(times)),
        (None, _) => String::new(),
    };
    [
        if first { number.to_string() } else { String::new() },
        if first { format!("{}, {}", figure.title, figure.unit) } else { String::new() },
        row.contestant.clone(),
        row.role.clone(),
        digits(row.median),
        digits(row.min),
        digits(row.max),
        compared,
        target,
    ]
}

/// Three significant digits, thousands apart.
fn digits(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1_000.0 {
        let whole = format!("{value:.0}");
        let (sign, numbers) = whole.strip_prefix('-').map_or(("", whole.as_str()), |rest| ("-", rest));
        let groups: Vec<_> = numbers.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        format!("{sign}{}", groups.join(","))
    } else if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = HEAD.map(str::to_owned);
        let width = |column: usize| {
            let cells = self.lines.iter().chain([&head]).map(|line| line[column].chars().count());
            // A rule of Markdown has three characters at least.
            cells.max().unwrap_or(0).max(3)
        };
        let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
        let numeric = |column: usize| matches!(column, 0 | 4 | 5 | 6 | 7);
        let mut write = |line: &[String; HEAD.len()]| {
            for (column, cell) in line.iter().enumerate() {
                let width = widths[column];
                if numeric(column) { write!(f, "| {cell:>width$} ")? } else { write!(f, "| {cell:<width$} ")? }
            }
            writeln!(f, "|")
        };
        write(&head)?;
        let rule: Vec<String> = (0..HEAD.len())
            .map(|column| {
                let dashes = "-".repeat(widths[column].saturating_sub(1));
                if numeric(column) { format!("{dashes}:") } else { format!("{dashes}-") }
            })
            .collect();
        write(&rule.try_into().unwrap_or_default())?;
        self.lines.iter().try_for_each(write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let shown = [1_234_567.8, 123.45, 12.345, 1.2345, 0.12345, -1_234.0].map(digits);
        assert_eq!(shown, ["1,234,568", "123", "12.3", "1.23", "0.123", "-1,234"]);
    }
}
