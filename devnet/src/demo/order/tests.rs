use super::*;
use chain_client::proto::zrchain::treasury::{KeyResponse, WalletResponse};
use k256::ecdsa::SigningKey;

fn signer() -> (SigningKey, UserKey) {
    let signing = SigningKey::from_slice(&[9; 32]).expect("a key");
    let public_key = signing.verifying_key().to_encoded_point(true).as_bytes().to_vec();
    let wallets = address::wallets(KeyType::EcdsaSecp256k1, &public_key).expect("wallets");
    (signing, UserKey { id: 1, key_type: KeyType::EcdsaSecp256k1, public_key, wallets })
}

fn record(key: &UserKey) -> QueryKeyByIdResponse {
    let wallet = |(wallet, address): &(WalletType, String)| WalletResponse {
        address: address.clone(),
        r#type: wallet.as_str_name().to_owned(),
    };
    QueryKeyByIdResponse {
        key: Some(KeyResponse {
            id: key.id,
            r#type: key.key_type.name().to_owned(),
            public_key: key.public_key.clone(),
            ..Default::default()
        }),
        wallets: key.wallets.iter().map(wallet).collect(),
    }
}

fn sign(key: &SigningKey, digest: &[u8]) -> Vec<u8> {
    let (signature, recovery) = key.sign_prehash_recoverable(digest).expect("a signature");
    [signature.to_bytes().as_slice(), &[recovery.to_byte()]].concat()
}

fn shown(payloads: &[Vec<u8>], signatures: Vec<Vec<u8>>) -> Evidence {
    Evidence::Signatures(Shown { payloads: payloads.to_vec(), signatures, unsigned: None })
}

#[test]
fn a_key_counts_only_with_its_type_and_all_its_addresses() {
    let (_, own) = signer();
    let order = Order::Key(KeyType::EcdsaSecp256k1);
    assert!(order.judge(&Evidence::Key(record(&own))).is_ok());
    let mut foreign = record(&own);
    foreign.wallets[1].address = "0x0000000000000000000000000000000000000000".to_owned();
    assert!(matches!(order.judge(&Evidence::Key(foreign)), Err(Unverified::Differs { .. })));
    let mut fewer = record(&own);
    fewer.wallets.pop();
    assert!(order.judge(&Evidence::Key(fewer)).is_err());
    assert!(Order::Key(KeyType::BitcoinSecp256k1).judge(&Evidence::Key(record(&own))).is_err());
    assert!(order.judge(&Evidence::Key(QueryKeyByIdResponse::default())).is_err());
}

#[test]
fn every_item_of_a_group_needs_its_own_signature_in_its_own_place() {
    let (signing, key) = signer();
    let payloads = vec![vec![1; 32], vec![2; 32]];
    let order = Order::Raw { key, payloads: payloads.clone() };
    let good: Vec<_> = payloads.iter().map(|digest| sign(&signing, digest)).collect();
    assert!(order.judge(&shown(&payloads, good.clone())).is_ok());
    let exchanged = good.iter().rev().cloned().collect();
    assert_eq!(order.judge(&shown(&payloads, exchanged)), Err(Unverified::Signature));
    assert!(order.judge(&shown(&payloads, good[..1].to_vec())).is_err(), "one is missing");
    let others = vec![vec![1; 32], vec![3; 32]];
    assert!(matches!(order.judge(&shown(&others, good)), Err(Unverified::Differs { .. })));
    assert!(order.judge(&Evidence::Key(QueryKeyByIdResponse::default())).is_err());
}

#[test]
fn a_transfer_counts_only_for_the_transaction_that_was_handed_in() {
    let (signing, key) = signer();
    let transfer = Transfer::Evm(super::super::transfer::EvmTransfer::from_key(&key.public_key).expect("a transfer"));
    let payloads = transfer.payloads().expect("a digest");
    let signatures = vec![sign(&signing, &payloads[0])];
    let order = Order::Transfer { key, transfer: transfer.clone() };
    let evidence =
        |unsigned| Evidence::Signatures(Shown { payloads: payloads.clone(), signatures: signatures.clone(), unsigned });
    assert!(order.judge(&evidence(Some(transfer.unsigned()))).is_ok());
    assert!(order.judge(&evidence(Some(vec![2, 0xc0]))).is_err());
    assert!(order.judge(&evidence(None)).is_err());
}
