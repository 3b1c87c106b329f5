//! Pays: one signed transaction that asks, after everything that can be known before was looked at.

use alloy_primitives::{Address, TxKind, U256, keccak256};
use chain_client::zrsign::ask::{KeyWish, Refusal, Wish};
use chain_client::zrsign::evm::{Call, EvmHint, WalletStatus};
use chain_client::zrsign::name::Slot;
use chain_client::zrsign::transaction::LegacyTransaction;

use super::super::told::Progress;
use super::super::{Common, unasked};
use super::Sent;
use super::contract::{Contract, passed, patiently};
use crate::app::evm_pen::EvmPen;
use crate::report::{Misuse, Report};
use crate::sender::Pen;

/// What asking may cost if nothing is said: 0.1 ether.
const SPEND_MAX_WEI: u64 = 100_000_000_000_000_000;

impl Contract {
    /// Signs one transaction that asks, and hands it to the nodes.
    pub(super) async fn ask(
        &self,
        common: &Common,
        wish: &Wish,
        pen: &EvmPen,
        progress: &Progress,
    ) -> Result<Sent, Report> {
        let (from, at) = (pen.account(), self.head.hash);
        self.expect_room(wish).await?;
        let base_fee = u128::from(self.head.base_fee.unwrap_or_default());
        let price = base_fee.saturating_mul(2).saturating_add(common.tip);
        let state = patiently(async || self.chain.account(from, at).await).await?;
        if state.balance.is_zero() {
            return Err(unasked(format!("{from} holds 0 wei: fund it")));
        }
        let fee = self.fee(wish, from, Some(price)).await?;
        let value = fee.to_send(base_fee, price, self.deployment.response_gas);
        let spend_max = common.spend_max.unwrap_or(U256::from(SPEND_MAX_WEI));
        let mut call =
            Call { from, to: self.proxy.address, value, gas: None, gas_price: Some(price), data: wish.call_data() };
        // Without funds for the fee nodes do not even estimate.
        affordable(value, spend_max, state.balance, from)?;
        let needed = patiently(async || self.chain.estimate_gas(&call, at).await).await?;
        let needed = passed(needed)?;
        let gas = needed.saturating_add(needed / 4);
        let worst = value.saturating_add(U256::from(gas).saturating_mul(U256::from(price)));
        affordable(worst, spend_max, state.balance, from)?;
        call.gas = Some(gas);
        passed(patiently(async || self.chain.simulate(&call).await).await?)?;

        let unsigned = LegacyTransaction {
            nonce: state.nonce,
            gas_price: price,
            gas_limit: gas,
            to: TxKind::Call(call.to),
            value,
            data: call.data,
        };
        let signature = pen.sign(unsigned.digest(self.proxy.chain)).map_err(unasked)?;
        let raw = unsigned.signed(self.proxy.chain, signature.r(), signature.s(), u8::from(signature.v()));
        let sent = Sent { hash: keccak256(&raw), raw: Some(raw) };
        progress.say(&format!("asking {} as {from}, nonce {}", self.proxy, state.nonce));
        let margin = value.saturating_sub(fee.mpc);
        progress.say(&format!(
            "paying {} wei, and {margin} wei for the answer, of which the rest comes back with it; gas at most {} wei",
            fee.mpc,
            worst.saturating_sub(value)
        ));
        progress.say(&format!("transaction {}", sent.hash));
        self.hand_over(&sent, state.nonce).await?;
        Ok(sent)
    }

    /// Reverts of the contract that have a better explanation than its own, and one request that it would take for nothing.
    async fn expect_room(&self, wish: &Wish) -> Result<(), Report> {
        let at = self.head.hash;
        match wish {
            Wish::Key(KeyWish { proxy, kind, owner, .. }) => {
                let slot = Slot { proxy: *proxy, kind: *kind, owner: *owner, index: U256::ZERO };
                let filled = patiently(async || self.chain.wallets_filled(&slot, at).await).await?;
                let slot = Slot { index: U256::from(filled), ..slot };
                let next = patiently(async || self.chain.wallet(&slot, at).await).await?;
                if next.status == WalletStatus::Requested {
                    let why = format!(
                        "wallet {filled} of {owner} was asked for and has no key yet: another request would be the same \
                         one, paid twice; go on waiting with --asked and the transaction that asked"
                    );
                    return Err(unasked(why));
                }
            }
            Wish::Signature(wish) => {
                let kept = patiently(async || self.chain.wallet(&wish.wallet, at).await).await?;
                let (index, owner) = (wish.wallet.index, wish.wallet.owner);
                match kept.status {
                    WalletStatus::Registered => {}
                    WalletStatus::Requested => return Err(unasked(Refusal::NoKeyYet(index))),
                    WalletStatus::Unknown => {
                        let why = format!("--index: {owner} has no wallet {index} of that type; ask for a key first");
                        return Err(unasked(Misuse(why)));
                    }
                }
            }
        }
        Ok(())
    }

    /// A hint of the nodes is no proof, but one that says no before anything was taken is an end.
    async fn hand_over(&self, sent: &Sent, nonce: u64) -> Result<(), Report> {
        let Some(raw) = &sent.raw else { return Ok(()) };
        let why = match self.chain.send_everywhere(raw).await {
            // What is unclear may have been taken: it is waited for, and sent again.
            EvmHint::Taken | EvmHint::Known | EvmHint::Unclear { .. } => return Ok(()),
            EvmHint::NonceTooLow => format!("nonce {nonce} is spent: the account is used elsewhere; ask again"),
            EvmHint::Underpriced => {
                format!("another transaction of the account waits under nonce {nonce}: let it pass")
            }
            EvmHint::FeeTooLow => "the price of gas is too low for the node: raise --tip".to_owned(),
            EvmHint::NoFunds => "the account cannot pay for what waits and for this: fund it".to_owned(),
        };
        Err(unasked(why))
    }
}

fn affordable(wei: U256, spend_max: U256, balance: U256, account: Address) -> Result<(), Report> {
    if wei > spend_max {
        let why =
            format!("--spend-max: asking takes up to {wei} wei, allowed are {spend_max}; raise it if that is right");
        return Err(unasked(Misuse(why)));
    }
    if wei > balance {
        return Err(unasked(format!("{account} holds {balance} wei, asking takes up to {wei}: fund it")));
    }
    Ok(())
}
