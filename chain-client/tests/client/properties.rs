//! For any bytes: nothing panics, and what is accepted is accepted in one form only.

use chain_client::answer::der;
use chain_client::fee::GasPrice;
use chain_client::wallet::{address, bech32_payload};
use chain_client::{ChainId, KeyType, LowWater, PartyAccount, Question, RequestId};
use k256::ecdsa::SigningKey;
use k256::ecdsa::signature::hazmat::PrehashSigner;
use proptest::prelude::*;

use super::scripted::{Node, Said, client};

fn key_types() -> impl Strategy<Value = KeyType> {
    proptest::sample::select(KeyType::ALL.to_vec())
}

#[test]
fn a_padded_number_keeps_its_padding() {
    let der = "3045022100e4899cc47ab30e84aed02fe91cac71fa4e89110e81158b612c3e21b02ca37ea6\
               022056a5dcfd089c9b8e65c386c79433f4f2e66f0f7b4804c5dd6a6c002ab29c9d9c";
    let der = hex::decode(der).expect("hex");
    let r_s = der::decode(&der).expect("strict DER");
    assert!(hex::encode(r_s).starts_with("e4899cc47ab3") && hex::encode(r_s).ends_with("b29c9d9c"));
    assert_eq!(der::encode(&r_s), der);
}

#[test]
fn keys_that_the_chain_refuses_are_refused_here() {
    let key = |key_type, hex: &str| Question::Key(key_type).canonical(&hex::decode(hex).expect("hex"));
    let good = "0258686caab00866db8f9e41e16da7cbaedfe0ead7881974b1b1741ed925022927";
    assert!(key(KeyType::EcdsaSecp256k1, good).is_ok() && key(KeyType::BitcoinSecp256k1, good).is_ok());
    for bad in ["", "02", &good[..64], &format!("{good}00"), &format!("04{}", &good[2..]), &format!("05{}", &good[2..])]
    {
        assert!(key(KeyType::EcdsaSecp256k1, bad).is_err(), "{bad}");
    }
    // x = 1 is on the curve: a point with zeros in front.
    let small = format!("02{:0>64}", "1");
    assert!(key(KeyType::EcdsaSecp256k1, &small).is_err());
    assert!(key(KeyType::EddsaEd25519, &"00".repeat(32)).is_err());
    assert!(key(KeyType::EddsaEd25519, &format!("01{}", "00".repeat(31))).is_err(), "small order");
    assert!(key(KeyType::EddsaEd25519, good).is_err());
}

#[test]
fn a_digest_of_another_length_is_never_answered() {
    let signer = SigningKey::from_slice(&[7; 32]).expect("a key");
    let public_key = signer.verifying_key().to_encoded_point(true).as_bytes().to_vec();
    for length in [0, 31, 33, 64] {
        let payload = vec![1; length];
        let signature: Result<k256::ecdsa::Signature, _> = signer.sign_prehash(&payload);
        let raw = signature.map_or(vec![1; 64], |signature| signature.to_bytes().to_vec());
        let question =
            Question::Signature { key_type: KeyType::EcdsaSecp256k1, public_key: public_key.clone(), payload };
        assert!(question.canonical(&raw).is_err(), "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn der_holds_every_pair_and_gives_it_back(r_s in proptest::array::uniform32(any::<u8>()), s in proptest::array::uniform32(any::<u8>()), zeros in 0usize..33) {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r_s);
        bytes[32..].copy_from_slice(&s);
        bytes[..zeros.min(32)].fill(0);
        let encoded = der::encode(&bytes);
        prop_assert!(encoded.len() <= 72);
        prop_assert_eq!(der::decode(&encoded), Some(bytes));
    }

    #[test]
    fn der_agrees_with_an_independent_encoder(seed in 1u8..255, digest in proptest::array::uniform32(any::<u8>())) {
        let signer = SigningKey::from_slice(&[seed; 32]).expect("a key");
        let signature: k256::ecdsa::Signature = signer.sign_prehash(&digest).expect("a signature");
        let bytes: [u8; 64] = signature.to_bytes().into();
        let encoded = der::encode(&bytes);
        let theirs = signature.to_der();
        prop_assert_eq!(encoded, theirs.as_bytes().to_vec());
    }

    #[test]
    fn der_of_any_bytes_is_refused_or_says_itself_again(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Some(r_s) = der::decode(&bytes) {
            prop_assert_eq!(der::encode(&r_s), bytes);
        }
    }

    #[test]
    fn der_with_one_byte_changed_never_has_two_readings(digest in proptest::array::uniform32(any::<u8>()), at in 0usize..72, to in any::<u8>()) {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&digest);
        bytes[32..].copy_from_slice(&digest);
        let mut encoded = der::encode(&bytes);
        let at = at % encoded.len();
        encoded[at] = to;
        if let Some(r_s) = der::decode(&encoded) {
            prop_assert_eq!(der::encode(&r_s), encoded);
        }
    }

    #[test]
    fn every_signature_has_one_canonical_form(seed in 1u8..255, digest in proptest::array::uniform32(any::<u8>())) {
        let signer = SigningKey::from_slice(&[seed; 32]).expect("a key");
        let public_key = signer.verifying_key().to_encoded_point(true).as_bytes().to_vec();
        let signature: k256::ecdsa::Signature = signer.sign_prehash(&digest).expect("a signature");
        let upper = k256::ecdsa::Signature::from_scalars(*signature.r(), -*signature.s()).expect("a signature");
        for key_type in [KeyType::EcdsaSecp256k1, KeyType::BitcoinSecp256k1] {
            let question = Question::Signature { key_type, public_key: public_key.clone(), payload: digest.to_vec() };
            let one = question.canonical(&signature.to_bytes()).expect("it verifies");
            let two = question.canonical(&upper.to_bytes()).expect("it verifies");
            prop_assert_eq!(&one, &two);
            let decided = question.decided(one.bytes());
            prop_assert_eq!(decided.as_ref(), Ok(&one));
        }
    }

    #[test]
    fn an_altered_answer_is_no_answer(at in 0usize..64, bit in 0u8..8) {
        let signer = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        let question = Question::Signature {
            key_type: KeyType::EddsaEd25519,
            public_key: signer.verifying_key().to_bytes().to_vec(),
            payload: b"a whole message".to_vec(),
        };
        let mut raw = ed25519_dalek::Signer::sign(&signer, b"a whole message").to_bytes();
        prop_assert!(question.canonical(&raw).is_ok());
        raw[at] ^= 1 << bit;
        prop_assert!(question.canonical(&raw).is_err());
    }

    #[test]
    fn any_bytes_are_judged_without_panic(
        key_type in key_types(),
        public_key in proptest::collection::vec(any::<u8>(), 0..70),
        payload in proptest::collection::vec(any::<u8>(), 0..70),
        raw in proptest::collection::vec(any::<u8>(), 0..70),
    ) {
        let question = Question::Signature { key_type, public_key: public_key.clone(), payload };
        prop_assert!(question.canonical(&raw).is_err());
        let _ = Question::Key(key_type).canonical(&raw);
        for wallet in chain_client::wallet::wallets(key_type) {
            let _ = address(key_type, &public_key, *wallet, "zen");
        }
    }

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,80}") {
        let _ = PartyAccount::from_hex(&text);
        let _ = GasPrice::parse(&text);
        let _ = ChainId::new(text.clone());
        let _ = KeyType::from_name(&text);
        let _ = bech32_payload("zen", &text);
    }

    #[test]
    fn any_reply_is_read_without_panic(message in proptest::collection::vec(any::<u8>(), 0..200), height in any::<Option<u64>>()) {
        let node = Node::new(move |_| Said::Message(message.clone(), height));
        let client = client(&[&node]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let _ = client.open_requests(LowWater::default()).await;
            let _ = client.reading("zen1party", RequestId::key(1)).await;
            let _ = client.request(RequestId::signature(1), None).await;
            let _ = client.treasury().await;
            let _ = client.head().await;
            let _ = client.keyring().await;
            let _ = client.receipt(chain_client::TxHash([0; 32])).await;
        });
    }
}
