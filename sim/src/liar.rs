//! A dishonest party: a real node whose words are twisted on their way out, signed with its true key.
//!
//! It knows everything that its node knows and may send anything to anybody. What it cannot do is sign for others.

use keyring::decree::{Ballot, DecreeId, Value, signing_session};
use keyring::message::{Attachment, Content, Envelope, Packet, Share, Statement};
use mpc_core::{PartyIndex, Threshold};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

/// A way to cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// As leader, two proposals in one ballot, each to its own half.
    Equivocates,
    /// Partials that are wrong.
    BadPartials,
    /// Joins for proposals that nobody made.
    JoinsForNothing,
    /// A nonce point that is not the run's.
    WrongNoncePoint,
    /// Promises that report what was never accepted, or hide what was.
    ForgesPromises,
    /// Accepts of answers that it does not have, early, late and often.
    AcceptsAnything,
    /// Says old things again, to anybody.
    Replays,
    /// Bytes that are no frames.
    Garbage,
    /// `stored` statements whose proof is wrong.
    WrongProofs,
    /// Proposes in ballots that belong to others, or without promises.
    ProposesOutOfTurn,
    /// Speaks without end of requests that nobody has seen.
    Floods,
}

impl Lie {
    /// What seeds draw: all but the flood, which costs a world more events than all else in it.
    pub const DRAWN: [Self; 10] = [
        Self::Equivocates,
        Self::BadPartials,
        Self::JoinsForNothing,
        Self::WrongNoncePoint,
        Self::ForgesPromises,
        Self::AcceptsAnything,
        Self::Replays,
        Self::Garbage,
        Self::WrongProofs,
        Self::ProposesOutOfTurn,
    ];
}

/// Bytes on their way to a peer.
pub(crate) enum Said {
    /// A well-formed packet.
    Packet(PartyIndex, Box<Packet>),
    /// Anything.
    Bytes(PartyIndex, Vec<u8>),
}

/// What a liar remembers.
pub(crate) struct Liar {
    lie: Lie,
    threshold: Threshold,
    heard: Vec<Packet>,
}

const HEARD_MAX: usize = 64;
/// Packets of a flood beside each true one.
const FLOOD: u64 = 600;

impl Liar {
    pub(crate) const fn new(lie: Lie, threshold: Threshold) -> Self {
        Self { lie, threshold, heard: Vec::new() }
    }

    /// Twists a packet for its receivers.
    pub(crate) fn twist(
        &mut self,
        packet: &Packet,
        to: &[PartyIndex],
        rng: &mut ChaCha20Rng,
        sign: &dyn Fn(Content) -> Envelope,
    ) -> Vec<Said> {
        if self.heard.len() < HEARD_MAX {
            self.heard.push(packet.clone());
        }
        let plain = |packet: &Packet| -> Vec<Said> {
            to.iter().map(|peer| Said::Packet(*peer, Box::new(packet.clone()))).collect()
        };
        let resigned = |content: Content| Packet { envelope: sign(content), attachment: packet.attachment.clone() };
        let Content::Decree { decree, ballot, statement } = &packet.envelope.content else {
            return match (&packet.envelope.content, self.lie) {
                (Content::Stored(stored), Lie::WrongProofs) if rng.gen_bool(0.3) => {
                    let mut wrong = stored.clone();
                    wrong.possession.iter_mut().for_each(|byte| *byte ^= 1);
                    plain(&resigned(Content::Stored(wrong)))
                }
                _ => plain(packet),
            };
        };
        let about = |statement: Statement| Content::Decree { decree: decree.clone(), ballot: *ballot, statement };
        match (self.lie, statement) {
            (Lie::Equivocates, Statement::Propose(proposal)) => {
                let mut other = proposal.clone();
                if let Value::Run { signers, session, .. } = &mut other.value {
                    *signers = self.other_signers(packet.envelope.from, signers, rng);
                    *session = signing_session(packet.envelope.epoch, decree, *ballot, signers);
                }
                let second = resigned(about(Statement::Propose(other)));
                to.iter()
                    .map(|peer| {
                        let which = if rng.gen_bool(0.5) { packet } else { &second };
                        Said::Packet(*peer, Box::new(which.clone()))
                    })
                    .collect()
            }
            (Lie::BadPartials, Statement::Join { proposal, share: Some(share) }) => {
                let mut partial = share.partial.clone();
                partial.iter_mut().take(3).for_each(|byte| *byte = byte.wrapping_add(1));
                let share = Some(Share { partial, ..share.clone() });
                plain(&resigned(about(Statement::Join { proposal: *proposal, share })))
            }
            (Lie::WrongNoncePoint, Statement::Join { proposal, share: Some(share) }) => {
                let mut nonce_point = share.nonce_point.clone();
                nonce_point.iter_mut().skip(1).take(1).for_each(|byte| *byte ^= 1);
                let share = Some(Share { nonce_point, ..share.clone() });
                plain(&resigned(about(Statement::Join { proposal: *proposal, share })))
            }
            (Lie::JoinsForNothing, Statement::Join { share, .. }) => {
                let proposal = rng.r#gen();
                plain(&resigned(about(Statement::Join { proposal, share: share.clone() })))
            }
            (Lie::ForgesPromises, Statement::Promise { accepted }) => {
                let accepted = match accepted {
                    Some(_) if rng.gen_bool(0.5) => None,
                    _ => {
                        Some((Ballot { attempt: ballot.attempt.saturating_sub(1), leader: ballot.leader }, rng.r#gen()))
                    }
                };
                let content = about(Statement::Promise { accepted });
                plain(&Packet { envelope: sign(content), attachment: Attachment::default() })
            }
            _ => {
                let mut said = plain(packet);
                said.extend(self.more(decree, *ballot, statement, to, rng, sign));
                said
            }
        }
    }

    /// What it says on top of what it should.
    fn more(
        &mut self,
        decree: &DecreeId,
        ballot: Ballot,
        statement: &Statement,
        to: &[PartyIndex],
        rng: &mut ChaCha20Rng,
        sign: &dyn Fn(Content) -> Envelope,
    ) -> Vec<Said> {
        let Some(peer) = to.choose(rng).copied() else { return Vec::new() };
        let say = |peer, ballot, statement| {
            let content = Content::Decree { decree: decree.clone(), ballot, statement };
            Said::Packet(peer, Box::new(Packet { envelope: sign(content), attachment: Attachment::default() }))
        };
        match self.lie {
            Lie::AcceptsAnything => {
                let answer = match statement {
                    Statement::Accept { answer } => *answer,
                    _ => rng.r#gen(),
                };
                let higher = Ballot { attempt: ballot.attempt + rng.gen_range(0..2), leader: ballot.leader };
                to.iter().map(|peer| say(*peer, higher, Statement::Accept { answer })).collect()
            }
            Lie::Replays => {
                let old = self.heard.choose(rng).cloned();
                old.map(|old| Said::Packet(peer, Box::new(old))).into_iter().collect()
            }
            Lie::Garbage => vec![Said::Bytes(peer, (0..rng.gen_range(0..200)).map(|_| rng.r#gen()).collect())],
            Lie::ProposesOutOfTurn => {
                let Statement::Propose(proposal) = statement else { return Vec::new() };
                let leader = if rng.gen_bool(0.5) { peer } else { ballot.leader };
                let stolen = Ballot { attempt: ballot.attempt + rng.gen_range(0..2), leader };
                to.iter().map(|peer| say(*peer, stolen, Statement::Propose(proposal.clone()))).collect()
            }
            Lie::Floods => {
                let strange = |decree: &DecreeId, ahead| DecreeId { request: decree.request + ahead, ..decree.clone() };
                let first = rng.gen_range(1_000..1_000_000);
                (first..first + FLOOD)
                    .map(|ahead| {
                        let decree = strange(decree, ahead);
                        let content = Content::Decree { decree, ballot, statement: statement.clone() };
                        let packet = Packet { envelope: sign(content), attachment: Attachment::default() };
                        Said::Packet(peer, Box::new(packet))
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Another signer set of the same size, itself among them.
    fn other_signers(&self, me: PartyIndex, signers: &[PartyIndex], rng: &mut ChaCha20Rng) -> Vec<PartyIndex> {
        let mut others: Vec<PartyIndex> = self.threshold.parties().filter(|party| *party != me).collect();
        others.shuffle(rng);
        let mut chosen: Vec<PartyIndex> = std::iter::once(me).chain(others).take(signers.len()).collect();
        chosen.sort_unstable();
        chosen
    }
}
