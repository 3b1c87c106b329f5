//! Keys: what everybody may know of one, and one party's secret share of it.
//!
//! Values are valid by construction: the public shares interpolate to the group key, the secret share belongs to its public share.
//! Both kinds of key are Shamir shares of one secret at the points 1…n, so both suites share this room.

mod codec;
mod frost;

use std::fmt;

use generic_ec::{
    Curve, NonZero, Point, Scalar, SecretScalar,
    curves::{Ed25519, Secp256k1},
};
use key_share::{CoreKeyShare, DirtyCoreKeyShare, DirtyKeyInfo, Validate, VssSetup};
use serde::{Deserialize, Serialize};

pub use codec::DecodeError;
pub(crate) use codec::Reader;
pub(crate) use frost::identifier;

use crate::{
    party::{PartyIndex, Threshold},
    suite::{Suite, SuiteCurve, point_bytes},
    tag,
};

/// A key's name: a tagged hash of suite and group key, so that it certifies itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The name of the key with this compressed group key.
    pub fn of(suite: Suite, group_key: &[u8]) -> Self {
        Self(tag::KEY_ID.hash([[suite.byte()].as_slice(), group_key]))
    }

    /// A name from its 32 bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The name's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {self}")
    }
}

/// The public part of a key: threshold, group key and the public share of every party.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyInfo {
    threshold: Threshold,
    group_key: Vec<u8>,
    key_id: KeyId,
    points: Points,
}

/// The points of a key on its curve.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Points {
    Secp256k1(PublicShares<Secp256k1>),
    Ed25519(PublicShares<Ed25519>),
}

/// The group key and, by party, the public shares.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicShares<E: Curve> {
    pub(crate) group: NonZero<Point<E>>,
    pub(crate) shares: Vec<NonZero<Point<E>>>,
}

/// A curve whose points a [`KeyInfo`] can hold.
pub(crate) trait KeyCurve: SuiteCurve {
    fn wrap(points: PublicShares<Self>) -> Points;
    fn wrap_secret(secret: NonZero<SecretScalar<Self>>) -> Secret;
}

impl KeyCurve for Secp256k1 {
    fn wrap(points: PublicShares<Self>) -> Points {
        Points::Secp256k1(points)
    }
    fn wrap_secret(secret: NonZero<SecretScalar<Self>>) -> Secret {
        Secret::Secp256k1(secret)
    }
}

impl KeyCurve for Ed25519 {
    fn wrap(points: PublicShares<Self>) -> Points {
        Points::Ed25519(points)
    }
    fn wrap_secret(secret: NonZero<SecretScalar<Self>>) -> Secret {
        Secret::Ed25519(secret)
    }
}

impl KeyInfo {
    /// The key's signature scheme.
    pub fn suite(&self) -> Suite {
        match &self.points {
            Points::Secp256k1(_) => Suite::Secp256k1,
            Points::Ed25519(_) => Suite::Ed25519,
        }
    }

    /// How many of how many parties sign.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// The compressed group key: 33 bytes SEC1 for secp256k1, 32 bytes for Ed25519.
    pub fn group_key(&self) -> &[u8] {
        &self.group_key
    }

    /// The key's name.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// A digest of suite, threshold, group key and all public shares: equal at two parties exactly if they hold shares of one sharing.
    pub fn shares_digest(&self) -> [u8; 32] {
        tag::SHARES.hash([self.encode().as_slice()])
    }

    pub(crate) fn points(&self) -> &Points {
        &self.points
    }

    /// Checks and keeps the points of a key.
    pub(crate) fn from_points<E: KeyCurve>(threshold: Threshold, points: PublicShares<E>) -> Result<Self, DecodeError> {
        dirty_info(threshold, &points).is_valid().map_err(|error| DecodeError::inconsistent(&error))?;
        if fewer_suffice(threshold, &points) {
            return Err(DecodeError::inconsistent("fewer parties than the threshold hold the key"));
        }
        let group_key = point_bytes::<E>(&points.group);
        let key_id = KeyId::of(E::SUITE, &group_key);
        Ok(Self { threshold, group_key, key_id, points: E::wrap(points) })
    }
}

impl fmt::Debug for KeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({}, {})", self.key_id, self.suite(), self.threshold)
    }
}

/// The library's form of the public part: evaluation points 1…n, no child derivation.
fn dirty_info<E: KeyCurve>(threshold: Threshold, points: &PublicShares<E>) -> DirtyKeyInfo<E> {
    DirtyKeyInfo {
        curve: Default::default(),
        shared_public_key: points.group,
        public_shares: points.shares.clone(),
        vss_setup: Some(VssSetup {
            min_signers: threshold.need(),
            I: threshold.parties().map(evaluation_point).collect(),
        }),
        chain_code: None,
    }
}

/// Whether one party less than the threshold could sign: the shares lie on a polynomial of too low a degree.
fn fewer_suffice<E: KeyCurve>(threshold: Threshold, points: &PublicShares<E>) -> bool {
    let fewer: Vec<_> = threshold.parties().take(usize::from(threshold.need()) - 1).collect();
    let weighted =
        fewer.iter().zip(&points.shares).map(|(party, share)| Some(weight_at_zero::<E>(*party, &fewer)? * share));
    weighted.sum::<Option<Point<E>>>().is_none_or(|sum| sum == points.group)
}

/// λ of `party` for interpolation at zero over the evaluation points of `parties`; `None` if they are not distinct.
pub(crate) fn weight_at_zero<E: Curve>(party: PartyIndex, parties: &[PartyIndex]) -> Option<Scalar<E>> {
    let own = evaluation_point::<E>(party);
    parties.iter().filter(|other| **other != party).try_fold(Scalar::one(), |product, other| {
        let other = evaluation_point::<E>(*other);
        Some(product * other * (other - own).invert()?)
    })
}

/// Where the secret polynomial is evaluated for `party`: `index + 1`, never zero.
pub(crate) fn evaluation_point<E: Curve>(party: PartyIndex) -> NonZero<Scalar<E>> {
    let point = Scalar::from(party.get()) + Scalar::one();
    // A u16 plus one is far below both group orders.
    NonZero::from_scalar(point).unwrap_or_else(NonZero::<Scalar<E>>::one)
}

/// One party's secret share of a key, with the public part.
///
/// The scalar is wiped when dropped. Not `Clone`, and `Debug` shows the public part only.
///
/// # Security
/// `need` of these are the private key. The protocol libraries make short-lived copies while a run computes; those of curve scalars are
/// wiped as well.
pub struct KeyShare {
    info: KeyInfo,
    party: PartyIndex,
    secret: Secret,
}

/// The secret scalar on its curve.
pub(crate) enum Secret {
    Secp256k1(NonZero<SecretScalar<Secp256k1>>),
    Ed25519(NonZero<SecretScalar<Ed25519>>),
}

impl KeyShare {
    /// The public part of the key.
    pub fn info(&self) -> &KeyInfo {
        &self.info
    }

    /// Whose share this is.
    pub fn party(&self) -> PartyIndex {
        self.party
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Checks that `secret` is `party`'s share of the key.
    pub(crate) fn from_secret<E: KeyCurve>(
        threshold: Threshold,
        points: PublicShares<E>,
        party: PartyIndex,
        secret: NonZero<SecretScalar<E>>,
    ) -> Result<Self, DecodeError> {
        let own = points.shares.get(usize::from(party.get())).ok_or(DecodeError::Malformed { field: "party" })?;
        if *own != Point::generator() * &secret {
            return Err(DecodeError::inconsistent("the secret share does not belong to the party's public share"));
        }
        Ok(Self { info: KeyInfo::from_points(threshold, points)?, party, secret: E::wrap_secret(secret) })
    }

    /// Takes over what the key generation library made, if it is a sharing at the points 1…n as every room here assumes.
    pub(crate) fn from_core<E: KeyCurve>(core: CoreKeyShare<E>) -> Result<Self, DecodeError> {
        let DirtyCoreKeyShare { i, key_info, x } = core.into_inner();
        let need = key_info.vss_setup.as_ref().map_or(0, |setup| setup.min_signers);
        let of = u16::try_from(key_info.public_shares.len()).unwrap_or(u16::MAX);
        let threshold = Threshold::new(need, of).map_err(|error| DecodeError::inconsistent(&error))?;
        let points = PublicShares { group: key_info.shared_public_key, shares: key_info.public_shares };
        Self::from_secret(threshold, points, PartyIndex::new(i), x)
    }

    /// The library's form of a secp256k1 share; `None` for another suite.
    pub(crate) fn to_core(&self) -> Option<CoreKeyShare<Secp256k1>> {
        let (Secret::Secp256k1(secret), Points::Secp256k1(points)) = (&self.secret, &self.info.points) else {
            return None;
        };
        let key_info = dirty_info(self.info.threshold, points);
        DirtyCoreKeyShare { i: self.party.get(), key_info, x: secret.clone() }.validate().ok()
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "share of {:?} in {:?}, secret withheld", self.party, self.info)
    }
}
