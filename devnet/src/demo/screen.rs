//! What a person or a program sees: a live table on a terminal, plain lines elsewhere, JSON lines on request.
//!
//! Refuses to know where the facts come from. All output of the demo goes through here, into any writer.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{Attribute, Cell, Color, ContentArrangement, presets};
use crossterm::{cursor, queue, terminal};
use serde::Serialize;

use super::report::{Latency, Row, State, Summary};

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A table that is drawn anew in place: for a terminal.
    Live,
    /// A line per change: for a log.
    Lines,
    /// A JSON object per change: for a program.
    Json,
}

/// What there is to show.
pub(crate) struct Table<'a> {
    /// All requests, in the order in which they were made.
    pub(crate) rows: &'a [Row],
    /// The newest block of each chain that has some.
    pub(crate) heads: &'a BTreeMap<String, u64>,
}

/// See the module.
pub(crate) struct Screen<W> {
    out: W,
    style: Style,
    /// Lines of the table that stands there now.
    drawn: u16,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Note {
        text: &'a str,
    },
    Block {
        chain: &'a str,
        height: u64,
    },
    Request {
        height: u64,
        #[serde(flatten)]
        row: &'a Row,
    },
    Summary {
        success: bool,
        #[serde(flatten)]
        summary: &'a Summary,
    },
}

impl<W: Write> Screen<W> {
    /// Writes to `out`.
    pub(crate) const fn new(out: W, style: Style) -> Self {
        Self { out, style, drawn: 0 }
    }

    /// Says one thing that stays. The table, if there is one, goes on below it.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn note(&mut self, text: &str, table: &Table<'_>) -> io::Result<()> {
        if self.style == Style::Json {
            return self.json(&Event::Note { text });
        }
        let stood = self.drawn > 0;
        self.erase()?;
        writeln!(self.out, "{text}")?;
        if stood {
            self.draw(table)?;
        }
        self.out.flush()
    }

    /// Shows the requests after a block; `changed` are the places of those that moved in it.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn show(&mut self, height: u64, table: &Table<'_>, changed: &[usize]) -> io::Result<()> {
        let moved = changed.iter().filter_map(|&place| table.rows.get(place));
        match self.style {
            Style::Live => {
                self.erase()?;
                self.draw(table)?;
            }
            Style::Lines => {
                for row in moved {
                    let latency = row.latency_ms.map(|ms| format!(" after {ms} ms")).unwrap_or_default();
                    let Row { chain, request, name, .. } = row;
                    let standing = row.standing();
                    writeln!(self.out, "{chain:<12} block {height:>5}  {request:<13} {name:<36} {standing}{latency}")?;
                    if !row.remark().is_empty() {
                        writeln!(self.out, "{:>26}{}", "", row.remark())?;
                    }
                }
            }
            Style::Json => {
                for row in moved {
                    self.json(&Event::Request { height, row })?;
                }
            }
        }
        self.out.flush()
    }

    /// Shows that a chain goes on, when there is nothing else to show.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn tick(&mut self, chain: &str, height: u64, open: usize) -> io::Result<()> {
        match self.style {
            Style::Live => {
                self.erase()?;
                writeln!(self.out, "{chain}: block {height}, {open} open requests (Ctrl-C ends everything)")?;
                self.drawn = 1;
                self.out.flush()
            }
            // A log or a program wants news only.
            Style::Lines => Ok(()),
            Style::Json => self.json(&Event::Block { chain, height }),
        }
    }

    /// The end.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        if self.style == Style::Json {
            return self.json(&Event::Summary { success: summary.is_success(), summary });
        }
        self.drawn = 0;
        for (what, latency) in [("keys", summary.keys), ("signatures", summary.signatures)] {
            if let Some(Latency { count, p50_ms, max_ms, max_blocks }) = latency {
                writeln!(self.out, "{what:<10} {count:>3}   p50 {p50_ms} ms   max {max_ms} ms ({max_blocks} blocks)")?;
            }
        }
        for failed in &summary.failed {
            writeln!(self.out, "FAILED     {failed}")?;
        }
        let verdict = if summary.is_success() { "all fulfilled and verified" } else { "NOT ALL WELL" };
        writeln!(self.out, "{verdict}: {} of {} requests", summary.verified, summary.requests)?;
        self.out.flush()
    }

    /// Chain by chain: its newest block, and its requests below.
    fn draw(&mut self, shown: &Table<'_>) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        // Wrapped to the terminal's width by the table itself, so that the lines can be counted.
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["request", "what", "state", "blocks", "ms"]);
        for (chain, height) in shown.heads {
            table.add_row(
                [chain, &format!("block {height}")].map(|text| Cell::new(text).add_attribute(Attribute::Bold)),
            );
            for row in shown.rows.iter().filter(|row| row.chain == *chain) {
                table.add_row(cells(row));
            }
        }
        let text = format!("{table}\n");
        self.drawn = u16::try_from(text.lines().count()).unwrap_or(u16::MAX);
        self.out.write_all(text.as_bytes())
    }

    /// Takes back what was drawn last. Lines that the terminal has scrolled away stay.
    fn erase(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            let lines = std::mem::take(&mut self.drawn);
            queue!(self.out, cursor::MoveToPreviousLine(lines), terminal::Clear(terminal::ClearType::FromCursorDown))?;
        }
        Ok(())
    }

    fn json(&mut self, event: &Event<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, event)?;
        writeln!(self.out)?;
        self.out.flush()
    }
}

fn cells(row: &Row) -> [Cell; 5] {
    let number = |value: Option<u64>| Cell::new(value.map(|value| value.to_string()).unwrap_or_default());
    let state = Cell::new(row.standing()).fg(match row.state {
        State::Pending => Color::Reset,
        State::Partial { .. } => Color::Yellow,
        State::Verified { .. } => Color::Green,
        State::Unverified { .. } | State::Rejected { .. } => Color::Red,
    });
    [Cell::new(&row.request), Cell::new(&row.name), state, number(row.blocks), number(row.latency_ms)]
}

#[cfg(test)]
impl<W> Screen<W> {
    /// What was written to.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chain_client::{Block, Height, RequestId};

    fn row() -> Row {
        let made = Block { height: Height(7), hash: [0; 32], time_unix_ms: 7_000 };
        let mut row = Row::new("zenrock".to_owned(), "ecdsa key".to_owned(), RequestId::key(1), 1, &made);
        let at = Block { height: Height(9), hash: [0; 32], time_unix_ms: 9_000 };
        row.note(State::Verified { proof: "public key 02…".to_owned() }, &at);
        row
    }

    fn shown(style: Style) -> String {
        let mut bytes = Vec::new();
        let mut screen = Screen::new(&mut bytes, style);
        let rows = [row()];
        let heads = BTreeMap::from([("zenrock".to_owned(), 9)]);
        let table = Table { rows: &rows, heads: &heads };
        screen.note("begun", &table).expect("written");
        screen.show(9, &table, &[0]).expect("written");
        screen.show(10, &table, &[]).expect("written");
        screen.summary(&Summary::of(&rows)).expect("written");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_program_gets_one_object_a_line() {
        let text = shown(Style::Json);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
        assert_eq!(lines.len(), 3, "nothing is said of a block in which nothing moved");
        assert_eq!((&lines[1]["chain"], &lines[1]["request"]), (&"zenrock".into(), &"key-1".into()));
        assert_eq!(lines[1]["state"], "verified");
        assert_eq!(lines[1]["latency_ms"], 2_000);
        assert_eq!(lines[2]["success"], true);
    }

    #[test]
    fn a_log_gets_plain_lines() {
        let text = shown(Style::Lines);
        assert!(!text.contains('\u{1b}'), "no control codes");
        assert!(text.contains("zenrock") && text.contains("key-1") && text.contains("after 2000 ms"));
    }

    #[test]
    fn a_terminal_gets_one_table_in_one_place() {
        let text = shown(Style::Live);
        assert_eq!(text.matches("\u{1b}[J").count(), 1, "the second drawing takes the first back");
    }
}
