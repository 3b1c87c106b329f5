//! EVM transactions: legacy with all nine items, access-list with eight, dynamic-fee with twelve.
//!
//! The signing hash is Keccak-256 for the chain id of the *metadata*; the one inside the payload is ignored. Calldata
//! of an ERC-20 transfer gives the amount that a policy sees.

use alloy_primitives::{U256, keccak256};
use alloy_rlp::Header;

use super::{Parsed, Refusal};

/// Which items of a payload mean what.
struct Shape {
    /// Items of the payload.
    items: usize,
    /// Items that are numbers of at most eight bytes.
    short: &'static [usize],
    to: usize,
    /// Type byte in front of the hashed list, if any.
    prefix: Option<u8>,
    name: &'static str,
}

const LEGACY: Shape = Shape { items: 9, short: &[0, 2], to: 3, prefix: None, name: "types.LegacyTx" };
const ACCESS_LIST: Shape =
    Shape { items: 8, short: &[1, 3], to: 4, prefix: Some(1), name: "shared.AccessListTxWithoutSignature" };
const DYNAMIC_FEE: Shape =
    Shape { items: 12, short: &[1, 4], to: 5, prefix: Some(2), name: "shared.DynamicFeeTxWithoutSignature" };

/// One RLP item: a string's payload or a list's, and the whole encoding.
struct Item<'a> {
    list: bool,
    payload: &'a [u8],
    encoded: &'a [u8],
}

pub(crate) fn parse(bytes: &[u8], chain_id: u64) -> Result<Parsed, Refusal> {
    let (shape, list) = match bytes.split_first() {
        None => return Err(Refusal::invalid("empty transaction")),
        Some((first, _)) if *first > 0x7f => (LEGACY, bytes),
        Some((1, rest)) => (ACCESS_LIST, rest),
        Some((2, rest)) => (DYNAMIC_FEE, rest),
        Some((other, _)) => return Err(Refusal::invalid(format!("unsupported transaction type: {other}"))),
    };
    let items = read_list(list, &shape)?;
    check(&items, &shape)?;
    let to = items[shape.to].payload;
    if to.is_empty() {
        return Err(Refusal::Panic("invalid memory address or nil pointer dereference".to_owned()));
    }
    let value = amount(items[shape.to + 1].payload, items[shape.to + 2].payload)?;
    let hash = signing_hash(&items, &shape, chain_id);
    Ok(Parsed { data: vec![hash.to_vec()], value: value.to_string() })
}

fn read_list<'a>(bytes: &'a [u8], shape: &Shape) -> Result<Vec<Item<'a>>, Refusal> {
    let mut rest = bytes;
    let whole = take(&mut rest)?;
    if !whole.list {
        return Err(Refusal::invalid(format!("rlp: expected input list for {}", shape.name)));
    }
    if !rest.is_empty() {
        return Err(Refusal::invalid("rlp: input contains more than one value"));
    }
    let mut inside = whole.payload;
    let mut items = Vec::with_capacity(shape.items);
    while !inside.is_empty() {
        if items.len() == shape.items {
            return Err(Refusal::invalid(format!("rlp: input list has too many elements for {}", shape.name)));
        }
        items.push(take(&mut inside)?);
    }
    if items.len() < shape.items {
        return Err(Refusal::invalid(format!("rlp: too few elements for {}", shape.name)));
    }
    Ok(items)
}

fn take<'a>(rest: &mut &'a [u8]) -> Result<Item<'a>, Refusal> {
    let start = *rest;
    let header = Header::decode(rest).map_err(|error| Refusal::invalid(format!("rlp: {error}")))?;
    let (payload, tail) = rest
        .split_at_checked(header.payload_length)
        .ok_or_else(|| Refusal::invalid("rlp: value size exceeds input"))?;
    *rest = tail;
    Ok(Item { list: header.list, payload, encoded: &start[..start.len() - tail.len()] })
}

/// Kinds and sizes of the items, as the live chain's decoder demands.
fn check(items: &[Item<'_>], shape: &Shape) -> Result<(), Refusal> {
    let bad = |place: usize| Refusal::invalid(format!("rlp: invalid item {place} of {}", shape.name));
    let access_list = shape.to + 3;
    for (place, item) in items.iter().enumerate() {
        let typed = shape.prefix.is_some();
        if typed && place == access_list {
            check_access_list(item).map_err(|()| bad(place))?;
            continue;
        }
        if item.list {
            return Err(bad(place));
        }
        let number = place != shape.to && place != shape.to + 2;
        let limit = if shape.short.contains(&place) { 8 } else { 32 };
        if number && (item.payload.first() == Some(&0) || item.payload.len() > limit) {
            return Err(bad(place));
        }
        if place == shape.to && !matches!(item.payload.len(), 0 | 20) {
            return Err(bad(place));
        }
    }
    Ok(())
}

/// A list of [address, list of 32-byte words].
fn check_access_list(item: &Item<'_>) -> Result<(), ()> {
    let mut entries = item.payload;
    if !item.list {
        return Err(());
    }
    while !entries.is_empty() {
        let entry = take(&mut entries).map_err(|_| ())?;
        let mut inside = entry.payload;
        let address = take(&mut inside).map_err(|_| ())?;
        let words = take(&mut inside).map_err(|_| ())?;
        if !entry.list || address.list || address.payload.len() != 20 || !words.list || !inside.is_empty() {
            return Err(());
        }
        let mut rest = words.payload;
        while !rest.is_empty() {
            let word = take(&mut rest).map_err(|_| ())?;
            if word.list || word.payload.len() != 32 {
                return Err(());
            }
        }
    }
    Ok(())
}

/// The amount that moves: of the transaction, or of the ERC-20 call it makes.
fn amount(value: &[u8], calldata: &[u8]) -> Result<U256, Refusal> {
    let value = U256::from_be_slice(value);
    let Some((selector, arguments)) = calldata.split_at_checked(4) else {
        return if calldata.is_empty() { Ok(value) } else { Err(Refusal::invalid("invalid contract call")) };
    };
    let (name, words) = match selector {
        [0xa9, 0x05, 0x9c, 0xbb] => ("transfer", 2),
        [0x23, 0xb8, 0x72, 0xdd] => ("transferFrom", 3),
        _ => return Ok(value),
    };
    if arguments.len() != 32 * words {
        return Err(Refusal::invalid(format!("invalid ERC-20 {name}: {} bytes of arguments", arguments.len())));
    }
    if arguments.chunks(32).take(words - 1).any(|word| word[..12] != [0; 12]) {
        return Err(Refusal::invalid(format!("invalid ERC-20 {name}: address is not 20 bytes")));
    }
    Ok(U256::from_be_slice(&arguments[32 * (words - 1)..]))
}

fn signing_hash(items: &[Item<'_>], shape: &Shape, chain_id: u64) -> [u8; 32] {
    let chain = alloy_rlp::encode(chain_id);
    let mut body = Vec::new();
    match shape.prefix {
        // Legacy: six items, the chain id, two zeros (EIP-155).
        None => {
            body.extend(items[..6].iter().flat_map(|item| item.encoded));
            body.extend(chain);
            body.extend([0x80, 0x80]);
        }
        // Typed: the chain id in front, everything up to the access list.
        Some(_) => {
            body.extend(chain);
            body.extend(items[1..=shape.to + 3].iter().flat_map(|item| item.encoded));
        }
    }
    let mut preimage: Vec<u8> = shape.prefix.into_iter().collect();
    Header { list: true, payload_length: body.len() }.encode(&mut preimage);
    preimage.extend(body);
    keccak256(preimage).0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEPOLIA: u64 = 11_155_111;
    const LEGACY_TX: &str = "eb80843b9aca0082520894ea223ca8968ca59e0bc79ba331c2f6f636a3fb82880de0b6b3a764000080808080";
    const DYNAMIC_TX: &str = "02f583aa36a7038459682f008506fc23ac0082520894ea223ca8968ca59e0bc79ba331c2f6f636a3fb8287038d7ea4c6800080c0808080";

    fn digest(text: &str) -> Result<String, Refusal> {
        parse(&hex::decode(text).expect("hex"), SEPOLIA).map(|parsed| hex::encode(&parsed.data[0]))
    }

    #[test]
    fn the_digests_are_those_of_the_worked_examples() {
        let legacy = digest(LEGACY_TX).expect("a transaction");
        assert_eq!(legacy, "27fc877e78d40db26feb93a3e958e2d6ab7f82946b920c195d5b87e1520c64e3");
        let dynamic = digest(DYNAMIC_TX).expect("a transaction");
        assert_eq!(dynamic, "16e54e3d6b082fc3fc3cb97956510dbd074b194db28417f25150d6dddc115dc5");
    }

    #[test]
    fn the_value_is_that_of_the_transaction() {
        let parsed = parse(&hex::decode(LEGACY_TX).expect("hex"), SEPOLIA).expect("a transaction");
        assert_eq!(parsed.value, "1000000000000000000");
    }

    #[test]
    fn a_cut_or_prolonged_transaction_is_refused() {
        for text in [LEGACY_TX, DYNAMIC_TX] {
            let bytes = hex::decode(text).expect("hex");
            for end in 0..bytes.len() {
                assert!(parse(&bytes[..end], SEPOLIA).is_err(), "{end} of {text}");
            }
            assert!(parse(&[bytes, vec![0]].concat(), SEPOLIA).is_err());
        }
    }

    #[test]
    fn other_first_bytes_are_no_transaction() {
        for first in [0x00, 0x03, 0x05, 0x7f] {
            assert!(matches!(parse(&[first, 0xc0], SEPOLIA), Err(Refusal::Invalid(_))));
        }
    }
}
