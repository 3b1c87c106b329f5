//! Everything a live chain was recorded saying can be read, and said again to the byte.

use std::collections::{BTreeMap, BTreeSet};

use chain_client::fee::{AnswerLoad, nothing_gas_limit};
use chain_client::proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use chain_client::proto::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use chain_client::proto::cosmos::base::abci::v1beta1::TxMsgData;
use chain_client::proto::cosmos::base::tendermint::v1beta1 as blocks;
use chain_client::proto::cosmos::tx::v1beta1 as tx;
use chain_client::proto::zrchain::{identity, policy, treasury};
use chain_client::{
    Ask, Hint, KeyringFacts, PartyAccount, Request, RequestId, RequestKind, SignedTx, Standing, TxHash,
};
use prost::Message;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::Code;

use super::scripted::{Asked, Node, Said, client};

const REPLAY: &str = include_str!("../fixtures/zrchain/replay.jsonl");
const SDK: &str = include_str!("../fixtures/zrchain/sdk.jsonl");

fn lines(of: &str) -> Vec<Value> {
    of.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

fn bytes(line: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(line, field)).expect("hex")
}

fn queries() -> Vec<Value> {
    lines(REPLAY).into_iter().filter(|line| text(line, "kind") == "query").chain(lines(SDK)).collect()
}

fn transactions() -> Vec<Value> {
    lines(REPLAY).into_iter().filter(|line| text(line, "kind") == "tx").collect()
}

/// Decodes and encodes again.
fn again<M: Message + Default>(bytes: &[u8]) -> Vec<u8> {
    M::decode(bytes).expect("a message of this type").encode_to_vec()
}

fn both<Q: Message + Default, R: Message + Default>(request: &[u8], response: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (again::<Q>(request), again::<R>(response))
}

#[test]
fn every_recorded_question_and_reply_is_lossless() {
    let mut methods = BTreeSet::new();
    for line in queries() {
        let (request, response) = (bytes(&line, "request"), bytes(&line, "response"));
        let method = text(&line, "rpc");
        let said_again = match method {
            "/zrchain.treasury.Query/Params" => {
                both::<treasury::QueryParamsRequest, treasury::QueryParamsResponse>(&request, &response)
            }
            "/zrchain.treasury.Query/KeyRequests" => {
                both::<treasury::QueryKeyRequestsRequest, treasury::QueryKeyRequestsResponse>(&request, &response)
            }
            "/zrchain.treasury.Query/KeyRequestByID" => {
                both::<treasury::QueryKeyRequestByIdRequest, treasury::QueryKeyRequestByIdResponse>(&request, &response)
            }
            "/zrchain.treasury.Query/Keys" => {
                both::<treasury::QueryKeysRequest, treasury::QueryKeysResponse>(&request, &response)
            }
            "/zrchain.treasury.Query/KeyByID" => {
                both::<treasury::QueryKeyByIdRequest, treasury::QueryKeyByIdResponse>(&request, &response)
            }
            "/zrchain.treasury.Query/SignatureRequests" => both::<
                treasury::QuerySignatureRequestsRequest,
                treasury::QuerySignatureRequestsResponse,
            >(&request, &response),
            "/zrchain.treasury.Query/SignatureRequestByID" => both::<
                treasury::QuerySignatureRequestByIdRequest,
                treasury::QuerySignatureRequestByIdResponse,
            >(&request, &response),
            "/zrchain.treasury.Query/SignTransactionRequests" => both::<
                treasury::QuerySignTransactionRequestsRequest,
                treasury::QuerySignTransactionRequestsResponse,
            >(&request, &response),
            "/zrchain.treasury.Query/SignTransactionRequestByID" => both::<
                treasury::QuerySignTransactionRequestByIdRequest,
                treasury::QuerySignTransactionRequestByIdResponse,
            >(&request, &response),
            "/zrchain.treasury.Query/ZrSignKeys" => {
                both::<treasury::QueryZrSignKeysRequest, treasury::QueryZrSignKeysResponse>(&request, &response)
            }
            "/zrchain.identity.Query/KeyringByAddress" => both::<
                identity::QueryKeyringByAddressRequest,
                identity::QueryKeyringByAddressResponse,
            >(&request, &response),
            "/zrchain.identity.Query/Keyrings" => {
                both::<identity::QueryKeyringsRequest, identity::QueryKeyringsResponse>(&request, &response)
            }
            "/zrchain.identity.Query/Workspaces" => {
                both::<identity::QueryWorkspacesRequest, identity::QueryWorkspacesResponse>(&request, &response)
            }
            "/zrchain.policy.Query/Actions" => {
                both::<policy::QueryActionsRequest, policy::QueryActionsResponse>(&request, &response)
            }
            "/cosmos.auth.v1beta1.Query/Account" => {
                both::<QueryAccountRequest, QueryAccountResponse>(&request, &response)
            }
            "/cosmos.bank.v1beta1.Query/Balance" => {
                both::<QueryBalanceRequest, QueryBalanceResponse>(&request, &response)
            }
            "/cosmos.tx.v1beta1.Service/Simulate" => {
                both::<tx::SimulateRequest, tx::SimulateResponse>(&request, &response)
            }
            "/cosmos.tx.v1beta1.Service/BroadcastTx" => {
                both::<tx::BroadcastTxRequest, tx::BroadcastTxResponse>(&request, &response)
            }
            "/cosmos.tx.v1beta1.Service/GetTx" => both::<tx::GetTxRequest, tx::GetTxResponse>(&request, &response),
            "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock" => {
                both::<blocks::GetLatestBlockRequest, blocks::GetLatestBlockResponse>(&request, &response)
            }
            "/cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight" => {
                both::<blocks::GetBlockByHeightRequest, blocks::GetBlockByHeightResponse>(&request, &response)
            }
            "/cosmos.base.tendermint.v1beta1.Service/GetSyncing" => {
                both::<blocks::GetSyncingRequest, blocks::GetSyncingResponse>(&request, &response)
            }
            "/cosmos.base.tendermint.v1beta1.Service/GetLatestValidatorSet" => {
                both::<blocks::GetLatestValidatorSetRequest, blocks::GetLatestValidatorSetResponse>(&request, &response)
            }
            method => panic!("no type for {method}"),
        };
        assert_eq!(hex::encode(said_again.0), text(&line, "request"), "request of {method}");
        assert_eq!(hex::encode(said_again.1), text(&line, "response"), "response of {method}");
        methods.insert(method.to_owned());
    }
    assert_eq!(methods.len(), 23, "the recording covers other methods than it did: {methods:?}");
}

/// Decodes and encodes again by type URL.
fn again_by_name(type_url: &str, bytes: &[u8]) -> Vec<u8> {
    match type_url {
        "/zrchain.treasury.MsgNewKeyRequest" => again::<treasury::MsgNewKeyRequest>(bytes),
        "/zrchain.treasury.MsgFulfilKeyRequest" => again::<treasury::MsgFulfilKeyRequest>(bytes),
        "/zrchain.treasury.MsgNewSignatureRequest" => again::<treasury::MsgNewSignatureRequest>(bytes),
        "/zrchain.treasury.MsgFulfilSignatureRequest" => again::<treasury::MsgFulfilSignatureRequest>(bytes),
        "/zrchain.treasury.MsgNewSignTransactionRequest" => again::<treasury::MsgNewSignTransactionRequest>(bytes),
        "/zrchain.treasury.MsgNewZrSignSignatureRequest" => again::<treasury::MsgNewZrSignSignatureRequest>(bytes),
        "/zrchain.identity.MsgAddKeyringParty" => again::<identity::MsgAddKeyringParty>(bytes),
        "/zrchain.identity.MsgAddWorkspaceOwner" => again::<identity::MsgAddWorkspaceOwner>(bytes),
        "/zrchain.identity.MsgDeactivateKeyring" => again::<identity::MsgDeactivateKeyring>(bytes),
        "/zrchain.identity.MsgNewKeyring" => again::<identity::MsgNewKeyring>(bytes),
        "/zrchain.identity.MsgNewWorkspace" => again::<identity::MsgNewWorkspace>(bytes),
        "/zrchain.identity.MsgRemoveKeyringParty" => again::<identity::MsgRemoveKeyringParty>(bytes),
        "/zrchain.identity.MsgUpdateKeyring" => again::<identity::MsgUpdateKeyring>(bytes),
        "/zrchain.policy.MsgApproveAction" => again::<policy::MsgApproveAction>(bytes),
        "/zrchain.policy.MsgNewPolicy" => again::<policy::MsgNewPolicy>(bytes),
        "/cosmos.bank.v1beta1.MsgSend" => again::<chain_client::proto::cosmos::bank::v1beta1::MsgSend>(bytes),
        name => panic!("no type for {name}"),
    }
}

#[test]
fn every_recorded_transaction_is_lossless_and_hashes_to_its_name() {
    let mut seen = 0;
    for line in transactions() {
        let whole = bytes(&line, "tx");
        let Ok(raw) = tx::TxRaw::decode(whole.as_slice()) else {
            // Some were broken on purpose.
            assert_ne!(line["check"]["code"], 0);
            continue;
        };
        if line["check"]["code"] == 2 || line["check"].is_null() {
            continue;
        }
        assert_eq!(raw.encode_to_vec(), whole, "{}", text(&line, "label"));
        assert_eq!(again::<tx::TxBody>(&raw.body_bytes), raw.body_bytes, "{}", text(&line, "label"));
        assert_eq!(again::<tx::AuthInfo>(&raw.auth_info_bytes), raw.auth_info_bytes, "{}", text(&line, "label"));
        assert_eq!(again::<tx::Tx>(&whole), whole, "{}", text(&line, "label"));
        assert_eq!(hex::encode_upper(Sha256::digest(&whole)), text(&line, "hash"));
        for message in tx::TxBody::decode(raw.body_bytes.as_slice()).expect("a body").messages {
            assert_eq!(again_by_name(&message.type_url, &message.value), message.value, "{}", text(&line, "label"));
        }
        let data = hex::decode(text(&line["result"], "data")).expect("hex");
        assert_eq!(again::<TxMsgData>(&data), data, "{}", text(&line, "label"));
        seen += 1;
    }
    assert!(seen > 300, "only {seen} transactions");
}

/// A party's answers as recorded can be made again by our own signer, from account, sequence, gas and fee alone.
#[test]
fn recorded_transactions_are_signed_again_to_the_byte() {
    let genesis: Value = serde_json::from_str(include_str!("../fixtures/zrchain/genesis.json")).expect("JSON");
    let mut accounts = BTreeMap::new();
    for account in genesis["accounts"].as_array().expect("accounts") {
        let Some(name) = account["name"].as_str().filter(|name| *name != "protocolwallet") else { continue };
        let secret = Sha256::digest(format!("zrchain test {name}"));
        let key = PartyAccount::from_hex(&hex::encode(secret)).expect("a key");
        assert_eq!(key.address(), account["address"], "{name}");
        accounts.insert(key.public_key().to_vec(), (key, account["number"].as_u64().expect("a number")));
    }
    let mut seen = 0;
    for line in transactions() {
        // Other chain ids, account numbers and broken signatures were tried on purpose; those were refused.
        if line["check"]["code"] != 0 {
            continue;
        }
        let raw = tx::TxRaw::decode(bytes(&line, "tx").as_slice()).expect("a transaction");
        let body = tx::TxBody::decode(raw.body_bytes.as_slice()).expect("a body");
        let auth = tx::AuthInfo::decode(raw.auth_info_bytes.as_slice()).expect("auth info");
        let fee = auth.fee.expect("a fee");
        let signer = &auth.signer_infos[0];
        let key = signer.public_key.as_ref().expect("a key");
        let key = chain_client::proto::cosmos::crypto::secp256k1::PubKey::decode(key.value.as_slice()).expect("a key");
        let Some((account, number)) = accounts.get(&key.key) else { continue };
        if !body.memo.is_empty() || fee.amount.len() != 1 {
            continue;
        }
        let seat = chain_client::Seat {
            chain: chain_client::ChainId::new("zenrock").expect("a name"),
            account_number: *number,
            sequence: signer.sequence,
        };
        let charge = chain_client::Charge {
            gas_limit: fee.gas_limit,
            fee_urock: fee.amount[0].amount.parse().expect("a number"),
        };
        let ours = chain_client::tx::sign_messages(account, &seat, body.messages, charge);
        assert_eq!(hex::encode(&ours.bytes), text(&line, "tx"), "{}", text(&line, "label"));
        assert_eq!(ours.hash.to_string(), text(&line, "hash"));
        seen += 1;
    }
    assert!(seen > 250, "only {seen} transactions");
}

/// A node that answers each recorded question as it was answered, the latest answer winning.
fn recorded() -> Node {
    let mut answers = BTreeMap::new();
    for line in queries() {
        let height = text(&line, "height").parse().ok();
        let said = match text(&line, "status") {
            "OK" => Said::Message(bytes(&line, "response"), height),
            "NOT_FOUND" => Said::Status(Code::NotFound, text(&line, "details").into(), height),
            "INVALID_ARGUMENT" => Said::Status(Code::InvalidArgument, text(&line, "details").into(), height),
            _ => Said::Status(Code::Unknown, text(&line, "details").into(), height),
        };
        answers.insert((text(&line, "rpc").to_owned(), bytes(&line, "request")), said);
    }
    Node::new(move |asked: &Asked| match answers.get(&(asked.path.clone(), asked.message.clone())) {
        Some(said) => said.clone(),
        None => Said::not_found(&format!("{} was not recorded: not found", asked.path), 1),
    })
}

/// The last recorded reply of every request, key, account and balance, through the client's own eyes.
#[tokio::test]
async fn the_client_reads_every_recorded_fact() {
    let node = recorded();
    let client = client(&[&node]);
    let mut facts = BTreeMap::<&str, usize>::new();
    for line in queries().iter().filter(|line| text(line, "status") == "OK") {
        let (method, request) = (text(line, "rpc"), bytes(line, "request"));
        let name = match method.rsplit('/').next().expect("a method") {
            "KeyRequestByID" => {
                let id = treasury::QueryKeyRequestByIdRequest::decode(request.as_slice()).expect("a question").id;
                let found = client.request(RequestId::key(id), None).await.expect("a reply").value.expect("a request");
                assert!(matches!(found.ask, Ask::Key { .. }) && found.deadline.is_some() && found.record_bytes > 0);
                "key request"
            }
            "SignatureRequestByID" => {
                let id = treasury::QuerySignatureRequestByIdRequest::decode(request.as_slice()).expect("a question").id;
                let id = RequestId::signature(id);
                let found = client.request(id, None).await.expect("a reply").value.expect("a request");
                assert!(found.deadline.is_some());
                assert!(!(found.is_parent() && found.parent.is_some()), "no groups of groups");
                let standing = client.standing(id).await.expect("a reply").value;
                assert_eq!(standing.is_open(), found.status.is_open());
                if let Ask::Group { keys, items, children } = &found.ask {
                    assert_eq!((keys.len(), children.len()), (*items, *items));
                    "parent"
                } else {
                    "signature request"
                }
            }
            "KeyByID" => {
                let id = treasury::QueryKeyByIdRequest::decode(request.as_slice()).expect("a question").id;
                let found = client.key(id, None).await.expect("a reply").value.expect("a key");
                assert_eq!((found.id, found.is_deposit), (id, false));
                "key"
            }
            "Account" => {
                let address = QueryAccountRequest::decode(request.as_slice()).expect("a question").address;
                client.account(&address).await.expect("a reply").value.expect("an account");
                "account"
            }
            "Balance" => {
                let address = QueryBalanceRequest::decode(request.as_slice()).expect("a question").address;
                client.balance(&address).await.expect("a reply");
                "balance"
            }
            "Params" => {
                let found = client.treasury().await.expect("a reply").value;
                assert_eq!((found.min_gas_price.as_str(), found.lifetime_blocks), ("0.0001urock", 20));
                "parameters"
            }
            "GetLatestBlock" => {
                let found = client.head().await.expect("a reply").value;
                assert!(found.height.0 > 0 && found.time_unix_ms > 1_700_000_000_000);
                "head"
            }
            "GetBlockByHeight" => {
                let height = blocks::GetBlockByHeightRequest::decode(request.as_slice()).expect("a question").height;
                let height = chain_client::Height(height.cast_unsigned());
                let found = client.block(height).await.expect("a reply").expect("a block");
                assert_eq!(found.height, height);
                "block"
            }
            "GetTx" => {
                let hash = tx::GetTxRequest::decode(request.as_slice()).expect("a question").hash;
                let hash = TxHash(hex::decode(hash).expect("hex").try_into().expect("32 bytes"));
                let found = client.receipt(hash).await.expect("a reply").expect("a receipt");
                assert_eq!((found.code, found.height.0 > 0), (0, true));
                "receipt"
            }
            "BroadcastTx" => {
                let bytes = tx::BroadcastTxRequest::decode(request.as_slice()).expect("a question").tx_bytes;
                let hash = TxHash(Sha256::digest(&bytes).into());
                let tx = SignedTx { bytes, hash, account: String::new(), sequence: 0, request: None };
                assert_eq!(client.broadcast(&tx).await, Hint::Taken);
                "broadcast"
            }
            "KeyringByAddress" => {
                let asked = identity::QueryKeyringByAddressRequest::decode(request.as_slice()).expect("a question");
                if asked.keyring_addr != client.keyring_address() {
                    continue;
                }
                let found = client.keyring().await.expect("a reply").value.expect("a keyring");
                assert!(found.active && found.party_threshold == 2);
                "keyring"
            }
            _ => continue,
        };
        *facts.entry(name).or_default() += 1;
    }
    let kinds = [
        "account",
        "balance",
        "block",
        "broadcast",
        "head",
        "key",
        "key request",
        "keyring",
        "parameters",
        "parent",
        "receipt",
        "signature request",
    ];
    assert_eq!(facts.keys().copied().collect::<Vec<_>>(), kinds);
}

/// Every page that was recorded maps without a request that cannot be read.
#[test]
fn every_recorded_account_is_a_plain_one() {
    for line in queries().iter().filter(|line| text(line, "rpc").ends_with("/Account")) {
        let reply = QueryAccountResponse::decode(bytes(line, "response").as_slice()).expect("a reply");
        let any = reply.account.expect("an account");
        assert_eq!(again::<BaseAccount>(&any.value), any.value);
    }
}

#[test]
fn every_refusal_that_clients_read_is_understood() {
    let wrong: Vec<_> = transactions().into_iter().filter(|line| line["check"]["code"] == 32).collect();
    assert!(!wrong.is_empty());
    for line in wrong {
        let log = text(&line["check"], "log");
        assert!(log.contains("account sequence mismatch, expected "), "{log}");
    }
}

/// The gas we would have asked for covers what every recorded answer took.
#[test]
fn gas_limits_cover_what_recorded_answers_took() {
    let mut requests = BTreeMap::<RequestId, (u64, u64, usize)>::new();
    for line in queries().iter().filter(|line| text(line, "status") == "OK") {
        let reply = bytes(line, "response");
        if text(line, "rpc").ends_with("/SignatureRequestByID") {
            let of = treasury::QuerySignatureRequestByIdResponse::decode(reply.as_slice()).expect("a reply");
            let of = of.sign_request.expect("a request");
            let bare = treasury::SignReqResponse { signed_data: vec![], keyring_party_sigs: vec![], ..of.clone() };
            let size = bare.encoded_len() as u64;
            requests.insert(RequestId::signature(of.id), (size, of.parent_req_id, of.data_for_signing.len()));
        }
    }
    let mut seen = 0;
    for line in transactions() {
        let Some(gas_used) = line["result"]["gas_used"].as_u64() else { continue };
        let Ok(raw) = tx::TxRaw::decode(bytes(&line, "tx").as_slice()) else { continue };
        let Ok(body) = tx::TxBody::decode(raw.body_bytes.as_slice()) else { continue };
        let [message] = body.messages.as_slice() else { continue };
        let id = match message.type_url.as_str() {
            "/zrchain.treasury.MsgFulfilKeyRequest" => RequestId::key(
                treasury::MsgFulfilKeyRequest::decode(message.value.as_slice()).expect("a message").request_id,
            ),
            "/zrchain.treasury.MsgFulfilSignatureRequest" => RequestId::signature(
                treasury::MsgFulfilSignatureRequest::decode(message.value.as_slice()).expect("a message").request_id,
            ),
            "/cosmos.bank.v1beta1.MsgSend" => {
                assert!(nothing_gas_limit() > gas_used, "a transfer took {gas_used}");
                continue;
            }
            _ => continue,
        };
        let (size, parent, _) = requests.get(&id).copied().unwrap_or((200, 0, 1));
        let parent_facts = requests.get(&RequestId::signature(parent)).copied();
        let request = sized(id, size, parent, 1);
        let parent = (parent > 0).then(|| {
            let (size, _, items) = parent_facts.unwrap_or((400, 0, 4));
            sized(RequestId::signature(parent), size, 0, items)
        });
        // Whether its keyring takes a fee is not in the transaction: assume it does where that much was used.
        let keyring = keyring_of(3, u64::from(gas_used > 95_000));
        let load = AnswerLoad::of(&request, parent.as_ref(), &keyring).expect("the parent is known");
        assert!(load.gas_limit() > gas_used, "{}: {gas_used} of {}", text(&line, "label"), load.gas_limit());
        seen += 1;
    }
    assert!(seen > 120, "only {seen} answers");
}

fn keyring_of(parties: usize, fee: u64) -> KeyringFacts {
    KeyringFacts {
        address: String::new(),
        parties: vec![String::new(); parties],
        party_threshold: 2,
        key_fee_urock: fee,
        signature_fee_urock: fee,
        active: true,
    }
}

fn sized(id: RequestId, record_bytes: u64, parent: u64, items: usize) -> Request {
    let ask = match (id.kind, items) {
        (RequestKind::Signature, 2..) => Ask::Group { keys: vec![], items, children: vec![] },
        _ => Ask::Signature { key: 1, key_type: chain_client::KeyType::EcdsaSecp256k1, payload: vec![] },
    };
    Request {
        id,
        creator: String::new(),
        ask,
        deadline: None,
        parent: (parent > 0).then_some(RequestId::signature(parent)),
        status: chain_client::Status::Pending,
        answered_by: BTreeSet::new(),
        shown: vec![],
        reject_reason: String::new(),
        record_bytes,
    }
}

/// Figures measured on a live chain for children of large groups, which the recording has no room for.
#[test]
fn gas_limits_cover_measured_answers_of_large_groups() {
    for (items, last_took, first_took) in [
        (2usize, 86_500u64, 84_000u64),
        (10, 115_000, 94_000),
        (20, 150_000, 105_500),
        (40, 221_000, 129_000),
        (60, 294_000, 154_500),
    ] {
        // Two bytes of head, a digest of 32, a key id and a child id per item, as in the measurement.
        let parent = sized(RequestId::signature(1), 150 + items as u64 * 36, 0, items);
        let child = sized(RequestId::signature(2), 250, 1, 1);
        let limit = AnswerLoad::of(&child, Some(&parent), &keyring_of(3, 0)).expect("a load").gas_limit();
        assert!(limit > last_took.max(first_took), "{items} items: {limit} for {last_took}");
        assert!(limit < last_took * 2, "{items} items: {limit} is wasteful for {last_took}");
    }
    let child = sized(RequestId::signature(2), 250, 1, 1);
    assert!(AnswerLoad::of(&child, None, &keyring_of(3, 0)).is_err(), "a child is never priced without its parent");
}

#[tokio::test]
async fn a_closed_key_request_is_shown_with_its_key() {
    let fulfilled = queries().into_iter().find_map(|line| {
        if !text(&line, "rpc").ends_with("/KeyRequestByID") || text(&line, "status") != "OK" {
            return None;
        }
        let of = treasury::QueryKeyRequestByIdResponse::decode(bytes(&line, "response").as_slice()).expect("a reply");
        of.key_request.filter(|of| of.status == "KEY_REQUEST_STATUS_FULFILLED")
    });
    let fulfilled = fulfilled.expect("one was fulfilled");
    let id = RequestId::key(fulfilled.id);
    let key = treasury::KeyResponse {
        id: fulfilled.id,
        r#type: fulfilled.key_type.clone(),
        public_key: vec![2; 33],
        ..Default::default()
    };
    for (status, wanted_fulfilled) in [("KEY_REQUEST_STATUS_FULFILLED", true), ("KEY_REQUEST_STATUS_REJECTED", false)] {
        let request = treasury::KeyReqResponse { status: status.into(), public_key: vec![], ..fulfilled.clone() };
        let key = key.clone();
        let node = Node::new(move |asked| {
            assert!(asked.is("KeyRequestByID") || asked.at == Some(50), "the key is read at the request's height");
            if asked.is("KeyRequestByID") {
                let key_request = Some(request.clone());
                Said::message(&treasury::QueryKeyRequestByIdResponse { key_request }, 50)
            } else {
                Said::message(&treasury::QueryKeyByIdResponse { key: Some(key.clone()), wallets: vec![] }, 50)
            }
        });
        match client(&[&node]).standing(id).await.expect("a reply").value {
            Standing::Fulfilled { shown, .. } if wanted_fulfilled => assert_eq!(shown, [vec![2; 33]]),
            Standing::Rejected { key, .. } if !wanted_fulfilled => assert_eq!(key, Some(vec![2; 33])),
            other => panic!("{other:?}"),
        }
    }
}
