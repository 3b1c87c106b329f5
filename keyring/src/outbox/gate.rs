//! What may go out now, and in words why not.
//!
//! Three things can be done with a sequence: send stored bytes again, sign something else under one that is held, take a
//! new one. Each gate closes some of them; reading goes on behind all of them but a fork.

use chain_client::{Height, KeyringFacts, RequestKind};

use super::{CONTRADICTION_BLOCKS, Outbox, Slot};

/// What the holder of the party's lease lets its controllers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// Nothing: no lease.
    Nothing,
    /// Bytes that are stored may be sent again as they are. No sequence is taken, none is spent on nothing, nothing is
    /// replaced.
    Stored,
    /// Everything.
    All,
}

/// All gates of one controller.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) leave: Leave,
    /// Up to this one sequences may be of a past that this party does not remember.
    pub(super) keep_out: Option<u64>,
    /// Until the keyring was read and found to be on, with this account in it.
    pub(super) paused: bool,
    /// Of which height the keyring was read.
    pub(super) keyring_at: Height,
    /// What the keyring takes of each answering party: for a key, for a signature.
    pub(super) keyring_fees: (u64, u64),
    /// Why the chain's endpoints are not believed at all.
    pub(super) fork: Option<String>,
    pub(super) balance: Option<u128>,
    pub(super) out_of_funds: bool,
    pub(super) over_ceiling: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            leave: Leave::All,
            keep_out: None,
            paused: true,
            keyring_at: Height(0),
            keyring_fees: (0, 0),
            fork: None,
            balance: None,
            out_of_funds: false,
            over_ceiling: false,
        }
    }
}

impl Outbox {
    /// What may be done until this is said anew.
    pub fn allow(&mut self, leave: Leave) {
        self.gate.leave = leave;
    }

    /// Sequences up to this one may have been used by this party before it lost its memory: what is stored under them may
    /// be sent again as it is, and nothing else is ever signed under them. `None` when everything is remembered.
    pub fn keep_out(&mut self, up_to: Option<u64>) {
        self.gate.keep_out = up_to;
    }

    /// The keyring as the chain shows it: while it is switched off, or this account is no party of it, every answer would
    /// spoil its request, so none goes out. What an endpoint that lags says of the past is not heard.
    pub fn keyring(&mut self, height: Height, facts: &KeyringFacts, account: &str) {
        if height < self.gate.keyring_at.min(self.height) {
            return;
        }
        self.gate.keyring_at = height;
        self.gate.paused = !(facts.active && facts.parties.iter().any(|party| party == account));
        self.gate.keyring_fees = (facts.key_fee_urock, facts.signature_fee_urock);
    }

    /// What the account holds, in urock. More than before is worth another try.
    pub fn funds(&mut self, balance: u128) {
        if self.gate.balance.is_none_or(|before| balance > before) {
            self.gate.out_of_funds = false;
        }
        self.gate.balance = Some(balance);
    }

    /// What the account held when it was last read, in urock.
    #[must_use]
    pub const fn balance(&self) -> Option<u128> {
        self.gate.balance
    }

    /// Whether the endpoints follow two chains, in words; while they do, nothing that any of them shows is believed.
    pub fn fork(&mut self, fork: Option<String>) {
        self.gate.fork = fork;
    }

    /// How the endpoints differ, if they follow two chains.
    #[must_use]
    pub fn forked(&self) -> Option<&str> {
        self.gate.fork.as_deref()
    }

    /// Whether the endpoints follow two chains.
    #[must_use]
    pub const fn is_forked(&self) -> bool {
        self.gate.fork.is_some()
    }

    /// Whether the account cannot pay for an answer.
    #[must_use]
    pub const fn is_out_of_funds(&self) -> bool {
        self.gate.out_of_funds
    }

    /// Whether the chain asks more for an answer than the configured ceiling.
    #[must_use]
    pub const fn is_over_ceiling(&self) -> bool {
        self.gate.over_ceiling
    }

    /// Why nothing is published now, in words; empty when answers go out.
    #[must_use]
    pub fn why_silent(&self) -> String {
        let gate = &self.gate;
        if let Some(halt) = &self.halt {
            return format!("{halt}; end it with `keyringd controller resume`");
        }
        if let Some(fork) = &gate.fork {
            return format!("its endpoints follow two chains: {fork}");
        }
        match gate.leave {
            Leave::Nothing => return "this process holds no lease".to_owned(),
            Leave::Stored => return "only what is stored may be sent again".to_owned(),
            Leave::All => {}
        }
        if let (None, Some(unconfirmed)) = (self.next, &self.unconfirmed) {
            return unconfirmed.clone();
        }
        if gate.paused {
            return "the keyring is unread or switched off, or this account is no party of it".to_owned();
        }
        if let Some(bound) = gate.keep_out.filter(|bound| self.next.is_some_and(|next| next <= *bound)) {
            return format!(
                "sequences up to {bound} may have been used before this party lost its memory; if nothing of its account is \
                 on its way: `keyringd controller resume`"
            );
        }
        if gate.out_of_funds {
            return "the account has no funds".to_owned();
        }
        if gate.over_ceiling {
            return "the chain asks more than `fee_ceiling_urock`, or its fees are unread".to_owned();
        }
        String::new()
    }

    /// What an operator should look at though answers go out, in words.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let contradiction = self.contradiction.as_ref().filter(|told| told.0.after(CONTRADICTION_BLOCKS) > self.height);
        let contradiction = contradiction.map(|told| told.1.clone());
        let given_up = self.given_up().count();
        let given_up = (given_up > 0).then(|| format!("{given_up} open requests were given up after too many tries"));
        [contradiction, self.unconfirmed.clone(), given_up].into_iter().flatten().collect()
    }

    /// Whether the newest stored bytes of a sequence may be sent again. What spends a sequence on nothing harms nobody,
    /// and keeps the answer under it from coming late.
    pub(super) fn may_send(&self, slot: &Slot) -> bool {
        let gate = &self.gate;
        let open = gate.leave >= Leave::Stored && gate.fork.is_none() && self.halt.is_none();
        open && (!gate.paused || slot.spends_nothing())
    }

    /// Whether anything new may be signed under a sequence.
    pub(super) fn may_sign(&self, sequence: u64) -> bool {
        let gate = &self.gate;
        let is_old = gate.keep_out.is_some_and(|bound| sequence <= bound);
        gate.leave == Leave::All && !is_old && gate.fork.is_none() && self.halt.is_none()
    }

    /// What the keyring takes for an answer of this kind.
    pub(super) fn keyring_fee(&self, kind: RequestKind) -> u128 {
        let (key, signature) = self.gate.keyring_fees;
        match kind {
            RequestKind::Key => key.into(),
            RequestKind::Signature => signature.into(),
        }
    }
}
