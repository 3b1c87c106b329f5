//! EVM chains behind the endpoints that the configuration names.

use chain_client::zrsign::evm::{Evidence, EvmChain, EvmSettings, EvmSetupError, Finality};

use crate::config::{ContractConfig, DestinationConfig, EndpointUrl, RawEvidence, RawFinality};

/// A contract's chain, asked within these bounds but for what the configuration itself says.
pub(crate) fn evm_chain(config: &ContractConfig, bounds: EvmSettings) -> Result<EvmChain, EvmSetupError> {
    let (evidence, agree) = (evidence(config.evidence), config.agree);
    let settings = EvmSettings { call_timeout: config.call_timeout, evidence, agree, ..bounds };
    EvmChain::new(config.proxy.chain, &addresses(&config.endpoints), finality(config.finality), settings)
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
