//! What goes over the wire: length-prefixed messages, decoded within bounds.
//!
//! ```text
//! message   = length (4 bytes, big-endian, of what follows) kind (1 byte) contents
//! 1 hello   = roster digest (32)                        first message of both sides, and only there
//! 2 use     =                                           from here on this connection carries the frames
//! 3 probe   = date of the sender (8)
//! 4 echo    = date of the probe (8) date of the sender (8)
//! 5 frame   = lane (32) body (0 to the bound)
//! ```
//!
//! Dates are Unix milliseconds, big-endian. The version stands in the name of the protocol, [`PROTOCOL`]; the kinds are
//! part of it. A decoder reserves memory for bytes that came, never for bytes that were announced.

use std::{fmt, io};

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// Name and version of the frame protocol, as libp2p negotiates it for the stream.
pub(crate) const PROTOCOL: &str = "/keyring/frames/1";

/// What separates conversations on one link. 32 bytes without meaning here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane([u8; 32]);

impl Lane {
    /// Names a conversation.
    #[must_use]
    pub const fn new(name: [u8; 32]) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Lane {
    fn from(name: [u8; 32]) -> Self {
        Self(name)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..4]))
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lane({})", hex::encode(self.0))
    }
}

/// One message between two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Hello { roster_digest: [u8; 32], process: u64 },
    Use,
    Probe { date_ms: u64 },
    Echo { probe_ms: u64, date_ms: u64 },
    Frame { lane: Lane, body: Bytes },
}

const LENGTH_BYTES: usize = 4;
const LANE_BYTES: usize = 32;
/// Bytes of a frame beside its body: kind and lane.
const FRAME_HEAD_BYTES: usize = 1 + LANE_BYTES;
/// Bytes of a hello, the only message that a node reads before it knows that the roster is the same.
const HELLO_BYTES: usize = 1 + 32 + 8;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("a frame of {claimed} bytes is above the bound of {bound}")]
    Oversized { claimed: u64, bound: u64 },
    #[error("{0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Cuts a byte stream into messages and back.
#[derive(Debug)]
pub(crate) struct Codec {
    bound: usize,
}

impl Codec {
    /// Reads a hello and nothing longer.
    pub(crate) fn for_hello() -> Self {
        Self { bound: HELLO_BYTES }
    }

    /// Reads every message, with bodies up to `body_bytes_max`.
    pub(crate) fn for_frames(body_bytes_max: usize) -> Self {
        Self { bound: HELLO_BYTES.max(FRAME_HEAD_BYTES + body_bytes_max) }
    }
}

impl Decoder for Codec {
    type Item = Message;
    type Error = WireError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<Message>, WireError> {
        let Some(prefix) = source.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let claimed = u32::from_be_bytes(*prefix);
        let Some(length) = usize::try_from(claimed).ok().filter(|length| *length <= self.bound) else {
            return Err(WireError::Oversized { claimed: claimed.into(), bound: self.bound as u64 });
        };
        if source.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let message = source.split_to(LENGTH_BYTES + length);
        Message::decode(&message[LENGTH_BYTES..]).map(Some).map_err(WireError::Malformed)
    }
}

impl Encoder<Message> for Codec {
    type Error = WireError;

    fn encode(&mut self, message: Message, target: &mut BytesMut) -> Result<(), WireError> {
        let length = message.length();
        let prefix = u32::try_from(length).ok().filter(|_| length <= self.bound);
        let Some(prefix) = prefix else {
            return Err(WireError::Oversized { claimed: length as u64, bound: self.bound as u64 });
        };
        target.reserve(LENGTH_BYTES + length);
        target.put_u32(prefix);
        message.encode(target);
        Ok(())
    }
}

impl Message {
    /// Length on the wire, without the prefix.
    fn length(&self) -> usize {
        match self {
            Self::Hello { .. } => HELLO_BYTES,
            Self::Use => 1,
            Self::Probe { .. } => 1 + 8,
            Self::Echo { .. } => 1 + 8 + 8,
            Self::Frame { body, .. } => FRAME_HEAD_BYTES + body.len(),
        }
    }

    fn encode(&self, target: &mut BytesMut) {
        match self {
            Self::Hello { roster_digest, process } => {
                target.put_u8(1);
                target.put_slice(roster_digest);
                target.put_u64(*process);
            }
            Self::Use => target.put_u8(2),
            Self::Probe { date_ms } => {
                target.put_u8(3);
                target.put_u64(*date_ms);
            }
            Self::Echo { probe_ms, date_ms } => {
                target.put_u8(4);
                target.put_u64(*probe_ms);
                target.put_u64(*date_ms);
            }
            Self::Frame { lane, body } => {
                target.put_u8(5);
                target.put_slice(&lane.0);
                target.put_slice(body);
            }
        }
    }

    /// Reads one whole message. Every kind but a frame has one length.
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let Some((kind, rest)) = bytes.split_first() else {
            return Err("an empty message");
        };
        match (kind, rest) {
            (1, rest) if rest.len() == 40 => {
                Ok(Self::Hello { roster_digest: array(rest)?, process: date(&rest[32..])? })
            }
            (2, []) => Ok(Self::Use),
            (3, rest) if rest.len() == 8 => Ok(Self::Probe { date_ms: date(rest)? }),
            (4, rest) if rest.len() == 16 => Ok(Self::Echo { probe_ms: date(rest)?, date_ms: date(&rest[8..])? }),
            (5, rest) => {
                let lane = Lane(array(rest)?);
                // A copy: a slice would keep the whole read buffer alive for as long as this body waits somewhere.
                Ok(Self::Frame { lane, body: Bytes::copy_from_slice(&rest[LANE_BYTES..]) })
            }
            (1..=4, _) => Err(WRONG_LENGTH),
            _ => Err("a message of an unknown kind"),
        }
    }
}

const WRONG_LENGTH: &str = "a message of a wrong length";

fn array(bytes: &[u8]) -> Result<[u8; 32], &'static str> {
    bytes.first_chunk().copied().ok_or(WRONG_LENGTH)
}

fn date(bytes: &[u8]) -> Result<u64, &'static str> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(WRONG_LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY_MAX: usize = 100;

    fn codec() -> Codec {
        Codec::for_frames(BODY_MAX)
    }

    fn any_message() -> impl Strategy<Value = Message> {
        prop_oneof![
            any::<([u8; 32], u64)>().prop_map(|(roster_digest, process)| Message::Hello { roster_digest, process }),
            Just(Message::Use),
            any::<u64>().prop_map(|date_ms| Message::Probe { date_ms }),
            any::<(u64, u64)>().prop_map(|(probe_ms, date_ms)| Message::Echo { probe_ms, date_ms }),
            (any::<[u8; 32]>(), proptest::collection::vec(any::<u8>(), 0..=BODY_MAX))
                .prop_map(|(lane, body)| Message::Frame { lane: Lane(lane), body: body.into() }),
        ]
    }

    proptest! {
        #[test]
        fn messages_survive_the_wire_in_any_cut(
            messages in proptest::collection::vec(any_message(), 0..8),
            cut in 1usize..50,
        ) {
            let mut wire = BytesMut::new();
            for message in &messages {
                codec().encode(message.clone(), &mut wire).unwrap();
            }
            let mut arrived = BytesMut::new();
            let mut read = Vec::new();
            for piece in wire.chunks(cut) {
                arrived.extend_from_slice(piece);
                while let Some(message) = codec().decode(&mut arrived).unwrap() {
                    read.push(message);
                }
            }
            prop_assert_eq!(read, messages);
            prop_assert!(arrived.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_exceed_the_bound(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut source = BytesMut::from(&bytes[..]);
            while let Ok(Some(message)) = codec().decode(&mut source) {
                prop_assert!(message.length() <= FRAME_HEAD_BYTES + BODY_MAX);
            }
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(kind in 0u8..8, rest in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut wire = BytesMut::new();
            wire.put_u32(1 + rest.len() as u32);
            wire.put_u8(kind);
            wire.put_slice(&rest);
            let whole = wire.clone();
            if let Ok(Some(message)) = codec().decode(&mut wire) {
                let mut again = BytesMut::new();
                codec().encode(message, &mut again).unwrap();
                prop_assert_eq!(again, whole);
            }
        }
    }

    #[test]
    fn the_wire_format_is_this_to_the_byte() {
        let mut wire = BytesMut::new();
        let frame = Message::Frame { lane: Lane([0xaa; 32]), body: Bytes::from_static(b"\x01\x02") };
        codec().encode(frame, &mut wire).unwrap();
        assert_eq!(hex::encode(&wire), format!("0000002305{}0102", "aa".repeat(32)));
        wire.clear();
        codec().encode(Message::Hello { roster_digest: [0xbb; 32], process: 3 }, &mut wire).unwrap();
        assert_eq!(hex::encode(&wire), format!("0000002901{}0000000000000003", "bb".repeat(32)));
        wire.clear();
        codec().encode(Message::Use, &mut wire).unwrap();
        codec().encode(Message::Probe { date_ms: 1 }, &mut wire).unwrap();
        codec().encode(Message::Echo { probe_ms: 1, date_ms: 2 }, &mut wire).unwrap();
        assert_eq!(
            hex::encode(&wire),
            "000000010200000009030000000000000001000000110400000000000000010000000000000002"
        );
    }

    #[test]
    fn an_oversized_prefix_is_refused_before_its_bytes_come() {
        let mut source = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        let error = codec().decode(&mut source).unwrap_err();
        assert!(matches!(error, WireError::Oversized { claimed: 0xffff_ffff, bound: 133 }));
        let mut frame = BytesMut::from(&[0, 0, 0, 42][..]);
        assert!(matches!(Codec::for_hello().decode(&mut frame), Err(WireError::Oversized { bound: 41, .. })));
    }

    #[test]
    fn a_body_at_the_bound_passes_and_one_byte_more_does_not() {
        let frame = |length| Message::Frame { lane: Lane([0; 32]), body: vec![0; length].into() };
        let mut wire = BytesMut::new();
        codec().encode(frame(BODY_MAX), &mut wire).unwrap();
        assert!(codec().decode(&mut wire).unwrap().is_some());
        assert!(matches!(codec().encode(frame(BODY_MAX + 1), &mut wire), Err(WireError::Oversized { .. })));
    }
}
