//! Roles, and the ids that zrSign derives from what they name.

use alloy_primitives::{Address, B256, U256, b256, keccak256};
use alloy_sol_types::SolValue;

/// Configures types and chains, grants and revokes every role.
pub const DEFAULT_ADMIN_ROLE: B256 = B256::ZERO;
/// Whose signature authorises answers: `zenrock.role.mpc`.
pub const MPC_ROLE: B256 = b256!("1788cbbd6512d9aa8da743e475ce7cbbc6aea08b483d7cd0c00586734a4f6f14");
/// Sets fees and withdraws them: `zenrock.role.fee`.
pub const FEE_ROLE: B256 = b256!("13b7ad447453d194d272cdda9bb09d7d357cda1ab7de80d865b4c1cbefc3cf28");
/// Pauses: `zenrock.role.pauser`.
pub const PAUSER_ROLE: B256 = b256!("8ab6d0465f335f1458251c44a70aa92d9297798531f73d2c8a32b5bd379821b8");

/// The tag in every digest of version 1, the same on all chains: keccak256 of `eip155:11155111`.
pub const SRC_CHAIN_ID: B256 = b256!("afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7");

/// Ethereum and its like, (44, 60).
pub const EVM: B256 = b256!("e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a");
/// Bitcoin's test network, (44, 1).
pub const BITCOIN_TESTNET: B256 = b256!("e03615811ae25b894de73e643038c13c37f602dc1e17ff1a02e5854893f3bd5e");
/// Bitcoin, (44, 0).
pub const BITCOIN: B256 = b256!("2bfb33747d039531bb279f93c386332ae05e0c10b395017fd2d93fe9fc4c6e23");

/// The id of a wallet type.
pub fn wallet_type_id(purpose: U256, coin_type: U256) -> B256 {
    keccak256((purpose, coin_type).abi_encode())
}

/// The id of a destination, from its CAIP-2 text. It cannot be turned back.
pub fn chain_id(caip: &str) -> B256 {
    keccak256(caip)
}

/// Names the list of wallets of one owner and type. `zr_sign` is the proxy.
pub fn workspace_id(chain: u64, zr_sign: Address, wallet_type: B256, owner: Address) -> B256 {
    keccak256((U256::from(chain), zr_sign, wallet_type, owner).abi_encode())
}

/// Names one wallet among those of all chains and deployments. `zr_sign` is the proxy.
pub fn wallet_id(chain: u64, zr_sign: Address, wallet_type: B256, owner: Address, index: U256) -> B256 {
    keccak256((U256::from(chain), zr_sign, wallet_type, owner, index).abi_encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;

    #[test]
    fn roles_are_hashes_of_their_names() {
        for (role, name) in
            [(MPC_ROLE, "zenrock.role.mpc"), (FEE_ROLE, "zenrock.role.fee"), (PAUSER_ROLE, "zenrock.role.pauser")]
        {
            assert_eq!(role, keccak256(name), "{name}");
        }
    }

    #[test]
    fn wallet_types_and_chains() {
        for (id, purpose, coin_type) in [
            (EVM, 44, 60),
            (BITCOIN_TESTNET, 44, 1),
            (BITCOIN, 44, 0),
            (b256!("8a375db0ff9a56957d99a4bad57c805d2a14a800f306caceab7a289e5571d0ef"), 44, 501),
            (b256!("63e188c2c3b0ec7d767cf3ad651908db604c443905f60e25f01ef8be9143406b"), 44, 118),
        ] {
            assert_eq!(id, wallet_type_id(U256::from(purpose), U256::from(coin_type)), "{coin_type}");
        }
        for (id, caip) in [
            (b256!("38b2caf37cccf00b6fbc0feb1e534daf567950e4d48066d0e3669028fe5f83e6"), "eip155:1"),
            (SRC_CHAIN_ID, "eip155:11155111"),
            (b256!("4df3b2a1df4e086e001def1ba6466078aa6aaf12e7a183f590364b811b18ee5b"), "eip155:80002"),
            (b256!("5f3f93115d7efd19d933ee81a3fe76ec1e0f35d41927d6fe0875a4f4c29345da"), "eip155:43113"),
            (b256!("f0b5e5225193cfd0cd1b399b5597eb35e33f77deb76267030dc6d28cf2a8d16b"), "eip155:421614"),
            (b256!("42a13880db2f2fe1c95fc8d04876a774745355a97dfe8f3397694d11f135eccf"), "eip155:97"),
            (b256!("8a9a9c58b754a98f1ff302a7ead652cfd23eb36a5791767b5d185067dd9481c2"), "eip155:84532"),
            (b256!("ed0d19ae6067b72db99bcb0dc8751b7d9a0733d390cef703366aa5c2ab3cc467"), "eip155:11155420"),
            (b256!("318e51c37247d03bad135571413b06a083591bcc680967d80bf587ac928cf369"), "eip155:31337"),
            (
                b256!("cc8dcc74cf3de5b0154f437b295f5d0709e6527ffb67b1201e78769ff0cccbf7"),
                "bip122:000000000933ea01ad0ee984209779ba",
            ),
            (
                b256!("6d0287c1b858c20eef48b10444a53c7ed5399e898d470671f127b49c54931377"),
                "bip122:000000000019d6689c085ae165831e93",
            ),
            (
                b256!("070e7259f89d9cf37d4d53790ba74a118fef45b2d2d56e230a7d86ecb5188ec5"),
                "bip122:0f9188f13cb7b2c71f2a335e3a4fc328",
            ),
        ] {
            assert_eq!(id, chain_id(caip), "{caip}");
        }
    }

    #[test]
    fn wallets_and_workspaces() {
        let zr_sign = address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0");
        let owner = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
        assert_eq!(
            workspace_id(31337, zr_sign, EVM, owner),
            b256!("74fd734702ddd824d3ee33b44a5d01778018864a782fc904a9d93ed8ea829167")
        );
        assert_eq!(
            wallet_id(31337, zr_sign, EVM, owner, U256::ZERO),
            b256!("0969f340829ada2b3b19244a1f10af1e0fbb0776297b2d5fc49d817a3d5745c0")
        );
    }
}
