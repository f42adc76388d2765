//! Printing: aligned tables for people, JSON for programs.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::ValueEnum;
use counterfoil_proto::common::v1 as common;
use counterfoil_types::{Currency, Money};
use serde_json::Value;

/// The form of what is printed: a table is for people, JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// How a text looks on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

/// A text in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    look: Look,
}

/// Standard output, or what stands for it in a test.
pub(crate) struct Output {
    pub(crate) format: Format,
    colours: bool,
    out: Box<dyn Write>,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, look: Look) -> Cell {
        Cell {
            text: text.into(),
            look,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text, Look::Plain)
    }
}

impl Output {
    pub(crate) fn stdout(format: Format) -> Output {
        let out = std::io::stdout();
        Output {
            format,
            colours: out.is_terminal(),
            out: Box::new(out),
        }
    }

    /// One JSON document, on lines of its own.
    pub(crate) fn json(&mut self, value: &Value) -> std::io::Result<()> {
        writeln!(self.out, "{}", printable_lines(&format!("{value:#}")))
    }

    /// One JSON document in one line, at once.
    pub(crate) fn json_line(&mut self, value: &Value) -> std::io::Result<()> {
        writeln!(self.out, "{}", printable(&value.to_string()))?;
        self.out.flush()
    }

    /// A table with a header. Without rows it says that there are none.
    pub(crate) fn table<const N: usize>(&mut self, header: [&str; N], rows: Vec<[Cell; N]>) -> std::io::Result<()> {
        if rows.is_empty() {
            return self.line(&[Cell::new("none", Look::Dim)]);
        }
        let header = header.map(|name| Cell::new(name, Look::Bold));
        let mut widths = [0; N];
        for row in std::iter::once(&header).chain(&rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(printable(&cell.text).chars().count());
            }
        }
        for row in std::iter::once(&header).chain(&rows) {
            let line = self.aligned(row, &widths);
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Names and values, one pair a line. A pair without a value is left out.
    pub(crate) fn pairs(&mut self, pairs: Vec<(&str, Cell)>) -> std::io::Result<()> {
        let pairs: Vec<_> = pairs.into_iter().filter(|(_, cell)| !cell.text.is_empty()).collect();
        let width = pairs
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or_default();
        for (name, cell) in pairs {
            let line = self.aligned(&[Cell::new(name, Look::Bold), cell], &[width, 0]);
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Texts with two spaces between them, at once.
    pub(crate) fn line(&mut self, cells: &[Cell]) -> std::io::Result<()> {
        let line = self.aligned(cells, &[]);
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// A text of several lines, as it is but for what would move a terminal's cursor.
    pub(crate) fn text(&mut self, text: &str) -> std::io::Result<()> {
        writeln!(self.out, "{}", printable_lines(text))
    }

    fn aligned(&self, cells: &[Cell], widths: &[usize]) -> String {
        let mut line = String::new();
        let mut behind = 0;
        for (place, cell) in cells.iter().enumerate() {
            let text = printable(&cell.text);
            let width = widths.get(place).copied().unwrap_or_default();
            // Spaces come before the next text, so that no line ends with one.
            let gap = if place == 0 { 0 } else { 2 };
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', behind));
                behind = 0;
                line.extend(std::iter::repeat_n(' ', gap));
                line.push_str(&self.painted(&text, cell.look));
            } else {
                behind = behind.saturating_add(gap);
            }
            behind = behind.saturating_add(width.saturating_sub(text.chars().count()));
        }
        line
    }

    fn painted(&self, text: &str, look: Look) -> String {
        let code = match look {
            Look::Plain => return text.to_owned(),
            Look::Bold => 1,
            Look::Dim => 2,
            Look::Good => 32,
            Look::Bad => 31,
        };
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A text from outside, with what would act on a terminal written out.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            // Writing to a String does not fail. The form is JSON's, where such a character stands in a string.
            let _ = write!(printable, "\\u{:04x}", u32::from(character));
        } else {
            printable.push(character);
        }
    }
    printable
}

fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// The word of an enum's value: `ACTIVE` of `SUBSCRIPTION_STATUS_ACTIVE`, in lower case.
pub(crate) fn word(value: &str, prefix: &str) -> String {
    value.strip_prefix(prefix).unwrap_or(value).to_lowercase()
}

/// A time for people: `2026-11-23 15:57:36`, in UTC. Empty where there is none.
pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> String {
    instant(time).map_or_else(String::new, |time| time.format("%F %T").to_string())
}

/// A time for programs, in RFC 3339, always to the microsecond so that times sort as texts. Null where there is none.
pub(crate) fn json_time(time: Option<&prost_types::Timestamp>) -> Value {
    instant(time).map_or(Value::Null, |time| {
        time.to_rfc3339_opts(SecondsFormat::Micros, true).into()
    })
}

fn instant(time: Option<&prost_types::Timestamp>) -> Option<DateTime<Utc>> {
    let time = time?;
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}

/// An amount for people: `29.00 USD`. Empty where there is none.
pub(crate) fn money(money: Option<&common::Money>) -> String {
    let Some(money) = money else { return String::new() };
    match Currency::parse(&money.currency_code) {
        Ok(currency) => Money {
            minor_units: money.minor_units,
            currency,
        }
        .to_string(),
        // A unit we do not know: nothing is said about where its decimals begin.
        Err(_) => format!("{} minor units of {}", money.minor_units, money.currency_code),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Rc<RefCell<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn printed(colours: bool, print: impl FnOnce(&mut Output) -> std::io::Result<()>) -> String {
        let page = Page::default();
        let mut output = Output {
            format: Format::Table,
            colours,
            out: Box::new(page.clone()),
        };
        print(&mut output).unwrap();
        String::from_utf8(page.0.take()).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text_and_no_line_ends_with_spaces() {
        let rows = vec![
            ["sub_1".into(), "".into(), "pro".into()],
            ["sub_22222".into(), "müde".into(), "".into()],
        ];
        assert_eq!(
            printed(false, |output| output.table(["ID", "STATE", "PLAN"], rows)),
            "ID         STATE  PLAN\n\
             sub_1             pro\n\
             sub_22222  müde\n"
        );
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = || {
            vec![
                [Cell::new("no", Look::Bad), "x".into()],
                [Cell::new("yes", Look::Good), "y".into()],
            ]
        };
        let plain = printed(false, |output| output.table(["", "B"], rows()));
        let painted = printed(true, |output| output.table(["", "B"], rows()));
        let mut bare = painted.clone();
        for code in ["1", "31", "32", "0"] {
            bare = bare.replace(&format!("\u{1b}[{code}m"), "");
        }
        assert_eq!(bare, plain);
        assert_ne!(painted, plain);
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert_eq!(printed(false, |output| output.table(["ID"], vec![])), "none\n");
    }

    #[test]
    fn pairs_are_aligned_and_empty_ones_left_out() {
        let pairs = vec![
            ("user", "ada".into()),
            ("name", "".into()),
            ("customer", "cus_1".into()),
        ];
        assert_eq!(
            printed(false, |output| output.pairs(pairs)),
            "user      ada\ncustomer  cus_1\n"
        );
    }

    #[test]
    fn a_text_from_outside_cannot_act_on_the_terminal() {
        assert_eq!(
            printed(false, |output| output.line(&["a\u{1b}[2Jb\u{9b}c\nd".into()])),
            "a\\u001b[2Jb\\u009bc\\u000ad\n"
        );
        let name = serde_json::json!({"name": "a\u{9b}b"});
        let json = printed(false, |output| output.json(&name));
        assert!(!json.contains('\u{9b}'));
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), name);
    }

    #[test]
    fn times_and_amounts_are_written_as_people_write_them() {
        let at = prost_types::Timestamp {
            seconds: 1_795_536_000,
            nanos: 500_000_000,
        };
        assert_eq!(time(Some(&at)), "2026-11-24 16:00:00");
        assert_eq!(json_time(Some(&at)), "2026-11-24T16:00:00.500000Z");
        assert_eq!((time(None), json_time(None)), (String::new(), Value::Null));
        let amount = |minor_units, code: &str| common::Money {
            minor_units,
            currency_code: code.into(),
        };
        assert_eq!(money(Some(&amount(2900, "usd"))), "29.00 USD");
        assert_eq!(money(Some(&amount(2900, "USD"))), "2900 minor units of USD");
    }
}
