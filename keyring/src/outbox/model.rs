//! A small chain with one account, and what tests ask of a controller on it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use chain_client::{
    AccountFacts, Answer, AnswerLoad, EndpointId, Height, Hint, KeyType, KeyringFacts, Pinned, Question, Reading,
    RequestId, RequestKind, SignedTx, Standing, TxHash,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Order, Pen, Publication};
use crate::decree::{DecreeId, Kind};

pub(super) const ME: &str = "zen1me";
pub(super) const CHAIN: &str = "model-1";
pub(super) const NUMBER: u64 = 7;
pub(super) const CEILING: u128 = 1_000;

pub(super) fn decree(request: u64) -> DecreeId {
    DecreeId { chain: CHAIN.to_owned(), keyring: "keyring1".to_owned(), kind: Kind::Key, request, event: None, item: 0 }
}

/// One key for every request: what is published does not matter here, under what does.
pub(super) fn answer() -> Answer {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    Question::Key(KeyType::EddsaEd25519).canonical(key.as_bytes()).unwrap()
}

pub(super) fn publication(request: u64) -> Publication {
    let load = AnswerLoad { kind: RequestKind::Key, record_bytes: 100, parent_bytes: 0, takes_fee: false };
    Publication { request: RequestId::key(request), answer: answer(), not_before: Height(0), load }
}

pub(super) fn keyring(active: bool) -> KeyringFacts {
    KeyringFacts {
        address: "keyring1".to_owned(),
        parties: vec![ME.to_owned()],
        party_threshold: 2,
        key_fee_urock: 0,
        signature_fee_urock: 0,
        active,
    }
}

/// What a transaction of the model says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Says {
    pub(super) sequence: u64,
    pub(super) fee: u128,
    pub(super) gas_step: u32,
    pub(super) request: Option<u64>,
}

impl Says {
    pub(super) fn of(tx: &SignedTx) -> Self {
        postcard::from_bytes(&tx.bytes).unwrap()
    }

    fn signed(&self) -> SignedTx {
        let bytes = postcard::to_stdvec(self).unwrap();
        let hash = TxHash(Sha256::digest(&bytes).into());
        let request = self.request.map(RequestId::key);
        SignedTx { bytes, hash, account: ME.to_owned(), sequence: self.sequence, request }
    }
}

/// Signs at the price it was last told.
pub(super) struct ModelPen {
    pub(super) price: Cell<u128>,
}

impl ModelPen {
    pub(super) const fn new() -> Self {
        Self { price: Cell::new(1) }
    }

    fn fee(&self, gas_step: u32, fee_step: u32) -> Option<u128> {
        let fee = self.price.get().checked_shl(gas_step + fee_step)?;
        (fee <= CEILING).then_some(fee)
    }
}

impl Pen for ModelPen {
    fn account(&self) -> &str {
        ME
    }

    fn answer(&self, order: &Order<'_>) -> Option<SignedTx> {
        assert_eq!(order.account_number, NUMBER);
        let fee = self.fee(order.gas_step, order.fee_step)?;
        let request = Some(order.request.number);
        Some(Says { sequence: order.sequence, fee, gas_step: order.gas_step, request }.signed())
    }

    fn fee(&self, order: &Order<'_>) -> Option<u128> {
        self.fee(order.gas_step, order.fee_step)
    }

    fn nothing(&self, account_number: u64, sequence: u64, fee_step: u32) -> Option<SignedTx> {
        assert_eq!(account_number, NUMBER);
        let fee = self.fee(0, fee_step)?;
        Some(Says { sequence, fee, gas_step: 0, request: None }.signed())
    }
}

/// A request of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) closed: bool,
    pub(super) ours: bool,
}

/// What a height shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) sequence: u64,
    pub(super) requests: BTreeMap<u64, Asked>,
}

/// The chain: every height is kept. It notes what must never happen.
pub(super) struct ModelChain {
    pub(super) heights: Vec<Shown>,
    now: Shown,
    pub(super) mempool: BTreeMap<u64, SignedTx>,
    landed: BTreeSet<TxHash>,
    pub(super) floor: u128,
    pub(super) has_funds: bool,
    pub(super) keyring_on: bool,
    /// So many answers run out of gas, or of money for the keyring, before one succeeds.
    pub(super) failing: u32,
    pub(super) wrong: Vec<String>,
}

impl ModelChain {
    pub(super) fn new(sequence: u64) -> Self {
        let now = Shown { sequence, requests: BTreeMap::new() };
        Self {
            heights: vec![now.clone()],
            now,
            mempool: BTreeMap::new(),
            landed: BTreeSet::new(),
            floor: 1,
            has_funds: true,
            keyring_on: true,
            failing: 0,
            wrong: Vec::new(),
        }
    }

    pub(super) fn height(&self) -> Height {
        Height(self.heights.len() as u64 - 1)
    }

    pub(super) const fn sequence(&self) -> u64 {
        self.now.sequence
    }

    pub(super) fn ask(&mut self) -> u64 {
        let number = self.now.requests.len() as u64 + 1;
        self.now.requests.insert(number, Asked::default());
        number
    }

    /// Enough others answered, or the deadline passed.
    pub(super) fn close(&mut self, request: u64) {
        if let Some(asked) = self.now.requests.get_mut(&request) {
            asked.closed = true;
        }
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = (u64, &Asked)> {
        self.now.requests.iter().map(|(number, asked)| (*number, asked))
    }

    pub(super) fn broadcast(&mut self, tx: &SignedTx) -> Hint {
        let says = Says::of(tx);
        let refused = |code, expected_sequence| Hint::Refused {
            codespace: "sdk".to_owned(),
            code,
            reason: String::new(),
            expected_sequence,
        };
        if self.landed.contains(&tx.hash) || self.mempool.values().any(|held| held.hash == tx.hash) {
            return Hint::Known;
        }
        let expected = (self.now.sequence..).find(|at| !self.mempool.contains_key(at)).unwrap_or(0);
        if says.sequence != expected {
            return refused(32, Some(expected));
        }
        if says.fee < self.floor {
            return refused(13, None);
        }
        if !self.has_funds {
            return refused(5, None);
        }
        self.mempool.insert(says.sequence, tx.clone());
        Hint::Taken
    }

    pub(super) fn block(&mut self) {
        while let Some(tx) = self.mempool.remove(&self.now.sequence) {
            self.now.sequence += 1;
            self.execute(&tx);
        }
        self.heights.push(self.now.clone());
    }

    fn execute(&mut self, tx: &SignedTx) {
        let Some(request) = Says::of(tx).request else { return };
        let Some(asked) = self.now.requests.get_mut(&request) else {
            return self.wrong.push(format!("answers request {request}, which does not exist"));
        };
        if asked.closed {
            return;
        }
        if self.failing > 0 {
            self.failing -= 1;
            return;
        }
        if asked.ours {
            self.wrong.push(format!("request {request} is answered twice, the second time under {}", tx.sequence));
        }
        asked.ours = true;
        self.landed.insert(tx.hash);
    }

    pub(super) fn reading(&self, endpoint: u16, request: u64, at: Height) -> Option<Reading> {
        self.told(endpoint, request, at, |sequence| sequence, false)
    }

    /// A reading with a lie in it: about the sequence, or that our answer is not there.
    pub(super) fn told(
        &self,
        endpoint: u16,
        request: u64,
        at: Height,
        lie: impl Fn(u64) -> u64,
        hides: bool,
    ) -> Option<Reading> {
        let shown = self.heights.get(usize::try_from(at.0).ok()?)?;
        let standing = match shown.requests.get(&request) {
            None => Standing::Gone,
            Some(asked) => {
                let answered_by = if asked.ours && !hides { BTreeSet::from([ME.to_owned()]) } else { BTreeSet::new() };
                let shown = if asked.ours { vec![answer().shown_as().to_vec()] } else { Vec::new() };
                if asked.closed && !hides {
                    Standing::Fulfilled { answered_by, shown }
                } else {
                    Standing::Open { answered_by, shown }
                }
            }
        };
        let endpoint = EndpointId(endpoint);
        let value = AccountFacts { number: NUMBER, sequence: lie(shown.sequence) };
        let account = Pinned { endpoint, height: at, value };
        Reading::of(account, RequestId::key(request), Pinned { endpoint, height: at, value: standing }).ok()
    }
}
