//! Signs for this party's account on a zrChain: same order, same bytes.

use std::sync::{Mutex, PoisonError};

use chain_client::{AnswerLoad, ChainId, Charge, FeePolicy, GasPrice, PartyAccount, Seat, SignedTx, fee, tx};

use crate::outbox::{Order, Pen};

/// An account's key and what it may pay.
pub struct AccountPen {
    chain: ChainId,
    account: PartyAccount,
    policy: FeePolicy,
    /// As the chain asked when it was last read; nothing is signed before it was.
    price: Mutex<Option<GasPrice>>,
}

impl AccountPen {
    /// A pen for this account. It signs nothing until it is told the chain's price.
    #[must_use]
    pub const fn new(chain: ChainId, account: PartyAccount, policy: FeePolicy) -> Self {
        Self { chain, account, policy, price: Mutex::new(None) }
    }

    /// The chain asks this now.
    pub fn price_is(&self, price: GasPrice) {
        *self.price.lock().unwrap_or_else(PoisonError::into_inner) = Some(price);
    }

    /// Each step of gas doubles it, each step of the fee doubles that; the ceiling holds for all of them.
    fn answer_charge(&self, order: &Order<'_>) -> Option<Charge> {
        let gas = AnswerLoad::gas_limit(&order.load).checked_mul(1u64.checked_shl(order.gas_step)?)?;
        self.charge(gas, order.fee_step)
    }

    fn charge(&self, gas_limit: u64, fee_step: u32) -> Option<Charge> {
        let price = (*self.price.lock().unwrap_or_else(PoisonError::into_inner))?;
        let charge = self.policy.charge(gas_limit, price).ok()?;
        let factor = 1u128.checked_shl(fee_step)?;
        // A chain without floor asks for no fee: then steps begin at one unit.
        let fee = if fee_step > 0 { charge.fee_urock.max(1) } else { charge.fee_urock };
        let fee_urock = fee.checked_mul(factor).filter(|fee| *fee <= self.policy.ceiling_urock)?;
        Some(Charge { fee_urock, ..charge })
    }

    fn seat(&self, account_number: u64, sequence: u64) -> Seat {
        Seat { chain: self.chain.clone(), account_number, sequence }
    }
}

impl Pen for AccountPen {
    fn account(&self) -> &str {
        self.account.address()
    }

    fn answer(&self, order: &Order<'_>) -> Option<SignedTx> {
        let charge = self.answer_charge(order)?;
        let seat = self.seat(order.account_number, order.sequence);
        Some(tx::answer(&self.account, &seat, order.request, order.answer, charge))
    }

    fn fee(&self, order: &Order<'_>) -> Option<u128> {
        Some(self.answer_charge(order)?.fee_urock)
    }

    fn nothing(&self, account_number: u64, sequence: u64, fee_step: u32) -> Option<SignedTx> {
        let charge = self.charge(fee::nothing_gas_limit(), fee_step)?;
        Some(tx::nothing(&self.account, &self.seat(account_number, sequence), charge))
    }
}
