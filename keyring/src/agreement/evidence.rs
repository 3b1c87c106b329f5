//! Judging what a peer shows: promises behind a proposal, evidence behind a promise, certificates behind a decision.
//!
//! Nothing here trusts the one who carries a proof; every envelope in it is verified under its own speaker's key.

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::PartyIndex;

use super::Rules;
use crate::committee::Committee;
use crate::decree::{Ballot, DecreeId, Proposal, Value, answer_digest};
use crate::message::{Attachment, Certificate, Envelope, Evidence, Share, Statement};

/// The statement of an envelope if it is about this decree and ballot.
fn statement_in<'a>(envelope: &'a Envelope, decree: &DecreeId, ballot: Ballot) -> Option<&'a Statement> {
    envelope
        .about_decree()
        .and_then(|(about, in_ballot, said)| (about == decree && in_ballot == ballot).then_some(said))
}

/// Whether `evidence` shows that `answer` could be accepted in `ballot`: its leader's proposal, `Q` joins by different
/// parties (all signers among them), and an answer that verifies and has the nonce point that the joins name.
pub(super) fn proves_acceptance(
    evidence: &Evidence,
    decree: &DecreeId,
    ballot: Ballot,
    answer: &[u8; 32],
    committee: &Committee,
    rules: &dyn Rules,
) -> bool {
    let Some(Statement::Propose(proposal)) = statement_in(&evidence.proposal, decree, ballot) else { return false };
    if evidence.proposal.from != ballot.leader
        || answer_digest(decree, &evidence.answer) != *answer
        || proposal.request != rules.request()
        || !committee.vouches_for(&evidence.proposal)
    {
        return false;
    }
    let name = proposal.digest(decree, ballot);
    let mut joined = BTreeSet::new();
    let mut shares = BTreeMap::new();
    for envelope in &evidence.joins {
        let Some(Statement::Join { proposal, share }) = statement_in(envelope, decree, ballot) else { return false };
        if *proposal != name || !committee.vouches_for(envelope) {
            return false;
        }
        joined.insert(envelope.from);
        shares.extend(share.iter().map(|share| (envelope.from, share.clone())));
    }
    joined.len() >= committee.quorum() && answer_fits(proposal, &evidence.answer, &shares, rules)
}

/// Whether this answer is the proposal's, given the joins' shares, and verifies by the chain's own rule.
fn answer_fits(proposal: &Proposal, answer: &[u8], shares: &BTreeMap<PartyIndex, Share>, rules: &dyn Rules) -> bool {
    let is_the_proposals = match &proposal.value {
        Value::Adopt { answer: adopted } => adopted == answer,
        Value::Key { public, .. } => public == answer,
        Value::Transaction { bytes, .. } => bytes == answer,
        Value::Run { signers, session, .. } => signers.iter().all(|signer| {
            shares
                .get(signer)
                .is_some_and(|share| share.session == *session && rules.has_nonce_point(answer, &share.nonce_point))
        }),
    };
    is_the_proposals && rules.verifies(answer)
}

/// Whether the promises attached to a proposal of a later ballot allow exactly this value: `Q` of different parties;
/// the value of the highest reported record, shown with its evidence; a fresh one only where none is reported.
pub(super) fn backs_proposal(
    proposal: &Proposal,
    ballot: Ballot,
    attachment: &Attachment,
    decree: &DecreeId,
    committee: &Committee,
    rules: &dyn Rules,
) -> bool {
    let mut promised = BTreeSet::new();
    let mut highest: Option<(Ballot, [u8; 32])> = None;
    for envelope in &attachment.promises {
        let Some(Statement::Promise { accepted }) = statement_in(envelope, decree, ballot) else { return false };
        if !committee.vouches_for(envelope) {
            return false;
        }
        promised.insert(envelope.from);
        highest = highest.max(*accepted);
    }
    if promised.len() < committee.quorum() {
        return false;
    }
    match (highest, &proposal.value) {
        (None, Value::Run { .. } | Value::Key { .. } | Value::Transaction { .. }) => true,
        (Some((reported, answer)), Value::Adopt { answer: adopted }) => {
            reported < ballot
                && answer_digest(decree, adopted) == answer
                && attachment
                    .evidence
                    .as_ref()
                    .is_some_and(|shown| proves_acceptance(shown, decree, reported, &answer, committee, rules))
        }
        (None, Value::Adopt { .. }) | (Some(_), Value::Run { .. } | Value::Key { .. } | Value::Transaction { .. }) => {
            false
        }
    }
}

/// Whether a certificate decides: `Q` accepts by different parties for one ballot and digest, of an answer that verifies.
pub(super) fn decides(certificate: &Certificate, decree: &DecreeId, committee: &Committee, rules: &dyn Rules) -> bool {
    let digest = answer_digest(decree, &certificate.answer);
    let mut ballots = BTreeSet::new();
    let mut accepted = BTreeSet::new();
    for envelope in &certificate.accepts {
        let Some((about, ballot, Statement::Accept { answer })) = envelope.about_decree() else { return false };
        if about != decree || *answer != digest || !committee.vouches_for(envelope) {
            return false;
        }
        ballots.insert(ballot);
        accepted.insert(envelope.from);
    }
    ballots.len() == 1 && accepted.len() >= committee.quorum() && rules.verifies(&certificate.answer)
}
