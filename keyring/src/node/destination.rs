//! Destinations of simple transactions, as this party's own endpoints show them: what is asked, and what follows from it.
//!
//! A destination is read for the request whose turn it is in its line, and for what is in flight.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};

use super::looks::{BlockName, DestinationLook, FLYING_MS_MAX, Kept, Looks, Unread, WAITING_MS_MAX};
use super::view::View;
use super::{Level, Node, Order};
use crate::agreement::clock::Millis;
use crate::contract;
use crate::decree::{DecreeId, Kind, Value};
use crate::lines::LineName;
use crate::message::{Packet, Statement};

impl Node {
    /// Reads destinations for those whose turn it is and for what is in flight.
    pub(super) fn tick_completions(&mut self) {
        let now = self.now;
        let mut due = Vec::new();
        for side in self.contracts.values_mut().filter(|side| side.closed.is_none()) {
            if !side.lines.take_changed() && now < side.look_at {
                continue;
            }
            let heads = side.lines.heads().map(|(line, id)| (contract::completion_of(id), *line));
            let flights = side.lines.flights().map(|(line, flight)| (flight.decree.clone(), *line));
            let wanted: BTreeMap<DecreeId, LineName> = heads.chain(flights).collect();
            side.looks.retain(|id, _| wanted.contains_key(id));
            side.look_at = Millis::MAX;
            for (id, line) in wanted {
                let pause_max = if side.lines.is_waited_for(&line) { WAITING_MS_MAX } else { FLYING_MS_MAX };
                let looks = side.looks.entry(id.clone()).or_insert_with(|| Looks::of(line));
                if now >= looks.due_at(pause_max) {
                    looks.asks(now);
                    due.push((line, id));
                }
                side.look_at = side.look_at.min(looks.due_at(pause_max));
            }
        }
        for (line, id) in due {
            self.look_at_destination(&line, &id, None);
        }
    }

    fn look_at_destination(&mut self, line: &LineName, id: &DecreeId, at: Option<BlockName>) {
        let Some(wallet) = self.wallet_address(line) else { return };
        let simple = match id.kind {
            Kind::Completion => match self.simple_of(&contract::signature_of(id)) {
                Some((_, simple)) => Some(simple),
                None => return,
            },
            _ => None,
        };
        self.effects.orders.push(Order::LookAtDestination {
            decree: id.clone(),
            destination: line.destination,
            wallet,
            simple,
            at,
        });
    }

    /// The address of a wallet whose key is known here.
    pub(super) fn wallet_address(&self, line: &LineName) -> Option<Address> {
        let opened = self.opened_by(&line.wallet).ok()??;
        let public = self.stored_record(&opened).ok()??.decided?.answer;
        contract::address_of(line.wallet.kind, &public).ok()?.parse().ok()
    }

    /// A destination was read, or could not be.
    pub(super) fn destination_seen(
        &mut self,
        id: &DecreeId,
        at: Option<BlockName>,
        said: Result<DestinationLook, Unread>,
    ) {
        let Some(looks) = self.contracts.get_mut(&id.chain).and_then(|side| side.looks.get_mut(id)) else { return };
        let line = looks.line;
        looks.unread = match &said {
            Err(Unread::Destination(why)) => Some(why.clone()),
            Err(Unread::Question(_)) | Ok(_) => None,
        };
        if let Ok(look) = &said {
            looks.took(*look, at.is_none());
        }
        let ready = looks.ended(at);
        let next = looks.next_reading();
        match (&said, at) {
            (Ok(look), _) if id.kind != Kind::Completion => self.flight_seen(id, look.nonce_final),
            (Err(why), _) if id.kind != Kind::Completion => self.note(Level::Debug, Some(id), why.note()),
            (Err(why), Some(_)) => self.note(Level::Debug, Some(id), why.note()),
            (Ok(_), Some(_)) => {}
            (said, None) => {
                let why = said.as_ref().map_or_else(|why| Some(why.note()), |look| self.incompletable(id, look));
                let why = why.unwrap_or_default();
                self.remark_waiting(&contract::signature_of(id), &why);
            }
        }
        // What its leader proposed is judged now: if the block could not be read, this party is unable.
        if let Some(packet) = ready {
            self.hear_decree(packet);
        }
        if next.is_some() {
            self.look_at_destination(&line, id, next);
        }
        // Who cannot read the destination takes part all the same: it learns what the others settle on, and signs that.
        if id.kind == Kind::Completion && at.is_none() && !self.live.contains_key(id) {
            self.admit_completion(id);
        }
    }

    /// Why a transaction does not follow from what a destination shows.
    fn incompletable(&self, id: &DecreeId, look: &DestinationLook) -> Option<String> {
        let (line, simple) = self.simple_of(&contract::signature_of(id))?;
        let caps = self.destinations.get(&line.destination)?;
        let why = simple.complete(look.surroundings, *caps).err()?;
        Some(format!("not completed: {why}; it waits, or is given up by `contract release`"))
    }

    /// A proposal that names a block of a destination waits until this party has read that block, if it would be judged at
    /// all. What it is not to wait for comes back.
    pub(super) fn waits_for_destination(&mut self, packet: Packet) -> Option<Packet> {
        let Some((id, ballot, Statement::Propose(proposal))) = packet.envelope.about_decree() else {
            return Some(packet);
        };
        let Value::Transaction { height, block, .. } = &proposal.value else { return Some(packet) };
        let (id, block) = (id.clone(), BlockName { height: *height, hash: B256::from(*block) });
        let Some(live) = self.live.get(&id).filter(|_| id.kind == Kind::Completion) else { return Some(packet) };
        let view =
            View { node: self, job: &live.job, digest: live.digest, order: live.decree.order(), proposed_key: None };
        if !live.decree.would_judge(&packet, &view) {
            return Some(packet);
        }
        let Some((line, _)) = self.simple_of(&contract::signature_of(&id)) else { return Some(packet) };
        let Some(side) = self.contracts.get_mut(&id.chain) else { return Some(packet) };
        let looks = side.looks.entry(id.clone()).or_insert_with(|| Looks::of(line));
        let back = looks.keep(Kept { ballot, block, packet });
        if let Some(next) = looks.next_reading() {
            self.look_at_destination(&line, &id, Some(next));
        }
        back
    }
}
