//! The two signature schemes and what their curves have in common.
//!
//! Only this file knows how many bytes a point has and in which order a scalar is written.

use std::fmt;

use generic_ec::{
    Curve, NonZero, Point, Scalar,
    curves::{Ed25519, Secp256k1},
};
use serde::{Deserialize, Serialize};

/// A signature scheme over its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Suite {
    /// ECDSA over secp256k1; group keys are 33 bytes, SEC1 compressed.
    Secp256k1,
    /// Ed25519 as in RFC 8032; group keys are 32 bytes.
    Ed25519,
}

impl Suite {
    /// Bytes of a group key or any other public point.
    pub const fn point_len(self) -> usize {
        match self {
            Self::Secp256k1 => 33,
            Self::Ed25519 => 32,
        }
    }

    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Secp256k1 => 1,
            Self::Ed25519 => 2,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Secp256k1),
            2 => Some(Self::Ed25519),
            _ => None,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "ed25519",
        })
    }
}

/// Bytes of a scalar on both curves.
pub(crate) const SCALAR_LEN: usize = 32;

/// A curve of one of our suites.
pub(crate) trait SuiteCurve: Curve {
    const SUITE: Suite;
}

impl SuiteCurve for Secp256k1 {
    const SUITE: Suite = Suite::Secp256k1;
}

impl SuiteCurve for Ed25519 {
    const SUITE: Suite = Suite::Ed25519;
}

/// The scalar inside a secret, for computing with it where it is.
pub(crate) fn exposed<E: Curve>(secret: &impl AsRef<Scalar<E>>) -> &Scalar<E> {
    secret.as_ref()
}

/// A point in the suite's own, compressed form.
pub(crate) fn point_bytes<E: SuiteCurve>(point: &Point<E>) -> Vec<u8> {
    point.to_bytes(true).as_bytes().to_vec()
}

/// A point from its compressed form: on the curve, of prime order, not the identity, written canonically.
pub(crate) fn point_from_bytes<E: SuiteCurve>(bytes: &[u8]) -> Option<NonZero<Point<E>>> {
    if bytes.len() != E::SUITE.point_len() {
        return None;
    }
    let point = NonZero::from_point(Point::from_bytes(bytes).ok()?)?;
    (point_bytes::<E>(&point) == bytes).then_some(point)
}

/// A scalar below the group order from 32 big-endian bytes.
pub(crate) fn scalar_from_be<E: SuiteCurve>(bytes: &[u8]) -> Option<Scalar<E>> {
    if bytes.len() != SCALAR_LEN {
        return None;
    }
    Scalar::from_be_bytes(bytes).ok()
}
