//! Running transactions: the ante checks, then the messages, on a copy of the state that is kept or dropped.

use prost_types::Any;

use super::ante::{Ante, Purpose};
use super::block::TxResult;
use super::context::Context;
use super::event::Event;
use super::fault::{QueryError, TxFault};
use super::gas::Meter;
use super::state::State;
use super::transaction::Transaction;
use super::treasury::redemption::{self, SystemRequest};
use super::{Chain, SimulateOutcome, Stalled};

impl Chain {
    /// The checks of a proposal: all that waits must pass them, or no block is made.
    pub(super) fn process_proposal(&self, height: u64) -> Result<(), Stalled> {
        let mut state = self.state.clone();
        let ante = Ante { rules: &self.rules, height, purpose: Purpose::Deliver };
        for transaction in self.mempool.waiting() {
            let mut meter = Meter::new(transaction.gas_limit());
            ante.run(&mut state, transaction, &mut meter).map_err(|fault| Stalled {
                height,
                transaction: transaction.hash,
                fault,
            })?;
        }
        Ok(())
    }

    /// Makes a request of the chain's own; one that fails is dropped.
    pub(super) fn run_system(&self, state: &mut State, height: u64, request: &SystemRequest, events: &mut Vec<Event>) {
        let mut trial = state.clone();
        let mut raised = Vec::new();
        let mut meter = Meter::endless();
        let mut context =
            Context { rules: &self.rules, state: &mut trial, height, meter: &mut meter, events: &mut raised };
        match redemption::make(&mut context, request) {
            Ok(()) => {
                *state = trial;
                events.extend(raised.into_iter().map(|event| event.with("mode", "PreBlock")));
            }
            Err(fault) => tracing::warn!(%fault, "the chain's own request failed and is dropped"),
        }
    }

    /// Runs a transaction in a block.
    pub(super) fn deliver(&self, state: &mut State, height: u64, transaction: &Transaction) -> TxResult {
        let mut meter = Meter::new(transaction.gas_limit());
        let mut events = Vec::new();
        let run = self.run(state, height, transaction, Purpose::Deliver, &mut meter, &mut events);
        let (responses, fault) = match run {
            Ok(responses) => (responses, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let (code, codespace, log) =
            fault.map_or((0, "", String::new()), |fault| (fault.code, fault.codespace, fault.log));
        TxResult {
            hash: transaction.hash,
            code,
            codespace,
            log,
            responses,
            gas_wanted: transaction.gas_limit(),
            gas_used: meter.used(),
            events,
        }
    }

    /// Ante checks, then messages: their responses. What the checks cost stays even if a message fails; the messages
    /// stand or fall together, and so do their events.
    fn run(
        &self,
        state: &mut State,
        height: u64,
        transaction: &Transaction,
        purpose: Purpose,
        meter: &mut Meter,
        events: &mut Vec<Event>,
    ) -> Result<Vec<Any>, TxFault> {
        let mut trial = state.clone();
        events.extend(Ante { rules: &self.rules, height, purpose }.run(&mut trial, transaction, meter)?);
        *state = trial.clone();
        let mut responses = Vec::with_capacity(transaction.messages.len());
        let mut raised = Vec::new();
        for (place, message) in transaction.messages.iter().enumerate() {
            let mut of_message = Vec::new();
            let mut context =
                Context { rules: &self.rules, state: &mut trial, height, meter: &mut *meter, events: &mut of_message };
            responses.push(message.execute(&mut context).map_err(|fault| fault.of_message(place))?);
            let type_url = transaction.body.messages.get(place).map_or("", |any| any.type_url.as_str());
            raised.push(Event::new("message", &[("action", type_url), ("sender", message.signer())]).of_message(place));
            raised.extend(of_message.into_iter().map(|event| event.of_message(place)));
        }
        events.extend(raised);
        *state = trial;
        Ok(responses)
    }

    /// Runs a transaction without a trace, as the service of that name does.
    ///
    /// # Errors
    /// What the execution would fail with; the text ends with the gas used, as clients expect.
    pub fn simulate(&self, bytes: &[u8]) -> Result<SimulateOutcome, QueryError> {
        let transaction = Transaction::decode(bytes).map_err(|fault| QueryError::unknown(fault.log))?;
        let mut meter = Meter::endless();
        let mut state = self.check.clone();
        let mut events = Vec::new();
        match self.run(&mut state, self.height, &transaction, Purpose::Simulate, &mut meter, &mut events) {
            Ok(responses) => Ok(SimulateOutcome { gas_used: meter.used(), responses, events }),
            Err(fault) => Err(QueryError::unknown(format!("{} with gas used: '{}'", fault.log, meter.used()))),
        }
    }
}
