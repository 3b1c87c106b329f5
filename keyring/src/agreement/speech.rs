//! What this party says: once, again as it was, and in hints.

use mpc_core::PartyIndex;

use super::record::Joined;
use super::{Act, Audience, Decree, HINT_EVERY_MS, Surroundings};
use crate::decree::{Ballot, answer_digest};
use crate::message::{Attachment, Statement};

impl Decree {
    pub(super) fn say(&self, acts: &mut Vec<Act>, to: Audience, ballot: Ballot, statement: Statement) {
        acts.push(Act::Say { to, ballot, statement, attachment: Box::default() });
    }

    pub(super) fn say_queued(&mut self, ballot: Ballot, around: Surroundings<'_>, acts: &mut Vec<Act>) {
        if self.last_queued.is_none_or(|last| around.now >= last + HINT_EVERY_MS) {
            self.last_queued = Some(around.now);
            self.say(acts, Audience::All, ballot, Statement::Queued);
        }
    }

    /// Tells the others of each round of this party's run and of its wait for a core, at most once a second.
    pub(super) fn hint(&mut self, around: Surroundings<'_>) -> Vec<Act> {
        let mut acts = Vec::new();
        if let Some(run) = self.run.as_mut().filter(|run| run.has_news())
            && around.now >= run.last_hint + HINT_EVERY_MS
        {
            run.last_hint = around.now;
            run.told = Some(run.round);
            let statement = if run.queued { Statement::Queued } else { Statement::Working(run.round) };
            let ballot = run.ballot;
            self.say(&mut acts, Audience::All, ballot, statement);
        }
        acts
    }

    /// The stored join and accept, as they are.
    pub(super) fn repeat(&self, to: Audience, acts: &mut Vec<Act>) {
        if let Some(Joined { ballot, proposal, share }) = &self.record.joined {
            let statement = Statement::Join { proposal: *proposal, share: share.clone() };
            self.say(acts, to, *ballot, statement);
        }
        if let Some(accepted) = &self.record.accepted {
            self.say(acts, to, accepted.ballot, Statement::Accept { answer: accepted.answer });
        }
    }

    pub(super) fn tell_decision(&self, to: PartyIndex, acts: &mut Vec<Act>) {
        let Some(certificate) = &self.record.decided else { return };
        if to == self.me {
            return;
        }
        let answer = answer_digest(&self.id, &certificate.answer);
        let attachment = Attachment { certificate: Some(certificate.clone()), ..Attachment::default() };
        acts.push(Act::Say {
            to: Audience::One(to),
            ballot: self.current_ballot(),
            statement: Statement::Decided { answer },
            attachment: Box::new(attachment),
        });
    }
}
