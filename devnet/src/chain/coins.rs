//! Amounts of urock, and the price of gas. Other denominations can be named and are never held.

use chain_client::proto::cosmos::base::v1beta1::Coin;

use super::fault::TxFault;

/// The only denomination that anybody holds.
pub const DENOM: &str = "urock";

/// The least fee of a unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GasPrice {
    /// In 10⁻¹⁸ urock.
    atto: u128,
}

const ATTO: u128 = 1_000_000_000_000_000_000;

impl GasPrice {
    /// Reads `0.0001urock`; nothing at all is no floor.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { atto: 0 });
        }
        let number = text.strip_suffix(DENOM).ok_or_else(|| format!("{text} is not an amount of {DENOM}"))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 18 || !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(format!("{text} is not a decimal of at most 18 places"));
        }
        let whole: u128 = whole.parse().map_err(|_| format!("{text} is not a decimal"))?;
        let fraction: u128 = format!("{fraction:0<18}").parse().map_err(|_| format!("{text} is not a decimal"))?;
        let atto = whole.checked_mul(ATTO).and_then(|atto| atto.checked_add(fraction));
        Ok(Self { atto: atto.ok_or_else(|| format!("{text} is too large"))? })
    }

    /// `ceil(price × gas)`.
    pub(crate) fn fee(self, gas: u64) -> u128 {
        self.atto.saturating_mul(gas.into()).div_ceil(ATTO)
    }
}

/// The urock in a list of coins, and whether it names anything else.
pub(crate) struct Amount {
    pub(crate) urock: u128,
    /// An amount above zero of another denomination, which nobody can pay.
    pub(crate) foreign: Option<Coin>,
}

/// Reads coins as the SDK checks them: positive, sorted, each denomination once.
pub(crate) fn read(coins: &[Coin], what: &str) -> Result<Amount, TxFault> {
    let mut amount = Amount { urock: 0, foreign: None };
    let mut before: Option<&str> = None;
    for coin in coins {
        let value: u128 = coin.amount.parse().map_err(|_| TxFault::invalid_coins(format!("{what} {}", text(coins))))?;
        if before.is_some_and(|before| before >= coin.denom.as_str()) {
            return Err(TxFault::invalid_coins(format!("{what} {}", text(coins))));
        }
        before = Some(&coin.denom);
        if coin.denom == DENOM {
            amount.urock = value;
        } else if value > 0 {
            amount.foreign = Some(coin.clone());
        }
    }
    Ok(amount)
}

/// As logs print coins.
pub(crate) fn text(coins: &[Coin]) -> String {
    coins.iter().map(|coin| format!("{}{}", coin.amount, coin.denom)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fee_floor_is_rounded_up() {
        let price = GasPrice::parse("0.0001urock").expect("price");
        assert_eq!(price.fee(300_000), 30);
        assert_eq!(price.fee(300_001), 31);
        assert_eq!(GasPrice::parse("2.5urock").expect("price").fee(300_000), 750_000);
        assert_eq!(GasPrice::parse("").expect("price").fee(300_000), 0);
        assert!(GasPrice::parse("1rock").is_err());
        assert!(GasPrice::parse("-1urock").is_err());
    }

    #[test]
    fn coins_are_positive_and_sorted() {
        let coin = |denom: &str, amount: &str| Coin { denom: denom.into(), amount: amount.into() };
        assert!(read(&[coin("urock", "-1")], "fee").is_err());
        assert!(read(&[coin("urock", "1"), coin("urock", "1")], "fee").is_err());
        assert!(read(&[coin("atom", "1"), coin("urock", "7")], "fee").expect("coins").foreign.is_some());
    }
}
