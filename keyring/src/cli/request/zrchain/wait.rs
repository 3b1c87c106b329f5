//! Follows the chain from the transaction that asked to the answer, and judges it.

use alloy_primitives::hex;
use chain_client::proto::zrchain::treasury::WalletType;
use chain_client::wallet::{self, ACCOUNT_PREFIX};
use chain_client::zrchain::ask::{Verified, Wish};
use chain_client::{Reading, Receipt, Request, RequestId, RequestKind, Standing, Status};

use super::super::told::Facts;
use super::super::{RequestError, unlike};
use super::{Customer, PAUSE, Sent};
use crate::report::Report;

/// Looks without a sign of the transaction until its bytes are sent again.
const LOOKS_PER_SEND: u32 = 5;

impl Customer<'_> {
    /// The answer, verified. Waits for ever: the caller has the clock.
    pub(super) async fn answer(&self, sent: &Sent) -> Result<Facts, Report> {
        let receipt = self.taken_up(sent).await?;
        let id = self.wish.filed(&receipt).ok_or_else(|| RequestError::Spent {
            hash: sent.hash.to_string(),
            height: receipt.height.0,
            why: "it is another message, or a policy of the workspace waits for approvals".to_owned(),
        })?;
        let (request, height) = self.closed(id).await?;
        if !self.wish.is_recorded_as(&request, self.account.address()) {
            let what = format!("request {id} on the chain is not what is asked for here");
            return Err(unlike(what, sent.signed.is_none()));
        }
        if request.status == Status::Rejected {
            return Err(self.rejected(id, height, request.reject_reason).await.into());
        }
        let shown = self.shown(id).await?;
        let verified = self.wish.judge(&shown);
        let verified =
            verified.map_err(|why| RequestError::Wrong { request: format!("request {id}"), source: why.into() })?;
        self.told(id, &verified, (sent, &receipt), &request)
    }

    /// Waits until the transaction stands in a block, and had effect.
    async fn taken_up(&self, sent: &Sent) -> Result<Receipt, Report> {
        let mut looks = 0;
        loop {
            match self.chain.receipt(sent.hash).await {
                Ok(Some(receipt)) if receipt.code == 0 => return Ok(receipt),
                Ok(Some(Receipt { height, code, codespace, log, .. })) => {
                    let (hash, why) = (sent.hash.to_string(), format!("{codespace} {code}: {log}"));
                    return Err(RequestError::Spent { hash, height: height.0, why }.into());
                }
                Ok(None) => {
                    looks += 1;
                    if let Some(signed) = sent.signed.as_ref().filter(|_| looks % LOOKS_PER_SEND == 0) {
                        // The same bytes: at most one of them counts.
                        let _hint = self.chain.broadcast_everywhere(signed).await;
                    }
                    self.progress.waits(&format!("transaction {} is in no block yet", sent.hash));
                }
                Err(error) => self.progress.waits(&error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until nothing more can come of the request.
    async fn closed(&self, id: RequestId) -> Result<(Request, u64), Report> {
        loop {
            match self.chain.request(id, None).await {
                Ok(found) => match found.value {
                    Some(request) if !request.status.is_open() => return Ok((request, found.height.0)),
                    Some(request) => {
                        let until = request.deadline.map(|at| format!(", which count until block {at}"));
                        let (answers, until) = (request.answered_by.len(), until.unwrap_or_default());
                        self.progress.waits(&format!("answers to {id}: {answers} in block {}{until}", found.height));
                    }
                    None => self.progress.waits(&format!("the node does not show {id} yet")),
                },
                Err(error) => self.progress.waits(&error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Why there is no answer. Anybody can have a key request rejected after it was fulfilled; its key lives on.
    async fn rejected(&self, id: RequestId, height: u64, why: String) -> RequestError {
        let mut why = if why.is_empty() { "no reason is given".to_owned() } else { why };
        if id.kind == RequestKind::Key
            && matches!(self.chain.key(id.number, None).await, Ok(found) if found.value.is_some())
        {
            why += &format!("; key {} exists all the same, somebody has spoilt the request afterwards", id.number);
        }
        RequestError::Rejected { request: id.to_string(), height, why }
    }

    /// The one answer that all endpoints show.
    async fn shown(&self, id: RequestId) -> Result<Vec<u8>, Report> {
        loop {
            let (mut all, mut behind) = (Vec::new(), None);
            for (endpoint, reading) in self.chain.readings(self.account.address(), id).await {
                match reading.as_ref().map(Reading::standing) {
                    Ok(Standing::Fulfilled { shown, .. }) => all.push(shown.clone()),
                    Ok(Standing::Rejected { reason, .. }) => {
                        let what = format!("{endpoint} shows {id} as rejected ({reason}), another as fulfilled");
                        return Err(RequestError::Unlike(what).into());
                    }
                    Ok(Standing::Open { .. } | Standing::Gone) => behind = Some(format!("{endpoint} is behind")),
                    Err(error) => behind = Some(error.to_string()),
                }
            }
            match (behind, all.as_slice()) {
                (Some(why), _) => self.progress.waits(&why),
                (None, [first, others @ ..]) if others.iter().all(|other| other == first) => {
                    let [shown] = first.as_slice() else {
                        let what = format!("the chain shows {} answers to {id} where there is one", first.len());
                        return Err(RequestError::Unlike(what).into());
                    };
                    return Ok(shown.clone());
                }
                (None, _) => {
                    return Err(RequestError::Unlike(format!("endpoints show different answers to {id}")).into());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    // === what came of it ===

    fn told(
        &self,
        id: RequestId,
        verified: &Verified,
        (sent, receipt): (&Sent, &Receipt),
        request: &Request,
    ) -> Result<Facts, Report> {
        let mut facts = Facts::default();
        facts.show("chain", self.chain.id());
        facts.add("keyring", self.wish.keyring());
        facts.add("workspace", self.wish.workspace());
        facts.add("account", self.account.address());
        facts.show("request", id);
        facts.show("asking_transaction", sent.hash);
        facts.add("asked_in_block", receipt.height.0);
        facts.add("answered_by", request.answered_by.iter().cloned().collect::<Vec<_>>());
        match &self.wish {
            Wish::Key { key_type, .. } => {
                facts.add("key", id.number);
                facts.show("type", key_type);
                facts.add("public_key", hex::encode_prefixed(&verified.bytes));
                for wallet in wallet::wallets(*key_type) {
                    let address = wallet::address(*key_type, &verified.bytes, *wallet, ACCOUNT_PREFIX)?;
                    facts.add(name_of(*wallet), address);
                }
            }
            Wish::Signature { key, .. } | Wish::Transaction { key, .. } => {
                facts.add("key", key.id);
                facts.show("type", key.key_type);
                facts.add("public_key", hex::encode_prefixed(&key.public_key));
                facts.add("signed", hex::encode_prefixed(self.wish.payload()));
                facts.add("signature", hex::encode_prefixed(&verified.bytes));
            }
        }
        if let (Wish::Transaction { key, chain, .. }, Some((raw, hash))) = (&self.wish, &verified.transaction) {
            facts.add("destination", format!("eip155:{chain}"));
            facts.add("from", wallet::address(key.key_type, &key.public_key, WalletType::Evm, ACCOUNT_PREFIX)?);
            facts.show("raw_transaction", raw);
            facts.show("transaction_hash", hash);
        }
        Ok(facts)
    }
}

const fn name_of(wallet: WalletType) -> &'static str {
    match wallet {
        WalletType::Native => "native_address",
        WalletType::Evm => "evm_address",
        WalletType::BtcMainnet => "btc_address",
        WalletType::BtcTestnet => "btc_testnet_address",
        WalletType::BtcRegnet => "btc_regtest_address",
        WalletType::Solana => "solana_address",
        WalletType::ZcashMainnet => "zcash_address",
        WalletType::ZcashTestnet => "zcash_testnet_address",
        WalletType::Unspecified => "address",
    }
}
