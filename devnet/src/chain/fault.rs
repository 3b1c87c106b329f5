//! How a transaction or a query fails, in the chain's own code spaces.

use thiserror::Error;

/// A transaction's failure: code space, code and the text that stands in its log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{codespace} {code}: {log}")]
pub struct TxFault {
    /// `sdk`, `treasury`, `identity`, `undefined`, …
    pub codespace: &'static str,
    /// Never 0.
    pub code: u32,
    /// What the log says.
    pub log: String,
    /// Stopped the whole run (out of gas, a panic): the log names no message.
    pub(crate) whole_run: bool,
}

impl TxFault {
    fn sdk(code: u32, log: String) -> Self {
        Self { codespace: "sdk", code, log, whole_run: false }
    }

    /// An error of a handler that carries no code of its own.
    pub(crate) fn plain(log: impl Into<String>) -> Self {
        Self { codespace: "undefined", code: 1, log: log.into(), whole_run: false }
    }

    /// A module's registered error.
    pub(crate) fn module(codespace: &'static str, code: u32, log: impl Into<String>) -> Self {
        Self { codespace, code, log: log.into(), whole_run: false }
    }

    /// A runtime panic of the live chain, caught by its transaction runner.
    pub(crate) fn panic(what: &str) -> Self {
        Self {
            codespace: "undefined",
            code: 111_222,
            log: format!("recovered: runtime error: {what}"),
            whole_run: true,
        }
    }

    pub(crate) fn undecodable(what: impl std::fmt::Display) -> Self {
        Self::sdk(2, format!("{what}: tx parse error"))
    }

    pub(crate) fn unauthorized(what: impl std::fmt::Display) -> Self {
        Self::sdk(4, format!("{what}: unauthorized"))
    }

    pub(crate) fn insufficient_funds(what: impl std::fmt::Display) -> Self {
        Self::sdk(5, format!("{what}: insufficient funds"))
    }

    pub(crate) fn invalid_address(what: impl std::fmt::Display) -> Self {
        Self::sdk(7, format!("{what}: invalid address"))
    }

    pub(crate) fn invalid_public_key(what: impl std::fmt::Display) -> Self {
        Self::sdk(8, format!("{what}: invalid pubkey"))
    }

    pub(crate) fn unknown_address(what: impl std::fmt::Display) -> Self {
        Self::sdk(9, format!("{what}: unknown address"))
    }

    pub(crate) fn invalid_coins(what: impl std::fmt::Display) -> Self {
        Self::sdk(10, format!("{what}: invalid coins"))
    }

    pub(crate) fn out_of_gas(place: &str, wanted: u64, used: u64) -> Self {
        let log = format!("out of gas in location: {place}; gasWanted: {wanted}, gasUsed: {used}: out of gas");
        Self { codespace: "sdk", code: 11, log, whole_run: true }
    }

    pub(crate) fn memo_too_large(characters: usize) -> Self {
        Self::sdk(
            12,
            format!("maximum number of characters is 256 but received {characters} characters: memo too large"),
        )
    }

    pub(crate) fn insufficient_fee(what: impl std::fmt::Display) -> Self {
        Self::sdk(13, format!("{what}: insufficient fee"))
    }

    pub(crate) fn invalid_request(what: impl std::fmt::Display) -> Self {
        Self::sdk(18, format!("{what}: invalid request"))
    }

    pub(crate) fn already_in_mempool() -> Self {
        Self::sdk(19, String::new())
    }

    pub(crate) fn mempool_full(held: usize) -> Self {
        Self::sdk(20, format!("mempool is full: number of txs {held}"))
    }

    pub(crate) fn too_large(bytes: usize, limit: usize) -> Self {
        Self::sdk(21, format!("tx too large: {bytes} bytes, limit {limit}"))
    }

    pub(crate) fn past_timeout(height: u64, timeout: u64) -> Self {
        Self::sdk(30, format!("block height: {height}, timeout height: {timeout}: tx timeout height"))
    }

    pub(crate) fn wrong_sequence(expected: u64, got: u64) -> Self {
        Self::sdk(32, format!("account sequence mismatch, expected {expected}, got {got}: incorrect account sequence"))
    }

    /// As the log of a failed execution reads.
    pub(crate) fn of_message(mut self, index: usize) -> Self {
        if !self.whole_run {
            self.log = format!("failed to execute message; message index: {index}: {}", self.log);
        }
        self
    }
}

/// A gRPC status that a query may end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryStatus {
    /// Most failures of a live chain, "not found" of its own modules included.
    Unknown,
    /// The request itself is malformed.
    InvalidArgument,
    /// The SDK's own services: no such account or transaction.
    NotFound,
    /// No such method.
    Unimplemented,
}

/// A query that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{status:?}: {details}")]
pub struct QueryError {
    /// The gRPC status.
    pub status: QueryStatus,
    /// Its text.
    pub details: String,
    /// Height of the state that was asked; none where the height itself was refused, and before any state was.
    pub height: Option<u64>,
}

impl QueryError {
    pub(crate) fn new(status: QueryStatus, details: String) -> Self {
        Self { status, details, height: None }
    }

    pub(crate) fn at(self, height: u64) -> Self {
        Self { height: Some(height), ..self }
    }

    pub(crate) fn unknown(details: impl Into<String>) -> Self {
        Self::new(QueryStatus::Unknown, details.into())
    }

    pub(crate) fn not_found(details: impl Into<String>) -> Self {
        Self::new(QueryStatus::NotFound, details.into())
    }

    pub(crate) fn invalid(details: impl Into<String>) -> Self {
        Self::new(QueryStatus::InvalidArgument, details.into())
    }
}
