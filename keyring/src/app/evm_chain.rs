//! EVM chains behind the endpoints that the configuration names, and how this party sends there.

use chain_client::zrsign::evm::{Evidence, EvmChain, EvmSettings, EvmSetupError, Finality};

use crate::config::{ContractConfig, DestinationConfig, EndpointUrl, RawEvidence, RawFinality};
use crate::sender::Settings;

/// A contract's chain, asked within these bounds but for what the configuration itself says.
pub(crate) fn evm_chain(config: &ContractConfig, bounds: EvmSettings) -> Result<EvmChain, EvmSetupError> {
    let (evidence, agree) = (evidence(config.evidence), config.agree);
    let (call_timeout, reply_bytes_max) = (config.call_timeout, config.reply_bytes_max);
    let settings = EvmSettings { call_timeout, reply_bytes_max, evidence, agree, ..bounds };
    EvmChain::new(config.proxy.chain, &addresses(&config.endpoints), finality(config.finality), settings)
}

/// How this party's account sends to a contract, and what it may spend.
pub(crate) fn sender_settings(config: &ContractConfig) -> Settings {
    Settings {
        chain: config.proxy.chain,
        wait_blocks: config.wait_blocks,
        factor_percent: config.price_percent,
        tip: config.tip_wei.into(),
        price_max: config.price_max_wei.into(),
        max_loss_per_answer: config.max_loss_per_answer_wei.into(),
        max_loss_per_day: config.max_loss_per_day_wei.into(),
    }
}

/// A chain to which simple transactions may go.
pub(crate) fn destination_chain(config: &DestinationConfig) -> Result<EvmChain, EvmSetupError> {
    let evidence = evidence(config.evidence);
    let agree = if evidence == Evidence::Agreement { 2 } else { 1 };
    let settings = EvmSettings { call_timeout: config.call_timeout, evidence, agree, ..EvmSettings::default() };
    EvmChain::new(config.chain, &addresses(&config.endpoints), finality(config.finality), settings)
}

fn addresses(endpoints: &[EndpointUrl]) -> Vec<url::Url> {
    endpoints.iter().map(|endpoint| endpoint.reveal().clone()).collect()
}

const fn finality(asked: RawFinality) -> Finality {
    match asked {
        RawFinality::Finalized => Finality::Finalized,
        RawFinality::Depth(depth) => Finality::Depth(depth),
    }
}

const fn evidence(asked: RawEvidence) -> Evidence {
    match asked {
        RawEvidence::Roots => Evidence::Roots,
        RawEvidence::Blooms => Evidence::Blooms,
        RawEvidence::Agreement => Evidence::Agreement,
    }
}
