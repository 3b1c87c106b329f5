//! Whom is asked: a contract behind its proxy, at the chain's newest block.

use alloy_primitives::{Address, B256, U256};
use chain_client::zrsign::ask::{Fee, KeyWish, Refusal, Wish};
use chain_client::zrsign::evm::{Block, Call, Code, Deployment, EvmChain, EvmError, EvmSettings, Finality, Simulation};
use chain_client::zrsign::name::{Proxy, WalletKind};

use super::super::told::Facts;
use super::super::{Common, Evidence, endpoints, misuse, unasked};
use super::PAUSE;
use crate::report::{Misuse, Report};

/// How often a question is asked before anything is paid: of several nodes one may be a block behind.
const TRIES: u32 = 5;

/// Enough for `estimateFee`.
const FEE_GAS: u64 = 100_000;

/// The contract that is asked, as it was when this began.
pub(super) struct Contract {
    pub(super) chain: EvmChain,
    pub(super) proxy: Proxy,
    /// Whether final blocks are waited for.
    pub(super) is_final: bool,
    pub(super) head: Block,
    last_final: Block,
    code: Code,
    /// Code that may run behind the proxy, by hash.
    pub(super) permitted: Vec<B256>,
    pub(super) deployment: Deployment,
}

/// Asks until there is an answer, a few times: with several nodes, the others may not have the newest block yet.
pub(super) async fn patiently<T>(question: impl AsyncFn() -> Result<T, EvmError>) -> Result<T, Report> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match question().await {
            Ok(value) => return Ok(value),
            Err(
                EvmError::Refused { .. }
                | EvmError::Behind { .. }
                | EvmError::Retreated { .. }
                | EvmError::Disagreement { .. }
                | EvmError::Incomplete { .. },
            ) if tries > 0 => tokio::time::sleep(PAUSE).await,
            // Those that did not answer were asked several times already.
            Err(error) => return Err(unasked(error)),
        }
    }
}

impl Contract {
    /// Looks at chain and contract. What does not fit is found here, before anything is paid.
    pub(super) async fn open(common: &Common) -> Result<Self, Report> {
        let proxy = super::proxy(common)?;
        let endpoints = endpoints("--evm", &common.evm)?;
        let finality = if common.unfinal { Finality::Depth(0) } else { Finality::Finalized };
        let settings =
            EvmSettings { agree: endpoints.len(), evidence: common.evidence.into(), ..EvmSettings::default() };
        let chain = EvmChain::new(proxy.chain, &endpoints, finality, settings)
            .map_err(|error| misuse(format!("--evm: {error}")))?;
        let tips = patiently(async || chain.tips().await).await?;
        let (head, at) = (tips.head, tips.head.hash);
        let code = patiently(async || chain.code(proxy.address, at).await).await?;
        let nothing = || unasked(Misuse(format!("--proxy: at {proxy} is no proxy as ERC-1967 has it")));
        let code = code.ok_or_else(nothing)?;
        let permitted = if common.code.is_empty() { vec![code.code_hash] } else { common.code.clone() };
        if !permitted.contains(&code.code_hash) {
            let why = format!("--code: behind the proxy runs {}, which is not listed", code.code_hash);
            return Err(unasked(Misuse(why)));
        }
        let deployment = patiently(async || chain.deployment(proxy.address, at).await).await?;
        if let Some(controller) = common.controller {
            let role = deployment.mpc_role;
            let trusted = patiently(async || chain.has_role(proxy.address, role, controller, at).await).await?;
            if !trusted {
                let why = format!("--controller: the contract does not take answers authorised by {controller}");
                return Err(unasked(Misuse(why)));
            }
        }
        // An endpoint that could not show the answer later is found out now.
        let last_final = tips.last_final;
        let mark = patiently(async || chain.mark(proxy.address, last_final.height).await).await?;
        patiently(async || chain.range(proxy.address, mark).await).await?;
        let is_final = !common.unfinal;
        Ok(Self { chain, proxy, is_final, head, last_final, code, permitted, deployment })
    }

    /// Facts that a user holds against what the keyring's operators have published.
    pub(super) async fn looked_at(self, common: &Common) -> Result<Facts, Report> {
        let Deployment { version, paused, mpc_role, response_gas, next_trace, .. } = self.deployment;
        let mut facts = Facts::default();
        facts.show("contract", self.proxy);
        facts.show("implementation", self.code.implementation);
        facts.show("code_hash", self.code.code_hash);
        facts.show("version", version);
        facts.add("paused", paused);
        facts.show("mpc_role", mpc_role);
        if let Some(controller) = common.controller {
            facts.show("trusts_controller", controller);
        }
        let wish = KeyWish { proxy: self.proxy, kind: WalletKind::Evm, owner: Address::ZERO, options: 1 };
        let fee = self.fee(&Wish::Key(wish), Address::ZERO, None).await?;
        facts.show("fee_wei", fee.mpc);
        facts.show("response_gas", response_gas);
        facts.show("signature_requests", next_trace);
        facts.add("head", self.head.height);
        facts.add("final_block", self.last_final.height);
        Ok(facts)
    }

    /// What the contract wants in the newest block.
    pub(super) async fn fee(&self, wish: &Wish, from: Address, price: Option<u128>) -> Result<Fee, Report> {
        let call = Call {
            from,
            to: self.proxy.address,
            value: U256::ZERO,
            // Nodes want to see that it could be paid for: no more than a view needs.
            gas: Some(FEE_GAS),
            gas_price: price,
            data: wish.fee_call(),
        };
        let returned = passed(patiently(async || self.chain.simulate_at_head(&call).await).await?)?;
        Fee::decode(&returned).ok_or_else(|| unasked("estimateFee returns what is no fee"))
    }

    /// Whom was asked, in front of every answer.
    pub(super) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.show("contract", self.proxy);
        facts.show("implementation", self.code.implementation);
        facts.show("code_hash", self.code.code_hash);
        facts
    }
}

/// The value of a call that passes. A refusal that a flag can mend names it.
pub(super) fn passed<T>(simulated: Simulation<T>) -> Result<T, Report> {
    let refusal = match simulated {
        Simulation::Succeeds(value) => return Ok(value),
        Simulation::Reverts(revert) => Refusal::from(revert),
    };
    let flag = match refusal {
        Refusal::WalletType(_) => "--wallet",
        Refusal::Destination { .. } => "--destination",
        Refusal::Options | Refusal::Unmonitored(_) => "--index",
        _ => return Err(unasked(refusal)),
    };
    Err(unasked(Misuse(format!("{flag}: {refusal}"))))
}

impl From<Evidence> for chain_client::zrsign::evm::Evidence {
    fn from(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Roots => Self::Roots,
            Evidence::Blooms => Self::Blooms,
        }
    }
}
