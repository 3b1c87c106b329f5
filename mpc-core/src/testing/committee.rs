//! A whole committee in one process: keys, auxiliary data and signatures in a few lines.

use std::{collections::BTreeMap, sync::Arc};

use super::{Outcome, Sessions, run, seeded};
use crate::{
    aux::{self, AuxInfo},
    ecdsa::EcdsaEngine,
    keygen,
    party::{PartyIndex, SignerSet, Threshold},
    primes::{self, Primes, TOY_BITS},
    session::SessionId,
    share::KeyShare,
    signature::{Signature, combine},
    signing::{self, Issued, Payload, Ready, SigningInput},
    suite::Suite,
};

/// Every party of a committee, all honest, with one engine.
pub struct Committee<'a> {
    engine: &'a dyn EcdsaEngine,
    threshold: Threshold,
    seed: u64,
    runs: u64,
    aux: BTreeMap<PartyIndex, Arc<AuxInfo>>,
}

impl<'a> Committee<'a> {
    /// A committee without keys or auxiliary data.
    ///
    /// # Panics
    /// If the threshold cannot be.
    pub fn new(engine: &'a dyn EcdsaEngine, need: u16, of: u16, seed: u64) -> Self {
        let threshold = Threshold::new(need, of).expect("a possible threshold");
        Self { engine, threshold, seed, runs: 0, aux: BTreeMap::new() }
    }

    /// The committee's threshold.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// A session id that this committee has not used yet.
    pub fn fresh_session(&mut self) -> SessionId {
        self.runs += 1;
        let mut id = [0u8; 32];
        id[..8].copy_from_slice(&self.seed.to_be_bytes());
        id[8..16].copy_from_slice(&self.runs.to_be_bytes());
        SessionId::new(id)
    }

    /// A seed for the next run.
    fn next_seed(&mut self) -> u64 {
        self.runs += 1;
        self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.runs)
    }

    /// The first `need` parties.
    ///
    /// # Panics
    /// Never.
    pub fn first_signers(&self) -> SignerSet {
        SignerSet::new(self.threshold, self.threshold.parties().take(usize::from(self.threshold.need())))
            .expect("the first parties are a signer set")
    }

    /// The sessions of one key generation.
    pub fn keygen_sessions(&mut self, suite: Suite) -> Sessions<KeyShare> {
        let (session, seed, threshold) = (self.fresh_session(), self.next_seed(), self.threshold);
        let begin = |party: PartyIndex| {
            (party, keygen::begin(session, suite, party, threshold, &mut seeded(seed ^ u64::from(party.get()))))
        };
        threshold.parties().map(begin).collect()
    }

    /// Makes a key.
    ///
    /// # Panics
    /// If the run fails.
    pub fn keygen(&mut self, suite: Suite) -> BTreeMap<PartyIndex, Arc<KeyShare>> {
        let sessions = self.keygen_sessions(suite);
        done(run(sessions, self.next_seed()))
    }

    /// The sessions of one auxiliary run, with prepared primes of the engine's size.
    ///
    /// # Panics
    /// If the prepared primes are damaged or too few.
    pub fn aux_sessions(&mut self) -> Sessions<AuxInfo> {
        let (session, seed) = (self.fresh_session(), self.next_seed());
        let (engine, of) = (self.engine, self.threshold.of());
        let begin = |party: PartyIndex| {
            let mut rng = seeded(seed ^ u64::from(party.get()));
            (party, aux::begin(engine, session, party, of, primes_for(engine, party), &mut rng))
        };
        self.threshold.parties().map(begin).collect()
    }

    /// Makes the auxiliary data and keeps it for signing.
    ///
    /// # Panics
    /// If the run fails.
    pub fn make_aux(&mut self) {
        let sessions = self.aux_sessions();
        self.aux = done(run(sessions, self.next_seed()));
    }

    /// Takes auxiliary data from a dealer instead of making it: milliseconds, and the same to sign with.
    ///
    /// # Panics
    /// If the prepared primes are damaged.
    pub fn deal_aux(&mut self) {
        let primes: Vec<Primes> = self.threshold.parties().map(|party| primes_for(self.engine, party)).collect();
        let dealt = aux::dealt::deal(&primes, &mut seeded(self.next_seed())).expect("primes of the engine's size");
        self.aux = dealt.into_iter().map(|(party, aux)| (party, Arc::new(aux))).collect();
    }

    /// One party's auxiliary data, if made.
    pub fn aux(&self, party: PartyIndex) -> Option<Arc<AuxInfo>> {
        self.aux.get(&party).cloned()
    }

    /// The sessions of one signing run.
    ///
    /// # Panics
    /// If a signer has no share.
    pub fn signing_sessions(
        &mut self,
        key: &BTreeMap<PartyIndex, Arc<KeyShare>>,
        signers: &SignerSet,
        payload: &Payload,
    ) -> Sessions<Ready> {
        let (session, seed) = (self.fresh_session(), self.next_seed());
        let begin = |me: PartyIndex| {
            let share = key.get(&me).cloned().expect("every signer has a share");
            let (signers, payload) = (signers.clone(), payload.clone());
            let input = SigningInput { session, me, signers, share, aux: self.aux(me), payload };
            (me, signing::begin(self.engine, input, &mut seeded(seed ^ u64::from(me.get()))))
        };
        signers.iter().map(begin).collect()
    }

    /// Runs a signing session and spends every nonce.
    ///
    /// # Panics
    /// If the run fails.
    pub fn issue(
        &mut self,
        key: &BTreeMap<PartyIndex, Arc<KeyShare>>,
        signers: &SignerSet,
        payload: &Payload,
    ) -> BTreeMap<PartyIndex, Issued> {
        let sessions = self.signing_sessions(key, signers, payload);
        let outcomes = run(sessions, self.next_seed());
        outcomes.into_iter().map(|(party, outcome)| (party, outcome.expect_done().issue())).collect()
    }

    /// Signs with the first `need` parties.
    ///
    /// # Panics
    /// If anything fails.
    pub fn sign(&mut self, key: &BTreeMap<PartyIndex, Arc<KeyShare>>, payload: &Payload) -> Signature {
        let signers = self.first_signers();
        let issued = self.issue(key, &signers, payload);
        let nonce = issued.values().next().expect("somebody signs").commitments.nonce_point();
        let partials = issued.into_iter().map(|(party, issued)| (party, issued.partial)).collect();
        let info = key.values().next().expect("somebody holds a share").info();
        combine(info, payload, &signers, &nonce, &partials).expect("honest partials make a signature")
    }
}

/// Prepared primes of the size that `engine` needs, other ones for every party.
///
/// # Panics
/// If the data files are damaged.
pub fn primes_for(engine: &dyn EcdsaEngine, party: PartyIndex) -> Primes {
    let index = usize::from(party.get());
    let primes = if engine.prime_bits() == TOY_BITS { primes::toy(index) } else { primes::prepared(index) };
    primes.expect("prepared primes read")
}

fn done<T>(outcomes: BTreeMap<PartyIndex, Outcome<T>>) -> BTreeMap<PartyIndex, Arc<T>> {
    outcomes.into_iter().map(|(party, outcome)| (party, Arc::new(outcome.expect_done()))).collect()
}
