//! The second decree of a request at a contract: exactly what the contract is told, signed by the controller key.

use alloy_primitives::{B256, Bytes};
use chain_client::zrsign::event::SignatureKind;
use k256::ecdsa::VerifyingKey;
use mpc_core::{KeyId, Suite};

use super::{Level, Live, Node};
use crate::admission::{Job, Task};
use crate::agreement::Act;
use crate::contract::{self, Asked};
use crate::decree::{DecreeId, Kind};
use crate::request::{Event, RequestRecord, State};
use crate::store::StoreError;

impl Node {
    /// What follows when a decree at a contract is decided.
    pub(super) fn decided_for_contract(&mut self, id: &DecreeId, live: &mut Live, answer: &[u8]) {
        match id.kind {
            Kind::Controller => {
                live.request.state = live.request.state.clone().on(&Event::Answered);
                self.note(Level::Info, Some(id), "the controller key is known".to_owned());
            }
            Kind::Key | Kind::Signature if live.request.learning => {}
            Kind::Key | Kind::Signature => self.authorise(id, live, answer),
            Kind::Authorisation => self.authorised(id, live, answer),
            Kind::Completion => self.completed(id, live, answer),
        }
    }

    /// The record that names a key is written: what waited for that key goes on.
    pub(super) fn key_known(&mut self, id: &DecreeId) {
        if id.kind == Kind::Controller {
            let unauthorised: Vec<DecreeId> = self
                .live
                .iter()
                .filter(|(other, live)| other.chain == id.chain && live.decree.decision().is_some())
                .map(|(other, _)| other.clone())
                .collect();
            for other in unauthorised {
                self.with_live(&other, |_, _, _| vec![Act::Decided]);
            }
            return;
        }
        let waiting = self.contracts.get_mut(&id.chain).and_then(|side| side.waiting.remove(id)).unwrap_or_default();
        for waiting in waiting {
            match self.stored_request(&waiting) {
                Ok(Some(record)) => self.ask_again(&waiting, record),
                Ok(None) => {}
                Err(error) => self.memory_failed(Some(&waiting), &error),
            }
        }
    }

    /// The second decree: exactly what the contract is told, signed by the controller key.
    fn authorise(&mut self, id: &DecreeId, live: &Live, answer: &[u8]) {
        let authorisation = contract::authorisation_of(id);
        let (Some(side), Some(asked)) = (self.contracts.get(&id.chain), &live.request.asked) else { return };
        let (Some(source), proxy) = (side.source, side.setup.proxy) else { return };
        if self.live.contains_key(&authorisation) {
            return;
        }
        let (controller, stored) = match (self.controller(proxy), self.stored_request(&authorisation)) {
            (Ok(controller), Ok(stored)) => (controller, stored),
            (Err(error), _) | (_, Err(error)) => return self.memory_failed(Some(id), &error),
        };
        let is_over = stored.is_some_and(|record| record.state.is_end() && record.state != State::Undone);
        let Some(public) = controller.filter(|_| !is_over) else { return };
        let meta_data = match self.meta_data(id, asked, &live.job) {
            Ok(meta_data) => meta_data,
            Err(error) => return self.memory_failed(Some(id), &error),
        };
        let told = match asked.told(answer, &meta_data) {
            Ok(told) => told,
            Err(error) => return self.note(Level::Alarm, Some(id), format!("decided bytes are no answer: {error}")),
        };
        let task = Task::Sign {
            key: KeyId::of(Suite::Secp256k1, &public),
            key_type: chain_client::KeyType::EcdsaSecp256k1,
            public,
            payload: told.digest(source).to_vec(),
        };
        let job = Job { decree: authorisation, created: live.job.created, deadline: None, task };
        self.admit(job, RequestRecord { asked: Some(asked.clone()), ..RequestRecord::new(live.request.seen) });
    }

    /// What goes beside a signature: the 32 bytes that were signed or, of a simple transaction, the completed one.
    fn meta_data(&self, id: &DecreeId, asked: &Asked, job: &Job) -> Result<Vec<u8>, StoreError> {
        let Asked::Signature(asked) = asked else { return Ok(Vec::new()) };
        if asked.kind != SignatureKind::Simple {
            return Ok(job.signed_digest().map(Vec::from).unwrap_or_default());
        }
        let completion = contract::completion_of(id);
        let lost = || StoreError::Damaged { place: format!("decree/{completion}"), what: "its decision is not there" };
        let decided = self.stored_record(&completion)?.and_then(|record| record.decided);
        decided.map(|decided| decided.answer).ok_or_else(lost)
    }

    /// The call that answers, complete: the sender carries it to the contract.
    fn authorised(&mut self, id: &DecreeId, live: &Live, answer: &[u8]) {
        // Delivered once the restraint is let go: the decision is told again then.
        if live.request.learning || self.keeps_out_of(&live.job) {
            return;
        }
        match self.call(id, live, answer) {
            Ok(Some(data)) => self.deliver(id, live, data),
            Ok(None) => {}
            Err(why) => self.note(Level::Alarm, Some(id), why),
        }
    }

    fn call(&self, id: &DecreeId, live: &Live, answer: &[u8]) -> Result<Option<Bytes>, String> {
        let (Some(asked), Task::Sign { public, payload, .. }) = (&live.request.asked, &live.job.task) else {
            return Ok(None);
        };
        let inner = DecreeId {
            kind: if matches!(asked, Asked::Key { .. }) { Kind::Key } else { Kind::Signature },
            ..id.clone()
        };
        let decided = self.stored_record(&inner).map_err(|error| format!("the store cannot be read: {error}"))?;
        let Some(decided) = decided.and_then(|record| record.decided) else { return Ok(None) };
        let request = self.stored_request(&inner).map_err(|error| format!("the store cannot be read: {error}"))?;
        let Some(job) = request.and_then(|request| request.job) else { return Ok(None) };
        let meta_data =
            self.meta_data(&inner, asked, &job).map_err(|error| format!("the store cannot be read: {error}"))?;
        let told = asked.told(&decided.answer, &meta_data).map_err(|error| error.to_string())?;
        let key = VerifyingKey::from_sec1_bytes(public).map_err(|_| "the controller key is no point".to_owned())?;
        let digest = B256::try_from(payload.as_slice()).map_err(|_| "no digest was authorised".to_owned())?;
        let form = chain_client::zrsign::authorisation::canonical(answer, digest, &key)
            .map_err(|error| format!("the contract would refuse the authorisation: {error}"))?;
        Ok(Some(told.call_data(&form)))
    }
}
