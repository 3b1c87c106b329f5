//! What an answer is authorised by: the digest that the holder of the MPC role signs, in either version of the contract.

use alloy_primitives::{Address, B256, Bytes, U256, eip191_hash_message, keccak256};
use alloy_sol_types::{SolStruct, SolValue, eip712_domain};

use crate::names::SRC_CHAIN_ID;

mod typed {
    #![allow(missing_docs, unreachable_pub)]
    alloy_sol_types::sol! {
        #[derive(Debug)]
        struct KeyAnswer {
            bytes32 walletTypeId;
            address owner;
            uint256 walletIndex;
            string wallet;
            uint8 options;
        }

        #[derive(Debug)]
        struct SignatureAnswer {
            uint256 traceId;
            address owner;
            bytes metaData;
            bytes signature;
            bool broadcast;
        }
    }
}

/// Where an answer of version 2 belongs. Version 1 does not know it.
#[derive(Clone, Copy, Debug)]
pub struct Deployment {
    /// The chain's number.
    pub chain: u64,
    /// The proxy.
    pub zr_sign: Address,
}

/// A wallet's address, as it is authorised.
#[derive(Clone, Debug)]
pub struct KeyAnswer {
    /// Of the request.
    pub wallet_type: B256,
    /// Of the request.
    pub owner: Address,
    /// Of the request.
    pub index: U256,
    /// The address as its chain writes it; case counts.
    pub wallet: String,
    /// Of the registry.
    pub options: u8,
}

impl KeyAnswer {
    /// What version 1 hashes.
    pub fn preimage(&self) -> Vec<u8> {
        (SRC_CHAIN_ID, self.wallet_type, self.owner, self.index, self.wallet.clone(), U256::from(self.options))
            .abi_encode_params()
    }

    /// Version 1: personal-sign over the 32 raw bytes of the hash.
    pub fn digest(&self) -> B256 {
        eip191_hash_message(keccak256(self.preimage()))
    }

    /// Version 2: typed data, with chain and contract.
    pub fn hardened_digest(&self, deployment: Deployment) -> B256 {
        typed::KeyAnswer {
            walletTypeId: self.wallet_type,
            owner: self.owner,
            walletIndex: self.index,
            wallet: self.wallet.clone(),
            options: self.options,
        }
        .eip712_signing_hash(&deployment.domain())
    }
}

/// A signature, as it is authorised.
#[derive(Clone, Debug)]
pub struct SignatureAnswer {
    /// Of the request.
    pub trace: U256,
    /// Of the request.
    pub owner: Address,
    /// What the signature alone does not say.
    pub meta_data: Bytes,
    /// The wallet's signature.
    pub signature: Bytes,
    /// Of the request.
    pub broadcast: bool,
}

impl SignatureAnswer {
    /// What version 1 hashes.
    pub fn preimage(&self) -> Vec<u8> {
        (SRC_CHAIN_ID, self.trace, self.owner, self.meta_data.clone(), self.signature.clone(), self.broadcast)
            .abi_encode_params()
    }

    /// Version 1: personal-sign over the 32 raw bytes of the hash.
    pub fn digest(&self) -> B256 {
        eip191_hash_message(keccak256(self.preimage()))
    }

    /// Version 2: typed data, with chain and contract.
    pub fn hardened_digest(&self, deployment: Deployment) -> B256 {
        typed::SignatureAnswer {
            traceId: self.trace,
            owner: self.owner,
            metaData: self.meta_data.clone(),
            signature: self.signature.clone(),
            broadcast: self.broadcast,
        }
        .eip712_signing_hash(&deployment.domain())
    }
}

impl Deployment {
    fn domain(self) -> alloy_sol_types::Eip712Domain {
        eip712_domain! {
            name: "zrSign",
            version: "2",
            chain_id: self.chain,
            verifying_contract: self.zr_sign,
        }
    }
}
