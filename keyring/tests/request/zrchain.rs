//! A zrChain: the development chain, with two parties that answer with plain keys.

use std::time::Duration;

use chain_client::proto::zrchain::treasury::{MsgFulfilSignatureRequest, SignRequestStatus, WalletType};
use chain_client::{
    Answer, Ask, ChainId, Charge, Endpoint, Hint, KeyType, LowWater, PartyAccount, Question, Request, RequestId, Seat,
    Settings, ZrChain, tx, wallet,
};
use devnet::demo::{Admin, Customer};
use devnet::server::{Devnet, Options};
use ed25519_dalek::Signer as _;
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::asker::{Asker, meanwhile, run};

const CHAIN: &str = "zenrock";
const USER: [u8; 32] = [0x44; 32];
const CHARGE: Charge = Charge { gas_limit: 500_000, fee_urock: 1_000_000 };
const PAUSE: Duration = Duration::from_millis(50);

fn account(secret: [u8; 32]) -> PartyAccount {
    PartyAccount::from_bytes(&Zeroizing::new(secret)).unwrap()
}

struct Scene {
    _devnet: Devnet,
    chain: ZrChain,
    parties: Vec<PartyAccount>,
    asker: Asker,
    keyring: String,
    workspace: String,
    urls: String,
}

impl Scene {
    /// Requests live so many blocks of a fifth of a second.
    async fn new(lifetime_blocks: u64) -> Self {
        let (admin, user, poor) = (account([0x43; 32]), account(USER), account([0x45; 32]));
        let people = [("admin", admin.address()), ("user", user.address()), ("poor", poor.address())];
        let mut genesis = devnet::demo::genesis(CHAIN, &people);
        genesis.treasury_params.default_btl = lifetime_blocks;
        genesis.accounts[2].urock = 1;
        let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let options =
            Options { block_interval: Duration::from_millis(200), endpoints: vec![loopback; 2], ..Options::default() };
        let devnet = Devnet::start(&genesis, options).await.unwrap();
        let urls: Vec<String> = devnet.endpoints().iter().map(devnet::server::Endpoint::url).collect();
        let parties = vec![account([0x51; 32]), account([0x52; 32])];
        let addresses: Vec<String> = parties.iter().map(|party| party.address().to_owned()).collect();
        let mut admin = Admin::connect(&urls[0], CHAIN, admin).await.unwrap();
        let keyring = admin.make_keyring(&addresses, 2).await.unwrap();
        admin.fund(&addresses, 1_000_000_000).await.unwrap();
        let workspace =
            Customer::connect(&urls[0], CHAIN, &keyring, user).await.unwrap().new_workspace().await.unwrap();
        let endpoints = vec![Endpoint::at(&urls[0].parse().unwrap()).unwrap()];
        let chain = ZrChain::new(ChainId::new(CHAIN).unwrap(), keyring.clone(), endpoints, Settings::default());
        let urls = urls.join(",");
        let asker = Asker::new(USER, &["--zrchain", &urls, "--chain-id", CHAIN]);
        Self { _devnet: devnet, chain, parties, asker, keyring, workspace, urls }
    }

    /// The request that is open, as soon as there is one.
    async fn next_request(&self) -> Request {
        loop {
            let open = self.chain.open_requests(LowWater::default()).await.unwrap().value.requests;
            if let Some(request) = open.into_iter().next() {
                return request;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn does(&self, party: &PartyAccount, signed: impl Fn(&Seat) -> chain_client::SignedTx) {
        let facts = self.chain.account(party.address()).await.unwrap().value.unwrap();
        let seat = Seat { chain: self.chain.id().clone(), account_number: facts.number, sequence: facts.sequence };
        let signed = signed(&seat);
        assert_eq!(self.chain.broadcast(&signed).await, Hint::Taken);
        let receipt = loop {
            if let Some(receipt) = self.chain.receipt(signed.hash).await.unwrap() {
                break receipt;
            }
            tokio::time::sleep(PAUSE).await;
        };
        assert_eq!(receipt.code, 0, "{}", receipt.log);
    }

    /// Both parties answer.
    async fn answers(&self) {
        let request = self.next_request().await;
        let answer = self.answer_to(&request).await;
        for party in &self.parties {
            self.does(party, |seat| tx::answer(party, seat, request.id, &answer, CHARGE)).await;
        }
    }

    async fn answer_to(&self, request: &Request) -> Answer {
        match &request.ask {
            Ask::Key { key_type, .. } => {
                Question::Key(*key_type).canonical(&public(*key_type, request.id.number)).unwrap()
            }
            Ask::Signature { key, key_type, payload } => {
                let public_key = public(*key_type, *key);
                let raw = match key_type {
                    KeyType::EddsaEd25519 => edwards(*key).sign(payload).to_bytes().to_vec(),
                    _ => {
                        let (signature, _) = secret(*key).sign_prehash_recoverable(payload).unwrap();
                        signature.to_bytes().to_vec()
                    }
                };
                let question = Question::Signature { key_type: *key_type, public_key, payload: payload.clone() };
                question.canonical(&raw).unwrap()
            }
            Ask::Group { .. } => panic!("nobody here asks for several"),
        }
    }

    async fn gets(&self, words: &str) -> Value {
        meanwhile(self.asker.gets(words), self.answers()).await
    }

    async fn key(&self, kind: &str) -> Value {
        let (keyring, workspace) = (&self.keyring, &self.workspace);
        self.gets(&format!("key --keyring {keyring} --workspace {workspace} --type {kind}")).await
    }
}

/// A key for each number.
fn secret(key: u64) -> SigningKey {
    SigningKey::from_slice(&[u8::try_from(key).unwrap(); 32]).unwrap()
}

fn edwards(key: u64) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[u8::try_from(key).unwrap(); 32])
}

fn public(key_type: KeyType, key: u64) -> Vec<u8> {
    match key_type {
        KeyType::EddsaEd25519 => edwards(key).verifying_key().to_bytes().to_vec(),
        _ => secret(key).verifying_key().to_sec1_bytes().to_vec(),
    }
}

fn hexed(bytes: &[u8]) -> Value {
    json!(format!("0x{}", hex::encode(bytes)))
}

#[tokio::test]
async fn keys_signatures_and_a_transaction_are_asked_for_and_verified() {
    let scene = Scene::new(600).await;
    let digest = format!("0x{}", "07".repeat(32));

    let key = scene.key("ecdsa").await;
    let public_key = public(KeyType::EcdsaSecp256k1, 1);
    assert_eq!((&key["key"], &key["request"], &key["public_key"]), (&json!(1), &json!("key-1"), &hexed(&public_key)));
    let evm = wallet::address(KeyType::EcdsaSecp256k1, &public_key, WalletType::Evm, "").unwrap();
    assert_eq!(key["evm_address"], json!(evm));
    assert_eq!(key["answered_by"].as_array().unwrap().len(), 2);
    let signed = scene.gets(&format!("hash --key 1 {digest}")).await;
    assert_eq!((&signed["request"], &signed["signed"]), (&json!("signature-1"), &json!(digest)));
    assert_eq!(signed["signature"].as_str().unwrap().len(), 2 + 130, "r, s and a recovery byte");

    let fields = "--to 0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421 --value 0.01ether --nonce 0 --gas-price 2gwei --gas-limit 21000";
    let signed = scene.gets(&format!("tx --key 1 --destination eip155:11155111 {fields}")).await;
    assert_eq!((&signed["from"], &signed["request"]), (&json!(evm), &json!("signature-2")));
    assert!(signed["raw_transaction"].as_str().unwrap().starts_with("0xf8"), "{signed}");

    assert!(!scene.key("ed25519").await["solana_address"].as_str().unwrap().is_empty());
    let signed = scene.gets("hash --key 2 0x68656c6c6f").await;
    assert_eq!(signed["signature"], hexed(&edwards(2).sign(b"hello").to_bytes()));

    let key = scene.key("bitcoin").await;
    assert!(key["btc_testnet_address"].as_str().unwrap().starts_with("tb1q"), "{key}");
    let signed = scene.gets(&format!("hash --key 3 {digest}")).await;
    assert_eq!(signed["signature"].as_str().unwrap().len(), 2 + 128, "r and s");
}

#[tokio::test]
async fn a_request_that_is_rejected_or_waits_too_long_is_no_answer() {
    let scene = Scene::new(50).await;
    scene.key("ecdsa").await;
    let digest = format!("0x{}", "07".repeat(32));
    // Nobody answers until the request has expired.
    let late = scene.asker.asks(&format!("--timeout 4s hash --key 1 {digest}")).await;
    let hash = late.transaction();
    late.refused(1, &["no answer within 4s", &format!("--asked {hash}"), "answers to signature-1: 0"]);
    let expired = scene.asker.asks(&format!("--asked {hash} hash --key 1 {digest}")).await;
    expired.refused(1, &["signature-1 was rejected"]);
    // Nor is it taken for another wish.
    let other = scene.asker.asks(&format!("--asked {hash} hash --key 1 0x{}", "08".repeat(32))).await;
    other.refused(64, &["--asked: ", "signature-1 on the chain is not what is asked for here"]);

    let rejection = async {
        let RequestId { number, .. } = scene.next_request().await.id;
        let party = &scene.parties[0];
        let message = MsgFulfilSignatureRequest {
            creator: party.address().to_owned(),
            request_id: number,
            status: SignRequestStatus::Rejected.into(),
            keyring_party_signature: party.party_signature(number).to_vec(),
            signed_data: Vec::new(),
            reject_reason: "not today".to_owned(),
        };
        scene.does(party, |seat| tx::sign_messages(party, seat, vec![tx::any(&message)], CHARGE)).await;
    };
    let words = format!("hash --key 1 {digest}");
    let rejected = meanwhile(scene.asker.asks(&words), rejection).await;
    rejected.refused(1, &["signature-2 was rejected", "not today"]);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_paid() {
    let scene = Scene::new(600).await;
    scene.key("ed25519").await;
    let before = scene.chain.balance(account(USER).address()).await.unwrap().value;
    let (keyring, workspace) = (scene.keyring.clone(), scene.workspace.clone());
    let tx = "--destination eip155:1 --to 0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421 --value 1 --nonce 0 --gas-price 1 --gas-limit 21000";
    let refused: &[(&str, i32, &[&str])] = &[
        ("key --type ecdsa", 64, &["--keyring is missing"]),
        (&format!("key --type ecdsa --keyring {keyring}"), 64, &["--workspace is missing"]),
        (&format!("key --type ecdsa --keyring {keyring} --workspace w"), 64, &["--workspace: workspace w is not"]),
        (
            &format!("key --type ecdsa --keyring k --workspace {workspace}"),
            64,
            &["--keyring: the chain has no keyring k"],
        ),
        (&format!("--spend-max 1 key --type ecdsa --keyring {keyring} --workspace {workspace}"), 64, &["--spend-max"]),
        ("hash 0x00", 64, &["--key is missing"]),
        ("hash --key 9 0x00", 64, &["--key: the chain has no key 9"]),
        ("hash --key 1 0x", 64, &["signs a message of 1 to 999 bytes; these are 0"]),
        ("hash --key 1 --index 0 0x00", 64, &["--index is for a contract"]),
        (&format!("tx --key 1 {tx}"), 64, &["--key", "only ecdsa keys"]),
        (
            "simple --index 0 --destination eip155:1 --to 0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421 --value 1",
            64,
            &["ask for tx"],
        ),
        ("--unfinal hash --key 1 0x00", 64, &["--unfinal goes with --evm"]),
        ("--timeout 0s hash --key 1 0x00", 64, &["--timeout"]),
    ];
    for (words, code, said) in refused {
        scene.asker.asks(words).await.refused(*code, said);
    }
    let poor = Asker::new([0x45; 32], &["--zrchain", &scene.urls, "--chain-id", CHAIN]);
    poor.asks("hash --key 1 0x00").await.refused(64, &["--key: workspace", "is not one of"]);
    let elsewhere = ["--zrchain", &scene.urls, "--chain-id", "mainnet", "look", "--keyring", &keyring];
    run(&elsewhere).await.refused(1, &["it serves chain \"zenrock\", not mainnet"]);
    assert_eq!(scene.chain.balance(account(USER).address()).await.unwrap().value, before);

    let here = ["--zrchain", &scene.urls, "--chain-id", CHAIN, "--json", "look", "--keyring", &keyring];
    let facts = run(&here).await.answer();
    assert_eq!((&facts["answers_needed"], &facts["active"]), (&json!(2), &json!(true)));
    assert_eq!(facts["parties"], json!(scene.parties.iter().map(PartyAccount::address).collect::<Vec<_>>()));
}
