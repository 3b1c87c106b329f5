//! What happens to overdue requests at the start of each block, before its transactions.

use std::sync::Arc;

use chain_client::proto::zrchain::treasury::{KeyRequestStatus, SignRequestStatus};

use super::fees;
use crate::chain::event::Event;
use crate::chain::state::State;

/// Most requests of one kind that end in one block.
const BATCH: usize = 100;

/// Ends what is overdue at `height`: key requests first, then signature requests, ascending, a batch of each.
pub(crate) fn sweep(state: &mut State, height: u64, events: &mut Vec<Event>) {
    sweep_keys(state, height, events);
    sweep_signatures(state, height, events);
}

fn sweep_keys(state: &mut State, height: u64, events: &mut Vec<Event>) {
    let overdue = state.open_key_requests.iter().filter_map(|id| state.key_requests.get(id));
    let overdue = overdue.filter(|request| request.mpc_btl != 0 && request.mpc_btl < height);
    let overdue: Vec<_> = overdue.take(BATCH).cloned().collect();
    for request in overdue {
        let mut request = Arc::unwrap_or_clone(request);
        request.status = KeyRequestStatus::Rejected.into();
        request.reject_reason = "Key request timed out".to_owned();
        fees::refund_quietly(state, &request.creator, request.fee);
        events.push(Event::request("key_request_rejected", request.id));
        state.put_key_request(request);
    }
}

/// A request whose key or keyring is missing stops the sweep: higher ids stay open while it does.
fn sweep_signatures(state: &mut State, height: u64, events: &mut Vec<Event>) {
    let overdue = state.open_sign_requests.iter().filter_map(|id| state.sign_requests.get(id));
    let overdue = overdue.filter(|request| request.mpc_btl != 0 && request.mpc_btl < height);
    let overdue: Vec<_> = overdue.take(BATCH).cloned().collect();
    for request in overdue {
        let key = request.key_ids.first().and_then(|id| state.keys.get(id));
        let Some(keyring) = key.and_then(|key| state.keyrings.get(&key.keyring_addr)) else {
            tracing::warn!(request = request.id, "key or keyring of an overdue request is missing: the sweep stops");
            return;
        };
        let refund = if keyring.sig_req_fee > 0 { request.fee } else { 0 };
        let mut request = Arc::unwrap_or_clone(request);
        request.status = SignRequestStatus::Rejected.into();
        request.reject_reason = "Signature request timed out".to_owned();
        fees::refund_quietly(state, &request.creator, refund);
        events.push(Event::request("sign_request_rejected", request.id));
        state.put_sign_request(request);
    }
}

#[cfg(test)]
mod tests {
    use chain_client::proto::zrchain::identity::Keyring;
    use chain_client::proto::zrchain::treasury::{Key, KeyRequest, SignRequest};

    use super::*;

    /// Overdue signature requests 1, 2 and 3, of which `poisoned` names a key that is not there; key request 1 too.
    fn overdue(poisoned: u64) -> State {
        let mut state = State::default();
        state.put_keyring(Keyring { address: "ring".to_owned(), ..Keyring::default() });
        state.put_key(Key { id: 1, keyring_addr: "ring".to_owned(), ..Key::default() });
        let status = KeyRequestStatus::Pending.into();
        state.put_key_request(KeyRequest { id: 1, status, mpc_btl: 5, ..KeyRequest::default() });
        for id in 1..=3 {
            let key_ids = vec![if id == poisoned { 99 } else { 1 }];
            let status = SignRequestStatus::Pending.into();
            state.put_sign_request(SignRequest { id, key_ids, status, mpc_btl: 5, ..SignRequest::default() });
        }
        state
    }

    #[test]
    fn a_request_without_its_key_keeps_all_later_ones_open() {
        let mut state = overdue(2);
        let mut events = Vec::new();
        sweep(&mut state, 6, &mut events);
        assert_eq!(events.len(), 2, "the key request, and the signature request before the poisoned one");
        assert_eq!(state.open_sign_requests.iter().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(state.open_key_requests.size(), 0);
    }

    #[test]
    fn nothing_ends_in_its_last_block_or_without_a_deadline() {
        let mut state = overdue(0);
        let endless = SignRequest { mpc_btl: 0, ..state.sign_requests[&3].as_ref().clone() };
        state.put_sign_request(endless);
        let mut events = Vec::new();
        sweep(&mut state, 5, &mut events);
        assert!(events.is_empty());
        sweep(&mut state, 6, &mut events);
        assert_eq!(state.open_sign_requests.iter().copied().collect::<Vec<_>>(), [3]);
    }
}
