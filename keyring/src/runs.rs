//! From an order of the node to a session of `mpc-core`: finds share and auxiliary data in the store and begins the run.
//!
//! Used by the daemon's driver on the run's own thread, and by the simulation inline.

use std::sync::Arc;

use mpc_core::{
    Abort, AuxInfo, EcdsaEngine, Issued, KeyShare, PartyIndex, Primes, Ready, Session, SessionId, SignerSet,
    SigningInput, Step, Threshold,
};
use rand::{CryptoRng, RngCore};

use crate::node::auxiliary_key;
use crate::node::{RunNews, RunOrder};
use crate::store::{Store, StoreError, Table};

/// What every run of this party needs.
pub struct Workshop {
    /// This party's place.
    pub me: PartyIndex,
    /// `t` of `n`.
    pub threshold: Threshold,
    /// Where shares and auxiliary data are.
    pub store: Arc<dyn Store>,
    /// How ECDSA nonces are made.
    pub engine: Arc<dyn EcdsaEngine>,
    /// Safe primes for auxiliary data, when it is made. Each set serves one run.
    pub primes: Box<dyn Fn() -> Option<Primes> + Send + Sync>,
}

/// Why a run cannot begin here.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that the run needs is not here.
    #[error("{0} is not here")]
    Missing(&'static str),
    /// Something that the run needs does not decode.
    #[error("{0} does not decode: the store is damaged or was written by a newer program")]
    Damaged(&'static str),
}

/// A run of any kind.
pub type AnyRun = Box<dyn Session<Output = RunNews>>;

impl Workshop {
    /// Begins a run.
    ///
    /// # Errors
    /// When share, auxiliary data or primes are missing or cannot be read; the node is told that the run failed.
    pub fn begin(
        &self,
        session: SessionId,
        order: &RunOrder,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<AnyRun, BeginError> {
        match order {
            RunOrder::Key(suite) => {
                let run = mpc_core::keygen::begin(session, *suite, self.me, self.threshold, rng);
                Ok(Finished::boxed(run, |share| RunNews::Key(Box::new(share))))
            }
            RunOrder::Auxiliary => {
                let primes = (self.primes)().ok_or(BeginError::Missing("a set of safe primes"))?;
                let run =
                    mpc_core::aux::begin(self.engine.as_ref(), session, self.me, self.threshold.of(), primes, rng);
                Ok(Finished::boxed(run, |auxiliary| RunNews::Auxiliary(Box::new(auxiliary))))
            }
            RunOrder::Sign { key, signers, payload, auxiliary } => {
                let share =
                    self.store.read(Table::Share, key.as_bytes())?.ok_or(BeginError::Missing("the key share"))?;
                let share = KeyShare::decode(&share).map_err(|_| BeginError::Damaged("the key share"))?;
                let signers = SignerSet::new(self.threshold, signers.iter().copied())
                    .map_err(|_| BeginError::Damaged("the signer set"))?;
                let input = SigningInput {
                    session,
                    me: self.me,
                    signers,
                    share: Arc::new(share),
                    aux: auxiliary.map(|counter| self.auxiliary(counter)).transpose()?,
                    payload: payload.clone(),
                };
                let run = mpc_core::signing::begin(self.engine.as_ref(), input, rng);
                Ok(Finished::boxed(run, issue))
            }
        }
    }

    fn auxiliary(&self, counter: u64) -> Result<Arc<AuxInfo>, BeginError> {
        let bytes =
            self.store.read(Table::Stock, &auxiliary_key(counter))?.ok_or(BeginError::Missing("the auxiliary data"))?;
        AuxInfo::decode(&bytes).map(Arc::new).map_err(|_| BeginError::Damaged("the auxiliary data"))
    }
}

/// The one partial of a nonce, computed on the run's thread. It leaves the process only after the write that burns it.
fn issue(ready: Ready) -> RunNews {
    let Issued { partial, commitments } = ready.issue();
    RunNews::Signed(partial, commitments)
}

/// A session whose result is put into the node's words.
struct Finished<T> {
    inner: Box<dyn Session<Output = T>>,
    turn: fn(T) -> RunNews,
}

impl<T: 'static> Finished<T> {
    fn boxed(inner: Box<dyn Session<Output = T>>, turn: fn(T) -> RunNews) -> AnyRun {
        Box::new(Self { inner, turn })
    }
}

impl<T> Session for Finished<T> {
    type Output = RunNews;

    fn receive(&mut self, from: PartyIndex, body: &[u8]) -> Result<(), Abort> {
        self.inner.receive(from, body)
    }

    fn step(&mut self) -> Step<RunNews> {
        match self.inner.step() {
            Step::Send { to, body } => Step::Send { to, body },
            Step::Yield => Step::Yield,
            Step::Wait => Step::Wait,
            Step::Done(output) => Step::Done((self.turn)(output)),
            Step::Stop(abort) => Step::Stop(abort),
        }
    }

    fn round(&self) -> u16 {
        self.inner.round()
    }
}
