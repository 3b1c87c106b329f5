//! "Unsigned plus" Bitcoin transactions: segwit encoding whose witness holds, per input, what signing needs.
//!
//! Witness items: amount as 8 bytes little-endian, public key, output script; more are ignored. No ordinary
//! parser takes them for what they are, hence this one. Each input gives its BIP-143 digest for SIGHASH_ALL.

use sha2::{Digest, Sha256};

use super::{Cursor, NO_VALUE, Parsed, Refusal};

struct Input<'a> {
    outpoint: &'a [u8],
    sequence: [u8; 4],
}

struct Transaction<'a> {
    version: [u8; 4],
    inputs: Vec<Input<'a>>,
    /// All outputs as encoded, without their count.
    outputs: &'a [u8],
    witnesses: Vec<Vec<&'a [u8]>>,
    lock_time: [u8; 4],
}

/// Most witness items of one input: a live chain's decoder has such a bound.
const WITNESS_ITEMS: u64 = 4_000_000 / 5;

pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Refusal> {
    let transaction = read(bytes)?;
    let prevouts = double(&concat(transaction.inputs.iter().map(|input| input.outpoint)));
    let sequences = double(&concat(transaction.inputs.iter().map(|input| input.sequence.as_slice())));
    let outputs = double(transaction.outputs);
    let mut data = Vec::with_capacity(transaction.inputs.len());
    for (input, witness) in transaction.inputs.iter().zip(&transaction.witnesses) {
        let [amount, _, script, ..] = witness.as_slice() else {
            return Err(Refusal::Panic(format!("index out of range [2] with length {}", witness.len())));
        };
        let Some(amount) = amount.get(..8) else {
            return Err(Refusal::Panic(format!("index out of range [7] with length {}", amount.len())));
        };
        let mut preimage = transaction.version.to_vec();
        preimage.extend(prevouts);
        preimage.extend(sequences);
        preimage.extend(input.outpoint);
        preimage.extend(script_code(script));
        preimage.extend(amount);
        preimage.extend(input.sequence);
        preimage.extend(outputs);
        preimage.extend(transaction.lock_time);
        preimage.extend(1_u32.to_le_bytes());
        data.push(double(&preimage).to_vec());
    }
    Ok(Parsed { data, value: NO_VALUE.to_owned() })
}

fn read(bytes: &[u8]) -> Result<Transaction<'_>, Refusal> {
    let mut cursor = Cursor::new(bytes);
    let version = cursor.array()?;
    let mut count = compact(&mut cursor)?;
    let segwit = count == 0;
    if segwit {
        if cursor.byte()? != 1 {
            return Err(Refusal::invalid("witness tx but flag byte is not 1"));
        }
        count = compact(&mut cursor)?;
    }
    let mut inputs = Vec::new();
    for _ in 0..count {
        let outpoint = cursor.take(36)?;
        let script = compact(&mut cursor)?;
        cursor.take(length(script)?)?;
        inputs.push(Input { outpoint, sequence: cursor.array()? });
    }
    let output_count = compact(&mut cursor)?;
    let before = cursor.rest;
    for _ in 0..output_count {
        cursor.take(8)?;
        let script = compact(&mut cursor)?;
        cursor.take(length(script)?)?;
    }
    let outputs = &before[..before.len() - cursor.rest.len()];
    let mut witnesses = Vec::new();
    for _ in 0..inputs.len() {
        witnesses.push(if segwit { witness(&mut cursor)? } else { Vec::new() });
    }
    Ok(Transaction { version, inputs, outputs, witnesses, lock_time: cursor.array()? })
}

fn witness<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<&'a [u8]>, Refusal> {
    let count = compact(cursor)?;
    if count > WITNESS_ITEMS {
        return Err(Refusal::invalid("too many witness items"));
    }
    let mut items = Vec::new();
    for _ in 0..count {
        let size = compact(cursor)?;
        items.push(cursor.take(length(size)?)?);
    }
    Ok(items)
}

/// Bitcoin's variable-length number; the shortest form only.
fn compact(cursor: &mut Cursor<'_>) -> Result<u64, Refusal> {
    let (value, least) = match cursor.byte()? {
        0xfd => (u64::from(u16::from_le_bytes(cursor.array()?)), 0xfd),
        0xfe => (u64::from(u32::from_le_bytes(cursor.array()?)), 0x1_0000),
        0xff => (u64::from_le_bytes(cursor.array()?), 0x1_0000_0000),
        small => (small.into(), 0),
    };
    if value < least { Err(Refusal::invalid("non-canonical varint")) } else { Ok(value) }
}

fn length(value: u64) -> Result<usize, Refusal> {
    usize::try_from(value).map_err(|_| Refusal::invalid("unexpected EOF"))
}

/// The script that is signed, with its length: a witness program of 20 bytes stands for pay-to-public-key-hash.
fn script_code(script: &[u8]) -> Vec<u8> {
    if let [0x00, 0x14, hash @ ..] = script
        && hash.len() == 20
    {
        return [&[0x19, 0x76, 0xa9, 0x14], hash, &[0x88, 0xac]].concat();
    }
    let mut out = match script.len() {
        short @ 0..=0xfc => vec![short as u8],
        middle @ 0xfd..=0xffff => [&[0xfd][..], &(middle as u16).to_le_bytes()].concat(),
        long => [&[0xfe][..], &(long as u32).to_le_bytes()].concat(),
    };
    out.extend(script);
    out
}

fn double(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

fn concat<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    parts.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_INPUT: &str = "010000000001011cf81f651d4135576e226b9e3afd6d5bb3d204fc87258c732b90c7f49224c36a0100000000ffffffff02701700000000000016001496d1dc8156bf66e09b58582a8fe07fd2cf780cd4b3180000000000001600140b7ae56af7989b75aa086a194276063dc1d34568050877380000000000002103d6b23e342370ae51214d6e198f86ac0065a3dc15c21a2a348060acb7de8a0ad91600140b7ae56af7989b75aa086a194276063dc1d34568080100000000000000209b0c1c721ceea9a96c1e6dd99e37be2d1d0602ba564806ea531663d88cf2de9800000000";

    #[test]
    fn the_digest_of_an_input_is_bip_143() {
        let parsed = parse(&hex::decode(ONE_INPUT).expect("hex")).expect("a transaction");
        let digests: Vec<_> = parsed.data.iter().map(hex::encode).collect();
        assert_eq!(digests, ["9b0c1c721ceea9a96c1e6dd99e37be2d1d0602ba564806ea531663d88cf2de98"]);
    }

    #[test]
    fn a_cut_transaction_is_refused_at_every_length() {
        let bytes = hex::decode(ONE_INPUT).expect("hex");
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn an_input_without_its_witness_items_panics_the_live_chain() {
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.push(1);
        bytes.extend([7; 36]);
        bytes.push(0);
        bytes.extend([0xff; 4]);
        bytes.push(0);
        bytes.extend([0; 4]);
        assert!(matches!(parse(&bytes), Err(Refusal::Panic(_))));
    }
}
