//! Whether a range of blocks is complete: a node that omits a log, or answers for another chain, must not cost a request
//! its answer.
//!
//! A range counts only if
//!
//! 1. its headers follow each other by parent hash, from the block where the last range ended;
//! 2. of every block whose bloom admits a log of the contract, the receipts were shown, they hash to the root in the
//!    header, and the bloom of all their logs is the header's: then none was left out, none put in, and none changed;
//! 3. the trace numbers of its signature requests run without a gap from those before it to `getTraceId()` at its last
//!    block.
//!
//! Otherwise the cursor stays where it is and a person is told. This does not defend against a node that invents a whole
//! chain; that several endpoints must agree does. Chains whose headers do not hold what Ethereum's hold show less: no
//! root, or not even a bloom. Then the receipts of all blocks are needed, and agreement is all there is.

use alloy_primitives::{Address, B256, Bloom, BloomInput, U256};
use serde::{Deserialize, Serialize};

use super::abi;
use super::event::Log;
use alloy_sol_types::SolEvent as _;

/// A header, as far as this room needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Height.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
    /// The block before it.
    pub parent: B256,
    /// What its logs are about; `None` where headers do not tell, and any block may hold a log.
    pub bloom: Option<Bloom>,
    /// What its receipts hash to; `None` where headers do not tell in a form that this program knows.
    pub receipts: Option<B256>,
}

/// Where the last range ended, and what had been asked until there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The last block.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
    /// `getTraceId()` there: the next number.
    pub next_trace: U256,
}

/// All logs of all receipts of one block, as a node shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The block.
    pub block: B256,
    /// What the receipts hash to.
    pub root: B256,
    /// Of every contract, in order.
    pub logs: Vec<Log>,
}

/// Why a range does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    /// No headers.
    #[error("an empty range")]
    Empty,
    /// A header does not follow the one before it: the chain was reorganised, or the node answers for two.
    #[error("block {height} does not follow the one before it")]
    Broken {
        /// Its height.
        height: u64,
    },
    /// The receipts of a block that may hold a log are missing.
    #[error("the receipts of block {height} are missing")]
    Receipts {
        /// Its height.
        height: u64,
    },
    /// The receipts of a block are not all, or not that block's.
    #[error("the receipts of block {height} are not those that its header tells of")]
    Omitted {
        /// Its height.
        height: u64,
    },
    /// A signature request is missing, or there is one too many.
    #[error("signature request {found} where {expected} comes next")]
    Trace {
        /// The number that comes next.
        expected: U256,
        /// The number there is.
        found: U256,
    },
}

/// The blocks of a range whose receipts are needed: their blooms admit a log of the contract.
pub fn admitted(headers: &[Header], contract: Address) -> impl Iterator<Item = &Header> {
    let admits = move |bloom: Bloom| bloom.contains_input(BloomInput::Raw(contract.as_slice()));
    headers.iter().filter(move |header| header.bloom.is_none_or(admits))
}

/// Judges a range. The contract's own logs come back, with the mark where the next range begins.
///
/// # Errors
/// [`Incomplete`]: it does not count, and is read again.
pub fn judge(
    from: Mark,
    headers: &[Header],
    shown: &[Shown],
    next_trace: U256,
    contract: Address,
) -> Result<(Mark, Vec<Log>), Incomplete> {
    let last = headers.last().ok_or(Incomplete::Empty)?;
    let mut before = (from.height, from.hash);
    for header in headers {
        if before.0.checked_add(1) != Some(header.height) || header.parent != before.1 {
            return Err(Incomplete::Broken { height: header.height });
        }
        before = (header.height, header.hash);
    }
    let mut own = Vec::new();
    for header in admitted(headers, contract) {
        let receipts = shown.iter().find(|shown| shown.block == header.hash);
        let Shown { logs, root, .. } = receipts.ok_or(Incomplete::Receipts { height: header.height })?;
        if !logs.iter().all(|log| log.at.block == header.hash && log.at.height == header.height)
            || header.receipts.is_some_and(|receipts| receipts != *root)
            || header.bloom.is_some_and(|bloom| bloom != bloom_of(logs))
        {
            return Err(Incomplete::Omitted { height: header.height });
        }
        own.extend(logs.iter().filter(|log| log.address == contract).cloned());
    }
    let mut expected = from.next_trace;
    let is_request = |log: &&Log| log.topics.first() == Some(&abi::ZrSigRequest::SIGNATURE_HASH);
    for log in own.iter().filter(is_request) {
        let found = log.topics.get(1).map_or(U256::MAX, |topic| (*topic).into());
        if found != expected {
            return Err(Incomplete::Trace { expected, found });
        }
        expected = expected.saturating_add(U256::from(1));
    }
    if expected != next_trace {
        return Err(Incomplete::Trace { expected, found: next_trace });
    }
    Ok((Mark { height: last.height, hash: last.hash, next_trace }, own))
}

/// The bloom that a header tells of these logs.
fn bloom_of(logs: &[Log]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        log.topics.iter().for_each(|topic| bloom.accrue(BloomInput::Raw(topic.as_slice())));
    }
    bloom
}

#[cfg(test)]
mod tests {
    use super::super::name::LogPlace;
    use super::*;
    use alloy_primitives::{Bytes, address, keccak256};

    const CONTRACT: Address = address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0");
    const OTHER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");

    fn hash(height: u64) -> B256 {
        keccak256(height.to_be_bytes())
    }

    fn root(height: u64) -> B256 {
        keccak256(hash(height))
    }

    fn log(height: u64, index: u64, address: Address, trace: Option<u64>) -> Log {
        let topics = match trace {
            Some(trace) => vec![abi::ZrSigRequest::SIGNATURE_HASH, U256::from(trace).into(), B256::ZERO],
            None => vec![B256::repeat_byte(7)],
        };
        Log { at: LogPlace { height, block: hash(height), index }, address, topics, data: Bytes::new() }
    }

    /// Blocks 11 to 15; trace 3 in the second, 4 and 5 in the fourth, beside logs of somebody else.
    fn range() -> (Mark, Vec<Header>, Vec<Shown>) {
        let logs = |height| match height {
            12 => vec![log(12, 0, CONTRACT, Some(3))],
            13 => vec![log(13, 0, OTHER, None)],
            14 => vec![log(14, 0, CONTRACT, Some(4)), log(14, 1, OTHER, None), log(14, 2, CONTRACT, Some(5))],
            _ => Vec::new(),
        };
        let header = |height| Header {
            height,
            hash: hash(height),
            parent: hash(height - 1),
            bloom: Some(bloom_of(&logs(height))),
            receipts: Some(root(height)),
        };
        let headers: Vec<Header> = (11..=15).map(header).collect();
        let shown = admitted(&headers, CONTRACT)
            .map(|header| Shown { block: header.hash, root: root(header.height), logs: logs(header.height) })
            .collect();
        (Mark { height: 10, hash: hash(10), next_trace: U256::from(3) }, headers, shown)
    }

    fn judged(
        change: impl FnOnce(&mut Mark, &mut Vec<Header>, &mut Vec<Shown>),
        next: u64,
    ) -> Result<(Mark, Vec<Log>), Incomplete> {
        let (mut from, mut headers, mut shown) = range();
        change(&mut from, &mut headers, &mut shown);
        judge(from, &headers, &shown, U256::from(next), CONTRACT)
    }

    #[test]
    fn a_whole_range_gives_the_contracts_logs_and_the_next_mark() {
        let (mark, logs) = judged(|_, _, _| (), 6).unwrap();
        assert_eq!(mark, Mark { height: 15, hash: hash(15), next_trace: U256::from(6) });
        assert_eq!(logs.len(), 3);
        assert!(logs.iter().all(|log| log.address == CONTRACT));
        let (_, headers, shown) = range();
        assert_eq!((admitted(&headers, CONTRACT).count(), shown.len()), (2, 2), "only where there may be one");
    }

    #[test]
    fn headers_that_do_not_follow_each_other_are_no_range() {
        assert_eq!(judged(|_, headers, _| headers.clear(), 6), Err(Incomplete::Empty));
        for place in 0..5_usize {
            let height = 11 + place as u64;
            let forked = judged(|_, headers, _| headers[place].parent = B256::ZERO, 6);
            assert_eq!(forked, Err(Incomplete::Broken { height }));
        }
        let gap = judged(|_, headers, _| headers.retain(|header| header.height != 13), 6);
        assert_eq!(gap, Err(Incomplete::Broken { height: 14 }));
        let reorganised = judged(|from, _, _| from.hash = B256::ZERO, 6);
        assert_eq!(reorganised, Err(Incomplete::Broken { height: 11 }));
    }

    #[test]
    fn what_a_node_omits_repeats_or_invents_is_noticed() {
        let missing = judged(|_, _, shown| drop(shown.remove(0)), 6);
        assert_eq!(missing, Err(Incomplete::Receipts { height: 12 }));
        let omitted = judged(|_, _, shown| drop(shown[0].logs.remove(0)), 6);
        assert_eq!(omitted, Err(Incomplete::Omitted { height: 12 }));
        let elsewhere = judged(|_, _, shown| shown[0].logs[0].at.height = 13, 6);
        assert_eq!(elsewhere, Err(Incomplete::Omitted { height: 12 }));
        let invented = judged(|_, _, shown| shown[0].logs.push(log(12, 1, CONTRACT, Some(9))), 6);
        assert_eq!(invented, Err(Incomplete::Omitted { height: 12 }));
        // Beside another request of the same block a bloom tells nothing of the contract; the numbers do.
        let one_of_two = judged(|_, _, shown| drop(shown[1].logs.remove(2)), 6);
        assert!(one_of_two.is_err(), "{one_of_two:?}");
        let repeated = judged(|_, _, shown| shown[1].logs.push(log(14, 3, CONTRACT, Some(5))), 6);
        assert_eq!(repeated, Err(Incomplete::Trace { expected: U256::from(6), found: U256::from(5) }));
    }

    /// The data of a log is in no bloom and no count.
    #[test]
    fn what_a_node_changes_within_a_log_is_noticed_by_the_root() {
        let change = |shown: &mut Vec<Shown>| {
            shown[0].logs[0].data = Bytes::from_static(b"another payload");
            shown[0].root = B256::ZERO;
        };
        let changed = judged(|_, _, shown| change(shown), 6);
        assert_eq!(changed, Err(Incomplete::Omitted { height: 12 }));
        let unproven = judged(|_, headers, shown| (headers[1].receipts = None, change(shown)).1, 6);
        assert!(unproven.is_ok(), "without a root nobody can tell: {unproven:?}");
    }

    #[test]
    fn without_blooms_every_block_must_show_its_receipts() {
        let forget = |headers: &mut Vec<Header>| headers.iter_mut().for_each(|header| header.bloom = None);
        let missing = judged(|_, headers, _| forget(headers), 6);
        assert_eq!(missing, Err(Incomplete::Receipts { height: 11 }));
        let show = |headers: &mut Vec<Header>, shown: &mut Vec<Shown>| {
            forget(headers);
            let empty = |height| Shown { block: hash(height), root: root(height), logs: Vec::new() };
            shown.extend([11, 13, 15].map(empty));
        };
        let (_, logs) = judged(|_, headers, shown| show(headers, shown), 6).unwrap();
        assert_eq!(logs.len(), 3);
    }

    #[test]
    fn the_contracts_own_count_ends_every_range() {
        for next in [5, 7] {
            let counted = judged(|_, _, _| (), next);
            assert_eq!(counted, Err(Incomplete::Trace { expected: U256::from(6), found: U256::from(next) }));
        }
        let earlier = judged(|from, _, _| from.next_trace = U256::from(2), 6);
        assert_eq!(earlier, Err(Incomplete::Trace { expected: U256::from(2), found: U256::from(3) }));
    }
}
