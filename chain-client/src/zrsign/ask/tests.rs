use super::*;
use crate::zrsign::event::{self, TypeNumbers};
use crate::zrsign::revert::Revert;
use crate::zrsign::transaction::PayloadError;
use alloy_primitives::{TxKind, address, b256, bytes};
use alloy_sol_types::SolError as _;
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

const PROXY: Proxy = Proxy { chain: 31_337, address: address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0") };
const USER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
const RECIPIENT: Address = address!("3CA69dc0824fF36B545ddB1b5e4bf13B17905421");
const HELLO: B256 = b256!("2a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0");
/// The worked examples' wallets: keys of 32 times 0x22 and 0x33.
const WALLET_0: &str = "0x1563915e194D8CfBA1943570603F7606A3115508";
const WALLET_1: &str = "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB";

fn slot(kind: WalletKind, index: u64) -> Slot {
    Slot { proxy: PROXY, kind, owner: USER, index: U256::from(index) }
}

fn wish(payload: Payload, broadcast: bool) -> SignatureWish {
    let local = "eip155:31337".parse().unwrap();
    SignatureWish { wallet: slot(WalletKind::Evm, 0), destination: local, payload, broadcast }
}

/// Worked example 6.
fn transaction() -> LegacyTransaction {
    LegacyTransaction {
        nonce: 0,
        gas_price: 2_000_000_000,
        gas_limit: 21_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(10_000_000_000_000_000_u64),
        data: Bytes::new(),
    }
}

/// Worked example 7.
fn simple() -> SimpleTransaction {
    SimpleTransaction { to: RECIPIENT, value: U256::from(1_000_000_000_000_000_u64), data: Bytes::new() }
}

fn completed() -> LegacyTransaction {
    LegacyTransaction { value: simple().value, ..transaction() }
}

fn said(meta_data: Bytes, signature: Bytes, broadcast: bool) -> Said {
    Said::Signature { meta_data, signature, broadcast }
}

/// As a wallet signs, with this on top of the recovery byte.
fn signed(byte: u8, digest: B256, base: u8) -> Bytes {
    let key = SigningKey::from_slice(&[byte; 32]).unwrap();
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(base + recovery.to_byte());
    bytes.into()
}

/// Worked examples 1 and 3 of the facts, to the byte.
#[test]
fn the_calls_are_the_examples() {
    let key = Wish::Key(KeyWish { proxy: PROXY, kind: WalletKind::Evm, owner: USER, options: 1 });
    let asked = "60a4899500000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a65e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a0000000000000000000000000000000000000000000000000000000000000001";
    assert_eq!(hex::encode(key.call_data()), asked);
    let sepolia = "eip155:11155111".parse().unwrap();
    let hash = SignatureWish { destination: sepolia, ..wish(Payload::Hash(HELLO), false) };
    let asked = "15c393910000000000000000000000000000000000000000000000000000000000000020e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a0000000000000000000000000000000000000000000000000000000000000000afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb700000000000000000000000000000000000000000000000000000000000000a0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000202a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0";
    assert_eq!(hex::encode(Wish::Signature(Box::new(hash)).call_data()), asked);
    for (payload, selector) in
        [(Payload::Transaction(transaction()), "93f874c4"), (Payload::Simple(simple()), "daefde8e")]
    {
        let call = Wish::Signature(Box::new(wish(payload, true))).call_data();
        assert_eq!(hex::encode(&call[..4]), selector);
    }
}

#[test]
fn destinations_are_named_by_caip_and_have_the_contracts_id() {
    let sepolia: Destination = "eip155:11155111".parse().unwrap();
    let id = b256!("afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7");
    assert_eq!((sepolia.id(), sepolia.eip155()), (id, Some(11_155_111)));
    let bitcoin = Destination::of(PROXY, WalletKind::BitcoinTestnet);
    assert_eq!(bitcoin.id(), b256!("cc8dcc74cf3de5b0154f437b295f5d0709e6527ffb67b1201e78769ff0cccbf7"));
    assert_eq!(bitcoin.eip155(), None);
    assert_eq!(Destination::of(PROXY, WalletKind::Evm).to_string(), "eip155:31337");
    for odd in ["", "eip155", "eip155:", ":1", "ei:1", "EIP155:1", "eip155:1 ", "eip155:1:2", "eip155:ä"] {
        assert!(odd.parse::<Destination>().is_err(), "{odd}");
    }
}

/// A log as the contract writes it for this wish.
fn request_log(wish: &SignatureWish, kind: u8) -> Log {
    let params = abi::SigReqParams {
        walletTypeId: wish.wallet.kind.id(),
        walletIndex: wish.wallet.index,
        dstChainId: wish.destination.id(),
        payload: wish.payload.encode(),
        owner: wish.wallet.owner,
        zrSignReqType: kind,
        broadcast: wish.broadcast,
    };
    let (trace, wallet) = (U256::from(7), wish.wallet.wallet_id());
    let event = abi::ZrSigRequest { traceId: trace, walletId: wallet, value: U256::ONE, mpcFee: U256::ZERO, params };
    log(&event)
}

fn trace(number: u64) -> Named {
    Named::Signature { proxy: PROXY, trace: U256::from(number) }
}

fn log(event: &impl alloy_sol_types::SolEvent) -> Log {
    let data = event.encode_log_data();
    let at = LogPlace { height: 3, block: B256::repeat_byte(3), index: 1 };
    Log { at, address: PROXY.address, topics: data.topics().to_vec(), data: data.data }
}

#[test]
fn a_request_is_known_by_all_that_was_asked() {
    let ours = wish(Payload::Transaction(transaction()), true);
    let event = event::decode(PROXY, &request_log(&ours, 1), TypeNumbers::V1).unwrap().unwrap();
    let named = |wish: &SignatureWish| Wish::Signature(Box::new(wish.clone())).named_by(&event);
    let at = LogPlace { height: 3, block: B256::repeat_byte(3), index: 1 };
    assert_eq!(named(&ours), Some((trace(7), at)));
    let others = [
        SignatureWish { wallet: slot(WalletKind::Evm, 1), ..ours.clone() },
        SignatureWish { wallet: Slot { owner: RECIPIENT, ..ours.wallet }, ..ours.clone() },
        SignatureWish { destination: "eip155:1".parse().unwrap(), ..ours.clone() },
        SignatureWish { broadcast: false, ..ours.clone() },
        SignatureWish {
            payload: Payload::Transaction(LegacyTransaction { nonce: 1, ..transaction() }),
            ..ours.clone()
        },
        SignatureWish { payload: Payload::Hash(HELLO), ..ours.clone() },
    ];
    for other in others {
        assert_eq!(named(&other), None, "{other:?}");
    }
    // The same bytes, asked for as data.
    let data =
        event::decode(PROXY, &request_log(&ours, 1), TypeNumbers { transaction: 5, data: Some(1), ..TypeNumbers::V1 });
    assert_eq!(Wish::Signature(Box::new(ours)).named_by(&data.unwrap().unwrap()), None);
}

#[test]
fn an_answer_is_known_by_the_requests_name() {
    let key = Named::Key(slot(WalletKind::Evm, 1));
    let filled = |index: u64, owner: Address| {
        log(&abi::ZrKeyResolve {
            walletTypeId: WalletKind::Evm.id(),
            owner,
            walletIndex: U256::from(index),
            addr: WALLET_1.to_owned(),
        })
    };
    assert_eq!(key.answered_by(&filled(1, USER)), Some(Said::Key(WALLET_1.to_owned())));
    for other in [filled(0, USER), filled(1, RECIPIENT), Log { address: USER, ..filled(1, USER) }] {
        assert_eq!(key.answered_by(&other), None);
    }
    let event =
        abi::ZrSigResolve { traceId: U256::from(7), metaData: bytes!("01"), signature: bytes!("02"), broadcast: true };
    let answer = log(&event);
    let seven = trace(7);
    assert_eq!(seven.answered_by(&answer), Some(said(bytes!("01"), bytes!("02"), true)));
    assert_eq!(trace(8).answered_by(&answer), None);
    assert_eq!(key.answered_by(&answer), None);
    assert_eq!(seven.answered_by(&Log { topics: Vec::new(), ..answer.clone() }), None);
    assert_eq!(seven.answered_by(&Log { address: USER, ..answer.clone() }), None, "another contract's");
    for cut in (0..answer.data.len()).step_by(32) {
        assert_eq!(seven.answered_by(&Log { data: answer.data.slice(..cut), ..answer.clone() }), None);
    }
}

#[test]
fn addresses_have_the_one_form_of_their_chain() {
    let good = [
        (WalletKind::Evm, WALLET_0),
        (WalletKind::BitcoinTestnet, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"),
        (WalletKind::BitcoinMainnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ];
    for (kind, text) in good {
        assert_eq!(wallet_address(kind, text), Ok(text));
        assert!(wallet_address(kind, &text.to_uppercase()).is_err(), "{text}");
        assert!(wallet_address(kind, &text[..text.len() - 1]).is_err(), "{text}");
        for (other, text) in good.iter().filter(|(other, _)| *other != kind) {
            assert!(wallet_address(kind, text).is_err(), "{kind:?} {other:?}");
        }
    }
    assert!(wallet_address(WalletKind::Evm, &WALLET_0.to_lowercase()).is_err());
    let script_hash = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7";
    assert!(wallet_address(WalletKind::BitcoinTestnet, script_hash).is_err(), "32 bytes are no key's hash");
}

#[test]
fn a_signature_by_the_wallet_over_the_hash_is_verified_and_no_other() {
    let asked = wish(Payload::Hash(HELLO), false);
    for base in [0, 27] {
        let verified = asked.judge(&said(Bytes::new(), signed(0x22, HELLO, base), false), WALLET_0).unwrap();
        assert_eq!((verified.digest, verified.transaction), (HELLO, None));
        assert_eq!(verified.signature.as_slice(), signed(0x22, HELLO, 0).as_ref(), "one form");
    }
    let judged = |signature: Bytes| asked.judge(&said(Bytes::new(), signature, false), WALLET_0);
    let stranger = Unverified::Stranger { found: WALLET_1.to_owned(), wallet: WALLET_0.to_owned() };
    assert_eq!(judged(signed(0x33, HELLO, 0)), Err(stranger));
    assert!(matches!(judged(signed(0x22, B256::repeat_byte(1), 0)), Err(Unverified::Stranger { .. })));
    let good = signed(0x22, HELLO, 0);
    let mut flipped = good.to_vec();
    flipped[64] ^= 1;
    assert!(matches!(judged(flipped.into()), Err(Unverified::Stranger { .. } | Unverified::Form)));
    for bad in [Bytes::new(), good.slice(..64), [good.as_ref(), &[0]].concat().into(), vec![0; 65].into()] {
        assert_eq!(judged(bad), Err(Unverified::Form));
    }
    let mut odd = good.to_vec();
    odd[64] = 2;
    assert_eq!(judged(odd.into()), Err(Unverified::Form));
    let parsed = k256::ecdsa::Signature::from_slice(&good[..64]).unwrap();
    let high = k256::ecdsa::Signature::from_scalars(parsed.r().to_bytes(), (-*parsed.s()).to_bytes()).unwrap();
    assert_eq!(judged([high.to_bytes().as_slice(), &[1 - good[64]]].concat().into()), Err(Unverified::Form));
    assert_eq!(
        asked.judge(&said(Bytes::new(), good, true), WALLET_0),
        Err(Unverified::Broadcast { said: true, asked: false })
    );
    assert_eq!(asked.judge(&Said::Key(WALLET_0.to_owned()), WALLET_0), Err(Unverified::Kind));
}

#[test]
fn a_bitcoin_wallets_signature_leads_to_its_address() {
    let key = SigningKey::from_slice(&[0x22; 32]).unwrap();
    let public = key.verifying_key().to_encoded_point(true);
    let wallet = WalletKind::BitcoinTestnet.address(public.as_bytes()).unwrap();
    assert_eq!(wallet_address(WalletKind::BitcoinTestnet, &wallet), Ok(wallet.as_str()));
    let asked = SignatureWish { wallet: slot(WalletKind::BitcoinTestnet, 0), ..wish(Payload::Hash(HELLO), false) };
    assert!(asked.judge(&said(Bytes::new(), signed(0x22, HELLO, 0), false), &wallet).is_ok());
    assert!(asked.judge(&said(Bytes::new(), signed(0x33, HELLO, 0), false), &wallet).is_err());
}

/// Worked example 6: what a relayer sends.
#[test]
fn a_verified_transaction_is_ready_to_be_sent() {
    let asked = wish(Payload::Transaction(transaction()), true);
    let signature = bytes!(
        "8a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf411b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d6261c"
    );
    let verified = asked.judge(&said(Bytes::new(), signature.clone(), true), WALLET_0).unwrap();
    let sent = verified.transaction.unwrap();
    assert_eq!(
        hex::encode(&sent.raw),
        "f86c808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc100008082f4f6a08a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf4a011b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d626"
    );
    assert_eq!(sent.hash, b256!("83ca7be8f20ba4949fa10375454e2337bd27d255dbdb17b6f4e784b62b56e373"));
    assert_eq!((sent.chain, sent.transaction), (31_337, transaction()));
    // The same signature for another chain, or for another transaction, is nobody's.
    for other in [
        SignatureWish { destination: "eip155:1".parse().unwrap(), ..asked.clone() },
        SignatureWish {
            payload: Payload::Transaction(LegacyTransaction { nonce: 1, ..transaction() }),
            ..asked.clone()
        },
    ] {
        let judged = other.judge(&said(Bytes::new(), signature.clone(), true), WALLET_0);
        assert!(matches!(judged, Err(Unverified::Stranger { .. })), "{judged:?}");
    }
    let bitcoin = SignatureWish { destination: Destination::of(PROXY, WalletKind::BitcoinMainnet), ..asked };
    assert_eq!(bitcoin.judge(&said(Bytes::new(), signature, true), WALLET_0), Err(Unverified::Destination));
}

/// Worked example 7, and what an operator could make of it instead.
#[test]
fn a_completed_transaction_is_the_one_that_was_asked_for() {
    let asked = SignatureWish { wallet: slot(WalletKind::Evm, 1), ..wish(Payload::Simple(simple()), true) };
    let signature = bytes!(
        "4c991632a7a88b028d942596c8361ef034bb895793ef213ac2a657ab331d3cab3bfdf0c0c1f521bcaaacd181b901ad880677481f1c2d5d0b60175e1eb4e42e291b"
    );
    let meta_data = bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c6800080808080");
    let verified = asked.judge(&said(meta_data.clone(), signature.clone(), true), WALLET_1).unwrap();
    let sent = verified.transaction.unwrap();
    assert_eq!(sent.transaction, completed());
    assert_eq!(verified.digest, b256!("e9b53f81324997bc3f831371293a26646b3ce950c73fd839490c11fa784dcc8e"));
    // Rightly signed by the wallet, but of something else.
    let other = |change: &dyn Fn(&mut LegacyTransaction)| {
        let mut other = completed();
        change(&mut other);
        asked.judge(&said(other.encode(), signed(0x33, other.digest(31_337), 0), true), WALLET_1)
    };
    assert!(other(&|transaction| transaction.gas_price += 1).is_ok(), "what the responder adds is its own");
    let field = |judged: Result<Verified, Unverified>| match judged {
        Err(Unverified::Changed { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(other(&|transaction| transaction.to = TxKind::Call(USER))), "recipient");
    assert_eq!(field(other(&|transaction| transaction.to = TxKind::Create)), "recipient");
    assert_eq!(field(other(&|transaction| transaction.value += U256::ONE)), "value");
    assert_eq!(field(other(&|transaction| transaction.data = bytes!("01"))), "data");
    for odd in [Bytes::new(), meta_data.slice(1..), bytes!("c0")] {
        let judged = asked.judge(&said(odd, signature.clone(), true), WALLET_1);
        assert!(matches!(judged, Err(Unverified::MetaData(_))), "{judged:?}");
    }
    let digest = asked.judge(&said(Bytes::copy_from_slice(HELLO.as_slice()), signature, true), WALLET_1);
    assert_eq!(digest, Err(Unverified::MetaData(PayloadError::Typed(0x2a))));
}

/// Worked example 10, and what is sent along when the base fee may double until the request is in a block.
#[test]
fn fees_are_read_and_scaled() {
    let word = |value: u64| U256::from(value).to_be_bytes::<32>();
    let (mpc, response) = (500_000_000_000_000, 240_000_000_000_000);
    let returned = [word(mpc), word(response), word(mpc + response)].concat();
    let fee = Fee::decode(&returned).unwrap();
    assert_eq!(fee, Fee { mpc: U256::from(mpc), response: U256::from(response) });
    assert_eq!(Fee::decode(&returned[..95]), None);
    assert_eq!(Fee::decode(&[word(1), word(1), word(3)].concat()), None);
    let sent = fee.to_send(1_000_000_000, 2_000_000_000, U256::from(200_000));
    assert_eq!(sent, U256::from(mpc + 2 * response + 2 * 200_000));
    let free = Fee { mpc: U256::from(mpc), response: U256::ZERO };
    assert_eq!(free.to_send(0, 0, U256::from(200_000)), U256::from(mpc + 200_000));
    assert_eq!(Fee { mpc: U256::MAX, ..fee }.to_send(1, 2, U256::MAX), U256::MAX);
}

proptest! {
    /// The contract's own arithmetic, for whatever base fee takes the request up.
    #[test]
    fn what_is_sent_is_enough_up_to_the_price(
        gas in 0..1u64 << 32, percent in 0..10_000u64, base in 0..1u64 << 40, tip in 0..1u64 << 40, at in 0..=1_000u64,
    ) {
        let due = |base: u64| U256::from(gas) * (U256::from(base) * U256::from(percent) / U256::from(100));
        let price = 2 * u128::from(base) + u128::from(tip);
        let fee = Fee { mpc: U256::from(5), response: due(base) };
        let taken_at = u64::try_from(price * u128::from(at) / 1_000).unwrap();
        let sent = fee.to_send(u128::from(base), price, U256::from(gas));
        prop_assume!(base > 0 || taken_at == 0);
        prop_assert!(sent >= U256::from(5) + due(taken_at));
    }
}

#[test]
fn the_contracts_refusals_are_named() {
    let id = WalletKind::Evm.id();
    let one = U256::ONE;
    let examples = [
        (
            abi::ChainIdNotSupported { walletTypeId: id, chainId: HELLO }.abi_encode(),
            Refusal::Destination { chain: HELLO },
        ),
        (abi::InvalidOptions { options: 0 }.abi_encode(), Refusal::Options),
        (abi::InvalidWalletIndex { walletIndex: one }.abi_encode(), Refusal::NoKeyYet(one)),
        (abi::WalletNotRegisteredForMonitoring { walletIndex: one }.abi_encode(), Refusal::Unmonitored(one)),
        (abi::BroadcastNotAllowed {}.abi_encode(), Refusal::Broadcast),
        (
            abi::InsufficientFee { requiredFee: one, providedFee: U256::ZERO }.abi_encode(),
            Refusal::Fee { required: one, provided: U256::ZERO },
        ),
        (abi::EnforcedPause {}.abi_encode(), Refusal::Paused),
        (abi::WalletTypeNotSupported { walletTypeId: id }.abi_encode(), Refusal::WalletType(id)),
        (Vec::new(), Refusal::Other(Revert::Silent)),
        (bytes!("12345678").to_vec(), Refusal::Other(Revert::Unknown(bytes!("12345678")))),
        (bytes!("f8b98c9a01").to_vec(), Refusal::Other(Revert::Unknown(bytes!("f8b98c9a01")))),
    ];
    for (said, refusal) in examples {
        assert_eq!(Refusal::from(Revert::decode(&said)), refusal);
    }
}
