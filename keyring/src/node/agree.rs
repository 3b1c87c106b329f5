//! Decrees at work: packets, turns, runs and decisions, and the records they leave.

use mpc_core::{PartyIndex, SessionId, Suite};

use super::view::View;
use super::{Dropped, Level, Live, Node, Order, Priority, Records as _, RunNews, RunOf, RunOrder, faded};
use crate::admission::Task;
use crate::agreement::{Act, Audience, Record, Rules};
use crate::decree::{DecreeId, Value};
use crate::message::{Attachment, Content, Packet, Share, Statement};
use crate::request::Event;
use crate::shelf;
use crate::store::{Entry, Table};

impl Node {
    /// A packet from a peer or from this party itself. Whoever did not sign it properly is not heard.
    pub(super) fn packet(&mut self, packet: Packet) {
        if !self.committee.vouches_for(&packet.envelope) {
            return self.drop_said(Dropped::Signature, 1);
        }
        if let Content::Lease(to, word) = &packet.envelope.content {
            if *to == self.me {
                self.lease_word(&packet, word);
            }
            return;
        }
        // Frames of a process that is not known as that party are dropped (law 11).
        if !self.is_heard(&packet.envelope) {
            return self.drop_said(Dropped::Instance, 1);
        }
        let finished = self.shelf.shown(&packet.attachment.stored, &self.committee, &self.memory);
        match finished {
            Ok(entries) => self.write(entries),
            Err(error) => self.memory_failed(None, &error),
        }
        match &packet.envelope.content {
            Content::Stored(_) => self.stated(&packet.envelope),
            Content::Stock(word) => self.stock_word(packet.envelope.from, *word),
            Content::Decree { decree, .. } if decree.is_bounded() => {
                self.own_proposal_heard(&packet);
                if let Some(packet) = self.waits_for_destination(packet) {
                    self.hear_decree(packet);
                }
            }
            Content::Decree { .. } => self.drop_said(Dropped::Unbounded, 1),
            Content::Lease(..) => {}
        }
    }

    /// A statement about a decree, from a process that is heard.
    pub(super) fn hear_decree(&mut self, packet: Packet) {
        let Some((decree, _, statement)) = packet.envelope.about_decree() else { return };
        let decree = decree.clone();
        if self.live.contains_key(&decree) {
            self.log_unable(&packet, &decree, statement);
            self.tell_of_another_reading(&packet, &decree, statement);
            self.with_live(&decree, |live, view, node| {
                if matches!(packet.envelope.about_decree(), Some((_, _, Statement::Propose(_)))) {
                    live.request.state = live.request.state.clone().on(&Event::Proposed);
                }
                live.decree.hear(&packet, view, node.around(view.job.deadline, &view.job.decree.chain))
            });
        } else {
            self.about_another(packet, decree);
        }
    }

    /// What this party proposed a moment ago is durable now, and comes back to it: it is entered next, or never.
    fn own_proposal_heard(&mut self, packet: &Packet) {
        if packet.envelope.from == self.me
            && let Some((_, _, Statement::Propose(proposal))) = packet.envelope.about_decree()
            && let Value::Run { session, .. } = &proposal.value
        {
            self.promised_runs.remove(session);
        }
    }

    fn log_unable(&mut self, packet: &Packet, decree: &DecreeId, statement: &Statement) {
        if matches!(statement, Statement::Unable) && packet.envelope.from != self.me {
            let text = format!("party {} is unable", packet.envelope.from);
            self.note(Level::Debug, Some(decree), text);
        }
    }

    /// A peer proposes an answer to something else than what this party has read under that name (law 1): to one of the two
    /// an endpoint has shown what is not on the chain. Told once for each request.
    fn tell_of_another_reading(&mut self, packet: &Packet, decree: &DecreeId, statement: &Statement) {
        let Statement::Propose(proposal) = statement else { return };
        let is_news = |live: &&Live| live.digest != proposal.request && live.request.note.is_empty();
        if self.live.get(decree).filter(is_news).is_none() {
            return;
        }
        let text = format!(
            "party {} reads another request under this name: compare our endpoints, one shows what is not on the chain",
            packet.envelope.from
        );
        self.note(Level::Warn, Some(decree), text.clone());
        self.remark(decree, text);
    }

    /// A packet about a request that is not live here: finished long ago, or not shown by the own endpoint yet.
    fn about_another(&mut self, packet: Packet, decree: DecreeId) {
        let from = packet.envelope.from;
        match self.stored_record(&decree) {
            Ok(Some(record)) if record.decided.is_some() => {
                let asks = matches!(
                    packet.envelope.about_decree(),
                    Some((_, _, Statement::Ask | Statement::Prepare | Statement::Propose(_) | Statement::Join { .. }))
                );
                if asks && from != self.me {
                    self.tell_stored_decision(from, decree, &record);
                }
            }
            Ok(_) => {
                if from == self.me || !self.serves(&decree) {
                    return;
                }
                // A peer's word starts nothing: it is kept, within bounds, until the own endpoint shows the request.
                let bytes = packet.encoded_len();
                let before = self.early.dropped();
                self.early.keep(decree, from, packet, bytes, false);
                self.drop_said(Dropped::Early, self.early.dropped() - before);
            }
            Err(error) => self.memory_failed(Some(&decree), &error),
        }
    }

    fn serves(&self, decree: &DecreeId) -> bool {
        let at_chain = self.chains.get(&decree.chain).is_some_and(|side| side.setup.keyring == decree.keyring);
        let at_contract = self.contracts.get(&decree.chain);
        at_chain || at_contract.is_some_and(|side| side.setup.proxy.address.to_string() == decree.keyring)
    }

    pub(super) fn stored_record(&self, decree: &DecreeId) -> Result<Option<Record>, crate::store::StoreError> {
        let damaged =
            || crate::store::StoreError::Damaged { place: format!("decree/{decree}"), what: "record does not decode" };
        self.memory
            .read(Table::Decree, &decree.to_bytes())?
            .map(|bytes| Record::decode(&bytes).map_err(|_| damaged()))
            .transpose()
    }

    fn tell_stored_decision(&mut self, to: PartyIndex, decree: DecreeId, record: &Record) {
        let Some(certificate) = record.decided.clone() else { return };
        let ballot =
            certificate.accepts.iter().find_map(|envelope| envelope.about_decree().map(|(_, ballot, _)| ballot));
        let Some(ballot) = ballot else { return };
        let answer = crate::decree::answer_digest(&decree, &certificate.answer);
        let stored = self.certificate_for(&decree, &certificate.answer);
        let attachment = Attachment { certificate: Some(certificate), stored, ..Attachment::default() };
        let content = Content::Decree { decree, ballot, statement: Statement::Decided { answer } };
        self.say(Audience::One(to), content, attachment);
    }

    /// The `stored` statements of the key that an answer names; for signatures there are none.
    fn certificate_for(&self, decree: &DecreeId, answer: &[u8]) -> Vec<crate::message::Envelope> {
        if !decree.kind.names_a_key() {
            return Vec::new();
        }
        [Suite::Secp256k1, Suite::Ed25519]
            .into_iter()
            .filter(|suite| suite.point_len() == answer.len())
            .find_map(|suite| shelf::read_record(&self.memory, mpc_core::KeyId::of(suite, answer)).ok().flatten())
            .map(|record| record.certificate)
            .unwrap_or_default()
    }

    /// Lets a decree act, then does what it says and writes what it became.
    pub(super) fn with_live(&mut self, id: &DecreeId, act: impl FnOnce(&mut Live, &View<'_>, &Self) -> Vec<Act>) {
        let Some(mut live) = self.live.remove(id) else { return };
        let job = live.job.clone();
        let order = live.decree.order().to_vec();
        let proposed_key = live.decree.record().proposed.as_ref().and_then(|(_, proposal)| match &proposal.value {
            Value::Key { key, .. } => Some(*key),
            Value::Run { .. } | Value::Adopt { .. } | Value::Transaction { .. } => None,
        });
        let view = View { node: self, job: &job, digest: live.digest, order: &order, proposed_key };
        let before = live.request.state.clone();
        let restrained = self.keeps_out_of(&job);
        let mut acts = Vec::new();
        if live.decree.restrain(restrained) && !restrained && !live.request.learning {
            let is_decided = live.decree.decision().is_some();
            acts.extend(is_decided.then_some(Act::Decided));
            acts.extend(live.decree.open(&view, self.around(job.deadline, &job.decree.chain)));
        }
        acts.extend(act(&mut live, &view, self));
        self.gap = faded(self.gap, live.decree.gap());
        let has_key = id.kind.names_a_key() && acts.iter().any(|act| matches!(act, Act::Decided));
        // First: what follows from a decision reads the record, and may be another decision that peers told of early.
        if let Some(record) = live.decree.take_record() {
            match record.encode() {
                Ok(bytes) => self.write([Entry::put(Table::Decree, id.to_bytes(), bytes)]),
                Err(error) => self.note(Level::Alarm, Some(id), format!("decree record cannot be encoded: {error}")),
            }
        }
        self.perform(id, &mut live, acts);
        if live.request.state != before {
            self.write_request(id, &live);
        }
        if !self.is_over(id, &live) {
            self.live.insert(id.clone(), live);
        }
        if has_key {
            self.key_known(id);
        }
    }

    pub(super) fn write_request(&mut self, id: &DecreeId, live: &Live) {
        let bytes = postcard::to_stdvec(&live.request).unwrap_or_default();
        self.write([Entry::put(Table::Request, id.to_bytes(), bytes)]);
        let text = match &live.request.transaction {
            Some(hash) if live.request.state.word() == "submitting" => format!("{} {hash}", live.request.state.word()),
            _ => live.request.state.word().to_owned(),
        };
        self.note(Level::Info, Some(id), text);
    }

    fn perform(&mut self, id: &DecreeId, live: &mut Live, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say { to, ballot, statement, attachment } => {
                    let moved = match &statement {
                        Statement::Unable => Some(Event::Failed),
                        Statement::Accept { .. } => Some(Event::Accepted),
                        _ => None,
                    };
                    if let Some(event) = moved {
                        live.request.state = live.request.state.clone().on(&event);
                    }
                    let mut attachment = *attachment;
                    attachment.stored = self.certificate_named(&live.job.decree, &statement, &attachment);
                    // Said again to one peer, it was heard here before; without a lease it is not said, nor ever heard.
                    if let (Statement::Propose(proposal), Audience::All, true) = (&statement, to, self.may_act()) {
                        match &proposal.value {
                            Value::Key { key, .. } => drop(self.promised_keys.insert(*key, id.clone())),
                            Value::Run { session, .. } => drop(self.promised_runs.insert(*session)),
                            Value::Adopt { .. } | Value::Transaction { .. } => {}
                        }
                    }
                    self.say(to, Content::Decree { decree: id.clone(), ballot, statement }, attachment);
                }
                Act::Enter { session, signers, auxiliary, .. } => self.enter(id, live, session, signers, auxiliary),
                Act::Leave(session) => {
                    self.runs.remove(&session);
                    self.effects.orders.push(Order::Stop(session));
                }
                Act::Bind(key) => match self.shelf.bind(key, id, &self.memory) {
                    Ok(Some(entries)) => {
                        self.promised_keys.remove(&key);
                        self.write(entries);
                    }
                    Ok(None) => self.note(
                        Level::Alarm,
                        Some(id),
                        format!("{key:?} is bound to another request: it must never serve two (law 6)"),
                    ),
                    Err(error) => self.memory_failed(Some(id), &error),
                },
                Act::Decided => self.decided(id, live),
            }
        }
    }

    /// The certificate that travels with whatever names a key.
    fn certificate_named(
        &self,
        decree: &DecreeId,
        statement: &Statement,
        attachment: &Attachment,
    ) -> Vec<crate::message::Envelope> {
        let answer: Option<&[u8]> = match statement {
            Statement::Propose(proposal) => match &proposal.value {
                Value::Key { public, .. } => Some(public),
                Value::Adopt { answer } => Some(answer),
                Value::Run { .. } | Value::Transaction { .. } => None,
            },
            Statement::Promise { .. } => attachment.evidence.as_ref().map(|evidence| evidence.answer.as_slice()),
            Statement::Decided { .. } => attachment.certificate.as_ref().map(|proof| proof.answer.as_slice()),
            _ => None,
        };
        answer.map(|answer| self.certificate_for(decree, answer)).unwrap_or_default()
    }

    fn enter(
        &mut self,
        id: &DecreeId,
        live: &mut Live,
        session: SessionId,
        signers: Vec<PartyIndex>,
        auxiliary: Option<[u8; 32]>,
    ) {
        let (Task::Sign { key, .. }, Some(payload)) = (&live.job.task, live.job.payload()) else { return };
        // Written once, ever, in the write of the promise: whoever finds the mark again does not enter (law 5).
        self.write([Entry::once(Table::Session, session.as_bytes(), id.to_bytes())]);
        live.request.state = live.request.state.clone().on(&Event::Entered);
        self.runs.insert(session, RunOf::Sign(id.clone()));
        let run = RunOrder::Sign {
            key: *key,
            signers,
            payload,
            auxiliary: auxiliary.and_then(|digest| self.stock.counter_of(&digest)),
        };
        let deadline = live.job.deadline.unwrap_or(chain_client::Height(u64::MAX));
        let priority = match live.job.suite() {
            Suite::Secp256k1 => Priority::Request(deadline, id.clone()),
            Suite::Ed25519 => Priority::Light(deadline, id.clone()),
        };
        self.effects.orders.push(Order::Start { session, run, priority });
    }

    pub(super) fn signing_news(&mut self, session: SessionId, id: &DecreeId, news: RunNews) {
        match news {
            RunNews::Queued => self.with_live(id, |live, view, node| {
                live.decree.run_queued(session, node.around(view.job.deadline, &view.job.decree.chain))
            }),
            RunNews::Round(round) => self.with_live(id, |live, view, node| {
                live.decree.run_reached(session, round, node.around(view.job.deadline, &view.job.decree.chain))
            }),
            RunNews::Signed(partial, commitments) => {
                self.runs.remove(&session);
                let share = Share {
                    session,
                    partial: partial.as_bytes().to_vec(),
                    nonce_point: commitments.nonce_point().as_bytes().to_vec(),
                    commitments: commitments.digest(),
                };
                self.commitments.insert(session, (id.clone(), commitments));
                self.with_live(id, |live, _, _| live.decree.run_done(share));
                self.tick_decrees();
            }
            RunNews::Failed { culprits, reason } => {
                self.runs.remove(&session);
                self.note(Level::Warn, Some(id), format!("run {session} failed: {reason}"));
                self.with_live(id, |live, view, node| {
                    let around = node.around(view.job.deadline, &view.job.decree.chain);
                    live.decree.run_failed(session, &culprits, view, around)
                });
            }
            // A signing run yields a share or fails; anything else is a defect of the shell.
            RunNews::Key(_) | RunNews::Auxiliary(_) => {
                self.note(Level::Alarm, Some(id), "a signing run yielded something else");
            }
        }
    }

    /// Time for every decree, in the order in which they are computed: earliest deadline first, ties by request.
    pub(super) fn tick_decrees(&mut self) {
        let mut due: Vec<_> = self
            .live
            .values()
            .filter(|live| !live.request.learning)
            .map(|live| (live.job.deadline.unwrap_or(chain_client::Height(u64::MAX)), live.job.decree.clone()))
            .collect();
        due.sort();
        for (_, id) in due {
            self.with_live(&id, |live, view, node| {
                live.decree.tick(view as &dyn Rules, node.around(view.job.deadline, &view.job.decree.chain))
            });
        }
        self.ask_for_decisions();
    }

    /// Decisions that this party only wants to learn: asked for, at most every few seconds.
    fn ask_for_decisions(&mut self) {
        const EVERY_MS: u64 = 3_000;
        let now = self.now;
        let due: Vec<DecreeId> = self
            .live
            .iter_mut()
            .filter(|(_, live)| live.request.learning && now >= live.asked_at + EVERY_MS)
            .map(|(id, live)| {
                live.asked_at = now;
                id.clone()
            })
            .collect();
        for decree in due {
            let ballot = crate::decree::Ballot { attempt: 1, leader: self.me };
            let content = Content::Decree { decree, ballot, statement: Statement::Ask };
            self.say(Audience::All, content, Attachment::default());
        }
    }
}
