//! What became of each request, and the sum of it all. Pure: heights and times are the chain's own.

use chain_client::{Block, RequestId, RequestKind};
use serde::Serialize;

/// Where a request stands, as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// In a block; nobody has answered.
    Pending,
    /// Some have answered: parties of a single request, items of a group.
    Partial {
        /// How many.
        answers: usize,
    },
    /// The chain says fulfilled and everything it shows was verified.
    Verified {
        /// What was proven.
        proof: String,
    },
    /// The chain says fulfilled, but what it shows is not what was asked for.
    Unverified {
        /// What is wrong.
        why: String,
    },
    /// Closed without answer.
    Rejected {
        /// The chain's words.
        why: String,
    },
}

/// One request.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// The chain that carries it.
    pub chain: String,
    /// That chain's name for it.
    pub request: String,
    #[serde(skip)]
    is_key: bool,
    /// Signatures in it; 1 for a key.
    pub items: usize,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// The block that made it.
    pub made_height: u64,
    /// Blocks until it was closed.
    pub blocks: Option<u64>,
    /// The same in the chain's own time.
    pub latency_ms: Option<u64>,
    #[serde(skip)]
    made_unix_ms: i64,
}

/// Latencies of one kind of request, in milliseconds of the chain's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Requests.
    pub count: usize,
    /// The middle one; of an even number the upper.
    pub p50_ms: u64,
    /// The longest.
    pub max_ms: u64,
    /// The longest in blocks.
    pub max_blocks: u64,
}

/// The sum.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// All requests.
    pub requests: usize,
    /// Those fulfilled and verified.
    pub verified: usize,
    /// Names of the others.
    pub failed: Vec<String>,
    /// Of key requests.
    pub keys: Option<Latency>,
    /// Of signature requests; a group is one.
    pub signatures: Option<Latency>,
}

impl Row {
    /// A request that stands in a block.
    pub(crate) fn new(chain: String, name: String, request: RequestId, items: usize, made: &Block) -> Self {
        let is_key = request.kind == RequestKind::Key;
        Self { items, ..Self::of_event(chain, name, request.to_string(), is_key, made) }
    }

    /// A request that an event of a contract made.
    pub(crate) const fn of_event(chain: String, name: String, request: String, is_key: bool, made: &Block) -> Self {
        Self {
            name,
            chain,
            request,
            is_key,
            items: 1,
            state: State::Pending,
            made_height: made.height.0,
            blocks: None,
            latency_ms: None,
            made_unix_ms: made.time_unix_ms,
        }
    }

    /// Takes a new state, seen at a block. Says whether it is another.
    pub(crate) fn note(&mut self, state: State, at: &Block) -> bool {
        if self.state == state {
            return false;
        }
        if state.is_closed() {
            self.blocks = Some(at.height.0.saturating_sub(self.made_height));
            self.latency_ms = Some(u64::try_from(at.time_unix_ms - self.made_unix_ms).unwrap_or(0));
        }
        self.state = state;
        true
    }

    /// `partial 1`, `verified` …
    pub(crate) fn standing(&self) -> String {
        match &self.state {
            State::Pending => "pending".to_owned(),
            State::Partial { answers } if self.items > 1 => format!("partial, {answers} of {} items", self.items),
            State::Partial { answers } => format!("partial, {answers} answered"),
            State::Verified { .. } => "fulfilled, verified".to_owned(),
            State::Unverified { .. } => "FULFILLED BUT WRONG".to_owned(),
            State::Rejected { .. } => "REJECTED".to_owned(),
        }
    }

    /// What was proven, or what is wrong.
    pub(crate) fn remark(&self) -> &str {
        match &self.state {
            State::Verified { proof } => proof,
            State::Unverified { why } | State::Rejected { why } => why,
            State::Pending | State::Partial { .. } => "",
        }
    }
}

impl State {
    /// Whether nothing more can come.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Verified { .. } | Self::Unverified { .. } | Self::Rejected { .. })
    }
}

impl Summary {
    /// Sums up. What is still open counts as failed.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let is_good = |row: &&Row| matches!(row.state, State::Verified { .. });
        let is_key = |row: &&Row| row.is_key;
        let verified: Vec<_> = rows.iter().filter(is_good).collect();
        let (keys, signatures): (Vec<&Row>, Vec<&Row>) = verified.iter().copied().partition(is_key);
        let failed = |row: &Row| format!("{} ({}): {} {}", row.name, row.request, row.standing(), row.remark());
        Self {
            requests: rows.len(),
            verified: verified.len(),
            failed: rows.iter().filter(|row| !is_good(row)).map(failed).collect(),
            keys: Latency::of(&keys),
            signatures: Latency::of(&signatures),
        }
    }

    /// Whether every request was fulfilled and verified, and there was one.
    pub fn is_success(&self) -> bool {
        self.requests > 0 && self.verified == self.requests
    }
}

impl Latency {
    fn of(rows: &[&Row]) -> Option<Self> {
        let mut times: Vec<_> = rows.iter().filter_map(|row| row.latency_ms).collect();
        times.sort_unstable();
        Some(Self {
            count: times.len(),
            p50_ms: *times.get(times.len() / 2)?,
            max_ms: *times.last()?,
            max_blocks: rows.iter().filter_map(|row| row.blocks).max()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chain_client::Height;

    fn block(height: u64) -> Block {
        Block { height: Height(height), hash: [0; 32], time_unix_ms: 1_000 * i64::try_from(height).expect("small") }
    }

    fn verified() -> State {
        State::Verified { proof: "seen".to_owned() }
    }

    #[test]
    fn a_latency_is_counted_from_the_requests_block_to_its_last_answers() {
        let mut row = Row::new("zenrock".to_owned(), "a key".to_owned(), RequestId::key(1), 1, &block(10));
        assert!(row.note(State::Partial { answers: 1 }, &block(12)));
        assert!(!row.note(State::Partial { answers: 1 }, &block(13)));
        assert_eq!(row.latency_ms, None);
        assert!(row.note(verified(), &block(14)));
        assert_eq!((row.blocks, row.latency_ms), (Some(4), Some(4_000)));
    }

    #[test]
    fn one_open_or_wrong_request_spoils_the_success() {
        let row = |number, state: State| {
            let mut row =
                Row::new("zenrock".to_owned(), "a signature".to_owned(), RequestId::signature(number), 1, &block(1));
            row.note(state, &block(1 + number));
            row
        };
        let good = vec![row(1, verified()), row(2, verified()), row(3, verified())];
        let summary = Summary::of(&good);
        assert!(summary.is_success());
        let latency = summary.signatures.expect("three");
        assert_eq!((latency.count, latency.p50_ms, latency.max_ms, latency.max_blocks), (3, 2_000, 3_000, 3));
        assert_eq!(summary.keys, None);
        let bad = [State::Pending, State::Unverified { why: String::new() }, State::Rejected { why: String::new() }];
        for state in bad {
            let rows = [good.clone(), vec![row(4, state)]].concat();
            assert!(!Summary::of(&rows).is_success());
        }
        assert!(!Summary::of(&[]).is_success(), "nothing done is no success");
    }
}
