//! Worked examples: fixed inputs, fixed bytes. A changed byte is a changed wire and loses users' requests.

use chain_client::fee::Charge;
use chain_client::proto::cosmos::base::abci::v1beta1::TxMsgData;
use chain_client::proto::cosmos::base::query::v1beta1::PageRequest;
use chain_client::proto::cosmos::tx::v1beta1::{SignDoc, TxRaw};
use chain_client::proto::zrchain::treasury::{
    KeyRequestStatus, MetadataEthereum, MsgFulfilSignatureRequest, MsgNewSignatureRequest,
    MsgNewSignatureRequestResponse, QueryKeyRequestsRequest, QuerySignatureRequestsRequest, SignReqResponse,
    SignRequestStatus, WalletType,
};
use chain_client::tx::{answer, any, nothing, sign_messages};
use chain_client::wallet::{address, bech32_address};
use chain_client::{Answer, ChainId, KeyType, PartyAccount, Question, RequestId, Seat};
use prost::Message;
use sha2::{Digest, Sha256};

const ALICE: &str = "zen13y3tm68gmu9kntcxwvmue82p6akacnpt2v7nty";
const ALICE_SECRET: &str = "9968bbba9bb6bc3674fd806c4b987e9a65a0f93b91eb0c81edeb210310b43852";
const KEYRING: &str = "keyring1k6vc6vhp6e6l3rxalue9v4ux";

/// Of the scalar SHA-256("example key 1").
const KEY: &str = "0258686caab00866db8f9e41e16da7cbaedfe0ead7881974b1b1741ed925022927";
const ED_KEY: &str = "3ab310d1348ceff1dc7377243381c19d4da032fa2e401876d0e4bae4d708e3e0";
/// Over SHA-256("hello world").
const R_S: &str = "0d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d8675\
                   1e25bd65f3498164370c90e1ae1c5ba2d51d995979cbeca04c849ddd76f140b3";
const R_HIGH_S: &str = "0d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d8675\
                        e1da429a0cb67e9bc8f36f1e51e3a45be591438d357cb39b734dc0af5945008e";
const DER: &str = "304402200d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d8675\
                   02201e25bd65f3498164370c90e1ae1c5ba2d51d995979cbeca04c849ddd76f140b3";

fn alice() -> PartyAccount {
    PartyAccount::from_hex(ALICE_SECRET).expect("a key")
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hex")
}

fn hello_world() -> Vec<u8> {
    Sha256::digest(b"hello world").to_vec()
}

fn question(key_type: KeyType) -> Question {
    Question::Signature { key_type, public_key: unhex(KEY), payload: hello_world() }
}

fn signed(key_type: KeyType) -> Answer {
    question(key_type).canonical(&unhex(R_S)).expect("it verifies")
}

#[test]
fn an_account_has_the_address_of_its_key() {
    assert_eq!(alice().address(), ALICE);
    assert_eq!(hex::encode(alice().public_key()), "034742c75144596339c88749af8f7aaeb795914dfb346ad0bd33c49cc115ba0cb5");
}

#[test]
fn an_account_key_is_never_printed() {
    assert_eq!(format!("{:?}", alice()), format!("PartyAccount({ALICE})"));
}

#[test]
fn a_party_signature_covers_the_requests_number_alone() {
    assert_eq!(
        hex::encode(alice().party_signature(42)),
        "ff1524940761a5c81c870aa8b07a0016f01d2460880ff5e55b8fca8a07714b91\
         683e33c9ea7a640d6f16c680a923f8ccca174105134a67fb08c912ba7a1b3638"
    );
    assert_eq!(
        hex::encode(alice().party_signature(7)),
        "267a3db74e7a3765745fd20a48c680da443aa7e90dba058b7799ed58ca7fe9a5\
         59c7d913b28945b150f2b8a5d13279ab7079c5a8a9f1859d5cf0298b2dc87bb2"
    );
}

#[test]
fn each_wallet_type_has_its_address() {
    use KeyType::{BitcoinSecp256k1 as Bitcoin, EcdsaSecp256k1 as Ecdsa, EddsaEd25519 as Eddsa};
    let cases = [
        (Ecdsa, KEY, WalletType::Native, "zen", "zen1f8ym39ah2vk3z8jt3g55lt6cgwqtee2dm5408m"),
        (Ecdsa, KEY, WalletType::Native, "cosmos", "cosmos1f8ym39ah2vk3z8jt3g55lt6cgwqtee2dpe8wt2"),
        (Ecdsa, KEY, WalletType::Evm, "", "0x9eC106B00D473afF9918Ad96ce99085Df841Fcb7"),
        (Bitcoin, KEY, WalletType::BtcMainnet, "", "bc1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2dhre908"),
        (Bitcoin, KEY, WalletType::BtcTestnet, "", "tb1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2da9zk55"),
        (Bitcoin, KEY, WalletType::BtcRegnet, "", "bcrt1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2dlvmmra"),
        (Bitcoin, KEY, WalletType::ZcashMainnet, "", "t1QbkzAVfNC2VqYAa8u4WTjCGbgParXUGLW"),
        (Bitcoin, KEY, WalletType::ZcashTestnet, "", "tmGSWJzz4krXzynN1odNFKPs2CfUQPumcz9"),
        (Eddsa, ED_KEY, WalletType::Solana, "", "4x91kzJfjch9pmjjCn2x9fiU9AXw7shyQfVVe5Pif6sR"),
    ];
    for (key_type, key, wallet, prefix, wanted) in cases {
        assert_eq!(address(key_type, &unhex(key), wallet, prefix).expect("an address"), wanted, "{wallet:?}");
    }
    assert!(address(Bitcoin, &unhex(KEY), WalletType::Evm, "").is_err());
    assert!(address(Eddsa, &unhex(KEY), WalletType::Solana, "").is_err());
}

#[test]
fn identity_addresses_are_plain_bech32() {
    let hash = Sha256::digest(1u64.to_le_bytes());
    assert_eq!(bech32_address("keyring", &hash[13..24]).expect("an address"), KEYRING);
    assert_eq!(bech32_address("workspace", &hash[..10]).expect("an address"), "workspace10j06zdk5gyl6v9ekzwem0v");
}

#[test]
fn an_ecdsa_answer_carries_its_recovery_id() {
    let answer = signed(KeyType::EcdsaSecp256k1);
    assert_eq!(hex::encode(answer.bytes()), format!("{R_S}00"));
    assert_eq!(answer.shown_as(), answer.bytes());
    assert!(answer.agrees_with(&[answer.bytes().to_vec()]));
    assert!(!answer.agrees_with(&[unhex(R_S)]), "64 bytes on the chain are another answer");
}

#[test]
fn a_bitcoin_answer_is_shown_as_der() {
    let answer = signed(KeyType::BitcoinSecp256k1);
    assert_eq!(hex::encode(answer.bytes()), R_S);
    assert_eq!(hex::encode(answer.shown_as()), DER);
    assert!(answer.agrees_with(&[unhex(DER)]) && answer.agrees_with(&[]));
    assert!(!answer.agrees_with(&[unhex(DER), unhex(R_S)]), "all that is shown must agree");
}

#[test]
fn the_upper_half_becomes_the_lower_and_is_never_canonical() {
    for key_type in [KeyType::EcdsaSecp256k1, KeyType::BitcoinSecp256k1] {
        let question = question(key_type);
        assert_eq!(question.canonical(&unhex(R_HIGH_S)).expect("it verifies"), signed(key_type));
        assert!(question.decided(&unhex(R_HIGH_S)).is_err());
        assert!(question.decided(signed(key_type).bytes()).is_ok());
    }
    assert!(question(KeyType::EcdsaSecp256k1).decided(&unhex(R_S)).is_err(), "without recovery id");
    assert!(question(KeyType::EcdsaSecp256k1).decided(&unhex(&format!("{R_S}01"))).is_err(), "wrong recovery id");
    assert!(question(KeyType::BitcoinSecp256k1).decided(&unhex(DER)).is_err(), "the chain would reject DER");
}

#[test]
fn a_signature_answer_is_these_bytes() {
    let seat = Seat { chain: ChainId::new("zenrock").expect("a name"), account_number: 9, sequence: 5 };
    let charge = Charge { gas_limit: 300_000, fee_urock: 750_000 };
    let tx = answer(&alice(), &seat, RequestId::signature(42), &signed(KeyType::EcdsaSecp256k1), charge);
    let body = "0a2a7a656e31337933746d3638676d75396b6e74637877766d756538327036616b61636e70743276376e7479102a18032240\
                ff1524940761a5c81c870aa8b07a0016f01d2460880ff5e55b8fca8a07714b91683e33c9ea7a640d6f16c680a923f8ccca17\
                4105134a67fb08c912ba7a1b36382a410d44d9ad5550c173ed36b8a8fff635b6c100dbc1cff4713d8bc6e532169d86751e25\
                bd65f3498164370c90e1ae1c5ba2d51d995979cbeca04c849ddd76f140b300";
    let any = "0a2b2f7a72636861696e2e74726561737572792e4d736746756c66696c5369676e61747572655265717565737412b501";
    let raw = TxRaw::decode(tx.bytes.as_slice()).expect("a transaction");
    assert_eq!(hex::encode(raw.body_bytes), format!("0ae501{any}{body}"));
    assert_eq!((tx.request, tx.sequence, tx.account.as_str()), (Some(RequestId::signature(42)), 5, ALICE));
}

#[test]
fn a_rejection_would_be_these_bytes() {
    // Never sent by us; the development chain's tests need it.
    let message = MsgFulfilSignatureRequest {
        creator: ALICE.into(),
        request_id: 42,
        status: SignRequestStatus::Rejected.into(),
        reject_reason: "unsupported data length".into(),
        ..Default::default()
    };
    let wanted = "0a2a7a656e31337933746d3638676d75396b6e74637877766d756538327036616b61636e70743276376e7479102a180432\
                  17756e737570706f727465642064617461206c656e677468";
    assert_eq!(hex::encode(message.encode_to_vec()), wanted);
}

#[test]
fn a_key_answer_in_its_transaction_is_these_bytes() {
    let seat = Seat { chain: ChainId::new("zenrock").expect("a name"), account_number: 9, sequence: 5 };
    let charge = Charge { gas_limit: 300_000, fee_urock: 750_000 };
    let key = Question::Key(KeyType::EcdsaSecp256k1).canonical(&unhex(KEY)).expect("a key");
    let tx = answer(&alice(), &seat, RequestId::key(7), &key, charge);

    let message = "0a2a7a656e31337933746d3638676d75396b6e74637877766d756538327036616b61636e70743276376e747910071803\
                   22230a210258686caab00866db8f9e41e16da7cbaedfe0ead7881974b1b1741ed9250229273240267a3db74e7a376574\
                   5fd20a48c680da443aa7e90dba058b7799ed58ca7fe9a559c7d913b28945b150f2b8a5d13279ab7079c5a8a9f1859d5c\
                   f0298b2dc87bb2";
    let body =
        format!("0ac1010a252f7a72636861696e2e74726561737572792e4d736746756c66696c4b657952657175657374129701{message}");
    let auth_info = "0a500a460a1f2f636f736d6f732e63727970746f2e736563703235366b312e5075624b657912230a21034742c7514459\
                     6339c88749af8f7aaeb795914dfb346ad0bd33c49cc115ba0cb512040a020801180512150a0f0a0575726f636b120637\
                     353030303010e0a712";
    let document = SignDoc {
        body_bytes: unhex(&body),
        auth_info_bytes: unhex(auth_info),
        chain_id: "zenrock".into(),
        account_number: 9,
    };
    assert_eq!(
        hex::encode(Sha256::digest(document.encode_to_vec())),
        "187b90bded45e4c9c8b33e0b3341bbcb0e102bec513ab364003fb917127849f1"
    );
    let signature = "4632226f81e9cfcef5573d14ef610f44158b25c04b4ff67470bdb4a32b50ee7c\
                     04564c05bd411f6caf8cc4ea72a3de8f3e2496df137b03f772284727f33a4e51";
    assert_eq!(hex::encode(&tx.bytes), format!("0ac401{body}1269{auth_info}1a40{signature}"));
    assert_eq!(tx.hash.to_string(), "50DC5DECD45534E9045533612DDC86ED93691815ACF376520C03309C49374685");
}

#[test]
fn an_independent_library_signs_the_same_bytes() {
    use cosmrs::crypto::secp256k1::SigningKey;
    use cosmrs::tx::{Body, Fee, SignDoc, SignerInfo};
    use cosmrs::{Any, Coin};

    let seat = Seat { chain: ChainId::new("zenrock").expect("a name"), account_number: 9, sequence: 5 };
    let charge = Charge { gas_limit: 125_000, fee_urock: 13 };
    let ours = nothing(&alice(), &seat, charge);

    let own = chain_client::proto::cosmos::bank::v1beta1::MsgSend {
        from_address: ALICE.into(),
        to_address: ALICE.into(),
        amount: vec![chain_client::tx::urock(1)],
    };
    let key = SigningKey::from_slice(&unhex(ALICE_SECRET)).expect("a key");
    let send = Any { type_url: "/cosmos.bank.v1beta1.MsgSend".into(), value: own.encode_to_vec() };
    let fee = Fee::from_amount_and_gas(Coin { denom: "urock".parse().expect("a name"), amount: 13 }, 125_000u64);
    let auth_info = SignerInfo::single_direct(Some(key.public_key()), 5).auth_info(fee);
    let chain = "zenrock".parse().expect("a name");
    let document = SignDoc::new(&Body::new([send], "", 0u16), &auth_info, &chain, 9).expect("a document");
    let theirs = document.sign(&key).expect("a signature").to_bytes().expect("bytes");
    assert_eq!(hex::encode(ours.bytes), hex::encode(theirs));
}

#[test]
fn no_transaction_carries_a_timeout_height_or_memo() {
    let seat = Seat { chain: ChainId::new("zenrock").expect("a name"), account_number: 1, sequence: 0 };
    let charge = Charge { gas_limit: 1, fee_urock: 0 };
    let key = Question::Key(KeyType::EddsaEd25519).canonical(&unhex(ED_KEY)).expect("a key");
    for tx in [nothing(&alice(), &seat, charge), answer(&alice(), &seat, RequestId::key(1), &key, charge)] {
        let raw = TxRaw::decode(tx.bytes.as_slice()).expect("a transaction");
        let body = chain_client::proto::cosmos::tx::v1beta1::TxBody::decode(raw.body_bytes.as_slice()).expect("a body");
        assert_eq!((body.timeout_height, body.memo.as_str(), body.messages.len()), (0, "", 1));
    }
}

#[test]
fn queries_are_these_bytes() {
    let page = |key: Option<u64>, limit, reverse| {
        let key = key.map(|key| key.to_be_bytes().to_vec()).unwrap_or_default();
        Some(PageRequest { key, limit, reverse, ..Default::default() })
    };
    let signatures = |status: SignRequestStatus, pagination| {
        let keyring_addr = KEYRING.into();
        hex::encode(QuerySignatureRequestsRequest { keyring_addr, status: status.into(), pagination }.encode_to_vec())
    };
    let keyring = "0a206b657972696e67316b367663367668703665366c337278616c7565397634757810";
    let keyring_any = "0a206b657972696e67316b367663367668703665366c337278616c75653976347578";
    assert_eq!(signatures(SignRequestStatus::Pending, page(None, 100, false)), format!("{keyring}011a021864"));
    assert_eq!(signatures(SignRequestStatus::Partial, page(None, 100, true)), format!("{keyring}021a0418642801"));
    assert_eq!(
        signatures(SignRequestStatus::Unspecified, page(Some(101), 50, false)),
        format!("{keyring_any}1a0c0a0800000000000000651832")
    );
    let keys = QueryKeyRequestsRequest {
        keyring_addr: KEYRING.into(),
        status: KeyRequestStatus::Pending.into(),
        pagination: page(None, 100, false),
        ..Default::default()
    };
    assert_eq!(hex::encode(keys.encode_to_vec()), format!("{keyring}0122021864"));
}

#[test]
fn a_users_request_of_two_items_is_these_bytes() {
    let message = MsgNewSignatureRequest {
        creator: ALICE.into(),
        key_ids: vec![1, 300],
        data_for_signing: format!("{},{}", hex::encode(hello_world()), hex::encode(Sha256::digest(b"x"))),
        ..Default::default()
    };
    let wanted = "0a2a7a656e31337933746d3638676d75396b6e74637877766d756538327036616b61636e70743276376e7479120301ac021a\
                  8101623934643237623939333464336530386135326535326437646137646162666163343834656665333761353338306565\
                  393038386637616365326566636465392c326437313136343262373236623034343031363237636139666261633332663563\
                  38353330666231393033636334646230323235383731373932316134383831";
    assert_eq!(hex::encode(message.encode_to_vec()), wanted);

    let data = TxMsgData {
        msg_responses: vec![any(&MsgNewSignatureRequestResponse { sig_req_id: 10 })],
        ..Default::default()
    };
    assert_eq!(
        hex::encode_upper(data.encode_to_vec()),
        "12360A302F7A72636861696E2E74726561737572792E4D73674E65775369676E617475726552657175657374526573706F6E73651202080A"
    );
    let seat = Seat { chain: ChainId::new("zenrock").expect("a name"), account_number: 4, sequence: 0 };
    let tx = sign_messages(&alice(), &seat, vec![any(&message)], Charge { gas_limit: 300_000, fee_urock: 30 });
    assert_eq!(tx.request, None, "a user's transaction answers nothing");
}

#[test]
fn metadata_of_an_ethereum_transaction_is_these_bytes() {
    assert_eq!(
        hex::encode(any(&MetadataEthereum { chain_id: 11_155_111 }).encode_to_vec()),
        "0a222f7a72636861696e2e74726561737572792e4d65746164617461457468657265756d120508a7eda805"
    );
}

#[test]
fn listed_requests_are_these_bytes() {
    let child = SignReqResponse {
        id: 11,
        creator: ALICE.into(),
        key_ids: vec![1],
        key_type: "KEY_TYPE_ECDSA_SECP256K1".into(),
        data_for_signing: vec![hello_world()],
        status: "SIGN_REQUEST_STATUS_PENDING".into(),
        parent_req_id: 10,
        mpc_btl: 120,
        ..Default::default()
    };
    let creator = "122a7a656e31337933746d3638676d75396b6e74637877766d756538327036616b61636e70743276376e7479";
    let key_type = "22184b45595f545950455f45434453415f534543503235364b31";
    let first = "2a20b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    let second = "2a202d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let pending = "321b5349474e5f524551554553545f5354415455535f50454e44494e47";
    assert_eq!(hex::encode(child.encode_to_vec()), format!("080b{creator}1a0101{key_type}{first}{pending}580a7078"));
    let parent = SignReqResponse {
        id: 10,
        key_ids: vec![1, 300],
        data_for_signing: vec![hello_world(), Sha256::digest(b"x").to_vec()],
        parent_req_id: 0,
        child_req_ids: vec![11, 12],
        ..child
    };
    assert_eq!(
        hex::encode(parent.encode_to_vec()),
        format!("080a{creator}1a0301ac02{key_type}{first}{second}{pending}62020b0c7078")
    );
}
