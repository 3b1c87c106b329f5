//! Gas: what the live chain's store would charge, so that a limit runs out here where it runs out there.
//!
//! A write costs 2 000 and 30 a byte, a read 1 000 and 3 a byte, of the whole record and its key. What other modules
//! read on the way (circuit breaker, parameters, reservations) is charged in fixed sums fitted to a recorded chain.

use super::fault::TxFault;

const READ_FLAT: u64 = 1_000;
const READ_BYTE: u64 = 3;
const WRITE_FLAT: u64 = 2_000;
const WRITE_BYTE: u64 = 30;

/// The gas of one transaction.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    limit: u64,
    used: u64,
}

impl Meter {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, used: 0 }
    }

    /// A meter that never runs out, for the chain's own work.
    pub(crate) fn endless() -> Self {
        Self::new(u64::MAX)
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Charges `amount`.
    ///
    /// # Errors
    /// The limit is passed; what was used then exceeds it, as on a live chain.
    pub(crate) fn charge(&mut self, amount: u64, place: &str) -> Result<(), TxFault> {
        self.used = self.used.saturating_add(amount);
        if self.used > self.limit { Err(TxFault::out_of_gas(place, self.limit, self.used)) } else { Ok(()) }
    }

    /// Charges for reading a record of `length` bytes, key included.
    pub(crate) fn read(&mut self, length: usize) -> Result<(), TxFault> {
        self.charge(READ_FLAT, "ReadFlat")?;
        self.charge(READ_BYTE.saturating_mul(length as u64), "ReadPerByte")
    }

    /// Charges for writing a record of `length` bytes, key included.
    pub(crate) fn write(&mut self, length: usize) -> Result<(), TxFault> {
        self.charge(WRITE_FLAT, "WriteFlat")?;
        self.charge(WRITE_BYTE.saturating_mul(length as u64), "WritePerByte")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_passed_names_the_place() {
        let mut meter = Meter::new(1);
        let fault = meter.read(10).expect_err("out of gas");
        assert_eq!(fault.log, "out of gas in location: ReadFlat; gasWanted: 1, gasUsed: 1000: out of gas");
        assert_eq!((fault.code, fault.codespace), (11, "sdk"));
    }

    #[test]
    fn reads_and_writes_cost_by_the_byte() {
        let mut meter = Meter::new(100_000);
        meter.read(100).expect("gas");
        meter.write(100).expect("gas");
        assert_eq!(meter.used(), 1_300 + 5_000);
    }
}
