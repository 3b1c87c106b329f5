//! The CGGMP24 engine: threshold ECDSA with Paillier encryption and zero-knowledge proofs, by the library `cggmp24`.
//!
//! Presigning takes 4 message rounds, the echo of round 1 included, and about half a second of computation per co-signer. It yields to its
//! driver between proofs. Paillier secrets are big integers that the library does not wipe: lock and hide the process's memory.
//!
//! Source: Canetti, Gennaro, Goldfeder, Makriyannis and Peled (ePrint 2021/060, revision of 2024).

use cggmp24::{
    ExecutionId, KeyShare as LibraryShare, PregeneratedPrimes, Presignature,
    backend::Integer,
    key_refresh::msg::Msg as AuxMessage,
    key_share::AuxInfo as LibraryAux,
    security_level::{SecurityLevel, SecurityLevel128},
    signing::{PresignaturePublicData, msg::Msg as SigningMessage},
};
use generic_ec::curves::Secp256k1;
use rand_core::CryptoRngCore;
use round_based::MessageType;
use sha2::Sha256;

use super::{Commitment, EcdsaEngine, PresignInput, Presigned};
use crate::{
    abort::Abort,
    aux::{AuxInfo, AuxInput, Level},
    blame,
    machine::{Dialect, Machine},
    party::PartyIndex,
    session::{Refused, Session, own_randomness},
    wire::{Protocol, Run},
};

type PresignMessage = SigningMessage<Secp256k1, Sha256>;

/// The CGGMP24 engine at one security level.
#[derive(Clone, Copy, Debug)]
pub struct Cggmp24 {
    level: Level,
}

impl Cggmp24 {
    /// 128 bits of security: 3072-bit moduli of 1536-bit safe primes.
    pub const fn standard() -> Self {
        Self { level: Level::Standard }
    }

    /// A level that anybody can break and that runs in milliseconds: 1040-bit moduli. For tests.
    #[cfg(feature = "testing")]
    pub const fn toy() -> Self {
        Self { level: Level::Toy }
    }
}

impl EcdsaEngine for Cggmp24 {
    fn name(&self) -> &'static str {
        match self.level {
            Level::Standard => "cggmp24",
            #[cfg(feature = "testing")]
            Level::Toy => "cggmp24-toy",
        }
    }

    fn prime_bits(&self) -> u32 {
        self.level.prime_bits()
    }

    fn auxiliary(&self, input: AuxInput, rng: &mut dyn CryptoRngCore) -> Box<dyn Session<Output = AuxInfo>> {
        let begun = match self.level {
            Level::Standard => begin_aux::<SecurityLevel128>(input, AuxInfo::standard, rng),
            #[cfg(feature = "testing")]
            Level::Toy => begin_aux::<crate::aux::Toy>(input, AuxInfo::toy, rng),
        };
        begun.unwrap_or_else(Refused::boxed)
    }

    fn presign(&self, input: PresignInput, rng: &mut dyn CryptoRngCore) -> Box<dyn Session<Output = Presigned>> {
        let begun = match self.level {
            Level::Standard => begin_presign::<SecurityLevel128>(input, AuxInfo::as_standard, rng),
            #[cfg(feature = "testing")]
            Level::Toy => begin_presign::<crate::aux::Toy>(input, AuxInfo::as_toy, rng),
        };
        begun.unwrap_or_else(Refused::boxed)
    }
}

fn begin_aux<L: SecurityLevel>(
    input: AuxInput,
    keep: fn(u16, u16, LibraryAux<L>) -> AuxInfo,
    rng: &mut dyn CryptoRngCore,
) -> Result<Box<dyn Session<Output = AuxInfo>>, Abort> {
    let AuxInput { session, me, of, primes } = input;
    let parties: Vec<_> = (0..of).map(Into::into).collect();
    let run = Run::new(Protocol::Auxiliary, session, me, parties.clone(), &[&L::RSA_PRIME_BITLEN.to_be_bytes()])?;
    let (id, position) = (run.id(), run.my_position());
    // Exactly as long: the library takes longer ones, but peers refuse the moduli that these make.
    let (needed, found) = (L::RSA_PRIME_BITLEN, primes.bits());
    let unfit = || Abort::local(format!("safe primes have {found} bits, this engine needs {needed}: search such ones"));
    let primes = if found == needed { PregeneratedPrimes::<L>::try_from(primes.to_integers()).ok() } else { None };
    let primes = primes.ok_or_else(unfit)?;
    let mut rng = own_randomness(rng);
    Ok(Machine::<AuxMessage<Sha256, L>, AuxInfo>::boxed(run, move |party| async move {
        cggmp24::aux_info_gen(ExecutionId::new(&id), position, of, primes)
            .start(&mut rng, party)
            .await
            .map(|library| keep(position, of, library))
            .map_err(|error| blame::abort_from(&error, &parties))
    }))
}

fn begin_presign<L: SecurityLevel>(
    input: PresignInput,
    open: fn(&AuxInfo) -> Option<&LibraryAux<L>>,
    rng: &mut dyn CryptoRngCore,
) -> Result<Box<dyn Session<Output = Presigned>>, Abort> {
    let PresignInput { session, me, signers, share, aux, payload } = input;
    let aux = aux.ok_or_else(|| Abort::local("auxiliary data is missing: make it once per roster epoch"))?;
    let aux_digest = aux.digest();
    let aux = open(&aux)
        .ok_or_else(|| Abort::local("auxiliary data belongs to another engine: make it with the engine that signs"))?
        .clone();
    let key_digest = share.info().shares_digest();
    let core = share.to_core().ok_or_else(|| Abort::local("key share is not one of secp256k1"))?;
    let share = LibraryShare::<Secp256k1, L>::from_parts((core, aux))
        .map_err(|error| Abort::local(format!("auxiliary data does not fit the key's committee: {}", error.error())))?;

    let terms: [&[u8]; 4] = [&payload, &key_digest, &aux_digest, &L::RSA_PRIME_BITLEN.to_be_bytes()];
    let run = Run::new(Protocol::PresignCggmp24, session, me, signers.as_slice().to_vec(), &terms)?;
    let (id, position) = (run.id(), run.my_position());
    let mut rng = own_randomness(rng);
    Ok(Machine::<PresignMessage, Presigned>::boxed(run, move |party| async move {
        let at_keygen: Vec<u16> = signers.iter().map(Into::into).collect();
        let (secret, public) = cggmp24::signing(ExecutionId::new(&id), position, &at_keygen, &share)
            .generate_presignature(&mut rng, party)
            .await
            .map_err(|error| blame::abort_from(&error, signers.as_slice()))?;
        Ok(presigned(secret, public, signers.as_slice()))
    }))
}

/// Takes the library's result apart; its commitments stand in the order of the signers.
fn presigned(
    secret: Presignature<Secp256k1>,
    public: PresignaturePublicData<Secp256k1>,
    signers: &[PartyIndex],
) -> Presigned {
    let commitments =
        public.commitments.into_iter().map(|of| Commitment { tilde_delta: of.tilde_Delta, tilde_s: of.tilde_S });
    Presigned {
        nonce: secret.Gamma,
        tilde_k: secret.tilde_k,
        tilde_chi: secret.tilde_chi,
        commitments: signers.iter().copied().zip(commitments).collect(),
    }
}

impl<L: SecurityLevel> Dialect for AuxMessage<Sha256, L> {
    fn kind(&self) -> Option<MessageType> {
        match self {
            Self::Round1(_) | Self::ReliabilityCheck(_) => Some(MessageType::Broadcast),
            // The library sets no upper bound: a modulus of a million bits would occupy its verifier for hours.
            Self::Round2(said) => {
                let modulus_bits = u64::from(2 * L::RSA_PRIME_BITLEN);
                let bounded = |number: &Integer| number.cmp0().is_gt() && number.significant_bits() <= modulus_bits;
                [&said.N, &said.hat_N, &said.s, &said.t].into_iter().all(bounded).then_some(MessageType::Broadcast)
            }
            Self::Round3(_) => Some(MessageType::P2P),
        }
    }
}

impl Dialect for PresignMessage {
    fn kind(&self) -> Option<MessageType> {
        match self {
            Self::Round1a(_) | Self::Round3(_) | Self::ReliabilityCheck(_) => Some(MessageType::Broadcast),
            Self::Round1b(_) | Self::Round2(_) => Some(MessageType::P2P),
            // A partial signature inside the run: only the library's uninterrupted signing sends one.
            Self::Round4(_) => None,
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
