//! The chain client against the development chain, over sockets: what each says of the other must fit.

use std::time::Duration;

use chain_client::proto::zrchain::identity::{
    MsgAddKeyringParty, MsgNewKeyring, MsgNewKeyringResponse, MsgNewWorkspace, MsgNewWorkspaceResponse,
};
use chain_client::proto::zrchain::treasury::{
    MsgNewKeyRequest, MsgNewKeyRequestResponse, MsgNewSignatureRequest, MsgNewSignatureRequestResponse,
};
use chain_client::{
    AnswerLoad, Ask, ChainId, Charge, Endpoint, FeePolicy, GasPrice, Height, Hint, KeyType, LowWater, PartyAccount,
    Question, Receipt, Request, RequestId, Seat, Settings, SignedTx, Standing, ZrChain, tx,
};
use devnet::chain::Genesis;
use devnet::faults::{Faults, Lag, Times};
use devnet::server::{Devnet, Options};
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner;
use prost_types::Any;
use sha2::{Digest, Sha256};

const PATIENCE: Duration = Duration::from_secs(20);

fn account(name: &str) -> PartyAccount {
    PartyAccount::from_hex(&hex::encode(Sha256::digest(format!("zrchain test {name}")))).expect("a key")
}

fn chain_id() -> ChainId {
    ChainId::new("zenrock").expect("a name")
}

struct World {
    devnet: Devnet,
    client: ZrChain,
    keyring: String,
    workspace: String,
}

fn connected(devnet: &Devnet, keyring: &str) -> ZrChain {
    let endpoints =
        devnet.endpoints().iter().map(|of| Endpoint::at(&of.url().parse().expect("a url")).expect("an endpoint"));
    let settings =
        Settings { call_timeout: Duration::from_secs(2), pause_min: Duration::from_millis(20), ..Settings::default() };
    ZrChain::new(chain_id(), keyring, endpoints.collect(), settings)
}

async fn submit(devnet: &Devnet, client: &ZrChain, tx: &SignedTx) -> Receipt {
    let hint = client.broadcast(tx).await;
    assert_eq!(hint, Hint::Taken, "{hint:?}");
    devnet.handle().wait_for_transaction(&tx.hash.0, PATIENCE).await.expect("a block");
    client.receipt(tx.hash).await.expect("a reply").expect("a receipt")
}

async fn seat(client: &ZrChain, who: &PartyAccount) -> Seat {
    let facts = client.account(who.address()).await.expect("a reply").value.expect("an account");
    Seat { chain: chain_id(), account_number: facts.number, sequence: facts.sequence }
}

async fn do_as(devnet: &Devnet, client: &ZrChain, name: &str, message: Any) -> Receipt {
    let who = account(name);
    let tx = tx::sign_messages(
        &who,
        &seat(client, &who).await,
        vec![message],
        Charge { gas_limit: 8_000_000, fee_urock: 20_000_000 },
    );
    let receipt = submit(devnet, client, &tx).await;
    assert_eq!(receipt.code, 0, "{}", receipt.log);
    receipt
}

impl World {
    async fn new(endpoints: usize) -> Self {
        let loopback = "127.0.0.1:0".parse().expect("an address");
        let options = Options {
            block_interval: Duration::from_millis(30),
            endpoints: vec![loopback; endpoints],
            ..Options::default()
        };
        let genesis = include_str!("../../chain-client/tests/fixtures/zrchain/genesis.json");
        let mut genesis: Genesis = serde_json::from_str(genesis).expect("a genesis");
        genesis.treasury_params.default_btl = 150;
        let devnet = Devnet::start(&genesis, options).await.expect("starts");
        devnet.handle().wait_for_height(1, PATIENCE).await.expect("a block");
        let client = connected(&devnet, "none");
        let admin = account("admin").address().to_owned();
        let message = MsgNewKeyring {
            creator: admin.clone(),
            description: "ours".into(),
            party_threshold: 2,
            key_req_fee: 75,
            sig_req_fee: 50,
            delegate_fees: false,
        };
        let receipt = do_as(&devnet, &client, "admin", tx::any(&message)).await;
        let keyring = receipt.response::<MsgNewKeyringResponse>().expect("a response").addr;
        for party in ["party1", "party2", "party3"] {
            let message = MsgAddKeyringParty {
                creator: admin.clone(),
                keyring_addr: keyring.clone(),
                party: account(party).address().into(),
                increase_threshold: false,
            };
            do_as(&devnet, &client, "admin", tx::any(&message)).await;
        }
        let message = MsgNewWorkspace { creator: account("alice").address().into(), ..Default::default() };
        let receipt = do_as(&devnet, &client, "alice", tx::any(&message)).await;
        let workspace = receipt.response::<MsgNewWorkspaceResponse>().expect("a response").addr;
        let client = connected(&devnet, &keyring);
        Self { devnet, client, keyring, workspace }
    }

    async fn ask_key(&self, key_type: &str) -> RequestId {
        let message = MsgNewKeyRequest {
            creator: account("alice").address().into(),
            workspace_addr: self.workspace.clone(),
            keyring_addr: self.keyring.clone(),
            key_type: key_type.into(),
            ..Default::default()
        };
        let receipt = do_as(&self.devnet, &self.client, "alice", tx::any(&message)).await;
        RequestId::key(receipt.response::<MsgNewKeyRequestResponse>().expect("a response").key_req_id)
    }

    async fn ask_signatures(&self, key_ids: Vec<u64>, items: &[&[u8]]) -> RequestId {
        let data_for_signing = items.iter().map(hex::encode).collect::<Vec<_>>().join(",");
        let message = MsgNewSignatureRequest {
            creator: account("alice").address().into(),
            key_ids,
            data_for_signing,
            ..Default::default()
        };
        let receipt = do_as(&self.devnet, &self.client, "alice", tx::any(&message)).await;
        RequestId::signature(receipt.response::<MsgNewSignatureRequestResponse>().expect("a response").sig_req_id)
    }

    async fn open(&self) -> Vec<Request> {
        self.client.open_requests(LowWater::default()).await.expect("a scan").value.requests
    }

    /// Answers one open request as a party would; returns what it took.
    async fn answer(&self, party: &str, request: &Request) -> (u64, u64) {
        let question = match &request.ask {
            Ask::Key { key_type, .. } => Question::Key(*key_type),
            Ask::Signature { key, key_type, payload } => {
                let key = self.client.key(*key, None).await.expect("a reply").value.expect("a key");
                Question::Signature { key_type: *key_type, public_key: key.public_key, payload: payload.clone() }
            }
            Ask::Group { .. } => panic!("a parent is never answered"),
        };
        let secp = SigningKey::from_slice(&[7; 32]).expect("a key");
        let ed = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let raw = match &question {
            Question::Key(KeyType::EddsaEd25519) => ed.verifying_key().to_bytes().to_vec(),
            Question::Key(_) => secp.verifying_key().to_encoded_point(true).as_bytes().to_vec(),
            Question::Signature { key_type: KeyType::EddsaEd25519, payload, .. } => {
                ed25519_dalek::Signer::sign(&ed, payload).to_bytes().to_vec()
            }
            Question::Signature { payload, .. } => {
                let signature: k256::ecdsa::Signature = secp.sign_prehash(payload).expect("a signature");
                signature.to_bytes().to_vec()
            }
        };
        let answer = question.canonical(&raw).expect("it verifies");
        let parent = match request.parent {
            Some(id) => self.client.request(id, None).await.expect("a reply").value,
            None => None,
        };
        let keyring = self.client.keyring().await.expect("a reply").value.expect("a keyring");
        let price =
            GasPrice::parse(&self.client.treasury().await.expect("a reply").value.min_gas_price).expect("a price");
        let load = AnswerLoad::of(request, parent.as_ref(), &keyring).expect("a load");
        let charge =
            FeePolicy { floor_urock: 0, ceiling_urock: 1_000_000 }.charge(load.gas_limit(), price).expect("a charge");
        let who = account(party);
        let tx = tx::answer(&who, &seat(&self.client, &who).await, request.id, &answer, charge);
        let receipt = submit(&self.devnet, &self.client, &tx).await;
        assert_eq!(receipt.code, 0, "{}", receipt.log);
        let standing = self.client.standing(request.id).await.expect("a reply").value;
        assert!(standing.names(who.address()), "{standing:?}");
        let (Standing::Open { shown, .. } | Standing::Fulfilled { shown, .. }) = &standing else {
            panic!("{standing:?}")
        };
        assert!(!shown.is_empty() && answer.agrees_with(shown), "{standing:?}");
        assert_eq!(self.client.broadcast(&tx).await, Hint::Known, "the same bytes again");
        (receipt.gas_used, load.gas_limit())
    }
}

#[tokio::test]
async fn requests_of_every_kind_are_found_answered_and_fulfilled() {
    let world = World::new(1).await;
    let mut keys = Vec::new();
    for key_type in ["ecdsa", "ed25519", "bitcoin"] {
        // Some ids are reserved: ask until one is not.
        loop {
            let id = world.ask_key(key_type).await;
            let open = world.open().await;
            assert_eq!(open.iter().map(|of| of.id).collect::<Vec<_>>(), [id]);
            assert!(open[0].deadline.is_some());
            for party in ["party1", "party2"] {
                let open = world.open().await;
                let (used, limit) = world.answer(party, &open[0]).await;
                assert!(used < limit, "{used} of {limit}");
            }
            assert!(world.open().await.is_empty());
            if ![2..=12, 16..=19].iter().any(|reserved| reserved.contains(&id.number)) {
                keys.push(id.number);
                break;
            }
        }
    }
    let digest: Vec<_> = (0..6u8).map(|at| Sha256::digest([at]).to_vec()).collect();
    let [ecdsa, ed, bitcoin] = keys[..] else { panic!("three keys") };
    let long = vec![5; 999];
    let cases: [(Vec<u64>, Vec<&[u8]>); 4] = [
        (vec![ecdsa], vec![&digest[0]]),
        (vec![ed], vec![&long]),
        (vec![bitcoin], vec![&digest[1]]),
        (vec![bitcoin; 6], digest.iter().map(Vec::as_slice).collect()),
    ];
    for (key_ids, items) in cases {
        let id = world.ask_signatures(key_ids, &items).await;
        let before = world.client.request(id, None).await.expect("a reply").value.expect("a request");
        let waiting: Vec<_> = world.open().await.into_iter().filter(|of| !of.is_parent()).collect();
        assert_eq!(waiting.len(), items.len());
        for request in &waiting {
            for party in ["party1", "party3"] {
                let shown = world.client.request(request.id, None).await.expect("a reply").value.expect("a request");
                let (used, limit) = world.answer(party, &shown).await;
                assert!(used < limit, "{used} of {limit}");
            }
        }
        let standing = world.client.standing(id).await.expect("a reply").value;
        assert!(
            matches!(&standing, Standing::Fulfilled { shown, .. } if shown.len() == items.len()),
            "{standing:?} {before:?}"
        );
    }
    world.devnet.stop().await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_expires_and_leaves_the_scan() {
    let world = World::new(1).await;
    let id = world.ask_key("ecdsa").await;
    let scan = world.client.open_requests(LowWater::default()).await.expect("a scan");
    let deadline = scan.value.requests[0].deadline.expect("a deadline");
    let created = world.client.creation_height(id, Height(1), scan.height).await.expect("a height");
    let lifetime = world.client.treasury().await.expect("a reply").value.lifetime_blocks;
    assert_eq!((created.after(lifetime), lifetime), (deadline, 150));
    world.devnet.handle().wait_for_height(deadline.0 + 1, PATIENCE).await.expect("blocks");
    let standing = world.client.standing(id).await.expect("a reply").value;
    assert!(matches!(&standing, Standing::Rejected { key: None, .. }), "{standing:?}");
    assert!(world.open().await.is_empty());
    assert_eq!(world.client.request(RequestId::key(999), None).await.expect("a reply").value, None);
    assert_eq!(world.client.request(RequestId::signature(999), None).await.expect("a reply").value, None);
    assert_eq!(world.client.key(999, None).await.expect("a reply").value, None);
    assert_eq!(
        world.client.workspace_owners("workspace10j06zdk5gyl6v9ekzwem0v9", None).await.expect("a reply").value,
        None
    );
    assert_eq!(world.client.account("zen13y3tm68gmu9kntcxwvmue82p6akacnpt2v7nty").await.expect("a reply").value, None);
    assert_eq!(world.client.block(Height(1 << 40)).await.expect("a reply"), None);
    world.devnet.stop().await;
}

#[tokio::test]
async fn lags_losses_and_failures_of_endpoints_are_survived() {
    let world = World::new(2).await;
    let (devnet, client) = (&world.devnet, &world.client);
    let who = account("party1");
    // Lost after inclusion: the other node says what it knows, and the reading shows the spent sequence.
    devnet.endpoints()[0].faults.set(Faults { lose_broadcast_answers: Times::Always, ..Faults::default() });
    let place = seat(client, &who).await;
    let tx = tx::nothing(&who, &place, Charge { gas_limit: 125_000, fee_urock: 13 });
    let hint = client.broadcast(&tx).await;
    assert!(matches!(hint, Hint::Known | Hint::Unknown { .. } | Hint::Taken), "{hint:?}");
    devnet.handle().wait_for_height(devnet.handle().height() + 2, PATIENCE).await.expect("blocks");
    let reading = client.reading(who.address(), RequestId::key(999)).await.expect("a reading");
    assert_eq!((reading.account().sequence, reading.standing()), (place.sequence + 1, &Standing::Gone));
    assert_eq!(client.receipt(tx.hash).await.expect("a reply").expect("a receipt").code, 0);
    // A node that lags is left for the other.
    devnet.endpoints()[0].faults.set(Faults { lag: Lag::StuckAt(3), ..Faults::default() });
    client.survey().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    client.survey().await;
    let head = client.head().await.expect("a block");
    assert!(head.height.0 > 3);
    let scan = client.open_requests(LowWater::default()).await.expect("a scan");
    assert!(scan.height.0 > 3);
    // A height that the first has not.
    let found = client.key(999, Some(scan.height)).await.expect("a reply");
    assert_eq!((found.height, found.value), (scan.height, None));
    devnet.endpoints()[0].faults.set(Faults { fail_reads: Times::Always, ..Faults::default() });
    assert!(client.balance(who.address()).await.is_ok());
}
