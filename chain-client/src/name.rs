//! Names of things on a chain: which chain, which height, which request, which kind of key.
//!
//! Refuses to know how any of them is fetched. Every name is small, ordered and short in `Display`, because
//! replayable code keeps them in ordered maps.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The chain's own name, for example `zenrock`: part of every signed byte, so never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainId(String);

/// A chain id must be 1 to 50 printable characters without blanks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("chain id {0:?} must be 1 to 50 printable ASCII characters without blanks")]
pub struct InvalidChainId(String);

impl ChainId {
    /// Takes a chain's name.
    ///
    /// # Errors
    /// When the text is empty, longer than 50 bytes, or holds anything but visible ASCII: mend the configuration.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidChainId> {
        let text = text.into();
        let fits = (1..=50).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(InvalidChainId(text)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChainId {
    type Error = InvalidChainId;

    fn try_from(text: String) -> Result<Self, InvalidChainId> {
        Self::new(text)
    }
}

impl From<ChainId> for String {
    fn from(chain: ChainId) -> Self {
        chain.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A block height: the state after that block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Height(pub u64);

impl Height {
    /// The height `blocks` later, at most `u64::MAX`.
    #[must_use]
    pub fn after(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }
}

impl fmt::Display for Height {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The two counters from which a chain numbers requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RequestKind {
    /// Make me a key.
    Key,
    /// Sign this.
    Signature,
}

/// A request's name on its chain. Numbers of the two kinds overlap, so the kind is part of the name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RequestId {
    /// Which counter.
    pub kind: RequestKind,
    /// From 1.
    pub number: u64,
}

impl RequestId {
    /// The key request of that number.
    #[must_use]
    pub const fn key(number: u64) -> Self {
        Self { kind: RequestKind::Key, number }
    }

    /// The signature request of that number.
    #[must_use]
    pub const fn signature(number: u64) -> Self {
        Self { kind: RequestKind::Signature, number }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RequestKind::Key => "key",
            RequestKind::Signature => "signature",
        };
        write!(out, "{kind}-{}", self.number)
    }
}

/// What the chain means by a key. The first and the last are one curve; they differ in the form of their signatures.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum KeyType {
    /// secp256k1, signatures `r‖s‖v`.
    EcdsaSecp256k1,
    /// Ed25519 over the whole message.
    EddsaEd25519,
    /// secp256k1, signatures submitted as `r‖s` and kept by the chain as DER.
    BitcoinSecp256k1,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EcdsaSecp256k1, Self::EddsaEd25519, Self::BitcoinSecp256k1];

    /// The constant's name, as the chain's answers spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaSecp256k1 => "KEY_TYPE_ECDSA_SECP256K1",
            Self::EddsaEd25519 => "KEY_TYPE_EDDSA_ED25519",
            Self::BitcoinSecp256k1 => "KEY_TYPE_BITCOIN_SECP256K1",
        }
    }

    /// The type with exactly this name; nothing else is guessed at.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.name() == name)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::EcdsaSecp256k1 => "ecdsa",
            Self::EddsaEd25519 => "eddsa",
            Self::BitcoinSecp256k1 => "bitcoin",
        })
    }
}

/// Which of a chain's configured endpoints, in the order of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EndpointId(pub u16);

impl fmt::Display for EndpointId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "endpoint {}", self.0)
    }
}
