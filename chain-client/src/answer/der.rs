//! The form in which the chain keeps signatures of Bitcoin keys: strict DER of `(r, s)`, without hash type.
//!
//! Refuses to know keys and digests. Both directions are total on bytes from outside: nothing panics.

/// Longest encoding: two numbers of 33 bytes with their heads.
const LENGTH_MAX: usize = 72;

/// `r‖s` (64 bytes, big-endian) as DER.
#[must_use]
pub fn encode(r_s: &[u8; 64]) -> Vec<u8> {
    let (r, s) = r_s.split_at(32);
    let mut numbers = Vec::with_capacity(LENGTH_MAX);
    push_number(&mut numbers, r);
    push_number(&mut numbers, s);
    let mut out = Vec::with_capacity(LENGTH_MAX);
    // At most 70 bytes follow, so one byte holds the length.
    out.extend([0x30, u8::try_from(numbers.len()).unwrap_or(u8::MAX)]);
    out.extend(numbers);
    out
}

/// DER as `r‖s`. Only the shortest encoding is taken, so `encode(decode(bytes))` gives the bytes again.
#[must_use]
pub fn decode(der: &[u8]) -> Option<[u8; 64]> {
    let [0x30, length, numbers @ ..] = der else { return None };
    if usize::from(*length) != numbers.len() {
        return None;
    }
    let (r, rest) = take_number(numbers)?;
    let (s, rest) = take_number(rest)?;
    if !rest.is_empty() {
        return None;
    }
    let mut out = [0; 64];
    out[..32].copy_from_slice(&r);
    out[32..].copy_from_slice(&s);
    Some(out)
}

/// A big-endian number without leading zeros, save one that keeps it positive.
fn push_number(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count().min(number.len() - 1);
    let digits = &number[zeros..];
    let padded = digits[0] & 0x80 != 0;
    out.extend([0x02, u8::try_from(digits.len() + usize::from(padded)).unwrap_or(u8::MAX)]);
    out.extend(padded.then_some(0));
    out.extend(digits);
}

/// One number of at most 32 bytes in its shortest form, and what follows it.
fn take_number(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let (number, rest) = rest.split_at_checked(usize::from(*length))?;
    let digits = match number {
        [] => return None,
        [0] => number,
        [0, next, ..] if next & 0x80 == 0 => return None,
        [0, digits @ ..] => digits,
        [first, ..] if first & 0x80 != 0 => return None,
        _ => number,
    };
    let mut out = [0; 32];
    let start = out.len().checked_sub(digits.len())?;
    out[start..].copy_from_slice(digits);
    Some((out, rest))
}
