//! How a run is driven: one small machine interface for every protocol.
//!
//! A session knows no clock, no socket and no retry. It is given its randomness at birth. Whoever drives it delivers authenticated
//! messages, carries out what [`Session::step`] asks, and drops it when the wait gets too long.

use std::fmt;

use rand_core::{CryptoRngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::{abort::Abort, party::PartyIndex};

/// Names one run, for ever. All parties of the run use the same one, and nobody ever uses it again.
///
/// # Security
/// A repeated id lets proofs of an old run be replayed in a new one. Derive it from everything that makes the run what it is:
/// roster epoch, decree, ballot, signer set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// An id from its 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {self}")
    }
}

/// Who gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Every other party **of this run** (of a signing run: every other signer), the same bytes to each.
    All,
    /// One party. The body may hold values that only this party may read: the link must be encrypted.
    One(PartyIndex),
}

/// What a session wants next.
#[derive(Debug)]
pub enum Step<T> {
    /// Deliver `body`, then call [`Session::step`] again at once.
    Send {
        /// Who gets it.
        to: Recipient,
        /// The message, header included.
        body: Vec<u8>,
    },
    /// A long computation paused: give the core to somebody else if one waits, then call again.
    Yield,
    /// Nothing to do until [`Session::receive`] has taken another message.
    Wait,
    /// The result. The session is over.
    Done(T),
    /// There will be no result. The session is over and says the same on every further call.
    Stop(Abort),
}

/// One party's side of one run of one protocol.
///
/// Not necessarily `Send`: create it, drive it and drop it on one thread. What goes in and what comes out is `Send`.
pub trait Session {
    /// What the run yields.
    type Output;

    /// Takes a message that the transport has authenticated as sent by `from` in this run's lane. May be called at any time, also before
    /// the round it belongs to; computes little. The same bytes again are ignored, as is a party that has no place in this run.
    ///
    /// # Errors
    /// The run is over; the abort names `from` if the message is one that no honest party sends. [`Session::step`] repeats it.
    fn receive(&mut self, from: PartyIndex, body: &[u8]) -> Result<(), Abort>;

    /// Computes until something is to be sent, awaited or reported.
    fn step(&mut self) -> Step<Self::Output>;

    /// How many message rounds this party has entered, for progress: 0 before the first, never falling.
    fn round(&self) -> u16;
}

/// A run that cannot begin: it stops at the first step with the reason, so that drivers have one path for all failures.
pub(crate) struct Refused<T> {
    abort: Abort,
    output: std::marker::PhantomData<T>,
}

impl<T> Refused<T> {
    pub(crate) fn boxed(abort: Abort) -> Box<dyn Session<Output = T>>
    where
        T: 'static,
    {
        Box::new(Self { abort, output: std::marker::PhantomData })
    }
}

impl<T> Session for Refused<T> {
    type Output = T;

    fn receive(&mut self, _from: PartyIndex, _body: &[u8]) -> Result<(), Abort> {
        Err(self.abort.clone())
    }

    fn step(&mut self) -> Step<T> {
        Step::Stop(self.abort.clone())
    }

    fn round(&self) -> u16 {
        0
    }
}

/// A session's own randomness: a ChaCha20 stream keyed once, at birth, from the caller's generator.
pub(crate) fn own_randomness(rng: &mut dyn CryptoRngCore) -> rand_chacha::ChaCha20Rng {
    let mut seed = zeroize::Zeroizing::new([0u8; 32]);
    rng.fill_bytes(seed.as_mut());
    rand_chacha::ChaCha20Rng::from_seed(*seed)
}
