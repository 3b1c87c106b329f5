//! Contracts on a real EVM node, which makes a block each second and calls one final after four.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use chain_client::zrsign::event::Event;
use chain_client::zrsign::evm::EvmChain;
use chain_client::zrsign::name::{Slot, WalletKind};
use devnet::evm::EvmTown;
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::asker::{Asker, Ended, meanwhile, run};
use crate::keyholder::{Keyholder, Manner, address_of, at_once, included, key, wallet};

const CHAIN: u64 = 31_337;
const USER: u8 = 0x44;
const RECIPIENT: &str = "0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421";
const HASH: &str = "0x2a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0";

struct Scene {
    town: EvmTown,
    asker: Asker,
    keyholder: Keyholder,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Futures of EVM clients are too large for the stack of a test.
        let town = EvmTown::start(CHAIN, &[CHAIN], folder.path()).boxed().await.unwrap();
        let keyholder = Keyholder::of(&town).boxed().await;
        let (url, proxy) = (town.url(), town.proxy().to_string());
        let asker = Asker::new([USER; 32], &["--evm", &url, "--proxy", &proxy]);
        town.fund(Self::user(), ether()).boxed().await.unwrap();
        Self { town, asker, keyholder, _folder: folder }
    }

    fn user() -> Address {
        address_of(&key(USER))
    }

    fn slot(&self, kind: WalletKind, index: u64) -> Slot {
        Slot { proxy: self.town.proxy(), kind, owner: Self::user(), index: U256::from(index) }
    }

    /// Asks, and is answered.
    async fn answered(&mut self, words: &str, manner: Manner) -> Ended {
        meanwhile(self.asker.asks(words), self.keyholder.answers(manner)).boxed().await
    }

    async fn gets(&mut self, words: &str) -> Value {
        self.answered(&format!("--json {words}"), Manner::Right).await.answer()
    }

    /// How many transactions the asker has sent.
    async fn nonce(&self) -> u64 {
        let chain = at_once(&self.town);
        let head = chain.tips().await.unwrap().head.hash;
        chain.account(Self::user(), head).await.unwrap().nonce
    }
}

fn ether() -> U256 {
    U256::from(10).pow(U256::from(18))
}

fn text<'a>(facts: &'a Value, name: &str) -> &'a str {
    facts[name].as_str().unwrap_or_else(|| panic!("{name} in {facts}"))
}

fn signature_is_of(facts: &Value, slot: &Slot, digest: B256) {
    assert_eq!(text(facts, "digest"), digest.to_string());
    let bytes = hex::decode(text(facts, "signature")).unwrap();
    let signature = k256::ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
    let recovery = k256::ecdsa::RecoveryId::from_byte(bytes[64]).unwrap();
    let found = k256::ecdsa::VerifyingKey::recover_from_prehash(digest.as_slice(), &signature, recovery).unwrap();
    assert_eq!(found, *wallet(slot).verifying_key());
    assert_eq!(text(facts, "address"), slot.kind.address(&found.to_sec1_bytes()).unwrap());
}

/// Takes a signed transaction to its chain, from a wallet that was given something to send.
async fn carried(scene: &Scene, chain: &EvmChain, facts: &Value) {
    scene.town.fund(text(facts, "address").parse().unwrap(), ether()).boxed().await.unwrap();
    let raw: Bytes = text(facts, "raw_transaction").parse().unwrap();
    assert_eq!(text(facts, "transaction_hash"), keccak256(&raw).to_string());
    assert!(included(chain, &raw).await);
}

async fn balance(chain: &EvmChain, account: &str) -> U256 {
    let head = chain.tips().await.unwrap().head.hash;
    chain.account(account.parse().unwrap(), head).await.unwrap().balance
}

/// Everything in final blocks, as people get it when they give no other wish.
#[tokio::test]
async fn a_key_and_a_hash_are_asked_for_and_verified_in_final_blocks() {
    let mut scene = Scene::new().await;
    let slot = scene.slot(WalletKind::Evm, 0);
    let told = scene.answered("key --wallet evm", Manner::Right).await;
    assert_eq!(told.code, Some(0), "{}", told.err);
    let address = slot.kind.address(&wallet(&slot).verifying_key().to_sec1_bytes()).unwrap();
    for line in [
        format!("contract            {}", scene.town.proxy()),
        format!("code hash           {}", scene.town.code_hash()),
        format!("owner               {}", Scene::user()),
        "wallet              evm".to_owned(),
        "index               0".to_owned(),
        format!("asking transaction  {}", told.transaction()),
        "final               yes".to_owned(),
        format!("address             {address}"),
    ] {
        assert!(told.out.lines().any(|shown| shown == line), "{line} is not in\n{}", told.out);
    }
    // What was paid beyond the need has come back with the answer: more is gone for gas than for anything else.
    assert!(told.err.contains("paying 500000000000000 wei, and "), "{}", told.err);

    let facts = scene.gets(&format!("hash --wallet evm --index 0 {HASH}")).await;
    signature_is_of(&facts, &slot, HASH.parse().unwrap());
    assert_eq!((text(&facts, "trace"), &facts["final"]), ("0", &json!(true)));
    assert_eq!(text(&facts, "destination"), "eip155:31337", "the wallet's own chain, where none is named");
    let (asked, answered) = (&facts["asked_in_block"], &facts["answered_in_block"]);
    assert!(asked.as_u64() < answered.as_u64(), "{facts}");
}

#[tokio::test]
async fn transactions_are_ready_for_their_chain_and_do_what_was_asked() {
    let mut scene = Scene::new().await;
    let chain = at_once(&scene.town);
    let slot = scene.slot(WalletKind::Evm, 0);
    let key = scene.gets("--unfinal key --wallet evm --options 2").await;
    assert_eq!(key["final"], json!(false));

    // The responder adds nonce and gas.
    let simple =
        format!("simple --index 0 --destination eip155:{CHAIN} --to {RECIPIENT} --value 0.001ether --broadcast");
    let facts = scene.gets(&format!("--unfinal {simple}")).await;
    assert_eq!((text(&facts, "trace"), text(&facts, "to"), &facts["nonce"]), ("0", RECIPIENT, &json!(0)));
    signature_is_of(&facts, &slot, text(&facts, "digest").parse().unwrap());
    carried(&scene, &chain, &facts).await;
    assert_eq!(balance(&chain, RECIPIENT).await, U256::from(10_u64.pow(15)));

    let fields = "--nonce 1 --gas-price 20gwei --gas-limit 30000 --value 1000 --data 0xc0ffee";
    let facts =
        scene.gets(&format!("--unfinal tx --index 0 --destination eip155:{CHAIN} --to {RECIPIENT} {fields}")).await;
    assert_eq!((text(&facts, "gas_price_wei"), text(&facts, "data")), ("20000000000", "0xc0ffee"));
    carried(&scene, &chain, &facts).await;
    assert_eq!(balance(&chain, RECIPIENT).await, U256::from(10_u64.pow(15) + 1_000));

    // Other wallets sign hashes, for chains that they name or need not name.
    let slot = scene.slot(WalletKind::BitcoinTestnet, 0);
    scene.gets("--unfinal key --wallet btc-testnet").await;
    let facts = scene.gets(&format!("--unfinal hash --wallet btc-testnet --index 0 {HASH}")).await;
    signature_is_of(&facts, &slot, HASH.parse().unwrap());
    assert!(text(&facts, "address").starts_with("tb1q"), "{facts}");
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_not_printed() {
    let mut scene = Scene::new().await;
    scene.gets("--unfinal key --wallet evm --options 2").await;
    let hash = format!("--unfinal hash --wallet evm --index 0 {HASH}");
    let wrong = scene.answered(&hash, Manner::Stranger).await;
    let stranger = address_of(&key(0x66)).to_string();
    wrong.refused(1, &["DO NOT USE the answer to signature request 0", &stranger]);
    let fields = format!("--destination eip155:{CHAIN} --to {RECIPIENT} --value 1000");
    let simple = format!("--unfinal --json simple --index 0 {fields}");
    let wrong = scene.answered(&simple, Manner::Diverted).await;
    wrong.refused(1, &["DO NOT USE the answer to signature request 1", "another recipient", &stranger, RECIPIENT]);
    let wrong = scene.answered(&simple, Manner::Shouted).await;
    wrong.refused(1, &["DO NOT USE the answer to signature request 2", "broadcast = true"]);
}

#[tokio::test]
async fn who_waits_too_long_is_told_how_to_go_on_and_pays_once() {
    let mut scene = Scene::new().await;
    let late = scene.asker.asks("--unfinal --timeout 8s key --wallet evm").await;
    let hash = late.transaction();
    late.refused(1, &["no answer within 8s", &format!("--asked {hash}"), "the key of wallet 0"]);
    // The same slot again would be paid for nothing.
    let again = scene.asker.asks("--unfinal key --wallet evm").await;
    again.refused(1, &["this call has asked nothing and paid nothing", "wallet 0", "--asked"]);
    // A transaction that asked for something else is not taken for this wish.
    let other = scene.asker.asks(&format!("--unfinal --asked {hash} key --wallet btc-testnet")).await;
    other.refused(64, &["--asked: ", "holds no such request"]);
    scene.keyholder.answers(Manner::Right).boxed().await;
    let facts = scene.asker.gets(&format!("--unfinal --asked {hash} key --wallet evm")).await;
    assert_eq!(text(&facts, "asking_transaction"), hash);
    assert_eq!(scene.nonce().await, 1);
}

/// The head is taken back, and the request with it. Its bytes are sent again, and stand in another block.
#[tokio::test]
async fn a_request_that_the_head_loses_is_asked_again_by_the_same_bytes() {
    let mut scene = Scene::new().await;
    scene.gets("--unfinal key --wallet evm").await;
    // The key stays.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let words = format!("--unfinal --json hash --wallet evm --index 0 {HASH}");
    let asked = scene.asker.asks(&words);
    let lost = async {
        let Event::Signature(unanswered) = scene.keyholder.next_request().await else { panic!("a hash is asked for") };
        // Time enough for the asker to see the block, which then goes, with one that may come meanwhile.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let head = scene.keyholder.chain.tips().await.unwrap().head.height;
        let depth = head - unanswered.name.at.height + 2;
        let reply = rpc(&scene.town, "anvil_reorg", json!([depth, []])).await;
        assert!(reply.get("error").is_none(), "{reply}");
        scene.keyholder.begin_anew().await;
        scene.keyholder.answers(Manner::Right).await;
    };
    let ended = meanwhile(asked, lost).boxed().await;
    assert!(ended.err.contains("the head was taken back"), "{}", ended.err);
    let hash = ended.transaction();
    let facts = ended.answer();
    assert_eq!(text(&facts, "asking_transaction"), hash);
    assert_eq!(text(&facts, "trace"), "0", "the number that went with the block is given anew");
    assert_eq!(scene.nonce().await, 2);
}

/// The proxy's admin exchanges the code while somebody waits.
#[tokio::test]
async fn other_code_behind_the_proxy_is_not_believed_before_it_is_listed() {
    let mut scene = Scene::new().await;
    let before = scene.town.code_hash();
    let asked = scene.asker.asks("--unfinal key --wallet evm");
    let exchanged = async {
        let request = scene.keyholder.next_request().await;
        exchange_code(&scene.town).await;
        scene.keyholder.answer(request, Manner::Right).await;
    };
    let (refused, ()) = tokio::join!(asked, exchanged.boxed());
    let chain = at_once(&scene.town);
    let head = chain.tips().await.unwrap().head.hash;
    let after = chain.code(scene.town.proxy().address, head).await.unwrap().unwrap().code_hash;
    let hash = refused.transaction();
    refused.refused(1, &[&format!("code {after} ran"), "--code", &format!("--asked {hash}")]);
    let facts = scene.asker.gets(&format!("--unfinal --code {before},{after} --asked {hash} key --wallet evm")).await;
    assert_eq!(text(&facts, "code_hash"), after.to_string());
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_paid() {
    let mut scene = Scene::new().await;
    scene.gets("--unfinal key --wallet evm").await;
    let tx = format!(
        "tx --index 0 --destination eip155:{CHAIN} --to {RECIPIENT} --value 1 --nonce 0 --gas-price 1 --gas-limit 21000"
    );
    let simple = format!("simple --index 0 --destination eip155:{CHAIN} --to {RECIPIENT} --value 1");
    let stranger = address_of(&key(0x66));
    let refused: &[(&str, i32, &[&str])] = &[
        ("key", 64, &["--wallet is missing"]),
        ("key --wallet evm --keyring k", 64, &["--keyring is for a zrChain"]),
        ("key --wallet evm --options 0", 64, &["--options"]),
        ("key --wallet btc", 64, &["--wallet", "wallet type"]),
        ("--chain-id zenrock key --wallet evm", 64, &["--chain-id goes with --zrchain"]),
        ("hash --wallet evm --index 0 0x0102", 64, &["a hash has 32 bytes, this has 2"]),
        (&format!("hash --wallet evm --index 1 {HASH}"), 64, &["--index", "no wallet 1"]),
        (&format!("hash --wallet evm --index 0 --destination eip155:5 {HASH}"), 64, &["--destination"]),
        (&format!("{tx} --wallet btc"), 64, &["--wallet must be evm"]),
        (
            &tx.replace("eip155:31337", "bip122:000000000019d6689c085ae165831e93"),
            64,
            &["--destination", "no EVM chain"],
        ),
        (&simple, 64, &["--index", "options below 2"]),
        ("--spend-max 1 key --wallet evm", 64, &["--spend-max", "allowed are 1"]),
        (&format!("--code {HASH} key --wallet evm"), 64, &["--code", "not listed"]),
        (&format!("--controller {stranger} key --wallet evm"), 64, &["--controller", &stranger.to_string()]),
        ("--evm http://127.0.0.1:1 key --wallet evm", 1, &["did not answer"]),
        ("--evm nowhere key --wallet evm", 64, &["--evm"]),
    ];
    for (words, code, said) in refused {
        scene.asker.asks(words).await.refused(*code, said);
    }
    scene.asker.set_mode(0o640);
    scene.asker.asks("key --wallet evm").await.refused(64, &["chmod 600"]);
    let proxy = scene.town.proxy().to_string();
    let (url, elsewhere) = (scene.town.url(), proxy.replace("31337", "1"));
    let poor = Asker::new([0x55; 32], &["--evm", &url, "--proxy", &proxy]);
    poor.asks("key --wallet evm").await.refused(1, &["holds 0 wei", "fund it"]);
    run(&["--evm", &url, "--proxy", &elsewhere, "look"]).await.refused(1, &["it serves chain 31337, not 1"]);
    let nobody = format!("eip155:{CHAIN}/{stranger}");
    run(&["--evm", &url, "--proxy", &nobody, "look"]).await.refused(64, &["--proxy", "no proxy"]);
    run(&["look"]).await.refused(64, &["--evm", "--zrchain"]);
    assert_eq!(scene.nonce().await, 1, "one key, and nothing else");
}

#[tokio::test]
async fn a_look_costs_nothing_and_shows_whom_one_would_ask() {
    let scene = Scene::new().await;
    let (url, proxy, controller) =
        (scene.town.url(), scene.town.proxy().to_string(), scene.keyholder.controller().to_string());
    let code = scene.town.code_hash().to_string();
    // Two addresses of one node: both must say the same.
    let two = format!("{url},{}", url.replace("127.0.0.1", "localhost"));
    let words = ["--evm", &two, "--proxy", &proxy, "--controller", &controller, "--code", &code, "--json", "look"];
    let facts = run(&words).await.answer();
    assert_eq!((text(&facts, "contract"), text(&facts, "code_hash")), (proxy.as_str(), code.as_str()));
    assert_eq!((text(&facts, "trusts_controller"), text(&facts, "version")), (controller.as_str(), "1"));
    assert_eq!((text(&facts, "fee_wei"), &facts["paused"]), ("500000000000000", &json!(false)));
    assert!(facts["head"].as_u64() >= facts["final_block"].as_u64());
}

/// Puts code behind the proxy that does the same and is not the same.
async fn exchange_code(town: &EvmTown) {
    let chain = at_once(town);
    let head = chain.tips().await.unwrap().head.hash;
    let proxy = town.proxy().address;
    let old = chain.code(proxy, head).await.unwrap().unwrap().implementation;
    let new = Address::repeat_byte(0x77);
    let code = rpc(town, "eth_getCode", json!([old, "latest"])).await;
    let code = format!("{}00", code["result"].as_str().unwrap());
    rpc(town, "anvil_setCode", json!([new, code])).await;
    // `upgradeTo`, by the proxy's admin.
    let data = format!("0x3659cfe6{}", hex::encode(new.into_word()));
    let from = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    let upgrade = json!([{ "from": from, "to": proxy, "data": data, "gas": "0x30d40", "gasPrice": "0xee6b2800" }]);
    let sent = rpc(town, "eth_sendTransaction", upgrade).await;
    let hash: B256 = sent["result"].as_str().unwrap_or_else(|| panic!("{sent}")).parse().unwrap();
    while chain.receipt(hash).await.unwrap().is_none_or(|receipt| !receipt.succeeded) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What only this kind of node answers.
async fn rpc(town: &EvmTown, method: &str, params: Value) -> Value {
    let url = town.url();
    let host = url.strip_prefix("http://").unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (_, body) = reply.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {reply}"))
}
