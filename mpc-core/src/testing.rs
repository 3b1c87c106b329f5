//! Feature `testing`: a small world to run sessions in, for tests here and in other crates. Never in a daemon meant for money.
//!
//! Runs are replayable: randomness and the order of delivery come from a seed. Time does not exist; a run that cannot go on is stuck.

mod committee;

use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

pub use committee::{Committee, primes_for};

use crate::{
    abort::Abort,
    party::PartyIndex,
    session::{Recipient, Session, Step},
};

/// A generator for tests: the same seed, the same stream.
pub fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it.
    pub from: PartyIndex,
    /// Who gets it.
    pub to: PartyIndex,
    /// Header and body.
    pub body: Vec<u8>,
}

/// How one party's run ended.
#[derive(Debug)]
pub enum Outcome<T> {
    /// With its result.
    Done(T),
    /// With an abort.
    Aborted(Abort),
    /// Waiting for a message that nobody will send.
    Stuck,
}

impl<T> Outcome<T> {
    /// The result.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn expect_done(self) -> T {
        match self {
            Self::Done(value) => value,
            Self::Aborted(abort) => panic!("run aborted: {abort}"),
            Self::Stuck => panic!("run is stuck"),
        }
    }

    /// The abort.
    ///
    /// # Panics
    /// If the run ended otherwise.
    #[track_caller]
    pub fn expect_abort(self) -> Abort {
        match self {
            Self::Aborted(abort) => abort,
            Self::Done(_) => panic!("run finished although it had to abort"),
            Self::Stuck => panic!("run is stuck although it had to abort"),
        }
    }
}

/// Sessions of one run, by party.
pub type Sessions<T> = BTreeMap<PartyIndex, Box<dyn Session<Output = T>>>;

/// Runs all sessions to their ends; messages are delivered one at a time in an order drawn from `seed`.
pub fn run<T>(sessions: Sessions<T>, seed: u64) -> BTreeMap<PartyIndex, Outcome<T>> {
    run_with(sessions, seed, |envelope| vec![envelope])
}

/// As [`run`], with everything that is sent passing through `network`, which may change, drop, repeat or invent messages.
pub fn run_with<T>(
    mut sessions: Sessions<T>,
    seed: u64,
    mut network: impl FnMut(Envelope) -> Vec<Envelope>,
) -> BTreeMap<PartyIndex, Outcome<T>> {
    let mut rng = seeded(seed);
    let places: Vec<PartyIndex> = sessions.keys().copied().collect();
    let mut outcomes = BTreeMap::new();
    let mut flying: VecDeque<Envelope> = VecDeque::new();
    let mut awake: Vec<PartyIndex> = places.clone();
    loop {
        while let Some(party) = awake.pop() {
            let Some(session) = sessions.get_mut(&party) else { continue };
            let ended = settle(session.as_mut(), |to, body| {
                let receivers: Vec<_> = match to {
                    Recipient::All => places.iter().copied().filter(|place| *place != party).collect(),
                    Recipient::One(place) => vec![place],
                };
                for to in receivers {
                    flying.extend(network(Envelope { from: party, to, body: body.clone() }));
                }
            });
            if let Some(outcome) = ended {
                sessions.remove(&party);
                outcomes.insert(party, outcome);
            }
        }
        if flying.is_empty() {
            break;
        }
        let next = usize::try_from(rng.next_u64()).unwrap_or_default() % flying.len();
        let Some(Envelope { from, to, body }) = flying.swap_remove_back(next) else { break };
        if let Some(session) = sessions.get_mut(&to) {
            // An error is repeated by the next step, which reports it.
            let _ = session.receive(from, &body);
            awake.push(to);
        }
    }
    outcomes.extend(sessions.into_keys().map(|party| (party, Outcome::Stuck)));
    outcomes
}

/// Steps a session until it waits or ends.
fn settle<T>(session: &mut dyn Session<Output = T>, mut send: impl FnMut(Recipient, Vec<u8>)) -> Option<Outcome<T>> {
    loop {
        match session.step() {
            Step::Send { to, body } => send(to, body),
            Step::Yield => {}
            Step::Wait => return None,
            Step::Done(value) => return Some(Outcome::Done(value)),
            Step::Stop(abort) => return Some(Outcome::Aborted(abort)),
        }
    }
}
