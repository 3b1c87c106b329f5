//! Keys as bytes, for the store and for certificates. Our own fixed layout: no library upgrade can move a byte of it.
//!
//! ```text
//! public part  version 1 | suite 1 | need 2 | of 2 | group key | of public shares     (numbers big-endian, points compressed)
//! share        public part | party 2 | secret 32 (big-endian)
//! ```

use generic_ec::{
    Curve, NonZero, Scalar, SecretScalar,
    curves::{Ed25519, Secp256k1},
};
use zeroize::Zeroizing;

use super::{KeyCurve, KeyInfo, KeyShare, Points, PublicShares, Secret};
use crate::{
    party::{PartyIndex, Threshold},
    suite::{SCALAR_LEN, Suite, SuiteCurve, exposed, point_bytes, point_from_bytes},
};

const VERSION: u8 = 1;

/// Bytes that are not what they should be. Nothing can be done but to fetch them anew (restore, repair).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are of another format version.
    #[error("format version {found} is unknown: this build reads {known}")]
    Version {
        /// The version read.
        found: u8,
        /// The version understood.
        known: u8,
    },
    /// A field is missing, out of range or not canonical, or bytes are left over.
    #[error("field {field} is missing or malformed")]
    Malformed {
        /// The first field that does not read.
        field: &'static str,
    },
    /// The fields read, but contradict one another.
    #[error("contents contradict one another: {reason}")]
    Inconsistent {
        /// The contradiction.
        reason: String,
    },
}

impl DecodeError {
    pub(crate) fn inconsistent(reason: &(impl std::fmt::Display + ?Sized)) -> Self {
        Self::Inconsistent { reason: reason.to_string() }
    }
}

/// Reads fields from the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(DecodeError::Malformed { field })?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.take(1, field)?.first().copied().ok_or(DecodeError::Malformed { field })
    }

    pub(crate) fn number(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        let bytes = self.take(2, field)?.try_into().map_err(|_| DecodeError::Malformed { field })?;
        Ok(u16::from_be_bytes(bytes))
    }

    pub(crate) fn version(&mut self, known: u8) -> Result<(), DecodeError> {
        match self.byte("version")? {
            found if found == known => Ok(()),
            found => Err(DecodeError::Version { found, known }),
        }
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Malformed { field: "end" }) }
    }
}

impl KeyInfo {
    /// The public part as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.suite().byte()];
        bytes.extend_from_slice(&self.threshold.need().to_be_bytes());
        bytes.extend_from_slice(&self.threshold.of().to_be_bytes());
        match &self.points {
            Points::Secp256k1(points) => write_points(&mut bytes, points),
            Points::Ed25519(points) => write_points(&mut bytes, points),
        }
        bytes
    }

    /// The public part from its bytes; checks that the public shares interpolate to the group key.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics on any input.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let (suite, threshold) = read_head(&mut reader)?;
        let info = match suite {
            Suite::Secp256k1 => Self::from_points(threshold, read_points::<Secp256k1>(&mut reader, threshold)?)?,
            Suite::Ed25519 => Self::from_points(threshold, read_points::<Ed25519>(&mut reader, threshold)?)?,
        };
        reader.end()?;
        Ok(info)
    }
}

impl KeyShare {
    /// The share with its public part as bytes.
    ///
    /// # Security
    /// These bytes are the secret: seal them before they are written anywhere. The returned buffer wipes itself.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let public = self.info.encode();
        // Exactly as long as needed: a buffer that grows would leave unwiped copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(public.len() + 2 + SCALAR_LEN));
        bytes.extend_from_slice(&public);
        bytes.extend_from_slice(&self.party.get().to_be_bytes());
        match &self.secret {
            Secret::Secp256k1(secret) => write_secret(&mut bytes, exposed::<Secp256k1>(secret)),
            Secret::Ed25519(secret) => write_secret(&mut bytes, exposed::<Ed25519>(secret)),
        }
        bytes
    }

    /// A share from its bytes; checks everything that [`KeyInfo::decode`] checks, and that the secret belongs to its party.
    ///
    /// # Errors
    /// [`DecodeError`]; never panics on any input, and says nothing of the secret.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader(bytes);
        let (suite, threshold) = read_head(&mut reader)?;
        match suite {
            Suite::Secp256k1 => read_share::<Secp256k1>(reader, threshold),
            Suite::Ed25519 => read_share::<Ed25519>(reader, threshold),
        }
    }
}

fn write_points<E: SuiteCurve>(bytes: &mut Vec<u8>, points: &PublicShares<E>) {
    bytes.extend_from_slice(&point_bytes::<E>(&points.group));
    for share in &points.shares {
        bytes.extend_from_slice(&point_bytes::<E>(share));
    }
}

fn write_secret<E: Curve>(bytes: &mut Vec<u8>, secret: &Scalar<E>) {
    let digits = Zeroizing::new(secret.to_be_bytes().as_bytes().to_vec());
    bytes.extend_from_slice(&digits);
}

fn read_head(reader: &mut Reader<'_>) -> Result<(Suite, Threshold), DecodeError> {
    reader.version(VERSION)?;
    let suite = Suite::from_byte(reader.byte("suite")?).ok_or(DecodeError::Malformed { field: "suite" })?;
    let (need, of) = (reader.number("need")?, reader.number("of")?);
    let threshold = Threshold::new(need, of).map_err(|_| DecodeError::Malformed { field: "threshold" })?;
    Ok((suite, threshold))
}

fn read_points<E: SuiteCurve>(reader: &mut Reader<'_>, threshold: Threshold) -> Result<PublicShares<E>, DecodeError> {
    let mut point = |field| {
        point_from_bytes::<E>(reader.take(E::SUITE.point_len(), field)?).ok_or(DecodeError::Malformed { field })
    };
    let group = point("group key")?;
    let shares = threshold.parties().map(|_| point("public share")).collect::<Result<_, _>>()?;
    Ok(PublicShares { group, shares })
}

fn read_share<E: KeyCurve>(mut reader: Reader<'_>, threshold: Threshold) -> Result<KeyShare, DecodeError> {
    let points = read_points::<E>(&mut reader, threshold)?;
    let party = PartyIndex::new(reader.number("party")?);
    let malformed = DecodeError::Malformed { field: "secret" };
    let secret = SecretScalar::<E>::from_be_bytes(reader.take(SCALAR_LEN, "secret")?).map_err(|_| malformed.clone())?;
    let secret = NonZero::from_secret_scalar(secret).ok_or(malformed)?;
    reader.end()?;
    KeyShare::from_secret(threshold, points, party, secret)
}
