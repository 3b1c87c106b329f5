//! The one module that lets a raw digest meet a nonce.
//!
//! Users choose the 32 bytes we sign; we never see what they hash. A nonce point that is known *before* such a digest is fixed lets
//! anybody who knows it choose a digest whose signature is also one over a message of his own (Groth and Shoup 2021, ePrint 2021/1330,
//! section 1.1.2; CVE-2025-66017). The library therefore hands out partial signatures only for messages it hashed itself, unless the feature
//! `insecure-assume-preimage-known` is on.
//!
//! That feature is on, and used here alone, because the order is turned round here: [`begin`] takes the digest *first*, names the run
//! after it, and only then starts to make the nonce, which never leaves [`Bound`] except as the partial signature over that very digest.
//! This is what the library's own interactive signing does inside; it is taken apart only so that the partial can be stored before
//! it is sent and checked singly when it comes. There is no other constructor.

use cggmp24::{PrehashedDataToSign, Presignature};
use generic_ec::curves::Secp256k1;
use rand_core::CryptoRngCore;

use super::{EcdsaEngine, PresignInput, Presigned, PublicNonce, message_scalar};
use crate::{
    abort::Abort,
    party::PartyIndex,
    session::{Session, Step},
    signing::{Partial, Ready},
    suite::SCALAR_LEN,
};

/// A nonce born after its digest. Consumed by [`Bound::issue`].
pub(crate) struct Bound {
    presignature: Presignature<Secp256k1>,
    public: PublicNonce,
    digest: [u8; 32],
}

impl Bound {
    fn new(presigned: Presigned, digest: [u8; 32]) -> Self {
        let Presigned { nonce, tilde_k, tilde_chi, commitments } = presigned;
        Self {
            presignature: Presignature { Gamma: nonce, tilde_k, tilde_chi },
            public: PublicNonce { nonce, commitments },
            digest,
        }
    }

    /// The only partial signature this nonce will ever make, and the public data that it is checked against.
    pub(crate) fn issue(self) -> (Partial, PublicNonce) {
        let data = PrehashedDataToSign::from_scalar(message_scalar(&self.digest)).insecure_assume_preimage_known();
        let partial = self.presignature.issue_partial_signature(data);
        let mut bytes = Vec::with_capacity(SCALAR_LEN);
        bytes.extend_from_slice(partial.sigma.to_be_bytes().as_bytes());
        (Partial::from_bytes(bytes), self.public)
    }
}

/// Begins a signing run over `digest`: the nonce is made now, after the digest, and bound to it.
pub(crate) fn begin(
    engine: &dyn EcdsaEngine,
    input: PresignInput,
    digest: [u8; 32],
    rng: &mut dyn CryptoRngCore,
) -> Box<dyn Session<Output = Ready>> {
    Box::new(Binding { run: engine.presign(input, rng), digest })
}

/// The engine's run, with its result bound to the digest the moment it is there.
struct Binding {
    run: Box<dyn Session<Output = Presigned>>,
    digest: [u8; 32],
}

impl Session for Binding {
    type Output = Ready;

    fn receive(&mut self, from: PartyIndex, body: &[u8]) -> Result<(), Abort> {
        self.run.receive(from, body)
    }

    fn step(&mut self) -> Step<Ready> {
        match self.run.step() {
            Step::Done(presigned) => Step::Done(Ready::ecdsa(Bound::new(presigned, self.digest))),
            Step::Send { to, body } => Step::Send { to, body },
            Step::Yield => Step::Yield,
            Step::Wait => Step::Wait,
            Step::Stop(abort) => Step::Stop(abort),
        }
    }

    fn round(&self) -> u16 {
        self.run.round()
    }
}
