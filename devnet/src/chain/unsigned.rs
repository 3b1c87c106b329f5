//! Unsigned foreign transactions: what is to be signed, and what amount a policy may look at.
//!
//! Parsers of bytes that users choose. They never panic here; where the live chain's parser does, they say so, and the
//! transaction fails with its code.

pub(crate) mod bitcoin;
pub(crate) mod evm;
pub(crate) mod solana;

use sha2::{Digest, Sha256};

/// What parsing gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Digests or messages to sign.
    pub(crate) data: Vec<Vec<u8>>,
    /// Decimal amount for policies; `<nil>` where the chain knows none.
    pub(crate) value: String,
}

/// Why there is nothing to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The bytes are not such a transaction.
    Invalid(String),
    /// The live chain's parser panics on them.
    Panic(String),
}

impl Refusal {
    fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }
}

const NO_VALUE: &str = "<nil>";

/// A Cosmos sign document, or any bytes: SHA-256 of them is signed.
pub(crate) fn native(bytes: &[u8]) -> Parsed {
    Parsed { data: vec![Sha256::digest(bytes).to_vec()], value: NO_VALUE.to_owned() }
}

/// A cursor over bytes that ends, instead of panicking.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or_else(|| Refusal::invalid("unexpected EOF"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        self.take(N)?.try_into().map_err(|_| Refusal::invalid("unexpected EOF"))
    }

    fn byte(&mut self) -> Result<u8, Refusal> {
        Ok(self.array::<1>()?[0])
    }
}
