//! Each node's shell: events in, one durable write, then the orders, in the daemon's order. Runs compute on a party's few
//! cores, earliest deadline first.

use std::rc::Rc;

use keyring::agreement::Audience;
use keyring::lease::Held;
use keyring::message::{Attachment, Content, Envelope, Packet, Statement, decode_frame, encode_frame};
use keyring::node::{Dropped, Event, Node, Order, Priority, RunNews, RunOrder};
use keyring::store::{Head, Store, StoreError, Table};
use mpc_core::{KeyId, KeyShare, PartyIndex, Recipient, SessionId, Step};
use rand::{Rng, RngCore};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Happening, World};
use crate::laws::word;
use crate::liar::Said;
use crate::network::Lane;
use crate::plan::ShellPlant;
use crate::process::Work;

impl World {
    /// News for a process that may be gone by now.
    pub(super) fn deliver_to(&mut self, party: PartyIndex, incarnation: u32, event: Event) {
        if self.process(party).incarnation == incarnation {
            self.deliver(party, event);
        }
    }

    pub(super) fn deliver(&mut self, party: PartyIndex, event: Event) {
        let now = self.now;
        self.note_event(party, &event);
        let speaker = match &event {
            Event::Packet(packet) if packet.envelope.from != party => Some(packet.envelope.from),
            _ => None,
        };
        let said = match &event {
            Event::Packet(packet) if packet.envelope.from != party => {
                let about = packet.envelope.about_decree();
                about.map(|(decree, ballot, statement)| {
                    (packet.envelope.from, (decree.clone(), ballot, statement.clone()))
                })
            }
            _ => None,
        };
        let Some(node) = self.process_mut(party).node.as_mut() else { return };
        let strangers = |node: &Node| node.dropped().get(&Dropped::Instance).copied();
        let before = strangers(node);
        node.on(now, event);
        let is_heard = strangers(node) == before;
        if let Some((from, said)) = said.filter(|_| is_heard) {
            self.laws.took_in(party, from, said);
        }
        if let Some(from) = speaker.filter(|_| is_heard) {
            self.laws.heard(party, from);
        }
        self.settle(party);
    }

    /// Writes what the node decided, then does what it ordered.
    pub(super) fn settle(&mut self, party: PartyIndex) {
        let Some(node) = self.process_mut(party).node.as_mut() else { return };
        let effects = node.take_effects();
        let store = self.process(party).store.clone();
        let (too_early, orders): (Vec<_>, Vec<_>) = effects.orders.into_iter().partition(|order| {
            self.plan.shell_plant.is_some_and(|plant| match plant {
                ShellPlant::SpeakBeforeWrite => true,
                ShellPlant::BurnAfterSend => carries_partial(order),
                ShellPlant::MixedHeights => false,
            })
        });
        let before = store.head();
        for order in too_early {
            self.carry_out(party, order, before);
        }
        if !effects.entries.is_empty() {
            match store.append(&effects.entries) {
                Ok(head) => {
                    self.totals.writes += 1;
                    self.note(|| format!("{party} writes {} ({} entries)", head.position, effects.entries.len()));
                    self.laws.wrote(party, &effects.entries);
                }
                Err(StoreError::Crashed) => return self.crashed(party, "at a write"),
                Err(error) => {
                    self.laws.broken("no_write_is_refused", format!("{party}: {error}"));
                    return self.crashed(party, "because its store refused");
                }
            }
        }
        if let Some(node) = self.process_mut(party).node.as_mut() {
            node.committed();
        }
        let head = store.head();
        for order in orders {
            if self.process(party).node.is_none() {
                return;
            }
            self.carry_out(party, order, head);
        }
        self.use_cores(party);
        self.set_alarm(party);
    }

    fn carry_out(&mut self, party: PartyIndex, order: Order, head: Head) {
        match order {
            Order::Say { to, content, attachment } => self.say(party, to, content, *attachment, head),
            Order::Start { session, run, priority } => self.start_run(party, session, &run, priority),
            Order::Stop(session) => self.process_mut(party).cores.end(session),
            Order::Prove(key, context) => self.prove(party, key, &context),
            Order::Examine { decree, request, at, absent_at } => {
                self.examine(party, decree, &request, at, absent_at);
            }
            Order::ReadTogether(decree, request) => self.read_together(party, decree, request),
            Order::Confirm(decree, request) => self.read_everywhere(party, decree, request),
            // The chain's index is not played: it decides nothing.
            Order::Explain(..) => {}
            Order::ReadStanding(decree, request) => self.read_standing(party, decree, request),
            Order::Broadcast(_, signed) => self.broadcast(party, signed),
            // This world has no contracts.
            Order::LookAtContract { .. }
            | Order::LookAtDestination { .. }
            | Order::Simulate { .. }
            | Order::Send(..) => {}
            Order::Draw => {
                let (incarnation, nonce) = (self.process(party).incarnation, self.rng.next_u64());
                self.after(0, Happening::Told { party, incarnation, event: Box::new(Event::Nonce(nonce)) });
            }
            Order::ShowJournal { peer, nonce, position } => {
                let process = self.process(party);
                let hash = process.store.hash_at(position).ok().flatten();
                let held = hash.map(|hash| Held { position, hash });
                let (incarnation, event) = (process.incarnation, Event::Journal { peer, nonce, held });
                self.after(0, Happening::Told { party, incarnation, event: Box::new(event) });
            }
            Order::Note(note) => self.heard_note(party, &note),
        }
    }

    fn say(&mut self, party: PartyIndex, to: Audience, content: Content, attachment: Attachment, head: Head) {
        self.laws.says(&self.processes[usize::from(party.get())], &content);
        let (key, epoch) = (self.town.node_key(party).clone(), self.town.committee.epoch());
        let instance = self.process(party).instance;
        let sign = |content| Envelope::sign(&key, epoch, (party, instance), content, head.position, head.hash);
        let packet = Packet { envelope: sign(content), attachment };
        self.note(|| format!("{party} says to {to:?}: {}", summary(&packet)));
        let peers: Vec<PartyIndex> = match to {
            Audience::All => self.town.threshold.parties().filter(|peer| *peer != party).collect(),
            Audience::One(peer) => vec![peer].into_iter().filter(|peer| *peer != party).collect(),
        };
        if to == Audience::All || to == Audience::One(party) {
            let incarnation = self.process(party).incarnation;
            self.after(0, Happening::Own { party, incarnation, packet: Box::new(packet.clone()) });
        }
        let peers = match self.held_back.as_mut() {
            None => peers,
            Some((holds, held)) => {
                let (kept, free): (Vec<_>, Vec<_>) = peers.into_iter().partition(|peer| holds(*peer, &packet));
                held.extend(kept.into_iter().map(|peer| (peer, packet.clone())));
                free
            }
        };
        if let Some(mut liar) = self.liars.remove(&party) {
            let said = if self.lies_are_over() {
                peers.iter().map(|peer| Said::Packet(*peer, Box::new(packet.clone()))).collect()
            } else {
                liar.twist(&packet, &peers, &mut self.rng, &sign)
            };
            self.liars.insert(party, liar);
            for said in said {
                match said {
                    Said::Packet(peer, packet) => self.send(party, peer, Lane::Talk, frame_of(&packet).into()),
                    Said::Bytes(peer, bytes) => self.send(party, peer, Lane::Talk, bytes.into()),
                }
            }
            return;
        }
        let frame: Rc<[u8]> = frame_of(&packet).into();
        for peer in peers {
            self.send(party, peer, Lane::Talk, frame.clone());
        }
    }

    /// One frame on its way, if its sender lives and its link stands.
    fn send(&mut self, from: PartyIndex, to: PartyIndex, lane: Lane, body: Rc<[u8]>) {
        if self.process(from).node.is_none() {
            return;
        }
        if let Some(left) = self.process_mut(from).frames_left.as_mut() {
            if *left == 0 {
                return self.crashed(from, "between two frames");
            }
            *left -= 1;
        }
        self.totals.frames += 1;
        if !self.network.is_up(from, to) {
            return;
        }
        let epoch = self.network.epoch(from, to);
        for way in self.network.ways(&mut self.rng) {
            self.after(way, Happening::Frame { from, to, lane, body: body.clone(), epoch });
        }
    }

    pub(super) fn frame(&mut self, from: PartyIndex, to: PartyIndex, lane: Lane, body: &[u8], epoch: u64) {
        let stands = self.network.is_up(from, to) && self.network.epoch(from, to) == epoch;
        if !stands || self.process(to).node.is_none() {
            return;
        }
        match lane {
            Lane::Talk => {
                // Bytes that are no frame are dropped here, as the daemon does.
                for packet in decode_frame(body).unwrap_or_default() {
                    self.deliver(to, Event::Packet(Box::new(packet)));
                }
            }
            Lane::Run(session) => {
                self.process_mut(to).cores.receive(session, from, body);
                self.use_cores(to);
            }
        }
    }

    fn start_run(&mut self, party: PartyIndex, session: SessionId, run: &RunOrder, priority: Priority) {
        self.laws.begins(&self.processes[usize::from(party.get())], session, run, &priority);
        self.note(|| format!("{party} begins run {session}"));
        self.totals.runs += 1;
        let mut rng = ChaCha20Rng::seed_from_u64(self.rng.next_u64());
        let parties = run.parties(self.town.threshold);
        let begun = self.process(party).workshop.begin(session, run, &mut rng);
        match begun {
            Ok(begun) => self.process_mut(party).cores.begin(session, begun, parties, priority),
            Err(error) => {
                let news = RunNews::Failed { culprits: Vec::new(), reason: error.to_string() };
                self.run_news(party, session, news);
            }
        }
    }

    fn run_news(&mut self, party: PartyIndex, session: SessionId, news: RunNews) {
        let incarnation = self.process(party).incarnation;
        self.after(0, Happening::Run { party, incarnation, session, news });
    }

    /// Gives free cores to the runs that come first; tells those that wait.
    pub(super) fn use_cores(&mut self, party: PartyIndex) {
        while self.process(party).cores.computing() < self.plan.slots {
            let Some(session) = self.process(party).cores.next() else { break };
            let (low, high) = self.plan.compute_ms;
            let wait = self.rng.gen_range(low..=high) * self.process(party).slowness;
            let Some(running) = self.process_mut(party).cores.runs.get_mut(&session) else { break };
            running.work = Work::Computes;
            let incarnation = self.process(party).incarnation;
            self.after(wait, Happening::Computed { party, incarnation, session });
        }
        let queued = self.process(party).cores.next();
        if let Some(session) = queued
            && let Some(running) = self.process_mut(party).cores.runs.get_mut(&session)
            && !running.told_queued
        {
            running.told_queued = true;
            self.run_news(party, session, RunNews::Queued);
        }
    }

    /// A core has done a piece of a run.
    pub(super) fn computed(&mut self, party: PartyIndex, incarnation: u32, session: SessionId) {
        if self.process(party).incarnation != incarnation {
            return;
        }
        let mut sent = Vec::new();
        let mut news = None;
        let Some(running) = self.process_mut(party).cores.runs.get_mut(&session) else {
            return self.use_cores(party);
        };
        running.told_queued = false;
        loop {
            match running.run.step() {
                Step::Send { to, body } => sent.push((to, body)),
                Step::Yield => {
                    running.work = Work::Ready;
                    break;
                }
                Step::Wait => {
                    running.work = Work::Waits;
                    break;
                }
                Step::Done(result) => {
                    news = Some(result);
                    break;
                }
                Step::Stop(abort) => {
                    let culprits = abort.culprits().into_iter().collect();
                    news = Some(RunNews::Failed { culprits, reason: abort.to_string() });
                    break;
                }
            }
        }
        let round = running.run.round();
        let moved = round != running.round;
        running.round = round;
        let parties = running.parties.clone();
        for (to, body) in sent {
            self.send_round(party, session, &parties, to, &body);
        }
        if self.process(party).incarnation != incarnation {
            return;
        }
        if let Some(news) = news {
            self.process_mut(party).cores.end(session);
            self.run_news(party, session, news);
        } else if moved {
            self.run_news(party, session, RunNews::Round(round));
        }
        self.use_cores(party);
    }

    fn send_round(&mut self, party: PartyIndex, session: SessionId, all: &[PartyIndex], to: Recipient, body: &[u8]) {
        let peers: Vec<PartyIndex> = match to {
            Recipient::All => all.iter().copied().filter(|peer| *peer != party).collect(),
            Recipient::One(peer) => vec![peer],
        };
        let body: Rc<[u8]> = body.into();
        for peer in peers {
            self.send(party, peer, Lane::Run(session), body.clone());
        }
    }

    /// Reads the share back from disk and proves it.
    fn prove(&mut self, party: PartyIndex, key: KeyId, context: &[u8; 32]) {
        let mut rng = ChaCha20Rng::seed_from_u64(self.rng.next_u64());
        let process = self.process(party);
        let bytes = process.store.read(Table::Share, key.as_bytes()).ok().flatten();
        let Some(share) = bytes.and_then(|bytes| KeyShare::decode(&bytes).ok()) else {
            return self.laws.broken("key_after_shares", format!("{party} cannot read its share of {key:?} back"));
        };
        let (possession, incarnation) = (share.prove(context, &mut rng), process.incarnation);
        self.after(1, Happening::Proved { party, incarnation, key, possession });
    }

    pub(super) fn tick(&mut self, party: PartyIndex, incarnation: u32) {
        let process = self.process_mut(party);
        if process.incarnation == incarnation && process.alarm_at <= self.now {
            self.process_mut(party).alarm_at = u64::MAX;
            self.laws.ticks(party);
            self.judge_health(party);
            self.deliver(party, Event::Tick);
        }
    }

    fn set_alarm(&mut self, party: PartyIndex) {
        let now = self.now;
        let process = self.process_mut(party);
        let Some(node) = process.node.as_ref() else { return };
        let due = node.alarm().max(now + 1);
        // A tick that comes too early only looks; one that is due earlier is set anew.
        if due < process.alarm_at {
            process.alarm_at = due;
            let incarnation = process.incarnation;
            self.after(due - now, Happening::Tick { party, incarnation });
        }
    }

    fn note_event(&mut self, party: PartyIndex, event: &Event) {
        self.note(|| match event {
            Event::Packet(packet) => format!("{party} hears {}: {}", packet.envelope.from, summary(packet)),
            Event::Run(session, news) => format!("{party} run {session}: {}", news_word(news)),
            other => {
                let mut text = format!("{party} {other:?}");
                text.truncate(160);
                text
            }
        });
    }
}

fn news_word(news: &RunNews) -> String {
    match news {
        RunNews::Queued => "queued".to_owned(),
        RunNews::Round(round) => format!("round {round}"),
        RunNews::Signed(..) => "its partial".to_owned(),
        RunNews::Key(share) => format!("{:?}", share.info().key_id()),
        RunNews::Auxiliary(_) => "auxiliary data".to_owned(),
        RunNews::Failed { reason, .. } => format!("failed: {reason}"),
    }
}

fn summary(packet: &Packet) -> String {
    match &packet.envelope.content {
        Content::Decree { decree, ballot, statement } => format!("{decree} {ballot} {}", word(statement)),
        Content::Stored(stored) => format!("stored {:?}", stored.key),
        Content::Stock(stock) => format!("{stock:?}"),
        Content::Lease(_, word) => format!("{word:?}"),
    }
}

/// A frame of one packet; empty if it does not fit, which no packet of ours does.
fn frame_of(packet: &Packet) -> Vec<u8> {
    encode_frame(std::slice::from_ref(packet)).unwrap_or_default()
}

/// Whether a signer says its part of an answer.
fn carries_partial(order: &Order) -> bool {
    let Order::Say { content: Content::Decree { statement, .. }, .. } = order else { return false };
    matches!(statement, Statement::Join { share: Some(_), .. })
}
