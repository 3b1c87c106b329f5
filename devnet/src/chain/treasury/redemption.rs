//! Requests that no user makes: redemptions of wrapped assets, and transactions that the chain itself wants signed.
//!
//! Both may name reserved keys. A redemption comes from the asset's proxy as a message (or, on this chain, by hand of
//! whoever runs it) and becomes an ordinary request with several items; a system transaction is made in the block.

use chain_client::proto::zrchain::dct::Asset;
use chain_client::proto::zrchain::treasury::{SignTransactionRequest, WalletType};
use chain_client::proto::zrchain::zenbtc::{MsgSubmitUnsignedRedemptionTx, MsgSubmitUnsignedRedemptionTxResponse};
use prost_types::Any;

use super::sign_request::{self, Draft};
use super::sign_transaction;
use crate::chain::context::Context;
use crate::chain::event::Event;
use crate::chain::fault::TxFault;

/// What the chain asks of its keyrings by itself, at the start of a block.
#[derive(Debug, Clone, PartialEq)]
pub enum SystemRequest {
    /// Several digests, each with its key; reserved keys are fine.
    Redemption {
        /// Account that stands as creator: an asset's proxy.
        creator: String,
        /// One key per digest.
        key_ids: Vec<u64>,
        /// 32 bytes each.
        digests: Vec<Vec<u8>>,
        /// The proxy's own name for it.
        cache_id: Vec<u8>,
    },
    /// A foreign transaction, under a reserved key.
    SignTransaction {
        /// The user whose deposit or burn caused it.
        creator: String,
        /// The key.
        key_id: u64,
        /// How to parse it.
        wallet_type: WalletType,
        /// The transaction.
        unsigned_transaction: Vec<u8>,
        /// `MetadataEthereum` or `MetadataSolana`, packed.
        metadata: Option<Any>,
        /// Relayers leave it alone.
        no_broadcast: bool,
    },
}

/// Makes a system request; no policy, no fee check beyond the request's own, no reservation.
pub(crate) fn make(context: &mut Context<'_>, request: &SystemRequest) -> Result<(), TxFault> {
    match request {
        SystemRequest::Redemption { creator, key_ids, digests, cache_id } => {
            let draft = Draft {
                creator: creator.clone(),
                key_ids: key_ids.clone(),
                data: digests.clone(),
                cache_id: cache_id.clone(),
                metadata: None,
            };
            let id = sign_request::store(context, draft)?;
            context.raise(Event::request("new_sign_request", id));
        }
        SystemRequest::SignTransaction {
            creator,
            key_id,
            wallet_type,
            unsigned_transaction,
            metadata,
            no_broadcast,
        } => {
            let key = sign_transaction::key_for(context, *key_id)?;
            let parsed = sign_transaction::parse(&key, *wallet_type, unsigned_transaction, metadata.as_ref())?;
            let draft = Draft {
                creator: creator.clone(),
                key_ids: vec![*key_id],
                data: parsed.data,
                cache_id: Vec::new(),
                metadata: metadata.clone(),
            };
            let transaction = SignTransactionRequest {
                creator: creator.clone(),
                wallet_type: (*wallet_type).into(),
                unsigned_transaction: unsigned_transaction.clone(),
                no_broadcast: *no_broadcast,
                ..SignTransactionRequest::default()
            };
            sign_transaction::store(context, transaction, draft)?;
        }
    }
    Ok(())
}

/// The zenBTC proxy submits the inputs of a redemption.
///
/// Weaker than a live chain: there is no deposit or redemption ledger here, so only the sender is checked.
pub(crate) fn submit(
    context: &mut Context<'_>,
    message: &MsgSubmitUnsignedRedemptionTx,
) -> Result<MsgSubmitUnsignedRedemptionTxResponse, TxFault> {
    if context.rules.asset_proxies.get(&Asset::Zenbtc.into()) != Some(&message.creator) {
        return Err(TxFault::plain("only the bitcoin proxy may submit redemptions"));
    }
    let digests = message.inputs.iter().map(|input| hex::decode(&input.hash)).collect::<Result<Vec<_>, _>>();
    let request = SystemRequest::Redemption {
        creator: message.creator.clone(),
        key_ids: message.inputs.iter().map(|input| input.keyid).collect(),
        digests: digests.map_err(|error| TxFault::plain(format!("encoding/hex: {error}")))?,
        cache_id: message.cache_id.clone(),
    };
    make(context, &request)?;
    Ok(MsgSubmitUnsignedRedemptionTxResponse {})
}
