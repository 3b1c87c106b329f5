//! Sends stored bytes, and finds what became of them. What a node says here is a hint; proofs are
//! [`crate::Reading`]s.

use super::ZrChain;
use crate::endpoint::{Node, ReadError};
use crate::name::Height;
use crate::proto::cosmos::base::abci::v1beta1::TxResponse;
use crate::proto::cosmos::tx::v1beta1::{BroadcastMode, BroadcastTxRequest, GetTxRequest};
use crate::submission::{Hint, Receipt, SignedTx, TxHash, cut};

/// The code space of the SDK's own errors.
const SDK: &str = "sdk";
/// The node has these very bytes.
const IN_CACHE: u32 = 19;
/// Another sequence is expected.
const WRONG_SEQUENCE: u32 = 32;

impl ZrChain {
    /// Hands a transaction to a node, to the next one when it does not answer; each at most once. Sending the same
    /// bytes again is always safe.
    pub async fn broadcast(&self, tx: &SignedTx) -> Hint {
        match self.endpoints.round(&async |node: &Node| broadcast(node, tx).await).await {
            Ok(hint) => hint,
            Err(error) => Hint::Unknown { reason: cut(error.to_string()) },
        }
    }

    /// Hands a transaction to every node: for one that a single node has taken and that does not land. The most hopeful
    /// of what they say.
    pub async fn broadcast_everywhere(&self, tx: &SignedTx) -> Hint {
        let said = self.endpoints.each(async |node: &Node| broadcast(node, tx).await).await;
        let hints = said.into_iter().map(|(_, said)| match said {
            Ok(hint) => hint,
            Err(error) => Hint::Unknown { reason: cut(error.to_string()) },
        });
        let hope = |hint: &Hint| match hint {
            Hint::Taken => 0,
            Hint::Known => 1,
            Hint::Refused { .. } => 2,
            Hint::Unknown { .. } => 3,
        };
        hints.min_by_key(hope).unwrap_or_else(|| Hint::Unknown { reason: "no endpoint is configured".to_owned() })
    }

    /// The transaction of that name in a block, `None` while the node that answers has none. Absence proves nothing.
    ///
    /// # Errors
    /// When no endpoint answers in the chain's form.
    pub async fn receipt(&self, hash: TxHash) -> Result<Option<Receipt>, ReadError> {
        let ask = async |node: &Node| {
            let mut client = node.transactions();
            let reply = match node.reply(client.get_tx(GetTxRequest { hash: hash.to_string() })).await {
                Err(error) if error.is_absence() => return Ok(None),
                reply => reply?.into_inner(),
            };
            let response = reply.tx_response.ok_or_else(|| node.malformed("transaction without result"))?;
            receipt(hash, response).map(Some).map_err(|what| node.malformed(what))
        };
        self.endpoints.ask(ask).await
    }
}

async fn broadcast(node: &Node, tx: &SignedTx) -> Result<Hint, ReadError> {
    let request = BroadcastTxRequest { tx_bytes: tx.bytes.clone(), mode: BroadcastMode::Sync.into() };
    let mut client = node.transactions();
    let reply = node.reply(client.broadcast_tx(request)).await?.into_inner();
    let response = reply.tx_response.ok_or_else(|| node.malformed("broadcast without result"))?;
    Ok(hint(response))
}

/// What a node's answer to a broadcast says.
#[must_use]
pub fn hint(of: TxResponse) -> Hint {
    match (of.code, of.codespace.as_str()) {
        (0, _) => Hint::Taken,
        (IN_CACHE, SDK) => Hint::Known,
        (code, _) => {
            let expected_sequence = expected_sequence(code, &of.codespace, &of.raw_log);
            Hint::Refused { codespace: cut(of.codespace), code, reason: cut(of.raw_log), expected_sequence }
        }
    }
}

/// `account sequence mismatch, expected 34, got 40: incorrect account sequence`
fn expected_sequence(code: u32, codespace: &str, log: &str) -> Option<u64> {
    if code != WRONG_SEQUENCE || codespace != SDK {
        return None;
    }
    let (_, after) = log.split_once("expected ")?;
    let digits = after.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn receipt(hash: TxHash, of: TxResponse) -> Result<Receipt, &'static str> {
    if !of.txhash.eq_ignore_ascii_case(&hash.to_string()) {
        return Err("asked for one transaction, got another");
    }
    Ok(Receipt {
        height: Height(u64::try_from(of.height).map_err(|_| "transaction at a negative height")?),
        code: of.code,
        codespace: cut(of.codespace),
        log: cut(of.raw_log),
        gas_used: u64::try_from(of.gas_used).map_err(|_| "negative gas")?,
        data: hex::decode(&of.data).map_err(|_| "response data is not hex")?,
    })
}
