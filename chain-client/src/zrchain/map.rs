//! The chain's messages in our words. Strict: a name that we do not know is an error, never a guess.
//!
//! Pure and public: who has the messages by other ways than [`super::ZrChain`] (a simulation that asks a chain in its own
//! process) reads them by the same lines.

use crate::name::{Height, KeyType, RequestId};
use crate::proto::zrchain::{identity, treasury};
use crate::reading::{ChainKey, KeyringFacts, TreasuryFacts};
use crate::request::{Ask, Request, Standing, Status};
use crate::submission::cut;

use prost::Message as _;

/// Blocks that a request lives when the parameters leave it at 0.
const LIFETIME_BLOCKS: u64 = 20;

/// A message that breaks the form the facts describe.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} {value:?}")]
pub struct Unknown {
    what: &'static str,
    value: String,
}

fn unknown(what: &'static str, value: impl Into<String>) -> Unknown {
    Unknown { what, value: cut(value.into()) }
}

fn key_type(name: &str) -> Result<KeyType, Unknown> {
    KeyType::from_name(name).ok_or_else(|| unknown("unknown key type", name))
}

fn key_status(name: &str) -> Result<Status, Unknown> {
    Ok(match name {
        "KEY_REQUEST_STATUS_PENDING" => Status::Pending,
        "KEY_REQUEST_STATUS_PARTIAL" => Status::Partial,
        "KEY_REQUEST_STATUS_FULFILLED" => Status::Fulfilled,
        "KEY_REQUEST_STATUS_REJECTED" => Status::Rejected,
        _ => return Err(unknown("unknown key request status", name)),
    })
}

fn signature_status(name: &str) -> Result<Status, Unknown> {
    Ok(match name {
        "SIGN_REQUEST_STATUS_PENDING" => Status::Pending,
        "SIGN_REQUEST_STATUS_PARTIAL" => Status::Partial,
        "SIGN_REQUEST_STATUS_FULFILLED" => Status::Fulfilled,
        "SIGN_REQUEST_STATUS_REJECTED" => Status::Rejected,
        _ => return Err(unknown("unknown signature request status", name)),
    })
}

/// 0 stands for a request without deadline.
fn deadline(mpc_btl: u64) -> Option<Height> {
    (mpc_btl > 0).then_some(Height(mpc_btl))
}

/// A key request. Lists of them leave the deadline out; only the query by id fills it.
///
/// # Errors
/// When type or status have no name that we know.
pub fn key_request(of: treasury::KeyReqResponse) -> Result<Request, Unknown> {
    let record_bytes = of.encoded_len() as u64;
    Ok(Request {
        id: RequestId::key(of.id),
        ask: Ask::Key { key_type: key_type(&of.key_type)?, keyring: of.keyring_addr, workspace: of.workspace_addr },
        creator: of.creator,
        deadline: deadline(of.mpc_btl),
        parent: None,
        status: key_status(&of.status)?,
        answered_by: of.keyring_party_signatures.into_iter().map(|answer| answer.creator).collect(),
        shown: Some(of.public_key).filter(|key| !key.is_empty()).into_iter().collect(),
        reject_reason: cut(of.reject_reason),
        record_bytes,
    })
}

/// A signature request: one with exactly one item and no children asks for a signature, any other is a group's parent.
///
/// # Errors
/// When type or status have no name that we know.
pub fn signature_request(of: treasury::SignReqResponse) -> Result<Request, Unknown> {
    let record_bytes = of.encoded_len() as u64;
    let key_type = key_type(&of.key_type)?;
    let ask = match (of.key_ids.as_slice(), of.child_req_ids.as_slice()) {
        (&[key], []) if of.data_for_signing.len() == 1 => {
            Ask::Signature { key, key_type, payload: of.data_for_signing.into_iter().next().unwrap_or_default() }
        }
        _ => Ask::Group {
            keys: of.key_ids,
            items: of.data_for_signing.len(),
            children: of.child_req_ids.into_iter().map(RequestId::signature).collect(),
        },
    };
    Ok(Request {
        id: RequestId::signature(of.id),
        creator: of.creator,
        ask,
        deadline: deadline(of.mpc_btl),
        parent: (of.parent_req_id > 0).then_some(RequestId::signature(of.parent_req_id)),
        status: signature_status(&of.status)?,
        answered_by: of.keyring_party_sigs.into_iter().map(|answer| answer.creator).collect(),
        shown: of.signed_data.into_iter().map(|data| data.signed_data).collect(),
        reject_reason: cut(of.reject_reason),
        record_bytes,
    })
}

/// A key.
///
/// # Errors
/// When its type has no name that we know.
pub fn key(of: treasury::KeyResponse) -> Result<ChainKey, Unknown> {
    Ok(ChainKey {
        id: of.id,
        key_type: key_type(&of.r#type)?,
        public_key: of.public_key,
        workspace: of.workspace_addr,
        keyring: of.keyring_addr,
        is_deposit: of.zenbtc_metadata.is_some_and(|metadata| !metadata.recipient_addr.is_empty()),
    })
}

/// A keyring.
pub fn keyring(of: identity::Keyring) -> KeyringFacts {
    KeyringFacts {
        address: of.address,
        parties: of.parties,
        party_threshold: of.party_threshold,
        key_fee_urock: of.key_req_fee,
        signature_fee_urock: of.sig_req_fee,
        active: of.is_active,
    }
}

/// The parameters that concern a keyring.
pub fn treasury(of: treasury::Params) -> TreasuryFacts {
    TreasuryFacts {
        min_gas_price: of.min_gas_fee,
        lifetime_blocks: if of.default_btl == 0 { LIFETIME_BLOCKS } else { of.default_btl },
        zr_sign_address: of.zr_sign_address,
        mpc_keyring: of.mpc_keyring,
    }
}

/// What became of a request. `key` is the record under a closed key request's id, if there is one.
pub fn standing(request: Request, key: Option<ChainKey>) -> Standing {
    let Request { status, answered_by, shown, reject_reason, .. } = request;
    match status {
        Status::Pending | Status::Partial => Standing::Open { answered_by, shown },
        // A key that one answer made stands in its own record only.
        Status::Fulfilled => Standing::Fulfilled { answered_by, shown: key.map_or(shown, |key| vec![key.public_key]) },
        Status::Rejected => {
            Standing::Rejected { answered_by, reason: reject_reason, key: key.map(|key| key.public_key) }
        }
    }
}
