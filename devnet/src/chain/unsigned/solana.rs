//! Solana messages, legacy and versioned: the whole message is what is signed.
//!
//! A message without any transfer passes. A system transfer that names fewer than two accounts panics the live chain.

use super::{Cursor, Parsed, Refusal};

const SYSTEM_PROGRAM: [u8; 32] = [0; 32];
/// The system program's instruction number of a transfer.
const TRANSFER: u32 = 2;

pub(crate) fn parse(message: &[u8]) -> Result<Parsed, Refusal> {
    let mut cursor = Cursor::new(message);
    let versioned = message.first().ok_or_else(|| Refusal::invalid("unexpected EOF"))? & 0x80 != 0;
    if versioned {
        cursor.byte()?;
    }
    cursor.take(3)?;
    let keys = account_keys(&mut cursor)?;
    cursor.take(32)?;
    let instructions = short(&mut cursor)?;
    let mut lamports: Option<u64> = None;
    for _ in 0..instructions {
        if let Some(amount) = instruction(&mut cursor, &keys)? {
            lamports = Some(lamports.unwrap_or(0).saturating_add(amount));
        }
    }
    if versioned {
        lookups(&mut cursor)?;
    }
    let value = lamports.map_or_else(|| "0".to_owned(), |lamports| lamports.to_string());
    Ok(Parsed { data: vec![message.to_vec()], value })
}

fn account_keys<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<&'a [u8]>, Refusal> {
    let count = usize::from(short(cursor)?);
    let left = cursor.rest.len();
    if count > left / 32 {
        return Err(Refusal::invalid(format!("numAccountKeys {count} is too large for remaining bytes {left}")));
    }
    (0..count).map(|_| cursor.take(32)).collect()
}

/// One instruction; the lamports that it moves, if it is a system transfer.
fn instruction(cursor: &mut Cursor<'_>, keys: &[&[u8]]) -> Result<Option<u64>, Refusal> {
    let program = usize::from(cursor.byte()?);
    let accounts = short(cursor)?;
    let accounts = cursor.take(accounts.into())?;
    let size = short(cursor)?;
    let data = cursor.take(size.into())?;
    if keys.get(program).is_none_or(|key| **key != SYSTEM_PROGRAM) {
        return Ok(None);
    }
    let Some((number, amount)) = data.split_at_checked(4) else { return Ok(None) };
    if number != TRANSFER.to_le_bytes() {
        return Ok(None);
    }
    let amount: [u8; 8] = amount
        .get(..8)
        .and_then(|amount| amount.try_into().ok())
        .ok_or_else(|| Refusal::invalid("unable to decode transfer: unexpected EOF"))?;
    if accounts.len() < 2 {
        return Err(Refusal::Panic(format!("index out of range [1] with length {}", accounts.len())));
    }
    Ok(Some(u64::from_le_bytes(amount)))
}

fn lookups(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    for _ in 0..short(cursor)? {
        cursor.take(32)?;
        for _ in 0..2 {
            let indexes = short(cursor)?;
            cursor.take(indexes.into())?;
        }
    }
    Ok(())
}

/// Solana's variable-length number of 16 bits.
fn short(cursor: &mut Cursor<'_>) -> Result<u16, Refusal> {
    let mut value = 0_u32;
    for shift in [0, 7, 14] {
        let byte = cursor.byte()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u16::try_from(value).map_err(|_| Refusal::invalid("compact number is too large"));
        }
    }
    Err(Refusal::invalid("compact number is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of two accounts and the system program that transfers 7 lamports, naming `accounts` of them.
    fn transfer(accounts: &[u8], versioned: bool) -> Vec<u8> {
        let mut message = if versioned { vec![0x80] } else { Vec::new() };
        message.extend([1, 0, 1, 3]);
        message.extend([1; 32]);
        message.extend([2; 32]);
        message.extend(SYSTEM_PROGRAM);
        message.extend([9; 32]);
        message.extend([1, 2, accounts.len() as u8]);
        message.extend(accounts);
        message.push(12);
        message.extend(TRANSFER.to_le_bytes());
        message.extend(7_u64.to_le_bytes());
        if versioned {
            message.push(0);
        }
        message
    }

    #[test]
    fn the_whole_message_is_signed() {
        for versioned in [false, true] {
            let message = transfer(&[0, 1], versioned);
            let parsed = parse(&message).expect("a message");
            assert_eq!(parsed.data, [message]);
            assert_eq!(parsed.value, "7");
        }
    }

    #[test]
    fn a_transfer_that_names_one_account_panics_the_live_chain() {
        assert!(matches!(parse(&transfer(&[0], false)), Err(Refusal::Panic(_))));
    }

    #[test]
    fn a_cut_message_is_refused_at_every_length() {
        for message in [transfer(&[0, 1], false), transfer(&[0, 1], true)] {
            for end in 0..message.len() {
                assert!(parse(&message[..end]).is_err(), "{end}");
            }
        }
    }
}
