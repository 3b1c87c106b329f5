//! Which wallets a key has, as queries list them. The derivation itself is the chain client's.

use chain_client::proto::zrchain::treasury::{Key, KeyType, WalletResponse, WalletType};
use chain_client::wallet;

use super::address::ACCOUNT_PREFIX;

/// All wallet types, in the order in which they are listed.
const ALL: [WalletType; 8] = [
    WalletType::Native,
    WalletType::Evm,
    WalletType::BtcTestnet,
    WalletType::BtcMainnet,
    WalletType::BtcRegnet,
    WalletType::Solana,
    WalletType::ZcashMainnet,
    WalletType::ZcashTestnet,
];

/// The key type that a wallet type needs; none for UNSPECIFIED.
pub(crate) fn key_type(wallet_type: WalletType) -> Option<KeyType> {
    match wallet_type {
        WalletType::Unspecified => None,
        WalletType::Native | WalletType::Evm => Some(KeyType::EcdsaSecp256k1),
        WalletType::Solana => Some(KeyType::EddsaEd25519),
        _ => Some(KeyType::BitcoinSecp256k1),
    }
}

/// The wallet behind a zrSign alias.
pub(crate) fn of_zrsign(alias: &str) -> Option<WalletType> {
    match alias {
        "0" => Some(WalletType::BtcMainnet),
        "1" => Some(WalletType::BtcTestnet),
        "60" => Some(WalletType::Evm),
        "501" => Some(WalletType::Solana),
        _ => None,
    }
}

/// One address of a key.
///
/// # Errors
/// The reason: another key type, or bytes that are no key.
pub(crate) fn address(key: &Key, wallet_type: WalletType, prefix: &str) -> Result<String, String> {
    let kind = match key.r#type() {
        KeyType::EcdsaSecp256k1 => chain_client::KeyType::EcdsaSecp256k1,
        KeyType::EddsaEd25519 => chain_client::KeyType::EddsaEd25519,
        KeyType::BitcoinSecp256k1 => chain_client::KeyType::BitcoinSecp256k1,
        KeyType::Unspecified => return Err("key has no type".to_owned()),
    };
    wallet::address(kind, &key.public_key, wallet_type, prefix).map_err(|error| error.to_string())
}

/// The wallets of a key, one type or all that fit; native ones once per prefix. What does not fit is left out.
pub(crate) fn of_key(key: &Key, wallet_type: WalletType, prefixes: &[String]) -> Vec<WalletResponse> {
    let mut found = Vec::new();
    for one in ALL.into_iter().filter(|one| wallet_type == WalletType::Unspecified || *one == wallet_type) {
        let own = [ACCOUNT_PREFIX.to_owned()];
        let prefixes = if one == WalletType::Native && !prefixes.is_empty() { prefixes } else { &own[..] };
        for prefix in prefixes {
            if let Ok(address) = address(key, one, prefix) {
                found.push(WalletResponse { address, r#type: one.as_str_name().to_owned() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0258686caab00866db8f9e41e16da7cbaedfe0ead7881974b1b1741ed925022927";

    fn listed(key_type: KeyType, public_key: &str, wallet_type: WalletType, prefixes: &[&str]) -> Vec<String> {
        let public_key = hex::decode(public_key).expect("hex");
        let key = Key { r#type: key_type.into(), public_key, ..Key::default() };
        let prefixes: Vec<_> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        of_key(&key, wallet_type, &prefixes).into_iter().map(|wallet| wallet.address).collect()
    }

    #[test]
    fn a_key_has_the_addresses_of_the_worked_example() {
        let all = WalletType::Unspecified;
        assert_eq!(
            listed(KeyType::EcdsaSecp256k1, KEY, all, &[]),
            ["zen1f8ym39ah2vk3z8jt3g55lt6cgwqtee2dm5408m", "0x9eC106B00D473afF9918Ad96ce99085Df841Fcb7"]
        );
        assert_eq!(
            listed(KeyType::EcdsaSecp256k1, KEY, WalletType::Native, &["zen", "cosmos"]),
            ["zen1f8ym39ah2vk3z8jt3g55lt6cgwqtee2dm5408m", "cosmos1f8ym39ah2vk3z8jt3g55lt6cgwqtee2dpe8wt2"]
        );
        assert_eq!(
            listed(KeyType::BitcoinSecp256k1, KEY, all, &[]),
            [
                "tb1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2da9zk55",
                "bc1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2dhre908",
                "bcrt1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2dlvmmra",
                "t1QbkzAVfNC2VqYAa8u4WTjCGbgParXUGLW",
                "tmGSWJzz4krXzynN1odNFKPs2CfUQPumcz9",
            ]
        );
        let eddsa = "3ab310d1348ceff1dc7377243381c19d4da032fa2e401876d0e4bae4d708e3e0";
        assert_eq!(listed(KeyType::EddsaEd25519, eddsa, all, &[]), ["4x91kzJfjch9pmjjCn2x9fiU9AXw7shyQfVVe5Pif6sR"]);
    }

    #[test]
    fn a_wallet_of_another_key_type_is_left_out() {
        assert!(listed(KeyType::EcdsaSecp256k1, KEY, WalletType::Solana, &[]).is_empty());
    }
}
