//! Signing, the same for both suites: a run that ends in a [`Ready`], which yields one partial signature, once.
//!
//! ```text
//! begin(payload fixed) ── rounds ──> Ready ── issue (consumes) ──> Partial + Commitments
//!                                      the caller stores the partial, then sends it
//! t partials + nonce point ── combine ──> Signature, verified under the group key
//! ```
//!
//! The payload goes in before the run begins and never changes: no function here takes a nonce and a payload. What the caller owes is
//! law and order around it: a session id never used before, and the partial stored durably before it leaves the process.

use std::{collections::BTreeMap, fmt, sync::Arc};

use rand_core::CryptoRngCore;
use serde::{Deserialize, Serialize};

use crate::{
    abort::Abort,
    aux::AuxInfo,
    ecdsa::{self, EcdsaEngine, PresignInput, PublicNonce},
    eddsa,
    party::{PartyIndex, SignerSet},
    session::{Refused, Session, SessionId},
    share::{KeyInfo, KeyShare},
    suite::{Suite, point_bytes},
    tag,
};

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// 32 bytes that ECDSA signs as they are.
    Digest([u8; 32]),
    /// A whole message of any length, for Ed25519.
    Message(#[serde(with = "serde_bytes")] Vec<u8>),
}

impl Payload {
    /// One value that stands for the payload and its kind.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Digest(digest) => tag::PAYLOAD.hash([b"digest".as_slice(), digest]),
            Self::Message(message) => tag::PAYLOAD.hash([b"message".as_slice(), message]),
        }
    }
}

/// What a signing run is begun with.
#[derive(Debug)]
pub struct SigningInput {
    /// Names this run; never used before.
    pub session: SessionId,
    /// Who we are.
    pub me: PartyIndex,
    /// Exactly the threshold's number of signers, us among them.
    pub signers: SignerSet,
    /// Our share of the key that signs.
    pub share: Arc<KeyShare>,
    /// Our auxiliary data of this roster; ECDSA needs it, Ed25519 does not.
    pub aux: Option<Arc<AuxInfo>>,
    /// What is signed: a digest for secp256k1, a message for Ed25519.
    pub payload: Payload,
}

/// Begins a signing run. ECDSA runs `engine` (CGGMP24: 4 rounds); Ed25519 runs FROST's commitment round (1 round) and ignores it.
///
/// A wrong input makes a session that stops at once with [`Abort::Local`].
///
/// # Security
/// The payload must be final before this is called, and `session` must never have been used before.
pub fn begin(
    engine: &dyn EcdsaEngine,
    input: SigningInput,
    rng: &mut dyn CryptoRngCore,
) -> Box<dyn Session<Output = Ready>> {
    let SigningInput { session, me, signers, share, aux, payload } = input;
    let info = share.info();
    if share.party() != me {
        return refuse(format!("share of {:?} cannot sign as {me:?}", share.party()));
    }
    if !signers.fits(info.threshold()) || !signers.contains(me) {
        return refuse(format!("signers {signers:?} do not fit {me:?} and a key that needs {}", info.threshold()));
    }
    if let Some(aux) = &aux
        && (aux.party() != me || aux.of() != info.threshold().of())
    {
        return refuse(format!("{aux:?} does not fit {me:?} of {}", info.threshold().of()));
    }
    match (info.suite(), payload) {
        (Suite::Secp256k1, Payload::Digest(digest)) => {
            let input = PresignInput { session, me, signers, share, aux, payload: Payload::Digest(digest).digest() };
            ecdsa::begin(engine, input, digest, rng)
        }
        (Suite::Ed25519, Payload::Message(message)) => {
            eddsa::begin(session, me, &signers, &share, message, rng).unwrap_or_else(Refused::boxed)
        }
        (suite, _) => refuse(format!("{suite} signs {}", kind_signed_by(suite))),
    }
}

fn kind_signed_by(suite: Suite) -> &'static str {
    match suite {
        Suite::Secp256k1 => "a digest of 32 bytes, not a message",
        Suite::Ed25519 => "a whole message, not a digest",
    }
}

fn refuse(reason: String) -> Box<dyn Session<Output = Ready>> {
    Refused::boxed(Abort::local(reason))
}

/// A nonce that is made and bound to its payload, ready for its one partial signature. In memory only.
///
/// Neither `Clone` nor serializable: a process that dies with it has signed nothing.
pub struct Ready(Nonce);

enum Nonce {
    Ecdsa(Box<ecdsa::Bound>),
    Eddsa(Box<eddsa::Bound>),
}

impl Ready {
    pub(crate) fn ecdsa(bound: ecdsa::Bound) -> Self {
        Self(Nonce::Ecdsa(Box::new(bound)))
    }

    pub(crate) fn eddsa(bound: eddsa::Bound) -> Self {
        Self(Nonce::Eddsa(Box::new(bound)))
    }

    /// The partial signature, and the public data that everybody's partials are checked against. Consumes the nonce.
    ///
    /// # Security
    /// Store the partial before it leaves the process; send the stored bytes again rather than signing again.
    pub fn issue(self) -> Issued {
        match self.0 {
            Nonce::Ecdsa(bound) => {
                let (partial, public) = bound.issue();
                Issued { partial, commitments: Commitments(Public::Ecdsa(public)) }
            }
            Nonce::Eddsa(bound) => {
                let (partial, public) = bound.issue();
                Issued { partial, commitments: Commitments(Public::Eddsa(public)) }
            }
        }
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Nonce::Ecdsa(_) => "ecdsa nonce, withheld",
            Nonce::Eddsa(_) => "eddsa nonce, withheld",
        })
    }
}

/// What a nonce was spent on.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Our contribution to the signature. Public once sent.
    pub partial: Partial,
    /// What every signer's contribution is checked against.
    pub commitments: Commitments,
}

/// One signer's contribution: a scalar of 32 bytes, big-endian for secp256k1, little-endian for Ed25519.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Partial(#[serde(with = "serde_bytes")] Vec<u8>);

impl Partial {
    /// A partial as it was received or stored. Any bytes will do; wrong ones do not check.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The partial's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partial ({} bytes)", self.0.len())
    }
}

/// The nonce point of a signature: the compressed point whose x is `r` (33 bytes), or `R` itself (32 bytes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NoncePoint(#[serde(with = "serde_bytes")] Vec<u8>);

impl NoncePoint {
    /// A nonce point as it was received or stored. Any bytes will do; wrong ones do not combine.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The point's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NoncePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nonce point ")?;
        self.0.iter().take(5).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The public outcome of a run: the nonce point, and a commitment to every signer's part. The same at all honest signers.
#[derive(Clone, PartialEq, Eq)]
pub struct Commitments(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Ecdsa(PublicNonce),
    Eddsa(eddsa::PublicNonce),
}

impl Commitments {
    /// The nonce point that the signature will show.
    pub fn nonce_point(&self) -> NoncePoint {
        match &self.0 {
            Public::Ecdsa(public) => NoncePoint(point_bytes(&public.nonce)),
            Public::Eddsa(public) => NoncePoint(public.nonce().to_vec()),
        }
    }

    /// A digest of all of it. Signers who report different ones were told different things.
    pub fn digest(&self) -> [u8; 32] {
        let (suite, parts) = match &self.0 {
            Public::Ecdsa(public) => (Suite::Secp256k1, public.parts()),
            Public::Eddsa(public) => (Suite::Ed25519, public.parts()),
        };
        let suite = [suite.byte()];
        tag::COMMITMENTS.hash(std::iter::once(suite.as_slice()).chain(parts.iter().map(Vec::as_slice)))
    }

    /// Whether `partial` is what `signer` owes: a wrong one has a name, whatever the others sent.
    ///
    /// Says something about a signer only if it reported the same [`Commitments::digest`]. With another digest one of the signers told
    /// different things to different parties, an honest partial fails here too, and nobody can be named.
    pub fn check(&self, key: &KeyInfo, payload: &Payload, signer: PartyIndex, partial: &Partial) -> bool {
        match (&self.0, payload, key.suite()) {
            (Public::Ecdsa(public), Payload::Digest(digest), Suite::Secp256k1) => public.check(digest, signer, partial),
            (Public::Eddsa(public), Payload::Message(message), Suite::Ed25519) => {
                public.check(key, message, signer, partial)
            }
            _ => false,
        }
    }

    /// The signers whose partials are wrong, of those given.
    pub fn culprits(
        &self,
        key: &KeyInfo,
        payload: &Payload,
        partials: &BTreeMap<PartyIndex, Partial>,
    ) -> Vec<PartyIndex> {
        let wrong = |(signer, partial): &(&PartyIndex, &Partial)| !self.check(key, payload, **signer, partial);
        partials.iter().filter(wrong).map(|(signer, _)| *signer).collect()
    }
}

impl fmt::Debug for Commitments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commitments to {:?}", self.nonce_point())
    }
}
