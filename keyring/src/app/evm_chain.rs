//! A contract's chain behind the endpoints that its configuration names.

use chain_client::zrsign::evm::{Evidence, EvmChain, EvmSettings, EvmSetupError, Finality};

use crate::config::{ContractConfig, RawEvidence, RawFinality};

/// The chain, asked within these bounds but for what the configuration itself says.
pub(crate) fn evm_chain(config: &ContractConfig, bounds: EvmSettings) -> Result<EvmChain, EvmSetupError> {
    let endpoints: Vec<url::Url> = config.endpoints.iter().map(|endpoint| endpoint.reveal().clone()).collect();
    let finality = match config.finality {
        RawFinality::Finalized => Finality::Finalized,
        RawFinality::Depth(depth) => Finality::Depth(depth),
    };
    let evidence = match config.evidence {
        RawEvidence::Roots => Evidence::Roots,
        RawEvidence::Blooms => Evidence::Blooms,
        RawEvidence::Agreement => Evidence::Agreement,
    };
    let settings = EvmSettings { call_timeout: config.call_timeout, evidence, agree: config.agree, ..bounds };
    EvmChain::new(config.proxy.chain, &endpoints, finality, settings)
}
