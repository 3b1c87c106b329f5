//! The demo's people on an embedded chain, with a stand-in for the keyring: two accounts that sign with keys of their
//! own. What real processes do with the same people is tested where the processes are.

use std::collections::BTreeSet;
use std::time::Duration;

use chain_client::proto::zrchain::treasury::{MsgFulfilSignatureRequest, SignRequestStatus};
use chain_client::tx::{Seat, answer, any, sign_messages};
use chain_client::{
    Ask, ChainId, Charge, Endpoint, Hint, KeyType, LowWater, PartyAccount, Question, Request, RequestId, Settings,
    ZrChain,
};
use devnet::demo::{Admin, Board, Style, Summary, User, genesis};
use devnet::server::{Devnet, Options};
use ed25519_dalek::Signer as _;
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use zeroize::Zeroizing;

const CHAIN: &str = "zenrock";
const PATIENCE: Duration = Duration::from_secs(120);
const CHARGE: Charge = Charge { gas_limit: 2_000_000, fee_urock: 200 };

fn account(byte: u8) -> PartyAccount {
    PartyAccount::from_bytes(&Zeroizing::new([byte; 32])).expect("an account")
}

/// A party of a keyring that makes its answers alone.
struct StandIn {
    chain: ZrChain,
    account: PartyAccount,
    seat: Seat,
    answered: BTreeSet<RequestId>,
    /// Rejects the items of groups, as any account can.
    rejects_groups: bool,
}

impl StandIn {
    async fn new(grpc: &str, keyring: &str, byte: u8) -> Self {
        let id = ChainId::new(CHAIN).expect("a chain");
        let url = grpc.parse().expect("an address");
        let endpoint = Endpoint::at(&url).expect("an endpoint");
        let chain = ZrChain::new(id.clone(), keyring, vec![endpoint], Settings::default());
        let account = account(byte);
        let facts = chain.account(account.address()).await.expect("read").value.expect("funded");
        let seat = Seat { chain: id, account_number: facts.number, sequence: facts.sequence };
        Self { chain, account, seat, answered: BTreeSet::new(), rejects_groups: false }
    }

    async fn serve(mut self) {
        loop {
            let scan = self.chain.open_requests(LowWater::default()).await.expect("read").value;
            for request in scan.requests {
                if !request.is_parent() && self.answered.insert(request.id) {
                    self.handle(&request).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn handle(&mut self, request: &Request) {
        let signed = if self.rejects_groups && request.parent.is_some() {
            let message = MsgFulfilSignatureRequest {
                creator: self.account.address().to_owned(),
                request_id: request.id.number,
                status: SignRequestStatus::Rejected.into(),
                reject_reason: "not today".to_owned(),
                ..Default::default()
            };
            sign_messages(&self.account, &self.seat, vec![any(&message)], CHARGE)
        } else {
            let (question, raw) = self.result(request).await;
            let bytes = question.canonical(&raw).expect("an answer");
            answer(&self.account, &self.seat, request.id, &bytes, CHARGE)
        };
        assert_eq!(self.chain.broadcast(&signed).await, Hint::Taken);
        self.seat.sequence += 1;
    }

    async fn result(&self, request: &Request) -> (Question, Vec<u8>) {
        match &request.ask {
            Ask::Key { key_type, .. } => (Question::Key(*key_type), public(*key_type, request.id.number)),
            Ask::Signature { key, key_type, payload } => {
                let question = Question::Signature {
                    key_type: *key_type,
                    public_key: self.chain.key(*key, None).await.expect("read").value.expect("a key").public_key,
                    payload: payload.clone(),
                };
                (question, sign(*key_type, *key, payload))
            }
            Ask::Group { .. } => panic!("a parent is never answered"),
        }
    }
}

fn secret(number: u64) -> [u8; 32] {
    [u8::try_from(number).expect("a small number"); 32]
}

fn public(key_type: KeyType, number: u64) -> Vec<u8> {
    match key_type {
        KeyType::EddsaEd25519 => {
            ed25519_dalek::SigningKey::from_bytes(&secret(number)).verifying_key().to_bytes().into()
        }
        _ => {
            let key = k256::ecdsa::SigningKey::from_slice(&secret(number)).expect("a key");
            key.verifying_key().to_encoded_point(true).as_bytes().to_vec()
        }
    }
}

fn sign(key_type: KeyType, number: u64, payload: &[u8]) -> Vec<u8> {
    match key_type {
        KeyType::EddsaEd25519 => ed25519_dalek::SigningKey::from_bytes(&secret(number)).sign(payload).to_vec(),
        _ => {
            let key = k256::ecdsa::SigningKey::from_slice(&secret(number)).expect("a key");
            let signature: k256::ecdsa::Signature = key.sign_prehash(payload).expect("a signature");
            signature.to_bytes().to_vec()
        }
    }
}

/// The whole demo with two parties of which `change` makes something else. Gives the summary and what was printed.
async fn play(style: Style, change: impl Fn(&mut StandIn)) -> (Summary, String) {
    let (admin, user, parties) = (account(101), account(102), [103, 104]);
    let people = [("admin", admin.address()), ("user", user.address())];
    let options = Options { block_interval: Duration::from_millis(150), ..Options::default() };
    let devnet = Devnet::start(&genesis(CHAIN, &people), options).await.expect("starts");
    devnet.handle().wait_for_height(1, PATIENCE).await.expect("a block");
    let grpc = devnet.endpoints()[0].url();

    let addresses: Vec<_> = parties.iter().map(|byte| account(*byte).address().to_owned()).collect();
    let mut admin = Admin::connect(&grpc, CHAIN, admin).await.expect("signs in");
    let keyring = admin.make_keyring(&addresses, 2).await.expect("a keyring");
    admin.fund(&addresses, 1_000_000_000).await.expect("funds");

    let mut tasks = tokio::task::JoinSet::new();
    for byte in parties {
        let mut party = StandIn::new(&grpc, &keyring, byte).await;
        assert_eq!(party.chain.keyring().await.expect("read").value.expect("a keyring").party_threshold, 2);
        change(&mut party);
        tasks.spawn(party.serve());
    }
    let mut printed = Vec::new();
    let board = Board::new(&mut printed, style);
    let mut user = User::connect(&grpc, CHAIN, &keyring, user).await.expect("signs in");
    let played = tokio::time::timeout(PATIENCE, user.make_requests(&board)).await.expect("in time");
    played.expect("plays");
    let summary = board.summary().expect("written");
    tasks.shutdown().await;
    devnet.stop().await;
    (summary, String::from_utf8(printed).expect("text"))
}

#[tokio::test]
async fn every_kind_of_request_is_made_answered_and_verified() {
    let (summary, printed) = play(Style::Json, |_| ()).await;
    assert!(summary.is_success(), "{:?}", summary.failed);
    assert_eq!((summary.requests, summary.verified), (11, 11));
    assert_eq!(summary.keys.map(|latency| latency.count), Some(3));
    assert_eq!(summary.signatures.map(|latency| latency.count), Some(8));
    let lines: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let verified = |line: &&serde_json::Value| line["event"] == "request" && line["state"] == "verified";
    assert_eq!(lines.iter().filter(verified).count(), 11);
    let executed = |line: &serde_json::Value| line["text"].as_str().is_some_and(|text| text.contains("executed"));
    assert!(lines.iter().any(executed), "the native transfer is sent and executed");
    assert_eq!(lines.last().expect("a line")["success"], true);
}

#[tokio::test]
async fn a_rejected_group_is_reported_and_is_no_success() {
    let (summary, printed) = play(Style::Lines, |party| party.rejects_groups = true).await;
    assert!(!summary.is_success());
    assert_eq!((summary.requests, summary.verified), (11, 9), "a group and a transfer of two inputs are missing");
    assert!(printed.contains("REJECTED") && printed.contains("NOT ALL WELL"));
    assert!(summary.failed.iter().all(|failed| failed.contains("REJECTED")), "{:?}", summary.failed);
}
