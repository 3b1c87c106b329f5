//! Everything that was asked, in one table. Whoever asks enters rows and says what became of them; several do that side
//! by side, each for a chain of its own.
//!
//! Refuses to know who they are and how rows look. It owes that what is summed up are the rows that were shown.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chain_client::Block;

use super::report::{Row, State, Summary};
use super::screen::{Screen, Style, Table};

/// Names a row, for as long as its board lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowId(usize);

/// See the module.
pub struct Board<W> {
    inner: Mutex<Inner<W>>,
}

struct Inner<W> {
    screen: Screen<W>,
    rows: Vec<Row>,
    /// The newest block that was looked at, by chain.
    heads: BTreeMap<String, u64>,
}

impl<W: Write> Board<W> {
    /// An empty one that is shown on `out`.
    pub const fn new(out: W, style: Style) -> Self {
        let inner = Inner { screen: Screen::new(out, style), rows: Vec::new(), heads: BTreeMap::new() };
        Self { inner: Mutex::new(inner) }
    }

    /// Says one thing that stays.
    ///
    /// # Errors
    /// The writer's.
    pub fn note(&self, text: &str) -> io::Result<()> {
        let Inner { screen, rows, heads } = &mut *self.inner();
        screen.note(text, &Table { rows, heads })
    }

    /// The sum of all rows; it is shown. The end.
    ///
    /// # Errors
    /// The writer's.
    pub fn summary(&self) -> io::Result<Summary> {
        let Inner { screen, rows, .. } = &mut *self.inner();
        let summary = Summary::of(rows);
        screen.summary(&summary)?;
        Ok(summary)
    }

    /// Takes a request in. It is shown with the next block of its chain.
    pub(crate) fn enter(&self, row: Row) -> RowId {
        let mut inner = self.inner();
        inner.heads.entry(row.chain.clone()).or_insert(row.made_height);
        inner.rows.push(row);
        RowId(inner.rows.len() - 1)
    }

    /// Whether more can come of a request.
    pub(crate) fn is_open(&self, id: RowId) -> bool {
        self.inner().rows.get(id.0).is_some_and(|row| !row.state.is_closed())
    }

    /// Whether a request was fulfilled and verified.
    pub(crate) fn is_verified(&self, id: RowId) -> bool {
        self.inner().rows.get(id.0).is_some_and(|row| matches!(row.state, State::Verified { .. }))
    }

    /// Takes what one who asks saw at a block of a chain, and shows it.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn show(&self, chain: &str, at: &Block, seen: Vec<(RowId, State)>) -> io::Result<()> {
        let Inner { screen, rows, heads } = &mut *self.inner();
        heads.insert(chain.to_owned(), at.height.0);
        let mut changed = Vec::new();
        for (RowId(place), state) in seen {
            if rows.get_mut(place).is_some_and(|row| row.note(state, at)) {
                changed.push(place);
            }
        }
        screen.show(at.height.0, &Table { rows, heads }, &changed)
    }

    /// Shows that a chain goes on, when there is nothing else to show.
    ///
    /// # Errors
    /// The writer's.
    pub(crate) fn tick(&self, chain: &str, height: u64, open: usize) -> io::Result<()> {
        self.inner().screen.tick(chain, height, open)
    }

    /// A panic elsewhere leaves rows and screen whole enough to say so.
    fn inner(&self) -> MutexGuard<'_, Inner<W>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chain_client::{Height, RequestId};

    fn block(height: u64) -> Block {
        Block { height: Height(height), hash: [0; 32], time_unix_ms: 1_000 * i64::try_from(height).expect("small") }
    }

    fn row(chain: &str, number: u64) -> Row {
        let name = format!("a key of {chain}");
        Row::new(chain.to_owned(), name, RequestId::key(number), 1, &block(7))
    }

    fn verified() -> State {
        State::Verified { proof: "seen".to_owned() }
    }

    fn printed(board: Board<Vec<u8>>) -> String {
        let inner = board.inner.into_inner().expect("nobody panicked");
        String::from_utf8(inner.screen.into_inner()).expect("text")
    }

    #[test]
    fn rows_of_two_chains_stand_in_one_table_and_one_sum() {
        let board = Board::new(Vec::new(), Style::Live);
        let rows = ["zenrock", "eip155:31337"].map(|chain| board.enter(row(chain, 1)));
        board.show("zenrock", &block(9), vec![(rows[0], verified())]).expect("written");
        assert!(!board.is_open(rows[0]) && board.is_open(rows[1]));
        board.show("eip155:31337", &block(40), vec![(rows[1], verified())]).expect("written");
        let summary = board.summary().expect("written");
        assert_eq!((summary.requests, summary.verified), (2, 2));
        let text = printed(board);
        let last = text.rsplit("\u{1b}[J").next().expect("a table");
        let at = |words: &str| last.find(words).unwrap_or_else(|| panic!("{words} in {last}"));
        let order = ["eip155:31337", "block 40", "a key of eip155", "zenrock", "block 9", "a key of zenrock", "2 of 2"];
        assert!(order.map(at).is_sorted(), "rows stand below their chain: {last}");
    }

    #[test]
    fn what_one_of_two_leaves_open_spoils_the_success_of_both() {
        let board = Board::new(Vec::new(), Style::Json);
        let rows = ["zenrock", "eip155:31337"].map(|chain| board.enter(row(chain, 1)));
        board.show("zenrock", &block(9), vec![(rows[0], verified())]).expect("written");
        board.show("eip155:31337", &block(9), Vec::new()).expect("written");
        let summary = board.summary().expect("written");
        assert!(!summary.is_success());
        assert_eq!((summary.requests, summary.verified), (2, 1));
        let lines: Vec<serde_json::Value> =
            printed(board).lines().map(|line| serde_json::from_str(line).expect("json")).collect();
        assert_eq!(lines.len(), 2, "a block in which nothing moved is no news: {lines:?}");
        assert_eq!((&lines[0]["chain"], &lines[0]["height"]), (&"zenrock".into(), &9.into()));
        assert_eq!(lines[1]["success"], false);
    }

    #[test]
    fn a_note_stays_above_the_table() {
        let board = Board::new(Vec::new(), Style::Live);
        board.note("begun").expect("written");
        let id = board.enter(row("zenrock", 1));
        board.show("zenrock", &block(9), vec![(id, verified())]).expect("written");
        board.note("a key's address").expect("written");
        let text = printed(board);
        let (before, after) = text.split_once("\u{1b}[J").expect("the table is taken back");
        assert!(before.starts_with("begun\n"));
        assert!(after.starts_with("a key's address\n") && after.contains("key-1"), "and drawn again: {after}");
    }
}
