//! A plain key that holds the MPC role, and plain wallets: they answer a contract in place of a committee, rightly or not.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use chain_client::zrsign::authorisation::{KeyAnswer, SignatureAnswer, canonical};
use chain_client::zrsign::event::{self, Event, SignatureAsked, SignatureKind};
use chain_client::zrsign::evm::{EvmChain, EvmHint, EvmSettings, Finality};
use chain_client::zrsign::name::{Destinations, Proxy, Slot};
use chain_client::zrsign::range::Mark;
use chain_client::zrsign::transaction::{Caps, LegacyTransaction, SimpleTransaction, Surroundings};
use devnet::evm::EvmTown;
use k256::ecdsa::SigningKey;

const PAUSE: Duration = Duration::from_millis(100);
const GWEI: u128 = 1_000_000_000;

pub(crate) fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

pub(crate) fn address_of(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

/// `r‖s‖v`, `v` 0 or 1.
pub(crate) fn sign(key: &SigningKey, digest: B256) -> Bytes {
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    [signature.to_bytes().as_slice(), &[recovery.to_byte()]].concat().into()
}

/// What the holder makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Right,
    /// By a key that is not the wallet's.
    Stranger,
    /// With another recipient than was asked for.
    Diverted,
    /// Relayers are told to send what nobody wanted sent.
    Shouted,
}

pub(crate) struct Keyholder {
    pub(crate) chain: EvmChain,
    proxy: Proxy,
    from: Mark,
    controller: SigningKey,
    /// Pays for answers.
    sender: SigningKey,
}

/// A client of the town's node to which every block is final.
pub(crate) fn at_once(town: &EvmTown) -> EvmChain {
    let endpoint = town.url().parse().unwrap();
    EvmChain::new(town.proxy().chain, &[endpoint], Finality::Depth(0), EvmSettings::default()).unwrap()
}

/// Whose wallet a slot is: one key for each.
pub(crate) fn wallet(slot: &Slot) -> SigningKey {
    let name = keccak256([slot.wallet_id().as_slice(), b"wallet"].concat());
    SigningKey::from_slice(name.as_slice()).unwrap()
}

impl Keyholder {
    /// Takes the role, and begins to read behind the newest block.
    pub(crate) async fn of(town: &EvmTown) -> Self {
        let (controller, sender) = (key(0x11), key(0x12));
        town.grant(address_of(&controller)).await.unwrap();
        town.fund(address_of(&sender), U256::from(10_u64.pow(19))).await.unwrap();
        let chain = at_once(town);
        let head = chain.tips().await.unwrap().head;
        let from = chain.mark(town.proxy().address, head.height).await.unwrap();
        Self { chain, proxy: town.proxy(), from, controller, sender }
    }

    pub(crate) fn controller(&self) -> Address {
        address_of(&self.controller)
    }

    /// Forgets a chain that was taken back.
    pub(crate) async fn begin_anew(&mut self) {
        let height = self.chain.tips().await.unwrap().head.height;
        self.from = self.chain.mark(self.proxy.address, height).await.unwrap();
    }

    /// Waits for one request, and answers it.
    pub(crate) async fn answers(&mut self, manner: Manner) {
        let event = self.next_request().await;
        self.answer(event, manner).await;
    }

    /// The next request of the contract.
    pub(crate) async fn next_request(&mut self) -> Event {
        loop {
            let Some(range) = self.chain.range(self.proxy.address, self.from).await.unwrap() else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let deployment = self.chain.deployment(self.proxy.address, range.mark.hash).await.unwrap();
            self.from = range.mark;
            let logs = range.spans.iter().flat_map(|span| &span.logs);
            let events = logs.filter_map(|log| event::decode(self.proxy, log, deployment.numbers).unwrap());
            let mut requests = events.filter(|event| matches!(event, Event::Key(_) | Event::Signature(_)));
            if let Some(event) = requests.next() {
                assert!(requests.next().is_none(), "tests ask one by one");
                return event;
            }
        }
    }

    pub(crate) async fn answer(&self, event: Event, manner: Manner) {
        let at = self.chain.tips().await.unwrap().head.hash;
        let deployment = self.chain.deployment(self.proxy.address, at).await.unwrap();
        let authorised =
            |digest: B256| canonical(&sign(&self.controller, digest), digest, self.controller.verifying_key()).unwrap();
        let call = match event {
            Event::Key(asked) => {
                let slot = asked.slot;
                let registry = self.chain.wallet(&slot, at).await.unwrap();
                let answer = KeyAnswer {
                    wallet_type: slot.kind.id(),
                    owner: slot.owner,
                    index: slot.index,
                    wallet: slot.kind.address(&wallet(&slot).verifying_key().to_sec1_bytes()).unwrap(),
                    options: registry.options,
                };
                answer.call_data(&authorised(answer.digest(deployment.source)))
            }
            Event::Signature(asked) => {
                let (digest, meta_data) = signed(&asked, manner);
                let by = if manner == Manner::Stranger { key(0x66) } else { wallet(&asked.wallet) };
                let answer = SignatureAnswer {
                    trace: asked.name.trace,
                    owner: asked.wallet.owner,
                    meta_data,
                    signature: sign(&by, digest),
                    broadcast: asked.broadcast != (manner == Manner::Shouted),
                };
                answer.call_data(&authorised(answer.digest(deployment.source)))
            }
            other => panic!("{other:?} is no request"),
        };
        let gas_limit = u64::try_from(deployment.response_gas).unwrap();
        self.send(call, gas_limit).await;
    }

    /// The contract must take it.
    async fn send(&self, data: Bytes, gas_limit: u64) {
        let head = self.chain.tips().await.unwrap().head;
        let account = self.chain.account(address_of(&self.sender), head.hash).await.unwrap();
        let to = TxKind::Call(self.proxy.address);
        let gas_price = u128::from(head.base_fee.unwrap()) * 2 + GWEI / 2;
        let call = LegacyTransaction { nonce: account.nonce, gas_price, gas_limit, to, value: U256::ZERO, data };
        let raw = raw(&self.sender, &call, self.proxy.chain);
        assert!(included(&self.chain, &raw).await, "the contract refuses the answer");
    }
}

/// What a wallet signs for a request, and what is said about it.
fn signed(asked: &SignatureAsked, manner: Manner) -> (B256, Bytes) {
    let destination = || {
        let mut known = Destinations::default();
        known.learn(&format!("eip155:{}", asked.name.proxy.chain));
        known.eip155(asked.destination).unwrap()
    };
    match asked.kind {
        SignatureKind::Hash => (B256::from_slice(&asked.payload), asked.payload.clone()),
        SignatureKind::Transaction => {
            let digest = LegacyTransaction::decode(&asked.payload).unwrap().digest(destination());
            (digest, Bytes::copy_from_slice(digest.as_slice()))
        }
        SignatureKind::Simple => {
            let mut simple = SimpleTransaction::decode(&asked.payload).unwrap();
            if manner == Manner::Diverted {
                simple.to = address_of(&key(0x66));
            }
            // The wallets of these tests have sent nothing but what is said here.
            let at = Surroundings { nonce: 0, base_fee: 2 * GWEI, gas_estimate: 0 };
            let caps = Caps { tip: 0, gas_price_max: 100 * GWEI, gas_limit_max: 100_000 };
            let completed = simple.complete(at, caps).unwrap();
            (completed.digest(destination()), completed.encode())
        }
        SignatureKind::Data => panic!("nobody here asks for that"),
    }
}

fn raw(by: &SigningKey, transaction: &LegacyTransaction, chain: u64) -> Bytes {
    let signature = sign(by, transaction.digest(chain));
    let number = |bytes: &[u8]| U256::from_be_slice(bytes);
    transaction.signed(chain, number(&signature[..32]), number(&signature[32..64]), signature[64])
}

/// Sends bytes and waits for their block; whether they had effect.
pub(crate) async fn included(chain: &EvmChain, raw: &Bytes) -> bool {
    let hint = chain.send(raw).await;
    assert!(matches!(hint, EvmHint::Taken | EvmHint::Known), "{hint:?}");
    loop {
        if let Some(receipt) = chain.receipt(keccak256(raw)).await.unwrap() {
            return receipt.succeeded;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
