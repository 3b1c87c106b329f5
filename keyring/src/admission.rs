//! Which requests are answered, and which can never be (law 4). The closed list stands in [`Unanswerable`].
//!
//! A request is judged from itself alone at its creation height, so every honest party comes to the same verdict. No
//! verdict is ever sent anywhere: what cannot be answered is recorded and left to expire, which refunds its user.

use std::fmt;

use alloy_primitives::Address;
use chain_client::zrsign::transaction::{LegacyTransaction, SimpleTransaction};
use chain_client::{AnswerLoad, Ask, ChainKey, Height, KeyType, Question, Request};
use mpc_core::{KeyId, Payload, Suite};
use serde::{Deserialize, Serialize};

use crate::decree::{DecreeId, Kind};
use crate::tag;

/// A request as this party's own endpoint showed it, with what else judging it needs, all read at its creation height.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Its decree.
    pub decree: DecreeId,
    /// The request itself.
    pub request: Request,
    /// The block that created it.
    pub created: Height,
    /// For a signature: the key it names, if the chain knows it.
    pub key: Option<ChainKey>,
    /// For a child: whether its creator owned the workspace of its key.
    pub creator_owns_workspace: bool,
    /// What an answer to it has to rewrite on the chain.
    pub load: AnswerLoad,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Name a key of the shelf.
    Key {
        /// Of this type.
        key_type: KeyType,
    },
    /// Sign.
    Sign {
        /// Our name of the key.
        key: KeyId,
        /// The chain's type of the key; decides the canonical form.
        key_type: KeyType,
        /// The key's public bytes.
        public: Vec<u8>,
        /// A digest of 32 bytes, or a whole message for Ed25519.
        payload: Vec<u8>,
    },
    /// Complete a simple transaction.
    Complete {
        /// What was asked for.
        simple: Box<SimpleTransaction>,
        /// The wallet that will sign it.
        wallet: Address,
        /// The EIP-155 id of its destination.
        destination: u64,
    },
}

/// An admitted request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its decree.
    pub decree: DecreeId,
    /// The block that created it.
    pub created: Height,
    /// Last height at which an answer counts.
    pub deadline: Option<Height>,
    /// What there is to do.
    pub task: Task,
}

/// Why a request can never be answered. The list is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unanswerable {
    /// An ECDSA digest that is not 32 bytes never verifies.
    PayloadLength {
        /// How long it is.
        bytes: usize,
    },
    /// The key, or the keyring it was asked of, is not ours.
    ForeignKey,
    /// A child whose key is of another type than the request says: any answer would be refused by the chain.
    KeyType {
        /// The type that the request declares.
        declared: KeyType,
        /// The key's own type.
        actual: KeyType,
    },
    /// A child whose key lies in a workspace that its creator did not own.
    ForeignWorkspace,
    /// At a contract: its log or payload is none that can be answered; which of the closed list in
    /// [`chain_client::zrsign::event::Refusal`] and [`chain_client::zrsign::event::EventError`], in words.
    Contract(String),
}

impl fmt::Display for Unanswerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PayloadLength { bytes } => write!(f, "payload of {bytes} bytes: a digest has 32"),
            Self::ForeignKey => f.write_str("its key is not one that this keyring made"),
            Self::KeyType { declared, actual } => write!(f, "it declares {declared:?}, its key is {actual:?}"),
            Self::ForeignWorkspace => f.write_str("its creator did not own the workspace of its key"),
            Self::Contract(why) => f.write_str(why),
        }
    }
}

/// What becomes of a sighting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To be answered.
    Admitted(Job),
    /// Never; recorded with its reason.
    Never(Unanswerable),
    /// A parent: answered through its children only, never itself, and nothing to remember.
    Group,
    /// This party cannot judge yet: it does not know which request this key of ours belongs to. Look again.
    NotYet(KeyId),
}

/// What this party knows of a key that a chain shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// We did not make it.
    Stranger,
    /// We made it, and it belongs to the request of that number on this chain and keyring.
    Bound(u64),
    /// We made it, and it belongs to something else.
    BoundElsewhere,
    /// We made it; this party has not learned yet whose it is.
    Unbound,
}

/// Judges a sighting. `known` tells what this party knows of a key id, `reserved` are the key ids that need no owner.
#[must_use]
pub fn judge(sighting: &Sighting, reserved: &[u64], known: impl Fn(KeyId) -> Known) -> Verdict {
    let (keyring, request) = (&sighting.decree.keyring, &sighting.request);
    let job = |task| {
        Verdict::Admitted(Job {
            decree: sighting.decree.clone(),
            created: sighting.created,
            deadline: request.deadline,
            task,
        })
    };
    match &request.ask {
        Ask::Group { .. } => Verdict::Group,
        Ask::Key { keyring: asked_of, .. } if asked_of != keyring => Verdict::Never(Unanswerable::ForeignKey),
        Ask::Key { key_type, .. } => job(Task::Key { key_type: *key_type }),
        Ask::Signature { key_type: declared, payload, .. } => {
            let Some(key) = sighting.key.as_ref().filter(|key| key.keyring == *keyring) else {
                return Verdict::Never(Unanswerable::ForeignKey);
            };
            let is_child = request.parent.is_some();
            if *declared != key.key_type {
                return Verdict::Never(Unanswerable::KeyType { declared: *declared, actual: key.key_type });
            }
            if suite_of(key.key_type) == Suite::Secp256k1 && payload.len() != 32 {
                return Verdict::Never(Unanswerable::PayloadLength { bytes: payload.len() });
            }
            let needs_owner = is_child && !key.is_deposit && !reserved.contains(&key.id);
            if needs_owner && !sighting.creator_owns_workspace {
                return Verdict::Never(Unanswerable::ForeignWorkspace);
            }
            let id = KeyId::of(suite_of(key.key_type), &key.public_key);
            match known(id) {
                Known::Stranger | Known::BoundElsewhere => Verdict::Never(Unanswerable::ForeignKey),
                Known::Unbound => Verdict::NotYet(id),
                Known::Bound(number) if number != key.id => Verdict::Never(Unanswerable::ForeignKey),
                Known::Bound(_) => job(Task::Sign {
                    key: id,
                    key_type: key.key_type,
                    public: key.public_key.clone(),
                    payload: payload.clone(),
                }),
            }
        }
    }
}

/// The curve and scheme behind a chain's key type.
#[must_use]
pub const fn suite_of(key_type: KeyType) -> Suite {
    match key_type {
        KeyType::EcdsaSecp256k1 | KeyType::BitcoinSecp256k1 => Suite::Secp256k1,
        KeyType::EddsaEd25519 => Suite::Ed25519,
    }
}

impl Job {
    /// Digest of every field that matters: what a proposal names and every joiner compares with its own reading (law 1).
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let body = postcard::to_stdvec(&(self.deadline, &self.task)).unwrap_or_default();
        tag::hash(tag::REQUEST, &[&self.decree.to_bytes(), &body])
    }

    /// How the chain judges an answer; `None` for what no chain is shown.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        match &self.task {
            Task::Key { key_type } => Some(Question::Key(*key_type)),
            Task::Sign { key_type, public, payload, .. } => {
                Some(Question::Signature { key_type: *key_type, public_key: public.clone(), payload: payload.clone() })
            }
            Task::Complete { .. } => None,
        }
    }

    /// Whether these bytes answer it.
    #[must_use]
    pub fn is_answered_by(&self, answer: &[u8]) -> bool {
        match &self.task {
            Task::Complete { simple, .. } => LegacyTransaction::decode(answer)
                .is_ok_and(|offered| simple.is_done_by(&offered) && *offered.encode() == *answer),
            Task::Key { .. } | Task::Sign { .. } => {
                self.question().is_some_and(|question| question.decided(answer).is_ok())
            }
        }
    }

    /// The curve and scheme it needs.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match &self.task {
            Task::Key { key_type } | Task::Sign { key_type, .. } => suite_of(*key_type),
            Task::Complete { .. } => Suite::Secp256k1,
        }
    }

    /// What a signing run signs; `None` for a key.
    #[must_use]
    pub fn payload(&self) -> Option<Payload> {
        match &self.task {
            Task::Key { .. } | Task::Complete { .. } => None,
            Task::Sign { key_type, payload, .. } => match suite_of(*key_type) {
                Suite::Secp256k1 => Some(Payload::Digest(payload.as_slice().try_into().ok()?)),
                Suite::Ed25519 => Some(Payload::Message(payload.clone())),
            },
        }
    }

    /// The 32 bytes that are signed, where it is a digest.
    #[must_use]
    pub fn signed_digest(&self) -> Option<[u8; 32]> {
        match self.payload()? {
            Payload::Digest(digest) => Some(digest),
            Payload::Message(_) => None,
        }
    }

    /// What names the order of turns: for a user's signature its key, so that one party leads for one key; otherwise the
    /// decree. All answers of a contract are authorised by one key: by that, one party would pay for all of them.
    #[must_use]
    pub fn order_seed(&self) -> Vec<u8> {
        match &self.task {
            Task::Sign { key, .. } if self.decree.kind != Kind::Authorisation => key.as_bytes().to_vec(),
            Task::Key { .. } | Task::Complete { .. } | Task::Sign { .. } => self.decree.to_bytes(),
        }
    }
}
