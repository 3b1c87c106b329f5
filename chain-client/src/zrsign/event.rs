//! From logs to requests.
//!
//! A topic tells the shape of a log, not what its type number means: deployments of different dates gave the numbers
//! different meanings, so they are read from the contract's own getters ([`TypeNumbers`]). A log that is not exactly what
//! it should be is an error with a reason: it is recorded and never answered, and the next one is served.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;
use serde::{Deserialize, Serialize};

use super::abi;
use super::name::{Destinations, LogPlace, Proxy, Slot, TraceName, WalletKind};
use super::transaction::{self, LegacyTransaction, PayloadError, SimpleTransaction};

/// A log of the contract, as a receipt shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where it stands.
    pub at: LogPlace,
    /// Who wrote it.
    pub address: Address,
    /// The event's hash and its indexed fields.
    pub topics: Vec<B256>,
    /// The rest.
    pub data: Bytes,
}

/// What the contract's type numbers mean, by its own getters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeNumbers {
    /// `IS_HASH_MASK`.
    pub hash: u8,
    /// `IS_DATA_MASK`, where the contract has it.
    pub data: Option<u8>,
    /// `IS_TX_MASK`.
    pub transaction: u8,
    /// `IS_SIMPLE_TX_MASK`.
    pub simple: u8,
}

/// What kind of signature is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureKind {
    /// Of these 32 bytes.
    Hash,
    /// Of the hash of these bytes.
    Data,
    /// Of a transaction.
    Transaction,
    /// Of a transaction that the responder completes.
    Simple,
}

/// A key is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAsked {
    /// The slot that it opens, or that is open already.
    pub slot: Slot,
    /// The log.
    pub at: LogPlace,
}

/// A signature is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureAsked {
    /// Which request.
    pub name: TraceName,
    /// By which wallet.
    pub wallet: Slot,
    /// Where the transaction is to go, as the contract names it.
    pub destination: B256,
    /// What is to be signed.
    pub payload: Bytes,
    /// How.
    pub kind: SignatureKind,
    /// Whether relayers are to send it.
    pub broadcast: bool,
}

/// What a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key is asked for.
    Key(KeyAsked),
    /// A signature is asked for.
    Signature(Box<SignatureAsked>),
    /// A slot was filled with this address text.
    KeyResolved(Slot, String),
    /// A signature request was answered.
    SignatureResolved {
        /// Which.
        trace: U256,
        /// What was said to be signed.
        meta_data: Bytes,
        /// The wallet's signature.
        signature: Bytes,
        /// Whether relayers are to send it, as the answer says.
        broadcast: bool,
    },
    /// A destination was allowed, or forbidden.
    Destination {
        /// Its CAIP-2 text.
        caip: String,
        /// Its id, as the contract has it.
        id: B256,
        /// Whether it is allowed.
        supported: bool,
    },
    /// The proxy runs other code from here on.
    Upgraded(Address),
}

/// Why a log of the contract is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It does not decode.
    #[error("the log is not what its topic says")]
    Malformed,
    /// A wallet type that this program does not serve.
    #[error("wallet type {0} is not served")]
    WalletType(B256),
    /// A type number that none of the contract's getters names.
    #[error("request type {0} is none of the contract's")]
    Kind(u8),
    /// The wallet's name is not made as this program makes it: an older deployment.
    #[error("the wallet is named {shown}, expected {expected}")]
    WalletName {
        /// In the log.
        shown: B256,
        /// From its parts.
        expected: B256,
    },
}

/// What a log of a proxy says; `None` for one that nobody here needs.
///
/// # Errors
/// [`EventError`].
pub fn decode(proxy: Proxy, log: &Log, numbers: TypeNumbers) -> Result<Option<Event>, EventError> {
    let Some(topic) = log.topics.first().filter(|_| log.address == proxy.address) else { return Ok(None) };
    let topics = || log.topics.iter().copied();
    let malformed = |_| EventError::Malformed;
    let slot = |kind: B256, owner, index| match WalletKind::of(kind) {
        Some(kind) => Ok(Slot { proxy, kind, owner, index }),
        None => Err(EventError::WalletType(kind)),
    };
    Ok(Some(match *topic {
        abi::ZrKeyRequest::SIGNATURE_HASH => {
            let event = abi::ZrKeyRequest::decode_raw_log(topics(), &log.data).map_err(malformed)?;
            Event::Key(KeyAsked { slot: slot(event.walletTypeId, event.owner, event.walletIndex)?, at: log.at })
        }
        abi::ZrKeyResolve::SIGNATURE_HASH => {
            let event = abi::ZrKeyResolve::decode_raw_log(topics(), &log.data).map_err(malformed)?;
            Event::KeyResolved(slot(event.walletTypeId, event.owner, event.walletIndex)?, event.addr)
        }
        abi::ZrSigRequest::SIGNATURE_HASH => {
            let event = abi::ZrSigRequest::decode_raw_log(topics(), &log.data).map_err(malformed)?;
            let abi::SigReqParams { walletTypeId, walletIndex, owner, zrSignReqType, .. } = event.params;
            let wallet = slot(walletTypeId, owner, walletIndex)?;
            let expected = wallet.wallet_id();
            if event.walletId != expected {
                return Err(EventError::WalletName { shown: event.walletId, expected });
            }
            Event::Signature(Box::new(SignatureAsked {
                name: TraceName { proxy, trace: event.traceId, at: log.at },
                wallet,
                destination: event.params.dstChainId,
                payload: event.params.payload,
                kind: numbers.kind(zrSignReqType).ok_or(EventError::Kind(zrSignReqType))?,
                broadcast: event.params.broadcast,
            }))
        }
        abi::ZrSigResolve::SIGNATURE_HASH => {
            let event = abi::ZrSigResolve::decode_raw_log(topics(), &log.data).map_err(malformed)?;
            let abi::ZrSigResolve { traceId: trace, metaData: meta_data, signature, broadcast } = event;
            Event::SignatureResolved { trace, meta_data, signature, broadcast }
        }
        abi::ChainIdSupport::SIGNATURE_HASH => {
            let event = abi::ChainIdSupport::decode_raw_log(topics(), &log.data).map_err(malformed)?;
            Event::Destination { caip: event.caip, id: event.chainId, supported: event.support }
        }
        abi::Upgraded::SIGNATURE_HASH => {
            let event = abi::Upgraded::decode_raw_log(topics(), &log.data).map_err(malformed)?;
            Event::Upgraded(event.implementation)
        }
        _ => return Ok(None),
    }))
}

impl TypeNumbers {
    /// Those of the state of October 2024.
    pub const V1: Self = Self { hash: 0, data: None, transaction: 1, simple: 2 };

    fn kind(self, number: u8) -> Option<SignatureKind> {
        let known = [
            (Some(self.hash), SignatureKind::Hash),
            (self.data, SignatureKind::Data),
            (Some(self.transaction), SignatureKind::Transaction),
            (Some(self.simple), SignatureKind::Simple),
        ];
        known.into_iter().find(|(known, _)| *known == Some(number)).map(|(_, kind)| kind)
    }
}

/// What a wallet is to sign, judged from the request alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// This digest.
    Digest(B256),
    /// The digest of this transaction once it is completed for that EIP-155 chain.
    Complete(SimpleTransaction, u64),
}

/// Why a signature request can never be answered, judged from it alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What is to be signed.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A transaction for a wallet that is none of an EVM chain's.
    #[error("a transaction by a wallet that is not an EVM wallet")]
    Wallet,
    /// The destination is no EVM chain that anybody told us of.
    #[error("destination {0} is no known EVM chain")]
    Destination(B256),
    /// A hash is never sent by a relayer.
    #[error("a hash or data with a wish to broadcast it")]
    Broadcast,
}

impl SignatureAsked {
    /// What is to be signed.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn task(&self, destinations: &Destinations) -> Result<Task, Refusal> {
        match self.kind {
            SignatureKind::Hash | SignatureKind::Data if self.broadcast => Err(Refusal::Broadcast),
            SignatureKind::Hash => Ok(Task::Digest(transaction::hash(&self.payload)?)),
            SignatureKind::Data => Ok(Task::Digest(alloy_primitives::keccak256(&self.payload))),
            SignatureKind::Transaction | SignatureKind::Simple if self.wallet.kind != WalletKind::Evm => {
                Err(Refusal::Wallet)
            }
            SignatureKind::Transaction => {
                let chain = self.chain(destinations)?;
                Ok(Task::Digest(LegacyTransaction::decode(&self.payload)?.digest(chain)))
            }
            SignatureKind::Simple => {
                let chain = self.chain(destinations)?;
                Ok(Task::Complete(SimpleTransaction::decode(&self.payload)?, chain))
            }
        }
    }

    fn chain(&self, destinations: &Destinations) -> Result<u64, Refusal> {
        destinations.eip155(self.destination).ok_or(Refusal::Destination(self.destination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256, bytes, keccak256};

    const PROXY: Proxy = Proxy { chain: 31_337, address: address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0") };
    const USER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
    const AT: LogPlace = LogPlace { height: 7, block: B256::ZERO, index: 0 };

    fn wallet() -> Slot {
        Slot { proxy: PROXY, kind: WalletKind::Evm, owner: USER, index: U256::ZERO }
    }

    /// The log of worked example 3.
    fn hash_request() -> Log {
        let data = bytes!(
            "0000000000000000000000000000000000000000000000000002a106ad2240000000000000000000000000000000000000000000000000000001c6bf526340000000000000000000000000000000000000000000000000000000000000000060e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a0000000000000000000000000000000000000000000000000000000000000000afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb700000000000000000000000000000000000000000000000000000000000000e000000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a650000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000202a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0"
        );
        let topics = vec![abi::ZrSigRequest::SIGNATURE_HASH, B256::ZERO, wallet().wallet_id()];
        Log { at: AT, address: PROXY.address, topics, data }
    }

    fn asked(log: &Log, numbers: TypeNumbers) -> SignatureAsked {
        match decode(PROXY, log, numbers) {
            Ok(Some(Event::Signature(asked))) => *asked,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_examples_logs_are_read() {
        let topics = vec![abi::ZrKeyRequest::SIGNATURE_HASH, WalletKind::Evm.id(), USER.into_word(), B256::ZERO];
        let data = bytes!(
            "00000000000000000000000000000000000000000000000000000000000000010000000000000000000000000000000000000000000000000002a106ad2240000000000000000000000000000000000000000000000000000001c6bf52634000"
        );
        let key = Log { at: AT, address: PROXY.address, topics, data };
        assert_eq!(decode(PROXY, &key, TypeNumbers::V1), Ok(Some(Event::Key(KeyAsked { slot: wallet(), at: AT }))));
        let request = asked(&hash_request(), TypeNumbers::V1);
        assert_eq!((request.name.trace, request.kind, request.broadcast), (U256::ZERO, SignatureKind::Hash, false));
        let digest = b256!("2a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0");
        assert_eq!(request.task(&Destinations::default()), Ok(Task::Digest(digest)));
    }

    #[test]
    fn logs_of_others_and_of_other_events_are_nobodys() {
        let foreign = Log { address: USER, ..hash_request() };
        assert_eq!(decode(PROXY, &foreign, TypeNumbers::V1), Ok(None));
        let other = Log { topics: vec![B256::repeat_byte(1)], ..hash_request() };
        assert_eq!(decode(PROXY, &other, TypeNumbers::V1), Ok(None));
        let bare = Log { topics: Vec::new(), ..hash_request() };
        assert_eq!(decode(PROXY, &bare, TypeNumbers::V1), Ok(None));
    }

    #[test]
    fn a_log_that_is_not_what_it_says_is_an_error_and_no_panic() {
        let log = hash_request();
        for cut in 0..log.data.len() {
            let cut = Log { data: log.data.slice(..cut), ..log.clone() };
            assert_eq!(decode(PROXY, &cut, TypeNumbers::V1), Err(EventError::Malformed));
        }
        let fewer = Log { topics: log.topics[..2].to_vec(), ..log.clone() };
        assert_eq!(decode(PROXY, &fewer, TypeNumbers::V1), Err(EventError::Malformed));
        let renamed = Log { topics: vec![log.topics[0], B256::ZERO, B256::repeat_byte(9)], ..log };
        assert!(matches!(decode(PROXY, &renamed, TypeNumbers::V1), Err(EventError::WalletName { .. })));
    }

    #[test]
    fn a_type_number_means_what_the_contract_says() {
        let numbers = TypeNumbers { hash: 1, data: Some(0), transaction: 2, simple: 4 };
        assert_eq!(asked(&hash_request(), numbers).kind, SignatureKind::Data);
        let none = TypeNumbers { hash: 1, data: None, transaction: 2, simple: 4 };
        assert_eq!(decode(PROXY, &hash_request(), none), Err(EventError::Kind(0)));
    }

    #[test]
    fn what_can_never_be_signed_is_refused_with_its_reason() {
        let request = asked(&hash_request(), TypeNumbers::V1);
        let known = {
            let mut known = Destinations::default();
            known.learn("eip155:11155111");
            known
        };
        let with = |change: &dyn Fn(&mut SignatureAsked)| {
            let mut request = request.clone();
            change(&mut request);
            request.task(&known)
        };
        let short = with(&|request| request.payload = bytes!("01"));
        assert_eq!(short, Err(Refusal::Payload(PayloadError::HashLength { found: 1 })));
        assert_eq!(with(&|request| request.broadcast = true), Err(Refusal::Broadcast));
        let bitcoin = with(&|request| {
            request.kind = SignatureKind::Transaction;
            request.wallet.kind = WalletKind::BitcoinTestnet;
        });
        assert_eq!(bitcoin, Err(Refusal::Wallet));
        let nowhere = with(&|request| {
            request.kind = SignatureKind::Simple;
            request.destination = B256::repeat_byte(3);
        });
        assert_eq!(nowhere, Err(Refusal::Destination(B256::repeat_byte(3))));
        let rlp = with(&|request| request.kind = SignatureKind::Transaction);
        assert!(matches!(rlp, Err(Refusal::Payload(_))));
        let data = with(&|request| {
            request.kind = SignatureKind::Data;
            request.payload = bytes!("0102");
        });
        assert_eq!(data, Ok(Task::Digest(keccak256([1, 2]))));
    }
}
