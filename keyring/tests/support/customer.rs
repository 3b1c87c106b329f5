//! A customer of the keyring, at work through ordinary transactions.

use std::time::Duration;

use chain_client::proto::zrchain::treasury::{
    MsgNewKeyRequest, MsgNewKeyRequestResponse, MsgNewSignTransactionRequest, MsgNewSignTransactionRequestResponse,
    MsgNewSignatureRequest, MsgNewSignatureRequestResponse, WalletType,
};
use chain_client::{
    AccountFacts, ChainId, Charge, Endpoint, PartyAccount, Request, RequestId, Seat, Settings, Status, ZrChain, tx,
};
use prost::Name;

use super::ground::{CHAIN, Ground};

const PATIENCE: Duration = Duration::from_secs(200);

pub(crate) struct Customer {
    chain: ZrChain,
    account: PartyAccount,
    keyring: String,
    workspace: String,
}

impl Customer {
    pub(crate) async fn of(ground: &Ground) -> Self {
        let endpoint = Endpoint::at(&ground.url.parse().unwrap()).unwrap();
        let id = ChainId::new(CHAIN).unwrap();
        let chain = ZrChain::new(id, ground.keyring.clone(), vec![endpoint], Settings::default());
        let user =
            devnet::demo::User::connect(&ground.url, CHAIN, &ground.keyring, super::ground::user()).await.unwrap();
        let workspace = user.workspace().to_owned();
        Self { chain, account: super::ground::user(), keyring: ground.keyring.clone(), workspace }
    }

    /// Sends messages as one transaction each, one behind the other, and waits for all.
    async fn send<M: Name, R: Name + Default>(&self, messages: Vec<M>, gas_limit: u64) -> Vec<R> {
        let facts = self.account(self.account.address()).await;
        let charge = Charge { gas_limit, fee_urock: 1_000_000 };
        let mut hashes = Vec::new();
        for (sequence, message) in (facts.sequence..).zip(&messages) {
            let seat = Seat { chain: ChainId::new(CHAIN).unwrap(), account_number: facts.number, sequence };
            let signed = tx::sign_messages(&self.account, &seat, vec![tx::any(message)], charge);
            let hint = self.chain.broadcast(&signed).await;
            assert!(matches!(hint, chain_client::Hint::Taken), "{hint:?}");
            hashes.push(signed.hash);
        }
        let mut responses = Vec::new();
        for hash in hashes {
            let receipt = loop {
                if let Some(receipt) = self.chain.receipt(hash).await.unwrap() {
                    break receipt;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            assert_eq!(receipt.code, 0, "{}", receipt.log);
            responses.push(receipt.response::<R>().unwrap());
        }
        responses
    }

    pub(crate) async fn ask_keys(&self, kinds: &[&str]) -> Vec<RequestId> {
        let message = |kind: &&str| MsgNewKeyRequest {
            creator: self.account.address().to_owned(),
            workspace_addr: self.workspace.clone(),
            keyring_addr: self.keyring.clone(),
            key_type: (*kind).to_owned(),
            ..Default::default()
        };
        let made: Vec<MsgNewKeyRequestResponse> = self.send(kinds.iter().map(message).collect(), 250_000).await;
        made.into_iter().map(|made| RequestId::key(made.key_req_id)).collect()
    }

    /// One request per payload, all by one key.
    pub(crate) async fn ask_signatures(&self, key: RequestId, payloads: &[Vec<u8>]) -> Vec<RequestId> {
        let message = |payload: &Vec<u8>| MsgNewSignatureRequest {
            creator: self.account.address().to_owned(),
            key_ids: vec![key.number],
            data_for_signing: hex::encode(payload),
            ..Default::default()
        };
        let made: Vec<MsgNewSignatureRequestResponse> =
            self.send(payloads.iter().map(message).collect(), 300_000).await;
        made.into_iter().map(|made| RequestId::signature(made.sig_req_id)).collect()
    }

    /// One transaction that spends two outputs of one Bitcoin key: its request and those of its two inputs.
    pub(crate) async fn ask_bitcoin(&self, key: RequestId) -> Vec<RequestId> {
        let public = self.chain.key(key.number, None).await.unwrap().value.unwrap().public_key;
        let transfer = devnet::demo::BitcoinTransfer::from_key(&public).unwrap();
        let message = MsgNewSignTransactionRequest {
            creator: self.account.address().to_owned(),
            key_ids: vec![key.number; 2],
            wallet_type: WalletType::BtcTestnet.into(),
            unsigned_transaction: transfer.unsigned(),
            ..Default::default()
        };
        let made: Vec<MsgNewSignTransactionRequestResponse> = self.send(vec![message], 700_000).await;
        let parent = made[0].signature_request_id;
        (parent..=parent + 2).map(RequestId::signature).collect()
    }

    /// An account as the chain itself counts.
    pub(crate) async fn account(&self, address: &str) -> AccountFacts {
        self.chain.account(address).await.unwrap().value.unwrap()
    }

    pub(crate) async fn look(&self, id: RequestId) -> Request {
        self.chain.request(id, None).await.unwrap().value.unwrap()
    }

    /// Waits until all are closed, one way or the other.
    pub(crate) async fn outcomes(&self, ids: &[RequestId]) -> Vec<Request> {
        let mut outcomes = Vec::new();
        for id in ids {
            let closed = async {
                loop {
                    let request = self.look(*id).await;
                    if !request.status.is_open() {
                        return request;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            };
            outcomes.push(tokio::time::timeout(PATIENCE, closed).await.expect("requests end"));
        }
        outcomes
    }

    pub(crate) async fn all_fulfilled(&self, ids: &[RequestId]) {
        for request in self.outcomes(ids).await {
            assert_eq!(request.status, Status::Fulfilled, "{}: {}", request.id, request.reject_reason);
        }
    }
}
