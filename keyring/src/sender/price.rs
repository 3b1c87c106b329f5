//! What is offered for gas: the base fee with a margin, outside the prices at which the contract's arithmetic panics.
//!
//! Which prices those are depends on the gas that the contract measures, which no node tells. A simulation that panics
//! tells it: at price `p` and value `v` the contract used between `v/p − 7210` and `(v + 7210)/p`.

use chain_client::zrsign::price::{Used, outside_the_dead_zone};

use super::{Sender, Settings, Why};

/// What the contract adds to the gas that it measures.
const CONSTANT_GAS: u128 = 7_210;

impl Settings {
    /// What is offered for a unit of gas at this base fee, in wei, if nothing were too much.
    #[must_use]
    pub fn wanted_price(&self, base_fee: u128) -> u128 {
        let part = base_fee.saturating_mul(self.factor_percent.into()) / 100;
        part.saturating_add(self.tip).max(base_fee)
    }
}

impl Sender {
    /// What would be offered at this base fee.
    pub(super) fn wanted_price(&self, base_fee: u128) -> Result<u128, Why> {
        let max = self.settings.price_max;
        if base_fee > max {
            return Err(Why::TooDear { needed: base_fee, max });
        }
        Ok(self.settings.wanted_price(base_fee).min(max))
    }

    /// What is offered for an answer: never less than `least`.
    pub(super) fn answer_price(
        &self,
        base_fee: u128,
        least: u128,
        value: u128,
        used: Option<Used>,
    ) -> Result<u128, Why> {
        let max = self.settings.price_max;
        if least > max {
            return Err(Why::TooDear { needed: least, max });
        }
        let wanted = self.wanted_price(base_fee)?.max(least);
        let Some(used) = used else { return Ok(wanted) };
        // Below the dead zone only for a price that still holds when the next block asks its most for gas.
        let least = least.max(raised(base_fee)).min(wanted);
        outside_the_dead_zone(wanted, least, max, value, used).ok_or(Why::DeadZone { wanted, max })
    }
}

/// The least price that takes the place of this one: an eighth more.
pub(super) const fn raised(price: u128) -> u128 {
    price.saturating_add(price.div_ceil(8))
}

/// What a panic at a price teaches about the gas that the contract measures. Nothing, where there was no price.
pub(super) fn learned(price: u128, value: u128) -> Option<Used> {
    let least = value.checked_div(price)?.saturating_sub(CONSTANT_GAS).max(1);
    let most = value.saturating_add(CONSTANT_GAS) / price;
    let narrow = |gas: u128| u64::try_from(gas).unwrap_or(u64::MAX);
    Some(Used { least: narrow(least), most: narrow(most) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chain_client::zrsign::price::is_dead;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the contract used, if it panicked at a price, then what is learned of it leads out.
        #[test]
        fn a_panic_teaches_enough_to_leave_the_dead_zone(
            gas in 30_000..400_000u64, price in 1..1u128 << 40, part in 0..7_210u128,
        ) {
            let truth = Used { least: gas, most: gas };
            // A value for which this price is in the zone.
            let value = u128::from(gas) * price + part * price;
            prop_assume!(is_dead(price, value, truth));
            let known = learned(price, value).unwrap();
            prop_assert!(known.least <= gas && gas <= known.most);
            let found = outside_the_dead_zone(price, 1, u128::MAX, value, known);
            prop_assert!(found.is_some_and(|found| !is_dead(found, value, truth)), "{found:?}");
        }

        #[test]
        fn a_raise_is_an_eighth_or_more(price in 1..1u128 << 100) {
            prop_assert!(raised(price) > price && raised(price) * 8 >= price * 9);
        }
    }

    #[test]
    fn without_a_price_a_panic_teaches_nothing() {
        assert_eq!(learned(0, 5), None);
    }
}
