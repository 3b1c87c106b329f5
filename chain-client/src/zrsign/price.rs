//! At which gas price a response does not revert.
//!
//! The contract pays the submitter from the value stored with the request, by arithmetic that cannot go below zero:
//! with `used` gas and a constant of 7,210, prices `p` with `used · p < value + 7210` and `(used + 7210) · p > value` end
//! with a panic. Below that dead zone the submitter is paid in full; above it the whole value is paid and the submitter
//! bears the rest. How much will be used is known by a simulation, so with a margin.

/// What the contract adds to the measured gas.
const CONSTANT_GAS: u128 = 7_210;

/// Gas that a response may use: between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

/// Whether a response at this price may end with a panic.
#[must_use]
pub fn is_dead(price: u128, value: u128, used: Used) -> bool {
    let is_refunded = u128::from(used.least).saturating_mul(price) < value.saturating_add(CONSTANT_GAS);
    let falls_short = u128::from(used.most).saturating_add(CONSTANT_GAS).saturating_mul(price) > value;
    is_refunded && falls_short
}

/// The price nearest to the wanted one at which the response goes through: below the dead zone if `least` lets it,
/// otherwise above it. `None` when that would be more than `most`.
#[must_use]
pub fn outside_the_dead_zone(wanted: u128, least: u128, most: u128, value: u128, used: Used) -> Option<u128> {
    let wanted = wanted.clamp(least, most.max(least));
    if !is_dead(wanted, value, used) {
        return (wanted <= most).then_some(wanted);
    }
    let below = value / u128::from(used.most).saturating_add(CONSTANT_GAS);
    if below >= least && !is_dead(below, value, used) {
        return Some(below);
    }
    let above = value.saturating_add(CONSTANT_GAS).div_ceil(u128::from(used.least).max(1));
    (above <= most && !is_dead(above, value, used)).then_some(above)
}

/// What the submitter pays and is not paid back, in wei, at most.
#[must_use]
pub fn loss(price: u128, value: u128, gas: u64) -> u128 {
    u128::from(gas).saturating_mul(price).saturating_sub(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GWEI: u128 = 1_000_000_000;
    const VALUE: u128 = 240_000_000_000_000;
    /// So that the zone lies where it was measured for a minimal signature response.
    const USED: Used = Used { least: 72_252, most: 72_252 };

    #[test]
    fn the_zone_lies_where_it_was_measured() {
        for (price, dead) in [(3_020, false), (3_040, true), (3_100, true), (3_320, true), (3_330, false)] {
            assert_eq!(is_dead(price * GWEI / 1_000, VALUE, USED), dead, "{price} milligwei");
        }
    }

    #[test]
    fn a_price_in_the_zone_goes_down_if_the_base_fee_lets_it_and_up_otherwise() {
        let wanted = 31 * GWEI / 10;
        let below = outside_the_dead_zone(wanted, GWEI, 10 * GWEI, VALUE, USED).unwrap();
        assert!(below < wanted && !is_dead(below, VALUE, USED));
        let above = outside_the_dead_zone(wanted, wanted, 10 * GWEI, VALUE, USED).unwrap();
        assert!(above > wanted && !is_dead(above, VALUE, USED));
        assert_eq!(outside_the_dead_zone(wanted, wanted, wanted + 1, VALUE, USED), None, "neither way is open");
        assert_eq!(outside_the_dead_zone(GWEI, GWEI, 10 * GWEI, VALUE, USED), Some(GWEI));
        assert_eq!(
            outside_the_dead_zone(GWEI, 20 * GWEI, 10 * GWEI, VALUE, USED),
            None,
            "the base fee is above the cap"
        );
    }

    proptest! {
        #[test]
        fn a_chosen_price_is_never_dead_and_within_its_bounds(
            wanted in 0..1u128 << 60, least in 0..1u128 << 60, most in 0..1u128 << 60, value in 0..1u128 << 90, gas in 1..1u64 << 30, margin in 0..1u64 << 20,
        ) {
            let used = Used { least: gas, most: gas + margin };
            if let Some(price) = outside_the_dead_zone(wanted, least, most, value, used) {
                prop_assert!(!is_dead(price, value, used) && price >= least && price <= most);
            }
        }
    }
}
