//! The outer form of every message: a versioned header in front of a bounded body.
//!
//! ```text
//! version 1 | protocol 1 | round 1 | run 16 | body
//! ```
//!
//! The run is the front of a hash over session id, protocol, parties and everything else that they must agree on, so that a party with
//! another idea of what is done is told apart at its first message. Knows nothing of what bodies mean.

use std::collections::BTreeMap;

use crate::{abort::Abort, party::PartyIndex, session::SessionId, tag};

/// The message format. A changed header or body is a new version.
const VERSION: u8 = 1;
const RUN_LEN: usize = 16;
const HEADER_LEN: usize = 3 + RUN_LEN;
/// The longest body of all protocols.
const BODY_LEN_MAX: usize = 512 * 1024;

/// No message of any session is longer than this; what is, need not be delivered.
pub const MESSAGE_LEN_MAX: usize = HEADER_LEN + BODY_LEN_MAX;

/// Which protocol a message belongs to. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Protocol {
    KeygenSecp256k1 = 1,
    KeygenEd25519 = 2,
    Auxiliary = 3,
    PresignCggmp24 = 4,
    CommitFrost = 5,
    #[cfg(feature = "testing")]
    Transparent = 6,
}

impl Protocol {
    /// The longest body an honest party sends, with room to spare; `of` parties take part.
    fn body_max(self, of: usize) -> usize {
        match self {
            // t ≤ n commitments of a polynomial, t points of 33 bytes and some hashes.
            Self::KeygenSecp256k1 | Self::KeygenEd25519 => 1024 + 64 * of,
            // Two times 128 proof rounds over 3072-bit numbers in hexadecimal: 209 kB measured.
            Self::Auxiliary => BODY_LEN_MAX,
            // Zero-knowledge proofs for one peer: 28 kB measured.
            Self::PresignCggmp24 => 64 * 1024,
            Self::CommitFrost => 64,
            #[cfg(feature = "testing")]
            Self::Transparent => 64,
        }
    }

    /// The number of message rounds, the echo included.
    fn rounds(self) -> u8 {
        match self {
            Self::KeygenSecp256k1 | Self::KeygenEd25519 => 5,
            Self::Auxiliary => 4,
            Self::PresignCggmp24 => 6,
            Self::CommitFrost => 1,
            #[cfg(feature = "testing")]
            Self::Transparent => 1,
        }
    }
}

/// One run of one protocol, as one of its parties sees it.
pub(crate) struct Run {
    protocol: Protocol,
    id: [u8; 32],
    me: PartyIndex,
    parties: Vec<PartyIndex>,
}

impl Run {
    /// The run named by `session` among `parties` (ascending, distinct); `terms` is all else they must agree on.
    ///
    /// # Errors
    /// [`Abort::Local`] if `me` is not among the parties or nobody else is.
    pub(crate) fn new(
        protocol: Protocol,
        session: SessionId,
        me: PartyIndex,
        parties: Vec<PartyIndex>,
        terms: &[&[u8]],
    ) -> Result<Self, Abort> {
        if !parties.contains(&me) || parties.len() < 2 {
            return Err(Abort::local(format!(
                "{me:?} cannot run among {parties:?}: it takes part itself, with at least one other"
            )));
        }
        let places: Vec<u8> = parties.iter().flat_map(|party| party.get().to_be_bytes()).collect();
        let head = [VERSION, protocol as u8];
        let fixed: [&[u8]; 3] = [&head, session.as_bytes(), &places];
        let id = tag::RUN.hash(fixed.into_iter().chain(terms.iter().copied()));
        Ok(Self { protocol, id, me, parties })
    }

    /// A hash of all that the parties agree on: the libraries' execution id.
    pub(crate) fn id(&self) -> [u8; 32] {
        self.id
    }

    pub(crate) fn parties(&self) -> &[PartyIndex] {
        &self.parties
    }

    /// Every party of the run but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = PartyIndex> + '_ {
        self.parties.iter().copied().filter(|party| *party != self.me)
    }

    /// This party's place among the parties of the run, as the libraries count.
    pub(crate) fn my_position(&self) -> u16 {
        self.position(self.me).unwrap_or_default()
    }

    pub(crate) fn position(&self, party: PartyIndex) -> Option<u16> {
        self.parties.iter().position(|other| *other == party).and_then(|position| u16::try_from(position).ok())
    }

    /// Puts the header in front of a body.
    pub(crate) fn seal(&self, round: u8, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(HEADER_LEN + body.len());
        message.extend_from_slice(&[VERSION, self.protocol as u8, round]);
        message.extend_from_slice(self.id.get(..RUN_LEN).unwrap_or_default());
        message.extend_from_slice(body);
        message
    }
}

/// A message whose header is in order, seen for the first time.
pub(crate) struct Letter<'a> {
    pub(crate) round: u8,
    pub(crate) body: &'a [u8],
}

/// Takes in the messages of one run: reads headers, drops repetitions, names who contradicts himself.
pub(crate) struct Mail {
    pub(crate) run: Run,
    /// What each party said in each round, hashed; at most parties × rounds entries.
    heard: BTreeMap<(PartyIndex, u8), [u8; 32]>,
}

impl Mail {
    pub(crate) fn new(run: Run) -> Self {
        Self { run, heard: BTreeMap::new() }
    }

    /// The letter in `message`; `None` for what may be ignored: a repetition, or a sender without a place in this run.
    ///
    /// # Errors
    /// An abort that names the sender.
    pub(crate) fn open<'a>(&mut self, from: PartyIndex, message: &'a [u8]) -> Result<Option<Letter<'a>>, Abort> {
        if from == self.run.me || !self.run.parties.contains(&from) {
            return Ok(None);
        }
        let limit = HEADER_LEN + self.run.protocol.body_max(self.run.parties.len());
        if message.len() > limit {
            return Err(Abort::proven(from, format!("message of {} bytes, {limit} is the most", message.len())));
        }
        let Some((&[version, protocol, round], rest)) = message.split_first_chunk::<3>() else {
            return Err(Abort::proven(from, "message shorter than its header"));
        };
        let Some((run, body)) = rest.split_at_checked(RUN_LEN) else {
            return Err(Abort::proven(from, "message shorter than its header"));
        };
        if version != VERSION {
            return Err(Abort::suspect(
                [from],
                format!("message format {version}, this build speaks {VERSION}: upgrade the older one"),
            ));
        }
        if protocol != self.run.protocol as u8 || Some(run) != self.run.id.get(..RUN_LEN) {
            return Err(Abort::suspect(
                [from],
                "message of another run: session, parties, threshold, key or payload differ from ours",
            ));
        }
        if round >= self.run.protocol.rounds() {
            return Err(Abort::proven(from, format!("message of round {round}, which this protocol lacks")));
        }
        let digest = tag::MESSAGE.hash([message]);
        match self.heard.insert((from, round), digest) {
            None => Ok(Some(Letter { round, body })),
            Some(earlier) if earlier == digest => Ok(None),
            Some(_) => Err(Abort::proven(from, format!("two different messages in round {round}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(me: u16, parties: &[u16], terms: &[&[u8]]) -> Run {
        let parties = parties.iter().copied().map(PartyIndex::new).collect();
        Run::new(Protocol::CommitFrost, SessionId::new([7; 32]), PartyIndex::new(me), parties, terms).unwrap()
    }

    #[test]
    fn the_header_is_pinned_byte_for_byte() {
        let message = run(0, &[0, 2], &[b"terms"]).seal(0, b"body");
        assert_eq!(hex::encode(message), "010500bf69c3b60059833a235d334c9c27e6fe626f6479");
    }

    #[test]
    fn the_run_is_named_after_session_parties_and_terms() {
        let name = |run: Run| run.id();
        assert_eq!(name(run(0, &[0, 2], &[b"a"])), name(run(2, &[0, 2], &[b"a"])), "but not after who looks");
        assert_ne!(name(run(0, &[0, 2], &[b"a"])), name(run(0, &[0, 1], &[b"a"])));
        assert_ne!(name(run(0, &[0, 2], &[b"a"])), name(run(0, &[0, 2], &[b"b"])));
    }

    #[test]
    fn nobody_runs_alone_or_without_taking_part() {
        let begin = |parties: &[u16]| {
            let parties = parties.iter().copied().map(PartyIndex::new).collect();
            Run::new(Protocol::CommitFrost, SessionId::new([7; 32]), PartyIndex::new(0), parties, &[])
        };
        assert!(begin(&[0]).is_err() && begin(&[1, 2]).is_err() && begin(&[0, 1]).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded_by_parties_and_rounds() {
        let mut mail = Mail::new(run(0, &[0, 1, 2], &[]));
        let sender = run(1, &[0, 1, 2], &[]);
        assert!(mail.open(PartyIndex::new(1), &sender.seal(0, b"x")).unwrap().is_some());
        assert!(mail.open(PartyIndex::new(1), &sender.seal(0, b"x")).unwrap().is_none());
        assert!(mail.open(PartyIndex::new(1), &sender.seal(0, b"y")).is_err());
        assert!(mail.open(PartyIndex::new(1), &sender.seal(1, b"x")).is_err());
        assert!(mail.open(PartyIndex::new(9), &sender.seal(0, b"x")).unwrap().is_none());
        assert_eq!(mail.heard.len(), 1);
    }
}
