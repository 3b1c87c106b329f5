//! What was read, and from where: endpoint and height stay attached, because facts of different heights or
//! endpoints must never decide together whether a transaction is dead.
//!
//! Refuses to decide anything. [`Reading`] can only be made of two facts of one endpoint and one height.

use serde::{Deserialize, Serialize};

use crate::name::{EndpointId, Height, KeyType, RequestId};
use crate::request::{LowWater, Request, Standing};

/// A fact with its origin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pinned<T> {
    /// Who said it.
    pub endpoint: EndpointId,
    /// The height of the state it was said of.
    pub height: Height,
    /// What was said.
    pub value: T,
}

impl<T> Pinned<T> {
    /// The same origin, another value.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U) -> Pinned<U> {
        Pinned { endpoint: self.endpoint, height: self.height, value: turn(self.value) }
    }

    /// Whether both were said by one endpoint of one height.
    #[must_use]
    pub fn agrees<U>(&self, other: &Pinned<U>) -> bool {
        self.endpoint == other.endpoint && self.height == other.height
    }
}

/// An account's place in the order of its transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccountFacts {
    /// The number that is part of every signature.
    pub number: u64,
    /// The sequence that the next transaction must carry.
    pub sequence: u64,
}

/// An account and a request, seen together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reading {
    endpoint: EndpointId,
    height: Height,
    account: AccountFacts,
    request: RequestId,
    standing: Standing,
}

/// Two facts that must be of one endpoint and height are not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("account read from {0} at height {1}, request from {2} at height {3}: read both again together")]
pub struct MixedReading(EndpointId, Height, EndpointId, Height);

impl Reading {
    /// Puts two facts together.
    ///
    /// # Errors
    /// When they are of different endpoints or heights: read again.
    pub fn of(
        account: Pinned<AccountFacts>,
        request: RequestId,
        standing: Pinned<Standing>,
    ) -> Result<Self, MixedReading> {
        if !account.agrees(&standing) {
            return Err(MixedReading(account.endpoint, account.height, standing.endpoint, standing.height));
        }
        let Pinned { endpoint, height, value: account } = account;
        Ok(Self { endpoint, height, account, request, standing: standing.value })
    }

    /// Who said both.
    #[must_use]
    pub const fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// The one height of both.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// The account at that height.
    #[must_use]
    pub const fn account(&self) -> AccountFacts {
        self.account
    }

    /// Which request was looked at.
    #[must_use]
    pub const fn request(&self) -> RequestId {
        self.request
    }

    /// The request at that height.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }
}

/// A block's place and hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: [u8; 32],
    /// The chain's own time of it, in milliseconds since 1970. Facts of the chain, not of any clock.
    pub time_unix_ms: i64,
}

/// All open requests of one keyring, of one endpoint and height.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// Open requests in ascending order; children and parents included.
    pub requests: Vec<Request>,
    /// Where the next scan may start.
    pub low_water: LowWater,
    /// Whether the scan reached the newest request; otherwise scan again from `low_water`.
    pub complete: bool,
    /// Requests that stand there and cannot be read: larger than the bound on replies, or of a form we do not know.
    pub unreadable: Vec<RequestId>,
}

/// A key as the chain keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChainKey {
    /// The id, which is also that of the request that made it.
    pub id: u64,
    /// Its type.
    pub key_type: KeyType,
    /// As the keyring gave it: 33 or 32 bytes.
    pub public_key: Vec<u8>,
    /// Who owns it.
    pub workspace: String,
    /// Whose it is.
    pub keyring: String,
    /// Whether it is a deposit key with a recipient, whose requests the chain takes from the asset's proxy only.
    pub is_deposit: bool,
}

/// A keyring as the chain keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyringFacts {
    /// Its address.
    pub address: String,
    /// Accounts that may answer.
    pub parties: Vec<String>,
    /// Answers that fulfil; 0 counts as 1.
    pub party_threshold: u32,
    /// urock that each answering party pays for a key.
    pub key_fee_urock: u64,
    /// urock that each answering party pays for a signature.
    pub signature_fee_urock: u64,
    /// While false, every answer rejects its request.
    pub active: bool,
}

/// Parameters of the chain that concern a keyring.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TreasuryFacts {
    /// The floor on fees, such as `0.0001urock`; empty means none.
    pub min_gas_price: String,
    /// Life of a request in blocks.
    pub lifetime_blocks: u64,
    /// The account trusted to forward zrSign's requests; empty when zrSign is off.
    pub zr_sign_address: String,
    /// The keyring that serves zrSign; empty when none does.
    pub mpc_keyring: String,
}
