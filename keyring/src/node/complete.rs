//! Simple transactions: the request says who is paid what, the cluster settles on nonce, gas and price (docs/zrsign.md).
//!
//! A decree of its own, before the signature's: its leader names a final block of the destination and the transaction that
//! follows from it, and a party joins only when it has read that block from its own endpoint and finds the transaction
//! within its own bounds (law 1). The request whose turn it is comes from [`crate::lines`], what a destination shows from
//! `destination` and `looks`; `flight` tells when the next one's turn has come.

use alloy_primitives::B256;
use chain_client::zrsign::event::{SignatureAsked, SignatureKind, Task as Signs};
use chain_client::zrsign::transaction::{LegacyTransaction, SimpleTransaction};
use mpc_core::{KeyId, Suite};

use super::looks::DestinationLook;
use super::view::View;
use super::{Level, Live, Node};
use crate::admission::{Job, Task, Unanswerable};
use crate::agreement::{Fresh, Judgement};
use crate::contract::{self, Asked};
use crate::decree::{DecreeId, Value};
use crate::lines::LineName;
use crate::request::{Event, RequestRecord};
use crate::store::{Entry, Table};

impl Node {
    /// A simple transaction by a wallet whose key is known: completed already, or it takes its place in line.
    pub(super) fn simple_asked(&mut self, id: &DecreeId, record: RequestRecord, line: LineName, public: Vec<u8>) {
        let destination = line.destination;
        if !self.destinations.contains_key(&destination) {
            let why = format!("no endpoint for its destination eip155:{destination} is configured ([[destination]])");
            return self.close(id, record, Unanswerable::Contract(why));
        }
        match self.stored_record(&contract::completion_of(id)) {
            Ok(Some(completion)) if completion.decided.is_some() => {
                let answer = completion.decided.map(|decided| decided.answer).unwrap_or_default();
                self.sign_completed(id, record, destination, public, &answer);
            }
            Ok(_) => {
                let Some(side) = self.contracts.get_mut(&id.chain) else { return };
                side.lines.enter(line, id.clone());
                let note = side.lines.why_not(id).unwrap_or_default();
                self.write([Entry::put(Table::Open, id.to_bytes(), Vec::new())]);
                self.write_ended(id, &RequestRecord { note, ..record });
                self.tick_completions();
            }
            Err(error) => self.memory_failed(Some(id), &error),
        }
    }

    /// What a request asks for, if it is for a simple transaction: from what is on disk.
    pub(super) fn simple_of(&self, id: &DecreeId) -> Option<(LineName, SimpleTransaction)> {
        let Asked::Signature(asked) = self.stored_request(id).ok()??.asked? else { return None };
        self.simple_in(&id.chain, &asked)
    }

    pub(super) fn simple_in(&self, chain: &str, asked: &SignatureAsked) -> Option<(LineName, SimpleTransaction)> {
        if asked.kind != SignatureKind::Simple {
            return None;
        }
        match asked.task(&self.contracts.get(chain)?.destinations).ok()? {
            Signs::Complete(simple, destination) => Some((LineName { wallet: asked.wallet, destination }, simple)),
            Signs::Digest(_) => None,
        }
    }

    pub(super) fn admit_completion(&mut self, id: &DecreeId) {
        let signature = contract::signature_of(id);
        let is_next =
            self.contracts.get(&id.chain).is_some_and(|side| side.lines.heads().any(|(_, head)| *head == signature));
        let stored = match self.stored_request(&signature) {
            Ok(stored) => stored.filter(|_| is_next),
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        let (Some(stored), Some((line, simple))) = (stored, self.simple_of(&signature)) else { return };
        let Some(wallet) = self.wallet_address(&line) else { return };
        let task = Task::Complete { simple: Box::new(simple), wallet, destination: line.destination };
        let job = Job { decree: id.clone(), created: stored.seen, deadline: None, task };
        self.admit(job, RequestRecord { asked: stored.asked, ..RequestRecord::new(stored.seen) });
    }

    /// Tells whoever looks why a request waits in line, and the log when that has changed.
    pub(super) fn remark_waiting(&mut self, id: &DecreeId, note: &str) {
        match self.stored_request(id) {
            Ok(Some(record)) if record.note != note && !record.state.is_end() => {
                if !note.is_empty() {
                    self.note(Level::Warn, Some(id), note.to_owned());
                }
                self.write_ended(id, &RequestRecord { note: note.to_owned(), ..record });
            }
            Ok(_) => {}
            Err(error) => self.memory_failed(Some(id), &error),
        }
    }

    /// The cluster has settled on the transaction: it is in flight from now on, and its signature is asked for.
    pub(super) fn completed(&mut self, id: &DecreeId, live: &mut Live, answer: &[u8]) {
        live.request.state = live.request.state.clone().on(&Event::Answered);
        let signature = contract::signature_of(id);
        let stored = match self.stored_request(&signature) {
            Ok(stored) => stored.filter(|record| !record.state.is_end()),
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        let (Some(record), Some((line, _))) = (stored, self.simple_of(&signature)) else { return };
        self.fly(&line, &signature, answer);
        let public = self.opened_by(&line.wallet).ok().flatten().and_then(|opened| {
            self.stored_record(&opened).ok().flatten().and_then(|record| record.decided).map(|decided| decided.answer)
        });
        let Some(public) = public else { return };
        self.sign_completed(&signature, record, line.destination, public, answer);
    }

    fn sign_completed(
        &mut self,
        id: &DecreeId,
        record: RequestRecord,
        destination: u64,
        public: Vec<u8>,
        answer: &[u8],
    ) {
        let Ok(transaction) = LegacyTransaction::decode(answer) else {
            return self.note(Level::Alarm, Some(id), "what was decided is no transaction".to_owned());
        };
        let task = Task::Sign {
            key: KeyId::of(Suite::Secp256k1, &public),
            key_type: chain_client::KeyType::EcdsaSecp256k1,
            public,
            payload: transaction.digest(destination).to_vec(),
        };
        let job = Job { decree: id.clone(), created: record.seen, deadline: None, task };
        self.admit(job, RequestRecord { note: String::new(), ..record });
    }
}

impl View<'_> {
    fn completion(&self, block: Option<B256>) -> Option<(&SimpleTransaction, &DestinationLook)> {
        let Task::Complete { simple, .. } = &self.job.task else { return None };
        let looks = self.node.contracts.get(&self.job.decree.chain)?.looks.get(&self.job.decree)?;
        Some((simple.as_ref(), looks.seen(block)?))
    }

    pub(super) fn judge_transaction(&self, height: u64, block: [u8; 32], bytes: &[u8]) -> Judgement {
        let Task::Complete { destination, .. } = &self.job.task else { return Judgement::Wrong };
        let Some((simple, look)) = self.completion(Some(B256::from(block))) else { return Judgement::Unable };
        let Some(caps) = self.node.destinations.get(destination) else { return Judgement::Unable };
        let offered = LegacyTransaction::decode(bytes).ok().filter(|offered| *offered.encode() == *bytes);
        match offered.filter(|offered| look.at.height == height && simple.is_done_by(offered)) {
            None => Judgement::Wrong,
            Some(offered) if !look.is_stale() && simple.permits(&offered, look.surroundings, *caps).is_ok() => {
                Judgement::Fit
            }
            Some(_) => Judgement::Unable,
        }
    }

    pub(super) fn fresh_transaction(&self) -> Fresh {
        let Task::Complete { destination, .. } = &self.job.task else { return Fresh::Unable };
        let Some(caps) = self.node.destinations.get(destination) else { return Fresh::Unable };
        // Who has read nothing lately lets another lead, at once.
        let Some((simple, look)) = self.completion(None).filter(|(_, look)| !look.is_stale()) else {
            return Fresh::Unable;
        };
        match simple.complete(look.surroundings, *caps) {
            Ok(transaction) => Fresh::Value(Value::Transaction {
                height: look.at.height,
                block: look.at.hash.0,
                bytes: transaction.encode().to_vec(),
            }),
            Err(_) => Fresh::Unable,
        }
    }
}
