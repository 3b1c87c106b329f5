//! What the tests of the chain share: accounts whose keys are known, a small genesis, signed transactions.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::time::Duration;

use chain_client::proto::cosmos::bank::v1beta1::MsgSend;
use chain_client::proto::cosmos::base::v1beta1::Coin;
use chain_client::proto::cosmos::crypto::secp256k1::PubKey;
use chain_client::proto::cosmos::tx::signing::v1beta1::SignMode;
use chain_client::proto::cosmos::tx::v1beta1::mode_info::{Single, Sum};
use chain_client::proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw};
use chain_client::proto::zrchain::treasury as proto;
use devnet::chain::{
    Address, BlockOutcome, Bounds, Chain, CheckOutcome, Genesis, GenesisAccount, GenesisKeyring, GenesisWorkspace,
    IdentityParams, PolicyParams, TreasuryParams, TxResult, keyring_of, workspace_of,
};
use k256::ecdsa::signature::hazmat::PrehashSigner;
use k256::ecdsa::{Signature, SigningKey};
use prost::{Message, Name};
use prost_types::Any;
use sha2::{Digest, Sha256};

/// The accounts of [`genesis`].
pub const NAMES: [&str; 10] =
    ["admin", "alice", "bob", "party1", "party2", "party3", "outsider", "zrsign", "proxy", "poor"];
/// What each of them has, but for `poor`.
pub const RICH: u128 = 1_000_000_000_000;
pub const POOR: u128 = 750_010;
pub const CHAIN_ID: &str = "devnet-test";

/// The key of an account or of a request.
pub fn secret(name: &str) -> SigningKey {
    SigningKey::from_slice(&Sha256::digest(name.as_bytes())).expect("a scalar")
}

pub fn public(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_encoded_point(true).as_bytes().to_vec()
}

pub fn address(name: &str) -> String {
    Address::of_public_key(&public(&secret(name))).text()
}

/// Three keyrings (free, 2 of 3; fees 75 and 50, 2 of 3; free, threshold 0) and a workspace of alice and one of bob.
pub fn genesis() -> Genesis {
    let account = |(number, name): (usize, &&str)| GenesisAccount {
        address: address(name),
        module: None,
        urock: if *name == "poor" { POOR } else { RICH },
        name: Some((*name).to_owned()),
        number: number as u64,
        sequence: 0,
    };
    let keyring = |n: u64, party_threshold, key_req_fee, sig_req_fee| GenesisKeyring {
        address: keyring_of(n),
        creator: address("admin"),
        admins: vec![address("admin")],
        parties: ["party1", "party2", "party3"].map(address).to_vec(),
        party_threshold,
        key_req_fee,
        sig_req_fee,
        is_active: true,
        ..GenesisKeyring::default()
    };
    let workspace = |n: u64, owner: &str| GenesisWorkspace {
        address: workspace_of(n),
        creator: address(owner),
        owners: vec![address(owner)],
        ..GenesisWorkspace::default()
    };
    Genesis {
        chain_id: CHAIN_ID.to_owned(),
        accounts: NAMES.iter().enumerate().map(account).collect(),
        treasury_params: TreasuryParams {
            mpc_keyring: keyring_of(1),
            zr_sign_address: address("zrsign"),
            keyring_commission: 10,
            min_gas_fee: "0.0001urock".to_owned(),
            ..TreasuryParams::default()
        },
        identity_params: IdentityParams::default(),
        policy_params: PolicyParams::default(),
        reserved_key_ids: [2].into(),
        asset_proxies: BTreeMap::from([("ASSET_ZENBTC".to_owned(), address("proxy"))]),
        keyrings: vec![keyring(1, 2, 0, 0), keyring(2, 2, 75, 50), keyring(3, 0, 0, 0)],
        workspaces: vec![workspace(1, "alice"), workspace(2, "bob")],
        policies: Vec::new(),
        remarks: Vec::new(),
    }
}

/// A chain with the accounts' sequences kept beside it.
#[derive(Clone)]
pub struct World {
    pub chain: Chain,
    pub sequences: BTreeMap<String, u64>,
}

/// How a transaction is made; the default is what a client sends.
#[derive(Clone)]
pub struct Style {
    pub gas: u64,
    pub fee: u128,
    pub timeout_height: u64,
    pub memo: String,
    pub chain_id: String,
}

impl Default for Style {
    fn default() -> Self {
        Self { gas: 2_000_000, fee: 750_000, timeout_height: 0, memo: String::new(), chain_id: CHAIN_ID.to_owned() }
    }
}

pub fn packed<M: Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A signed transaction of one account.
pub fn signed(name: &str, sequence: u64, messages: Vec<Any>, style: &Style) -> Vec<u8> {
    let key = secret(name);
    let number = NAMES.iter().position(|known| *known == name).expect("a known account") as u64;
    let body = TxBody { messages, memo: style.memo.clone(), timeout_height: style.timeout_height, ..TxBody::default() };
    let mode = Single { mode: SignMode::Direct.into() };
    let info = SignerInfo {
        public_key: Some(packed(&PubKey { key: public(&key) })),
        mode_info: Some(ModeInfo { sum: Some(Sum::Single(mode)) }),
        sequence,
    };
    let coin = Coin { denom: "urock".to_owned(), amount: style.fee.to_string() };
    let fee = Fee { amount: vec![coin], gas_limit: style.gas, ..Fee::default() };
    let auth = AuthInfo { signer_infos: vec![info], fee: Some(fee), ..AuthInfo::default() };
    let (body_bytes, auth_info_bytes) = (body.encode_to_vec(), auth.encode_to_vec());
    let document = SignDoc {
        body_bytes: body_bytes.clone(),
        auth_info_bytes: auth_info_bytes.clone(),
        chain_id: style.chain_id.clone(),
        account_number: number,
    };
    let signature: Signature = key.sign_prehash(&Sha256::digest(document.encode_to_vec())).expect("a signature");
    let signature = signature.normalize_s().unwrap_or(signature);
    TxRaw { body_bytes, auth_info_bytes, signatures: vec![signature.to_bytes().to_vec()] }.encode_to_vec()
}

impl World {
    pub fn new() -> Self {
        Self::of(&genesis())
    }

    pub fn of(genesis: &Genesis) -> Self {
        let chain = Chain::with_bounds(genesis, Bounds::default()).expect("a chain");
        Self { chain, sequences: BTreeMap::new() }
    }

    pub fn block(&mut self) -> BlockOutcome {
        let time = Duration::from_secs(1_800_000_000 + self.chain.height());
        self.chain.make_block(time).expect("a block")
    }

    pub fn blocks(&mut self, count: u64) {
        for _ in 0..count {
            self.block();
        }
    }

    /// Offers a message without making a block.
    pub fn offer(&mut self, name: &str, message: Any, style: &Style) -> CheckOutcome {
        let sequence = self.sequences.entry(name.to_owned()).or_default();
        let bytes = signed(name, *sequence, vec![message], style);
        let outcome = self.chain.check_tx(&bytes);
        if outcome.code == 0 {
            *sequence += 1;
        }
        outcome
    }

    /// Sends a message and makes its block.
    pub fn send<M: Name>(&mut self, name: &str, message: &M) -> TxResult {
        let outcome = self.offer(name, packed(message), &Style::default());
        assert_eq!(outcome.code, 0, "{}", outcome.log);
        let block = self.block();
        block.transactions.into_iter().find(|result| result.hash == outcome.hash).expect("in the block")
    }

    /// The response of a message that succeeded.
    pub fn response<R: Message + Default>(&mut self, name: &str, message: &impl Name) -> R {
        let result = self.send(name, message);
        assert_eq!(result.code, 0, "{}", result.log);
        R::decode(result.responses[0].value.as_slice()).expect("a response")
    }

    pub fn query<Q: Message, R: Message + Default>(&self, path: &str, request: &Q) -> R {
        let (reply, _) = self.chain.query(path, &request.encode_to_vec(), None).expect("a reply");
        R::decode(reply.as_slice()).expect("a reply")
    }

    pub fn sign_request(&self, id: u64) -> proto::SignReqResponse {
        let asked = proto::QuerySignatureRequestByIdRequest { id };
        let reply: proto::QuerySignatureRequestByIdResponse =
            self.query("/zrchain.treasury.Query/SignatureRequestByID", &asked);
        reply.sign_request.expect("a request")
    }

    pub fn key_request(&self, id: u64) -> proto::KeyReqResponse {
        let asked = proto::QueryKeyRequestByIdRequest { id };
        let reply: proto::QueryKeyRequestByIdResponse = self.query("/zrchain.treasury.Query/KeyRequestByID", &asked);
        reply.key_request.expect("a request")
    }

    /// Asks for a key of alice's workspace (1) or bob's (2).
    pub fn ask_key(&mut self, owner: &str, keyring: u64, key_type: &str) -> u64 {
        let workspace = if owner == "bob" { 2 } else { 1 };
        let message = proto::MsgNewKeyRequest {
            creator: address(owner),
            workspace_addr: workspace_of(workspace),
            keyring_addr: keyring_of(keyring),
            key_type: key_type.to_owned(),
            ..proto::MsgNewKeyRequest::default()
        };
        let response: proto::MsgNewKeyRequestResponse = self.response(owner, &message);
        response.key_req_id
    }

    /// A key that two parties have answered with.
    pub fn key(&mut self, owner: &str, keyring: u64, key_type: &str) -> (u64, SigningKey) {
        let id = self.ask_key(owner, keyring, key_type);
        let key = secret(&format!("key {id}"));
        for party in ["party1", "party2"] {
            let result = self.send(party, &key_answer(party, id, &public(&key)));
            assert_eq!(result.code, 0, "{}", result.log);
        }
        assert_eq!(self.key_request(id).status, "KEY_REQUEST_STATUS_FULFILLED");
        (id, key)
    }

    pub fn ask_signature(&mut self, owner: &str, key_ids: &[u64], digests: &[[u8; 32]]) -> u64 {
        let message = signature_ask(owner, key_ids, digests);
        let response: proto::MsgNewSignatureRequestResponse = self.response(owner, &message);
        response.sig_req_id
    }
}

pub fn signature_ask(owner: &str, key_ids: &[u64], digests: &[[u8; 32]]) -> proto::MsgNewSignatureRequest {
    proto::MsgNewSignatureRequest {
        creator: address(owner),
        key_ids: key_ids.to_vec(),
        data_for_signing: digests.iter().map(hex::encode).collect::<Vec<_>>().join(","),
        ..proto::MsgNewSignatureRequest::default()
    }
}

pub fn key_answer(party: &str, request_id: u64, public_key: &[u8]) -> proto::MsgFulfilKeyRequest {
    proto::MsgFulfilKeyRequest {
        creator: address(party),
        request_id,
        status: proto::KeyRequestStatus::Fulfilled.into(),
        keyring_party_signature: vec![7; 64],
        result: Some(proto::msg_fulfil_key_request::Result::Key(proto::MsgNewKey { public_key: public_key.to_vec() })),
    }
}

pub fn signature_answer(party: &str, request_id: u64, signed_data: Vec<u8>) -> proto::MsgFulfilSignatureRequest {
    proto::MsgFulfilSignatureRequest {
        creator: address(party),
        request_id,
        status: proto::SignRequestStatus::Fulfilled.into(),
        keyring_party_signature: vec![7; 64],
        signed_data,
        ..proto::MsgFulfilSignatureRequest::default()
    }
}

pub fn transfer(from: &str, to: &str, urock: u128) -> Any {
    packed(&MsgSend {
        from_address: address(from),
        to_address: address(to),
        amount: vec![Coin { denom: "urock".to_owned(), amount: urock.to_string() }],
    })
}

pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// `r‖s‖v` with low `s`.
pub fn ecdsa(key: &SigningKey, digest: &[u8; 32]) -> Vec<u8> {
    let (signature, recovery) = key.sign_prehash_recoverable(digest).expect("a signature");
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(recovery.to_byte());
    bytes
}
