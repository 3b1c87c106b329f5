//! What people write on the command line. Every error says what to write instead; nothing is rounded or guessed.

use std::time::Duration;

use alloy_primitives::utils::parse_units;
use alloy_primitives::{Address, B256, Bytes, U256};
use chain_client::zrsign::transaction;

/// Most bytes of one payload: no node takes a larger transaction.
const BYTES_MAX: usize = 100_000;
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Units by their names, with their decimals.
const UNITS: [(&str, &str, usize); 3] = [("gwei", "gwei", 9), ("wei", "wei", 0), ("ether", "ether", 18)];

/// `1000`, `20gwei`, `0.5ether`: exact, or refused.
pub(super) fn amount(text: &str) -> Result<U256, String> {
    let wrong = || "write a number of wei, or one with its unit, such as 20gwei or 0.5ether".to_owned();
    let (number, unit, decimals) = UNITS
        .iter()
        .find_map(|(name, unit, decimals)| Some((text.strip_suffix(name)?, *unit, *decimals)))
        .unwrap_or((text, "wei", 0));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(wrong());
    }
    // The library would cut what is too fine.
    if number.contains('.') && fraction.len() > decimals {
        return Err(format!("{unit} has {decimals} decimals; write whole wei"));
    }
    parse_units(number, unit).map(Into::into).map_err(|_| "it is more than 2^256 wei".to_owned())
}

/// An amount for one unit of gas.
pub(super) fn price(text: &str) -> Result<u128, String> {
    u128::try_from(amount(text)?).map_err(|_| "it is more than 2^128 wei".to_owned())
}

/// `0x` and an even number of hexadecimal digits.
pub(super) fn bytes(text: &str) -> Result<Bytes, String> {
    let digits = text.strip_prefix("0x").ok_or("write hexadecimal digits behind 0x")?;
    if digits.len() > 2 * BYTES_MAX {
        return Err(format!("these are more than {BYTES_MAX} bytes"));
    }
    let bytes = hex::decode(digits).map_err(|_| "write an even number of hexadecimal digits behind 0x".to_owned())?;
    Ok(bytes.into())
}

/// 32 bytes in hexadecimal digits, with or without `0x`.
pub(super) fn hash(text: &str) -> Result<B256, String> {
    text.parse().map_err(|_| "write 64 hexadecimal digits".to_owned())
}

/// An address of an EVM chain, of one case or with its checksum.
pub(super) fn address(text: &str) -> Result<Address, String> {
    transaction::address(text).ok_or_else(|| {
        "write 0x and 40 hexadecimal digits; in mixed case they are a checksum, and it must be right".to_owned()
    })
}

/// `90s`, `45m`, `1h 30m`.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let parsed = humantime_serde::re::humantime::parse_duration(text).ok();
    let fits = parsed.filter(|wait| (Duration::from_secs(1)..=WAIT_MAX).contains(wait));
    fits.ok_or_else(|| "write a time between 1s and 7days, such as 90s or 45m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        let good = [
            ("0", 0_u128),
            ("1000", 1_000),
            ("1wei", 1),
            ("20gwei", 20_000_000_000),
            ("1.5gwei", 1_500_000_000),
            ("0.000000001gwei", 1),
            ("0.1ether", 100_000_000_000_000_000),
            ("1.000000000000000001ether", 1_000_000_000_000_000_001),
        ];
        for (text, wei) in good {
            assert_eq!(amount(text), Ok(U256::from(wei)), "{text}");
            assert_eq!(price(text), Ok(wei), "{text}");
        }
        let bad = [
            "",
            "gwei",
            "-1",
            "+1",
            "1e18",
            "0x10",
            "1.5",
            "1.5wei",
            ".5ether",
            "1.ether",
            "1.2.3ether",
            "1 gwei",
            "1eth",
            "1.0000000001gwei",
            "1.0000000000000000001ether",
            "ä",
            "1ä.5gwei",
        ];
        for text in bad {
            assert!(amount(text).is_err(), "{text}");
        }
        assert!(amount(&"9".repeat(78)).is_err());
        assert!(amount(&format!("{}ether", "9".repeat(70))).is_err());
        assert!(price(&"9".repeat(40)).is_err());
    }

    #[test]
    fn bytes_hashes_and_addresses_have_one_form() {
        assert_eq!(bytes("0x"), Ok(Bytes::new()));
        assert_eq!(bytes("0x00fF"), Ok(Bytes::from_static(&[0, 255])));
        for text in ["", "00", "0x0", "0xg0", "0x0x00", &format!("0x{}", "00".repeat(BYTES_MAX + 1))] {
            assert!(bytes(text).is_err(), "{text:.10}");
        }
        let digits = "2a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0";
        assert_eq!(hash(digits), hash(&format!("0x{}", digits.to_uppercase())));
        assert!(hash(&digits[1..]).is_err());
        assert!(address("0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421").is_ok());
        assert!(address("0x3cA69dc0824fF36B545ddB1b5e4bf13B17905421").is_err(), "a wrong checksum");
    }

    #[test]
    fn waits_have_bounds() {
        assert_eq!(wait("45m"), Ok(Duration::from_secs(2_700)));
        for text in ["", "0s", "10", "999ms", "8days"] {
            assert!(wait(text).is_err(), "{text}");
        }
    }
}
