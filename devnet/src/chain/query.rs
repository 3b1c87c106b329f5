//! Answers to gRPC queries: a path and request bytes in, reply bytes out, from the state of one height.

mod account;
mod identity;
mod node;
mod pagination;
mod policy;
mod transaction;
mod treasury;

use prost::Message;

pub(super) use transaction::broadcast;

use super::Chain;
use super::fault::{QueryError, QueryStatus};
use super::state::State;

/// What a query may look at.
struct View<'a> {
    chain: &'a Chain,
    state: &'a State,
    height: u64,
}

/// Encoded reply of a handler over decoded messages.
fn reply<Q, A>(
    view: &View<'_>,
    request: &[u8],
    handler: impl FnOnce(&View<'_>, Q) -> Result<A, QueryError>,
) -> Result<Vec<u8>, QueryError>
where
    Q: Message + Default,
    A: Message,
{
    let request = Q::decode(request).map_err(|error| QueryError::invalid(error.to_string()))?;
    handler(view, request).map(|reply| reply.encode_to_vec())
}

pub(super) fn answer(
    chain: &Chain,
    path: &str,
    request: &[u8],
    height: Option<u64>,
) -> Result<(Vec<u8>, u64), QueryError> {
    let height = height.filter(|height| *height != 0).unwrap_or(chain.height);
    if height > chain.height {
        let text = "codespace sdk code 26: invalid height: cannot query with height in the future; \
                    please provide a valid height";
        return Err(QueryError::unknown(text));
    }
    let state = match chain.blocks.get(&height) {
        Some(block) => &block.state,
        None if height == chain.height => &chain.state,
        None => {
            return Err(QueryError::unknown(format!(
                "codespace sdk code 18: invalid request: failed to load state at height {height}; version does not \
                 exist (latest height: {})",
                chain.height
            )));
        }
    };
    let reply = dispatch(&View { chain, state, height }, path, request);
    reply.map(|reply| (reply, height)).map_err(|error| error.at(height))
}

fn dispatch(view: &View<'_>, path: &str, request: &[u8]) -> Result<Vec<u8>, QueryError> {
    let unknown = || QueryError::new(QueryStatus::Unimplemented, format!("unknown method {path}"));
    let (service, method) = path.trim_start_matches('/').split_once('/').ok_or_else(unknown)?;
    match (service, method) {
        ("zrchain.treasury.Query", _) => treasury::dispatch(view, method, request).unwrap_or_else(|| Err(unknown())),
        ("zrchain.identity.Query", _) => identity::dispatch(view, method, request).unwrap_or_else(|| Err(unknown())),
        ("zrchain.policy.Query", _) => policy::dispatch(view, method, request).unwrap_or_else(|| Err(unknown())),
        ("cosmos.auth.v1beta1.Query", "Account") => reply(view, request, account::account),
        ("cosmos.bank.v1beta1.Query", "Balance") => reply(view, request, account::balance),
        ("cosmos.tx.v1beta1.Service", "GetTx") => reply(view, request, transaction::find),
        ("cosmos.tx.v1beta1.Service", "Simulate") => reply(view, request, transaction::simulate),
        ("cosmos.base.tendermint.v1beta1.Service", _) => {
            node::dispatch(view, method, request).unwrap_or_else(|| Err(unknown()))
        }
        _ => Err(unknown()),
    }
}
