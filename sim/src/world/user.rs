//! The hand of a test: whatever users, strangers and the chain itself may ask, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use chain_client::proto::zrchain::identity::MsgUpdateKeyring;
use chain_client::proto::zrchain::treasury::{
    KeyRequestStatus, MsgFulfilKeyRequest, MsgNewKey, MsgNewKeyRequest, MsgNewSignatureRequest,
    MsgNewZrSignSignatureRequest, msg_fulfil_key_request,
};
use chain_client::tx::any;
use chain_client::{KeyType, RequestId, RequestKind, Standing};
use devnet::chain::SystemRequest;
use keyring::admission::suite_of;
use keyring::agreement::Record;
use keyring::decree::{DecreeId, Kind};
use keyring::message::Packet;
use keyring::request::{RequestRecord, State};
use keyring::store::{Store, Table};
use mpc_core::{KeyId, PartyIndex};

use super::World;
use super::faults::type_word;
use crate::laws::request_of;
use crate::plan::Fault;

/// Which packets are kept back, and those that were.
pub(super) type HeldBack = (Box<dyn Fn(PartyIndex, &Packet) -> bool>, Vec<(PartyIndex, Packet)>);

/// Whose hand it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The owner of the workspace.
    User,
    /// The owner of the foreign workspace and of the foreign keyring.
    Stranger,
}

impl World {
    /// Asks for a key; `ours` or of the foreign keyring. It will lie in the asker's own workspace.
    pub fn ask_key(&mut self, who: Who, key_type: KeyType, ours: bool) {
        let town = self.town.clone();
        let (account, workspace) = match who {
            Who::User => (&town.user, &town.workspace),
            Who::Stranger => (&town.stranger, &town.foreign_workspace),
        };
        let message = MsgNewKeyRequest {
            creator: account.address().to_owned(),
            workspace_addr: workspace.clone(),
            keyring_addr: if ours { town.keyring.clone() } else { town.foreign_keyring.clone() },
            key_type: type_word(key_type).to_owned(),
            ..Default::default()
        };
        self.send_as(account, any(&message));
    }

    /// The user asks for signatures: one item is a request, several are a group.
    pub fn ask_signatures(&mut self, items: &[(u64, &[u8])]) {
        let town = self.town.clone();
        let data: Vec<String> = items.iter().map(|(_, payload)| hex::encode(payload)).collect();
        let message = MsgNewSignatureRequest {
            creator: town.user.address().to_owned(),
            key_ids: items.iter().map(|(key, _)| *key).collect(),
            data_for_signing: data.join(","),
            ..Default::default()
        };
        self.send_as(&town.user, any(&message));
    }

    /// The chain itself asks, as it does for redemptions: reserved keys and any payload are fine.
    pub fn chain_asks(&mut self, items: &[(u64, &[u8])]) {
        let request = SystemRequest::Redemption {
            creator: self.town.connector.address().to_owned(),
            key_ids: items.iter().map(|(key, _)| *key).collect(),
            digests: items.iter().map(|(_, digest)| digest.to_vec()).collect(),
            cache_id: Vec::new(),
        };
        if self.ledger.chain.request_by_system(request).is_err() {
            self.laws.broken("it_can_be_asked", "the chain takes no more requests of its own");
        }
    }

    /// The connector of zrSign asks for the first key of an owner elsewhere (an EVM key).
    pub fn connector_asks_key(&mut self, owner: &str) {
        let town = self.town.clone();
        let message = MsgNewKeyRequest {
            creator: town.connector.address().to_owned(),
            ext_requester: owner.to_owned(),
            ext_key_type: 60,
            ..Default::default()
        };
        self.send_as(&town.connector, any(&message));
    }

    /// The connector of zrSign asks for a signature by that key.
    pub fn connector_asks_signature(&mut self, owner: &str, digest: &[u8; 32]) {
        let town = self.town.clone();
        let message = MsgNewZrSignSignatureRequest {
            creator: town.connector.address().to_owned(),
            address: owner.to_owned(),
            key_type: 60,
            wallet_index: 0,
            data: hex::encode(digest),
            ..Default::default()
        };
        self.send_as(&town.connector, any(&message));
    }

    /// The keyring's admin switches it on or off.
    pub fn switch_keyring(&mut self, on: bool) {
        let town = self.town.clone();
        let message = MsgUpdateKeyring {
            creator: town.stranger.address().to_owned(),
            keyring_addr: town.keyring.clone(),
            is_active: on,
            ..Default::default()
        };
        self.send_as(&town.stranger, any(&message));
    }

    /// Accounts that the keyring lists, and that no node holds, answer a key request with a key of their own.
    pub fn ghosts_answer_key(&mut self, request: u64, public_key: &[u8]) {
        let town = self.town.clone();
        for ghost in &town.ghosts {
            let message = MsgFulfilKeyRequest {
                creator: ghost.address().to_owned(),
                request_id: request,
                status: KeyRequestStatus::Fulfilled.into(),
                keyring_party_signature: ghost.party_signature(request).to_vec(),
                result: Some(msg_fulfil_key_request::Result::Key(MsgNewKey { public_key: public_key.to_vec() })),
            };
            self.send_as(ghost, any(&message));
        }
    }

    /// Lets a fault happen now.
    pub fn strike(&mut self, fault: Fault) {
        self.fault(fault);
    }

    /// Keeps back every packet between parties that `held` names by receiver and contents, until it is released.
    pub fn hold(&mut self, held: impl Fn(PartyIndex, &Packet) -> bool + 'static) {
        self.held_back = Some((Box::new(held), Vec::new()));
    }

    /// Holds nothing back any more; delivers what was, of it what `wanted` names, whatever has become of the links since.
    pub fn release(&mut self, wanted: impl Fn(&Packet) -> bool) {
        let Some((_, frames)) = self.held_back.take() else { return };
        for (to, packet) in frames {
            if wanted(&packet) && self.process(to).node.is_some() {
                self.deliver(to, keyring::node::Event::Packet(Box::new(packet)));
            }
        }
    }

    /// The order of turns at signatures by a key of the chain.
    #[must_use]
    pub fn turns(&self, key: u64) -> Vec<PartyIndex> {
        let Some(key) = self.ledger.key(key, self.ledger.height()) else { return Vec::new() };
        let id = KeyId::of(suite_of(key.key_type), &key.public_key);
        self.town.committee.order(id.as_bytes())
    }

    /// What a party's disk says of the decree that answers a request.
    #[must_use]
    pub fn record(&self, party: PartyIndex, id: RequestId) -> Record {
        let kind = match id.kind {
            RequestKind::Key => Kind::Key,
            RequestKind::Signature => Kind::Signature,
        };
        let chain = crate::town::CHAIN.to_owned();
        let decree =
            DecreeId { chain, keyring: self.town.keyring.clone(), kind, request: id.number, event: None, item: 0 };
        crate::laws::record_of(self.process(party).store.as_ref(), &decree)
    }

    /// The parties that know the decision.
    #[must_use]
    pub fn deciders(&self, id: RequestId) -> BTreeSet<PartyIndex> {
        self.town.threshold.parties().filter(|party| self.record(*party, id).decided.is_some()).collect()
    }

    /// What became of a request, as the chain shows it now.
    #[must_use]
    pub fn standing(&self, id: RequestId) -> Standing {
        self.ledger.standing(id, self.ledger.height())
    }

    /// Requests that are on the chain now.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestId> {
        self.ledger.requests(self.ledger.height()).map(|request| request.id).collect()
    }

    /// What each disk holds against requests that can never be answered: the reason, and who recorded it.
    #[must_use]
    pub fn verdicts(&self) -> BTreeMap<RequestId, BTreeMap<String, BTreeSet<PartyIndex>>> {
        let mut all: BTreeMap<RequestId, BTreeMap<String, BTreeSet<PartyIndex>>> = BTreeMap::new();
        for process in self.processes.iter().filter(|process| process.node.is_some()) {
            for decree in self.decrees_of_chain() {
                let bytes = process.store.read(Table::Request, &decree.to_bytes()).ok().flatten();
                let record = bytes.and_then(|bytes| postcard::from_bytes::<RequestRecord>(&bytes).ok());
                if let Some(State::Unanswerable(reason)) = record.map(|record| record.state) {
                    let reasons = all.entry(request_of(&decree)).or_default();
                    reasons.entry(reason.to_string()).or_default().insert(process.party);
                }
            }
        }
        all
    }

    fn decrees_of_chain(&self) -> Vec<DecreeId> {
        let requests = self.ledger.requests(self.ledger.height());
        requests.map(|request| keyring::node::decree_of(crate::town::CHAIN, &self.town.keyring, &request)).collect()
    }

    /// The log so far, if it is kept.
    #[must_use]
    pub fn log(&self) -> &[String] {
        self.log.as_deref().unwrap_or_default()
    }

    /// Whether a party's process holds its lease.
    #[must_use]
    pub fn may_act(&self, party: PartyIndex) -> bool {
        self.process(party).node.as_ref().is_some_and(keyring::node::Node::may_act)
    }

    /// The highest account sequence under which a party ever sent anything.
    #[must_use]
    pub fn sent_by(&self, party: PartyIndex) -> Option<u64> {
        self.laws.sent_by(party)
    }

    /// Most packets that any honest party ever kept of one peer about requests that it does not see.
    #[must_use]
    pub const fn early_most(&self) -> usize {
        self.laws.early_most()
    }

    /// An account's address.
    #[must_use]
    pub fn address(&self, party: PartyIndex) -> String {
        self.town.account(party).address().to_owned()
    }

    /// Signing runs that were begun anywhere, each counted once.
    #[must_use]
    pub fn signing_runs(&self) -> usize {
        self.laws.signing_runs()
    }

    /// How much happened so far.
    #[must_use]
    pub const fn totals(&self) -> crate::outcome::Totals {
        self.totals
    }
}
