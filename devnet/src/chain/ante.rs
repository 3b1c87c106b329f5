//! What a transaction must pass before its messages run: form, time, fee, signatures, sequence.
//!
//! The order is that of a live chain, so that a transaction with two faults fails with the same code.

use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use std::sync::Arc;

use super::address::Address;
use super::bank;
use super::coins;
use super::event::Event;
use super::fault::TxFault;
use super::gas::Meter;
use super::rules::Rules;
use super::state::{Account, State};
use super::transaction::{Transaction, is_direct, public_key};

const MEMO_CHARACTERS: usize = 256;
/// The circuit breaker's look, before anything else.
const CIRCUIT_BREAKER_GAS: u64 = 1_000;
const GAS_PER_BYTE: u64 = 10;
const SIGNATURE_GAS: u64 = 1_000;
/// Parameters, accounts and balances that the ante handlers read and write, fitted to a recorded chain.
const ANTE_GAS: u64 = 47_315;
/// What storing an account's key costs, once.
const NEW_KEY_GAS: u64 = 13_100;

/// Why the checks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Into the mempool: the fee floor counts.
    Check,
    /// Into a block.
    Deliver,
    /// To learn the gas: signatures are not looked at.
    Simulate,
}

/// Where and why the checks run.
pub(crate) struct Ante<'a> {
    pub(crate) rules: &'a Rules,
    /// Committed height in a check, the new block's otherwise.
    pub(crate) height: u64,
    pub(crate) purpose: Purpose,
}

impl Ante<'_> {
    /// Checks `transaction` and applies what passing costs: fee, key, sequence. On an error `state` must be dropped.
    pub(crate) fn run(
        &self,
        state: &mut State,
        transaction: &Transaction,
        meter: &mut Meter,
    ) -> Result<Vec<Event>, TxFault> {
        for message in &transaction.messages {
            message.validate_basic()?;
        }
        meter.charge(CIRCUIT_BREAKER_GAS, "ReadFlat")?;
        self.check_form(transaction)?;
        let timeout = transaction.body.timeout_height;
        if timeout > 0 && self.height > timeout {
            return Err(TxFault::past_timeout(self.height, timeout));
        }
        let memo = transaction.body.memo.chars().count();
        if memo > MEMO_CHARACTERS {
            return Err(TxFault::memo_too_large(memo));
        }
        meter.charge(ANTE_GAS, "ReadPerByte")?;
        meter.charge(GAS_PER_BYTE.saturating_mul(transaction.bytes.len() as u64), "txSize")?;
        let mut events = vec![self.take_fee(state, transaction)?];
        self.learn_keys(state, transaction, meter)?;
        for place in 0..transaction.signers.len() {
            meter.charge(SIGNATURE_GAS, "ante verify: secp256k1")?;
            self.check_signature(state, transaction, place)?;
        }
        for (place, signer) in transaction.signers.iter().enumerate() {
            let (address, account) = find(state, signer)?;
            let mut account = Arc::unwrap_or_clone(account);
            account.sequence += 1;
            state.accounts.insert_mut(address, Arc::new(account));
            let sequence = transaction.auth.signer_infos.get(place).map_or(0, |info| info.sequence);
            events.push(Event::new("tx", &[("acc_seq", &format!("{signer}/{sequence}"))]));
        }
        Ok(events)
    }

    fn check_form(&self, transaction: &Transaction) -> Result<(), TxFault> {
        let (expected, got) = (transaction.signers.len(), transaction.raw.signatures.len());
        if got == 0 && self.purpose != Purpose::Simulate {
            return Err(TxFault::unauthorized("no signatures supplied"));
        }
        if expected != transaction.auth.signer_infos.len() || (expected != got && self.purpose != Purpose::Simulate) {
            return Err(TxFault::unauthorized(format!("wrong number of signers; expected {expected}, got {got}")));
        }
        Ok(())
    }

    fn take_fee(&self, state: &mut State, transaction: &Transaction) -> Result<Event, TxFault> {
        let fee = transaction.auth.fee.as_ref();
        let offered = fee.map_or(&[][..], |fee| fee.amount.as_slice());
        let amount = coins::read(offered, "fee")?;
        if self.purpose == Purpose::Check {
            let required = self.rules.gas_price.fee(transaction.gas_limit());
            if amount.urock < required {
                let got = coins::text(offered);
                let text = format!("insufficient fees; got: {got} required: {required}urock");
                return Err(TxFault::insufficient_fee(text));
            }
        }
        if fee.is_some_and(|fee| !fee.granter.is_empty() && fee.granter != transaction.payer()) {
            return Err(TxFault::invalid_request("fee grants are not enabled"));
        }
        let payer = transaction.payer();
        let address = Address::parse(payer).map_err(TxFault::invalid_address)?;
        if !state.accounts.contains_key(&address) {
            return Err(TxFault::unknown_address(format!("fee payer address: {payer} does not exist")));
        }
        if amount.urock > 0 || amount.foreign.is_some() {
            let collector = Address::of_module(bank::FEES);
            let paid = match amount.foreign {
                Some(coin) => Err(TxFault::insufficient_funds(format!(
                    "spendable balance 0{0} is smaller than {1}{0}",
                    coin.denom, coin.amount
                ))),
                None => bank::move_money(state, &address, &collector, amount.urock),
            };
            paid.map_err(|fault| TxFault::insufficient_funds(fault.log))?;
        }
        Ok(Event::new("tx", &[("fee", &coins::text(offered)), ("fee_payer", payer)]))
    }

    /// Remembers the key of an account that sends for the first time.
    fn learn_keys(&self, state: &mut State, transaction: &Transaction, meter: &mut Meter) -> Result<(), TxFault> {
        for (place, signer) in transaction.signers.iter().enumerate() {
            let (address, account) = find(state, signer)?;
            let info = transaction.auth.signer_infos.get(place);
            let Some(key) = info.map(public_key).transpose()?.flatten() else { continue };
            if self.purpose != Purpose::Simulate && Address::of_public_key(&key) != address {
                return Err(TxFault::invalid_public_key(format!(
                    "pubKey does not match signer address {signer} with signer index: {place}"
                )));
            }
            if account.public_key.is_none() {
                let mut account = Arc::unwrap_or_clone(account);
                account.public_key = Some(key);
                meter.charge(NEW_KEY_GAS, "WritePerByte")?;
                state.accounts.insert_mut(address, Arc::new(account));
            }
        }
        Ok(())
    }

    fn check_signature(&self, state: &State, transaction: &Transaction, place: usize) -> Result<(), TxFault> {
        let signer = &transaction.signers[place];
        let (_, account) = find(state, signer)?;
        let info = transaction.auth.signer_infos.get(place);
        let info = info.ok_or_else(|| TxFault::unauthorized("no signer info"))?;
        if info.sequence != account.sequence {
            return Err(TxFault::wrong_sequence(account.sequence, info.sequence));
        }
        if self.purpose == Purpose::Simulate || transaction.verified {
            return Ok(());
        }
        let key = account.public_key.ok_or_else(|| TxFault::invalid_public_key("pubkey on account is not set"))?;
        let failed = || {
            TxFault::unauthorized(format!(
                "signature verification failed; please verify account number ({}) and chain-id ({}): \
                 (unable to verify single signer signature)",
                account.number, self.rules.chain_id
            ))
        };
        if !is_direct(info) {
            return Err(failed());
        }
        let signature = transaction.raw.signatures.get(place).ok_or_else(failed)?;
        let bytes = transaction.sign_bytes(&self.rules.chain_id, account.number);
        verify(&key, &bytes, signature).ok_or_else(failed)
    }
}

fn find(state: &State, signer: &str) -> Result<(Address, Arc<Account>), TxFault> {
    let address = Address::parse(signer).map_err(TxFault::invalid_address)?;
    match state.accounts.get(&address).cloned() {
        Some(account) => Ok((address, account)),
        None => Err(TxFault::unknown_address(format!("account {signer} does not exist"))),
    }
}

/// 64 bytes `r‖s`, low `s`, over SHA-256 of the message.
fn verify(key: &[u8; 33], message: &[u8], signature: &[u8]) -> Option<()> {
    let key = VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = Signature::from_slice(signature).ok()?;
    if signature.normalize_s().is_some() {
        return None;
    }
    key.verify_prehash(&Sha256::digest(message), &signature).ok()
}
