//! Verdicts that all endpoints must share.
//!
//! A reading proves what it shows if its endpoint is honest. Where several endpoints are configured, one that lies must
//! not be able to destroy a request or to stop the controller, so what would do that is asked of all of them: each must
//! show it, at any height of its own, and more than half of those configured must answer. One that shows the opposite at
//! a lower height is behind, and waited for; at the same or a later height it contradicts, which is told, and nothing
//! is concluded. Better late than twice.

use std::collections::BTreeSet;

use chain_client::{Height, Reading};

use super::{CONTRADICTION_BLOCKS, Halt, Moves, Outbox, Outcome, Pen, book};
use crate::decree::DecreeId;

/// Something that one endpoint's word is not enough for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The account's sequence, where this party remembers none.
    Begins(u64),
    /// The account is past everything that this party took.
    Moved,
    /// A sequence that had been shown as spent is unspent.
    WentBack,
    /// This sequence is spent and its request open without us.
    Dead(u64),
    /// This sequence is unspent and its request names us.
    Impostor(u64),
}

/// Why an operator's word to go on is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// There is nothing to end.
    #[error("the controller of this chain does not stand still")]
    NotHalted,
    /// Any other sequence would be used twice, or leave a gap.
    #[error(
        "sequence {given} is neither {own}, where this party's journal stands, nor {chain}, where the account was seen"
    )]
    Elsewhere {
        /// As the operator said.
        given: u64,
        /// The next one of the journal.
        own: u64,
        /// As the chain showed it.
        chain: u64,
    },
    /// The chain took back what this party had seen spent: sequences would be used twice.
    #[error("sequence {given} was used by this party before: only {own}, where its journal stands, may be named")]
    UsedBefore {
        /// As the operator said.
        given: u64,
        /// The next one of the journal.
        own: u64,
    },
}

impl Outbox {
    /// What a reading says that has to be confirmed.
    pub(super) fn claim(&self, decree: &DecreeId, reading: &Reading, account: &str) -> Option<Claim> {
        let shown = reading.account().sequence;
        if self.halt.is_some() {
            // Whoever is being doubted buries nothing.
            return None;
        }
        let Some(next) = self.next else { return Some(Claim::Begins(shown)) };
        if shown > next {
            // What this party signed before it lost its memory moves the account as well.
            let is_own_past = self.slots.is_empty() && self.gate.keep_out.is_some_and(|bound| shown <= bound + 1);
            return Some(if is_own_past { Claim::Begins(shown) } else { Claim::Moved });
        }
        if let Some(slot) = self.slot_of(decree) {
            let names_us = reading.standing().names(account);
            match shown > slot.sequence {
                true if reading.standing().is_open() && !names_us => return Some(Claim::Dead(slot.sequence)),
                false if names_us && !slot.spends_nothing() => return Some(Claim::Impostor(slot.sequence)),
                true | false => {}
            }
        }
        let is_held = |sequence: u64| self.slots.contains_key(&sequence);
        let went_back = reading.height() >= self.let_go_at && (shown..next).take(64).any(|sequence| !is_held(sequence));
        went_back.then_some(Claim::WentBack)
    }

    /// Account and request as every endpoint that could be reached shows them, each of one height of its own.
    #[must_use]
    pub fn testimony(&mut self, decree: &DecreeId, readings: &[Reading], pen: &dyn Pen) -> Moves {
        let mut moves = Moves::default();
        let mut heard: Vec<(&Reading, Option<Claim>)> = Vec::new();
        for reading in readings {
            if self.is_news(reading) {
                heard.push((reading, self.claim(decree, reading, pen.account())));
            }
        }
        let calm = heard.iter().filter(|(_, claim)| claim.is_none()).map(|(reading, _)| *reading);
        let calm = calm.max_by_key(|reading| reading.height()).cloned();
        self.unconfirmed = None;
        let claims = heard.iter().filter_map(|(reading, claim)| Some((*reading, (*claim)?)));
        let Some((accuser, claim)) = claims.max_by_key(|(reading, _)| reading.height()) else {
            let abreast = heard.iter().filter(|(reading, _)| reading.height() >= self.let_go_at).count();
            if abreast * 2 > self.endpoints {
                self.unchecked = None;
            }
            return self.act_on(decree, calm, pen, moves);
        };
        let agrees = |other: &Option<Claim>| *other == Some(claim);
        let since = heard.iter().filter(|(_, other)| agrees(other)).map(|(reading, _)| reading.height()).min();
        let answering: BTreeSet<_> = heard.iter().map(|(reading, _)| reading.endpoint()).collect();
        let others = || heard.iter().filter(|(_, other)| !agrees(other)).map(|(reading, _)| *reading);
        let is_behind = heard.len() < readings.len() || others().any(|other| Some(other.height()) < since);
        let denier =
            others().find(|other| Some(other.height()) >= since && self.denies(claim, other, pen.account())).cloned();
        if let Some(denier) = denier {
            self.contradict(claim, accuser, &denier, &mut moves);
        } else if answering.len() * 2 <= self.endpoints {
            let (of, all) = (answering.len(), self.endpoints);
            self.unconfirmed = Some(format!("{} cannot be confirmed: {of} of {all} endpoints answer", claim.words()));
        } else if is_behind {
            self.unconfirmed = Some(format!("{} cannot be confirmed: an endpoint is behind", claim.words()));
        } else if others().next().is_none() {
            // They may differ in how far: only what the most cautious of them shows is shown by all.
            let agreed = heard.iter().filter(|(_, other)| agrees(other)).map(|(reading, _)| *reading);
            let sequence = |reading: &&Reading| reading.account().sequence;
            let witness = match claim {
                Claim::WentBack => agreed.max_by_key(sequence),
                Claim::Moved => agreed.min_by_key(sequence),
                Claim::Begins(_) | Claim::Dead(_) | Claim::Impostor(_) => Some(accuser),
            };
            let witness = witness.unwrap_or(accuser).clone();
            self.concede(claim, &witness, &mut moves);
            return self.act_on(decree, Some(witness), pen, moves);
        }
        // Whoever claims nothing is still good for sending stored bytes again, and knows if the request has closed since.
        self.act_on(decree, calm, pen, moves)
    }

    /// Whether a reading of the same or a later height cannot be true together with a claim.
    fn denies(&self, claim: Claim, reading: &Reading, account: &str) -> bool {
        let shown = reading.account().sequence;
        match claim {
            Claim::Begins(sequence) => shown < sequence,
            Claim::Moved => self.next.is_some_and(|next| shown <= next),
            Claim::WentBack => true,
            Claim::Dead(sequence) => shown <= sequence || reading.standing().names(account),
            Claim::Impostor(sequence) => shown > sequence || !reading.standing().names(account),
        }
    }

    fn act_on(&mut self, decree: &DecreeId, reading: Option<Reading>, pen: &dyn Pen, mut moves: Moves) -> Moves {
        if let Some(reading) = reading {
            self.act(decree, &reading, pen, &mut moves);
        }
        moves
    }

    fn contradict(&mut self, claim: Claim, one: &Reading, other: &Reading, moves: &mut Moves) {
        let is_told = self.contradiction.as_ref().is_some_and(|told| told.0.after(CONTRADICTION_BLOCKS) > self.height);
        let side = |reading: &Reading| {
            let (endpoint, height, sequence) = (reading.endpoint(), reading.height(), reading.account().sequence);
            format!("{endpoint} shows the account at sequence {sequence} in block {height}")
        };
        let text = format!("{} is denied: {}, {}", claim.words(), side(one), side(other));
        self.contradiction = Some((self.height, text.clone()));
        if !is_told {
            moves.outcomes.push(Outcome::Contradiction(text));
        }
    }

    /// Takes a confirmed claim for true.
    pub(super) fn concede(&mut self, claim: Claim, reading: &Reading, moves: &mut Moves) {
        let shown = reading.account().sequence;
        match (claim, self.next) {
            (Claim::Begins(sequence), _) => {
                self.next = Some(sequence);
                moves.entries.push(book::put_next(&self.chain, sequence));
                self.let_go_at = self.let_go_at.max(reading.height());
                moves.entries.push(book::put_let_go(&self.chain, self.let_go_at));
            }
            (Claim::Dead(sequence), _) => self.bury(sequence, reading.height(), moves),
            (Claim::Impostor(sequence), _) => {
                if let Some(slot) = self.slots.get(&sequence) {
                    moves.outcomes.push(Outcome::Impostor(slot.decree.clone(), sequence));
                }
            }
            (Claim::Moved, Some(own)) => self.stand_still(Halt::MovedWithoutUs { chain: shown, own }, moves),
            (Claim::WentBack, Some(own)) => {
                if !self.take_back(shown, moves) {
                    self.stand_still(Halt::WentBack { chain: shown, own }, moves);
                }
            }
            (Claim::Moved | Claim::WentBack, None) => {}
        }
    }

    fn stand_still(&mut self, halt: Halt, moves: &mut Moves) {
        moves.entries.push(book::put_halt(&self.chain, &halt));
        moves.outcomes.push(Outcome::Halted(halt.clone()));
        self.halt = Some(halt);
    }

    /// Whether [`Self::resume`] would take this.
    ///
    /// # Errors
    /// As there.
    pub fn check_resume(&self, sequence: u64) -> Result<(), ResumeError> {
        let Some(halt) = &self.halt else { return Err(ResumeError::NotHalted) };
        match *halt {
            Halt::MovedWithoutUs { chain, own } if sequence == own || sequence == chain => Ok(()),
            Halt::MovedWithoutUs { chain, own } => Err(ResumeError::Elsewhere { given: sequence, own, chain }),
            Halt::WentBack { own, .. } if sequence == own => Ok(()),
            Halt::WentBack { own, .. } => Err(ResumeError::UsedBefore { given: sequence, own }),
        }
    }

    /// An operator has looked, and takes the word of the chain, or of this party's journal, for where the account stands.
    /// On record. Where the account moves on, or the word was wrong, the next reading stops the controller again.
    ///
    /// # Errors
    /// When it does not stand still, or the sequence is neither.
    pub fn resume(&mut self, sequence: u64) -> Result<Moves, ResumeError> {
        self.check_resume(sequence)?;
        let mut moves = Moves::default();
        if let Some(halt) = self.halt.take() {
            moves.entries.push(book::put_resumed(&self.chain, sequence, &halt));
        }
        moves.entries.push(book::erase_halt(&self.chain));
        moves.entries.push(book::put_next(&self.chain, sequence));
        self.next = Some(sequence);
        // What was spent by somebody else lies behind: only later heights can show less than this.
        let read = self.read_at.values().copied().max().unwrap_or(Height(0)).max(self.let_go_at);
        self.let_go_at = read;
        moves.entries.push(book::put_let_go(&self.chain, read));
        Ok(moves)
    }
}

impl Claim {
    fn words(self) -> String {
        match self {
            Self::Begins(sequence) => format!("that the account is at sequence {sequence}"),
            Self::Moved => "that the account moved without us".to_owned(),
            Self::WentBack => "that the account went back".to_owned(),
            Self::Dead(sequence) => format!("that sequence {sequence} is dead"),
            Self::Impostor(sequence) => format!("that our answer came under another sequence than {sequence}"),
        }
    }
}
