//! What a decree may ask of its node: the request as this party read it, keys, material, and whether an answer is one.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::{KeyId, KeyInfo, NoncePoint, Partial, PartyIndex, Signature, SignerSet, Suite};

use super::{Node, RunOf};
use crate::admission::{Job, Task};
use crate::agreement::{Fresh, Judgement, Rules};
use crate::decree::{Ballot, Value, signing_session};
use crate::message::Share;
use crate::planted::{self, Plant};
use crate::shelf::{self, KeyRecord};
use crate::store::Table;

/// A node seen from one of its decrees.
pub(super) struct View<'a> {
    pub(super) node: &'a Node,
    pub(super) job: &'a Job,
    pub(super) digest: [u8; 32],
    /// The parties in the order of this decree's turns.
    pub(super) order: &'a [PartyIndex],
    /// The key that this party proposed for this decree before, if any.
    pub(super) proposed_key: Option<KeyId>,
}

use super::Records as _;

impl View<'_> {
    /// Our own record of a key, if it is certified.
    fn certified(&self, key: KeyId) -> Option<(KeyRecord, KeyInfo)> {
        let record = shelf::read_record(&self.node.memory, key).ok().flatten()?;
        let info = shelf::decode_info(&record, key).ok()?;
        (!record.certificate.is_empty()).then_some((record, info))
    }

    /// Whether a key is free for this decree: bound to nothing, or to this very request.
    fn is_free_here(&self, key: KeyId) -> bool {
        shelf::binding(&self.node.memory, key).is_ok_and(|bound| bound.is_none_or(|bound| bound == self.job.decree))
            || planted::is(Plant::OneKeyForTwoRequests)
    }

    /// Whether this party may offer a key, or join a proposal that names it: one that a lost memory may have bound it does
    /// not.
    fn is_remembered(&self, key: KeyId) -> bool {
        shelf::is_forgotten(&self.node.memory, key).is_ok_and(|forgotten| !forgotten)
            || planted::is(Plant::RestoredVotes)
    }

    fn judge_run(&self, ballot: Ballot, signers: &[PartyIndex], value: &Value) -> Judgement {
        let Value::Run { session, auxiliary, .. } = value else { return Judgement::Wrong };
        let (epoch, threshold) = (self.node.committee.epoch(), self.node.committee.threshold());
        let well_formed = SignerSet::new(threshold, signers.iter().copied()).is_ok_and(|set| set.as_slice() == signers)
            && *session == signing_session(epoch, &self.job.decree, ballot, signers)
            && auxiliary.is_some() == (self.job.suite() == Suite::Secp256k1);
        let Task::Sign { key, .. } = &self.job.task else { return Judgement::Wrong };
        if !well_formed {
            return Judgement::Wrong;
        }
        if !signers.contains(&self.node.me) {
            return Judgement::Fit;
        }
        let has_share = self.node.memory.read(Table::Share, key.as_bytes()).is_ok_and(|share| share.is_some());
        let has_auxiliary = auxiliary.is_none() || *auxiliary == self.node.stock.active_digest();
        if has_share && has_auxiliary { Judgement::Fit } else { Judgement::Unable }
    }

    fn judge_key(&self, ballot: Ballot, key: KeyId, public: &[u8]) -> Judgement {
        if !matches!(self.job.task, Task::Key { .. }) {
            return Judgement::Wrong;
        }
        match self.certified(key) {
            // Its certificate has not come here yet.
            None => Judgement::Unable,
            Some((record, info)) => {
                let right = record.lane == ballot.leader
                    && record.epoch == self.node.committee.epoch()
                    && info.suite() == self.job.suite()
                    && info.group_key() == public
                    && self.job.is_answered_by(public)
                    && self.is_free_here(key);
                match right {
                    true if self.is_remembered(key) => Judgement::Fit,
                    true => Judgement::Unable,
                    false => Judgement::Wrong,
                }
            }
        }
    }

    fn fresh_run(&self, ballot: Ballot, key: KeyId, left_out: &BTreeSet<PartyIndex>) -> Fresh {
        let node = self.node;
        let need = usize::from(node.committee.threshold().need());
        let is_ecdsa = self.job.suite() == Suite::Secp256k1;
        let has_share = node.memory.read(Table::Share, key.as_bytes()).is_ok_and(|share| share.is_some());
        let auxiliary = if is_ecdsa { node.stock.active_digest() } else { None };
        if !has_share || (is_ecdsa && auxiliary.is_none()) {
            return Fresh::Unable;
        }
        if is_ecdsa && node.signing_runs() >= node.slots {
            return Fresh::NoCore;
        }
        let start = self.order.iter().position(|party| *party == node.me).unwrap_or(0);
        let turn = self.order.iter().cycle().skip(start).take(self.order.len());
        let present: Vec<PartyIndex> = turn.copied().filter(|party| node.present.contains(party)).collect();
        let (wanted, spare): (Vec<_>, Vec<_>) =
            present.into_iter().partition(|party| *party == node.me || !left_out.contains(party));
        let mut signers: Vec<PartyIndex> = wanted.into_iter().chain(spare).take(need).collect();
        if signers.len() < need {
            return Fresh::Unable;
        }
        signers.sort_unstable();
        let session = signing_session(node.committee.epoch(), &self.job.decree, ballot, &signers);
        Fresh::Value(Value::Run { signers, session, auxiliary })
    }

    fn fresh_key(&self) -> Fresh {
        let (me, suite) = (self.node.me, self.job.suite());
        // The key proposed for this request before is bound to it and serves no other.
        let again = self.proposed_key.filter(|key| self.is_free_here(*key));
        let key =
            again.or_else(|| self.node.shelf.take_from(me, suite, |key| self.node.promised_keys.contains_key(key)));
        match key.and_then(|key| self.certified(key).map(|(_, info)| (key, info))) {
            Some((key, info)) => Fresh::Value(Value::Key { key, public: info.group_key().to_vec() }),
            None => Fresh::Unable,
        }
    }
}

impl Rules for View<'_> {
    fn request(&self) -> [u8; 32] {
        self.digest
    }

    fn judge(&self, ballot: Ballot, value: &Value) -> Judgement {
        match value {
            Value::Run { signers, .. } => self.judge_run(ballot, signers, value),
            Value::Key { key, public } => self.judge_key(ballot, *key, public),
            Value::Transaction { height, block, bytes } => self.judge_transaction(*height, *block, bytes),
            Value::Adopt { .. } => Judgement::Wrong,
        }
    }

    fn fresh(&self, ballot: Ballot, left_out: &BTreeSet<PartyIndex>) -> Fresh {
        match &self.job.task {
            Task::Sign { key, .. } => self.fresh_run(ballot, *key, left_out),
            Task::Key { .. } => self.fresh_key(),
            Task::Complete { .. } => self.fresh_transaction(),
        }
    }

    fn check_share(&self, signer: PartyIndex, share: &Share) -> Option<bool> {
        let (_, commitments) = self.node.commitments.get(&share.session)?;
        let Task::Sign { key, .. } = &self.job.task else { return Some(false) };
        let (_, info) = self.certified(*key)?;
        Some(
            commitments.digest() == share.commitments
                && commitments.nonce_point().as_bytes() == share.nonce_point
                && self.job.payload().is_some_and(|payload| {
                    commitments.check(&info, &payload, signer, &Partial::from_bytes(share.partial.clone()))
                }),
        )
    }

    fn combine(&self, signers: &[PartyIndex], shares: &BTreeMap<PartyIndex, Share>) -> Option<Vec<u8>> {
        let Task::Sign { key, .. } = &self.job.task else { return None };
        let (_, info) = self.certified(*key)?;
        let set = SignerSet::new(self.node.committee.threshold(), signers.iter().copied()).ok()?;
        let mut points = BTreeSet::new();
        let mut partials = BTreeMap::new();
        for signer in signers {
            let share = shares.get(signer)?;
            points.insert(NoncePoint::from_bytes(share.nonce_point.clone()));
            partials.insert(*signer, Partial::from_bytes(share.partial.clone()));
        }
        let point = points.pop_first().filter(|_| points.is_empty())?;
        let raw = match mpc_core::combine(&info, &self.job.payload()?, &set, &point, &partials).ok()? {
            Signature::Ecdsa { bytes, .. } | Signature::Eddsa(bytes) => bytes,
        };
        self.job.question()?.canonical(&raw).ok().map(|answer| answer.bytes().to_vec())
    }

    fn verifies(&self, answer: &[u8]) -> bool {
        self.job.is_answered_by(answer)
            && self.key_named(answer).is_none_or(|key| {
                self.certified(key).is_some_and(|(_, info)| info.suite() == self.job.suite()) && self.is_free_here(key)
            })
    }

    fn has_nonce_point(&self, answer: &[u8], nonce_point: &[u8]) -> bool {
        let shown = match self.job.suite() {
            // SEC1 compressed: the x coordinate behind the sign byte is the signature's r.
            Suite::Secp256k1 => nonce_point.get(1..),
            Suite::Ed25519 => Some(nonce_point),
        };
        shown.is_some_and(|shown| shown.len() == 32 && answer.get(..32) == Some(shown))
    }

    fn key_named(&self, answer: &[u8]) -> Option<KeyId> {
        matches!(self.job.task, Task::Key { .. }).then(|| KeyId::of(self.job.suite(), answer))
    }
}

impl Node {
    /// Signing runs that this party takes part in, those it has just proposed among them.
    pub(super) fn signing_runs(&self) -> usize {
        self.promised_runs.len() + self.runs.values().filter(|run| matches!(run, RunOf::Sign(_))).count()
    }
}
