//! The digest that admits an answer to the contract, and the one form of its signature.
//!
//! The contract recovers a signer from the personal-sign digest of 32 bytes and asks whether it holds the MPC role. The
//! digest names neither chain nor contract, and `SRC_CHAIN_ID` is one compiled-in constant on every chain: it is read
//! from the contract's getter. So an authorisation fits every deployment at which its signer has the role, and a
//! controller key belongs to one (chain, proxy) only.

use alloy_primitives::{Address, B256, Bytes, U256, eip191_hash_message, keccak256};
use alloy_sol_types::{SolCall as _, SolValue as _};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

use super::abi;

/// What a key response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAnswer {
    /// The wallet type id.
    pub wallet_type: B256,
    /// From the request's slot.
    pub owner: Address,
    /// From the request's slot.
    pub index: U256,
    /// The address text, in the one form that is published: mixed-case for EVM.
    pub wallet: String,
    /// From the registry, not from a later event.
    pub options: u8,
}

/// What a signature response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureAnswer {
    /// The request's number.
    pub trace: U256,
    /// Copied from the request's event: the refund goes there.
    pub owner: Address,
    /// The 32 bytes that were signed; of a simple transaction the completed, unsigned one.
    pub meta_data: Bytes,
    /// `r‖s‖v`, `v` 0 or 1.
    pub signature: Bytes,
    /// Copied from the request's event.
    pub broadcast: bool,
}

/// Why a signature admits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorisationError {
    /// Not 64 or 65 bytes of two numbers of the curve's range.
    #[error("not a signature")]
    Malformed,
    /// It is another key's.
    #[error("not by the controller key")]
    Stranger,
}

impl KeyAnswer {
    /// What the controller key signs, where `source` is the contract's `SRC_CHAIN_ID`.
    #[must_use]
    pub fn digest(&self, source: B256) -> B256 {
        let said = (source, self.wallet_type, self.owner, self.index, self.wallet.clone(), U256::from(self.options));
        personal(&said.abi_encode_params())
    }

    /// The call that brings it to the contract.
    #[must_use]
    pub fn call_data(&self, authorisation: &[u8; 65]) -> Bytes {
        let params = abi::ZrKeyResParams {
            walletTypeId: self.wallet_type,
            owner: self.owner,
            walletIndex: self.index,
            wallet: self.wallet.clone(),
            options: self.options,
            authSignature: Bytes::copy_from_slice(authorisation),
        };
        abi::zrKeyResCall { params }.abi_encode().into()
    }
}

impl SignatureAnswer {
    /// What the controller key signs, where `source` is the contract's `SRC_CHAIN_ID`.
    #[must_use]
    pub fn digest(&self, source: B256) -> B256 {
        let said = (source, self.trace, self.owner, self.meta_data.clone(), self.signature.clone(), self.broadcast);
        personal(&said.abi_encode_params())
    }

    /// The call that brings it to the contract.
    #[must_use]
    pub fn call_data(&self, authorisation: &[u8; 65]) -> Bytes {
        let params = abi::SignResParams {
            traceId: self.trace,
            owner: self.owner,
            metaData: self.meta_data.clone(),
            signature: self.signature.clone(),
            broadcast: self.broadcast,
            authSignature: Bytes::copy_from_slice(authorisation),
        };
        abi::zrSignResCall { params }.abi_encode().into()
    }
}

/// Personal-sign over the 32 raw bytes of the preimage's hash.
fn personal(preimage: &[u8]) -> B256 {
    eip191_hash_message(keccak256(preimage))
}

/// The form that the contract takes: `r‖s‖v`, `s` in the lower half, `v` 27 or 28. `raw` is `r‖s`, `s` in either half;
/// what follows is not looked at.
///
/// # Errors
/// [`AuthorisationError`]: the contract would refuse it.
pub fn canonical(raw: &[u8], digest: B256, key: &VerifyingKey) -> Result<[u8; 65], AuthorisationError> {
    let bytes = raw.get(..64).filter(|_| raw.len() <= 65).ok_or(AuthorisationError::Malformed)?;
    let signature = Signature::from_slice(bytes).map_err(|_| AuthorisationError::Malformed)?;
    let signature = signature.normalize_s().unwrap_or(signature);
    let recovery = RecoveryId::trial_recovery_from_prehash(key, digest.as_slice(), &signature)
        .map_err(|_| AuthorisationError::Stranger)?;
    let mut form = [0; 65];
    form[..64].copy_from_slice(&signature.to_bytes());
    form[64] = 27 + recovery.to_byte();
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256, bytes};
    use k256::ecdsa::SigningKey;
    use k256::ecdsa::signature::hazmat::PrehashSigner as _;

    const SOURCE: B256 = b256!("afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7");
    const USER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");

    fn controller() -> SigningKey {
        SigningKey::from_slice(&[0x11; 32]).unwrap()
    }

    /// Signs as the worked examples do, and takes the contract's form of it.
    fn authorised(digest: B256) -> [u8; 65] {
        let (signature, _): (Signature, RecoveryId) = controller().sign_prehash(digest.as_slice()).unwrap();
        canonical(&signature.to_bytes(), digest, controller().verifying_key()).unwrap()
    }

    fn key(kind: super::super::name::WalletKind, index: u64, wallet: &str, options: u8) -> KeyAnswer {
        let (wallet_type, index, wallet) = (kind.id(), U256::from(index), wallet.to_owned());
        KeyAnswer { wallet_type, owner: USER, index, wallet, options }
    }

    /// Worked examples 2 and 4 of the facts.
    #[test]
    fn key_answers_are_authorised_byte_for_byte() {
        use super::super::name::WalletKind::{BitcoinTestnet, Evm};
        let examples = [
            (
                key(Evm, 0, "0x1563915e194D8CfBA1943570603F7606A3115508", 1),
                b256!("a1a3c9177103c169af6143889aa695dd524e7405f5fd41ef17060139ba0dd8b2"),
                "a8c508a8868fa018c886ddd4f1006af139e0584b971d2de3eb3f3842d30f429e7d443257bac5d408b6c257fea61199309981e12fa44f5b10b023512c85dda0a21c",
            ),
            (
                key(Evm, 1, "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB", 2),
                b256!("c52894abc272cd8aac33037020907fe31065fba2f6f6392915db60f2e0bf7291"),
                "ff5bfc914e7f95c56a409e5a545d714c9b92ebad9cfb3ab210f00add743c8ed52bd4e7bd506617057a6c9ffe0f68e7c2463c148d14a372107d9c544c1d7595881b",
            ),
            (
                key(BitcoinTestnet, 0, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", 2),
                b256!("6d9b7cf36b32d9d7ab5800d089b41c38fe866a44c773b08da63ab962d15772f3"),
                "0dc5d4788aca11e57b269838fdeaaf92a80705b8047deb4994b23e453c442a6c63189a54ff207e006043138b3b74c67d8a9c5335507f93f948a38a05a6eb457f1c",
            ),
        ];
        for (answer, digest, authorisation) in examples {
            assert_eq!(answer.digest(SOURCE), digest, "{answer:?}");
            assert_eq!(hex::encode(authorised(digest)), authorisation, "{answer:?}");
        }
    }

    /// Worked examples 2 and 3 of the facts.
    #[test]
    fn call_data_is_the_examples_byte_for_byte() {
        let key = key(super::super::name::WalletKind::Evm, 0, "0x1563915e194D8CfBA1943570603F7606A3115508", 1);
        let signature = SignatureAnswer {
            trace: U256::ZERO,
            owner: USER,
            meta_data: Bytes::new(),
            signature: bytes!(
                "1d995ee631859dcbab94768c06711912f6c3e676b042a386652a6b878d566cbe1744c7ceead20a215ec76fdeaae13e528b67cbb3d0a8931e71b83d349349f9951b"
            ),
            broadcast: false,
        };
        assert_eq!(
            hex::encode(key.call_data(&authorised(key.digest(SOURCE)))),
            "318522730000000000000000000000000000000000000000000000000000000000000020e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a00000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a65000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000000000120000000000000000000000000000000000000000000000000000000000000002a307831353633393135653139344438436642413139343335373036303346373630364133313135353038000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000041a8c508a8868fa018c886ddd4f1006af139e0584b971d2de3eb3f3842d30f429e7d443257bac5d408b6c257fea61199309981e12fa44f5b10b023512c85dda0a21c00000000000000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(
            hex::encode(signature.call_data(&authorised(signature.digest(SOURCE)))),
            "050a57840000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a6500000000000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000000000000e000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000160000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000411d995ee631859dcbab94768c06711912f6c3e676b042a386652a6b878d566cbe1744c7ceead20a215ec76fdeaae13e528b67cbb3d0a8931e71b83d349349f9951b0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000418820470640484174d8c84806f28f05e0f781690b38294d8b5444c84965ebe3827cd82611b9f1a85f8781307ca4a0513ac1a1abf68b5b161155ec1e91822cafa91c00000000000000000000000000000000000000000000000000000000000000"
        );
    }

    /// Worked examples 3, 6 and 7 of the facts.
    #[test]
    fn signature_answers_are_authorised_byte_for_byte() {
        let examples = [
            (
                SignatureAnswer {
                    trace: U256::ZERO,
                    owner: USER,
                    meta_data: Bytes::new(),
                    signature: bytes!(
                        "1d995ee631859dcbab94768c06711912f6c3e676b042a386652a6b878d566cbe1744c7ceead20a215ec76fdeaae13e528b67cbb3d0a8931e71b83d349349f9951b"
                    ),
                    broadcast: false,
                },
                b256!("27f57c96caf2d455804489d7af0dd8bee35116492796fd8ad158f0c00069bf01"),
                "8820470640484174d8c84806f28f05e0f781690b38294d8b5444c84965ebe3827cd82611b9f1a85f8781307ca4a0513ac1a1abf68b5b161155ec1e91822cafa91c",
            ),
            (
                SignatureAnswer {
                    trace: U256::from(1),
                    owner: USER,
                    meta_data: Bytes::new(),
                    signature: bytes!(
                        "8a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf411b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d6261c"
                    ),
                    broadcast: true,
                },
                b256!("0337050e9d9c00b362e831730a8dc36578be32d10bc41efb4ea62e6a4660334a"),
                "570010c609c7e9205c1bfdf0488a66b37546ec5cf82b51281fbe4920f84ebde87f0bc0ec0109f003783671255ba213a46f1d4010386a631454f121482bbd7c531c",
            ),
            (
                SignatureAnswer {
                    trace: U256::from(2),
                    owner: USER,
                    meta_data: bytes!(
                        "ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c6800080808080"
                    ),
                    signature: bytes!(
                        "4c991632a7a88b028d942596c8361ef034bb895793ef213ac2a657ab331d3cab3bfdf0c0c1f521bcaaacd181b901ad880677481f1c2d5d0b60175e1eb4e42e291b"
                    ),
                    broadcast: true,
                },
                b256!("8d061d4794a054226b493fa8eb3842d86480e64c6d82d307bd1e0694569fc129"),
                "3b7754487c86861f0afe67dfd93f4606cf7e80bc8d7697a2ae060beeb1882d60406a893adef7807e08174829a89d34e6683907380a6efa0fce1297928c71c8bf1c",
            ),
        ];
        for (answer, digest, authorisation) in examples {
            assert_eq!(answer.digest(SOURCE), digest, "{answer:?}");
            assert_eq!(hex::encode(authorised(digest)), authorisation, "{answer:?}");
            assert!(answer.call_data(&authorised(digest)).starts_with(&[0x05, 0x0a, 0x57, 0x84]));
        }
    }

    #[test]
    fn a_high_s_is_brought_down_and_a_strangers_signature_is_refused() {
        let digest = b256!("27f57c96caf2d455804489d7af0dd8bee35116492796fd8ad158f0c00069bf01");
        let low = authorised(digest);
        let signature = Signature::from_slice(&low[..64]).unwrap();
        let high = Signature::from_scalars(signature.r().to_bytes(), (-*signature.s()).to_bytes()).unwrap();
        assert_ne!(high, signature);
        assert_eq!(canonical(&high.to_bytes(), digest, controller().verifying_key()), Ok(low));
        let stranger = SigningKey::from_slice(&[0x22; 32]).unwrap();
        let refused = canonical(&low, digest, stranger.verifying_key());
        assert_eq!(refused, Err(AuthorisationError::Stranger));
        for bad in [&low[..63], &[0; 64], &[low.as_slice(), &[0]].concat()] {
            assert_eq!(canonical(bad, digest, controller().verifying_key()), Err(AuthorisationError::Malformed));
        }
    }
}
