//! The dapp on two real EVM nodes, with a stand-in for the keyring: one program that holds the controller key and the
//! wallets' keys itself. What real processes do with the same dapp is tested where the processes are.

use std::path::Path;
use std::time::Duration;

use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_network::TransactionBuilder as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, address};
use alloy_provider::{Provider as _, ProviderBuilder, RootProvider};
use alloy_rlp::Decodable as _;
use alloy_rpc_types_eth::{BlockNumberOrTag, Filter, TransactionRequest};
use alloy_sol_types::{SolCall, SolEvent as _, sol};
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::names::EVM;
use devnet::demo::{Board, Style, Summary};
use devnet::evm::{Dapp, EvmTown};
use k256::ecdsa::SigningKey;

/// The chains; what the dapp on the first is answered goes to the second.
const CHAINS: [u64; 2] = [31_337, 31_338];
const PATIENCE: Duration = Duration::from_secs(120);
/// An account that the node has unlocked; it sends the answers.
const SENDER: Address = address!("90F79bf6EB2c4f870365E785982E1f101E93b906");
/// The contract's setting for answers, which is also their gas limit.
const ANSWER_GAS: u64 = 200_000;

sol! {
    /// The call that never happens: its data is the payload of a simple transaction.
    function transaction(string to, uint256 value, bytes data);
}

/// A keyring of one.
struct StandIn {
    home: RootProvider,
    destination: RootProvider,
    proxy: Address,
    first_block: u64,
    /// The nonce of every simple transaction, where it is not the wallet's next.
    nonce: Option<u64>,
}

fn provider(town: &EvmTown) -> RootProvider {
    ProviderBuilder::default().connect_http(town.url().parse().expect("an address"))
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).expect("a key")
}

/// The holder of the contract's MPC role.
fn controller() -> SigningKey {
    key(0x11)
}

fn wallet_key(wallet_type: B256) -> SigningKey {
    key(if wallet_type == EVM { 0x22 } else { 0x33 })
}

fn wallet(wallet_type: B256) -> String {
    let key = wallet_key(wallet_type);
    if wallet_type == EVM {
        return Address::from_public_key(key.verifying_key()).to_string();
    }
    let public = bitcoin::CompressedPublicKey::from_slice(&key.verifying_key().to_sec1_bytes()).expect("a key");
    bitcoin::Address::p2wpkh(&public, bitcoin::Network::Testnet).to_string()
}

/// `r‖s‖v`; `v` counts from `from`.
fn sign(key: &SigningKey, digest: B256, from: u8) -> Bytes {
    let (signature, parity) = key.sign_prehash_recoverable(digest.as_slice()).expect("a signature");
    [signature.to_bytes().as_slice(), &[parity.to_byte() + from]].concat().into()
}

impl StandIn {
    async fn serve(self) {
        let mut next = self.first_block;
        loop {
            let head = self.home.get_block_number().await.expect("a node");
            if head >= next {
                let filter = Filter::new().address(self.proxy).from_block(next).to_block(head);
                for log in self.home.get_logs(&filter).await.expect("logs") {
                    if let Ok(asked) = ZrSign::ZrKeyRequest::decode_log(&log.inner) {
                        self.answer_key(&asked).await;
                    } else if let Ok(asked) = ZrSign::ZrSigRequest::decode_log(&log.inner) {
                        self.answer_signature(&asked).await;
                    }
                }
                next = head + 1;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn answer_key(&self, asked: &ZrSign::ZrKeyRequest) {
        let answer = KeyAnswer {
            wallet_type: asked.walletTypeId,
            owner: asked.owner,
            index: asked.walletIndex,
            wallet: wallet(asked.walletTypeId),
            options: asked.options,
        };
        let params = IZrSign::ZrKeyResParams {
            walletTypeId: answer.wallet_type,
            owner: answer.owner,
            walletIndex: answer.index,
            wallet: answer.wallet.clone(),
            options: answer.options,
            authSignature: sign(&controller(), answer.digest(), 27),
        };
        self.send(&ZrSign::zrKeyResCall { params }).await;
    }

    async fn answer_signature(&self, asked: &ZrSign::ZrSigRequest) {
        let (digest, meta_data) = match asked.params.zrSignReqType {
            0 => (B256::from_slice(&asked.params.payload), asked.params.payload.clone()),
            1 => {
                let whole = TxLegacy::decode(&mut asked.params.payload.as_ref()).expect("a transaction");
                let digest = TxLegacy { chain_id: Some(CHAINS[1]), ..whole }.signature_hash();
                (digest, digest.into())
            }
            2 => self.complete(&asked.params.payload).await,
            other => panic!("nobody asks for type {other}"),
        };
        let answer = SignatureAnswer {
            trace: asked.traceId,
            owner: asked.params.owner,
            meta_data,
            signature: sign(&wallet_key(asked.params.walletTypeId), digest, 0),
            broadcast: asked.params.broadcast,
        };
        let params = IZrSign::SignResParams {
            traceId: answer.trace,
            owner: answer.owner,
            metaData: answer.meta_data.clone(),
            signature: answer.signature.clone(),
            broadcast: answer.broadcast,
            authSignature: sign(&controller(), answer.digest(), 27),
        };
        self.send(&ZrSign::zrSignResCall { params }).await;
    }

    /// What is signed of a simple transaction, and the transaction that was made of it.
    async fn complete(&self, payload: &[u8]) -> (B256, Bytes) {
        let asked = transactionCall::abi_decode(payload).expect("call data");
        let account = wallet(EVM).parse().expect("an address");
        let next = self.destination.get_transaction_count(account).await.expect("a node");
        let mut whole = TxLegacy {
            chain_id: Some(0),
            nonce: self.nonce.unwrap_or(next),
            gas_price: 3_000_000_000,
            gas_limit: 21_000,
            to: TxKind::Call(asked.to.parse().expect("an address")),
            value: asked.value,
            input: asked.data,
        };
        let mut nine_items = Vec::new();
        whole.encode_for_signing(&mut nine_items);
        whole.chain_id = Some(CHAINS[1]);
        (whole.signature_hash(), nine_items.into())
    }

    async fn send(&self, call: &impl SolCall) {
        // Between the base fee and the band of prices at which the contract's refund panics.
        let block = self.home.get_block_by_number(BlockNumberOrTag::Latest).await.expect("a node").expect("a block");
        let price = u128::from(block.header.base_fee_per_gas.expect("a base fee")) * 6 / 5;
        let mut request = TransactionRequest::default()
            .with_from(SENDER)
            .with_to(self.proxy)
            .with_input(call.abi_encode())
            .with_gas_limit(ANSWER_GAS)
            .with_gas_price(price);
        request.transaction_type = Some(0);
        let hash = *self.home.send_transaction(request).await.expect("sent").tx_hash();
        loop {
            if let Some(receipt) = self.home.get_transaction_receipt(hash).await.expect("a node") {
                assert!(receipt.status(), "the contract takes the answer");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The whole of what a dapp asks, answered by a stand-in. Gives the summary and what was printed.
async fn play(nonce: Option<u64>) -> (Summary, String) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = EvmTown::start(CHAINS[0], &CHAINS, folder).await.expect("a node");
    let destination = EvmTown::start(CHAINS[1], &CHAINS, folder).await.expect("a node");
    home.grant(Address::from_public_key(controller().verifying_key())).await.expect("granted");
    let stand_in = StandIn {
        home: provider(&home),
        destination: provider(&destination),
        proxy: home.proxy().address,
        first_block: home.first_block(),
        nonce,
    };
    let mut printed = Vec::new();
    let board = Board::new(&mut printed, Style::Lines);
    let mut dapp = Dapp::open(&home, &destination).await.expect("a consumer");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(stand_in.serve());
    let played = tokio::time::timeout(PATIENCE, dapp.make_requests(&board)).await.expect("in time");
    played.expect("plays");
    let summary = board.summary().expect("written");
    tasks.shutdown().await;
    drop(board);
    (summary, String::from_utf8(printed).expect("text"))
}

#[tokio::test]
async fn every_kind_of_request_is_answered_verified_and_executed() {
    let (summary, printed) = play(None).await;
    assert!(summary.is_success(), "{printed}");
    assert_eq!((summary.requests, summary.verified), (6, 6));
    for nonce in ["nonce 0, executed in block", "nonce 1, executed in block"] {
        assert!(printed.contains(nonce), "{printed}");
    }
}

#[tokio::test]
async fn a_transaction_that_was_completed_with_a_spent_nonce_is_no_success() {
    let (summary, printed) = play(Some(0)).await;
    assert_eq!((summary.requests, summary.verified), (6, 5), "{printed}");
    assert!(printed.contains("FULFILLED BUT WRONG") && printed.contains("NOT ALL WELL"), "{printed}");
    assert!(summary.failed[0].contains("its nonce is 0, and the wallet's next is 1"), "{:?}", summary.failed);
}
