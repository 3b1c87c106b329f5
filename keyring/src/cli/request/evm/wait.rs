//! Follows the chain from the transaction that asked to the answer, and judges it.
//!
//! Nothing here is believed that a node merely says: the request and its answer are logs of blocks that were read whole,
//! with the proof that `--evidence` names, and without a gap between the two. A head that is taken back (`--unfinal`) is
//! read again from the transaction on.

use chain_client::zrsign::ask::{Named, Said, Verified, Wish, wallet_address};
use chain_client::zrsign::event::{self, Log};
use chain_client::zrsign::evm::{Code, EvmError, EvmReceipt};
use chain_client::zrsign::name::Slot;
use chain_client::zrsign::range::Mark;

use super::super::told::{Facts, Progress};
use super::super::{RequestError, Wallet, unlike};
use super::contract::Contract;
use super::{PAUSE, Sent};
use crate::report::Report;

/// Looks without a sign of the transaction until its bytes are sent again.
const LOOKS_PER_SEND: u32 = 5;

/// Why following ends.
enum Stop {
    /// The chain is another one than it was.
    Moved(EvmError),
    /// For good.
    Over(Report),
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        Self::Over(error.into())
    }
}

struct Watch<'a> {
    contract: &'a Contract,
    wish: &'a Wish,
    sent: &'a Sent,
    progress: &'a Progress,
}

/// The answer, verified. Waits for ever: the caller has the clock.
pub(super) async fn answer(
    contract: &Contract,
    wish: &Wish,
    sent: &Sent,
    progress: &Progress,
) -> Result<Facts, Report> {
    let watch = Watch { contract, wish, sent, progress };
    loop {
        let receipt = watch.taken_up().await?;
        match watch.follow(&receipt).await {
            Ok(facts) => return Ok(facts),
            Err(Stop::Over(report)) => return Err(report),
            Err(Stop::Moved(why)) if contract.is_final => return Err(why.into()),
            Err(Stop::Moved(why)) => {
                progress.say(&format!("the head was taken back: {why}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Watch<'_> {
    /// Waits until the transaction stands in a block that counts.
    async fn taken_up(&self) -> Result<EvmReceipt, Report> {
        let (chain, hash) = (&self.contract.chain, self.sent.hash);
        let mut looks = 0;
        loop {
            let said = match chain.final_receipt(hash).await {
                Ok(Some(receipt)) if receipt.succeeded => return Ok(receipt),
                Ok(Some(EvmReceipt { height, .. })) => {
                    let why = "it reverted, its gas is spent; what was sent along came back".to_owned();
                    return Err(RequestError::Spent { hash: hash.to_string(), height, why }.into());
                }
                Ok(None) => chain.receipt(hash).await,
                Err(error) => Err(error),
            };
            match said {
                Ok(Some(receipt)) => self.progress.waits(&format!("block {} is to become final", receipt.height)),
                Ok(None) => {
                    looks += 1;
                    if let Some(raw) = self.sent.raw.as_ref().filter(|_| looks % LOOKS_PER_SEND == 0) {
                        // The same bytes: at most one of them counts.
                        let _hint = chain.send_everywhere(raw).await;
                    }
                    self.progress.waits(&format!("transaction {hash} is in no block yet"));
                }
                Err(error) => self.progress.waits(&error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads on from the block before the request, block by block, to the answer.
    async fn follow(&self, receipt: &EvmReceipt) -> Result<Facts, Stop> {
        let (chain, proxy) = (&self.contract.chain, self.contract.proxy.address);
        let before = receipt.height.saturating_sub(1);
        let mut mark = self.patiently(async || chain.mark(proxy, before).await).await?;
        let mut named = None;
        loop {
            let range = self.patiently(async || chain.range(proxy, mark).await).await?;
            let awaited = named.as_ref().map_or_else(|| "the request's own block".to_owned(), awaited);
            self.progress.waits(&format!("{awaited}; read to block {}", mark.height));
            let Some(range) = range else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            for span in &range.spans {
                self.expect_known(span.code, range.mark)?;
                for log in &span.logs {
                    let Some(name) = &named else {
                        named = self.named_by(log, receipt);
                        continue;
                    };
                    if let Some(said) = name.answered_by(log) {
                        return self.judged(*name, &said, (receipt, log), range.mark).await;
                    }
                }
            }
            mark = range.mark;
            if named.is_none() && mark.height >= receipt.height {
                let what = format!("block {} holds no such request by transaction {}", receipt.height, receipt.hash);
                return Err(Stop::Over(unlike(what, self.sent.raw.is_none())));
            }
        }
    }

    /// The request's name, if this is its log, in the block that took the transaction up.
    fn named_by(&self, log: &Log, receipt: &EvmReceipt) -> Option<Named> {
        let event = event::decode(self.contract.proxy, log, self.contract.deployment.numbers).ok()??;
        let (named, at) = self.wish.named_by(&event)?;
        (at.block == receipt.block).then_some(named)
    }

    fn expect_known(&self, code: Option<Code>, at: Mark) -> Result<(), Stop> {
        match code {
            Some(code) if self.contract.permitted.contains(&code.code_hash) => Ok(()),
            found => {
                let code = found.map_or_else(|| "that nobody can tell".to_owned(), |code| code.code_hash.to_string());
                let why = format!(
                    "up to block {}, code {code} ran behind the proxy. Look at it; if it is right, list all that ran with \
                     --code, and go on with --asked {}",
                    at.height, self.sent.hash
                );
                Err(Stop::Over(why.into()))
            }
        }
    }

    /// Asks until there is an answer. What another chain alone explains goes to the caller.
    async fn patiently<T>(&self, question: impl AsyncFn() -> Result<T, EvmError>) -> Result<T, Stop> {
        loop {
            match question().await {
                Ok(value) => return Ok(value),
                Err(error @ EvmError::Reorganised { .. }) => return Err(Stop::Moved(error)),
                // Blocks above the final one may be gone for good.
                Err(error @ (EvmError::Refused { .. } | EvmError::Malformed { .. })) if !self.contract.is_final => {
                    return Err(Stop::Moved(error));
                }
                Err(error) => self.progress.waits(&error.to_string()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    // === the verdict ===

    /// The answer, held against what was asked and against the address that the contract has registered.
    async fn judged(
        &self,
        named: Named,
        said: &Said,
        (receipt, log): (&EvmReceipt, &Log),
        mark: Mark,
    ) -> Result<Facts, Stop> {
        let slot = match (self.wish, named) {
            (_, Named::Key(slot)) => slot,
            (Wish::Signature(wish), Named::Signature { .. }) => wish.wallet,
            (Wish::Key(_), Named::Signature { .. }) => {
                return Err(RequestError::Unlike("a key is no signature".to_owned()).into());
            }
        };
        let registered = self.patiently(async || self.contract.chain.wallet_text(&slot, mark.hash).await).await?;
        let registered = registered.ok_or_else(|| {
            RequestError::Unlike(format!("wallet {} has no address, though its log was shown", slot.index))
        })?;
        let mut facts = self.contract.facts();
        self.add_place(&mut facts, slot, receipt, log);
        match (self.wish, said) {
            (Wish::Key(wish), Said::Key(text)) => {
                let address = wallet_address(wish.kind, text).map_err(|why| wrong(named, why))?;
                if address != registered {
                    let why = format!("the log says {address}, the contract {registered}");
                    return Err(wrong(named, why).into());
                }
                facts.show("address", address);
            }
            (Wish::Signature(wish), said) => {
                let wallet = wallet_address(wish.wallet.kind, &registered).map_err(|why| wrong(named, why))?;
                let verified = wish.judge(said, wallet).map_err(|why| wrong(named, why))?;
                facts.show("address", wallet);
                if let Named::Signature { trace, .. } = named {
                    facts.show("trace", trace);
                }
                facts.show("destination", &wish.destination);
                add_signature(&mut facts, &verified);
            }
            (Wish::Key(_), Said::Signature { .. }) => return Err(wrong(named, "it is no key").into()),
        }
        Ok(facts)
    }

    fn add_place(&self, facts: &mut Facts, slot: Slot, receipt: &EvmReceipt, log: &Log) {
        facts.show("owner", slot.owner);
        facts.add("wallet", Wallet::of(slot.kind));
        facts.show("index", slot.index);
        facts.show("asking_transaction", receipt.hash);
        facts.add("asked_in_block", receipt.height);
        facts.add("answered_in_block", log.at.height);
        facts.add("final", self.contract.is_final);
    }
}

fn awaited(named: &Named) -> String {
    match named {
        Named::Key(slot) => format!("the key of wallet {}", slot.index),
        Named::Signature { trace, .. } => format!("the answer to signature request {trace}"),
    }
}

fn add_signature(facts: &mut Facts, verified: &Verified) {
    facts.show("digest", verified.digest);
    facts.add("signature", alloy_primitives::hex::encode_prefixed(verified.signature));
    let Some(signed) = &verified.transaction else { return };
    let transaction = &signed.transaction;
    facts.add("nonce", transaction.nonce);
    facts.show("gas_price_wei", transaction.gas_price);
    facts.add("gas_limit", transaction.gas_limit);
    facts.add("to", transaction.to.to().map(ToString::to_string).unwrap_or_default());
    facts.show("value_wei", transaction.value);
    facts.show("data", &transaction.data);
    facts.show("raw_transaction", &signed.raw);
    facts.show("transaction_hash", signed.hash);
}

fn wrong(named: Named, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RequestError {
    let request = match named {
        Named::Key(slot) => format!("the request for wallet {}", slot.index),
        Named::Signature { trace, .. } => format!("signature request {trace}"),
    };
    RequestError::Wrong { request, source: why.into() }
}
