//! Where a message runs: the state it may change, the gas it may use, the events it raises.
//!
//! Reading and writing through here charges what the live chain's store charges for the same record.

use std::sync::Arc;

use chain_client::proto::zrchain::identity::{Keyring, Workspace};
use chain_client::proto::zrchain::policy::{Action, Policy};
use chain_client::proto::zrchain::treasury::{Key, KeyRequest, SignRequest, SignTransactionRequest};
use prost::Message;

use super::event::Event;
use super::fault::TxFault;
use super::gas::Meter;
use super::rules::Rules;
use super::state::State;

/// Bytes of a store key: a prefix and a number.
const NUMBER_KEY: usize = 9;

/// One transaction's view of the chain.
pub(crate) struct Context<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) state: &'a mut State,
    /// Height of the block that is being made.
    pub(crate) height: u64,
    pub(crate) meter: &'a mut Meter,
    pub(crate) events: &'a mut Vec<Event>,
}

/// Reads of one kind of record by number: charged by the length of what is found.
macro_rules! by_number {
    ($read:ident, $map:ident, $record:ty) => {
        pub(crate) fn $read(&mut self, id: u64) -> Result<Option<Arc<$record>>, TxFault> {
            let found = self.state.$map.get(&id).cloned();
            self.meter.read(NUMBER_KEY + found.as_ref().map_or(0, |record| record.encoded_len()))?;
            Ok(found)
        }
    };
}

/// Reads of one kind of record by its address.
macro_rules! by_address {
    ($read:ident, $map:ident, $record:ty) => {
        pub(crate) fn $read(&mut self, address: &str) -> Result<Option<Arc<$record>>, TxFault> {
            let found = self.state.$map.get(address).cloned();
            let length = 1 + address.len() + found.as_ref().map_or(0, |record| record.encoded_len());
            self.meter.read(length)?;
            Ok(found)
        }
    };
}

impl Context<'_> {
    by_number!(key, keys, Key);
    by_number!(key_request, key_requests, KeyRequest);
    by_number!(sign_request, sign_requests, SignRequest);
    by_number!(action, actions, Action);
    by_number!(policy, policies, Policy);
    by_address!(keyring, keyrings, Keyring);
    by_address!(workspace, workspaces, Workspace);

    pub(crate) fn put_key(&mut self, key: Key) -> Result<(), TxFault> {
        self.meter.write(NUMBER_KEY + key.encoded_len())?;
        self.state.put_key(key);
        Ok(())
    }

    pub(crate) fn put_key_request(&mut self, request: KeyRequest) -> Result<(), TxFault> {
        self.meter.write(NUMBER_KEY + request.encoded_len())?;
        self.state.put_key_request(request);
        Ok(())
    }

    pub(crate) fn put_sign_request(&mut self, request: SignRequest) -> Result<(), TxFault> {
        self.meter.write(NUMBER_KEY + request.encoded_len())?;
        self.state.put_sign_request(request);
        Ok(())
    }

    pub(crate) fn put_sign_transaction(&mut self, request: SignTransactionRequest) -> Result<(), TxFault> {
        self.meter.write(NUMBER_KEY + request.encoded_len())?;
        self.state.sign_transactions.insert_mut(request.id, Arc::new(request));
        Ok(())
    }

    pub(crate) fn put_action(&mut self, action: Action) -> Result<(), TxFault> {
        self.meter.write(NUMBER_KEY + action.encoded_len())?;
        self.state.actions.insert_mut(action.id, Arc::new(action));
        Ok(())
    }

    pub(crate) fn put_policy(&mut self, policy: Policy) -> Result<(), TxFault> {
        self.meter.write(NUMBER_KEY + policy.encoded_len())?;
        self.state.policies.insert_mut(policy.id, Arc::new(policy));
        Ok(())
    }

    pub(crate) fn put_keyring(&mut self, keyring: Keyring) -> Result<(), TxFault> {
        self.meter.write(1 + keyring.address.len() + keyring.encoded_len())?;
        self.state.put_keyring(keyring);
        Ok(())
    }

    pub(crate) fn put_workspace(&mut self, workspace: Workspace) -> Result<(), TxFault> {
        self.meter.write(1 + workspace.address.len() + workspace.encoded_len())?;
        self.state.put_workspace(workspace);
        Ok(())
    }

    /// The keyring, if it exists and answers.
    pub(crate) fn active_keyring(&mut self, address: &str) -> Result<Option<Arc<Keyring>>, TxFault> {
        Ok(self.keyring(address)?.filter(|keyring| keyring.is_active))
    }

    /// The next number of a counter, charged as its read and write.
    pub(crate) fn next_number(&mut self, counter: fn(&mut State) -> &mut u64) -> Result<u64, TxFault> {
        self.meter.read(NUMBER_KEY)?;
        self.meter.write(NUMBER_KEY)?;
        let counter = counter(self.state);
        *counter += 1;
        Ok(*counter)
    }

    /// Charges for reading the treasury's parameters.
    pub(crate) fn read_treasury_parameters(&mut self) -> Result<(), TxFault> {
        let treasury = &self.rules.treasury;
        let texts = [&treasury.mpc_keyring, &treasury.zr_sign_address, &treasury.keyring_commission_destination];
        let length = texts.iter().map(|text| text.len() + 2).sum::<usize>() + treasury.min_gas_fee.len() + 5;
        self.meter.read(length)
    }

    pub(crate) fn raise(&mut self, event: Event) {
        self.events.push(event);
    }
}
