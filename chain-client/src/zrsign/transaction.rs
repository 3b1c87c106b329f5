//! What a wallet signs for a transaction request: the nine-item legacy payload under EIP-155, and the simple transaction
//! that the responder completes.
//!
//! The payload is RLP of nonce, gas price, gas limit, recipient, value, data and three empty strings; the chain id is not
//! in it and comes from the request's destination. Its own hash is no signing digest. Consumers with broken RLP exist, so
//! everything that is not exactly this form is refused, never guessed.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_rlp::{Decodable, Encodable, Header};
use alloy_sol_types::SolCall as _;
use serde::{Deserialize, Serialize};

use super::abi::transactionCall;

/// Items of the payload.
const ITEMS: usize = 9;
/// Gas of a transfer without data.
const TRANSFER_GAS: u64 = 21_000;

/// Why a payload can never be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A hash that is none.
    #[error("a hash has 32 bytes, this has {found}")]
    HashLength {
        /// Its length.
        found: usize,
    },
    /// A typed transaction: only legacy ones are served.
    #[error("a transaction of type {0}; only legacy transactions are served")]
    Typed(u8),
    /// Not an RLP list, or bytes follow it.
    #[error("not one RLP list")]
    NotAList,
    /// Too few or too many items.
    #[error("{found} items, a legacy transaction to be signed has 9")]
    Items {
        /// How many there are.
        found: usize,
    },
    /// An item that is not what it should be, or not in canonical form.
    #[error("{item} is malformed")]
    Item {
        /// Which.
        item: &'static str,
    },
    /// The call data is not that of `transaction(string,uint256,bytes)`, canonically encoded.
    #[error("not the call data of a simple transaction")]
    NotSimple,
    /// No EVM address, or one with a wrong checksum.
    #[error("the recipient is no valid address")]
    Recipient,
}

/// A legacy transaction that is not signed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyTransaction {
    /// The wallet's count of transactions.
    pub nonce: u64,
    /// Wei for each unit of gas.
    pub gas_price: u128,
    /// Most units of gas.
    pub gas_limit: u64,
    /// The recipient; none makes a contract.
    pub to: TxKind,
    /// Wei.
    pub value: U256,
    /// Call data.
    pub data: Bytes,
}

impl LegacyTransaction {
    /// From the payload of a request.
    ///
    /// # Errors
    /// [`PayloadError`]: it can never be signed.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        if let Some(kind @ 0..=0x7f) = payload.first() {
            return Err(PayloadError::Typed(*kind));
        }
        let items = items(payload)?;
        let [nonce, gas_price, gas_limit, to, value, data, v, r, s] = items.as_slice() else {
            return Err(PayloadError::Items { found: items.len() });
        };
        for (item, bytes) in [("v", v), ("r", r), ("s", s)] {
            if !decoded::<Bytes>(item, bytes)?.is_empty() {
                return Err(PayloadError::Item { item });
            }
        }
        Ok(Self {
            nonce: decoded("nonce", nonce)?,
            gas_price: decoded("gas price", gas_price)?,
            gas_limit: decoded("gas limit", gas_limit)?,
            to: decoded("recipient", to)?,
            value: decoded("value", value)?,
            data: decoded("data", data)?,
        })
    }

    /// The nine-item form, as in a request.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let nothing: &[u8] = &[];
        self.with(&[&nothing, &nothing, &nothing])
    }

    /// What the wallet's key signs for this chain (EIP-155).
    #[must_use]
    pub fn digest(&self, chain: u64) -> B256 {
        let nothing: &[u8] = &[];
        keccak256(self.with(&[&chain, &nothing, &nothing]))
    }

    /// The transaction that a node of this chain takes. `parity` is the recovery byte, 0 or 1.
    #[must_use]
    pub fn signed(&self, chain: u64, r: U256, s: U256, parity: u8) -> Bytes {
        let v = U256::from(chain) * U256::from(2) + U256::from(35 + u64::from(parity));
        self.with(&[&v, &r, &s])
    }

    fn with(&self, last: &[&dyn Encodable; 3]) -> Bytes {
        let first: [&dyn Encodable; 6] =
            [&self.nonce, &self.gas_price, &self.gas_limit, &self.to, &self.value, &self.data];
        let items = || first.iter().chain(last);
        let header = Header { list: true, payload_length: items().map(|item| item.length()).sum() };
        let mut out = Vec::with_capacity(header.length_with_payload());
        header.encode(&mut out);
        items().for_each(|item| item.encode(&mut out));
        out.into()
    }
}

/// The encoded items of one list that fills its bytes.
fn items(payload: &[u8]) -> Result<Vec<&[u8]>, PayloadError> {
    let mut rest = payload;
    let header = Header::decode(&mut rest).map_err(|_| PayloadError::NotAList)?;
    if !header.list || header.payload_length != rest.len() {
        return Err(PayloadError::NotAList);
    }
    let mut items = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let header = Header::decode(&mut rest).map_err(|_| PayloadError::NotAList)?;
        rest = rest.get(header.payload_length..).ok_or(PayloadError::NotAList)?;
        let (item, _) = start.split_at(start.len() - rest.len());
        items.push(item);
        if items.len() > 2 * ITEMS {
            break;
        }
    }
    Ok(items)
}

/// One item that fills its bytes.
fn decoded<T: Decodable>(item: &'static str, bytes: &[u8]) -> Result<T, PayloadError> {
    let mut rest = bytes;
    let value = T::decode(&mut rest).map_err(|_| PayloadError::Item { item })?;
    if rest.is_empty() { Ok(value) } else { Err(PayloadError::Item { item }) }
}

/// A hash request's payload.
///
/// # Errors
/// [`PayloadError::HashLength`].
pub fn hash(payload: &[u8]) -> Result<B256, PayloadError> {
    B256::try_from(payload).map_err(|_| PayloadError::HashLength { found: payload.len() })
}

/// A simple transaction: who pays whom, nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimpleTransaction {
    /// The recipient.
    pub to: Address,
    /// Wei.
    pub value: U256,
    /// Call data.
    pub data: Bytes,
}

/// What the destination chain shows at the block that a proposal names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The wallet's next nonce.
    pub nonce: u64,
    /// The block's base fee, in wei.
    pub base_fee: u128,
    /// What the call would use, where there is call data.
    pub gas_estimate: u64,
}

/// What an operator lets a simple transaction cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Wei for each unit of gas above twice the base fee.
    pub tip: u128,
    /// Highest gas price, in wei.
    pub gas_price_max: u128,
    /// Highest gas limit.
    pub gas_limit_max: u64,
}

/// Why a simple transaction is not completed now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompletionError {
    /// The cap lies below the block's base fee.
    #[error("the destination asks {base_fee} wei for gas, more than the highest price {max}")]
    TooDear {
        /// Of the block.
        base_fee: u128,
        /// The cap.
        max: u128,
    },
    /// The call needs more than the cap.
    #[error("it needs {needed} gas, more than the highest limit {max}")]
    TooMuchGas {
        /// With the margin.
        needed: u64,
        /// The cap.
        max: u64,
    },
    /// Another party offers what this one would not have made.
    #[error("{item} is not what this party finds right: {found}")]
    Other {
        /// What differs.
        item: &'static str,
        /// How it is.
        found: String,
    },
}

impl SimpleTransaction {
    /// From the payload of a request.
    ///
    /// # Errors
    /// [`PayloadError`]: it can never be signed.
    pub fn decode(payload: &[u8]) -> Result<Self, PayloadError> {
        let call = transactionCall::abi_decode(payload).map_err(|_| PayloadError::NotSimple)?;
        // Only one encoding is taken: nothing may hide in another.
        if call.abi_encode() != payload {
            return Err(PayloadError::NotSimple);
        }
        let to = address(&call.to).ok_or(PayloadError::Recipient)?;
        Ok(Self { to, value: call.value, data: call.data })
    }

    /// The payload of a request, with the recipient in its mixed-case form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let call = transactionCall { to: self.to.to_string(), value: self.value, data: self.data.clone() };
        call.abi_encode().into()
    }

    /// The transaction that it becomes: one function of what all parties see at the same block.
    ///
    /// # Errors
    /// [`CompletionError`]: not now.
    pub fn complete(&self, at: Surroundings, caps: Caps) -> Result<LegacyTransaction, CompletionError> {
        let gas_limit = if self.data.is_empty() {
            TRANSFER_GAS
        } else {
            at.gas_estimate.saturating_add(at.gas_estimate / 5).max(TRANSFER_GAS)
        };
        if gas_limit > caps.gas_limit_max {
            return Err(CompletionError::TooMuchGas { needed: gas_limit, max: caps.gas_limit_max });
        }
        let wanted = at.base_fee.saturating_mul(2).saturating_add(caps.tip);
        let gas_price = wanted.min(caps.gas_price_max);
        if gas_price < at.base_fee {
            return Err(CompletionError::TooDear { base_fee: at.base_fee, max: caps.gas_price_max });
        }
        Ok(LegacyTransaction {
            nonce: at.nonce,
            gas_price,
            gas_limit,
            to: TxKind::Call(self.to),
            value: self.value,
            data: self.data.clone(),
        })
    }

    /// Whether a transaction does what was asked, whatever it costs.
    #[must_use]
    pub fn is_done_by(&self, offered: &LegacyTransaction) -> bool {
        offered.to == TxKind::Call(self.to) && offered.value == self.value && offered.data == self.data
    }

    /// Whether a transaction that another party completed may stand, by what this party sees at the same block and by its
    /// own caps. Estimates of gas differ between nodes, tips between operators: it may use less than this party would
    /// have offered, never more, and gas up to half more than this party's estimate.
    ///
    /// # Errors
    /// [`CompletionError`]: not for this party.
    pub fn permits(&self, offered: &LegacyTransaction, at: Surroundings, caps: Caps) -> Result<(), CompletionError> {
        let own = self.complete(at, caps)?;
        let other = |item, found: &dyn ToString| Err(CompletionError::Other { item, found: found.to_string() });
        if !self.is_done_by(offered) {
            return other("what it does", &"another recipient, value or data than was asked for");
        }
        if offered.nonce != at.nonce {
            return other("the nonce", &offered.nonce);
        }
        if !(at.base_fee..=own.gas_price).contains(&offered.gas_price) {
            return other("the gas price", &offered.gas_price);
        }
        let most = at.gas_estimate.saturating_add(at.gas_estimate / 2).clamp(own.gas_limit, caps.gas_limit_max);
        let least = if self.data.is_empty() { TRANSFER_GAS } else { at.gas_estimate.max(TRANSFER_GAS) };
        let most = if self.data.is_empty() { TRANSFER_GAS } else { most };
        if !(least..=most).contains(&offered.gas_limit) {
            return other("the gas limit", &offered.gas_limit);
        }
        Ok(())
    }
}

/// An address as people write it: of one case, or with the checksum of mixed case. `None` for everything else.
#[must_use]
pub fn address(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x")?;
    let letters = || digits.chars().filter(char::is_ascii_alphabetic);
    let is_mixed =
        letters().any(|letter| letter.is_ascii_uppercase()) && letters().any(|letter| letter.is_ascii_lowercase());
    if is_mixed { Address::parse_checksummed(text, None).ok() } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256, bytes};
    use proptest::prelude::*;

    const RECIPIENT: Address = address!("3CA69dc0824fF36B545ddB1b5e4bf13B17905421");

    fn example() -> LegacyTransaction {
        LegacyTransaction {
            nonce: 0,
            gas_price: 2_000_000_000,
            gas_limit: 21_000,
            to: TxKind::Call(RECIPIENT),
            value: U256::from(10_000_000_000_000_000_u64),
            data: Bytes::new(),
        }
    }

    /// Worked example 6 of the facts, with the hashes that are not to be signed.
    #[test]
    fn the_nine_items_have_the_digest_of_their_destination() {
        let payload = bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc1000080808080");
        let transaction = LegacyTransaction::decode(&payload).unwrap();
        assert_eq!(transaction, example());
        assert_eq!(transaction.encode(), payload);
        let digest = b256!("27887d3c8efd90e71ac5382e22e834716097ec3304dc7b72d0a99d4ba6bd8f0d");
        assert_eq!(transaction.digest(31_337), digest);
        assert_ne!(transaction.digest(1), digest);
        assert_ne!(keccak256(&payload), digest);
        let signed = bytes!(
            "f86c808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc100008082f4f6a08a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf4a011b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d626"
        );
        let r = b256!("8a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf4").into();
        let s = b256!("11b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d626").into();
        assert_eq!(transaction.signed(31_337, r, s, 1), signed);
        let public =
            bytes!("ec0285012a05f2008303d090943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc1000080808080");
        let other = LegacyTransaction::decode(&public).unwrap();
        assert_eq!((other.nonce, other.gas_price, other.gas_limit), (2, 5_000_000_000, 250_000));
    }

    /// Worked example 7 of the facts.
    #[test]
    fn a_simple_transaction_is_completed_as_in_the_example() {
        let payload = bytes!(
            "4dbda8d6000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000000000000000000000000038d7ea4c6800000000000000000000000000000000000000000000000000000000000000000c0000000000000000000000000000000000000000000000000000000000000002a307833434136396463303832346646333642353435646442316235653462663133423137393035343231000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        );
        let simple = SimpleTransaction::decode(&payload).unwrap();
        assert_eq!(simple.encode(), payload);
        assert_eq!((simple.to, simple.value), (RECIPIENT, U256::from(1_000_000_000_000_000_u64)));
        let at = Surroundings { nonce: 0, base_fee: 1_000_000_000, gas_estimate: 0 };
        let caps = Caps { tip: 0, gas_price_max: u128::MAX, gas_limit_max: 1_000_000 };
        let complete = simple.complete(at, caps).unwrap();
        let unsigned = bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c6800080808080");
        assert_eq!(complete.encode(), unsigned);
        let digest = b256!("e9b53f81324997bc3f831371293a26646b3ce950c73fd839490c11fa784dcc8e");
        assert_eq!(complete.digest(31_337), digest);
    }

    #[test]
    fn a_simple_transaction_costs_no_more_than_its_caps() {
        let simple = SimpleTransaction { to: RECIPIENT, value: U256::ZERO, data: bytes!("01") };
        let at = Surroundings { nonce: 7, base_fee: 100, gas_estimate: 50_000 };
        let caps = Caps { tip: 5, gas_price_max: 150, gas_limit_max: 60_000 };
        let complete = simple.complete(at, caps).unwrap();
        assert_eq!((complete.gas_price, complete.gas_limit, complete.nonce), (150, 60_000, 7));
        let dear = simple.complete(Surroundings { base_fee: 151, ..at }, caps);
        assert_eq!(dear, Err(CompletionError::TooDear { base_fee: 151, max: 150 }));
        let heavy =
            simple.complete(Surroundings { gas_estimate: 50_001, ..at }, Caps { gas_limit_max: 60_000, ..caps });
        assert_eq!(heavy, Err(CompletionError::TooMuchGas { needed: 60_001, max: 60_000 }));
    }

    #[test]
    fn what_another_party_completes_stands_within_this_partys_own_bounds() {
        let at = Surroundings { nonce: 7, base_fee: 100, gas_estimate: 50_000 };
        let caps = Caps { tip: 5, gas_price_max: 10_000, gas_limit_max: 70_000 };
        for data in [bytes!(""), bytes!("01")] {
            let simple = SimpleTransaction { to: RECIPIENT, value: U256::from(3), data };
            let own = simple.complete(at, caps).unwrap();
            assert_eq!(simple.permits(&own, at, caps), Ok(()));
            let with = |change: &dyn Fn(&mut LegacyTransaction)| {
                let mut other = own.clone();
                change(&mut other);
                simple.permits(&other, at, caps)
            };
            // A smaller tip is taken, a higher one is not; and never less than the block's base fee.
            assert_eq!(with(&|other| other.gas_price = 200), Ok(()));
            for price in [99, 206] {
                assert!(with(&|other| other.gas_price = price).is_err(), "{price}");
            }
            let gas: (&[u64], &[u64]) = if simple.data.is_empty() {
                (&[21_000], &[20_999, 21_001])
            } else {
                (&[50_000, 60_000, 70_000], &[49_999, 70_001])
            };
            gas.0.iter().for_each(|gas| assert_eq!(with(&|other| other.gas_limit = *gas), Ok(()), "{gas}"));
            gas.1.iter().for_each(|gas| assert!(with(&|other| other.gas_limit = *gas).is_err(), "{gas}"));
            assert!(with(&|other| other.nonce = 8).is_err());
            assert!(with(&|other| other.to = TxKind::Create).is_err());
            assert!(with(&|other| other.value = U256::from(4)).is_err());
            assert!(with(&|other| other.data = bytes!("02")).is_err());
        }
    }

    #[test]
    fn what_is_not_exactly_nine_items_is_refused() {
        let refused: [(&[u8], PayloadError); 8] = [
            // Worked example 8: data that a consumer passed without encoding it.
            (
                &bytes!("e207843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542101808080"),
                PayloadError::Items { found: 8 },
            ),
            (&[], PayloadError::NotAList),
            (&[0xc0], PayloadError::Items { found: 0 }),
            (&[0x02, 0xc0], PayloadError::Typed(2)),
            (&[0x82, 1, 2], PayloadError::NotAList),
            // A leading zero in the nonce.
            (
                &bytes!("e300843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b179054210180808080"),
                PayloadError::Item { item: "nonce" },
            ),
            // A signature already there.
            (
                &bytes!("e307843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b179054210180018080"),
                PayloadError::Item { item: "v" },
            ),
            // A byte behind the list.
            (
                &bytes!("e307843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421018080808000"),
                PayloadError::NotAList,
            ),
        ];
        for (payload, error) in refused {
            assert_eq!(LegacyTransaction::decode(payload), Err(error), "{}", hex::encode(payload));
        }
        let nine = bytes!("e307843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b179054210180808080");
        assert_eq!(LegacyTransaction::decode(&nine).unwrap().nonce, 7);
    }

    #[test]
    fn a_simple_payload_is_one_call_in_its_one_encoding_to_an_address() {
        let payload =
            |to: &str| transactionCall { to: to.to_owned(), value: U256::from(5), data: bytes!("c0ffee") }.abi_encode();
        let good = payload("0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421");
        assert_eq!(SimpleTransaction::decode(&good).unwrap().to, RECIPIENT);
        let changed = |at: usize, byte: u8| {
            let mut changed = good.clone();
            changed[at] = byte;
            changed
        };
        // Selector, three words of head (the first and last are offsets), then length and text of the recipient.
        let refused = [
            (Vec::new(), PayloadError::NotSimple),
            (good[..4].to_vec(), PayloadError::NotSimple),
            (changed(0, !good[0]), PayloadError::NotSimple),
            (changed(4 + 31, 0x61), PayloadError::NotSimple),
            (changed(4 + 95, 0x61), PayloadError::NotSimple),
            (good[..good.len() - 1].to_vec(), PayloadError::NotSimple),
            ([good.as_slice(), &[0]].concat(), PayloadError::NotSimple),
            ([good.as_slice(), &[0; 32]].concat(), PayloadError::NotSimple),
            // The padding behind the data.
            (changed(good.len() - 1, 1), PayloadError::NotSimple),
            (payload(""), PayloadError::Recipient),
            (payload("0x3cA69dc0824fF36B545ddB1b5e4bf13B17905421"), PayloadError::Recipient),
            (payload("0x3CA69dc0824fF36B545ddB1b5e4bf13B179054"), PayloadError::Recipient),
            (payload("zen1k6vc6vhp6e6l3rxalue9v4uxsgf3nk"), PayloadError::Recipient),
        ];
        for (payload, error) in refused {
            assert_eq!(SimpleTransaction::decode(&payload), Err(error), "{}", hex::encode(&payload));
        }
    }

    #[test]
    fn recipients_are_addresses_of_one_case_or_with_their_checksum() {
        let text = "0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421";
        for good in [text.to_owned(), text.to_lowercase(), format!("0x{}", text[2..].to_uppercase())] {
            assert_eq!(address(&good), Some(RECIPIENT), "{good}");
        }
        for bad in [
            "",
            "0x",
            "3CA69dc0824fF36B545ddB1b5e4bf13B17905421",
            "0x3cA69dc0824fF36B545ddB1b5e4bf13B17905421",
            "0x3CA69dc0824fF36B545ddB1b5e4bf13B1790542",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_hash_has_thirty_two_bytes() {
        assert_eq!(hash(&[7; 32]), Ok(B256::repeat_byte(7)));
        for length in [0, 31, 33] {
            assert_eq!(hash(&vec![7; length]), Err(PayloadError::HashLength { found: length }));
        }
    }

    proptest! {
        #[test]
        fn every_transaction_survives_its_payload(
            nonce: u64, gas_price: u128, gas_limit: u64, to in proptest::option::of(any::<[u8; 20]>()), value: [u8; 32], data: Vec<u8>,
        ) {
            let to = to.map_or(TxKind::Create, |to| TxKind::Call(to.into()));
            let value = U256::from_be_bytes(value);
            let transaction = LegacyTransaction { nonce, gas_price, gas_limit, to, value, data: data.into() };
            prop_assert_eq!(LegacyTransaction::decode(&transaction.encode()), Ok(transaction));
        }

        #[test]
        fn every_simple_transaction_survives_its_payload(to: [u8; 20], value: [u8; 32], data: Vec<u8>) {
            let simple =
                SimpleTransaction { to: to.into(), value: U256::from_be_bytes(value), data: data.into() };
            prop_assert_eq!(SimpleTransaction::decode(&simple.encode()), Ok(simple));
        }

        #[test]
        fn whatever_is_accepted_is_encoded_alike(payload: Vec<u8>) {
            if let Ok(transaction) = LegacyTransaction::decode(&payload) {
                prop_assert_eq!(transaction.encode().to_vec(), payload.clone());
            }
        }
    }
}
