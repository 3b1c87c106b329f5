//! Distributed key generation: a new key in a committee; nobody ever holds it whole.
//!
//! Owes the caller a [`KeyShare`] whose public part is the same at all honest parties. Asks for encrypted, authenticated links: round 2
//! carries share values. A key may be used only after *every* party is known to have stored its share; that barrier is the caller's.
//! Refuses to judge the key: what a chain does not accept is the caller's rule.
//!
//! Source: Canetti, Gennaro, Goldfeder, Makriyannis and Peled (ePrint 2021/060, revision of 2024), key generation with Feldman sharing,
//! as the library `cggmp24-keygen` has it for any curve. Its echo of round 1 stays on.

use cggmp24_keygen::{ExecutionId, ThresholdMsg, key_share::CoreKeyShare, keygen, security_level::SecurityLevel128};
use generic_ec::curves::{Ed25519, Secp256k1};
use rand_core::CryptoRngCore;
use round_based::MessageType;
use sha2::Sha256;

use crate::{
    abort::Abort,
    blame,
    machine::{Dialect, Machine},
    party::{PartyIndex, Threshold},
    session::{Refused, Session, SessionId, own_randomness},
    share::{KeyCurve, KeyShare},
    suite::{Suite, SuiteCurve},
    wire::{Protocol, Run},
};

type Message<E> = ThresholdMsg<E, SecurityLevel128, Sha256>;

/// Begins key generation as `me`. All parties of `threshold` must take part; 4 rounds, milliseconds of computation.
///
/// A wrong input makes a session that stops at once with [`Abort::Local`].
///
/// # Security
/// `session` must never have been used before.
pub fn begin(
    session: SessionId,
    suite: Suite,
    me: PartyIndex,
    threshold: Threshold,
    rng: &mut dyn CryptoRngCore,
) -> Box<dyn Session<Output = KeyShare>> {
    let begun = match suite {
        Suite::Secp256k1 => begin_on::<Secp256k1>(Protocol::KeygenSecp256k1, session, me, threshold, rng),
        Suite::Ed25519 => begin_on::<Ed25519>(Protocol::KeygenEd25519, session, me, threshold, rng),
    };
    begun.unwrap_or_else(Refused::boxed)
}

fn begin_on<E: KeyCurve>(
    protocol: Protocol,
    session: SessionId,
    me: PartyIndex,
    threshold: Threshold,
    rng: &mut dyn CryptoRngCore,
) -> Result<Box<dyn Session<Output = KeyShare>>, Abort> {
    let run = Run::new(protocol, session, me, threshold.parties().collect(), &[&threshold.need().to_be_bytes()])?;
    let (id, position, parties) = (run.id(), run.my_position(), run.parties().to_vec());
    let mut rng = own_randomness(rng);
    Ok(Machine::<Message<E>, KeyShare>::boxed(run, move |party| async move {
        let core: CoreKeyShare<E> = keygen(ExecutionId::new(&id), position, threshold.of())
            .set_threshold(threshold.need())
            .hd_wallet(false)
            .start(&mut rng, party)
            .await
            .map_err(|error| blame::abort_from(&error, &parties))?;
        KeyShare::from_core(core)
            .map_err(|error| Abort::suspect([], format!("the {} share made does not hold together: {error}", E::SUITE)))
    }))
}

impl<E: SuiteCurve> Dialect for Message<E> {
    fn kind(&self) -> Option<MessageType> {
        Some(match self {
            Self::Round1(_) | Self::Round2Broad(_) | Self::Round3(_) | Self::ReliabilityCheck(_) => {
                MessageType::Broadcast
            }
            Self::Round2Uni(_) => MessageType::P2P,
        })
    }
}
