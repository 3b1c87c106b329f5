//! A small EVM chain with one account and one contract, and what tests ask of a sender on it.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, Signature, address};
use chain_client::Height;
use chain_client::zrsign::price::{Used, is_dead};
use k256::ecdsa::SigningKey;

use super::{
    AccountLook, Call, ContractLook, Delivery, Hint, Look, Pen, PenError, Receipt, RequestLook, RequestState, Revert,
    Settings, Sight, Signed, Simulated, State,
};
use crate::decree::{DecreeId, Kind};

pub(super) const CHAIN: u64 = 31_337;
pub(super) const GWEI: u128 = 1_000_000_000;
pub(super) const PROXY: Address = address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0");
/// `getRespGas()`, and so every answer's gas limit.
pub(super) const GAS: u64 = 200_000;
/// Blocks from the head to the newest final one; a reorganisation takes fewer.
pub(super) const FINAL_DEPTH: u64 = 4;
/// What the contract measures, and what the whole transaction uses: an answer that is paid in full gains a little.
const MEASURED: Used = Used { least: 72_252, most: 72_252 };
const ANSWER_GAS: u64 = 78_182;
const REVERT_GAS: u64 = 34_000;
const CONSTANT: u128 = 7_210;

/// The one place where tests make names of decrees.
pub(super) fn decree(request: u64) -> DecreeId {
    let (chain, keyring) = (format!("eip155:{CHAIN}"), PROXY.to_string());
    DecreeId { chain, keyring, kind: Kind::Signature, request, event: Some([7; 32]), item: 0 }
}

pub(super) fn settings() -> Settings {
    Settings {
        chain: CHAIN,
        wait_blocks: 3,
        factor_percent: 150,
        tip: GWEI / 10,
        price_max: 20 * GWEI,
        max_loss_per_answer: 4_000_000 * GWEI,
        max_loss_per_day: 9_000_000 * GWEI,
    }
}

pub(super) fn delivery(request: u64, turn: u32, decided_at: Height) -> Delivery {
    Delivery { proxy: PROXY, data: Bytes::copy_from_slice(&request.to_be_bytes()), turn, decided_at }
}

pub(super) struct ModelPen {
    key: SigningKey,
    /// It gives no signature.
    pub(super) is_dry: bool,
}

impl ModelPen {
    pub(super) fn new() -> Self {
        Self { key: SigningKey::from_slice(&[0x46; 32]).unwrap(), is_dry: false }
    }
}

impl Pen for ModelPen {
    fn account(&self) -> Address {
        Address::from_public_key(self.key.verifying_key())
    }

    fn sign(&self, digest: B256) -> Result<Signature, PenError> {
        if self.is_dry {
            return Err(PenError);
        }
        let (signature, recovery) = self.key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        Ok(Signature::from_signature_and_parity(signature, recovery.is_y_odd()))
    }
}

/// A request of the model.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) value: u128,
    /// Whether it is answered, and with the decided bytes.
    pub(super) answered: Option<bool>,
}

/// One of our transactions in a block.
#[derive(Clone, Debug)]
pub(super) struct Mined {
    pub(super) receipt: Receipt,
    pub(super) request: Option<u64>,
    /// What was not paid back.
    pub(super) cost: u128,
}

/// The state after a block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) base_fee: u128,
    pub(super) timestamp: u64,
    pub(super) nonce: u64,
    pub(super) balance: u128,
    pub(super) requests: BTreeMap<u64, Asked>,
    pub(super) mined: Vec<Mined>,
    pub(super) paused: bool,
    pub(super) listed: bool,
}

/// A transaction and what it answers.
#[derive(Clone, Debug)]
pub(super) struct Flying {
    pub(super) signed: Signed,
    pub(super) request: Option<u64>,
}

/// Somebody else's answer on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rival {
    pub(super) request: u64,
    pub(super) agrees: bool,
    /// Given to a block's maker past all pools.
    pub(super) is_hidden: bool,
}

/// The chain: every block of it as it is now.
pub(super) struct ModelChain {
    pub(super) blocks: Vec<Block>,
    pub(super) mempool: BTreeMap<u64, Flying>,
    pub(super) rivals: Vec<Rival>,
    /// Owners that let a simulation pass, and burn the gas in the block.
    pub(super) hostile: BTreeSet<u64>,
    pub(super) base_fee: u128,
    pub(super) block_seconds: u64,
    pub(super) paused: bool,
    pub(super) listed: bool,
    /// Wei that appear in, or vanish from, the account with the next block.
    pub(super) balance: Option<u128>,
    /// As an endpoint shows it; a planted break has another.
    pub(super) final_depth: u64,
}

impl ModelChain {
    pub(super) fn new(nonce: u64) -> Self {
        let genesis = Block {
            base_fee: GWEI,
            timestamp: 1_700_000_000,
            nonce,
            balance: 1_000_000_000 * GWEI,
            requests: BTreeMap::new(),
            mined: Vec::new(),
            paused: false,
            listed: true,
        };
        let mut chain = Self {
            blocks: vec![genesis],
            mempool: BTreeMap::new(),
            rivals: Vec::new(),
            hostile: BTreeSet::new(),
            base_fee: GWEI,
            block_seconds: 12,
            paused: false,
            listed: true,
            balance: None,
            final_depth: FINAL_DEPTH,
        };
        (0..=FINAL_DEPTH).for_each(|_| chain.block());
        chain
    }

    pub(super) fn height(&self) -> Height {
        Height(self.blocks.len() as u64 - 1)
    }

    pub(super) fn head(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    /// The block that is final, whatever endpoints say.
    pub(super) fn final_block(&self) -> &Block {
        self.blocks.iter().rev().nth(FINAL_DEPTH as usize).unwrap_or(&self.blocks[0])
    }

    /// A request in a block that is final already.
    pub(super) fn ask(&mut self) -> u64 {
        let number = self.head().requests.len() as u64;
        let asked = Asked { value: u128::from(GAS) * self.base_fee * 120 / 100, answered: None };
        for block in &mut self.blocks {
            block.requests.insert(number, asked.clone());
        }
        number
    }

    pub(super) fn broadcast(&mut self, tx: &Flying) -> Hint {
        let Signed { nonce, price, hash, .. } = tx.signed;
        if nonce < self.head().nonce {
            return Hint::NonceSpent;
        }
        match self.mempool.get(&nonce) {
            Some(held) if held.signed.hash == hash => Hint::Taken,
            Some(held) if price * 10 < held.signed.price * 11 => Hint::Underpriced,
            _ if tx.signed.worst() > self.head().balance => Hint::Unknown,
            _ => {
                self.mempool.insert(nonce, tx.clone());
                Hint::Taken
            }
        }
    }

    pub(super) fn block(&mut self) {
        let mut block = self.head().clone();
        block.mined.clear();
        block.base_fee = self.base_fee;
        block.timestamp += self.block_seconds;
        (block.paused, block.listed) = (self.paused, self.listed);
        block.balance = self.balance.take().unwrap_or(block.balance);
        let height = Height(self.blocks.len() as u64);
        for rival in std::mem::take(&mut self.rivals) {
            block.answered_by(rival);
        }
        while let Some(tx) = self.mempool.get(&block.nonce).cloned() {
            if tx.signed.price < block.base_fee || tx.signed.worst() > block.balance {
                break;
            }
            self.mempool.remove(&block.nonce);
            let is_hostile = tx.request.is_some_and(|request| self.hostile.contains(&request));
            block.execute(&tx, height, is_hostile);
        }
        self.blocks.push(block);
        let nonce = self.head().nonce;
        self.mempool.retain(|held, _| *held >= nonce);
    }

    /// The newest blocks are replaced by one more, without the transactions that were in them. Pools are empty.
    pub(super) fn reorganise(&mut self, depth: u64) {
        assert!(depth < FINAL_DEPTH);
        let length = self.blocks.len() - depth as usize;
        self.blocks.truncate(length);
        self.mempool.clear();
        self.rivals.clear();
        (0..=depth).for_each(|_| self.block());
    }

    /// Somebody else spends the account's next nonce.
    pub(super) fn moves_alone(&mut self) {
        let mut block = self.head().clone();
        block.mined.clear();
        block.nonce += 1;
        self.blocks.push(block);
    }

    pub(super) fn sight(&self, behind: u64) -> Sight {
        let head = self.height().0.saturating_sub(behind);
        let finality = head.saturating_sub(self.final_depth);
        let (at_head, at_final) = (&self.blocks[head as usize], &self.blocks[finality as usize]);
        Sight {
            head: Height(head),
            timestamp: at_head.timestamp,
            base_fee: at_head.base_fee,
            finality: Height(finality),
            account: AccountLook { balance: at_head.balance, nonce: at_head.nonce, final_nonce: at_final.nonce },
        }
    }

    pub(super) fn look(&self, request: u64, hashes: &[B256], behind: u64) -> Look {
        let sight = self.sight(behind);
        let (at_head, at_final) = (&self.blocks[sight.head.0 as usize], &self.blocks[sight.finality.0 as usize]);
        let state = |block: &Block| match block.requests.get(&request).map(|asked| asked.answered) {
            None => RequestState::Unknown,
            Some(None) => RequestState::Open,
            Some(Some(agrees)) => RequestState::Answered { agrees },
        };
        let mined = self.blocks[..=sight.head.0 as usize].iter().flat_map(|block| &block.mined);
        Look {
            sight,
            contract: ContractLook { paused: at_head.paused, listed: at_head.listed, response_gas: GAS },
            request: RequestLook {
                at_head: state(at_head),
                at_final: state(at_final),
                value: at_head.requests.get(&request).map_or(0, |asked| asked.value),
            },
            receipts: mined.map(|mined| mined.receipt).filter(|receipt| hashes.contains(&receipt.hash)).collect(),
        }
    }

    /// What a node says of a call; a hostile owner behaves.
    pub(super) fn simulate(&self, call: &Call, state: State) -> Simulated {
        let mut block = self.head().clone();
        if state == State::Pending {
            self.rivals.iter().filter(|rival| !rival.is_hidden).for_each(|rival| block.answered_by(*rival));
            while let Some(tx) = self.mempool.get(&block.nonce) {
                block.execute(tx, Height(0), false);
            }
        }
        let request = u64::from_be_bytes(call.data[..].try_into().unwrap());
        block.answer(request, call.price).map_or_else(Simulated::Reverted, |_| Simulated::Passed)
    }

    /// This party's transactions in the chain as it is now.
    pub(super) fn mined(&self) -> impl Iterator<Item = &Mined> {
        self.blocks.iter().flat_map(|block| &block.mined)
    }
}

impl Block {
    fn answered_by(&mut self, rival: Rival) {
        if let Some(asked) = self.requests.get_mut(&rival.request).filter(|asked| asked.answered.is_none()) {
            asked.answered = Some(rival.agrees);
        }
    }

    /// What an answer would be paid.
    fn answer(&self, request: u64, price: u128) -> Result<u128, Revert> {
        if self.paused || !self.listed {
            return Err(Revert::Other("EnforcedPause()".to_owned()));
        }
        let asked = self.requests.get(&request).filter(|asked| asked.answered.is_none()).ok_or(Revert::Answered)?;
        if is_dead(price, asked.value, MEASURED) {
            return Err(Revert::Panic);
        }
        let in_full = u128::from(MEASURED.most) + CONSTANT;
        Ok(asked.value.min(in_full * price))
    }

    fn execute(&mut self, tx: &Flying, height: Height, is_hostile: bool) {
        let Signed { price, gas, hash, .. } = tx.signed;
        let (succeeded, gas_used, paid) = match tx.request {
            None => (true, gas, 0),
            Some(_) if is_hostile => (false, gas, 0),
            Some(request) => match self.answer(request, price) {
                Err(_) => (false, REVERT_GAS, 0),
                Ok(paid) => {
                    self.requests.get_mut(&request).unwrap().answered = Some(true);
                    (true, ANSWER_GAS, paid)
                }
            },
        };
        let spent = u128::from(gas_used) * price;
        self.nonce += 1;
        self.balance = self.balance + paid - spent.min(self.balance + paid);
        let receipt = Receipt { hash, height, succeeded, gas_used, price };
        let cost = spent.saturating_sub(paid);
        self.mined.push(Mined { receipt, request: tx.request, cost });
    }
}
